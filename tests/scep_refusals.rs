//! Messages that SCEP must refuse, each with failInfo, a text and a line in the log. Refusals that could teach what another's message
//! decrypts to are all alike, and the server goes on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::process::{Command, Stdio};

use common::cms::openssl;
use common::der::seq;
use common::scep::{
    APPROVAL, Client, Draft, ENABLED, GET_CERT, GET_CRL, POLL, RENEWAL, REQUEST, challenge,
    fetch_certificates, logged, refused, rsa_site, site, tampered,
};
use common::{COUNTERSIGN, Instance, at_another_time};

#[test]
fn each_refusal_says_what_to_change_and_the_server_goes_on() {
    let mut instance = Instance::start_with(&[ENABLED, ("cmp", "lock_after = 3")]);
    instance.stop();
    instance.ok(&["ca", "add", "other", "--subject", "CN=Other issuing CA"]);
    instance.serve();
    fetch_certificates(&instance, "/scep");
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let client = Client::rsa(&instance, "gw1");
    let good = || client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let send = |draft: &Draft<'_>| client.send(&client.message(draft));
    // Algorithms.
    refused(
        &send(&Draft { cipher: "-des3", ..Draft::new(REQUEST, "1", good()) }),
        "0",
        "triple DES",
    );
    refused(&send(&Draft { digest: "sha1", ..Draft::new(REQUEST, "1", good()) }), "0", "SHA-1");
    refused(&send(&Draft { digest: "md5", ..Draft::new(REQUEST, "1", good()) }), "0", "MD5");
    let ec = Client::new(&instance, "ec", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    let message = ec.message(&Draft::new(REQUEST, "1", good()));
    refused(&ec.send(&message), "0", "P-256 key");
    // Recipients.
    let own = Draft { recipient: "gw1.crt", ..Draft::new(REQUEST, "1", good()) };
    refused(&send(&own), "1", "GetCACert");
    let signature = Draft { recipient: "ra-sig.crt", ..Draft::new(REQUEST, "1", good()) };
    refused(&send(&signature), "1", "GetCACert");
    // Contents, all refused alike.
    let unreadable = client.send(&tampered(&client, &Draft::new(REQUEST, "1", good())));
    refused(&unreadable, "1", "cannot be decrypted");
    for content in [Vec::new(), b"no request".to_vec(), good()[..100].to_vec()] {
        let answer = send(&Draft::new(REQUEST, "1", content));
        assert_eq!(
            (answer.fail_info, answer.text),
            (unreadable.fail_info.clone(), unreadable.text.clone())
        );
    }
    // Kinds of message, and what nobody asked for.
    refused(&send(&Draft::new("18", "1", good())), "2", "messageType");
    let nothing = seq(&[&client.issuer_and_serial("ra-sig.crt").0, &seq(&[])]);
    refused(&send(&Draft::new(POLL, "1", nothing)), "4", "nothing waits");
    // Names, profiles and CAs.
    let other = client.csr("gw1.example.net", "DNS:other.example.net", &challenge(&peer));
    refused(&send(&Draft::new(REQUEST, "2", other)), "2", "other.example.net");
    let message = client.message(&Draft::new(REQUEST, "3", good()));
    refused(&client.send_to("/scep/other", &message), "2", "other");
    refused(&client.send_to("/scep/user", &message), "2", "profile");
    for (transaction, failure, word) in [
        ("1", "BadAlg", "triple DES"),
        ("1", "BadAlg", "SHA-1"),
        ("1", "BadAlg", "MD5"),
        ("1", "BadAlg", "P-256 key"),
        ("1", "BadMessageCheck", "no valid certificate of this registration authority"),
        ("1", "BadMessageCheck", "the padding is wrong"),
        ("1", "BadRequest", "messageType"),
        ("1", "BadCertId", "nothing waits"),
        ("2", "BadRequest", "other.example.net"),
        ("3", "BadRequest", "is for the CA `issuing`, not `other`"),
        ("3", "BadRequest", "is for the profile `gateway`, not `user`"),
    ] {
        logged(&instance, &[&format!("transaction={transaction} "), failure, word]);
    }
    // Octets that are no message.
    for (octets, status, word) in [
        (&b""[..], 400, "no pkiMessage"),
        (b"hello", 400, "no pkiMessage"),
        (&message[..message.len() - 1], 400, "cut off"),
        (&[0x30, 0x80].repeat(100), 400, "nesting"),
        (&vec![0x30; 200_000], 413, "octets"),
    ] {
        let answer = instance.http("POST", "/scep?operation=PKIOperation", "", octets).unwrap();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!((answer.status, text.contains(word)), (status, true), "{text}");
        if status == 400 {
            logged(&instance, &["unreadable", word]);
        }
    }
    logged(&instance, &["not read: 413"]);
    for (method, path, status) in [
        ("GET", "/scep?operation=PKIOperation&message=!", 400),
        ("GET", "/scep?operation=Nothing", 400),
        ("GET", "/scep/nowhere?operation=GetCACert", 404),
        ("PUT", "/scep?operation=GetCACert", 405),
        ("GET", "/scep?operation=GetNextCACert", 404),
    ] {
        assert_eq!(instance.http(method, path, "", &[]).unwrap().status, status, "{path}");
    }
    for word in ["base64", "found `Nothing`", "no issuing CA `nowhere`"] {
        logged(&instance, &["not read", word]);
    }
    // Secrets: a wrong one, an unknown reference and a locked one look alike.
    let wrong =
        client.csr("gw1.example.net", "DNS:gw1.example.net", &format!("{}:wrong", peer.reference));
    let wrong = send(&Draft::new(REQUEST, "4", wrong));
    refused(&wrong, "1", "wrong secret");
    let unknown = client.csr("gw1.example.net", "DNS:gw1.example.net", "nobody:wrong");
    assert_eq!(send(&Draft::new(REQUEST, "4", unknown)).text, wrong.text);
    let log = instance.log();
    for word in ["triple DES", "badAlg", "client=127.0.0.1", "wrong secret", "the padding is wrong"]
    {
        assert!(log.to_lowercase().contains(&word.to_lowercase()), "{word}: {log}");
    }
    assert!(!log.contains(&peer.secret), "a secret in the log");
    // And the server goes on.
    assert_eq!(client.certificates(&send(&Draft::new(REQUEST, "5", good()))).len(), 1);
    let bad = format!("{}:wrong", peer.reference);
    for _ in 0..3 {
        let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &bad);
        refused(&send(&Draft::new(REQUEST, "6", csr)), "1", "wrong secret");
    }
    refused(&send(&Draft::new(REQUEST, "7", good())), "1", "wrong secret");
    assert!(instance.log().contains("the reference is locked"));
}

#[test]
fn what_finds_nothing_has_one_answer_whatever_its_content_decrypts_to() {
    let instance = site();
    let client = Client::rsa(&instance, "gw1");
    let (issuer, serial) = client.issuer_and_serial("ra-sig.crt");
    let (own, own_serial) = client.issuer_and_serial("gw1.crt");
    for kind in [POLL, GET_CERT, GET_CRL] {
        let (unknown, trailing, inside) = match kind {
            POLL => (seq(&[&own, &own]), seq(&[&issuer, &own]), seq(&[&issuer, &own, &[5, 0]])),
            _ => (
                seq(&[&own, &own_serial]),
                seq(&[&issuer, &serial]),
                seq(&[&issuer, &serial, &[5, 0]]),
            ),
        };
        let good = Draft::new(kind, "1", unknown.clone());
        let expected = client.send(&client.message(&good));
        assert_eq!(expected.fail_info.as_deref(), Some("4"), "{kind}: {:?}", expected.text);
        let mut others = vec![client.send(&tampered(&client, &good))];
        let trailing = [trailing, vec![5, 0]].concat();
        for content in [b"nothing".to_vec(), Vec::new(), vec![0x30, 0x80], trailing, inside] {
            others.push(client.send(&client.message(&Draft::new(kind, "1", content))));
        }
        if kind == GET_CERT {
            let absent = seq(&[&issuer, &[2, 1, 1]]);
            others.push(client.send(&client.message(&Draft::new(kind, "1", absent))));
            let impossible = seq(&[&issuer, &[2, 1, 0]]);
            others.push(client.send(&client.message(&Draft::new(kind, "1", impossible))));
        }
        for answer in others {
            assert_eq!(
                (&answer.fail_info, &answer.text),
                (&expected.fail_info, &expected.text),
                "{kind}"
            );
        }
    }
    assert!(instance.log().contains("the padding is wrong"), "the log says it: {}", instance.log());
}

#[test]
fn an_envelope_that_another_signs_anew_is_refused() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let other = instance.peer("gw2", &["fqdn:gw2.example.net"]);
    let client = Client::rsa(&instance, "gw1");
    let csr = |client: &Client<'_>, challenge: &str| {
        client.csr("gw1.example.net", "DNS:gw1.example.net", challenge)
    };
    let message = client.message(&Draft::new(REQUEST, "A1", csr(&client, &challenge(&peer))));
    let enveloped = fs::read(instance.file("enveloped")).unwrap();
    // By a certificate that the thief made.
    let thief = Client::rsa(&instance, "thief");
    let stolen = thief.signed(&Draft::new(REQUEST, "A1", Vec::new()), &enveloped);
    refused(&thief.send(&stolen), "1", "not signed with the key");
    // By a revoked certificate of another account.
    let thief = Client::rsa(&instance, "gw2");
    let own = thief.csr("gw2.example.net", "DNS:gw2.example.net", &challenge(&other));
    thief.enrol("B1", own);
    let serial = instance.certificates("gw2")[0]["serial"].as_str().unwrap().to_owned();
    instance.ok(&["cert", "revoke", &serial]);
    let stolen = thief.signed(&Draft::new(REQUEST, "A1", Vec::new()), &enveloped);
    refused(&thief.send(&stolen), "1", "not signed with the key");
    assert!(instance.certificates("gw1").is_empty());
    let certificates = client.certificates(&client.send(&message));
    // A revoked certificate of the same account may sign a request for a new key with the secret.
    fs::write(instance.file("issued.der"), &certificates[0]).unwrap();
    client.openssl("x509 -inform DER -in issued.der -out NAME.crt");
    let serial = instance.certificates("gw1")[0]["serial"].as_str().unwrap().to_owned();
    instance.ok(&["cert", "revoke", &serial]);
    let next = csr(&Client::rsa(&instance, "next"), &challenge(&peer));
    client.certificates(&client.send(&client.message(&Draft::new(REQUEST, "A2", next))));
    assert_eq!(instance.certificates("gw1").len(), 2);
}

#[test]
fn a_certificate_that_awaits_its_confirmation_renews_nothing() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let client = Client::rsa(&instance, "gw1");
    let unconfirmed = ["-disable_confirm"];
    common::openssl::enrol(&instance, &peer, "gw1.key", &unconfirmed).granted();
    assert_eq!(instance.certificates("gw1")[0]["status"], "unconfirmed");
    for kind in [RENEWAL, REQUEST] {
        let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", "");
        let renewal = client.send(&client.message(&Draft::new(kind, "A1", csr)));
        refused(&renewal, "1", "awaits its confirmation");
    }
    assert_eq!(instance.certificates("gw1").len(), 1);
}

#[test]
fn a_new_secret_ends_the_polls_of_the_old_one() {
    let instance = Instance::start_with_profile(&[ENABLED], APPROVAL);
    fetch_certificates(&instance, "/scep");
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let client = Client::rsa(&instance, "gw1");
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let message = client.message(&Draft::new(REQUEST, "A1", csr));
    assert_eq!(client.send(&message).status, "3", "pending");
    let content = seq(&[&client.issuer_and_serial("ra-sig.crt").0, &seq(&[])]);
    let poll = client.message(&Draft::new(POLL, "A1", content.clone()));
    assert_eq!(client.send(&poll).status, "3", "pending");
    // What the content of a poll decrypts to does not matter.
    let draft = Draft::new(POLL, "A1", content);
    assert_eq!(client.send(&tampered(&client, &draft)).status, "3", "pending");
    instance.json(&["peer", "reset-secret", "gw1"]);
    refused(&client.send(&poll), "2", "removed or replaced");
    let list = instance.json(&["request", "list"]);
    instance.ok(&["request", "approve", list[0]["id"].as_str().unwrap()]);
    refused(&client.send(&poll), "2", "removed or replaced");
    refused(&client.send(&message), "1", "wrong secret");
    assert!(instance.certificates("gw1").is_empty());
}

#[test]
fn micromdms_client_learns_that_its_algorithms_are_too_old() {
    let instance = rsa_site();
    let run = Command::new("scepclient")
        .args([
            "-server-url",
            &format!("http://{}/scep", instance.address),
            "-challenge",
            "x",
            "-cn",
            "gw1",
        ])
        .args(["-private-key", "old.key", "-certificate", "old.crt"])
        .current_dir(instance.file("."))
        .stdin(Stdio::null())
        .output()
        .expect("this test needs the package `scep`: run `make deps`");
    let text = [run.stdout, run.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("badAlg"), "{text}\n{}", instance.log());
    let log = instance.log();
    assert!(log.contains("SHA-1") && log.contains("scepclient 2.1.0"), "{log}");
}
#[test]
fn octets_that_are_no_message_make_no_delegate() {
    let mut instance = Instance::start_with(&[ENABLED]);
    instance.stop();
    instance.ok(&["ca", "add", "other", "--subject", "CN=Other issuing CA"]);
    instance.serve();
    let answer = instance.http("POST", "/scep/other?operation=PKIOperation", "", b"hello").unwrap();
    assert_eq!(answer.status, 400);
    let key = instance.data().join("keys/other.scep-enc.key");
    assert!(!key.exists(), "a stranger had keys made");
    fetch_certificates(&instance, "/scep/other");
    assert!(key.exists(), "the file has this name");
}

#[test]
fn a_rejected_request_says_why_to_each_who_asks_again() {
    let instance = Instance::start_with_profile(&[ENABLED], APPROVAL);
    fetch_certificates(&instance, "/scep");
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let client = Client::rsa(&instance, "gw1");
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let message = client.message(&Draft::new(REQUEST, "A1", csr));
    assert_eq!(client.send(&message).status, "3", "pending");
    let list = instance.json(&["request", "list"]);
    let id = list[0]["id"].as_str().unwrap().to_owned();
    instance.ok(&["request", "reject", &id, "--reason", "call first"]);
    let content = seq(&[&client.issuer_and_serial("ra-sig.crt").0, &seq(&[])]);
    let poll = client.message(&Draft::new(POLL, "A1", content));
    for message in [&poll, &message] {
        refused(&client.send(message), "2", "rejected the request: call first");
    }
    logged(&instance, &["kind=\"CertPoll\"", "BadRequest", "call first"]);
    assert!(instance.certificates("gw1").is_empty());
    // Another request is decided by itself.
    let next = Client::rsa(&instance, "next");
    let csr = next.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    assert_eq!(next.send(&next.message(&Draft::new(REQUEST, "B1", csr))).status, "3", "pending");
}

#[test]
fn a_poll_finds_nothing_once_the_account_is_gone() {
    let instance = Instance::start_with_profile(&[ENABLED], APPROVAL);
    fetch_certificates(&instance, "/scep");
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let client = Client::rsa(&instance, "gw1");
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let message = client.message(&Draft::new(REQUEST, "A1", csr));
    assert_eq!(client.send(&message).status, "3", "pending");
    let list = instance.json(&["request", "list"]);
    instance.ok(&["request", "approve", list[0]["id"].as_str().unwrap()]);
    instance.ok(&["peer", "remove", "gw1"]);
    let content = seq(&[&client.issuer_and_serial("ra-sig.crt").0, &seq(&[])]);
    let poll = client.message(&Draft::new(POLL, "A1", content));
    refused(&client.send(&poll), "4", "nothing waits");
    refused(&client.send(&message), "1", "wrong secret");
    // An account that has the name later has nothing of it.
    let later = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    refused(&client.send(&poll), "4", "nothing waits");
    logged(&instance, &["kind=\"CertPoll\"", "BadCertId", "nothing waits"]);
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&later));
    assert_eq!(client.send(&client.message(&Draft::new(REQUEST, "A2", csr))).status, "3");
    assert!(instance.certificates("gw1").is_empty());
}

#[test]
fn what_is_encrypted_for_a_certificate_that_ended_is_refused_and_the_next_one_serves() {
    let mut instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let client = Client::rsa(&instance, "gw1");
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    client.enrol("A1", csr);
    let name = client.name.clone();
    drop(client);
    // The certificates of the registration authority end after two years.
    instance.stop();
    let accepted = at_another_time("+740d", COUNTERSIGN)
        .args(["store", "accept-clock", "--data"])
        .arg(instance.data())
        .status();
    assert!(accepted.unwrap().success());
    instance.serve_with(at_another_time("+740d", COUNTERSIGN));
    let later = openssl(&instance, "x509 -in ra-enc.crt -noout -enddate");
    let client = Client { instance: &instance, name };
    let (path, then) = ("/scep?operation=PKIOperation", " -no_check_time");
    let send = |message: &[u8]| {
        let answer = instance.http("POST", path, "", message).unwrap();
        common::scep::read_at(&instance, &answer, then)
    };
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", "");
    let stale = client.message(&Draft::new(RENEWAL, "A2", csr.clone()));
    refused(&send(&stale), "1", "no valid certificate");
    logged(&instance, &["kind=\"RenewalReq\"", "BadMessageCheck", "GetCACert"]);
    // The client fetches the certificates again, and learns that its own has ended, too.
    fetch_certificates(&instance, "/scep");
    assert_ne!(openssl(&instance, "x509 -in ra-enc.crt -noout -enddate"), later);
    let late = send(&client.message(&Draft::new(RENEWAL, "A3", csr)));
    refused(&late, "1", "enrol again");
    logged(&instance, &["kind=\"RenewalReq\"", "enrol again"]);
    let peer = instance.peer("gw2", &["fqdn:gw2.example.net"]);
    let fresh = Client::rsa(&instance, "fresh");
    let csr = fresh.csr("gw2.example.net", "DNS:gw2.example.net", &challenge(&peer));
    let issued = send(&fresh.message(&Draft::new(REQUEST, "B1", csr)));
    assert_eq!(fresh.certificates(&issued).len(), 1);
}

#[test]
fn an_envelope_that_is_cut_off_deep_or_damaged_is_refused() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let client = Client::rsa(&instance, "gw1");
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let draft = Draft::new(REQUEST, "A1", csr);
    let message = client.message(&draft);
    let enveloped = fs::read(instance.file("enveloped")).unwrap();
    // The signature is right each time: only what it covers is wrong.
    for (number, (content, word)) in [
        (enveloped[..enveloped.len() - 1].to_vec(), "cut off"),
        (Vec::new(), "cut off"),
        (b"hello".to_vec(), "cut off"),
        ([0x30, 0x80].repeat(100), "nesting"),
        ([&enveloped[..], &[5, 0]].concat(), "behind"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("damaged{number}");
        let draft = Draft { id: &id, ..Draft::new(REQUEST, "", Vec::new()) };
        refused(&client.send(&client.signed(&draft, &content)), "2", word);
        logged(&instance, &[&format!("transaction={id}"), "BadRequest", word]);
    }
    // A content that was changed after its signature was made.
    let mut damaged = message.clone();
    let place = damaged.windows(enveloped.len()).position(|window| window == enveloped).unwrap();
    damaged[place + enveloped.len() - 1] ^= 1;
    refused(&client.send(&damaged), "1", "messageDigest");
    logged(&instance, &["BadMessageCheck", "messageDigest"]);
    assert!(instance.certificates("gw1").is_empty());
    assert_eq!(client.certificates(&client.send(&message)).len(), 1, "the server goes on");
}
