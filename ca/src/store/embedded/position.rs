//! A position in the journal, with what a replay or the writer needs to continue there.

use crate::clock::Timestamp;
use crate::journal::{FILE_HEADER, Frontier};
use crate::store::history::Mark;

/// A position between two entries of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The sequence number of the next entry.
    pub sequence: u64,
    /// The offset of the next entry's frame in the journal, in octets.
    pub offset: u64,
    /// When the last entry before this position was recorded; the earliest possible time if there is none.
    pub last: Timestamp,
    /// The right edge of the Merkle tree over the entries before this position.
    pub frontier: Frontier,
    /// The number of certificates issued before this position.
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

    /// This position as a mark, which readers of the history use.
    pub const fn mark(&self) -> Mark {
        Mark { sequence: self.sequence, offset: self.offset }
    }

    /// When the last entry before this position was recorded; `None` if there is none.
    pub fn last_entry(&self) -> Option<Timestamp> {
        (self.sequence > 0).then_some(self.last)
    }
}
