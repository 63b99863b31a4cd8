//! The support for SCEP (RFC 8894): its two delegates, the registration authority of a CA, and the account that a request is for.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::appointments::DELEGATE_VALIDITY;
use super::delegate::{Delegate, Role, ScepAppointments};
use super::issuer::Ca;
use super::request::{Credential, Requester};
use super::state::Authority;
use crate::error::{Error, Result};
use crate::key::DecryptionKey;
use crate::name::Identity;
use crate::oid;
use crate::record::approval::{PendingRequest, WaitingRequest};
use crate::record::line::Member;
use crate::record::{Account, Label, Serial};
use crate::x509::Facts;

/// The most names of a request by which its account is looked up.
const MAX_NAMES: usize = 16;

/// The registration authority of a CA for SCEP (RFC 8894 §2.1.2): two delegates with RSA keys.
#[derive(Debug, Clone)]
pub struct ScepDelegates {
    /// The CA that certified the delegates.
    pub ca: Label,
    /// The delegate for which clients encrypt.
    pub encryption: Arc<Delegate>,
    /// The delegate that signs answers.
    pub signature: Arc<Delegate>,
    /// The key of `encryption`, which decrypts.
    pub decryption: Arc<DecryptionKey>,
}

impl Authority {
    /// The delegates for SCEP of an issuing CA; `None` means the default CA. They are those of the CA's newest active key, are made at the
    /// first call, and their certificates are renewed when half of their life has passed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no such issuing CA, its key is elsewhere, it has ended, or a delegate cannot be made.
    pub fn scep_delegates(&self, ca: Option<&Label>) -> Result<ScepDelegates> {
        self.appointed(self.latest(self.issuing_ca(ca)?))
    }

    /// The delegates for SCEP to which a message is encrypted whose recipient has this issuer and serial number (the content octets of the
    /// INTEGER). The certificate may be an earlier one of the same key; clients keep it for long. `None` if it is not that of such a
    /// delegate, or has expired.
    ///
    /// # Errors
    /// As [`Self::scep_delegates`]; the errors of the store.
    pub fn scep_recipient(&self, issuer: &Name, serial: &[u8]) -> Result<Option<ScepDelegates>> {
        let Some(serial) = Serial::from_integer(serial) else { return Ok(None) };
        let Some(name) = self.ca_of(issuer, &serial)? else { return Ok(None) };
        let ca = self.cas.get(&name).filter(|ca| {
            // A stranger's message must not make a delegate.
            !ca.info().is_root && ca.has_delegate(&self.foundation, &Role::SCEP_ENCRYPTION)
        });
        let Some(ca) = ca else { return Ok(None) };
        let delegates = self.appointed(ca)?;
        if Serial::from_integer(delegates.encryption.serial()) == Some(serial) {
            return Ok(Some(delegates));
        }
        let Some(record) = self.store().certificate(&name, &serial)? else { return Ok(None) };
        if record.account.as_str() != Role::SCEP_ENCRYPTION.account {
            return Ok(None);
        }
        let earlier = Facts::of(&record.certificate)?;
        let is_good = earlier.key == *delegates.decryption.public()
            && self.now() <= earlier.not_after
            && record.revocation.is_none();
        Ok(Some(delegates).filter(|_| is_good))
    }

    /// The certificates of the CA that will issue in place of this one once it is activated (`ca activate`), and of those above it, DER,
    /// root last; `None` if no such CA waits. `None` as `ca` means the default CA.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no such issuing CA.
    pub fn waiting_chain(&self, ca: Option<&Label>) -> Result<Option<&[Vec<u8>]>> {
        let latest = self.latest(self.issuing_ca(ca)?);
        let next = self
            .cas
            .values()
            .find(|next| next.predecessor() == Some(&latest.info().name) && next.waits());
        Ok(next.map(Ca::chain))
    }

    /// The reference of the secret that belongs to a request with these names: that of the one account which has a secret and the subject's
    /// common name for its name, or one of these names for an identity. `None` if there is no such account, or more than one.
    ///
    /// # Errors
    /// The errors of the store.
    pub fn reference_for(
        &self,
        subject: Option<&Name>,
        alt_names: &[GeneralName],
    ) -> Result<Option<String>> {
        let mut found: BTreeMap<Label, String> = BTreeMap::new();
        let mut add = |account: Account| {
            if let Some(secret) = account.secret {
                found.insert(account.name, secret.reference);
            }
        };
        let identities = alt_names.iter().take(MAX_NAMES);
        let mut identities: Vec<Identity> =
            identities.filter_map(|name| Identity::from_general_name(name).ok()).collect();
        if let Some(name) = subject.and_then(common_name) {
            if let Ok(label) = name.parse::<Label>() {
                self.store().account(&label)?.into_iter().for_each(&mut add);
            }
            identities.extend(format!("fqdn:{name}").parse::<Identity>().ok());
        }
        for identity in &identities {
            self.store().holders(identity)?.into_iter().for_each(&mut add);
        }
        let mut found = found.into_values();
        Ok(found.next().filter(|_| found.next().is_none()))
    }

    /// The requester of a waiting request that was made with a secret. The caller has verified that the peer is the one that made the
    /// request: in SCEP a poll has no secret, and is signed with the same key as the request.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NotAuthorized`](crate::Denial::NotAuthorized) if the account is gone, or the request replaces a certificate: then that certificate
    /// authenticates the poll.
    pub fn requester_of(&self, waiting: &WaitingRequest) -> Result<Requester> {
        let PendingRequest { transaction, incarnation, request } = &waiting.pending;
        if request.updates.is_some() {
            return Err(Error::not_authorized(
                "the request is signed with the certificate that it replaces, and so must be the poll",
            ));
        }
        let account = self.store().account(&transaction.account)?;
        // The store finds no request of an earlier account of the name, and need not tell the incarnation.
        let account = account
            .filter(|account| incarnation.is_none_or(|recorded| recorded == account.incarnation));
        let account = account.ok_or_else(|| {
            Error::not_authorized(format!(
                "the account `{}` of the request is gone; enrol again with a secret of the present one",
                transaction.account
            ))
        })?;
        Ok(Requester::new(account, Credential::Secret))
    }

    /// The delegates of this CA, made or renewed if that is due.
    fn appointed(&self, ca: &Ca) -> Result<ScepDelegates> {
        if !ca.info().can_sign {
            return Err(Error::unavailable(format!(
                "the key of the CA `{}` is elsewhere; nothing here answers for it",
                ca.info().name
            )));
        }
        let now = self.now();
        let mut state = ca.scep.lock().unwrap_or_else(PoisonError::into_inner);
        let ScepAppointments { encryption, signature, decryption } = &mut *state;
        for (appointment, role) in
            [(&mut *encryption, &Role::SCEP_ENCRYPTION), (&mut *signature, &Role::SCEP_SIGNATURE)]
        {
            self.renew(ca, appointment, role, DELEGATE_VALIDITY, now);
        }
        let encryption = encryption.at(now, &ca.info().name)?;
        let signature = signature.at(now, &ca.info().name)?;
        let key = match decryption.take().filter(|key| *key.public() == encryption.facts.key) {
            Some(key) => key,
            None => Arc::new(DecryptionKey::new(&encryption.key, self.entropy())?),
        };
        *decryption = Some(Arc::clone(&key));
        Ok(ScepDelegates { ca: ca.info().name.clone(), encryption, signature, decryption: key })
    }
}

/// The text of the last commonName in a name.
fn common_name(name: &Name) -> Option<&str> {
    let attributes = name.0.iter().rev().flat_map(|rdn| rdn.0.iter());
    let mut values = attributes.filter(|attribute| attribute.oid == oid::COMMON_NAME);
    std::str::from_utf8(values.next()?.value.value()).ok()
}
