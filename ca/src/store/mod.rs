//! What the authority remembers. [`Store`] is a trait of domain verbs; `embedded/` implements it with files of this
//! machine.
//!
//! From the ground up: `numbers` and `values` say how small things are numbered and lie in an index, `keys` under which
//! keys; `view` is what the rules read and change of an index, and `rules` says what each entry demands and changes.
//! `verbs` has the trait itself. None of these knows a file or a database, so that another log can stand beside
//! `embedded/`.

mod announced;
mod answers;
mod embedded;
mod history;
mod keys;
mod numbers;
mod rules;
mod values;
mod verbs;
mod view;

pub use announced::Announced;
pub use answers::{LastRestore, Page, RequestCounts};
pub use embedded::audit::audit;
pub use embedded::backup::BackupSummary;
pub use embedded::clock::clock_ahead;
pub use embedded::index::IndexSum;
pub use embedded::lock::LOCKED;
pub use embedded::replay::{Progress, ProgressFn};
pub use embedded::restore::{Restore, Restored, restore_journal};
pub use embedded::shared::Counts;
pub use embedded::{EmbeddedOptions, EmbeddedStore, Status};
pub use history::{Change, History, Mark};
pub use verbs::Store;
