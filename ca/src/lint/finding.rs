//! The findings of the lint.

use super::rules::Rule;
use super::severity::Severity;

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's stable code.
    pub code: &'static str,
    /// How severe the finding is.
    pub severity: Severity,
    /// The document and section that contain the rule; `house rule` if it is our own.
    pub section: &'static str,
    /// The demand of the rule, a colon, and what was found instead.
    pub message: String,
}

/// The findings of a lint in progress.
#[derive(Debug, Default)]
pub struct Report(pub Vec<Finding>);

impl Report {
    /// Adds a finding of this rule. `message` says what was found.
    pub fn find(&mut self, rule: &Rule, message: impl Into<String>) {
        self.0.push(finding(rule, message));
    }
}

/// A finding of this rule. `message` says what was found; the demand of the rule is put before it.
pub fn finding(rule: &Rule, message: impl Into<String>) -> Finding {
    Finding {
        code: rule.code,
        severity: rule.severity,
        section: rule.section,
        message: format!("{}: {}", rule.title, message.into()),
    }
}
