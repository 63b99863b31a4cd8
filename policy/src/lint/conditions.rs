//! Rules about conditions: clauses whose test is never or always true, compliance values, and comparisons.

use super::linter::Linter;
use super::truth::known;
use crate::ipsec::{self, Format};
use crate::source::{Finding, Severity, Span, printable};
use crate::syntax::tree::{Clause, Owner, Program, Relation, Test, TestKind, Text, TextKind, Then};

impl Linter<'_> {
    pub(super) fn program(&mut self, program: &Program) {
        let mut done: Option<Span> = None;
        for clause in program {
            if done.is_some() {
                let message =
                    "an earlier clause always gives the highest value: this one changes nothing";
                self.warn("always-true", clause.span, message, "remove one of them");
            }
            self.clause(clause);
            let highest = match &clause.then {
                Then::MaxTrust => true,
                Then::Value(value) => self.is_highest(value),
                Then::Program(_) => false,
            };
            if known(&clause.test) == Some(true) && highest {
                done = done.or(Some(clause.span));
            }
        }
    }

    fn is_highest(&self, value: &Text) -> bool {
        let values = self.options.values;
        match &value.kind {
            TextKind::Literal(name) => values.position(name) == Some(values.max()),
            TextKind::Attribute(name) => name.owner == Owner::MaxTrust,
            _ => false,
        }
    }

    fn clause(&mut self, clause: &Clause) {
        self.test(&clause.test);
        match &clause.then {
            Then::MaxTrust => {}
            Then::Value(value) => self.value(value),
            Then::Program(program) if program.is_empty() => {
                self.warn(
                    "never-true",
                    clause.span,
                    "there is no clause in the braces: this gives nothing",
                    "write one",
                );
            }
            Then::Program(program) => self.program(program),
        }
        // A test that is just `false` or `true` is intended.
        if matches!(clause.test.kind, TestKind::Constant(_)) {
            return;
        }
        match known(&clause.test) {
            Some(true) => {
                let hint = "write `true` if that is meant";
                self.warn(
                    "always-true",
                    clause.test.span,
                    "this test is true whatever is asked",
                    hint,
                );
            }
            Some(false) => {
                let hint = "the clause gives nothing; write `false` if that is meant";
                self.warn(
                    "never-true",
                    clause.test.span,
                    "this test is false whatever is asked",
                    hint,
                );
            }
            None => {}
        }
    }

    fn value(&mut self, value: &Text) {
        let Some(name) = value.literal() else { return };
        if self.options.values.position(name).is_none() {
            let known: Vec<String> = self.options.values.iter().map(printable).collect();
            let message = format!(
                "compliance value `{}` is not in the order: it counts as the lowest",
                printable(name)
            );
            let hint = format!("the values are `{}`", known.join("`, `"));
            self.findings.push(Finding {
                severity: Severity::Error,
                code: "unknown-value",
                span: value.span,
                message,
                hint: Some(hint),
            });
        }
    }

    fn test(&mut self, test: &Test) {
        match &test.kind {
            TestKind::All(parts) | TestKind::Any(parts) => {
                parts.iter().for_each(|part| self.test(part))
            }
            TestKind::Not(of) => self.test(of),
            TestKind::Texts(relation, left, right) => {
                self.texts(*relation, left, right);
                self.texts(relation.mirrored(), right, left);
            }
            TestKind::Matches(_, pattern) => {
                if let Some(Err(error)) = pattern.regex() {
                    self.findings.push(Finding {
                        severity: Severity::Error,
                        code: "invalid-regex",
                        span: pattern.text.span,
                        message: format!(
                            "this is no regular expression, so the test is false: {error}"
                        ),
                        hint: error.hint.clone(),
                    });
                }
            }
            TestKind::Constant(_) | TestKind::Integers(..) | TestKind::Floats(..) => {}
        }
    }

    /// Checks one comparison `attribute relation "literal"` of strings.
    fn texts(&mut self, relation: Relation, attribute: &Text, value: &Text) {
        let (TextKind::Attribute(name), Some(value_text)) = (&attribute.kind, value.literal())
        else {
            return;
        };
        let known = ipsec::attribute(&printable(&name.text)).filter(|_| self.options.ipsec);
        let equality = matches!(relation, Relation::Equal | Relation::NotEqual);
        let number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        match known {
            Some(attribute) if equality => {
                if let Err(reason) = attribute.check(value_text) {
                    let message =
                        format!("`{}` is never `{}`", attribute.name, printable(value_text));
                    self.warn("impossible-value", value.span, message, reason);
                }
            }
            Some(attribute) if !equality && matches!(attribute.format, Format::Number(_)) => {
                self.numeric(relation, &printable(&name.text), value);
            }
            Some(attribute) if !equality => {
                if let Err(reason) = attribute.format.check_order(value_text) {
                    let message =
                        format!("`{}` is ordered as a string, and never begins so", attribute.name);
                    self.warn("unpadded-address", value.span, message, reason);
                }
            }
            // 14 digits are a time, which is ordered correctly as a string.
            None if !equality && number(value_text) && value_text.len() != 14 => {
                self.numeric(relation, &printable(&name.text), value);
            }
            _ => {}
        }
    }

    fn numeric(&mut self, relation: Relation, name: &str, value: &Text) {
        let message = "numbers are ordered as strings here: `10` comes before `9`".to_owned();
        let hint = format!("read the attribute as a number: `@{name} {} …`", relation.symbol());
        self.warn("numeric-strings", value.span, message, hint);
    }
}
