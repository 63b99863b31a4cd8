//! What stands in the way of gateways, and the list in which each rule puts what it finds.

use std::fmt;

use serde::Serialize;

use crate::gateway::abilities::Library;
use crate::gateway::daemon::Daemon;
use crate::gateway::description::Gateway;
use crate::gateway::limits::{Limit, Part};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// They come up, but not for ever, or not in each direction.
    Warning,
    /// They do not come up.
    Error,
}

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// How bad it is.
    pub severity: Severity,
    /// A word to look for.
    pub code: &'static str,
    /// The gateway that has it.
    pub gateway: String,
    /// The daemon that would refuse.
    pub daemon: Daemon,
    /// What was expected, what was found, what to do.
    pub message: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.gateway, self.daemon, self.message)
    }
}

/// The obstacles of one gateway, in the view of one daemon. The rules are methods of it, in the files beside this one.
pub(super) struct Findings<'g> {
    /// The gateway that has the obstacles.
    pub gateway: &'g Gateway,
    /// The daemon that would refuse: its own, or its peer's.
    pub daemon: Daemon,
    list: Vec<Obstacle>,
}

impl<'g> Findings<'g> {
    /// Nothing was found yet.
    pub const fn new(gateway: &'g Gateway, daemon: Daemon) -> Self {
        Self { gateway, daemon, list: Vec::new() }
    }

    /// What was found, in the order of the rules, each obstacle once.
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

    pub fn error(&mut self, code: &'static str, message: String) {
        self.add(Severity::Error, code, message);
    }

    pub fn warning(&mut self, code: &'static str, message: String) {
        self.add(Severity::Warning, code, message);
    }
}

/// A daemon with the library that has a limit, and the version in which it was found.
pub(super) fn program_of(daemon: Daemon, limit: &Limit) -> String {
    match limit.program.part {
        Some(Part::Daemon(_) | Part::Library(Library::Strongswan)) => {
            format!("{} {}", limit.program.name, limit.program.version)
        }
        _ => format!("{daemon} ({} {})", limit.program.name, limit.program.version),
    }
}

/// A list in words, each value in backticks.
pub(super) fn names(list: impl Iterator<Item = impl fmt::Display>) -> String {
    let list: Vec<String> = list.map(|item| format!("`{item}`")).collect();
    if list.is_empty() { "none".to_owned() } else { list.join(", ") }
}
