//! Names: distinguished names and how they compare, and the identities of IKE peers.

mod comparison;
mod display;
mod dn;
mod identity;
mod likeness;
mod misleading;
mod prepared;

pub use comparison::{is_within, likeness_within, normal_name, same_name};
pub use display::general_name;
pub use dn::{attribute_type, distinguished_name, sibling};
pub use identity::Identity;
pub use likeness::Likeness;
pub use misleading::{escape_misleading, refuse_misleading};
pub use x509_cert::name::Name;
