//! Interrupted enrolments, which go on in a later run, and busy servers, which the client asks again.

use std::time::Duration;

use super::liar::{Liar, Reply};
use super::{Gateway, pair};
use crate::common::der::{CERT_CONF, ERROR, IP, Message, seq, tlv};
use crate::common::{COUNTERSIGN, Instance, at_another_time};

/// The body tags of ir and genm.
const IR: u8 = 0xa0;
const GENM: u8 = 0xb5;

/// A server of the same data whose clock is another.
fn serve_at(instance: &mut Instance, shift: &str) -> String {
    instance.stop();
    instance.serve_with(at_another_time(shift, COUNTERSIGN));
    format!("http://{}", instance.address)
}

/// A proxy to a server. The server receives each certConf, and its answers to them are lost.
fn without_pki_conf(instance: &Instance) -> Liar {
    Liar::before(&instance.address, |passing| {
        let answer = passing.answer();
        if passing.kind() == CERT_CONF { Reply::Nothing } else { Reply::Message(answer) }
    })
}

#[test]
fn an_answer_that_is_lost_is_asked_for_again_with_the_same_key() {
    let instance = Instance::start();
    let mut gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    let liar = Liar::before(&instance.address, |passing| {
        let answer = passing.answer();
        if passing.number == 0 { Reply::Nothing } else { Reply::Message(answer) }
    });
    gateway.url.clone_from(&liar.url);
    gateway.enrol(&[]).fails(5, &[]);
    assert!(gateway.is_untouched());
    let key = gateway.read("enrolment/pending/key.pem");
    gateway.enrol(&[]).done();
    assert_eq!(gateway.read("gw1.key"), key);
    assert!(!gateway.out.join("enrolment/pending").exists());
    // Whoever wants another one meanwhile gets another key.
    let mut other = Gateway::new(&instance, "gw2", &["fqdn:gw2.example.net"]);
    let deaf = Liar::before(&instance.address, |_| Reply::Nothing);
    other.url.clone_from(&deaf.url);
    other.enrol(&[]).fails(5, &[]);
    let key = other.read("enrolment/pending/key.pem");
    other.url = format!("http://{}", instance.address);
    other.enrol(&["--key-kind", "p384"]).done();
    assert_ne!(other.read("gw2.key"), key);
}

#[test]
fn a_confirmation_that_is_lost_is_said_again_and_no_second_certificate_is_made() {
    let instance = Instance::start();
    let mut gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    let liar = without_pki_conf(&instance);
    gateway.url.clone_from(&liar.url);
    gateway.enrol(&[]).fails(5, &[]);
    assert!(liar.count() >= 4, "it was said three times");
    assert!(!gateway.out.join("gw1.crt").exists());
    gateway.renew(&["--server", &format!("http://{}", instance.address)]).done();
    assert!(pair(&gateway.out, "gw1.crt", "gw1.key"));
    assert_eq!(instance.certificates("gw1").len(), 1);
    assert_eq!(instance.certificates("gw1")[0]["status"], "valid");
}

#[test]
fn a_certificate_whose_confirmation_was_heard_outlasts_its_transaction() {
    let mut instance = Instance::start();
    let mut gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    let liar = without_pki_conf(&instance);
    gateway.url.clone_from(&liar.url);
    // Only the answer, which the secret protected, names whom to trust: those count for the question as well.
    gateway.enrol_without_trust(&["--trust-from-answer"]).fails(5, &[]);
    let key = gateway.read("enrolment/pending/key.pem");
    let server = serve_at(&mut instance, "+20m");
    // As long as nobody knows, nothing is lost.
    let mute = Liar::before(&instance.address, |passing| match passing.kind() {
        GENM => Reply::Nothing,
        _ => Reply::Message(passing.answer()),
    });
    let liar = Liar::before(&instance.address, |passing| {
        let answer = Message::read(&passing.answer());
        match passing.kind() {
            GENM => Reply::Message(
                answer.with_body(&tlv(ERROR, &seq(&[&seq(&[&rejection()])]))).bytes(),
            ),
            _ => Reply::Message(answer.bytes()),
        }
    });
    for (url, word) in [(&mute.url, "http"), (&liar.url, "nothing proves that the CA says so")] {
        gateway.renew_at("+20m", &["--server", url]).fails(5, &["badRequest", word, "it is kept"]);
        assert_eq!(gateway.read("enrolment/pending/key.pem"), key);
    }
    gateway.renew_at("+20m", &["--server", &server]).done();
    assert!(pair(&gateway.out, "gw1.crt", "gw1.key"));
    assert_eq!(gateway.read("gw1.key"), key);
    // So does a renewal's, although the certificate before it was revoked meanwhile.
    let liar = without_pki_conf(&instance);
    gateway.renew_at("+20m", &["--now", "--server", &liar.url]).fails(5, &[]);
    let key = gateway.read("enrolment/pending/key.pem");
    let first = instance.certificates("gw1")[0]["serial"].as_str().unwrap().to_owned();
    instance.ok(&["cert", "revoke", &first]);
    let server = serve_at(&mut instance, "+40m");
    gateway.renew_at("+40m", &["--server", &server]).done();
    assert_eq!(gateway.read("gw1.key"), key);
    let statuses: Vec<_> =
        instance.certificates("gw1").iter().map(|row| row["status"].clone()).collect();
    assert_eq!(statuses, ["revoked", "valid"]);
}

#[test]
fn a_certificate_whose_confirmation_nobody_heard_is_given_up() {
    let mut instance = Instance::start();
    let mut gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    let deaf = Liar::before(&instance.address, |passing| match passing.kind() {
        CERT_CONF => Reply::Nothing,
        _ => Reply::Message(passing.answer()),
    });
    gateway.url.clone_from(&deaf.url);
    gateway.enrol(&[]).fails(5, &[]);
    let server = serve_at(&mut instance, "+20m");
    gateway.renew_at("+20m", &["--server", &server]).fails(4, &["the signer's certificate"]);
    assert!(!gateway.out.exists());
    assert_eq!(instance.certificates("gw1")[0]["status"], "revoked");
}

/// A PKIStatusInfo's content: rejection for certRevoked.
fn rejection() -> Vec<u8> {
    [tlv(2, &[2]), tlv(3, &[5, 0, 0x20])].concat()
}

#[test]
fn a_server_that_says_waiting_to_each_poll_is_asked_within_the_patience() {
    let instance = Instance::start();
    let response = seq(&[&tlv(2, &[0]), &seq(&[&tlv(2, &[3])])]);
    let responses = tlv(IP, &seq(&[&seq(&[&response])]));
    let error = tlv(ERROR, &seq(&[&seq(&[&tlv(2, &[3])])]));
    for (name, waiting) in [("gw1", responses), ("gw2", error)] {
        let mut gateway = Gateway::new(&instance, name, &["fqdn:gw1.example.net"]);
        let secret = gateway.secret.clone();
        let liar = Liar::before(&instance.address, move |passing| {
            let answer = Message::read(&passing.answer());
            // It ends, so that the test does.
            match passing.number < 20 {
                true => Reply::Message(answer.with_body(&waiting).protected(&secret).bytes()),
                false => Reply::Nothing,
            }
        });
        gateway.url.clone_from(&liar.url);
        gateway.enrol(&["--patience", "0s"]).fails(7, &["has not decided", "10 s"]);
        assert_eq!(liar.count(), 2, "{name}: a request and a poll");
        // Within the patience one more time, after a pause.
        gateway.renew(&["--patience", "15s"]).fails(7, &["has not decided"]);
        assert_eq!(liar.count(), 4, "{name}");
    }
}

#[test]
fn a_busy_server_is_asked_again_within_the_patience() {
    let instance = Instance::start();
    let mut gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    let busy = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let liar = Liar::before(&instance.address, move |passing| match passing.number {
        0 | 1 => Reply::Raw(busy.into()),
        _ => Reply::Message(passing.answer()),
    });
    gateway.url.clone_from(&liar.url);
    gateway.enrol(&[]).done();
    assert_eq!(liar.count(), 4);
    let always = Liar::before(&instance.address, move |_| Reply::Raw(busy.into()));
    gateway.renew(&["--now", "--patience", "0s", "--server", &always.url]).fails(5, &["busy"]);
    assert_eq!(always.count(), 1);
}

#[test]
fn what_is_no_answer_is_said_to_be_none() {
    let instance = Instance::start();
    let mut gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    let elsewhere = Liar::before(&instance.address, |_| Reply::Nothing);
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: {}/x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        elsewhere.url
    );
    let endless = "HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\nContent-Length: 99999999999\r\n\r\n0";
    let page = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\nno CMP\u{1b}";
    for (reply, word) in [
        (redirect.as_str(), "redirections are not followed"),
        (endless, "http"),
        (page, "404: no CMP"),
        ("nonsense\r\n\r\n", "http"),
    ] {
        let reply = reply.to_owned();
        let liar = Liar::before(&instance.address, move |_| Reply::Raw(reply.clone()));
        gateway.url.clone_from(&liar.url);
        let text = gateway.enrol(&["--timeout", "5s"]).fails(5, &[word]);
        assert!(!text.contains('\u{1b}'));
        assert!(gateway.is_untouched());
    }
    assert_eq!(elsewhere.count(), 0);
    let slow = Liar::before(&instance.address, |_| {
        std::thread::sleep(Duration::from_secs(600));
        Reply::Nothing
    });
    gateway.url.clone_from(&slow.url);
    gateway.enrol(&["--timeout", "1s"]).fails(5, &["timeout"]);
    gateway.url = "https://pki.example.net/".into();
    gateway.enrol(&[]).fails(2, &["no TLS"]);
}

#[test]
fn implicit_confirmation_is_only_taken_where_it_was_asked_for() {
    let instance = Instance::start();
    let mut gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    let counting = Liar::before(&instance.address, |passing| {
        assert!(matches!(passing.kind(), IR | CERT_CONF));
        Reply::Message(passing.answer())
    });
    gateway.url.clone_from(&counting.url);
    gateway.enrol(&["--implicit-confirm"]).done();
    assert_eq!(counting.count(), 1);
    gateway.enrol(&["--replace"]).done();
    assert_eq!(counting.count(), 3);
}
