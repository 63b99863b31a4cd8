//! TLS, for the EST server (RFC 7030 §3.3, ADR 24) and the administration API (ADR 30): the certificate that the server presents, and the handshake. A client's certificate
//! is asked for and never required. The handshake proves only that the client has the private key; the handlers judge the rest, so that
//! a refused client reads why.

mod certificate;
mod client;
mod handshake;
mod server;

pub use certificate::Tls;
pub use handshake::{accept, facts};
