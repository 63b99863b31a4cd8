//! Applies all rules to assertions that are used together.

use std::collections::HashSet;

use super::linter::{Linter, Options};
use crate::evaluation::bind;
use crate::principal::Principal;
use crate::source::{Finding, Severity};
use crate::syntax::Assertion;
use crate::values::ComplianceValues;

/// The findings that are errors, without those about IPsec: the assertion has less effect than it seems to, and should not be used
/// unchanged.
pub fn errors(assertions: &[Assertion], values: &ComplianceValues) -> Vec<Finding> {
    let findings = lint(assertions, Options { values, ipsec: false }).into_iter();
    findings.map(|(_, finding)| finding).filter(|of| of.severity == Severity::Error).collect()
}

/// All findings about assertions that will be used together, each with the index of its assertion in `assertions`.
pub fn lint(assertions: &[Assertion], options: Options<'_>) -> Vec<(usize, Finding)> {
    let authorizers: HashSet<Principal> =
        assertions.iter().filter_map(|assertion| assertion.tree().known_authorizer()).collect();
    let each = assertions.iter().enumerate();
    each.flat_map(|(position, assertion)| {
        let mut linter = Linter {
            options,
            assertion,
            bound: bind(assertion.tree().clone()).0,
            authorizers: &authorizers,
            findings: assertion.warnings().to_vec(),
        };
        run(&mut linter);
        linter.findings.sort_by_key(|finding| finding.span);
        linter.findings.into_iter().map(move |finding| (position, finding))
    })
    .collect()
}

fn run(linter: &mut Linter<'_>) {
    let tree = linter.assertion.tree().clone();
    let bound = linter.bound.clone();
    linter.missing_fields(&tree);
    linter.blank_lines();
    linter.names(&tree);
    linter.principals(&bound);
    linter.signature(&bound);
    if let Some(program) = &bound.conditions {
        linter.program(program);
    }
}
