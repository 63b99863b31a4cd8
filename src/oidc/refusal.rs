//! Why nobody logs in.

use std::time::Duration;

use crate::exit::Failure;

/// Why nobody logs in.
#[derive(Debug)]
pub enum Refusal {
    /// The request, or what the issuer says, is not as it must be: a message for the user.
    Refused(String),
    /// The issuer, or this server, cannot do it now: a message for the log.
    Unavailable(String),
    /// There were too many: a message for the user, and after how long it may be tried again.
    TooMany(String, Duration),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Unavailable(failure.message)
    }
}
