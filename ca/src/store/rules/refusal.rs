//! The refusals that several rules share.

use crate::error::{Denial, Error};
use crate::record::{Label, Serial};

/// The error for a request that contradicts the records.
pub fn conflict(why: String) -> Error {
    Error::denied(Denial::Conflict, why)
}

/// The error that the CA has issued no certificate with this serial.
pub fn no_certificate(ca: &Label, serial: &Serial) -> Error {
    Error::denied(
        Denial::NoSuchCertificate,
        format!("`{ca}` has issued no certificate with the serial `{serial}`"),
    )
}
