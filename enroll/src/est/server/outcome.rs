//! The result of a request, for counting.

use crate::est::wire::operation::Operation;

/// The result of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What was asked for.
    pub operation: Operation,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was answered as asked.
    Granted,
    /// It waits for an administrator's approval.
    Waiting,
    /// It was refused.
    Refused,
}

impl Verdict {
    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Waiting => "waiting",
            Self::Refused => "refused",
        }
    }
}
