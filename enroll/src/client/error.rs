//! The errors of a client of any protocol. Each variant calls for a different action.

use std::fmt;

use crate::legible::legible;

/// Why the client has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The CA refused: the operator must change the request, or have the CA's operator change the account.
    #[error("{0}")]
    Refused(Refusal),
    /// The answer does not belong to the request, or nothing proves that the CA sent it. It is not used.
    #[error("{0}")]
    Untrusted(String),
    /// The CA granted a certificate that must not be accepted: another one than was requested, or one without a path to a trust anchor.
    /// Unless it granted implicit confirmation, the CMP client sent a rejection, which may not have arrived. EST and SCEP have none.
    #[error("{0}")]
    BadCertificate(String),
    /// The CA has not decided within the time that the client waits. The same transaction can be continued later.
    #[error("the CA has not decided yet, and asks to come again in {after} s{reason}")]
    Waiting {
        /// The number of seconds after which the CA wants to be asked again; at least 1.
        after: u64,
        /// The CA's reason, in parentheses; empty if it gives none.
        reason: String,
    },
    /// There was no answer: the server cannot be reached, is busy, or answered with something that is not of the protocol.
    #[error("{0}")]
    Unavailable(String),
    /// A value that the caller handed in cannot be used.
    #[error("{0}")]
    Input(String),
    /// A fault of this program or of its machine, such as one without randomness.
    #[error("{0}")]
    Internal(String),
}

/// A refusal, as the server words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The name of the refused message, such as `ir`, `simpleenroll` or `PKCSReq`.
    pub asked: &'static str,
    /// The names of the bits in failInfo (RFC 9810 §5.2.3), the name of SCEP's failInfo (RFC 8894 §3.2.1.4), or that of the HTTP status.
    pub failures: Vec<&'static str>,
    /// The server's text, in a legible form.
    pub text: String,
    /// The reason why nothing proves that the CA refused; `None` if the protection of the answer proves it, or the TLS connection on which it came.
    pub unproven: Option<String>,
}

impl Refusal {
    /// Whether the CA provably refused the message because of the certificate that signed it.
    pub fn is_of_signer(&self) -> bool {
        let is_meant = |name: &&str| matches!(*name, "certRevoked" | "signerNotTrusted");
        self.unproven.is_none() && self.failures.iter().any(is_meant)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server refused the {}", self.asked)?;
        if !self.failures.is_empty() {
            write!(f, " ({})", self.failures.join(", "))?;
        }
        let text = if self.text.is_empty() { "it gives no reason" } else { &self.text };
        write!(f, ": {text}")?;
        match &self.unproven {
            Some(why) => write!(f, "; nothing proves that the CA says so: {why}"),
            None => Ok(()),
        }
    }
}

impl ClientError {
    /// The error for an answer that must not be used. The text may quote a stranger's words.
    pub(crate) fn untrusted(why: impl AsRef<str>) -> Self {
        Self::Untrusted(legible(why.as_ref()))
    }

    /// Makes an error of the reason why a part of an answer, such as "a certificate", cannot be decoded.
    pub(crate) fn unreadable(what: &str) -> impl Fn(der::Error) -> Self + '_ {
        move |e| Self::untrusted(format!("expected {what} in the answer: {e}"))
    }

    /// The error for a message that cannot be encoded.
    pub(crate) fn encoding(error: der::Error) -> Self {
        Self::Internal(format!("a message cannot be encoded: {error}"))
    }
}

impl From<countersign_ca::Error> for ClientError {
    fn from(error: countersign_ca::Error) -> Self {
        match error {
            // What the client asks of the authority's library reads no file and waits for nobody: only randomness can be unavailable.
            countersign_ca::Error::Internal(why) | countersign_ca::Error::Unavailable(why) => {
                Self::Internal(why)
            }
            other => Self::Input(other.to_string()),
        }
    }
}
