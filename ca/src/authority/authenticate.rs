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

/// How many wrong secrets in a row lock a reference.
const TRIES: u32 = 3;

/// The first lock lasts this long, and each further one twice as long as the one before, up to [`LONGEST_LOCK`].
const FIRST_LOCK: Duration = Duration::from_secs(60);

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
    /// Finds the account of a reference and lets `verify` try its secret. An unknown reference gets a random secret,
    /// so that it takes as long and gives the same error.
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
            let mut random = Zeroizing::new([0; 32]);
            self.random(random.as_mut_slice())?;
            drop(self.opener.open(&self.decoy, b"decoy")?);
            let _ = verify(random.as_slice());
            return Err(wrong_secret());
        };
        let now = self.now();
        if let Some(until) = secret.locked_until.filter(|until| now < *until) {
            tracing::warn!(account = %account.name, reference = secret.reference, %until, "the reference is locked");
            return Err(Error::denied(
                Denial::Locked,
                "this reference is locked after wrong secrets; wait, or ask the administrator for a new secret",
            ));
        }
        let clear = self.opener.open(&secret.sealed, secret.reference.as_bytes())?;
        if verify(&clear) {
            return Ok(Requester::new(account, Credential::Secret));
        }
        self.count_failure(&account, &secret, now)?;
        Err(wrong_secret())
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
        let account = self.store().account_by_reference(reference)?;
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
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(secret.reference.clone()).or_default();
        count.in_a_row = count.in_a_row.saturating_add(1);
        tracing::warn!(account = %account.name, reference = secret.reference, in_a_row = count.in_a_row, "wrong secret");
        if count.in_a_row < TRIES {
            return Ok(());
        }
        failures.remove(&secret.reference);
        drop(failures);
        let until = now.plus(lock_time(secret.locks));
        tracing::warn!(account = %account.name, reference = secret.reference, %until, "locked after wrong secrets");
        self.store().record_locked(now, &secret.reference, until)
    }
}

/// Forgets wrong secrets, once a certificate was issued. A right secret alone does not count: it may stand in a replayed
/// message, and a guesser would dodge the lock with it.
pub fn forget_failures(failures: &Mutex<HashMap<String, Failures>>, reference: &str) {
    failures.lock().unwrap_or_else(PoisonError::into_inner).remove(reference);
}

fn lock_time(locks_before: u32) -> Duration {
    FIRST_LOCK.saturating_mul(1_u32.checked_shl(locks_before).unwrap_or(u32::MAX)).min(LONGEST_LOCK)
}

fn wrong_secret() -> Error {
    Error::unauthenticated("unknown reference or wrong secret")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_grow_to_a_day() {
        let minutes = |locks| lock_time(locks).as_secs() / 60;
        assert_eq!(
            [0, 1, 2, 10, 11, 31, 32, u32::MAX].map(minutes),
            [1, 2, 4, 1024, 1440, 1440, 1440, 1440]
        );
    }
}
