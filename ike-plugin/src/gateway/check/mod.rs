//! Whether gateways would come up as they are configured, and what stands in the way.

mod rules;

pub use rules::{Obstacle, Severity, alone, between, together};
