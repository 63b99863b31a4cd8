//! General messages (RFC 9810 §5.3.19, RFC 9483 §4.3): by `openssl cmp` as far as it can send them, and by the tests' own encoder.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;

use common::der::{self, Message, seq, tlv};
use common::general::*;
use common::openssl::{by_secret, cmp, enrol, key, request};
use common::{Instance, Peer, tool_ok};

/// An instance with one account, whose server runs.
fn start(config: &str) -> (Instance, Peer) {
    let mut instance = Instance::init(&[]);
    if !config.is_empty() {
        let path = instance.data().join("countersign.toml");
        fs::write(&path, config).unwrap();
    }
    instance.serve();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net", "ip:192.0.2.1"]);
    (instance, peer)
}

#[test]
fn openssl_asks_and_is_told() {
    let (instance, peer) = start("");
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    let by_certificate = ["-cert", "gw1.crt", "-key", "gw1.key"].map(str::to_owned);
    for proof in [by_secret(&peer), by_certificate] {
        for (asked, told) in [
            ("caCerts", "id-it-caCerts"),
            ("currentCRL", "id-it-currentCRL"),
            ("signKeyPairTypes", "id-it-signKeyPairTypes"),
            ("encKeyPairTypes", "id-it-encKeyPairTypes"),
            ("preferredSymmAlg", "id-it-preferredSymmAlg"),
            ("caProtEncCert", "id-it-caProtEncCert"),
            ("certReqTemplate", "id-it-certReqTemplate"),
            ("revPassphrase", "id-it-unsupportedOIDs"),
            ("keyPairParamReq", "id-it-unsupportedOIDs"),
        ] {
            let mut arguments = vec!["-cmd", "genm", "-infotype", asked];
            arguments.extend(proof.iter().map(String::as_str));
            let run = cmp(&instance, &arguments).granted();
            assert!(run.text.contains(told), "{asked}:\n{}", run.text);
            assert_eq!(run.text.matches("id-it-").count(), 1, "{asked}:\n{}", run.text);
        }
    }
    // The operation labels of RFC 9483 §6.1.
    let proof = by_secret(&peer);
    for path in ["getcacerts", "getrootupdate", "p/gateway/getcertreqtemplate", "getcrls"] {
        let path = format!(".well-known/cmp/{path}");
        let mut arguments = vec!["-cmd", "genm", "-infotype", "caCerts", "-path", &path];
        arguments.extend(proof.iter().map(String::as_str));
        cmp(&instance, &arguments).granted();
    }
    enrol(&instance, &peer, "gw1.key", &["-path", ".well-known/cmp/getcrls"])
        .refused(&["the path is for genm, found ir"]);
}

#[test]
fn certificates_of_cas_and_the_current_crl_are_those_of_the_instance() {
    let (instance, peer) = start("");
    let (kind, list) = ask_one(&instance, &peer, info(CA_CERTS, b""));
    assert_eq!(kind, CA_CERTS);
    let certificates = list.expect("certificates").parts();
    // The root is not handed out: who trusts it has it from elsewhere.
    assert_eq!(certificates.len(), 1);
    assert_eq!(certificates[0].whole, der_of(&instance, "issuing.crt"));
    let text = x509(&instance, &certificates[0].whole, &["-subject"]);
    assert!(text.contains("Countersign issuing CA"), "{text}");

    let (kind, crl) = ask_one(&instance, &peer, info(CURRENT_CRL, b""));
    assert_eq!(kind, CURRENT_CRL);
    assert_eq!(crl.unwrap().whole, fs::read(instance.data().join("crl/issuing.crl")).unwrap());
}

#[test]
fn what_is_not_known_is_listed_beside_what_is() {
    let (instance, peer) = start("");
    let asked = [
        info(REV_PASSPHRASE, b""),
        info(PREFERRED_SYMM_ALG, b""),
        info(99, &tlv(0x04, b"whatever")),
        info(CA_PROT_ENC_CERT, b""),
    ];
    let answer = ask(&instance, &peer, &asked);
    let kinds: Vec<u8> = answer.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [PREFERRED_SYMM_ALG, CA_PROT_ENC_CERT, UNSUPPORTED_OIDS]);
    // aes256-CBC, 2.16.840.1.101.3.4.1.42
    let aes = tlv(0x06, &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42]);
    assert_eq!(answer[0].1.as_ref().unwrap().whole, seq(&[&aes]));
    assert!(answer[1].1.is_none(), "no key here decrypts");
    let unknown = seq(&[&id_it(REV_PASSPHRASE), &id_it(99)]);
    assert_eq!(answer[2].1.as_ref().unwrap().whole, unknown);
}

#[test]
fn a_value_where_none_belongs_and_too_much_at_once_are_refused() {
    let (instance, peer) = start("");
    let random = tlv(0x04, &[7; 16]);
    for kind in [
        CA_PROT_ENC_CERT,
        SIGN_KEY_PAIR_TYPES,
        ENC_KEY_PAIR_TYPES,
        PREFERRED_SYMM_ALG,
        CURRENT_CRL,
        CA_CERTS,
        CERT_REQ_TEMPLATE,
    ] {
        let (failure, text) = refused(&instance, &peer, &[info(kind, &random)]);
        assert_eq!(failure, ["badRequest"], "{kind}: {text}");
        assert!(text.contains(&format!("1.3.6.1.5.5.7.4.{kind}")), "{text}");
    }
    for kind in [CRL_STATUS_LIST, ROOT_CA_CERT, SUPP_LANG_TAGS] {
        let (failure, text) = refused(&instance, &peer, &[info(kind, &random)]);
        assert_eq!(failure, ["badDataFormat"], "{kind}: {text}");
    }
    for kind in [CRL_STATUS_LIST, SUPP_LANG_TAGS] {
        let (failure, text) = refused(&instance, &peer, &[info(kind, b"")]);
        assert_eq!(failure, ["badRequest"], "{kind}: {text}");
    }
    let twice = [info(CURRENT_CRL, b""), info(CURRENT_CRL, b"")];
    let (failure, text) = refused(&instance, &peer, &twice);
    assert!(failure == ["badRequest"] && text.contains("twice"), "{failure:?} {text}");
    let many =
        |count: u8| -> Vec<Vec<u8>> { (50..50 + count).map(|last| info(last, b"")).collect() };
    let (failure, text) = refused(&instance, &peer, &many(17));
    assert!(failure == ["badRequest"] && text.contains("at most 16"), "{failure:?} {text}");
    assert_eq!(ask(&instance, &peer, &many(16)).len(), 1);

    let secret = &peer.secret;
    let not_a_list = genm(&instance, &peer, &[]).with_body(&tlv(GENM, &id_it(6))).protected(secret);
    let answer = Message::read(&instance.cmp(&not_a_list.bytes()));
    assert_eq!(answer.refusal().unwrap().0, ["badDataFormat"]);
}

#[test]
fn an_empty_question_is_answered_with_what_a_client_needs() {
    let (instance, peer) = start("");
    let kinds: Vec<u8> = ask(&instance, &peer, &[]).iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [CA_CERTS, SIGN_KEY_PAIR_TYPES, PREFERRED_SYMM_ALG, CERT_REQ_TEMPLATE]);
}

#[test]
fn one_language_is_taken() {
    let (instance, peer) = start("");
    let tags = |tags: &[&str]| {
        let tags: Vec<Vec<u8>> = tags.iter().map(|tag| tlv(0x0c, tag.as_bytes())).collect();
        info(SUPP_LANG_TAGS, &tlv(0x30, &tags.concat()))
    };
    for (asked, taken) in [(&["de", "en-GB", "en"][..], "en-GB"), (&["EN"], "EN")] {
        let (kind, value) = ask_one(&instance, &peer, tags(asked));
        assert_eq!(kind, SUPP_LANG_TAGS);
        assert_eq!(value.unwrap().whole, seq(&[&tlv(0x0c, taken.as_bytes())]));
    }
    let long = format!("en-{}", "x".repeat(33));
    for unknown in [&["de", "english", &long][..], &[]] {
        assert_eq!(refused(&instance, &peer, &[tags(unknown)]).0, ["badRequest"]);
    }
}

const EC_PUBLIC_KEY: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[0x06, 5, 0x2b, 0x81, 4, 0, 34];
const P521: &[u8] = &[0x06, 5, 0x2b, 0x81, 4, 0, 35];
const ED25519: &[u8] = &[0x06, 3, 0x2b, 0x65, 0x70];
const RSA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const NULL: &[u8] = &[5, 0];

/// An attribute of keySpec with id-regCtrl and a last arc.
fn control(last: u8, value: &[u8]) -> Vec<u8> {
    seq(&[&tlv(0x06, &[0x2b, 6, 1, 5, 5, 7, 5, 1, last]), value])
}

#[test]
fn a_template_says_what_a_request_shall_say() {
    let (instance, peer) = start("");
    let types = [
        seq(&[EC_PUBLIC_KEY, P256]),
        seq(&[EC_PUBLIC_KEY, P384]),
        seq(&[EC_PUBLIC_KEY, P521]),
        seq(&[ED25519]),
        seq(&[RSA, NULL]),
    ];
    let (kind, signing) = ask_one(&instance, &peer, info(SIGN_KEY_PAIR_TYPES, b""));
    assert_eq!(kind, SIGN_KEY_PAIR_TYPES);
    assert_eq!(signing.unwrap().content, types.concat());
    assert!(ask_one(&instance, &peer, info(ENC_KEY_PAIR_TYPES, b"")).1.is_none());

    let (kind, value) = ask_one(&instance, &peer, info(CERT_REQ_TEMPLATE, b""));
    assert_eq!(kind, CERT_REQ_TEMPLATE);
    let parts = value.unwrap().parts();
    let [template, key_spec] = parts.as_slice() else { panic!("a template and a keySpec") };
    // subject [5] and extensions [9]; above all no publicKey, serialNumber or signingAlg.
    let tags: Vec<u8> = template.parts().iter().map(|part| part.tag).collect();
    assert_eq!(tags, [0xa5, 0xa9]);
    let name = tlv(0x0c, b"gw1.example.net");
    let attribute = seq(&[&tlv(0x06, &[0x55, 4, 3]), &name]);
    assert_eq!(template.parts()[0].content, seq(&[&tlv(0x31, &attribute)]));
    let usage =
        seq(&[&tlv(0x06, &[0x55, 29, 15]), &[1, 1, 0xff], &tlv(0x04, &tlv(0x03, &[7, 0x80]))]);
    let usages: Vec<Vec<u8>> =
        [17, 1, 2].iter().map(|last| tlv(0x06, &[0x2b, 6, 1, 5, 5, 7, 3, *last])).collect();
    let extended = seq(&[&tlv(0x06, &[0x55, 29, 37]), &tlv(0x04, &tlv(0x30, &usages.concat()))]);
    let names = seq(&[&tlv(0x82, b"gw1.example.net"), &tlv(0x87, &[192, 0, 2, 1])]);
    let alt_names = seq(&[&tlv(0x06, &[0x55, 29, 17]), &tlv(0x04, &names)]);
    assert_eq!(template.parts()[1].content, [usage, extended, alt_names].concat());
    let controls = [
        control(11, &types[0]),
        control(11, &types[1]),
        control(11, &types[2]),
        control(11, &types[3]),
        control(12, &tlv(0x02, &[8, 0])),
    ];
    assert_eq!(key_spec.whole, seq(&[&controls.concat()]));
}

#[test]
fn a_profile_shapes_the_template_and_only_its_accounts_may_name_it() {
    let config = "[profiles.small]\nbase = \"user\"\nkeys = [\"rsa\", \"p384\"]\nmin_rsa_bits = 3072\n\
                  key_usage = [\"digitalSignature\", \"keyEncipherment\", \"keyAgreement\"]\n";
    let (instance, other) = start(config);
    let peer = instance.peer_with("u1", &["email:u1@example.net"], &["--profile", "small"]);
    let named = |peer: &Peer, name: &str| {
        let profile = info(21, &seq(&[&tlv(0x0c, name.as_bytes())]));
        genm(&instance, peer, &[info(CERT_REQ_TEMPLATE, b"")])
            .with_field(0xa8, Some(&seq(&[&profile])))
            .protected(&peer.secret)
    };
    let rsa = seq(&[RSA, NULL]);
    let p384 = seq(&[EC_PUBLIC_KEY, P384]);
    let answer = Message::read(&instance.cmp(&named(&peer, "small").bytes()));
    let value = told(&answer)[0].1.clone().unwrap();
    let controls = [control(12, &tlv(0x02, &[12, 0])), control(11, &p384)].concat();
    assert_eq!(value.parts()[1].content, controls);
    // Those that can also encrypt or agree on keys.
    let (kind, encryption) = ask_one(&instance, &peer, info(ENC_KEY_PAIR_TYPES, b""));
    assert_eq!(kind, ENC_KEY_PAIR_TYPES);
    assert_eq!(encryption.unwrap().content, [rsa, p384].concat());

    let answer = Message::read(&instance.cmp(&named(&other, "small").bytes()));
    let (failure, text) = answer.refusal().unwrap();
    assert!(failure == ["notAuthorized"] && text.contains("`gateway`, not `small`"), "{text}");
    let answer = Message::read(&instance.cmp(&named(&other, "nosuch").bytes()));
    assert_eq!(answer.refusal().unwrap().0, ["badRequest"]);
    // The path names it just so.
    let message = genm(&instance, &other, &[info(CERT_REQ_TEMPLATE, b"")]).bytes();
    for (path, taken) in [("p/gateway", true), ("p/small", false), ("p/issuing", true)] {
        let path = format!("/.well-known/cmp/{path}");
        let answer = instance.http("POST", &path, "application/pkixcmp", &message).unwrap();
        assert_eq!(Message::read(&answer.body).body.tag == GENP, taken, "{path}");
    }
}

#[test]
fn every_request_for_a_certificate_may_name_its_profile_and_no_other() {
    let config = "[profiles.small]\nbase = \"gateway\"\nvalidity = \"7d\"\n";
    let (instance, other) = start(config);
    let peer = instance.peer_with(
        "small",
        &["fqdn:s.example.net"],
        &["--profile", "small", "--uses", "9"],
    );
    key(&instance, "p256", "gw1.key");
    let arguments = ["req", "-new", "-key", "gw1.key", "-subj", "/", "-out", "gw1.csr"];
    tool_ok("openssl", "openssl", &arguments, &instance.file("."));
    let profile = seq(&[&info(21, &seq(&[&tlv(0x0c, b"small")]))]);
    for (command, answered) in [("ir", 0xa1), ("cr", 0xa3), ("p10cr", 0xa3)] {
        for (peer, granted) in [(&peer, true), (&other, false)] {
            let secret = by_secret(peer);
            let mut arguments = vec!["-cmd", command, "-newkey", "gw1.key"];
            if command == "p10cr" {
                arguments = vec!["-cmd", command, "-csr", "gw1.csr"];
            }
            arguments.extend(secret.iter().map(String::as_str));
            let message = Message::read(&request(&instance, &arguments));
            let message = message.with_field(0xa8, Some(&profile)).protected(&peer.secret);
            let answer = Message::read(&instance.cmp(&message.bytes()));
            assert_eq!(answer.body.tag, answered, "{command}");
            match answer.refusal() {
                None => assert!(granted, "{command}"),
                Some((failure, text)) => {
                    assert!(!granted && failure == ["notAuthorized"], "{command}: {text}");
                    assert!(text.contains("the profile `gateway`, not `small`"), "{text}");
                }
            }
        }
    }
    let list = instance.certificates("small");
    assert!(list.len() == 3 && list.iter().all(|one| one["profile"] == "small"), "{list:?}");
}

/// DER of a CRL's or message's time, such as `260101000000Z`.
fn utc(text: &str) -> Vec<u8> {
    tlv(0x17, text.as_bytes())
}

#[test]
fn crls_are_sent_when_they_are_newer_than_what_the_peer_has() {
    let url = "http://pki.example.net";
    let config = format!("[http]\npublic_url = \"{url}\"\n[crl]\npartitions = 2\ndelta = true\n");
    let (instance, peer) = start(&config);
    let full = |ca: &str| fs::read(instance.data().join(format!("crl/{ca}.crl"))).unwrap();
    let point = |path: &str| {
        let uri = tlv(0x86, format!("{url}/{path}").as_bytes());
        tlv(0xa0, &tlv(0xa0, &uri))
    };
    let status = |source: &[u8], time: &[u8]| seq(&[source, time]);
    let list = |of: &[Vec<u8>]| info(CRL_STATUS_LIST, &tlv(0x30, &of.concat()));
    let crls = |asked: &[Vec<u8>]| {
        let (kind, value) = ask_one(&instance, &peer, list(asked));
        assert_eq!(kind, CRLS);
        value.map(|value| value.parts().into_iter().map(|crl| crl.whole).collect::<Vec<_>>())
    };
    // 1. By the distribution point of a partition, as certificates name it.
    let one = fs::read(instance.data().join("crl/issuing/1.crl")).unwrap();
    assert_eq!(crls(&[status(&point("crl/issuing/1.crl"), b"")]), Some(vec![one.clone()]));
    let root = crls(&[status(&point("crl/root.crl"), b"")]);
    assert_eq!(root, Some(vec![full("root")]));
    let delta = fs::read(instance.data().join("crl/issuing/delta.crl")).unwrap();
    assert_eq!(crls(&[status(&point("crl/issuing/delta.crl"), b"")]), Some(vec![delta]));
    // 2. By the issuer's name, an issuing CA and the root.
    let issuer = |certificate: &str| {
        let parsed = der::elements(&der_of(&instance, certificate));
        let subject = parsed[0].parts()[0].parts()[5].whole.clone();
        tlv(0xa1, &seq(&[&tlv(0xa4, &subject)]))
    };
    let both = [status(&issuer("issuing.crt"), b""), status(&issuer("root.crt"), b"")];
    assert_eq!(crls(&both), Some(vec![full("issuing"), full("root")]));
    // 3. Only what is newer: thisUpdate of the CRL itself is not, nor is anything later.
    let tbs = der::elements(&one)[0].parts()[0].parts();
    let this_update = tbs.iter().find(|part| part.tag == 0x17).unwrap().whole.clone();
    for (time, newer) in [
        (this_update.clone(), false),
        (utc("200101000000Z"), true),
        (utc("490101000000Z"), false),
        (tlv(0x18, b"20200101000000Z"), true),
    ] {
        let found = crls(&[status(&point("crl/issuing/1.crl"), &time)]);
        assert_eq!(found.is_some(), newer, "{time:02x?}");
    }
    // 4. What is not ours is nothing; the same CRL twice is sent once.
    let foreign = tlv(0xa0, &tlv(0xa0, &tlv(0x86, b"http://elsewhere.example/x.crl")));
    assert_eq!(crls(&[status(&foreign, b""), status(&point("crl/issuing/9.crl"), b"")]), None);
    let twice = vec![status(&point("crl/issuing/0.crl"), b""); 2];
    assert_eq!(crls(&twice).unwrap().len(), 1);
    // 5. Bounds.
    let many = vec![status(&foreign, b""); 17];
    assert_eq!(refused(&instance, &peer, &[list(&many)]).0, ["badRequest"]);
    assert_eq!(refused(&instance, &peer, &[list(&[])]).0, ["badRequest"]);
    let names = tlv(0xa1, &tlv(0x30, &tlv(0x86, b"http://x").repeat(9)));
    assert_eq!(refused(&instance, &peer, &[list(&[status(&names, b"")])]).0, ["badRequest"]);
    // 6. OpenSSL reads what was sent.
    fs::write(instance.file("one.crl"), &one).unwrap();
    let arguments = ["crl", "-inform", "DER", "-in", "one.crl", "-noout", "-text"];
    let text = tool_ok("openssl", "openssl", &arguments, &instance.file("."));
    assert!(text.contains("crl/issuing/1.crl"), "{text}");
}

#[test]
fn an_answer_has_a_largest_size() {
    let mut instance = Instance::empty();
    let policies: Vec<String> =
        (1..6).map(|n| format!("1.3.6.1.4.1.99999.{n}=http://x/{}", "p".repeat(900))).collect();
    let mut arguments = vec!["init"];
    arguments.extend(policies.iter().flat_map(|policy| ["--policy", policy]));
    instance.ok(&arguments);
    let config = instance.data().join("countersign.toml");
    fs::write(&config, "[cmp]\nmax_information = 4096\n").unwrap();
    instance.serve();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let (failure, text) = refused(&instance, &peer, &[info(CA_CERTS, b"")]);
    assert!(failure == ["addInfoNotAvailable"] && text.contains("4096"), "{failure:?} {text}");
    let (kind, crl) = ask_one(&instance, &peer, info(CURRENT_CRL, b""));
    assert!(kind == CURRENT_CRL && crl.is_some());
    instance.stop();
    fs::write(&config, "").unwrap();
    instance.serve();
    let (_, list) = ask_one(&instance, &peer, info(CA_CERTS, b""));
    assert!(list.unwrap().content.len() > 4096);
}

/// The same message without protection.
fn unprotected(message: &Message) -> Message {
    let message = message.with_field(der::PROTECTION_ALG, None).with_field(der::SENDER_KID, None);
    Message { rest: Vec::new(), ..message }
}

#[test]
fn a_stranger_is_told_what_is_public_and_only_if_the_operator_says_so() {
    let (instance, peer) = start("");
    let public = [info(CA_CERTS, b""), info(CURRENT_CRL, b""), info(ROOT_CA_CERT, b"")];
    let message = unprotected(&genm(&instance, &peer, &public)).bytes();
    let answer = Message::read(&instance.cmp(&message));
    assert_eq!(answer.refusal().unwrap().0, ["badMessageCheck"]);

    let (instance, peer) = start("[cmp]\nunprotected_genm = true\n");
    let message = unprotected(&genm(&instance, &peer, &public)).bytes();
    let answer = Message::read(&instance.cmp(&message));
    let kinds: Vec<u8> = told(&answer).iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [CA_CERTS, CURRENT_CRL, ROOT_CA_KEY_UPDATE]);
    assert!(told(&answer)[2].1.is_none(), "the root has no next key");
    // The answer is signed by the CA's signer of protocol answers.
    let extra = answer.rest.iter().find(|part| part.tag == 0xa1).unwrap().parts();
    let signer = extra[0].parts()[0].whole.clone();
    assert!(x509(&instance, &signer, &["-subject"]).contains("issuing CMP"));
    let protection = answer.rest.iter().find(|part| part.tag == 0xa0).unwrap().parts();
    fs::write(instance.file("signature"), &protection[0].content[1..]).unwrap();
    fs::write(instance.file("part"), seq(&[&answer.header.whole, &answer.body.whole])).unwrap();
    let folder = instance.file(".");
    let key =
        ["x509", "-inform", "DER", "-in", "one.der", "-noout", "-pubkey", "-out", "signer.pub"];
    tool_ok("openssl", "openssl", &key, &folder);
    let verify = ["dgst", "-sha256", "-verify", "signer.pub", "-signature", "signature", "part"];
    assert!(tool_ok("openssl", "openssl", &verify, &folder).contains("Verified OK"));

    // What depends on an account is told to nobody else, and an empty question to a stranger asks for nothing.
    for private in [SIGN_KEY_PAIR_TYPES, CERT_REQ_TEMPLATE, REV_PASSPHRASE] {
        let asked = genm(&instance, &peer, &[info(CA_CERTS, b""), info(private, b"")]);
        let answer = Message::read(&instance.cmp(&unprotected(&asked).bytes()));
        assert_eq!(answer.refusal().unwrap().0, ["badMessageCheck"], "{private}");
    }
    let answer = instance.cmp(&unprotected(&genm(&instance, &peer, &[])).bytes());
    assert!(told(&Message::read(&answer)).is_empty());
    // Nor does it open any other message, or one whose protection is wrong.
    key_and_unprotected_ir(&instance, &peer);
    let wrong = genm(&instance, &peer, &public).protected("wrong");
    let answer = Message::read(&instance.cmp(&wrong.bytes()));
    assert_eq!(answer.refusal().unwrap().0, ["badMessageCheck"]);
    let half = Message { rest: Vec::new(), ..genm(&instance, &peer, &public) };
    let answer = Message::read(&instance.cmp(&half.bytes()));
    assert_eq!(answer.refusal().unwrap().0, ["badMessageCheck"]);
}

fn key_and_unprotected_ir(instance: &Instance, peer: &Peer) {
    key(instance, "p256", "new.key");
    let secret = by_secret(peer);
    let mut arguments = vec!["-cmd", "ir", "-newkey", "new.key"];
    arguments.extend(secret.iter().map(String::as_str));
    let ir = Message::read(&request(instance, &arguments));
    let answer = Message::read(&instance.cmp(&unprotected(&ir).bytes()));
    assert_eq!(answer.refusal().unwrap().0, ["badMessageCheck"]);
    assert!(instance.certificates(&peer.name).is_empty());
}
