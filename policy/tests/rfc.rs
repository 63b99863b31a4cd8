//! The examples of RFC 2704, unchanged. Their keys and signatures are fictitious, so that they are given as policy; their key
//! names (`RSA:…`, `DSA:…`) are not algorithms, and opaque labels distinguish case (§5.2), which the RFC's own queries do not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]

use countersign_policy::{AttributeSet, ComplianceValues, PolicySet, Question, Requesters, Source};

struct Asked {
    set: PolicySet,
    values: ComplianceValues,
}

impl Asked {
    /// Assertions that are all well formed.
    fn of(assertions: &[&str], values: &[&str]) -> Self {
        let mut builder = PolicySet::builder();
        for text in assertions {
            let source = Source::new("rfc2704", text.as_bytes());
            if let Err(findings) = builder.policy(&source) {
                panic!(
                    "{}",
                    findings.iter().map(|finding| source.render(finding)).collect::<String>()
                );
            }
        }
        Self { set: builder.build(), values: ComplianceValues::new(values).unwrap() }
    }

    fn answer(&self, requesters: &[&str], attributes: &[(&str, &str)]) -> String {
        let mut set = AttributeSet::new();
        for (name, value) in attributes {
            set.set(name, value).unwrap();
        }
        let requesters = Requesters::new(requesters).unwrap();
        let question = Question { attributes: &set, requesters: &requesters, values: &self.values };
        let answer = String::from_utf8(self.set.ask(question).value.to_vec()).unwrap();
        assert_eq!(self.set.explain(question).value, answer);
        answer
    }
}

/// The answer to alice by a policy with these conditions.
fn conditions(conditions: &str, attributes: &[(&str, &str)], values: &[&str]) -> String {
    let text = format!("Authorizer: \"POLICY\"\nLicensees: \"alice\"\nConditions: {conditions}\n");
    Asked::of(&[&text], values).answer(&["alice"], attributes)
}

const BOOLEAN: [&str; 2] = ["false", "true"];

/// §2
#[test]
fn the_first_example() {
    let text = "\
KeyNote-Version: 2
Comment: A simple, if contrived, email certificate for user mab
Local-Constants:  ATT_CA_key = \"RSA:acdfa1df1011bbac\"
                  mab_key = \"DSA:deadbeefcafe001a\"
Authorizer: ATT_CA_key
Licensees: mab_key
Conditions: ((app_domain == \"email\")  # valid for email only
          && (address == \"mab@research.att.com\"));
Signature: \"RSA-SHA1:f00f2244\"
";
    let policy = "Authorizer: \"POLICY\"\nLicensees: \"RSA:acdfa1df1011bbac\"\nConditions: true;\n";
    let asked = Asked::of(&[policy, text], &BOOLEAN);
    let of = |address: &str| {
        asked.answer(&["DSA:deadbeefcafe001a"], &[("app_domain", "email"), ("address", address)])
    };
    assert_eq!(of("mab@research.att.com"), "true");
    assert_eq!(of("mab@example.com"), "false");
}

/// §4.4
#[test]
fn dereferences() {
    let attributes = [("foo", "bar"), ("bar", "xyz"), ("xyz", "qua"), ("n", "1.2")];
    for test in [
        "foo == \"bar\"",
        "$(\"foo\") == \"bar\"",
        "$foo == \"xyz\"",
        "$(foo) == \"xyz\"",
        "$$foo == \"qua\"",
    ] {
        assert_eq!(conditions(&format!("{test};"), &attributes, &BOOLEAN), "true", "{test}");
    }
    let test = "n == \"1.2\" && @n == 1 && &n > 1.19 && &n < 1.21 && @none == 0 && &none < 0.1 && none == \"\"";
    assert_eq!(conditions(&format!("{test};"), &attributes, &BOOLEAN), "true");
}

/// §5.3.4
#[test]
fn the_highest_of_the_successful_clauses() {
    let text = "
          @user_id == 0 -> \"full_access\";             # clause (1)
          @user_id < 1000 -> \"user_access\";           # clause (2)
          @user_id < 10000 -> \"guest_access\";         # clause (3)
          user_name == \"root\" -> \"full_access\";       # clause (4)";
    let values = ["no_access", "guest_access", "user_access", "full_access"];
    let of =
        |id: &str, name: &str| conditions(text, &[("user_id", id), ("user_name", name)], &values);
    assert_eq!(of("1073", "root"), "full_access");
    assert_eq!(of("19283", "nobody"), "no_access");
    assert_eq!(of("0", "nobody"), "full_access");
    assert_eq!(of("999", "nobody"), "user_access");
    assert_eq!(of("1000", "nobody"), "guest_access");
}

/// §5.3.4
#[test]
fn nested_clauses_are_the_same_as_conjunctions() {
    let nested =
        "a==\"b\" ->  { b==\"c\" -> \"value1\"; d==\"e\"  -> \"value2\"; true -> \"value3\"; } ;";
    let flat = "(a==\"b\") && (b==\"c\") -> \"value1\"; (a==\"b\") && (d==\"e\") -> \"value2\"; (a==\"b\") -> \"value3\";";
    for (attributes, wanted) in [
        (vec![("a", "b"), ("b", "c"), ("d", "e")], "value1"),
        (vec![("a", "b"), ("d", "e")], "value2"),
        (vec![("a", "b")], "value3"),
        (vec![("b", "c"), ("d", "e")], "none"),
    ] {
        for program in [nested, flat] {
            let values = ["none", "value3", "value2", "value1"];
            assert_eq!(conditions(program, &attributes, &values), wanted, "{program}");
        }
    }
    let values = ["no", "anotherval", "oneval"];
    let program = "foo == \"bar\" -> { @a == 1/0 -> \"oneval\"; @a == 2 -> \"anotherval\"; };";
    assert_eq!(conditions(program, &[("foo", "bar"), ("a", "2")], &values), "anotherval");
}

/// §6, 1: traditional CA, e-mail.
#[test]
fn examples_a_to_d() {
    let a = "Authorizer: \"POLICY\"\nLicensees: \"RSA:abc123\"\n";
    let b = "\
KeyNote-Version: 2
Local-Constants: Alice=\"DSA:4401ff92\"  # Alice's key
                 Bob=\"RSA:d1234f\"      # Bob's key
Authorizer: \"RSA:abc123\"
Licensees: Alice || Bob
Conditions: (app_domain == \"RFC822-EMAIL\") &&
            (address ~=   # only applies to one domain
              \"^.*@keynote\\\\.research\\\\.att\\\\.com$\");
Signature: \"RSA-SHA1:213354f9\"
";
    let c = "\
KeyNote-Version: 2
Authorizer: \"DSA:4401ff92\"  # the Alice CA
Licensees: \"DSA:12340987\"   # mab's key
Conditions: ((app_domain == \"RFC822-EMAIL\") &&
             (name == \"M. Blaze\" || name == \"\") &&
             (address == \"mab@keynote.research.att.com\"));
Signature: \"DSA-SHA1:ab23487\"
";
    let d = "\
KeyNote-Version: \"2\"
Authorizer: \"DSA:4401ff92\"   # the Alice CA
Licensees: \"DSA:abc991\" ||   # jf's DSA key
           \"RSA:cde773\" ||   # jf's RSA key
           \"BFIK:fd091a\"     # jf's BFIK key
Conditions: ((app_domain == \"RFC822-EMAIL\") &&
             (name == \"J. Feigenbaum\" || name == \"\") &&
             (address == \"jf@keynote.research.att.com\"));
Signature: \"DSA-SHA1:8912aa\"
";
    let asked = Asked::of(&[a, b, c, d], &BOOLEAN);
    let of = |key: &str, address: &str, name: Option<&str>| {
        let mut attributes = vec![("app_domain", "RFC822-EMAIL"), ("address", address)];
        attributes.extend(name.map(|name| ("name", name)));
        asked.answer(&[key], &attributes)
    };
    let mab = "mab@keynote.research.att.com";
    assert_eq!(of("DSA:12340987", mab, None), "true");
    assert_eq!(of("DSA:12340987", mab, Some("M. Blaze")), "true");
    assert_eq!(of("DSA:12340987", "angelos@dsl.cis.upenn.edu", None), "false");
    assert_eq!(of("DSA:abc991", mab, Some("M. Blaze")), "false");
    assert_eq!(of("DSA:12340987", mab, Some("J. Feigenbaum")), "false");
    assert_eq!(of("BFIK:fd091a", "jf@keynote.research.att.com", None), "true");
    assert_eq!(of("RSA:abc123", "anything", None), "true", "policy A trusts this key with all");
}

const E: &str = "Authorizer: \"POLICY\"\nLicensees: \"RSA:dab212\"  # the CFO's key\n\
                 Conditions: (app_domain==\"SPEND\") && (@dollars < 10000);\n";
const F: &str = "\
KeyNote-Version: 2
Comment: This credential specifies a spending policy
Authorizer: \"RSA:dab212\"        # the CFO
Licensees: \"DSA:feed1234\" &&    # The vice president
               (\"RSA:abc123\" || # middle manager #1
                \"DSA:bcd987\" || # middle manager #2
                \"DSA:cde333\" || # middle manager #3
                \"DSA:def975\" || # middle manager #4
                \"DSA:978add\")   # middle manager #5
Conditions: (app_domain==\"SPEND\")  # note nested clauses
              -> { (@(dollars) < 2500)
                     -> _MAX_TRUST;
                   (@(dollars) < 7500)
                     -> \"ApproveAndLog\";
                 };
Signature: \"RSA-SHA1:9867a1\"
";
const G: &str = "\
KeyNote-Version: 2
Authorizer: \"POLICY\"
Licensees: 2-of(\"DSA:feed1234\", # The VP
                \"RSA:abc123\",   # Middle management clones
                \"DSA:bcd987\",
                \"DSA:cde333\",
                \"DSA:def975\",
                \"DSA:978add\")
Conditions: (app_domain==\"SPEND\") &&
            (@(dollars) < 1000);
";
const H: &str = "\
KeyNote-Version: 2
Comment: This one credential is equivalent to six separate
         credentials, one for each VP and middle manager.
         Individually, they can spend up to $500, but if
         it's $100 or more, we log it.
Authorizer: \"RSA:dab212\"      # From the CFO
Licensees: \"DSA:feed1234\" ||  # The VP
           \"RSA:abc123\" ||    # The middle management clones
           \"DSA:bcd987\" ||
           \"DSA:cde333\" ||
           \"DSA:def975\" ||
           \"DSA:978add\"
Conditions: (app_domain=\"SPEND\")  # nested clauses
              -> { (@(dollars) < 100) -> _MAX_TRUST;
                   (@(dollars) < 500) -> \"ApproveAndLog\";
                 };
Signature: \"RSA-SHA1:186123\"
";

/// §6, 2: workflow, electronic commerce. Example H has a `=` where the grammar requires `==`.
#[test]
fn examples_e_to_h() {
    let source = Source::new("H", H.as_bytes());
    let findings = PolicySet::builder().policy(&source).map(|_| ()).unwrap_err();
    let shown: String = findings.iter().map(|finding| source.render(finding)).collect();
    assert!(shown.contains("--> H:13:24") && shown.contains("`==` compares"), "{shown}");

    let h = H.replace("app_domain=\"", "app_domain==\"");
    let asked = Asked::of(&[E, F, G, &h], &["Reject", "ApproveAndLog", "Approve"]);
    let of = |keys: &[&str], dollars: &str| {
        asked.answer(
            keys,
            &[("app_domain", "SPEND"), ("dollars", dollars), ("unmentioned_attribute", "whatever")],
        )
    };
    assert_eq!(of(&["DSA:978add"], "45"), "Approve");
    assert_eq!(of(&["RSA:abc123", "DSA:cde333"], "550"), "Approve");
    assert_eq!(of(&["DSA:feed1234", "DSA:cde333"], "5500"), "ApproveAndLog");
    assert_eq!(of(&["DSA:cde333"], "150"), "ApproveAndLog");
    assert_eq!(of(&["DSA:def975"], "550"), "Reject");
    assert_eq!(of(&["DSA:cde333", "DSA:978add"], "5500"), "Reject");
}

/// Appendix B, production by production: a text that it accepts, and a similar one that it does not.
#[test]
fn every_production() {
    let whole = |text: &str| {
        countersign_policy::syntax::parse_file(&Source::new("x", text.as_bytes())).is_ok()
    };
    let field = |field: &str| whole(&format!("Authorizer: \"a\"\n{field}\n"));
    for (good, bad) in [
        // <AuthField>, <AuthID>, <StrEx>, <DerefAttribute>
        ("Authorizer: \"a\"", "Authorizer:"),
        ("Authorizer: a_1", "Authorizer: 1a"),
        ("Authorizer: (\"a\" . b) . $c", "Authorizer: \"a\" . "),
        ("Authorizer: $($a . \"b\")", "Authorizer: a b"),
        // <VersionField>, <VersionString>
        ("KeyNote-Version: 2\nAuthorizer: a", "KeyNote-Version: 3\nAuthorizer: a"),
        ("KeyNote-Version: \"2\"\nAuthorizer: a", "KeyNote-Version:\nAuthorizer: a"),
    ] {
        assert!(whole(&format!("{good}\n")) && !whole(&format!("{bad}\n")), "{good} | {bad}");
    }
    for (good, bad) in [
        // <LicenseesField>, <LicenseesExpr>, <PrincExpr>, <PrincList>, <K>
        ("Licensees:", "Licensees: ()"),
        ("Licensees: \"b\"", "Licensees: \"b\" \"c\""),
        ("Licensees: b", "Licensees: @b"),
        ("Licensees: (\"b\")", "Licensees: (\"b\""),
        ("Licensees: \"b\" && \"c\" || \"d\"", "Licensees: \"b\" & \"c\""),
        ("Licensees: 2-of(\"b\", c, \"d\" . e)", "Licensees: 2-of(\"b\" || \"c\", d)"),
        ("Licensees: 1-of(\"b\")", "Licensees: 01-of(\"b\")"),
        ("Licensees: 1-of(\"b\") && \"c\"", "Licensees: 0-of(\"b\")"),
        ("Licensees: 3-of(\"b\", \"b\", \"b\")", "Licensees: 3-of(\"b\", \"b\")"),
        // <LocalConstantsField>, <Assignments>
        ("Local-Constants:", "Local-Constants: b"),
        ("Local-Constants: b=\"1\" c = \"2\"", "Local-Constants: b=\"1\", c=\"2\""),
        ("Local-Constants: B=\"1\" b=\"2\"", "Local-Constants: b=\"1\" b=\"1\""),
        ("Local-Constants: b_=\"1\"", "Local-Constants: _b=\"1\""),
        ("Local-Constants: b=\"1\"", "Local-Constants: b=\"1\" . \"2\""),
        // <CommentField>, <SignatureField>
        ("Comment: \"anything at all ( ; {\n more", "Comment: x\nmore"),
        ("Signature: \"sig\" . \"x:00\"", "Signature:"),
        // <ConditionsField>, <ConditionsProgram>, <Clause>, <Value>
        ("Conditions:", "Conditions: ;"),
        ("Conditions: true;", "Conditions: true"),
        ("Conditions: true; false;", "Conditions: true; false"),
        ("Conditions: true -> \"v\";", "Conditions: true -> 1;"),
        ("Conditions: true -> (a . \"v\");", "Conditions: true -> \"v\" -> \"w\";"),
        ("Conditions: true -> { };", "Conditions: true -> { }"),
        ("Conditions: true -> { a == b -> { true; }; };", "Conditions: true -> { a == b };"),
        // <RelExpr>
        ("Conditions: TRUE && ! False || (true);", "Conditions: a;"),
        ("Conditions: !(!true);", "Conditions: true true;"),
        ("Conditions: (((a == b)));", "Conditions: (a) == (b;"),
        // <IntRelExpr>, <IntEx>, <IntegerLiteral>
        (
            "Conditions: 1 == 2 || 1 != 2 || 1 < 2 || 1 > 2 || 1 <= 2 || 1 >= 2;",
            "Conditions: 1 = 2;",
        ),
        ("Conditions: -1 + 2 - 3 * 4 / 5 % 6 ^ 7 == -(@a);", "Conditions: 1 == @1;"),
        ("Conditions: @a . b == \"x\" || @(a . b) == 1;", "Conditions: @a . b == 1;"),
        // <FloatRelExpr>, <FloatEx>, <FloatLiteral>
        (
            "Conditions: 1.5 < 2.5 || 1.5 > 2.5 || 1.5 <= 2.5 || 1.5 >= 2.5;",
            "Conditions: 1.5 == 2.5;",
        ),
        ("Conditions: -1.0 + 2.0 - 3.0 * 4.0 / 5.0 ^ 7.0 < -(&a);", "Conditions: 1.0 % 2.0 < 1.0;"),
        ("Conditions: 1.5 < &a;", "Conditions: 1.5 < @a;"),
        ("Conditions: 0.5 < 1.0;", "Conditions: .5 < 1.;"),
        // <StringRelExpr>, <RegExpr>
        (
            "Conditions: a == b || a != b || a < b || a > b || a <= b || a >= b;",
            "Conditions: a == 1;",
        ),
        ("Conditions: a . b ~= \"x\" . c;", "Conditions: a =~ \"x\";"),
        ("Conditions: $a == $$b;", "Conditions: a == b == c;"),
    ] {
        let good_is_wrong = good == "Conditions: @a . b == \"x\" || @(a . b) == 1;";
        assert!(field(good) != good_is_wrong, "{good}");
        assert!(!field(bad), "{bad}");
    }
}
