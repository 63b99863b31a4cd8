//! The data of an explanation, which is also its JSON form.

use serde::Serialize;

/// The explanation of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The answer.
    pub value: String,
    /// The requesters.
    pub requesters: Vec<String>,
    /// The assertions that matter, from `POLICY` downward; those that support the answer come first.
    pub assertions: Vec<AssertionTrace>,
    /// The number of further assertions, by principals that matter, that are not shown.
    pub omitted: usize,
    /// Assertions that were not accepted, with the reasons.
    pub dropped: Vec<DroppedTrace>,
}

/// One assertion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssertionTrace {
    /// File and line.
    pub place: String,
    /// Whether it is policy; otherwise it is a credential with a valid signature.
    pub trusted: bool,
    /// Its authorizer.
    pub authorizer: String,
    /// Its value: the lower of the values of its licensees and its conditions.
    pub value: String,
    /// Its licensees, with their values.
    pub licensees: LicenseesTrace,
    /// The value of its conditions.
    pub conditions_value: String,
    /// Its clauses; `None` if it has no conditions field, which means `_MAX_TRUST`.
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
    /// The reason of its value, in words.
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
    /// Its value.
    pub value: String,
    /// The comparisons of its test that were evaluated.
    pub comparisons: Vec<ComparisonTrace>,
    /// The nested clauses.
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
