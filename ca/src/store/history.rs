//! The history of the records, for readers that follow it: places in it, and what changed.

use crate::record::{CrlScope, Issued, Label, Serial};

/// A place in the history, between two entries. Later places are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub(super) sequence: u64,
    pub(super) offset: u64,
}

impl Mark {
    /// The number of entries before this place.
    pub const fn sequence(self) -> u64 {
        self.sequence
    }

    /// The offset of this place in the journal, in octets.
    pub const fn offset(self) -> u64 {
        self.offset
    }
}

/// The changes after a mark, or the first part of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// The mark from which to continue. If nothing follows the mark that was asked for, it is that mark.
    pub next: Mark,
}

/// A change of the records that concerns certificates, CRLs or CAs, which publishers follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A CA issued a certificate.
    Issued(Box<Issued>),
    /// The holder confirmed the certificate that this transaction issued.
    Confirmed {
        /// The transactionID.
        transaction: Vec<u8>,
    },
    /// A certificate was revoked, put on hold or released.
    Status {
        /// The certificate's CA.
        ca: Label,
        /// The certificate's serial.
        serial: Serial,
    },
    /// A CA signed a CRL.
    Crl {
        /// The CA that signed the CRL.
        ca: Label,
        /// The certificates that the CRL covers.
        scope: CrlScope,
    },
    /// An account has another name.
    Renamed {
        /// The name that it had.
        from: Label,
    },
    /// A CA was made, has another certificate, or has another duty.
    Ca(Label),
}
