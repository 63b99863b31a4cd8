//! The state that all connections of the directory share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::limits::Limits;
use super::search::Apart;
use super::snapshot::Snapshot;
use super::tls::Tls;
use crate::slots::ConnectionSlots;

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Counts {
    connections: AtomicU64,
    searches: AtomicU64,
    refused: AtomicU64,
}

impl Counts {
    /// The number of connections that got a slot.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// The number of search requests.
    pub fn searches(&self) -> u64 {
        self.searches.load(Ordering::Relaxed)
    }

    /// The number of connections that were refused or ended by the server: there were too many, or the client sent something malformed.
    pub fn turned_away(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn searched(&self) {
        self.searches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// The state that all connections of the directory share.
pub(super) struct Shared {
    /// The limits of clients and their requests.
    pub limits: Limits,
    /// The entries outside the tree: the root DSE and the subschema.
    pub apart: Apart,
    /// The TLS of LDAPS and StartTLS; `None` without a certificate.
    pub tls: Option<Tls>,
    /// The entries. An update replaces the snapshot as a whole.
    pub snapshot: RwLock<Arc<Snapshot>>,
    /// The counters for status and metrics.
    pub counts: Counts,
    /// The slots of the connections.
    pub slots: Arc<ConnectionSlots>,
}

impl Shared {
    /// The present entries.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }
}
