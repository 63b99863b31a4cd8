//! Reads the history of the records from the journal. So a reader misses no change, however rarely it asks.

use std::fs::File;

use crate::error::{Error, Result};
use crate::journal::{Entry, Scanner, Step};
use crate::store::history::{Change, History, Mark};

/// The most entries that are read in one call.
const MAX_LOOK: usize = 10_000;

/// Reads the history from `mark` to `end`, or a part of it.
///
/// # Errors
/// [`Error::Internal`] when the journal is damaged; [`Error::Unavailable`] when it cannot be read.
pub fn changes(journal: &File, mark: Mark, end: Mark) -> Result<History> {
    let mut scanner = Scanner::new(journal, mark.offset, mark.sequence, end.offset);
    let mut changes = Vec::new();
    for _ in 0..MAX_LOOK {
        match scanner.step()? {
            Step::End => break,
            Step::Damaged(damage) => return Err(Error::internal(damage.to_string())),
            Step::Entry { envelope, .. } => changes.extend(change(envelope.open()?.entry)),
        }
    }
    let next = Mark { sequence: scanner.sequence(), offset: scanner.offset() };
    Ok(History { changes, next })
}

fn change(entry: Entry) -> Option<Change> {
    match entry {
        Entry::Issued(issued) => Some(Change::Issued(Box::new(issued))),
        Entry::Confirmed { transaction } => Some(Change::Confirmed { transaction }),
        Entry::Revoked { ca, serial, .. } | Entry::Released { ca, serial } => {
            Some(Change::Status { ca, serial })
        }
        Entry::Listed { ca, entry } => Some(Change::Status { ca, serial: entry.serial }),
        Entry::Crl(crl) => Some(Change::Crl { ca: crl.ca, scope: crl.scope }),
        Entry::AccountRenamed { from, .. } => Some(Change::Renamed { from }),
        Entry::Ca(ca) => Some(Change::Ca(ca.name)),
        Entry::Assigned { ca, .. } => Some(Change::Ca(ca)),
        _ => None,
    }
}
