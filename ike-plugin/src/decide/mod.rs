//! The decision whether a peer may connect: path, status, identity, policy.

mod answer;
mod authorizer;
mod counts;
mod keys;
mod peer;
mod recent;
mod trace;

pub use authorizer::{AddressIds, Authorizer};
pub use counts::Counts;
