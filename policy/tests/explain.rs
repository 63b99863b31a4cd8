//! A trace names the reason of the answer: the clause, the attribute, the principal, the threshold, the credential.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]

use countersign_policy::{
    AttributeSet, ComplianceValues, LegacySignatures, PolicySet, Question, Requesters, Source,
    Trace,
};

const BOOLEAN: [&str; 2] = ["false", "true"];

fn explain(
    policy: &str,
    credentials: &str,
    requesters: &[&str],
    attributes: &[(&str, &str)],
    values: &[&str],
) -> Trace {
    let mut builder = PolicySet::builder();
    builder.legacy_signatures(LegacySignatures::Refused);
    builder.policy(&Source::new("gw.policy", policy.as_bytes())).unwrap();
    builder.credentials(&Source::new("gw.cred", credentials.as_bytes()));
    let set = builder.build();
    let mut action = AttributeSet::new();
    for (name, value) in attributes {
        action.set(name, value).unwrap();
    }
    let values = ComplianceValues::new(values).unwrap();
    let requesters = Requesters::new(requesters).unwrap();
    let question = Question { attributes: &action, requesters: &requesters, values: &values };
    let trace = set.explain(question);
    assert_eq!(trace.value.as_bytes(), set.ask(question).value);
    trace
}

/// Checks that the text contains every line of `wanted`, in this order.
#[track_caller]
fn says(trace: &Trace, wanted: &[&str]) {
    let text = trace.to_string();
    let mut rest = text.as_str();
    for line in wanted {
        let Some((_, after)) = rest.split_once(line) else {
            panic!("`{line}` is not in its place in\n{text}")
        };
        rest = after;
    }
}

#[test]
fn which_clause_and_which_attribute() {
    let policy = "\
Authorizer: \"POLICY\"
Licensees: \"alice\"
Conditions: app_domain == \"IPsec policy\" -> {
    esp_enc_alg == \"aes\" && @esp_key_length >= 256 -> \"true\";
    1/@zero == 1 || true -> \"true\";
 };
";
    let trace = explain(
        policy,
        "",
        &["alice"],
        &[("app_domain", "IPsec policy"), ("esp_enc_alg", "aes"), ("esp_key_length", "128")],
        &BOOLEAN,
    );
    says(
        &trace,
        &[
            "false, asked by alice",
            "gw.policy:1: false (policy of POLICY)",
            "licensees: alice: true (it asks)",
            "conditions: false",
            "line 3: true -> false",
            "true: app_domain == \"IPsec policy\"; app_domain is `IPsec policy`",
            "line 4: false -> false",
            "true: esp_enc_alg == \"aes\"; esp_enc_alg is `aes`",
            "false: @esp_key_length >= 256; esp_key_length is `128`",
            "line 5: false, because of division by zero -> false",
            "zero is undefined",
        ],
    );
    let clauses = trace.assertions.first().unwrap().clauses.as_ref().unwrap();
    assert_eq!(clauses.first().unwrap().clauses.len(), 2);
}

#[test]
fn which_threshold_fell_short_and_who_is_missing() {
    let policy = "\
Authorizer: \"POLICY\"
Licensees: 2-of(\"alice\", \"bob\", \"sub\") && (\"carol\" || \"alice\")
Conditions: true;

Authorizer: \"sub\"
Licensees: \"dave\"
Conditions: true -> \"maybe\";
";
    let values = ["false", "maybe", "true"];
    says(
        &explain(policy, "", &["alice"], &[], &values),
        &[
            "all of: false (1 of 2 has more than `false`; 2 needed)",
            "any of: true",
            "2 of: false (1 of 3 has more than `false`; 2 needed)",
            "alice: true (it asks)",
            "bob: false (it does not ask, and makes no assertion)",
            "sub: false (it does not ask, and none of its 1 assertions gives it more)",
            "gw.policy:5: false (policy of sub)",
            "dave: false",
        ],
    );
    says(
        &explain(policy, "", &["alice", "dave"], &[], &values),
        &[
            "maybe, asked by alice, dave",
            "2 of: maybe",
            "sub: maybe (by its own assertions)",
            "gw.policy:5: maybe",
        ],
    );
}

#[test]
fn which_credential_failed_and_passphrases_stay_hidden() {
    let credential = include_str!("data/openssl/ed25519.cred");
    let key = credential.split('"').nth(1).unwrap();
    let policy = format!(
        "Authorizer: \"POLICY\"\nLicensees: \"{key}\"\nConditions: _ACTION_AUTHORIZERS ~= \"alice\";\n"
    );
    let tampered = credential.replace("true", "TRUE");
    let trace = explain(&policy, &tampered, &["alice", "passphrase:secret"], &[], &BOOLEAN);
    says(
        &trace,
        &["false, asked by alice, passphrase:…", "gw.cred:1 does not count", "does not fit"],
    );
    let trace = explain(&policy, credential, &["alice", "passphrase:secret"], &[], &BOOLEAN);
    says(
        &trace,
        &[
            "true, asked",
            "_ACTION_AUTHORIZERS is `alice,passphrase:…`",
            "gw.cred:1: true (credential of ed25519-hex:",
        ],
    );
    assert!(!format!("{trace} {trace:?}").contains("secret"));
}

#[test]
fn a_trace_of_many_is_short_and_shows_those_that_matter() {
    let mut policy =
        String::from("Authorizer: \"POLICY\"\nLicensees: \"authority\"\nConditions: true;\n\n");
    for user in 0..5_000 {
        policy.push_str(&format!(
            "Authorizer: \"authority\"\nLicensees: \"user{user}\"\nConditions: true;\n\n"
        ));
    }
    let trace = explain(&policy, "", &["user4321"], &[], &BOOLEAN);
    says(&trace, &["true, asked by user4321", "policy of authority", "user4321: true (it asks)"]);
    assert!(trace.assertions.len() <= 16, "{}", trace.assertions.len());
    assert_eq!(trace.assertions.len() + trace.omitted, 5_001);
    let nobody = explain(
        "Authorizer: \"a\"\nLicensees: \"b\"\nConditions: true;\n",
        "",
        &["b"],
        &[],
        &BOOLEAN,
    );
    says(&nobody, &["no assertion is made by POLICY"]);
}
