//! A position in the journal, with what is needed to go on from there.

use crate::clock::Timestamp;
use crate::journal::{FILE_HEADER, Frontier};
use crate::store::history::Mark;

/// A position between two entries of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The sequence number of the next entry.
    pub sequence: u64,
    /// The offset of that entry's frame in the journal, in octets.
    pub offset: u64,
    /// When the entry before was recorded; the earliest possible time if there is none.
    pub last: Timestamp,
    /// The right edge of the Merkle tree over the entries before.
    pub frontier: Frontier,
    /// The number of certificates issued before.
    pub certificates: u64,
}

impl Position {
    /// The position at the beginning of every journal.
    pub fn beginning() -> Self {
        Self {
            sequence: 0,
            offset: FILE_HEADER as u64,
            last: Timestamp::from_millis(i64::MIN),
            frontier: Frontier::default(),
            certificates: 0,
        }
    }

    /// The same position without what is needed to go on.
    pub const fn mark(&self) -> Mark {
        Mark { sequence: self.sequence, offset: self.offset }
    }

    /// When the entry before was recorded; `None` if there is none.
    pub fn last_entry(&self) -> Option<Timestamp> {
        (self.sequence > 0).then_some(self.last)
    }
}
