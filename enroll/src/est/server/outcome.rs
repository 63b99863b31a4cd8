//! The result of a request, for counting.

use crate::est::wire::operation::Operation;

/// The result of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The operation that the client asked for.
    pub operation: Operation,
    /// The result of the operation.
    pub verdict: Verdict,
}

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The request was answered as asked.
    Granted,
    /// The request waits for an administrator's approval.
    Waiting,
    /// The request was refused.
    Refused,
}

impl Verdict {
    /// The name of the outcome in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Waiting => "waiting",
            Self::Refused => "refused",
        }
    }
}
