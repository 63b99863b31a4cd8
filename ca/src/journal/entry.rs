//! The content of one entry of the journal, as domain values.
//!
//! Each method of [`crate::Store`] that records something makes one entry. [`Entry::Restored`] is made by a restore,
//! and [`Entry::Locked`] not any more. `body/` and `payload.rs` say how an entry lies on disk.

use super::kind::Kind;
use crate::clock::Timestamp;
use crate::record::Vendor;
use crate::record::approval::{Decision, PartialApproval, PendingRequest, RequestId};
use crate::record::{
    Account, AdminAction, Administrator, AnchorShown, CaRecord, CrlRecord, Duty, Issued, Label,
    Restoration, Revocation, RevokedEntry, Serial, Transaction,
};

/// The most serials that one entry reserves.
pub const MAX_RESERVED: usize = 1024;

/// The content of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A CA's certificate was recorded.
    Ca(CaRecord),
    /// A CA is about to sign certificates with these serials.
    Reserved {
        /// The CA that is about to sign.
        ca: Label,
        /// The serials, 1 to [`MAX_RESERVED`].
        serials: Vec<Serial>,
    },
    /// A CA issued a certificate.
    Issued(Issued),
    /// The holder confirmed the certificate that this transaction issued (certConf, RFC 9810 §5.3.18).
    Confirmed {
        /// The transaction's identifier.
        transaction: Vec<u8>,
    },
    /// A certificate was revoked or put on hold.
    Revoked {
        /// The certificate's CA.
        ca: Label,
        /// The certificate's serial.
        serial: Serial,
        /// The date and the reason of the revocation, and the invalidity date.
        revocation: Revocation,
        /// The transaction in which a peer asked for the revocation; `None` if no peer did.
        transaction: Option<Transaction>,
        /// Whether the certificate is revoked because its holder did not accept it. If the certificate used the
        /// account's secret, the secret then gets the use back, at most [`crate::record::MAX_GIVEN_BACK`] times.
        untaken: bool,
    },
    /// A certificate on hold is good again.
    Released {
        /// The certificate's CA.
        ca: Label,
        /// The certificate's serial.
        serial: Serial,
    },
    /// A CA signed a CRL.
    Crl(CrlRecord),
    /// Accounts were created.
    Accounts(Vec<Account>),
    /// An administrator changed an account: this record replaced the one of the same name.
    AccountChanged(Account),
    /// An account was removed.
    AccountRemoved(Label),
    /// An account got another name. What names the account by the old one, before this entry, is its own all the same.
    AccountRenamed {
        /// The name that it had.
        from: Label,
        /// The name that it has from now on.
        to: Label,
    },
    /// Too many wrong secrets were tried, so the reference of an account's secret was locked. Only old journals have
    /// such entries: locks are kept in memory now.
    Locked {
        /// The reference of the secret.
        reference: String,
        /// When the lock ended.
        until: Timestamp,
    },
    /// An administrator did something that changes no other record.
    AdminAction(AdminAction),
    /// An administrator gave a CA a duty.
    Assigned {
        /// The CA that gets the duty.
        ca: Label,
        /// The duty that the CA has from now on.
        duty: Duty,
    },
    /// A peer has shown that it has the certificate of a CA's next key, or an administrator said so.
    AnchorShown(AnchorShown),
    /// An administrator was recorded, or this record replaced the one of the same name.
    AdministratorChanged(Administrator),
    /// An administrator was removed.
    AdministratorRemoved(Label),
    /// An administrator trusts a vendor: its certificates may sign first enrolments.
    VendorTrusted(Vendor),
    /// A vendor is no longer trusted.
    VendorRemoved(Label),
    /// A peer asked for a certificate, and an administrator must decide. Boxed, as it is much larger than the others.
    Requested(Box<PendingRequest>),
    /// A peer asked again, in another transaction, for what an undecided or approved request asks for. The transaction
    /// joins that request.
    Joined {
        /// The request.
        request: RequestId,
        /// The transaction that joins the request.
        transaction: Transaction,
    },
    /// An administrator approved a request, and others must, too.
    PartlyApproved {
        /// The request.
        request: RequestId,
        /// The person who approved the request.
        approval: PartialApproval,
    },
    /// An administrator decided a request, or the peer withdrew it.
    Decided {
        /// The request.
        request: RequestId,
        /// The verdict, who gave it, and the reason.
        decision: Decision,
    },
    /// The journal was restored from a backup, which ends before this entry.
    Restored(Restoration),
    /// An administrator says that the clock is right, whatever time the previous entry has. Only this entry may be earlier than the one
    /// before it.
    ClockAccepted {
        /// The administrator: a user of the operating system, such as `uid 0`.
        actor: String,
    },
    /// A CRL that this instance signed before it was lost and restored lists a serial number for which the journal has
    /// no certificate.
    Listed {
        /// The CA that signed the CRL.
        ca: Label,
        /// The serial number, and what the CRL says about it.
        entry: RevokedEntry,
    },
}

impl Entry {
    /// The entry's kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Ca(_) => Kind::Ca,
            Self::Reserved { .. } => Kind::Reserved,
            Self::Issued(_) => Kind::Issued,
            Self::Confirmed { .. } => Kind::Confirmed,
            Self::Revoked { .. } => Kind::Revoked,
            Self::Released { .. } => Kind::Released,
            Self::Crl(_) => Kind::Crl,
            Self::Accounts(_) => Kind::Accounts,
            Self::AccountChanged(_) => Kind::AccountChanged,
            Self::AccountRemoved(_) => Kind::AccountRemoved,
            Self::AccountRenamed { .. } => Kind::AccountRenamed,
            Self::Locked { .. } => Kind::Locked,
            Self::AdminAction(_) => Kind::AdminAction,
            Self::Requested(_) => Kind::Requested,
            Self::PartlyApproved { .. } => Kind::PartlyApproved,
            Self::Decided { .. } => Kind::Decided,
            Self::Joined { .. } => Kind::Joined,
            Self::VendorTrusted(_) => Kind::VendorTrusted,
            Self::VendorRemoved(_) => Kind::VendorRemoved,
            Self::Restored(_) => Kind::Restored,
            Self::ClockAccepted { .. } => Kind::ClockAccepted,
            Self::Listed { .. } => Kind::Listed,
            Self::Assigned { .. } => Kind::Assigned,
            Self::AnchorShown(_) => Kind::AnchorShown,
            Self::AdministratorChanged(_) => Kind::AdministratorChanged,
            Self::AdministratorRemoved(_) => Kind::AdministratorRemoved,
        }
    }

    /// The name of the entry's kind in an export.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }
}

/// An entry with its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The sequence number, from 0. It is also the number of the entry's leaf in the Merkle tree.
    pub sequence: u64,
    /// When the entry was recorded.
    pub at: Timestamp,
    /// The content of the entry.
    pub entry: Entry,
}
