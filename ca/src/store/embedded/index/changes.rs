//! The changes of a group of entries.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use crate::record::{CertificateId, RevokedEntry};
use crate::store::keys::Key;
use crate::store::numbers::{Bucket, Day};
use crate::store::values::{TransactionId, TransactionState};
use crate::store::view::SerialState;

/// Changed keys with their new values; `None` for a key that is removed.
pub type Values = BTreeMap<Key, Option<Vec<u8>>>;

/// The changes that a group of entries makes. Except for `values`, each field has changes of the field of the same kind
/// in [`super::tables::Tables`]. They are layered over the index until the group is durable.
#[derive(Debug, Default)]
pub struct Changes {
    /// The changed keys of the database.
    pub values: Values,
    /// The state of each serial, by its number.
    pub serials: HashMap<u64, SerialState>,
    /// The state of each transaction; `None` for one that is forgotten.
    pub transactions: HashMap<TransactionId, Option<TransactionState>>,
    /// The number of blocks of transactions in each bucket.
    pub buckets: BTreeMap<Bucket, u32>,
    /// For each day on which certificates end, the offset in its last key.
    pub days: HashMap<Day, u64>,
    /// The revocation or hold of each certificate; `None` for one that is released.
    pub revoked: HashMap<CertificateId, Option<RevokedEntry>>,
    /// The values of search keys, by span and part. They are not in `values`, as each certificate changes several of
    /// them in place.
    pub search: HashMap<(u64, u8), Vec<u8>>,
}

/// A key as one layer has it: the changes of a group, the recent changes of the index, or the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layered {
    /// The key.
    pub key: Key,
    /// The value; `None` if the layer removes the key.
    pub value: Option<Vec<u8>>,
}

/// The last key in `from..until`; `None` if there is none.
pub fn last_of(values: &Values, from: &[u8], until: &[u8]) -> Option<Layered> {
    let mut range = values.range::<[u8], _>((Bound::Included(from), Bound::Excluded(until)));
    range.next_back().map(|(key, value)| Layered { key: key.clone(), value: value.clone() })
}

/// The larger one of two keys in two layers; if they are the same, that of the upper layer.
pub fn later(upper: Option<Layered>, lower: Option<Layered>) -> Option<Layered> {
    match (upper, lower) {
        (Some(upper), Some(lower)) => Some(if lower.key > upper.key { lower } else { upper }),
        (upper, lower) => upper.or(lower),
    }
}
