//! Asking the KeyNote policy: the policy in force, the principals in whose name a peer asks, and the action attributes of a question.

pub mod attributes;
mod issuers;
mod loaded;
pub mod moment;
pub mod proof;

pub(crate) use loaded::credentials;
pub use loaded::{LoadedPolicy, Policy, PolicyFiles, RequestingPeer};
