//! Protections that OpenSSL 3.0 does not support: PBMAC1, and signatures by Ed25519 and RSASSA-PSS. `openssl cmp` makes the requests, and the
//! tests replace their protection.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::num::NonZeroU32;

use common::der::{self, Element, Message, elements, seq, tlv};
use common::openssl::{by_secret, enrol, key, request};
use common::{Instance, Peer, tool_ok};
use ring::rand::SystemRandom;
use ring::signature::{self, Ed25519KeyPair, RsaKeyPair};
use ring::{hmac, pbkdf2};

const PBMAC1: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0e];
const PBKDF2: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
const HMAC_SHA256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09];
const HMAC_SHA512: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x0b];
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
const RSA_PSS: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
const MGF1: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];
const SHA256: &[u8] = &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const NULL: &[u8] = &[0x05, 0x00];

fn ir(instance: &Instance, peer: &Peer, key: &str) -> Message {
    let secret = by_secret(peer);
    let mut arguments = vec!["-cmd", "ir", "-newkey", key, "-implicit_confirm"];
    arguments.extend(secret.iter().map(String::as_str));
    Message::read(&request(instance, &arguments))
}

/// A PBMAC1 AlgorithmIdentifier: PBKDF2 with HMAC-SHA-256 as function and HMAC-SHA-512 as MAC.
fn pbmac1(salt: &[u8], iterations: &[u8]) -> Vec<u8> {
    let function = seq(&[HMAC_SHA256, NULL]);
    let derivation = seq(&[&tlv(0x04, salt), &tlv(0x02, iterations), &tlv(0x02, &[64]), &function]);
    seq(&[PBMAC1, &seq(&[&seq(&[PBKDF2, &derivation]), &seq(&[HMAC_SHA512, NULL])])])
}

fn pbmac1_key(secret: &str, salt: &[u8], iterations: u32) -> hmac::Key {
    let mut key = [0; 64];
    let iterations = NonZeroU32::new(iterations).unwrap();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, secret.as_bytes(), &mut key);
    hmac::Key::new(hmac::HMAC_SHA512, &key)
}

fn protected_part(message: &Message) -> Vec<u8> {
    seq(&[&message.header.whole, &message.body.whole])
}

/// The same message with this protection and these certificates.
fn with_protection(message: &Message, protection: &[u8], certificates: &[&[u8]]) -> Message {
    let bits = tlv(0x03, &[&[0], protection].concat());
    let mut rest = elements(&tlv(0xa0, &bits));
    if !certificates.is_empty() {
        rest.extend(elements(&tlv(0xa1, &seq(certificates))));
    }
    Message { rest, ..message.clone() }
}

fn protection(message: &Message) -> Vec<u8> {
    let element = message.rest.iter().find(|part| part.tag == 0xa0).expect("a protection");
    element.parts()[0].content[1..].to_vec()
}

#[test]
fn pbmac1_is_taken_and_answered_in_kind() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    let salt = [0x42; 16];
    let message = ir(&instance, &peer, "gw1.key")
        .with_field(der::PROTECTION_ALG, Some(&pbmac1(&salt, &[0x03, 0xe8])));
    let key = pbmac1_key(&peer.secret, &salt, 1000);
    let mac = hmac::sign(&key, &protected_part(&message));
    let answer =
        Message::read(&instance.cmp(&with_protection(&message, mac.as_ref(), &[]).bytes()));
    assert_eq!(answer.body.tag, der::IP, "{:?}", answer.refusal());
    assert_eq!(answer.field(der::PROTECTION_ALG).unwrap().whole, pbmac1(&salt, &[0x03, 0xe8]));
    hmac::verify(&key, &protected_part(&answer), &protection(&answer))
        .expect("the answer's MAC is right");

    let wrong = pbmac1_key("wrong", &salt, 1000);
    let message = ir(&instance, &peer, "gw1.key")
        .with_field(der::PROTECTION_ALG, Some(&pbmac1(&salt, &[0x03, 0xe8])));
    let mac = hmac::sign(&wrong, &protected_part(&message));
    let answer =
        Message::read(&instance.cmp(&with_protection(&message, mac.as_ref(), &[]).bytes()));
    assert_eq!(answer.refusal().expect("a refusal").0, ["badMessageCheck"]);
    for iterations in [&[99][..], &[0x0f, 0x42, 0x41], &[0x7f, 0xff, 0xff, 0xff]] {
        let hostile = message.with_field(der::PROTECTION_ALG, Some(&pbmac1(&salt, iterations)));
        let answer =
            Message::read(&instance.cmp(&with_protection(&hostile, mac.as_ref(), &[]).bytes()));
        assert_eq!(answer.refusal().expect("a refusal").0, ["badRequest"]);
    }
    assert_eq!(instance.certificates("gw1").len(), 1);
}

/// A file that `openssl` wrote, as DER.
fn der_of(instance: &Instance, kind: &str, file: &str) -> Vec<u8> {
    let arguments = match kind {
        "certificate" => vec!["x509", "-in", file, "-outform", "DER", "-out", "out.der"],
        _ => vec!["pkcs8", "-topk8", "-nocrypt", "-in", file, "-outform", "DER", "-out", "out.der"],
    };
    tool_ok("openssl", "openssl", &arguments, &instance.file("."));
    std::fs::read(instance.file("out.der")).unwrap()
}

/// A cr for `new.key`, made from an ir, and signed by the holder of `certificate`.
fn signed_cr(instance: &Instance, peer: &Peer, certificate: &[u8], algorithm: &[u8]) -> Message {
    let template = ir(instance, peer, "new.key");
    let tbs = elements(certificate)[0].parts()[0].clone();
    // version, serialNumber, signature, issuer, validity, subject
    let subject: Element = tbs.parts()[5].clone();
    let fixed = template.header.parts();
    let sender = tlv(0xa4, &subject.whole);
    let fields: Vec<u8> = fixed[3..].iter().flat_map(|part| part.whole.clone()).collect();
    let header = seq(&[&fixed[0].whole, &sender, &fixed[2].whole, &fields]);
    Message { header: elements(&header).remove(0), ..template.clone() }
        .with_field(der::PROTECTION_ALG, Some(algorithm))
        .with_field(der::SENDER_KID, Some(&key_identifier(&tbs)))
        .with_body(&tlv(0xa2, &template.body.content))
}

/// The subject key identifier among the extensions, which stand last (RFC 5280 §4.2.1.2).
fn key_identifier(tbs: &Element) -> Vec<u8> {
    let extensions = tbs.parts().pop().expect("extensions").parts().remove(0).parts();
    let found = extensions.iter().find(|one| one.parts()[0].content == [0x55, 0x1d, 0x0e]);
    found.expect("an identifier").parts().pop().expect("a value").content
}

fn pss() -> Vec<u8> {
    let hash = seq(&[SHA256, NULL]);
    let parameters =
        seq(&[&tlv(0xa0, &hash), &tlv(0xa1, &seq(&[MGF1, &hash])), &tlv(0xa2, &tlv(0x02, &[32]))]);
    seq(&[RSA_PSS, &parameters])
}

#[test]
fn signatures_by_ed25519_and_rsassa_pss_are_taken() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "new.key");
    for (kind, algorithm) in [("ed25519", seq(&[ED25519])), ("rsa2048", pss())] {
        key(&instance, kind, "old.key");
        enrol(&instance, &peer, "old.key", &[]).granted();
        let certificate = der_of(&instance, "certificate", "gw1.crt");
        let pkcs8 = der_of(&instance, "key", "old.key");
        let sign = |message: &[u8]| match kind {
            "ed25519" => Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8)
                .unwrap()
                .sign(message)
                .as_ref()
                .to_vec(),
            _ => {
                let pair = RsaKeyPair::from_pkcs8(&pkcs8).unwrap();
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(
                    &signature::RSA_PSS_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .unwrap();
                signature
            }
        };
        let before = instance.certificates("gw1").len();
        let message = signed_cr(&instance, &peer, &certificate, &algorithm);
        let good = with_protection(&message, &sign(&protected_part(&message)), &[&certificate]);
        let answer = Message::read(&instance.cmp(&good.bytes()));
        assert_eq!(answer.body.tag, 0xa3, "{kind}: {:?}", answer.refusal());

        let message = signed_cr(&instance, &peer, &certificate, &algorithm);
        let mut signature = sign(&protected_part(&message));
        signature[5] ^= 1;
        let bad = with_protection(&message, &signature, &[&certificate]);
        let answer = Message::read(&instance.cmp(&bad.bytes()));
        assert_eq!(answer.refusal().expect("a refusal").0, ["badMessageCheck"], "{kind}");
        assert_eq!(instance.certificates("gw1").len(), before + 1);
    }
}
