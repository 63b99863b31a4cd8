//! EST: RFC 7030, with the clarifications of RFC 8951 and RFC 9908. This module never decides whether a request is granted:
//! `countersign-ca` does. Its caller has the TLS listener, and hands each connection's facts over as a [`Connection`].

pub mod client;
mod connection;
pub mod exercise;
mod server;
mod wire;

pub use connection::{ClientCertificate, Connection};
pub use server::config::{ChannelBinding, EstConfig};
pub use server::http::{Endpoint, Observer};
pub use server::outcome::{Outcome, Verdict};
pub use server::service::EstService;
pub use wire::operation::Operation;
