//! A gateway as its operator describes it, in the section `gateways` of the configuration.

use std::net::IpAddr;

use countersign_ca::Identity;
use serde::{Deserialize, Serialize};

use super::daemon::{Daemon, Mode};
use super::network::Network;
use super::proposal::Proposal;

/// A gateway as its operator describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Its name: connections and files are named after it.
    pub name: String,
    /// What it runs.
    pub daemon: Daemon,
    /// Who it says it is.
    pub id: Identity,
    /// Where it is reached; `None` for one that only initiates.
    pub address: Option<IpAddr>,
    /// The address that it has itself, where that is another one: behind NAT.
    pub local_address: Option<IpAddr>,
    /// The networks behind it; empty for none but its own address.
    pub networks: Vec<Network>,
    /// How it negotiates.
    pub mode: Mode,
    /// What it proposes in phase 1, and the same again for the traffic, with perfect forward secrecy.
    pub proposals: Vec<Proposal>,
    /// When it brings tunnels up.
    pub start: Start,
    /// What it must know of a peer's certificate.
    pub revocation: Revocation,
    /// Whether it asks the authorizer.
    pub authorizer: bool,
}

impl Gateway {
    /// The address that its daemon binds to.
    pub fn bound_to(&self) -> Option<IpAddr> {
        self.local_address.or(self.address)
    }
}

/// When a gateway brings its tunnels up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// When the first packet wants to pass.
    #[default]
    OnTraffic,
    /// When the daemon starts.
    AtOnce,
    /// Never: the peer does, or the operator.
    Wait,
}

/// What must be known of a peer's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revocation {
    /// That it is not revoked.
    #[default]
    Strict,
    /// Nothing, unless a CRL or an OCSP response is at hand.
    IfPresent,
}
