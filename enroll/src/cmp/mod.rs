//! CMP: RFC 9810 (the line of RFC 2510 and 4210), its transfer over HTTP (RFC 9811), and the lightweight profile
//! (RFC 9483). Here is what is on the wire; what is granted is decided in `countersign-ca`.

mod answer;
mod authenticate;
pub mod client;
mod confirm;
mod context;
mod cross;
mod delivery;
mod exchange;
pub mod exercise;
mod general;
mod header;
mod keygen;
mod limits;
mod nested;
mod poll;
mod possession;
mod protect;
mod registration;
mod revoke;
mod service;
mod tolerance;
mod wire;

pub use wire::algorithms::Protections;
pub use wire::bounds::Bounds;
pub use wire::content::kind;
pub use wire::mac::work as mac_work;
pub use wire::message::body_kind;
pub use service::{Begun, CmpConfig, CmpService, Outcome, Route, Rules, Unsent, default_workers};
