//! `countersign docs cps`: the outline is that of RFC 3647 §6, and what is said is what is configured.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;

use common::{Instance, fails};

/// The outline of RFC 3647 §6, without its page breaks and footnote signs.
const RFC_3647: &str = include_str!("docs/rfc3647-outline.txt");

/// The text of a section, without its parts.
fn section<'a>(statement: &'a str, number: &str) -> &'a str {
    let heading = format!("# {number} ");
    let at = statement.find(&heading).unwrap_or_else(|| panic!("no section {number}"));
    let rest = &statement[at..];
    let rest = rest.split_once('\n').unwrap().1;
    rest.split("\n#").next().unwrap()
}

#[test]
fn every_title_of_rfc_3647_is_there_in_its_order() {
    let instance = Instance::init(&[]);
    let statement = instance.ok(&["docs", "cps"]);
    let headings = statement.lines().filter(|line| line.starts_with("##"));
    let found: Vec<&str> = headings.map(|line| line.trim_start_matches('#').trim()).collect();
    let expected: Vec<&str> = RFC_3647.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(expected.len(), found.len());
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(found, expected);
    }
    // Each has a text, a mark, or parts.
    let numbers: Vec<&str> = found.iter().map(|title| title.split(' ').next().unwrap()).collect();
    for number in &numbers {
        let has_parts = numbers.iter().any(|other| other.starts_with(&format!("{number}.")));
        let text = section(&statement, number).trim();
        assert!(has_parts || !text.is_empty(), "{number}");
        if text.contains("[[operator") {
            assert!(text.contains("[[operator: ") && text.ends_with("]]"), "{number}: {text}");
        }
    }
    let marks = statement.matches("\n[[operator: ").count();
    let answer = instance.json(&["docs", "cps"]);
    assert_eq!(
        (answer["sections"].as_u64(), answer["left"].as_u64()),
        (Some(found.len() as u64), Some(marks as u64))
    );
    assert!(
        section(&statement, "9.14").contains("[[operator: "),
        "nobody but the operator knows the law"
    );
}

#[test]
fn what_is_said_is_what_is_configured_over_both_doors() {
    let mut instance = Instance::init(&["--algorithm", "p384", "--permit", "dns:example.net"]);
    let before = instance.ok(&["docs", "cps"]);
    let path = instance.data().join("countersign.toml");
    let mut text = fs::read_to_string(&path).unwrap();
    for (head, lines) in [
        ("[http]\n", "public_url = \"http://pki.example.net\"\n"),
        ("[crl]\n", "validity = \"3d\"\ninterval = \"5h\"\ndelta = true\n"),
        ("[ocsp]\n", "validity = \"17m\"\n"),
        ("[scep]\n", "enabled = true\n"),
        (
            "[admin]\n",
            "listen = \"127.0.0.1:0\"\nnames = [\"pki.example.net\"]\nroles = { helpdesk = [\"peer-show\", \"peer-reset-secret\"] }\n",
        ),
    ] {
        text = text.replacen(head, &format!("{head}{lines}"), 1);
    }
    text += "\n[profiles.field]\nvalidity = \"41d\"\nkeys = [\"ed25519\"]\nkey_usage = [\"digitalSignature\", \"nonRepudiation\"]\n\
             extended_key_usage = [\"clientAuth\"]\nsubject = \"CN={id},O=Field\"\nalt_names = [\"email\"]\napproval = true\napprovals = 2\n\
             supersede = \"revoke-after 6d\"\npolicies = [{ oid = \"1.3.6.1.4.1.99999.7\", cps = \"http://pki.example.net/cps\" }]\n";
    text += "[admin.oidc]\nissuer = \"https://id.example.net\"\nclient_id = \"pki\"\nsession_idle = \"7m\"\nsession_lifetime = \"3h\"\n\
             grants = { noc = [{ role = \"viewer\" }] }\n";
    fs::write(&path, text).unwrap();
    instance.ok(&["ca", "add", "second", "--subject", "CN=Second issuing CA"]);
    let check = |statement: &str| {
        for (number, words) in [
            ("1.2", "1.3.6.1.4.1.99999.7"),
            ("1.3.1", "| `second` | issuing | `CN=Second issuing CA` | P-256 |"),
            ("1.3.1", "| `issuing` | issuing | `CN=Countersign issuing CA` | P-384 |"),
            ("2.1", "http://pki.example.net"),
            ("3.1.1", "| `field` | `CN={id},O=Field` | email |"),
            ("3.2.3", "| SCEP (RFC 8894) | on |"),
            ("3.2.3", "| EST (RFC 7030) | off |"),
            ("4.2.2", "| `field` | 2 people |"),
            ("4.2.2", "| `gateway` | none: the account suffices |"),
            ("4.6.3", "| `field` | is revoked 6 days after the confirmation of the new one |"),
            ("4.9.7", "is valid for 3d, and the next one is signed every 5h"),
            ("4.9.9", "valid for 17m"),
            ("4.10.3", "Delta CRLs: yes"),
            ("5.2.1", "- `helpdesk`: peer-show, peer-reset-secret."),
            ("4.9.2", "- `revoker`"),
            ("5.2.2", "`field` (2)"),
            ("5.2.3", "client certificate"),
            ("5.2.3", "OpenID provider `https://id.example.net`"),
            ("5.2.3", "ends after 7m without a request and after 3h at most"),
            ("5.2.3", "these groups of the provider need no record here: `noc`"),
            ("6.1.5", "| `field` | Ed25519 |"),
            ("6.1.7", "| `field` | digitalSignature, nonRepudiation | clientAuth |"),
            ("6.3.2", "| `field` | 41 days |"),
            ("7.1.3", "| `issuing` | ecdsa-with-SHA384 (1.2.840.10045.4.3.3) |"),
            ("7.1.5", "`issuing`: permitted `dns:example.net`; excluded none"),
            ("7.1.8", "http://pki.example.net/cps"),
            ("7.2.2", "deltaCRLIndicator"),
        ] {
            assert!(
                section(statement, number).contains(words),
                "{number}: expected `{words}` in:\n{}",
                section(statement, number)
            );
        }
    };
    let here = instance.ok(&["docs", "cps"]);
    check(&here);
    for (number, words) in [
        ("1.3.1", "second"),
        ("4.9.9", "17m"),
        ("5.2.1", "helpdesk"),
        ("7.2.2", "deltaCRLIndicator"),
    ] {
        assert!(!section(&before, number).contains(words), "{number}");
    }
    assert!(!section(&before, "5.2.3").contains("OpenID"));
    assert!(section(&before, "3.2.3").contains("| SCEP (RFC 8894) | off |"));
    assert!(!section(&here, "4.9.2").contains("`viewer`"), "a viewer revokes nothing");
    // The running server says the same of what it runs with, and a file is never written over.
    instance.serve();
    let out = instance.file("cps.md");
    instance.ok(&["docs", "cps", "--out", out.to_str().unwrap()]);
    let served = fs::read_to_string(&out).unwrap();
    check(&served);
    // All but the port that `serve --ldap-listen` chose, and the moment.
    let lines = |text: &str| -> Vec<String> {
        let rest = text.split_once("\n## 1 ").unwrap().1.trim_end();
        rest.lines().map(|line| line.replace("127.0.0.1:8389", "127.0.0.1:0")).collect()
    };
    for (served, here) in lines(&served).iter().zip(lines(&here)) {
        assert_eq!(*served, here);
    }
    assert_eq!(lines(&served).len(), lines(&here).len());
    fails(
        &instance.run(&["docs", "cps", "--out", out.to_str().unwrap()]),
        3,
        &["is there already"],
    );
}
