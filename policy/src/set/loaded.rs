//! The assertions of a set.

use crate::evaluation::Constants;
use crate::source::{Source, Span};
use crate::syntax::tree::{Licensees, Program, Text};

/// An index into the assertions of a set.
pub(crate) type AssertionId = u32;
/// An index into the principals of a set. 0 is `POLICY`.
pub(crate) type PrincipalId = u32;

/// An assertion of a set. A policy has many, so that the fields that only an explanation needs are read again from the text.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The text that holds the assertion.
    pub source: Source,
    /// The span of the assertion in the text.
    pub span: Span,
    /// Whether the assertion is policy; otherwise it is a credential, and its signature was verified.
    pub trusted: bool,
    /// The index of the assertion's conditions in [`PolicySet::programs`](super::PolicySet); `None` if it has no conditions field.
    pub conditions: Option<u32>,
    /// The fields that name principals, if one of these is computed from attributes. Otherwise the graph has all of them.
    pub computed: Option<Box<Naming>>,
}

/// The fields of an assertion that name principals, with the names of its local constants replaced by their values.
#[derive(Debug)]
pub(crate) struct Naming {
    /// The authorizer, which may be computed from attributes.
    pub authorizer: Text,
    /// The licensees; `None` if the assertion has no such field.
    pub licensees: Option<Licensees>,
    /// The local constants that computed names in the authorizer and the licensees may refer to.
    pub constants: Constants,
}

impl Naming {
    /// The expressions that name principals: the licensees, then the authorizer.
    pub fn texts(&self) -> Vec<&Text> {
        let mut named = match &self.licensees {
            Some(Licensees::Principals(principals)) => principals.texts(),
            _ => Vec::new(),
        };
        named.push(&self.authorizer);
        named
    }

    /// Whether a principal is computed from attributes.
    pub fn is_computed(&self) -> bool {
        self.texts().into_iter().any(|text| text.literal().is_none())
    }
}

/// Conditions that one or more assertions share: the credentials of one issuer often differ only in their licensee. Each question
/// evaluates them once. Their spans refer to the first assertion with these conditions.
#[derive(Debug)]
pub(crate) struct Conditions {
    /// The clauses.
    pub program: Program,
    /// The local constants that computed names in the clauses may refer to; `None` if there are none.
    pub constants: Option<Box<Constants>>,
    /// Whether several assertions share the conditions.
    pub shared: bool,
}
