//! Those answers of a store that have more than one part.

use crate::clock::Timestamp;
use crate::record::CertificateRecord;

/// A page of certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The certificates, in the order of issue.
    pub records: Vec<CertificateRecord>,
    /// The cursor of the next page, the place of its first certificate in the order of issue; `None` if no certificates
    /// follow.
    pub next: Option<u64>,
}

/// The numbers of requests that have not expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCounts {
    /// Those that an administrator must decide.
    pub undecided: usize,
    /// Those that are approved, and whose peer has not come for the certificate.
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
