//! A cache of OCSP answers by certificate. Worker threads renew them before they expire, so that a decision does not wait for the network.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_ca::Timestamp;
use countersign_ca::clock::Clock;

use super::ocsp::{OcspAnswer, OcspQuestion};
use super::refreshed::{Change, MIN_REFRESH, Refreshed, Slot, Slots, Source};
use countersign_ca::path::Certificate;

/// The most certificates of which answers are cached.
const MAX_CERTIFICATES: usize = 10_000;
/// The most responders that are asked about one certificate.
const MAX_RESPONDERS: usize = 4;
/// A certificate that no decision was about for this long is forgotten when its answer is due.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// If the cache is full, a certificate makes room for another one if no decision was about it for this long.
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
    question: Arc<OcspQuestion>,
    urls: Arc<[String]>,
}

/// The cached status of a certificate.
struct CachedStatus {
    inquiry: Inquiry,
    /// The certificate's subject, for the log.
    shown: Box<str>,
    answer: Option<Arc<OcspAnswer>>,
    /// Whether a decision was made without an answer since the last answer came.
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

    /// The answer of these responders about a certificate. For a certificate that was not asked about before, the call waits for the
    /// first answer, until `deadline` at most. At most four of the `urls` count. If they differ from those of the previous call, and
    /// there is no answer that counts, the certificate is asked about again.
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
        let urls = urls.get(..MAX_RESPONDERS).unwrap_or(urls);
        let mut slots = self.answers.lock();
        let new = || CachedStatus::new(certificate, issuer, urls);
        self.answers.source().want(&mut slots, key, urls, new)?;
        self.answers.notify();
        loop {
            let (now, is_stopping) = (self.answers.source().clock.now(), slots.is_stopping());
            let Some(slot) = slots.by_key.get_mut(&key) else {
                return Err(format!(
                    "{MAX_CERTIFICATES} certificates are asked about; no more are taken"
                ));
            };
            if let Some(answer) = slot.value.counting(now) {
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

impl CachedStatus {
    fn new(
        certificate: &Certificate,
        issuer: &Arc<Certificate>,
        urls: &[String],
    ) -> Result<Self, String> {
        let question = Arc::new(OcspQuestion::of(certificate, issuer)?);
        let inquiry = Inquiry { question, urls: urls.into() };
        Ok(Self { inquiry, shown: certificate.shown().into(), answer: None, is_missed: false })
    }

    /// The answer, if it still counts at this time.
    fn counting(&self, now: Timestamp) -> Option<&Arc<OcspAnswer>> {
        self.answer.as_ref().filter(|answer| now < answer.until || answer.is_for_good())
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
        let request = inquiry.question.request()?;
        let mut errors = Vec::new();
        for url in inquiry.urls.iter() {
            let answer = self.ask.ask(url, &request);
            let answer = answer.and_then(|octets| inquiry.question.read(&octets, self.clock.now()));
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
                let is_same = slot.value.answer.as_deref() == Some(&answer);
                match self.pause(&answer) {
                    None if is_same => slot.unrenewed(self.refresh),
                    pause => slot.succeeded(pause.unwrap_or(MIN_REFRESH)),
                }
                let known = &mut slot.value;
                // A first answer changes nothing for the decisions that waited for it. Others may have let a peer in by a CRL.
                let is_late = std::mem::take(&mut known.is_missed) && answer.revoked.is_some();
                let is_other =
                    known.answer.as_ref().is_some_and(|old| old.revoked != answer.revoked);
                known.answer = Some(Arc::new(answer));
                if is_late || is_other { Change::New } else { Change::Same }
            }
            Err(why) => {
                tracing::warn!(certificate = %slot.value.shown, "no OCSP response: {why}");
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
    /// Notes that a decision is about a certificate, and which responders it names. `new` makes the value of one that is not cached.
    fn want(
        &self,
        slots: &mut Slots<Self>,
        key: Key,
        urls: &[String],
        new: impl FnOnce() -> Result<CachedStatus, String>,
    ) -> Result<(), String> {
        let now = Instant::now();
        let slots = &mut slots.by_key;
        if let Some(slot) = slots.get_mut(&key) {
            slot.asked = now;
            // A request that is under way has the old responders; the next decision comes back to this.
            if *slot.value.inquiry.urls != *urls && !slot.is_busy() {
                slot.value.inquiry.urls = urls.into();
                if slot.value.counting(self.clock.now()).is_none() {
                    slot.renew();
                }
            }
            return Ok(());
        }
        if slots.len() >= MAX_CERTIFICATES {
            slots.retain(|_, slot| {
                slot.is_busy() || now.saturating_duration_since(slot.asked) < IDLE
            });
        }
        if slots.len() < MAX_CERTIFICATES {
            slots.insert(key, Slot::new(new()?));
        }
        Ok(())
    }

    /// The pause until the next request: half of the time that is left of an answer, but at least `MIN_REFRESH`, and at most `refresh`. `None`
    /// if no time is left, as for an old answer about a revoked certificate.
    fn pause(&self, answer: &OcspAnswer) -> Option<Duration> {
        let left = answer.until.since(self.clock.now());
        (!left.is_zero()).then(|| (left / 2).min(self.refresh).max(MIN_REFRESH))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use countersign_ca::SystemClock;
    use rcgen::{CertificateParams, KeyPair};
    use x509_cert::ext::pkix::CrlReason;

    use super::*;

    /// Answers nothing, and remembers who was asked.
    #[derive(Clone, Default)]
    struct Silent(Arc<Mutex<Vec<String>>>);

    impl Ask for Silent {
        fn ask(&self, url: &str, _: &[u8]) -> Result<Vec<u8>, String> {
            self.0.lock().unwrap().push(url.to_owned());
            Err("nothing is here".into())
        }
    }

    fn certificate() -> Arc<Certificate> {
        let params = CertificateParams::new(vec!["gw.example".to_owned()]).unwrap();
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Arc::new(Certificate::from_der(made.der().to_vec()).unwrap())
    }

    #[test]
    fn other_responders_are_asked_instead_of_those_that_gave_no_answer() {
        let silent = Silent::default();
        let (hour, clock) = (Duration::from_secs(3600), Arc::new(SystemClock));
        let cache = OcspCache::start(hour, Box::new(silent.clone()), clock).unwrap();
        let certificate = certificate();
        let ask = |url: &str| {
            let deadline = Instant::now() + Duration::from_secs(60);
            cache.status(&certificate, &certificate, &[url.to_owned()], deadline).unwrap_err()
        };
        assert!(ask("http://one.example/").contains("one.example"));
        // The same ones are not asked again at once.
        assert!(ask("http://one.example/").contains("one.example"));
        assert!(ask("http://two.example/").contains("two.example"));
        assert_eq!(*silent.0.lock().unwrap(), ["http://one.example/", "http://two.example/"]);
    }

    /// The answer counts for ever. The responder must not be asked for another every two seconds.
    #[test]
    fn an_old_revocation_is_asked_about_ever_later_but_within_a_minute() {
        let source = Responders {
            ask: Box::new(Silent::default()),
            clock: Arc::new(SystemClock),
            refresh: Duration::from_secs(3600),
        };
        let (certificate, issuer) = (certificate(), certificate());
        let key = (*certificate.fingerprint(), *issuer.fingerprint());
        let mut slot = Slot::new(CachedStatus::new(&certificate, &issuer, &[]).unwrap());
        let old = Timestamp::from_seconds(1_700_000_000);
        let revoked = Some((old, CrlReason::KeyCompromise));
        let answer = OcspAnswer { revoked, this_update: old, until: old };
        let mut pauses = Vec::new();
        for _ in 0..9 {
            source.take(&key, &mut slot, Ok(answer.clone()));
            pauses.push(slot.pause().as_secs_f64().ceil() as u64);
        }
        assert_eq!(pauses, [2, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
