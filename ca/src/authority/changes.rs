//! A signal that the status of certificates changed, for the thread that publishes CRLs.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::record::Label;

/// The CAs whose certificates changed their status since the last [`Changes::wait`].
#[derive(Debug, Default)]
pub struct Changes {
    state: Mutex<State>,
    signal: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pending: BTreeSet<Label>,
    closed: bool,
}

impl Changes {
    /// Records a change of a certificate that `ca` issued, and wakes the waiting thread.
    pub fn note(&self, ca: &Label) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).pending.insert(ca.clone());
        self.signal.notify_all();
    }

    /// Ends every present and future call of [`Self::wait`] at once.
    pub fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.signal.notify_all();
    }

    /// Waits at most `patience` for a change. Returns the CAs with changes since the last call, and clears them; an empty set if there was
    /// no change. `None` after [`Self::close`].
    pub fn wait(&self, patience: Duration) -> Option<BTreeSet<Label>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut state, _) = self
            .signal
            .wait_timeout_while(state, patience, |state| state.pending.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        if state.closed { None } else { Some(std::mem::take(&mut state.pending)) }
    }
}
