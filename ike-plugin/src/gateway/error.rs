//! The error of exports and checks: the operator's data cannot be used as they are.

/// What is wrong with the operator's data, as a sentence: what was expected, what was found, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GatewayError(String);

impl GatewayError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}
