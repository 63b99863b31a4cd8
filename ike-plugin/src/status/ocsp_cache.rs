//! Answers of OCSP responders by certificate, asked for ahead of their end, so that a decision does not wait for the network.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use countersign_ca::clock::Clock;

use super::ocsp::{OcspAnswer, read, request};
use super::checker::{BROKEN, unbroken};
use crate::path::Certificate;

/// The most certificates of which answers are kept.
const MAX_KEPT: usize = 10_000;
/// The most responders that are asked about one certificate.
const MAX_RESPONDERS: usize = 4;
/// Certificates that are asked about at once: a silent responder holds up one of them.
const WORKERS: usize = 4;
/// A responder that failed is asked again after this, then after twice as long, and so on.
const RETRY: Duration = Duration::from_secs(10);
/// The longest time between two attempts.
const MAX_RETRY: Duration = Duration::from_secs(600);
/// The shortest time between two questions about a certificate.
const MIN_REFRESH: Duration = Duration::from_secs(2);
/// A certificate that nobody wanted to know of for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// Asks a responder, within bounds of size and time.
pub trait Ask: Send + Sync {
    /// The response to a request, DER.
    ///
    /// # Errors
    /// In words, why there is none.
    fn ask(&self, url: &str, request: &[u8]) -> Result<Vec<u8>, String>;
}

/// Answers by certificate.
pub struct OcspCache {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    generation: AtomicU64,
    ask: Box<dyn Ask>,
    clock: Arc<dyn Clock>,
    refresh: Duration,
}

/// A certificate and its issuer, by SHA-256.
type Key = ([u8; 32], [u8; 32]);

#[derive(Default)]
struct State {
    slots: HashMap<Key, Slot>,
    stop: bool,
}

/// What is asked about a certificate, and whom.
#[derive(Clone)]
struct Wanted {
    certificate: Arc<Certificate>,
    issuer: Arc<Certificate>,
    urls: Vec<String>,
}

struct Slot {
    wanted: Wanted,
    answer: Option<Arc<OcspAnswer>>,
    error: Option<String>,
    failures: u32,
    due: Instant,
    tried: bool,
    busy: bool,
    /// Whether somebody was told that there is no answer, and decided without one.
    missed: bool,
    asked: Instant,
}

impl OcspCache {
    /// A cache that asks by `ask`, each certificate at least every `refresh`.
    ///
    /// # Errors
    /// A thread cannot be made.
    pub fn start(
        refresh: Duration,
        ask: Box<dyn Ask>,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            generation: AtomicU64::new(0),
            ask,
            clock,
            refresh,
        });
        for _ in 0..WORKERS {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("ocsp".into())
                .spawn(move || while unbroken(|| shared.work()).is_none() {})?;
        }
        Ok(Self { shared })
    }

    /// What these responders say of a certificate. It waits for the first answer until `deadline`.
    ///
    /// # Errors
    /// In words, why there is no answer.
    pub fn status(
        &self,
        certificate: &Arc<Certificate>,
        issuer: &Arc<Certificate>,
        urls: &[String],
        deadline: Instant,
    ) -> Result<Arc<OcspAnswer>, String> {
        let key = (*certificate.fingerprint(), *issuer.fingerprint());
        let urls = urls.iter().take(MAX_RESPONDERS).cloned().collect();
        let wanted =
            Wanted { certificate: Arc::clone(certificate), issuer: Arc::clone(issuer), urls };
        let mut state = self.shared.lock();
        want(&mut state, key, wanted);
        self.shared.changed.notify_all();
        loop {
            let (now, stop) = (self.shared.clock.now(), state.stop);
            let Some(slot) = state.slots.get_mut(&key) else {
                return Err(format!("{MAX_KEPT} certificates are asked about; no more are taken"));
            };
            let counts = |answer: &&Arc<OcspAnswer>| now < answer.until || answer.is_for_good();
            if let Some(answer) = slot.answer.as_ref().filter(counts) {
                return Ok(Arc::clone(answer));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if slot.tried || left.is_zero() || stop {
                slot.missed = true;
                let late = || "no responder answered in time".to_owned();
                return Err(slot.error.clone().unwrap_or_else(late));
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// A number that rises when an answer came that says something else than the one before, or "revoked" too late for somebody.
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// Has all asked anew.
    pub fn ask_now(&self) {
        let now = Instant::now();
        self.shared.lock().slots.values_mut().for_each(|slot| slot.due = now);
        self.shared.changed.notify_all();
    }
}

impl Drop for OcspCache {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
    }
}

fn want(state: &mut State, key: Key, wanted: Wanted) {
    let now = Instant::now();
    if let Some(slot) = state.slots.get_mut(&key) {
        slot.asked = now;
        return;
    }
    if state.slots.len() >= MAX_KEPT {
        state.slots.retain(|_, slot| {
            slot.busy || now.saturating_duration_since(slot.asked) < FORGOTTEN / 60
        });
    }
    if state.slots.len() < MAX_KEPT {
        let slot = Slot {
            wanted,
            answer: None,
            error: None,
            failures: 0,
            due: now,
            tried: false,
            busy: false,
            missed: false,
            asked: now,
        };
        state.slots.insert(key, slot);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        while !state.stop {
            let now = Instant::now();
            state.slots.retain(|_, slot| {
                slot.busy || slot.due > now || now.saturating_duration_since(slot.asked) < FORGOTTEN
            });
            let next = state
                .slots
                .iter_mut()
                .filter(|(_, slot)| !slot.busy)
                .min_by_key(|(_, slot)| slot.due);
            match next {
                Some((key, slot)) if slot.due <= now => {
                    slot.busy = true;
                    let (key, wanted) = (*key, slot.wanted.clone());
                    drop(state);
                    let answer = unbroken(|| self.ask(&wanted));
                    let answer = answer.unwrap_or_else(|| Err(BROKEN.into()));
                    state = self.lock();
                    self.take(&mut state, key, answer);
                    self.changed.notify_all();
                }
                next => {
                    let wait = next.map_or(Duration::from_secs(3600), |(_, slot)| {
                        slot.due.saturating_duration_since(now)
                    });
                    state = self
                        .changed
                        .wait_timeout(state, wait)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
            }
        }
    }

    /// The first responder that says something that can be believed.
    fn ask(&self, wanted: &Wanted) -> Result<OcspAnswer, String> {
        let request = request(&wanted.certificate, &wanted.issuer)?;
        let mut errors = Vec::new();
        for url in &wanted.urls {
            let answer = self.ask.ask(url, &request).and_then(|octets| {
                read(&octets, &wanted.certificate, &wanted.issuer, self.clock.now())
            });
            match answer {
                Ok(answer) => return Ok(answer),
                Err(why) => errors.push(format!("`{}`: {why}", url.escape_debug())),
            }
        }
        Err(errors.join("; "))
    }

    fn take(&self, state: &mut State, key: Key, answer: Result<OcspAnswer, String>) {
        let Some(slot) = state.slots.get_mut(&key) else { return };
        (slot.busy, slot.tried) = (false, true);
        // A responder that falls behind, or somebody who replays what it said, must not undo what is known.
        let answer = answer.and_then(|answer| match &slot.answer {
            Some(old) if answer.this_update < old.this_update => Err(format!(
                "what came is of {}, older than the answer of before, which stays",
                answer.this_update
            )),
            _ => Ok(answer),
        });
        match answer {
            Ok(answer) => {
                (slot.error, slot.failures) = (None, 0);
                slot.due = Instant::now() + self.pause(&answer);
                // A first answer changes nothing for those who waited for it; others may have let somebody in by a CRL.
                let missed = std::mem::take(&mut slot.missed) && answer.revoked.is_some();
                if missed || slot.answer.as_ref().is_some_and(|old| old.revoked != answer.revoked) {
                    self.generation.fetch_add(1, Ordering::AcqRel);
                }
                slot.answer = Some(Arc::new(answer));
            }
            Err(why) => {
                let wait = RETRY.saturating_mul(1 << slot.failures.min(6)).min(MAX_RETRY);
                slot.failures = slot.failures.saturating_add(1);
                slot.due = Instant::now() + wait;
                tracing::warn!(certificate = %slot.wanted.certificate.shown(), "no OCSP response: {why}");
                slot.error = Some(why);
            }
        }
    }

    /// Half of what is left of an answer, within bounds.
    fn pause(&self, answer: &OcspAnswer) -> Duration {
        let left = answer.until.seconds().saturating_sub(self.clock.now().seconds());
        let half = Duration::from_secs(u64::try_from(left / 2).unwrap_or(0));
        half.min(self.refresh).max(MIN_REFRESH)
    }
}
