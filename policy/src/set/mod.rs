//! Assertions that are parsed, believed and connected once, and asked many times.

mod ask;
mod builder;
mod graph;

use std::collections::HashMap;
use std::fmt;

use crate::bind::Constants;
use crate::principal::Principal;
use crate::signature::SignatureError;
use crate::source::{Finding, Source, Span};
use crate::syntax::tree::{Licensees, Program, Text};

pub use ask::{Answer, Question};
pub use builder::{MAX_CREDENTIAL, PolicySetBuilder};

pub(crate) use ask::Outcome;
use graph::Graph;
pub(crate) use graph::{AssertionId, PrincipalId};

/// What decides: the policy, and the credentials whose signatures were found right.
///
/// Nothing in it changes once it is built, so that any number of threads may ask at once.
pub struct PolicySet {
    pub(crate) assertions: Vec<Loaded>,
    pub(crate) principals: Vec<Principal>,
    pub(crate) ids: HashMap<Principal, PrincipalId>,
    pub(crate) programs: Vec<Conditions>,
    graph: Graph,
    dropped: Vec<Dropped>,
}

impl PolicySet {
    /// Where a set begins.
    pub fn builder() -> PolicySetBuilder {
        PolicySetBuilder::default()
    }

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

/// An assertion that takes part, with its local constants in their places.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub source: Source,
    pub span: Span,
    pub trusted: bool,
    pub authorizer: Text,
    pub licensees: Option<Licensees>,
    /// An index into the programs of the set; nothing if the field is missing.
    pub conditions: Option<u32>,
    /// For computed names in the authorizer and the licensees.
    pub constants: Constants,
}

/// Conditions, as one or many assertions have them: what an authority issues often differs in the licensee alone. A question
/// evaluates them once. Their places are those of the first assertion that had them.
#[derive(Debug)]
pub(crate) struct Conditions {
    pub program: Program,
    pub constants: Constants,
    /// Whether several assertions have them.
    pub shared: bool,
}

/// An assertion that does not take part.
#[derive(Debug, Clone)]
pub struct Dropped {
    /// The text it stands in.
    pub source: Source,
    /// Where in it.
    pub span: Span,
    /// Why.
    pub reason: DropReason,
}

/// Why an assertion does not take part.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DropReason {
    /// It is no assertion.
    #[error("it is malformed: {}", first_message(.0))]
    Malformed(Vec<Finding>),
    /// A credential is longer than [`MAX_CREDENTIAL`].
    #[error("it has {0} bytes; a credential has at most {MAX_CREDENTIAL}")]
    TooLong(usize),
    /// A credential in the name of `POLICY`, or of something that is no key: anybody could have written it.
    #[error(
        "its authorizer `{0}` is no key, so that nobody can have signed it; give it as policy if you trust it"
    )]
    NotAKey(String),
    /// A credential without a signature.
    #[error("it is not signed; give it as policy if you trust it")]
    NotSigned,
    /// The signature does not count.
    #[error("its signature does not count: {0}")]
    Signature(#[from] SignatureError),
    /// A malformed key of a known algorithm.
    #[error("it names a malformed key: {0}")]
    Principal(String),
}

fn first_message(findings: &[Finding]) -> &str {
    findings.first().map_or("", |finding| &finding.message)
}
