//! Founds an instance and its CAs, gives a CA its next key, and brings back what a restored instance lost.

pub mod ca_certificate;
pub mod foundation;
pub mod generation;
pub mod recovery;
pub mod rollover;

pub use ca_certificate::*;
