//! The decision log: what daemons were answered, and the policies that decided.

mod log;

pub use log::{Decision, DecisionLog, PeerCertificate, decisions, kept_policy};
