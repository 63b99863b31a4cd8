//! Registration authorities (RFC 9483 §5). They add protection, send batches, replace protection, vouch for keys and revoke for others. The
//! tests' own encoder nests real messages of `openssl cmp`. A peer that is no registration authority is refused, as is one that exceeds
//! its rights, and nothing is issued.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use common::cmp::{
    Answer, CCR, CERT_CONF, CP, CR, CRL_REASON, CertId, CertReqMsg, CertRequest, Draft, ERROR,
    Holder, IP, IR, KUP, KUR, Key, OLD_CERT_ID, PKICONF, RP, RR, any, confirmation, cross_template,
    enrolled, exchange, from_now, implicit, name, named, octets, oid, plain_request, proven,
    request, request_with, revocation, sequence,
};
use common::nested::{
    NESTED, P10CR, around, batch, between, body, header, inside, registrar, registrar_of, vouched,
    vouched_for, with_original,
};
use common::openssl::{self, by_secret, cmp, enrol, key};
use common::{Instance, Peer};
use der::asn1::{Any, BitString, OctetString};
use der::{Decode, Encode};
use serde_json::Value;
use spki::AlgorithmIdentifierOwned;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// An instance with a registration authority and a peer.
struct Site {
    instance: Instance,
    peer: Peer,
    ra: Holder,
}

impl Site {
    fn start() -> Self {
        let instance = Instance::start();
        let peer = instance.peer("gw1", &["fqdn:gw1.example.net", "ip:192.0.2.1"]);
        let ra = registrar(&instance, "ra1");
        Self { instance, peer, ra }
    }

    fn send(&self, message: &[u8]) -> Answer {
        exchange(&self.instance, message)
    }

    /// An ir as `openssl cmp` makes it.
    fn ir(&self, peer: &Peer, extra: &[&str]) -> Vec<u8> {
        key(&self.instance, "p256", "ir.key");
        let secret = by_secret(peer);
        let mut arguments = vec!["-cmd", "ir", "-newkey", "ir.key"];
        arguments.extend(secret.iter().map(String::as_str));
        arguments.extend(extra);
        openssl::request(&self.instance, &arguments)
    }

    /// The status of each certificate of an account, oldest first.
    fn statuses(&self, account: &str) -> Vec<String> {
        let all = self.instance.certificates(account);
        all.iter().map(|one| one["status"].as_str().expect("a status").to_owned()).collect()
    }

    #[track_caller]
    fn refused(&self, message: &[u8], failure: &str) -> Answer {
        refused(self.send(message), failure)
    }

    /// The journal's entries of a kind.
    fn entries(&self, kind: &str) -> Vec<Value> {
        let text = self.instance.ok(&["audit", "export"]);
        let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        entries.filter(|entry| entry["kind"] == kind).collect()
    }

    /// Asserts that the peer has no certificate, and that an honest request is still granted.
    #[track_caller]
    fn nothing_was_issued(&self) {
        assert_eq!(self.statuses("gw1"), [""; 0]);
        enrolled(&self.instance, &self.peer);
        self.instance.ok(&["audit", "verify"]);
    }
}

#[track_caller]
fn refused(answer: Answer, failure: &str) -> Answer {
    let status = answer.status().unwrap_or_else(|| panic!("no refusal but body {}", answer.kind));
    assert_eq!((status.status, status.failures()), (2, vec![failure]), "{}", status.words());
    answer
}

/// An ir by a secret, and its key.
fn ir_of(peer: &Peer) -> (Key, Vec<u8>) {
    let key = Key::new();
    let message = Draft::new(IR, request(&key)).implicit().by_secret(peer);
    (key, message)
}

#[test]
fn openssl_enrols_renews_and_revokes_through_an_authority_that_adds_its_protection() {
    let mut site = Site::start();
    let server = site.instance.address.clone();
    let ra = Holder { certificate: site.ra.certificate.clone(), key: Key::new() };
    let ra = std::mem::replace(&mut site.ra, ra);
    site.instance.address = between(&server, move |message| around(message).by(&ra));

    key(&site.instance, "p256", "gw1.key");
    let run = enrol(&site.instance, &site.peer, "gw1.key", &["-subject", "/CN=gw1"]).granted();
    assert!(run.text.contains("received PKICONF"), "{}", run.text);
    key(&site.instance, "p384", "new.key");
    let signed = ["-cert", "gw1.crt", "-key", "gw1.key"];
    let kur = [&["-cmd", "kur", "-newkey", "new.key", "-certout", "new.crt"][..], &signed].concat();
    cmp(&site.instance, &kur).granted();
    let rr = ["-cmd", "rr", "-oldcert", "new.crt", "-cert", "new.crt", "-key", "new.key"];
    cmp(&site.instance, &rr).granted();
    // What the server refuses reaches the client as it is.
    cmp(&site.instance, &rr).refused(&["revoked"]);

    site.instance.address = server;
    assert_eq!(site.statuses("gw1"), ["valid", "revoked"]);
    let issued = site.entries("issued");
    let of_peer: Vec<&Value> = issued.iter().filter(|entry| entry["account"] == "gw1").collect();
    assert!(of_peer.iter().all(|entry| entry["transaction"]["registrar"] == "ra1"), "{of_peer:?}");
    assert_eq!(site.entries("revoked")[0]["transaction"]["registrar"], "ra1");
    site.instance.ok(&["audit", "verify"]);
}

#[test]
fn the_answer_to_added_protection_is_that_to_the_inner_message() {
    let site = Site::start();
    let ir = site.ir(&site.peer, &[]);
    let answer = site.send(&around(&ir).by(&site.ra));
    assert_eq!(answer.kind, IP);
    assert!(answer.header.transaction_id == header(&ir).transaction_id);
    assert!(answer.header.recip_nonce == header(&ir).sender_nonce);
    // Protected in kind: with the secret of the inner message. OpenSSL 3.0's MAC is HMAC-SHA1, which the encoder knows.
    assert!(answer.is_protected_by(&site.peer.secret));
    // Through the path of its own, too.
    let (_, ir) = ir_of(&site.peer);
    let path = "/.well-known/cmp/nested";
    let http = |message: &[u8]| {
        let sent = site.instance.http("POST", path, "application/pkixcmp", message).unwrap();
        Answer::read(&sent.body)
    };
    http(&around(&ir).by(&site.ra)).certificate();
    refused(http(&ir_of(&site.peer).1), "badRequest");
}

#[test]
fn what_is_wrong_with_added_protection_is_named() {
    let site = Site::start();
    let (_, ir) = ir_of(&site.peer);
    let other = Some(OctetString::new([7; 16].as_slice()).unwrap());
    let nonce = around(&ir).with(|header| header.sender_nonce = other.clone());
    site.refused(&nonce.by(&site.ra), "badSenderNonce");
    let transaction = around(&ir).with(|header| header.transaction_id = other.clone());
    site.refused(&transaction.by(&site.ra), "badRequest");
    let answered = around(&ir).with(|header| header.recip_nonce = other.clone());
    site.refused(&answered.by(&site.ra), "badRecipientNonce");
    let two = [ir.clone(), ir_of(&site.peer).1];
    let answered = batch(&two).with(|header| header.recip_nonce = other.clone());
    site.refused(&answered.by(&site.ra), "badRecipientNonce");
    let answer = site.refused(&around(&ir).by_secret(&site.peer), "wrongIntegrity");
    assert_eq!(answer.kind, ERROR);
    site.refused(&around(&ir).bytes(None), "badMessageCheck");
    site.refused(&around(&ir).from(&site.ra).signed(&Key::new()), "badMessageCheck");
    site.refused(&batch(&[]).by(&site.ra), "badRequest");
    site.refused(&Draft::new(NESTED, any(&7_u8).to_der().unwrap()).by(&site.ra), "badDataFormat");
    site.refused(&batch(&[any(&7_u8).to_der().unwrap()]).by(&site.ra), "badDataFormat");
    // The inner message still has to prove itself.
    let mut wrong = Peer { secret: "x".repeat(32), ..clone(&site.peer) };
    site.refused(&around(&ir_of(&wrong).1).by(&site.ra), "badMessageCheck");
    wrong.reference = "nobody".into();
    site.refused(&around(&ir_of(&wrong).1).by(&site.ra), "badMessageCheck");
    let bare = Draft::new(IR, request(&Key::new())).bytes(None);
    site.refused(&around(&bare).by(&site.ra), "badMessageCheck");
    site.nothing_was_issued();
}

fn clone(peer: &Peer) -> Peer {
    Peer { name: peer.name.clone(), reference: peer.reference.clone(), secret: peer.secret.clone() }
}

#[test]
fn who_is_no_registration_authority_sends_no_nested_message() {
    let site = Site::start();
    let gw2 = site.instance.peer("gw2", &["fqdn:gw2.example.net"]);
    let holder = enrolled(&site.instance, &gw2);
    let (_, ir) = ir_of(&site.peer);
    let answer = site.refused(&around(&ir).by(&holder), "notAuthorized");
    assert_eq!(answer.kind, ERROR);
    site.refused(&batch(std::slice::from_ref(&ir)).by(&holder), "notAuthorized");
    // A registration authority whose certificate is revoked, on hold, or whose account is gone.
    let serial = |holder: &Holder| {
        let tbs = holder.read().tbs_certificate;
        data_encoding::HEXLOWER.encode(tbs.serial_number.as_bytes())
    };
    site.instance.ok(&["cert", "hold", &serial(&site.ra)]);
    site.refused(&around(&ir).by(&site.ra), "signerNotTrusted");
    site.instance.ok(&["cert", "release", &serial(&site.ra)]);
    site.instance.ok(&["cert", "revoke", &serial(&site.ra)]);
    site.refused(&around(&ir).by(&site.ra), "certRevoked");
    let gone = registrar(&site.instance, "ra2");
    site.instance.ok(&["peer", "remove", "ra2"]);
    site.refused(&around(&ir).by(&gone), "signerNotTrusted");
    site.nothing_was_issued();
}

#[test]
fn a_batch_is_answered_message_by_message_in_its_order() {
    let site = Site::start();
    let gw2 = site.instance.peer("gw2", &["fqdn:gw2.example.net"]);
    let holder = enrolled(&site.instance, &gw2);
    let first = site.ir(&site.peer, &["-implicit_confirm"]);
    let names = site.ir(&gw2, &["-sans", "elsewhere.example.net"]);
    let cr = Draft::new(CR, request(&Key::new())).implicit().by(&holder);
    let unknown = Peer { secret: "y".repeat(32), ..clone(&gw2) };
    let wrong_mac = ir_of(&unknown).1;
    let added = around(&ir_of(&site.peer).1).by(&site.ra);
    let messages = [first, names, cr, wrong_mac, added];
    let sent = batch(&messages);
    let answer = site.send(&sent.by(&site.ra));

    assert!(answer.header.transaction_id == sent.header.transaction_id);
    assert!(answer.header.recip_nonce == sent.header.sender_nonce);
    assert_eq!(
        answer.header.protection_alg.as_ref().map(|a| a.oid),
        Some(oid("1.2.840.10045.4.3.2"))
    );
    let answers = inside(&answer);
    assert_eq!(answers.len(), messages.len());
    for (message, answer) in messages.iter().zip(&answers) {
        let request = header(message);
        assert!(answer.header.transaction_id == request.transaction_id);
        assert!(answer.header.recip_nonce == request.sender_nonce);
    }
    let [first, names, cr, wrong_mac, added] = answers.try_into().ok().expect("five answers");
    assert!(first.is_protected_by(&site.peer.secret));
    first.certificate();
    refused(names, "notAuthorized");
    assert_eq!(cr.kind, CP);
    cr.certificate();
    refused(wrong_mac, "badMessageCheck");
    added.certificate();
    assert_eq!(site.statuses("gw1"), ["valid", "valid"]);
    assert_eq!(site.statuses("gw2"), ["valid", "valid"]);

    // The same batch again: each transactionID is in use, but for the messages that were refused.
    let again = inside(&site.send(&batch(&messages).by(&site.ra)));
    let failures: Vec<_> = again.iter().map(|answer| answer.status().unwrap().failures()).collect();
    assert_eq!(failures[0], ["transactionIdInUse"]);
    assert_eq!(failures[2], ["transactionIdInUse"]);
    // One alone, in a transaction of the batch's own, is a batch of one.
    let alone = inside(&site.send(&batch(&[ir_of(&site.peer).1]).by(&site.ra)));
    alone[0].certificate();
    site.instance.ok(&["audit", "verify"]);
}

#[test]
fn a_batch_that_its_sender_should_have_checked_is_refused_as_a_whole() {
    let site = Site::start();
    let holder = enrolled(&site.instance, &site.instance.peer("gw2", &["fqdn:gw2.example.net"]));
    let good = ir_of(&site.peer).1;
    let forged = Draft::new(CR, request(&Key::new())).from(&holder).signed(&Key::new());
    let error = site.refused(&batch(&[good.clone(), forged]).by(&site.ra), "badMessageCheck");
    assert_eq!(error.kind, ERROR);
    let same = |change: fn(&mut common::cmp::Header, &common::cmp::Header)| {
        let template = header(&good);
        let draft = Draft::new(IR, request(&Key::new())).with(|header| change(header, &template));
        draft.by_secret(&site.peer)
    };
    let same_id = same(|header, other| header.transaction_id.clone_from(&other.transaction_id));
    let same_nonce = same(|header, other| header.sender_nonce.clone_from(&other.sender_nonce));
    site.refused(&batch(&[good.clone(), same_id]).by(&site.ra), "transactionIdInUse");
    site.refused(&batch(&[good.clone(), same_nonce]).by(&site.ra), "badSenderNonce");
    let two = [good.clone(), ir_of(&site.peer).1];
    let own_id = batch(&two).with(|h| h.transaction_id = header(&good).transaction_id);
    site.refused(&own_id.by(&site.ra), "transactionIdInUse");
    let own_nonce = batch(&two).with(|h| h.sender_nonce = header(&good).sender_nonce);
    site.refused(&own_nonce.by(&site.ra), "badSenderNonce");
    // More than a batch may hold, and more work than it may ask for.
    let many: Vec<Vec<u8>> = (0..33).map(|_| ir_of(&site.peer).1).collect();
    site.refused(&batch(&many).by(&site.ra), "badRequest");
    let costly: Vec<Vec<u8>> = (0..5)
        .map(|_| {
            let draft = Draft::new(IR, request(&Key::new())).of(&site.peer).with(|header| {
                let hash = common::cmp::SHA256;
                let mac = common::cmp::HMAC_SHA256;
                header.protection_alg = Some(common::cmp::pbm(&[1; 16], 2_000_000, hash, mac));
            });
            draft.bytes(Some(&[0; 32]))
        })
        .collect();
    site.refused(&batch(&costly).by(&site.ra), "badRequest");
    // A MAC over the key and the original message in a header are work, too.
    let costly =
        || common::cmp::pbm(&[1; 16], 2_000_000, common::cmp::SHA256, common::cmp::HMAC_SHA256);
    let over_keys: Vec<Vec<u8>> = (0..3)
        .map(|_| {
            let draft = Draft::new(IR, with_key_mac(&Key::new(), costly())).of(&site.peer);
            let draft = draft.with(|header| header.protection_alg = Some(costly()));
            draft.bytes(Some(&[0; 32]))
        })
        .collect();
    let originals: Vec<Vec<u8>> = (0..5)
        .map(|_| {
            let draft = Draft::new(IR, request(&Key::new())).of(&site.peer);
            let draft = draft.with(|header| header.protection_alg = Some(costly()));
            let outer = Draft::new(IR, vouched_for(&Key::new(), "CN=gw1"));
            with_original(outer, &[draft.bytes(Some(&[0; 32]))]).by(&site.ra)
        })
        .collect();
    let deeper: Vec<Vec<u8>> =
        originals.iter().map(|message| around(message).by(&site.ra)).collect();
    for messages in [over_keys, originals, deeper] {
        let answer = site.refused(&batch(&messages).by(&site.ra), "badRequest");
        let words = answer.status().unwrap().words();
        assert!(words.contains("iterations"), "{words}");
    }
    site.nothing_was_issued();
}

/// CertReqMessages whose poposkInput has a MAC over the key, which need not be right.
fn with_key_mac(key: &Key, mac: AlgorithmIdentifierOwned) -> Vec<u8> {
    let bits = || BitString::from_bytes(&[0; 32]).unwrap().to_der().unwrap();
    let value = sequence(&[mac.to_der().unwrap(), bits()]);
    let input = Any::from_der(&sequence(&[value, key.spki.to_der().unwrap()])).unwrap();
    let algorithm = common::cmp::algorithm(common::cmp::ECDSA_SHA256, None);
    let proof =
        sequence(&[implicit(0, input).to_der().unwrap(), algorithm.to_der().unwrap(), bits()]);
    let proof = Some(implicit(1, Any::from_der(&proof).unwrap()));
    let mut request = plain_request(key);
    request.template.subject = None;
    vec![CertReqMsg { request, proof }].to_der().unwrap()
}

#[test]
fn messages_are_not_nested_without_end() {
    let site = Site::start();
    // Two authorities, one behind the other: twice added protection is as deep as it goes.
    let second = registrar(&site.instance, "ra2");
    let (_, ir) = ir_of(&site.peer);
    let twice = around(&around(&ir).by(&site.ra)).by(&second);
    site.send(&twice).certificate();
    let (_, ir) = ir_of(&site.peer);
    let thrice = around(&around(&around(&ir).by(&site.ra)).by(&second)).by(&site.ra);
    site.refused(&thrice, "badRequest");
    // A batch in a batch is refused by itself, and the others are answered.
    let inner = batch(&[ir_of(&site.peer).1, ir_of(&site.peer).1]).by(&second);
    let answers = inside(&site.send(&batch(&[inner, ir_of(&site.peer).1]).by(&site.ra)));
    assert_eq!(answers[0].status().unwrap().failures(), ["badRequest"]);
    answers[1].certificate();
    // A hundred levels, and a thousand empty ones side by side, end before anything is looked at.
    let mut bomb = ir_of(&site.peer).1;
    for _ in 0..100 {
        bomb = batch(&[bomb]).bytes(Some(&[0; 64]));
    }
    site.refused(&bomb, "badDataFormat");
    let empty = vec![sequence(&[]); 1000];
    site.refused(&batch(&empty).by(&site.ra), "badRequest");
    assert_eq!(site.statuses("gw1"), ["valid", "valid"]);
    site.instance.ok(&["audit", "verify"]);
}

#[test]
fn a_registration_authority_vouches_for_the_key_of_an_account() {
    let site = Site::start();
    let key = Key::new();
    let draft = Draft::new(IR, vouched_for(&key, "CN=gw1.example.net"));
    let answer = site.send(&draft.by(&site.ra));
    assert_eq!(answer.kind, IP);
    let certificate = answer.certificate();
    assert_eq!(site.statuses("gw1"), ["unconfirmed"]);
    // It confirms what it asked for, with the same certificate and no other.
    let conf = Draft::after(&answer, CERT_CONF, confirmation(&certificate));
    let second = registrar(&site.instance, "ra2");
    site.refused(&conf.by(&second), "badRequest");
    assert_eq!(site.send(&conf.by(&site.ra)).kind, PKICONF);
    assert_eq!(site.statuses("gw1"), ["valid"]);
    let issued = site.entries("issued");
    let entry = issued.iter().find(|entry| entry["account"] == "gw1").expect("an entry");
    assert_eq!(entry["transaction"]["registrar"], "ra1");
    assert_eq!(entry["transaction"]["account"], "gw1");
    let log = site.instance.log();
    assert!(log.contains("registrar=ra1 account=gw1"), "{log}");

    // By the subjectAltName; as cr; and the peer itself goes on with what it got.
    let holder = Holder { key, certificate };
    let address = GeneralName::IpAddress(OctetString::new([192, 0, 2, 1].as_slice()).unwrap());
    let fresh = Key::new();
    let mut request = plain_request(&fresh);
    request.template.extensions = Some(vec![extension(&[address])]);
    let cr = Draft::new(CR, vouched(request)).implicit().by(&site.ra);
    site.send(&cr).certificate();
    let renewed = Key::new();
    let kur = Draft::new(KUR, common::cmp::request(&renewed)).implicit().by(&holder);
    let answer = site.send(&kur);
    assert_eq!(answer.kind, KUP);
    answer.certificate();

    site.instance.ok(&["audit", "verify"]);
}

#[test]
fn what_a_peer_vouches_for_itself_counts_nothing_under_added_protection() {
    let site = Site::start();
    let gw2 = site.instance.peer_with("gw2", &["fqdn:gw2.example.net"], &["--uses", "100"]);
    let holder = enrolled(&site.instance, &gw2);
    let own = |kind, account: &str| Draft::new(kind, vouched_for(&Key::new(), account)).implicit();
    // RFC 9810 §5.2.8.4: raVerified is not an end entity's decision, and the authority did not change the message.
    let ir = own(IR, "CN=gw1").by_secret(&site.peer);
    let answer = site.refused(&around(&ir).by(&site.ra), "notAuthorized");
    assert_eq!(answer.kind, IP);
    assert!(answer.is_protected_by(&site.peer.secret));
    let signed = [own(CR, "CN=gw2").by(&holder), own(KUR, "CN=gw2").by(&holder)];
    for message in signed {
        site.refused(&around(&message).by(&site.ra), "notAuthorized");
    }
    // Nor in a batch, nor where protection is added within one; the others are answered as ever.
    let nested = around(&own(IR, "CN=gw1").by_secret(&site.peer)).by(&site.ra);
    let bare = own(CR, "CN=gw2").by(&holder);
    let honest = Draft::new(CR, request(&Key::new())).implicit().by(&holder);
    let answers = inside(&site.send(&batch(&[nested, bare, honest]).by(&site.ra)));
    for answer in &answers[..2] {
        assert_eq!(answer.status().unwrap().failures(), ["notAuthorized"]);
    }
    answers[2].certificate();
    // What an authority says itself counts, be its own message passed on by another one.
    let ra2 = registrar(&site.instance, "ra2");
    let vouched = own(IR, "CN=gw1.example.net").by(&ra2);
    site.send(&around(&vouched).by(&site.ra)).certificate();
    assert_eq!(site.statuses("gw1"), ["valid"]);
    assert_eq!(site.statuses("gw2"), ["valid", "valid"], "the honest ones");
    site.instance.ok(&["audit", "verify"]);
}

/// A key update that a registration authority changed, with the peer's own message.
fn changed(kur: &Draft, peers: &[u8], body: Vec<u8>) -> Draft {
    let id = kur.header.transaction_id.clone();
    let draft = Draft::new(KUR, body).implicit().with(|header| header.transaction_id = id);
    with_original(draft, &[peers.to_vec()])
}

#[test]
fn a_changed_key_update_has_the_authoritys_word_and_the_peers_own_message() {
    let site = Site::start();
    let gw1 = enrolled(&site.instance, &site.peer);
    let gw2 = site.instance.peer_with("gw2", &["fqdn:gw2.example.net"], &["--uses", "100"]);
    let ask = |key: &Key| Draft::new(KUR, request(key));
    // The peer's message may say raVerified, too: what counts is the authority's word.
    let key = Key::new();
    let kur = Draft::new(KUR, vouched(plain_request(&key)));
    let statement = changed(&kur, &kur.by(&gw1), vouched(plain_request(&key)));
    let answer = site.send(&statement.by(&site.ra));
    assert_eq!(answer.kind, KUP);
    let renewed = Holder { key, certificate: answer.certificate() };
    let issued = site.entries("issued").pop().expect("an entry");
    assert_eq!(
        (&issued["account"], &issued["transaction"]["registrar"]),
        (&"gw1".into(), &"ra1".into())
    );
    assert_eq!(issued["replaces"], site.instance.certificates("gw1")[0]["serial"]);
    // Its own proof of possession goes with replaced protection. A peer may know nobody but its registration authority.
    let key = Key::new();
    let ra1 = site.ra.read().tbs_certificate.subject;
    let kur = ask(&key).with(|header| header.recipient = GeneralName::DirectoryName(ra1));
    site.send(&changed(&kur, &kur.by(&renewed), request(&key)).by(&site.ra)).certificate();
    assert_eq!(site.statuses("gw1"), ["valid"; 3]);

    // Without the peer's message, with another key, with one that the secret protects, of a certificate that is revoked, forged.
    let word = |key: &Key| vouched(plain_request(key));
    let key = Key::new();
    let kur = ask(&key);
    site.refused(&Draft::new(KUR, word(&key)).by(&site.ra), "badPOP");
    site.refused(&changed(&kur, &kur.by(&gw1), word(&Key::new())).by(&site.ra), "badPOP");
    let by_secret = Draft::new(IR, request(&key)).with(|header| {
        header.transaction_id.clone_from(&kur.header.transaction_id);
    });
    let by_secret = by_secret.by_secret(&site.peer);
    site.refused(&changed(&kur, &by_secret, word(&key)).by(&site.ra), "wrongIntegrity");
    let forged = kur.clone().from(&gw1).signed(&Key::new());
    site.refused(&changed(&kur, &forged, word(&key)).by(&site.ra), "badMessageCheck");
    let revoked = enrolled(&site.instance, &gw2);
    let serial = site.instance.certificates("gw2")[0]["serial"].as_str().unwrap().to_owned();
    site.instance.ok(&["cert", "revoke", &serial, "--reason", "superseded"]);
    site.refused(&changed(&kur, &kur.by(&revoked), word(&key)).by(&site.ra), "certRevoked");
    // What the authority kept of a peer, what has no time, and what was sent to somebody else.
    let stale = kur.clone().with(|header| header.message_time = Some(any(&from_now(-3600))));
    let answer = site.refused(&changed(&kur, &stale.by(&gw1), word(&key)).by(&site.ra), "badTime");
    let words = answer.status().unwrap().words();
    assert!(words.starts_with("the message in origPKIMessage: messageTime is"), "{words}");
    let timeless = kur.clone().with(|header| header.message_time = None);
    let timeless = changed(&kur, &timeless.by(&gw1), word(&key)).by(&site.ra);
    site.refused(&timeless, "missingTimeStamp");
    let elsewhere = kur.clone().with(|header| header.recipient = name("CN=Another CA"));
    let elsewhere = changed(&kur, &elsewhere.by(&gw1), word(&key)).by(&site.ra);
    site.refused(&elsewhere, "wrongAuthority");
    // It keeps the names, and another authority's peers are not its own.
    let wider = request_with(&key, |template| {
        let other = GeneralName::IpAddress(OctetString::new([192, 0, 2, 9].as_slice()).unwrap());
        template.extensions = Some(vec![extension(&[other])]);
    });
    site.refused(&changed(&kur, &kur.by(&gw1), wider).by(&site.ra), "notAuthorized");
    site.instance.ok(&["peer", "allow", "gw1", "--permission", "cross-certification"]);
    site.refused(&changed(&kur, &kur.by(&gw1), word(&key)).by(&site.ra), "notAuthorized");
    assert_eq!(site.statuses("gw1"), ["valid"; 3]);
    site.instance.ok(&["audit", "verify"]);
}

#[test]
fn a_key_update_is_not_changed_by_the_rules_of_rfc_9483_nor_where_it_waits() {
    let held = "[profiles.field]\nbase = \"gateway\"\napproval = true\n";
    for (rules, profile, failure) in
        [("profile = \"rfc9483\"", "gateway", "badRequest"), ("", "field", "notAuthorized")]
    {
        let instance = Instance::start_with_profile(&[("cmp", rules)], held);
        let flags = ["--profile", profile, "--uses", "9"];
        let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &flags);
        let ra = registrar(&instance, "ra1");
        let site = Site { instance, peer, ra };
        let key = Key::new();
        let ir = Draft::new(IR, request(&key)).implicit().by_secret(&site.peer);
        let first = site.send(&ir);
        let first = match profile {
            "field" => {
                let id = site.instance.json(&["request", "list"])[0]["id"].clone();
                site.instance.ok(&["request", "approve", id.as_str().unwrap()]);
                site.send(&common::nested::poll(&first, &[0]).by_secret(&site.peer))
            }
            _ => first,
        };
        let gw1 = Holder { key, certificate: first.certificate() };
        let key = Key::new();
        let kur = Draft::new(KUR, request(&key));
        let changed = changed(&kur, &kur.by(&gw1), vouched(plain_request(&key)));
        site.refused(&changed.by(&site.ra), failure);
        // As it is, it is passed on.
        let passed_on = site.send(&around(&kur.by(&gw1)).by(&site.ra));
        assert_eq!((passed_on.kind, passed_on.status().unwrap().failures().len()), (KUP, 0));
    }
}

/// A subjectAltName extension.
fn extension(names: &[GeneralName]) -> Extension {
    Extension {
        extn_id: oid("2.5.29.17"),
        critical: false,
        extn_value: OctetString::new(SubjectAltName(names.to_vec()).to_der().unwrap()).unwrap(),
    }
}

#[test]
fn the_proof_of_possession_of_a_real_client_goes_with_replaced_protection() {
    let site = Site::start();
    let ir = site.ir(&site.peer, &["-subject", "/CN=gw1.example.net"]);
    let replaced = Draft::new(IR, body(&ir)).implicit();
    site.send(&replaced.by(&site.ra)).certificate();
    key(&site.instance, "p256", "csr.key");
    let csr = ["req", "-new", "-key", "csr.key", "-subj", "/CN=gw1", "-out", "gw1.csr"];
    common::tool_ok("openssl", "openssl", &csr, &site.instance.file("."));
    let secret = by_secret(&site.peer);
    let mut arguments = vec!["-cmd", "p10cr", "-csr", "gw1.csr"];
    arguments.extend(secret.iter().map(String::as_str));
    let p10cr = openssl::request(&site.instance, &arguments);
    let answer = site.send(&Draft::new(P10CR, body(&p10cr)).implicit().by(&site.ra));
    assert_eq!(answer.kind, CP);
    answer.certificate();
    assert_eq!(site.statuses("gw1"), ["valid", "valid"]);
    // Its own certificates it asks for as before.
    let own = Draft::new(CR, request(&Key::new())).implicit().by(&site.ra);
    site.send(&own).certificate();
    let renewed = Draft::new(KUR, request(&Key::new())).implicit().by(&site.ra);
    site.send(&renewed).certificate();
    assert_eq!(site.statuses("ra1"), ["valid", "valid", "valid"]);
}

#[test]
fn nobody_vouches_for_more_than_is_his() {
    let mut instance = Instance::init(&[]);
    instance.ok(&["ca", "add", "second", "--subject", "CN=Second"]);
    instance.serve();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net", "ip:192.0.2.1"]);
    let ra = registrar_of(&instance, "ra1", &["--ca", "issuing"]);
    let site = Site { instance, peer, ra };
    let vouch = |subject: &str| Draft::new(IR, vouched_for(&Key::new(), subject)).implicit();
    // An end entity, with its secret or its certificate.
    site.refused(&vouch("CN=gw1").by_secret(&site.peer), "notAuthorized");
    let gw2 = site.instance.peer_with("gw2", &["fqdn:gw2.example.net"], &["--ca", "issuing"]);
    let holder = enrolled(&site.instance, &gw2);
    site.refused(&vouch("CN=gw1").by(&holder), "notAuthorized");
    site.refused(&vouch("CN=gw2").by(&holder), "notAuthorized");
    // In a batch nobody approves of anything.
    let own = vouch("CN=gw1").by_secret(&site.peer);
    let other = ir_of(&gw2).1;
    let answers = inside(&site.send(&batch(&[own, other]).by(&site.ra)));
    assert_eq!(answers[0].status().unwrap().failures(), ["notAuthorized"]);
    // An authority of another CA approves of nothing here; it may still pass a message on.
    let foreign = registrar_of(&site.instance, "ra5", &["--ca", "second"]);
    let own = vouch("CN=gw1").by_secret(&site.peer);
    site.refused(&around(&own).by(&foreign), "notAuthorized");
    // A registration authority with its secret, or for itself.
    let secret = site.instance.peer_with("ra9", &["fqdn:ra9.example.net"], &["--profile", "ra"]);
    site.refused(&vouch("CN=gw1").by_secret(&secret), "notAuthorized");
    for own in ["CN=ra1", "CN=ra1.example.net"] {
        site.refused(&vouch(own).by(&site.ra), "badPOP");
    }
    let nobody = Draft::new(IR, vouched(plain_request(&Key::new())));
    site.refused(&nobody.by(&site.ra), "badPOP");
    // Names of no account, of two accounts, more than an account's, of another authority, of another CA.
    site.refused(&vouch("CN=elsewhere.example.net").by(&site.ra), "notAuthorized");
    site.refused(&vouch("CN=gw1,DC=example").by(&site.ra), "notAuthorized");
    site.instance.peer("gw3", &["fqdn:shared.example.net"]);
    site.instance.peer("gw4", &["fqdn:shared.example.net"]);
    site.refused(&vouch("CN=shared.example.net").by(&site.ra), "notAuthorized");
    let dns = |name: &str| GeneralName::DnsName(der::asn1::Ia5String::new(name).expect("ASCII"));
    let mut two = plain_request(&Key::new());
    two.template.extensions =
        Some(vec![extension(&[dns("gw1.example.net"), dns("gw2.example.net")])]);
    site.refused(&Draft::new(IR, vouched(two)).by(&site.ra), "notAuthorized");
    registrar(&site.instance, "ra2");
    site.refused(&vouch("CN=ra2").by(&site.ra), "notAuthorized");
    site.instance.peer_with("gw5", &["fqdn:gw5.example.net"], &["--ca", "second"]);
    site.refused(&vouch("CN=gw5").by(&site.ra), "notAuthorized");
    // A key update keeps the protection by the certificate that it replaces.
    let (issuer, serial) = holder.id();
    let issuer = GeneralName::DirectoryName(issuer);
    let control =
        AttributeTypeAndValue { oid: oid(OLD_CERT_ID), value: any(&CertId { issuer, serial }) };
    let update =
        |key: &Key| CertRequest { controls: Some(vec![control.clone()]), ..plain_request(key) };
    site.refused(&Draft::new(KUR, vouched(update(&Key::new()))).by(&site.ra), "badPOP");
    let key = Key::new();
    let signed = vec![proven(&key, update(&key))].to_der().unwrap();
    site.refused(&Draft::new(KUR, signed).by(&site.ra), "badCertId");
    let forged = Draft::new(KUR, vouched(update(&Key::new()))).from(&holder).signed(&Key::new());
    site.refused(&around(&forged).by(&site.ra), "badMessageCheck");
    assert_eq!(site.statuses("gw2"), ["valid", "valid"], "the honest ones");
    site.nothing_was_issued();
}

/// A request for a certificate of a CA's key, signed with it.
fn ccr(instance: &Instance, ca: &str, key: &Key, subject: &str) -> Vec<u8> {
    let template = cross_template(instance, ca, key, subject);
    vec![proven(key, CertRequest { id: 0, template, controls: None })].to_der().unwrap()
}

#[test]
fn nobody_asks_for_an_account_that_may_have_cas_certified() {
    let site = Site::start();
    let ids = ["fqdn:partner.example", "dn:CN=Partner CA,O=Partner"];
    let flags = ["--allow", "cross-certification", "--uses", "9"];
    let partner = site.instance.peer_with("partner", &ids, &flags);
    // raVerified, by its names and by the message that was changed; a request that is signed with a key of the authority's own.
    for subject in ["CN=partner", "CN=partner.example", "CN=Partner CA,O=Partner"] {
        let vouched = Draft::new(IR, vouched_for(&Key::new(), subject)).implicit();
        site.refused(&vouched.by(&site.ra), "notAuthorized");
        let signed = request_with(&Key::new(), |template| {
            template.subject = Some(subject.parse().expect("a name"));
        });
        for kind in [IR, CR] {
            let signed = Draft::new(kind, signed.clone()).implicit();
            site.refused(&signed.by(&site.ra), "notAuthorized");
        }
    }
    let unnamed = Draft::new(IR, vouched(plain_request(&Key::new()))).implicit();
    let id = unnamed.header.transaction_id.clone();
    let original = Draft::new(IR, request(&Key::new())).with(|header| header.transaction_id = id);
    let message = original.by_secret(&partner);
    site.refused(&with_original(unnamed, &[message]).by(&site.ra), "notAuthorized");
    // Added protection vouches for no key, neither of a first certificate nor of a key update.
    let own = Draft::new(IR, vouched_for(&Key::new(), "CN=partner")).implicit();
    site.refused(&around(&own.by_secret(&partner)).by(&site.ra), "notAuthorized");
    assert_eq!(site.statuses("partner"), [""; 0]);
    let operator = enrolled(&site.instance, &partner);
    let update = Draft::new(KUR, vouched(plain_request(&Key::new()))).implicit();
    site.refused(&around(&update.by(&operator)).by(&site.ra), "notAuthorized");
    // It asks for itself, also through the authority.
    let key = Key::new();
    let cross =
        Draft::new(CCR, ccr(&site.instance, "root", &key, "CN=Partner CA,O=Partner")).implicit();
    site.send(&around(&cross.by(&operator)).by(&site.ra)).certificate();
    let renewed = Key::new();
    let update = Draft::new(KUR, request(&renewed)).implicit().by(&operator);
    let certificate = site.send(&update).certificate();
    let operator = Holder { key: renewed, certificate };
    let again =
        Draft::new(CCR, ccr(&site.instance, "root", &Key::new(), "CN=Partner CA,O=Partner"))
            .implicit();
    site.send(&again.by(&operator)).certificate();
    assert_eq!(site.statuses("partner"), ["valid"; 4]);
    site.instance.ok(&["audit", "verify"]);
}

#[test]
fn what_an_authority_asked_for_before_certifies_no_ca_later() {
    let site = Site::start();
    let ids = ["fqdn:late.example", "dn:CN=Late CA,O=Late"];
    let late = site.instance.peer_with("late", &ids, &[]);
    let key = Key::new();
    let vouched = Draft::new(IR, vouched_for(&key, "CN=late")).implicit();
    let certificate = site.send(&vouched.by(&site.ra)).certificate();
    let vouched = Holder { key, certificate };
    let certificates = ["late", "--permission", "cross-certification"];
    site.instance.ok(&[&["peer", "allow"][..], &certificates].concat());
    let ccr = || {
        Draft::new(CCR, ccr(&site.instance, "root", &Key::new(), "CN=Late CA,O=Late")).implicit()
    };
    let told = |holder: &Holder| {
        let words = site.refused(&ccr().by(holder), "notAuthorized").status().unwrap().words();
        assert!(words.contains("registration authority `ra1`"), "{words}");
    };
    told(&vouched);
    // Nor what was asked for with it, which nothing connects to the authority any more.
    for kind in [CR, KUR] {
        let key = Key::new();
        let draft = Draft::new(kind, request(&key)).implicit();
        let certificate = site.send(&draft.by(&vouched)).certificate();
        told(&Holder { key, certificate });
    }
    told(&enrolled(&site.instance, &late));
    assert_eq!(site.statuses("late"), ["valid"; 4]);
    site.instance.ok(&["audit", "verify"]);
}

#[test]
fn the_original_message_must_be_right_and_of_the_account_asked_for() {
    let site = Site::start();
    let gw2 = site.instance.peer("gw2", &["fqdn:gw2.example.net"]);
    let original = |peer: &Peer, draft: &Draft| {
        let key = Key::new();
        let id = draft.header.transaction_id.clone();
        Draft::new(IR, request(&key)).with(|header| header.transaction_id = id).by_secret(peer)
    };
    let draft = || Draft::new(IR, vouched_for(&Key::new(), "CN=gw1")).implicit();

    let wrong = draft();
    let forged = Peer { secret: "z".repeat(32), ..clone(&site.peer) };
    let message = original(&forged, &wrong);
    site.refused(&with_original(wrong, &[message]).by(&site.ra), "badMessageCheck");
    let other = draft();
    let message = original(&gw2, &other);
    site.refused(&with_original(other, &[message]).by(&site.ra), "notAuthorized");
    let twice = draft();
    let message = original(&site.peer, &twice);
    let both = [message.clone(), message.clone()];
    site.refused(&with_original(twice.clone(), &both).by(&site.ra), "badRequest");
    let again = with_original(with_original(twice.clone(), &both[..1]), &both[..1]);
    site.refused(&again.by(&site.ra), "badRequest");
    let elsewhere = draft();
    site.refused(&with_original(elsewhere, &[message]).by(&site.ra), "badRequest");
    site.refused(
        &with_original(draft(), &[octets(b"x").to_der().unwrap()]).by(&site.ra),
        "badDataFormat",
    );
    assert_eq!(site.statuses("gw1"), [""; 0]);

    let right = draft();
    let message = original(&site.peer, &right);
    site.send(&with_original(right, &[message]).by(&site.ra)).certificate();
    // It tells for whom the request is, where no name does.
    let unnamed = Draft::new(IR, vouched(plain_request(&Key::new()))).implicit();
    let message = original(&site.peer, &unnamed);
    site.send(&with_original(unnamed, &[message]).by(&site.ra)).certificate();
    assert_eq!(site.statuses("gw1"), ["valid", "valid"]);
    site.instance.ok(&["audit", "verify"]);
}

#[test]
fn a_registration_authority_revokes_for_the_accounts_of_its_ca() {
    let mut instance = Instance::init(&[]);
    instance.ok(&["ca", "add", "second", "--subject", "CN=Second"]);
    instance.serve();
    let peer =
        instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--ca", "issuing", "--uses", "9"]);
    let ra = registrar_of(&instance, "ra1", &["--ca", "issuing"]);
    let site = Site { instance, peer, ra };
    let holder = enrolled(&site.instance, &site.peer);
    let other = enrolled(&site.instance, &site.peer);
    let reason = |number: u8| Extension {
        extn_id: oid(CRL_REASON),
        critical: false,
        extn_value: OctetString::new([0x0a, 1, number].as_slice()).unwrap(),
    };
    let rr = |holder: &Holder, number: u8| {
        Draft::new(RR, revocation(named(holder), vec![reason(number)]))
    };
    // Reasons that are no peer's, certificates that are not its to revoke.
    site.refused(&rr(&holder, 2).by(&site.ra), "notAuthorized");
    site.refused(&rr(&holder, 8).by(&site.ra), "badCertId");
    let second = registrar(&site.instance, "ra2");
    site.refused(&rr(&second, 1).by(&site.ra), "badCertId");
    let elsewhere = site.instance.peer_with("gw5", &["fqdn:gw5.example.net"], &["--ca", "second"]);
    let elsewhere = enrolled(&site.instance, &elsewhere);
    site.refused(&rr(&elsewhere, 1).by(&site.ra), "badCertId");
    let gw2 = enrolled(&site.instance, &site.instance.peer("gw2", &["fqdn:gw2.example.net"]));
    site.refused(&rr(&holder, 1).by(&gw2), "badCertId");
    assert_eq!(site.statuses("gw1"), ["valid", "valid"]);

    let answer = site.send(&rr(&holder, 1).by(&site.ra));
    assert_eq!((answer.kind, answer.status().unwrap().status), (RP, 0));
    site.refused(&rr(&holder, 1).by(&site.ra), "certRevoked");
    // Also when the account is gone.
    site.instance.ok(&["peer", "remove", "gw1"]);
    assert_eq!(site.send(&rr(&other, 5).by(&site.ra)).status().unwrap().status, 0);
    assert_eq!(site.statuses("gw1"), ["revoked", "revoked"]);
    assert!(site.entries("revoked").iter().all(|entry| {
        entry["transaction"]["registrar"] == "ra1" && entry["transaction"]["account"] == "gw1"
    }));
    site.instance.ok(&["audit", "verify"]);
}

#[test]
fn a_registration_authority_revokes_no_cas_certificate() {
    // Where the issuing CA itself may certify others.
    let mut instance = Instance::init(&["--path-length", "1"]);
    instance.serve();
    let ids = ["fqdn:partner.example", "dn:CN=Partner CA,O=Partner"];
    let partner = instance.peer_with("partner", &ids, &["--allow", "cross-certification"]);
    let operator = enrolled(&instance, &partner);
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let ra = registrar(&instance, "ra1");
    let site = Site { instance, peer, ra };
    let key = Key::new();
    let cross = Draft::new(CCR, ccr(&site.instance, "issuing", &key, "CN=Partner CA,O=Partner"))
        .implicit()
        .by(&operator);
    let cross = Holder { key, certificate: site.send(&cross).certificate() };
    assert_eq!(site.instance.certificates("partner")[1]["ca"], "issuing");
    let rr = |holder: &Holder| Draft::new(RR, revocation(named(holder), Vec::new()));
    site.refused(&rr(&cross).by(&site.ra), "badCertId");
    assert_eq!(site.statuses("partner"), ["valid", "valid"]);
    // Its operator may, and the operator's own certificate is a peer's as any other.
    assert_eq!(site.send(&rr(&cross).by(&operator)).status().unwrap().status, 0);
    assert_eq!(site.send(&rr(&operator).by(&site.ra)).status().unwrap().status, 0);
    assert_eq!(site.statuses("partner"), ["revoked", "revoked"]);
}

#[test]
fn requests_and_answers_of_a_batch_stay_within_their_accounts() {
    // A certConf in a batch goes on with the transaction of the message before it.
    let site = Site::start();
    let key = Key::new();
    let ir = Draft::new(
        IR,
        request_with(&key, |template| {
            template.subject = Some("CN=gw1".parse().expect("a name"));
        }),
    );
    let answers = inside(&site.send(&batch(&[ir.by_secret(&site.peer)]).by(&site.ra)));
    let certificate = answers[0].certificate();
    let conf = Draft::after(&answers[0], CERT_CONF, confirmation(&certificate));
    let gw2 = site.instance.peer("gw2", &["fqdn:gw2.example.net"]);
    let foreign = inside(&site.send(&batch(&[conf.by_secret(&gw2)]).by(&site.ra)));
    assert_eq!(foreign[0].status().unwrap().failures(), ["badRequest"]);
    let right = inside(&site.send(&batch(&[conf.by_secret(&site.peer)]).by(&site.ra)));
    assert_eq!(right[0].kind, PKICONF);
    assert_eq!(site.statuses("gw1"), ["valid"]);
}
