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
    /// The gateway's name. Connections and files are named after it.
    pub name: String,
    /// The daemon that the gateway runs.
    pub daemon: Daemon,
    /// The identity that the gateway claims in IKE.
    pub id: Identity,
    /// The address at which the peers reach the gateway; `None` for a gateway that only initiates.
    pub address: Option<IpAddr>,
    /// The gateway's own address, if NAT is in front of it and this address differs from `address`; otherwise `None`.
    pub local_address: Option<IpAddr>,
    /// The networks behind the gateway; if there are none, its own address alone is protected.
    pub networks: Vec<Network>,
    /// The mode of phase 1.
    pub mode: Mode,
    /// The gateway's proposals for phase 1. It proposes the same algorithms for the traffic, with perfect forward secrecy.
    pub proposals: Vec<Proposal>,
    /// When the gateway brings its tunnels up.
    pub start: Start,
    /// What the gateway must know of the status of a peer's certificate.
    pub revocation: Revocation,
    /// Whether the gateway's daemon asks the authorizer about peers.
    pub authorizer: bool,
}

impl Gateway {
    /// The address that the gateway's daemon listens on: `local_address`, or else `address`; `None` for all addresses of the host.
    pub fn bound_to(&self) -> Option<IpAddr> {
        self.local_address.or(self.address)
    }
}

/// When a gateway brings its tunnels up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// The gateway brings a tunnel up when its first packet arrives.
    #[default]
    OnTraffic,
    /// The gateway brings its tunnels up when the daemon starts.
    AtOnce,
    /// The gateway never brings a tunnel up: the peer or the operator does.
    Wait,
}

/// What a gateway must know of the status of a peer's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revocation {
    /// The gateway must know that the certificate is not revoked.
    #[default]
    Strict,
    /// The gateway need not know the status; but if the daemon has a CRL or an OCSP response, that counts.
    IfPresent,
}
