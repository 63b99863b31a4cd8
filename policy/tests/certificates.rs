//! Certificates as assertions: a path from a CA to a peer allows the peer, and hostile names allow nothing more.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]

use countersign_policy::ipsec::{CertificateError, NameError, delegations, distinguished_name};
use countersign_policy::{AttributeSet, ComplianceValues, PolicySet, Question, Requesters, Source};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A CA, a gateway and a gateway with a hostile name, made by `tests/data/certificates.sh` with OpenSSL.
const CA: &[u8] = include_bytes!("data/certificates/ca.der");
const GATEWAY: &[u8] = include_bytes!("data/certificates/gw7.der");
const HOSTILE: &[u8] = include_bytes!("data/certificates/hostile.der");
const NAMELESS: &[u8] = include_bytes!("data/certificates/nameless.der");

fn read(der: &[u8]) -> X509Certificate<'_> {
    X509Certificate::from_der(der).unwrap().1
}

fn key(der: &[u8]) -> String {
    format!("x509-base64:{}", data_encoding::BASE64.encode(der))
}

fn name(der: &[u8]) -> String {
    String::from_utf8(distinguished_name(read(der).subject().as_raw()).unwrap()).unwrap()
}

fn answer(licensee: &str, certificates: &[&[u8]], requester: &str, time: &str) -> String {
    let policy = format!("Authorizer: \"POLICY\"\nLicensees: \"{licensee}\"\nConditions: true;\n");
    let mut builder = PolicySet::builder();
    builder.assertion(&Source::new("policy", policy.into_bytes()));
    for certificate in certificates {
        let [by_key, by_name] = delegations(certificate, read(CA).public_key().raw).unwrap();
        builder.trusted(by_key).trusted(by_name);
    }
    let set = builder.build();
    assert!(set.dropped().is_empty(), "{:?}", set.dropped());
    let mut attributes = AttributeSet::new();
    attributes.set("app_domain", "IPsec policy").unwrap();
    attributes.set("GMTTimeOfDay", time).unwrap();
    let (values, requesters) = (ComplianceValues::boolean(), Requesters::new([requester]).unwrap());
    let question = Question { attributes: &attributes, requesters: &requesters, values: &values };
    let answer = String::from_utf8(set.ask(question).value.to_vec()).unwrap();
    let trace = set.explain(question);
    assert_eq!(trace.value, answer);
    if answer == "true" {
        let text = trace.to_string();
        assert!(
            text.contains("certificate of DN:")
                && text.contains(&format!("GMTTimeOfDay is `{time}`")),
            "{text}"
        );
    }
    answer
}

#[test]
fn a_policy_for_the_ca_lets_its_peers_in_by_key_and_by_name() {
    let now = "20261201000000";
    for (ca, peer) in [(key(CA), key(GATEWAY)), (name(CA), name(GATEWAY))] {
        assert_eq!(answer(&ca, &[GATEWAY], &peer, now), "true");
        assert_eq!(answer(&ca, &[], &peer, now), "false");
        assert_eq!(answer(&ca, &[GATEWAY], "DN:/CN=other", now), "false");
        assert_eq!(answer(&ca, &[GATEWAY], &peer, "20200101000000"), "false", "before it is valid");
        assert_eq!(answer(&ca, &[GATEWAY], &peer, "20990101000000"), "false", "after it is valid");
        assert_eq!(answer("DN:/CN=another CA", &[GATEWAY], &peer, now), "false");
    }
    assert_eq!(name(GATEWAY), "DN:/C=SE/O=Example/CN=gw7");
}

/// `gw" || "DN:/CN=admin` is a name like any other.
#[test]
fn a_name_cannot_write_policy() {
    let now = "20261201000000";
    assert_eq!(name(HOSTILE), "DN:/CN=gw\" || \"DN:\\/CN=admin");
    assert_eq!(answer(&name(CA), &[HOSTILE], "DN:/CN=admin", now), "false");
    assert_eq!(answer(&name(CA), &[HOSTILE], &name(HOSTILE), now), "true");
}

#[test]
fn what_gives_no_assertion_says_why() {
    let ca = read(CA);
    let spki = ca.public_key().raw;
    assert_eq!(delegations(NAMELESS, spki).unwrap_err(), CertificateError::Name(NameError::Empty));
    assert!(matches!(delegations(GATEWAY, &[]), Err(CertificateError::Key(_))));
    assert!(matches!(
        delegations(&GATEWAY[..GATEWAY.len() - 1], spki),
        Err(CertificateError::Malformed(_))
    ));
    let behind = [GATEWAY, &[0]].concat();
    assert!(matches!(delegations(&behind, spki), Err(CertificateError::Malformed(_))));
}
