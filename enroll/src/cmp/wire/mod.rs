//! CMP on the wire: octets become types, and types become octets. Nothing here knows the authority, a policy, the server or the client.
//!
//! [`enveloped`], [`key_pair`] and [`pkcs10`] belong to no message of CMP alone: EST and SCEP carry the same types.

pub mod bounds;
#[cfg(test)]
mod captured;
pub mod content;
pub mod controls;
pub mod crmf;
pub mod elements;
pub mod enveloped;
pub mod extensions;
pub mod general;
pub mod key_pair;
pub mod kind;
pub mod mac;
pub mod mac_hash;
pub mod message;
pub mod names;
pub mod oid;
pub mod pbkdf2;
pub mod peek;
pub mod pkcs10;
pub mod popo;
pub mod refusal;
pub mod request_template;
pub mod status;
pub mod time;
