//! A bounded cache of signed answers by CertID. Answers that were not used recently are dropped first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use countersign_ca::Timestamp;
use countersign_ca::authority::CertificateStatus;
use countersign_ca::record::{Label, Serial};

use super::answer::Freshness;

/// An answer about one certificate, without a nonce.
pub struct CachedAnswer {
    /// The CA of the certificate.
    pub ca: Label,
    /// The serial number of the certificate.
    pub serial: Serial,
    /// The OCSPResponse, DER.
    pub der: Bytes,
    /// The times of the answer, and its hash.
    pub freshness: Freshness,
    /// The status of the certificate that the answer gives.
    pub status: CertificateStatus,
    /// Whether the answer was used since it was signed and since the cache last made room.
    used: AtomicBool,
}

impl CachedAnswer {
    /// An answer that was not used yet.
    pub const fn new(
        ca: Label,
        serial: Serial,
        status: CertificateStatus,
        der: Bytes,
        freshness: Freshness,
    ) -> Self {
        Self { ca, serial, der, freshness, status, used: AtomicBool::new(false) }
    }

    /// Whether the fraction `1 / divisor` of the time from its signature to nextUpdate is over. It is also true if the clock is earlier
    /// than the signature.
    fn is_past(&self, divisor: u32, now: Timestamp) -> bool {
        let Freshness { signed, next_update, .. } = self.freshness;
        let life = next_update.since(signed);
        now < signed || now >= signed.plus(life.checked_div(divisor).unwrap_or(life))
    }
}

/// Cached answers by the DER of their CertID.
pub struct Cache {
    most: usize,
    answers: RwLock<HashMap<Box<[u8]>, Arc<CachedAnswer>>>,
}

impl Cache {
    /// A cache with room for `most` answers; 0 caches none.
    pub fn new(most: usize) -> Self {
        Self { most, answers: RwLock::default() }
    }

    /// The answer to this CertID (DER). `None` if there is none, or half of its validity is over. The caller must check that the status
    /// is still the same.
    pub fn find(&self, cert_id: &[u8], now: Timestamp) -> Option<Arc<CachedAnswer>> {
        let answers = self.answers.read().unwrap_or_else(PoisonError::into_inner);
        let kept = answers.get(cert_id).filter(|kept| !kept.is_past(2, now))?;
        kept.used.store(true, Ordering::Relaxed);
        Some(Arc::clone(kept))
    }

    /// Adds an answer to this CertID (DER), or replaces the old one. If the cache is full, others are dropped.
    pub fn keep(&self, cert_id: &[u8], kept: CachedAnswer) {
        if self.most == 0 {
            return;
        }
        let mut answers = self.answers.write().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= self.most && !answers.contains_key(cert_id) {
            make_room(&mut answers, self.most, |kept| kept.used.swap(false, Ordering::Relaxed));
        }
        answers.insert(cert_id.into(), Arc::new(kept));
    }

    /// Drops all answers about the certificates of one CA.
    pub fn forget(&self, ca: &Label) {
        let mut answers = self.answers.write().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, kept| kept.ca != *ca);
    }

    /// The answers that are in use and must be renewed, because a quarter of their validity is over. Unused answers are dropped when half
    /// of it is over.
    pub fn due(&self, now: Timestamp) -> Vec<(Box<[u8]>, Arc<CachedAnswer>)> {
        let mut answers = self.answers.write().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, kept| kept.used.load(Ordering::Relaxed) || !kept.is_past(2, now));
        answers
            .iter()
            .filter(|(_, kept)| kept.used.load(Ordering::Relaxed) && kept.is_past(4, now))
            .map(|(cert_id, kept)| (cert_id.clone(), Arc::clone(kept)))
            .collect()
    }
}

/// Frees at least an eighth of a map that may have `most` values, so that the cost is spread over as many new ones. `take_used` says whether
/// a value was used since the last time, and forgets it: those values stay until the next time.
pub fn make_room<V>(
    values: &mut HashMap<Box<[u8]>, V>,
    most: usize,
    take_used: impl Fn(&V) -> bool,
) {
    let target = most.saturating_sub((most / 8).max(1));
    values.retain(|_, value| take_used(value));
    let mut surplus = values.len().saturating_sub(target);
    values.retain(|_, _| {
        let stays = surplus == 0;
        surplus = surplus.saturating_sub(1);
        stays
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second)
    }

    /// Valid from 1000 to 2000.
    fn kept(number: u8) -> CachedAnswer {
        let freshness = Freshness {
            this_update: at(940),
            signed: at(1000),
            next_update: at(2000),
            sha256: [number; 32],
        };
        CachedAnswer::new(
            "issuing".parse().unwrap(),
            Serial::new([number; 16]).unwrap(),
            CertificateStatus::Good,
            Bytes::from(vec![number]),
            freshness,
        )
    }

    #[test]
    fn an_answer_is_found_for_half_its_validity() {
        let cache = Cache::new(10);
        cache.keep(&[1], kept(1));
        for (second, found) in [(999, false), (1000, true), (1499, true), (1500, false)] {
            assert_eq!(cache.find(&[1], at(second)).is_some(), found, "{second}");
        }
        assert!(cache.find(&[2], at(1000)).is_none());
        cache.keep(&[1], kept(3));
        assert_eq!(cache.find(&[1], at(1000)).unwrap().der, [3][..]);
    }

    #[test]
    fn what_is_asked_for_is_signed_ahead_and_the_rest_is_dropped() {
        let cache = Cache::new(10);
        cache.keep(&[1], kept(1));
        cache.keep(&[2], kept(2));
        cache.find(&[1], at(1100)).unwrap();
        assert!(cache.due(at(1249)).is_empty());
        let due = cache.due(at(1250));
        assert_eq!(due.iter().map(|(cert_id, _)| &cert_id[..]).collect::<Vec<_>>(), [[1]]);
        // Signed anew, it must be asked for again to be signed ahead once more.
        cache.keep(&[1], kept(1));
        assert!(cache.due(at(1499)).is_empty());
        assert!(cache.due(at(1500)).is_empty());
        assert!(cache.answers.read().unwrap().is_empty());
    }

    #[test]
    fn there_is_never_more_than_the_room_and_what_is_used_stays() {
        let cache = Cache::new(16);
        cache.keep(&[0], kept(1));
        for number in 1..=200 {
            cache.find(&[0], at(1000)).expect("what is asked for all the time");
            cache.keep(&[number], kept(number));
            let answers = cache.answers.read().unwrap();
            assert!(answers.len() <= 16 && answers.contains_key(&[number][..]));
        }
        cache.forget(&"other".parse().unwrap());
        assert!(cache.find(&[200], at(1000)).is_some());
        cache.forget(&"issuing".parse().unwrap());
        assert!(cache.find(&[200], at(1000)).is_none());
        let none = Cache::new(0);
        none.keep(&[1], kept(1));
        assert!(none.find(&[1], at(1000)).is_none());
        let one = Cache::new(1);
        for number in 1..=3 {
            one.keep(&[number], kept(number));
            assert_eq!(one.answers.read().unwrap().len(), 1);
        }
    }
}
