//! CRLs by RFC 5280 §5 and §6.3: versions 1 and 2; full, delta, partitioned by name or by reason, and indirect.
//!
//! `list.rs` reads what stands around the entries, `entries.rs` the entries, in time that grows with their length and no faster, and only
//! when they are asked for: who does that has verified the signature. `status.rs` is §6.3.3.

mod entries;
mod list;
mod status;

pub use list::{Crl, CrlError};
pub use status::{CrlStatus, status_by_crls};
