//! Rules about the fields and lines of an assertion.

use super::linter::Linter;
use crate::source::Span;
use crate::syntax::tree::Tree;

impl Linter<'_> {
    pub(super) fn missing_fields(&mut self, tree: &Tree) {
        let at = self.assertion.fields().first().map_or_else(Span::default, |field| field.label);
        if tree.licensees.is_none() {
            let message = "there is no `Licensees` field: everybody is meant, whoever asks";
            self.warn("allow-all", at, message, "name whom you trust; an empty field means nobody");
        }
        if tree.conditions.is_none() {
            let message = "there is no `Conditions` field: every action is allowed";
            self.warn(
                "allow-all",
                at,
                message,
                "write `Conditions: true;` if that is meant; an empty field allows nothing",
            );
        }
    }

    pub(super) fn blank_lines(&mut self) {
        let span = self.assertion.body().len();
        let start = self.assertion.span().start();
        let mut at = start;
        let body = self.assertion.body().to_vec();
        for line in body.split(|byte| *byte == b'\n') {
            if !line.is_empty() && line.trim_ascii().is_empty() && at < start + span {
                let message = "this line holds only white space: it continues the field, and does not end the assertion";
                self.warn(
                    "blank-line",
                    Span::new(at, at + line.len()),
                    message,
                    "remove it, or empty it to end the assertion",
                );
            }
            at += line.len() + 1;
        }
    }
}
