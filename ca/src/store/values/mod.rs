//! The values of the index, and the encoding of each kind. `keys::Space` says which space has which kind.
//!
//! CAs, CRLs, vendors and administrators are encoded in the index as in the bodies of their entries, and have no file here.

pub mod account;
pub mod approvers;
pub mod confirmation;
pub mod ended;
pub mod filing;
pub mod holders;
pub mod lists;
mod read;
pub mod renamed;
pub mod request;
pub mod restored;
pub mod retiring;
pub mod revocation;
pub mod shown;
pub mod span;
mod transaction;

pub use read::{damaged, label};
pub use request::RequestRow;
pub use transaction::{
    TransactionBlock, TransactionId, TransactionState, count_transactions, push_transaction,
    read_transactions, transaction_id,
};
