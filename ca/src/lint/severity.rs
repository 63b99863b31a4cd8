//! The severity of findings.

/// How severe a finding is, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Information: no rule is broken, and no recommendation.
    Notice,
    /// A recommendation is not followed.
    Warning,
    /// A rule is broken. Nothing that breaks it is signed.
    Error,
}
