//! The input of an export, and the interface of the code that writes the files of one daemon. [`Export::files`], which calls that code, is in
//! `daemons.rs`.

use std::net::IpAddr;

use super::abilities::Abilities;
use super::authentication::{Authentication, Certified};
use super::daemon::Mode;
use super::description::Gateway;
use super::error::GatewayError;
use super::files::Files;
use super::limits::{Feature, has_own_limit};
use super::network::Network;

/// The input of an export: a gateway, its peers and its credentials.
#[derive(Debug)]
pub struct Export<'e> {
    /// The gateway.
    pub own: &'e Gateway,
    /// The gateway's peers. If there are none, every gateway that its CAs certified is a peer.
    pub peers: &'e [&'e Gateway],
    /// How both ends authenticate.
    pub authentication: &'e Authentication<'e>,
    /// The path of the program that a daemon runs to ask the authorizer.
    pub program: &'e str,
}

/// The code that writes the files of one daemon. Each daemon's folder has a constant `WRITER`, beside its [`Abilities`].
pub(super) struct Writer {
    /// The daemon's name in READMEs and in the first line of its files.
    pub title: &'static str,
    /// The folders that the daemon expects, even if they stay empty.
    pub folders: &'static [&'static str],
    /// Writes the configuration and all other files, except for credentials and the README.
    pub configuration: fn(&Export<'_>, &mut Files) -> Result<(), GatewayError>,
    /// Writes the credentials of a gateway of this name: certificate, CAs, CRLs and key.
    pub credentials: fn(&mut Files, &str, &Certified<'_>) -> Result<(), GatewayError>,
    /// Appends the instructions for the operator to the README.
    pub readme: fn(&Export<'_>, &mut String),
    /// The paths of the certificate and the key of a gateway of this name, as `credentials` writes them.
    pub paths: fn(&str) -> CredentialPaths,
    /// What the operator should know about the files, besides what `check` finds.
    pub warnings: fn(&Export<'_>) -> Vec<String>,
}

/// The paths of a gateway's own credentials, relative to its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialPaths {
    /// The certificate.
    pub certificate: String,
    /// The private key, or the file that contains it.
    pub key: String,
}

/// A network behind this gateway and one behind its peer; a tunnel carries the traffic between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NetworkPair {
    /// The network behind this gateway.
    pub here: Network,
    /// The network behind the peer.
    pub there: Network,
}

impl Export<'_> {
    /// The certificate with its key; `None` with a pre-shared key.
    pub(super) fn certified(&self) -> Option<Certified<'_>> {
        self.authentication.certified()
    }

    /// Whether the operator must put the private key in by hand.
    pub(super) fn lacks_key(&self) -> bool {
        self.certified().is_some_and(|certified| certified.key.is_none())
    }

    /// Whether this peer, as responder, would not answer a certificate request. If so, the gateway must not send one; the peer sends its
    /// certificate without it.
    pub(super) fn keeps_silent_when_asked(&self, peer: &Gateway) -> bool {
        has_own_limit(peer.daemon, Feature::AggressiveResponder)
            && self.own.mode == Mode::Aggressive
            && self.certified().is_some()
    }

    /// The gateway's proposals for phase 1, in its daemon's notation.
    pub(super) fn phase_1(&self, abilities: &Abilities) -> Result<Vec<String>, GatewayError> {
        let each = self.own.proposals.iter().map(|proposal| {
            (abilities.phase_1)(proposal, self.own.mode).ok_or_else(|| {
                GatewayError::new(format!(
                    "`{}` runs {}, which does not know `{proposal}`; name another in `proposals`",
                    self.own.name, self.own.daemon
                ))
            })
        });
        each.collect()
    }

    /// The address of a gateway, for a daemon whose configuration must have it.
    pub(super) fn address_of(&self, peer: &Gateway) -> Result<IpAddr, GatewayError> {
        peer.address.ok_or_else(|| {
            GatewayError::new(format!(
                "expected `gateways.{}.address`: {} on `{}` must be told where its peer is",
                peer.name, self.own.daemon, self.own.name
            ))
        })
    }

    /// The networks behind a gateway, or its own address if there are none.
    pub(super) fn networks_of(&self, gateway: &Gateway) -> Result<Vec<Network>, GatewayError> {
        match gateway.networks.as_slice() {
            [] => Ok(vec![Network::host(self.address_of(gateway)?)]),
            networks => Ok(networks.to_vec()),
        }
    }

    /// The pairs of networks between which a tunnel is possible: both IPv4 or both IPv6.
    pub(super) fn pairs(&self, peer: &Gateway) -> Result<Vec<NetworkPair>, GatewayError> {
        let mut pairs = Vec::new();
        for here in self.networks_of(self.own)? {
            for there in self.networks_of(peer)? {
                if here.address().is_ipv4() == there.address().is_ipv4() {
                    pairs.push(NetworkPair { here, there });
                }
            }
        }
        if pairs.is_empty() {
            return Err(GatewayError::new(format!(
                "expected networks of one family behind `{}` and `{}`, found IPv4 on one side and IPv6 on the other",
                self.own.name, peer.name
            )));
        }
        Ok(pairs)
    }
}
