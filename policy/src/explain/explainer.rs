//! Why a question was answered as it was: which assertions took part, what each clause saw, which principal was missing.
//!
//! The answer is computed as always; the trace is made afterwards, from `POLICY` downward, and only for those who ask.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;

use serde::Serialize;

use crate::bind::{Constants, bind, bind_and_compile, literal};
use crate::evaluate::{Evaluation, Fault, Observer};
use crate::principal::Principal;
use crate::set::{AssertionId, Loaded, Outcome, PolicySet, PrincipalId, Question};
use crate::source::printable;
use crate::syntax::Assertion;
use crate::syntax::tree::{Clause, Licensees, Principals, Test, Text};
use crate::values::ComplianceValues;

/// The most assertions that a trace shows.
pub const MAX_SHOWN: usize = 64;
/// The most assertions of one authorizer that a trace shows if they support nothing.
const MAX_IDLE: usize = 8;
/// The most that is shown of a text, in bytes.
const MAX_TEXT: usize = 160;
/// What explaining one assertion may cost.
const WORK: usize = 1 << 30;

/// Why a question was answered as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The answer.
    pub value: String,
    /// Who asked.
    pub requesters: Vec<String>,
    /// The assertions that matter, from `POLICY` downward; those that support the answer come first.
    pub assertions: Vec<AssertionTrace>,
    /// How many more were made by principals that matter, and are not shown.
    pub omitted: usize,
    /// Assertions that were offered and do not count, with the reasons.
    pub dropped: Vec<DroppedTrace>,
}

/// One assertion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssertionTrace {
    /// File and line.
    pub place: String,
    /// Whether it is policy; else it is a credential with a right signature.
    pub trusted: bool,
    /// Who made it.
    pub authorizer: String,
    /// The lower of the two that follow.
    pub value: String,
    /// Whom it means.
    pub licensees: LicenseesTrace,
    /// The value of its conditions.
    pub conditions_value: String,
    /// Its clauses; nothing if it has no conditions, which is `_MAX_TRUST`.
    pub clauses: Option<Vec<ClauseTrace>>,
}

/// A licensees expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LicenseesTrace {
    /// `principal`, `all of`, `any of`, `2 of`, `everybody` for a missing field, `nobody` for an empty one.
    pub kind: String,
    /// Its value.
    pub value: String,
    /// The principal's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// Why it has that value, in words.
    pub reason: String,
    /// Its parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<LicenseesTrace>,
}

/// A clause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClauseTrace {
    /// The line it begins on.
    pub line: usize,
    /// As it was written.
    pub text: String,
    /// `true`, `false`, or the run-time error that made it false.
    pub outcome: String,
    /// What it gives.
    pub value: String,
    /// The comparisons of its test, as far as they were needed.
    pub comparisons: Vec<ComparisonTrace>,
    /// The clauses in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clauses: Vec<ClauseTrace>,
}

/// A comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComparisonTrace {
    /// As it was written.
    pub text: String,
    /// `true`, `false`, or the run-time error.
    pub outcome: String,
    /// The attributes it looked at, with their values; nothing for an undefined one, which counts as empty.
    pub attributes: Vec<(String, Option<String>)>,
}

/// An assertion that does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DroppedTrace {
    /// File and line.
    pub place: String,
    /// Why.
    pub reason: String,
}

impl PolicySet {
    /// Asks, and says why.
    pub fn explain(&self, question: Question<'_>) -> Trace {
        let (outcome, ()) = self.settle(question, ());
        let explainer = Explainer::new(self, question, &outcome);
        let (assertions, omitted) = explainer.assertions();
        let requesters = question.requesters.principals();
        Trace {
            value: shown(question.values.name(outcome.position)),
            requesters: requesters
                .iter()
                .map(|principal| shown(principal.to_string().as_bytes()))
                .collect(),
            assertions,
            omitted,
            dropped: self
                .dropped()
                .iter()
                .take(MAX_SHOWN)
                .map(|dropped| DroppedTrace {
                    place: place(&dropped.source, dropped.span.start()),
                    reason: dropped.reason.to_string(),
                })
                .collect(),
        }
    }
}

struct Explainer<'q> {
    set: &'q PolicySet,
    question: Question<'q>,
    outcome: &'q Outcome,
    /// By authorizer.
    made: HashMap<PrincipalId, Vec<AssertionId>>,
}

impl<'q> Explainer<'q> {
    fn new(set: &'q PolicySet, question: Question<'q>, outcome: &'q Outcome) -> Self {
        let mut explainer = Self { set, question, outcome, made: HashMap::new() };
        for (id, assertion) in (0..).zip(&set.assertions) {
            let computed = outcome.asked.authorizers.get(&id).copied();
            let authorizer = match (literal(&assertion.authorizer), computed) {
                (_, Some(computed)) => computed,
                (Some(text), None) => explainer.id(text),
                (None, None) => None,
            };
            if let Some(authorizer) = authorizer {
                explainer.made.entry(authorizer).or_default().push(id);
            }
        }
        explainer
    }

    fn id(&self, text: &[u8]) -> Option<PrincipalId> {
        let principal = Principal::parse(text).ok()?;
        self.set.ids.get(&principal).or_else(|| self.outcome.asked.extra.get(&principal)).copied()
    }

    /// Breadth first from `POLICY`, so that what decides stands first.
    fn assertions(&self) -> (Vec<AssertionTrace>, usize) {
        let mut shown = Vec::new();
        let mut omitted = 0;
        let mut seen = HashSet::from([0]);
        let mut next = VecDeque::from([0]);
        while let Some(principal) = next.pop_front() {
            let (made, idle) = self.worth_showing(principal);
            omitted += idle;
            for assertion in made {
                let Some(loaded) = self.set.assertions.get(assertion as usize) else { continue };
                if shown.len() == MAX_SHOWN {
                    omitted += 1;
                    continue;
                }
                shown.push(self.assertion(loaded));
                let licensees = self.licensee_ids(loaded);
                next.extend(licensees.into_iter().filter(|licensee| seen.insert(*licensee)));
            }
        }
        (shown, omitted)
    }

    /// The assertions of a principal that explain its value, best first, and the number of those left out.
    fn worth_showing(&self, principal: PrincipalId) -> (Vec<AssertionId>, usize) {
        let mut made: Vec<(usize, AssertionId)> = self
            .made
            .get(&principal)
            .into_iter()
            .flatten()
            .map(|id| (self.outcome.conditions.get(id).copied().unwrap_or(0), *id))
            .collect();
        let reached =
            made.iter().filter(|(_, id)| self.outcome.conditions.contains_key(id)).count();
        let keep = reached.max(made.len().min(MAX_IDLE));
        let omitted = made.len().saturating_sub(keep);
        made.sort_by_key(|(value, id)| {
            (std::cmp::Reverse(*value), !self.outcome.conditions.contains_key(id), *id)
        });
        (made.into_iter().take(keep).map(|(_, id)| id).collect(), omitted)
    }

    fn licensee_ids(&self, loaded: &Loaded) -> Vec<PrincipalId> {
        match &loaded.licensees {
            Some(Licensees::Principals(principals)) => principals
                .texts()
                .into_iter()
                .filter_map(|text| self.id(&self.text(loaded, text)?))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn assertion(&self, loaded: &Loaded) -> AssertionTrace {
        let (conditions, clauses) = self.conditions(loaded);
        let (licensees_value, licensees) = match &loaded.licensees {
            None => (
                self.values().max(),
                self.leaf("everybody", self.values().max(), "the field is missing"),
            ),
            Some(Licensees::Nobody) => (0, self.leaf("nobody", 0, "the field is empty")),
            Some(Licensees::Principals(principals)) => self.licensees(loaded, principals),
        };
        let authorizer = self.text(loaded, &loaded.authorizer).unwrap_or_default();
        AssertionTrace {
            place: place(&loaded.source, loaded.span.start()),
            trusted: loaded.trusted,
            authorizer: principal_name(&authorizer),
            value: self.value(conditions.min(licensees_value)),
            licensees,
            conditions_value: self.value(conditions),
            clauses,
        }
    }

    fn conditions(&self, loaded: &Loaded) -> (usize, Option<Vec<ClauseTrace>>) {
        if loaded.conditions.is_none() {
            return (self.values().max(), None);
        }
        // The set keeps conditions that are alike once; the places to show are in this assertion's own text.
        let bind_again = if loaded.trusted { bind_and_compile } else { bind };
        let assertion = Assertion::parse(&loaded.source, loaded.span).ok();
        let Some((tree, constants)) = assertion.map(|assertion| bind_again(assertion.into_tree()))
        else {
            return (0, None);
        };
        let recorder = Recorder {
            loaded,
            question: self.question,
            open: vec![Vec::new()],
            comparisons: vec![Vec::new()],
            attributes: Vec::new(),
        };
        let mut evaluation = self.evaluation(&constants, recorder);
        let value = evaluation.program(tree.conditions.as_deref().unwrap_or_default());
        (value, Some(evaluation.observer.open.pop().unwrap_or_default()))
    }

    fn evaluation<'e, O: Observer>(
        &'e self,
        constants: &'e Constants,
        observer: O,
    ) -> Evaluation<'e, O> {
        let Question { attributes, requesters, values } = self.question;
        let mut evaluation =
            Evaluation::new(attributes, values, requesters.joined(), WORK, observer);
        evaluation.constants = Some(constants);
        evaluation
    }

    /// A licensees expression, with its value.
    fn licensees(&self, loaded: &Loaded, principals: &Principals) -> (usize, LicenseesTrace) {
        match principals {
            Principals::One(text) => self.licensee(loaded, text),
            Principals::All(parts) => {
                self.junction("all of", parts.len(), self.parts(loaded, parts))
            }
            Principals::Any(parts) => self.junction("any of", 1, self.parts(loaded, parts)),
            Principals::Threshold { k, of, .. } => {
                let parts = of.iter().map(|text| self.licensee(loaded, text)).collect();
                self.junction(&format!("{k} of"), *k as usize, parts)
            }
        }
    }

    fn parts(&self, loaded: &Loaded, parts: &[Principals]) -> Vec<(usize, LicenseesTrace)> {
        parts.iter().map(|part| self.licensees(loaded, part)).collect()
    }

    /// The k-th highest of the parts; at most [`MAX_SHOWN`] of them are shown, the highest.
    fn junction(
        &self,
        kind: &str,
        k: usize,
        mut parts: Vec<(usize, LicenseesTrace)>,
    ) -> (usize, LicenseesTrace) {
        parts.sort_by_key(|(value, _)| std::cmp::Reverse(*value));
        let value = k.checked_sub(1).and_then(|nth| parts.get(nth)).map_or(0, |(value, _)| *value);
        let have = parts.iter().filter(|(value, _)| *value > 0).count();
        let reason = if have < k {
            format!("{have} of {} has more than `{}`; {k} needed", parts.len(), self.value(0))
        } else {
            format!("number {k} of {} from the top", parts.len())
        };
        let parts = parts.into_iter().take(MAX_SHOWN).map(|(_, part)| part).collect();
        let trace = LicenseesTrace {
            kind: kind.into(),
            value: self.value(value),
            principal: None,
            reason,
            parts,
        };
        (value, trace)
    }

    fn licensee(&self, loaded: &Loaded, text: &Text) -> (usize, LicenseesTrace) {
        let Some(name) = self.text(loaded, text) else {
            return (0, self.leaf("principal", 0, "it cannot be computed"));
        };
        let id = self.id(&name);
        let asks = Principal::parse(&name)
            .is_ok_and(|name| self.question.requesters.principals().contains(&name));
        let value = id.and_then(|id| self.outcome.settled.get(&id)).copied().unwrap_or(0);
        let made = id.and_then(|id| self.made.get(&id)).map_or(0, Vec::len);
        let reason = if asks {
            "it asks".to_owned()
        } else if made == 0 {
            "it does not ask, and makes no assertion".to_owned()
        } else if value == 0 {
            format!("it does not ask, and none of its {made} assertions gives it more")
        } else {
            "by its own assertions".to_owned()
        };
        let mut leaf = self.leaf("principal", value, &reason);
        leaf.principal = Some(principal_name(&name));
        (value, leaf)
    }

    fn leaf(&self, kind: &str, value: usize, reason: &str) -> LicenseesTrace {
        LicenseesTrace {
            kind: kind.into(),
            value: self.value(value),
            principal: None,
            reason: reason.into(),
            parts: Vec::new(),
        }
    }

    fn text(&self, loaded: &'q Loaded, text: &'q Text) -> Option<Vec<u8>> {
        self.evaluation(&loaded.constants, ()).text(text).ok().map(std::borrow::Cow::into_owned)
    }

    const fn values(&self) -> &'q ComplianceValues {
        self.question.values
    }

    fn value(&self, position: usize) -> String {
        shown(self.values().name(position))
    }
}

/// Writes down what the clauses of one assertion saw.
struct Recorder<'q> {
    loaded: &'q Loaded,
    question: Question<'q>,
    /// Clauses that have ended, by depth.
    open: Vec<Vec<ClauseTrace>>,
    /// Comparisons of the clauses that have not ended.
    comparisons: Vec<Vec<ComparisonTrace>>,
    attributes: Vec<(String, Option<String>)>,
}

impl Recorder<'_> {
    fn requesters(&self) -> String {
        let names: Vec<String> =
            self.question.requesters.principals().iter().map(ToString::to_string).collect();
        shown(names.join(",").as_bytes())
    }

    fn source(&self, span: crate::source::Span) -> String {
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
        // The requesters' names may hold a passphrase.
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

fn outcome(result: Result<bool, Fault>) -> String {
    match result {
        Ok(value) => value.to_string(),
        Err(fault) => format!("false, because of {fault}"),
    }
}

/// A passphrase is not shown.
fn principal_name(text: &[u8]) -> String {
    Principal::parse(text)
        .map_or_else(|_| shown(text), |principal| shown(principal.to_string().as_bytes()))
}

fn place(source: &crate::source::Source, offset: usize) -> String {
    format!("{}:{}", source.name(), source.position(offset).line)
}

fn shown(bytes: &[u8]) -> String {
    match bytes.get(..MAX_TEXT) {
        Some(begin) if bytes.len() > MAX_TEXT => format!("{}…", printable(begin)),
        _ => printable(bytes),
    }
}

/// Source text on one line.
fn squeeze(text: &[u8]) -> Vec<u8> {
    let words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ')
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, asked by {}", self.value, self.requesters.join(", "))?;
        if self.assertions.is_empty() {
            writeln!(f, "\nno assertion is made by POLICY, so nobody is trusted")?;
        }
        for assertion in &self.assertions {
            write!(f, "\n{assertion}")?;
        }
        if self.omitted > 0 {
            writeln!(f, "\n{} more assertions of these principals are not shown", self.omitted)?;
        }
        for dropped in &self.dropped {
            writeln!(f, "\n{} does not count: {}", dropped.place, dropped.reason)?;
        }
        Ok(())
    }
}

impl fmt::Display for AssertionTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.trusted { "policy" } else { "credential" };
        writeln!(f, "{}: {} ({kind} of {})", self.place, self.value, self.authorizer)?;
        self.licensees.write(f, 1)?;
        match &self.clauses {
            None => writeln!(f, "  conditions: {} (the field is missing)", self.conditions_value),
            Some(clauses) if clauses.is_empty() => {
                writeln!(f, "  conditions: {} (no clause)", self.conditions_value)
            }
            Some(clauses) => {
                writeln!(f, "  conditions: {}", self.conditions_value)?;
                clauses.iter().try_for_each(|clause| clause.write(f, 2))
            }
        }
    }
}

impl LicenseesTrace {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let label = if depth == 1 { "licensees: " } else { "" };
        let name = self.principal.as_ref().unwrap_or(&self.kind);
        writeln!(
            f,
            "{:indent$}{label}{name}: {} ({})",
            "",
            self.value,
            self.reason,
            indent = depth * 2
        )?;
        self.parts.iter().try_for_each(|part| part.write(f, depth + 1))
    }
}

impl ClauseTrace {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let indent = depth * 2;
        writeln!(f, "{:indent$}line {}: {} -> {}", "", self.line, self.outcome, self.value)?;
        writeln!(f, "{:indent$}  {}", "", self.text)?;
        for comparison in &self.comparisons {
            write!(f, "{:indent$}  {}: {}", "", comparison.outcome, comparison.text)?;
            for (name, value) in &comparison.attributes {
                match value {
                    Some(value) => write!(f, "; {name} is `{value}`")?,
                    None => write!(f, "; {name} is undefined")?,
                }
            }
            writeln!(f)?;
        }
        self.clauses.iter().try_for_each(|clause| clause.write(f, depth + 1))
    }
}
