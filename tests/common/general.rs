//! General messages (RFC 9810 §5.3.19), encoded by the tests.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;

use super::der::{self, Element, Message, seq, tlv};
use super::openssl::{by_secret, request};
use super::{Instance, Peer, tool_ok};

/// The body kinds of general messages by their context tags.
pub const GENM: u8 = 0xb5;
pub const GENP: u8 = 0xb6;

pub const CA_PROT_ENC_CERT: u8 = 1;
pub const SIGN_KEY_PAIR_TYPES: u8 = 2;
pub const ENC_KEY_PAIR_TYPES: u8 = 3;
pub const PREFERRED_SYMM_ALG: u8 = 4;
pub const CURRENT_CRL: u8 = 6;
pub const UNSUPPORTED_OIDS: u8 = 7;
pub const REV_PASSPHRASE: u8 = 12;
pub const SUPP_LANG_TAGS: u8 = 16;
pub const CA_CERTS: u8 = 17;
pub const ROOT_CA_KEY_UPDATE: u8 = 18;
pub const CERT_REQ_TEMPLATE: u8 = 19;
pub const ROOT_CA_CERT: u8 = 20;
pub const CRL_STATUS_LIST: u8 = 22;
pub const CRLS: u8 = 23;

/// id-it and a last arc.
pub fn id_it(last: u8) -> Vec<u8> {
    tlv(0x06, &[0x2b, 6, 1, 5, 5, 7, 4, last])
}

pub fn info(last: u8, value: &[u8]) -> Vec<u8> {
    seq(&[&id_it(last), value])
}

thread_local! {
    /// A genm of `openssl cmp` for each reference. The server does not remember the transactionID of a genm, so that one header serves for
    /// many messages.
    static TEMPLATES: RefCell<HashMap<String, Message>> = RefCell::default();
}

/// A genm with these elements, protected with the peer's secret.
pub fn genm(instance: &Instance, peer: &Peer, infos: &[Vec<u8>]) -> Message {
    let made = || {
        let secret = by_secret(peer);
        let mut arguments = vec!["-cmd", "genm"];
        arguments.extend(secret.iter().map(String::as_str));
        Message::read(&request(instance, &arguments))
    };
    let template = TEMPLATES
        .with_borrow_mut(|known| known.entry(peer.reference.clone()).or_insert_with(made).clone());
    assert_eq!(template.body.tag, GENM);
    let infos: Vec<&[u8]> = infos.iter().map(Vec::as_slice).collect();
    template.with_body(&tlv(GENM, &seq(&infos))).protected(&peer.secret)
}

/// The elements of the answer to these elements, in order, each with the last arc of its type.
pub fn ask(instance: &Instance, peer: &Peer, infos: &[Vec<u8>]) -> Vec<(u8, Option<Element>)> {
    let answer = Message::read(&instance.cmp(&genm(instance, peer, infos).bytes()));
    assert!(answer.is_protected_by(&peer.secret), "the answer's MAC");
    told(&answer)
}

/// The elements of a genp.
pub fn told(answer: &Message) -> Vec<(u8, Option<Element>)> {
    assert_eq!(answer.body.tag, GENP, "{:?}", answer.refusal());
    let list = &answer.body.parts()[0];
    assert_eq!(list.tag, 0x30);
    let element = |info: &Element| {
        let parts = info.parts();
        assert_eq!(parts[0].content[..7], [0x2b, 6, 1, 5, 5, 7, 4]);
        assert!(parts.len() <= 2);
        (parts[0].content[7], parts.get(1).cloned())
    };
    list.parts().iter().map(element).collect()
}

/// The only element of the answer to one element.
pub fn ask_one(instance: &Instance, peer: &Peer, asked: Vec<u8>) -> (u8, Option<Element>) {
    let mut answer = ask(instance, peer, &[asked]);
    assert_eq!(answer.len(), 1);
    answer.remove(0)
}

/// The failInfo and text of the refusal of these elements.
pub fn refused(instance: &Instance, peer: &Peer, infos: &[Vec<u8>]) -> (Vec<&'static str>, String) {
    let answer = Message::read(&instance.cmp(&genm(instance, peer, infos).bytes()));
    assert_eq!(answer.body.tag, der::ERROR);
    answer.refusal().expect("a refusal")
}

/// `openssl x509` on a certificate, DER.
pub fn x509(instance: &Instance, der: &[u8], flags: &[&str]) -> String {
    fs::write(instance.file("one.der"), der).unwrap();
    let mut arguments = vec!["x509", "-inform", "DER", "-in", "one.der", "-noout"];
    arguments.extend(flags);
    tool_ok("openssl", "openssl", &arguments, &instance.file(".")).trim().to_owned()
}

/// The DER of a PEM file of the instance's keys.
pub fn der_of(instance: &Instance, name: &str) -> Vec<u8> {
    let path = instance.data().join("keys").join(name);
    let path = path.to_str().unwrap();
    let arguments = ["x509", "-in", path, "-outform", "DER", "-out", "of.der"];
    tool_ok("openssl", "openssl", &arguments, &instance.file("."));
    fs::read(instance.file("of.der")).unwrap()
}
