//! The index: small keys and journal offsets in sled. The only file that names sled.
//!
//! It is a pure function of the journal, so it may be deleted at any time. Changes gather in memory and go to sled
//! some hundred entries at a time, as one atomic batch with the position in the journal that they lead to; on start
//! the journal is replayed from there. Gathering spares most of the work, as the same few values grow with every
//! certificate. sled may lose what it acknowledged, and panic: every call into it is guarded, and a sum over all keys
//! and values is kept with the position, so that an index that does not add up is noticed on opening and rebuilt. Once a
//! write failed, as on a full disk, sled reads no page either that it has not in memory: then the whole index is built in
//! memory from the journal, and sled is left alone until the next start.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fs::{File, TryLockError};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use minicbor::{Decode, Encode};
use ring::digest;

use super::packed;
use super::records::{
    TransactionId, TransactionState, decode_revocation, encode_revocation, read_transactions,
};
use super::serials::{SerialTable, Slot};
use super::transactions::TransactionTable;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::Frontier;
use crate::record::{Label, Revocation, RevokedEntry, Serial};
use crate::revoked::RevokedSet;

/// The version of the keys and values. Another one means a rebuild.
const FORMAT: u32 = 6;
/// The key of the position; no other key begins so.
const META: &[u8] = b"m";
/// How long the lock of a database that was dropped is waited for, and how long between two tries.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);
const LOCK_PAUSE: Duration = Duration::from_millis(2);
/// Certificates in one value of the issue order.
pub const ORDER_CHUNK: u64 = 64;

type Octets = Vec<u8>;

/// Changed keys with their values, or all of an index.
type Values = BTreeMap<Octets, Option<Octets>>;

/// Builds the whole index in memory, from the journal up to an offset.
type Rebuild = dyn Fn(u64) -> Result<Index> + Send + Sync;

/// Where in the journal something stands, with what is needed to go on from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The next entry's sequence number.
    pub sequence: u64,
    /// Where its frame begins.
    pub offset: u64,
    /// When the last entry was recorded.
    pub last: Timestamp,
    /// The right edge of the Merkle tree.
    pub frontier: Frontier,
    /// How many certificates were issued.
    pub certificates: u64,
}

/// What a group of entries changes; layered over the index until the group is durable.
#[derive(Debug, Default)]
pub struct Changes {
    values: Values,
    serials: HashMap<u64, Slot>,
    transactions: HashMap<TransactionId, Option<TransactionState>>,
    buckets: BTreeMap<u64, u32>,
    days: HashMap<u32, u64>,
    revoked: HashMap<(Label, Serial), Option<RevokedEntry>>,
    search: HashMap<(u64, u8), Octets>,
}

/// A sum over every key and value of an index: equal for equal indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexSum(u128);

/// The open index.
pub struct Index {
    /// `None` for an index in memory.
    database: Option<sled::Db>,
    state: RwLock<State>,
    flushed: Mutex<Flushed>,
    rebuild: OnceLock<Box<Rebuild>>,
}

#[derive(Default)]
struct State {
    /// Changes that sled does not have yet; everything, if sled is not used.
    recent: Values,
    tables: Tables,
    /// The position that `recent` leads to: sequence number and offset.
    reached: (u64, u64),
    /// Whether `recent` has everything.
    in_memory: bool,
}

/// What is kept in memory as well, to spare look-ups in sled.
#[derive(Default)]
struct Tables {
    serials: SerialTable,
    /// Transactions that are not forgotten.
    transactions: TransactionTable,
    /// For each span of time in which transactions end, how many values hold them.
    buckets: BTreeMap<u64, u32>,
    /// For each day on which certificates end, the offset in the key of its last value.
    days: HashMap<u32, u64>,
    /// What is revoked or held, by CA.
    revoked: HashMap<Label, RevokedSet>,
    /// The last span of search keys, and its values by part: each certificate adds to several of them.
    search: (u64, HashMap<u8, Octets>),
}

#[derive(Clone, Copy)]
struct Flushed {
    instance: [u8; 16],
    sum: IndexSum,
    sequence: u64,
}

#[derive(Encode, Decode)]
struct Meta<'a> {
    #[n(0)]
    format: u32,
    #[cbor(b(1), with = "minicbor::bytes")]
    instance: &'a [u8],
    #[n(2)]
    sequence: u64,
    #[n(3)]
    offset: u64,
    #[n(4)]
    last: i64,
    #[n(5)]
    certificates: u64,
    #[cbor(n(6), with = "minicbor::bytes")]
    peaks: Vec<u8>,
    #[cbor(n(7), with = "minicbor::bytes")]
    sum: [u8; 16],
}

impl Index {
    /// Opens the index in `folder`, or begins an empty one. The position is `None` when it is empty.
    ///
    /// # Errors
    /// [`Error::Internal`] when it is damaged, of another version or of another instance: delete and rebuild it.
    /// [`Error::Unavailable`] when it is in use.
    pub fn open(folder: &Path, cache: u64, instance: [u8; 16]) -> Result<(Self, Option<Position>)> {
        wait_until_released(folder)?;
        let database = guarded(|| {
            sled::Config::new()
                .path(folder)
                .cache_capacity(cache)
                .flush_every_ms(Some(2_000))
                .mode(sled::Mode::LowSpace)
                .open()
        })?;
        let index = Self::new(Some(database), instance);
        let position = index.load(instance)?;
        Ok((index, position))
    }

    /// An empty index in memory.
    pub fn in_memory() -> Self {
        Self::new(None, [0; 16])
    }

    fn new(database: Option<sled::Db>, instance: [u8; 16]) -> Self {
        let flushed = Flushed { instance, sum: IndexSum::default(), sequence: 0 };
        let state = State { in_memory: database.is_none(), ..State::default() };
        Self {
            database,
            state: RwLock::new(state),
            flushed: Mutex::new(flushed),
            rebuild: OnceLock::new(),
        }
    }

    /// Names what builds the whole index in memory when sled fails.
    pub fn rebuild_with(&self, rebuild: impl Fn(u64) -> Result<Self> + Send + Sync + 'static) {
        let _ = self.rebuild.set(Box::new(rebuild));
    }

    /// Builds the whole index in memory, after which sled is not used any more. Others wait until that is done.
    ///
    /// # Errors
    /// `because`, the failure of sled, when the index cannot be built.
    pub fn leave_disk(&self, because: Error) -> Result<()> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.in_memory {
            return Ok(());
        }
        let Some(rebuild) = self.rebuild.get() else { return Err(because) };
        tracing::warn!(error = %because, "the index is kept in memory until the next start");
        let built = rebuild(state.reached.1).inspect_err(|error| {
            tracing::error!(%error, "the index cannot be built in memory: start again");
        });
        let built = built.map_err(|_| because)?;
        state.recent = built.state.into_inner().unwrap_or_else(PoisonError::into_inner).recent;
        state.in_memory = true;
        Ok(())
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails.
    pub fn value(&self, key: &[u8]) -> Result<Option<Octets>> {
        self.persistently(|| {
            let (recent, database) = self.layers(|recent| recent.get(key).cloned());
            match (recent, database) {
                (Some(recent), _) => Ok(recent),
                (None, Some(database)) => {
                    Ok(guarded(|| database.get(key))?.map(|value| value.to_vec()))
                }
                (None, None) => Ok(None),
            }
        })
    }

    /// What is known of a serial.
    pub fn slot(&self, number: u64) -> Option<Slot> {
        self.read_state(|state| state.tables.serials.slot(number))
    }

    /// What is known of a transaction.
    pub fn transaction(&self, id: &TransactionId) -> Option<TransactionState> {
        self.read_state(|state| state.tables.transactions.get(id))
    }

    /// The revoked and held certificates of a CA, as they are now.
    pub fn revoked(&self, ca: &Label) -> RevokedSet {
        self.read_state(|state| state.tables.revoked.get(ca).cloned()).unwrap_or_default()
    }

    /// The revocation of a certificate, in whole seconds.
    pub fn revocation(&self, ca: &Label, serial: &Serial) -> Option<Revocation> {
        self.read_state(|state| Some(state.tables.revoked.get(ca)?.entry(serial)?.revocation))
    }

    /// Visits the keys from `from` on that begin with `prefix`, in order, until `visit` returns `false`.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails, or what `visit` returns.
    pub fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let mut from = from.to_vec();
        let mut go_on = Ok(true);
        self.persistently(|| {
            self.walk(prefix, &from.clone(), |key, value| {
                from.clear();
                from.extend_from_slice(key);
                from.push(0);
                go_on = visit(key, value);
                matches!(go_on, Ok(true))
            })
        })?;
        go_on.map(|_| ())
    }

    fn walk(
        &self,
        prefix: &[u8],
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        let within = |key: &[u8]| key.starts_with(prefix);
        let (recent, database) = self.layers(|recent| {
            let range = recent.range(from.to_vec()..).take_while(|(key, _)| within(key));
            range.map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>()
        });
        let mut recent = recent.into_iter().peekable();
        let mut stored = database.map(|database| database.range(from..));
        loop {
            let next = match &mut stored {
                Some(stored) => guarded(|| stored.next().transpose())?,
                None => None,
            };
            let next = next.filter(|(key, _)| within(key));
            let bound = next.as_ref().map(|(key, _)| key.as_ref());
            while let Some((key, value)) =
                recent.next_if(|(key, _)| bound.is_none_or(|bound| key.as_slice() < bound))
            {
                if let Some(value) = value
                    && !visit(&key, &value)
                {
                    return Ok(());
                }
            }
            let Some((key, value)) = next else { return Ok(()) };
            let go_on = match recent.next_if(|(k, _)| k.as_slice() == key.as_ref()) {
                Some((_, None)) => true,
                Some((_, Some(newer))) => visit(&key, &newer),
                None => visit(&key, &value),
            };
            if !go_on {
                return Ok(());
            }
        }
    }

    /// Takes over the changes of a group that is durable and leads to this position: sequence number and offset. Readers see all
    /// of them at once.
    pub fn absorb(&self, changes: Changes, reached: (u64, u64)) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.reached = reached;
        for (key, value) in changes.values {
            if value.is_none() && state.in_memory {
                state.recent.remove(&key);
            } else {
                state.recent.insert(key, value);
            }
        }
        let State { tables, recent, .. } = &mut *state;
        for (number, slot) in changes.serials {
            tables.serials.set(number, slot);
        }
        for (id, transaction) in changes.transactions {
            match transaction {
                Some(transaction) => tables.transactions.set(&id, &transaction),
                None => tables.transactions.remove(&id),
            }
        }
        for (bucket, count) in changes.buckets {
            if count == 0 {
                tables.buckets.remove(&bucket);
            } else {
                tables.buckets.insert(bucket, count);
            }
        }
        tables.days.extend(changes.days);
        for ((span, part), value) in changes.search {
            recent.insert(packed::search_key(span, part), Some(value.clone()));
            tables.set_search(span, part, value);
        }
        for ((ca, serial), entry) in changes.revoked {
            let set = tables.revoked.entry(ca).or_default();
            match entry {
                Some(entry) => set.insert(&entry),
                None => set.remove(&serial),
            }
        }
    }

    /// How many changed keys sled does not have yet; none, if it is not used.
    pub fn waiting(&self) -> usize {
        self.read_state(|state| if state.in_memory { 0 } else { state.recent.len() })
    }

    /// Hands every change to sled, if it is used, as one batch with `position`.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails; the changes stay in memory.
    pub fn apply(&self, position: &Position) -> Result<()> {
        let ((), Some(database)) = self.layers(|_| ()) else { return Ok(()) };
        let mut flushed = self.lock_flushed();
        let (mut batch, mut sum) = (sled::Batch::default(), flushed.sum);
        // Only the writer, which is the caller, changes `recent`: between the two locks it stays as it is.
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in &state.recent {
            if let Some(old) = guarded(|| database.get(key))? {
                sum.subtract(key, &old);
            }
            match value {
                Some(value) => {
                    sum.add(key, value);
                    batch.insert(key.as_slice(), value.as_slice());
                }
                None => batch.remove(key.as_slice()),
            }
        }
        drop(state);
        let applied = Flushed { sum, sequence: position.sequence, ..*flushed };
        batch.insert(META, meta(&applied, position)?);
        guarded(|| database.apply_batch(batch))?;
        *flushed = applied;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // A reader may have left the disk meanwhile.
        if !state.in_memory {
            state.recent.clear();
        }
        Ok(())
    }

    /// Writes everything that sled has to its files.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails.
    pub fn write_out(&self) -> Result<()> {
        match self.layers(|_| ()).1 {
            Some(database) => guarded(|| database.flush()).map(|_| ()),
            None => Ok(()),
        }
    }

    /// The sum over what sled has, or over everything if it is not used, and the sequence number that it leads to.
    pub fn sum(&self) -> (IndexSum, u64) {
        // Locked in the order of `apply`.
        let flushed = self.lock_flushed();
        self.read_state(|state| {
            if !state.in_memory {
                return (flushed.sum, flushed.sequence);
            }
            let mut sum = IndexSum::default();
            for (key, value) in &state.recent {
                sum.add(key, value.as_deref().unwrap_or_default());
            }
            (sum, state.reached.0)
        })
    }

    /// The sequence number that what sled has leads to.
    pub fn applied(&self) -> u64 {
        self.lock_flushed().sequence
    }

    /// Octets of the index on disk.
    pub fn size_on_disk(&self) -> u64 {
        let size = self.database.as_ref().map(|database| guarded(|| database.size_on_disk()));
        size.and_then(Result::ok).unwrap_or(0)
    }

    /// Reads everything once: sums it up, and fills the table of serials.
    fn load(&self, instance: [u8; 16]) -> Result<Option<Position>> {
        let (mut sum, mut kept, mut tables) = (IndexSum::default(), None, Tables::default());
        let mut certificates = 0u64;
        let Some(database) = &self.database else { return Ok(None) };
        let mut all = database.iter();
        while let Some((key, value)) = guarded(|| all.next().transpose())? {
            if key.as_ref() == META {
                kept = Some(value);
                continue;
            }
            sum.add(&key, &value);
            certificates += tables.take(&key, &value);
        }
        let Some(kept) = kept else {
            return if sum == IndexSum::default() {
                Ok(None)
            } else {
                Err(Error::internal("the index has no position"))
            };
        };
        let (flushed, position) = read_meta(&kept, instance)?;
        if flushed.sum != sum || position.certificates != certificates {
            return Err(Error::internal("the index does not add up"));
        }
        *self.lock_flushed() = flushed;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        (state.tables, state.reached) = (tables, (position.sequence, position.offset));
        Ok(Some(position))
    }

    fn read_state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock_flushed(&self) -> MutexGuard<'_, Flushed> {
        self.flushed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last key in `from..until`, with its value. Removed keys count, without a value.
    fn last(&self, from: &[u8], until: &[u8]) -> Result<Found> {
        self.persistently(|| {
            let (recent, database) = self.layers(|recent| last_of(recent, from, until));
            let stored = match database {
                Some(database) => guarded(|| database.range(from..until).next_back().transpose())?,
                None => None,
            };
            let stored = stored.map(|(key, value)| (key.to_vec(), Some(value.to_vec())));
            Ok(later(recent, stored))
        })
    }

    /// Reads; if sled fails, the disk is left and it is read once more.
    fn persistently<T>(&self, mut read: impl FnMut() -> Result<T>) -> Result<T> {
        read().or_else(|error| {
            self.leave_disk(error)?;
            read()
        })
    }

    /// Something of the changes in memory, and sled below them, if it is used.
    fn layers<T>(&self, read: impl FnOnce(&Values) -> T) -> (T, Option<&sled::Db>) {
        self.read_state(|state| {
            let database = self.database.as_ref().filter(|_| !state.in_memory);
            (read(&state.recent), database)
        })
    }
}

impl Tables {
    fn set_search(&mut self, span: u64, part: u8, value: Octets) {
        let (last, values) = &mut self.search;
        if span > *last {
            (*last, *values) = (span, HashMap::new());
        }
        if span == *last {
            values.insert(part, value);
        }
    }

    /// Fills the tables from a key and its value; returns how many certificates they hold.
    fn take(&mut self, key: &[u8], value: &[u8]) -> u64 {
        let Some((kind, rest)) = key.split_first() else { return 0 };
        match kind {
            b's' => {
                let mut count = 0;
                for (number, offset) in packed::numbered_offsets(value) {
                    self.serials.set(number, Slot::Issued(offset));
                    count += 1;
                }
                return count;
            }
            b'b' => {
                let block = packed::u64_from(rest).unwrap_or(0);
                for number in packed::numbers(value) {
                    self.serials.set(number, Slot::Reserved(block));
                }
            }
            b'r' => {
                if let Some((ca, serial)) = packed::from_serial_key(key)
                    && let Ok(entry) = decode_revocation(serial, value)
                {
                    self.revoked.entry(ca).or_default().insert(&entry);
                }
            }
            b'h' => {
                if let Some((span, [part])) = rest.split_first_chunk() {
                    self.set_search(u64::from_be_bytes(*span), *part, value.to_vec());
                }
            }
            b'e' => {
                if let Some((day, offset)) = packed::from_expiring_key(key) {
                    self.days.insert(day, offset);
                }
            }
            b't' => {
                if let Some((bucket, number)) = packed::from_transactions_key(key) {
                    self.buckets.insert(bucket, number.saturating_add(1));
                    for (id, transaction) in read_transactions(value, (bucket, number)) {
                        let known = self.transactions.get(&id);
                        // The identifier was forgotten and used again: the later one counts.
                        if known.is_none_or(|known| known.offset < transaction.offset) {
                            self.transactions.set(&id, &transaction);
                        }
                    }
                }
            }
            _ => {}
        }
        0
    }
}

/// The index as it will be when a group of entries is durable.
pub struct Layered<'a> {
    /// What the group changes.
    pub changes: &'a mut Changes,
    /// What is below.
    pub index: &'a Index,
}

impl Layered<'_> {
    /// The value of a key.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails.
    pub fn value(&self, key: &[u8]) -> Result<Option<Octets>> {
        match self.changes.values.get(key) {
            Some(changed) => Ok(changed.clone()),
            None => self.index.value(key),
        }
    }

    /// What is known of a serial.
    pub fn slot(&self, number: u64) -> Option<Slot> {
        self.changes.serials.get(&number).copied().or_else(|| self.index.slot(number))
    }

    /// Sets a value.
    pub fn put(&mut self, key: Octets, value: Octets) {
        self.changes.values.insert(key, Some(value));
    }

    /// Removes a key.
    pub fn remove(&mut self, key: Octets) {
        self.changes.values.insert(key, None);
    }

    /// Changes a value where it is, an empty one if there is none.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails.
    pub fn edit<T>(&mut self, key: Octets, change: impl FnOnce(&mut Octets) -> T) -> Result<T> {
        let value = match self.changes.values.entry(key) {
            Entry::Occupied(changed) => changed.into_mut(),
            Entry::Vacant(vacant) => {
                let value = self.index.value(vacant.key())?;
                vacant.insert(value)
            }
        };
        Ok(change(value.get_or_insert_default()))
    }

    /// How many octets the value of a key has.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails.
    pub fn length(&self, key: &[u8]) -> Result<usize> {
        let length = |value: Option<&Octets>| value.map_or(0, Vec::len);
        match self.changes.values.get(key) {
            Some(changed) => Ok(length(changed.as_ref())),
            None => Ok(length(self.index.value(key)?.as_ref())),
        }
    }

    /// Changes the value of a part of a span of search keys, which is the last one or a later one.
    pub fn edit_search(&mut self, span: u64, part: u8, change: impl FnOnce(&mut Octets)) {
        let index = self.index;
        change(self.changes.search.entry((span, part)).or_insert_with(|| {
            index.read_state(|state| {
                let (last, values) = &state.tables.search;
                values.get(&part).filter(|_| *last == span).cloned().unwrap_or_default()
            })
        }));
    }

    /// Sets what is known of a certificate's revocation.
    pub fn set_revoked(&mut self, ca: &Label, serial: &Serial, entry: Option<RevokedEntry>) {
        let key = packed::serial_key(b'r', ca, serial);
        match &entry {
            Some(entry) => self.put(key, encode_revocation(entry)),
            None => self.remove(key),
        }
        self.changes.revoked.insert((ca.clone(), *serial), entry);
    }

    /// Sets what is known of a serial.
    pub fn set_slot(&mut self, number: u64, slot: Slot) {
        self.changes.serials.insert(number, slot);
    }

    /// What is known of a transaction.
    pub fn transaction(&self, id: &TransactionId) -> Option<TransactionState> {
        match self.changes.transactions.get(id) {
            Some(changed) => changed.clone(),
            None => self.index.transaction(id),
        }
    }

    /// Sets what is known of a transaction, or forgets it.
    pub fn set_transaction(&mut self, id: TransactionId, state: Option<TransactionState>) {
        self.changes.transactions.insert(id, state);
    }

    /// How many values hold the transactions that end in a span of time.
    pub fn bucket(&self, bucket: u64) -> u32 {
        let changed = self.changes.buckets.get(&bucket).copied();
        let below = || self.index.read_state(|s| s.tables.buckets.get(&bucket).copied());
        changed.or_else(below).unwrap_or(0)
    }

    /// Sets how many values hold the transactions that end in a span of time.
    pub fn set_bucket(&mut self, bucket: u64, count: u32) {
        self.changes.buckets.insert(bucket, count);
    }

    /// The earliest span of time in which a known transaction ends.
    pub fn first_bucket(&self) -> Option<u64> {
        let changed = &self.changes.buckets;
        let below = self.index.read_state(|state| {
            state.tables.buckets.keys().copied().find(|bucket| changed.get(bucket) != Some(&0))
        });
        let added = changed.iter().find(|(_, count)| **count > 0).map(|(bucket, _)| *bucket);
        below.into_iter().chain(added).min()
    }

    /// The offset in the key of the last value of a day.
    pub fn day(&self, day: u32) -> Option<u64> {
        let below = || self.index.read_state(|state| state.tables.days.get(&day).copied());
        self.changes.days.get(&day).copied().or_else(below)
    }

    /// Sets the offset in the key of the last value of a day.
    pub fn set_day(&mut self, day: u32, offset: u64) {
        self.changes.days.insert(day, offset);
    }

    /// The last key in `from..until`, with its value. None of the keys may ever be removed.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails.
    pub fn last(&self, from: &[u8], until: &[u8]) -> Result<Option<(Octets, Octets)>> {
        let below = self.index.last(from, until)?;
        let found = later(last_of(&self.changes.values, from, until), below);
        Ok(found.and_then(|(key, value)| Some((key, value?))))
    }
}

type Found = Option<(Octets, Option<Octets>)>;

fn last_of(values: &Values, from: &[u8], until: &[u8]) -> Found {
    let mut range = values.range::<[u8], _>((Bound::Included(from), Bound::Excluded(until)));
    range.next_back().map(|(key, value)| (key.clone(), value.clone()))
}

/// Of two layers' finds the later key; of the same key, the upper layer's.
fn later(upper: Found, lower: Found) -> Found {
    match (upper, lower) {
        (Some(upper), Some(lower)) => Some(if lower.0 > upper.0 { lower } else { upper }),
        (upper, lower) => upper.or(lower),
    }
}

impl IndexSum {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(fingerprint(key, value));
    }

    fn subtract(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(fingerprint(key, value));
    }
}

/// 32 hexadecimal digits.
impl std::fmt::Display for IndexSum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The first 128 bits of SHA-256 over the key's length, the key and the value.
fn fingerprint(key: &[u8], value: &[u8]) -> u128 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&(key.len() as u64).to_le_bytes());
    context.update(key);
    context.update(value);
    let hash = context.finish();
    hash.as_ref().first_chunk().map_or(0, |first| u128::from_le_bytes(*first))
}

fn meta(flushed: &Flushed, position: &Position) -> Result<Vec<u8>> {
    minicbor::to_vec(Meta {
        format: FORMAT,
        instance: &flushed.instance,
        sequence: position.sequence,
        offset: position.offset,
        last: position.last.millis(),
        certificates: position.certificates,
        peaks: position.frontier.peaks().concat(),
        sum: flushed.sum.0.to_be_bytes(),
    })
    .map_err(Error::internal)
}

fn read_meta(octets: &[u8], instance: [u8; 16]) -> Result<(Flushed, Position)> {
    let meta: Meta = minicbor::decode(octets).map_err(Error::internal)?;
    if meta.format != FORMAT || meta.instance != instance {
        return Err(Error::internal("the index is of another version or instance"));
    }
    let peaks = meta.peaks.as_chunks::<32>().0.to_vec();
    let frontier = Frontier::from_parts(meta.sequence, peaks)
        .ok_or_else(|| Error::internal("the index has a wrong Merkle tree"))?;
    let sum = IndexSum(u128::from_be_bytes(meta.sum));
    let position = Position {
        sequence: meta.sequence,
        offset: meta.offset,
        last: Timestamp::from_millis(meta.last),
        frontier,
        certificates: meta.certificates,
    };
    Ok((Flushed { instance, sum, sequence: meta.sequence }, position))
}

/// Calls sled; an error or a panic of it becomes an error of ours.
/// Waits until nobody holds sled's lock on the index in `folder`: threads of a database that was dropped hold it a moment longer, and
/// write into the folder.
///
/// # Errors
/// [`Error::Unavailable`] when it is held for long.
pub fn wait_until_released(folder: &Path) -> Result<()> {
    // The file that sled locks. Whatever else is wrong with it is told when it is opened.
    let Ok(file) = File::open(folder.join("db")) else { return Ok(()) };
    let began = Instant::now();
    while let Err(TryLockError::WouldBlock) = file.try_lock() {
        if began.elapsed() > LOCK_PATIENCE {
            return Err(Error::unavailable(format!(
                "the index in `{}` is in use, {} s after it was closed: see which process has `db` there open",
                folder.display(),
                LOCK_PATIENCE.as_secs()
            )));
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    Ok(())
}

fn guarded<T, E: std::fmt::Display>(call: impl FnOnce() -> Result<T, E>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Error::internal(format!("the index failed: {error}"))),
        Err(panic) => {
            let why = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Err(Error::internal(format!("the index failed: {why}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_outlives_its_database_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let position = filled(folder.path());
        let held = File::open(folder.path().join("db")).unwrap();
        wait_until_released(folder.path()).unwrap();
        held.lock().unwrap();
        std::thread::scope(|scope| {
            let opened = scope.spawn(|| Index::open(folder.path(), 1 << 20, [7; 16]));
            // Long enough for sled to have refused, and no more than that hangs on it.
            std::thread::sleep(LOCK_PAUSE * 50);
            held.unlock().unwrap();
            assert_eq!(opened.join().unwrap().unwrap().1, Some(position));
        });
    }

    fn filled(folder: &Path) -> Position {
        let (index, position) = Index::open(folder, 1 << 20, [7; 16]).unwrap();
        assert_eq!(position, None);
        let mut changes = Changes::default();
        let mut view = Layered { changes: &mut changes, index: &index };
        for n in 0..100u64 {
            view.put(packed::key(b'A', &n.to_be_bytes()), vec![1; 20]);
        }
        view.remove(packed::key(b'A', &3u64.to_be_bytes()));
        index.absorb(changes, (0, 32));
        let position = Position { sequence: 0, offset: 32, ..super::super::open::beginning() };
        index.apply(&position).unwrap();
        index.write_out().unwrap();
        position
    }

    #[test]
    fn an_index_that_lost_or_changed_something_does_not_open() {
        let change: [fn(&sled::Db); 4] = [
            |_| {},
            |db| drop(db.remove(packed::key(b'A', &5u64.to_be_bytes())).unwrap()),
            |db| drop(db.insert(packed::key(b'A', &5u64.to_be_bytes()), vec![2; 20]).unwrap()),
            |db| drop(db.remove(META).unwrap()),
        ];
        for (number, change) in change.into_iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let position = filled(folder.path());
            wait_until_released(folder.path()).unwrap();
            let database = sled::open(folder.path()).unwrap();
            change(&database);
            drop(database);
            let opened = Index::open(folder.path(), 1 << 20, [7; 16]);
            match number {
                0 => assert_eq!(opened.unwrap().1, Some(position)),
                _ => assert!(opened.is_err(), "{number}"),
            }
            let foreign = Index::open(folder.path(), 1 << 20, [8; 16]);
            assert!(foreign.is_err());
        }
    }

    #[test]
    fn an_index_that_leaves_the_disk_holds_the_same() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path());
        let (index, _) = Index::open(folder.path(), 1 << 20, [7; 16]).unwrap();
        let contents = |index: &Index| {
            let mut all = Vec::new();
            let mut take = |key: &[u8], value: &[u8]| {
                all.push((key.to_vec(), value.to_vec()));
                Ok(true)
            };
            index.scan(b"A", b"A", &mut take).unwrap();
            all
        };
        let (before, sum) = (contents(&index), index.sum());
        assert_eq!(before.len(), 99);
        let refused = index.leave_disk(Error::internal("broken")).unwrap_err();
        assert!(refused.to_string().contains("broken"), "nothing can build it: {refused}");

        let copy = before.clone();
        index.rebuild_with(move |until| {
            assert_eq!(until, 32);
            let index = Index::in_memory();
            let values = copy.iter().cloned().map(|(key, value)| (key, Some(value))).collect();
            index.absorb(Changes { values, ..Changes::default() }, (0, until));
            Ok(index)
        });
        index.leave_disk(Error::internal("broken")).unwrap();
        assert_eq!((contents(&index), index.sum()), (before, sum));
        let key = |n: u64| packed::key(b'A', &n.to_be_bytes());
        let values = [(key(5), None), (key(7), Some(vec![3]))].into_iter().collect();
        index.absorb(Changes { values, ..Changes::default() }, (2, 64));
        index
            .apply(&Position { sequence: 2, offset: 64, ..super::super::open::beginning() })
            .unwrap();
        assert_eq!(index.value(&key(5)).unwrap(), None);
        assert_eq!(index.value(&key(7)).unwrap(), Some(vec![3]));
        assert_eq!(index.last(&key(4), &key(6)).unwrap().map(|found| found.0), Some(key(4)));
        assert_eq!((contents(&index).len(), index.sum().1, index.applied()), (98, 2, 0));
    }

    #[test]
    fn layers_cover_each_other_in_order() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path());
        let (index, _) = Index::open(folder.path(), 1 << 20, [7; 16]).unwrap();
        let key = |n: u64| packed::key(b'A', &n.to_be_bytes());
        let mut changes = Changes::default();
        let mut view = Layered { changes: &mut changes, index: &index };
        view.remove(key(4));
        view.put(key(5), vec![9]);
        view.put(key(200), vec![8]);
        assert_eq!(view.value(&key(4)).unwrap(), None);
        assert_eq!(view.last(&key(0), &key(6)).unwrap(), Some((key(5), vec![9])));
        assert_eq!(index.value(&key(5)).unwrap(), Some(vec![1; 20]));
        index.absorb(changes, (0, 32));
        let mut seen = Vec::new();
        index
            .scan(b"A", &key(2), |key, value| {
                seen.push((packed::u64_from(&key[1..]).unwrap(), value.len()));
                Ok(true)
            })
            .unwrap();
        let expected: Vec<(u64, usize)> = [(2, 20), (5, 1)]
            .into_iter()
            .chain((6..100).map(|n| (n, 20)))
            .chain([(200, 1)])
            .collect();
        assert_eq!(seen, expected);
    }
}
