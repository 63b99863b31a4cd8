//! What the authority remembers. A `Store` is a trait of domain verbs; `embedded` implements it with files of this machine.
//!
//! From the ground up: `values` and `keys` say how records lie in an index, `view` what the rules read and change of one, `rules` what
//! each entry demands and changes. None of these knows a file, so that another log can stand beside `embedded`.

mod embedded;
mod history;
mod keys;
mod rules;
mod values;
mod verbs;

pub use embedded::backup::{BackupSummary, Restore, Restored, audit, restore_journal};
pub use embedded::commit::{Counts, clock_ahead};
pub use embedded::index::IndexSum;
pub use embedded::open::{LOCKED, Progress, ProgressFn};
pub use embedded::{EmbeddedOptions, EmbeddedStore, Status};
pub use history::{Change, Mark};
pub use verbs::{Announced, Store};
