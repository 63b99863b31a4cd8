//! Certificates and CRLs of every profile and key kind, checked by programs that we did not write: OpenSSL, x509-parser, strongSwan's `pki`,
//! pkilint.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::openssl::{self, enrol, key};
use common::{Instance, tool, tool_ok};
use x509_parser::prelude::FromDer;

/// A program of pkilint, in the folder that `make deps` made.
fn pkilint(program: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/bin").join(program);
    assert!(path.exists(), "this test needs pkilint in `{}`: run `make deps`", path.display());
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// Asserts that pkilint has no finding of this severity: it then prints only its headings.
fn finds_nothing(program: &str, arguments: &[&str], folder: &Path) {
    let output = tool(&pkilint(program), "pkilint", arguments, folder);
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success() && !text.contains("WARNING") && !text.contains("ERROR"),
        "{program} {arguments:?}:\n{text}"
    );
}

/// Fetches a CRL as DER and as PEM.
fn crl(instance: &Instance, ca: &str) -> PathBuf {
    let answer = instance.http("GET", &format!("/crl/{ca}.crl"), "", &[]).expect("an answer");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/pkix-crl")));
    let der = format!("{ca}.crl.der");
    fs::write(instance.file(&der), &answer.body).expect("a file");
    let (rest, parsed) =
        x509_parser::revocation_list::CertificateRevocationList::from_der(&answer.body)
            .expect("a CRL");
    assert!(rest.is_empty() && parsed.crl_number().is_some());
    let pem = format!("{ca}.crl");
    tool_ok(
        "openssl",
        "openssl",
        &["crl", "-inform", "DER", "-in", &der, "-out", &pem],
        &instance.file("."),
    );
    instance.file(&pem)
}

fn crls(instance: &Instance) {
    let all: String =
        ["root", "issuing"].map(|ca| fs::read_to_string(crl(instance, ca)).expect("PEM")).concat();
    fs::write(instance.file("crls.pem"), all).expect("a file");
}

fn verify(instance: &Instance, certificate: &str) -> (bool, String) {
    let arguments = [
        "verify",
        "-x509_strict",
        "-crl_check_all",
        "-CAfile",
        "data/keys/root.crt",
        "-untrusted",
        "data/keys/issuing.crt",
        "-CRLfile",
        "crls.pem",
        certificate,
    ];
    let output = tool("openssl", "openssl", &arguments, &instance.file("."));
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.success(), text)
}

/// Checks one certificate and its CRLs with every program.
fn judge(instance: &Instance, certificate: &str) {
    let folder = instance.file(".");
    let (good, text) = verify(instance, certificate);
    assert!(good, "{text}");
    let pem = fs::read(folder.join(certificate)).expect("a certificate");
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).expect("PEM");
    let (rest, parsed) =
        x509_parser::certificate::X509Certificate::from_der(&pem.contents).expect("a certificate");
    assert!(rest.is_empty() && parsed.subject_alternative_name().is_ok() && !parsed.is_ca());
    let printed = tool_ok(
        "pki",
        "strongswan-pki",
        &["--print", "--type", "x509", "--in", certificate],
        &folder,
    );
    assert!(printed.contains("validity:  ") && printed.contains("ok"), "{printed}");
    let verified = [
        "--verify",
        "--in",
        certificate,
        "--cacert",
        "data/keys/issuing.crt",
        "--cacert",
        "data/keys/root.crt",
        "--crl",
        "issuing.crl",
        "--crl",
        "root.crl",
        "--online",
    ];
    let text = tool_ok("pki", "strongswan-pki", &verified, &folder);
    assert!(text.contains("certificate trusted"), "{text}");
    finds_nothing("lint_pkix_cert", &["lint", "-s", "WARNING", certificate], &folder);
    finds_nothing(
        "lint_pkix_signer_signee_cert_chain",
        &["lint", "-s", "WARNING", "data/keys/issuing.crt", certificate],
        &folder,
    );
}

#[test]
fn every_profile_and_key_kind_passes_the_judges() {
    let instance = Instance::start();
    crls(&instance);
    for (profile, ids) in [
        ("gateway", &["fqdn:gw1.example.net", "ip:192.0.2.1", "ip:2001:db8::1"][..]),
        ("host", &["fqdn:host.example.net"]),
        ("user", &["email:ada@example.net"]),
        ("ra", &["fqdn:ra.example.net"]),
    ] {
        for (kind, _) in openssl::KEYS {
            let name = format!("{profile}-{kind}");
            let peer = instance.peer_with(&name, ids, &["--profile", profile]);
            key(&instance, kind, "peer.key");
            enrol(&instance, &peer, "peer.key", &[]).granted();
            judge(&instance, &format!("{name}.crt"));
        }
    }
}

#[test]
fn every_key_kind_of_a_ca_passes_the_judges() {
    for algorithm in ["p256", "p384", "ed25519", "rsa3072", "rsa4096"] {
        let mut instance =
            Instance::init(&["--algorithm", algorithm, "--root-algorithm", algorithm]);
        instance.serve();
        let folder = instance.file(".");
        let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
        key(&instance, "p256", "peer.key");
        enrol(&instance, &peer, "peer.key", &[]).granted();
        crls(&instance);
        judge(&instance, "gw1.crt");
        for ca in ["root", "issuing"] {
            finds_nothing(
                "lint_pkix_cert",
                &["lint", "-s", "WARNING", &format!("data/keys/{ca}.crt")],
                &folder,
            );
            finds_nothing(
                "lint_crl",
                &["lint", "-t", "CRL", "-p", "PKIX", "-s", "WARNING", &format!("{ca}.crl")],
                &folder,
            );
        }
        finds_nothing(
            "lint_pkix_signer_signee_cert_chain",
            &["lint", "-s", "WARNING", "data/keys/root.crt", "data/keys/issuing.crt"],
            &folder,
        );
        // Revoked, and every judge says so.
        let serial =
            instance.certificates("gw1")[0]["serial"].as_str().expect("a serial").to_owned();
        instance.ok(&[
            "cert",
            "revoke",
            &serial,
            "--reason",
            "keyCompromise",
            "--invalidity-date",
            "2026-01-01T00:00:00Z",
        ]);
        instance.ok(&["crl", "publish"]);
        crls(&instance);
        let (good, text) = verify(&instance, "gw1.crt");
        assert!(!good && text.contains("certificate revoked"), "{text}");
        finds_nothing(
            "lint_crl",
            &["lint", "-t", "CRL", "-p", "PKIX", "-s", "WARNING", "issuing.crl"],
            &folder,
        );
        let printed = tool_ok(
            "pki",
            "strongswan-pki",
            &["--print", "--type", "crl", "--in", "issuing.crl"],
            &folder,
        );
        assert!(printed.contains("key compromise"), "{printed}");
    }
}
