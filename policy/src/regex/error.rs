//! The errors of patterns and of searches.

/// The longest pattern, in bytes.
pub const MAX_PATTERN: usize = 8192;

/// Why a pattern is not a regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at byte {offset} of the pattern")]
pub struct RegexError {
    /// The offset of the error in the pattern, in bytes from 0.
    pub offset: usize,
    /// What was expected and what was found.
    pub message: String,
    /// A hint for the author, if there is one.
    pub hint: Option<String>,
}

impl RegexError {
    pub(super) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Matching the groups would take more work than it may cost, or the text is longer than [`MAX_CAPTURED`](super::MAX_CAPTURED).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much work to find what the groups of a regular expression matched")]
pub struct OutOfSteps;
