//! What decides, once it is built.

use std::collections::HashMap;
use std::fmt;

use super::dropped::Dropped;
use super::graph::Graph;
use super::loaded::{Conditions, Loaded, PrincipalId};
use crate::principal::Principal;

/// What decides: the policy, and the credentials whose signatures were found right.
///
/// Nothing in it changes once it is built, so that any number of threads may ask at once.
pub struct PolicySet {
    pub(crate) assertions: Vec<Loaded>,
    pub(crate) principals: Vec<Principal>,
    pub(crate) ids: HashMap<Principal, PrincipalId>,
    pub(crate) programs: Vec<Conditions>,
    pub(super) graph: Graph,
    pub(super) dropped: Vec<Dropped>,
}

impl PolicySet {
    /// How many assertions take part.
    pub fn len(&self) -> usize {
        self.assertions.len()
    }

    /// Whether no assertion takes part: every answer is then `_MIN_TRUST`.
    pub fn is_empty(&self) -> bool {
        self.assertions.is_empty()
    }

    /// The assertions that were offered and do not take part, with the reasons.
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
