//! Rules about CAs: whether a gateway's daemon supports them, and whether its peer trusts them.

use std::sync::Arc;

use countersign_ca::Timestamp;
use countersign_ca::name::Name;

use super::findings::{Findings, names, program_of};
use super::side::Side;
use crate::gateway::abilities::{KeyFamily, Library};
use crate::gateway::ca_facts::CaFacts;
use crate::gateway::error::GatewayError;
use crate::gateway::facts::Facts;
use crate::gateway::limits::{Feature, limit_of};
use crate::gateway::material::{Material, NamedCa};
use countersign_ca::name::same_name;
use countersign_ca::path::{Anchors, Certificate, PathSettings, validate};

impl Findings<'_> {
    /// The daemon must support the certificates of all CAs that it has to read.
    pub(super) fn cas(&mut self, material: &Material) -> Result<(), GatewayError> {
        let daemon = self.gateway.daemon;
        let abilities = daemon.abilities();
        let issuer = material.issuer().map(|ca| &ca.der);
        let (mut other_keys, mut addresses) = (Vec::new(), Vec::new());
        for ca in material.cas() {
            let facts = CaFacts::of(&ca.der)?;
            // NSS must import every CA. For other daemons only the issuer matters, which isakmpd's policy names.
            let counts = abilities.library == Library::Nss || issuer == Some(&ca.der);
            if counts && !abilities.ca_keys.contains(&KeyFamily::of(facts.key)) {
                other_keys.push(format!("{} in `{}`", facts.key, facts.subject));
            }
            if facts.has_addresses() {
                addresses.push(facts.subject);
            }
        }
        if !other_keys.is_empty() {
            let known: Vec<String> = abilities.ca_keys.iter().map(ToString::to_string).collect();
            let seen = limit_of(abilities, Feature::Ed25519Ca)
                .map_or_else(|| daemon.to_string(), |limit| program_of(daemon, limit));
            self.error(
                Feature::Ed25519Ca.code(),
                format!(
                    "{seen} verifies by CAs with {} keys only, found {}; found CAs with another `--algorithm` and `--root-algorithm`",
                    known.join(" or "),
                    other_keys.join(", ")
                ),
            );
        }
        if let Some(limit) = limit_of(abilities, Feature::SameName)
            && let Some(name) = shared_name(material)?
        {
            self.error(
                Feature::SameName.code(),
                format!(
                    "{} {}, found two keys under the name `{name}`; give each CA a name of its own (`countersign ca roll` does), and enrol \
                     again below that",
                    program_of(daemon, limit),
                    limit.does
                ),
            );
        }
        if let Some(limit) =
            limit_of(abilities, Feature::AddressConstraints).filter(|_| !addresses.is_empty())
        {
            self.error(
                Feature::AddressConstraints.code(),
                format!(
                    "{} {}, found {}; found a CA without `--permit ip:` and `--exclude ip:`",
                    program_of(daemon, limit),
                    limit.does,
                    names(addresses.into_iter())
                ),
            );
        }
        Ok(())
    }

    /// The peer must find a valid path from this gateway's certificate to one of its own roots, and its configuration must accept the issuer.
    pub(super) fn trusted_by(
        &mut self,
        Side { gateway: own, material: trusting }: Side<'_>,
        shown: &Material,
        now: Timestamp,
    ) -> Result<(), GatewayError> {
        let read = |der: &Vec<u8>| read(der).map(Arc::new);
        let leaf = read(&shown.certificate)?;
        // Another rule reports an expired certificate.
        if !(leaf.not_before..=leaf.not_after).contains(&now) {
            return Ok(());
        }
        let between = shown.chain.iter().chain(&trusting.chain);
        let between = between.map(|ca| read(&ca.der)).collect::<Result<Vec<_>, _>>()?;
        let roots =
            Anchors::new(trusting.roots.iter().map(|root| root.der.clone())).map_err(|e| {
                GatewayError::new(format!("a root of `{}` cannot be read: {e}", own.name))
            })?;
        if let Err(why) = validate(&roots, &PathSettings::default(), &[leaf], &between, now) {
            self.error(
                "untrusted",
                format!(
                    "`{}` does not trust its certificate: {why}; it trusts {}, and `gateways.{}.trust` names its roots",
                    own.name,
                    names(trusting.roots.iter().map(|root| root.name.as_str())),
                    own.name
                ),
            );
        } else if let (Some(here), Some(there)) = (trusting.issuer(), shown.issuer())
            && !same_name(&subject(here)?, &subject(there)?)
            && (own.daemon.abilities().refuses_peers_of)(trusting, there)?
        {
            self.error(
                "other-ca",
                format!(
                    "`{}` runs {}, which takes peers of the CA `{}` only as it is exported, by its name, found those of `{}`",
                    own.name, own.daemon, here.name, there.name
                ),
            );
        }
        Ok(())
    }
}

fn subject(ca: &NamedCa) -> Result<Name, GatewayError> {
    countersign_ca::x509::Facts::of(&ca.der)
        .map(|facts| facts.subject)
        .map_err(|e| GatewayError::new(format!("the CA `{}` cannot be read: {e}", ca.name)))
}

/// A name that two CAs with different keys share; `None` if there is none.
fn shared_name(material: &Material) -> Result<Option<String>, GatewayError> {
    let mut known: Vec<(Name, Vec<u8>)> = Vec::new();
    for ca in material.cas() {
        let (name, facts) = (subject(ca)?, Facts::of(&ca.der)?);
        if known.iter().any(|(other, key)| same_name(other, &name) && *key != facts.spki) {
            return Ok(Some(facts.subject));
        }
        known.push((name, facts.spki));
    }
    Ok(None)
}

pub(super) fn read(der: &[u8]) -> Result<Certificate, GatewayError> {
    Certificate::from_der(der.to_vec())
        .map_err(|e| GatewayError::new(format!("a certificate cannot be read: {e}")))
}
