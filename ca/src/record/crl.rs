//! The records of signed CRLs.

use std::fmt;

use super::label::Label;
use crate::clock::Timestamp;

/// Which certificates a CRL covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CrlScope {
    /// Every certificate of the CA.
    Full,
    /// The changes since a full CRL, the base (RFC 5280 §5.2.4).
    Delta,
    /// The certificates whose distribution point names this partition (RFC 5280 §5.2.5).
    Partition(u16),
}

/// `full`, `delta` or the number of the partition.
impl fmt::Display for CrlScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Delta => f.write_str("delta"),
            Self::Partition(number) => write!(f, "{number}"),
        }
    }
}

/// A CRL that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlRecord {
    /// The issuing CA.
    pub ca: Label,
    /// Which certificates the CRL covers.
    pub scope: CrlScope,
    /// The cRLNumber. It is larger than that of every earlier CRL of this CA and scope.
    pub number: u64,
    /// thisUpdate. It is at least a second later than that of every earlier CRL of this CA.
    pub this_update: Timestamp,
    /// When the CRL was signed. thisUpdate lies before, as notBefore of a certificate does.
    pub signed: Timestamp,
    /// nextUpdate.
    pub next_update: Timestamp,
    /// The number of entries.
    pub entries: u64,
    /// SHA-256 over the TBSCertList.
    pub tbs_sha256: [u8; 32],
    /// Whether this full CRL is the base of the delta CRLs that follow.
    pub is_base: bool,
    /// The journal offset up to which all revocations are on the CRL. Later ones may be missing. `None` if it is
    /// unknown, as for a CRL of an instance that was lost.
    pub reached: Option<u64>,
}

impl CrlRecord {
    /// Whether more than half of the CRL's validity has passed.
    pub fn is_past_half(&self, now: Timestamp) -> bool {
        self.signed.plus(self.next_update.since(self.signed) / 2) < now
    }
}
