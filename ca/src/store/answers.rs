//! The answers of a store that consist of several values.

use crate::clock::Timestamp;
use crate::record::inventory::ListPlace;
use crate::record::{Account, CertificateRecord, Label};

/// A page of certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The certificates, in the order of issue.
    pub records: Vec<CertificateRecord>,
    /// The cursor of the next page, the place of its first certificate in the order of issue; `None` if no certificates
    /// follow.
    pub next: Option<u64>,
}

/// A page of a list of certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateList {
    /// The certificates, in the order of the list.
    pub records: Vec<CertificateRecord>,
    /// The place after which the next page begins; `None` if no certificates follow.
    pub next: Option<ListPlace>,
}

/// A page of a list of accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountList {
    /// The accounts, ordered by name.
    pub accounts: Vec<Account>,
    /// The name after which the next page begins; `None` if no accounts follow.
    pub next: Option<Label>,
}

/// The certificates of an account, in short.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enrolled {
    /// The certificate that was issued last; `None` if the account never enrolled.
    pub newest: Option<CertificateRecord>,
    /// The valid certificate that was issued last. It is looked for among the last 16.
    pub valid: Option<CertificateRecord>,
}

/// The numbers of requests that have not expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCounts {
    /// The requests that an administrator must decide.
    pub undecided: usize,
    /// The approved requests whose peer has not fetched the certificate.
    pub approved: usize,
}

/// The last restore of the journal from a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRestore {
    /// When the backup was restored.
    pub at: Timestamp,
    /// The offset in the journal, in octets, of the entry that says so.
    pub offset: u64,
}
