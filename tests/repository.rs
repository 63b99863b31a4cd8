//! The repository over HTTP: RFC 4387 look-up with hashes that OpenSSL computes, hash-and-URL, and the CAs' certificates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use common::Instance;
use common::openssl::{enrol, key};

/// Runs a line of shell in the instance's folder, and gives its standard output.
fn shell(instance: &Instance, line: &str) -> String {
    let output = Command::new("bash")
        .args(["-c", line])
        .current_dir(instance.file("."))
        .output()
        .expect("bash");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The SHA-1 of a part of a certificate, in base64 without padding, escaped for a URL.
fn hash(instance: &Instance, pipeline: &str) -> String {
    let line = format!("{pipeline} | openssl dgst -sha1 -binary | base64 | tr -d '=\\n'");
    shell(instance, &line).replace('+', "%2B").replace('/', "%2F")
}

fn get(instance: &Instance, path: &str) -> (u16, String, Vec<u8>) {
    let answer = instance.http("GET", path, "text/plain", &[]).unwrap();
    let kind = answer.header("content-type").unwrap_or_default().to_owned();
    (answer.status, kind, answer.body)
}

#[test]
fn head_is_answered_where_get_is_and_options_everywhere() {
    let instance = Instance::start();
    let sent = |text: String| {
        let mut stream = TcpStream::connect(&instance.address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap_or_else(|e| panic!("{text}: {e}"));
        answer
    };
    let asked = |method: &str, path: &str| {
        sent(format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    };
    for path in [
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/crl/issuing.crl",
        "/ca/root.cer",
        "/ca/nothing.cer",
        "/nowhere",
        "/certificates/search.cgi?name=x",
        "/crls/search.cgi",
        "/hash/00",
        "/ocsp/MAA=",
        "/ocsp//MAA=",
    ] {
        let head = asked("HEAD", path);
        let (of_head, body) = head.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "", "{path}: a HEAD has no body");
        let status = head.lines().next().unwrap();
        let length = |head: &str| {
            head.to_ascii_lowercase()
                .lines()
                .find(|line| line.starts_with("content-length"))
                .map(str::to_owned)
        };
        let got = instance.http("GET", path, "", &[]).unwrap();
        assert!(status.contains(&got.status.to_string()), "{path}: {status}");
        if path != "/metrics" {
            let expected = format!("content-length: {}", got.body.len());
            assert_eq!(length(of_head).as_deref(), Some(expected.as_str()), "{path}");
        }
    }
    for (path, allowed) in [
        ("/crl/issuing.crl", "GET, HEAD, OPTIONS"),
        ("/ocsp", "GET, HEAD, OPTIONS, POST"),
        ("/.well-known/cmp/p/gateway", "OPTIONS, POST"),
    ] {
        let options = asked("OPTIONS", path).to_ascii_lowercase();
        assert!(options.starts_with("http/1.1 204"), "{path}: {options}");
        assert!(options.contains(&format!("allow: {}", allowed.to_ascii_lowercase())), "{options}");
    }
    // Two on one connection: what HEAD leaves out is not what the next answer has.
    let both = sent(
        "HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into(),
    );
    assert!(both.ends_with("\r\n\r\nok\n"), "{both}");
}

#[test]
fn certificates_and_crls_are_found_by_hashes_that_openssl_computes() {
    let instance = Instance::start();
    let ids = ["fqdn:gw1.example.net", "ip:192.0.2.1", "email:noc@example.net"];
    let peer = instance.peer("gw1", &ids);
    for (n, kind) in [(1, "p256"), (2, "p256")] {
        key(&instance, kind, "peer.key");
        enrol(&instance, &peer, "peer.key", &[]).granted();
        shell(&instance, &format!("openssl x509 -in gw1.crt -outform DER -out gw1-{n}.der"));
    }
    let der = |n| fs::read(instance.file(&format!("gw1-{n}.der"))).unwrap();
    let part = |file: &str, what: &str| {
        // asn1parse says where each element of the TBSCertificate begins, its header included, and how long it is.
        let line = format!(
            "openssl asn1parse -inform DER -in {file} | sed -n 's/^ *\\([0-9]*\\):d=2 *hl= *\\([0-9]*\\) *l= *\\([0-9]*\\).*/\\1 \\2 \\3/p'"
        );
        let elements = shell(&instance, &line);
        let element = elements.lines().nth(match what {
            "serial" => 1,
            "issuer" => 3,
            _ => 5,
        });
        let numbers: Vec<u32> =
            element.unwrap().split(' ').map(|number| number.parse().unwrap()).collect();
        format!("tail -c +{} {file} | head -c {}", numbers[0] + 1, numbers[1] + numbers[2])
    };
    let search = |query: String| get(&instance, &format!("/certificates/search.cgi?{query}"));
    let one = |query: String, expected: &[u8]| {
        let (status, kind, body) = search(query.clone());
        assert_eq!((status, kind.as_str()), (200, "application/pkix-cert"), "{query}");
        assert_eq!(body, expected, "{query}");
    };
    for n in [1, 2] {
        one(format!("certHash={}", hash(&instance, &format!("cat gw1-{n}.der"))), &der(n));
        let line = format!(
            "printf \"$(openssl x509 -inform DER -in gw1-{n}.der -noout -ext subjectKeyIdentifier | tail -1 | tr -d ' :' | sed 's/../\\\\x&/g')\""
        );
        one(format!("sKIDHash={}", hash(&instance, &line)), &der(n));
        let raw = shell(&instance, &format!("{line} | base64 | tr -d '=\\n'"));
        one(format!("sKIDHash={}", raw.replace('+', "%2B")), &der(n));
        let both = format!(
            "{{ {}; {}; }} > is.der; {{ printf '\\x30'; s=$(stat -c %s is.der); printf \"\\x$(printf %x $s)\"; cat is.der; }}",
            part(&format!("gw1-{n}.der"), "issuer"),
            part(&format!("gw1-{n}.der"), "serial")
        );
        one(format!("iAndSHash={}", hash(&instance, &both)), &der(n));
    }
    // Both certificates have this subject and these names: newest first, in parts.
    let subject = hash(&instance, &part("gw1-1.der", "subject"));
    for query in [
        format!("sHash={subject}"),
        "name=gw1.example.net".into(),
        "uri=gw1.example.net".into(),
        "uri=192.0.2.1".into(),
        "email=noc%40example.net".into(),
    ] {
        let (status, kind, body) = search(query.clone());
        assert_eq!(status, 200, "{query}");
        let boundary = kind.strip_prefix("multipart/mixed; boundary=").unwrap();
        let part = |der: Vec<u8>| {
            [
                format!("--{boundary}\r\nContent-Type: application/pkix-cert\r\n\r\n").into_bytes(),
                der,
                b"\r\n".to_vec(),
            ]
            .concat()
        };
        let end = format!("--{boundary}--\r\n").into_bytes();
        assert_eq!(body, [part(der(2)), part(der(1)), end].concat(), "{query}");
    }
    // The CAs: the issuing one by its issuer, both by their subjects; and their CRLs.
    for ca in ["root", "issuing"] {
        shell(
            &instance,
            &format!("openssl x509 -in data/keys/{ca}.crt -outform DER -out {ca}.der"),
        );
        let expected = fs::read(instance.file(&format!("{ca}.der"))).unwrap();
        let subject = hash(&instance, &part(&format!("{ca}.der"), "subject"));
        one(format!("sHash={subject}"), &expected);
        assert_eq!(get(&instance, &format!("/ca/{ca}.cer")).2, expected);
        let crl = get(&instance, &format!("/crl/{ca}.crl"));
        for attribute in ["iHash", "sHash"] {
            let found = get(&instance, &format!("/crls/search.cgi?{attribute}={subject}"));
            assert_eq!(found, crl);
        }
    }
    let root = hash(&instance, &part("root.der", "subject"));
    let (status, kind, _) = search(format!("iHash={root}"));
    assert!(status == 200 && kind.starts_with("multipart/mixed"), "the root and the issuing CA");

    // IKEv2 hash and URL.
    let sha1 = shell(&instance, "sha1sum gw1-1.der | cut -d' ' -f1");
    let (status, kind, body) = get(&instance, &format!("/hash/{sha1}"));
    assert_eq!((status, kind.as_str(), body), (200, "application/pkix-cert", der(1)));
    let (_, _, body) = get(&instance, &format!("/hash/{}", sha1.to_uppercase()));
    assert_eq!(body, der(1));
}

#[test]
fn what_cannot_be_looked_up_is_answered_with_what_was_expected() {
    let instance = Instance::start();
    let long = "a".repeat(300);
    for (path, status, word) in [
        ("/certificates/search.cgi", 400, "found 0 attributes"),
        ("/certificates/search.cgi?", 400, "found 0 attributes"),
        ("/certificates/search.cgi?sHash=x&name=y", 400, "found 2 attributes"),
        ("/certificates/search.cgi?colour=red", 400, "found `colour`"),
        ("/certificates/search.cgi?sHash=AAAA", 400, "27 characters"),
        ("/certificates/search.cgi?sHash=%3Cscript%3E", 400, "27 characters"),
        ("/certificates/search.cgi?name=", 400, "1 to 255"),
        (&format!("/certificates/search.cgi?name={long}"), 400, "1 to 255"),
        ("/certificates/search.cgi?name=%ff%fe", 404, "no such certificate"),
        ("/certificates/search.cgi?name=nobody", 404, "no such certificate"),
        ("/certificates/search.cgi?sHash=AAAAAAAAAAAAAAAAAAAAAAAAAAA", 404, "no such certificate"),
        ("/crls/search.cgi?name=issuing", 400, "iHash"),
        ("/crls/search.cgi?iHash=AAAAAAAAAAAAAAAAAAAAAAAAAAA", 404, "no such CA"),
        ("/hash/0011", 400, "40 hexadecimal digits"),
        ("/hash/0000000000000000000000000000000000000000", 404, "no such certificate"),
        ("/ca/nobody.cer", 404, "no such CA"),
        ("/crl/nobody.crl", 404, "no such CA"),
    ] {
        let (found, _, body) = get(&instance, path);
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(found == status && text.contains(word), "{path}: {found} {text}");
    }
}
