//! Predicts whether gateways would connect to each other as they are configured, and reports the obstacles. The rules about a daemon were
//! found by experiments with it.

mod addresses;
mod authorities;
mod certificate;
mod findings;
mod judge;
mod negotiation;
mod reachability;
mod revocation;
mod side;

pub use findings::{Obstacle, Severity};
pub use judge::{alone, between, together};
pub use reachability::{Resolve, system_addresses};
pub use side::Side;
