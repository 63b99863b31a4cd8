//! The table of the transactions that are not forgotten. With the default settings, most are forgotten after a quarter
//! of an hour, so there are about as many as enrolments in that time.
//!
//! The table is in memory, takes 24 octets a slot, and is filled from the index on start.

use std::hash::{BuildHasher, RandomState};

use super::by_number::ByNumber;
use super::serials::MAX_OFFSET;
use crate::store::numbers::{bucket_of, from_ordered, ordered};
use crate::store::values::{TransactionBlock, TransactionId, TransactionState};

/// Marks a transaction whose certificate awaits its confirmation. The mark is above the 39 bits of an offset.
const AWAITING: u64 = 1 << 39;
/// Marks the transaction of a request that an administrator must decide.
const REQUEST: u64 = 1 << 40;
/// The number of the block is above these marks, in 23 bits.
const NUMBER: u32 = 41;

/// The table of transactions.
///
/// A slot is found by a hash of 64 bits of the transaction's name, with a random key of this process. Two of a million
/// transactions hardly ever share a hash by chance, and a peer that does not know the key cannot choose identifiers
/// that do.
#[derive(Default)]
pub struct TransactionTable {
    key: RandomState,
    slots: ByNumber<Slot>,
}

#[derive(Clone, Copy)]
struct Slot {
    /// Offset, marks and number of the block.
    packed: u64,
    /// When the transaction expires, as [`ordered`].
    expires: [u8; 8],
}

impl TransactionTable {
    /// The state of a transaction; `None` if it is unknown or forgotten.
    pub fn get(&self, id: &TransactionId) -> Option<TransactionState> {
        self.slots.get(&self.key.hash_one(id)).map(unpack)
    }

    /// Sets the state of a transaction.
    pub fn set(&mut self, id: &TransactionId, state: &TransactionState) {
        self.slots.insert(self.key.hash_one(id), pack(state));
    }

    /// Forgets a transaction.
    pub fn remove(&mut self, id: &TransactionId) {
        self.slots.remove(&self.key.hash_one(id));
        // Gives the memory of a burst back.
        if self.slots.capacity() > 4096 && self.slots.len() < self.slots.capacity() / 8 {
            self.slots.shrink_to(self.slots.len().saturating_mul(2));
        }
    }
}

fn pack(state: &TransactionState) -> Slot {
    let awaiting = if state.is_awaiting { AWAITING } else { 0 };
    let request = if state.is_request { REQUEST } else { 0 };
    let number = u64::from(state.block.number) << NUMBER;
    let packed = state.offset & MAX_OFFSET | awaiting | request | number;
    Slot { packed, expires: ordered(state.expires) }
}

fn unpack(slot: &Slot) -> TransactionState {
    let Slot { packed, expires } = *slot;
    let expires = from_ordered(expires);
    TransactionState {
        offset: packed & MAX_OFFSET,
        expires,
        is_awaiting: packed & AWAITING != 0,
        is_request: packed & REQUEST != 0,
        // A transaction is in a block of the bucket in which it expires.
        block: TransactionBlock { bucket: bucket_of(expires), number: (packed >> NUMBER) as u32 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn a_state_comes_back_as_it_was_and_is_forgotten() {
        let mut table = TransactionTable::default();
        let states = [
            (32, 0, false, false, 0),
            (MAX_OFFSET, i64::MAX, true, false, (1 << 23) - 1),
            (1 << 38, 1_800_000_123_456, true, true, 77),
            (33, -1, false, true, 1),
        ];
        let states = states.map(|(offset, millis, is_awaiting, is_request, number)| {
            let expires = Timestamp::from_millis(millis);
            let block = TransactionBlock { bucket: bucket_of(expires), number };
            TransactionState { offset, expires, is_awaiting, is_request, block }
        });
        for (n, state) in states.iter().enumerate() {
            table.set(&[n as u8; 16], state);
        }
        for (n, state) in states.iter().enumerate() {
            assert_eq!(table.get(&[n as u8; 16]).as_ref(), Some(state));
            table.remove(&[n as u8; 16]);
            assert_eq!(table.get(&[n as u8; 16]), None);
        }
    }

    #[test]
    fn a_burst_does_not_keep_its_memory() {
        let mut table = TransactionTable::default();
        let expires = Timestamp::from_millis(1);
        let block = TransactionBlock { bucket: bucket_of(expires), number: 0 };
        let state =
            TransactionState { offset: 40, expires, is_awaiting: false, is_request: false, block };
        let id = |n: u128| n.to_be_bytes();
        (0..100_000).for_each(|n| table.set(&id(n), &state));
        let full = table.slots.capacity();
        (10..100_000).for_each(|n| table.remove(&id(n)));
        assert!(table.slots.capacity() < full / 8, "{}", table.slots.capacity());
        assert!((0..10).all(|n| table.get(&id(n)) == Some(state.clone())));
    }
}
