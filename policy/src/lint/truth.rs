//! Finds tests that are true for every question, or false for every question.

use crate::attributes::AttributeSet;
use crate::evaluation::Evaluation;
use crate::syntax::tree::{Relation, Test, TestKind, TextKind};
use crate::values::ComplianceValues;

/// The truth of a test that does not depend on the question; `None` if it may depend on it.
pub(super) fn known(test: &Test) -> Option<bool> {
    if !mentions_attributes(test) {
        let (attributes, values) = (AttributeSet::new(), ComplianceValues::boolean());
        let mut evaluation = Evaluation::new(&attributes, &values, None, 1 << 24, ());
        return Some(evaluation.test(test).unwrap_or(false));
    }
    match &test.kind {
        TestKind::Not(of) => known(of).map(|value| !value),
        TestKind::All(parts) => {
            let contradiction = || excluded(parts, Relation::Equal).then_some(false);
            join(parts, false).or_else(contradiction)
        }
        TestKind::Any(parts) => {
            let tautology = || excluded(parts, Relation::NotEqual).then_some(true);
            join(parts, true).or_else(tautology)
        }
        _ => None,
    }
}

/// The truth of a chain of tests, of which one part with the value `decisive` decides: false for `&&`, true for `||`. `None` if it may
/// depend on the question.
fn join(parts: &[Test], decisive: bool) -> Option<bool> {
    let known: Vec<Option<bool>> = parts.iter().map(known).collect();
    if known.contains(&Some(decisive)) {
        return Some(decisive);
    }
    known.iter().all(|part| *part == Some(!decisive)).then_some(!decisive)
}

/// Whether an attribute is compared with two different literals by this relation: `a == "x" && a == "y"`, `a != "x" || a != "y"`.
fn excluded(parts: &[Test], relation: Relation) -> bool {
    let mut seen: Vec<(&[u8], &[u8])> = Vec::new();
    for part in parts {
        let TestKind::Texts(found, left, right) = &part.kind else { continue };
        let (name, value) = match (&left.kind, &right.kind) {
            (TextKind::Attribute(name), TextKind::Literal(value))
            | (TextKind::Literal(value), TextKind::Attribute(name)) => (&*name.text, &**value),
            _ => continue,
        };
        if *found != relation {
            continue;
        }
        if seen.iter().any(|(other, literal)| *other == name && *literal != value) {
            return true;
        }
        seen.push((name, value));
    }
    false
}

fn mentions_attributes(test: &Test) -> bool {
    test.texts()
        .iter()
        .any(|text| matches!(text.kind, TextKind::Attribute(_) | TextKind::Dereference(_)))
}
