//! Computes the answer to a question (RFC 2704 §5.3): the compliance value of `POLICY`, which is the least fixpoint of all delegations.
//!
//! Values propagate from the requesters upward, highest value first. So each principal gets a value only once, which is final (it is then
//! settled), and cycles need no special care: no later step can raise the value of a settled principal. Assertions that no requester
//! reaches are not evaluated.

use std::collections::{BinaryHeap, HashMap};

use foldhash::fast::FixedState;

use super::graph::{POLICY, Target};
use super::loaded::{AssertionId, Naming, PrincipalId};
use super::policy_set::PolicySet;
use crate::attributes::AttributeSet;
use crate::evaluation::{Evaluation, Observer};
use crate::ipsec::Delegation;
use crate::principal::Principal;
use crate::requesters::Requesters;
use crate::values::ComplianceValues;

/// The work that the conditions of one set may cost together for one question, in about nanoseconds. Tests beyond that are false.
const WORK: usize = 1 << 30;

type Map<V> = hashbrown::HashMap<u32, V, FixedState>;

/// A question: which compliance value do the assertions give this action of these requesters?
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// The attributes that describe the action.
    pub attributes: &'q AttributeSet,
    /// The requesters.
    pub requesters: &'q Requesters,
    /// The possible answers, in ascending order.
    pub values: &'q ComplianceValues,
}

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'q> {
    /// The position of the value in the order; 0 is `_MIN_TRUST`.
    pub position: usize,
    /// The compliance value.
    pub value: &'q [u8],
}

impl PolicySet {
    /// Answers a question. A test that cannot be evaluated is false. An assertion does not count if its value or a principal that it names
    /// cannot be computed.
    pub fn ask<'q>(&self, question: Question<'q>) -> Answer<'q> {
        let position = Propagation::new(self, question, ()).policy();
        Answer { position, value: question.values.name(position) }
    }

    /// Answers a question with this set and another, the extension, as if they were one set: for instance the policy for all peers, and the
    /// credentials of one peer. Build both with [`PolicySetBuilder::extensible`](crate::PolicySetBuilder::extensible).
    pub fn ask_with<'q>(&self, extension: &Self, question: Question<'q>) -> Answer<'q> {
        self.ask_with_delegations(Some(extension), [], question)
    }

    /// Answers a question with this set, an extension as in [`Self::ask_with`] if there is one, and the assertions of certificates, as if
    /// they were one set. The caller has validated the certificates.
    pub fn ask_with_delegations<'q, 'd>(
        &self,
        extension: Option<&Self>,
        delegations: impl IntoIterator<Item = &'d Delegation>,
        question: Question<'q>,
    ) -> Answer<'q> {
        let links = Links::new(delegations, question);
        let base = Propagation::new(self, question, ());
        let position = match extension {
            None => ask_all(&mut [base], links),
            Some(set) => ask_all(&mut [base, Propagation::new(set, question, ())], links),
        };
        Answer { position, value: question.values.name(position) }
    }

    /// Computes the value of every principal that a requester reaches, not only of `POLICY`, and reports each step to the observer.
    pub(crate) fn settle<O: Observer>(&self, question: Question<'_>, observer: O) -> (Outcome, O) {
        let mut run = Propagation::new(self, question, observer);
        run.settle_all = true;
        let position = run.policy();
        let outcome = Outcome {
            position,
            settled: run.settled.into_iter().collect(),
            conditions: run.conditions,
            added: run.added,
        };
        (outcome, run.evaluation.observer)
    }
}

/// The values of all principals and assertions for one question.
pub(crate) struct Outcome {
    /// The position of the value of `POLICY`.
    pub position: usize,
    /// The principals with more than `_MIN_TRUST`, and the positions of their values.
    pub settled: HashMap<PrincipalId, usize>,
    /// The position of the value of the conditions of each assertion whose licensees have more than `_MIN_TRUST`.
    pub conditions: HashMap<AssertionId, usize>,
    /// The principals that only this question has.
    pub added: AddedPrincipals,
}

/// Principals that are not in the set, or are computed from the attributes of the question.
#[derive(Debug, Default)]
pub(crate) struct AddedPrincipals {
    /// Principals that are not in the set; their ids are above those of the set.
    pub principals: HashMap<Principal, PrincipalId>,
    /// Computed authorizers. `None` for any assertion that does not count, because its authorizer or a licensee cannot be computed or is a
    /// malformed key.
    pub authorizers: HashMap<AssertionId, Option<PrincipalId>>,
    /// The places where the values of computed licensees count.
    targets: HashMap<PrincipalId, Vec<Target>>,
}

/// Asks sets and the links of certificates as one set, and returns the position of the value of `POLICY`. The highest waiting value of all is
/// settled next, and a principal that is settled in one of them is then settled in the others too.
fn ask_all(sets: &mut [Propagation<'_, ()>], mut links: Links<'_>) -> usize {
    sets.iter_mut().for_each(Propagation::begin);
    loop {
        let heads = sets.iter().enumerate();
        let heads = heads.filter_map(|(at, set)| Some((set.waiting.peek()?.0, at)));
        let (settled, value, by) = match (heads.max(), links.highest()) {
            (None, None) => return 0,
            (Some((value, at)), link) if link.is_none_or(|link| value >= link) => {
                let Some(set) = sets.get_mut(at) else { return 0 };
                let Some((value, id)) = set.waiting.pop() else { return 0 };
                if !set.settle(id, value) {
                    continue;
                }
                if id == POLICY {
                    return value;
                }
                let Some(principal) = set.principal(id).cloned() else { continue };
                links.arrive(&principal, value);
                (principal, value, Some(at))
            }
            _ => match links.settle() {
                Some((principal, value)) => (principal.clone(), value, None),
                None => continue,
            },
        };
        for (at, set) in sets.iter_mut().enumerate() {
            if by != Some(at)
                && let Some(id) = set.id(&settled)
            {
                set.waiting.push((value, id));
            }
        }
    }
}

/// The delegations of certificates. They are few, so that each step looks at all of them.
struct Links<'d> {
    /// Pairs of subject and issuer, of the delegations whose conditions are true.
    links: Vec<(&'d Principal, &'d Principal)>,
    /// The values that principals would get.
    waiting: Vec<(usize, &'d Principal)>,
    settled: Vec<&'d Principal>,
}

impl<'d> Links<'d> {
    fn new(delegations: impl IntoIterator<Item = &'d Delegation>, question: Question<'_>) -> Self {
        let Question { attributes, requesters, values } = question;
        let in_force = delegations.into_iter().filter(|of| of.is_in_force(attributes));
        let links = in_force.flat_map(Delegation::links).collect();
        let mut new = Self { links, waiting: Vec::new(), settled: Vec::new() };
        for requester in requesters.principals() {
            new.arrive(requester, values.max());
        }
        new
    }

    /// The highest waiting value.
    fn highest(&self) -> Option<usize> {
        self.waiting.iter().map(|(value, _)| *value).max()
    }

    /// Takes a value for a principal, if it is a subject.
    fn arrive(&mut self, principal: &Principal, value: usize) {
        let subject = self.links.iter().map(|(subject, _)| *subject).find(|of| *of == principal);
        if let (Some(subject), 1..) = (subject, value) {
            self.waiting.push((value, subject));
        }
    }

    /// Takes the principal that waits for the highest value. Gives it this value, unless it already has one, and passes the value on to
    /// the issuers.
    fn settle(&mut self) -> Option<(&'d Principal, usize)> {
        let waiting = self.waiting.iter().enumerate();
        let (at, _) = waiting.max_by_key(|(_, (value, _))| *value)?;
        let (value, principal) = self.waiting.swap_remove(at);
        if self.settled.contains(&principal) {
            return None;
        }
        self.settled.push(principal);
        let issuers = self.links.iter().filter(|(subject, _)| *subject == principal);
        self.waiting.extend(issuers.map(|(_, issuer)| (value, *issuer)));
        Some((principal, value))
    }
}

struct Propagation<'q, O> {
    set: &'q PolicySet,
    question: Question<'q>,
    evaluation: Evaluation<'q, O>,
    added: AddedPrincipals,
    /// Values that principals would get, the highest first. A principal may wait several times; only the first time counts.
    waiting: BinaryHeap<(usize, PrincipalId)>,
    /// The positions of the values of principals.
    settled: Map<usize>,
    /// The number of values that have arrived at each threshold.
    counts: Map<u32>,
    /// The values of conditions that several assertions share.
    programs: Map<usize>,
    conditions: HashMap<AssertionId, usize>,
    /// Whether the propagation continues after `POLICY` has its value, for an explanation.
    settle_all: bool,
}

impl<'q, O: Observer> Propagation<'q, O> {
    fn new(set: &'q PolicySet, question: Question<'q>, observer: O) -> Self {
        let Question { attributes, requesters, values } = question;
        Self {
            set,
            question,
            evaluation: Evaluation::new(attributes, values, Some(requesters), WORK, observer),
            added: AddedPrincipals::default(),
            waiting: BinaryHeap::new(),
            settled: Map::with_hasher(FixedState::with_seed(0)),
            counts: Map::with_hasher(FixedState::with_seed(0)),
            programs: Map::with_hasher(FixedState::with_seed(0)),
            conditions: HashMap::new(),
            settle_all: false,
        }
    }

    fn policy(&mut self) -> usize {
        self.begin();
        while let Some((value, principal)) = self.waiting.pop() {
            if self.settle(principal, value) && principal == POLICY && !self.settle_all {
                return value;
            }
        }
        self.settled.get(&POLICY).copied().unwrap_or(0)
    }

    /// Fills the queue of waiting values: from the requesters, which have `_MAX_TRUST`, and from assertions that have no licensees field.
    fn begin(&mut self) {
        let max = self.question.values.max();
        if max == 0 {
            return;
        }
        if !self.set.graph.is_static() {
            self.compute_principals();
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

    /// Gives a principal its value, unless it already has one, and passes the value on; returns whether it had none.
    fn settle(&mut self, principal: PrincipalId, value: usize) -> bool {
        if self.settled.contains_key(&principal) {
            return false;
        }
        self.settled.insert(principal, value);
        for target in self.set.graph.targets(principal) {
            self.arrive(*target, value);
        }
        if !self.added.targets.is_empty()
            && let Some(targets) = self.added.targets.remove(&principal)
        {
            targets.into_iter().for_each(|target| self.arrive(target, value));
        }
        true
    }

    /// The principal with this id, which may be a principal that only this question has.
    fn principal(&self, id: PrincipalId) -> Option<&Principal> {
        let known = self.set.principals.get(id as usize);
        known.or_else(|| {
            self.added.principals.iter().find(|(_, added)| **added == id).map(|(p, _)| p)
        })
    }

    fn id(&self, principal: &Principal) -> Option<PrincipalId> {
        self.set.ids.get(principal).or_else(|| self.added.principals.get(principal)).copied()
    }

    /// Counts `value` at a threshold or at a whole licensees field. Values arrive in descending order, so that the k-th to arrive at a
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

    /// Sets `value` as that of the whole licensees field of an assertion. The authorizer then waits for the lower one of this value and
    /// that of the conditions.
    fn supported(&mut self, assertion: AssertionId, value: usize) {
        let known = self.set.authorizer(assertion);
        let authorizer =
            known.or_else(|| self.added.authorizers.get(&assertion).copied().flatten());
        let Some(authorizer) = authorizer else { return };
        if !self.added.authorizers.is_empty()
            && self.added.authorizers.get(&assertion) == Some(&None)
        {
            return;
        }
        if !self.settle_all && self.settled.contains_key(&authorizer) {
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
        if self.settle_all {
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
        self.evaluation.constants = conditions.constants.as_deref();
        let value = self.evaluation.program(&conditions.program);
        if conditions.shared {
            self.programs.insert(id, value);
        }
        value
    }

    /// Computes the authorizers and licensees that depend on attributes.
    fn compute_principals(&mut self) {
        for requester in self.question.requesters.principals() {
            self.ensure(requester);
        }
        for assertion in &self.set.graph.computed_authorizers {
            let Some(naming) = self.naming(*assertion) else { continue };
            self.evaluation.constants = Some(&naming.constants);
            let authorizer = self.evaluation.text(&naming.authorizer).ok();
            let authorizer = authorizer.and_then(|text| Principal::parse(&text).ok());
            let authorizer = authorizer.map(|principal| self.ensure(&principal));
            self.added.authorizers.insert(*assertion, authorizer);
        }
        for computed in &self.set.graph.computed_licensees {
            let Some(naming) = self.naming(computed.assertion) else { continue };
            self.evaluation.constants = Some(&naming.constants);
            let licensee = self.evaluation.text(&computed.text).ok();
            match licensee.and_then(|text| Principal::parse(&text).ok()) {
                Some(principal) => {
                    let id = self.ensure(&principal);
                    self.added.targets.entry(id).or_default().push(computed.target);
                }
                None => {
                    self.added.authorizers.insert(computed.assertion, None);
                }
            }
        }
    }

    /// The fields of an assertion with computed principals.
    fn naming(&self, assertion: AssertionId) -> Option<&'q Naming> {
        self.set.assertions.get(assertion as usize)?.computed.as_deref()
    }

    fn ensure(&mut self, principal: &Principal) -> PrincipalId {
        if let Some(id) = self.id(principal) {
            return id;
        }
        let id = u32::try_from(self.set.principals.len() + self.added.principals.len())
            .unwrap_or(u32::MAX);
        self.added.principals.insert(principal.clone(), id);
        id
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::ipsec::Party;
    use crate::source::Source;

    /// The first is a key.
    fn principal(number: usize) -> Principal {
        match number {
            0 => Principal::parse(format!("ed25519-hex:{}", "0a".repeat(32)).as_bytes()).unwrap(),
            number => Principal::opaque(format!("p{number}").as_bytes()),
        }
    }

    const PRINCIPALS: usize = 6;
    const TIMES: [&str; 5] = ["", "2025", "20260101000000", "20260601000000", "20270101000000"];
    const MOMENTS: [[u8; 14]; 3] = [*b"20260101000000", *b"20260601000000", *b"20270101000000"];

    fn delegation() -> impl Strategy<Value = Delegation> {
        let party = || {
            (0..PRINCIPALS, 0..PRINCIPALS)
                .prop_map(|(key, name)| Party { key: principal(key), name: principal(name) })
        };
        (party(), party(), 0..2_usize, 1..3_usize).prop_map(|(issuer, subject, begin, end)| {
            Delegation::between(issuer, subject, [MOMENTS[begin], MOMENTS[end]])
        })
    }

    /// An authorizer (`None` for `POLICY`), licensees in one of three forms, and the value of the conditions.
    type Drawn = (Option<usize>, Vec<usize>, usize, usize);

    fn assertion() -> impl Strategy<Value = Drawn> {
        let licensees = prop::collection::vec(0..PRINCIPALS, 1..4);
        (prop::option::of(0..PRINCIPALS), licensees, 0..3_usize, 0..4_usize)
    }

    fn text((authorizer, licensees, form, value): &Drawn) -> Vec<u8> {
        let name = |of: &usize| String::from_utf8(principal(*of).text().into_owned()).unwrap();
        let quoted: Vec<String> = licensees.iter().map(|of| format!("\"{}\"", name(of))).collect();
        let licensees = match form {
            0 => quoted.join(" && "),
            1 => quoted.join(" || "),
            _ => format!("{}-of({})", 1 + licensees.len() / 2, quoted.join(", ")),
        };
        let authorizer = authorizer.as_ref().map_or("POLICY".to_owned(), name);
        let mut text = format!("Authorizer: \"{authorizer}\"\nLicensees: {licensees}\n");
        let value = ["no", "low", "mid", "yes"][*value];
        let _ = writeln!(text, "Conditions: true -> \"{value}\";");
        text.into_bytes()
    }

    fn set(drawn: &[Drawn], delegations: &[Delegation]) -> PolicySet {
        let mut builder = PolicySet::builder();
        builder.extensible();
        for drawn in drawn {
            builder.assertion(&Source::new("drawn", text(drawn)));
        }
        for assertion in delegations.iter().flat_map(Delegation::assertions) {
            builder.trusted(assertion);
        }
        let set = builder.build();
        assert!(set.dropped().is_empty(), "{:?}", set.dropped());
        set
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 4096,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// A certificate as a delegation gives the same answer as the same certificate as two assertions, whatever else is in the set.
        #[test]
        fn delegations_answer_as_their_assertions_do(
            policy in prop::collection::vec(assertion(), 1..6),
            credentials in prop::collection::vec(assertion(), 0..4),
            delegations in prop::collection::vec(delegation(), 0..5),
            asking in prop::collection::vec(0..PRINCIPALS, 1..3),
            time in prop::sample::select(&TIMES[..]),
            domain in prop::sample::select(&["IPsec policy", "IPsec policy", "mail", ""][..]),
        ) {
            let mut attributes = AttributeSet::new();
            attributes.set("app_domain", domain).unwrap();
            if !time.is_empty() {
                attributes.set("GMTTimeOfDay", time).unwrap();
            }
            let values = ComplianceValues::new(["no", "low", "mid", "yes"]).unwrap();
            let requesters = Requesters::of(asking.into_iter().map(principal)).unwrap();
            let question = Question { attributes: &attributes, requesters: &requesters, values: &values };
            let base = set(&policy, &[]);
            let wanted = base.ask_with(&set(&credentials, &delegations), question);
            let extension = set(&credentials, &[]);
            let extension = (!credentials.is_empty()).then_some(&extension);
            let answer = base.ask_with_delegations(extension, &delegations, question);
            prop_assert_eq!(answer, wanted, "{:?} {:?} {:?}", policy, credentials, delegations);
        }
    }
}
