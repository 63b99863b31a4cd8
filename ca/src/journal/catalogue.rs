//! What a reader must know of a journal to begin anywhere in it: where entries are, and what later entries say of earlier ones.

use std::collections::HashMap;
use std::fs::File;

use super::entry::{Entry, Recorded};
use super::file::{FILE_HEADER, Scanner, Step};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::record::{Issued, Label};

/// The offset of one entry among so many is kept.
const EVERY: u64 = 256;
/// Octets of a payload that count as much work as one more entry.
const OCTETS: usize = 4096;
/// The fewest awaited confirmations at which expired ones are forgotten.
const MANY: usize = 1 << 16;

/// A catalogue of the entries of a journal from the first one on. It grows by parts, so that nobody waits for the whole of a long journal.
/// It is in memory alone: 8 octets for 256 entries, 16 for each confirmed certificate, and the renames.
#[derive(Debug)]
pub struct Catalogue {
    /// The offset behind the last entry that is known.
    offset: u64,
    /// How many entries are known.
    entries: u64,
    /// The offset of each entry whose number is a multiple of [`EVERY`].
    places: Vec<u64>,
    renames: Vec<Rename>,
    /// The renames by the old name: the number of the entry, and the new name.
    by_old_name: HashMap<Label, Vec<(u64, Label)>>,
    /// The entries of certificates whose confirmation may come, by the transaction.
    awaited: HashMap<Vec<u8>, Awaited>,
    forget_at: usize,
    /// For each confirmation its number, and the offset of the entry of the certificate.
    confirmed: Vec<(u64, u64)>,
}

/// Another name that an account got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// The number of the entry.
    pub sequence: u64,
    /// The name before.
    pub from: Label,
    /// The name since.
    pub to: Label,
}

#[derive(Debug)]
struct Awaited {
    offset: u64,
    expires: Timestamp,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self {
            offset: FILE_HEADER as u64,
            entries: 0,
            places: Vec::new(),
            renames: Vec::new(),
            by_old_name: HashMap::new(),
            awaited: HashMap::new(),
            forget_at: MANY,
            confirmed: Vec::new(),
        }
    }
}

impl Catalogue {
    /// Reads on in the journal `file` until the entries end at `until`, or about `most` of them are read; large ones count several times.
    /// Returns whether it has reached `until`, which must be an offset that an entry ends at.
    ///
    /// # Errors
    /// [`Error::Internal`] when the journal is damaged; [`Error::Unavailable`] when it cannot be read.
    pub fn advance(&mut self, file: &File, until: u64, most: usize) -> Result<bool> {
        let mut scanner = Scanner::new(file, self.offset, self.entries, until);
        let mut work = 0_usize;
        while work < most {
            let (offset, recorded) = match scanner.step()? {
                Step::Entry { offset, payload, envelope } => {
                    work = work.saturating_add(work_of(payload));
                    (offset, envelope.open()?)
                }
                Step::Damaged(damage) => return Err(Error::from(damage)),
                Step::End => return Ok(true),
            };
            self.note(offset, recorded);
            (self.offset, self.entries) = (scanner.offset(), scanner.sequence());
        }
        Ok(self.offset >= until)
    }

    fn note(&mut self, offset: u64, recorded: Recorded) {
        let Recorded { sequence, at, entry } = recorded;
        if sequence.is_multiple_of(EVERY) {
            self.places.push(offset);
        }
        match entry {
            Entry::AccountRenamed { from, to } => {
                self.by_old_name.entry(from.clone()).or_default().push((sequence, to.clone()));
                self.renames.push(Rename { sequence, from, to });
            }
            Entry::Issued(Issued { transaction: Some(transaction), .. })
                if transaction.awaits.is_some() =>
            {
                if self.awaited.len() >= self.forget_at {
                    self.awaited.retain(|_, one| one.expires > at);
                    self.forget_at = self.awaited.len().saturating_mul(2).max(MANY);
                }
                let awaited = Awaited { offset, expires: transaction.expires };
                self.awaited.insert(transaction.id, awaited);
            }
            Entry::Confirmed { transaction } => {
                if let Some(awaited) = self.awaited.remove(&transaction) {
                    self.confirmed.push((sequence, awaited.offset));
                }
            }
            _ => {}
        }
    }

    /// How many entries are known.
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// The renames, oldest first.
    pub fn renames(&self) -> &[Rename] {
        &self.renames
    }

    /// A scanner over the known entries. It begins at `sequence`, or at most [`EVERY`] entries before; `None` if there is no such entry.
    pub fn scanner<'f>(&self, file: &'f File, sequence: u64) -> Option<Scanner<'f>> {
        let place = usize::try_from(sequence / EVERY).ok()?;
        let offset = self.places.get(place).filter(|_| sequence < self.entries)?;
        Some(Scanner::new(file, *offset, sequence / EVERY * EVERY, self.offset))
    }

    /// The offset of the entry of the certificate that entry `sequence` confirms.
    pub fn issued_before(&self, sequence: u64) -> Option<u64> {
        let place = self.confirmed.binary_search_by_key(&sequence, |(confirmed, _)| *confirmed);
        self.confirmed.get(place.ok()?).map(|(_, offset)| *offset)
    }

    /// The name that an account has at entry `until`, which was called `name` at the earlier entry `from`.
    pub fn name_at(&self, name: &Label, from: u64, until: u64) -> Label {
        let (mut name, mut from) = (name, from);
        while let Some(renames) = self.by_old_name.get(name) {
            let next = renames.partition_point(|(sequence, _)| *sequence <= from);
            match renames.get(next).filter(|(sequence, _)| *sequence < until) {
                Some((sequence, to)) => (name, from) = (to, *sequence),
                None => break,
            }
        }
        name.clone()
    }
}

/// How many entries a payload counts as, by the work to read it.
pub fn work_of(payload: &[u8]) -> usize {
    payload.len() / OCTETS + 1
}
