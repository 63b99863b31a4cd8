//! The index as it will be when a group of entries is durable.

use std::collections::btree_map::Entry as Slot;
use std::fs::File;

use super::index::changes::Changes;
use super::index::{Index, Scan};
use crate::error::Result;
use crate::journal::{self, Entry};
use crate::record::{CertificateId, Label, RevokedEntry, Serial};
use crate::store::keys::{self, Key, Space};
use crate::store::numbers::Bucket;
use crate::store::values::filing::Row;
use crate::store::values::{TransactionId, TransactionState, revocation};
use crate::store::view::{SerialState, View, Visit};

/// The changes of a group over the index, and the journal that both come from.
pub struct GroupView<'a> {
    /// The changes of the group.
    pub changes: &'a mut Changes,
    /// The durable index.
    pub index: &'a Index,
    /// The journal, for reading.
    pub journal: &'a File,
    /// The journal offset, in octets, up to which the journal is durable and can be read.
    pub durable: u64,
    /// The number of issued certificates, with those of the group.
    pub certificates: &'a mut u64,
}

impl View for GroupView<'_> {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.changes.values.get(key) {
            Some(changed) => Ok(changed.clone()),
            None => {
                let value = self.index.value(key)?;
                Ok(match self.changes.appended.get(key) {
                    Some(appended) => Some([&value.unwrap_or_default()[..], appended].concat()),
                    None => value,
                })
            }
        }
    }

    fn length(&self, key: &[u8]) -> Result<usize> {
        let length = |value: Option<&Vec<u8>>| value.map_or(0, Vec::len);
        match self.changes.values.get(key) {
            Some(changed) => Ok(length(changed.as_ref())),
            None => Ok(self.index.length(key)? + length(self.changes.appended.get(key))),
        }
    }

    fn put(&mut self, key: Key, value: Vec<u8>) {
        self.changes.appended.remove(&key);
        self.changes.values.insert(key, Some(value));
    }

    fn remove(&mut self, key: Key) {
        self.changes.appended.remove(&key);
        self.changes.values.insert(key, None);
    }

    fn edit<T>(&mut self, key: Key, change: impl FnOnce(&mut Vec<u8>) -> T) -> Result<T> {
        if self.changes.appended.contains_key(&key) {
            let value = self.value(&key)?.unwrap_or_default();
            self.put(key.clone(), value);
        }
        let value = match self.changes.values.entry(key) {
            Slot::Occupied(changed) => changed.into_mut(),
            Slot::Vacant(vacant) => {
                let value = self.index.value(vacant.key())?;
                vacant.insert(value)
            }
        };
        Ok(change(value.get_or_insert_default()))
    }

    fn append(&mut self, key: Key, octets: &[u8]) -> Result<()> {
        // A value that the index has in memory is not copied, but grows there when the group is durable.
        if !self.changes.values.contains_key(&key) && self.index.has_in_memory(&key) {
            self.changes.appended.entry(key).or_default().extend_from_slice(octets);
            return Ok(());
        }
        self.edit(key, |value| value.extend_from_slice(octets))
    }

    fn scan_durable(&self, space: Space, visit: &mut Visit<'_>) -> Result<()> {
        let prefix = space.prefix();
        self.index.scan(&prefix, &prefix, |key, value| visit(key, value).map(|()| Scan::Continue))
    }

    fn entry(&self, offset: u64) -> Result<Option<Entry>> {
        if offset >= self.durable {
            return Ok(None);
        }
        Ok(Some(journal::entry_at(self.journal, offset)?.entry))
    }

    fn file(&mut self, row: Row) {
        self.changes.rows.push(row);
        *self.certificates += 1;
    }

    fn ordinal(&self, offset: u64) -> Result<Option<u64>> {
        let rows = &self.changes.rows;
        match rows.binary_search_by_key(&offset, |row| row.offset) {
            Ok(place) => Ok(self.certificates.checked_sub((rows.len() - place) as u64)),
            Err(_) => self.index.ordinal(offset),
        }
    }

    fn serial(&self, number: u64) -> Option<SerialState> {
        self.changes.serials.get(&number).copied().or_else(|| self.index.serial(number))
    }

    fn set_serial(&mut self, number: u64, state: SerialState) {
        self.changes.serials.insert(number, state);
    }

    fn unused(&self, reserved: u64) -> u32 {
        let changed = self.changes.unused.get(&reserved).copied();
        let below = || self.index.read_tables(|tables| tables.unused.get(&reserved).copied());
        changed.or_else(below).unwrap_or(0)
    }

    fn set_unused(&mut self, reserved: u64, count: u32) {
        self.changes.unused.insert(reserved, count);
    }

    fn transaction(&self, id: &TransactionId) -> Option<TransactionState> {
        match self.changes.transactions.get(id) {
            Some(changed) => changed.clone(),
            None => self.index.transaction(id),
        }
    }

    fn set_transaction(&mut self, id: TransactionId, state: Option<TransactionState>) {
        self.changes.transactions.insert(id, state);
    }

    fn blocks_in(&self, bucket: Bucket) -> u32 {
        let changed = self.changes.buckets.get(&bucket).copied();
        let below = || self.index.read_tables(|tables| tables.buckets.get(&bucket).copied());
        changed.or_else(below).unwrap_or(0)
    }

    fn set_blocks_in(&mut self, bucket: Bucket, blocks: u32) {
        self.changes.buckets.insert(bucket, blocks);
    }

    fn first_bucket(&self) -> Option<Bucket> {
        let changed = &self.changes.buckets;
        let below = self.index.read_tables(|tables| {
            tables.buckets.keys().copied().find(|bucket| changed.get(bucket) != Some(&0))
        });
        let added = changed.iter().find(|(_, blocks)| **blocks > 0).map(|(bucket, _)| *bucket);
        below.into_iter().chain(added).min()
    }

    fn set_revocation(&mut self, ca: &Label, serial: &Serial, entry: Option<RevokedEntry>) {
        let key = keys::revoked(ca, serial);
        match &entry {
            Some(entry) => self.put(key, revocation::encode(entry)),
            None => self.remove(key),
        }
        self.changes.revoked.insert(CertificateId { ca: ca.clone(), serial: *serial }, entry);
    }
}
