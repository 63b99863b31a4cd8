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
    /// Its name, after which connections and files are named.
    pub name: String,
    /// The daemon that it runs.
    pub daemon: Daemon,
    /// The identity that it claims in IKE.
    pub id: Identity,
    /// The address at which its peers reach it; `None` for a gateway that only initiates.
    pub address: Option<IpAddr>,
    /// Its own address, if it is behind NAT and this differs from `address`; otherwise `None`.
    pub local_address: Option<IpAddr>,
    /// The networks behind it; if there are none, its own address alone is protected.
    pub networks: Vec<Network>,
    /// The mode of phase 1.
    pub mode: Mode,
    /// Its proposals for phase 1. It proposes the same algorithms for the traffic, with perfect forward secrecy.
    pub proposals: Vec<Proposal>,
    /// When it brings its tunnels up.
    pub start: Start,
    /// What it must know of the status of a peer's certificate.
    pub revocation: Revocation,
    /// Whether its daemon asks the authorizer about peers.
    pub authorizer: bool,
}

impl Gateway {
    /// The address that its daemon listens on: `local_address`, or else `address`; `None` for all its addresses.
    pub fn bound_to(&self) -> Option<IpAddr> {
        self.local_address.or(self.address)
    }
}

/// When a gateway brings its tunnels up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// When the first packet for the tunnel arrives.
    #[default]
    OnTraffic,
    /// When the daemon starts.
    AtOnce,
    /// Never by itself: the peer or the operator does.
    Wait,
}

/// What a gateway must know of the status of a peer's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revocation {
    /// That the certificate is not revoked.
    #[default]
    Strict,
    /// Nothing; but if the daemon has a CRL or an OCSP response, it counts.
    IfPresent,
}
