//! What the files of one gateway are written from, and how the files of one daemon are written. [`Export::files`] stands above the
//! daemons, in `daemons.rs`.

use std::net::IpAddr;

use super::abilities::Abilities;
use super::authentication::{Authentication, Certified};
use super::daemon::Mode;
use super::description::Gateway;
use super::error::GatewayError;
use super::files::Files;
use super::limits::{Feature, has_own_limit};
use super::network::Network;

/// All that is written for one gateway.
#[derive(Debug)]
pub struct Export<'e> {
    /// The gateway.
    pub own: &'e Gateway,
    /// Whom it talks to; empty for whoever its CAs certify.
    pub peers: &'e [&'e Gateway],
    /// How both sides prove who they are.
    pub authentication: &'e Authentication<'e>,
    /// The program that a daemon runs to ask the authorizer.
    pub program: &'e str,
}

/// How the files of one kind of daemon are written. Each daemon has one, beside its [`Abilities`].
pub(super) struct Writer {
    /// The daemon's name in READMEs and in the first line of its files.
    pub title: &'static str,
    /// The folders that the daemon expects, even if they stay empty.
    pub folders: &'static [&'static str],
    /// Writes the configuration, and all else that is neither a credential nor the README.
    pub configuration: fn(&Export<'_>, &mut Files) -> Result<(), GatewayError>,
    /// Writes what proves who a gateway of this name is, and whom it trusts: certificate, CAs, CRLs and key.
    pub credentials: fn(&mut Files, &str, &Certified<'_>) -> Result<(), GatewayError>,
    /// Appends to the README how the operator puts the files to use.
    pub readme: fn(&Export<'_>, &mut String),
    /// Where `credentials` puts them.
    pub paths: fn(&str) -> CredentialPaths,
    /// What the operator should know of the files, besides what `check` finds.
    pub warnings: fn(&Export<'_>) -> Vec<String>,
}

/// Where a gateway's own credentials are, as paths in its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialPaths {
    /// The certificate.
    pub certificate: String,
    /// The private key, or what holds it.
    pub key: String,
}

/// A network behind this gateway and one behind its peer, between which a tunnel carries traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NetworkPair {
    pub here: Network,
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

    /// Whether this peer, as responder, would be silent if it were requested a certificate: it sends one unasked.
    pub(super) fn keeps_silent_when_asked(&self, peer: &Gateway) -> bool {
        has_own_limit(peer.daemon, Feature::AggressiveResponder)
            && self.own.mode == Mode::Aggressive
            && self.certified().is_some()
    }

    /// The proposals of the gateway for phase 1, each as its daemon writes it.
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

    /// Where the other end is, for a daemon that must be told.
    pub(super) fn address_of(&self, peer: &Gateway) -> Result<IpAddr, GatewayError> {
        peer.address.ok_or_else(|| {
            GatewayError::new(format!(
                "expected `gateways.{}.address`: {} on `{}` must be told where its peer is",
                peer.name, self.own.daemon, self.own.name
            ))
        })
    }

    /// The networks of a gateway; its own address if there are none.
    pub(super) fn networks_of(&self, gateway: &Gateway) -> Result<Vec<Network>, GatewayError> {
        match gateway.networks.as_slice() {
            [] => Ok(vec![Network::host(self.address_of(gateway)?)]),
            networks => Ok(networks.to_vec()),
        }
    }

    /// The pairs of networks between which a tunnel is possible: those of one family.
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
