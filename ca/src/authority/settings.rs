//! The operator's settings of the authority.

use std::path::PathBuf;
use std::time::Duration;

use crate::record::Label;

/// The operator's settings of the authority, apart from profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The issuing CA of accounts that name none. `None` leaves it to the records: the first issuing CA that was founded,
    /// until an administrator chooses another.
    pub default_ca: Option<Label>,
    /// The settings of CRLs.
    pub crl: CrlSettings,
    /// When wrong secrets lock a reference for the address that sent them.
    pub locks: LockSettings,
    /// How long the certificate of the delegate that signs OCSP responses is valid. It is renewed when half of that has passed.
    pub responder_validity: Duration,
}

/// The operator's settings of CRLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlSettings {
    /// The time from the signing of an issuing CA's CRL to its nextUpdate, at most to the CA's end.
    pub validity: Duration,
    /// The time from the signing of a root's CRL to its nextUpdate, at most to the root's end.
    pub root_validity: Duration,
    /// The time after which an issuing CA's CRL is signed again, at most half of its validity; `None` means a quarter of it. A root's CRL
    /// is always signed again after a quarter of its validity.
    pub interval: Option<Duration>,
    /// The number of CRL partitions for new certificates; 0 for none. Existing certificates keep their partition.
    pub partitions: u16,
    /// The URL templates of partitions, with `{ca}` and `{partition}`, which certificates and CRLs name.
    pub partition_urls: Vec<String>,
    /// Whether delta CRLs are signed (RFC 5280 §5.2.4). IKE daemons need not support them (RFC 4945 §5.2.2.4).
    pub delta: bool,
    /// The URL templates of delta CRLs, with `{ca}`, which full CRLs name in freshestCRL.
    pub delta_urls: Vec<String>,
    /// The URL templates of full CRLs, with `{ca}`. Certificates of CAs name these URLs, in addition to the URLs of the profiles.
    pub full_urls: Vec<String>,
    /// The folder with the files of the newest CRLs: `CA.crl` for the full one, and `CA/SCOPE.crl` for the others.
    pub folder: PathBuf,
}

/// When wrong secrets from an address lock a reference for that address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockSettings {
    /// The number of wrong secrets in a row that lock the reference; 0 for never.
    pub after: u32,
    /// The duration of the first lock. Each further one lasts twice as long, up to a day.
    pub first: Duration,
}

impl Default for LockSettings {
    /// No locks. Nobody can guess 160 random bits, while anybody who sees a reference could lock its peer out.
    fn default() -> Self {
        Self { after: 0, first: Duration::from_secs(60) }
    }
}
