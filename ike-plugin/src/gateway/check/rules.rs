//! Whether gateways would come up as they are configured, and what stands in the way. Each daemon's own rules were found by
//! experiment with that daemon.

use std::fmt;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use countersign_ca::identity::Name;
use countersign_ca::public_key::KeyKind;
use countersign_ca::{Identity, Timestamp};
use serde::Serialize;

use crate::gateway::abilities::{
    CaFacts, Effect, Family, IKE_INTERMEDIATE, Library, Limit, Part, limit_of, limits,
    looks_like_host,
};
use crate::gateway::libreswan;
use crate::gateway::material::next_update;
use crate::gateway::{
    Abilities, AltNames, Daemon, Facts, Feature, Gateway, GatewayError, Material, Mode, NamedCa,
    Proposal, Revocation, Start,
};
use crate::path::{Anchors, Certificate, PathSettings, same_name, validate};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// They come up, but not for ever, or not in each direction.
    Warning,
    /// They do not come up.
    Error,
}

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// How bad it is.
    pub severity: Severity,
    /// A word to look for.
    pub code: &'static str,
    /// The gateway that has it.
    pub gateway: String,
    /// The daemon that would refuse.
    pub daemon: Daemon,
    /// What was expected, what was found, what to do.
    pub message: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.gateway, self.daemon, self.message)
    }
}

/// The days before the end of a certificate or a CRL from which on it is told.
const SOON: i64 = 7 * 86_400;

/// The longest list of alternative names that isakmpd reads, in octets.
const MAX_ISAKMPD_NAMES: usize = 127;

/// What a gateway has in its own way, whoever its peer is. Its `material`, which is none for a pre-shared key, has the CAs and CRLs of
/// its peers as well ([`Material::add_cas_of`]): it is the one who verifies by them.
///
/// # Errors
/// The certificate or a CRL cannot be read.
pub fn alone(
    gateway: &Gateway,
    material: Option<&Material>,
    now: Timestamp,
) -> Result<Vec<Obstacle>, GatewayError> {
    let mut found = Found { gateway, daemon: gateway.daemon, list: Vec::new() };
    found.mode();
    found.proposals(&gateway.proposals);
    found.retries();
    found.authorizer();
    if let Some(material) = material {
        found.own_certificate(&Facts::of(&material.certificate)?, material, now);
        found.first_name_for(gateway, material)?;
        found.own_partitions(material)?;
        found.own_common_name(material)?;
        found.cas(material)?;
        found.crls(material, now)?;
    }
    Ok(found.list)
}

/// What stands between two gateways, both ways; what each has alone is not repeated.
///
/// # Errors
/// A certificate cannot be read.
pub fn together(
    one: (&Gateway, &Material),
    other: (&Gateway, &Material),
    now: Timestamp,
) -> Result<Vec<Obstacle>, GatewayError> {
    let mut list = Vec::new();
    for ((own, material), (peer, shown)) in [(one, other), (other, one)] {
        let facts = Facts::of(&shown.certificate)?;
        let mut found = Found { gateway: peer, daemon: own.daemon, list: Vec::new() };
        found.trusted_by(own, material, shown, now)?;
        found.key_for(own, &facts, Facts::of(&material.certificate)?.key);
        found.purposes_for(own, &facts);
        found.first_name_for(own, shown)?;
        found.spelling_for(own, &facts);
        found.partitions_for(own, shown)?;
        found.common_name_for(own, shown)?;
        found.told_where_for(own, material, shown)?;
        found.reachable((own, material), (peer, shown))?;
        list.append(&mut found.list);
    }
    let (one, other) = (one.0, other.0);
    list.extend(between(one, other));
    let mut found = Found { gateway: one, daemon: other.daemon, list: Vec::new() };
    found.same_mode(other);
    found.common_proposal(other);
    found.places(other);
    list.append(&mut found.list);
    Ok(list)
}

/// What stands between two gateways that prove who they are by certificates, whatever these say; both ways. A part of what [`together`]
/// finds.
pub fn between(one: &Gateway, other: &Gateway) -> Vec<Obstacle> {
    let mut list = Vec::new();
    for (own, peer) in [(one, other), (other, one)] {
        let mut found = Found { gateway: peer, daemon: own.daemon, list: Vec::new() };
        found.begins_with(own);
        list.append(&mut found.list);
    }
    list
}

/// The obstacles of one gateway, in the view of one daemon.
struct Found<'g> {
    gateway: &'g Gateway,
    daemon: Daemon,
    list: Vec<Obstacle>,
}

impl Found<'_> {
    fn add(&mut self, severity: Severity, code: &'static str, message: String) {
        let obstacle = Obstacle {
            severity,
            code,
            gateway: self.gateway.name.clone(),
            daemon: self.daemon,
            message,
        };
        if !self.list.contains(&obstacle) {
            self.list.push(obstacle);
        }
    }

    fn error(&mut self, code: &'static str, message: String) {
        self.add(Severity::Error, code, message);
    }

    fn warning(&mut self, code: &'static str, message: String) {
        self.add(Severity::Warning, code, message);
    }

    fn mode(&mut self) {
        let Gateway { daemon, mode, .. } = *self.gateway;
        if !daemon.speaks(mode) {
            let others = if mode == Mode::Ikev2 { "IKEv1" } else { "IKEv2" };
            self.error(
                "mode",
                format!(
                    "{daemon} speaks {others} only, found mode `{}`; change `mode` or `daemon`",
                    mode.name()
                ),
            );
        }
    }

    fn own_certificate(&mut self, facts: &Facts, material: &Material, now: Timestamp) {
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
        if let Err(why) = Abilities::of(self.gateway.daemon).signs(self.gateway.mode, facts.key) {
            self.error("key-kind", format!("{why}; enrol with another kind of key"));
        }
    }

    fn proposals(&mut self, proposals: &[Proposal]) {
        let Gateway { daemon, mode, .. } = *self.gateway;
        for proposal in proposals {
            let known = match daemon {
                Daemon::Isakmpd | Daemon::Racoon => proposal.classic().is_some(),
                Daemon::Iked => proposal.iked().is_some(),
                _ => mode == Mode::Ikev2 || proposal.is_for_v1(),
            };
            if !known {
                self.error(
                    "proposal",
                    format!("{daemon} cannot use `{proposal}` in mode `{}`; name another in `proposals`", mode.name()),
                );
                continue;
            }
            let limit = Feature::of_esp(proposal).and_then(|feature| limit_of(daemon, feature));
            if let Some(limit) = limit.filter(|_| daemon.speaks(mode)) {
                self.warning(
                    limit.feature.code(),
                    format!(
                        "{} {}, found `{proposal}`; on Linux, name `{}` in its place here and among those of its peers; on OpenBSD it is good",
                        daemon_and(daemon, limit),
                        limit.does,
                        Proposal::DEFAULT_IKED
                    ),
                );
            }
        }
        let mut groups: Vec<_> = proposals.iter().map(|proposal| proposal.group).collect();
        groups.dedup();
        if groups.len() > 1 && mode == Mode::Aggressive {
            self.error(
                "proposal",
                "aggressive mode has no choice of groups: expected one group in all `proposals`, found several".to_owned(),
            );
        } else if groups.len() > 1 && daemon == Daemon::Racoon {
            self.error(
                "proposal",
                "racoon has one group for perfect forward secrecy: expected one group in all `proposals`, found several".to_owned(),
            );
        }
    }

    /// In aggressive mode the initiator's part ends with the third message, before anybody has refused it.
    fn retries(&mut self) {
        let Gateway { daemon, mode, start, .. } = *self.gateway;
        let limit = limit_of(daemon, Feature::AggressiveRefusal);
        if let Some(limit) = limit.filter(|_| mode == Mode::Aggressive && start != Start::Wait) {
            self.warning(
                limit.feature.code(),
                format!(
                    "refused in mode `aggressive`, {} {}; set `mode = \"main\"`, or `start = \"wait\"` and let its peers begin",
                    daemon_and(daemon, limit),
                    limit.does
                ),
            );
        }
    }

    /// isakmpd does not find its own certificate when a peer begins in aggressive mode and requests it. Those that need not request it are
    /// exported so.
    fn begins_with(&mut self, own: &Gateway) {
        let peer = self.gateway;
        let is_aggressive = [own.mode, peer.mode] == [Mode::Aggressive; 2];
        let is_requested = is_aggressive && Abilities::of(peer.daemon).always_requests;
        let limit = limit_of(own.daemon, Feature::AggressiveResponder);
        let Some(limit) = limit.filter(|_| is_requested) else { return };
        let message = format!(
            "{} on `{}` {}, and {} always requests it",
            daemon_and(own.daemon, limit),
            own.name,
            limit.does,
            peer.daemon
        );
        if peer.start != Start::Wait && own.address.is_some() {
            self.error(
                limit.feature.code(),
                format!(
                    "{message}; set `mode = \"main\"` for both, or `start = \"wait\"` for `{}` and let `{}` begin",
                    peer.name, own.name
                ),
            );
        } else {
            self.warning(
                limit.feature.code(),
                format!("{message}: only `{}` can begin; set `mode = \"main\"` for both", own.name),
            );
        }
    }

    fn authorizer(&mut self) {
        let Gateway { daemon, mode, authorizer, .. } = *self.gateway;
        let asks = Abilities::of(daemon).asks_in.contains(&mode);
        if authorizer && !asks {
            self.error(
                "authorizer",
                format!(
                    "{daemon} does not ask the authorizer in mode `{}`; set `authorizer = false`",
                    mode.name()
                ),
            );
        }
    }

    fn crls(&mut self, material: &Material, now: Timestamp) -> Result<(), GatewayError> {
        if material.roots.is_empty() {
            self.error("no-root", "it trusts no root, so that it would let nobody in; its chain must end with one, or `trust` name one".to_owned());
        }
        // What is read from files is checked by OpenSSL, which refuses when a CRL has ended.
        let is_strict = self.gateway.revocation == Revocation::Strict
            || !Abilities::of(self.gateway.daemon).fetches;
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

    /// There is no CRL of this CA: whether the daemon goes on without depends on the daemon.
    fn no_crl(&mut self, material: &Material, ca: &NamedCa) {
        let name = &ca.name;
        let advice = format!(
            "`countersign crl publish` signs one for a CA of this instance; that of another goes into `gateways.{}.crls`",
            self.gateway.name
        );
        match self.gateway.daemon {
            // OpenSSL wants the CRL of each CA of the path as soon as the daemon gave it one.
            Daemon::Iked | Daemon::Isakmpd if !material.crls.is_empty() => self.error(
                "no-crl",
                format!(
                    "there is no CRL of the CA `{name}`, and {} refuses everybody who is below a CA without, once it has that of another; \
                     {advice}",
                    self.gateway.daemon
                ),
            ),
            _ => self.warning(
                "no-crl",
                format!("there is no CRL of the CA `{name}` to begin with; {advice}"),
            ),
        }
    }

    /// strongSwan is strict by a CRL that it has, or by what each certificate of the peer's path says about where its status is.
    fn told_where_for(
        &mut self,
        own: &Gateway,
        material: &Material,
        shown: &Material,
    ) -> Result<(), GatewayError> {
        if own.daemon != Daemon::Strongswan || own.revocation != Revocation::Strict {
            return Ok(());
        }
        let chain = shown.chain.iter().map(|ca| &ca.der);
        for der in std::iter::once(&shown.certificate).chain(chain) {
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

    /// isakmpd knows a certificate by the first of its alternative names, and reads no list of 128 octets or more.
    fn first_name_for(&mut self, own: &Gateway, shown: &Material) -> Result<(), GatewayError> {
        if !Abilities::of(own.daemon).first_name_only {
            return Ok(());
        }
        let names = AltNames::of(&shown.certificate)?;
        if names.octets > MAX_ISAKMPD_NAMES || names.first.as_ref() != Some(&self.gateway.id) {
            let first = names.first.map_or_else(|| "none".to_owned(), |first| format!("`{first}`"));
            self.error(
                "first-name",
                format!(
                    "isakmpd on `{}` finds a certificate by its first alternative name only, in a list of at most {MAX_ISAKMPD_NAMES} octets: \
                     expected its identity `{}`, found {first} first of {} octets; give the account this identity first, and enrol again",
                    own.name, self.gateway.id, names.octets
                ),
            );
        }
        Ok(())
    }

    /// Two spellings of a distinguished name are one name (RFC 5280 §7.1), but not for everybody.
    fn spelling_for(&mut self, own: &Gateway, facts: &Facts) {
        let Identity::Dn(name) = &self.gateway.id else { return };
        let Some(limit) = limit_of(own.daemon, Feature::Spelling) else { return };
        let id = name.to_string();
        if id != facts.subject && facts.holds(&self.gateway.id) {
            self.warning(
                limit.feature.code(),
                format!(
                    "{} on `{}` {}, found `{id}` as its identity, and `{}` in its certificate; write `id` as the certificate has it",
                    daemon_and(own.daemon, limit),
                    own.name,
                    limit.does,
                    facts.subject
                ),
            );
        }
    }

    /// Some read the CRL of a partition as the whole list, some not at all. Those that read files were given the complete one.
    fn partitions_for(&mut self, own: &Gateway, shown: &Material) -> Result<(), GatewayError> {
        let Some(limit) = limit_of(own.daemon, Feature::Partition) else { return Ok(()) };
        let urls = partitions_of(shown)?;
        if urls.is_empty() {
            return Ok(());
        }
        let message = format!(
            "its certificate names the CRL of a partition ({}), and {} on `{}` {}; set `crl.partitions = 0`, and enrol again",
            names(urls.iter()),
            daemon_and(own.daemon, limit),
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

    /// Its peers are mostly of its own CA, and so are their partitions.
    fn own_partitions(&mut self, material: &Material) -> Result<(), GatewayError> {
        let Some(limit) = limit_of(self.gateway.daemon, Feature::Partition) else { return Ok(()) };
        let urls = partitions_of(material)?;
        if !urls.is_empty() {
            self.warning(
                Feature::Partition.code(),
                format!(
                    "its CA divides its CRL into partitions ({}), and {} {}; set `crl.partitions = 0`",
                    names(urls.iter()),
                    daemon_and(self.gateway.daemon, limit),
                    limit.does
                ),
            );
        }
        Ok(())
    }

    /// Below constraints on DNS names, some take a common name for one.
    fn common_name_for(&mut self, own: &Gateway, shown: &Material) -> Result<(), GatewayError> {
        let Some(limit) = limit_of(own.daemon, Feature::CommonName) else { return Ok(()) };
        if let Some((name, ca)) = common_name_outside(shown)? {
            self.error(
                Feature::CommonName.code(),
                format!(
                    "its certificate has no DNS name, and {} on `{}` {}: `{name}` is not within what `{ca}` permits; give the account a \
                     `fqdn:` that is, and enrol again",
                    daemon_and(own.daemon, limit),
                    own.name,
                    limit.does
                ),
            );
        }
        Ok(())
    }

    /// Whoever its peers are: it is told before one of them refuses.
    fn own_common_name(&mut self, material: &Material) -> Result<(), GatewayError> {
        if let Some((name, ca)) = common_name_outside(material)? {
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

    /// The certificates of CAs that its daemon has to read.
    fn cas(&mut self, material: &Material) -> Result<(), GatewayError> {
        let daemon = self.gateway.daemon;
        let abilities = Abilities::of(daemon);
        let issuer = material.issuer().map(|ca| &ca.der);
        let (mut other_keys, mut addresses) = (Vec::new(), Vec::new());
        for ca in material.cas() {
            let facts = CaFacts::of(&ca.der)?;
            // NSS has to take each into its database; isakmpd's policy names the one that issues.
            let counts = abilities.library == Library::Nss || issuer == Some(&ca.der);
            if counts && !abilities.ca_keys.contains(&Family::of(facts.key)) {
                other_keys.push(format!("{} in `{}`", facts.key, facts.subject));
            }
            if facts.has_addresses() {
                addresses.push(facts.subject);
            }
        }
        if !other_keys.is_empty() {
            let known: Vec<String> = abilities.ca_keys.iter().map(ToString::to_string).collect();
            let seen = limit_of(daemon, Feature::Ed25519Ca)
                .map_or_else(|| daemon.to_string(), |limit| daemon_and(daemon, limit));
            self.error(
                Feature::Ed25519Ca.code(),
                format!(
                    "{seen} verifies by CAs with {} keys only, found {}; found CAs with another `--algorithm` and `--root-algorithm`",
                    known.join(" or "),
                    other_keys.join(", ")
                ),
            );
        }
        if let Some(limit) = limit_of(daemon, Feature::SameName)
            && let Some(name) = shared_name(material)?
        {
            self.error(
                Feature::SameName.code(),
                format!(
                    "{} {}, found two keys under the name `{name}`; give each CA a name of its own (`countersign ca roll` does), and enrol \
                     again below that",
                    daemon_and(daemon, limit),
                    limit.does
                ),
            );
        }
        if let Some(limit) =
            limit_of(daemon, Feature::AddressConstraints).filter(|_| !addresses.is_empty())
        {
            self.error(
                Feature::AddressConstraints.code(),
                format!(
                    "{} {}, found {}; found a CA without `--permit ip:` and `--exclude ip:`",
                    daemon_and(daemon, limit),
                    limit.does,
                    names(addresses.into_iter())
                ),
            );
        }
        Ok(())
    }

    /// The other side must find a valid path to one of its own roots in what this gateway shows.
    fn trusted_by(
        &mut self,
        own: &Gateway,
        trusting: &Material,
        shown: &Material,
        now: Timestamp,
    ) -> Result<(), GatewayError> {
        let read = |der: &Vec<u8>| read(der).map(Arc::new);
        let leaf = read(&shown.certificate)?;
        // What has ended, it says of itself.
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
            && match own.daemon {
                Daemon::Libreswan => libreswan::is_bound_to_issuer(trusting)?,
                Daemon::Isakmpd => !trusting.issuers().contains(&there),
                _ => false,
            }
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

    fn key_for(&mut self, own: &Gateway, facts: &Facts, own_key: KeyKind) {
        let is_rsa = |key| matches!(key, KeyKind::Rsa(_));
        if own.daemon == Daemon::Libreswan && is_rsa(own_key) != is_rsa(facts.key) {
            self.error(
                "key-kind",
                format!(
                    "libreswan on `{}` authenticates both sides in one way, found {own_key} there and {} here; enrol with keys of one kind",
                    own.name, facts.key
                ),
            );
        }
        if let Err(why) = Abilities::of(own.daemon).signs(own.mode, facts.key) {
            self.error("key-kind", format!("its peer `{}` cannot verify it: {why}", own.name));
        }
    }

    fn purposes_for(&mut self, own: &Gateway, facts: &Facts) {
        let purposes = &facts.key_purposes;
        let good = Abilities::of(own.daemon).purposes;
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

    /// A CRL or OCSP responder behind the tunnel can only be asked when the tunnel is up.
    fn reachable(
        &mut self,
        (own, material): (&Gateway, &Material),
        (peer, shown): (&Gateway, &Material),
    ) -> Result<(), GatewayError> {
        let above = shown.chain.iter().map(|ca| &ca.der);
        let asked: Vec<Vec<String>> = match own.daemon {
            // It looks at each certificate of the peer's path.
            Daemon::Strongswan => std::iter::once(&shown.certificate)
                .chain(above)
                .map(|der| Facts::of(der).map(|facts| [facts.crl_urls, facts.ocsp_urls].concat()))
                .collect::<Result<_, _>>()?,
            // It fetches what the certificates of its database name: its own and those of CAs.
            Daemon::Libreswan => std::iter::once(&material.certificate)
                .chain(above)
                .map(|der| Facts::of(der).map(|facts| facts.crl_urls))
                .collect::<Result<_, _>>()?,
            // These read files.
            Daemon::Iked | Daemon::Isakmpd | Daemon::Racoon => return Ok(()),
        };
        let behind = |url: &String| {
            addresses(url)
                .iter()
                .any(|address| peer.networks.iter().any(|network| network.holds(*address)))
        };
        for urls in asked {
            let (through, free): (Vec<&String>, Vec<&String>) =
                urls.iter().partition(|url| behind(url));
            if through.is_empty() {
                continue;
            }
            let message = format!(
                "`{}` would fetch {} through the tunnel that it is to decide about: the host is in a network of `{}`",
                own.name,
                names(through.into_iter().map(String::as_str)),
                peer.name
            );
            if free.is_empty() && own.revocation == Revocation::Strict {
                let advice = "publish the CRL where it is reached without, or the tunnel ends with the CRL that was exported";
                self.error("crl-behind-tunnel", format!("{message}; {advice}"));
            } else {
                self.warning("crl-behind-tunnel", message);
            }
        }
        Ok(())
    }

    /// Only the one without an address can begin, and it waits.
    fn waits(&mut self, one: &Gateway, other: &Gateway) {
        self.warning(
            "nobody-begins",
            format!(
                "`{0}` has no `address`, so that `{1}` cannot begin, and `{0}` waits: set another `start` for it, or initiate there by hand",
                one.name, other.name
            ),
        );
    }

    fn same_mode(&mut self, other: &Gateway) {
        let (here, there) = (self.gateway.mode, other.mode);
        if here != there {
            self.error(
                "mode",
                format!(
                    "it negotiates by `{}`, its peer `{}` by `{}`; set the same `mode` for both",
                    here.name(),
                    other.name,
                    there.name()
                ),
            );
        }
    }

    fn common_proposal(&mut self, other: &Gateway) {
        if !self.gateway.proposals.iter().any(|proposal| other.proposals.contains(proposal)) {
            self.error(
                "proposal",
                format!(
                    "it has no proposal in common with `{}`: {} here, {} there",
                    other.name,
                    names(self.gateway.proposals.iter().map(ToString::to_string)),
                    names(other.proposals.iter().map(ToString::to_string))
                ),
            );
        }
    }

    fn places(&mut self, other: &Gateway) {
        let own = self.gateway;
        if own.id == other.id {
            self.error(
                "same-id",
                format!("it has the identity `{}`, as `{}` has", own.id, other.name),
            );
        }
        match (own.address, other.address) {
            (None, None) => self.error(
                "no-address",
                format!("neither it nor `{}` has an `address`: none of them can begin", other.name),
            ),
            (None, Some(_)) if own.start == Start::Wait => self.waits(own, other),
            (Some(_), None) if other.start == Start::Wait => self.waits(other, own),
            (Some(here), Some(there)) if here == there => {
                self.error(
                    "same-address",
                    format!("it has the address {here}, as `{}` has", other.name),
                );
            }
            (Some(here), Some(there)) if here.is_ipv4() != there.is_ipv4() => {
                self.error(
                    "address-family",
                    format!(
                        "it is reached at {here}, `{}` at {there}: one is IPv4, the other IPv6",
                        other.name
                    ),
                );
            }
            _ => {}
        }
        for here in &own.networks {
            if other.networks.contains(here) {
                self.error(
                    "networks",
                    format!(
                        "its network {here} is behind `{}`, too: packets would not find the tunnel",
                        other.name
                    ),
                );
            } else if let Some(there) = other.networks.iter().find(|there| here.overlaps(**there)) {
                self.warning(
                    "networks",
                    format!("its network {here} overlaps with {there} behind `{}`: what is in both goes through the tunnel", other.name),
                );
            }
        }
    }
}

fn subject(ca: &NamedCa) -> Result<Name, GatewayError> {
    countersign_ca::certificate::Facts::of(&ca.der)
        .map(|facts| facts.subject)
        .map_err(|e| GatewayError::new(format!("the CA `{}` cannot be read: {e}", ca.name)))
}

/// The name of two CAs that have different keys.
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

fn read(der: &[u8]) -> Result<Certificate, GatewayError> {
    Certificate::from_der(der.to_vec())
        .map_err(|e| GatewayError::new(format!("a certificate cannot be read: {e}")))
}

/// Whether a URL is one of those under which `serve` has the CRL of a partition.
fn is_partition(url: &str) -> bool {
    let file = url.rsplit('/').next().unwrap_or_default();
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    url.contains("/crl/") && file.strip_suffix(".crl").is_some_and(is_number)
}

/// The CRLs of partitions that a certificate names.
fn partitions_of(shown: &Material) -> Result<Vec<String>, GatewayError> {
    let urls = Facts::of(&shown.certificate)?.crl_urls;
    Ok(urls.into_iter().filter(|url| is_partition(url)).collect())
}

/// A common name that a verifier may take for a DNS name, and the CA whose constraints it is outside of.
fn common_name_outside(shown: &Material) -> Result<Option<(String, String)>, GatewayError> {
    let names = Facts::of(&shown.certificate)?.common_names_without_dns()?;
    for ca in shown.cas() {
        let ca = CaFacts::of(&ca.der)?;
        if let Some(name) = names.iter().find(|name| looks_like_host(name) && !ca.allows_dns(name))
        {
            return Ok(Some((name.clone(), ca.subject)));
        }
    }
    Ok(None)
}

/// A daemon with the library that has a limit, and the version in which it was found.
fn daemon_and(daemon: Daemon, limit: &Limit) -> String {
    match limit.part {
        Some(Part::Daemon(_) | Part::Library(Library::Strongswan)) => {
            format!("{} {}", limit.program, limit.version)
        }
        _ => format!("{daemon} ({} {})", limit.program, limit.version),
    }
}

/// The addresses of a URL's host, as they are known here.
fn addresses(url: &str) -> Vec<IpAddr> {
    let Some((_, rest)) = url.split_once("://") else { return Vec::new() };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    match host.parse() {
        Ok(address) => vec![address],
        Err(_) => (host, 0)
            .to_socket_addrs()
            .map(|all| all.map(|at| at.ip()).collect())
            .unwrap_or_default(),
    }
}

fn names(list: impl Iterator<Item = impl fmt::Display>) -> String {
    let list: Vec<String> = list.map(|item| format!("`{item}`")).collect();
    if list.is_empty() { "none".to_owned() } else { list.join(", ") }
}
