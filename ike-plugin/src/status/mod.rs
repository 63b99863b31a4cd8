//! The revocation status of certificates, by CRLs and OCSP. Both are cached, and fetched again before they expire.

mod checker;
pub mod crl_cache;
pub mod fetch;
pub mod ldap;
pub mod location;
pub mod ocsp;
pub mod ocsp_cache;
mod refreshed;
mod verdict;

pub use checker::{Mode, Prefer, StatusChecker};
pub use countersign_ca::path::crl;
pub use verdict::{Lack, Status};
