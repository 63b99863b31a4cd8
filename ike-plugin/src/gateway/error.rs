//! The one error of this wing: the operator's data cannot be used as they are.

/// What is wrong with the data of an export, in words: expected, found, what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GatewayError(String);

impl GatewayError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}
