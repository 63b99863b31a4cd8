//! CMP on the wire: octets become types, and types become octets. Nothing here knows the authority, a policy, the server or the client.
//!
//! PKCS #10 requests and the template of a request are in [`crate::request`], because EST and SCEP carry them, too.

pub mod bounds;
#[cfg(test)]
mod captured;
pub mod content;
pub mod controls;
pub mod crmf;
pub mod enveloped;
pub mod general;
pub mod key_pair;
pub mod kind;
pub mod mac;
pub mod mac_hash;
pub mod message;
pub mod oid;
pub mod pbkdf2;
pub mod peek;
pub mod popo;
pub mod refusal;
pub mod status;
pub mod time;

pub use crate::request::names;
