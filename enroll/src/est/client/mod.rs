//! The client of EST: a peer that asks any EST server for certificates (RFC 7030, RFC 8951). It is synchronous; trust, time and randomness are
//! handed in, and no file is written here.
//!
//! An answer is believed because it came over TLS from a server whose certificate an explicit trust anchor verified (RFC 7030 §3.3.1).
//! The certificate in it must lead to the peer's own anchors all the same.

mod answers;
mod request;
mod url;

pub use request::Client;
pub use url::EstUrl;
