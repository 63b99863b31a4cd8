//! CMP: RFC 9810 (the successor of RFC 2510 and RFC 4210), its transfer over HTTP (RFC 9811), and the lightweight profile (RFC 9483).
//! This module never decides whether a request is granted: `countersign-ca` does.
//!
//! It has three parts: `wire` has the messages as types; `server` and [`client`] use `wire`, and neither uses the other.

pub mod client;
pub mod exercise;
pub(crate) mod server;
mod wire;

pub use crate::ber::Bounds;
pub use server::http::{Endpoint, Observer};
pub use server::service::CmpService;
pub use server::service::config::{CmpConfig, Rules, default_workers};
pub use server::service::protections::Protections;
pub use server::service::route::{Answered, Outcome, Route};
pub use wire::kind;
