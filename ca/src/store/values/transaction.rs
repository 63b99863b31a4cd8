//! Transactions that the index has not forgotten: blocks of records of 33 octets. Numbers have their most significant
//! octet first; `expires` is in milliseconds since 1970.
//!
//! ```text
//! record = id:16 offset:8 expires:8 flags:1     flags: 1 a confirmation is awaited, 2 a request
//! ```

use ring::digest;

use super::super::numbers::Bucket;
use crate::clock::Timestamp;

/// The octets of one transaction's record in a block.
const TRANSACTION: usize = 33;
const AWAITING: u8 = 1;
const REQUEST: u8 = 2;

/// The name of a transaction in the index: the first half of SHA-256 over its identifier. Peers choose identifiers, of
/// up to 64 octets; the hash has a fixed length and is spread evenly.
pub type TransactionId = [u8; 16];

/// The name of the transaction with this identifier.
pub fn transaction_id(id: &[u8]) -> TransactionId {
    let hash = digest::digest(&digest::SHA256, id);
    hash.as_ref().first_chunk().copied().unwrap_or_default()
}

/// The name of a block, the value that holds up to [`super::super::numbers::TRANSACTION_CHUNK`] transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionBlock {
    /// The bucket of time in which all transactions of the block expire.
    pub bucket: Bucket,
    /// The number of the block in the bucket, from 0.
    pub number: u32,
}

/// The state of a transaction in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionState {
    /// The journal offset of the entry that holds the transaction.
    pub offset: u64,
    /// When the transaction expires. It is forgotten some time afterwards.
    pub expires: Timestamp,
    /// Whether the certificate in the transaction's entry awaits its confirmation.
    pub is_awaiting: bool,
    /// Whether the transaction's entry is a request that an administrator must decide, or joins one.
    pub is_request: bool,
    /// The block that holds the record.
    pub block: TransactionBlock,
}

/// Appends a transaction to a block.
pub fn push_transaction(value: &mut Vec<u8>, id: &TransactionId, state: &TransactionState) {
    value.extend_from_slice(id);
    value.extend_from_slice(&state.offset.to_be_bytes());
    value.extend_from_slice(&state.expires.millis().to_be_bytes());
    let awaiting = if state.is_awaiting { AWAITING } else { 0 };
    value.push(awaiting | if state.is_request { REQUEST } else { 0 });
}

/// The transactions in the value of a block.
pub fn read_transactions(
    value: &[u8],
    block: TransactionBlock,
) -> impl Iterator<Item = (TransactionId, TransactionState)> {
    value.as_chunks::<TRANSACTION>().0.iter().filter_map(move |record| {
        let (id, rest) = record.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (expires, rest) = rest.split_first_chunk()?;
        let flags = rest.first().copied()?;
        let state = TransactionState {
            offset: u64::from_be_bytes(*offset),
            expires: Timestamp::from_millis(i64::from_be_bytes(*expires)),
            is_awaiting: flags & AWAITING != 0,
            is_request: flags & REQUEST != 0,
            block,
        };
        Some((*id, state))
    })
}

/// The number of transactions in a value of this many octets.
pub const fn count_transactions(octets: usize) -> usize {
    octets / TRANSACTION
}
