//! The store of the authority's records. [`Store`] is a trait whose methods, the verbs, are actions of the domain;
//! `embedded/` implements it with files of this machine.
//!
//! From the lowest layer up: `numbers` and `values` say how small things are numbered and lie in an index, `keys` under
//! which keys. `owner` finds the account that an entry names. `view` is the part of an index that the rules read and change. `rules` has the conditions under which an
//! entry may be recorded, and its changes of the index. `verbs` has the trait itself. None of these uses a file or a
//! database, so that another log can stand beside `embedded/`.

mod announced;
mod answers;
mod embedded;
mod history;
mod keys;
mod numbers;
mod owner;
mod rules;
mod values;
mod verbs;
mod view;

pub use announced::Announced;
pub use answers::{AccountList, CertificateList, Enrolled, LastRestore, Page, RequestCounts};
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
