//! The parts of an open store that the writer thread shares with the readers.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

use super::index::Index;
use super::position::Position;

/// The shared parts of an open store.
pub struct Shared {
    /// The index.
    pub index: Index,
    /// The journal, for reading.
    pub journal: File,
    durable: RwLock<Position>,
    counts: Mutex<Counts>,
    /// The number of durable entries, for readers that wait for more.
    recorded: Mutex<u64>,
    signal: Condvar,
}

/// The groups and entries that the writer thread has committed since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// The number of groups. Each took one `fdatasync`, unless [`super::EmbeddedOptions::sync`] is off.
    pub groups: u64,
    /// The number of entries in these groups.
    pub entries: u64,
}

impl Shared {
    /// The shared parts of a store whose journal is durable up to `position`.
    pub fn new(index: Index, journal: File, position: Position) -> Self {
        Self {
            index,
            journal,
            recorded: Mutex::new(position.sequence),
            durable: RwLock::new(position),
            counts: Mutex::new(Counts::default()),
            signal: Condvar::new(),
        }
    }

    /// The position up to which the journal is durable and the index complete.
    pub fn position(&self) -> Position {
        self.durable.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The groups and entries that were committed since the store was opened.
    pub fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves on to a new position after a group of `entries` entries, and wakes the readers that wait for entries.
    pub fn advance(&self, position: Position, entries: u64) {
        let recorded = position.sequence;
        *self.durable.write().unwrap_or_else(PoisonError::into_inner) = position;
        *self.recorded.lock().unwrap_or_else(PoisonError::into_inner) = recorded;
        self.signal.notify_all();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.groups += 1;
        counts.entries += entries;
    }

    /// Waits at most `patience` for an entry after the sequence number, or until `stop` is true and [`Self::wake`] was called. Returns
    /// whether there is such an entry.
    pub fn wait_beyond(&self, sequence: u64, patience: Duration, stop: &AtomicBool) -> bool {
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let (recorded, _) = self
            .signal
            .wait_timeout_while(recorded, patience, |recorded| {
                *recorded <= sequence && !stop.load(Ordering::Relaxed)
            })
            .unwrap_or_else(PoisonError::into_inner);
        *recorded > sequence
    }

    /// Wakes every waiting reader, to look at its `stop`.
    pub fn wake(&self) {
        // Under the lock, so that no waiter is between reading its `stop` and waiting: it would miss the signal.
        let _recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        self.signal.notify_all();
    }
}
