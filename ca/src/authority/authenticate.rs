//! Who asks: by a shared secret, or by a certificate that this authority issued.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use zeroize::Zeroizing;

use super::Authority;
use crate::signed::certificate::Facts;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::key::public::SubjectPublicKey;
use crate::record::{Account, AccountSecret, CertificateRecord, Reason, Serial};
use crate::authority::request::{Credential, Requester};

/// When wrong secrets from one address lock a reference for that address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockSettings {
    /// How many in a row lock it; 0 for none.
    pub after: u32,
    /// How long the first lock lasts; each further one twice as long as the one before, up to a day.
    pub first: Duration,
}

impl Default for LockSettings {
    /// None: nobody guesses 160 random bits, and whoever saw a reference could lock its peer out.
    fn default() -> Self {
        Self { after: 0, first: Duration::from_secs(60) }
    }
}

/// The longest lock.
const LONGEST_LOCK: Duration = Duration::from_secs(24 * 3600);

/// The longest reference that is looked up, in bytes.
const MAX_REFERENCE: usize = 128;

/// For how many pairs of reference and address wrong secrets are remembered; beyond, those are forgotten that failed longest ago.
const MAX_FAILURES: usize = 4096;

/// Somebody who says that it has the secret of a reference.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The reference.
    pub reference: &'a [u8],
    /// From where, if that is known.
    pub from: Option<IpAddr>,
    /// Whether it goes on with what was begun with the right secret: then no wrong one counts, and nothing is locked.
    pub continues: bool,
}

/// What is tried. It is not shown anywhere.
#[derive(Clone, Copy)]
pub enum Candidate<'a> {
    /// The secret of the reference.
    Secret(&'a [u8]),
    /// There is no such reference, or it is locked: what nobody has, to be worked on as if it were a secret.
    Decoy(&'a [u8]),
}

/// Wrong secrets for references, by who sent them. They are kept in memory only: what strangers do makes no journal grow.
#[derive(Debug, Default)]
pub struct Failures(HashMap<(String, Option<IpAddr>), Failed>);

#[derive(Debug, Clone, Copy)]
struct Failed {
    in_a_row: u32,
    locks: u32,
    until: Option<Timestamp>,
    last: Timestamp,
}

impl Failures {
    /// Until when a reference is locked for an address.
    fn locked_until(
        &self,
        reference: &str,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let failed = self.0.get(&(reference.to_owned(), from))?;
        failed.until.filter(|until| now < *until)
    }

    /// Counts one, and tells how many there are in a row and until when they lock.
    fn count(
        &mut self,
        reference: &str,
        from: Option<IpAddr>,
        now: Timestamp,
        locks: LockSettings,
    ) -> (u32, Option<Timestamp>) {
        let key = (reference.to_owned(), from);
        if self.0.len() >= MAX_FAILURES && !self.0.contains_key(&key) {
            let oldest = self.0.iter().min_by_key(|(_, failed)| failed.last).map(|(key, _)| key);
            if let Some(oldest) = oldest.cloned() {
                self.0.remove(&oldest);
            }
        }
        let none = Failed { in_a_row: 0, locks: 0, until: None, last: now };
        let failed = self.0.entry(key).or_insert(none);
        failed.last = now;
        failed.in_a_row = failed.in_a_row.saturating_add(1);
        let in_a_row = failed.in_a_row;
        if in_a_row < locks.after {
            return (in_a_row, None);
        }
        failed.in_a_row = 0;
        failed.until = Some(now.plus(locks.time(failed.locks)));
        failed.locks = failed.locks.saturating_add(1);
        (in_a_row, failed.until)
    }

    /// Forgets those for a reference.
    fn forget(&mut self, reference: &str) {
        self.0.retain(|(of, _), _| of != reference);
    }
}

impl Authority {
    /// Finds the account of a reference and lets `verify` try its secret. For an unknown reference, or one that is locked for who
    /// asks, it tries a decoy, and the error reads the same: a guesser is not told that the reference exists.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a wrong secret or an unknown reference, `Denied` with [`Denial::Locked`]
    /// while wrong secrets have locked the reference for that address.
    pub fn authenticate_secret(
        &self,
        attempt: Attempt<'_>,
        verify: &mut dyn FnMut(Candidate<'_>) -> bool,
    ) -> Result<Requester> {
        let Attempt { from, continues, .. } = attempt;
        let Some((account, secret)) = self.account_of(attempt.reference)? else {
            self.try_decoy(verify)?;
            return Err(Error::unauthenticated(WRONG_SECRET));
        };
        let (now, reference) = (self.now(), secret.reference.as_str());
        let locks = Some(self.settings.locks).filter(|locks| locks.after > 0 && !continues);
        let until = locks.and_then(|_| locked(&self.failures).locked_until(reference, from, now));
        if let Some(until) = until {
            tracing::warn!(target: crate::REFUSED, account = %account.name, reference, %until, "the reference is locked for this address");
            self.try_decoy(verify)?;
            return Err(Error::denied(Denial::Locked, WRONG_SECRET));
        }
        let clear = self.opener.open(&secret.sealed, reference.as_bytes())?;
        if verify(Candidate::Secret(&clear)) {
            return Ok(Requester::new(account, Credential::Secret));
        }
        tracing::warn!(target: crate::REFUSED, account = %account.name, reference, "wrong secret");
        if let Some(locks) = locks {
            let (in_a_row, until) = locked(&self.failures).count(reference, from, now, locks);
            if let Some(until) = until {
                tracing::warn!(target: crate::REFUSED, account = %account.name, reference, in_a_row, %until, "locked for this address after wrong secrets");
            }
        }
        Err(Error::unauthenticated(WRONG_SECRET))
    }

    /// The work of a secret, with one that nobody has.
    fn try_decoy(&self, verify: &mut dyn FnMut(Candidate<'_>) -> bool) -> Result<()> {
        let mut random = Zeroizing::new([0; 32]);
        self.random(random.as_mut_slice())?;
        drop(self.opener.open(&self.decoy, b"decoy")?);
        let _ = verify(Candidate::Decoy(random.as_slice()));
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
        // A certificate speaks for the account that it was issued to, and never for a later one of that name.
        let account = self.store().holder(&record)?.ok_or_else(|| {
            refused(format!(
                "the account `{}` that the signer's certificate {} was issued to is gone; enrol again with a secret of the \
                 present one",
                record.account, record.serial
            ))
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
}

/// Forgets wrong secrets, once a certificate was issued. A right secret alone does not count: it may stand in a replayed
/// message, and a guesser would dodge the lock with it.
pub fn forget_failures(failures: &Mutex<Failures>, reference: &str) {
    locked(failures).forget(reference);
}

fn locked(failures: &Mutex<Failures>) -> MutexGuard<'_, Failures> {
    failures.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[test]
    fn wrong_secrets_count_by_reference_and_address_and_their_number_has_an_end() {
        let (mut failures, at) = (Failures::default(), Timestamp::from_seconds);
        let locks = LockSettings { after: 2, first: Duration::from_secs(60) };
        let from = |n: u32| Some(IpAddr::from(n.to_be_bytes()));
        assert_eq!(failures.count("a", from(1), at(0), locks), (1, None));
        assert_eq!(failures.count("a", from(2), at(0), locks), (1, None));
        assert_eq!(failures.count("b", from(1), at(0), locks), (1, None));
        assert_eq!(failures.count("a", from(1), at(0), locks), (2, Some(at(60))));
        let locked = |failures: &Failures, of, by, now| failures.locked_until(of, by, at(now));
        assert_eq!(locked(&failures, "a", from(1), 59), Some(at(60)));
        for (of, by, now) in
            [("a", from(1), 60), ("a", from(2), 0), ("a", None, 0), ("b", from(1), 0)]
        {
            assert_eq!(locked(&failures, of, by, now), None, "{of} {by:?} {now}");
        }
        failures.count("a", from(1), at(60), locks);
        assert_eq!(
            failures.count("a", from(1), at(60), locks),
            (2, Some(at(180))),
            "twice as long"
        );
        failures.forget("a");
        assert_eq!(locked(&failures, "a", from(1), 60), None);
        for n in 0..10_000 {
            failures.count("a", from(n), at(i64::from(n)), locks);
        }
        assert_eq!(failures.0.len(), MAX_FAILURES);
        assert!(failures.0.contains_key(&("a".into(), from(9_999))));
        assert!(!failures.0.contains_key(&("b".into(), from(1))), "the oldest are forgotten");
    }
}
