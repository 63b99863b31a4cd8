//! The client of SCEP: a peer that asks any SCEP server for certificates (RFC 8894). It is synchronous; trust, time and randomness are handed
//! in, and no file is written here.
//!
//! An answer is believed if a CA, or a registration authority of one, signed it (`registration.rs`). Nothing older than AES and SHA-256
//! is used, whatever the server announces.

mod answer;
mod capabilities;
mod fingerprint;
mod registration;
mod request;
mod signing;
mod url;

pub use fingerprint::Fingerprint;
pub use request::{Client, Step};
pub use signing::require_rsa;
pub use url::ScepUrl;
