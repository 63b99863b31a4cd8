//! The severity of findings.

/// How severe a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Notice,
    /// A recommendation is not followed.
    Warning,
    /// A rule is broken. Nothing that breaks it is signed.
    Error,
}
