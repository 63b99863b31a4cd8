//! What is remembered of the certificates that sign messages, so that a peer's next message need not have its certificate parsed and read
//! from the journal again.
//!
//! INVARIANT: only what never changes is remembered: the parsed octets, and the record of a confirmed certificate without its revocation.
//! The revocation and the account are read for each message.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::hash::sha256;
use crate::record::CertificateRecord;
use crate::x509::Facts;

/// The most certificates that are remembered. For one more, the first one is forgotten. One takes some 4 KiB.
const MOST: usize = 1024;

/// Certificates of this authority that signed messages.
#[derive(Default)]
pub(super) struct Signers(Mutex<State>);

/// A certificate that signed a message.
pub(super) struct Signer {
    /// The fields of the certificate.
    pub(super) facts: Arc<Facts>,
    /// Its record, which says that it is confirmed and not revoked.
    pub(super) record: CertificateRecord,
}

#[derive(Default)]
struct State {
    /// By the hash of their DER.
    known: HashMap<[u8; 32], Arc<Signer>>,
    /// The first one that was remembered comes first.
    order: VecDeque<[u8; 32]>,
}

impl Signers {
    /// What is remembered of a certificate, DER; `None` if nothing is.
    pub(super) fn find(&self, certificate: &[u8]) -> Option<Arc<Signer>> {
        let found = self.lock().known.get(&sha256(certificate)).map(Arc::clone);
        found.filter(|signer| signer.record.certificate == certificate)
    }

    /// Remembers a certificate that signed a message, if nothing about it can change but its revocation.
    pub(super) fn remember(&self, facts: &Facts, record: &CertificateRecord) {
        if !record.confirmed || record.withheld || record.revocation.is_some() {
            return;
        }
        let hash = sha256(&record.certificate);
        let signer = Signer { facts: Arc::new(facts.clone()), record: record.clone() };
        let mut state = self.lock();
        if state.known.insert(hash, Arc::new(signer)).is_some() {
            return;
        }
        state.order.push_back(hash);
        if state.order.len() > MOST
            && let Some(first) = state.order.pop_front()
        {
            state.known.remove(&first);
        }
    }

    /// A panic elsewhere leaves the state complete, so that the lock may be taken after one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
