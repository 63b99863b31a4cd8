//! Whether gateways would come up as they are configured, and what stands in the way. Each daemon's own rules were found by
//! experiment with that daemon.

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
