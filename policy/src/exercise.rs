//! Runs everything that the crate does with text on one input, for the fuzzer and for the test of the fuzzer's first inputs. It panics only
//! if the crate has a fault.

use crate::lint::{Options, lint};
use crate::syntax::{Assertion, parse_file, split};
use crate::{
    AttributeSet, ComplianceValues, LegacySignatures, PolicySet, Question, Requesters, Source,
    layout,
};

/// Parses, prints, formats, lints and loads the text, and answers a question with it.
pub fn everything(text: &[u8]) {
    let source = Source::new("fuzz", text);
    let values = ComplianceValues::boolean();
    match parse_file(&source) {
        Err(findings) => findings.iter().for_each(|finding| drop(source.render(finding))),
        Ok(assertions) => {
            assertions.iter().for_each(round_trip);
            for (_, finding) in lint(&assertions, Options { values: &values, ipsec: true }) {
                drop(source.render(&finding));
            }
            relayout(&source);
        }
    }
    ask(&source, &values);
}

fn round_trip(assertion: &Assertion) {
    let printed = assertion.tree().to_string();
    let again = Assertion::from_source(&Source::new("printed", printed.clone().into_bytes()));
    let again = again.map(|assertion| assertion.tree().to_string());
    assert_eq!(again.as_deref(), Ok(printed.as_str()), "printing is not idempotent");
}

fn relayout(source: &Source) {
    let once = layout::format(source);
    let twice = once.clone().and_then(|text| layout::format(&Source::new("formatted", text)));
    assert_eq!(once, twice, "the layout is not idempotent");
}

fn ask(source: &Source, values: &ComplianceValues) {
    let mut builder = PolicySet::builder();
    builder.legacy_signatures(LegacySignatures::Accepted).credentials(source);
    for part in split(source.text()) {
        let text = source.text().get(part.range()).unwrap_or_default();
        builder.assertion(&Source::new("fuzz", text));
    }
    let set = builder.build();
    let mut attributes = AttributeSet::new();
    for (name, value) in
        [("app_domain", "IPsec policy"), ("a", "b"), ("n", "-3.5"), ("re", "(a|ab)(c|bcd)*")]
    {
        let _ = attributes.set(name, value);
    }
    if let Ok(requesters) = Requesters::new(["alice", "bob"]) {
        let question = Question { attributes: &attributes, requesters: &requesters, values };
        let answer = String::from_utf8_lossy(set.ask(question).value).into_owned();
        let trace = set.explain(question);
        assert_eq!(trace.value, answer, "the explanation is of another answer");
        drop(trace.to_string());
    }
}

/// Only parses the text, and prints the assertions or renders the errors. It does less than [`everything`], so that a fuzzer can run it
/// more often.
pub fn parse(text: &[u8]) {
    let source = Source::new("fuzz", text);
    match parse_file(&source) {
        Err(findings) => findings.iter().for_each(|finding| drop(source.render(finding))),
        Ok(assertions) => assertions.iter().for_each(round_trip),
    }
}
