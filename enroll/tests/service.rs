//! The CMP server over a real authority: which messages are granted, which are refused and with which failInfo bit, and the records that
//! they leave.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod common;

use common::der::{self, CERT_CONF, ERROR, IP, Message, PKI_CONF, seq, tlv};
use common::*;
use countersign_ca::authority::LockSettings;
use countersign_ca::record::Reason;
use countersign_ca::x509::Facts;
use countersign_ca::{FileKey, KeyAlgorithm};
use countersign_enroll::cmp::{CmpConfig, Route, Rules, kind};

fn p256() -> FileKey {
    FileKey::generate(KeyAlgorithm::P256).unwrap()
}

/// An ir for this key, and its answer.
fn enrol(place: &Place, secret: &Secret, key: &FileKey) -> (Draft, Message) {
    let draft = place.draft(IR, &cert_request(&template(key, None), key, &[]));
    let answer = place.send(&draft.protected(secret));
    (draft, answer)
}

#[test]
fn an_enrolment_is_answered_in_kind_and_confirmed_after_a_restart() {
    let mut place = Place::new();
    for (name, form) in [("gw1", Form::Pbm), ("gw2", Form::Pbmac1)] {
        let secret = place.account(name, 1, None).by(form);
        let key = p256();
        let (draft, ip) = enrol(&place, &secret, &key);
        assert_eq!(ip.body.tag, IP, "{:?}", ip.refusal());
        assert!(
            secret.protects(&ip),
            "{form:?}: the same parameters, so that one derivation serves"
        );
        assert_eq!(
            ip.field(der::TRANSACTION_ID).unwrap().content,
            draft.transaction.clone().unwrap()
        );
        assert_eq!(ip.field(der::RECIP_NONCE).unwrap().content, draft.nonce.clone().unwrap());
        assert_eq!(ip.field(der::SENDER_NONCE).unwrap().content.len(), 16);
        let certificate = issued(&ip);
        assert_eq!(public_key(&certificate), *key.public());
        let parts = response(&ip);
        assert_eq!(
            (parts[0].content.as_slice(), parts[1].parts()[0].content.as_slice()),
            (&[0][..], &[0][..])
        );
        // caPubs has the root, and extraCerts the chain without it.
        let chain = place.authority().chain(None).unwrap().to_vec();
        let content = ip.body.parts().remove(0);
        assert_eq!(content.parts()[0].parts()[0].parts()[0].whole, chain[1]);
        assert_eq!(extra_certs(&ip), [chain[0].clone()]);
        // confirmWaitTime says until when the confirmation is awaited.
        let info = ip.field(0xa8).unwrap().parts().remove(0).parts();
        assert_eq!(info[0].content, [0x2b, 6, 1, 5, 5, 7, 4, 14]);
        assert_eq!(info[1].content, utc(START + 300).as_bytes());
        assert_eq!(place.statuses(name), ["unconfirmed"]);

        place = place.restarted();
        let conf = draft.next(&ip, CERT_CONF, &confirmation(&certificate, &[]));
        let answer = place.send(&conf.protected(&secret));
        assert_eq!(answer.body.tag, PKI_CONF, "{:?}", answer.refusal());
        assert!(secret.protects(&answer));
        assert_eq!(place.statuses(name), ["valid"]);
        let again = place.send(&conf.protected(&secret));
        refused(&again, ERROR, "certConfirmed");
        // The secret had one use, which is spent.
        let (_, ip) = enrol(&place, &secret, &p256());
        assert!(refused(&ip, IP, "notAuthorized").contains("used up"));
    }
}

#[test]
fn every_kind_of_key_signs_requests_and_answers_are_signed_with_the_chain() {
    let place = Place::new();
    for (name, algorithm) in [
        ("p256", KeyAlgorithm::P256),
        ("p384", KeyAlgorithm::P384),
        ("ed25519", KeyAlgorithm::Ed25519),
        ("rsa", KeyAlgorithm::Rsa3072),
    ] {
        let signer = place.enrolled(name, algorithm);
        let key = p256();
        let draft = place.draft(CR, &cert_request(&template(&key, None), &key, &[]));
        let cp = place.send(&draft.protected(&signer));
        assert_eq!(cp.body.tag, CP, "{name}: {:?}", cp.refusal());
        signed_by(&place, &cp, "first");
        // A peer with a certificate has a trust anchor already and gets none (RFC 9483 §4.1.2).
        assert_eq!(cp.body.parts()[0].parts()[0].tag, 0x30, "no caPubs");
        let conf = draft.next(&cp, CERT_CONF, &confirmation(&issued(&cp), &[]));
        let done = place.send(&conf.protected(&signer));
        assert_eq!(done.body.tag, PKI_CONF, "{:?}", done.refusal());
        signed_by(&place, &done, "first");
        assert_eq!(place.statuses(name), ["valid", "valid"]);
        // One bit of the signature is flipped.
        let mut wrong =
            place.draft(CR, &cert_request(&template(&key, None), &key, &[])).protected(&signer);
        let behind: usize = Message::read(&wrong).rest.iter().map(|part| part.whole.len()).sum();
        let at = wrong.len() - behind + 40;
        wrong[at] ^= 1;
        let answer = place.send(&wrong);
        signed_by(&place, &answer, "first");
        refused(&answer, ERROR, "badMessageCheck");
    }
}

#[test]
fn answers_come_from_the_ca_of_the_account() {
    let place = Place::new();
    let secret = place.account("gw2", 5, Some("second"));
    let key = p256();
    let (draft, ip) = enrol(&place, &secret, &key);
    let certificate = issued(&ip);
    let sender = |ca: &str| {
        let signer = place.authority().protection(Some(&label(ca))).unwrap();
        tlv(0xa4, &::der::Encode::to_der(signer.subject()).unwrap())
    };
    assert_eq!(ip.header.parts()[1].whole, sender("second"));
    assert_ne!(sender("first"), sender("second"));
    let conf = draft.next(&ip, CERT_CONF, &confirmation(&certificate, &[]));
    // The certificate is signed with SHA-384, so that certHash is computed with it, too (RFC 9810 §5.3.18).
    assert!(
        refused(&place.send(&conf.protected(&secret)), ERROR, "badCertId").contains("certHash")
    );
    let (draft, ip) = enrol(&place, &secret, &key);
    let hash = ring::digest::digest(&ring::digest::SHA384, &issued(&ip));
    let status = seq(&[&seq(&[&tlv(4, hash.as_ref()), &tlv(2, &[0])])]);
    let answer = place.send(&draft.next(&ip, CERT_CONF, &status).protected(&secret));
    assert_eq!(answer.body.tag, PKI_CONF, "{:?}", answer.refusal());
    let signer = Signer { key, certificates: vec![issued(&ip)] };
    let key = p256();
    let draft = place.draft(CR, &cert_request(&template(&key, None), &key, &[]));
    signed_by(&place, &place.send(&draft.protected(&signer)), "second");
    // An unknown peer is answered by the default CA, or by the CA that the path names.
    signed_by(&place, &place.send(b"garbage"), "first");
    let route = Route { ca: Some(label("second")), ..Route::default() };
    signed_by(&place, &place.send_to(&route, b"garbage"), "second");
}

#[test]
fn possession_is_proven_in_both_forms_and_in_no_other_way() {
    let place = Place::new();
    let secret = place.account("gw1", 100, None);
    let key = p256();
    let spki = key.public().der().to_vec();
    let without = request(&template(&key, None), &[]);
    let with = request(&template(&key, Some("gw1.example.net")), &[]);
    let sender = tlv(0xa4, &common_name("gw1.example.net"));
    let input = |auth: &[u8], spki: &[u8]| [auth, spki].concat();
    // POPOSigningKeyInput is signed as a SEQUENCE and sent in the tag [0].
    let by_input = |request: &[u8], content: &[u8], key: &FileKey| {
        let proof = proof(key, &tlv(0xa0, content), &tlv(0x30, content));
        seq(&[&seq(&[request, &proof])])
    };
    let by_sender = input(&tlv(0xa0, &sender), &spki);
    let mac = |secret: &Secret, over: &[u8]| {
        seq(&[&secret.algorithm(), &tlv(3, &[&[0], secret.mac(over).as_slice()].concat())])
    };
    let send = |body: &[u8]| {
        let draft = Draft { sender: sender.clone(), ..place.draft(IR, body) };
        place.send(&draft.protected(&secret))
    };
    for (what, body) in [
        ("over the request", seq(&[&seq(&[&with, &proof(&key, &[], &with)])])),
        (
            "over the request without subject",
            seq(&[&seq(&[&without, &proof(&key, &[], &without)])]),
        ),
        ("sender", by_input(&without, &by_sender, &key)),
        ("publicKeyMAC", by_input(&without, &input(&mac(&secret, &spki), &spki), &key)),
        ("PBMAC1", by_input(&without, &input(&mac(&secret.by(Form::Pbmac1), &spki), &spki), &key)),
    ] {
        let answer = send(&body);
        assert_eq!(answer.body.tag, IP, "{what}: {:?}", answer.refusal());
        assert!(answer.refusal().is_none(), "{what}: {:?}", answer.refusal());
    }
    let granted = place.certificates("gw1").len();
    assert_eq!(granted, 5);

    let other = p256();
    let other_spki = other.public().der().to_vec();
    let stranger = Secret { secret: "x".into(), ..secret.clone() };
    let other_sender = tlv(0xa4, &common_name("gw2.example.net"));
    for (word, body) in [
        ("missing", seq(&[&seq(&[&without])])),
        ("raVerified", seq(&[&seq(&[&without, &tlv(0x80, &[])])])),
        ("RSA keys only", seq(&[&seq(&[&without, &tlv(0xa2, &tlv(0x81, &[0]))])])),
        ("RSA keys only", seq(&[&seq(&[&without, &tlv(0xa3, &tlv(0x81, &[0]))])])),
        ("verify", seq(&[&seq(&[&with, &proof(&other, &[], &with)])])),
        ("verify", seq(&[&seq(&[&with, &proof(&key, &[], &without)])])),
        ("must be absent", by_input(&with, &by_sender, &key)),
        ("verify", by_input(&without, &by_sender, &other)),
        ("not the one", by_input(&without, &input(&tlv(0xa0, &sender), &other_spki), &key)),
        ("authInfo", by_input(&without, &input(&tlv(0xa0, &other_sender), &spki), &key)),
        ("authInfo", by_input(&without, &input(&mac(&stranger, &spki), &spki), &key)),
        ("authInfo", by_input(&without, &input(&mac(&secret, &other_spki), &spki), &key)),
    ] {
        let answer = send(&body);
        let bit = if word == "raVerified" { "notAuthorized" } else { "badPOP" };
        let text = refused(&answer, IP, bit);
        assert!(text.contains(word), "expected `{word}` in: {text}");
        assert!(secret.protects(&answer));
    }
    assert_eq!(place.certificates("gw1").len(), granted);
}

#[test]
fn a_pkcs_10_request_proves_itself() {
    let place = Place::new();
    let secret = place.account("gw1", 100, None);
    let key = p256();
    let csr = |version: u8, attributes: &[u8], signer: &FileKey| {
        let info = seq(&[
            &tlv(2, &[version]),
            &common_name("gw1.example.net"),
            key.public().der(),
            attributes,
        ]);
        let algorithm = ::der::Encode::to_der(&signer.signature_algorithm()).unwrap();
        let signature = rcgen::SigningKey::sign(signer, &info).unwrap();
        seq(&[&info, &algorithm, &tlv(3, &[&[0], signature.as_slice()].concat())])
    };
    let send = |body: &[u8]| place.send(&place.draft(P10CR, body).protected(&secret));
    let extensions = seq(&[&dns_names(&["gw1.example.net"])]);
    let attribute =
        seq(&[&tlv(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14]), &tlv(0x31, &extensions)]);
    let cp = send(&csr(0, &tlv(0xa0, &attribute), &key));
    assert_eq!(cp.body.tag, CP, "{:?}", cp.refusal());
    assert_eq!(response(&cp)[0].content, [0xff], "certReqId −1 (RFC 9483 §4.1.4)");
    assert_eq!(Facts::of(&issued(&cp)).unwrap().alt_names.len(), 1);
    assert!(send(&csr(0, &tlv(0xa0, &[]), &key)).refusal().is_none());

    let answer = send(&csr(0, &tlv(0xa0, &[]), &p256()));
    refused(&answer, CP, "badPOP");
    assert_eq!(response(&answer)[0].content, [0xff]);
    refused(&send(&csr(1, &tlv(0xa0, &[]), &key)), CP, "badCertTemplate");
    refused(&send(&csr(0, &tlv(0xa1, &[]), &key)), ERROR, "badDataFormat");
    refused(
        &send(&csr(0, &[&tlv(0xa0, &[])[..], &tlv(0xa0, &[])].concat(), &key)),
        ERROR,
        "badDataFormat",
    );
    assert_eq!(place.certificates("gw1").len(), 2);
}

#[test]
fn headers_are_judged_and_refused_under_the_secret() {
    let place = Place::with(CmpConfig { rules: Rules::Rfc9483, ..CmpConfig::default() });
    let secret = place.account("gw1", 100, None);
    let key = p256();
    let genuine = || place.draft(IR, &cert_request(&template(&key, None), &key, &[]));
    for (bit, draft) in [
        ("badDataFormat", Draft { transaction: None, ..genuine() }),
        ("badRequest", Draft { transaction: Some(vec![1; 15]), ..genuine() }),
        ("badRequest", Draft { transaction: Some(vec![1; 17]), ..genuine() }),
        ("badSenderNonce", Draft { nonce: None, ..genuine() }),
        ("badSenderNonce", Draft { nonce: Some(vec![1; 15]), ..genuine() }),
        ("badSenderNonce", Draft { nonce: Some(vec![1; 65]), ..genuine() }),
        ("missingTimeStamp", Draft { time: None, ..genuine() }),
        ("badTime", Draft { time: Some(START - 301), ..genuine() }),
        ("badTime", Draft { time: Some(START + 301), ..genuine() }),
        ("badTime", Draft { time: Some(0), ..genuine() }),
    ] {
        let answer = place.send(&draft.protected(&secret));
        refused(&answer, ERROR, bit);
        assert!(secret.protects(&answer), "{bit}: whoever has only the secret can read it");
        // A sender that is not authenticated learns no details.
        let wrong = Secret { secret: "wrong".into(), ..secret.clone() };
        let answer = place.send(&draft.protected(&wrong));
        refused(&answer, ERROR, "badMessageCheck");
        signed_by(&place, &answer, "first");
    }
    for version in [0, 1, 4, 127] {
        let answer = place.send(&Draft { pvno: version, ..genuine() }.protected(&secret));
        refused(&answer, ERROR, "unsupportedVersion");
        assert!(secret.protects(&answer));
        assert_eq!(answer.header.parts()[0].content, [2]);
    }
    // The refusal of a message without protection or reference, with an unknown reference, or with a wrong secret is signed.
    let stranger = Secret { reference: "nobody".into(), ..secret.clone() };
    let wrong = Secret { secret: "wrong".into(), ..secret.clone() };
    for (word, message) in [
        ("not protected", genuine().bare()),
        ("senderKID", Draft { kid: Some(Vec::new()), ..genuine() }.protected(&secret)),
        ("unknown reference", genuine().protected(&stranger)),
        ("wrong secret", genuine().protected(&wrong)),
    ] {
        let answer = place.send(&message);
        assert!(refused(&answer, ERROR, "badMessageCheck").contains(word));
        signed_by(&place, &answer, "first");
    }
    assert_eq!(place.certificates("gw1").len(), 0);
    // Messages at the edges of the window, and of version 3, are accepted.
    for draft in [
        Draft { time: Some(START - 300), ..genuine() },
        Draft { time: Some(START + 300), ..genuine() },
        Draft { pvno: 3, ..genuine() },
        Draft { nonce: Some(vec![6; 64]), ..genuine() },
    ] {
        let answer = place.send(&draft.protected(&secret));
        assert!(answer.refusal().is_none(), "{:?}", answer.refusal());
        assert_eq!(answer.header.parts()[0].content, [draft.pvno]);
    }
    assert_eq!(place.certificates("gw1").len(), 4);
}

/// An authority at which three wrong secrets lock a reference.
fn locking() -> Place {
    let locks = LockSettings { after: 3, ..LockSettings::default() };
    Place::with_locks(CmpConfig::default(), locks)
}

/// The route of a message from 192.0.2.`host`.
fn from(host: u8) -> Route {
    Route { client: Some([192, 0, 2, host].into()), ..Route::default() }
}

#[test]
fn wrong_secrets_lock_nobody_out() {
    let place = Place::new();
    let secret = place.account("gw1", 100, None);
    let wrong = Secret { secret: "wrong".into(), ..secret.clone() };
    for _ in 0..9 {
        refused(&enrol(&place, &wrong, &p256()).1, ERROR, "badMessageCheck");
    }
    assert_eq!(enrol(&place, &secret, &p256()).1.body.tag, IP);
}

#[test]
fn three_wrong_secrets_lock_their_sender_out_and_nobody_is_told_so() {
    let place = locking();
    let secret = place.account("gw1", 100, None);
    let wrong = Secret { secret: "wrong".into(), ..secret.clone() };
    let ask = |secret: &Secret, host: u8| {
        let key = p256();
        let draft = place.draft(IR, &cert_request(&template(&key, None), &key, &[]));
        (place.send_to(&from(host), &draft.protected(secret)), draft)
    };
    // The peer opened a transaction before the guessing began.
    let (ip, begun) = ask(&secret, 1);
    for _ in 0..3 {
        refused(&ask(&wrong, 1).0, ERROR, "badMessageCheck");
    }
    let answer = ask(&secret, 1).0;
    let text = refused(&answer, ERROR, "badMessageCheck");
    let stranger = Secret { reference: "nobody".into(), ..secret.clone() };
    assert_eq!(refused(&ask(&stranger, 1).0, ERROR, "badMessageCheck"), text);
    signed_by(&place, &answer, "first");
    // Peers at other addresses are not affected, and an open transaction can be completed even from the locked address.
    assert_eq!(ask(&secret, 2).0.body.tag, IP);
    let conf = begun.next(&ip, CERT_CONF, &confirmation(&issued(&ip), &[]));
    for _ in 0..9 {
        refused(&place.send_to(&from(1), &conf.protected(&wrong)), ERROR, "badMessageCheck");
    }
    assert_eq!(place.send_to(&from(1), &conf.protected(&secret)).body.tag, PKI_CONF);
    // A transaction of another peer does not get a message around the lock.
    refused(&ask(&wrong, 3).0, ERROR, "badMessageCheck");
    refused(&ask(&wrong, 3).0, ERROR, "badMessageCheck");
    refused(&ask(&wrong, 3).0, ERROR, "badMessageCheck");
    let borrowed = Draft { transaction: begun.transaction.clone(), ..conf.clone() };
    refused(&ask(&secret, 3).0, ERROR, "badMessageCheck");
    refused(&place.send_to(&from(3), &borrowed.protected(&stranger)), ERROR, "badMessageCheck");
    place.clock.pass(61);
    assert_eq!(ask(&secret, 3).0.body.tag, IP, "the lock has ended");
}

#[test]
fn an_old_message_does_not_help_who_guesses() {
    let place = locking();
    let secret = place.account("gw1", 100, None);
    let key = p256();
    let captured =
        place.draft(IR, &cert_request(&template(&key, None), &key, &[])).protected(&secret);
    assert!(place.send(&captured).refusal().is_none());
    place.clock.pass(3600);
    let wrong = Secret { secret: "wrong".into(), ..secret.clone() };
    for count in 0..3 {
        refused(&enrol(&place, &wrong, &key).1, ERROR, "badMessageCheck");
        // One right secret does not undo the wrong ones.
        let bit = if count < 2 { "badTime" } else { "badMessageCheck" };
        refused(&place.send(&captured), ERROR, bit);
    }
    // The reference is locked: the right secret is refused as well.
    refused(&enrol(&place, &secret, &key).1, ERROR, "badMessageCheck");
}

#[test]
fn a_replay_is_always_caught() {
    let place = Place::new();
    let secret = place.account("gw1", 100, None);
    let key = p256();
    // The message is dated as far ahead as is accepted, so that a replay can be tried for the longest time.
    let body = cert_request(&template(&key, None), &key, &[]);
    let draft = Draft { time: Some(START + 300), ..place.draft(IR, &body) };
    let message = draft.protected(&secret);
    assert!(place.send(&message).refusal().is_none());
    for _ in 0..70 {
        let (failures, text) = place.send(&message).refusal().expect("a refusal");
        assert!(
            failures == ["transactionIdInUse"] || failures == ["badTime"],
            "{failures:?} {text}"
        );
        place.clock.pass(10);
    }
    assert_eq!(place.certificates("gw1").len(), 1);
}

#[test]
fn confirmation_needs_the_right_hash_nonce_sender_and_protection() {
    let place = Place::new();
    let secret = place.account("gw1", 100, None);
    let other = place.account("gw2", 100, None);
    let signer = place.enrolled("gw3", KeyAlgorithm::P256);
    let begin = || {
        let (draft, ip) = enrol(&place, &secret, &p256());
        let certificate = issued(&ip);
        (draft, ip, certificate)
    };
    let last = || *place.statuses("gw1").last().unwrap();

    // 1. A refused certConf leaves the certificate awaiting its confirmation.
    let (draft, ip, certificate) = begin();
    let right = draft.next(&ip, CERT_CONF, &confirmation(&certificate, &[]));
    for (bit, message) in [
        ("badRecipientNonce", Draft { recip_nonce: None, ..right.clone() }.protected(&secret)),
        (
            "badRecipientNonce",
            Draft { recip_nonce: Some(vec![1; 16]), ..right.clone() }.protected(&secret),
        ),
        ("badRequest", right.protected(&other)),
        ("badRequest", right.protected(&signer)),
        (
            "badRequest",
            Draft { transaction: Some(vec![7; 16]), ..right.clone() }.protected(&secret),
        ),
        ("badAlg", {
            let sha1 = tlv(0xa0, &seq(&[&tlv(6, &[0x2b, 0x0e, 3, 2, 0x1a])]));
            draft.next(&ip, CERT_CONF, &confirmation(&certificate, &sha1)).protected(&secret)
        }),
        ("badRequest", {
            let twice = confirmation(&certificate, &[]);
            let one = der::elements(&twice)[0].content.clone();
            draft.next(&ip, CERT_CONF, &seq(&[&one, &one])).protected(&secret)
        }),
        ("badDataFormat", draft.next(&ip, CERT_CONF, &seq(&[&tlv(4, &[1])])).protected(&secret)),
        ("badRequest", {
            let hash = ring::digest::digest(&ring::digest::SHA256, &certificate);
            let wrong_id = seq(&[&seq(&[&tlv(4, hash.as_ref()), &tlv(2, &[1])])]);
            draft.next(&ip, CERT_CONF, &wrong_id).protected(&secret)
        }),
    ] {
        refused(&place.send(&message), ERROR, bit);
        assert_eq!(last(), "unconfirmed", "{bit}");
    }
    assert_eq!(place.send(&right.protected(&secret)).body.tag, PKI_CONF);
    assert_eq!(last(), "valid");

    // 2. The peer chooses the hash algorithm, and names it in hashAlg (RFC 9810 §5.3.18, pvno 3).
    let (draft, ip, certificate) = begin();
    let hash = ring::digest::digest(&ring::digest::SHA512, &certificate);
    let sha512 = tlv(0xa0, &seq(&[&tlv(6, &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3])]));
    let status = seq(&[&seq(&[&tlv(4, hash.as_ref()), &tlv(2, &[0]), &sha512])]);
    let conf = Draft { pvno: 3, ..draft.next(&ip, CERT_CONF, &status) };
    assert_eq!(place.send(&conf.protected(&secret)).body.tag, PKI_CONF);
    assert_eq!(last(), "valid");

    // 3. The hash of another certificate: the issued one must not come into use.
    let (draft, ip, _) = begin();
    let conf = draft.next(&ip, CERT_CONF, &confirmation(b"another", &[]));
    refused(&place.send(&conf.protected(&secret)), ERROR, "badCertId");
    assert_eq!(last(), "revoked");

    // 4. The peer rejects the certificate by a status, by an empty certConf, or by an error message.
    let rejection = seq(&[
        &tlv(2, &[2]),
        &seq(&[&tlv(0x0c, "not\u{202e}mine\n".as_bytes())]),
        &tlv(3, &[5, 0x20]),
    ]);
    let error = seq(&[&rejection]);
    for (tag, content) in [(CERT_CONF, None), (CERT_CONF, Some(seq(&[]))), (ERROR, Some(error))] {
        let (draft, ip, certificate) = begin();
        let content = content.unwrap_or_else(|| confirmation(&certificate, &rejection));
        let answer = place.send(&draft.next(&ip, tag, &content).protected(&secret));
        assert_eq!(answer.body.tag, PKI_CONF, "{:?}", answer.refusal());
        assert!(secret.protects(&answer));
        assert_eq!(last(), "revoked");
        let reason = place.certificates("gw1").last().unwrap().revocation.clone().unwrap().reason;
        assert_eq!(reason, Reason::CessationOfOperation);
    }

    // 5. The certConf is protected in another way, for the same account.
    let own = Signer { key: p256(), certificates: Vec::new() };
    let (draft, ip) = enrol(&place, &secret, &own.key);
    let own = Signer { certificates: vec![issued(&ip)], ..own };
    let conf = draft.next(&ip, CERT_CONF, &confirmation(&issued(&ip), &[]));
    refused(&place.send(&conf.protected(&own)), ERROR, "wrongIntegrity");
    assert_eq!(last(), "unconfirmed");
}

#[test]
fn implicit_confirmation_is_granted_when_asked_for_and_allowed() {
    for allowed in [true, false] {
        let place = Place::with(CmpConfig { implicit_confirm: allowed, ..CmpConfig::default() });
        let secret = place.account("gw1", 9, None);
        let key = p256();
        let mut draft = place.draft(IR, &cert_request(&template(&key, None), &key, &[]));
        draft.info = vec![implicit_confirm()];
        let ip = place.send(&draft.protected(&secret));
        let info = ip.field(0xa8).unwrap().parts().remove(0).whole;
        assert_eq!(info == implicit_confirm(), allowed);
        assert_eq!(place.statuses("gw1"), [if allowed { "valid" } else { "unconfirmed" }]);
        if allowed {
            let conf = draft.next(&ip, CERT_CONF, &confirmation(&issued(&ip), &[]));
            let conf = Draft { info: Vec::new(), ..conf };
            refused(&place.send(&conf.protected(&secret)), ERROR, "certConfirmed");
            assert_eq!(place.statuses("gw1"), ["valid"]);
        }
    }
}

/// CertId of a certificate.
fn cert_id(certificate: &[u8]) -> Vec<u8> {
    let facts = Facts::of(certificate).unwrap();
    let issuer = ::der::Encode::to_der(&facts.issuer).unwrap();
    seq(&[&tlv(0xa4, &issuer), &tlv(2, &facts.serial)])
}

fn old_cert_id(certificate: &[u8]) -> Vec<u8> {
    seq(&[&tlv(6, &[0x2b, 6, 1, 5, 5, 7, 5, 1, 5]), &cert_id(certificate)])
}

#[test]
fn a_key_update_replaces_the_certificate_that_signs_it_and_widens_nothing() {
    let place = Place::new();
    let signer = place.enrolled("gw1", KeyAlgorithm::P256);
    let other = place.enrolled("gw2", KeyAlgorithm::P256);
    let secret = place.account("gw3", 9, None);
    let key = p256();
    let old = signer.certificates[0].clone();
    let update = |names: &[&str], control: &[u8]| {
        let mut fields = template(&key, None);
        if !names.is_empty() {
            fields.insert(0xa9, dns_names(names));
        }
        place.draft(KUR, &cert_request(&fields, &key, control))
    };
    let answer = place.send(&update(&[], &old_cert_id(&other.certificates[0])).protected(&signer));
    assert!(refused(&answer, KUP, "badCertId").contains("oldCertID"));
    let mut foreign = old_cert_id(&old);
    let last = foreign.len() - 1;
    foreign[last] ^= 1;
    refused(&place.send(&update(&[], &foreign).protected(&signer)), KUP, "badCertId");
    refused(
        &place.send(&update(&["gw2.example.net"], &[]).protected(&signer)),
        KUP,
        "notAuthorized",
    );
    let answer = place.send(&update(&[], &[]).protected(&secret));
    assert!(refused(&answer, KUP, "wrongIntegrity").contains("signed with the certificate"));
    assert_eq!(place.certificates("gw1").len(), 1);

    for (names, control) in [
        (&[][..], old_cert_id(&old)),
        (&[][..], Vec::new()),
        (&["gw1.example.net"][..], Vec::new()),
    ] {
        let draft = update(names, &control);
        let kup = place.send(&draft.protected(&signer));
        assert_eq!(kup.body.tag, KUP, "{:?}", kup.refusal());
        signed_by(&place, &kup, "first");
        let conf = draft.next(&kup, CERT_CONF, &confirmation(&issued(&kup), &[]));
        assert_eq!(place.send(&conf.protected(&signer)).body.tag, PKI_CONF);
    }
    assert_eq!(place.statuses("gw1"), ["valid"; 4]);
    let names =
        |at: usize| Facts::of(&place.certificates("gw1")[at].certificate).unwrap().alt_names;
    assert_eq!((names(1) == names(0), names(3).len()), (true, 1));
}

#[test]
fn only_a_certificate_in_force_signs_and_the_header_names_it() {
    let place = Place::new();
    let signer = place.enrolled("gw1", KeyAlgorithm::P256);
    let key = p256();
    let draft = || place.draft(CR, &cert_request(&template(&key, None), &key, &[]));
    let kid = Draft { kid: Some(vec![9; 20]), ..draft() };
    assert!(
        refused(&place.send(&kid.protected(&signer)), ERROR, "badMessageCheck")
            .contains("senderKID")
    );
    let sender = Draft { sender: tlv(0xa4, &common_name("gw2")), ..draft() };
    assert!(
        refused(&place.send(&sender.protected(&signer)), ERROR, "badMessageCheck")
            .contains("sender")
    );
    let bare = Signer { key: p256(), certificates: Vec::new() };
    refused(&place.send(&draft().protected(&bare)), ERROR, "badMessageCheck");
    // A signature by another key than that of the certificate; the CA's own certificate, and that of its CMP signer.
    let thief = Signer { key: p256(), certificates: signer.certificates.clone() };
    let kidless = Draft { kid: Some(Vec::new()), ..draft() };
    refused(&place.send(&kidless.protected(&thief)), ERROR, "badMessageCheck");
    let protection = place.authority().protection(None).unwrap().certificate().to_vec();
    for foreign in [place.authority().chain(None).unwrap()[0].clone(), protection] {
        let thief = Signer { key: p256(), certificates: vec![foreign] };
        let (failures, text) = place.send(&kidless.protected(&thief)).refusal().unwrap();
        assert!(failures == ["signerNotTrusted"] || failures == ["badMessageCheck"], "{text}");
    }
    assert_eq!(place.certificates("gw1").len(), 1);
    // Certificates that are on hold, and revoked.
    let record = place.certificates("gw1").remove(0);
    place.authority().revoke(&record.ca, &record.serial, Reason::CertificateHold, None).unwrap();
    refused(&place.send(&draft().protected(&signer)), ERROR, "signerNotTrusted");
    place.authority().release(&record.ca, &record.serial).unwrap();
    assert!(place.send(&draft().protected(&signer)).refusal().is_none());
    // An expired certificate.
    place.clock.pass(400 * 86_400);
    let text = refused(&place.send(&draft().protected(&signer)), ERROR, "signerNotTrusted");
    assert!(text.contains("valid from"), "{text}");
}

/// RevReqContent with one RevDetails: serial and issuer of a certificate, and CRL entry extensions.
fn revocation(certificate: &[u8], extensions: &[u8]) -> Vec<u8> {
    let facts = Facts::of(certificate).unwrap();
    let issuer = ::der::Encode::to_der(&facts.issuer).unwrap();
    let template = seq(&[&tlv(0x81, &facts.serial), &tlv(0xa3, &issuer)]);
    let extensions = if extensions.is_empty() { Vec::new() } else { seq(&[extensions]) };
    seq(&[&seq(&[&template, &extensions])])
}

fn entry(last: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(1, &[0xff]) } else { Vec::new() };
    seq(&[&tlv(6, &[0x55, 0x1d, last]), &critical, &tlv(4, value)])
}

#[test]
fn a_peer_revokes_what_is_its_own() {
    let place = Place::new();
    let signer = place.enrolled("gw1", KeyAlgorithm::P256);
    let other = place.enrolled("gw2", KeyAlgorithm::P256);
    let key = p256();
    let cr = place.draft(CR, &cert_request(&template(&key, None), &key, &[]));
    let target = issued(&place.send(&cr.protected(&signer)));
    let send = |content: &[u8]| place.send(&place.draft(RR, content).protected(&signer));
    let reason = |number: u8| entry(21, false, &tlv(10, &[number]));
    let date = |seconds: i64| entry(24, false, &tlv(0x18, utc(seconds).as_bytes()));

    let one = der::elements(&revocation(&target, &[])).remove(0).content;
    let facts = Facts::of(&target).unwrap();
    let issuer = ::der::Encode::to_der(&facts.issuer).unwrap();
    for (body, bit, content) in [
        (RP, "badRequest", seq(&[])),
        (RP, "badRequest", seq(&[&one, &one])),
        (RP, "addInfoNotAvailable", seq(&[&seq(&[&seq(&[&tlv(0xa3, &issuer)])])])),
        (RP, "addInfoNotAvailable", seq(&[&seq(&[&seq(&[&tlv(0x81, &facts.serial)])])])),
        (RP, "badCertId", seq(&[&seq(&[&seq(&[&tlv(0x81, &[5]), &tlv(0xa3, &issuer)])])])),
        (
            RP,
            "badCertId",
            seq(&[&seq(&[&seq(&[&tlv(0x81, &facts.serial), &tlv(0xa3, &common_name("x"))])])]),
        ),
        (RP, "badCertId", revocation(&other.certificates[0], &[])),
        (RP, "unacceptedExtension", revocation(&target, &entry(99, true, &[5, 0]))),
        (RP, "notAuthorized", revocation(&target, &reason(2))),
        (RP, "badCertId", revocation(&target, &reason(8))),
        (RP, "badDataFormat", revocation(&target, &reason(7))),
        (RP, "incorrectData", revocation(&target, &date(START + 86_400))),
    ] {
        refused(&send(&content), body, bit);
        assert_eq!(place.statuses("gw1"), ["valid", "unconfirmed"], "{bit}");
    }
    assert_eq!(place.statuses("gw2"), ["valid"]);

    let extensions = [reason(1), date(START - 3600), entry(98, false, &[5, 0])].concat();
    let draft = place.draft(RR, &revocation(&target, &extensions));
    let rp = place.send(&draft.protected(&signer));
    assert!(rp.body.tag == RP && rp.refusal().is_none(), "{:?}", rp.refusal());
    signed_by(&place, &rp, "first");
    let content = rp.body.parts().remove(0).parts();
    assert_eq!(content[0].parts()[0].parts()[0].content, [0], "accepted");
    assert_eq!(content[1].parts()[0].parts()[0].whole, cert_id(&target), "revCerts name it");
    let revoked = place.certificates("gw1")[1].revocation.clone().unwrap();
    assert_eq!(revoked.reason, Reason::KeyCompromise);
    assert_eq!(revoked.invalidity.unwrap().seconds(), START - 3600);

    let replay = place.send(&draft.protected(&signer));
    refused(&replay, ERROR, "transactionIdInUse");
    refused(&send(&revocation(&target, &[])), RP, "certRevoked");
    // The signer revokes its own certificate last, and can sign nothing after that.
    assert!(send(&revocation(&signer.certificates[0], &reason(5))).refusal().is_none());
    refused(&send(&revocation(&target, &[])), RP, "certRevoked");
    assert_eq!(place.statuses("gw1"), ["revoked", "revoked"]);
}

#[test]
fn templates_that_ask_for_the_impossible_are_refused() {
    let place = Place::with(CmpConfig { rules: Rules::Rfc9483, ..CmpConfig::default() });
    let secret = place.account("gw1", 100, None);
    let key = p256();
    let algorithm = ::der::Encode::to_der(&key.signature_algorithm()).unwrap();
    let algorithm = der::elements(&algorithm).remove(0).content;
    let san = dns_names(&["gw1.example.net"]);
    let extension = |last: u8, critical: bool, value: &[u8]| {
        let critical = if critical { tlv(1, &[0xff]) } else { Vec::new() };
        seq(&[&tlv(6, &[0x55, 0x1d, last]), &critical, &tlv(4, value)])
    };
    let ca = extension(19, true, &seq(&[&tlv(1, &[0xff])]));
    for (bit, tag, content) in [
        ("badCertTemplate", 0x81, vec![5]),
        ("badCertTemplate", 0xa2, algorithm),
        ("badCertTemplate", 0x80, vec![1]),
        ("badCertTemplate", 0x87, vec![0, 1]),
        ("badCertTemplate", 0x88, vec![0, 1]),
        ("wrongAuthority", 0xa3, common_name("Nobody's CA")),
        ("badCertTemplate", 0xa9, [san.clone(), san.clone()].concat()),
        ("notAuthorized", 0xa9, ca),
        ("badCertTemplate", 0xa9, extension(99, true, &[5, 0])),
        ("notAuthorized", 0xa9, dns_names(&["gw2.example.net"])),
        ("notAuthorized", 0xa5, common_name("gw2.example.net")),
    ] {
        let mut fields = template(&key, None);
        fields.insert(tag, content);
        let draft = place.draft(IR, &cert_request(&fields, &key, &[]));
        let answer = place.send(&draft.protected(&secret));
        refused(&answer, IP, bit);
        assert!(secret.protects(&answer));
    }
    let mut fields = template(&key, None);
    fields.remove(&0xa6);
    let answer = place.send(&place.draft(IR, &cert_request(&fields, &key, &[])).protected(&secret));
    assert!(refused(&answer, IP, "badCertTemplate").contains("publicKey"));
    let mut id = cert_request(&template(&key, None), &key, &[]);
    let at = id.windows(3).position(|w| w == [2, 1, 0]).unwrap();
    id[at + 2] = 1;
    refused(&place.send(&place.draft(IR, &id).protected(&secret)), IP, "badRequest");
    assert_eq!(place.certificates("gw1").len(), 0);

    // A template with this authority's own values is accepted; a difference is reported.
    let mut fields = template(&key, Some("gw1.example.net"));
    let issuer = Facts::of(&place.authority().chain(None).unwrap()[0]).unwrap().subject;
    fields.insert(0x80, vec![2]);
    fields.insert(0xa3, ::der::Encode::to_der(&issuer).unwrap());
    fields.insert(0xa9, [san, extension(99, false, &[5, 0])].concat());
    let ip = place.send(&place.draft(IR, &cert_request(&fields, &key, &[])).protected(&secret));
    assert_eq!(ip.body.tag, IP, "{:?}", ip.refusal());
    assert_eq!(response(&ip)[1].parts()[0].content, [1], "grantedWithMods");
    assert!(granted_text(&ip).contains("2.5.29.99"), "{}", granted_text(&ip));
}

#[test]
fn bodies_that_are_not_spoken_are_named() {
    let place = Place::new();
    let secret = place.account("gw1", 100, None);
    for number in 0..31_u8 {
        const SPOKEN: [u8; 12] = [
            kind::IR,
            kind::CR,
            kind::P10CR,
            kind::POPDECR,
            kind::KUR,
            kind::RR,
            kind::CCR,
            kind::CERT_CONF,
            kind::ERROR,
            kind::GENM,
            kind::NESTED,
            kind::POLL_REQ,
        ];
        if SPOKEN.contains(&number) {
            continue;
        }
        let answer = place.send(&place.draft(0xa0 | number, &seq(&[])).protected(&secret));
        if number == 31 {
            continue;
        }
        let text = refused(&answer, ERROR, "badRequest");
        assert!(text.contains(kind::name(number)), "{number}: {text}");
        assert!(secret.protects(&answer));
    }
    // Messages that continue no transaction.
    let poll = seq(&[&seq(&[&tlv(2, &[0])])]);
    let error = seq(&[&seq(&[&tlv(2, &[2])])]);
    let number = seq(&[&tlv(2, &[1])]);
    let bodies =
        [(CERT_CONF, seq(&[])), (ERROR, error), (0xa0 | kind::POLL_REQ, poll), (0xa6, number)];
    for (tag, content) in bodies {
        let answer = place.send(&place.draft(tag, &content).protected(&secret));
        refused(&answer, ERROR, "badRequest");
    }
}

#[test]
fn paths_and_cert_profile_choose_the_profile() {
    let place = Place::new();
    let secret = place.account("gw1", 100, None);
    let key = p256();
    let body = cert_request(&template(&key, None), &key, &[]);
    let path = |profile: &str| Route { profile: Some(label(profile)), ..Route::default() };
    let ask = |route: &Route, names: Option<&[&str]>| {
        let mut draft = place.draft(IR, &body);
        if let Some(names) = names {
            let names: Vec<u8> = names.iter().flat_map(|name| tlv(0x0c, name.as_bytes())).collect();
            draft.info = vec![info("2b06010505070415", &seq(&[&names]))];
        }
        place.send_to(route, &draft.protected(&secret))
    };
    for (route, names) in [
        (Route::default(), None),
        (Route::default(), Some(&["gateway"][..])),
        (path("gateway"), None),
        (path("gateway"), Some(&["gateway"][..])),
    ] {
        let answer = ask(&route, names);
        assert!(answer.refusal().is_none(), "{:?}", answer.refusal());
    }
    refused(&ask(&path("host"), None), IP, "notAuthorized");
    refused(&ask(&Route::default(), Some(&["host"])), IP, "notAuthorized");
    for names in [&["nowhere"][..], &["gateway", "gateway"], &[], &["no label!"]] {
        let (failures, text) = ask(&Route::default(), Some(names)).refusal().unwrap();
        assert!(failures == ["badRequest"] || failures == ["badDataFormat"], "{text}");
    }
    refused(&ask(&path("gateway"), Some(&["host"])), IP, "badRequest");
    let operation = Route { operation: Some(kind::KUR), ..Route::default() };
    assert!(refused(&ask(&operation, None), ERROR, "badRequest").contains("kur"));
    assert_eq!(place.certificates("gw1").len(), 4);
}

#[test]
fn garbage_gets_a_signed_error_and_nothing_is_echoed_at_length() {
    let place = Place::new();
    let deep = (0..40).fold(Vec::new(), |inside: Vec<u8>, _| seq(&[&inside]));
    for message in [&b""[..], b"GET /", &[0x30, 0x80, 0, 0], &deep, &vec![0x30; 2 << 20]] {
        let answer = place.send(message);
        refused(&answer, ERROR, "badDataFormat");
        signed_by(&place, &answer, "first");
        assert_eq!(answer.header.parts()[2].whole, tlv(0xa4, &seq(&[])), "to a NULL-DN");
        assert!(answer.field(der::TRANSACTION_ID).is_none());
        assert_eq!(answer.field(der::SENDER_NONCE).unwrap().content.len(), 16);
    }
    let big = vec![0x41; 200_000];
    let draft = Draft {
        sender: tlv(0x86, &big),
        transaction: Some(big.clone()),
        nonce: Some(big.clone()),
        ..place.draft(IR, &seq(&[]))
    };
    let secret =
        Secret { reference: String::from_utf8(big).unwrap(), secret: "x".into(), form: Form::Pbm };
    let answer = place.send(&draft.protected(&secret));
    refused(&answer, ERROR, "badMessageCheck");
    assert!(answer.bytes().len() < 4000, "{} octets", answer.bytes().len());
}

#[test]
fn no_flipped_or_missing_octet_gets_a_certificate_and_every_message_gets_an_answer() {
    let place = Place::new();
    let secret = place.account("gw1", 100, None);
    let signer = place.enrolled("gw2", KeyAlgorithm::P256);
    let key = p256();
    let body = cert_request(&template(&key, Some("gw1.example.net")), &key, &[]);
    let by_secret = place.draft(IR, &body).protected(&secret);
    let by_signature =
        place.draft(RR, &revocation(&signer.certificates[0], &[])).protected(&signer);
    for message in [&by_secret, &by_signature] {
        for at in 0..message.len() {
            for mask in [1, 0x80] {
                let mut flipped = message.clone();
                flipped[at] ^= mask;
                let answer = place.send(&flipped);
                assert!(answer.refusal().is_some(), "octet {at} with {mask:#x}");
            }
            refused(&place.send(&message[..at]), ERROR, "badDataFormat");
        }
    }
    assert_eq!(place.certificates("gw1").len(), 0);
    assert_eq!(place.statuses("gw2"), ["valid"]);
    // The genuine messages are granted: the lock that the forgeries caused ends.
    place.clock.pass(86_401);
    let answer = place.send(&by_secret);
    refused(&answer, ERROR, "badTime");
    let answer =
        place.send(&place.draft(RR, &revocation(&signer.certificates[0], &[])).protected(&signer));
    assert!(answer.refusal().is_none(), "{:?}", answer.refusal());
}
