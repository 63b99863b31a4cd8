//! The changes of a group of entries.

use std::collections::{BTreeMap, HashMap};

use super::by_number::ByNumber;
use crate::record::{CertificateId, RevokedEntry};
use crate::store::keys::Key;
use crate::store::numbers::Bucket;
use crate::store::values::filing::Row;
use crate::store::values::{TransactionId, TransactionState};
use crate::store::view::SerialState;

/// Changed keys with their new values; `None` for a key that is removed.
pub type Values = BTreeMap<Key, Option<Vec<u8>>>;

/// The changes that a group of entries makes. `values` has those of the database, and `rows` of
/// [`super::filed::Filed`]; each other field has changes of the field of the same name in [`super::tables::Tables`]. They are layered over the index until the group is durable.
#[derive(Debug, Default)]
pub struct Changes {
    /// The changed keys of the database.
    pub values: Values,
    /// The octets that are appended to values that the index has in memory. Such a key is not in `values`.
    pub appended: BTreeMap<Key, Vec<u8>>,
    /// The issued certificates, in the order of issue.
    pub rows: Vec<Row>,
    /// The state of each serial, by its number.
    pub serials: ByNumber<SerialState>,
    /// The number of unused serials of each reservation, by the offset of its entry.
    pub unused: ByNumber<u32>,
    /// The state of each transaction; `None` for one that is forgotten.
    pub transactions: HashMap<TransactionId, Option<TransactionState>>,
    /// The number of blocks of transactions in each bucket.
    pub buckets: BTreeMap<Bucket, u32>,
    /// The revocation or hold of each certificate; `None` for one that is released.
    pub revoked: HashMap<CertificateId, Option<RevokedEntry>>,
}
