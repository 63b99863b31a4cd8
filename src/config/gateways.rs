//! The sections `[gateways.NAME]`: the gateways as their operator describes them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use countersign_ca::Identity;
use countersign_ca::record::Label;
use countersign_ike_plugin::gateway::{Daemon, Mode, Network, Proposal, Revocation, Start};
use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// The section `[gateways.NAME]`, as the operator writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayFile {
    /// The account of the gateway, if it has another name.
    pub account: Option<Label>,
    /// The identity that the gateway sends, if not the account's first one.
    pub id: Option<String>,
    /// The address under which the peers reach the gateway. `None` if it only initiates.
    pub address: Option<IpAddr>,
    /// The gateway's own address, if NAT hides it behind `address`.
    pub local_address: Option<IpAddr>,
    /// The networks behind the gateway, such as `10.1.0.0/16`.
    pub networks: Vec<String>,
    /// The IKE daemon that the gateway runs.
    pub daemon: Option<Daemon>,
    /// The IKE version, and for IKEv1 the exchange of phase 1, if not the one that its daemon prefers.
    pub mode: Option<Mode>,
    /// The gateway's proposals for IKE and ESP; empty for those that its daemon and `mode` have by default.
    pub proposals: Vec<Proposal>,
    /// When the gateway brings tunnels up: when its daemon starts, on the first packet for the tunnel, or never by itself.
    pub start: Start,
    /// How strictly the gateway checks the status of a peer's certificate.
    pub revocation: Revocation,
    /// Whether the gateway's daemon asks the authorizer.
    pub authorizer: bool,
    /// The roots that the gateway trusts, if not only its own. An entry is the name of a CA of this instance, or, with a `/`, a PEM file.
    pub trust: Vec<String>,
    /// Files with CRLs of CAs outside this instance, such as an offline root; PEM or DER.
    pub crls: Vec<PathBuf>,
    /// The file with the gateway's certificate and the CA certificates above it, if another PKI issued it; PEM.
    pub certificate: Option<PathBuf>,
}

/// The gateways by name.
pub type Gateways = BTreeMap<String, GatewayFile>;

/// Checks every value that can be checked without the records.
///
/// # Errors
/// A network or an identity cannot be read, or a section has a `certificate` and no `id`.
pub fn check(gateways: &Gateways) -> Result<(), Failure> {
    for (name, file) in gateways {
        let at = |e: &dyn std::fmt::Display| Failure::input(format!("gateways.{name}: {e}"));
        for network in &file.networks {
            network.parse::<Network>().map_err(|e| at(&e))?;
        }
        if let Some(id) = &file.id {
            id.parse::<Identity>().map_err(|e| at(&e))?;
        }
        if file.certificate.is_some() && file.id.is_none() {
            return Err(at(&"expected an `id` beside `certificate`: it has no account here"));
        }
    }
    Ok(())
}
