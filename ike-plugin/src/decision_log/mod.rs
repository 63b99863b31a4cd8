//! The decision log: every answer to a daemon, and the policies that were in force.

mod files;
mod log;
mod read;
mod record;
mod repeats;
mod writer;

pub use log::DecisionLog;
pub use read::{decisions, recorded_policy};
pub use record::{Decision, PeerCertificate};
