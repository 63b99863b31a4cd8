//! The kinds of journal entries: the number that a payload carries, and the name that an export shows.
//!
//! Both sides of the codec use [`Kind`]: [`super::Entry::kind`] on the way in, `body::decode` on the way out.

/// The kind of an entry. Its discriminant is the number in the payload.
///
/// INVARIANT: a number, once in a released program, belongs to its kind for ever, because journals are never rewritten.
/// New numbers go by subject: certificates, CRLs, accounts and administrators' actions have 1 to 13, requests begin at 20, vendors at 30,
/// restores and the clock at 40, the duties of CAs at 50, administrators at
/// 60.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A CA's certificate.
    Ca = 1,
    /// Serials, before a CA signs with them.
    Reserved = 2,
    /// A certificate.
    Issued = 3,
    /// The holder's confirmation of a certificate.
    Confirmed = 4,
    /// A revocation or hold.
    Revoked = 5,
    /// A release from hold.
    Released = 6,
    /// A signed CRL.
    Crl = 7,
    /// New accounts.
    Accounts = 8,
    /// A changed account.
    AccountChanged = 9,
    /// The removal of an account.
    AccountRemoved = 10,
    /// A locked reference, in old journals only.
    Locked = 11,
    /// An administrator's action that changes no other record.
    AdminAction = 12,
    /// Another name for an account.
    AccountRenamed = 13,
    /// A request that an administrator must decide.
    Requested = 20,
    /// The decision about a request.
    Decided = 21,
    /// Another transaction that asks for the same as a request.
    Joined = 22,
    /// An approval of a request that does not suffice alone.
    PartlyApproved = 23,
    /// A trusted vendor.
    VendorTrusted = 30,
    /// The removal of a vendor.
    VendorRemoved = 31,
    /// A restore from a backup.
    Restored = 40,
    /// An administrator's word that the clock is right.
    ClockAccepted = 41,
    /// A revocation that is known only from a CRL that was signed before a restore.
    Listed = 42,
    /// A CA's duty.
    Assigned = 50,
    /// Evidence that a peer has the certificate of a CA's next key.
    AnchorShown = 54,
    /// A new or changed administrator.
    AdministratorChanged = 60,
    /// The removal of an administrator.
    AdministratorRemoved = 61,
}

impl Kind {
    /// Every kind with its name in an export. Users' scripts match the names.
    pub const ALL: [(Self, &'static str); 26] = [
        (Self::Ca, "ca"),
        (Self::Reserved, "reserved"),
        (Self::Issued, "issued"),
        (Self::Confirmed, "confirmed"),
        (Self::Revoked, "revoked"),
        (Self::Released, "released"),
        (Self::Crl, "crl"),
        (Self::Accounts, "accounts-created"),
        (Self::AccountChanged, "account-changed"),
        (Self::AccountRemoved, "account-removed"),
        (Self::Locked, "locked"),
        (Self::AdminAction, "deed"),
        (Self::AccountRenamed, "account-renamed"),
        (Self::Requested, "requested"),
        (Self::Decided, "request-decided"),
        (Self::Joined, "request-joined"),
        (Self::PartlyApproved, "request-partly-approved"),
        (Self::VendorTrusted, "vendor-trusted"),
        (Self::VendorRemoved, "vendor-removed"),
        (Self::Restored, "restored"),
        (Self::ClockAccepted, "clock-accepted"),
        (Self::Listed, "listed"),
        (Self::Assigned, "ca-assigned"),
        (Self::AnchorShown, "anchor-shown"),
        (Self::AdministratorChanged, "administrator-changed"),
        (Self::AdministratorRemoved, "administrator-removed"),
    ];

    /// The number in the payload.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number; `None` for one of a newer program.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().map(|(kind, _)| kind).find(|kind| kind.number() == number)
    }

    /// The name in an export.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}
