//! Signed objects: certificates and CRLs are encoded, linted and signed, each step over the same octets.

mod certificate;
pub mod crl;
mod gate;
mod handed_out;
mod object;

pub use certificate::EndEntity;
pub use gate::{Gate, Object, refuse};
pub use handed_out::HandedOut;
