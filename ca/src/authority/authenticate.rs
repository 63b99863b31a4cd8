//! Who asks: by a shared secret, or by a certificate that this authority issued.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use zeroize::Zeroizing;

use super::Authority;
use crate::certificate::Facts;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::public_key::SubjectPublicKey;
use crate::record::{Account, AccountSecret, CertificateRecord, Reason, Serial};
use crate::request::{Credential, Requester};

/// When wrong secrets lock a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockSettings {
    /// How many in a row lock it; 0 for none.
    pub after: u32,
    /// How long the first lock lasts; each further one twice as long as the one before, up to a day.
    pub first: Duration,
}

impl Default for LockSettings {
    fn default() -> Self {
        Self { after: 3, first: Duration::from_secs(60) }
    }
}

/// The longest lock.
const LONGEST_LOCK: Duration = Duration::from_secs(24 * 3600);

/// The longest reference that is looked up, in bytes.
const MAX_REFERENCE: usize = 128;

/// Wrong secrets in a row for one reference. Kept in memory: only a lock is worth an entry in the journal, so that a
/// stranger's guesses do not make it grow faster than the locks allow.
#[derive(Debug, Default, Clone, Copy)]
pub struct Failures {
    in_a_row: u32,
}

impl Authority {
    /// Finds the account of a reference and lets `verify` try its secret. An unknown or locked reference gets a random
    /// secret, so that it takes as long, and reads the same: a guesser does not learn that the reference exists.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a wrong secret or an unknown reference, `Denied` with [`Denial::Locked`]
    /// while wrong secrets have locked the reference.
    pub fn authenticate_secret(
        &self,
        reference: &[u8],
        verify: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<Requester> {
        let Some((account, secret)) = self.account_of(reference)? else {
            self.try_decoy(verify)?;
            return Err(Error::unauthenticated(WRONG_SECRET));
        };
        let now = self.now();
        if let Some(until) = secret.locked_until.filter(|until| now < *until) {
            tracing::warn!(target: crate::REFUSED, account = %account.name, reference = secret.reference, %until, "the reference is locked");
            self.try_decoy(verify)?;
            return Err(Error::denied(Denial::Locked, WRONG_SECRET));
        }
        let clear = self.opener.open(&secret.sealed, secret.reference.as_bytes())?;
        if verify(&clear) {
            return Ok(Requester::new(account, Credential::Secret));
        }
        self.count_failure(&account, &secret, now)?;
        Err(Error::unauthenticated(WRONG_SECRET))
    }

    /// The work of a secret, with one that nobody has.
    fn try_decoy(&self, verify: &mut dyn FnMut(&[u8]) -> bool) -> Result<()> {
        let mut random = Zeroizing::new([0; 32]);
        self.random(random.as_mut_slice())?;
        drop(self.opener.open(&self.decoy, b"decoy")?);
        let _ = verify(random.as_slice());
        Ok(())
    }

    /// Takes a certificate that this authority issued, and lets `verify` check a signature with its key.
    ///
    /// # Errors
    /// `Denied` with [`Denial::SignerNotTrusted`] when the certificate is foreign, altered, expired, not yet valid or
    /// held, or its account is gone, with [`Denial::AlreadyRevoked`] when it is revoked for good; whatever `verify`
    /// says otherwise.
    pub fn authenticate_certificate(
        &self,
        certificate: &[u8],
        verify: &mut dyn FnMut(&SubjectPublicKey) -> Result<()>,
    ) -> Result<Requester> {
        self.authenticate_facts(certificate, &Facts::of(certificate)?, verify)
    }

    /// As [`Self::authenticate_certificate`], for who has read the certificate already: `facts` are those of `certificate`.
    ///
    /// # Errors
    /// As [`Self::authenticate_certificate`].
    pub fn authenticate_facts(
        &self,
        certificate: &[u8],
        facts: &Facts,
        verify: &mut dyn FnMut(&SubjectPublicKey) -> Result<()>,
    ) -> Result<Requester> {
        let refused = |why: String| Error::denied(Denial::SignerNotTrusted, why);
        let record = self.own_certificate(certificate, facts)?.ok_or_else(|| {
            refused(format!("the signer's certificate of `{}` was not issued here", facts.subject))
        })?;
        // A cross certificate is recorded as its account's; its key signs certificates, and no messages.
        if facts.is_ca {
            return Err(refused(format!(
                "the signer's certificate {} is a CA's; sign with an end entity's",
                record.serial
            )));
        }
        verify(&facts.key)?;
        let now = self.now();
        if now < facts.not_before || now > facts.not_after {
            return Err(refused(format!(
                "the signer's certificate {} is valid from {} to {}, and it is {now}; enrol again with a secret",
                record.serial, facts.not_before, facts.not_after
            )));
        }
        if let Some(revocation) = &record.revocation {
            let kind = match revocation.reason {
                Reason::CertificateHold => Denial::SignerNotTrusted,
                _ => Denial::AlreadyRevoked,
            };
            return Err(Error::denied(
                kind,
                format!(
                    "the signer's certificate {} was revoked on {} ({})",
                    record.serial, revocation.at, revocation.reason
                ),
            ));
        }
        let account = self.store().account(&record.account)?;
        let account = account.ok_or_else(|| {
            refused(format!("the account `{}` of the signer's certificate is gone", record.account))
        })?;
        Ok(Requester::new(account, Credential::Certificate(Box::new(record))))
    }

    fn account_of(&self, reference: &[u8]) -> Result<Option<(Account, AccountSecret)>> {
        let reference =
            std::str::from_utf8(reference).ok().filter(|text| text.len() <= MAX_REFERENCE);
        let Some(reference) = reference else { return Ok(None) };
        let mut account = self.store().account_by_reference(reference)?;
        // RFC 9483 §3.1 has the senderKID be the commonName of the sender; some clients write its type there, too.
        if account.is_none()
            && let Some(name) = reference.strip_prefix("CN=")
        {
            account = self.store().account_by_reference(name)?;
        }
        Ok(account.and_then(|account| account.secret.clone().map(|secret| (account, secret))))
    }

    fn own_certificate(
        &self,
        certificate: &[u8],
        facts: &Facts,
    ) -> Result<Option<CertificateRecord>> {
        let Some(serial) = Serial::from_integer(&facts.serial) else { return Ok(None) };
        let Some(ca) = self.ca_of(&facts.issuer, &serial)? else { return Ok(None) };
        let record = self.store().certificate(&ca, &serial)?;
        Ok(record.filter(|record| record.certificate == certificate))
    }

    fn count_failure(
        &self,
        account: &Account,
        secret: &AccountSecret,
        now: Timestamp,
    ) -> Result<()> {
        let locks = self.settings.locks;
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(secret.reference.clone()).or_default();
        count.in_a_row = count.in_a_row.saturating_add(1);
        tracing::warn!(target: crate::REFUSED, account = %account.name, reference = secret.reference, in_a_row = count.in_a_row, "wrong secret");
        if locks.after == 0 || count.in_a_row < locks.after {
            return Ok(());
        }
        failures.remove(&secret.reference);
        drop(failures);
        let until = now.plus(locks.time(secret.locks));
        tracing::warn!(target: crate::REFUSED, account = %account.name, reference = secret.reference, %until, "locked after wrong secrets");
        self.store().record_locked(self.now(), &secret.reference, until)
    }
}

/// Forgets wrong secrets, once a certificate was issued. A right secret alone does not count: it may stand in a replayed
/// message, and a guesser would dodge the lock with it.
pub fn forget_failures(failures: &Mutex<HashMap<String, Failures>>, reference: &str) {
    failures.lock().unwrap_or_else(PoisonError::into_inner).remove(reference);
}

impl LockSettings {
    fn time(&self, locks_before: u32) -> Duration {
        let times = 1_u32.checked_shl(locks_before).unwrap_or(u32::MAX);
        self.first.saturating_mul(times).min(LONGEST_LOCK)
    }
}

/// What is said of a wrong secret, an unknown reference and a locked one.
const WRONG_SECRET: &str = "unknown reference or wrong secret";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_grow_to_a_day() {
        let minutes = |locks| LockSettings::default().time(locks).as_secs() / 60;
        assert_eq!(
            [0, 1, 2, 10, 11, 31, 32, u32::MAX].map(minutes),
            [1, 2, 4, 1024, 1440, 1440, 1440, 1440]
        );
    }
}
