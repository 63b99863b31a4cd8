//! Controls and registration information of requests (RFC 4211 §6 and §7). The answer names the controls that were ignored. Controls about
//! publication are obeyed, also after a wait for approval, a renewal or a rebuild of the index; `crl_ldap.rs` checks the directories.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;

use common::Instance;
use common::cmp::*;
use common::nested::poll;
use common::openssl::key;
use der::asn1::Any;
use der::{Decode, Encode};
use x509_cert::attr::AttributeTypeAndValue;

/// pkiPublicationInfo with an action (RFC 4211 §6.3): SEQUENCE { INTEGER }.
const DONT_PUBLISH: [u8; 5] = [0x30, 3, 2, 1, 0];
const PLEASE_PUBLISH: [u8; 5] = [0x30, 3, 2, 1, 1];

fn control(number: u8, value: &[u8]) -> AttributeTypeAndValue {
    let value = Any::from_der(value).unwrap();
    AttributeTypeAndValue { oid: oid(&format!("{REG_CTRL}.{number}")), value }
}

/// A request with controls.
fn asking(key: &Key, controls: Vec<AttributeTypeAndValue>) -> Vec<u8> {
    let request = CertRequest { controls: Some(controls), ..plain_request(key) };
    vec![proven(key, request)].to_der().unwrap()
}

/// Whether each certificate of gw1 is published, oldest first, according to `cert show` and the journal.
fn published(instance: &Instance) -> Vec<bool> {
    let all = instance.certificates("gw1");
    let shown = all.iter().map(|one| {
        let shown = instance.json(&["cert", "show", one["serial"].as_str().unwrap()]);
        shown["published"].as_bool().expect("whether it is published")
    });
    let shown: Vec<bool> = shown.collect();
    let text = instance.ok(&["audit", "export"]);
    let entries = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let issued = entries.filter(|entry| entry["kind"] == "issued" && entry["account"] == "gw1");
    let recorded: Vec<bool> = issued.map(|entry| entry["published"].as_bool().unwrap()).collect();
    assert_eq!(shown, recorded);
    shown
}

#[test]
fn who_wants_no_publication_keeps_that_through_renewals_and_a_rebuilt_index() {
    let mut instance = Instance::start();
    let gw1 = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let key = Key::new();
    let ir = Draft::new(IR, asking(&key, vec![control(3, &DONT_PUBLISH)])).implicit();
    let answer = exchange(&instance, &ir.by_secret(&gw1));
    // It is heeded, and so there is nothing to tell.
    assert_eq!(answer.status().unwrap().status, 0, "{}", answer.status().unwrap().words());
    let holder = Holder { key, certificate: answer.certificate() };
    let renewed = |holder: &Holder, controls: Option<AttributeTypeAndValue>| {
        let key = Key::new();
        let body = match controls {
            Some(control) => asking(&key, vec![control]),
            None => request(&key),
        };
        let kur = Draft::new(KUR, body).implicit().by(holder);
        Holder { key, certificate: exchange(&instance, &kur).certificate() }
    };
    let second = renewed(&holder, None);
    let third = renewed(&second, Some(control(3, &PLEASE_PUBLISH)));
    renewed(&third, None);
    // Another certificate is another one.
    let cr = Draft::new(CR, request(&Key::new())).implicit().by(&second);
    exchange(&instance, &cr).certificate();
    let expected = [false, false, true, true, true];
    assert_eq!(published(&instance), expected);
    instance.stop();
    instance.ok(&["store", "rebuild"]);
    instance.ok(&["audit", "verify"]);
    instance.serve();
    assert_eq!(published(&instance), expected);
}

#[test]
fn what_waits_for_approval_remembers_what_was_said_of_publication() {
    let profile = "[profiles.field]\nbase = \"gateway\"\napproval = true\n";
    let mut instance = Instance::start_with_profile(&[], profile);
    let gw1 = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--profile", "field"]);
    let key = Key::new();
    let controls = || vec![control(3, &DONT_PUBLISH), control(1, &[12, 1, b'x'])];
    let ir = |controls| Draft::new(IR, asking(&key, controls)).implicit().by_secret(&gw1);
    let first = exchange(&instance, &ir(controls()));
    let words = first.status().unwrap().words();
    assert!(
        words.contains("waits") && words.ends_with("the control regToken was left out"),
        "{words}"
    );
    // To be published is another request.
    exchange(&instance, &ir(vec![]));
    let waiting = instance.json(&["request", "list"]);
    assert_eq!(waiting.as_array().unwrap().len(), 2, "{waiting}");
    let id = waiting[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(instance.json(&["request", "show", &id])["published"], false);
    instance.stop();
    instance.ok(&["request", "approve", &id]);
    instance.ok(&["store", "rebuild"]);
    instance.serve();
    exchange(&instance, &poll(&first, &[0]).by_secret(&gw1)).certificate();
    assert_eq!(published(&instance), [false]);
}

#[test]
fn who_asks_again_for_what_was_approved_is_told_what_was_left_out() {
    let profile = "[profiles.field]\nbase = \"gateway\"\napproval = true\n";
    let instance = Instance::start_with_profile(&[], profile);
    let gw1 = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--profile", "field"]);
    let key = Key::new();
    let ir = || {
        let asked = asking(&key, vec![control(1, &[12, 1, b'x'])]);
        exchange(&instance, &Draft::new(IR, asked).implicit().by_secret(&gw1))
    };
    assert_eq!(ir().status().unwrap().status, 3, "waiting");
    let id = instance.json(&["request", "list"])[0]["id"].as_str().unwrap().to_owned();
    instance.ok(&["request", "approve", &id]);
    // In another transaction, as a client that was started anew.
    let answer = ir();
    answer.certificate();
    let status = answer.status().unwrap();
    let told = (1, "the control regToken was left out");
    assert_eq!((status.status, status.words().as_str()), told, "grantedWithMods");
}

#[test]
fn controls_that_are_not_heeded_are_told_and_malformed_ones_refused() {
    let instance = Instance::start();
    let gw1 = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "100"]);
    let answered =
        |body: Vec<u8>| exchange(&instance, &Draft::new(IR, body).implicit().by_secret(&gw1));
    let text = [12, 1, b'x'];
    let told = |body: Vec<u8>, words: &str| {
        let answer = answered(body);
        answer.certificate();
        let status = answer.status().unwrap();
        assert_eq!((status.status, status.words().as_str()), (1, words), "grantedWithMods");
    };
    let of = |controls| asking(&Key::new(), controls);
    told(of(vec![control(1, &text)]), "the control regToken was left out");
    let many =
        [control(2, &text), control(4, &[5, 0]), control(6, &[5, 0]), control(7, &[0x30, 0])];
    told(
        of(many.to_vec()),
        "the controls authenticator, pkiArchiveOptions, protocolEncrKey, altCertTemplate were left out",
    );
    let foreign = AttributeTypeAndValue { oid: oid("1.3.6.1.4.1.99999.1"), value: any(&7_u8) };
    told(of(vec![foreign]), "the control `1.3.6.1.4.1.99999.1` was left out");
    // oldCertID is for key updates, and what key to make for who brings none.
    told(of(vec![control(5, &[0x30, 0])]), "the control oldCertID was left out");
    told(of(vec![control(12, &[2, 2, 8, 0])]), "the control rsaKeyLen was left out");
    // pleasePublish, at a place of its own.
    let ldap = [0x30, 10, 2, 1, 1, 0x30, 5, 0x30, 3, 2, 1, 3];
    told(
        of(vec![control(3, &ldap)]),
        "it is published where this CA publishes, whatever pubInfos says",
    );
    // regInfo: a third part of the CertReqMsg, with utf8Pairs (RFC 4211 §7.1).
    let key = Key::new();
    let pairs =
        AttributeTypeAndValue { oid: oid("1.3.6.1.5.5.7.5.2.1"), value: any(&"a?b%".to_owned()) };
    let mut parts: Vec<Any> = any(&proven(&key, plain_request(&key))).decode_as().unwrap();
    parts.push(any(&vec![pairs]));
    told(vec![parts].to_der().unwrap(), "the registration information (regInfo) was left out");
    let certificates = instance.certificates("gw1").len();
    for (value, failure, word) in [
        // dontPublish with pubInfos, an action and a method that there is not, no SinglePubInfo, no PKIPublicationInfo.
        (
            &[0x30, 10, 2, 1, 0, 0x30, 5, 0x30, 3, 2, 1, 0][..],
            "badRequest",
            "pubInfos must be absent",
        ),
        (&[0x30, 3, 2, 1, 9], "badRequest", "pleasePublish (1), found 9"),
        (&[0x30, 10, 2, 1, 1, 0x30, 5, 0x30, 3, 2, 1, 8], "badRequest", "ldap (3), found 8"),
        (&[0x30, 5, 2, 1, 1, 0x30, 0], "badRequest", "one SinglePubInfo"),
        (&[5, 0], "badDataFormat", "pkiPublicationInfo"),
    ] {
        refused(&answered(of(vec![control(3, value)])), failure, word);
    }
    let twice = vec![control(3, &DONT_PUBLISH), control(3, &PLEASE_PUBLISH)];
    refused(&answered(of(twice)), "badRequest", "stands twice");
    assert_eq!(instance.certificates("gw1").len(), certificates, "nothing was issued");
}

#[test]
fn a_challenge_is_not_sent_for_a_request_that_will_be_refused() {
    let profile = "[profiles.sealed]\nike = \"none\"\nkey_usage = [\"keyEncipherment\"]\n";
    let instance = Instance::start_with_profile(&[], profile);
    let gw1 = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--profile", "sealed"]);
    key(&instance, "rsa2048", "gw1.key");
    let public = ["pkey", "-in", "gw1.key", "-pubout", "-outform", "DER", "-out", "public.der"];
    common::tool_ok("openssl", "openssl", &public, &instance.file("."));
    let public = fs::read(instance.file("public.der")).unwrap();
    let asked = |controls| {
        let mut request = plain_request(&Key::new());
        request.template.public_key = Some(Decode::from_der(&public).unwrap());
        request.controls = Some(controls);
        // keyEncipherment [2] with subsequentMessage [1] challengeResp.
        let proof = Any::from_der(&explicit(2, Any::from_der(&[0x81, 1, 1]).unwrap())).unwrap();
        let body = vec![CertReqMsg { request, proof: Some(proof) }].to_der().unwrap();
        exchange(&instance, &Draft::new(IR, body).by_secret(&gw1))
    };
    assert_eq!(asked(vec![control(3, &DONT_PUBLISH)]).kind, POPDECC);
    refused(&asked(vec![control(3, &[0x30, 3, 2, 1, 2])]), "badRequest", "found 2");
}
