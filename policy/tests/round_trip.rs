//! Printing and formatting change nothing: over every well-formed assertion of the corpus, and over examples with comments.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use countersign_policy::Source;
use countersign_policy::layout::format;
use countersign_policy::syntax::{Assertion, Tree};

/// The well-formed assertions of the corpus.
fn assertions() -> Vec<Assertion> {
    let lines = [include_str!("data/edge.jsonl"), include_str!("data/corpus.jsonl")];
    let texts = lines.iter().flat_map(|file| file.lines()).flat_map(|line| {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let texts = case["assertions"].as_array().unwrap().iter();
        texts.map(|assertion| assertion["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    });
    texts
        .filter_map(|text| Assertion::from_source(&Source::new("corpus", text.into_bytes())).ok())
        .collect()
}

/// A tree without spans.
fn shape(tree: &Tree) -> String {
    let debug = format!("{tree:?}");
    let mut out = String::new();
    let mut rest = debug.as_str();
    while let Some((before, after)) = rest.split_once("Span {") {
        out.push_str(before);
        rest = after.split_once('}').unwrap().1;
    }
    out + rest
}

fn parse(text: &[u8]) -> Assertion {
    Assertion::from_source(&Source::new("printed", text)).unwrap_or_else(|findings| {
        panic!("{findings:?} in\n{}", String::from_utf8_lossy(text));
    })
}

#[test]
fn parse_after_print_is_identity() {
    let assertions = assertions();
    assert!(assertions.len() > 2500, "{}", assertions.len());
    for assertion in assertions {
        let printed = assertion.tree().to_string();
        assert_eq!(shape(parse(printed.as_bytes()).tree()), shape(assertion.tree()), "{printed}");
    }
}

#[test]
fn the_formatter_keeps_the_meaning_and_is_idempotent() {
    for assertion in assertions() {
        let once = format(assertion.source()).unwrap();
        assert_eq!(
            shape(parse(&once).tree()),
            shape(assertion.tree()),
            "{}",
            String::from_utf8_lossy(&once)
        );
        let twice = format(&Source::new("formatted", once.clone())).unwrap();
        assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&once));
        let comments = |text: &[u8]| text.iter().filter(|byte| **byte == b'#').count();
        assert_eq!(comments(&once), comments(assertion.source().text()), "a comment is lost");
    }
}

#[test]
fn canonical_layout() {
    let text = "# head\n# of the file\n\n\n\n# of one\nKEYNOTE-VERSION:2\nauthorizer:   \"POLICY\" # root\ncomment:  a\n   b  \n\
                licensees: \"alice\"||(\"bob\"&&2-of(\"a\",\"b\" , \"c\"))\nLocal-constants: a=\"1\" b = \"2\" # two\n  c=\"3\"\n\
                conditions: app_domain==\"IPsec policy\"->{@x<- 5->\"maybe\";# why\n# own\n ! (a ~= \"x\") && \"aaaaaaaaaaaaaaaaaaaaaaaa\"==\"b\" \
                && (c == \"dddddddddddddddddd\" || e == \"f\") && $$g == h . \"i\" -> \"true\";};true;\n\n# tail\n";
    let formatted = format(&Source::new("x", text.as_bytes())).unwrap();
    let wanted = "\
# head
# of the file

# of one
KeyNote-Version: 2
Authorizer: \"POLICY\" # root
Comment: a
   b
Licensees: \"alice\" || (\"bob\" && 2-of(\"a\", \"b\", \"c\"))
Local-Constants:
    a = \"1\"
    b = \"2\" # two
    c = \"3\"
Conditions:
    app_domain == \"IPsec policy\" -> {
        @x < -5 -> \"maybe\"; # why
        # own
        !(a ~= \"x\") &&
            \"aaaaaaaaaaaaaaaaaaaaaaaa\" == \"b\" &&
            (c == \"dddddddddddddddddd\" || e == \"f\") &&
            $$g == h . \"i\" -> \"true\";
    };
    true;

# tail
";
    assert_eq!(String::from_utf8_lossy(&formatted), wanted);
}

#[test]
fn what_is_too_wide_is_broken_as_deep_as_it_must() {
    let text = "Authorizer: \"POLICY\"\nLicensees: \"DN:/C=US/O=Foo\" && (\"DN:/CN=a\" || \"DN:/CN=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\" || \
                \"DN:/CN=ccccccccccccccccccccccc\")\nConditions: true;\n";
    let wanted = "\
Authorizer: \"POLICY\"
Licensees: \"DN:/C=US/O=Foo\" &&
            (\"DN:/CN=a\" ||
                \"DN:/CN=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\" ||
                \"DN:/CN=ccccccccccccccccccccccc\")
Conditions: true;
";
    let formatted = format(&Source::new("x", text.as_bytes())).unwrap();
    assert_eq!(String::from_utf8_lossy(&formatted), wanted);
}

#[test]
fn a_signed_assertion_is_left_as_it_is() {
    let text = "authorizer:\"x\"\nconditions:true;\nsignature:\"y\"\n";
    assert_eq!(format(&Source::new("x", text.as_bytes())).unwrap(), text.as_bytes());
}

#[test]
fn what_cannot_be_parsed_is_not_touched() {
    let findings =
        format(&Source::new("x", *b"Authorizer: \"a\"\n\nauthorizer: b c\n")).unwrap_err();
    assert!(findings.iter().any(|finding| finding.message.contains("found `c`")), "{findings:?}");
}
