//! Whom to trust: the certification path of a peer, and the status of each certificate on it.

use std::time::Instant;

use countersign_ca::Timestamp;

use crate::identity::PeerId;
use crate::path::ValidPath;

/// Whether the certificates of a path are revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// None is, as far as the settings want to know; true until then.
    Good(Timestamp),
    /// One is; in words which, why and since when.
    Revoked(String),
    /// It is not known, and must be; in words why.
    Unknown(String),
}

/// Decides whom to trust.
pub trait Trust: Send + Sync {
    /// The path from a peer's certificate to an anchor.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    fn path(&self, chain: &[Vec<u8>], at: Timestamp) -> Result<ValidPath, String>;

    /// Whether a certificate of the path is revoked. It answers before `deadline`.
    fn status(&self, path: &ValidPath, at: Timestamp, deadline: Instant) -> Status;

    /// The certificates that a peer of this identity may have, each with those above it as far as known; for daemons that tell
    /// no certificate. It answers before `deadline`.
    ///
    /// # Errors
    /// In words, why nothing can be looked up.
    fn look_up(&self, id: &PeerId, deadline: Instant) -> Result<Vec<Vec<Vec<u8>>>, String>;

    /// A number that changes whenever another answer may be due: a new CRL, a revocation, other anchors.
    fn generation(&self) -> u64;
}
