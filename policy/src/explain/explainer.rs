//! Makes the explanation of an answer (the trace), from `POLICY` downward, after the question is answered.

use std::collections::{HashMap, HashSet, VecDeque};

use super::recorder::Recorder;
use super::show::{place, principal_name, shown};
use super::trace::{AssertionTrace, ClauseTrace, DroppedTrace, LicenseesTrace, Trace};
use crate::evaluation::{Constants, Evaluation, Observer, bind, bind_and_compile};
use crate::principal::Principal;
use crate::set::{AssertionId, Loaded, Outcome, PolicySet, PrincipalId, Question};
use crate::syntax::Assertion;
use crate::syntax::tree::{Licensees, Principals, Text};
use crate::values::ComplianceValues;

/// The most assertions that a trace shows, the most dropped ones, and the most parts of each licensees expression.
pub const MAX_SHOWN: usize = 64;
/// A trace shows all assertions of an authorizer whose conditions were evaluated. It shows others only up to this number of assertions of
/// the authorizer.
const MAX_IDLE: usize = 8;
/// The work that evaluating the conditions of one assertion again may cost, in about nanoseconds. The same holds for each computed
/// principal.
const WORK: usize = 1 << 30;

impl PolicySet {
    /// Answers a question and explains the answer.
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
    /// The assertions that each principal authorizes.
    made: HashMap<PrincipalId, Vec<AssertionId>>,
}

impl<'q> Explainer<'q> {
    fn new(set: &'q PolicySet, question: Question<'q>, outcome: &'q Outcome) -> Self {
        let mut explainer = Self { set, question, outcome, made: HashMap::new() };
        for (id, assertion) in (0..).zip(&set.assertions) {
            let computed = outcome.added.authorizers.get(&id).copied();
            let authorizer = match (assertion.authorizer.literal(), computed) {
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
        self.set
            .ids
            .get(&principal)
            .or_else(|| self.outcome.added.principals.get(&principal))
            .copied()
    }

    /// The assertions to show, and the number of those left out. They are found breadth first from `POLICY`, so that the deciding ones come
    /// first.
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

    /// The assertions of a principal that explain its value, ordered by the value of their conditions, the highest first; and the number of
    /// those left out.
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
            Some(Licensees::Empty) => (0, self.leaf("nobody", 0, "the field is empty")),
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
        // The set shares equal conditions, but the spans to show are those of this assertion's own text.
        let bind_again = if loaded.trusted { bind_and_compile } else { bind };
        let assertion = Assertion::parse(&loaded.source, loaded.span).ok();
        let Some((tree, constants)) = assertion.map(|assertion| bind_again(assertion.into_tree()))
        else {
            return (0, None);
        };
        let mut evaluation = self.evaluation(&constants, Recorder::new(loaded, self.question));
        let value = evaluation.program(tree.conditions.as_deref().unwrap_or_default());
        (value, Some(evaluation.observer.into_clauses()))
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

    /// The trace of a licensees expression.
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

    /// The trace of `&&`, `||` or a threshold, whose value is the k-th highest of the parts. At most [`MAX_SHOWN`] of them are shown, the
    /// highest.
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
