//! The forms of EST's answers: what each client reads, and the CSR attributes. Requests in the form of libest and of globalsign/est are
//! repeated.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;

use common::est::{Site, statuses, userpass};
use common::http::Reply;

#[test]
fn answers_have_the_form_that_each_client_reads() {
    let site = Site::start();
    let cas = site.curl("/.well-known/est/cacerts", &[]).is(200, &[]);
    assert_eq!(cas.header("Content-Type"), Some("application/pkcs7-mime"));
    assert_eq!(cas.header("Content-Transfer-Encoding"), Some("base64"));
    assert_eq!(cas.header("Content-Length"), Some(cas.body.len().to_string().as_str()));
    assert_eq!(cas.body.trim_end().lines().count(), 1, "strongSwan 5.9.8 reads one line");
    let libest = site.curl("/.well-known/est/cacerts", &["-A", "libest 1.0"]).is(200, &[]);
    assert!(libest.body.lines().count() > 10 && libest.body.lines().all(|line| line.len() <= 64));
    assert_eq!(libest.der(), cas.der());
    fs::write(site.instance.file("cas.p7"), cas.der()).unwrap();
    let names =
        site.openssl(&["pkcs7", "-inform", "DER", "-in", "cas.p7", "-print_certs", "-noout"]);
    assert!(
        names.contains("CN = Countersign issuing CA") && names.contains("Countersign root CA"),
        "{names}"
    );

    // libest comes without credentials first, sends 64 columns, and reads up to the end of the connection.
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    site.request("gw1", "rsa2048", "/CN=gw1.example.net", "");
    let body = fs::read_to_string(site.instance.file("gw1.b64")).unwrap();
    let lines: Vec<&str> =
        (0..body.len()).step_by(64).map(|at| &body[at..body.len().min(at + 64)]).collect();
    fs::write(site.instance.file("gw1.b64"), lines.join("\n") + "\n").unwrap();
    let own =
        ["-A", "libest 1.0", "-H", "Connection: close", "-H", "Content-Transfer-Encoding: base64"];
    let first = site.post("/.well-known/est/simpleenroll", "gw1", &own).is(401, &[]);
    assert_eq!(
        (first.header("WWW-Authenticate"), first.body.as_str()),
        (Some("Basic realm=\"EST\""), "")
    );
    assert_eq!(first.header("Content-Length"), Some("0"));
    let userpass = userpass(&peer);
    let issued =
        site.post("/.well-known/est/simpleenroll", "gw1", &[&own[..], &["-u", &userpass]].concat());
    assert_eq!(
        issued.header("Content-Type"),
        Some("application/pkcs7-mime; smime-type=certs-only")
    );
    assert!(issued.body.lines().all(|line| line.len() <= 64));
    let certificate = site.keep(&issued, "gw1");

    // globalsign's client sends 76 columns in chunks.
    let lines: Vec<&str> =
        (0..body.len()).step_by(76).map(|at| &body[at..body.len().min(at + 76)]).collect();
    fs::write(site.instance.file("gw1.b64"), lines.join("\r\n") + "\r\n").unwrap();
    let own = ["-H", "Transfer-Encoding: chunked", "-u", &userpass];
    let again = site.post("/.well-known/est/simpleenroll", "gw1", &own);
    assert_eq!(site.keep(&again, "gw1"), certificate, "the same request has the same answer");
    assert_eq!(statuses(&site.instance, "gw1"), ["valid"]);

    // What is offered by its name alone, and what is not.
    site.curl("/.well-known/est/csrattrs", &[]).is(204, &[]);
    site.curl("/.well-known/est/fullcmc", &["-X", "POST", "-d", "x"]).is(501, &["simpleenroll"]);
    let wrong = site.curl("/.well-known/est/simpleenroll", &[]).is(405, &["POST"]);
    assert_eq!(wrong.header("Allow"), Some("POST"));
    let options = site.curl("/.well-known/est/cacerts", &["-X", "OPTIONS"]).is(204, &[]);
    assert!(options.headers.iter().any(|(_, value)| value == "GET, HEAD, OPTIONS"));
}

#[test]
fn csr_attributes_are_those_of_the_profile_and_of_the_account() {
    let profile = "[profiles.narrow]\nkeys = [\"p384\"]\nkey_usage = [\"digitalSignature\"]\n";
    let site = Site::start_with(&[], profile);
    let parsed = |reply: Reply| {
        assert_eq!(reply.header("Content-Type"), Some("application/csrattrs"), "{}", reply.body);
        fs::write(site.instance.file("attributes.der"), reply.der()).unwrap();
        site.openssl(&["asn1parse", "-inform", "DER", "-in", "attributes.der"])
    };
    let template = "1.2.840.113549.1.9.16.2.61";
    let gateway = parsed(site.curl("/.well-known/est/gateway/csrattrs", &[]).is(200, &[]));
    for word in [template, "Extension Request", "X509v3 Key Usage", "X509v3 Extended Key Usage"] {
        assert!(gateway.contains(word), "{word}: {gateway}");
    }
    assert!(
        !gateway.contains("Subject Alternative Name") && !gateway.contains("secp384r1"),
        "{gateway}"
    );
    let narrow = parsed(site.curl("/.well-known/est/narrow/csrattrs", &[]).is(200, &[]));
    assert_eq!(
        narrow.matches("secp384r1").count(),
        2,
        "once by itself and once in the template: {narrow}"
    );
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let own = site.curl("/.well-known/est/csrattrs", &["-u", &userpass(&peer)]).is(200, &[]);
    let own = parsed(own);
    assert!(own.contains("Subject Alternative Name") && own.contains("gw1.example.net"), "{own}");
    site.curl("/.well-known/est/csrattrs", &["-u", &format!("{}:wrong", peer.reference)])
        .is(401, &[]);
}
