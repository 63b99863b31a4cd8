//! Evidence that a peer has the certificate of a CA's next key, by which an administrator judges when the key may issue.

use super::account::Incarnation;
use super::label::Label;
use crate::clock::Timestamp;

/// What shows that a peer has the certificate of a CA. The number is the one in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnchorEvidence {
    /// The peer, authenticated, fetched it by a general message (rootCaKeyUpdate or caCerts, RFC 9483 §4.3).
    General = 1,
    /// The peer fetched it by EST's /cacerts, and presented its client certificate.
    EstCaCerts = 2,
    /// `countersign export` wrote it into the files of the peer's daemon.
    Export = 3,
    /// An administrator said so.
    Marked = 4,
}

impl AnchorEvidence {
    /// Every kind with its name in answers and exports.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::General, "cmp-genm"),
        (Self::EstCaCerts, "est-cacerts"),
        (Self::Export, "export"),
        (Self::Marked, "marked"),
    ];

    /// The number in the journal.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number; `None` for one of a newer program.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().map(|(kind, _)| kind).find(|kind| kind.number() == number)
    }

    /// The name in answers and exports.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// Evidence, as it is recorded: once for each account, CA and kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorShown {
    /// The account of the peer.
    pub account: Label,
    /// The incarnation of the account that was authenticated. The store refuses the record if another account has the name by then.
    /// `None` skips this check.
    pub incarnation: Option<Incarnation>,
    /// The CA whose certificate the peer has.
    pub ca: Label,
    /// What shows it.
    pub evidence: AnchorEvidence,
    /// The administrator who exported the files or said so; `None` if the peer itself showed it.
    pub actor: Option<String>,
}

/// Evidence about an account that is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAnchor {
    /// The CA whose certificate the peer has.
    pub ca: Label,
    /// What shows it.
    pub evidence: AnchorEvidence,
    /// When it was recorded.
    pub at: Timestamp,
    /// The administrator who exported the files or said so.
    pub actor: Option<String>,
}
