//! The 1,102 cases of an independent KeyNote corpus: the answers of the reference implementation, those of an evaluator written
//! from RFC 2704 alone, and decisions where both are silent or wrong (tests/data/README.md).

#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use countersign_policy::{
    AttributeSet, ComplianceValues, LegacySignatures, PolicySet, Question, Requesters, Source,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    id: String,
    values: Vec<String>,
    attributes: Vec<(String, String)>,
    authorizers: Vec<String>,
    assertions: Vec<Text>,
    recommended: Option<String>,
    rfc: Outcome,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    local: bool,
}

#[derive(Deserialize)]
struct Outcome {
    outcome: String,
    value: Option<String>,
    invalid: Option<Vec<(usize, String)>>,
}

impl Case {
    fn wanted(&self) -> String {
        let rfc = || self.rfc.value.clone().unwrap_or_else(|| self.rfc.outcome.clone());
        self.recommended.clone().unwrap_or_else(rfc)
    }

    fn set(&self) -> PolicySet {
        let mut builder = PolicySet::builder();
        builder.legacy_signatures(LegacySignatures::Accepted);
        for (position, assertion) in self.assertions.iter().enumerate() {
            let source = Source::new(format!("{}#{position}", self.id), bytes(&assertion.text));
            if assertion.local {
                builder.assertion(&source);
            } else {
                builder.credential(&source);
            }
        }
        builder.build()
    }

    fn answer(&self, set: &PolicySet) -> String {
        let mut attributes = AttributeSet::new();
        for (name, value) in &self.attributes {
            // Reserved names cannot be set (case e94): the question is asked without.
            let _ = attributes.set(bytes(name), bytes(value));
        }
        let values = ComplianceValues::new(self.values.iter().map(|value| bytes(value))).unwrap();
        match Requesters::new(self.authorizers.iter().map(|text| bytes(text))) {
            Ok(requesters) => {
                let question =
                    Question { attributes: &attributes, requesters: &requesters, values: &values };
                text(set.ask(question).value)
            }
            Err(_) => "error".into(),
        }
    }
}

/// Strings in the corpus are bytes, written as Latin-1 code points.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn cases() -> Vec<Case> {
    let lines = [include_str!("data/edge.jsonl"), include_str!("data/corpus.jsonl")];
    lines
        .iter()
        .flat_map(|file| file.lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_answer_is_the_one_wanted() {
    let cases = cases();
    assert_eq!(cases.len(), 1102);
    let mut wrong = Vec::new();
    for case in &cases {
        let set = case.set();
        let answer = case.answer(&set);
        if answer != case.wanted() {
            wrong.push(format!(
                "{}: wanted {}, got {answer}; dropped: {:?}",
                case.id,
                case.wanted(),
                reasons(&set)
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// The independent evaluator says which assertions are malformed; a right answer for a wrong reason proves nothing.
#[test]
fn the_same_assertions_are_malformed() {
    let mut wrong = Vec::new();
    for case in cases() {
        // e84: an EC certificate is a principal here.
        let Some(invalid) = case.rfc.invalid.as_ref().filter(|_| case.id != "e84") else {
            continue;
        };
        let mut wanted: Vec<usize> = invalid.iter().map(|(position, _)| *position).collect();
        wanted.sort_unstable();
        let set = case.set();
        let mut found: Vec<usize> = set
            .dropped()
            .iter()
            .filter(|dropped| {
                use countersign_policy::DropReason::{Malformed, Principal};
                matches!(dropped.reason, Malformed(_) | Principal(_))
            })
            .map(|dropped| dropped.source.name().rsplit('#').next().unwrap().parse().unwrap())
            .collect();
        found.sort_unstable();
        if wanted != found {
            wrong.push(format!("{}: wanted {invalid:?}, found {:?}", case.id, reasons(&set)));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

fn reasons(set: &PolicySet) -> Vec<String> {
    set.dropped()
        .iter()
        .map(|dropped| format!("{} {}", dropped.source.name(), dropped.reason))
        .collect()
}
