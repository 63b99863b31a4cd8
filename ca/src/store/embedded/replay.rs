//! The replay: applies entries of the journal to an index, and compares the Merkle tree with the signed tree heads on
//! the way.

use std::path::Path;

use super::commit::GATHERED;
use super::group_view::GroupView;
use super::index::Index;
use super::index::changes::Changes;
use super::position::Position;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::{
    Damage, DamageKind, Entry, Head, JournalFile, Scanner, Step, frame_length, leaf_hash,
};
use crate::store::rules::{Rules, Stop};

/// How far a replay of the journal is, in octets from the place where it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The octets read so far.
    pub done: u64,
    /// The octets to read in all.
    pub total: u64,
}

/// A function that is called now and then during a replay.
pub type ProgressFn<'a> = dyn FnMut(Progress) + 'a;

/// Builds an index in `folder` from the first entries of a journal, up to the offset `until`. `cache` is the size of
/// its cache in octets.
///
/// # Errors
/// [`Error::Internal`] when the journal is damaged or the index fails; [`Error::Unavailable`] when the journal cannot
/// be read or another process has the index open.
pub fn build_index(folder: &Path, journal: &JournalFile, until: u64, cache: u64) -> Result<Index> {
    fill(Index::open(folder, cache, journal.instance)?.index, journal, until)
}

/// Builds an index in memory from the first entries of a journal, up to the offset `until`.
///
/// # Errors
/// [`Error::Internal`] when the journal is damaged; [`Error::Unavailable`] when it cannot be read.
pub fn index_in_memory(journal: &JournalFile, until: u64) -> Result<Index> {
    fill(Index::in_memory(), journal, until)
}

fn fill(index: Index, journal: &JournalFile, until: u64) -> Result<Index> {
    let mut replay = Replay::new(journal, &index, Position::beginning(), &[]);
    replay.end = until;
    if let Some(damage) = replay.run(&mut |_| {})? {
        return Err(damage.into());
    }
    let position = replay.position;
    index.apply(&position)?;
    Ok(index)
}

/// A replay from a position to the end of the journal.
pub struct Replay<'a> {
    journal: &'a JournalFile,
    index: &'a Index,
    /// The heads behind the position, which are still to be compared.
    heads: &'a [Head],
    position: Position,
    end: u64,
}

impl<'a> Replay<'a> {
    /// A replay from `position`, up to which `index` is complete. The heads must be in the order of their sizes.
    pub fn new(
        journal: &'a JournalFile,
        index: &'a Index,
        position: Position,
        heads: &'a [Head],
    ) -> Self {
        let first = heads.partition_point(|head| head.size <= position.sequence);
        let heads = heads.get(first..).unwrap_or_default();
        Self { journal, index, heads, position, end: journal.length }
    }

    /// The position that the replay has reached.
    pub fn into_position(self) -> Position {
        self.position
    }

    /// Applies every entry up to the end. Returns the torn tail of the journal, if it has one.
    ///
    /// # Errors
    /// [`Error::Internal`] that names the damage when the journal is not whole; also when the index fails.
    /// [`Error::Unavailable`] when the journal cannot be read.
    pub fn run(&mut self, progress: &mut ProgressFn<'_>) -> Result<Option<Damage>> {
        let first = self.position.offset;
        let total = self.end.saturating_sub(first);
        let mut scanner = Scanner::new(&self.journal.file, first, self.position.sequence, self.end);
        loop {
            match scanner.step()? {
                Step::End => break,
                Step::Damaged(damage) if damage.kind == DamageKind::TruncatedTail => {
                    return Ok(Some(damage));
                }
                Step::Damaged(damage) => return Err(damage.into()),
                Step::Entry { offset, payload, envelope } => {
                    let recorded = envelope.open()?;
                    let end = offset + frame_length(payload);
                    self.position.frontier.push(leaf_hash(payload));
                    self.apply(recorded.at, &recorded.entry, offset, end)?;
                }
            }
            self.compare_with_heads()?;
            if self.position.sequence.is_multiple_of(1024) {
                progress(Progress { done: self.position.offset.saturating_sub(first), total });
            }
        }
        progress(Progress { done: total, total });
        Ok(None)
    }

    fn apply(&mut self, at: Timestamp, entry: &Entry, offset: u64, end: u64) -> Result<()> {
        let mut changes = Changes::default();
        let mut rules = Rules {
            view: GroupView {
                changes: &mut changes,
                index: self.index,
                journal: &self.journal.file,
                durable: self.end,
                certificates: &mut self.position.certificates,
            },
        };
        let subject = match rules.find(entry) {
            Ok(subject) => subject,
            Err(Stop::Refused(error)) => return Err(error),
            Err(Stop::NotDurable) => None,
        };
        rules.apply(at, entry, subject.as_ref(), offset)?;
        self.position.sequence += 1;
        self.position.offset = end;
        self.index.absorb(changes, self.position.mark());
        self.position.last = at;
        if self.index.waiting() >= GATHERED {
            self.index.apply(&self.position)?;
        }
        Ok(())
    }

    /// Compares the Merkle tree with each tree head of its size.
    fn compare_with_heads(&mut self) -> Result<()> {
        while let Some((head, rest)) = self.heads.split_first() {
            if head.size > self.position.sequence {
                break;
            }
            if head.root != self.position.frontier.root() {
                return Err(Error::from(Damage {
                    kind: DamageKind::Altered,
                    sequence: head.size,
                    offset: self.position.offset,
                    detail: format!(
                        "the first `{}` entries are not those that the tree head of {} was signed over",
                        head.size, head.at
                    ),
                }));
            }
            self.heads = rest;
        }
        Ok(())
    }
}
