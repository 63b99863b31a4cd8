//! The operator's settings of the authority.

use std::path::PathBuf;
use std::time::Duration;

use crate::record::Label;

/// The operator's settings of the authority, apart from profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The issuing CA of accounts that name none. `None` leaves it to the records: the first CA that was founded, until
    /// an administrator chooses another.
    pub default_ca: Option<Label>,
    /// The settings of CRLs.
    pub crl: CrlSettings,
    /// When wrong secrets lock a reference for their sender.
    pub locks: LockSettings,
    /// How long the certificate that signs OCSP answers is valid. It is renewed at half of its life.
    pub responder_validity: Duration,
}

/// The operator's settings of CRLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlSettings {
    /// How long an issuing CA's CRL is valid.
    pub validity: Duration,
    /// How long a root's CRL is valid.
    pub root_validity: Duration,
    /// How often an issuing CA's CRL is signed again; `None` means after a quarter of its validity.
    pub interval: Option<Duration>,
    /// The number of CRL partitions for new certificates; 0 for none. Existing certificates keep their partition.
    pub partitions: u16,
    /// The URL templates of partitions, with `{ca}` and `{partition}`, which certificates and CRLs name.
    pub partition_urls: Vec<String>,
    /// Whether delta CRLs are signed (RFC 5280 §5.2.4). RFC 4945 §5.2.1 warns that IKE daemons do not read them.
    pub delta: bool,
    /// The URL templates of delta CRLs, with `{ca}`, which full CRLs name in freshestCRL.
    pub delta_urls: Vec<String>,
    /// The URL templates of full CRLs, with `{ca}`, that certificates of CAs name, in addition to those of the
    /// profiles.
    pub full_urls: Vec<String>,
    /// The folder with the files of the current CRLs.
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
