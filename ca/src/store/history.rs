//! What changed since somebody last looked, read from the journal: nothing is missed, whatever happens in between.

use crate::error::{Error, Result};
use crate::journal::{Entry, Scanner, Step};
use crate::record::{CrlScope, Issued, Label, Serial};

/// The most entries that are looked at in one call.
const MAX_LOOK: usize = 10_000;

/// A place in the history. Later places are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub(super) sequence: u64,
    pub(super) offset: u64,
}

impl Mark {
    /// How many entries stand before it.
    pub const fn sequence(self) -> u64 {
        self.sequence
    }

    /// Where in the journal it is, in octets.
    pub const fn offset(self) -> u64 {
        self.offset
    }
}

/// Something that whoever publishes must know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A certificate was issued.
    Issued(Box<Issued>),
    /// The holder of the certificate that this transaction issued took it.
    Confirmed {
        /// The transactionID.
        transaction: Vec<u8>,
    },
    /// A certificate was revoked, held or released.
    Status {
        /// Its issuing CA.
        ca: Label,
        /// Its serial number.
        serial: Serial,
    },
    /// A CRL was signed.
    Crl {
        /// The CA that signed it.
        ca: Label,
        /// What it covers.
        scope: CrlScope,
    },
    /// A CA was made, or has another certificate.
    Ca(Label),
}

/// Reads what changed from `mark` to `end`, and where to go on.
pub(super) fn changes(
    journal: &std::fs::File,
    mark: Mark,
    end: Mark,
) -> Result<(Vec<Change>, Mark)> {
    let mut scanner = Scanner::new(journal, mark.offset, mark.sequence, end.offset);
    let mut changes = Vec::new();
    for _ in 0..MAX_LOOK {
        match scanner.step()? {
            Step::End => break,
            Step::Damaged(damage) => return Err(Error::internal(damage.to_string())),
            Step::Entry { envelope, .. } => changes.extend(change(envelope.open()?.entry)),
        }
    }
    Ok((changes, Mark { sequence: scanner.sequence(), offset: scanner.offset() }))
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
        Entry::Ca(ca) => Some(Change::Ca(ca.name)),
        Entry::Assigned { ca, .. } => Some(Change::Ca(ca)),
        _ => None,
    }
}
