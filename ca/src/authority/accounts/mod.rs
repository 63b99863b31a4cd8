//! Accounts: how administrators add, change and remove them.

mod draft;
mod edit;
mod manager;
mod permitted;

pub use draft::{AccountDraft, SecretPolicy};
pub use edit::AccountEdit;
pub use manager::{Accounts, NewAccount, PermissionChange, Taken, Warning};
pub use permitted::refuse_outside;

pub use crate::record::no_account;
