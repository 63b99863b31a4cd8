//! Certificate policies (RFC 5280 §6.1), as the graph of RFC 9618: it stays as small as the policies are many.

use std::collections::{BTreeMap, BTreeSet};

use der::asn1::ObjectIdentifier;

use super::certificate::{ANY, Certificate};

type Policies = BTreeSet<ObjectIdentifier>;

/// A policy that is valid at some depth.
#[derive(Debug, Clone)]
struct Node {
    /// What the next certificate may call it.
    expected: Policies,
    /// The policies of the level above that it comes from.
    parents: Policies,
}

type Level = BTreeMap<ObjectIdentifier, Node>;

/// The policies that all certificates so far agree on.
#[derive(Debug)]
pub struct PolicyGraph {
    /// From the anchor down; empty when no policy is left.
    levels: Vec<Level>,
}

impl PolicyGraph {
    /// Before the first certificate: any policy.
    pub fn new() -> Self {
        let any = Node { expected: [ANY].into(), parents: Policies::new() };
        Self { levels: vec![[(ANY, any)].into()] }
    }

    /// Whether no policy is left.
    pub fn is_null(&self) -> bool {
        self.levels.last().is_none_or(Level::is_empty)
    }

    /// §6.1.3 (d) and (e): the policies of the next certificate.
    pub fn add(&mut self, certificate: &Certificate, any_allowed: bool) {
        let (Some(above), Some(policies)) = (self.levels.last(), &certificate.policies) else {
            return self.levels.clear();
        };
        let mut level = Level::new();
        for policy in policies.iter().filter(|policy| **policy != ANY) {
            let mut parents: Policies = above
                .iter()
                .filter(|(_, node)| node.expected.contains(policy))
                .map(|(parent, _)| *parent)
                .collect();
            if parents.is_empty() && above.contains_key(&ANY) {
                parents.insert(ANY);
            }
            if !parents.is_empty() {
                level.insert(*policy, Node { expected: [*policy].into(), parents });
            }
        }
        if any_allowed && policies.contains(&ANY) {
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

    /// §6.1.4 (b): what the CA calls a policy is called otherwise below it, if mapping is allowed; else it is gone.
    pub fn map(&mut self, mappings: &[(ObjectIdentifier, ObjectIdentifier)], allowed: bool) {
        let Some(level) = self.levels.last_mut() else { return };
        let mut mapped: BTreeMap<ObjectIdentifier, Policies> = BTreeMap::new();
        for (issuer, subject) in mappings {
            mapped.entry(*issuer).or_default().insert(*subject);
        }
        for (policy, subjects) in mapped {
            if !allowed {
                level.remove(&policy);
                continue;
            }
            if let Some(node) = level.get_mut(&policy) {
                node.expected = subjects;
            } else if level.contains_key(&ANY) {
                level.insert(policy, Node { expected: subjects, parents: [ANY].into() });
            }
        }
        if self.is_null() {
            self.levels.clear();
        }
    }

    /// §6.1.5 (g): whether a policy is left that the user takes; an empty set takes any.
    pub fn is_acceptable(&self, wanted: &[ObjectIdentifier]) -> bool {
        let Some((last, above)) = self.levels.split_last() else { return false };
        if wanted.is_empty() || last.contains_key(&ANY) {
            return !last.is_empty();
        }
        // From the last level up: the user names policies as the first CA that named any.
        let mut alive: Policies = last.keys().copied().collect();
        let mut level = last;
        for next in above.iter().rev() {
            let mut parents = Policies::new();
            for (policy, node) in level.iter().filter(|(policy, _)| alive.contains(policy)) {
                if node.parents.contains(&ANY) && wanted.contains(policy) {
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
