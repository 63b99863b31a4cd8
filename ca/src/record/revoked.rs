//! The revoked and held certificates of one CA in memory: 32 octets each, ordered by serial number.
//!
//! A copy shares its blocks with the original until either changes. A CRL of a million entries is written from such a
//! snapshot while further certificates are revoked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::revocation::{Reason, Revocation, RevokedEntry};
use super::serial::Serial;
use crate::clock::Timestamp;

/// The most rows (CRL entries) in a block, the unit that copies share. A larger block is divided.
const BLOCK: usize = 1024;
/// The value of `Row::partition` for a certificate that names no partition.
const NONE: u16 = u16::MAX;

/// The revoked and held certificates of one CA.
#[derive(Debug, Clone, Default)]
pub struct RevokedSet {
    blocks: Vec<Arc<Vec<Row>>>,
    length: usize,
    /// The invalidity dates, apart from the rows because few entries have one.
    invalidity: Arc<BTreeMap<Serial, u32>>,
}

/// A CRL entry. Times are whole seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// The certificate's serial number.
    pub serial: Serial,
    /// The revocation date; for a release from hold, the moment of the release.
    pub at: u32,
    /// The reason.
    pub reason: Reason,
    /// When the key is thought to have been compromised (invalidityDate, RFC 5280 §5.3.2); `None` if that is not known.
    pub invalidity: Option<u32>,
}

impl Listed {
    /// The same entry, with `moment` as its revocation date if its own is later. An entry that was recorded while the
    /// clock was ahead would otherwise break the lint, and no CRL could be signed once the clock is right again.
    #[must_use]
    pub fn no_later_than(self, moment: Timestamp) -> Self {
        Self { at: self.at.min(seconds(moment)), ..self }
    }
}

impl From<&RevokedEntry> for Listed {
    fn from(entry: &RevokedEntry) -> Self {
        Self {
            serial: entry.serial,
            at: seconds(entry.revocation.at),
            reason: entry.revocation.reason,
            invalidity: entry.revocation.invalidity.map(seconds),
        }
    }
}

/// One entry. Times are whole seconds since 1970.
#[derive(Debug, Clone, Copy)]
struct Row {
    serial: Serial,
    at: u32,
    not_after: u32,
    partition: u16,
    reason: Reason,
}

impl RevokedSet {
    /// The number of entries.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no entries.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds an entry. It replaces the entry with the same serial number.
    pub fn insert(&mut self, entry: &RevokedEntry) {
        let row = Row {
            serial: entry.serial,
            at: seconds(entry.revocation.at),
            not_after: seconds(entry.not_after),
            partition: entry.partition.unwrap_or(NONE),
            reason: entry.revocation.reason,
        };
        match entry.revocation.invalidity {
            Some(date) => {
                // `make_mut` copies the map only while a snapshot shares it.
                Arc::make_mut(&mut self.invalidity).insert(entry.serial, seconds(date));
            }
            None if self.invalidity.contains_key(&entry.serial) => {
                Arc::make_mut(&mut self.invalidity).remove(&entry.serial);
            }
            None => {}
        }
        let at = self.block_of(&entry.serial);
        let Some(shared) = self.blocks.get_mut(at) else {
            self.blocks.push(Arc::new(vec![row]));
            self.length = self.length.saturating_add(1);
            return;
        };
        let block = Arc::make_mut(shared);
        match block.binary_search_by(|row| row.serial.cmp(&entry.serial)) {
            Ok(place) => {
                if let Some(known) = block.get_mut(place) {
                    *known = row;
                }
                return;
            }
            Err(place) => block.insert(place, row),
        }
        self.length = self.length.saturating_add(1);
        if block.len() > BLOCK {
            // If serials arrive in order, as when an index is loaded, the full block is kept and a new one is started.
            // Halving it would leave all blocks half empty.
            let is_end = block.last().is_some_and(|last| last.serial == entry.serial);
            let mut upper = block.split_off(if is_end { BLOCK } else { BLOCK / 2 });
            block.shrink_to_fit();
            upper.reserve_exact(BLOCK.saturating_sub(upper.len()).saturating_add(1));
            self.blocks.insert(at.saturating_add(1), Arc::new(upper));
        }
    }

    /// Removes the entry with this serial number, if there is one.
    pub fn remove(&mut self, serial: &Serial) {
        let at = self.block_of(serial);
        let Some(shared) = self.blocks.get_mut(at) else { return };
        let Ok(place) = shared.binary_search_by(|row| row.serial.cmp(serial)) else { return };
        let block = Arc::make_mut(shared);
        block.remove(place);
        if block.is_empty() {
            self.blocks.remove(at);
        }
        self.length = self.length.saturating_sub(1);
        if self.invalidity.contains_key(serial) {
            Arc::make_mut(&mut self.invalidity).remove(serial);
        }
    }

    /// The entry with this serial number; `None` if there is none. Times are rounded down to whole seconds.
    pub fn entry(&self, serial: &Serial) -> Option<RevokedEntry> {
        let block = self.blocks.get(self.block_of(serial))?;
        let place = block.binary_search_by(|row| row.serial.cmp(serial)).ok()?;
        block.get(place).map(|row| self.read(row))
    }

    /// All entries, ordered by serial number. Times are rounded down to whole seconds.
    pub fn iter(&self) -> impl Iterator<Item = RevokedEntry> + Clone {
        self.blocks.iter().flat_map(|block| block.iter()).map(|row| self.read(row))
    }

    /// The entries for a CRL, ordered by serial number: those of one partition, or all of them for `None`.
    ///
    /// An expired certificate stays listed until it was on one CRL after its expiry (RFC 5280 §3.3). So an entry is
    /// left out only if its certificate had expired by `last_update`, the thisUpdate of the last CRL, and it was not
    /// revoked since. `changed` names certificates whose revocation was recorded since then, whatever revocation date
    /// it bears; they are always listed.
    pub fn listed(
        &self,
        partition: Option<u16>,
        last_update: Timestamp,
        changed: &BTreeSet<Serial>,
    ) -> impl Iterator<Item = Listed> + Clone {
        let last = seconds(last_update);
        self.blocks
            .iter()
            .flat_map(|block| block.iter())
            .filter(move |row| {
                (row.not_after >= last || row.at >= last || changed.contains(&row.serial))
                    && partition.is_none_or(|partition| row.partition == partition)
            })
            .map(|row| Listed {
                serial: row.serial,
                at: row.at,
                reason: row.reason,
                invalidity: self.invalidity_of(&row.serial),
            })
    }

    fn invalidity_of(&self, serial: &Serial) -> Option<u32> {
        match self.invalidity.is_empty() {
            true => None,
            false => self.invalidity.get(serial).copied(),
        }
    }

    fn read(&self, row: &Row) -> RevokedEntry {
        let invalidity = self.invalidity_of(&row.serial).map(moment);
        RevokedEntry {
            serial: row.serial,
            not_after: moment(row.not_after),
            partition: (row.partition != NONE).then_some(row.partition),
            revocation: Revocation { at: moment(row.at), reason: row.reason, invalidity },
        }
    }

    /// The index of the block that contains this serial number, or would contain it.
    fn block_of(&self, serial: &Serial) -> usize {
        let behind = self
            .blocks
            .partition_point(|block| block.first().is_some_and(|first| first.serial <= *serial));
        behind.saturating_sub(1)
    }
}

/// Whole seconds since 1970. Earlier times become 0, later ones than 2106 the largest value.
fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.seconds().max(0)).unwrap_or(u32::MAX)
}

fn moment(seconds: u32) -> Timestamp {
    Timestamp::from_seconds(i64::from(seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(number: u32, reason: u8) -> RevokedEntry {
        let mut octets = [0; 16];
        // Spread over the whole range, so that blocks are also divided in the middle.
        octets[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
        octets[15] = 1;
        RevokedEntry {
            serial: Serial::new(octets).unwrap(),
            not_after: Timestamp::from_seconds(4_000_000_000 + i64::from(number % 7)),
            partition: (!number.is_multiple_of(3)).then_some(number as u16 % 3),
            revocation: Revocation {
                at: Timestamp::from_seconds(1_000_000_000 + i64::from(number)),
                reason: Reason::from_number(reason).unwrap(),
                invalidity: number
                    .is_multiple_of(5)
                    .then(|| Timestamp::from_seconds(i64::from(number))),
            },
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn it_holds_what_a_map_holds(steps in proptest::collection::vec((0u32..4000, 0u8..7), 1..6000)) {
            let (mut set, mut map) = (RevokedSet::default(), BTreeMap::new());
            let mut before = None;
            for (at, (number, reason)) in steps.iter().enumerate() {
                let entry = entry(*number, *reason);
                if number % 11 == 10 {
                    set.remove(&entry.serial);
                    map.remove(&entry.serial);
                } else {
                    set.insert(&entry);
                    map.insert(entry.serial, entry);
                }
                if at == steps.len() / 2 {
                    before = Some((set.clone(), map.clone()));
                }
            }
            for (set, map) in std::iter::once((set, map)).chain(before) {
                prop_assert_eq!(set.len(), map.len());
                prop_assert!(set.iter().eq(map.values().cloned()));
                for number in 0..50 {
                    let serial = entry(number, 0).serial;
                    prop_assert_eq!(set.entry(&serial), map.get(&serial).cloned());
                }
            }
        }
    }

    #[test]
    fn a_row_is_small_and_blocks_filled_in_order_are_full() {
        assert_eq!(size_of::<Row>(), 32);
        let mut set = RevokedSet::default();
        for number in 1..=10_000u128 {
            set.insert(&RevokedEntry {
                serial: Serial::new(number.to_be_bytes()).unwrap(),
                ..entry(1, 0)
            });
        }
        assert_eq!(set.len(), 10_000);
        assert_eq!(set.blocks.len(), 10);
    }
}
