//! The data of an explanation, which is also its JSON form.

use serde::Serialize;

/// The explanation of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The answer: a compliance value.
    pub value: String,
    /// The requesters, without passphrases and their hashes.
    pub requesters: Vec<String>,
    /// The assertions that explain the answer, from `POLICY` downward; of one authorizer, those with the highest value come first. At
    /// most [`MAX_SHOWN`](super::MAX_SHOWN).
    pub assertions: Vec<AssertionTrace>,
    /// The number of assertions that are not shown although others of the same authorizer are.
    pub omitted: usize,
    /// Assertions that are not part of the policy set, with the reasons. At most [`MAX_SHOWN`](super::MAX_SHOWN).
    pub dropped: Vec<DroppedTrace>,
}

/// An assertion in an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssertionTrace {
    /// File and line of the assertion's beginning, as `file:line`.
    pub place: String,
    /// Whether the assertion is policy, which the operator trusts; otherwise it is a credential with a valid signature.
    pub trusted: bool,
    /// The authorizer of the assertion, without a passphrase or its hash.
    pub authorizer: String,
    /// The value of the assertion: the lower of the values of its licensees and its conditions.
    pub value: String,
    /// The licensees of the assertion, with their values.
    pub licensees: LicenseesTrace,
    /// The value of the assertion's conditions.
    pub conditions_value: String,
    /// The clauses of the assertion; `None` if it has no conditions field, which means `_MAX_TRUST`.
    pub clauses: Option<Vec<ClauseTrace>>,
}

/// A licensees expression, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LicenseesTrace {
    /// The form: `principal`, `all of`, `any of`, a threshold such as `2 of`, `everybody` for a missing field, `nobody` for an empty one.
    pub kind: String,
    /// The value of the expression, a compliance value.
    pub value: String,
    /// The principal's name; `None` unless the kind is `principal`, and for one that cannot be computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The reason of the value, in words.
    pub reason: String,
    /// The parts of the expression, the highest value first; at most [`MAX_SHOWN`](super::MAX_SHOWN). None for a principal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<LicenseesTrace>,
}

/// A clause that was evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClauseTrace {
    /// The line on which the clause begins, counted from 1.
    pub line: usize,
    /// The source of the clause on one line, shortened.
    pub text: String,
    /// The outcome of the clause's test: `true`, `false`, or the run-time error that made it false.
    pub outcome: String,
    /// The value of the clause, a compliance value; `_MIN_TRUST` unless its test is true.
    pub value: String,
    /// The comparisons of the clause's test that were evaluated.
    pub comparisons: Vec<ComparisonTrace>,
    /// The clauses in the clause's braces that were evaluated; none if its test is not true.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clauses: Vec<ClauseTrace>,
}

/// A comparison that was evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComparisonTrace {
    /// The source of the comparison on one line, shortened.
    pub text: String,
    /// `true`, `false`, or the run-time error that made it false.
    pub outcome: String,
    /// The attributes that were looked up for the comparison, with their values; `None` for an undefined one, which counts as empty.
    pub attributes: Vec<(String, Option<String>)>,
}

/// An assertion that is not part of the policy set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DroppedTrace {
    /// File and line of the assertion's beginning, as `file:line`.
    pub place: String,
    /// The reason, in words.
    pub reason: String,
}
