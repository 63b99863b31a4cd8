//! CRLs by RFC 5280 §5 and §6.3: versions 1 and 2; full, delta, partitioned by name or by reason, and indirect.
//!
//! `list.rs` reads the fields around the entries. `entries.rs` reads the entries in one pass and sorts them, but only
//! after the caller has verified the signature. `status.rs` implements §6.3.3.

mod entries;
mod list;
mod status;

pub use list::{Crl, CrlError};
pub use status::{CrlStatus, status_by_crls};
