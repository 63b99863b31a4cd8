//! Requests that create something, and their repetitions. A client that lost an answer repeats its request with the same
//! `Idempotency-Key`, and gets the same answer, even one with a secret in it. Answers are kept in memory for an hour. A restart forgets
//! them; the repetition then fails, because the object that it would create exists.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use countersign_ca::hash::sha256;

use super::problem::Problem;
use crate::wiped::WipedOctets;

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(3600);

/// The most answers that are kept for one administrator, and for all together. When there are as many, new requests with a key are
/// refused.
const MAX_OF_ONE: usize = 64;
const MAX_OF_ALL: usize = 1024;

/// The most octets of all answers that are kept. An answer that would exceed this is not kept.
const MAX_OCTETS: usize = 16 << 20;

/// The longest key, in bytes.
const MAX_KEY: usize = 255;

/// An answer that is kept, with its status.
#[derive(Clone)]
pub struct Kept {
    /// The status of the answer.
    pub status: StatusCode,
    /// The body, which may have a secret in it.
    pub body: Arc<WipedOctets>,
}

/// A request that was begun with a key.
struct Begun {
    at: Instant,
    /// SHA-256 of the request.
    request: [u8; 32],
    /// The answer; `None` while the request is worked on.
    answer: Option<Kept>,
}

/// The answers to requests that create something.
#[derive(Default)]
pub struct Repeats(Mutex<HashMap<(String, String), Begun>>);

/// A request that was begun, and whose answer is awaited. If it is dropped without one, the key is free again.
pub struct Turn {
    repeats: Arc<Repeats>,
    key: (String, String),
}

impl Repeats {
    /// Begins an administrator's request with an Idempotency-Key, or finds the answer that the request got before.
    ///
    /// # Errors
    /// 400 for an empty or too long key, 409 while the first such request is worked on, 422 if the key was used for another request, 503
    /// if there are too many keys.
    pub fn begin(
        self: &Arc<Self>,
        who: &str,
        key: &str,
        request: &[u8],
    ) -> Result<Result<Turn, Kept>, Problem> {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(Problem::malformed(format!(
                "expected an Idempotency-Key of 1 to {MAX_KEY} bytes, found {}",
                key.len()
            )));
        }
        let request = sha256(request);
        let key = (who.to_owned(), key.to_owned());
        self.forget_old();
        let mut known = self.known();
        let own = known.keys().filter(|(of, _)| of == who).count();
        let is_full = known.len() >= MAX_OF_ALL || own >= MAX_OF_ONE;
        match known.entry(key.clone()) {
            Entry::Occupied(entry) if entry.get().request != request => Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "the Idempotency-Key was used for another request; take a new one",
            )),
            Entry::Occupied(entry) => match &entry.get().answer {
                Some(answer) => Ok(Err(answer.clone())),
                None => Err(Problem::new(
                    StatusCode::CONFLICT,
                    "a request with this Idempotency-Key is worked on; repeat it later",
                )),
            },
            Entry::Vacant(_) if is_full => Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many requests with an Idempotency-Key within an hour",
            )),
            Entry::Vacant(entry) => {
                entry.insert(Begun { at: Instant::now(), request, answer: None });
                Ok(Ok(Turn { repeats: Arc::clone(self), key }))
            }
        }
    }

    /// Forgets the answers that are older than an hour. The server calls this every second or so.
    pub fn forget_old(&self) {
        self.known().retain(|_, begun| begun.at.elapsed() < KEPT);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(String, String), Begun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Keeps the answer to the request. An answer that is too large is not kept: the repetition is then a request of its own.
    pub fn keep(self, answer: &Kept) {
        // `self` is dropped after `known`, so that its lock is free by then.
        let mut known = self.repeats.known();
        let kept = known.values().filter_map(|begun| begun.answer.as_ref());
        let octets: usize = kept.map(|answer| answer.body.len()).sum();
        if octets.saturating_add(answer.body.len()) > MAX_OCTETS {
            return;
        }
        if let Some(begun) = known.get_mut(&self.key) {
            begun.answer = Some(answer.clone());
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut known = self.repeats.known();
        if known.get(&self.key).is_some_and(|begun| begun.answer.is_none()) {
            known.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str) -> Kept {
        let body = WipedOctets::json(&text.into()).unwrap();
        Kept { status: StatusCode::CREATED, body: Arc::new(body) }
    }

    #[test]
    fn the_same_request_gets_the_same_answer_and_another_none() {
        let repeats = Arc::new(Repeats::default());
        let begin = |key: &str, request: &[u8]| repeats.begin("alice", key, request);
        let turn = begin("k", b"one").unwrap().ok().unwrap();
        assert_eq!(begin("k", b"one").err().unwrap().status, StatusCode::CONFLICT);
        turn.keep(&kept("first"));
        let again = begin("k", b"one").unwrap().err().unwrap();
        assert_eq!(&**again.body, b"\"first\"");
        assert_eq!(begin("k", b"two").err().unwrap().status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(repeats.begin("bob", "k", b"two").unwrap().is_ok());
        // One administrator cannot take all the room.
        for number in 0..MAX_OF_ONE {
            let Ok(Ok(turn)) = begin(&number.to_string(), b"one") else { break };
            turn.keep(&kept("x"));
        }
        assert_eq!(begin("more", b"").err().unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(repeats.begin("carol", "k", b"").unwrap().is_ok());
        let repeats = Arc::new(Repeats::default());
        let begin = |key: &str, request: &[u8]| repeats.begin("alice", key, request);
        // A request that failed has no answer to repeat.
        drop(begin("failed", b"one").unwrap());
        assert!(begin("failed", b"two").unwrap().is_ok());
        for bad in ["", &"k".repeat(256)] {
            assert_eq!(begin(bad, b"").err().unwrap().status, StatusCode::BAD_REQUEST);
        }
    }
}
