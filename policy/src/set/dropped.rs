//! Assertions that were given to the builder but are not part of the set, with the reasons.

use crate::signature::SignatureError;
use crate::source::{Finding, Source, Span};

/// The longest credential, in bytes.
pub const MAX_CREDENTIAL: usize = 1 << 20;

/// An assertion that is not part of the set.
#[derive(Debug, Clone)]
pub struct Dropped {
    /// The text that holds the assertion.
    pub source: Source,
    /// The span of the assertion in the text.
    pub span: Span,
    /// The reason why the assertion is not part of the set.
    pub reason: DropReason,
}

/// Why an assertion is not part of the set.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DropReason {
    /// The assertion is not well-formed.
    #[error("it is malformed: {}", first_message(.0))]
    Malformed(Vec<Finding>),
    /// The credential is longer than [`MAX_CREDENTIAL`]; with its length in bytes.
    #[error("it has {0} bytes; a credential has at most {MAX_CREDENTIAL}")]
    TooLong(usize),
    /// The authorizer of the credential is not a key, for instance `POLICY`, so that anyone could have written it. With the name.
    #[error(
        "its authorizer `{0}` is no key, so that nobody can have signed it; give it as policy if you trust it"
    )]
    NotAKey(String),
    /// The credential has no signature.
    #[error("it is not signed; give it as policy if you trust it")]
    NotSigned,
    /// The signature does not count.
    #[error("its signature does not count: {0}")]
    Signature(#[from] SignatureError),
    /// The assertion names a malformed key of a known algorithm.
    #[error("it names a malformed key: {0}")]
    Principal(String),
}

fn first_message(findings: &[Finding]) -> &str {
    findings.first().map_or("", |finding| &finding.message)
}
