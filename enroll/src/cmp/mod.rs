//! CMP: RFC 9810 (the line of RFC 2510 and 4210), its transfer over HTTP (RFC 9811), and the lightweight profile
//! (RFC 9483). Here is what is on the wire; what is granted is decided in `countersign-ca`.

mod algorithms;
mod answer;
mod authenticate;
mod bounds;
#[cfg(test)]
mod captured;
pub mod client;
mod confirm;
mod content;
mod context;
mod controls;
mod crmf;
mod cross;
mod delivery;
mod enveloped;
mod exchange;
pub mod exercise;
mod general;
mod header;
mod keygen;
mod limits;
mod mac;
mod message;
mod names;
mod nested;
mod oid;
mod poll;
mod possession;
mod protect;
mod refusal;
mod registration;
mod revoke;
mod service;
mod tolerance;

pub use algorithms::Protections;
pub use bounds::Bounds;
pub use content::kind;
pub use mac::work as mac_work;
pub use message::body_kind;
pub use service::{Begun, CmpConfig, CmpService, Outcome, Route, Rules, Unsent, default_workers};
