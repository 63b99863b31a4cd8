//! Where each transaction that is not forgotten stands: a table in memory of 24 octets a slot, rebuilt from the index on
//! start. There are as many as enrolments in a quarter of an hour.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use super::packed::{bucket_of, ordered};
use super::records::{TransactionId, TransactionState};
use super::serials::MAX_OFFSET;
use crate::clock::Timestamp;

/// Marks a transaction whose certificate awaits confirmation, above the 39 bits of an offset.
const AWAITING: u64 = 1 << 39;
/// Marks a request that waited, or waits, for an administrator.
const PENDING: u64 = 1 << 40;
/// The number of a value stands above these marks, in 23 bits.
const NUMBER: u32 = 41;

/// From a transaction's identifier to where it stands.
///
/// A slot is found by 64 bits that a key of this process makes of the identifier. That two of some million transactions
/// share them does not happen by chance, and nobody who does not have the key can make it happen.
#[derive(Default)]
pub struct TransactionTable {
    key: RandomState,
    slots: HashMap<u64, Slot, BuildHasherDefault<AsItIs>>,
}

/// Offset, marks and number; the moment when it is forgotten.
type Slot = (u64, u64);

impl TransactionTable {
    /// What is known of this transaction.
    pub fn get(&self, id: &TransactionId) -> Option<TransactionState> {
        self.slots.get(&self.key.hash_one(id)).map(unpack)
    }

    /// Sets what is known of this transaction.
    pub fn set(&mut self, id: &TransactionId, state: &TransactionState) {
        self.slots.insert(self.key.hash_one(id), pack(state));
    }

    /// Forgets this transaction.
    pub fn remove(&mut self, id: &TransactionId) {
        self.slots.remove(&self.key.hash_one(id));
        // A burst is not remembered for ever.
        if self.slots.capacity() > 4096 && self.slots.len() < self.slots.capacity() / 8 {
            self.slots.shrink_to(self.slots.len().saturating_mul(2));
        }
    }
}

fn pack(state: &TransactionState) -> Slot {
    let awaiting = if state.is_awaiting { AWAITING } else { 0 };
    let pending = if state.is_pending { PENDING } else { 0 };
    let number = u64::from(state.place.1) << NUMBER;
    (
        state.offset & MAX_OFFSET | awaiting | pending | number,
        u64::from_be_bytes(ordered(state.expires)),
    )
}

fn unpack((place, expires): &Slot) -> TransactionState {
    let expires = Timestamp::from_millis((expires ^ (1 << 63)).cast_signed());
    TransactionState {
        offset: place & MAX_OFFSET,
        expires,
        is_awaiting: place & AWAITING != 0,
        is_pending: place & PENDING != 0,
        // The value's span of time is that in which the transaction ends.
        place: (bucket_of(expires), (place >> NUMBER) as u32),
    }
}

/// What is a hash already needs none.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.0 = self.0.rotate_left(8) ^ u64::from(*octet);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_as_it_was_and_is_forgotten() {
        let mut table = TransactionTable::default();
        let states = [
            (32, 0, false, false, 0),
            (MAX_OFFSET, i64::MAX, true, false, (1 << 23) - 1),
            (1 << 38, 1_800_000_123_456, true, true, 77),
            (33, -1, false, true, 1),
        ];
        let states = states.map(|(offset, millis, is_awaiting, is_pending, number)| {
            let expires = Timestamp::from_millis(millis);
            let place = (bucket_of(expires), number);
            TransactionState { offset, expires, is_awaiting, is_pending, place }
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
        let place = (bucket_of(expires), 0);
        let state =
            TransactionState { offset: 40, expires, is_awaiting: false, is_pending: false, place };
        let id = |n: u128| n.to_be_bytes();
        (0..100_000).for_each(|n| table.set(&id(n), &state));
        let full = table.slots.capacity();
        (10..100_000).for_each(|n| table.remove(&id(n)));
        assert!(table.slots.capacity() < full / 8, "{}", table.slots.capacity());
        assert!((0..10).all(|n| table.get(&id(n)) == Some(state.clone())));
    }
}
