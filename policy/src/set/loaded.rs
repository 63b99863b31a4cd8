//! Assertions that take part.

use crate::evaluation::Constants;
use crate::source::{Source, Span};
use crate::syntax::tree::{Licensees, Program, Text};

/// An index into the assertions of a set.
pub(crate) type AssertionId = u32;
/// An index into the principals of a set. 0 is `POLICY`.
pub(crate) type PrincipalId = u32;

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
