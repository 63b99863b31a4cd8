//! Proof of possession of keys that cannot sign (RFC 9810 §5.2.8.3): by a certificate that is returned encrypted, and by a challenge.
//! OpenSSL's CMP client supports the former; for the latter, other commands of OpenSSL decrypt.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;

use common::cmp::*;
use common::cms::{decrypted, enveloped, openssl};
use common::openssl::{cmp, enrol, key};
use common::{Instance, Peer};
use der::asn1::{Any, BitString, Int, OctetString};
use der::{Decode, Encode, Tag};
use ring::digest;
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::name::Name;

/// The choices of ProofOfPossession (RFC 4211 §4).
const KEY_ENCIPHERMENT: u8 = 2;
const KEY_AGREEMENT: u8 = 3;

/// subsequentMessage with encrCert and challengeResp (RFC 4211 §4.2).
const ENCR_CERT: [u8; 3] = [0x81, 1, 0];
const CHALLENGE_RESP: [u8; 3] = [0x81, 1, 1];

/// IssuerAndSerialNumber (RFC 5652 §10.2.4) of the NULL-DN and the serial number 0: SEQUENCE { SEQUENCE {}, INTEGER 0 }.
const OF_REQUEST_0: [u8; 7] = [0x30, 5, 0x30, 0, 2, 1, 0];

/// An instance with the profile `sealed`, for keys that only encrypt.
fn instance() -> Instance {
    Instance::start_with_profile(
        &[],
        "[profiles.sealed]\nike = \"none\"\nkey_usage = [\"keyEncipherment\", \"keyAgreement\"]\n",
    )
}

fn peer(instance: &Instance, name: &str, profile: &str) -> Peer {
    let id = format!("fqdn:{name}.example.net");
    instance.peer_with(name, &[&id], &["--uses", "100", "--profile", profile])
}

/// A request for a certificate on a key in a file, made by OpenSSL, with this POPOPrivKey.
fn request_for(instance: &Instance, file: &str, choice: u8, proof: &[u8]) -> Vec<u8> {
    openssl(instance, &format!("pkey -in {file} -pubout -outform DER -out public.der"));
    let public = fs::read(instance.file("public.der")).unwrap();
    request_on(&public, choice, proof)
}

fn request_on(public: &[u8], choice: u8, proof: &[u8]) -> Vec<u8> {
    let template = Template {
        subject: Some(Name::default()),
        public_key: Some(SubjectPublicKeyInfoOwned::from_der(public).unwrap()),
        ..Template::default()
    };
    let request = CertRequest { id: 0, template, controls: None };
    let proof = Any::from_der(&explicit(choice, Any::from_der(proof).unwrap())).unwrap();
    vec![CertReqMsg { request, proof: Some(proof) }].to_der().unwrap()
}

fn draft(kind: u8, body: Vec<u8>) -> Draft {
    Draft::new(kind, body).with(|header| header.pvno = 3)
}

fn after(answer: &Answer, kind: u8, body: Vec<u8>) -> Draft {
    let version = answer.header.pvno;
    Draft::after(answer, kind, body).with(|header| header.pvno = version)
}

fn kinds() -> [(&'static str, u8); 4] {
    let agreeing = ["p256", "p384", "p521"].map(|kind| (kind, KEY_AGREEMENT));
    [("rsa2048", KEY_ENCIPHERMENT), agreeing[0], agreeing[1], agreeing[2]]
}

fn status(instance: &Instance, account: &str) -> String {
    let last = instance.certificates(account).pop().expect("a certificate");
    last["status"].as_str().unwrap().to_owned()
}

/// Whether a certificate can be fetched from the certificate store (RFC 4387).
fn is_shown(instance: &Instance, certificate: &[u8]) -> bool {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, certificate);
    let hash = data_encoding::BASE64_NOPAD.encode(hash.as_ref());
    let query = format!("/certificates/search.cgi?certHash={}", hash.replace('+', "%2B"));
    let answer = instance.http("GET", &query, "text/plain", &[]).unwrap();
    match answer.status {
        200 => answer.body == certificate,
        404 => false,
        other => panic!("{other}: {}", String::from_utf8_lossy(&answer.body)),
    }
}

#[test]
fn openssl_decrypts_its_certificate_and_confirms_it() {
    let instance = instance();
    let gw1 = peer(&instance, "gw1", "sealed");
    key(&instance, "rsa2048", "gw1.key");
    // pvno 2 and EncryptedValue. Implicit confirmation is asked for, and would prove nothing.
    enrol(&instance, &gw1, "gw1.key", &["-popo", "2", "-implicit_confirm"]).granted();
    assert_eq!(status(&instance, "gw1"), "valid");
    let text = openssl(&instance, "x509 -in gw1.crt -noout -text");
    assert!(text.contains("Key Encipherment") && !text.contains("Digital Signature"), "{text}");
    // A key that can sign may do so for a certificate that lets it not.
    let run = enrol(&instance, &gw1, "gw1.key", &["-popo", "1"]);
    run.granted();
    // A profile for keys that sign.
    let gw2 = peer(&instance, "gw2", "gateway");
    enrol(&instance, &gw2, "gw1.key", &["-popo", "2"]).refused(&["badPOP", "by a signature"]);
    let secret = common::openssl::by_secret(&gw2);
    let mut raverified =
        vec!["-cmd", "ir", "-newkey", "gw1.key", "-certout", "x.crt", "-popo", "0"];
    raverified.extend(secret.iter().map(String::as_str));
    cmp(&instance, &raverified).refused(&["notAuthorized", "registration authorities"]);
    assert!(instance.certificates("gw2").is_empty());
}

#[test]
fn who_decrypts_the_certificate_can_confirm_it() {
    let instance = instance();
    for (kind, choice) in kinds() {
        let account = peer(&instance, kind, "sealed");
        let file = format!("{kind}.key");
        key(&instance, kind, &file);
        let body = request_for(&instance, &file, choice, &ENCR_CERT);
        let answer = exchange(&instance, &draft(IR, body).implicit().by_secret(&account));
        let sealed = enveloped(&answer.encrypted_certificate());
        assert_eq!(answer.header.pvno, 3);
        assert!(
            answer.info(IMPLICIT_CONFIRM).is_none() && answer.info(CONFIRM_WAIT_TIME).is_some()
        );
        let certificate = decrypted(&instance, &sealed, &file);
        // Nobody learns which certificate it is from anybody else before it is confirmed.
        assert_eq!(status(&instance, kind), "unconfirmed");
        assert!(!is_shown(&instance, &certificate));
        let confirm = after(&answer, CERT_CONF, confirmation(&certificate)).by_secret(&account);
        assert_eq!(exchange(&instance, &confirm).kind, PKICONF);
        assert_eq!(status(&instance, kind), "valid");
        assert!(is_shown(&instance, &certificate));
        fs::write(instance.file("own.der"), &certificate).unwrap();
        let certified = openssl(&instance, "x509 -inform DER -in own.der -noout -pubkey");
        assert_eq!(certified, openssl(&instance, &format!("pkey -in {file} -pubout")));
    }
}

#[test]
fn who_does_not_decrypt_it_has_it_revoked() {
    let instance = instance();
    let gw1 = peer(&instance, "gw1", "sealed");
    key(&instance, "p256", "gw1.key");
    let ask = || {
        let body = request_for(&instance, "gw1.key", KEY_AGREEMENT, &ENCR_CERT);
        exchange(&instance, &draft(CR, body).by_secret(&gw1))
    };
    // The hash of what was sent, which everybody can compute.
    let answer = ask();
    let sealed = answer.encrypted_certificate();
    let mut guesses = vec![sealed.to_der().unwrap(), enveloped(&sealed).to_der().unwrap()];
    let content: Vec<Any> = enveloped(&sealed).decode_as().unwrap();
    let content: Vec<Any> = content[2].decode_as().unwrap();
    guesses.push(content[2].value().to_vec());
    let mut answers = vec![answer];
    for guess in guesses {
        let answer = answers.pop().unwrap_or_else(&ask);
        let confirm = after(&answer, CERT_CONF, confirmation(&guess)).by_secret(&gw1);
        refused(&exchange(&instance, &confirm), "badCertId", "revoked");
        assert_eq!(status(&instance, "gw1"), "revoked");
        // There is no second guess.
        let again = after(&answer, CERT_CONF, confirmation(&guess)).by_secret(&gw1);
        refused(&exchange(&instance, &again), "certRevoked", "revoked");
    }
    // Who says that it cannot be decrypted gives it up.
    let status_info = Status { status: 2, text: None, fail_info: None };
    let error = sequence(&[status_info.to_der().unwrap()]);
    assert_eq!(exchange(&instance, &after(&ask(), ERROR, error).by_secret(&gw1)).kind, PKICONF);
    assert_eq!(status(&instance, "gw1"), "revoked");
}

#[test]
fn keys_and_proofs_that_do_not_fit_are_refused() {
    let instance = instance();
    let gw1 = peer(&instance, "gw1", "sealed");
    let gw2 = peer(&instance, "gw2", "gateway");
    for kind in ["p256", "ed25519", "p384"] {
        key(&instance, kind, &format!("{kind}.key"));
    }
    let ask = |peer: &Peer, body: Vec<u8>| exchange(&instance, &draft(IR, body).by_secret(peer));
    let p256 = |proof: &[u8]| request_for(&instance, "p256.key", KEY_AGREEMENT, proof);
    for way in [ENCR_CERT, CHALLENGE_RESP] {
        // A key that only signs, and a profile for keys that sign.
        let ed25519 = request_for(&instance, "ed25519.key", KEY_AGREEMENT, &way);
        refused(&ask(&gw1, ed25519), "badPOP", "only signs");
    }
    refused(&ask(&gw2, p256(&ENCR_CERT)), "badPOP", "by a signature");
    // The ways that are not taken.
    let bits = BitString::from_bytes(&[1; 32]).unwrap();
    let this_message = implicit(0, any(&bits)).to_der().unwrap();
    refused(&ask(&gw1, p256(&this_message)), "badPOP", "private keys are not taken");
    let encrypted_key = implicit(4, Any::new(Tag::Sequence, []).unwrap()).to_der().unwrap();
    refused(&ask(&gw1, p256(&encrypted_key)), "badPOP", "private keys are not taken");
    for number in [2, 3] {
        let mac = implicit(number, Any::new(Tag::Sequence, []).unwrap()).to_der().unwrap();
        refused(&ask(&gw1, p256(&mac)), "badPOP", "agree on a MAC");
    }
    refused(&ask(&gw1, p256(&[0x81, 1, 2])), "badDataFormat", "CertReqMsg");
    // A point that is not on its curve.
    openssl(&instance, "pkey -in p384.key -pubout -outform DER -out public.der");
    let mut off = fs::read(instance.file("public.der")).unwrap();
    *off.last_mut().unwrap() ^= 1;
    for way in [ENCR_CERT, CHALLENGE_RESP] {
        let body = request_on(&off, KEY_AGREEMENT, &way);
        refused(&ask(&gw1, body), "badDataFormat", "not a point on P-384");
    }
    // With pvno 2 only RSA keys can be encrypted for.
    let old = Draft::new(IR, p256(&ENCR_CERT)).by_secret(&gw1);
    refused(&exchange(&instance, &old), "badPOP", "pvno 3");
    assert!(instance.certificates("gw1").is_empty() && instance.certificates("gw2").is_empty());
}

/// The challenge in a popdecc: owf, witness, challenge, and encryptedRand if there is one.
#[track_caller]
fn challenge(answer: &Answer) -> Vec<Any> {
    let status = answer.status().map(|status| (status.failures(), status.words()));
    assert_eq!(answer.kind, POPDECC, "{status:?}");
    let mut all: Vec<Any> = answer.body.decode_as().unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0).decode_as().unwrap()
}

/// The number in a Rand. Asserts its sender, and that it matches the witness.
#[track_caller]
fn number(answer: &Answer, rand: &[u8]) -> Int {
    let rand = Vec::<Any>::from_der(rand).unwrap();
    assert_eq!(rand[1].to_der().unwrap(), answer.header.sender.to_der().unwrap());
    let number: Int = rand[0].decode_as().unwrap();
    let witness: OctetString = challenge(answer)[1].decode_as().unwrap();
    let hash = digest::digest(&digest::SHA256, number.as_bytes());
    assert_eq!(witness.as_bytes(), hash.as_ref());
    number
}

fn response(number: &Int) -> Vec<u8> {
    sequence(&[number.to_der().unwrap()])
}

/// The rid of the only recipient of EnvelopedData. Asserts the versions (RFC 5652 §6.1, §6.2).
fn rid(enveloped: &Any) -> Vec<u8> {
    let parts: Vec<Any> = enveloped.decode_as().unwrap();
    // RecipientInfos ::= SET OF; ktri is a SEQUENCE, kari is [1].
    let recipient = Any::from_der(parts[1].value()).unwrap().to_der().unwrap();
    let is_kari = recipient[0] == 0xa1;
    let content = Any::from_der(&[&[0x30], &recipient[1..]].concat()).unwrap();
    let fields: Vec<Any> = content.decode_as().unwrap();
    let versions = if is_kari { (2_u8, 3_u8) } else { (0, 0) };
    assert_eq!((&parts[0], &fields[0]), (&any(&versions.0), &any(&versions.1)));
    if !is_kari {
        return fields[1].to_der().unwrap();
    }
    // originator [0], ukm [1], the algorithm, and recipientEncryptedKeys, of which each begins with its rid.
    let keys: Vec<Any> = fields[4].decode_as().unwrap();
    assert_eq!(keys.len(), 1);
    keys[0].decode_as::<Vec<Any>>().unwrap()[0].to_der().unwrap()
}

#[test]
fn a_challenge_names_the_request_that_it_is_for() {
    let instance = instance();
    let account = peer(&instance, "gw1", "sealed");
    key(&instance, "rsa2048", "gw1.key");
    let body = request_for(&instance, "gw1.key", KEY_ENCIPHERMENT, &CHALLENGE_RESP);
    // certReqId 5: the first INTEGER, in CertReqMessages, CertReqMsg and CertRequest.
    let mut other = body.clone();
    let place = other.windows(3).position(|octets| octets == [2, 1, 0]).unwrap();
    other[place + 2] = 5;
    for (body, id) in [(body, 0), (other, 5)] {
        let answer = exchange(&instance, &draft(IR, body).by_secret(&account));
        let sealed = Any::from_der(challenge(&answer)[3].value()).unwrap();
        let mut expected = OF_REQUEST_0;
        expected[6] = id;
        assert_eq!(rid(&sealed), expected);
        // OpenSSL reads it alike, and so does not need it to decrypt.
        decrypted(&instance, &sealed, "gw1.key");
        let shown = openssl(&instance, "cms -cmsout -print -inform DER -in enveloped.der");
        let shown: Vec<&str> = shown.split_whitespace().collect();
        let shown = shown.join(" ");
        let named = format!("d.issuerAndSerialNumber: issuer: serialNumber: {id} ");
        assert!(shown.contains(&named), "{shown}");
    }
}

#[test]
fn who_answers_the_challenge_gets_the_certificate() {
    let instance = instance();
    for (kind, choice) in kinds() {
        let account = peer(&instance, kind, "sealed");
        let file = format!("{kind}.key");
        key(&instance, kind, &file);
        let body = request_for(&instance, &file, choice, &CHALLENGE_RESP);
        let answer = exchange(&instance, &draft(IR, body).implicit().by_secret(&account));
        let parts = challenge(&answer);
        assert_eq!((parts.len(), parts[2].value()), (4, &[][..]), "encryptedRand alone");
        let sealed = Any::from_der(parts[3].value()).unwrap();
        assert_eq!(rid(&sealed), OF_REQUEST_0, "{kind}");
        let rand = decrypted(&instance, &sealed, &file);
        assert!(instance.certificates(kind).is_empty(), "nothing is issued yet");
        let number = number(&answer, &rand);
        let message = after(&answer, POPDECR, response(&number)).by_secret(&account);
        let granted = exchange(&instance, &message);
        assert_eq!(granted.kind, IP);
        // What the first message asked for is granted.
        assert!(granted.info(IMPLICIT_CONFIRM).is_some());
        assert_eq!(status(&instance, kind), "valid");
        // It is answered once, and the transaction is over.
        refused(&exchange(&instance, &message), "badRequest", "no challenge");
    }
}

#[test]
fn old_clients_get_the_challenge_in_its_old_form() {
    let instance = instance();
    let gw1 = peer(&instance, "gw1", "sealed");
    key(&instance, "rsa2048", "gw1.key");
    let body = request_for(&instance, "gw1.key", KEY_ENCIPHERMENT, &CHALLENGE_RESP);
    let answer = exchange(&instance, &Draft::new(CR, body).by_secret(&gw1));
    let parts = challenge(&answer);
    assert_eq!(parts.len(), 3, "no encryptedRand");
    let encrypted: OctetString = parts[2].decode_as().unwrap();
    fs::write(instance.file("challenge"), encrypted.as_bytes()).unwrap();
    openssl(&instance, "pkeyutl -decrypt -inkey gw1.key -in challenge -out rand.der");
    let number = number(&answer, &fs::read(instance.file("rand.der")).unwrap());
    let granted = exchange(&instance, &after(&answer, POPDECR, response(&number)).by_secret(&gw1));
    assert_eq!(granted.kind, CP);
    let confirm = after(&granted, CERT_CONF, confirmation(&granted.certificate()));
    assert_eq!(exchange(&instance, &confirm.by_secret(&gw1)).kind, PKICONF);
    assert_eq!(status(&instance, "gw1"), "valid");
}

#[test]
fn a_challenge_is_met_once_by_whom_it_was_sent_to() {
    let instance = instance();
    let gw1 = peer(&instance, "gw1", "sealed");
    let gw2 = peer(&instance, "gw2", "sealed");
    key(&instance, "rsa2048", "gw1.key");
    let body = request_for(&instance, "gw1.key", KEY_ENCIPHERMENT, &CHALLENGE_RESP);
    let open = || {
        let draft = draft(IR, body.clone());
        (draft.clone(), exchange(&instance, &draft.by_secret(&gw1)))
    };
    let solved = |answer: &Answer| {
        let sealed = Any::from_der(challenge(answer)[3].value()).unwrap();
        number(answer, &decrypted(&instance, &sealed, "gw1.key"))
    };
    // A wrong answer ends the transaction: the right one comes too late.
    let (_, answer) = open();
    let right = solved(&answer);
    let wrong = after(&answer, POPDECR, response(&Int::new(&[0x41; 16]).unwrap()));
    refused(&exchange(&instance, &wrong.by_secret(&gw1)), "badPOP", "not the number");
    let late = after(&answer, POPDECR, response(&right)).by_secret(&gw1);
    refused(&exchange(&instance, &late), "badRequest", "no challenge");
    // An answer to another challenge.
    let (_, other) = open();
    let mixed = after(&other, POPDECR, response(&right)).by_secret(&gw1);
    refused(&exchange(&instance, &mixed), "badPOP", "not the number");
    // What does not go on with the transaction leaves it as it is.
    let (first, answer) = open();
    let right = response(&solved(&answer));
    let next = || after(&answer, POPDECR, right.clone());
    refused(&exchange(&instance, &next().by_secret(&gw2)), "badRequest", "no transaction");
    let stale = next().with(|header| header.recip_nonce = header.sender_nonce.clone());
    refused(&exchange(&instance, &stale.by_secret(&gw1)), "badRecipientNonce", "recipNonce");
    let reused = draft(IR, body.clone()).with(|header| {
        header.transaction_id.clone_from(&first.header.transaction_id);
    });
    refused(&exchange(&instance, &reused.by_secret(&gw1)), "transactionIdInUse", "new");
    let none = after(&answer, POPDECR, sequence(&[])).by_secret(&gw1);
    refused(&exchange(&instance, &none), "badRequest", "one INTEGER");
    assert_eq!(exchange(&instance, &next().by_secret(&gw1)).kind, IP);
    // So many of one account await an answer, and no more; those of another are its own.
    for _ in 0..4 {
        assert_eq!(open().1.kind, POPDECC);
    }
    refused(&open().1, "systemUnavail", "too many challenges");
    let other = exchange(&instance, &draft(IR, body.clone()).by_secret(&gw2));
    assert_eq!(other.kind, POPDECC);
    assert_eq!(instance.certificates("gw1").len(), 1);
}
