//! The index: small keys and journal offsets, in an embedded database and in memory.
//!
//! INVARIANT: the index is a pure function of the journal. So it may be deleted at any time, and is rebuilt.
//!
//! Changes gather in memory, and go to the database some thousand keys at a time: one atomic batch, together with the
//! position in the journal that they lead to. On start, the journal is replayed from that position. Gathering spares
//! most of the work, as the same few values change with every certificate.
//!
//! By what certificates are found is the largest part, and never changes: so it goes to a file of its own, a span of
//! some thousand certificates at a time. The database has the rows of those that do not fill a span yet.
//!
//! The database is not relied on. A sum over all keys and values is stored with the position, so that an index that
//! lost something is noticed on opening and rebuilt. And once a write failed, as on a full disk, the database fails to
//! read every page that it has not in memory: then the whole index is built in memory from the journal, and the
//! database is left alone until the next start.

mod by_number;
mod certificates;
pub mod changes;
mod database;
mod filed;
mod hot;
mod reached;
mod serials;
mod sieve;
mod span_file;
mod sum;
mod tables;
#[cfg(test)]
mod tests;
mod transactions;

pub use certificates::Ending;
pub use database::wait_until_released;
pub use serials::MAX_OFFSET;
pub use sieve::{AccountNumbers, OrderKey, Sieve, order_key, place_of_key};
pub use sum::IndexSum;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use super::position::Position;
use changes::{Changes, Values};
use database::{Batch, Database};
use filed::{Filed, Span};
use hot::Hot;
use reached::Flushed;
use span_file::{Appended, SpanFile};
use tables::Tables;

use crate::error::{Error, Result};
use crate::record::revoked::RevokedSet;
use crate::record::{Label, Revocation, Serial};
use crate::store::history::Mark;
use crate::store::keys;
use crate::store::numbers::{CHUNK, SPAN};
use crate::store::values::filing::{decode_chunk, encode_chunk};
use crate::store::values::{TransactionId, TransactionState};
use crate::store::view::SerialState;

/// A function that builds the whole index in memory, from the journal up to an offset.
type Rebuild = dyn Fn(u64) -> Result<Index> + Send + Sync;

/// The number of changed keys that gather in memory before they go to the database.
const GATHERED: usize = 16_384;
/// The number of sealed spans that gather in memory before they are written. A transaction that ends meanwhile never reaches the
/// database, which would write several times its octets. After a crash, the journal is replayed from before these spans.
const GATHERED_SPANS: u64 = 8;

/// The open index.
pub struct Index {
    /// `None` for an index in memory.
    database: Option<Database>,
    /// `None` for an index in memory.
    span_file: Option<Mutex<SpanFile>>,
    state: RwLock<State>,
    flushed: Mutex<Flushed>,
    /// Copies of values of the database that were read recently.
    hot: Hot,
    rebuild: OnceLock<Box<Rebuild>>,
}

struct State {
    /// The changes that the database does not have yet; every key and value, if the database is not used.
    recent: Values,
    filed: Filed,
    tables: Tables,
    /// The position that `recent` and `filed` lead to.
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
        let database = Database::open(folder, cache)?;
        let index = Self::new(Some((database, SpanFile::open(folder)?)), instance);
        let position = index.load(instance)?;
        Ok(OpenedIndex { index, position })
    }

    /// An empty index in memory.
    pub fn in_memory() -> Self {
        Self::new(None, [0; 16])
    }

    fn new(disk: Option<(Database, SpanFile)>, instance: [u8; 16]) -> Self {
        let sum = IndexSum::default();
        let flushed = Flushed { instance, sum, sequence: 0, certificates: 0 };
        let (database, span_file) = disk.unzip();
        let state = State {
            recent: Values::new(),
            filed: Filed::default(),
            tables: Tables::default(),
            reached: Mark { sequence: 0, offset: 0 },
            in_memory: database.is_none(),
        };
        Self {
            database,
            span_file: span_file.map(Mutex::new),
            state: RwLock::new(state),
            flushed: Mutex::new(flushed),
            hot: Hot::default(),
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
        let built = built.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        (state.recent, state.filed) = (built.recent, built.filed);
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
                (None, Some(database)) => self.stored(database, key),
                (None, None) => Ok(None),
            }
        })
    }

    /// The length of the value of a key in octets; 0 without a value.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails.
    pub fn length(&self, key: &[u8]) -> Result<usize> {
        let recent = self.read_state(|state| {
            let recent = state.recent.get(key);
            recent.map(|value| value.as_ref().map_or(0, Vec::len))
        });
        match recent {
            Some(length) => Ok(length),
            None => Ok(self.value(key)?.map_or(0, |value| value.len())),
        }
    }

    /// Whether the index has a value of a key among the changes that the database does not have yet. Only the writer
    /// thread may rely on it.
    pub fn has_in_memory(&self, key: &[u8]) -> bool {
        self.read_state(|state| matches!(state.recent.get(key), Some(Some(_))))
    }

    /// The value of a key in the database, or the copy of it.
    fn stored(&self, database: &Database, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let generation = match self.hot.value(key) {
            Ok(value) => return Ok(Some(value)),
            Err(generation) => generation,
        };
        let value = database.value(key)?;
        if let Some(value) = &value {
            self.hot.keep(generation, key, value);
        }
        Ok(value)
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
        // INVARIANT: a value that a group appends to is in `recent` until the group is absorbed: only the writer thread
        // empties `recent`, and a reader that leaves the disk fills it.
        for (key, appended) in std::mem::take(&mut changes.appended) {
            if let Some(value) = state.recent.entry(key).or_default() {
                value.extend_from_slice(&appended);
            }
        }
        state.filed.extend(std::mem::take(&mut changes.rows));
        state.tables.absorb(changes);
    }

    /// Seals the spans that are full. Returns whether so much has gathered in memory that [`Self::apply`] should be
    /// called.
    ///
    /// # Errors
    /// [`Error::Internal`] when a span cannot be sealed.
    pub fn is_due(&self) -> Result<bool> {
        if self.read_state(|state| state.filed.is_due()) {
            self.seal()?;
        }
        let written = self.lock_flushed().certificates / SPAN;
        Ok(self.read_state(|state| {
            let gathered = (state.filed.spans().len() as u64).saturating_sub(written);
            !state.in_memory && (state.recent.len() >= GATHERED || gathered >= GATHERED_SPANS)
        }))
    }

    /// Seals the spans that are full. Hands every change to the database, if it is used, as one batch with `position`,
    /// to which the changes lead.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails; [`Error::Unavailable`] when the disk fails. The changes stay in memory.
    pub fn apply(&self, position: &Position) -> Result<()> {
        self.seal()?;
        let ((), Some(database)) = self.layers(|_| ()) else { return Ok(()) };
        let mut flushed = self.lock_flushed();
        let (mut batch, mut sum) = (Batch::default(), flushed.sum);
        // 1. The new spans become durable before the database says that they are there.
        let known = usize::try_from(flushed.certificates / SPAN).map_err(Error::internal)?;
        let spans = self.read_state(|state| state.filed.spans().get(known..).map(<[Span]>::to_vec));
        let appended = self.append(&spans.unwrap_or_default(), known, &mut sum)?;
        // 2. All changes of the database. INVARIANT: only the writer thread, which calls this, changes `recent` and
        //    `filed`. So they are the same under the write lock below, and readers are not kept waiting while the
        //    database works.
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let chunks = changed_chunks(&state.filed, flushed.certificates);
        for (key, value) in state.recent.iter().chain(&chunks) {
            let mut is_stored = false;
            database.read(key, |old| {
                is_stored = true;
                sum.subtract(key, old);
            })?;
            match value {
                Some(value) => {
                    sum.add(key, value);
                    batch.insert(key, value);
                }
                None if is_stored => batch.remove(key),
                // It came and went in memory.
                None => {}
            }
        }
        let certificates = state.filed.count();
        drop(state);
        let applied = Flushed { sum, sequence: position.sequence, certificates, ..*flushed };
        // In the same batch: after a crash the database has the changes and the position that they lead to, or neither.
        batch.insert(&keys::position(), &reached::encode(&applied, position)?);
        database.apply(batch)?;
        *flushed = applied;
        // Before the changes leave `recent`: until then no reader looks below them.
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        self.hot.forget(state.recent.keys());
        drop(state);
        if let Some(mut file) = self.lock_spans() {
            file.keep(&appended);
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // A reader may have left the disk meanwhile, and then `recent` and `filed` are the whole index.
        if !state.in_memory {
            state.recent.clear();
            state.filed.replace(known, appended.spans);
        }
        Ok(())
    }

    /// Seals the spans that are full. Readers wait only while a span takes the place of its rows.
    fn seal(&self) -> Result<()> {
        while let Some(span) = self.read_state(|state| state.filed.seal()) {
            let span = span?;
            self.state.write().unwrap_or_else(PoisonError::into_inner).filed.push(span);
        }
        Ok(())
    }

    /// Writes spans, of which the first has the number `known`, to their file, and adds them to the sum.
    fn append(&self, spans: &[Span], known: usize, sum: &mut IndexSum) -> Result<Appended> {
        let Some(file) = self.lock_spans() else {
            return Err(Error::internal("an index in memory has no file of spans"));
        };
        for (number, span) in (known as u64..).zip(spans) {
            sum.add(&keys::span(number), &span.octets()?);
        }
        file.append(spans)
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
            for (number, span) in (0..).zip(state.filed.spans()) {
                sum.add(&keys::span(number), &span.octets().unwrap_or_default());
            }
            for (key, value) in changed_chunks(&state.filed, 0) {
                sum.add(&key, value.as_deref().unwrap_or_default());
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
        let database = self.database.as_ref().and_then(|database| database.size_on_disk().ok());
        database.unwrap_or(0) + self.lock_spans().map_or(0, |file| file.length())
    }

    /// Calls `read` with the tables, under the read lock.
    pub(super) fn read_tables<T>(&self, read: impl FnOnce(&Tables) -> T) -> T {
        self.read_state(|state| read(&state.tables))
    }

    /// Reads the database and the spans once: fills the tables, and compares the sum and the number of certificates with the stored ones.
    fn load(&self, instance: [u8; 16]) -> Result<Option<Position>> {
        let (Some(database), Some(mut file)) = (&self.database, self.lock_spans()) else {
            return Ok(None);
        };
        let (mut sum, mut tables) = (IndexSum::default(), Tables::default());
        let position_key = keys::position();
        let stored = database.value(&position_key)?;
        let stored = stored.map(|stored| reached::decode(&stored, instance)).transpose()?;
        let certificates = stored.as_ref().map_or(0, |(flushed, _)| flushed.certificates);
        tables.serials.reserve(certificates);
        // 1. The database.
        let (mut tail, mut reserved) = (Vec::new(), Vec::new());
        let mut all = database.from(&[]);
        while let Some(pair) = all.next()? {
            let (key, value) = (pair.key(), pair.value());
            if key == position_key {
                continue;
            }
            sum.add(key, value);
            tables.load(key, value);
            if keys::read_filed(key).is_some() {
                tail.extend(decode_chunk(value)?);
            }
            reserved.extend(keys::read_reserved(key).map(|offset| (offset, value.to_vec())));
        }
        let Some((flushed, position)) = stored else {
            return if sum == IndexSum::default() {
                Ok(None)
            } else {
                Err(Error::internal("the index has no position"))
            };
        };
        // 2. The spans, and the rows behind them. A serial was reserved before it was issued.
        let mut spans = Vec::new();
        file.read(certificates / SPAN, |octets, file, at| {
            sum.add(&keys::span(spans.len() as u64), octets);
            spans
                .push(Span::read(octets, file, at, |number, offset| tables.issue(number, offset))?);
            Ok(())
        })?;
        tail.iter().for_each(|row| tables.issue(row.number, row.offset));
        reserved.iter().for_each(|(offset, value)| tables.count_unused(*offset, value));
        let filed = Filed::new(spans, tail);
        if flushed.sum != sum || filed.count() != certificates {
            return Err(Error::internal("the index does not add up"));
        }
        drop(file);
        *self.lock_flushed() = flushed;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        (state.tables, state.filed, state.reached) = (tables, filed, position.mark());
        Ok(Some(position))
    }

    fn read_state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock_flushed(&self) -> MutexGuard<'_, Flushed> {
        self.flushed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_spans(&self) -> Option<MutexGuard<'_, SpanFile>> {
        self.span_file.as_ref().map(|file| file.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads with `read`; if the database fails, builds the index in memory ([`Self::leave_disk`]) and reads once more.
    fn persistently<T>(&self, mut read: impl FnMut() -> Result<T>) -> Result<T> {
        read().or_else(|error| {
            self.leave_disk(error)?;
            read()
        })
    }

    /// The result of `read` for the changes in memory, and the database below them, if it is used.
    fn layers<T>(&self, read: impl FnOnce(&Values) -> T) -> (T, Option<&Database>) {
        self.read_state(|state| {
            let database = self.database.as_ref().filter(|_| !state.in_memory);
            (read(&state.recent), database)
        })
    }
}

/// The keys of chunks that change when the database, which has the rows of the first `stored` certificates, gets the
/// rows of all that are in no span.
fn changed_chunks(filed: &Filed, stored: u64) -> Values {
    let (sealed, mut changed) = (filed.sealed(), Values::new());
    let stale = stored / SPAN * (SPAN / CHUNK)..stored.div_ceil(CHUNK).min(sealed / CHUNK);
    changed.extend(stale.map(|chunk| (keys::filed(chunk), None)));
    for chunk in stored.max(sealed) / CHUNK..filed.count().div_ceil(CHUNK) {
        let rows = filed.rows(chunk * CHUNK, (chunk + 1) * CHUNK);
        changed.insert(keys::filed(chunk), Some(encode_chunk(rows)));
    }
    changed
}
