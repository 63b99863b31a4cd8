//! Requests that EST must refuse, each with a status, a text and a line in the log. A refused request leaves no certificate behind, and the
//! server goes on answering.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;

use common::at_another_time;
use common::est::{Site, statuses, userpass};
use common::http::Reply;
use common::openssl;
use common::vendor::{DEVICE, Pki};
use data_encoding::BASE64;

#[test]
fn who_proves_nothing_or_the_wrong_thing_is_refused_and_told() {
    let site = Site::start_with(&[("cmp", "lock_after = 3")], "");
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let other = site.instance.peer("gw2", &["fqdn:gw2.example.net"]);
    site.request("gw1", "p256", "/CN=gw1.example.net", "");
    let (enrol, renew) = ("/.well-known/est/simpleenroll", "/.well-known/est/simplereenroll");
    let empty = |reply: Reply| assert_eq!((reply.status, reply.body.as_str()), (401, ""));

    empty(site.post(enrol, "gw1", &[]));
    empty(site.post(renew, "gw1", &[]));
    let wrong = format!("{}:wrong", peer.reference);
    empty(site.post(enrol, "gw1", &["-u", &wrong]));
    site.has_logged(&["unknown reference or wrong secret"]);
    empty(site.post(enrol, "gw1", &["-u", "nobody:nothing"]));
    for _ in 0..2 {
        empty(site.post(enrol, "gw1", &["-u", &wrong]));
    }
    empty(site.post_as(enrol, "gw1", &peer));
    site.has_logged(&["locked"]);
    // The other reference is not locked.
    site.request("gw2", "p256", "/CN=gw2.example.net", "");
    let issued = site.post_as(enrol, "gw2", &other);
    site.keep(&issued, "gw2");
    assert_eq!(statuses(&site.instance, "gw1"), [""; 0]);

    // A secret renews nothing.
    site.post_as(renew, "gw2", &other).is(403, &["client certificate", "/simpleenroll"]);
    site.has_logged(&["/simpleenroll"]);
    // A stranger's certificate, by itself and beside the right secret.
    let pki = Pki::new(&site.instance);
    pki.issue("device", "p256", "/CN=device", "maker", DEVICE);
    let by = ["--cert", "device.crt", "--key", "device.key"];
    site.post(renew, "gw2", &by).is(403, &["not issued here"]);
    site.has_logged(&["not issued here"]);
    site.request("gw2", "p256", "/CN=gw2.example.net", "");
    site.post(enrol, "gw2", &[&by[..], &["-u", &userpass(&other)]].concat()).is(200, &[]);
    // The certificate of one account, and the secret of another.
    let third = site.instance.peer("gw3", &["fqdn:gw3.example.net"]);
    let by = ["--cert", "gw2.crt", "--key", "gw2.key", "-u", &userpass(&third)];
    site.request("gw3", "p256", "/CN=gw3.example.net", "");
    site.post(enrol, "gw3", &by).is(403, &["of the account `gw3`", "of `gw2`"]);
    site.goes_on();
}

#[test]
fn certificates_for_ike_alone_enrol_and_those_that_ended_are_told_so() {
    let only_ike = "[profiles.ike]\nextended_key_usage = [\"ipsecIKE\"]\nvalidity = \"30d\"\n";
    let mut site = Site::start_with(&[], only_ike);
    let peer = site.instance.peer_with(
        "gw1",
        &["fqdn:gw1.example.net"],
        &["--profile", "ike", "--uses", "9"],
    );
    site.enrol(&peer, "p256");
    let text = openssl::text(&site.instance, "gw1.crt");
    assert!(!text.contains("TLS Web Client"), "{text}");
    let renew = "/.well-known/est/simplereenroll";
    let by = ["--cert", "gw1.crt", "--key", "gw1.key"];
    site.request("next", "rsa2048", "/CN=gw1.example.net", "DNS:gw1.example.net");
    for version in ["1.2", "1.3"] {
        let version = ["--tls-max", version];
        site.post(renew, "next", &[&by[..], &version].concat()).is(200, &[]);
    }
    // After its end it is refused; within the grace that the operator gives, it renews.
    site.instance.stop();
    site.instance.serve_with(at_another_time("+40d", common::COUNTERSIGN));
    site.request("late", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
    // curl's clock is today's, so that the server's certificate is not valid yet for it.
    let late = [&by[..], &["-k"]].concat();
    site.post(renew, "late", &late).is(403, &["valid from", "enrol again"]);
    site.has_logged(&["enrol again"]);
    site.instance.stop();
    let path = site.instance.data().join("countersign.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("[est]\n", "[est]\nrenew_expired = \"14d\"\n", 1)).unwrap();
    site.instance.serve_with(at_another_time("+40d", common::COUNTERSIGN));
    // It renews itself, and gets no further certificate of the account.
    let enrol = "/.well-known/est/simpleenroll";
    site.post(enrol, "late", &late).is(403, &["valid from", "enrol again"]);
    site.post(renew, "late", &late).is(200, &[]);
    site.instance.stop();
    site.instance.serve_with(at_another_time("+50d", common::COUNTERSIGN));
    site.post(renew, "late", &late).is(403, &["enrol again"]);
}

#[test]
fn revoked_certificates_renew_nothing_and_others_only_what_they_have() {
    let site = Site::start();
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net", "fqdn:also.example.net"]);
    site.enrol(&peer, "p256");
    let (enrol, renew) = ("/.well-known/est/simpleenroll", "/.well-known/est/simplereenroll");
    let by = ["--cert", "gw1.crt", "--key", "gw1.key"];
    // An identity that the account does not hold, and one that the certificate did not have.
    site.request("wide", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net,DNS:evil.example.net");
    site.post_as(enrol, "wide", &peer).is(403, &["evil.example.net", "not one of the account's"]);
    site.has_logged(&["evil.example.net"]);
    site.request("wide", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net,DNS:also.example.net");
    site.post(renew, "wide", &by).is(403, &["also.example.net", "key update keeps the identities"]);
    site.has_logged(&["also.example.net"]);
    // As a further certificate, it may have it.
    site.post(enrol, "wide", &by).is(200, &[]);
    let serial = site.openssl(&["x509", "-in", "gw1.crt", "-noout", "-serial"]);
    let serial = serial.trim().trim_start_matches("serial=").to_lowercase();
    site.instance.ok(&["cert", "revoke", &serial, "--reason", "keyCompromise"]);
    site.request("next", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
    site.post(renew, "next", &by).is(403, &["was revoked"]);
    site.has_logged(&["was revoked"]);
    site.goes_on();
}

#[test]
fn bodies_that_are_no_request_are_refused_and_told() {
    let site = Site::start();
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let enrol = "/.well-known/est/simpleenroll";
    site.request("gw1", "p256", "/CN=gw1.example.net", "");
    let good = fs::read_to_string(site.instance.file("gw1.b64")).unwrap();
    let der = BASE64.decode(good.as_bytes()).unwrap();
    let mut wrong_signature = der.clone();
    *wrong_signature.last_mut().unwrap() ^= 1;
    let deep: Vec<u8> =
        (0..200).rev().fold(Vec::new(), |inside, _| common::der::tlv(0x30, &inside));
    for (body, word) in [
        (Vec::new(), "nothing"),
        (der.clone(), "found DER"),
        (fs::read(site.instance.file("gw1.csr")).unwrap(), "found PEM"),
        (b"not base64!".to_vec(), "base64"),
        (BASE64.encode(&der[..der.len() - 5]).into_bytes(), "cut off"),
        (BASE64.encode(&deep).into_bytes(), "nesting"),
        (BASE64.encode(&wrong_signature).into_bytes(), "proof of possession"),
    ] {
        fs::write(site.instance.file("bad.b64"), body).unwrap();
        site.post_as(enrol, "bad", &peer).is(400, &[word]);
        site.has_logged(&[word]);
    }
    fs::write(site.instance.file("bad.b64"), vec![b'A'; 70_000]).unwrap();
    site.post_as(enrol, "bad", &peer).is(413, &["65536"]);
    site.has_logged(&["413"]);
    let plain = ["-u", &userpass(&peer), "-d", "@gw1.b64"];
    site.curl(enrol, &plain).is(415, &["application/pkcs10"]);
    assert_eq!(statuses(&site.instance, "gw1"), [""; 0]);
    site.goes_on();
}

#[test]
fn a_label_of_another_ca_or_profile_gets_nothing() {
    let mut site = Site::start();
    site.instance.stop();
    site.instance.ok(&["ca", "add", "other", "--subject", "CN=Other issuing CA"]);
    site.instance.serve();
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    site.request("gw1", "p256", "/CN=gw1.example.net", "");
    for (label, word) in [("other", "is for the CA `issuing`"), ("user", "is for the profile")] {
        for path in [
            format!("/.well-known/est/{label}/simpleenroll"),
            format!("/{label}/.well-known/est/simpleenroll"),
            format!("/.well-known/est/{label}/serverkeygen"),
        ] {
            let word = if path.ends_with("keygen") { "key-generation" } else { word };
            site.post_as(&path, "gw1", &peer).is(403, &[word]);
            site.has_logged(&[word]);
        }
    }
    // Its certificates are everybody's, and those of that CA.
    let cas = site.curl("/.well-known/est/other/cacerts", &[]).is(200, &[]);
    fs::write(site.instance.file("cas.p7"), cas.der()).unwrap();
    let names =
        site.openssl(&["pkcs7", "-inform", "DER", "-in", "cas.p7", "-print_certs", "-noout"]);
    assert!(names.contains("Other issuing CA"), "{names}");
    assert_eq!(statuses(&site.instance, "gw1"), [""; 0]);
    site.goes_on();
}
