//! Failures of commands, and their exit codes. The codes are the same for every command.
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | done |
//! | 1 | an internal fault, or a check found something (`audit verify`, `lint`) |
//! | 2 | the command line or an input cannot be read |
//! | 3 | there is no such thing, or there is one already |
//! | 4 | refused: not allowed, or a wrong passphrase |
//! | 5 | not now: locked by another process, disk full, a file is missing |
//! | 6 | `enroll --renew`: nothing to do, the certificate is not due |
//! | 7 | `enroll`: the CA has not decided; the same command asks again |

use std::fmt;

use countersign_ca::{Denial, Error};
use serde::{Deserialize, Serialize};

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// The message: the value that was expected, the one that was found, and the remedy.
    pub message: String,
}

impl Failure {
    /// The exit code of a renewal that is not due.
    pub const NOT_DUE: u8 = 6;
    /// The exit code of an enrolment whose CA has not decided.
    pub const WAITS: u8 = 7;

    /// A failure because a check found something: exit code 1.
    pub fn found(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// An input cannot be read: exit code 2.
    pub fn input(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// A failure because nothing has this name, or something has it already: exit code 3.
    pub fn missing(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into() }
    }

    /// A failure of what cannot be done now: exit code 5.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { code: 5, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Gives each error of the authority its exit code.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Malformed(_) => 2,
            Error::Denied {
                kind: Denial::Conflict | Denial::NoSuchCertificate | Denial::AlreadyRevoked,
                ..
            } => 3,
            Error::Denied { .. } | Error::Unauthenticated(_) => 4,
            Error::Unavailable(_) => 5,
            Error::Internal(_) => 1,
        };
        Self { code, message: error.to_string() }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::unavailable(error.to_string())
    }
}
