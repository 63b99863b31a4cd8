//! Makes and verifies signatures of credentials (RFC 2704 §4.6.7, RFC 2792 §4).

mod algorithm;
mod legacy;
mod signing;
mod verify;

pub use algorithm::SignatureAlgorithm;
pub use signing::{SigningError, SigningKey};
pub use verify::{LegacySignatures, Signature, SignatureError};

pub use crate::key::Encoding;
