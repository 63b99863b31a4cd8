//! The decision log: what daemons were answered, and the policies that decided.

mod files;
mod log;
mod read;
mod record;
mod repeats;
mod writer;

pub use log::DecisionLog;
pub use read::{decisions, kept_policy};
pub use record::{Decision, PeerCertificate};
