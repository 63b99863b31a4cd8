//! The CAs of an instance, and how their keys succeed each other.

use super::label::Label;

/// A CA of this instance, as recorded when it was founded or installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaRecord {
    /// The CA's name in commands, URLs and the configuration.
    pub name: Label,
    /// Whether the CA is a root, which issues certificates to CAs and not to peers.
    pub is_root: bool,
    /// The CA's certificate, DER.
    pub certificate: Vec<u8>,
    /// The certificates above the CA's, DER, root last; empty for a root.
    pub chain: Vec<Vec<u8>>,
    /// The succession, if the CA's key follows another key; `None` for a first key.
    pub succeeds: Option<Succession>,
}

/// The succession of one key of a CA by the next. Each key is a CA with a record of its own, so that the certificates
/// and CRLs of both stay apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    /// The CA with the previous key.
    pub predecessor: Label,
    /// The certificates that link two keys of a root; `None` for an issuing CA, which needs none because the root
    /// certifies both keys.
    pub links: Option<Links>,
    /// Whether the predecessor continues to issue until an administrator activates this CA.
    pub waits: bool,
}

/// A duty that an administrator assigns to an issuing CA. The number is the one in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// The CA issues for accounts that name no CA.
    Default = 1,
    /// The CA issues in place of its predecessor.
    Issue = 2,
    /// The CA issues no more. It signs its CRLs and OCSP answers until it ends.
    Retire = 3,
    /// The CA issues again after it was retired.
    Return = 4,
}

impl Duty {
    /// Every duty.
    pub const ALL: [Self; 4] = [Self::Default, Self::Issue, Self::Retire, Self::Return];

    /// The duty's name in records and exports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Issue => "issue",
            Self::Retire => "retired",
            Self::Return => "active",
        }
    }
}

/// The certificates that link two keys of a root in both directions (RFC 9810 §4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// newWithOld: the new key, signed by the old one, DER.
    pub new_with_old: Vec<u8>,
    /// oldWithNew: the old key, signed by the new one, DER.
    pub old_with_new: Vec<u8>,
}
