//! The graph of delegations, as arrays: from each principal to the licensees fields that name it, and from these to the
//! authorizer of the assertion.
//!
//! Every licensees expression becomes a tree of thresholds: `&&` is n of n, `||` is 1 of n.

use std::collections::{HashMap, HashSet};

use super::loaded::{AssertionId, Naming, PrincipalId};
use crate::principal::Principal;
use crate::syntax::tree::{Licensees, Principals, Text};

/// The id of `POLICY`.
pub(super) const POLICY: PrincipalId = 0;

/// The place where the value of a licensee counts: at a threshold in the licensees field (its index), or at the whole field of an
/// assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Threshold(u32),
    Assertion(AssertionId),
}

/// A threshold in a licensees field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Threshold {
    /// The number of parts that are required.
    pub need: u32,
    /// The place where the value of the threshold counts.
    pub above: Target,
}

/// A licensee that is computed from the attributes of a question.
#[derive(Debug, Clone)]
pub(super) struct ComputedLicensee {
    /// The assertion that has the licensee.
    pub assertion: AssertionId,
    /// The expression that computes the principal.
    pub text: Text,
    /// The place where the principal's value counts.
    pub target: Target,
}

/// Whether a set keeps assertions that no chain of delegation from `POLICY` reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreached {
    /// The assertions are left out.
    Omit,
    /// The assertions stay, because they may be reached through another set that is asked together with this one.
    Keep,
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    /// Authorizers by assertion; `None` if the authorizer is computed from attributes.
    pub authorizers: Vec<Option<PrincipalId>>,
    /// The thresholds of all licensees fields.
    pub thresholds: Vec<Threshold>,
    /// The targets of principal `id` are `targets[starts[id]..starts[id + 1]]`.
    starts: Vec<u32>,
    /// The targets of all principals, ordered by principal.
    targets: Vec<Target>,
    /// Assertions without a licensees field, which apply to all principals (RFC 2704 §5.3.5).
    pub open: Vec<AssertionId>,
    /// Licensees that are computed from attributes.
    pub computed_licensees: Vec<ComputedLicensee>,
    /// Assertions whose authorizer is computed from attributes.
    pub computed_authorizers: Vec<AssertionId>,
}

impl Graph {
    /// The places where the value of a principal counts.
    pub fn targets(&self, principal: PrincipalId) -> &[Target] {
        let principal = principal as usize;
        match (self.starts.get(principal), self.starts.get(principal + 1)) {
            (Some(start), Some(end)) => {
                self.targets.get(*start as usize..*end as usize).unwrap_or_default()
            }
            _ => &[],
        }
    }

    /// Whether no principal is computed from attributes.
    pub fn is_static(&self) -> bool {
        self.computed_licensees.is_empty() && self.computed_authorizers.is_empty()
    }
}

/// Connects assertions, one after the other.
#[derive(Default)]
pub(super) struct Connector {
    principals: Vec<Principal>,
    ids: HashMap<Principal, PrincipalId>,
    graph: Graph,
    /// Each occurrence of a principal: its id, the target, and the assertion.
    named: Vec<(PrincipalId, Target, AssertionId)>,
}

impl Connector {
    /// A graph without assertions.
    pub fn new() -> Self {
        let mut new = Self::default();
        new.principal(&Principal::policy());
        new
    }

    fn principal(&mut self, principal: &Principal) -> PrincipalId {
        if let Some(id) = self.ids.get(principal) {
            return *id;
        }
        let id = narrow(self.principals.len());
        self.principals.push(principal.clone());
        self.ids.insert(principal.clone(), id);
        id
    }

    /// Adds the assertion with this index. The caller adds assertions in the order of their indices.
    pub fn assertion(&mut self, id: AssertionId, assertion: &Naming) {
        // INVARIANT: the builder has dropped every assertion that names a malformed key.
        let known = assertion.authorizer.literal().and_then(|text| Principal::parse(text).ok());
        let authorizer = known.map(|principal| self.principal(&principal));
        if authorizer.is_none() {
            self.graph.computed_authorizers.push(id);
        }
        self.graph.authorizers.push(authorizer);
        match &assertion.licensees {
            None => self.graph.open.push(id),
            Some(Licensees::Empty) => {}
            Some(Licensees::Principals(principals)) => {
                self.licensees(id, principals, Target::Assertion(id))
            }
        }
    }

    fn licensees(&mut self, id: AssertionId, principals: &Principals, above: Target) {
        match principals {
            Principals::One(text) => self.licensee(id, text, above),
            Principals::All(parts) => {
                let target = self.threshold(parts.len(), above);
                parts.iter().for_each(|part| self.licensees(id, part, target));
            }
            Principals::Any(parts) => {
                let target = self.threshold(1, above);
                parts.iter().for_each(|part| self.licensees(id, part, target));
            }
            Principals::Threshold { k, of, .. } => {
                let target = self.threshold(*k as usize, above);
                of.iter().for_each(|text| self.licensee(id, text, target));
            }
        }
    }

    fn threshold(&mut self, need: usize, above: Target) -> Target {
        let target = Target::Threshold(narrow(self.graph.thresholds.len()));
        self.graph.thresholds.push(Threshold { need: narrow(need), above });
        target
    }

    fn licensee(&mut self, assertion: AssertionId, text: &Text, target: Target) {
        match text.literal().and_then(|text| Principal::parse(text).ok()) {
            Some(principal) => {
                let principal = self.principal(&principal);
                self.named.push((principal, target, assertion));
            }
            None => self.graph.computed_licensees.push(ComputedLicensee {
                assertion,
                text: text.clone(),
                target,
            }),
        }
    }

    /// Returns the graph, its principals by id, and the ids by principal.
    pub fn finish(
        mut self,
        unreached: Unreached,
    ) -> (Graph, Vec<Principal>, HashMap<Principal, PrincipalId>) {
        if unreached == Unreached::Omit {
            self.prune();
        }
        // A stable counting sort by principal.
        let mut starts = vec![0_u32; self.principals.len() + 1];
        for (principal, ..) in &self.named {
            if let Some(count) = starts.get_mut(*principal as usize + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        self.named.sort_by_key(|(principal, ..)| *principal);
        self.graph.targets = self.named.iter().map(|(_, target, _)| *target).collect();
        self.graph.starts = starts;
        self.graph.authorizers.shrink_to_fit();
        self.principals.shrink_to_fit();
        (self.graph, self.principals, self.ids)
    }

    /// Removes from the graph the assertions that no chain of delegation from `POLICY` reaches: anyone can add such assertions, and no
    /// answer depends on them.
    fn prune(&mut self) {
        let Some(alive) = self.alive() else { return };
        let lives =
            |assertion: AssertionId| alive.get(assertion as usize).copied().unwrap_or(false);
        self.named.retain(|(_, _, assertion)| lives(*assertion));
        self.graph.open.retain(|assertion| lives(*assertion));
        self.graph.computed_licensees.retain(|unknown| lives(unknown.assertion));
    }

    /// For each assertion, whether a chain of delegation from `POLICY` reaches it. `None` if a licensee on such a chain is computed, so
    /// that it may be any principal.
    fn alive(&self) -> Option<Vec<bool>> {
        let mut made: Vec<Vec<AssertionId>> = vec![Vec::new(); self.principals.len()];
        for (assertion, authorizer) in (0..).zip(&self.graph.authorizers) {
            if let Some(made) = authorizer.and_then(|id| made.get_mut(id as usize)) {
                made.push(assertion);
            }
        }
        let mut licensees: Vec<Vec<PrincipalId>> = vec![Vec::new(); self.graph.authorizers.len()];
        for (principal, _, assertion) in &self.named {
            if let Some(named) = licensees.get_mut(*assertion as usize) {
                named.push(*principal);
            }
        }
        let anybody: HashSet<AssertionId> =
            self.graph.computed_licensees.iter().map(|unknown| unknown.assertion).collect();
        let mut alive = vec![false; licensees.len()];
        let mut seen = vec![false; self.principals.len()];
        // Only policy, which is trusted, may have a computed authorizer.
        let mut assertions = self.graph.computed_authorizers.clone();
        let mut next = vec![POLICY];
        loop {
            while let Some(assertion) = assertions.pop() {
                if anybody.contains(&assertion) {
                    return None;
                }
                if let Some(alive) = alive.get_mut(assertion as usize) {
                    *alive = true;
                }
                next.extend(licensees.get(assertion as usize).into_iter().flatten());
            }
            let Some(principal) = next.pop() else { return Some(alive) };
            match seen.get_mut(principal as usize) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            assertions.extend(made.get(principal as usize).into_iter().flatten());
        }
    }
}

/// Narrows a count of principals or thresholds. INVARIANT: 2^32 of them do not fit into memory with the assertions that name them.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
