//! Certification path validation (RFC 5280 §6), from a peer's certificate to a trust anchor. It needs no store, clock
//! or network.
//!
//! `build.rs` searches for issuers within the bounds of `budget.rs`. `check.rs` validates a whole path by §6.1, with
//! `constraints.rs` for names and `policies.rs` for certificate policies. `crl/` implements §6.3. `extension.rs` reads
//! extensions in their encoded form, and `legible.rs` rewrites DER that the DER library cannot read.
//!
//! It is written here because the available libraries do not pass NIST's test suite: webpki, for example, processes no
//! certificate policies. x509-cert and der decode the structures; ring and AWS-LC verify signatures.

mod budget;
mod build;
mod certificate;
mod check;
mod constraints;
pub mod crl;
mod error;
mod extension;
mod legible;
mod policies;

pub use build::{Anchors, ValidPath, validate};
pub use certificate::Certificate;
pub use check::{Initial, PathSettings, check};
pub use error::PathError;
pub use extension::Extension;
pub use legible::{legible, object_identifier};
