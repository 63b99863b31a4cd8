//! The decision about a peer: path, status, identity, policy.

mod authorizer;
mod recent;

pub use authorizer::{AddressIds, Authorizer, Counts};
