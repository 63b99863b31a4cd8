//! The error of this crate. Each variant says who must act.

/// An error of the bridge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input is wrong. The operator, or the client that sent the input, must change it.
    #[error("{0}")]
    Malformed(String),
    /// A directory or the authority has refused an operation. Its administrator can allow it.
    #[error("{0}")]
    Denied(String),
    /// The operation may succeed later.
    #[error("{0}")]
    Unavailable(String),
    /// A fault of this program. The operator must look at the log.
    #[error("{0}")]
    Internal(String),
}

/// The result of an operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<countersign_ca::Error> for Error {
    fn from(error: countersign_ca::Error) -> Self {
        match error {
            countersign_ca::Error::Malformed(_) => Self::Malformed(error.to_string()),
            countersign_ca::Error::Unavailable(_) => Self::Unavailable(error.to_string()),
            countersign_ca::Error::Internal(_) => Self::Internal(error.to_string()),
            _ => Self::Denied(error.to_string()),
        }
    }
}
