//! Assertions in one set must not affect each other, and credentials of strangers must not affect the policy.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]

use countersign_policy::{AttributeSet, ComplianceValues, PolicySet, Question, Requesters, Source};

fn ask(
    policy: &str,
    credentials: &str,
    requesters: &[&str],
    attributes: &[(&str, &str)],
) -> String {
    let mut builder = PolicySet::builder();
    let source = Source::new("policy", policy.as_bytes());
    if let Err(findings) = builder.policy(&source) {
        panic!("{}", findings.iter().map(|finding| source.render(finding)).collect::<String>());
    }
    builder.credentials(&Source::new("credentials", credentials.as_bytes()));
    let set = builder.build();
    let mut action = AttributeSet::new();
    for (name, value) in attributes {
        action.set(name, value).unwrap();
    }
    let requesters = Requesters::new(requesters).unwrap();
    let values = ComplianceValues::new(["no", "some", "all"]).unwrap();
    let question = Question { attributes: &action, requesters: &requesters, values: &values };
    let answer = String::from_utf8(set.ask(question).value.to_vec()).unwrap();
    assert_eq!(set.explain(question).value, answer);
    answer
}

/// Equal conditions are shared; they are not equal if a computed name refers to different local constants.
#[test]
fn alike_conditions_with_other_constants_are_others() {
    let assertion = |licensee: &str, value: &str| {
        format!(
            "Authorizer: \"POLICY\"\nLicensees: \"{licensee}\"\nLocal-Constants: ab = \"{value}\"\nConditions: $(\"a\" . x) == \"1\";\n\n"
        )
    };
    let policy = assertion("alice", "1") + &assertion("bob", "2");
    for (requester, x, wanted) in [("alice", "b", "all"), ("bob", "b", "no"), ("alice", "c", "no")]
    {
        assert_eq!(ask(&policy, "", &[requester], &[("x", x)]), wanted, "{requester}");
    }
    let swapped = assertion("bob", "2") + &assertion("alice", "1");
    assert_eq!(ask(&swapped, "", &["alice"], &[("x", "b")]), "all");
    assert_eq!(ask(&swapped, "", &["bob"], &[("x", "b")]), "no");
}

/// Constants are replaced by their values before conditions are compared.
#[test]
fn constants_shadow_attributes_in_their_own_assertion_only() {
    let policy = "Authorizer: \"POLICY\"\nLicensees: \"alice\"\nLocal-Constants: x = \"1\"\nConditions: x == \"1\" -> \"some\";\n\n\
                  Authorizer: \"POLICY\"\nLicensees: \"alice\"\nConditions: x == \"1\" -> \"all\";\n";
    assert_eq!(ask(policy, "", &["alice"], &[]), "some");
    assert_eq!(ask(policy, "", &["alice"], &[("x", "1")]), "all");
}

#[test]
fn principals_can_be_computed_from_the_question() {
    let policy = "Authorizer: \"POLICY\"\nLicensees: peer && 1-of($which, \"carol\")\nConditions: true;\n\n\
                  Authorizer: root\nLicensees: \"dave\"\nConditions: true -> \"some\";\n";
    let named = [("peer", "alice"), ("which", "other"), ("other", "bob")];
    assert_eq!(ask(policy, "", &["alice", "bob"], &named), "all");
    assert_eq!(ask(policy, "", &["alice", "carol"], &named), "all");
    assert_eq!(ask(policy, "", &["alice"], &named), "no");
    assert_eq!(ask(policy, "", &["dave"], &named), "no");
    assert_eq!(ask(policy, "", &["dave"], &[("root", "POLICY")]), "some");
    assert_eq!(
        ask(policy, "", &["dave", "carol"], &[("root", "alice"), ("peer", "alice")]),
        "some"
    );
    // A malformed key invalidates its assertion, and no other.
    assert_eq!(
        ask(policy, "", &["dave", "carol"], &[("root", "POLICY"), ("peer", "rsa-hex:zz")]),
        "some"
    );
}

/// Assertions that no delegation reaches are removed when the set is built; those that a computed name may reach are not.
#[test]
fn chains_may_go_on_behind_a_computed_name() {
    let through_authorizer = "Authorizer: \"POLICY\"\nLicensees: \"mid\"\nConditions: true;\n\n\
                              Authorizer: who\nLicensees: \"sub\"\nConditions: true;\n\n\
                              Authorizer: \"sub\"\nLicensees: \"alice\"\nConditions: true;\n";
    assert_eq!(ask(through_authorizer, "", &["alice"], &[("who", "mid")]), "all");
    assert_eq!(ask(through_authorizer, "", &["alice"], &[("who", "other")]), "no");
    let through_licensee = "Authorizer: \"POLICY\"\nLicensees: who\nConditions: true;\n\n\
                            Authorizer: \"sub\"\nLicensees: \"alice\"\nConditions: true;\n\n\
                            Authorizer: \"other\"\nConditions: true -> \"some\";\n";
    assert_eq!(ask(through_licensee, "", &["alice"], &[("who", "sub")]), "all");
    assert_eq!(ask(through_licensee, "", &["alice"], &[("who", "other")]), "some");
    assert_eq!(ask(through_licensee, "", &["alice"], &[]), "no");
}

/// A stranger cannot make assertions as POLICY, as a name, or as a key that it does not have.
#[test]
fn unsigned_credentials_say_nothing() {
    let policy = "Authorizer: \"POLICY\"\nLicensees: \"bob\"\nConditions: true;\n";
    for credential in [
        "Authorizer: \"POLICY\"\n",
        "Authorizer: \"bob\"\nLicensees: \"alice\"\n",
        "Authorizer: who\nLicensees: \"alice\"\n",
        "Authorizer: \"POL\" . \"ICY\"\nLicensees: \"alice\"\nSignature: \"sig-ed25519-hex:00\"\n",
        "Local-Constants: P=\"POLICY\"\nAuthorizer: P\nLicensees: \"alice\"\n",
    ] {
        assert_eq!(ask(policy, credential, &["alice"], &[("who", "POLICY")]), "no", "{credential}");
    }
}

#[test]
fn one_value_is_always_the_answer() {
    let mut builder = PolicySet::builder();
    builder.assertion(&Source::new("policy", *b"Authorizer: \"POLICY\"\n"));
    let set = builder.build();
    let values = ComplianceValues::new(["only"]).unwrap();
    let (attributes, requesters) = (AttributeSet::new(), Requesters::new(["a"]).unwrap());
    let question = Question { attributes: &attributes, requesters: &requesters, values: &values };
    assert_eq!(set.ask(question).value, b"only");
}
