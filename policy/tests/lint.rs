//! Each rule of the linter: a text with the finding and its position, and a similar text without a finding.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]

use countersign_policy::lint::{Options, lint};
use countersign_policy::syntax::parse_file;
use countersign_policy::{ComplianceValues, Source};

const HEAD: &str = "Authorizer: \"POLICY\"\nLicensees: \"DN:/CN=a\"\n";

/// Codes with the text that they point at.
fn found(text: &str) -> Vec<(&'static str, String)> {
    let source = Source::new("lint", text.as_bytes());
    let assertions = parse_file(&source).unwrap_or_else(|findings| {
        panic!("{}", findings.iter().map(|finding| source.render(finding)).collect::<String>())
    });
    let values = ComplianceValues::new(["false", "maybe", "true"]).unwrap();
    let findings = lint(&assertions, Options { values: &values, ipsec: true });
    let text = |finding: &countersign_policy::Finding| {
        String::from_utf8_lossy(source.slice(finding.span)).into_owned()
    };
    findings.iter().map(|(_, finding)| (finding.code, text(finding))).collect()
}

fn conditions(conditions: &str) -> Vec<(&'static str, String)> {
    found(&format!("{HEAD}Conditions: {conditions}\n"))
}

#[track_caller]
fn only(conditions_text: &str, code: &str, at: &str) {
    assert_eq!(
        conditions(conditions_text),
        [(code, at.to_owned())].map(|(code, at)| (leak(code), at)),
        "{conditions_text}"
    );
}

fn leak(code: &str) -> &'static str {
    Box::leak(code.to_owned().into_boxed_str())
}

#[test]
fn a_usual_policy_is_clean() {
    let text = "\
KeyNote-Version: 2
Comment: gateways
Authorizer: \"POLICY\"
Licensees: \"passphrase:foobar\" || sub
Local-Constants: sub = \"subpolicy\"
Conditions: app_domain == \"IPsec policy\" && esp_present == \"yes\" && esp_enc_alg != \"null\" &&
    @esp_key_length >= 128 && GMTTimeOfDay >= \"20260101000000\" &&
    remote_ike_address >= \"192.168.002.000\" && remote_filter != \"\" && esp_auth_alg ~= \"^hmac-sha2\" -> \"true\";

Authorizer: \"subpolicy\"
Licensees: \"DN:/C=SE/O=Example/CN=CA\"
Conditions: remote_id ~= \"^(.*)\\\\.example$\" && _1 != \"\" -> \"maybe\"; true -> _MAX_TRUST;
";
    assert_eq!(found(text), []);
}

#[test]
fn each_rule_finds_its_own() {
    only("esp_enc_al == \"aes\";", "undefined-attribute", "esp_enc_al");
    only("$\"esp_present\" == \"yes\" && nothing == \"x\";", "undefined-attribute", "nothing");
    only("esp_enc_alg == \"AES\";", "impossible-value", "\"AES\"");
    only("\"192.168.2.1\" != remote_ike_address;", "impossible-value", "\"192.168.2.1\"");
    only("esp_life_seconds < \"3600\";", "numeric-strings", "\"3600\"");
    only("esp_key_length >= \"128\";", "numeric-strings", "\"128\"");
    only("doi == \"ipsec\" && 1 == 2;", "never-true", "doi == \"ipsec\" && 1 == 2");
    only("pfs == \"yes\" && pfs == \"no\";", "never-true", "pfs == \"yes\" && pfs == \"no\"");
    only("pfs == \"yes\" -> { };", "never-true", "pfs == \"yes\" -> { }");
    only(
        "esp_enc_alg != \"des\" || esp_enc_alg != \"3des\";",
        "always-true",
        "esp_enc_alg != \"des\" || esp_enc_alg != \"3des\"",
    );
    only("\"a\" < \"b\" -> \"maybe\";", "always-true", "\"a\" < \"b\"");
    only("true; pfs == \"yes\" -> \"maybe\";", "always-true", "pfs == \"yes\" -> \"maybe\"");
    only("remote_id ~= \"(gw\";", "invalid-regex", "\"(gw\"");
    only("pfs == \"yes\" -> \"ture\";", "unknown-value", "\"ture\"");
    only("true == \"x\";", "keyword", "true");
    only("_TRUST == \"x\";", "reserved-name", "_TRUST");
    only("pfs == \"yes\"\n   \n  ;", "blank-line", "   ");
}

#[test]
fn a_literal_on_the_left_is_linted_as_one_on_the_right() {
    let hint = |test: &str| {
        let source = Source::new("lint", format!("{HEAD}Conditions: {test};\n").into_bytes());
        let assertions = parse_file(&source).unwrap();
        let values = ComplianceValues::boolean();
        let findings = lint(&assertions, Options { values: &values, ipsec: true });
        let hints: Vec<String> = findings.into_iter().filter_map(|(_, of)| of.hint).collect();
        hints.join("\n")
    };
    for (right, left) in [
        ("esp_life_seconds < \"3600\"", "\"3600\" > esp_life_seconds"),
        ("esp_life_seconds > \"3600\"", "\"3600\" < esp_life_seconds"),
        ("esp_life_seconds <= \"3600\"", "\"3600\" >= esp_life_seconds"),
        ("esp_life_seconds >= \"3600\"", "\"3600\" <= esp_life_seconds"),
        ("remote_ike_address < \"10.0.0.0\"", "\"10.0.0.0\" > remote_ike_address"),
        ("esp_enc_alg == \"AES\"", "\"AES\" == esp_enc_alg"),
    ] {
        assert!(!hint(right).is_empty(), "{right}");
        assert_eq!(hint(left), hint(right), "{left}");
    }
    assert!(hint("\"3600\" > esp_life_seconds").contains("`@esp_life_seconds < …`"));
}

#[test]
fn addresses_and_times_that_are_ordered_are_written_as_they_are_set() {
    for wrong in [
        "remote_ike_address < \"192.168.2.1\"",
        "remote_ike_address >= \"10.0.0.0\"",
        "remote_ike_address >= \"192.168.2\"",
        "remote_ike_address >= \"192.\" && local_ike_address <= \"10.\"",
        "remote_filter_addr_lower >= \"2001:db8::\"",
        "remote_filter_addr_upper <= \"2001:DB8:0000\"",
        "remote_id >= \"10.1.0.0-10.1.255.255\"",
        "remote_filter > \"10.1.0.0/16\"",
        "GMTTimeOfDay >= \"2026-01-01\"",
    ] {
        let codes: Vec<_> = conditions(&format!("{wrong};")).into_iter().map(|of| of.0).collect();
        assert_eq!(codes, ["unpadded-address"], "{wrong}");
    }
    for right in [
        "remote_ike_address >= \"192.168.002.000\" && remote_ike_address <= \"192.168.002.255\"",
        "remote_ike_address >= \"192.168.\"",
        "remote_ike_address >= \"192.168.002\"",
        "remote_filter_addr_lower >= \"2001:0db8:\"",
        "remote_id >= \"010.001.000.000-010.001.255.255\"",
        "remote_id >= \"gw1.example.net\" || remote_id > \"dead.example\"",
        "GMTTimeOfDay >= \"2026\" && LocalTimeOfDay < \"20270101000000\"",
    ] {
        assert_eq!(conditions(&format!("{right};")), [], "{right}");
    }
}

#[test]
fn licensees_are_spelled_as_peers_ask() {
    let lint = |licensees: &str| {
        found(&format!("Authorizer: \"POLICY\"\nLicensees: {licensees}\nConditions: true;\n"))
            .into_iter()
            .map(|(code, at)| format!("{code} {at}"))
            .collect::<Vec<_>>()
    };
    let mail = "\"DN:/C=SE/O=Example/CN=Example CA/Email=ca@example.net\"";
    let turned = "\"DN:CN=Example CA, O=Example, C=SE\"";
    assert_eq!(
        lint(&format!("{mail} || {turned}")),
        [format!("nobody {mail}"), format!("nobody {turned}")]
    );
    for wrong in [
        "\"passphrase-sha1-hex:5BFE35A831C99305A5DA250C295CF9C452F835A6\"",
        "\"DN:/O=Example /CN=CA\"",
        "\"dn:/O=Example/CN=CA\"",
        "\"binary-hex:00ff\"",
        "\"EAP:\"",
    ] {
        assert_eq!(lint(wrong), [format!("nobody {wrong}")]);
    }
    for right in [
        "\"passphrase-sha1-hex:5bfe35a831c99305a5da250c295cf9c452f835a6\"",
        "\"DN:/O=Example, Inc./CN=CA/emailAddress=ca@example.net\"",
        "\"EAP:alice\" || \"XAUTH:alice\"",
    ] {
        assert_eq!(lint(right), [""; 0], "{right}");
    }
    // An authorizer of an assertion may have any name.
    let text = "Authorizer: \"POLICY\"\nLicensees: \"DN:of the house\"\nConditions: true;\n\n\
                Authorizer: \"DN:of the house\"\nLicensees: \"DN:/CN=a\"\nConditions: true;\n";
    assert_eq!(found(text), []);
}

#[test]
fn what_is_missing_or_meant_for_nobody() {
    assert_eq!(
        found("Authorizer: \"POLICY\"\n"),
        [("allow-all", "Authorizer:".into()), ("allow-all", "Authorizer:".into())]
    );
    assert_eq!(found(HEAD), [("allow-all", "Authorizer:".into())]);
    let nobody =
        "Authorizer: \"POLICY\"\nLicensees: \"gw1\" || \"RSA:abc123\"\nConditions: true;\n";
    assert_eq!(
        found(nobody),
        [("nobody", "\"gw1\"".into()), ("unknown-key-algorithm", "\"RSA:abc123\"".into())]
    );
    let made =
        format!("{nobody}\nAuthorizer: \"gw1\"\nLicensees: \"DN:/CN=b\"\nConditions: true;\n");
    assert_eq!(found(&made), [("unknown-key-algorithm", "\"RSA:abc123\"".into())]);
    let constants = format!("{HEAD}Local-Constants: a=\"1\" b=\"2\"\nConditions: pfs == a;\n");
    assert_eq!(
        found(&constants),
        [("unused-constant", "b=\"2\"".into()), ("impossible-value", "a".into())]
    );
    let computed = format!("{HEAD}Local-Constants: a=\"1\"\nConditions: $remote_id == \"x\";\n");
    assert_eq!(found(&computed), [], "a computed name may be any");
}

#[test]
fn weak_keys_and_signatures() {
    let rsa_1024 = "rsa-hex:30818902818100d46a6eb3556bf218773116f9fb597ea5b98a92e7024f264cdfbc9a74378a196858459cf196bcf3626ecee0\
                    fba8920b3f74da3531c39149b08d11a9d97a0054f6a05ddf1c87af0242acf27351cd9ba47e31f0af4e022a462c4b5c7b854d874b7e0b9\
                    ceb503847916f7e698fb174421ac0ce9c149e2dba6c366e426fee1e7826190203010001";
    let text = format!(
        "Authorizer: \"{rsa_1024}\"\nLicensees: \"DN:/CN=a\"\nConditions: true;\nSignature: \"sig-rsa-sha1-hex:00\"\nmore\n"
    );
    let codes: Vec<_> = found(&text).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["weak-key", "weak-signature", "text-after-signature"]);
    let malformed =
        "Authorizer: \"POLICY\"\nLicensees: \"rsa-hex:zz\" || \"DN:/CN=a\"\nConditions: true;\n";
    assert_eq!(found(malformed), [("malformed-key", "\"rsa-hex:zz\"".into())]);
}
