//! Names: distinguished names and how they compare, and the identities of IKE peers.

mod comparison;
pub mod dn;
pub mod identity;
mod prepared;

pub use comparison::{Likeness, general_name, is_within, likeness_within, normal_name, same_name};
pub use identity::{Identity, Name, distinguished_name, refuse_misleading};
