//! The tables that the index holds in memory beside the database, to spare look-ups in it.
//!
//! The tables are filled from the database's keys on start. Afterwards each group of entries changes both.

use std::collections::{BTreeMap, HashMap};

use super::changes::{Changes, Values};
use super::serials::SerialTable;
use super::transactions::TransactionTable;
use crate::record::Label;
use crate::record::revoked::RevokedSet;
use crate::store::keys::{self, Space};
use crate::store::numbers::{Bucket, Day};
use crate::store::values::lists::{numbered, serial_numbers};
use crate::store::values::{read_transactions, revocation};
use crate::store::view::SerialState;

/// The tables in memory.
#[derive(Default)]
pub struct Tables {
    /// Every reserved and issued serial, by its number.
    pub serials: SerialTable,
    /// The transactions that are not forgotten.
    pub transactions: TransactionTable,
    /// The number of blocks of transactions in each bucket.
    pub buckets: BTreeMap<Bucket, u32>,
    /// For each day on which certificates end, the offset in its last key.
    pub days: HashMap<Day, u64>,
    /// The revoked and held certificates of each CA.
    pub revoked: HashMap<Label, RevokedSet>,
    /// The search keys of the last span: each new certificate changes several of its values.
    search: SearchSpan,
}

/// The values of search keys of one span, by part.
#[derive(Default)]
struct SearchSpan {
    span: u64,
    values: HashMap<u8, Vec<u8>>,
}

impl Tables {
    /// The value of search keys of a part of a span; `None` if there is none, or the span is not the last one.
    pub fn search(&self, span: u64, part: u8) -> Option<&Vec<u8>> {
        self.search.values.get(&part).filter(|_| self.search.span == span)
    }

    fn set_search(&mut self, span: u64, part: u8, value: Vec<u8>) {
        if span > self.search.span {
            self.search = SearchSpan { span, values: HashMap::new() };
        }
        if span == self.search.span {
            self.search.values.insert(part, value);
        }
    }

    /// Fills the tables from a key of the database and its value. Returns the number of issued certificates in the
    /// value, which is 0 for a key of another kind.
    pub fn load(&mut self, key: &[u8], value: &[u8]) -> u64 {
        let starts = |space: Space| key.starts_with(&space.prefix());
        if starts(Space::Order) {
            let mut count = 0;
            for certificate in numbered(value) {
                self.serials.set(certificate.number, SerialState::Issued(certificate.offset));
                count += 1;
            }
            return count;
        }
        if let Some(offset) = keys::read_reserved(key) {
            for number in serial_numbers(value) {
                self.serials.set(number, SerialState::Reserved(offset));
            }
        } else if let Some(id) = keys::read_revoked(key) {
            if let Ok(entry) = revocation::decode(id.serial, value) {
                self.revoked.entry(id.ca).or_default().insert(&entry);
            }
        } else if let Some((span, part)) = keys::read_search(key) {
            self.set_search(span, part, value.to_vec());
        } else if let Some((day, offset)) = keys::read_expiring(key) {
            self.days.insert(day, offset);
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
        0
    }

    /// Makes the changes of a group. Values of search keys also go to `recent`, the changes that the database does not
    /// have yet.
    pub fn absorb(&mut self, changes: Changes, recent: &mut Values) {
        for (number, state) in changes.serials {
            self.serials.set(number, state);
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
        self.days.extend(changes.days);
        for ((span, part), value) in changes.search {
            recent.insert(keys::search(span, part), Some(value.clone()));
            self.set_search(span, part, value);
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
