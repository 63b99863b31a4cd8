//! Functions that the readers of several values share.

use crate::error::{Error, Result};
use crate::record::Label;

/// Reads a name.
///
/// # Errors
/// [`Error::Internal`] when the octets are not a name.
pub fn label(octets: &[u8]) -> Result<Label> {
    std::str::from_utf8(octets).ok().and_then(|text| text.parse().ok()).ok_or_else(damaged)
}

/// The error for a value that cannot be read.
pub fn damaged() -> Error {
    Error::internal(
        "a record of the index is damaged: stop the service and run `countersign store rebuild`",
    )
}
