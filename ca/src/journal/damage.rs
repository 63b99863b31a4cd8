//! What can be wrong with a journal, and what to do about it.

use std::fmt;

use crate::error::Error;

/// What is wrong, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DamageKind {
    /// The file ends within an entry, as after a power cut. What is cut off was never acknowledged.
    TruncatedTail,
    /// An entry's octets changed.
    Corrupt,
    /// Entries are there but not in their order, or twice.
    Reordered,
    /// Entries between others are gone.
    Missing,
    /// The end is gone, though the index or a tree head says that it was there.
    Shortened,
    /// Every checksum is right, but the entries are not those that a tree head was signed over.
    Altered,
    /// A tree head's signature is not the instance's.
    HeadSignature,
    /// The file of tree heads cannot be read.
    Heads,
    /// An entry cannot be read, or is of a newer program.
    Unreadable,
    /// An entry is older than the one before.
    TimeBackwards,
    /// A certificate was issued whose serial was not reserved before, or issued twice.
    Serial,
    /// A CRL's number is not larger than the last one's.
    CrlNumber,
    /// The index does not say what the journal says.
    Index,
}

impl DamageKind {
    /// Its name in reports.
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

/// Something that is wrong with the journal, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What it is.
    pub kind: DamageKind,
    /// The entry's sequence number.
    pub sequence: u64,
    /// Where in the file, in octets.
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

/// The error with which a store refuses to open.
impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Self::internal(format!(
            "the journal is damaged, {damage}. Nothing was changed: see `countersign audit verify`, and restore a \
             backup (`countersign restore`)"
        ))
    }
}
