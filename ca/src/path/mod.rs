//! Certification paths by RFC 5280 §6: from a peer's certificate to a trust anchor.
//!
//! `build.rs` looks for issuers within `budget.rs`, `check.rs` holds a whole path against §6.1, with `constraints.rs` for names and `policies.rs` for
//! certificate policies; `crl/` is §6.3, `extension.rs` reads extensions as they stand. `legible.rs` makes the DER library take what it
//! does not know. No library at hand passes NIST's test suite here: webpki has neither policies nor several issuers of one
//! name. x509-cert and der read the structures, ring verifies.

mod budget;
mod build;
mod certificate;
mod check;
mod constraints;
pub mod crl;
mod extension;
mod legible;
mod policies;

pub use build::{Anchors, ValidPath, validate};
pub use certificate::Certificate;
pub use check::{Initial, PathSettings, check};
pub use extension::Extension;
pub use legible::{legible, object_identifier};
pub use crate::name::{general_name, is_within, normal_name, same_name};

/// Why there is no valid path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not a certificate as RFC 5280 §4 has it.
    #[error("the certificate cannot be read: {0}")]
    Malformed(String),
    /// No certificate leads further towards an anchor.
    #[error(
        "expected a path to a trust anchor, found none: nobody known issued `{certificate}`; its issuer is `{issuer}`"
    )]
    NoIssuer {
        /// The last certificate's subject.
        certificate: String,
        /// Its issuer's name.
        issuer: String,
    },
    /// A certificate, or what stands above it, does not allow the path.
    #[error("the certificate `{certificate}` is refused: {why}")]
    Refused {
        /// Its subject.
        certificate: String,
        /// What was expected and found, with the section of RFC 5280.
        why: String,
    },
    /// The certificates lead to more paths than are tried.
    #[error("no path was found within {0} steps; send only the certificates of one path")]
    TooMuch(usize),
    /// The names in the certificates are too long, and too many.
    #[error(
        "names and name constraints of more than {0} octets would have to be compared; send only the certificates of one path"
    )]
    TooLong(usize),
}
