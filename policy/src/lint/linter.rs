//! The linter of one assertion, which collects the findings of all rules.

use std::collections::HashSet;

use crate::principal::Principal;
use crate::source::{Finding, Span};
use crate::syntax::Assertion;
use crate::syntax::tree::Tree;
use crate::values::ComplianceValues;

/// Assumptions of the linter.
#[derive(Debug, Clone, Copy)]
pub struct Options<'o> {
    /// The compliance values that questions will use.
    pub values: &'o ComplianceValues,
    /// Whether attributes are those of IPsec (`isakmpd.policy(5)`); otherwise attributes are unknown.
    pub ipsec: bool,
}

/// Applies the rules to one assertion. The rules are methods of it, in the other files of this folder.
pub(super) struct Linter<'l> {
    /// What the questions will look like.
    pub options: Options<'l>,
    /// The assertion as it was parsed.
    pub assertion: &'l Assertion,
    /// The tree, with local constants put in.
    pub bound: Tree,
    /// The authorizers of all assertions that are linted together.
    pub authorizers: &'l HashSet<Principal>,
    /// The findings so far.
    pub findings: Vec<Finding>,
}

impl Linter<'_> {
    /// Adds a warning.
    pub fn warn(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.findings.push(Finding::warning(code, span, message).hint(hint));
    }
}
