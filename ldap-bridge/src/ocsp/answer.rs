//! What an OCSP request is answered with.

use bytes::Bytes;
use countersign_ca::Timestamp;

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The OCSPResponse, DER.
    pub der: Bytes,
    /// Until when HTTP may keep it; `None` for never.
    pub cacheable: Option<Freshness>,
    /// What it says.
    pub kind: Kind,
    /// Whether it was signed before it was asked for.
    pub cached: bool,
}

/// How long an answer counts, and its fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// thisUpdate, which is before the moment of the signature, as notBefore is: clocks differ.
    pub this_update: Timestamp,
    /// When it was signed.
    pub signed: Timestamp,
    /// nextUpdate.
    pub next_update: Timestamp,
    /// SHA-256 over the DER.
    pub sha256: [u8; 32],
}

/// What an answer says, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One certificate is good.
    Good,
    /// One certificate is revoked or on hold.
    Revoked,
    /// One serial number was never issued.
    Unknown,
    /// Several certificates.
    Several,
    /// malformedRequest.
    Malformed,
    /// unauthorized.
    Unauthorized,
    /// tryLater.
    TryLater,
    /// internalError.
    Internal,
}

impl Kind {
    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
            Self::Several => "several",
            Self::Malformed => "malformed_request",
            Self::Unauthorized => "unauthorized",
            Self::TryLater => "try_later",
            Self::Internal => "internal_error",
        }
    }
}
