//! Why a client has no result. Each variant says who must act.

use std::fmt;

use crate::cmp::wire::refusal::legible;

/// What the client has instead of a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The CA said no: the operator changes the request, or has the CA's operator change the account.
    #[error("{0}")]
    Refused(Refusal),
    /// What came back is not what was asked for, or nothing proves that the CA sent it. It is not taken.
    #[error("{0}")]
    Untrusted(String),
    /// The CA granted a certificate that is not the one that was asked for. It is not taken, and the CA was told so.
    #[error("{0}")]
    BadCertificate(String),
    /// The CA has not decided, and the patience is at its end. The same transaction can go on later.
    #[error("the CA has not decided yet, and asks to come again in {after} s{reason}")]
    Waiting {
        /// After how many seconds the CA wants to be asked again.
        after: u64,
        /// What the CA says about it, in parentheses; or nothing.
        reason: String,
    },
    /// There was no answer: the server is not reached, or busy.
    #[error("{0}")]
    Unavailable(String),
    /// What was handed in cannot be used.
    #[error("{0}")]
    Input(String),
    /// A fault of this program or its machine.
    #[error("{0}")]
    Internal(String),
}

/// A refusal, in the words of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was refused: the name of the message's body.
    pub asked: &'static str,
    /// The names of the bits in failInfo (RFC 9810 §5.2.3).
    pub failures: Vec<&'static str>,
    /// The server's text, legible.
    pub text: String,
    /// Why it is not proven that the CA says so; `None` when it is.
    pub unproven: Option<String>,
}

impl Refusal {
    /// Whether it is proven that the CA takes nothing that the certificate signs which signed the message.
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
    /// Something that must not be taken. A stranger's words may stand in the text.
    pub(super) fn untrusted(why: impl AsRef<str>) -> Self {
        Self::Untrusted(legible(why.as_ref()))
    }

    /// Something that is no DER of its kind.
    pub(super) fn unreadable(what: &str) -> impl Fn(der::Error) -> Self + '_ {
        move |e| Self::untrusted(format!("expected {what} in the answer: {e}"))
    }

    /// Something of ours that cannot be encoded.
    pub(super) fn encoding(error: der::Error) -> Self {
        Self::Internal(format!("a message cannot be encoded: {error}"))
    }
}

impl From<countersign_ca::Error> for ClientError {
    fn from(error: countersign_ca::Error) -> Self {
        match error {
            countersign_ca::Error::Internal(why) => Self::Internal(why),
            other => Self::Input(other.to_string()),
        }
    }
}
