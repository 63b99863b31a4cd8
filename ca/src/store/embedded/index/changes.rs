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

/// What a group of entries changes, in the order of what [`super::tables::Tables`] holds. It is layered over the index
/// until the group is durable.
#[derive(Debug, Default)]
pub struct Changes {
    pub values: Values,
    pub serials: HashMap<u64, SerialState>,
    pub transactions: HashMap<TransactionId, Option<TransactionState>>,
    pub buckets: BTreeMap<Bucket, u32>,
    pub days: HashMap<Day, u64>,
    pub revoked: HashMap<CertificateId, Option<RevokedEntry>>,
    /// The values of search keys, by span and part. They are not in `values`, as each certificate changes several of
    /// them in place.
    pub search: HashMap<(u64, u8), Vec<u8>>,
}

/// A key as one layer has it: the changes of a group, the recent changes of the index, or the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layered {
    pub key: Key,
    /// `None` if the layer removes the key.
    pub value: Option<Vec<u8>>,
}

/// The last key in `from..until`.
pub fn last_of(values: &Values, from: &[u8], until: &[u8]) -> Option<Layered> {
    let mut range = values.range::<[u8], _>((Bound::Included(from), Bound::Excluded(until)));
    range.next_back().map(|(key, value)| Layered { key: key.clone(), value: value.clone() })
}

/// The later one of two keys in two layers; if they are the same, that of the upper layer.
pub fn later(upper: Option<Layered>, lower: Option<Layered>) -> Option<Layered> {
    match (upper, lower) {
        (Some(upper), Some(lower)) => Some(if lower.key > upper.key { lower } else { upper }),
        (upper, lower) => upper.or(lower),
    }
}
