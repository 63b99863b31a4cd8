//! CMP on the wire: octets become types, and types octets. Nothing here knows an authority, a policy, the server or the client.

pub mod algorithms;
pub mod bounds;
#[cfg(test)]
mod captured;
pub mod content;
pub mod controls;
pub mod crmf;
pub mod enveloped;
pub mod general;
pub mod mac;
pub mod message;
pub mod names;
pub mod oid;
pub mod refusal;
