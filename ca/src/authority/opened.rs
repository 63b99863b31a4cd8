//! Opened secrets of accounts, kept for a minute, so that the messages of one enrolment pay for one key agreement (ADR 21).
//!
//! What is kept is what opening the same box would give: a secret is found only together with the very box that the account has now.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

/// How long a secret is kept after it was opened.
const KEPT: Duration = Duration::from_secs(60);

/// The most secrets that are kept. If one more is opened, the secret that was opened first is wiped.
const MOST: usize = 1024;

/// The secrets with which peers authenticated in the last minute.
#[derive(Default)]
pub(super) struct OpenedSecrets(Mutex<State>);

/// The reference of a secret, and the address that used it. A kept secret is used only for this address. Otherwise other addresses could
/// learn from the time of an answer whether the reference exists.
#[derive(Clone, PartialEq, Eq, Hash)]
struct User {
    reference: String,
    from: Option<IpAddr>,
}

struct Opened {
    sealed: Vec<u8>,
    secret: Arc<Zeroizing<Vec<u8>>>,
    at: Instant,
}

#[derive(Default)]
struct State {
    opened: HashMap<User, Opened>,
    /// The users in `opened`, in the order in which their secrets were kept, the oldest first. A user occurs once for each time.
    order: VecDeque<(Instant, User)>,
}

impl OpenedSecrets {
    /// The secret in a box; `None` if it is not kept for this reference and address.
    pub(super) fn find(
        &self,
        reference: &str,
        from: Option<IpAddr>,
        sealed: &[u8],
        now: Instant,
    ) -> Option<Arc<Zeroizing<Vec<u8>>>> {
        let user = User { reference: reference.to_owned(), from };
        let state = self.lock();
        let opened = state.opened.get(&user)?;
        let is_fresh = now.saturating_duration_since(opened.at) < KEPT;
        (is_fresh && opened.sealed == sealed).then(|| Arc::clone(&opened.secret))
    }

    /// Keeps a secret that authenticated the peer.
    pub(super) fn keep(
        &self,
        reference: &str,
        from: Option<IpAddr>,
        sealed: &[u8],
        secret: Arc<Zeroizing<Vec<u8>>>,
        now: Instant,
    ) {
        let user = User { reference: reference.to_owned(), from };
        let mut state = self.lock();
        state.forget_old(now);
        while state.order.len() >= MOST {
            state.forget_first();
        }
        state.order.push_back((now, user.clone()));
        state.opened.insert(user, Opened { sealed: sealed.to_vec(), secret, at: now });
    }

    /// Wipes the secrets that were kept for a minute.
    pub(super) fn forget_old(&self, now: Instant) {
        self.lock().forget_old(now);
    }

    /// Locks the state. A panic elsewhere leaves it complete, so that the lock may be taken afterwards.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget_old(&mut self, now: Instant) {
        let is_old = |at: Instant| now.saturating_duration_since(at) >= KEPT;
        while self.order.front().is_some_and(|(at, _)| is_old(*at)) {
            self.forget_first();
        }
    }

    /// Forgets the secret that was kept first, unless its user has a newer one.
    fn forget_first(&mut self) {
        let Some((at, user)) = self.order.pop_front() else { return };
        if self.opened.get(&user).is_some_and(|opened| opened.at == at) {
            self.opened.remove(&user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &[u8]) -> Arc<Zeroizing<Vec<u8>>> {
        Arc::new(Zeroizing::new(text.to_vec()))
    }

    fn from(n: u32) -> Option<IpAddr> {
        Some(IpAddr::from(n.to_be_bytes()))
    }

    #[test]
    fn a_secret_is_found_for_its_box_its_user_and_a_minute_only() {
        let (secrets, now) = (OpenedSecrets::default(), Instant::now());
        let found = |reference, address, sealed: &[u8], at| {
            secrets.find(reference, address, sealed, at).map(|secret| secret.to_vec())
        };
        secrets.keep("gw1", from(1), b"box", secret(b"s"), now);
        let last = now + KEPT - Duration::from_nanos(1);
        assert_eq!(found("gw1", from(1), b"box", last), Some(b"s".to_vec()));
        for (reference, address, sealed, at) in [
            ("gw2", from(1), &b"box"[..], now),
            ("gw1", from(2), b"box", now),
            ("gw1", None, b"box", now),
            ("gw1", from(1), b"another", now),
            ("gw1", from(1), b"box", now + KEPT),
        ] {
            assert_eq!(found(reference, address, sealed, at), None, "{reference} {address:?}");
        }
        // A new secret of the account has another box.
        secrets.keep("gw1", from(1), b"another", secret(b"t"), last);
        assert_eq!(found("gw1", from(1), b"box", last), None);
        assert_eq!(found("gw1", from(1), b"another", now + KEPT), Some(b"t".to_vec()));
    }

    #[test]
    fn what_is_old_is_dropped_and_with_it_wiped() {
        let (secrets, now) = (OpenedSecrets::default(), Instant::now());
        let (first, second) = (secret(b"s"), secret(b"t"));
        secrets.keep("gw1", None, b"box", Arc::clone(&first), now);
        secrets.keep("gw2", None, b"box", Arc::clone(&second), now + KEPT / 2);
        secrets.forget_old(now + KEPT);
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (1, 2));
        secrets.forget_old(now + KEPT * 2);
        assert_eq!(Arc::strong_count(&second), 1);
        let state = secrets.lock();
        assert!(state.opened.is_empty() && state.order.is_empty());
    }

    #[test]
    fn there_are_never_more_than_that() {
        let (secrets, now) = (OpenedSecrets::default(), Instant::now());
        for n in 0..10_000 {
            secrets.keep("gw1", from(n % 3_000), b"box", secret(b"s"), now);
        }
        let state = secrets.lock();
        assert!(state.opened.len() <= MOST && state.order.len() <= MOST);
    }
}
