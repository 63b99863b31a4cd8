//! The tables that the index holds in memory beside the database, to spare look-ups in it.
//!
//! The tables are filled from the database's keys on start. Afterwards each group of entries changes both.

use std::collections::{BTreeMap, HashMap};

use super::by_number::ByNumber;
use super::changes::Changes;
use super::serials::SerialTable;
use super::transactions::TransactionTable;
use crate::record::Label;
use crate::record::revoked::RevokedSet;
use crate::store::keys;
use crate::store::numbers::Bucket;
use crate::store::values::lists::serial_numbers;
use crate::store::values::{read_transactions, revocation};
use crate::store::view::SerialState;

/// The tables in memory.
#[derive(Default)]
pub struct Tables {
    /// Every reserved and issued serial, by its number.
    pub serials: SerialTable,
    /// The number of unused serials of each reservation that has any, by the offset of its entry.
    pub unused: ByNumber<u32>,
    /// The transactions that are not forgotten.
    pub transactions: TransactionTable,
    /// The number of blocks of transactions in each bucket.
    pub buckets: BTreeMap<Bucket, u32>,
    /// The revoked and held certificates of each CA.
    pub revoked: HashMap<Label, RevokedSet>,
}

impl Tables {
    /// Fills the tables from a key of the database and its value. Reserved serials come first, then those that are
    /// issued ([`Self::issue`]), then [`Self::count_unused`].
    pub fn load(&mut self, key: &[u8], value: &[u8]) {
        if let Some(offset) = keys::read_reserved(key) {
            for number in serial_numbers(value) {
                self.serials.set(number, SerialState::Reserved(offset));
            }
        } else if let Some(id) = keys::read_revoked(key) {
            if let Ok(entry) = revocation::decode(id.serial, value) {
                self.revoked.entry(id.ca).or_default().insert(&entry);
            }
        } else if let Some(block) = keys::read_transactions(key) {
            self.buckets.insert(block.bucket, block.number.saturating_add(1));
            for (id, transaction) in read_transactions(value, block) {
                let known = self.transactions.get(&id);
                // The identifier expired and was used again before its block was forgotten: the later transaction
                // counts.
                if known.is_none_or(|known| known.offset < transaction.offset) {
                    self.transactions.set(&id, &transaction);
                }
            }
        }
    }

    /// Sets that the serial with this number is issued, by the entry at an offset.
    pub fn issue(&mut self, number: u64, offset: u64) {
        self.serials.set(number, SerialState::Issued(offset));
    }

    /// Counts the unused serials among the numbers in the value of a reservation.
    pub fn count_unused(&mut self, reserved: u64, value: &[u8]) {
        let numbers = serial_numbers(value).map(|number| self.serials.state(number));
        let unused = numbers.filter(|state| *state == Some(SerialState::Reserved(reserved)));
        self.unused.insert(reserved, u32::try_from(unused.count()).unwrap_or(u32::MAX));
    }

    /// Makes the changes of a group.
    pub fn absorb(&mut self, changes: Changes) {
        for (number, state) in changes.serials {
            self.serials.set(number, state);
        }
        for (reserved, unused) in changes.unused {
            if unused == 0 {
                self.unused.remove(&reserved);
            } else {
                self.unused.insert(reserved, unused);
            }
        }
        for (id, transaction) in changes.transactions {
            match transaction {
                Some(transaction) => self.transactions.set(&id, &transaction),
                None => self.transactions.remove(&id),
            }
        }
        for (bucket, blocks) in changes.buckets {
            if blocks == 0 {
                self.buckets.remove(&bucket);
            } else {
                self.buckets.insert(bucket, blocks);
            }
        }
        for (id, entry) in changes.revoked {
            let set = self.revoked.entry(id.ca).or_default();
            match entry {
                Some(entry) => set.insert(&entry),
                None => set.remove(&id.serial),
            }
        }
    }
}
