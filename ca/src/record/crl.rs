//! The records of signed CRLs.

use std::fmt;

use super::label::Label;
use crate::clock::Timestamp;

/// The certificates that a CRL covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CrlScope {
    /// Every certificate of the CA.
    Full,
    /// Every certificate of the CA, but the CRL lists only the changes since a full CRL, its base (RFC 5280 §5.2.4).
    Delta,
    /// The certificates whose distribution point names this partition, a number from 0 (RFC 5280 §5.2.5).
    Partition(u16),
}

/// Writes `full`, `delta` or the number of the partition.
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
    /// The certificates that the CRL covers.
    pub scope: CrlScope,
    /// The cRLNumber. It is larger than that of every earlier CRL of this CA and scope. CRLs that were signed together
    /// have the same number.
    pub number: u64,
    /// thisUpdate. CRLs that were signed together have the same. It is at least a second later than that of the CA's
    /// earlier CRLs, unless the clock was ahead when those were signed.
    pub this_update: Timestamp,
    /// When the CRL was signed: up to [`crate::clock::BACKDATING`] later than thisUpdate. For a CRL that was imported
    /// after a restore, thisUpdate.
    pub signed: Timestamp,
    /// nextUpdate.
    pub next_update: Timestamp,
    /// The number of revoked and held certificates that the CRL lists.
    pub entries: u64,
    /// SHA-256 over the TBSCertList; over the whole CRL in the oldest journal entries.
    pub tbs_sha256: [u8; 32],
    /// Whether this full CRL is the base of the delta CRLs that follow.
    pub is_base: bool,
    /// The journal offset, in octets, up to which all revocations are on the CRL. Later ones may be missing. `None` if
    /// it is unknown, as for a CRL of an instance that was lost.
    pub reached: Option<u64>,
    /// The CRL itself, DER, if the CA's private key is elsewhere and an administrator brought the CRL. Nobody here can sign it again, so that
    /// the journal has all of it. `None` for a CRL that this instance signed.
    pub brought: Option<Vec<u8>>,
}

/// The most octets of a CRL that an administrator brings: the journal keeps it whole. An entry of a CRL has about 40 octets.
pub const MAX_BROUGHT_CRL: usize = 1 << 20;

impl CrlRecord {
    /// Whether at `now` more than half of the time from the CRL's signature to nextUpdate has passed.
    pub fn is_past_half(&self, now: Timestamp) -> bool {
        self.signed.plus(self.next_update.since(self.signed) / 2) < now
    }
}
