//! Paths and CRLs against 75 cases of x509-limbo (every second one that is not about the web, and all that come out otherwise): each must
//! come out as it wants, but for those named.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::net::IpAddr;
use std::sync::Arc;

use countersign_ca::Timestamp;
use countersign_ca::path::crl::{Crl, CrlStatus, status_by_crls};
use countersign_ca::path::{Anchors, Certificate, PathSettings, validate};
use countersign_ca::x509::read_all;
use der::asn1::ObjectIdentifier;
use serde::Deserialize;
use x509_cert::ext::pkix::name::GeneralName;

/// Cases that come out otherwise, and why.
const EXCEPTIONS: [(&str, &str); 11] = [
    (
        "rfc5280::aki::intermediate-missing-aki",
        "CAs must name their issuer's key; §6 does not ask validators to refuse those that do not",
    ),
    ("rfc5280::aki::cross-signed-root-missing-aki", "the same"),
    (
        "rfc5280::pc::ica-noncritical-pc",
        "NIST's suite wants policyConstraints accepted that are not critical",
    ),
    (
        "rfc5280::serial::zero",
        "the same for a serial number of zero; NIST's suite wants odd ones accepted",
    ),
    ("rfc5280::ski::intermediate-missing-ski", "the same for its own key"),
    (
        "crl::crlnumber-missing",
        "§5.2.3 binds who issues CRLs. Those of version 1 have no number, and must be processed (§5)",
    ),
    ("rfc5280::aki::leaf-missing-aki", "as for CAs: the signature says whose it is"),
    (
        "rfc5280::nc::permitted-dns-match-noncritical",
        "§4.2.1.10 binds the CA. They are applied as if they were critical, so that nothing is lost",
    ),
    (
        "rfc5280::san::underscore-dns",
        "§4.2.1.6 wants names of hosts; peers have such names, and names are compared, not resolved",
    ),
    ("rfc5280::ski::root-missing-ski", "an anchor counts for its name and its key (§6.1.1 (d))"),
    (
        "rfc5280::root-non-critical-basic-constraints",
        "the same, and §4.2.1.9 binds the CA: that an anchor is one, its basicConstraints must say, critical or not",
    ),
];

#[derive(Deserialize)]
struct Limbo {
    testcases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    validation_kind: String,
    trusted_certs: Vec<String>,
    untrusted_intermediates: Vec<String>,
    peer_certificate: String,
    validation_time: Option<jiff::Timestamp>,
    expected_result: String,
    expected_peer_name: Option<PeerName>,
    max_chain_depth: Option<usize>,
    crls: Vec<String>,
}

#[derive(Deserialize)]
struct PeerName {
    kind: String,
    value: String,
}

fn certificate(pem: &str) -> Result<Arc<Certificate>, String> {
    let der = read_all(pem.as_bytes()).map_err(|e| e.to_string())?.remove(0);
    Certificate::from_der(der).map(Arc::new).map_err(|e| e.to_string())
}

fn crl(pem: &str) -> Result<Arc<Crl>, String> {
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = data_encoding::BASE64.decode(base64.as_bytes()).unwrap();
    Crl::from_der(&der).map(Arc::new).map_err(|e| e.to_string())
}

/// What the suite's peers are known by; the identities of IKE have tests of their own.
fn has_name(certificate: &Certificate, wanted: &PeerName) -> bool {
    certificate.alt_names.iter().any(|name| match (wanted.kind.as_str(), name) {
        ("DNS", GeneralName::DnsName(name)) => name.as_str().eq_ignore_ascii_case(&wanted.value),
        ("IP", GeneralName::IpAddress(octets)) => match wanted.value.parse().unwrap() {
            IpAddr::V4(address) => octets.as_bytes() == address.octets(),
            IpAddr::V6(address) => octets.as_bytes() == address.octets(),
        },
        _ => false,
    })
}

fn run(case: &Case) -> Result<(), String> {
    let all =
        |pems: &[String]| pems.iter().map(|pem| certificate(pem)).collect::<Result<Vec<_>, _>>();
    let anchors = all(&case.trusted_certs)?.iter().map(|of| of.der().to_vec()).collect::<Vec<_>>();
    let anchors = Anchors::new(anchors).map_err(|e| e.to_string())?;
    let others = all(&case.untrusted_intermediates)?;
    let leaf = certificate(&case.peer_certificate)?;
    let at = case.validation_time.map_or(1_785_000_000, |time| time.as_second());
    let at = Timestamp::from_seconds(at);
    let purpose =
        if case.validation_kind == "CLIENT" { "1.3.6.1.5.5.7.3.2" } else { "1.3.6.1.5.5.7.3.1" };
    let settings = PathSettings {
        max_intermediates: case.max_chain_depth.unwrap_or(16),
        key_purposes: vec![ObjectIdentifier::new_unwrap(purpose)],
        ..PathSettings::default()
    };
    let path = validate(&anchors, &settings, &[Arc::clone(&leaf)], &others, at)
        .map_err(|e| e.to_string())?;
    if let Some(wanted) = &case.expected_peer_name
        && !has_name(&leaf, wanted)
    {
        return Err(format!("the certificate has no name `{}`", wanted.value));
    }
    if case.crls.is_empty() {
        return Ok(());
    }
    let crls = case.crls.iter().map(|pem| crl(pem)).collect::<Result<Vec<_>, _>>()?;
    // The suite has no CRLs of roots. What it has is asked about every certificate; only the peer's must be known to be good.
    for (number, (certificate, issuer)) in path.pairs().enumerate() {
        match status_by_crls(&anchors, &others, certificate, issuer, &crls, at) {
            CrlStatus::Good(_) => {}
            CrlStatus::Unknown(_) if number > 0 => {}
            other => return Err(format!("`{}`: {other:?}", certificate.shown())),
        }
    }
    Ok(())
}

#[test]
fn every_case_comes_out_as_limbo_wants() {
    let limbo: Limbo = serde_json::from_str(include_str!("data/limbo/limbo.json")).unwrap();
    assert_eq!(limbo.testcases.len(), 75);
    let mut wrong = Vec::new();
    let mut different = Vec::new();
    for case in &limbo.testcases {
        let result = run(case);
        if result.is_ok() != (case.expected_result == "SUCCESS") {
            different.push(case.id.as_str());
            wrong.push(format!("{}: {result:?}, expected {}", case.id, case.expected_result));
        }
    }
    let exceptions: Vec<&str> = EXCEPTIONS.iter().map(|(id, _)| *id).collect();
    assert_eq!(different, exceptions, "{}", wrong.join("\n"));
}
