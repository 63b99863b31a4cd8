//! Rules about a gateway's certificate: its identity, its validity, and whether the gateway's own daemon and the peer's support it.

use countersign_ca::key::KeyKind;
use countersign_ca::{Identity, Timestamp};

use super::findings::{Findings, program_of};
use crate::gateway::abilities::{IKE_INTERMEDIATE, KeyFamily};
use crate::gateway::ca_facts::{CaFacts, looks_like_host};
use crate::gateway::description::Gateway;
use crate::gateway::error::GatewayError;
use crate::gateway::facts::{AltNames, Facts};
use crate::gateway::limits::{Feature, limit_of, limits};
use crate::gateway::material::Material;

/// How long before its expiry a certificate is reported, in seconds.
const SOON: i64 = 7 * 86_400;

impl Findings<'_> {
    /// The certificate must contain the gateway's identity, be valid and not revoked, and have a key that may sign and that the daemon
    /// supports.
    pub(super) fn own_certificate(&mut self, facts: &Facts, material: &Material, now: Timestamp) {
        let id = self.gateway.id.clone();
        if !facts.holds(&id) {
            let kind =
                if matches!(id, Identity::Dn(_)) { "subject" } else { "subject alternative name" };
            self.error(
                "id-not-in-certificate",
                format!(
                    "expected its certificate to hold its identity `{id}` as {kind}, found {}; peers compare these, never the CN: add the \
                     identity to the account and enrol again, or change `id`",
                    facts.names()
                ),
            );
        }
        if material.is_revoked {
            self.error("revoked", "its certificate is revoked; enrol again".to_owned());
        }
        let (from, to) = (facts.not_before, facts.not_after);
        if now < from {
            self.error(
                "not-yet-valid",
                format!(
                    "its certificate is valid from {from} only; it is {now} now: look at the clocks"
                ),
            );
        } else if to < now {
            self.error("expired", format!("its certificate ended at {to}; enrol again"));
        } else if to.seconds().saturating_sub(now.seconds()) < SOON {
            self.warning("expires-soon", format!("its certificate ends at {to}; renew it"));
        }
        if !facts.may_sign() {
            self.error(
                "key-usage",
                "expected a certificate whose key usage is absent or has digitalSignature or nonRepudiation (RFC 4945 §5.1.3.2), found \
                 neither; use another profile"
                    .to_owned(),
            );
        }
        if let Err(why) = self.gateway.daemon.abilities().check_key(self.gateway.mode, facts.key) {
            self.error("key-kind", format!("{why}; enrol with another kind of key"));
        }
    }

    /// The peer's daemon must be able to verify signatures by this gateway's key. If that daemon authenticates both ends in the same way,
    /// the peer's own key must be of the same kind.
    pub(super) fn key_for(&mut self, own: &Gateway, facts: &Facts, own_key: KeyKind) {
        let is_rsa = |key| KeyFamily::of(key) == KeyFamily::Rsa;
        if own.daemon.abilities().one_key_family && is_rsa(own_key) != is_rsa(facts.key) {
            self.error(
                "key-kind",
                format!(
                    "{} on `{}` authenticates both sides in one way, found {own_key} there and {} here; enrol with keys of one kind",
                    own.daemon, own.name, facts.key
                ),
            );
        }
        if let Err(why) = own.daemon.abilities().check_key(own.mode, facts.key) {
            self.error("key-kind", format!("its peer `{}` cannot verify it: {why}", own.name));
        }
    }

    /// The peer's daemon must accept the extended key usages.
    pub(super) fn purposes_for(&mut self, own: &Gateway, facts: &Facts) {
        let purposes = &facts.key_purposes;
        let good = own.daemon.abilities().purposes;
        if good.is_empty() {
            return;
        }
        if !purposes.is_empty() && !purposes.iter().any(|purpose| good.contains(&purpose.as_str()))
        {
            let hint = if purposes.iter().any(|purpose| purpose == IKE_INTERMEDIATE) {
                " (iKEIntermediate is not enough)"
            } else {
                ""
            };
            self.error(
                "extended-key-usage",
                format!(
                    "expected its certificate to have no extended key usage, or ipsecIKE, serverAuth, clientAuth or any for {} on `{}`, found {}{hint}; \
                     use another profile",
                    own.daemon,
                    own.name,
                    purposes.join(", ")
                ),
            );
        }
    }

    /// isakmpd finds a certificate by the first of its alternative names, and reads no list of 128 octets or more.
    pub(super) fn first_name_for(
        &mut self,
        own: &Gateway,
        shown: &Material,
    ) -> Result<(), GatewayError> {
        let Some(most) = own.daemon.abilities().first_name_within else { return Ok(()) };
        let names = AltNames::of(&shown.certificate)?;
        if names.octets > most || names.first.as_ref() != Some(&self.gateway.id) {
            let first = names.first.map_or_else(|| "none".to_owned(), |first| format!("`{first}`"));
            self.error(
                "first-name",
                format!(
                    "{} on `{}` finds a certificate by its first alternative name only, in a list of at most {most} octets: \
                     expected its identity `{}`, found {first} first of {} octets; give the account this identity first, and enrol again",
                    own.daemon, own.name, self.gateway.id, names.octets
                ),
            );
        }
        Ok(())
    }

    /// Two spellings of a distinguished name are the same name by RFC 5280 §7.1, but some daemons compare octets.
    pub(super) fn spelling_for(&mut self, own: &Gateway, facts: &Facts) {
        let Identity::Dn(name) = &self.gateway.id else { return };
        let Some(limit) = limit_of(own.daemon.abilities(), Feature::Spelling) else { return };
        let id = name.to_string();
        if id != facts.subject && facts.holds(&self.gateway.id) {
            self.warning(
                limit.feature.code(),
                format!(
                    "{} on `{}` {}, found `{id}` as its identity, and `{}` in its certificate; write `id` as the certificate has it",
                    program_of(own.daemon, limit),
                    own.name,
                    limit.does,
                    facts.subject
                ),
            );
        }
    }

    /// Below a CA with name constraints on DNS names, some libraries treat the common name as a DNS name.
    pub(super) fn common_name_for(
        &mut self,
        own: &Gateway,
        shown: &Material,
    ) -> Result<(), GatewayError> {
        let Some(limit) = limit_of(own.daemon.abilities(), Feature::CommonName) else {
            return Ok(());
        };
        if let Some(CommonName { name, ca }) = common_name_outside(shown)? {
            self.error(
                Feature::CommonName.code(),
                format!(
                    "its certificate has no DNS name, and {} on `{}` {}: `{name}` is not within what `{ca}` permits; give the account a \
                     `fqdn:` that is, and enrol again",
                    program_of(own.daemon, limit),
                    own.name,
                    limit.does
                ),
            );
        }
        Ok(())
    }

    /// Warns of a common name that a verifier may treat as a DNS name and that a CA above does not permit, before a peer refuses it.
    pub(super) fn own_common_name(&mut self, material: &Material) -> Result<(), GatewayError> {
        if let Some(CommonName { name, ca }) = common_name_outside(material)? {
            self.warning(
                Feature::CommonName.code(),
                format!(
                    "its certificate has no DNS name, and its common name `{name}` is not within what `{ca}` permits of DNS names: {}, and \
                     so do iked, isakmpd and racoon; give the account a `fqdn:` that is, and enrol again",
                    limits(Feature::CommonName)
                ),
            );
        }
        Ok(())
    }
}

/// A common name that a verifier may treat as a DNS name, in a certificate without a DNS name.
struct CommonName {
    /// The common name.
    name: String,
    /// The CA whose name constraints do not permit the certificate.
    ca: String,
}

/// The first common name that the name constraints of a CA above do not permit; `None` if there is none.
fn common_name_outside(shown: &Material) -> Result<Option<CommonName>, GatewayError> {
    let names = Facts::of(&shown.certificate)?.common_names_without_dns()?;
    for ca in shown.own_path() {
        let ca = CaFacts::of(&ca.der)?;
        if let Some(name) = names.iter().find(|name| looks_like_host(name) && !ca.allows_dns(name))
        {
            return Ok(Some(CommonName { name: name.clone(), ca: ca.subject }));
        }
    }
    Ok(None)
}
