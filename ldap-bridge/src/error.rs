//! What can go wrong in the bridge, by who must act.

/// An error of the bridge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The operator or a client must write something else.
    #[error("{0}")]
    Malformed(String),
    /// A directory refused what its administrator may allow.
    #[error("{0}")]
    Denied(String),
    /// It may work later.
    #[error("{0}")]
    Unavailable(String),
    /// A fault here; the operator must look.
    #[error("{0}")]
    Internal(String),
}

/// The result of a step of the bridge.
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
