//! The table of serials: from the number of each serial to the entry that reserved it or holds its certificate.
//!
//! The table is in memory and is filled from the index on start. It takes 12 octets a slot, and 14 to 17 a serial. With
//! a key for each certificate instead, the database would take some kilobytes of memory for each.

use crate::store::view::SerialState;

/// The number of shards. Shards grow one at a time, so that growing never needs the memory of the whole table twice.
const SHARDS: usize = 256;
/// Marks an offset as that of a reservation. An offset has 39 bits below this mark.
const RESERVED: u64 = 1 << 39;
/// The largest journal offset that a slot holds: a journal has at most 512 GiB.
pub const MAX_OFFSET: u64 = RESERVED - 1;

/// The table of serials.
#[derive(Debug)]
pub struct SerialTable(Vec<Shard>);

impl Default for SerialTable {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Shard::default()).collect())
    }
}

impl SerialTable {
    /// Makes room for this many serials.
    pub fn reserve(&mut self, count: u64) {
        // A sixteenth more than its share fits into almost every shard.
        let share = usize::try_from(count).unwrap_or(0) / SHARDS;
        let slots = (share + share / 16).saturating_mul(8) / 7;
        for shard in self.0.iter_mut().filter(|shard| shard.slots.len() < slots) {
            shard.resize(slots);
        }
    }

    /// The state of the serial with this number; `None` if it was never reserved.
    pub fn state(&self, number: u64) -> Option<SerialState> {
        self.0.get(shard_of(number))?.find(number)
    }

    /// Sets the state of the serial with this number.
    pub fn set(&mut self, number: u64, state: SerialState) {
        if let Some(shard) = self.0.get_mut(shard_of(number)) {
            shard.set(number, state);
        }
    }

    /// The number of serials.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.used).sum()
    }
}

const fn shard_of(number: u64) -> usize {
    (number >> 56) as usize
}

/// A hash table with open addressing and linear probing. A slot of zeros is free: no entry has the offset 0, where the
/// journal has its header.
#[derive(Debug, Default)]
struct Shard {
    slots: Vec<[u32; 3]>,
    used: usize,
}

impl Shard {
    fn find(&self, number: u64) -> Option<SerialState> {
        let at = self.position(number)?;
        self.slots.get(at).and_then(|packed| unpack(packed).1)
    }

    fn set(&mut self, number: u64, state: SerialState) {
        if self.used.saturating_add(1).saturating_mul(8) > self.slots.len().saturating_mul(7) {
            self.grow();
        }
        let Some(slot) = self.position(number).and_then(|at| self.slots.get_mut(at)) else {
            return;
        };
        if unpack(slot).1.is_none() {
            self.used = self.used.saturating_add(1);
        }
        *slot = pack(number, state);
    }

    /// The slot that has this number, or else the free slot for it; `None` if there are no slots.
    fn position(&self, number: u64) -> Option<usize> {
        let capacity = self.slots.len();
        let low = number & (u64::MAX >> 8);
        let start = ((low >> 24) * capacity as u64) >> 32;
        let (head, tail) = self.slots.split_at_checked(usize::try_from(start).ok()?)?;
        let matches = |packed: &[u32; 3]| {
            let (found, state) = unpack(packed);
            state.is_none() || found == low
        };
        tail.iter()
            .position(matches)
            .map(|at| at + head.len())
            .or_else(|| head.iter().position(matches))
    }

    fn grow(&mut self) {
        self.resize(self.slots.len() + self.slots.len() / 4 + 8);
    }

    fn resize(&mut self, capacity: usize) {
        let old = std::mem::replace(&mut self.slots, vec![[0; 3]; capacity]);
        for packed in old {
            if let (low, Some(_)) = unpack(&packed)
                && let Some(slot) = self.position(low).and_then(|at| self.slots.get_mut(at))
            {
                *slot = packed;
            }
        }
    }
}

/// The lowest 56 bits of the number, then the 40 bits of the marked offset. The highest 8 bits of the number are those
/// of the shard.
fn pack(number: u64, state: SerialState) -> [u32; 3] {
    let offset = match state {
        SerialState::Reserved(offset) => offset | RESERVED,
        SerialState::Issued(offset) => offset,
    };
    let middle = ((number >> 24) as u32 & 0xffff_ff00) | ((offset >> 32) as u32 & 0xff);
    [number as u32, middle, offset as u32]
}

/// The number in a slot, and the state; no state for a free slot.
fn unpack(packed: &[u32; 3]) -> (u64, Option<SerialState>) {
    let [low, middle, offset] = packed.map(u64::from);
    let number = low | (middle & 0xffff_ff00) << 24;
    let state = match offset | (middle & 0xff) << 32 {
        0 => None,
        reserved if reserved & RESERVED != 0 => Some(SerialState::Reserved(reserved & MAX_OFFSET)),
        issued => Some(SerialState::Issued(issued)),
    };
    (number, state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Label, Serial};
    use crate::store::numbers::serial_number;

    #[test]
    fn keeps_every_serial_and_stays_small() {
        let mut table = SerialTable::default();
        let ca: Label = "issuing".parse().unwrap();
        let number =
            |n: u64| serial_number(&ca, &Serial::new(u128::from(n + 1).to_be_bytes()).unwrap());
        for n in 0..100_000 {
            table.set(number(n), SerialState::Reserved(n + 1));
        }
        for n in 0..100_000 {
            table.set(number(n), SerialState::Issued(MAX_OFFSET - n));
        }
        assert_eq!(table.len(), 100_000);
        for n in 0..100_000 {
            assert_eq!(table.state(number(n)), Some(SerialState::Issued(MAX_OFFSET - n)));
            assert_eq!(table.state(number(n + 100_000)), None);
        }
        let octets: usize = table.0.iter().map(|s| s.slots.capacity() * 12).sum();
        assert!(octets < 100_000 * 19, "{octets}");
    }
}
