//! The index as the rules see it: its durable state, changed by the earlier entries of the same group. A group is a set of entries that
//! become durable together.
//!
//! The rules are written against this trait, so that they hold for every log and every index.

use super::keys::{Key, Space};
use super::numbers::Bucket;
use super::values::filing::Row;
use super::values::{TransactionId, TransactionState};
use crate::error::Result;
use crate::journal::Entry;
use crate::record::{Label, RevokedEntry, Serial};

/// The state of a serial number in the index. Offsets are places in the journal, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SerialState {
    /// The entry at this offset reserved the serial, and no certificate has it yet.
    Reserved(u64),
    /// The entry at this offset holds the serial's certificate.
    Issued(u64),
}

/// The function that a scan calls with each key and its value.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'a;

/// An index that can be read and changed. Changes are seen at once, but take effect only when the group of entries is
/// durable.
///
/// All `Result`s fail with [`crate::Error::Internal`] when the index or the journal fails.
pub trait View {
    /// The value of a key; `None` if there is none.
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The length of the value of a key in octets; 0 without a value.
    fn length(&self, key: &[u8]) -> Result<usize>;

    /// Sets a value.
    fn put(&mut self, key: Key, value: Vec<u8>);

    /// Removes a key and its value.
    fn remove(&mut self, key: Key);

    /// Changes a value in place. Without a value, `change` gets an empty one.
    fn edit<T>(&mut self, key: Key, change: impl FnOnce(&mut Vec<u8>) -> T) -> Result<T>;

    /// Appends to a value. Without a value, the octets are the value.
    fn append(&mut self, key: Key, octets: &[u8]) -> Result<()>;

    /// Visits the durable keys of a space in order. The changes of the group are not visited.
    fn scan_durable(&self, space: Space, visit: &mut Visit<'_>) -> Result<()>;

    /// The entry at an offset of the journal; `None` while the entry is not durable.
    fn entry(&self, offset: u64) -> Result<Option<Entry>>;

    /// Files one more issued certificate, the last one in the order of issue.
    fn file(&mut self, row: Row);

    /// The place in the order of issue, from 0, of the certificate whose entry is at an offset; `None` if there is none.
    fn ordinal(&self, offset: u64) -> Result<Option<u64>>;

    /// The state of the serial with this number ([`super::numbers::serial_number`]); `None` if it was never reserved.
    fn serial(&self, number: u64) -> Option<SerialState>;

    /// Sets the state of the serial with this number.
    fn set_serial(&mut self, number: u64, state: SerialState);

    /// The number of unused serials among those that the entry at an offset reserved.
    fn unused(&self, reserved: u64) -> u32;

    /// Sets the number of unused serials among those that the entry at an offset reserved.
    fn set_unused(&mut self, reserved: u64, count: u32);

    /// The state of a transaction; `None` if it is unknown or forgotten.
    fn transaction(&self, id: &TransactionId) -> Option<TransactionState>;

    /// Sets the state of a transaction; `None` forgets the transaction.
    fn set_transaction(&mut self, id: TransactionId, state: Option<TransactionState>);

    /// The number of blocks of transactions ([`super::values::TransactionBlock`]) in a bucket; 0 for an empty bucket.
    fn blocks_in(&self, bucket: Bucket) -> u32;

    /// Sets the number of blocks of transactions in a bucket.
    fn set_blocks_in(&mut self, bucket: Bucket, blocks: u32);

    /// The earliest bucket with a block of transactions; `None` if there is none.
    fn first_bucket(&self) -> Option<Bucket>;

    /// Sets the revocation or hold of a certificate, both its value and its row in the table in memory; `None` removes
    /// it.
    fn set_revocation(&mut self, ca: &Label, serial: &Serial, entry: Option<RevokedEntry>);
}
