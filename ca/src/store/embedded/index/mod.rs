//! The index: small keys and journal offsets, in an embedded database and in memory.
//!
//! INVARIANT: the index is a pure function of the journal. So it may be deleted at any time, and is rebuilt.
//!
//! Changes gather in memory, and go to the database some thousand keys at a time: one atomic batch, together with the
//! position in the journal that they lead to. On start, the journal is replayed from that position. Gathering spares
//! most of the work, as the same few values grow with every certificate.
//!
//! The database is not relied on. A sum over all keys and values is stored with the position, so that an index that
//! lost something is noticed on opening and rebuilt. And once a write failed, as on a full disk, the database fails to
//! read every page that it has not in memory: then the whole index is built in memory from the journal, and the
//! database is left alone until the next start.

pub mod changes;
mod database;
mod reached;
mod serials;
mod sum;
mod tables;
#[cfg(test)]
mod tests;
mod transactions;

pub use database::wait_until_released;
pub use serials::MAX_OFFSET;
pub use sum::IndexSum;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use super::position::Position;
use changes::{Changes, Layered, Values, last_of, later};
use database::{Batch, Database};
use reached::Flushed;
use tables::Tables;

use crate::error::{Error, Result};
use crate::record::revoked::RevokedSet;
use crate::record::{Label, Revocation, Serial};
use crate::store::history::Mark;
use crate::store::keys;
use crate::store::values::{TransactionId, TransactionState};
use crate::store::view::{KeyValue, SerialState};

/// A function that builds the whole index in memory, from the journal up to an offset.
type Rebuild = dyn Fn(u64) -> Result<Index> + Send + Sync;

/// The open index.
pub struct Index {
    /// `None` for an index in memory.
    database: Option<Database>,
    state: RwLock<State>,
    flushed: Mutex<Flushed>,
    rebuild: OnceLock<Box<Rebuild>>,
}

struct State {
    /// The changes that the database does not have yet; every key and value, if the database is not used.
    recent: Values,
    tables: Tables,
    /// The position that `recent` leads to.
    reached: Mark,
    /// Whether `recent` has every key and value, and the database is not used.
    in_memory: bool,
}

/// An index that was opened.
pub struct OpenedIndex {
    /// The index.
    pub index: Index,
    /// The position in the journal that the index has reached; `None` for an empty index.
    pub position: Option<Position>,
}

/// A sum over an index, and what it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summed {
    /// The sum.
    pub sum: IndexSum,
    /// The sequence number of the first entry that is not in the sum.
    pub sequence: u64,
}

/// Whether a scan goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// Visit the next key.
    Continue,
    /// Visit no more.
    Stop,
}

impl Index {
    /// Opens the index in `folder`, or makes an empty one.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index is damaged, of another version or of another instance: delete and rebuild it.
    /// [`Error::Unavailable`] when another process has it open.
    pub fn open(folder: &Path, cache: u64, instance: [u8; 16]) -> Result<OpenedIndex> {
        let index = Self::new(Some(Database::open(folder, cache)?), instance);
        let position = index.load(instance)?;
        Ok(OpenedIndex { index, position })
    }

    /// An empty index in memory.
    pub fn in_memory() -> Self {
        Self::new(None, [0; 16])
    }

    fn new(database: Option<Database>, instance: [u8; 16]) -> Self {
        let flushed = Flushed { instance, sum: IndexSum::default(), sequence: 0 };
        let state = State {
            recent: Values::new(),
            tables: Tables::default(),
            reached: Mark { sequence: 0, offset: 0 },
            in_memory: database.is_none(),
        };
        Self {
            database,
            state: RwLock::new(state),
            flushed: Mutex::new(flushed),
            rebuild: OnceLock::new(),
        }
    }

    /// Sets the function that builds the whole index in memory when the database fails.
    pub fn rebuild_with(&self, rebuild: impl Fn(u64) -> Result<Self> + Send + Sync + 'static) {
        let _ = self.rebuild.set(Box::new(rebuild));
    }

    /// Builds the whole index in memory. The database is not used any more. Readers and the writer wait until that is
    /// done.
    ///
    /// # Errors
    /// `because`, the failure of the database, when the index cannot be built.
    pub fn leave_disk(&self, because: Error) -> Result<()> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.in_memory {
            return Ok(());
        }
        let Some(rebuild) = self.rebuild.get() else { return Err(because) };
        tracing::warn!(error = %because, "the index is kept in memory until the next start");
        let built = rebuild(state.reached.offset()).inspect_err(|error| {
            tracing::error!(%error, "the index cannot be built in memory: start again");
        });
        let built = built.map_err(|_| because)?;
        state.recent = built.state.into_inner().unwrap_or_else(PoisonError::into_inner).recent;
        state.in_memory = true;
        Ok(())
    }

    /// The value of a key; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails.
    pub fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.persistently(|| {
            let (recent, database) = self.layers(|recent| recent.get(key).cloned());
            match (recent, database) {
                (Some(recent), _) => Ok(recent),
                (None, Some(database)) => database.value(key),
                (None, None) => Ok(None),
            }
        })
    }

    /// The state of the serial with this number; `None` if it was never reserved.
    pub fn serial(&self, number: u64) -> Option<SerialState> {
        self.read_tables(|tables| tables.serials.state(number))
    }

    /// The state of a transaction; `None` if it is unknown or forgotten.
    pub fn transaction(&self, id: &TransactionId) -> Option<TransactionState> {
        self.read_tables(|tables| tables.transactions.get(id))
    }

    /// The revoked and held certificates of a CA, as they are now.
    pub fn revoked(&self, ca: &Label) -> RevokedSet {
        self.read_tables(|tables| tables.revoked.get(ca).cloned()).unwrap_or_default()
    }

    /// The revocation or hold of a certificate, with times in whole seconds; `None` if there is none.
    pub fn revocation(&self, ca: &Label, serial: &Serial) -> Option<Revocation> {
        self.read_tables(|tables| Some(tables.revoked.get(ca)?.entry(serial)?.revocation))
    }

    /// Visits the keys from `from` on that begin with `prefix`, in order, until `visit` stops the scan.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails, or what `visit` returns.
    pub fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<Scan>,
    ) -> Result<()> {
        let mut from = from.to_vec();
        let mut go_on = Ok(Scan::Continue);
        self.persistently(|| {
            self.walk(prefix, &from.clone(), |key, value| {
                // Should the database fail, the scan goes on in memory behind this key.
                from.clear();
                from.extend_from_slice(key);
                from.push(0);
                go_on = visit(key, value);
                if matches!(go_on, Ok(Scan::Continue)) { Scan::Continue } else { Scan::Stop }
            })
        })?;
        go_on.map(|_| ())
    }

    /// Visits keys, merging the database with the newer changes in memory.
    fn walk(
        &self,
        prefix: &[u8],
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Scan,
    ) -> Result<()> {
        let within = |key: &[u8]| key.starts_with(prefix);
        let (recent, database) = self.layers(|recent| {
            let range = recent.range(from.to_vec()..).take_while(|(key, _)| within(key));
            range.map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>()
        });
        let mut recent = recent.into_iter().peekable();
        let mut stored = database.map(|database| database.from(from));
        loop {
            let next = match &mut stored {
                Some(stored) => stored.next()?,
                None => None,
            };
            let next = next.filter(|pair| within(pair.key()));
            // 1. The changed keys before the next one of the database.
            let bound = next.as_ref().map(|pair| pair.key());
            while let Some((key, value)) =
                recent.next_if(|(key, _)| bound.is_none_or(|bound| key.as_slice() < bound))
            {
                if let Some(value) = value
                    && visit(&key, &value) == Scan::Stop
                {
                    return Ok(());
                }
            }
            // 2. That key of the database, unless it is changed or removed.
            let Some(pair) = next else { return Ok(()) };
            let go_on = match recent.next_if(|(key, _)| key.as_slice() == pair.key()) {
                Some((_, None)) => Scan::Continue,
                Some((_, Some(newer))) => visit(pair.key(), &newer),
                None => visit(pair.key(), pair.value()),
            };
            if go_on == Scan::Stop {
                return Ok(());
            }
        }
    }

    /// Makes the changes of a group that is durable in the journal, and leads to the position `reached`. Readers see
    /// all of them at once.
    pub fn absorb(&self, mut changes: Changes, reached: Mark) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.reached = reached;
        for (key, value) in std::mem::take(&mut changes.values) {
            if value.is_none() && state.in_memory {
                state.recent.remove(&key);
            } else {
                state.recent.insert(key, value);
            }
        }
        let State { tables, recent, .. } = &mut *state;
        tables.absorb(changes, recent);
    }

    /// The number of changed keys that the database does not have yet; 0 if it is not used.
    pub fn waiting(&self) -> usize {
        self.read_state(|state| if state.in_memory { 0 } else { state.recent.len() })
    }

    /// Hands every change to the database, if it is used, as one batch with `position`, to which the changes lead.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails; the changes stay in memory.
    pub fn apply(&self, position: &Position) -> Result<()> {
        let ((), Some(database)) = self.layers(|_| ()) else { return Ok(()) };
        let mut flushed = self.lock_flushed();
        let (mut batch, mut sum) = (Batch::default(), flushed.sum);
        // INVARIANT: only the writer thread, which calls this, changes `recent`. So it is the same under the write lock
        // below, and readers are not kept waiting while the database works.
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in &state.recent {
            database.read(key, |old| sum.subtract(key, old))?;
            match value {
                Some(value) => {
                    sum.add(key, value);
                    batch.insert(key, value);
                }
                None => batch.remove(key),
            }
        }
        drop(state);
        let applied = Flushed { sum, sequence: position.sequence, ..*flushed };
        // In the same batch: after a crash the database has the changes and the position that they lead to, or neither.
        batch.insert(&keys::position(), &reached::encode(&applied, position)?);
        database.apply(batch)?;
        *flushed = applied;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // A reader may have left the disk meanwhile, and then `recent` is the whole index.
        if !state.in_memory {
            state.recent.clear();
        }
        Ok(())
    }

    /// Makes everything durable that the database has.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails.
    pub fn write_out(&self) -> Result<()> {
        match self.layers(|_| ()).1 {
            Some(database) => database.flush(),
            None => Ok(()),
        }
    }

    /// The sum over every key and value of the database; if the database is not used, over those in memory.
    pub fn sum(&self) -> Summed {
        // The two locks in the same order as in `apply`.
        let flushed = self.lock_flushed();
        self.read_state(|state| {
            if !state.in_memory {
                return Summed { sum: flushed.sum, sequence: flushed.sequence };
            }
            let mut sum = IndexSum::default();
            for (key, value) in &state.recent {
                sum.add(key, value.as_deref().unwrap_or_default());
            }
            Summed { sum, sequence: state.reached.sequence() }
        })
    }

    /// The sequence number of the first entry that the database does not have.
    pub fn applied(&self) -> u64 {
        self.lock_flushed().sequence
    }

    /// The size of the index on disk in octets; 0 if it is unknown.
    pub fn size_on_disk(&self) -> u64 {
        self.database.as_ref().and_then(|database| database.size_on_disk().ok()).unwrap_or(0)
    }

    /// The last key in `from..until` of `recent` and the database; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails.
    pub(super) fn last(&self, from: &[u8], until: &[u8]) -> Result<Option<Layered>> {
        self.persistently(|| {
            let (recent, database) = self.layers(|recent| last_of(recent, from, until));
            let stored = match database {
                Some(database) => database.last(from, until)?,
                None => None,
            };
            let stored = stored.map(|KeyValue { key, value }| Layered { key, value: Some(value) });
            Ok(later(recent, stored))
        })
    }

    /// Calls `read` with the tables, under the read lock.
    pub(super) fn read_tables<T>(&self, read: impl FnOnce(&Tables) -> T) -> T {
        self.read_state(|state| read(&state.tables))
    }

    /// Reads the whole database once: fills the tables, and compares the sum and the number of certificates with those
    /// stored.
    fn load(&self, instance: [u8; 16]) -> Result<Option<Position>> {
        let (mut sum, mut stored, mut tables) = (IndexSum::default(), None, Tables::default());
        let mut certificates = 0u64;
        let Some(database) = &self.database else { return Ok(None) };
        let position_key = keys::position();
        let mut all = database.from(&[]);
        while let Some(pair) = all.next()? {
            if pair.key() == position_key {
                stored = Some(pair);
                continue;
            }
            sum.add(pair.key(), pair.value());
            certificates += tables.load(pair.key(), pair.value());
        }
        let Some(stored) = stored else {
            return if sum == IndexSum::default() {
                Ok(None)
            } else {
                Err(Error::internal("the index has no position"))
            };
        };
        let (flushed, position) = reached::decode(stored.value(), instance)?;
        if flushed.sum != sum || position.certificates != certificates {
            return Err(Error::internal("the index does not add up"));
        }
        *self.lock_flushed() = flushed;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        (state.tables, state.reached) = (tables, position.mark());
        Ok(Some(position))
    }

    fn read_state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock_flushed(&self) -> MutexGuard<'_, Flushed> {
        self.flushed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads with `read`; if the database fails, builds the index in memory ([`Self::leave_disk`]) and reads once more.
    fn persistently<T>(&self, mut read: impl FnMut() -> Result<T>) -> Result<T> {
        read().or_else(|error| {
            self.leave_disk(error)?;
            read()
        })
    }

    /// What `read` returns for the changes in memory, and the database below them, if it is used.
    fn layers<T>(&self, read: impl FnOnce(&Values) -> T) -> (T, Option<&Database>) {
        self.read_state(|state| {
            let database = self.database.as_ref().filter(|_| !state.in_memory);
            (read(&state.recent), database)
        })
    }
}
