//! How an IKE daemon asks whether a peer may come in: path, status, identity and policy decide, and the answer says why.

pub mod asked;
pub mod gateway;
pub mod identity;
pub mod moment;
pub mod path;
pub mod status;
pub mod wire;
