//! The one error of this crate. Each variant says who must act (docs/ARCHITECTURE.md, "Errors").

use std::fmt;

/// What went wrong, named after the party that has to act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input cannot be read: the sender must send something else.
    #[error("{0}")]
    Malformed(String),
    /// The sender did not prove who it is.
    #[error("{0}")]
    Unauthenticated(String),
    /// The sender is known, and may not have this.
    #[error("{why}")]
    Denied {
        /// What kind of refusal it is; protocols map it to their own codes.
        kind: Denial,
        /// What was expected, what was found, and what to do.
        why: String,
    },
    /// This cannot be done now; the same request may succeed later.
    #[error("{0}")]
    Unavailable(String),
    /// A fault of ours or of our data: the operator must act.
    #[error("{0}")]
    Internal(String),
}

/// Why a known sender is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// The account may not have what was asked for.
    NotAuthorized,
    /// The request as a template for a certificate breaks a rule of the profile.
    Template,
    /// A kind of key or an algorithm that is not allowed.
    Algorithm,
    /// A key of a kind that is allowed, too short or too long.
    KeySize,
    /// Wrong secrets locked the reference for a while.
    Locked,
    /// The proof of possession is missing or wrong.
    ProofOfPossession,
    /// No certificate matches what was named.
    NoSuchCertificate,
    /// The certificate is revoked already.
    AlreadyRevoked,
    /// The certificate is confirmed already.
    AlreadyConfirmed,
    /// The transaction identifier was used before.
    TransactionInUse,
    /// The signer's certificate is unknown, expired, revoked or may not sign this.
    SignerNotTrusted,
    /// As many as can be wait or are worked on; the sender may ask again later.
    TooMany,
    /// An object of this name exists, or does not: an operator's request cannot be carried out.
    Conflict,
}

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The input cannot be read.
    pub fn malformed(why: impl Into<String>) -> Self {
        Self::Malformed(why.into())
    }

    /// The sender did not prove who it is.
    pub fn unauthenticated(why: impl Into<String>) -> Self {
        Self::Unauthenticated(why.into())
    }

    /// A known sender is refused.
    pub fn denied(kind: Denial, why: impl Into<String>) -> Self {
        Self::Denied { kind, why: why.into() }
    }

    /// Not now.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable(why.into())
    }

    /// Our fault.
    pub fn internal(why: impl fmt::Display) -> Self {
        Self::Internal(why.to_string())
    }

    /// An input or output failure on `what`.
    pub fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::Unavailable(format!("{what}: {error}"))
    }
}
