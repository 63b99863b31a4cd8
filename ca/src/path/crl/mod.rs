//! CRLs by RFC 5280 §5 and §6.3: versions 1 and 2; full, delta, partitioned by name or by reason, and indirect.
//!
//! `list.rs` reads what stands around the entries, `entries.rs` the entries, in time that grows with their length and no faster, and only
//! when they are asked for: who does that has verified the signature. `status.rs` is §6.3.3.

mod entries;
mod list;
mod status;

use x509_cert::ext::pkix::CrlReason;

use crate::clock::Timestamp;

pub use list::Crl;
pub use status::status_by_crls;

/// Why a CRL cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a CRL in DER: {0}")]
pub struct CrlError(String);

impl From<der::Error> for CrlError {
    fn from(error: der::Error) -> Self {
        Self(error.to_string())
    }
}

/// Whether a certificate is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrlStatus {
    /// No CRL lists it, and all reasons are covered; true until the first of these CRLs ends.
    Good(Timestamp),
    /// One lists it.
    Revoked {
        /// Why.
        reason: CrlReason,
        /// Since when.
        at: Timestamp,
    },
    /// The CRLs at hand do not tell; in words why.
    Unknown(String),
    /// They do not tell, as more would have to be looked at than is looked at for one certificate; in words of what. One of them may list
    /// it: let nobody in whom you would not let in that is revoked.
    Unsettled(String),
}
