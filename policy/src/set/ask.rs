//! The answer to a question (RFC 2704 §5.3): the compliance value of `POLICY`, as the least fixpoint of all delegations.
//!
//! It is found from the requesters upward, highest value first, so that every principal is settled once, with its final
//! value, and cycles need no care: by the time a principal is settled, nothing that follows can raise it. What no requester
//! reaches is never looked at.

use std::collections::{BinaryHeap, HashMap};

use foldhash::fast::FixedState;

use super::graph::{POLICY, Target};
use super::loaded::{AssertionId, PrincipalId};
use super::policy_set::PolicySet;
use crate::attributes::AttributeSet;
use crate::evaluation::{Evaluation, Observer};
use crate::principal::Principal;
use crate::requesters::Requesters;
use crate::values::ComplianceValues;

/// What the conditions of one question may cost together, in about nanoseconds. Then they are false.
const WORK: usize = 1 << 30;

type Map<V> = hashbrown::HashMap<u32, V, FixedState>;

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// What is to be done.
    pub attributes: &'q AttributeSet,
    /// By whom.
    pub requesters: &'q Requesters,
    /// What may be answered.
    pub values: &'q ComplianceValues,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'q> {
    /// The position of the value in the order; 0 is `_MIN_TRUST`.
    pub position: usize,
    /// The value.
    pub value: &'q [u8],
}

impl PolicySet {
    /// Asks. What a condition cannot compute is false, and everything that goes wrong is `_MIN_TRUST`.
    pub fn ask<'q>(&self, question: Question<'q>) -> Answer<'q> {
        let position = Run::new(self, question, ()).policy();
        Answer { position, value: question.values.name(position) }
    }

    /// Asks this set and an extension as if they were one, such as what every peer is asked by and what one peer brought with it. Build
    /// both with [`PolicySetBuilder::extensible`](crate::PolicySetBuilder::extensible).
    pub fn ask_with<'q>(&self, extension: &Self, question: Question<'q>) -> Answer<'q> {
        let position = together(Run::new(self, question, ()), Run::new(extension, question, ()));
        Answer { position, value: question.values.name(position) }
    }

    /// Asks, and settles every principal that a requester reaches, with somebody looking on.
    pub(crate) fn settle<O: Observer>(&self, question: Question<'_>, observer: O) -> (Outcome, O) {
        let mut run = Run::new(self, question, observer);
        run.to_the_end = true;
        let position = run.policy();
        let outcome = Outcome {
            position,
            settled: run.settled.into_iter().collect(),
            conditions: run.conditions,
            asked: run.asked,
        };
        (outcome, run.evaluation.observer)
    }
}

/// What a question did to a set.
pub(crate) struct Outcome {
    /// Of `POLICY`.
    pub position: usize,
    /// Principals with more than `_MIN_TRUST`.
    pub settled: HashMap<PrincipalId, usize>,
    /// The value of the conditions of each assertion that was reached.
    pub conditions: HashMap<AssertionId, usize>,
    /// Principals of this question alone.
    pub asked: Asked,
}

/// Principals that became known with the question.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Those that the set does not know, with ids above its own.
    pub extra: HashMap<Principal, PrincipalId>,
    /// Authorizers that were computed; nothing if the assertion names a malformed key.
    pub authorizers: HashMap<AssertionId, Option<PrincipalId>>,
    targets: HashMap<PrincipalId, Vec<Target>>,
}

/// Two sets as one: the highest value of both is settled next, and a principal that is settled in one is so in the other.
fn together<'q>(mut left: Run<'q, ()>, mut right: Run<'q, ()>) -> usize {
    left.begin();
    right.begin();
    loop {
        let from_left = match (left.waiting.peek(), right.waiting.peek()) {
            (None, None) => return 0,
            (Some((left, _)), Some((right, _))) => left >= right,
            (left, _) => left.is_some(),
        };
        let (run, other) =
            if from_left { (&mut left, &mut right) } else { (&mut right, &mut left) };
        let Some((value, id)) = run.waiting.pop() else { return 0 };
        if !run.settle(id, value) {
            continue;
        }
        if id == POLICY {
            return value;
        }
        if let Some(same) = run.principal(id).and_then(|principal| other.id(principal)) {
            other.waiting.push((value, same));
        }
    }
}

struct Run<'q, O> {
    set: &'q PolicySet,
    question: Question<'q>,
    evaluation: Evaluation<'q, O>,
    asked: Asked,
    waiting: BinaryHeap<(usize, PrincipalId)>,
    settled: Map<usize>,
    counts: Map<u32>,
    /// Values of conditions that several assertions have.
    programs: Map<usize>,
    conditions: HashMap<AssertionId, usize>,
    to_the_end: bool,
}

impl<'q, O: Observer> Run<'q, O> {
    fn new(set: &'q PolicySet, question: Question<'q>, observer: O) -> Self {
        let Question { attributes, requesters, values } = question;
        Self {
            set,
            question,
            evaluation: Evaluation::new(attributes, values, requesters.joined(), WORK, observer),
            asked: Asked::default(),
            waiting: BinaryHeap::new(),
            settled: Map::with_hasher(FixedState::with_seed(0)),
            counts: Map::with_hasher(FixedState::with_seed(0)),
            programs: Map::with_hasher(FixedState::with_seed(0)),
            conditions: HashMap::new(),
            to_the_end: false,
        }
    }

    fn policy(&mut self) -> usize {
        self.begin();
        while let Some((value, principal)) = self.waiting.pop() {
            if self.settle(principal, value) && principal == POLICY && !self.to_the_end {
                return value;
            }
        }
        self.settled.get(&POLICY).copied().unwrap_or(0)
    }

    /// The requesters, and what means everybody.
    fn begin(&mut self) {
        let max = self.question.values.max();
        if max == 0 {
            return;
        }
        if !self.set.graph.is_static() {
            self.ask_for_principals();
        }
        for requester in self.question.requesters.principals() {
            if let Some(id) = self.id(requester) {
                self.waiting.push((max, id));
            }
        }
        for assertion in &self.set.graph.open {
            self.supported(*assertion, max);
        }
    }

    /// A principal has this value, unless it has one already; whether it had none.
    fn settle(&mut self, principal: PrincipalId, value: usize) -> bool {
        if self.settled.contains_key(&principal) {
            return false;
        }
        self.settled.insert(principal, value);
        for target in self.set.graph.targets(principal) {
            self.arrive(*target, value);
        }
        if !self.asked.targets.is_empty()
            && let Some(targets) = self.asked.targets.remove(&principal)
        {
            targets.into_iter().for_each(|target| self.arrive(target, value));
        }
        true
    }

    /// The principal of an id.
    fn principal(&self, id: PrincipalId) -> Option<&Principal> {
        let known = self.set.principals.get(id as usize);
        known.or_else(|| self.asked.extra.iter().find(|(_, extra)| **extra == id).map(|(p, _)| p))
    }

    fn id(&self, principal: &Principal) -> Option<PrincipalId> {
        self.set.ids.get(principal).or_else(|| self.asked.extra.get(principal)).copied()
    }

    /// A part of a licensees field has `value`. Values arrive in descending order, so that the k-th to arrive at a
    /// threshold of k is the k-th highest.
    fn arrive(&mut self, mut target: Target, value: usize) {
        loop {
            match target {
                Target::Assertion(assertion) => return self.supported(assertion, value),
                Target::Threshold(id) => {
                    let Some(threshold) = self.set.graph.thresholds.get(id as usize) else {
                        return;
                    };
                    let count = self.counts.entry(id).or_insert(0);
                    *count += 1;
                    if *count != threshold.need {
                        return;
                    }
                    target = threshold.above;
                }
            }
        }
    }

    /// The licensees of an assertion have `value`.
    fn supported(&mut self, assertion: AssertionId, value: usize) {
        let known = self.set.graph.authorizers.get(assertion as usize).copied().flatten();
        let authorizer =
            known.or_else(|| self.asked.authorizers.get(&assertion).copied().flatten());
        let Some(authorizer) = authorizer else { return };
        if !self.asked.authorizers.is_empty()
            && self.asked.authorizers.get(&assertion) == Some(&None)
        {
            return;
        }
        if !self.to_the_end && self.settled.contains_key(&authorizer) {
            return;
        }
        let value = value.min(self.conditions(assertion));
        if value > 0 {
            self.waiting.push((value, authorizer));
        }
    }

    fn conditions(&mut self, assertion: AssertionId) -> usize {
        let Some(loaded) = self.set.assertions.get(assertion as usize) else { return 0 };
        let value = match loaded.conditions {
            None => self.question.values.max(),
            Some(program) => self.program(program),
        };
        if self.to_the_end {
            self.conditions.insert(assertion, value);
        }
        value
    }

    fn program(&mut self, id: u32) -> usize {
        let Some(conditions) = self.set.programs.get(id as usize) else { return 0 };
        if conditions.shared
            && let Some(value) = self.programs.get(&id)
        {
            return *value;
        }
        self.evaluation.constants = Some(&conditions.constants);
        let value = self.evaluation.program(&conditions.program);
        if conditions.shared {
            self.programs.insert(id, value);
        }
        value
    }

    /// Looks up the authorizers and licensees that are computed from attributes.
    fn ask_for_principals(&mut self) {
        for requester in self.question.requesters.principals() {
            self.ensure(requester);
        }
        for assertion in &self.set.graph.unknown_authorizers {
            let Some(loaded) = self.set.assertions.get(*assertion as usize) else { continue };
            self.evaluation.constants = Some(&loaded.constants);
            let authorizer = self.evaluation.text(&loaded.authorizer).ok();
            let authorizer = authorizer.and_then(|text| Principal::parse(&text).ok());
            let authorizer = authorizer.map(|principal| self.ensure(&principal));
            self.asked.authorizers.insert(*assertion, authorizer);
        }
        for unknown in &self.set.graph.unknown_licensees {
            let Some(loaded) = self.set.assertions.get(unknown.assertion as usize) else {
                continue;
            };
            self.evaluation.constants = Some(&loaded.constants);
            let licensee = self.evaluation.text(&unknown.text).ok();
            match licensee.and_then(|text| Principal::parse(&text).ok()) {
                Some(principal) => {
                    let id = self.ensure(&principal);
                    self.asked.targets.entry(id).or_default().push(unknown.target);
                }
                None => {
                    self.asked.authorizers.insert(unknown.assertion, None);
                }
            }
        }
    }

    fn ensure(&mut self, principal: &Principal) -> PrincipalId {
        if let Some(id) = self.id(principal) {
            return id;
        }
        let id =
            u32::try_from(self.set.principals.len() + self.asked.extra.len()).unwrap_or(u32::MAX);
        self.asked.extra.insert(principal.clone(), id);
        id
    }
}
