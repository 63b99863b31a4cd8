//! Deviations that RFC 9810 permits and the lightweight profile forbids: they are accepted by default, and refused with `profile = "rfc9483"`.
//! And deviations of other clients from both.
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
use countersign_ca::x509::Facts;
use countersign_ca::{FileKey, KeyAlgorithm};
use countersign_enroll::cmp::{CmpConfig, Rules};

fn p256() -> FileKey {
    FileKey::generate(KeyAlgorithm::P256).unwrap()
}

/// An authority by each set of rules: the tolerant ones, and those of the lightweight profile.
fn places() -> [Place; 2] {
    [Rules::Rfc9810, Rules::Rfc9483]
        .map(|rules| Place::with(CmpConfig { rules, ..CmpConfig::default() }))
}

fn ask(place: &Place, tag: u8, key: &FileKey) -> Draft {
    place.draft(tag, &cert_request(&template(key, None), key, &[]))
}

#[track_caller]
fn granted(answer: &Message) -> Vec<u8> {
    assert!(answer.refusal().is_none(), "{:?}", answer.refusal());
    issued(answer)
}

#[test]
fn a_missing_transaction_id_is_made_of_the_message_so_that_a_replay_has_the_same() {
    let [tolerant, strict] = places();
    let key = p256();
    let secret = tolerant.account("gw1", 9, None);
    let signer = tolerant.enrolled("gw2", KeyAlgorithm::P256);
    let protectors: [(&dyn Protector, u8); 2] = [(&secret, IR), (&signer, CR)];
    for (by, tag) in protectors {
        for transaction in [None, Some(Vec::new())] {
            let draft = Draft { transaction, ..ask(&tolerant, tag, &key) };
            let message = draft.protected(by);
            let answer = tolerant.send(&message);
            let certificate = granted(&answer);
            let id = answer.field(der::TRANSACTION_ID).expect("one was made").content;
            assert_eq!(id.len(), 16);
            // A replay of the message issues nothing.
            refused(&tolerant.send(&message), ERROR, "transactionIdInUse");
            // The client continues with the transactionID of the answer (RFC 9810 §5.1.1).
            let next = draft.next(&answer, CERT_CONF, &confirmation(&certificate, &[]));
            let lost = tolerant.send(&next.protected(by));
            refused(&lost, ERROR, "badRequest");
            let next = Draft { transaction: Some(id.clone()), ..next };
            assert_eq!(tolerant.send(&next.protected(by)).body.tag, PKI_CONF);
            // Another message gets another transactionID.
            let other = Draft { transaction: None, ..ask(&tolerant, tag, &key) };
            let other = tolerant.send(&other.protected(by));
            assert_ne!(other.field(der::TRANSACTION_ID).unwrap().content, id);
        }
    }
    let secret = strict.account("gw1", 9, None);
    let draft = Draft { transaction: None, ..ask(&strict, IR, &key) };
    let text = refused(&strict.send(&draft.protected(&secret)), ERROR, "badDataFormat");
    assert!(text.contains("none"), "{text}");
    assert!(strict.certificates("gw1").is_empty());
}

#[test]
fn transaction_ids_of_other_lengths_are_taken_and_used_once() {
    let [tolerant, strict] = places();
    let key = p256();
    let (secret, other) = (tolerant.account("gw1", 99, None), strict.account("gw1", 9, None));
    for length in [1, 4, 8, 15, 17, 20, 32, 64] {
        let with =
            |place: &Place| Draft { transaction: Some(vec![7; length]), ..ask(place, IR, &key) };
        let answer = tolerant.send(&with(&tolerant).protected(&secret));
        granted(&answer);
        assert_eq!(answer.field(der::TRANSACTION_ID).unwrap().content, vec![7; length]);
        refused(&tolerant.send(&with(&tolerant).protected(&secret)), ERROR, "transactionIdInUse");
        refused(&strict.send(&with(&strict).protected(&other)), ERROR, "badRequest");
    }
    for place in [&tolerant, &strict] {
        let long = Draft { transaction: Some(vec![7; 65]), ..ask(place, IR, &key) };
        let by = if std::ptr::eq(place, &tolerant) { &secret } else { &other };
        refused(&place.send(&long.protected(by)), ERROR, "badRequest");
    }
}

#[test]
fn a_nonce_that_is_missing_or_too_short_is_said_to_be_just_that() {
    let [tolerant, _] = places();
    let (key, secret) = (p256(), tolerant.account("gw1", 9, None));
    for (nonce, found) in
        [(None, "found none"), (Some(vec![1; 4]), "found one of 4"), (Some(vec![1; 65]), "of 65")]
    {
        let draft = Draft { nonce, ..ask(&tolerant, IR, &key) };
        let text = refused(&tolerant.send(&draft.protected(&secret)), ERROR, "badSenderNonce");
        assert!(text.contains("16 to 64") && text.contains(found), "{text}");
    }
}

#[test]
fn the_senders_common_name_is_the_reference_where_there_is_no_sender_kid() {
    let [tolerant, strict] = places();
    let key = p256();
    for (place, taken) in [(&tolerant, true), (&strict, false)] {
        let secret = place.account("gw1", 9, None);
        let by_name = |sender: Vec<u8>| {
            let draft = Draft { kid: Some(Vec::new()), sender, ..ask(place, IR, &key) };
            place.send(&draft.protected(&secret))
        };
        let answer = by_name(tlv(0xa4, &common_name(&secret.reference)));
        match taken {
            true => drop(granted(&answer)),
            false => drop(refused(&answer, ERROR, "badMessageCheck")),
        }
        if taken {
            assert!(answer.field(der::SENDER_KID).is_none(), "as it came");
            assert_eq!(protection(&answer), secret.mac(&part(&answer)), "under the secret");
        }
        // The sender has no common name, another peer's, or two.
        let two = [common_name(&secret.reference), common_name("gw2")].concat();
        let two = seq(&[&two[2..2 + usize::from(two[1])], &common_name("gw2")[2..]]);
        for sender in [seq(&[]), common_name("nobody"), two] {
            refused(&by_name(tlv(0xa4, &sender)), ERROR, "badMessageCheck");
        }
        assert_eq!(place.certificates("gw1").len(), usize::from(taken));
    }
    // With a senderKID, the name of the sender does not matter.
    let secret = tolerant.account("gw3", 9, None);
    let mailbox = tlv(0x81, b"gw3@example.net");
    let draft = Draft { sender: mailbox, ..ask(&tolerant, IR, &key) };
    granted(&tolerant.send(&draft.protected(&secret)));
}

#[test]
fn a_signature_needs_no_sender_kid_and_its_certificate_may_stand_anywhere() {
    let [tolerant, strict] = places();
    for (place, taken) in [(&tolerant, true), (&strict, false)] {
        let mut signer = place.enrolled("gw1", KeyAlgorithm::P256);
        let other = place.enrolled("gw2", KeyAlgorithm::P256);
        let key = p256();
        let own = signer.certificates[0].clone();
        let sender = signer.sender().unwrap();
        let above = place.authority().chain(None).unwrap().to_vec();
        let send = |signer: &Signer, kid: Option<Vec<u8>>, tag| {
            let draft = Draft { kid, sender: sender.clone(), ..ask(place, tag, &key) };
            place.send(&draft.protected(signer))
        };
        let check = |answer: &Message| match taken {
            true => drop(granted(answer)),
            false => drop(refused(answer, ERROR, "badMessageCheck")),
        };
        check(&send(&signer, Some(Vec::new()), CR));
        for tag in [CR, KUR] {
            signer.certificates = [above.clone(), vec![own.clone()]].concat();
            check(&send(&signer, None, tag));
        }
        check(&send(&signer, Some(Vec::new()), CR));
        // Another peer's certificate is not the signer's, whatever its position.
        signer.certificates = other.certificates.clone();
        refused(&send(&signer, None, CR), ERROR, "badMessageCheck");
        refused(&send(&signer, Some(vec![7; 20]), CR), ERROR, "badMessageCheck");
    }
}

#[test]
fn a_certificate_that_is_known_here_need_not_be_sent() {
    let [tolerant, strict] = places();
    for (place, taken) in [(&tolerant, true), (&strict, false)] {
        let signer = place.enrolled("gw1", KeyAlgorithm::P256);
        let sender = signer.sender().unwrap();
        let bare = Signer { certificates: Vec::new(), key: signer.key };
        let key = p256();
        let draft = Draft { sender: sender.clone(), ..ask(place, KUR, &key) };
        if !taken {
            let text = refused(&place.send(&draft.protected(&bare)), ERROR, "badMessageCheck");
            assert!(text.contains("extraCerts"), "{text}");
            continue;
        }
        let kup = place.send(&draft.protected(&bare));
        let certificate = granted(&kup);
        // After a kur for the same key, too, the old certificate is the one that signs.
        let conf = draft.next(&kup, CERT_CONF, &confirmation(&certificate, &[]));
        assert_eq!(place.send(&conf.protected(&bare)).body.tag, PKI_CONF);
        let same = Draft { sender: sender.clone(), ..ask(place, KUR, &bare.key) };
        let kup = place.send(&same.protected(&bare));
        let conf = same.next(&kup, CERT_CONF, &confirmation(&granted(&kup), &[]));
        assert_eq!(place.send(&conf.protected(&bare)).body.tag, PKI_CONF);
        assert_eq!(place.statuses("gw1"), ["valid"; 3]);

        // No certificate is found for an unknown key, with another peer's name, or with another peer's key.
        let stranger = Signer { certificates: Vec::new(), key: p256() };
        let other = place.enrolled("gw2", KeyAlgorithm::P256);
        let as_other = Draft { sender: other.sender().unwrap(), ..ask(place, CR, &key) };
        refused(&place.send(&as_other.protected(&bare)), ERROR, "badMessageCheck");
        for kid in [None, Some(bare.kid()), Some(Vec::new())] {
            let draft = Draft { kid, sender: sender.clone(), ..ask(place, CR, &key) };
            refused(&place.send(&draft.protected(&stranger)), ERROR, "badMessageCheck");
        }
    }
}

#[test]
fn any_cert_req_id_is_answered_with_itself() {
    let [tolerant, strict] = places();
    let key = p256();
    let with_id = |place: &Place, id: &[u8], fields: &std::collections::BTreeMap<u8, Vec<u8>>| {
        let template: Vec<u8> =
            fields.iter().flat_map(|(tag, content)| tlv(*tag, content)).collect();
        let request = seq(&[&tlv(2, id), &seq(&[&template])]);
        let proof = proof(&key, &[], &request);
        place.draft(IR, &seq(&[&seq(&[&request, &proof])]))
    };
    let secret = tolerant.account("gw1", 9, None);
    for id in [&[1][..], &[0x7f, 0xff], &[0xff], &[5; 16]] {
        let draft = with_id(&tolerant, id, &template(&key, None));
        let ip = tolerant.send(&draft.protected(&secret));
        let certificate = granted(&ip);
        assert_eq!(response(&ip)[0].content, id);
        let hash = ring::digest::digest(&ring::digest::SHA256, &certificate);
        let status = |id: &[u8]| seq(&[&seq(&[&tlv(4, hash.as_ref()), &tlv(2, id)])]);
        let wrong = draft.next(&ip, CERT_CONF, &status(&[0]));
        refused(&tolerant.send(&wrong.protected(&secret)), ERROR, "badRequest");
        let conf = draft.next(&ip, CERT_CONF, &status(id));
        assert_eq!(tolerant.send(&conf.protected(&secret)).body.tag, PKI_CONF);
        // A refusal has the certReqId of its request as well.
        let mut fields = template(&key, None);
        fields.insert(0xa9, dns_names(&["gw2.example.net"]));
        let ip = tolerant.send(&with_id(&tolerant, id, &fields).protected(&secret));
        refused(&ip, IP, "notAuthorized");
        assert_eq!(response(&ip)[0].content, id);
    }
    let long = with_id(&tolerant, &[5; 17], &template(&key, None));
    refused(&tolerant.send(&long.protected(&secret)), IP, "badRequest");
    let secret = strict.account("gw1", 9, None);
    let one = with_id(&strict, &[1], &template(&key, None));
    refused(&strict.send(&one.protected(&secret)), IP, "badRequest");
    assert!(strict.certificates("gw1").is_empty());
}

#[test]
fn subject_alt_names_that_clients_write_twice_or_wrap_twice_are_one() {
    let [tolerant, strict] = places();
    let key = p256();
    let names = dns_names(&["gw1.example.net"]);
    let address =
        seq(&[&tlv(6, &[0x55, 0x1d, 0x11]), &tlv(4, &seq(&[&tlv(0x87, &[192, 0, 2, 1])]))]);
    let inner = tlv(4, &seq(&[&tlv(0x82, b"gw1.example.net")]));
    let wrapped = seq(&[&tlv(6, &[0x55, 0x1d, 0x11]), &tlv(4, &inner)]);
    let foreign = dns_names(&["gw2.example.net"]);
    for (place, taken) in [(&tolerant, true), (&strict, false)] {
        let secret = place.account("gw1", 9, None);
        let ask = |extensions: &[&[u8]]| {
            let mut fields = template(&key, None);
            fields.insert(0xa9, extensions.concat());
            place.send(&place.draft(IR, &cert_request(&fields, &key, &[])).protected(&secret))
        };
        for (extensions, count) in [
            (&[&names[..], &names][..], 1),
            (&[&names, &address], 2),
            (&[&wrapped], 1),
            (&[&names, &wrapped], 1),
        ] {
            let answer = ask(extensions);
            match taken {
                true => assert_eq!(Facts::of(&granted(&answer)).unwrap().alt_names.len(), count),
                false => assert!(answer.refusal().is_some()),
            }
        }
        // Every name in them is judged.
        if taken {
            refused(&ask(&[&names, &foreign]), IP, "notAuthorized");
        }
        // Any other extension that is there twice stays a fault, as does a value that is no name.
        let usage = seq(&[&tlv(6, &[0x55, 0x1d, 0x0f]), &tlv(4, &tlv(3, &[7, 0x80]))]);
        refused(&ask(&[&usage, &usage]), IP, "badCertTemplate");
        let nothing = seq(&[&tlv(6, &[0x55, 0x1d, 0x11]), &tlv(4, &tlv(4, &tlv(4, &[])))]);
        refused(&ask(&[&nothing]), ERROR, "badDataFormat");
    }
}

#[test]
fn a_name_of_a_kind_that_no_certificate_has_here_is_refused_and_the_kind_is_named() {
    let place = Place::new();
    let (key, secret) = (p256(), place.account("gw1", 9, None));
    let alt_name = |name: &[u8]| seq(&[&tlv(6, &[0x55, 0x1d, 0x11]), &tlv(4, &seq(&[name]))]);
    for (name, word) in [
        (
            tlv(0x86, b"https://gw1.example.net/"),
            "uniformResourceIdentifier `https://gw1.example.net/`",
        ),
        (tlv(0x88, &[0x2a, 3, 4]), "registeredID"),
        (
            tlv(0xa0, &[&tlv(6, &[0x2a, 3, 4])[..], &tlv(0xa0, &tlv(0x0c, b"x"))].concat()),
            "otherName",
        ),
        (tlv(0x87, &[192, 0, 2, 1, 255, 255, 255, 0]), "4 or 16 octets"),
    ] {
        let mut fields = template(&key, None);
        fields.insert(0xa9, alt_name(&name));
        let draft = place.draft(IR, &cert_request(&fields, &key, &[]));
        let answer = place.send(&draft.protected(&secret));
        let text = refused(&answer, IP, "badCertTemplate");
        assert!(text.contains(word), "{text}");
    }
    // The same for a key update.
    let signer = place.enrolled("gw2", KeyAlgorithm::P256);
    let mut fields = template(&key, None);
    fields.insert(0xa9, alt_name(&tlv(0x86, b"https://gw2.example.net/")));
    let draft = place.draft(KUR, &cert_request(&fields, &key, &[]));
    refused(&place.send(&draft.protected(&signer)), KUP, "badCertTemplate");
}

#[test]
fn who_asks_for_another_issuer_is_told_which_it_gets() {
    let place = Place::new();
    let (key, secret) = (p256(), place.account("gw1", 9, Some("second")));
    let ask = |issuer: &[u8]| {
        let mut fields = template(&key, None);
        fields.insert(0xa3, issuer.to_vec());
        place.send(&place.draft(IR, &cert_request(&fields, &key, &[])).protected(&secret))
    };
    let name = |ca: &str| {
        let ca = place.authority().chain(Some(&label(ca))).unwrap()[0].clone();
        ::der::Encode::to_der(&Facts::of(&ca).unwrap().subject).unwrap()
    };
    let right = ask(&name("second"));
    granted(&right);
    assert_eq!(
        (response(&right)[1].parts()[0].content.as_slice(), granted_text(&right).as_str()),
        (&[0][..], "")
    );
    let other = ask(&name("first"));
    let issuer = Facts::of(&granted(&other)).unwrap().issuer.to_string();
    assert!(issuer.contains("CN=second"), "{issuer}");
    assert_eq!(response(&other)[1].parts()[0].content, [1], "grantedWithMods");
    let text = granted_text(&other);
    assert!(text.contains("CN=second") && text.contains("not `CN=first"), "{text}");
    refused(&ask(&common_name("Another CA")), IP, "wrongAuthority");
}

#[test]
fn the_macs_of_a_stranger_cost_little_and_tell_nothing() {
    let place = Place::new();
    let (key, secret) = (p256(), place.account("gw1", 9, None));
    let counting =
        |secret: &Secret, count: &[u8]| Counting { secret: secret.clone(), count: count.to_vec() };
    // An unknown reference with the highest count, 2,000,000: the refusal has the same text as any other.
    let stranger = Secret { reference: "nobody".into(), ..secret.clone() };
    let most = counting(&stranger, &[0x1e, 0x84, 0x80]);
    let text =
        refused(&place.send(&ask(&place, IR, &key).protected(&most)), ERROR, "badMessageCheck");
    let wrong = Secret { secret: "wrong".into(), ..secret.clone() };
    let few =
        refused(&place.send(&ask(&place, IR, &key).protected(&wrong)), ERROR, "badMessageCheck");
    assert_eq!(text, few);
    // The refusal of a higher count says what to do.
    let beyond = counting(&secret, &[0x1e, 0x84, 0x81]);
    let answer = place.send(&ask(&place, IR, &key).protected(&beyond));
    let text = refused(&answer, ERROR, "badRequest");
    assert!(text.contains("at most 2000000") && text.contains("fewer"), "{text}");
    // The count that is recommended for PBKDF2 today is accepted with the right secret, and the answer costs no more.
    let many = counting(&secret, &[0x09, 0x27, 0xc0]);
    let answer = place.send(&ask(&place, IR, &key).protected(&many));
    granted(&answer);
    assert_eq!(answer.field(der::PROTECTION_ALG).unwrap().whole, many.algorithm());
    assert_eq!(protection(&answer), many.protect(&part(&answer)));
}

/// PBMAC1 with PBKDF2-HMAC-SHA512, HMAC-SHA256 and this count of iterations.
struct Counting {
    secret: Secret,
    count: Vec<u8>,
}

impl Protector for Counting {
    fn algorithm(&self) -> Vec<u8> {
        let oid = |content: &[u8]| tlv(6, content);
        let pkcs5 = |last| oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, last]);
        let hmac = |last| oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, last]);
        let kdf =
            seq(&[&tlv(4, &[7; 16]), &tlv(2, &self.count), &tlv(2, &[32]), &seq(&[&hmac(11)])]);
        seq(&[&pkcs5(14), &seq(&[&seq(&[&pkcs5(12), &kdf]), &seq(&[&hmac(9)])])])
    }

    fn kid(&self) -> Vec<u8> {
        self.secret.kid()
    }

    fn protect(&self, part: &[u8]) -> Vec<u8> {
        let count = self.count.iter().fold(0_u32, |count, octet| count << 8 | u32::from(*octet));
        let mut key = [0; 32];
        ring::pbkdf2::derive(
            ring::pbkdf2::PBKDF2_HMAC_SHA512,
            count.min(600_000).try_into().unwrap(),
            &[7; 16],
            self.secret.secret.as_bytes(),
            &mut key,
        );
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
        ring::hmac::sign(&key, part).as_ref().to_vec()
    }
}
