//! What the KeyNote policy is asked: the policy in force, in whose name a peer asks it, and the action attributes of a question.

pub mod attributes;
mod loaded;
pub mod moment;
pub mod proof;

pub(crate) use loaded::credentials;
pub use loaded::{RequestingPeer, LoadedPolicy, Policy, PolicyFiles};
