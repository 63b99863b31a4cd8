//! Answers to OCSP requests, as the HTTP server and the metrics use them.

use bytes::Bytes;
use countersign_ca::Timestamp;

/// An answer to an OCSP request, with its data for HTTP and metrics.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The OCSPResponse, DER.
    pub der: Bytes,
    /// The times for HTTP caches; `None` if no cache may store it.
    pub cacheable: Option<Freshness>,
    /// The status that the answer gives, for counting.
    pub kind: Kind,
    /// Whether the answer comes from the cache.
    pub cached: bool,
}

/// The times of an answer, and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// thisUpdate. Like notBefore of a certificate, it is before the time of the signature, because clocks differ.
    pub this_update: Timestamp,
    /// producedAt: the time of the signature.
    pub signed: Timestamp,
    /// nextUpdate.
    pub next_update: Timestamp,
    /// SHA-256 over the DER of the OCSPResponse.
    pub sha256: [u8; 32],
}

/// The kinds of answers, for counting. The last four are unsigned errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The answer says that one certificate is good.
    Good,
    /// The answer says that one certificate is revoked or on hold.
    Revoked,
    /// The serial number in the question was never issued, whether the answer says unknown or revoked.
    Unknown,
    /// The answer is about several certificates.
    Several,
    /// malformedRequest (RFC 6960 §2.3).
    Malformed,
    /// unauthorized.
    Unauthorized,
    /// tryLater.
    TryLater,
    /// internalError.
    Internal,
}

impl Kind {
    /// The name of the kind of answer in metrics.
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
