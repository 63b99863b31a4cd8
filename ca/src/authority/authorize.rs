//! Decides whether a requester may have what it asks for. The decision is a value: [`Authorized`].

use std::sync::Arc;
use std::time::Duration;

use der::Decode;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages};

use super::equipment::{check_equipment, without_vendors_names};
use super::issuer::Ca;
use super::request::{CertificateRequest, Credential, Requester};
use super::retire::retires;
use super::state::Authority;
use crate::clock::{BACKDATING, Timestamp};
use crate::error::{Denial, Error, Result};
use crate::key::{KeyKind, Proof, ProvenKey};
use crate::name::{Identity, same_name};
use crate::oid;
use crate::profile::{Names, Profile, subject};
use crate::record::{Account, Label, Serial};
use crate::x509::Facts;

/// How far a requested notBefore may lie in the past and still be issued unchanged.
const NOW_ENOUGH: Duration = Duration::from_secs(300);

/// The shortest validity, counted from now or from a later notBefore. A request for less is refused, and so is every request to a CA that
/// ends sooner.
const SHORTEST: Duration = Duration::from_secs(300);

/// A certificate that may be signed, decided in every detail. Only [`Authority::authorize`] makes such a value, and
/// [`Authority::issue`] accepts nothing else.
#[derive(Debug)]
pub struct Authorized {
    pub(super) account: Account,
    pub(super) ca: Label,
    pub(super) profile: Arc<Profile>,
    pub(super) key: ProvenKey,
    pub(super) key_usage: KeyUsage,
    pub(super) names: Names,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) consumes_secret: bool,
    pub(super) consumes_equipment: bool,
    /// The serial number of the certificate that this one replaces, if the same CA issued that with whichever of its keys.
    pub(super) replaces: Option<Serial>,
    pub(super) unpublished: bool,
    /// How long after the certificate is good the one that it replaces is revoked; `None` if it is not.
    pub(super) retires: Option<Duration>,
    pub(super) changes: Vec<String>,
    /// The request itself, if an administrator must approve it before it is issued.
    pub(super) to_approve: Option<Box<CertificateRequest>>,
    /// The serial number, if [`Authority::take_serial`] has taken one. Otherwise [`Authority::issue`] takes one.
    pub(super) serial: Option<Serial>,
}

/// The decided names, key usage and validity of a certificate.
pub(super) struct Terms {
    names: Names,
    key_usage: KeyUsage,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Authorized {
    /// The CA that will issue the certificate.
    pub const fn ca(&self) -> &Label {
        &self.ca
    }

    /// Whether an administrator must approve the request before it is issued.
    pub const fn needs_approval(&self) -> bool {
        self.to_approve.is_some()
    }

    /// Refuses a request that an administrator must still approve, with [`Denial::NotAuthorized`].
    pub(super) fn check_approved(&self) -> Result<()> {
        match self.needs_approval() {
            false => Ok(()),
            true => Err(Error::denied(
                Denial::NotAuthorized,
                format!(
                    "requests for the profile `{}` wait for an administrator, which this way of asking cannot",
                    self.profile.name()
                ),
            )),
        }
    }
}

impl Authority {
    /// Decides about a request, and about every field of the certificate that the requester gets.
    ///
    /// # Errors
    /// `Denied` that says which rule of the account or the profile the request breaks; [`Error::Malformed`] if a requested extension or
    /// name cannot be read; [`Error::Unavailable`] if there is no issuing CA or it ends within 5 minutes; [`Error::Internal`] if the
    /// account's profile is not configured.
    pub fn authorize(
        &self,
        requester: &Requester,
        request: CertificateRequest,
    ) -> Result<Authorized> {
        let now = self.now();
        let account = requester.account();
        // 1. The credential is still usable, and a key update names the certificate that signed it.
        check_credential(requester, request.updates.as_ref(), now)?;
        let mut changes = Vec::new();
        let request = without_vendors_names(requester, request, &mut changes);
        // 2. The profile and the issuing CA are those of the account.
        let profile = self.profile_for(account, request.profile.as_ref())?;
        let ca = self.ca_for(account, request.ca.as_ref())?;
        // 3. The profile accepts the kind of key, and the key is not a CA's.
        profile.check_key(request.key.key().kind())?;
        check_proof(&profile, &request.key)?;
        check_use(&profile, request.key.key().kind())?;
        self.refuse_own_keys(&request.key)?;
        // 4. Decide the names and the rest.
        let kind = request.key.key().kind();
        let Terms { names, key_usage, not_before, not_after } =
            self.terms(requester, &request, &profile, ca, kind, &mut changes)?;
        // A renewed certificate stays out of directories like the old one, unless the request says otherwise.
        let unpublished = match (request.published, requester.credential()) {
            (Some(published), _) => !published,
            (None, Credential::Certificate(old)) => request.updates.is_some() && old.unpublished,
            (None, _) => false,
        };
        // A certificate of another CA is replaced as well, but the record has no place for its CA: the serial number alone could be that
        // of somebody else's certificate of this CA.
        let (replaces, retires) = match (request.updates, requester.credential()) {
            (Some(serial), Credential::Certificate(old)) if self.is_of_line(old, ca) => {
                (Some(serial), retires(old, &profile))
            }
            _ => (None, None),
        };
        let to_approve = profile.needs_approval().then(|| Box::new(request.clone()));
        Ok(Authorized {
            account: account.clone(),
            ca: ca.info().name.clone(),
            profile,
            key: request.key,
            key_usage,
            names,
            not_before,
            not_after,
            consumes_secret: matches!(requester.credential(), Credential::Secret),
            consumes_equipment: matches!(requester.credential(), Credential::Vendor(_)),
            replaces,
            unpublished,
            retires,
            changes,
            to_approve,
            serial: None,
        })
    }

    /// Decides the names, the key usage and the validity of the certificate, for a key of this kind. They do not depend on the key
    /// itself.
    pub(super) fn terms<K>(
        &self,
        requester: &Requester,
        request: &CertificateRequest<K>,
        profile: &Profile,
        ca: &Ca,
        kind: KeyKind,
        changes: &mut Vec<String>,
    ) -> Result<Terms> {
        // 1. Every name is the account's, and verifiers accept it below this CA.
        let names = names(requester, request, profile, changes)?;
        // 2. The rest of the request only proposes. A sentence in `changes` names each difference.
        let key_usage = check_extensions(profile, kind, &request.extensions, changes)?;
        let (not_before, not_after) = validity(profile, ca, request, self.now(), changes)?;
        ca.handed_out().permits(ca.facts(), names.clone(), self.now())?;
        Ok(Terms { names, key_usage, not_before, not_after })
    }

    /// The profile of an account. A request may name no other profile.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NotAuthorized`] if `wanted` is another one; [`Error::Internal`] if the account's profile is
    /// not configured.
    pub fn profile_for(&self, account: &Account, wanted: Option<&Label>) -> Result<Arc<Profile>> {
        if let Some(wanted) = wanted.filter(|wanted| **wanted != account.profile) {
            return Err(Error::not_authorized(format!(
                "the account `{}` is for the profile `{}`, not `{wanted}`",
                account.name, account.profile
            )));
        }
        self.profiles().named(&account.profile).cloned().ok_or_else(|| {
            Error::internal(format!(
                "the account `{}` has the profile `{}`, which is not configured",
                account.name, account.profile
            ))
        })
    }

    /// The CA that issues to an account: the newest active key of the account's CA. `wanted` is the CA that a request names: this one, or
    /// one that is an earlier or later key of the same CA. Any other is refused with [`Denial::NotAuthorized`].
    pub(super) fn ca_for(&self, account: &Account, wanted: Option<&Label>) -> Result<&Ca> {
        let named = self.issuing_ca(account.ca.as_ref())?;
        // The CA's newest active key issues. A request may name any of the CA's keys.
        let ca = self.latest(named);
        let is_meant = |wanted: &Label| {
            self.cas
                .get(wanted)
                .is_some_and(|wanted| self.latest(wanted).info().name == ca.info().name)
        };
        ca.require_active()?;
        match wanted.filter(|wanted| !is_meant(wanted)) {
            Some(wanted) => Err(Error::not_authorized(format!(
                "the account `{}` is for the CA `{}`, not `{wanted}`",
                account.name,
                ca.info().name
            ))),
            None => Ok(ca),
        }
    }

    /// Refuses the key of a CA of this instance, with [`Denial::Template`].
    pub(super) fn refuse_own_keys(&self, key: &ProvenKey) -> Result<()> {
        match self.cas.values().find(|ca| ca.facts().key == *key.key()) {
            Some(ca) => Err(Error::denied(
                Denial::Template,
                format!("the key is that of the CA `{}`; make a key of your own", ca.info().name),
            )),
            None => Ok(()),
        }
    }
}

/// Decides the subject and the subjectAltName. A key update keeps the names of the certificate that it replaces (RFC 9483 §4.1.3), or
/// some of its alternative names.
fn names<K>(
    requester: &Requester,
    request: &CertificateRequest<K>,
    profile: &Profile,
    changes: &mut Vec<String>,
) -> Result<Names> {
    let (account, subject) = (requester.account(), request.subject.as_ref());
    let asked = Some(request.alt_names.as_slice()).filter(|names| !names.is_empty());
    let (Some(_), Credential::Certificate(old)) = (&request.updates, requester.credential()) else {
        return subject::decide(account, profile, subject, asked, changes);
    };
    let old = Facts::of(&old.certificate)?;
    for added in asked.into_iter().flatten() {
        let added = Identity::from_general_name(added)?;
        let is_same = |name| Identity::from_general_name(name).is_ok_and(|own| own.is_same(&added));
        if !old.alt_names.iter().any(is_same) {
            return Err(added_by_update(&added.to_string()));
        }
    }
    if let Some(other) = subject.filter(|subject| !same_name(subject, &old.subject)) {
        if !subject::differs_only_in_replaced(profile, other, &old.subject) {
            return Err(added_by_update(&other.to_string()));
        }
        changes.push(subject::replacement_notice(&old.subject));
    }
    let alt_names = Some(asked.unwrap_or(&old.alt_names));
    let kept = subject::decide(account, profile, Some(&old.subject), alt_names, changes);
    match (kept, subject) {
        // The account's names or the profile's template changed since the old certificate was issued, so its subject is
        // no longer available.
        (Err(Error::Denied { kind: Denial::NotAuthorized, .. }), None) => {
            subject::decide(account, profile, None, alt_names, changes)
        }
        (kept, _) => kept,
    }
}

fn added_by_update(name: &str) -> Error {
    Error::not_authorized(format!(
        "a key update keeps the identities of the old certificate, and `{name}` is not one of them; ask for a new \
         certificate (cr) instead"
    ))
}

/// Checks that the credential may request a certificate. `updates` is the serial number that a key update replaces, which must be that of
/// the credential.
pub(super) fn check_credential(
    requester: &Requester,
    updates: Option<&Serial>,
    now: Timestamp,
) -> Result<()> {
    match (requester.credential(), updates) {
        (Credential::Secret, Some(_)) => Err(Error::not_authorized(
            "a key update is signed with the certificate that it replaces; with a secret, ask for a new certificate (ir)",
        )),
        (Credential::Secret, None) => {
            let secret = requester
                .account()
                .secret
                .as_ref()
                .ok_or_else(|| Error::internal("a secret that is not there"))?;
            if now >= secret.expires {
                return Err(Error::not_authorized(format!(
                    "the secret expired on {}; ask the administrator for a new one",
                    secret.expires
                )));
            }
            if secret.uses_left == 0 {
                return Err(Error::not_authorized(
                    "the secret is used up; ask the administrator for a new one",
                ));
            }
            Ok(())
        }
        (Credential::Certificate(signer), Some(updated)) if signer.serial != *updated => {
            Err(Error::denied(
                Denial::NoSuchCertificate,
                format!(
                    "a key update replaces the certificate that signs it, {}, not {updated}",
                    signer.serial
                ),
            ))
        }
        (Credential::Registrar(_), Some(_)) => Err(Error::not_authorized(
            "a key update is signed with the certificate that it replaces, and nobody else vouches for it",
        )),
        (Credential::Certificate(_), _) | (Credential::Registrar(_), None) => Ok(()),
        (Credential::Vendor(_), Some(_)) => Err(Error::not_authorized(
            "a key update is signed with the certificate that it replaces; a vendor's certificate asks for the first one (ir)",
        )),
        (Credential::Vendor(vendor), None) => check_equipment(requester.account(), vendor),
    }
}

/// Refuses a proof of possession by decryption, direct or through the confirmation of an encrypted certificate, if the profile does not
/// let the key decrypt (RFC 4211 §4).
fn check_proof(profile: &Profile, key: &ProvenKey) -> Result<()> {
    let kind = key.key().kind();
    let usage = profile.key_usage_of(kind);
    let decrypts = !usage.0.is_disjoint(KeyUsages::KeyEncipherment | KeyUsages::KeyAgreement);
    match key.proof() {
        Proof::Decryption | Proof::Confirmation if !decrypts => Err(Error::denied(
            Denial::ProofOfPossession,
            format!(
                "the profile `{}` gives a {kind} key neither keyEncipherment nor keyAgreement; prove its possession by a \
                 signature",
                profile.name()
            ),
        )),
        _ => Ok(()),
    }
}

/// Refuses a kind of key for which the profile has no key usage at all.
pub(super) fn check_use(profile: &Profile, kind: KeyKind) -> Result<()> {
    match profile.key_usage_of(kind).0.is_empty() {
        false => Ok(()),
        true => Err(Error::denied(
            Denial::Algorithm,
            format!("the profile `{}` is for no use of a {kind} key", profile.name()),
        )),
    }
}

/// Decides about the requested extensions, and returns the granted key usage. A request cannot ask for a CA certificate
/// or for an unknown critical extension. The usages are the profile's; the request may ask for a part of the key usage.
pub(super) fn check_extensions(
    profile: &Profile,
    kind: KeyKind,
    wanted: &[Extension],
    changes: &mut Vec<String>,
) -> Result<KeyUsage> {
    let mut key_usage = profile.key_usage_of(kind);
    for extension in wanted {
        let content = extension.extn_value.as_bytes();
        let template = |why: String| Err(Error::denied(Denial::Template, why));
        match extension.extn_id {
            oid::BASIC_CONSTRAINTS => match BasicConstraints::from_der(content) {
                Ok(constraints) if constraints.ca => {
                    return Err(Error::not_authorized(
                        "basicConstraints ask for a CA; peers get end entity certificates",
                    ));
                }
                // A pathLenConstraint is only allowed with cA TRUE (RFC 5280 §4.2.1.9).
                Ok(constraints) if constraints.path_len_constraint.is_some() => {
                    return template("a pathLenConstraint is for CAs; leave it out".into());
                }
                Ok(_) => {}
                Err(e) => {
                    return Err(Error::malformed(format!("basicConstraints cannot be read: {e}")));
                }
            },
            oid::KEY_USAGE => {
                let usage = KeyUsage::from_der(content)
                    .map_err(|e| Error::malformed(format!("keyUsage cannot be read: {e}")))?;
                if usage.0.contains(KeyUsages::KeyCertSign) || usage.0.contains(KeyUsages::CRLSign)
                {
                    return template(
                        "keyCertSign and cRLSign are usages of CAs; leave them out".into(),
                    );
                }
                match profile.grants(kind, usage) {
                    true => key_usage = usage,
                    false => changes
                        .push(format!("the key usage is that of the profile `{}`", profile.name())),
                }
            }
            oid::EXT_KEY_USAGE => {
                let usage = ExtendedKeyUsage::from_der(content).map_err(|e| {
                    Error::malformed(format!("extendedKeyUsage cannot be read: {e}"))
                })?;
                let own = profile.extended_key_usage();
                // These usages are roles in CMP itself (RFC 9810 §4.5).
                let role = [oid::CMC_CA, oid::CMC_RA, oid::CM_KGA]
                    .into_iter()
                    .find(|role| usage.0.contains(role) && !own.contains(role));
                if let Some(role) = role {
                    return Err(Error::not_authorized(format!(
                        "the extended key usage `{role}` is that of a management entity, and not of the profile `{}`",
                        profile.name()
                    )));
                }
                if usage.0 != own {
                    changes.push(format!(
                        "the extended key usage is that of the profile `{}`",
                        profile.name()
                    ));
                }
            }
            oid::SUBJECT_KEY_IDENTIFIER | oid::AUTHORITY_KEY_IDENTIFIER => {}
            other if extension.critical => {
                return template(format!(
                    "the critical extension `{other}` is not known here; leave it out"
                ));
            }
            other => changes.push(format!("the extension `{other}` was left out")),
        }
    }
    Ok(key_usage)
}

/// Decides notBefore and notAfter, in whole seconds: the profile's validity, or a shorter one if the request asks for it. The validity
/// never exceeds the issuer's.
pub(super) fn validity<K>(
    profile: &Profile,
    ca: &Ca,
    request: &CertificateRequest<K>,
    now: Timestamp,
    changes: &mut Vec<String>,
) -> Result<(Timestamp, Timestamp)> {
    let issuer = ca.facts();
    if issuer.not_after < now.plus(SHORTEST) {
        return Err(Error::unavailable(format!(
            "the CA `{}` ends on {}; the administrator must renew it",
            ca.info().name,
            issuer.not_after
        )));
    }
    let longest = now.plus(profile.validity()).min(issuer.not_after);
    let from = match request.not_before {
        Some(from) if from.plus(NOW_ENOUGH) >= now && from >= issuer.not_before => from,
        Some(_) => {
            changes.push("the validity begins now".into());
            now.minus(BACKDATING)
        }
        None => now.minus(BACKDATING),
    };
    let until = match request.not_after {
        Some(until) if until < from.max(now).plus(SHORTEST) => {
            return Err(Error::denied(
                Denial::Template,
                format!("the validity asked for ends on {until}; it must last 5 minutes at least"),
            ));
        }
        Some(until) if until > longest => {
            changes.push(format!("the validity ends on {}", longest.whole_seconds()));
            longest
        }
        Some(until) => until,
        None => longest,
    };
    if until < from.plus(SHORTEST) {
        return Err(Error::denied(Denial::Template, "the validity asked for begins too late"));
    }
    Ok((from.max(issuer.not_before).whole_seconds(), until.whole_seconds()))
}
