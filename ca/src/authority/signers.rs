//! Remembers the certificates that signed messages, so that a peer's next message need not have its certificate parsed and read from the
//! journal again.
//!
//! INVARIANT: only what never changes is remembered, but for names: the parsed octets, and the record of a confirmed certificate without its
//! revocation. The revocation and the account are read for each message. The names of the account and of the registration authority in the
//! record become outdated by a rename. An account counts as the holder only if its incarnation is the remembered one, too, so that an outdated
//! name leads to nobody; then the record is read, and remembered, again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::hash::sha256;
use crate::record::CertificateRecord;
use crate::x509::Facts;

/// The most certificates that are remembered. If one more is, the first one is forgotten. Each takes some 4 KiB.
const MOST: usize = 1024;

/// Certificates of this authority that signed messages.
#[derive(Default)]
pub(super) struct Signers(Mutex<State>);

/// A certificate that signed a message.
pub(super) struct Signer {
    /// The fields of the certificate.
    pub(super) facts: Arc<Facts>,
    /// The record of the certificate, which says that the certificate is confirmed and not revoked.
    pub(super) record: CertificateRecord,
}

#[derive(Default)]
struct State {
    /// The remembered signers, by the hash of their certificate's DER.
    known: HashMap<[u8; 32], Arc<Signer>>,
    /// The hashes of the remembered certificates, in the order in which they were remembered.
    order: VecDeque<[u8; 32]>,
}

impl Signers {
    /// The remembered fields and record of a certificate (DER); `None` if it is not remembered.
    pub(super) fn find(&self, certificate: &[u8]) -> Option<Arc<Signer>> {
        let found = self.lock().known.get(&sha256(certificate)).map(Arc::clone);
        found.filter(|signer| signer.record.certificate == certificate)
    }

    /// Remembers a certificate that signed a message, in place of an earlier record of it, if nothing about it can change but its revocation
    /// and the names in it.
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

    /// Locks the state. A panic elsewhere leaves it complete, so that the lock may be taken afterwards.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
