//! Signed credentials: those made by other programs are accepted, and those that were changed are not.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use countersign_policy::signature::{Encoding, SigningKey};
use countersign_policy::{
    AttributeSet, ComplianceValues, DropReason, LegacySignatures, PolicySet, Question, Requesters,
    Source,
};
use ring::rand::SystemRandom;

/// Keys and credentials that OpenSSL made: `tests/data/openssl.sh` says how.
const STRANGERS: [(&str, &str); 4] = [
    ("ecdsa-p256", include_str!("data/openssl/p256.cred")),
    ("ecdsa-p384", include_str!("data/openssl/p384.cred")),
    ("ed25519", include_str!("data/openssl/ed25519.cred")),
    ("rsa", include_str!("data/openssl/rsa.cred")),
];

/// The first string after a label.
fn quoted<'t>(text: &'t str, label: &str) -> &'t str {
    text.split_once(label).unwrap().1.split('"').nth(1).unwrap()
}

/// A policy that trusts the credential's authorizer, the credential, and the answer to alice.
fn answer(credential: &str, legacy: LegacySignatures) -> (String, Vec<DropReason>) {
    let policy = format!(
        "Authorizer: \"POLICY\"\nLicensees: \"{}\"\nConditions: true;\n",
        quoted(credential, "Authorizer:")
    );
    let mut builder = PolicySet::builder();
    builder.legacy_signatures(legacy);
    builder.assertion(&Source::new("policy", policy.into_bytes()));
    builder.credential(&Source::new("credential", credential.as_bytes()));
    let set = builder.build();
    let (attributes, values) = (AttributeSet::new(), ComplianceValues::boolean());
    let requesters = Requesters::new(["alice"]).unwrap();
    let question = Question { attributes: &attributes, requesters: &requesters, values: &values };
    let answer = String::from_utf8(set.ask(question).value.to_vec()).unwrap();
    (answer, set.dropped().iter().map(|dropped| dropped.reason.clone()).collect())
}

fn believed(credential: &str) -> bool {
    answer(credential, LegacySignatures::Refused).0 == "true"
}

#[test]
fn credentials_signed_by_openssl_are_believed() {
    for (kind, credential) in STRANGERS {
        assert!(quoted(credential, "Authorizer:").starts_with(kind));
        let (value, dropped) = answer(credential, LegacySignatures::Refused);
        assert_eq!(value, "true", "{kind}: {dropped:?}");
    }
}

#[test]
fn no_byte_of_a_signed_credential_can_change() {
    for (kind, credential) in STRANGERS {
        let label = credential.find("Signature:").unwrap();
        let mut tried = 0;
        for position in 0..credential.len() {
            // White space around the signature is not signed.
            let in_signature = position > label + 11 && credential.as_bytes()[position] != b'"';
            if position >= label && !in_signature
                || credential.as_bytes()[position] == b'\n' && position > label
            {
                continue;
            }
            let mut bytes = credential.as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'x' { b'y' } else { b'x' };
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            if changed.matches("Authorizer:").count() == 1 && changed.contains('"') {
                let original = quoted(credential, "Authorizer:");
                let policy_key = changed.split_once("Authorizer:").unwrap().1.split('"').nth(1);
                // A policy that trusts another key does not allow it.
                if policy_key == Some(original) {
                    tried += 1;
                    assert!(
                        !believed(&changed),
                        "{kind}: byte {position} became {:?}",
                        changed.get(position..=position)
                    );
                }
            }
        }
        assert!(tried > 150, "{kind}: {tried} bytes");
    }
}

#[test]
fn what_is_signed_here_is_believed_and_says_who_signed() {
    let random = SystemRandom::new();
    for (kind, pem) in [
        ("sig-ecdsa-p256-sha256", include_str!("data/openssl/p256.pem")),
        ("sig-ecdsa-p384-sha384", include_str!("data/openssl/p384.pem")),
        ("sig-ed25519", include_str!("data/openssl/ed25519.pem")),
        ("sig-rsa-sha256", include_str!("data/openssl/rsa.pem")),
    ] {
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = data_encoding::BASE64.decode(base64.as_bytes()).unwrap();
        let key = SigningKey::from_pkcs8(&der, &random).unwrap();
        for encoding in [Encoding::Hex, Encoding::Base64] {
            let body = format!(
                "Authorizer: \"{}\"\nLicensees: \"alice\"\nConditions: true;\n",
                key.principal()
            );
            let signature = key.sign(body.as_bytes(), encoding, &random).unwrap();
            assert!(signature.starts_with(&format!("{kind}-{}:", encoding.name())), "{signature}");
            assert!(believed(&format!("{body}Signature: \"{signature}\"\n")), "{kind}");
            assert!(
                !believed(&format!("{body} Signature: \"{signature}\"\n")),
                "a continued line is no field"
            );
            assert!(!believed(&format!(
                "# c\n{}\nSignature: \"{signature}\"\n",
                body.replace("true", "true ")
            )));
            assert!(believed(&format!(
                "# not signed\n{body}Signature: \"{signature}\"\n\nanything"
            )));
        }
        assert!(SigningKey::from_pkcs8(&der[..der.len() - 1], &random).is_err());
    }
}

#[test]
fn legacy_signatures_count_only_where_they_are_accepted() {
    let line = include_str!("data/edge.jsonl")
        .lines()
        .find(|line| line.contains("\"id\": \"e96\""))
        .unwrap();
    let case: serde_json::Value = serde_json::from_str(line).unwrap();
    let credential = case["assertions"][1]["text"].as_str().unwrap();
    assert_eq!(answer(credential, LegacySignatures::Accepted).0, "true");
    let (value, dropped) = answer(credential, LegacySignatures::Refused);
    assert_eq!(value, "false");
    assert!(dropped[0].to_string().contains("legacy"), "{dropped:?}");
}

#[test]
fn each_reason_not_to_believe_has_its_words() {
    let (_, credential) = STRANGERS[2];
    let body = credential.split_once("Signature:").unwrap().0;
    let rsa = quoted(STRANGERS[3].1, "Signature:");
    for (text, reason) in [
        (body.to_owned(), "not signed"),
        (format!("{body}Signature: \"{rsa}\"\n"), "not made with a key of kind `ed25519`"),
        (format!("{body}Signature: \"sig-rot13-hex:00\"\n"), "no signature algorithm"),
        (format!("{body}Signature: \"sig-ed25519-hex:0\"\n"), "hexadecimal"),
        (format!("{body}Signature: \"sig-ed25519-hex:00\"\n"), "does not fit"),
        (format!("{body}Signature: attribute\n"), "not signed"),
        (credential.replace("Licensees:", "Licencees:"), "malformed"),
        ("Authorizer: \"POLICY\"\nSignature: \"sig-ed25519-hex:00\"\n".to_owned(), "is no key"),
        ("Authorizer: \"bob\"\nSignature: \"sig-ed25519-hex:00\"\n".to_owned(), "is no key"),
        (
            "Authorizer: \"rsa-hex:00\"\nSignature: \"sig-ed25519-hex:00\"\n".to_owned(),
            "malformed key",
        ),
        (format!("{body}Comment: {}\n", "x".repeat(1 << 20)), "at most"),
    ] {
        let (value, dropped) = answer(&text, LegacySignatures::Refused);
        assert_eq!(value, "false");
        let dropped = dropped.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(dropped.contains(reason), "{reason}: {dropped}");
    }
}
