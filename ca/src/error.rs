//! The one error type of this crate. Each variant says who must act (docs/ARCHITECTURE.md, "Errors").

use std::fmt;

/// An error. Its variant says who must act, and its text what was expected, what was found, and what can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input cannot be read. The sender must send something else.
    #[error("{0}")]
    Malformed(String),
    /// The sender did not prove its identity.
    #[error("{0}")]
    Unauthenticated(String),
    /// The sender is known, but may not have what it asked for.
    #[error("{why}")]
    Denied {
        /// The kind of refusal. Each protocol maps it to a code of its own.
        kind: Denial,
        /// What was expected, what was found, and what the sender can do.
        why: String,
    },
    /// The request cannot be served now. The same request may succeed later.
    #[error("{0}")]
    Unavailable(String),
    /// A fault of this program or of its data. The operator must act.
    #[error("{0}")]
    Internal(String),
}

/// The kind of a refusal ([`Error::Denied`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// The account is not allowed to have what was asked for.
    NotAuthorized,
    /// The certificate that the request asks for breaks a rule of the profile or of the lint, or no verifier would accept it below its CA.
    Template,
    /// The kind of key or the algorithm is not allowed.
    Algorithm,
    /// The kind of key is allowed, but not its size.
    KeySize,
    /// Too many wrong secrets were tried, so the secret's reference is locked for the sender's address for a while.
    Locked,
    /// The proof of possession is missing or wrong.
    ProofOfPossession,
    /// No certificate matches the identifier in the request.
    NoSuchCertificate,
    /// The certificate is already revoked.
    AlreadyRevoked,
    /// The certificate is already confirmed.
    AlreadyConfirmed,
    /// The transaction identifier was already used.
    TransactionInUse,
    /// The signer's certificate is unknown, expired, revoked, or not allowed to sign this message.
    SignerNotTrusted,
    /// A limit on waiting or running requests is reached. The sender may ask again later.
    TooMany,
    /// A request, usually an administrator's, contradicts the records or the configuration: for example, an object of this name
    /// already exists, or does not exist.
    Conflict,
}

/// The result of the fallible functions of this crate, with [`Error`] unless another type is named.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Malformed`]: the input cannot be read.
    pub fn malformed(why: impl Into<String>) -> Self {
        Self::Malformed(why.into())
    }

    /// An [`Error::Unauthenticated`]: the sender did not prove its identity.
    pub fn unauthenticated(why: impl Into<String>) -> Self {
        Self::Unauthenticated(why.into())
    }

    /// An [`Error::Denied`]: a known sender is refused.
    pub fn denied(kind: Denial, why: impl Into<String>) -> Self {
        Self::Denied { kind, why: why.into() }
    }

    /// An [`Error::Denied`] with [`Denial::NotAuthorized`]: the account is not allowed to have what was asked for.
    pub fn not_authorized(why: impl Into<String>) -> Self {
        Self::denied(Denial::NotAuthorized, why)
    }

    /// An [`Error::Unavailable`]: the request may succeed later.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable(why.into())
    }

    /// An [`Error::Internal`]: the operator must act.
    pub fn internal(why: impl fmt::Display) -> Self {
        Self::Internal(why.to_string())
    }

    /// An [`Error::Unavailable`] for a failed input or output operation. `what` names the file or the stream.
    pub fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::Unavailable(format!("{what}: {error}"))
    }
}
