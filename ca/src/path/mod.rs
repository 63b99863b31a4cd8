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
mod error;
mod extension;
mod legible;
mod policies;

pub use crate::name::{general_name, is_within, normal_name, same_name};
pub use build::{Anchors, ValidPath, validate};
pub use certificate::Certificate;
pub use check::{Initial, PathSettings, check};
pub use error::PathError;
pub use extension::Extension;
pub use legible::{legible, object_identifier};
