//! The linter of one assertion, which collects the findings of all rules.

use std::collections::HashSet;

use crate::principal::Principal;
use crate::source::{Finding, Span};
use crate::syntax::Assertion;
use crate::syntax::tree::Tree;
use crate::values::ComplianceValues;

/// The assumptions of the linter about the questions that the policy will be asked.
#[derive(Debug, Clone, Copy)]
pub struct Options<'o> {
    /// The compliance values that questions will use.
    pub values: &'o ComplianceValues,
    /// Whether attributes are those of IPsec (`isakmpd.policy(5)`); otherwise names of attributes and peers are not checked.
    pub ipsec: bool,
}

/// Applies the rules to one assertion. The rules are methods of this type, in the other files of this folder.
pub(super) struct Linter<'l> {
    /// The assumptions about the questions that the policy will be asked.
    pub options: Options<'l>,
    /// The assertion as it was parsed.
    pub assertion: &'l Assertion,
    /// The assertion as a tree, with local constants replaced by their values.
    pub bound: Tree,
    /// The authorizers of all assertions that are linted together, except for those that are computed from attributes.
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
