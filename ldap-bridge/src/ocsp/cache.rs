//! Answers that were signed before they were asked for, by CertID. Bounded: the ones that nobody asks for leave first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use countersign_ca::Timestamp;
use countersign_ca::authority::CertificateStatus;
use countersign_ca::record::{Label, Serial};

use super::Freshness;

/// An answer about one certificate, without a nonce.
pub struct Kept {
    pub ca: Label,
    pub serial: Serial,
    pub der: Bytes,
    pub freshness: Freshness,
    status: CertificateStatus,
    /// Whether somebody asked for it since it was signed or since room was made the last time.
    used: AtomicBool,
}

impl Kept {
    pub const fn new(
        ca: Label,
        serial: Serial,
        status: CertificateStatus,
        der: Bytes,
        freshness: Freshness,
    ) -> Self {
        Self { ca, serial, der, freshness, status, used: AtomicBool::new(false) }
    }

    /// Whether a part of its validity is over, in fractions of `1 / divisor`, or the clock is before it.
    fn is_past(&self, divisor: u32, now: Timestamp) -> bool {
        let Freshness { this_update, next_update, .. } = self.freshness;
        let life = next_update.since(this_update);
        now < this_update || now >= this_update.plus(life.checked_div(divisor).unwrap_or(life))
    }
}

/// The kept answers by the DER of their CertID.
pub struct Cache {
    most: usize,
    answers: RwLock<HashMap<Box<[u8]>, Arc<Kept>>>,
}

impl Cache {
    /// Room for `most` answers.
    pub fn new(most: usize) -> Self {
        Self { most, answers: RwLock::default() }
    }

    /// The answer to this CertID, if it says `status` and half its validity is still to come.
    pub fn find(
        &self,
        cert_id: &[u8],
        status: &CertificateStatus,
        now: Timestamp,
    ) -> Option<Arc<Kept>> {
        let answers = self.answers.read().unwrap_or_else(PoisonError::into_inner);
        let kept = answers.get(cert_id)?;
        if kept.status != *status || kept.is_past(2, now) {
            return None;
        }
        kept.used.store(true, Ordering::Relaxed);
        Some(Arc::clone(kept))
    }

    /// Keeps an answer in the place of the one before.
    pub fn keep(&self, cert_id: &[u8], kept: Kept) {
        if self.most == 0 {
            return;
        }
        let mut answers = self.answers.write().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= self.most && !answers.contains_key(cert_id) {
            make_room(&mut answers, self.most);
        }
        answers.insert(cert_id.into(), Arc::new(kept));
    }

    /// The answers that somebody asked for and of whose validity a quarter is over. Stale ones that nobody asked for are
    /// dropped.
    pub fn due(&self, now: Timestamp) -> Vec<(Box<[u8]>, Arc<Kept>)> {
        let mut answers = self.answers.write().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, kept| kept.used.load(Ordering::Relaxed) || !kept.is_past(2, now));
        answers
            .iter()
            .filter(|(_, kept)| kept.used.load(Ordering::Relaxed) && kept.is_past(4, now))
            .map(|(cert_id, kept)| (cert_id.clone(), Arc::clone(kept)))
            .collect()
    }
}

/// Leaves at least an eighth of the room free, so that the cost of a sweep is spread over as many new answers.
fn make_room(answers: &mut HashMap<Box<[u8]>, Arc<Kept>>, most: usize) {
    let target = most.saturating_sub((most / 8).max(1));
    // Who was asked for since the last sweep gets a second chance.
    answers.retain(|_, kept| kept.used.swap(false, Ordering::Relaxed));
    let mut surplus = answers.len().saturating_sub(target);
    answers.retain(|_, _| {
        let stays = surplus == 0;
        surplus = surplus.saturating_sub(1);
        stays
    });
}
