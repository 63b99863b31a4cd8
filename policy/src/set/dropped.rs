//! Assertions that were offered and do not take part.

use crate::signature::SignatureError;
use crate::source::{Finding, Source, Span};

/// The longest credential, in bytes.
pub const MAX_CREDENTIAL: usize = 1 << 20;

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
