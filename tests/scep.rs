//! SCEP (RFC 8894): strongSwan's `pki` enrols, renews and polls; a client of the tests' own, with OpenSSL's cryptography, does what `pki` cannot
//! and what no client should.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::process::{Child, Command, Output, Stdio};

use common::cms::openssl;
use common::der::seq;
use common::scep::{
    CertRep, Client, Draft, ENABLED, GET_CERT, GET_CRL, POLL, RENEWAL, REQUEST, fetch_certificates,
};
use common::{Instance, Peer, wait_for};

/// The profile of gateways, with approval.
const APPROVAL: &str = "[profiles.gateway]\napproval = true";

fn site() -> Instance {
    let instance = Instance::start_with(&[ENABLED]);
    fetch_certificates(&instance, "/scep");
    instance
}

/// An instance whose CAs have RSA keys: some clients verify no other signatures, or encrypt for every key that they see.
fn rsa_site() -> Instance {
    let mut instance = Instance::init(&["--algorithm", "rsa3072", "--root-algorithm", "rsa3072"]);
    let path = instance.data().join("countersign.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text.replacen("[scep]\n", "[scep]\nenabled = true\n", 1)).unwrap();
    instance.serve();
    fetch_certificates(&instance, "/scep");
    instance
}

/// The challengePassword that names its reference.
fn challenge(peer: &Peer) -> String {
    format!("{}:{}", peer.reference, peer.secret)
}

#[track_caller]
fn refused(answer: &CertRep, failure: &str, word: &str) {
    let text = answer.text.clone().unwrap_or_default();
    assert_eq!(
        (answer.status.as_str(), answer.fail_info.as_deref()),
        ("2", Some(failure)),
        "{text}"
    );
    assert!(text.contains(word), "{text}");
}

/// strongSwan's `pki`, which is started.
fn pki(instance: &Instance, arguments: &str) -> Child {
    Command::new("pki")
        .args(arguments.replace("URL", &format!("http://{}/scep", instance.address)).split(' '))
        .current_dir(instance.file("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test needs the package `strongswan-pki`: run `make deps`")
}

/// What `pki` printed; it must succeed if `well`.
#[track_caller]
fn ended(instance: &Instance, child: Child, well: bool) -> Output {
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), well, "{text}\n{}", instance.log());
    output
}

/// The names and the serial number of a certificate that `pki` printed, which is kept in a file.
#[track_caller]
fn kept(instance: &Instance, output: &Output, file: &str) -> String {
    fs::write(instance.file(file), &output.stdout).unwrap();
    openssl(instance, &format!("verify -CAfile data/keys/root.crt -untrusted above.crt {file}"));
    openssl(instance, &format!("x509 -in {file} -noout -serial -subject -ext subjectAltName"))
}

/// The arguments of `pki --scep` for `gw1`.
fn enrol(secret: &str, more: &str) -> String {
    format!(
        "--scep --url URL --in gw1.key --dn CN=gw1.example.net --san gw1.example.net --password {secret} --cacert-enc ra-enc.crt \
         --cacert-sig ra-sig.crt --cacert above.crt --cacert data/keys/root.crt --outform pem{more}"
    )
}

#[test]
fn strongswan_enrols_and_renews() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let fetched =
        pki(&instance, "--scepca --url URL --caout theirs-ca --raout theirs-ra --outform pem");
    ended(&instance, fetched, true);
    openssl(&instance, "genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out gw1.key");
    // The secret alone: the names belong to one account.
    let first = ended(&instance, pki(&instance, &enrol(&peer.secret, "")), true);
    let first = kept(&instance, &first, "gw1.crt");
    assert!(first.contains("DNS:gw1.example.net"), "{first}");
    openssl(
        &instance,
        "genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out gw1-next.key",
    );
    let renewal = enrol("stale", " --cert gw1.crt --key gw1.key")
        .replace("--in gw1.key", "--in gw1-next.key");
    let second = ended(&instance, pki(&instance, &renewal), true);
    let second = kept(&instance, &second, "gw1-next.crt");
    assert!(second.contains("DNS:gw1.example.net") && first != second, "{second}");
    assert_eq!(instance.certificates("gw1").len(), 2);
    let wrong = enrol("wrong", "").replace("gw1.key", "gw1-next.key");
    let refused = ended(&instance, pki(&instance, &wrong), false);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(text.contains("badMessageCheck"), "{text}");
}

#[test]
fn strongswan_polls_until_an_administrator_decides() {
    let instance = Instance::start_with_profile(&[ENABLED], APPROVAL);
    fetch_certificates(&instance, "/scep");
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    for (verdict, well) in [("approve", true), ("reject", false)] {
        openssl(
            &instance,
            "genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out gw1.key",
        );
        let child = pki(&instance, &enrol(&challenge(&peer), " --interval 1s --maxpolltime 100s"));
        let id = wait_for("a request", || {
            let list = instance.json(&["request", "list"]);
            let waits = list.as_array().unwrap().iter().find(|one| one["status"] == "waiting");
            waits.map(|one| one["id"].as_str().unwrap().to_owned())
        });
        instance.ok(&["request", verdict, &id]);
        let output = ended(&instance, child, well);
        if well {
            kept(&instance, &output, "gw1.crt");
        }
    }
    assert_eq!(instance.certificates("gw1").len(), 1);
}

#[test]
fn the_same_request_gets_the_same_certificate_also_after_a_restart() {
    let mut instance = site();
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "1"]);
    let client = Client::rsa(&instance, "gw1");
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let message = client.message(&Draft::new(REQUEST, "A1", csr.clone()));
    let first = client.send(&message);
    assert_eq!((first.id.as_str(), first.recipient_nonce.as_slice()), ("A1", &[7; 16][..]));
    let certificate = client.certificates(&first);
    assert_eq!(certificate.len(), 1, "the leaf alone");
    // The secret is used up, and the same octets, and the same request encrypted anew, still find their answer.
    assert_eq!(client.certificates(&client.send(&message)), certificate);
    let name = client.name.clone();
    drop(client);
    instance.kill();
    instance.serve();
    let client = Client { instance: &instance, name };
    let again = client.message(&Draft::new(REQUEST, "A1", csr));
    assert_eq!(client.certificates(&client.send(&again)), certificate);
    // Another request with the same key and transactionID does not bring the old certificate back.
    let other =
        client.csr("gw1.example.net", "DNS:gw1.example.net,DNS:gw1.example.net", &challenge(&peer));
    let other = client.send(&client.message(&Draft::new(REQUEST, "A1", other)));
    refused(&other, "2", "used up");
    assert_eq!(instance.certificates("gw1").len(), 1);
}

#[test]
fn a_certificate_of_ours_renews_by_either_type_and_no_name_is_added() {
    let instance = site();
    let peer = instance.peer_with(
        "gw1",
        &["fqdn:gw1.example.net", "fqdn:gw1.example.org"],
        &["--uses", "1"],
    );
    let client = Client::rsa(&instance, "gw1");
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let first = client.enrol("A1", csr);
    // With the same key, the same transactionID, and a stale challenge.
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let message = client.message(&Draft::new(REQUEST, "A1", csr.clone()));
    let second = client.certificates(&client.send(&message));
    assert_ne!(second[0], first);
    assert_eq!(client.certificates(&client.send(&message)), second, "the same once more");
    let third = client.send(&client.message(&Draft::new(RENEWAL, "A1", csr.clone())));
    assert_eq!(client.certificates(&third), second, "the same request in the other type");
    let wider = client.csr("gw1.example.net", "DNS:gw1.example.net,DNS:gw1.example.org", "");
    let wider = client.send(&client.message(&Draft::new(RENEWAL, "A2", wider)));
    refused(&wider, "2", "gw1.example.org");
    // A certificate that is none of ours renews nothing.
    let stranger = Client::rsa(&instance, "gw2");
    let csr = stranger.csr("gw1.example.net", "DNS:gw1.example.net", "");
    let unknown = stranger.send(&stranger.message(&Draft::new(RENEWAL, "B1", csr.clone())));
    refused(&unknown, "1", "was not issued here");
    let unknown = stranger.send(&stranger.message(&Draft::new(REQUEST, "B1", csr)));
    refused(&unknown, "1", "challengePassword");
    // A revoked one does not, either.
    let serial = instance.certificates("gw1")[0]["serial"].as_str().unwrap().to_owned();
    instance.ok(&["cert", "revoke", &serial]);
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", "");
    let revoked = client.send(&client.message(&Draft::new(RENEWAL, "A3", csr)));
    refused(&revoked, "1", "was revoked");
}

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
    }
    for (method, path, status) in [
        ("GET", "/scep?operation=PKIOperation&message=!", 400),
        ("GET", "/scep?operation=Nothing", 400),
        ("GET", "/scep/nowhere?operation=GetCACert", 404),
        ("PUT", "/scep?operation=GetCACert", 405),
        ("GET", "/scep?operation=GetNextCACert", 404),
    ] {
        assert_eq!(instance.http(method, path, "", &[]).unwrap().status, status, "{path}");
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

/// A message whose content has a wrong padding: an octet before the last block of its ciphertext was changed, so that the last octet of the
/// content is another.
#[track_caller]
fn tampered(client: &Client<'_>, draft: &Draft<'_>) -> Vec<u8> {
    assert!(!client.message(draft).is_empty());
    let mut enveloped = fs::read(client.instance.file("enveloped")).unwrap();
    let before_last = enveloped.len() - 17;
    enveloped[before_last] ^= 0x40;
    client.signed(draft, &enveloped)
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
fn one_account_does_not_take_every_place() {
    let settings = ("scep", "rsa_workers = 4");
    let instance = Instance::start_with(&[ENABLED, settings, ("cmp", "max_per_account = 1")]);
    fetch_certificates(&instance, "/scep");
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "1000"]);
    let client = Client::rsa(&instance, "gw1");
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    client.message(&Draft::new(REQUEST, "0", csr));
    let enveloped = fs::read(instance.file("enveloped")).unwrap();
    let (mut granted, mut busy) = (0, 0);
    for batch in 0.. {
        assert!(batch < 50, "nobody was told to wait");
        let messages: Vec<Vec<u8>> = (0..12)
            .map(|n| {
                let id = format!("{batch}-{n}");
                client.signed(&Draft::new(REQUEST, &id, Vec::new()), &enveloped)
            })
            .collect();
        let path = "/scep?operation=PKIOperation";
        std::thread::scope(|scope| {
            let sent = messages
                .iter()
                .map(|message| scope.spawn(|| instance.http("POST", path, "", message).unwrap()));
            for answer in sent.collect::<Vec<_>>() {
                match answer.join().unwrap().status {
                    200 => granted += 1,
                    503 => busy += 1,
                    other => panic!("HTTP {other}"),
                }
            }
        });
        if busy > 0 {
            break;
        }
    }
    assert_eq!(instance.certificates("gw1").len(), granted, "busy issues nothing");
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
fn requests_wait_in_their_transaction() {
    let instance = Instance::start_with_profile(&[ENABLED], APPROVAL);
    fetch_certificates(&instance, "/scep");
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let client = Client::rsa(&instance, "gw1");
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let message = client.message(&Draft::new(REQUEST, "A1", csr));
    for _ in 0..2 {
        assert_eq!(client.send(&message).status, "3", "pending");
    }
    let list = instance.json(&["request", "list"]);
    assert_eq!(list.as_array().unwrap().len(), 1, "once: {list}");
    let other =
        client.csr("gw1.example.net", "DNS:gw1.example.net,DNS:gw1.example.net", &challenge(&peer));
    refused(&client.send(&client.message(&Draft::new(REQUEST, "A1", other))), "2", "waits");
    let content = seq(&[&client.issuer_and_serial("ra-sig.crt").0, &seq(&[])]);
    let poll = client.message(&Draft::new(POLL, "A1", content.clone()));
    assert_eq!(client.send(&poll).status, "3", "pending");
    // Somebody else's poll with the same transactionID finds nothing.
    let stranger = Client::rsa(&instance, "gw2");
    let theirs = stranger.send(&stranger.message(&Draft::new(POLL, "A1", content)));
    refused(&theirs, "4", "nothing waits");
    instance.ok(&["request", "approve", list[0]["id"].as_str().unwrap()]);
    let issued = client.certificates(&client.send(&poll));
    // The answer may be lost: by the poll and by the request, it is the same again.
    assert_eq!(client.certificates(&client.send(&poll)), issued);
    assert_eq!(client.certificates(&client.send(&message)), issued);
    assert_eq!(instance.certificates("gw1").len(), 1);
}

#[test]
fn certificates_and_crls_are_looked_up() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let client = Client::rsa(&instance, "gw1");
    let own = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    let certificate = client.enrol("A1", own);
    let (issuer, serial) = client.issuer_and_serial("gw1.crt");
    let named = seq(&[&issuer, &serial]);
    let found = client.send(&client.message(&Draft::new(GET_CERT, "0", named.clone())));
    assert_eq!(client.certificates(&found), [certificate]);
    let absent = seq(&[&issuer, &[2, 1, 1]]);
    refused(
        &client.send(&client.message(&Draft::new(GET_CERT, "0", absent))),
        "4",
        "nothing that can be sent",
    );
    let crl = client.send(&client.message(&Draft::new(GET_CRL, "0", named)));
    let signed = client.opened(&crl);
    let crl = signed.part(0xa1).expect("a CRL").content;
    fs::write(instance.file("crl.der"), crl).unwrap();
    let text = openssl(&instance, "crl -inform DER -in crl.der -noout -issuer -CAfile above.crt");
    assert!(text.contains("issuing CA"), "{text}");
    let foreign = seq(&[&Client::rsa(&instance, "gw2").issuer_and_serial("gw2.crt").0, &[2, 1, 1]]);
    refused(&client.send(&client.message(&Draft::new(GET_CRL, "0", foreign))), "4", "nothing that");
}

#[test]
fn the_next_ca_is_announced_while_it_waits_and_then_answers() {
    let mut instance = site();
    let capabilities = |instance: &Instance| {
        let answer = instance.http("GET", "/scep?operation=GetCACaps&message=x", "", &[]).unwrap();
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        String::from_utf8(answer.body).unwrap()
    };
    let usual = capabilities(&instance);
    assert_eq!(usual, "AES\nSHA-256\nSHA-384\nSHA-512\nPOSTPKIOperation\nRenewal\nSCEPStandard\n");
    instance.stop();
    instance.ok(&["ca", "roll", "issuing", "--staged"]);
    instance.serve();
    assert_eq!(capabilities(&instance), format!("{usual}GetNextCACert\n"));
    let next = instance.http("GET", "/scep?operation=GetNextCACert", "", &[]).unwrap();
    assert_eq!(next.header("content-type"), Some("application/x-x509-next-ca-cert"));
    fs::write(instance.file("next.der"), &next.body).unwrap();
    openssl(
        &instance,
        "cms -verify -binary -inform DER -in next.der -CAfile trusted.crt -purpose any -out next.p7",
    );
    let printed = openssl(&instance, "pkcs7 -inform DER -in next.p7 -print_certs -noout");
    assert!(printed.contains("issuing CA"), "{printed}");
    // Once it is active, its own delegates answer, and the old ones still open what was encrypted for them.
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    instance.ok(&["ca", "activate", "issuing.2"]);
    let client = Client::rsa(&instance, "gw1");
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
    client.enrol("A1", csr);
    let issuer = client.openssl("x509 -in NAME.crt -noout -issuer");
    let before = client.issuer_and_serial("ra-enc.crt").0;
    fetch_certificates(&instance, "/scep");
    assert_ne!(client.issuer_and_serial("ra-enc.crt").0, before, "{issuer}");
    assert_eq!(client.issuer_and_serial("gw1.crt").0, client.issuer_and_serial("ra-enc.crt").0);
    let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", "");
    client.enrol("A2", csr);
    assert_eq!(capabilities(&instance), usual);
}

#[test]
fn without_its_line_scep_is_not_served_and_makes_no_certificates() {
    let instance = Instance::start();
    for path in ["/scep?operation=GetCACaps", "/cgi-bin/pkiclient.exe?operation=GetCACaps"] {
        assert_eq!(instance.http("GET", path, "", &[]).unwrap().status, 404);
    }
    assert!(!instance.data().join("keys/issuing.scep-enc.key").exists());
}

#[test]
fn a_message_comes_by_get_too_and_to_each_path() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let client = Client::rsa(&instance, "gw1");
    for (number, path) in [
        "/scep",
        "/scep/",
        "/scep/issuing",
        "/scep/gateway",
        "/scep/pkiclient.exe",
        "/scep/issuing/pkiclient.exe",
        "/cgi-bin/pkiclient.exe",
    ]
    .into_iter()
    .enumerate()
    {
        let csr = client.csr("gw1.example.net", "DNS:gw1.example.net", &challenge(&peer));
        let message = client.message(&Draft::new(REQUEST, &format!("A{number}"), csr));
        let posted = client.send_to(path, &message);
        let base64 = data_encoding::BASE64.encode(&message).replace('+', "%2B").replace('=', "%3D");
        let query = format!("{path}?operation=PKIOperation&message={base64}");
        let got = common::scep::read(&instance, &instance.http("GET", &query, "", &[]).unwrap());
        assert_eq!(client.certificates(&got), client.certificates(&posted), "{path}");
    }
    assert_eq!(instance.certificates("gw1").len(), 7);
}

#[test]
fn certmonger_enrols_resubmits_and_rekeys() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let script = format!(
        "/usr/lib/certmonger/certmonger-session -n >certmonger.log 2>&1 & daemon=$!\n\
         await() {{ for try in $(seq 600); do \"$@\" && return; sleep 0.2; done; getcert list -s; cat certmonger.log; kill $daemon; exit 1; }}\n\
         answers() {{ getcert list -s >/dev/null 2>&1; }}\n\
         issued() {{ getcert list -s -i r | grep -q 'status: MONITORING' && ! cmp -s cm.crt before.crt; }}\n\
         touch before.crt; await answers\n\
         getcert add-scep-ca -s -c c -u http://{}/scep || exit 1\n\
         getcert request -s -c c -I r -f $PWD/cm.crt -k $PWD/cm.key -N CN=gw1.example.net -D gw1.example.net -L {} || exit 1\n\
         await issued; cp cm.crt before.crt\n\
         getcert resubmit -s -i r || exit 1; await issued; cp cm.crt before.crt\n\
         getcert rekey -s -i r || exit 1; await issued\n\
         kill $daemon\n",
        instance.address,
        challenge(&peer)
    );
    let run = Command::new("dbus-run-session")
        .args(["--", "sh", "-c", &script])
        .env("HOME", instance.file("."))
        .current_dir(instance.file("."))
        .stdin(Stdio::null())
        .output()
        .expect("this test needs the packages `certmonger` and `dbus`: run `make deps`");
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{text}\n{}", instance.log());
    openssl(&instance, "verify -CAfile data/keys/root.crt -untrusted above.crt cm.crt");
    assert_eq!(instance.certificates("gw1").len(), 3);
}

#[test]
fn pyscep_enrols_asks_for_a_crl_and_reads_refusals() {
    let instance = rsa_site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let script = format!(
        "from scep.Client.client import Client\n\
         from scep.Client.signingrequest import SigningRequest\n\
         usage = {{'digital_signature', 'key_encipherment'}}\n\
         client = Client('http://{}/scep')\n\
         identity, key = SigningRequest.generate_self_signed(cn='gw1.example.net', key_usage=usage)\n\
         csr, _ = SigningRequest.generate_csr(cn='gw1.example.net', key_usage=usage, password='{}', private_key=key)\n\
         done = client.enrol(csr, identity, key)\n\
         print('enrolled', done.status, len(done.certificates))\n\
         open('py.crt', 'wb').write(done.certificates[0].to_der())\n\
         crl = client.get_crl(identity, key, 1)\n\
         print('crl', crl.status)\n\
         bad, _ = SigningRequest.generate_csr(cn='gw1.example.net', key_usage=usage, password='wrong', private_key=key)\n\
         print('refused', client.enrol(bad, identity, key).fail_info)\n",
        instance.address,
        challenge(&peer)
    );
    let python =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-pyscep/bin/python");
    let run = Command::new(&python)
        .args(["-c", &script])
        .current_dir(instance.file("."))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("`{}`: {e}; run `make deps`", python.display()));
    let text = String::from_utf8_lossy(&run.stdout);
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{text}{errors}\n{}", instance.log());
    for line in ["enrolled PKIStatus.SUCCESS 1", "crl PKIStatus.SUCCESS", "refused 1"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    openssl(&instance, "x509 -inform DER -in py.crt -out py.pem");
    openssl(&instance, "verify -CAfile data/keys/root.crt -untrusted above.crt py.pem");
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
