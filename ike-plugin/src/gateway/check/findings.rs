//! The obstacles that the rules find, and the list that collects them.

use std::fmt;

use serde::Serialize;

use crate::gateway::abilities::Library;
use crate::gateway::daemon::Daemon;
use crate::gateway::description::Gateway;
use crate::gateway::limits::{Limit, Part};

/// How severe an obstacle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The gateways connect, but perhaps not for ever, not in both directions, or not as the operator intends.
    Warning,
    /// The gateways do not connect, or a peer that should be refused is let in.
    Error,
}

/// A reason why two gateways do not connect, or not as they should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// How severe the obstacle is.
    pub severity: Severity,
    /// A code for programs, such as `expired`.
    pub code: &'static str,
    /// The gateway that has the obstacle.
    pub gateway: String,
    /// The daemon that has the obstacle or would refuse: the gateway's own, or its peer's.
    pub daemon: Daemon,
    /// A sentence: what was expected, what was found, and what to do.
    pub message: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.gateway, self.daemon, self.message)
    }
}

/// Collects the obstacles of one gateway for one daemon. Each rule is a method of it, in one of the files beside this one. In rules about
/// two gateways, `own` is the one whose daemon would refuse, and the gateway with the obstacle is its peer; `shown` is that peer's
/// certificate with its CAs.
pub(super) struct Findings<'g> {
    /// The gateway that has the obstacles.
    pub gateway: &'g Gateway,
    /// The daemon that has the obstacles or would refuse: the gateway's own, or its peer's.
    pub daemon: Daemon,
    list: Vec<Obstacle>,
}

impl<'g> Findings<'g> {
    /// An empty list.
    pub const fn new(gateway: &'g Gateway, daemon: Daemon) -> Self {
        Self { gateway, daemon, list: Vec::new() }
    }

    /// The obstacles in the order of the rules, without repetitions.
    pub fn into_list(self) -> Vec<Obstacle> {
        self.list
    }

    fn add(&mut self, severity: Severity, code: &'static str, message: String) {
        let obstacle = Obstacle {
            severity,
            code,
            gateway: self.gateway.name.clone(),
            daemon: self.daemon,
            message,
        };
        if !self.list.contains(&obstacle) {
            self.list.push(obstacle);
        }
    }

    /// Adds an obstacle of [`Severity::Error`].
    pub fn error(&mut self, code: &'static str, message: String) {
        self.add(Severity::Error, code, message);
    }

    /// Adds an obstacle of [`Severity::Warning`].
    pub fn warning(&mut self, code: &'static str, message: String) {
        self.add(Severity::Warning, code, message);
    }
}

/// The program that has a limit, with its version, for messages. If that is NSS or OpenSSL, it stands in parentheses after the daemon.
pub(super) fn program_of(daemon: Daemon, limit: &Limit) -> String {
    match limit.program.part {
        Some(Part::Daemon(_) | Part::Library(Library::Strongswan)) => {
            format!("{} {}", limit.program.name, limit.program.version)
        }
        _ => format!("{daemon} ({} {})", limit.program.name, limit.program.version),
    }
}

/// Values as text: each in backticks, separated by commas.
pub(super) fn names(list: impl Iterator<Item = impl fmt::Display>) -> String {
    let list: Vec<String> = list.map(|item| format!("`{item}`")).collect();
    if list.is_empty() { "none".to_owned() } else { list.join(", ") }
}
