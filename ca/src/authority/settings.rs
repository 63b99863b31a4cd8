//! What an operator decides about the authority.

use std::path::PathBuf;
use std::time::Duration;

use crate::record::Label;

/// What an operator decides about the authority, apart from profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The issuing CA for accounts that name none; `None` means the one that the records say: the first that was founded, until
    /// another is made so.
    pub default_ca: Option<Label>,
    /// CRLs.
    pub crl: CrlSettings,
    /// When wrong secrets lock a reference for who sent them.
    pub locks: LockSettings,
    /// How long the certificate that signs OCSP answers is valid; it is renewed at half its life.
    pub responder_validity: Duration,
}

/// What an operator decides about CRLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlSettings {
    /// How long an issuing CA's CRL is valid.
    pub validity: Duration,
    /// How long a root's CRL is valid.
    pub root_validity: Duration,
    /// How often an issuing CA's CRL is signed anew; `None` means after a quarter of its validity.
    pub interval: Option<Duration>,
    /// Into how many partitions certificates are divided; 0 for none. Certificates keep the partition that they name.
    pub partitions: u16,
    /// The URLs of partitions, with `{ca}` and `{partition}`: what certificates and CRLs name.
    pub partition_urls: Vec<String>,
    /// Whether delta CRLs are signed (RFC 5280 §5.2.4). RFC 4945 §5.2.1 warns that IKE daemons do not read them.
    pub delta: bool,
    /// The URLs of delta CRLs, with `{ca}`: what full CRLs name in freshestCRL.
    pub delta_urls: Vec<String>,
    /// The URLs of full CRLs, with `{ca}`, beside those that profiles name: what certificates of CAs name.
    pub full_urls: Vec<String>,
    /// Where current CRLs lie as files.
    pub folder: PathBuf,
}

/// When wrong secrets from one address lock a reference for that address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockSettings {
    /// How many in a row lock it; 0 for none.
    pub after: u32,
    /// How long the first lock lasts; each further one twice as long as the one before, up to a day.
    pub first: Duration,
}

impl Default for LockSettings {
    /// None: nobody guesses 160 random bits, and whoever saw a reference could lock its peer out.
    fn default() -> Self {
        Self { after: 0, first: Duration::from_secs(60) }
    }
}
