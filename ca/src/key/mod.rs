//! Keys: the public keys of peers and how possession of the private half is proven, and the private keys that are kept in files or
//! made for peers.

pub mod file;
pub mod generated;
pub mod message_signer;
pub mod possession;
pub mod public;
pub mod seal;

pub use file::*;
