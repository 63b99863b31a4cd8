//! Counts wrong shared secrets, and locks a reference after several.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::settings::LockSettings;
use crate::clock::Timestamp;

/// The longest time for which a reference is locked at once.
const LONGEST_LOCK: Duration = Duration::from_secs(24 * 3600);

/// The most pairs of reference and address whose wrong secrets are counted. Beyond that, the pair whose last failure is
/// oldest is forgotten.
const MAX_FAILURES: usize = 4096;

/// The number of wrong secrets for each pair of a reference and the address that sent them (`None` if it is not known). They are kept in
/// memory only, so that unauthenticated clients cannot make the journal grow.
#[derive(Debug, Default)]
pub struct Failures(HashMap<(String, Option<IpAddr>), Failed>);

#[derive(Debug, Clone, Copy)]
struct Failed {
    /// The number of wrong secrets since the last lock.
    in_a_row: u32,
    /// The number of locks so far.
    locks: u32,
    /// The end of the last lock; `None` if there was none.
    until: Option<Timestamp>,
    /// The time of the last wrong secret.
    last: Timestamp,
}

impl Failures {
    /// The end of the lock of a reference for an address, if it is locked.
    pub(super) fn locked_until(
        &self,
        reference: &str,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let failed = self.0.get(&(reference.to_owned(), from))?;
        failed.until.filter(|until| now < *until)
    }

    /// Counts a wrong secret from an address. Returns the number of wrong secrets since the last lock, this one included, and the end of
    /// the lock if this one locks the reference.
    pub(super) fn count(
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

    /// Forgets the wrong secrets and the locks of a reference, for every address.
    fn forget(&mut self, reference: &str) {
        self.0.retain(|(of, _), _| of != reference);
    }
}

impl LockSettings {
    /// The duration of a lock after `locks_before` earlier ones: that of the first one, doubled each time, at most [`LONGEST_LOCK`].
    fn time(&self, locks_before: u32) -> Duration {
        let times = 1_u32.checked_shl(locks_before).unwrap_or(u32::MAX);
        self.first.saturating_mul(times).min(LONGEST_LOCK)
    }
}

/// Forgets the wrong secrets and the locks of a reference, after a certificate was issued with its secret. A message with the right secret
/// alone must not reset the count: it may be a replay, by which a guesser could evade the lock.
pub(super) fn forget_failures(failures: &Mutex<Failures>, reference: &str) {
    locked(failures).forget(reference);
}

/// Acquires the mutex of the counts.
pub(super) fn locked(failures: &Mutex<Failures>) -> MutexGuard<'_, Failures> {
    failures.lock().unwrap_or_else(PoisonError::into_inner)
}

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
