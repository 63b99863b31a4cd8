//! Registration authorities: who is one, and for whom it may ask (RFC 9483 §5.2.3 and §5.3).
//!
//! One is an account whose profile, and whose certificate, carry id-kp-cmcRA (RFC 6402 §2.10). It acts for accounts to
//! which the CA issues that issues to itself, and neither for another registration authority nor for who may have CAs
//! certified. Whom it asks for, the names in its request say: they must be identities of one account.

use der::Decode;
use x509_cert::ext::pkix::ExtendedKeyUsage;
use x509_cert::ext::pkix::name::GeneralName;

use super::registrar::Registrar;
use super::request::{Credential, Requester};
use super::state::Authority;
use crate::error::{Error, Result};
use crate::name::{Identity, Name};
use crate::oid;
use crate::profile::subject;
use crate::record::{Account, CertificateRecord, Label, OWN_ACCOUNT_PREFIX, Permission};
use crate::x509::Facts;

/// The most names of one request that are looked up.
const MAX_NAMES: usize = 64;

impl Authority {
    /// The registration authority that a requester is: by its certificate, never by a secret.
    pub fn registrar(&self, requester: &Requester) -> Option<Registrar> {
        let Credential::Certificate(certificate) = requester.credential() else { return None };
        let account = requester.account();
        let is_one = self.is_for_registrars(&account.profile) && is_registrars(certificate);
        is_one.then(|| Registrar::new(account.clone(), certificate.clone()))
    }

    /// Whom a registration authority asks for by these names; `None` for itself, which is also what no names mean.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NotAuthorized`](crate::Denial::NotAuthorized) when no account, or more than one, holds all of the
    /// names, and when that one is not the registration authority's to ask for.
    pub fn asked_for(
        &self,
        registrar: &Registrar,
        subject: Option<&Name>,
        alt_names: &[GeneralName],
    ) -> Result<Option<Requester>> {
        if subject.is_none() && alt_names.is_empty() {
            return Ok(None);
        }
        let mut found = match alt_names.first() {
            Some(_) => self.holders_of(alt_names)?,
            None => self.named_by(subject)?,
        };
        if found.iter().any(|account| account.name == *registrar.account()) {
            return Ok(None);
        }
        // Among those who hold the names, the subject may tell which one is meant.
        if found.len() > 1 {
            let named = self.named_by(subject)?;
            found.retain(|account| named.iter().any(|other| other.name == account.name));
        }
        match found.as_slice() {
            [account] => self.on_behalf_of(registrar, &account.name).map(Some),
            [] => Err(Error::not_authorized(
                "no account, or no single one, holds all of the names asked for",
            )),
            _ => Err(Error::not_authorized(
                "more than one account holds the names asked for; ask for a name that only one of them has",
            )),
        }
    }

    /// The account that a registration authority acts for.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NotAuthorized`](crate::Denial::NotAuthorized) when there is no such account, when another CA issues
    /// to it, when it is that of a registration authority, or when it may have CAs certified.
    pub fn on_behalf_of(&self, registrar: &Registrar, account: &Label) -> Result<Requester> {
        let account = self.store().account(account)?.ok_or_else(|| {
            Error::not_authorized(format!("the account `{account}` does not exist any more"))
        })?;
        if self.is_for_registrars(&account.profile) {
            return Err(Error::not_authorized(format!(
                "the account `{}` is that of a registration authority, which asks for itself",
                account.name
            )));
        }
        // With a certificate of such an account it could have a CA of its own certified.
        if account.permissions.contains(&Permission::CrossCertification) {
            return Err(Error::not_authorized(format!(
                "the account `{}` may have CAs certified, and asks for itself; nobody vouches for it",
                account.name
            )));
        }
        let (own, others) = (self.issuer_for(registrar.holder())?, self.issuer_for(&account)?);
        if own != others {
            return Err(Error::not_authorized(format!(
                "the registration authority `{}` is one of the CA `{own}`, and the account `{}` is for the CA `{others}`",
                registrar.account(),
                account.name
            )));
        }
        tracing::info!(registrar = %registrar.account(), account = %account.name, "asks for an account");
        let credential = Credential::Registrar(Box::new(registrar.certificate().clone()));
        Ok(Requester::new(account, credential))
    }

    /// Whether a requester is a registration authority that may revoke this certificate: one that its own CA issued, to
    /// a peer and not to a CA. The account may be gone.
    pub(super) fn may_revoke(
        &self,
        requester: &Requester,
        record: &CertificateRecord,
    ) -> Result<bool> {
        let Some(registrar) = self.registrar(requester) else { return Ok(false) };
        let own = self.issuer_for(registrar.holder())?;
        let issued_by = self.cas.get(&record.ca).map(|ca| &self.latest(ca).info().name);
        let is_peers = !record.account.as_str().starts_with(OWN_ACCOUNT_PREFIX)
            && !self.is_for_registrars(&record.profile)
            && !is_registrars(record)
            && !is_cas(record);
        let may = issued_by == Some(&own) && is_peers;
        if may {
            tracing::info!(registrar = %registrar.account(), account = %record.account, serial = %record.serial, "revokes for an account");
        }
        Ok(may)
    }

    fn is_for_registrars(&self, profile: &Label) -> bool {
        self.profiles().named(profile).is_some_and(|profile| profile.is_for_registrars())
    }

    /// The accounts that hold every one of the names.
    fn holders_of(&self, names: &[GeneralName]) -> Result<Vec<Account>> {
        if names.len() > MAX_NAMES {
            return Err(Error::not_authorized(format!(
                "expected at most {MAX_NAMES} names, found {}",
                names.len()
            )));
        }
        let identities =
            names.iter().map(Identity::from_general_name).collect::<Result<Vec<_>>>()?;
        let Some(first) = identities.first() else { return Ok(Vec::new()) };
        let mut found = self.store().holders(first)?;
        found.retain(|account| identities.iter().all(|name| account.held(name).is_some()));
        Ok(found)
    }

    /// The accounts that a subject names: by a DN identity, or as a lone common name does (an account's name, or one of
    /// its identities).
    fn named_by(&self, subject: Option<&Name>) -> Result<Vec<Account>> {
        let Some(subject) = subject else { return Ok(Vec::new()) };
        let mut found = self.store().holders(&Identity::Dn(subject.clone()))?;
        if let Some(text) = subject::common_name(subject) {
            if let Ok(label) = text.parse::<Label>() {
                found.extend(self.store().account(&label)?);
            }
            for kind in ["fqdn", "ip", "email"] {
                if let Ok(identity) = format!("{kind}:{text}").parse::<Identity>() {
                    found.extend(self.store().holders(&identity)?);
                }
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.dedup_by(|a, b| a.name == b.name);
        // Beside the common name may stand what the profile takes for the device's own, and nothing else.
        let profiles = self.profiles();
        found.retain(|account| {
            let profile = profiles.named(&account.profile);
            profile.is_some_and(|profile| subject::names(account, profile, subject))
        });
        Ok(found)
    }
}

/// Whether a certificate says that its holder is a registration authority.
fn is_registrars(record: &CertificateRecord) -> bool {
    let certificate = x509_cert::Certificate::from_der(&record.certificate).ok();
    let usage = certificate.and_then(|read| read.tbs_certificate.get::<ExtendedKeyUsage>().ok()?);
    usage.is_some_and(|(_, usage)| usage.0.contains(&oid::CMC_RA))
}

/// Whether a certificate is that of a CA; one that cannot be read may be.
fn is_cas(record: &CertificateRecord) -> bool {
    Facts::of(&record.certificate).map_or(true, |facts| facts.is_ca)
}
