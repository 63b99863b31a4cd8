//! What is signed: certificates and CRLs, encoded, linted and signed over the same octets.

pub mod certificate;
pub mod crl;
pub mod gate;
pub mod handed_out;
