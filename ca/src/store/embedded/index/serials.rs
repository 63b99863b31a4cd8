//! Where each serial stands in the journal: a table in memory of 12 octets a slot, rebuilt from the index on start.
//!
//! With one key per certificate sled needs some kilobytes of memory for each; this table needs 14 to 17 octets.

use crate::record::{Label, Serial};

/// Shards grow one after the other, so that growing never needs the whole table twice.
const SHARDS: usize = 256;
/// Marks an offset as that of a reservation. Offsets have 39 bits: a journal has at most 512 GiB.
const RESERVED: u64 = 1 << 39;
/// The largest offset that a slot holds.
pub const MAX_OFFSET: u64 = RESERVED - 1;

/// What is known of a serial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// It was reserved by the entry at this offset, and not used yet.
    Reserved(u64),
    /// Its certificate is in the entry at this offset.
    Issued(u64),
}

/// A number for a serial of a CA, the same on every machine. Two serials with the same number cannot both be
/// reserved, so within the table it is unique.
pub fn serial_number(ca: &Label, serial: &Serial) -> u64 {
    let name = label_number(ca);
    let value = u128::from_be_bytes(*serial.octets());
    let (high, low) = ((value >> 64) as u64, value as u64);
    mix(mix(name ^ high).wrapping_add(low))
}

/// A number for a name, the same on every machine: FNV-1a, well mixed.
pub fn label_number(name: &Label) -> u64 {
    mix(name.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    }))
}

/// The finaliser of SplitMix64.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// From a serial's number to its slot.
#[derive(Debug)]
pub struct SerialTable(Vec<Shard>);

impl Default for SerialTable {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Shard::default()).collect())
    }
}

impl SerialTable {
    /// What is known of this serial.
    pub fn slot(&self, number: u64) -> Option<Slot> {
        self.0.get(shard_of(number))?.find(number)
    }

    /// Sets what is known of this serial.
    pub fn set(&mut self, number: u64, slot: Slot) {
        if let Some(shard) = self.0.get_mut(shard_of(number)) {
            shard.set(number, slot);
        }
    }

    /// How many serials it holds.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.used).sum()
    }
}

const fn shard_of(number: u64) -> usize {
    (number >> 56) as usize
}

/// Open addressing with linear probing. A packed slot of zero is free: offset 0 is the file's header.
#[derive(Debug, Default)]
struct Shard {
    slots: Vec<[u32; 3]>,
    used: usize,
}

impl Shard {
    fn find(&self, number: u64) -> Option<Slot> {
        let at = self.position(number)?;
        self.slots.get(at).and_then(|packed| unpack(packed).1)
    }

    fn set(&mut self, number: u64, slot: Slot) {
        if self.used.saturating_add(1).saturating_mul(8) > self.slots.len().saturating_mul(7) {
            self.grow();
        }
        let Some(place) = self.position(number).and_then(|at| self.slots.get_mut(at)) else {
            return;
        };
        if unpack(place).1.is_none() {
            self.used = self.used.saturating_add(1);
        }
        *place = pack(number, slot);
    }

    /// Where this number stands, or the free place where it would. `None` without any slots.
    fn position(&self, number: u64) -> Option<usize> {
        let capacity = self.slots.len();
        let low = number & (u64::MAX >> 8);
        let start = ((low >> 24) * capacity as u64) >> 32;
        let (head, tail) = self.slots.split_at_checked(usize::try_from(start).ok()?)?;
        let matches = |packed: &[u32; 3]| {
            let (found, slot) = unpack(packed);
            slot.is_none() || found == low
        };
        tail.iter()
            .position(matches)
            .map(|at| at + head.len())
            .or_else(|| head.iter().position(matches))
    }

    fn grow(&mut self) {
        let capacity = self.slots.len() + self.slots.len() / 4 + 8;
        let old = std::mem::replace(&mut self.slots, vec![[0; 3]; capacity]);
        for packed in old {
            if let (low, Some(_)) = unpack(&packed)
                && let Some(place) = self.position(low).and_then(|at| self.slots.get_mut(at))
            {
                *place = packed;
            }
        }
    }
}

fn pack(number: u64, slot: Slot) -> [u32; 3] {
    let offset = match slot {
        Slot::Reserved(offset) => offset | RESERVED,
        Slot::Issued(offset) => offset,
    };
    let middle = ((number >> 24) as u32 & 0xffff_ff00) | ((offset >> 32) as u32 & 0xff);
    [number as u32, middle, offset as u32]
}

fn unpack(packed: &[u32; 3]) -> (u64, Option<Slot>) {
    let [low, middle, offset] = packed.map(u64::from);
    let number = low | (middle & 0xffff_ff00) << 24;
    let slot = match offset | (middle & 0xff) << 32 {
        0 => None,
        reserved if reserved & RESERVED != 0 => Some(Slot::Reserved(reserved & MAX_OFFSET)),
        issued => Some(Slot::Issued(issued)),
    };
    (number, slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_serial_and_stays_small() {
        let mut table = SerialTable::default();
        let ca: Label = "issuing".parse().unwrap();
        let number =
            |n: u64| serial_number(&ca, &Serial::new(u128::from(n + 1).to_be_bytes()).unwrap());
        for n in 0..100_000 {
            table.set(number(n), Slot::Reserved(n + 1));
        }
        for n in 0..100_000 {
            table.set(number(n), Slot::Issued(MAX_OFFSET - n));
        }
        assert_eq!(table.len(), 100_000);
        for n in 0..100_000 {
            assert_eq!(table.slot(number(n)), Some(Slot::Issued(MAX_OFFSET - n)));
            assert_eq!(table.slot(number(n + 100_000)), None);
        }
        let octets: usize = table.0.iter().map(|s| s.slots.capacity() * 12).sum();
        assert!(octets < 100_000 * 19, "{octets}");
    }

    #[test]
    fn numbers_differ_by_ca_and_serial() {
        let serial = |n: u128| Serial::new(n.to_be_bytes()).unwrap();
        let (a, b): (Label, Label) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert_ne!(serial_number(&a, &serial(1)), serial_number(&b, &serial(1)));
        assert_ne!(serial_number(&a, &serial(1)), serial_number(&a, &serial(2)));
        assert_ne!(serial_number(&a, &serial(1)), serial_number(&a, &serial(1 << 64)));
    }
}
