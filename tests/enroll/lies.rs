//! Good answers that an attacker changed, and protected anew if he knows the secret. The client must accept none of them.

use std::fs;
use std::sync::Mutex;

use super::Gateway;
use super::liar::{Liar, Reply};
use crate::common::der::{
    Element, MESSAGE_TIME, Message, PKI_CONF, PROTECTION_ALG, RECIP_NONCE, SENDER_NONCE,
    TRANSACTION_ID, elements, seq, tlv,
};
use crate::common::{Instance, tool_ok};

/// The body tag of an ir.
const IR: u8 = 0xa0;

type Lie = fn(&Message, &str) -> Vec<u8>;

/// Each change, with a word of the client's message about it.
const LIES: [(&str, &str, Lie); 18] = [
    ("another transaction", "transactionID", |answer, secret| {
        answer.with_field(TRANSACTION_ID, Some(&tlv(4, &[9; 16]))).protected(secret).bytes()
    }),
    ("no transaction", "transactionID", |answer, secret| {
        answer.with_field(TRANSACTION_ID, None).protected(secret).bytes()
    }),
    ("another request", "recipNonce", |answer, secret| {
        answer.with_field(RECIP_NONCE, Some(&tlv(4, &[9; 16]))).protected(secret).bytes()
    }),
    ("no nonce", "senderNonce", |answer, secret| {
        answer.with_field(SENDER_NONCE, None).protected(secret).bytes()
    }),
    ("a short nonce", "senderNonce", |answer, secret| {
        answer.with_field(SENDER_NONCE, Some(&tlv(4, &[9; 8]))).protected(secret).bytes()
    }),
    ("our own nonce", "used before", |answer, secret| {
        let ours = answer.field(RECIP_NONCE).unwrap().whole;
        answer.with_field(SENDER_NONCE, Some(&ours)).protected(secret).bytes()
    }),
    ("another year", "messageTime", |answer, secret| {
        let then = tlv(0x18, b"20200101000000Z");
        answer.with_field(MESSAGE_TIME, Some(&then)).protected(secret).bytes()
    }),
    ("no protection", "not protected", |answer, _| {
        let rest = answer.rest.iter().filter(|part| part.tag != 0xa0).cloned().collect();
        Message { rest, ..answer.with_field(PROTECTION_ALG, None) }.bytes()
    }),
    ("another secret", "MAC is wrong", |answer, _| answer.protected("not the secret").bytes()),
    ("work for an hour", "iterations", |answer, secret| {
        let algorithm = answer.field(PROTECTION_ALG).unwrap().parts();
        let parameters = algorithm[1].parts();
        let many = tlv(2, &0x7fff_ffff_u32.to_be_bytes());
        let parameters =
            seq(&[&parameters[0].whole, &parameters[1].whole, &many, &parameters[3].whole]);
        let lie = seq(&[&algorithm[0].whole, &parameters]);
        // The MAC itself would take that hour: it stays what it was.
        let _ = secret;
        answer.with_field(PROTECTION_ALG, Some(&lie)).bytes()
    }),
    ("another request's response", "certReqId", |answer, secret| {
        let changed = response(answer, |parts| parts[0] = element(&tlv(2, &[7])));
        answer.with_body(&changed).protected(secret).bytes()
    }),
    ("two responses", "one response", |answer, secret| {
        let content = answer.body.parts().remove(0).parts();
        let (last, before) = content.split_last().unwrap();
        let twice = tlv(0x30, &[last.content.clone(), last.content.clone()].concat());
        let before: Vec<u8> = before.iter().flat_map(|part| part.whole.clone()).collect();
        answer.with_body(&tlv(0xa1, &seq(&[&before, &twice]))).protected(secret).bytes()
    }),
    ("granted, and nothing there", "holds no certificate", |answer, secret| {
        let changed = response(answer, |parts| parts.truncate(2));
        answer.with_body(&changed).protected(secret).bytes()
    }),
    ("another's certificate", "another key", |answer, secret| {
        // The issuing CA's own stands in extraCerts.
        let extra = answer.rest.iter().find(|part| part.tag == 0xa1).unwrap();
        let other = extra.parts()[0].parts()[0].whole.clone();
        let changed = response(answer, |parts| {
            parts[2] = element(&tlv(0x30, &tlv(0xa0, &other)));
        });
        answer.with_body(&changed).protected(secret).bytes()
    }),
    ("an encrypted certificate", "not encrypted", |answer, secret| {
        let changed = response(answer, |parts| {
            parts[2] = element(&tlv(0x30, &tlv(0xa1, &tlv(0x30, &[]))));
        });
        answer.with_body(&changed).protected(secret).bytes()
    }),
    ("a confirmation", "expected the answer ip", |answer, secret| {
        answer.with_body(&tlv(PKI_CONF, &[5, 0])).protected(secret).bytes()
    }),
    ("half of it", "cannot be read", |answer, _| {
        let mut bytes = answer.bytes();
        bytes.truncate(bytes.len() / 2);
        bytes
    }),
    ("more than it", "cannot be read", |answer, _| [answer.bytes(), vec![0]].concat()),
];

fn element(bytes: &[u8]) -> Element {
    elements(bytes).remove(0)
}

/// The body of the ip with its only response changed.
fn response(answer: &Message, change: impl Fn(&mut Vec<Element>)) -> Vec<u8> {
    let content = answer.body.parts().remove(0).parts();
    let (responses, before) = content.split_last().unwrap();
    let mut parts = responses.parts().remove(0).parts();
    change(&mut parts);
    let parts: Vec<u8> = parts.iter().flat_map(|part| part.whole.clone()).collect();
    let before: Vec<u8> = before.iter().flat_map(|part| part.whole.clone()).collect();
    tlv(0xa1, &seq(&[&before, &seq(&[&seq(&[&parts])])]))
}

#[test]
fn no_lie_is_taken() {
    let instance = Instance::start();
    let mut gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    for (name, word, lie) in LIES {
        let secret = gateway.secret.clone();
        let liar = Liar::before(&instance.address, move |passing| {
            let answer = passing.answer();
            match passing.kind() {
                IR => Reply::Message(lie(&Message::read(&answer), &secret)),
                _ => Reply::Message(answer),
            }
        });
        gateway.url.clone_from(&liar.url);
        let text = gateway.enrol(&[]).fails(1, &[word]);
        assert!(gateway.is_untouched(), "{name}: {text}");
        assert!(liar.count() >= 1, "{name}");
        let _ = fs::remove_dir_all(&gateway.out);
    }
    // The very same way is one that works.
    let passing_on = Liar::before(&instance.address, |passing| Reply::Message(passing.answer()));
    gateway.url.clone_from(&passing_on.url);
    gateway.enrol(&[]).done();
    tool_ok("openssl", "openssl", &["x509", "-in", "gw1.crt", "-noout"], &gateway.out);
}

#[test]
fn a_lie_about_a_renewal_leaves_the_certificate_that_is_there() {
    let instance = Instance::start();
    let gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    gateway.enrol(&[]).done();
    let before = (gateway.read("gw1.crt"), gateway.read("gw1.key"));
    let first: Mutex<Option<Vec<u8>>> = Mutex::new(None);
    let liar = Liar::before(&instance.address, move |passing| {
        let answer = passing.answer();
        // The first is passed on to nobody, and is the answer to the second.
        let mut first = first.lock().unwrap();
        match first.take() {
            Some(old) => Reply::Message(old),
            None => {
                *first = Some(answer);
                Reply::Nothing
            }
        }
    });
    gateway.renew(&["--now", "--server", &liar.url]).fails(5, &[]);
    gateway.renew(&["--server", &liar.url]).fails(1, &["another transaction"]);
    assert_eq!((gateway.read("gw1.crt"), gateway.read("gw1.key")), before);
    gateway.renew(&[]).done();
}

#[test]
fn a_strangers_words_cannot_steer_a_terminal_and_are_no_proof() {
    let instance = Instance::start();
    let mut gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    let liar = Liar::before(&instance.address, |passing| {
        let answer = Message::read(&passing.answer());
        let words = tlv(0x30, &tlv(0x0c, "\u{1b}[2Jall is well\u{202e}".as_bytes()));
        let status = seq(&[&tlv(2, &[2]), &words, &tlv(3, &[5, 0x20])]);
        let error = answer.with_body(&tlv(0xb7, &seq(&[&status])));
        Reply::Message(error.bytes())
    });
    gateway.url.clone_from(&liar.url);
    let text = gateway.enrol(&[]).fails(4, &["badRequest", "all is well", "nothing proves"]);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
    // What is not proven does not end anything.
    assert!(gateway.out.join("enrolment/pending/key.pem").exists());
    gateway.url = format!("http://{}", instance.address);
    let key = gateway.read("enrolment/pending/key.pem");
    gateway.renew(&["--server", &gateway.url]).done();
    assert_eq!(gateway.read("gw1.key"), key);
}
