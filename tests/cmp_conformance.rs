//! The requirements of RFC 9483 beyond the header (`cmp_header.rs`): the body of a refusal, its failInfo bit, and what must be granted as
//! requested. The messages are made by the tests' own encoder.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use common::cmp::{
    self, CERT_CONF, CP, CR, Draft, ERROR, Holder, IP, IR, KUP, KUR, Key, P10CR, PKICONF, RP, RR,
    Validity, algorithm, any, confirmation, enrolled, exchange, from_now, named, oid, pbmac1,
    proven, request, request_with, revocation,
};
use common::{Instance, Peer};
use der::asn1::{Any, BitString, GeneralizedTime, Int, Null, OctetString};
use der::{Decode, Encode};
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

/// An instance with one account, and `profile = "rfc9483"`, whose rules are tested here.
fn site() -> (Instance, Peer) {
    let instance = Instance::start_with(&[("cmp", "profile = \"rfc9483\"")]);
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    (instance, peer)
}

/// Asserts that a message is refused with this bit and no other, in a body of this kind.
#[track_caller]
fn refused(instance: &Instance, message: &[u8], kind: u8, failure: &str) -> String {
    let answer = exchange(instance, message);
    let status = answer.status().unwrap_or_else(|| panic!("expected a refusal: {}", answer.kind));
    assert_eq!(status.failures(), [failure], "{}", status.words());
    assert_eq!((answer.kind, status.status), (kind, 2), "{}", status.words());
    status.words()
}

/// The statuses of an account's certificates, oldest first.
fn statuses(instance: &Instance) -> Vec<String> {
    let certificates = instance.certificates("gw1");
    certificates.iter().map(|one| one["status"].as_str().expect("a status").into()).collect()
}

#[test]
fn a_transaction_identifier_has_128_bits() {
    let (instance, peer) = site();
    let holder = enrolled(&instance, &peer);
    let id = |length: usize| OctetString::new(vec![5; length]).unwrap();
    for length in [1, 8, 15, 17, 64, 65, 100] {
        let draft = || {
            let draft = Draft::new(CR, request(&Key::new()));
            draft.with(|header| header.transaction_id = Some(id(length)))
        };
        refused(&instance, &draft().by(&holder), ERROR, "badRequest");
        refused(&instance, &draft().by_secret(&peer), ERROR, "badRequest");
    }
    // Without one, a first message lacks a field, and another belongs to no transaction.
    let draft = Draft::new(CR, request(&Key::new()));
    let answer = exchange(&instance, &draft.by(&holder));
    let conf = Draft::after(&answer, CERT_CONF, confirmation(&answer.certificate()));
    let nameless = |draft: Draft| draft.with(|header| header.transaction_id = None).by(&holder);
    refused(&instance, &nameless(draft), ERROR, "badDataFormat");
    refused(&instance, &nameless(conf.clone()), ERROR, "badRequest");
    assert_eq!(statuses(&instance), ["valid", "unconfirmed"]);
    assert_eq!(exchange(&instance, &conf.by(&holder)).kind, PKICONF);
}

#[test]
fn implicit_confirmation_is_asked_for_with_a_certificate_only() {
    let (instance, peer) = site();
    let holder = enrolled(&instance, &peer);
    let answer = exchange(&instance, &Draft::new(CR, request(&Key::new())).by(&holder));
    let conf = Draft::after(&answer, CERT_CONF, confirmation(&answer.certificate()));
    refused(&instance, &conf.clone().implicit().by(&holder), ERROR, "badRequest");
    let rr = Draft::new(RR, revocation(named(&holder), Vec::new())).implicit();
    refused(&instance, &rr.by(&holder), RP, "badRequest");
    assert_eq!(statuses(&instance), ["valid", "unconfirmed"]);
    assert_eq!(exchange(&instance, &conf.by(&holder)).kind, PKICONF);
}

#[test]
fn a_certificate_is_confirmed_by_who_asked_for_it() {
    let (instance, peer) = site();
    let holder = enrolled(&instance, &peer);
    let other = enrolled(&instance, &peer);
    let key = Key::new();
    let answer = exchange(&instance, &Draft::new(CR, request(&key)).by(&holder));
    let new = Holder { certificate: answer.certificate(), key };
    let conf = Draft::after(&answer, CERT_CONF, confirmation(&new.certificate));
    for signer in [&new, &other] {
        refused(&instance, &conf.by(signer), ERROR, "badRequest");
    }
    // Another kind of MAC with the same secret is no other peer, but a wrong protection.
    let by_mac = exchange(&instance, &Draft::new(IR, request(&Key::new())).by_secret(&peer));
    let other_mac = Draft::after(&by_mac, CERT_CONF, confirmation(&by_mac.certificate()))
        .of(&peer)
        .with(|header| header.protection_alg = Some(pbmac1(&[3; 16], 1000)));
    refused(&instance, &other_mac.maced(&peer.secret), ERROR, "badMessageCheck");
    assert_eq!(statuses(&instance), ["valid", "valid", "unconfirmed", "unconfirmed"]);
    assert_eq!(exchange(&instance, &conf.by(&holder)).kind, PKICONF);
}

#[test]
fn a_certificate_signs_nothing_before_it_is_confirmed() {
    let (instance, peer) = site();
    let key = Key::new();
    let answer = exchange(&instance, &Draft::new(IR, request(&key)).by_secret(&peer));
    let new = Holder { certificate: answer.certificate(), key };
    let update = || Draft::new(KUR, request(&Key::new())).implicit().by(&new);
    refused(&instance, &update(), ERROR, "signerNotTrusted");
    refused(&instance, &Draft::new(CR, request(&Key::new())).by(&new), ERROR, "signerNotTrusted");
    assert_eq!(statuses(&instance), ["unconfirmed"]);
    let conf = Draft::after(&answer, CERT_CONF, confirmation(&new.certificate));
    assert_eq!(exchange(&instance, &conf.by_secret(&peer)).kind, PKICONF);
    exchange(&instance, &update()).certificate();
}

#[test]
fn a_confirmation_is_for_the_request_that_was_made() {
    let (instance, peer) = site();
    let answer = exchange(&instance, &Draft::new(IR, request(&Key::new())).by_secret(&peer));
    let conf = |id: i8| {
        let hash = ring::digest::digest(&ring::digest::SHA256, &answer.certificate());
        let hash = OctetString::new(hash.as_ref()).unwrap();
        let status = cmp::CertStatus { hash, id, status: None, hash_alg: None };
        Draft::after(&answer, CERT_CONF, vec![status].to_der().unwrap()).by_secret(&peer)
    };
    refused(&instance, &conf(-1), ERROR, "badRequest");
    refused(&instance, &conf(1), ERROR, "badRequest");
    assert_eq!(statuses(&instance), ["unconfirmed"]);
    assert_eq!(exchange(&instance, &conf(0)).kind, PKICONF);
}

#[test]
fn a_revocation_is_refused_in_its_own_response() {
    let (instance, peer) = site();
    let holder = enrolled(&instance, &peer);
    let revoked = enrolled(&instance, &peer);
    let rr = |extensions: Vec<Extension>| {
        Draft::new(RR, revocation(named(&holder), extensions)).from(&holder)
    };
    let plain = rr(Vec::new());
    // Its sender is not known.
    let bare = Draft::new(RR, revocation(named(&holder), Vec::new()));
    refused(&instance, &bare.bytes(None), RP, "badMessageCheck");
    let mut nobody = plain.clone();
    nobody.extra_certs.clear();
    refused(&instance, &nobody.signed(&holder.key), RP, "badMessageCheck");
    let issuer = GeneralName::DirectoryName(holder.read().tbs_certificate.issuer);
    let other = plain.clone().with(|header| header.sender = issuer);
    refused(&instance, &other.signed(&holder.key), RP, "badMessageCheck");
    // It is, and asks for what there is not.
    let unknown = rr(vec![reason(7)]).signed(&holder.key);
    refused(&instance, &unknown, RP, "badDataFormat");
    // What is wrong with the message as such is no revocation's.
    let old = plain.clone().with(|header| header.message_time = Some(any(&from_now(-3600))));
    refused(&instance, &old.signed(&holder.key), ERROR, "badTime");
    let later = plain.clone().with(|header| header.pvno = 4);
    refused(&instance, &later.signed(&holder.key), ERROR, "unsupportedVersion");
    assert_eq!(statuses(&instance), ["valid", "valid"]);

    let own = Draft::new(RR, revocation(named(&revoked), vec![reason(1)]));
    let status = exchange(&instance, &own.by(&revoked)).status().unwrap();
    assert_eq!(status.status, 0);
    assert_eq!(status.words(), "the certificate is revoked (keyCompromise)");
    let again = Draft::new(RR, revocation(named(&revoked), Vec::new()));
    refused(&instance, &again.by(&revoked), RP, "certRevoked");
    refused(
        &instance,
        &Draft::new(KUR, request(&Key::new())).by_secret(&peer),
        KUP,
        "wrongIntegrity",
    );
}

/// A reasonCode (RFC 5280 §5.3.1).
fn reason(number: u8) -> Extension {
    extension(cmp::CRL_REASON, false, &Any::new(der::Tag::Enumerated, vec![number]).unwrap())
}

#[test]
fn a_secret_revokes_only_where_the_operator_says_so() {
    for allowed in [false, true] {
        let setting = format!("mac_revocation = {allowed}");
        let instance = Instance::start_with(&[("cmp", &setting)]);
        let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
        let holder = enrolled(&instance, &peer);
        let rr = Draft::new(RR, revocation(named(&holder), Vec::new())).by_secret(&peer);
        if allowed {
            assert_eq!(exchange(&instance, &rr).status().unwrap().status, 0);
            assert_eq!(statuses(&instance), ["revoked"]);
        } else {
            refused(&instance, &rr, RP, "wrongIntegrity");
            assert_eq!(statuses(&instance), ["valid"]);
        }
    }
}

#[test]
fn only_what_is_held_could_be_released() {
    let (instance, peer) = site();
    let holder = enrolled(&instance, &peer);
    let held = enrolled(&instance, &peer);
    let tbs = held.read().tbs_certificate;
    let serial = data_encoding::HEXLOWER.encode(tbs.serial_number.as_bytes());
    instance.ok(&["cert", "hold", &serial]);
    let release =
        |one: &Holder| Draft::new(RR, revocation(named(one), vec![reason(8)])).by(&holder);
    refused(&instance, &release(&holder), RP, "badCertId");
    refused(&instance, &release(&held), RP, "notAuthorized");
    assert_eq!(instance.certificates("gw1").len(), 2);
    exchange(&instance, &Draft::new(CR, request(&Key::new())).by(&holder)).certificate();
}

#[test]
fn the_reference_may_be_written_as_a_common_name() {
    let (instance, peer) = site();
    let kid = |text: String| {
        let draft = Draft::new(IR, request(&Key::new())).implicit().of(&peer);
        let kid = OctetString::new(text.as_bytes()).unwrap();
        draft.with(|header| header.sender_kid = Some(kid)).maced(&peer.secret)
    };
    exchange(&instance, &kid(format!("CN={}", peer.reference))).certificate();
    for wrong in ["CN=CN=", "cn=", "O=", "CN=x"] {
        let message = kid(format!("{wrong}{}", peer.reference));
        refused(&instance, &message, ERROR, "badMessageCheck");
    }
    assert_eq!(statuses(&instance), ["valid"]);
}

#[test]
fn an_operator_says_when_wrong_secrets_lock() {
    for (setting, wrong, granted) in [("lock_after = 0", 8, true), ("lock_after = 1", 1, false)] {
        let instance = Instance::start_with(&[("cmp", setting), ("cmp", "lock_time = \"1h\"")]);
        let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
        let draft = || Draft::new(IR, request(&Key::new())).implicit().of(&peer);
        let words = |message: &[u8]| refused(&instance, message, ERROR, "badMessageCheck");
        for _ in 0..wrong {
            words(&draft().maced("wrong"));
        }
        if granted {
            exchange(&instance, &draft().maced(&peer.secret)).certificate();
            continue;
        }
        // Locked for this address: it reads as a reference that there is not.
        let nobody = OctetString::new(&b"nobody"[..]).unwrap();
        let unknown = draft().with(|header| header.sender_kid = Some(nobody));
        assert_eq!(words(&draft().maced(&peer.secret)), words(&unknown.maced(&peer.secret)));
        assert!(instance.log().contains("locked for this address"), "{}", instance.log());
    }
}

#[test]
fn a_proof_by_an_algorithm_for_another_key_is_none() {
    let (instance, peer) = site();
    let proof = |id: &str| {
        let key = Key::new();
        let mut message = proven(&key, cmp::plain_request(&key));
        let signature = key.sign(&message.request.to_der().unwrap());
        let signature = BitString::from_bytes(&signature).unwrap();
        let parts = [algorithm(id, None).to_der().unwrap(), signature.to_der().unwrap()];
        let proof = Any::from_der(&cmp::sequence(&parts)).unwrap();
        message.proof = Some(cmp::implicit(1, proof));
        Draft::new(IR, vec![message].to_der().unwrap()).by_secret(&peer)
    };
    // sha256WithRSAEncryption and Ed25519, for which the key is none; and what nobody here knows.
    for (id, failure) in [
        (cmp::RSA_SHA256, "badPOP"),
        ("1.3.101.112", "badPOP"),
        ("1.2.840.10045.4.1", "badAlg"),
        ("1.2.3.4", "badAlg"),
    ] {
        refused(&instance, &proof(id), IP, failure);
    }
    exchange(&instance, &proof(cmp::ECDSA_SHA256)).certificate();
}

#[test]
fn a_key_of_the_wrong_size_is_a_bad_template() {
    let (instance, peer) = site();
    let key = Key::new();
    // A modulus of so many bits. Nobody has such a key: its size is looked at before the proof.
    let rsa = |bits: usize| {
        let modulus = [&[0][..], &vec![0xff; bits / 8]].concat();
        let parts = [Int::new(&modulus).unwrap(), Int::new(&[1, 0, 1]).unwrap()];
        let bits = BitString::from_bytes(&parts.to_vec().to_der().unwrap()).unwrap();
        SubjectPublicKeyInfoOwned {
            algorithm: algorithm("1.2.840.113549.1.1.1", Some(any(&Null))),
            subject_public_key: bits,
        }
    };
    for bits in [512, 1024, 8200, 18_000, 80_000] {
        let body = request_with(&key, |template| template.public_key = Some(rsa(bits)));
        let words =
            refused(&instance, &Draft::new(IR, body).by_secret(&peer), IP, "badCertTemplate");
        assert!(words.contains(&bits.to_string()) || bits == 80_000, "{words}");
    }
    // As a signer's it is a stranger's.
    let folder = instance.file(".");
    let arguments = ["req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", "small.key"];
    let output = ["-out", "small.crt", "-subj", "/CN=gw1.example.net"];
    common::tool_ok("openssl", "openssl", &[&arguments[..], &output].concat(), &folder);
    let pem = std::fs::read(folder.join("small.crt")).unwrap();
    let small = x509_cert::Certificate::load_pem_chain(&pem).unwrap().remove(0);
    let small = Holder { key, certificate: small.to_der().unwrap() };
    let message = Draft::new(CR, request(&Key::new())).by(&small);
    refused(&instance, &message, ERROR, "signerNotTrusted");
    assert_eq!(statuses(&instance), [""; 0]);
}

#[test]
fn a_pkcs_10_request_by_an_unknown_algorithm_is_not_read_further() {
    let (instance, peer) = site();
    // Dilithium of the third round, with keys of 1,312 to 2,592 octets.
    for length in [1312, 1952, 2592] {
        let unknown = algorithm("1.3.6.1.4.1.2.267.7.4.4", None);
        let spki = SubjectPublicKeyInfoOwned {
            algorithm: unknown.clone(),
            subject_public_key: BitString::from_bytes(&vec![7; length]).unwrap(),
        };
        let info = cmp::sequence(&[
            0_u8.to_der().unwrap(),
            "CN=gw1.example.net".parse::<Name>().unwrap().to_der().unwrap(),
            spki.to_der().unwrap(),
            cmp::implicit(0, Any::new(der::Tag::Set, Vec::new()).unwrap()).to_der().unwrap(),
        ]);
        let signature = BitString::from_bytes(&[7; 2420]).unwrap();
        let parts = [info, unknown.to_der().unwrap(), signature.to_der().unwrap()];
        let message = Draft::new(P10CR, cmp::sequence(&parts)).by_secret(&peer);
        refused(&instance, &message, ERROR, "badAlg");
    }
}

/// An extension of a template.
fn extension(id: &str, critical: bool, value: &impl Encode) -> Extension {
    let extn_value = OctetString::new(value.to_der().unwrap()).unwrap();
    Extension { extn_id: oid(id), critical, extn_value }
}

/// Requests a certificate with these extensions, in a message signed by the holder of another.
fn asking(holder: &Holder, extensions: Vec<Extension>) -> Vec<u8> {
    let body = request_with(&Key::new(), |template| template.extensions = Some(extensions));
    Draft::new(CR, body).implicit().by(holder)
}

#[test]
fn nobody_becomes_a_ca_by_asking() {
    let (instance, peer) = site();
    let holder = enrolled(&instance, &peer);
    let constraints = |ca: bool, path: Option<u8>| {
        let mut parts = Vec::new();
        parts.extend(ca.then(|| true.to_der().unwrap()));
        parts.extend(path.map(|path| path.to_der().unwrap()));
        vec![extension("2.5.29.19", true, &Any::from_der(&cmp::sequence(&parts)).unwrap())]
    };
    let ask = |extensions| asking(&holder, extensions);
    refused(&instance, &ask(constraints(true, None)), CP, "notAuthorized");
    refused(&instance, &ask(constraints(true, Some(0))), CP, "notAuthorized");
    refused(&instance, &ask(constraints(false, Some(0))), CP, "badCertTemplate");
    assert_eq!(statuses(&instance), ["valid"]);
    let answer = exchange(&instance, &ask(constraints(false, None)));
    assert_eq!(answer.status().unwrap().status, 0);
}

#[test]
fn roles_of_management_entities_are_the_profiles_to_give() {
    let (instance, peer) = site();
    let holder = enrolled(&instance, &peer);
    let usages = |of: &[u8]| {
        let usages: Vec<_> = of.iter().map(|of| oid(&format!("1.3.6.1.5.5.7.3.{of}"))).collect();
        asking(&holder, vec![extension("2.5.29.37", false, &usages)])
    };
    for role in [27, 28, 32] {
        refused(&instance, &usages(&[role]), CP, "notAuthorized");
        refused(&instance, &usages(&[17, role]), CP, "notAuthorized");
    }
    assert_eq!(statuses(&instance), ["valid"]);
    // Another usage is none that rules anybody: the profile's is issued, and that is said.
    assert_eq!(exchange(&instance, &usages(&[4])).status().unwrap().status, 1);
}

#[test]
fn a_request_may_have_less_of_the_key_usage_but_must_sign() {
    let usages = "[\"digitalSignature\", \"nonRepudiation\"]";
    let profile = format!("[profiles.wide]\nbase = \"gateway\"\nkey_usage = {usages}\n");
    let instance = Instance::start_with_profile(&[], &profile);
    let flags = ["--uses", "100", "--profile", "wide"];
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &flags);
    let holder = enrolled(&instance, &peer);
    // The bits from the first: digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment, keyAgreement.
    let all = BitString::new(6, [0xc0]).unwrap();
    for (unused, asked, as_asked) in [
        (6, 0xc0, true),
        (7, 0x80, true),
        (6, 0x40, true),
        (5, 0x20, false),
        (5, 0xa0, false),
        (3, 0x88, false),
        (4, 0x90, false),
    ] {
        let asked = BitString::new(unused, [asked]).unwrap();
        let extension = extension(cmp::KEY_USAGE, true, &asked);
        let answer = exchange(&instance, &asking(&holder, vec![extension]));
        let status = answer.status().unwrap();
        assert_eq!(status.status, u8::from(!as_asked), "{asked:?}: {}", status.words());
        let certificate = Holder { key: Key::new(), certificate: answer.certificate() }.read();
        let extensions = certificate.tbs_certificate.extensions.unwrap();
        let found = extensions.iter().find(|one| one.extn_id == oid(cmp::KEY_USAGE)).unwrap();
        let found = BitString::from_der(found.extn_value.as_bytes()).unwrap();
        assert_eq!(found, if as_asked { asked } else { all.clone() });
    }
}

#[test]
fn a_validity_that_begins_about_now_is_granted_as_asked() {
    let (instance, peer) = site();
    let holder = enrolled(&instance, &peer);
    let ask = |begin: &GeneralizedTime, end: Option<GeneralizedTime>| {
        let body = request_with(&Key::new(), |template| {
            template.validity = Some(Validity { not_before: Some(*begin), not_after: end });
        });
        Draft::new(CR, body).implicit().by(&holder)
    };
    // Just now, a little ahead, and tomorrow.
    for seconds in [0, 200, 86_400] {
        let (begin, end) = (from_now(seconds), from_now(seconds + 30 * 86_400));
        let answer = exchange(&instance, &ask(&begin, Some(end)));
        assert_eq!(answer.status().unwrap().status, 0, "{}", answer.status().unwrap().words());
        let certificate = Holder { key: Key::new(), certificate: answer.certificate() }.read();
        let validity = certificate.tbs_certificate.validity;
        assert_eq!(validity.not_before.to_unix_duration(), begin.to_unix_duration());
        assert_eq!(validity.not_after.to_unix_duration(), end.to_unix_duration());
    }
    // Long ago: it begins now, and that is said. When everything is over: refused.
    let status = exchange(&instance, &ask(&from_now(-86_400), None)).status().unwrap();
    assert_eq!(status.status, 1);
    assert!(status.words().contains("begins now"), "{}", status.words());
    let late = ask(&from_now(20 * 365 * 86_400), None);
    refused(&instance, &late, CP, "badCertTemplate");
}
