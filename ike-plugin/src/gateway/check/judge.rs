//! Applies the rules in the order in which they are reported: to one gateway, or to two that are to connect to each other.

use countersign_ca::Timestamp;

use super::findings::{Findings, Obstacle};
use super::reachability::Resolve;
use super::side::Side;
use crate::gateway::description::Gateway;
use crate::gateway::error::GatewayError;
use crate::gateway::facts::Facts;
use crate::gateway::material::Material;

/// The obstacles of one gateway that do not depend on the peer that it connects to. With a pre-shared key, `material` is `None`. With a
/// certificate, the caller first adds the CAs and CRLs of the gateway's peers to it ([`Material::add_cas_of`]), because the gateway needs
/// them to verify the peers.
///
/// # Errors
/// The gateway's certificate, the certificate of a CA or a CRL cannot be read.
pub fn alone(
    gateway: &Gateway,
    material: Option<&Material>,
    now: Timestamp,
) -> Result<Vec<Obstacle>, GatewayError> {
    let mut findings = Findings::new(gateway, gateway.daemon);
    findings.mode();
    findings.proposals(&gateway.proposals);
    findings.retries();
    findings.authorizer();
    if let Some(material) = material {
        findings.own_certificate(&Facts::of(&material.certificate)?, material, now);
        findings.first_name_for(gateway, material)?;
        findings.own_partitions(material)?;
        findings.own_common_name(material)?;
        findings.cas(material)?;
        findings.crls(material, now)?;
    }
    Ok(findings.into_list())
}

/// The obstacles between two gateways: the reasons why one does not connect to the other, or not as it should. Those that [`alone`] finds
/// are left out. `resolve` gives the addresses of a host by its name. They tell whether a CRL or an OCSP responder is in a network behind
/// the tunnel.
///
/// # Errors
/// A certificate of a gateway or of a CA cannot be read.
pub fn together(
    one: Side<'_>,
    other: Side<'_>,
    now: Timestamp,
    resolve: Resolve<'_>,
) -> Result<Vec<Obstacle>, GatewayError> {
    let mut list = Vec::new();
    for (own, peer) in [(one, other), (other, one)] {
        let shown = peer.material;
        let facts = Facts::of(&shown.certificate)?;
        let mut findings = Findings::new(peer.gateway, own.gateway.daemon);
        findings.trusted_by(own, shown, now)?;
        findings.key_for(own.gateway, &facts, Facts::of(&own.material.certificate)?.key);
        findings.purposes_for(own.gateway, &facts);
        findings.first_name_for(own.gateway, shown)?;
        findings.spelling_for(own.gateway, &facts);
        findings.partitions_for(own.gateway, shown)?;
        findings.common_name_for(own.gateway, shown)?;
        findings.status_location_for(own, shown)?;
        findings.reachable(own, peer, resolve)?;
        list.append(&mut findings.into_list());
    }
    let (one, other) = (one.gateway, other.gateway);
    list.extend(between(one, other));
    let mut findings = Findings::new(one, other.daemon);
    findings.same_mode(other);
    findings.common_proposal(other);
    findings.identities(other);
    findings.addresses(other);
    findings.networks(other);
    list.append(&mut findings.into_list());
    Ok(list)
}

/// The obstacles between two gateways with certificates that come from which of them initiates in aggressive mode, in both directions. They
/// do not depend on the certificates themselves. [`together`] finds these, too.
pub fn between(one: &Gateway, other: &Gateway) -> Vec<Obstacle> {
    let mut list = Vec::new();
    for (own, peer) in [(one, other), (other, one)] {
        let mut findings = Findings::new(peer, own.daemon);
        findings.begins_with(own);
        list.append(&mut findings.into_list());
    }
    list
}
