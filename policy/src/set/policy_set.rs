//! The policy set, once it is built.

use std::collections::HashMap;
use std::fmt;

use super::dropped::Dropped;
use super::graph::Graph;
use super::loaded::{AssertionId, Conditions, Loaded, PrincipalId};
use crate::principal::Principal;

/// The policy, and the credentials whose signatures are valid.
///
/// It does not change after it is built, so that any number of threads can use it at the same time.
pub struct PolicySet {
    pub(crate) assertions: Vec<Loaded>,
    pub(crate) principals: Vec<Principal>,
    /// The index of each principal in `principals`.
    pub(crate) ids: HashMap<Principal, PrincipalId>,
    /// The distinct conditions of the assertions.
    pub(crate) programs: Vec<Conditions>,
    pub(super) graph: Graph,
    pub(super) dropped: Vec<Dropped>,
}

impl PolicySet {
    /// The number of assertions.
    pub fn len(&self) -> usize {
        self.assertions.len()
    }

    /// Whether there are no assertions; every answer is then `_MIN_TRUST`.
    pub fn is_empty(&self) -> bool {
        self.assertions.is_empty()
    }

    /// The authorizer of an assertion; `None` if it is computed from attributes.
    pub(crate) fn authorizer(&self, assertion: AssertionId) -> Option<PrincipalId> {
        self.graph.authorizers.get(assertion as usize).copied().flatten()
    }

    /// The assertions that were given to the builder but are not part of the set, with the reasons.
    pub fn dropped(&self) -> &[Dropped] {
        &self.dropped
    }
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySet")
            .field("assertions", &self.assertions.len())
            .field("principals", &self.principals.len())
            .field("dropped", &self.dropped.len())
            .finish()
    }
}
