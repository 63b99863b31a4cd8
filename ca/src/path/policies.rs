//! Certificate policies (RFC 5280 §6.1), as the graph of RFC 9618. Its size is linear in the number of policies, while
//! RFC 5280's tree can grow exponentially.

use std::collections::{BTreeMap, BTreeSet};

use der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::PolicyMapping;

use super::certificate::Certificate;
use crate::oid::ANY_POLICY;

/// Whether anyPolicy, or policy mapping, is still processed at some depth (§6.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processing {
    Allowed,
    Inhibited,
}

impl Processing {
    /// The state of a counter of RFC 5280 §6.1.2: the processing is inhibited once the counter is zero.
    pub const fn by_counter(certificates_left: usize) -> Self {
        if certificates_left > 0 { Self::Allowed } else { Self::Inhibited }
    }
}

type Policies = BTreeSet<ObjectIdentifier>;

/// A policy that is valid at one depth of the path.
#[derive(Debug, Clone)]
struct Node {
    /// The names that the next certificate may use for the policy.
    expected: Policies,
    /// The policies of the previous level that lead to this policy.
    parents: Policies,
}

type Level = BTreeMap<ObjectIdentifier, Node>;

/// The policies on which all certificates so far agree.
#[derive(Debug)]
pub struct PolicyGraph {
    /// The levels, from the anchor down; empty when no policy is left.
    levels: Vec<Level>,
}

impl PolicyGraph {
    /// The graph before the first certificate, with anyPolicy.
    pub fn new() -> Self {
        let any = Node { expected: [ANY_POLICY].into(), parents: Policies::new() };
        Self { levels: vec![[(ANY_POLICY, any)].into()] }
    }

    /// Whether no policy is left.
    pub fn is_null(&self) -> bool {
        self.levels.last().is_none_or(Level::is_empty)
    }

    /// §6.1.3 (d) and (e): adds the policies of the next certificate.
    pub fn add(&mut self, certificate: &Certificate, any_policy: Processing) {
        let (Some(above), Some(policies)) = (self.levels.last(), &certificate.policies) else {
            return self.levels.clear();
        };
        let mut level = Level::new();
        for policy in policies.iter().filter(|policy| **policy != ANY_POLICY) {
            let mut parents: Policies = above
                .iter()
                .filter(|(_, node)| node.expected.contains(policy))
                .map(|(parent, _)| *parent)
                .collect();
            if parents.is_empty() && above.contains_key(&ANY_POLICY) {
                parents.insert(ANY_POLICY);
            }
            if !parents.is_empty() {
                level.insert(*policy, Node { expected: [*policy].into(), parents });
            }
        }
        if any_policy == Processing::Allowed && policies.contains(&ANY_POLICY) {
            let named: Policies = level.keys().copied().collect();
            for (parent, node) in above {
                for policy in node.expected.difference(&named) {
                    let node = level.entry(*policy).or_insert_with(|| Node {
                        expected: [*policy].into(),
                        parents: Policies::new(),
                    });
                    node.parents.insert(*parent);
                }
            }
        }
        self.levels.push(level);
        if self.is_null() {
            self.levels.clear();
        }
    }

    /// §6.1.4 (b): applies a CA's mappings. If mapping is allowed, the policy gets the name to which it is mapped below the CA; otherwise
    /// it is removed.
    pub fn map(&mut self, mappings: &[PolicyMapping], mapping: Processing) {
        let Some(level) = self.levels.last_mut() else { return };
        let mut mapped: BTreeMap<ObjectIdentifier, Policies> = BTreeMap::new();
        for PolicyMapping { issuer_domain_policy, subject_domain_policy } in mappings {
            mapped.entry(*issuer_domain_policy).or_default().insert(*subject_domain_policy);
        }
        for (policy, subjects) in mapped {
            if mapping == Processing::Inhibited {
                level.remove(&policy);
                continue;
            }
            if let Some(node) = level.get_mut(&policy) {
                node.expected = subjects;
            } else if level.contains_key(&ANY_POLICY) {
                level.insert(policy, Node { expected: subjects, parents: [ANY_POLICY].into() });
            }
        }
        if self.is_null() {
            self.levels.clear();
        }
    }

    /// §6.1.5 (g): whether one of the wanted policies remains. An empty set of wanted policies accepts any policy.
    pub fn is_acceptable(&self, wanted: &[ObjectIdentifier]) -> bool {
        let Some((last, above)) = self.levels.split_last() else { return false };
        if wanted.is_empty() || last.contains_key(&ANY_POLICY) {
            return !last.is_empty();
        }
        // From the last level upwards. The user's policies are compared in the terms of the first CA that named a
        // policy.
        let mut alive: Policies = last.keys().copied().collect();
        let mut level = last;
        for next in above.iter().rev() {
            let mut parents = Policies::new();
            for (policy, node) in level.iter().filter(|(policy, _)| alive.contains(policy)) {
                if node.parents.contains(&ANY_POLICY) && wanted.contains(policy) {
                    return true;
                }
                parents.extend(&node.parents);
            }
            alive = parents;
            level = next;
        }
        false
    }
}
