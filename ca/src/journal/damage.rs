//! The kinds of damage that a journal can have.

use std::fmt;

use crate::error::Error;

/// A kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DamageKind {
    /// The file ends within an entry, as after a power cut. That entry was never acknowledged.
    TruncatedTail,
    /// The octets of an entry changed: its checksum is wrong.
    Corrupt,
    /// Entries are not in the order of their sequence numbers, or are there twice.
    Reordered,
    /// Entries are missing between two others.
    Missing,
    /// The journal is shorter than the index or a tree head says that it was.
    Shortened,
    /// Every checksum is right, but a tree head was signed over other entries.
    Altered,
    /// The signature of a tree head was not made with the instance's audit key.
    HeadSignature,
    /// The file of tree heads cannot be read to its end.
    Heads,
    /// The body of an entry cannot be decoded, or a newer program wrote it.
    Unreadable,
    /// An entry has an earlier time than the one before it.
    TimeBackwards,
    /// A certificate was issued with a serial that had not been reserved, or that had been issued before.
    Serial,
    /// The number of a CRL is not larger than that of the last CRL of the same CA.
    CrlNumber,
    /// The index differs from an index that is built from the journal.
    Index,
}

impl DamageKind {
    /// The kind's name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TruncatedTail => "truncated tail",
            Self::Corrupt => "bit flip/corrupt entry",
            Self::Reordered => "re-ordered",
            Self::Missing => "missing entries",
            Self::Shortened => "shortened",
            Self::Altered => "altered",
            Self::HeadSignature => "head signature wrong",
            Self::Heads => "heads unreadable",
            Self::Unreadable => "unreadable entry",
            Self::TimeBackwards => "time goes backwards",
            Self::Serial => "serial not reserved or used twice",
            Self::CrlNumber => "CRL number not rising",
            Self::Index => "index differs",
        }
    }
}

impl fmt::Display for DamageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One piece of damage and its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The kind of damage.
    pub kind: DamageKind,
    /// The sequence number of the damaged or expected entry; for damage of tree heads, the number of entries that a
    /// head covers.
    pub sequence: u64,
    /// The offset in the journal, in octets; for [`DamageKind::Heads`], in the file of tree heads.
    pub offset: u64,
    /// What was expected and found.
    pub detail: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, sequence, offset, detail } = self;
        write!(f, "{kind}: entry `{sequence}` at offset `{offset}`: {detail}")
    }
}

/// The error with which a store refuses to open a damaged journal.
impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Self::internal(format!(
            "the journal is damaged, {damage}. Nothing was changed: see `countersign audit verify`, and restore a \
             backup (`countersign restore`)"
        ))
    }
}
