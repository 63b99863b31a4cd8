//! Why a message is refused, in SCEP's terms, and the one mapping from the authority's errors to failInfo.

use countersign_ca::{Denial, Error};

use crate::legible::legible;

/// failInfo (RFC 8894 §3.2.1.4). badTime is never used: the signing time of a message is not checked, and most clients send none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(clippy::enum_variant_names, reason = "these are the names of the RFC")]
pub enum FailInfo {
    /// badAlg: an algorithm is unknown or not supported.
    BadAlg = 0,
    /// badMessageCheck: the sender did not prove who it is, or the message cannot be opened.
    BadMessageCheck = 1,
    /// badRequest: the transaction is not permitted, or not supported.
    BadRequest = 2,
    /// badCertId: no certificate matches.
    BadCertId = 4,
}

/// A refusal, as the peer reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The failInfo.
    pub failure: FailInfo,
    /// The failInfoText, for the peer's operator.
    pub text: String,
    /// Details for the log only; empty if the text says everything.
    pub detail: String,
}

impl Refusal {
    /// A refusal with `text` as its reason. Characters in it that could mislead a reader or a terminal are escaped, and a long text is cut
    /// off.
    pub fn new(failure: FailInfo, text: impl AsRef<str>) -> Self {
        Self { failure, text: legible(text.as_ref()), detail: String::new() }
    }

    /// badMessageCheck for a content that cannot be decrypted, or is not what the message says. The text is the same for every reason,
    /// and the reason goes to the log only: a peer that learns which octets decrypt to something readable can decrypt messages of others
    /// (RFC 3218 §2; the padding of CBC has the same weakness).
    pub fn unreadable_content(why: impl AsRef<str>) -> Self {
        let refusal = Self::bad_message_check(
            "the content cannot be decrypted, or is not what the message type demands; have the client fetch the certificates \
             again (GetCACert), and look into the server's log",
        );
        Self { detail: legible(why.as_ref()), ..refusal }
    }

    /// badAlg.
    pub fn bad_alg(text: impl AsRef<str>) -> Self {
        Self::new(FailInfo::BadAlg, text)
    }

    /// badMessageCheck.
    pub fn bad_message_check(text: impl AsRef<str>) -> Self {
        Self::new(FailInfo::BadMessageCheck, text)
    }

    /// badRequest.
    pub fn bad_request(text: impl AsRef<str>) -> Self {
        Self::new(FailInfo::BadRequest, text)
    }

    /// badCertId for a certificate or CRL that was looked up and cannot be given. It is the same for every reason, as with
    /// [`Self::unreadable_content`], including a content that cannot be decrypted or read.
    pub fn not_found(why: impl AsRef<str>) -> Self {
        let refusal = Self::bad_cert_id(
            "nothing that can be sent has the issuer and serial number in the message, or they cannot be read; have the client \
             fetch the certificates again (GetCACert), or fetch the CRL over HTTP; the server's log has the reason",
        );
        Self { detail: legible(why.as_ref()), ..refusal }
    }

    /// badCertId.
    pub fn bad_cert_id(text: impl AsRef<str>) -> Self {
        Self::new(FailInfo::BadCertId, text)
    }
}

/// Why octets are not a pkiMessage as far as a CertRep needs it (HTTP 400).
#[derive(Debug)]
pub struct Unreadable(pub String);

/// Why a message is not granted.
#[derive(Debug)]
pub enum Stop {
    /// A CertRep with the status FAILURE says why.
    Refused(Refusal),
    /// The service cannot do this now: HTTP 503. The reason was logged.
    Unavailable,
    /// The service failed: HTTP 500. The reason was logged.
    Failed,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Maps an error of the authority. The reason of a fault that only the server's operator can mend goes to the log.
impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        let refused = |failure, why: String| Self::Refused(Refusal::new(failure, why));
        match error {
            Error::Malformed(why) => refused(FailInfo::BadRequest, why),
            Error::Unauthenticated(why) => refused(FailInfo::BadMessageCheck, why),
            Error::Denied { kind: Denial::TooMany, why } => {
                tracing::warn!(target: countersign_ca::REFUSED, "busy: {why}");
                Self::Unavailable
            }
            Error::Denied { kind, why } => refused(failure_of(kind), why),
            Error::Unavailable(why) => {
                tracing::error!("refused, though it may be asked again later: {why}");
                Self::Unavailable
            }
            Error::Internal(why) => {
                tracing::error!("refused by a fault of ours: {why}");
                Self::Failed
            }
        }
    }
}

/// The failInfo for a denial by the authority.
const fn failure_of(kind: Denial) -> FailInfo {
    match kind {
        Denial::Algorithm | Denial::KeySize => FailInfo::BadAlg,
        // The same for a locked reference as for a wrong secret, so that a guesser does not learn that it is locked.
        Denial::Locked | Denial::SignerNotTrusted | Denial::AlreadyRevoked => {
            FailInfo::BadMessageCheck
        }
        Denial::NoSuchCertificate => FailInfo::BadCertId,
        Denial::NotAuthorized
        | Denial::Template
        | Denial::ProofOfPossession
        | Denial::AlreadyConfirmed
        | Denial::TransactionInUse
        | Denial::TooMany
        | Denial::Conflict => FailInfo::BadRequest,
    }
}
