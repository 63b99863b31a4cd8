//! Why a request is refused, in HTTP's terms, and the one mapping from the authority's errors to a status.

use countersign_ca::{Denial, Error};

use crate::legible::legible;
use crate::transport::pool::NeedsBlockingThread;

/// The status of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// 400: the request cannot be granted in this form.
    BadRequest,
    /// 401: no proof of who the client is. Some clients send their credentials only after that.
    Challenge,
    /// 401: wrong credentials. The answer has no body: Bouncy Castle's client asks again only then.
    Unauthorized,
    /// 403: the sender may not have what it asks for, or its certificate is not accepted.
    Forbidden,
    /// 409: the request contradicts what is recorded.
    Conflict,
    /// 500: a fault of this server.
    Internal,
    /// 503: the same request may be granted later.
    Unavailable,
}

/// A refusal, as the client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub failure: Failure,
    /// The reason and the remedy, for the client's operator.
    pub text: String,
}

impl Refusal {
    /// A refusal with its reason, in the form of [`legible`].
    pub fn new(failure: Failure, text: impl AsRef<str>) -> Self {
        Self { failure, text: legible(text.as_ref()) }
    }
}

/// Maps an error of the authority to a refusal. The reason of a fault that only the server's operator can mend goes to the log.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Malformed(why) => Self::new(Failure::BadRequest, why),
            Error::Unauthenticated(why) => Self::new(Failure::Unauthorized, why),
            Error::Denied { kind, why } => Self::new(failure_of(kind), why),
            Error::Unavailable(why) => {
                tracing::error!("refused, though it may be asked again later: {why}");
                let text = "the service cannot do this now; try again later";
                Self::new(Failure::Unavailable, text)
            }
            Error::Internal(why) => {
                tracing::error!("refused by a fault of ours: {why}");
                let text = "the service failed; its administrator finds the reason in the log";
                Self::new(Failure::Internal, text)
            }
        }
    }
}

/// The status for a denial by the authority.
const fn failure_of(kind: Denial) -> Failure {
    match kind {
        Denial::NotAuthorized
        | Denial::SignerNotTrusted
        | Denial::AlreadyRevoked
        | Denial::NoSuchCertificate => Failure::Forbidden,
        // The same as for a wrong secret, so that a guesser learns neither that the reference exists nor that it is locked.
        Denial::Locked => Failure::Unauthorized,
        Denial::Template | Denial::Algorithm | Denial::KeySize | Denial::ProofOfPossession => {
            Failure::BadRequest
        }
        Denial::AlreadyConfirmed | Denial::TransactionInUse | Denial::Conflict => Failure::Conflict,
        Denial::TooMany => Failure::Unavailable,
    }
}

/// Why the work on a request ended without an answer as asked.
pub enum Stop {
    /// The request is refused.
    Refused(Refusal),
    /// Too many requests are worked on. The text names their kind.
    Busy(&'static str),
    /// A blocking thread has to begin the request anew.
    NeedsBlockingThread,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error.into())
    }
}

impl From<NeedsBlockingThread> for Stop {
    fn from(_: NeedsBlockingThread) -> Self {
        Self::NeedsBlockingThread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_words_forge_no_log_line_and_inner_details_stay_inside() {
        let refusal = Refusal::new(Failure::BadRequest, "a\nINFO granted \u{202e}x");
        assert_eq!(refusal.text, "a\\u{a}INFO granted \\u{202e}x");
        for error in [Error::unavailable("`/srv/data`"), Error::internal("`/srv/data`")] {
            assert!(!Refusal::from(error).text.contains("/srv"));
        }
    }
}
