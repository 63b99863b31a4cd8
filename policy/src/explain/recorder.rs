//! Records how the clauses of one assertion are evaluated.

use super::show::{outcome, shown, squeeze};
use super::trace::{ClauseTrace, ComparisonTrace};
use crate::evaluation::{Fault, Observer};
use crate::set::{Loaded, Question};
use crate::source::Span;
use crate::syntax::tree::{Clause, Test};

/// Records the clauses of one assertion with the attributes and comparisons of each.
pub(super) struct Recorder<'q> {
    loaded: &'q Loaded,
    question: Question<'q>,
    /// The finished clauses at each depth of nesting, the outermost first.
    open: Vec<Vec<ClauseTrace>>,
    /// The comparisons of the clauses that have begun, a list for each depth of nesting.
    comparisons: Vec<Vec<ComparisonTrace>>,
    /// The attributes that were looked up since the last comparison, with their values; `None` for an undefined one.
    attributes: Vec<(String, Option<String>)>,
}

impl<'q> Recorder<'q> {
    /// An empty recorder.
    pub fn new(loaded: &'q Loaded, question: Question<'q>) -> Self {
        Self {
            loaded,
            question,
            open: vec![Vec::new()],
            comparisons: vec![Vec::new()],
            attributes: Vec::new(),
        }
    }

    /// The outermost clauses, when all of them are evaluated.
    pub fn into_clauses(mut self) -> Vec<ClauseTrace> {
        self.open.pop().unwrap_or_default()
    }

    fn requesters(&self) -> String {
        let names: Vec<String> =
            self.question.requesters.principals().iter().map(ToString::to_string).collect();
        shown(names.join(",").as_bytes())
    }

    fn source(&self, span: Span) -> String {
        shown(&squeeze(self.loaded.source.slice(span)))
    }
}

impl Observer for Recorder<'_> {
    fn begin(&mut self, _: &Clause) {
        self.attributes.clear();
        self.open.push(Vec::new());
        self.comparisons.push(Vec::new());
    }

    fn attribute(&mut self, name: &[u8], value: Option<&[u8]>) {
        // The names of requesters may contain a passphrase.
        let value = match (name, value) {
            (b"_ACTION_AUTHORIZERS", Some(_)) => Some(self.requesters()),
            (_, value) => value.map(shown),
        };
        let entry = (shown(name), value);
        if !self.attributes.contains(&entry) {
            self.attributes.push(entry);
        }
    }

    fn comparison(&mut self, test: &Test, result: Result<bool, Fault>) {
        let text = self.source(test.span);
        let attributes = std::mem::take(&mut self.attributes);
        if let Some(comparisons) = self.comparisons.last_mut() {
            comparisons.push(ComparisonTrace { text, outcome: outcome(result), attributes });
        }
    }

    fn end(&mut self, clause: &Clause, result: Result<bool, Fault>, value: usize) {
        let clauses = self.open.pop().unwrap_or_default();
        let comparisons = self.comparisons.pop().unwrap_or_default();
        let trace = ClauseTrace {
            line: self.loaded.source.position(clause.span.start()).line,
            text: self.source(clause.span),
            outcome: outcome(result),
            value: shown(self.question.values.name(value)),
            comparisons,
            clauses,
        };
        if let Some(open) = self.open.last_mut() {
            open.push(trace);
        }
    }
}
