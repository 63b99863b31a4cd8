//! Whether a requester may have what it asks for. The answer is a value: [`Authorized`].

use der::Decode;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages};

use super::Authority;
use super::issuer::Ca;
use crate::certificate::Facts;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::founding::BACKDATING;
use crate::oid;
use crate::profile::Profile;
use crate::public_key::{KeyKind, Proof, ProvenKey};
use crate::record::{Account, Label, Serial};
use crate::request::{CertificateRequest, Credential, Requester};
use crate::subject::{self, Names};

/// A notBefore this close to now means now.
const NOW_ENOUGH: std::time::Duration = std::time::Duration::from_secs(300);

/// The shortest validity that is issued on request.
const SHORTEST: std::time::Duration = std::time::Duration::from_secs(300);

/// What may be signed, decided in every detail. Only [`Authority::authorize`] makes one, and [`Authority::issue`]
/// takes nothing else.
#[derive(Debug)]
pub struct Authorized {
    pub(super) account: Account,
    pub(super) ca: Label,
    pub(super) profile: Profile,
    pub(super) key: ProvenKey,
    pub(super) names: Names,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) consumes_secret: bool,
    pub(super) replaces: Option<Serial>,
    pub(super) changes: Vec<String>,
}

impl Authority {
    /// Decides what the requester gets.
    ///
    /// # Errors
    /// `Denied` that says which rule of the account or of the profile the request breaks.
    pub fn authorize(
        &self,
        requester: &Requester,
        request: CertificateRequest,
    ) -> Result<Authorized> {
        let now = self.now();
        let account = requester.account();
        // 1. The credential still counts, and a key update replaces the certificate that signed it.
        check_credential(requester, request.updates.as_ref(), now)?;
        // 2. Profile and issuing CA are the account's.
        let profile = self.profile_for(account, request.profile.as_ref())?;
        let ca = self.ca_for(account, request.ca.as_ref())?;
        // 3. The key is of a kind that the profile takes, and nobody else's.
        profile.check_key(request.key.key().kind())?;
        check_proof(&profile, &request.key)?;
        self.refuse_own_keys(&request.key)?;
        // 4. Every name is the account's.
        let wanted = self.wanted_names(requester, &request)?;
        let names = subject::decide(account, &profile, request.subject.as_ref(), &wanted)?;
        // 5. The rest of the request is a wish; what is not granted is said.
        let mut changes = Vec::new();
        let kind = request.key.key().kind();
        check_extensions(&profile, kind, &request.extensions, &mut changes)?;
        let (not_before, not_after) = validity(&profile, ca, &request, now, &mut changes)?;
        Ok(Authorized {
            account: account.clone(),
            ca: ca.info().name.clone(),
            profile,
            key: request.key,
            names,
            not_before,
            not_after,
            consumes_secret: matches!(requester.credential(), Credential::Secret),
            replaces: request.updates,
            changes,
        })
    }

    /// The profile of an account, which is the only one that it may ask for.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NotAuthorized`] when `wanted` is another; [`Error::Internal`] when it is not configured.
    pub fn profile_for(&self, account: &Account, wanted: Option<&Label>) -> Result<Profile> {
        if let Some(wanted) = wanted.filter(|wanted| **wanted != account.profile) {
            return Err(not_authorized(format!(
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

    pub(super) fn ca_for(&self, account: &Account, wanted: Option<&Label>) -> Result<&Ca> {
        let named = self.issuing_ca(account.ca.as_ref())?;
        // The last key of the CA issues; it answers to the names of those before.
        let ca = self.latest(named);
        let is_meant = |wanted: &Label| {
            self.cas
                .get(wanted)
                .is_some_and(|wanted| self.latest(wanted).info().name == ca.info().name)
        };
        match wanted.filter(|wanted| !is_meant(wanted)) {
            Some(wanted) => Err(not_authorized(format!(
                "the account `{}` is for the CA `{}`, not `{wanted}`",
                account.name,
                ca.info().name
            ))),
            None => Ok(ca),
        }
    }

    fn refuse_own_keys(&self, key: &ProvenKey) -> Result<()> {
        match self.cas.values().find(|ca| ca.facts().key == *key.key()) {
            Some(ca) => Err(Error::denied(
                Denial::Template,
                format!("the key is that of the CA `{}`; make a key of your own", ca.info().name),
            )),
            None => Ok(()),
        }
    }

    /// The names asked for. A key update keeps the identities of the certificate that it replaces.
    fn wanted_names(
        &self,
        requester: &Requester,
        request: &CertificateRequest,
    ) -> Result<Vec<GeneralName>> {
        let (Some(_), Credential::Certificate(old)) = (&request.updates, requester.credential())
        else {
            return Ok(request.alt_names.clone());
        };
        let before = Facts::of(&old.certificate)?.alt_names;
        if request.alt_names.is_empty() {
            return Ok(before);
        }
        if let Some(added) = request.alt_names.iter().find(|name| !before.contains(name)) {
            let added = crate::identity::Identity::from_general_name(added)?;
            return Err(not_authorized(format!(
                "a key update keeps the identities of the old certificate, and `{added}` is not one of them; ask for a \
                 new certificate (cr) instead"
            )));
        }
        Ok(request.alt_names.clone())
    }
}

pub(super) fn check_credential(
    requester: &Requester,
    updates: Option<&Serial>,
    now: Timestamp,
) -> Result<()> {
    match (requester.credential(), updates) {
        (Credential::Secret, Some(_)) => Err(not_authorized(
            "a key update is signed with the certificate that it replaces; with a secret, ask for a new certificate (ir)",
        )),
        (Credential::Secret, None) => {
            let secret = requester
                .account()
                .secret
                .as_ref()
                .ok_or_else(|| Error::internal("a secret that is not there"))?;
            if now >= secret.expires {
                return Err(not_authorized(format!(
                    "the secret expired on {}; ask the administrator for a new one",
                    secret.expires
                )));
            }
            if secret.uses_left == 0 {
                return Err(not_authorized(
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
        (Credential::Certificate(_), _) => Ok(()),
    }
}

/// What is encrypted for a key proves possession only of a key that may decrypt (RFC 4211 §4).
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
        _ if usage.0.is_empty() => Err(Error::denied(
            Denial::Algorithm,
            format!("the profile `{}` is for no use of a {kind} key", profile.name()),
        )),
        _ => Ok(()),
    }
}

/// A request cannot make itself a CA, nor have what nobody here understands. Usages are the profile's.
fn check_extensions(
    profile: &Profile,
    kind: KeyKind,
    wanted: &[Extension],
    changes: &mut Vec<String>,
) -> Result<()> {
    for extension in wanted {
        let content = extension.extn_value.as_bytes();
        let template = |why: String| Err(Error::denied(Denial::Template, why));
        match extension.extn_id {
            oid::BASIC_CONSTRAINTS => match BasicConstraints::from_der(content) {
                Ok(constraints) if constraints.ca => {
                    return template(
                        "basicConstraints ask for a CA; peers get end entity certificates".into(),
                    );
                }
                Ok(_) => {}
                Err(e) => {
                    return Err(Error::malformed(format!("basicConstraints cannot be read: {e}")));
                }
            },
            oid::KEY_USAGE => {
                let usage = KeyUsage::from_der(content)
                    .map_err(|e| Error::malformed(format!("keyUsage cannot be read: {e}")))?;
                if usage != profile.key_usage_of(kind) {
                    changes
                        .push(format!("the key usage is that of the profile `{}`", profile.name()));
                }
            }
            oid::EXT_KEY_USAGE => {
                let usage = ExtendedKeyUsage::from_der(content).map_err(|e| {
                    Error::malformed(format!("extendedKeyUsage cannot be read: {e}"))
                })?;
                if usage.0 != profile.extended_key_usage() {
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
    Ok(())
}

/// The validity: the profile's, or a shorter one if the request asks for it; never beyond the issuer's.
fn validity(
    profile: &Profile,
    ca: &Ca,
    request: &CertificateRequest,
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
        Some(from) if from > now.plus(NOW_ENOUGH) && from < longest => from,
        Some(from) if from.plus(NOW_ENOUGH) < now => {
            changes.push("the validity begins now".into());
            now.minus(BACKDATING)
        }
        _ => now.minus(BACKDATING),
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

pub(super) fn not_authorized(why: impl Into<String>) -> Error {
    Error::denied(Denial::NotAuthorized, why)
}
