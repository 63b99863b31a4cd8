//! Registration authorities (RAs): which accounts are RAs, and for which accounts an RA may ask (RFC 9483 §5.2.3 and
//! §5.3).
//!
//! An account is an RA if its profile and its certificate contain id-kp-cmcRA (RFC 6402 §2.10). An RA may act only for
//! accounts whose issuing CA is also its own. It may not act for another RA, an administrator, or an account with the
//! `cross-certification` permission. The names in the request identify the account: they must be identities of exactly
//! one account.

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
use crate::record::{
    Account, CertificateRecord, Label, OWN_ACCOUNT_PREFIX, Permission, is_administrators_profile,
};
use crate::x509::Facts;

/// The most alternative names that a request of a registration authority may contain.
const MAX_NAMES: usize = 64;

impl Authority {
    /// The requester as a registration authority; `None` if the requester is not one. Its profile and the certificate with which it
    /// proved its identity must both be for registration authorities, so a requester with a shared secret never is one.
    pub fn registrar(&self, requester: &Requester) -> Option<Registrar> {
        let Credential::Certificate(certificate) = requester.credential() else { return None };
        let account = requester.account();
        let is_one = self.is_for_registrars(&account.profile) && is_registrars(certificate);
        is_one.then(|| Registrar::new(account.clone(), certificate.clone()))
    }

    /// The account for which a registration authority asks, found by the names in its request. `None` means that the registration
    /// authority asks for itself. A request without names is for itself, too.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NotAuthorized`](crate::Denial::NotAuthorized) if no account or several accounts hold all
    /// of the names, if there are too many names, or if the registration authority may not act for the account; the error of a name that
    /// cannot be an identity.
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
        // If several accounts hold the names, the subject may identify one of them.
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

    /// The account as a requester for which the registration authority vouches.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NotAuthorized`](crate::Denial::NotAuthorized) if there is no such account, if another CA
    /// issues to it, if it is an RA's or an administrator's, or if it has the `cross-certification` permission.
    pub fn on_behalf_of(&self, registrar: &Registrar, account: &Label) -> Result<Requester> {
        let account = self.store().account(account)?.ok_or_else(|| {
            Error::not_authorized(format!("the account `{account}` does not exist any more"))
        })?;
        account.require_enabled()?;
        if self.is_for_registrars(&account.profile) {
            return Err(Error::not_authorized(format!(
                "the account `{}` is that of a registration authority, which asks for itself",
                account.name
            )));
        }
        // With a certificate of such an account, the registration authority could administer the instance.
        if is_administrators_profile(&account.profile) {
            return Err(Error::not_authorized(format!(
                "the account `{}` is an administrator's, who asks alone; nobody vouches for it",
                account.name
            )));
        }
        // With a certificate of such an account, the registration authority could have a CA of its own certified.
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

    /// Whether the requester is a registration authority that may revoke this certificate. The certificate must be
    /// issued by the registration authority's own CA, with any of its keys. It must not be that of a CA, of a delegate of this instance, of an administrator or
    /// of a registration authority. The peer's account may be removed by then.
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
            && !is_administrators_profile(&record.profile)
            && !is_registrars(record)
            && !is_cas(record);
        let may = issued_by == Some(&own) && is_peers;
        if may {
            tracing::info!(registrar = %registrar.account(), account = %record.account, serial = %record.serial, "revokes for an account");
        }
        Ok(may)
    }

    /// Whether the profile is for registration authorities.
    fn is_for_registrars(&self, profile: &Label) -> bool {
        self.profiles().named(profile).is_some_and(|profile| profile.is_for_registrars())
    }

    /// The accounts that have every one of these names among their identities; none if there are no names.
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

    /// The accounts that a subject identifies: by a DN identity, or by a single common name that is an account's name
    /// or one of its identities.
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
        // Beside the common name, the subject may only have attributes that the profile replaces.
        let profiles = self.profiles();
        found.retain(|account| {
            let profile = profiles.named(&account.profile);
            profile.is_some_and(|profile| subject::identifies(account, profile, subject))
        });
        Ok(found)
    }
}

/// Whether the certificate contains id-kp-cmcRA.
fn is_registrars(record: &CertificateRecord) -> bool {
    let certificate = x509_cert::Certificate::from_der(&record.certificate).ok();
    let usage = certificate.and_then(|read| read.tbs_certificate.get::<ExtendedKeyUsage>().ok()?);
    usage.is_some_and(|(_, usage)| usage.0.contains(&oid::CMC_RA))
}

/// Whether the certificate is a CA's. A certificate that cannot be read counts as a CA's, so that it is not revoked by mistake.
fn is_cas(record: &CertificateRecord) -> bool {
    Facts::of(&record.certificate).map_or(true, |facts| facts.is_ca)
}
