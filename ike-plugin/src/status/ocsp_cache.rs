//! A cache of OCSP answers by certificate. Worker threads renew them before they expire, so that a decision does not wait for the network.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_ca::clock::Clock;

use super::ocsp::{OcspAnswer, read, request};
use super::refreshed::{Change, MIN_REFRESH, Refreshed, Slot, Slots, Source};
use countersign_ca::path::Certificate;

/// The most certificates of which answers are cached.
const MAX_CERTIFICATES: usize = 10_000;
/// The most responders that are asked about one certificate.
const MAX_RESPONDERS: usize = 4;
/// A certificate that no decision was about for this long is forgotten when its answer is due.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// If the cache is full, a certificate that no decision was about for this long makes room for another one.
const IDLE: Duration = Duration::from_secs(60);

/// Sends requests to OCSP responders, within bounds of size and time.
pub trait Ask: Send + Sync {
    /// Sends a request in DER to the responder at a URL, and returns the response, which should be DER, too.
    ///
    /// # Errors
    /// No response comes; the text gives the reason.
    fn ask(&self, url: &str, request: &[u8]) -> Result<Vec<u8>, String>;
}

/// The cache of OCSP answers by certificate.
pub struct OcspCache {
    answers: Refreshed<Responders>,
}

/// The SHA-256 over a certificate and over its issuer's certificate.
type Key = ([u8; 32], [u8; 32]);

/// The client of the responders, the clock, and the longest time between two successful requests about a certificate.
struct Responders {
    ask: Box<dyn Ask>,
    clock: Arc<dyn Clock>,
    refresh: Duration,
}

/// The OCSP question about a certificate, and its responders.
#[derive(Clone)]
struct Inquiry {
    certificate: Arc<Certificate>,
    issuer: Arc<Certificate>,
    urls: Vec<String>,
}

/// The cached status of a certificate.
struct CachedStatus {
    inquiry: Inquiry,
    answer: Option<Arc<OcspAnswer>>,
    /// Whether a decision was made without an answer since the last one came.
    is_missed: bool,
}

impl OcspCache {
    /// A cache that asks by `ask`. It renews the answer about a certificate after `refresh` at the latest.
    ///
    /// # Errors
    /// A thread cannot be made.
    pub fn start(
        refresh: Duration,
        ask: Box<dyn Ask>,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        Ok(Self { answers: Refreshed::start(Responders { ask, clock, refresh })? })
    }

    /// The answer of these responders about a certificate. For a certificate that was not asked about before, it waits for the first
    /// answer, until `deadline` at most. `urls` count at the first call only, and at most four of them, as long as the certificate is
    /// cached.
    ///
    /// # Errors
    /// There is no answer; the text gives the reason.
    pub fn status(
        &self,
        certificate: &Arc<Certificate>,
        issuer: &Arc<Certificate>,
        urls: &[String],
        deadline: Instant,
    ) -> Result<Arc<OcspAnswer>, String> {
        let key = (*certificate.fingerprint(), *issuer.fingerprint());
        let urls = urls.iter().take(MAX_RESPONDERS).cloned().collect();
        let inquiry =
            Inquiry { certificate: Arc::clone(certificate), issuer: Arc::clone(issuer), urls };
        let mut slots = self.answers.lock();
        want(&mut slots, key, inquiry);
        self.answers.notify();
        loop {
            let (now, is_stopping) = (self.answers.source().clock.now(), slots.is_stopping());
            let Some(slot) = slots.by_key.get_mut(&key) else {
                return Err(format!(
                    "{MAX_CERTIFICATES} certificates are asked about; no more are taken"
                ));
            };
            let counts = |answer: &&Arc<OcspAnswer>| now < answer.until || answer.is_for_good();
            if let Some(answer) = slot.value.answer.as_ref().filter(counts) {
                return Ok(Arc::clone(answer));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if slot.is_tried() || left.is_zero() || is_stopping {
                slot.value.is_missed = true;
                return Err(slot.error().unwrap_or("no responder answered in time").to_owned());
            }
            slots = self.answers.wait(slots, left);
        }
    }

    /// A number that rises whenever a status changes, and when "revoked" arrives after a decision was made without an answer.
    pub fn generation(&self) -> u64 {
        self.answers.generation()
    }

    /// Makes the worker threads renew all answers at once. It does not wait for them.
    pub fn ask_now(&self) {
        self.answers.refresh_now();
    }
}

fn want(slots: &mut Slots<Responders>, key: Key, inquiry: Inquiry) {
    let now = Instant::now();
    let slots = &mut slots.by_key;
    if let Some(slot) = slots.get_mut(&key) {
        slot.asked = now;
        return;
    }
    if slots.len() >= MAX_CERTIFICATES {
        slots.retain(|_, slot| slot.is_busy() || now.saturating_duration_since(slot.asked) < IDLE);
    }
    if slots.len() < MAX_CERTIFICATES {
        slots.insert(key, Slot::new(CachedStatus { inquiry, answer: None, is_missed: false }));
    }
}

impl Source for Responders {
    type Key = Key;
    type Value = CachedStatus;
    type Job = Inquiry;
    type Fetched = OcspAnswer;

    const THREAD: &'static str = "ocsp";

    fn job(&self, known: &CachedStatus) -> Inquiry {
        known.inquiry.clone()
    }

    /// Asks one responder after the other, until one gives an answer that can be accepted.
    fn fetch(&self, _: &Key, inquiry: &Inquiry) -> Result<OcspAnswer, String> {
        let request = request(&inquiry.certificate, &inquiry.issuer)?;
        let mut errors = Vec::new();
        for url in &inquiry.urls {
            let answer = self.ask.ask(url, &request).and_then(|octets| {
                read(&octets, &inquiry.certificate, &inquiry.issuer, self.clock.now())
            });
            match answer {
                Ok(answer) => return Ok(answer),
                Err(why) => errors.push(format!("`{}`: {why}", url.escape_debug())),
            }
        }
        Err(errors.join("; "))
    }

    fn take(
        &self,
        _: &Key,
        slot: &mut Slot<CachedStatus>,
        answer: Result<OcspAnswer, String>,
    ) -> Change {
        // A responder that falls behind, or an attacker who replays its old answers, must not undo newer knowledge.
        let answer = answer.and_then(|answer| match &slot.value.answer {
            Some(old) if answer.this_update < old.this_update => Err(format!(
                "what came is of {}, older than the answer of before, which stays",
                answer.this_update
            )),
            _ => Ok(answer),
        });
        match answer {
            Ok(answer) => {
                slot.succeeded(self.pause(&answer));
                let known = &mut slot.value;
                // A first answer changes nothing for the decisions that waited for it. Others may have let a peer in by a CRL.
                let is_late = std::mem::take(&mut known.is_missed) && answer.revoked.is_some();
                let is_other =
                    known.answer.as_ref().is_some_and(|old| old.revoked != answer.revoked);
                known.answer = Some(Arc::new(answer));
                if is_late || is_other { Change::New } else { Change::Same }
            }
            Err(why) => {
                let certificate = slot.value.inquiry.certificate.shown();
                tracing::warn!(%certificate, "no OCSP response: {why}");
                slot.failed(|_| why);
                Change::Same
            }
        }
    }

    fn is_forgotten(&self, slot: &Slot<CachedStatus>) -> bool {
        slot.asked.elapsed() >= FORGOTTEN
    }
}

impl Responders {
    /// The pause until the next request: half of the time that is left of an answer, but at least `MIN_REFRESH`, and at most `refresh`.
    fn pause(&self, answer: &OcspAnswer) -> Duration {
        let left = answer.until.seconds().saturating_sub(self.clock.now().seconds());
        let half = Duration::from_secs(u64::try_from(left / 2).unwrap_or(0));
        half.min(self.refresh).max(MIN_REFRESH)
    }
}
