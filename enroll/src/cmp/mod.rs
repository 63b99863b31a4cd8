//! CMP: RFC 9810 (the line of RFC 2510 and 4210), its transfer over HTTP (RFC 9811), and the lightweight profile
//! (RFC 9483). Here is what is on the wire; what is granted is decided in `countersign-ca`.

pub mod client;
pub mod exercise;
pub(crate) mod server;
mod wire;

pub use wire::algorithms::Protections;
pub use wire::bounds::Bounds;
pub use wire::content::kind;
pub use wire::mac::work as mac_work;
pub use wire::message::body_kind;
pub use server::service::{Begun, CmpConfig, CmpService, Outcome, Route, Rules, Unsent, default_workers};
