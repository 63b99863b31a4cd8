//! Trust in a peer's certificate: its certification path, the revocation status of that path, and looking up a certificate that the daemon did
//! not send.

pub mod certificate_store;
mod configured;
mod known_cas;

pub use configured::{ConfiguredTrust, Trust};
