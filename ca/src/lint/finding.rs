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
    /// The document and section that contain the rule.
    pub section: &'static str,
    /// What was expected and what was found.
    pub message: String,
}

/// The findings so far.
#[derive(Debug, Default)]
pub struct Report(pub Vec<Finding>);

impl Report {
    /// Adds a finding.
    pub fn find(&mut self, rule: &Rule, message: impl Into<String>) {
        self.0.push(finding(rule, message));
    }
}

/// A finding of this rule. The message begins with what the rule demands.
pub fn finding(rule: &Rule, message: impl Into<String>) -> Finding {
    Finding {
        code: rule.code,
        severity: rule.severity,
        section: rule.section,
        message: format!("{}: {}", rule.title, message.into()),
    }
}
