//! What an explanation says, for JSON.

use serde::Serialize;

/// Why a question was answered as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The answer.
    pub value: String,
    /// Who asked.
    pub requesters: Vec<String>,
    /// The assertions that matter, from `POLICY` downward; those that support the answer come first.
    pub assertions: Vec<AssertionTrace>,
    /// How many more were made by principals that matter, and are not shown.
    pub omitted: usize,
    /// Assertions that were offered and do not count, with the reasons.
    pub dropped: Vec<DroppedTrace>,
}

/// One assertion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssertionTrace {
    /// File and line.
    pub place: String,
    /// Whether it is policy; else it is a credential with a right signature.
    pub trusted: bool,
    /// Who made it.
    pub authorizer: String,
    /// The lower of the two that follow.
    pub value: String,
    /// Whom it means.
    pub licensees: LicenseesTrace,
    /// The value of its conditions.
    pub conditions_value: String,
    /// Its clauses; nothing if it has no conditions, which is `_MAX_TRUST`.
    pub clauses: Option<Vec<ClauseTrace>>,
}

/// A licensees expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LicenseesTrace {
    /// `principal`, `all of`, `any of`, `2 of`, `everybody` for a missing field, `nobody` for an empty one.
    pub kind: String,
    /// Its value.
    pub value: String,
    /// The principal's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// Why it has that value, in words.
    pub reason: String,
    /// Its parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<LicenseesTrace>,
}

/// A clause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClauseTrace {
    /// The line it begins on.
    pub line: usize,
    /// As it was written.
    pub text: String,
    /// `true`, `false`, or the run-time error that made it false.
    pub outcome: String,
    /// What it gives.
    pub value: String,
    /// The comparisons of its test, as far as they were needed.
    pub comparisons: Vec<ComparisonTrace>,
    /// The clauses in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clauses: Vec<ClauseTrace>,
}

/// A comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComparisonTrace {
    /// As it was written.
    pub text: String,
    /// `true`, `false`, or the run-time error.
    pub outcome: String,
    /// The attributes it looked at, with their values; nothing for an undefined one, which counts as empty.
    pub attributes: Vec<(String, Option<String>)>,
}

/// An assertion that does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DroppedTrace {
    /// File and line.
    pub place: String,
    /// Why.
    pub reason: String,
}
