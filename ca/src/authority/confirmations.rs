//! Keeps a certificate from being confirmed and revoked as unconfirmed at the same moment. Nobody waits: a confirmation that comes while
//! its certificate is revoked is too late, and a certificate that is being confirmed is not overdue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::record::CertificateId;

/// The certificates that are being confirmed, and the unconfirmed ones that are being revoked. There is at most one more than the
/// messages that are being worked on.
#[derive(Debug, Default)]
pub(super) struct Confirmations(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How many confirmations of each certificate are being recorded: a peer may send its confirmation twice.
    confirming: BTreeMap<CertificateId, usize>,
    revoking: BTreeSet<CertificateId>,
}

/// While this exists, its certificate is not revoked as unconfirmed.
pub(super) struct Confirming {
    confirmations: Arc<Confirmations>,
    id: CertificateId,
}

/// While this exists, its certificate cannot be confirmed.
pub(super) struct Revoking<'a> {
    confirmations: &'a Confirmations,
    id: &'a CertificateId,
}

impl Confirmations {
    /// Begins to confirm a certificate; `None` while it is revoked as unconfirmed.
    pub(super) fn confirm(self: &Arc<Self>, id: &CertificateId) -> Option<Confirming> {
        let mut state = self.lock();
        if state.revoking.contains(id) {
            return None;
        }
        let count = state.confirming.entry(id.clone()).or_default();
        *count = count.saturating_add(1);
        drop(state);
        Some(Confirming { confirmations: Arc::clone(self), id: id.clone() })
    }

    /// Begins to revoke a certificate as unconfirmed; `None` while it is confirmed.
    pub(super) fn revoke<'a>(&'a self, id: &'a CertificateId) -> Option<Revoking<'a>> {
        let mut state = self.lock();
        if state.confirming.contains_key(id) {
            return None;
        }
        state.revoking.insert(id.clone());
        drop(state);
        Some(Revoking { confirmations: self, id })
    }

    /// Locks the state. A panic elsewhere leaves both collections complete, so that the lock may be taken afterwards.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Confirming {
    fn drop(&mut self) {
        let mut state = self.confirmations.lock();
        match state.confirming.get_mut(&self.id) {
            Some(count) if *count > 1 => *count = count.saturating_sub(1),
            _ => drop(state.confirming.remove(&self.id)),
        }
    }
}

impl Drop for Revoking<'_> {
    fn drop(&mut self) {
        self.confirmations.lock().revoking.remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Serial;

    #[test]
    fn a_certificate_is_confirmed_or_revoked_and_never_both_at_once() {
        let confirmations = Arc::new(Confirmations::default());
        let id = |n| CertificateId::new("ca".parse().unwrap(), Serial::new([n; 16]).unwrap());
        let (one, other) = (id(1), id(2));
        let first = confirmations.confirm(&one).unwrap();
        let second = confirmations.confirm(&one).unwrap();
        assert!(confirmations.revoke(&one).is_none());
        drop(first);
        assert!(confirmations.revoke(&one).is_none(), "the second is still recorded");
        let revoking = confirmations.revoke(&other).unwrap();
        assert!(confirmations.confirm(&other).is_none());
        drop((second, revoking));
        assert!(confirmations.revoke(&one).is_some());
        assert!(confirmations.confirm(&other).is_some());
        let state = confirmations.lock();
        assert!(state.confirming.is_empty() && state.revoking.is_empty());
    }
}
