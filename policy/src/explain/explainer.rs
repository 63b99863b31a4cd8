//! Makes the explanation of an answer (the trace), from `POLICY` downward, after the question is answered.

use std::collections::{HashMap, HashSet, VecDeque};

use super::recorder::Recorder;
use super::show::{place, principal_name, shown};
use super::trace::{AssertionTrace, ClauseTrace, DroppedTrace, LicenseesTrace, Trace};
use crate::evaluation::{Constants, Evaluation, Observer, bind, bind_and_compile};
use crate::principal::Principal;
use crate::set::{AssertionId, Loaded, Outcome, PolicySet, PrincipalId, Question};
use crate::syntax::Assertion;
use crate::syntax::tree::{Licensees, Principals, Text, Tree};
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

/// An assertion, read again from its text. The set shares equal conditions and keeps no names that the graph has, and the spans to show are those of
/// this assertion's own text.
struct Bound {
    tree: Tree,
    constants: Constants,
}

impl Bound {
    fn read(loaded: &Loaded) -> Option<Self> {
        let bind_again = if loaded.trusted { bind_and_compile } else { bind };
        let assertion = Assertion::parse(&loaded.source, loaded.span).ok()?;
        let (tree, constants) = bind_again(assertion.into_tree());
        Some(Self { tree, constants })
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
        for (id, _) in (0..).zip(&set.assertions) {
            let computed = outcome.added.authorizers.get(&id).copied();
            if let Some(authorizer) = computed.unwrap_or_else(|| set.authorizer(id)) {
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

    /// The assertions to show, and the number of those left out. The search runs breadth first from `POLICY`, so that the assertions that
    /// decide come first.
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
                let Some(bound) = Bound::read(loaded) else { continue };
                shown.push(self.assertion(loaded, &bound));
                let licensees = self.licensee_ids(&bound);
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

    fn licensee_ids(&self, bound: &Bound) -> Vec<PrincipalId> {
        match &bound.tree.licensees {
            Some(Licensees::Principals(principals)) => principals
                .texts()
                .into_iter()
                .filter_map(|text| self.id(&self.text(bound, text)?))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn assertion(&self, loaded: &Loaded, bound: &Bound) -> AssertionTrace {
        let (conditions, clauses) = self.conditions(loaded, bound);
        let (licensees_value, licensees) = match &bound.tree.licensees {
            None => (
                self.values().max(),
                self.leaf("everybody", self.values().max(), "the field is missing"),
            ),
            Some(Licensees::Empty) => (0, self.leaf("nobody", 0, "the field is empty")),
            Some(Licensees::Principals(principals)) => self.licensees(bound, principals),
        };
        let authorizer = self.text(bound, &bound.tree.authorizer).unwrap_or_default();
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

    fn conditions(&self, loaded: &Loaded, bound: &Bound) -> (usize, Option<Vec<ClauseTrace>>) {
        let Some(program) = &bound.tree.conditions else { return (self.values().max(), None) };
        let recorder = Recorder::new(loaded, self.question);
        let mut evaluation = self.evaluation(&bound.constants, recorder);
        let value = evaluation.program(program);
        (value, Some(evaluation.observer.into_clauses()))
    }

    fn evaluation<'e, O: Observer>(
        &'e self,
        constants: &'e Constants,
        observer: O,
    ) -> Evaluation<'e, O> {
        let Question { attributes, requesters, values } = self.question;
        let mut evaluation = Evaluation::new(attributes, values, Some(requesters), WORK, observer);
        evaluation.constants = Some(constants);
        evaluation
    }

    /// The trace of a licensees expression.
    fn licensees(&self, bound: &Bound, principals: &Principals) -> (usize, LicenseesTrace) {
        match principals {
            Principals::One(text) => self.licensee(bound, text),
            Principals::All(parts) => {
                self.junction("all of", parts.len(), self.parts(bound, parts))
            }
            Principals::Any(parts) => self.junction("any of", 1, self.parts(bound, parts)),
            Principals::Threshold { k, of, .. } => {
                let parts = of.iter().map(|text| self.licensee(bound, text)).collect();
                self.junction(&format!("{k} of"), *k as usize, parts)
            }
        }
    }

    fn parts(&self, bound: &Bound, parts: &[Principals]) -> Vec<(usize, LicenseesTrace)> {
        parts.iter().map(|part| self.licensees(bound, part)).collect()
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

    fn licensee(&self, bound: &Bound, text: &Text) -> (usize, LicenseesTrace) {
        let Some(name) = self.text(bound, text) else {
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

    fn text(&self, bound: &Bound, text: &Text) -> Option<Vec<u8>> {
        self.evaluation(&bound.constants, ()).text(text).ok().map(std::borrow::Cow::into_owned)
    }

    const fn values(&self) -> &'q ComplianceValues {
        self.question.values
    }

    fn value(&self, position: usize) -> String {
        shown(self.values().name(position))
    }
}
