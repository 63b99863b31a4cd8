//! One assertion under the rules, and the list of what they find.

use std::collections::HashSet;

use crate::principal::Principal;
use crate::source::{Finding, Span};
use crate::syntax::Assertion;
use crate::syntax::tree::Tree;
use crate::values::ComplianceValues;

/// What is taken for granted.
#[derive(Debug, Clone, Copy)]
pub struct Options<'o> {
    /// The order that questions will use.
    pub values: &'o ComplianceValues,
    /// Whether attributes are those of IPsec (`isakmpd.policy(5)`), or unknown.
    pub ipsec: bool,
}

/// What looks at one assertion. The rules are methods of it, in the files beside this one.
pub(super) struct Linter<'l> {
    pub options: Options<'l>,
    pub assertion: &'l Assertion,
    /// The tree with local constants in their places.
    pub bound: Tree,
    pub authorizers: &'l HashSet<Principal>,
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
