//! The values of the index: how each kind lies in octets. `keys::Space` says which space has which.
//!
//! CAs, CRLs and vendors lie in the index as in the bodies of their entries, and have no file here.

pub mod account;
pub mod confirmation;
pub mod holders;
pub mod lists;
pub mod request;
pub mod restored;
pub mod revocation;
mod transaction;

pub use request::RequestRow;
pub use transaction::{
    TransactionBlock, TransactionId, TransactionState, count_transactions, push_transaction,
    read_transactions, transaction_id,
};

use crate::error::{Error, Result};
use crate::record::Label;

/// Reads a name.
///
/// # Errors
/// [`Error::Internal`] when the octets are no name.
pub fn label(octets: &[u8]) -> Result<Label> {
    std::str::from_utf8(octets).ok().and_then(|text| text.parse().ok()).ok_or_else(damaged)
}

/// The error for a value that cannot be read.
pub fn damaged() -> Error {
    Error::internal(
        "a record of the index is damaged: stop the service and run `countersign store rebuild`",
    )
}
