//! Rules about revocation: the CRLs of a gateway, partitions of a CRL, and whether a strict daemon can find the status.

use countersign_ca::Timestamp;

use super::authorities::read;
use super::findings::{Findings, names, program_of};
use super::side::Side;
use crate::gateway::abilities::StatusSource;
use crate::gateway::description::{Gateway, Revocation};
use crate::gateway::error::GatewayError;
use crate::gateway::facts::Facts;
use crate::gateway::limits::{Effect, Feature, limit_of};
use crate::gateway::material::{Material, NamedCa, next_update};

impl Findings<'_> {
    /// The gateway must trust a root, and its CRLs must be there and not expired. Warns of a CRL that expires within an hour.
    pub(super) fn crls(&mut self, material: &Material, now: Timestamp) -> Result<(), GatewayError> {
        if material.roots.is_empty() {
            self.error("no-root", "it trusts no root, so that it would let nobody in; its chain must end with one, or `trust` name one".to_owned());
        }
        // Daemons that read files verify by OpenSSL, which refuses an expired CRL even if the setting is not strict.
        let is_strict = self.gateway.revocation == Revocation::Strict
            || !self.gateway.daemon.abilities().fetches();
        for ca in material.cas() {
            let Some(crl) = material.crls.iter().find(|crl| crl.ca == ca.name) else {
                if is_strict {
                    self.no_crl(material, ca);
                }
                continue;
            };
            let Some(next) = next_update(crl)? else { continue };
            if next < now {
                let message = format!(
                    "the CRL of the CA `{}` ended at {next}; `countersign crl publish` signs a new one, `serve` does so by itself",
                    ca.name
                );
                if is_strict {
                    self.error("crl-expired", message)
                } else {
                    self.warning("crl-expired", message)
                }
            } else if next.seconds().saturating_sub(now.seconds()) < 3600 {
                self.warning(
                    "crl-expires-soon",
                    format!("the CRL of the CA `{}` ends at {next}", ca.name),
                );
            }
        }
        Ok(())
    }

    /// Reports a CA without a CRL. Whether that is an error depends on the daemon.
    fn no_crl(&mut self, material: &Material, ca: &NamedCa) {
        let name = &ca.name;
        let advice = format!(
            "`countersign crl publish` signs one for a CA of this instance; that of another goes into `gateways.{}.crls`",
            self.gateway.name
        );
        let daemon = self.gateway.daemon;
        // OpenSSL demands a CRL of each CA of the path once the daemon has given it any CRL.
        if daemon.abilities().needs_every_crl && !material.crls.is_empty() {
            return self.error(
                "no-crl",
                format!(
                    "there is no CRL of the CA `{name}`, and {daemon} refuses everybody who is below a CA without, once it has that of another; \
                     {advice}"
                ),
            );
        }
        self.warning(
            "no-crl",
            format!("there is no CRL of the CA `{name}` to begin with; {advice}"),
        );
    }

    /// A strict daemon that fetches the status must find it: each certificate of the peer's path must name a CRL or a responder, or the daemon must
    /// have a CRL of its issuer.
    pub(super) fn status_location_for(
        &mut self,
        Side { gateway: own, material }: Side<'_>,
        shown: &Material,
    ) -> Result<(), GatewayError> {
        let asks_peer_path = own.daemon.abilities().status == StatusSource::PeerPath;
        if !asks_peer_path || own.revocation != Revocation::Strict {
            return Ok(());
        }
        for der in shown.sent_path() {
            let below = read(der)?;
            let mut issuer = None;
            for ca in material.cas() {
                if below.is_signed_by(&read(&ca.der)?) {
                    issuer = Some(&ca.name);
                    break;
                }
            }
            let Some(issuer) = issuer else { continue };
            let is_told = !below.crl_urls().is_empty() || !below.ocsp_urls().is_empty();
            if !is_told && material.crls.iter().all(|crl| crl.ca != *issuer) {
                self.error(
                    "no-crl",
                    format!(
                        "`{}` is strict about the status of `{}`, which does not say where a CRL or an OCSP responder is, and has no CRL of \
                         its issuer `{issuer}`; set `http.public_url` and enrol again, or name the CRL in `gateways.{}.crls`",
                        own.name,
                        below.shown(),
                        own.name
                    ),
                );
            }
        }
        Ok(())
    }

    /// The peer's daemon must support the partition of a CRL that this gateway's certificate names. Some libraries read it as the complete list, some
    /// refuse it. Daemons that read files are given the complete list.
    pub(super) fn partitions_for(
        &mut self,
        own: &Gateway,
        shown: &Material,
    ) -> Result<(), GatewayError> {
        let Some(limit) = limit_of(own.daemon.abilities(), Feature::Partition) else {
            return Ok(());
        };
        let urls = partitions_of(shown)?;
        if urls.is_empty() {
            return Ok(());
        }
        let message = format!(
            "its certificate names the CRL of a partition ({}), and {} on `{}` {}; set `crl.partitions = 0`, and enrol again",
            names(urls.iter()),
            program_of(own.daemon, limit),
            own.name,
            limit.does
        );
        match (limit.effect, own.revocation) {
            (Effect::Misreads, _) | (Effect::Refuses, Revocation::Strict) => {
                self.error(Feature::Partition.code(), message);
            }
            (Effect::Refuses, Revocation::IfPresent) => {
                self.warning(Feature::Partition.code(), message);
            }
        }
        Ok(())
    }

    /// Warns if the gateway's own certificate names the CRL of a partition that its daemon does not support, because most of its peers are
    /// certified by the same CA.
    pub(super) fn own_partitions(&mut self, material: &Material) -> Result<(), GatewayError> {
        let Some(limit) = limit_of(self.gateway.daemon.abilities(), Feature::Partition) else {
            return Ok(());
        };
        let urls = partitions_of(material)?;
        if !urls.is_empty() {
            self.warning(
                Feature::Partition.code(),
                format!(
                    "its CA divides its CRL into partitions ({}), and {} {}; set `crl.partitions = 0`",
                    names(urls.iter()),
                    program_of(self.gateway.daemon, limit),
                    limit.does
                ),
            );
        }
        Ok(())
    }
}

/// Whether a URL is that of a partition's CRL, as `serve` names them: `…/crl/…/NUMBER.crl`.
fn is_partition(url: &str) -> bool {
    let file = url.rsplit('/').next().unwrap_or_default();
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    url.contains("/crl/") && file.strip_suffix(".crl").is_some_and(is_number)
}

/// The URLs of partitions' CRLs in a certificate.
fn partitions_of(shown: &Material) -> Result<Vec<String>, GatewayError> {
    let urls = Facts::of(&shown.certificate)?.crl_urls;
    Ok(urls.into_iter().filter(|url| is_partition(url)).collect())
}
