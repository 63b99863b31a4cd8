//! Requests that await approval. `openssl cmp` polls until an administrator decides; the tests' own encoder breaks the rules of polling one
//! at a time. Waiting requests survive a restart and a rebuild of the index, are bounded in number, and expire.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::cmp::{
    Answer, CERT_CONF, CP, CR, Draft, ERROR, Holder, IP, IR, KUP, Key, PKICONF, any, confirmation,
    exchange, from_now, request,
};
use common::nested::{poll, poll_rep, registrar, vouched_for};
use common::openssl::{self, by_secret, key};
use common::{Instance, Peer, at_another_time, tool_ok};
use der::Encode;
use der::asn1::{Int, OctetString};
use serde_json::Value;

/// How long a client may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// An instance whose gateways wait for approval, and are asked to poll every second.
fn site() -> Instance {
    let mut instance = Instance::init(&[]);
    configure(&instance, "");
    instance.serve();
    instance
}

/// Writes the configuration anew, with more lines in the profile `gateway`.
fn configure(instance: &Instance, more: &str) {
    let path = instance.data().join("countersign.toml");
    let text = fs::read_to_string(&path).expect("a configuration");
    let text = text.split("\n[profiles.gateway]").next().unwrap().to_owned();
    let text = match text.contains("\npoll_after") {
        true => text,
        false => text.replacen("[cmp]\n", "[cmp]\npoll_after = \"1s\"\n", 1),
    };
    fs::write(path, format!("{text}\n[profiles.gateway]\napproval = true\n{more}")).unwrap();
}

fn waiting(instance: &Instance) -> Vec<Value> {
    instance.json(&["request", "list"]).as_array().expect("an array").clone()
}

/// The identifier of the only request that waits, once there is one.
fn next_request(instance: &Instance) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let undecided: Vec<Value> =
            waiting(instance).into_iter().filter(|one| one["status"] == "waiting").collect();
        if let [one] = undecided.as_slice() {
            return one["id"].as_str().expect("an identifier").to_owned();
        }
        assert!(undecided.is_empty() && Instant::now() < deadline, "{undecided:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn statuses(instance: &Instance, account: &str) -> Vec<String> {
    let all = instance.certificates(account);
    all.iter().map(|one| one["status"].as_str().expect("a status").to_owned()).collect()
}

/// `openssl cmp`, which waits.
fn client(instance: &Instance, arguments: &[&str]) -> Child {
    let root = instance.root();
    let patience: &[&str] =
        if arguments.contains(&"-msg_timeout") { &[] } else { &["-msg_timeout", "60"] };
    Command::new("openssl")
        .args(["cmp", "-server", &instance.address, "-path", ".well-known/cmp", "-trusted"])
        .arg(root)
        .args(patience)
        .args(arguments)
        .current_dir(instance.file("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test needs the package `openssl`: run `make deps`")
}

fn ended(client: Child) -> openssl::Run {
    client.wait_with_output().expect("it ends").into()
}

/// Runs `openssl cmp` while an administrator decides.
fn decided(instance: &Instance, arguments: &[&str], decision: &[&str]) -> openssl::Run {
    let client = client(instance, arguments);
    let id = next_request(instance);
    let all = [&["request", decision[0], &id], &decision[1..]].concat();
    instance.ok(&all);
    ended(client)
}

/// Sends a first message, whose request must await approval.
#[track_caller]
fn waits(instance: &Instance, message: &[u8]) -> Answer {
    let answer = exchange(instance, message);
    let status = answer.status().expect("a status");
    assert_eq!((status.status, status.failures().len()), (3, 0), "{}", status.words());
    answer
}

#[track_caller]
fn refused(answer: &Answer, failure: &str) -> String {
    let status = answer.status().unwrap_or_else(|| panic!("no refusal but body {}", answer.kind));
    assert_eq!((status.status, status.failures()), (2, vec![failure]), "{}", status.words());
    status.words()
}

fn approve(instance: &Instance) {
    instance.ok(&["request", "approve", &next_request(instance)]);
}

#[test]
fn openssl_polls_until_its_request_of_each_kind_is_approved() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let secret = by_secret(&peer);
    let secret: Vec<&str> = secret.iter().map(String::as_str).collect();
    key(&instance, "p256", "gw1.key");
    let ir = [&["-cmd", "ir", "-newkey", "gw1.key", "-certout", "gw1.crt"][..], &secret].concat();
    let run = decided(&instance, &ir, &["approve", "--note", "it is ours"]).granted();
    assert!(
        run.text.contains("sending POLLREQ") && run.text.contains("received PKICONF"),
        "{}",
        run.text
    );
    assert_eq!(statuses(&instance, "gw1"), ["valid"]);
    assert!(waiting(&instance).is_empty());

    let csr = ["req", "-new", "-key", "gw1.key", "-subj", "/CN=gw1", "-out", "gw1.csr"];
    tool_ok("openssl", "openssl", &csr, &instance.file("."));
    let p10cr =
        [&["-cmd", "p10cr", "-csr", "gw1.csr", "-certout", "p10.crt"][..], &secret].concat();
    decided(&instance, &p10cr, &["approve"]).granted();
    let signed = ["-cert", "gw1.crt", "-key", "gw1.key"];
    key(&instance, "p384", "two.key");
    let cr = ["-cmd", "cr", "-newkey", "two.key", "-certout", "two.crt", "-implicit_confirm"];
    let run = decided(&instance, &[&cr[..], &signed].concat(), &["approve"]).granted();
    assert!(!run.text.contains("sending CERTCONF"), "{}", run.text);
    let kur = ["-cmd", "kur", "-newkey", "two.key", "-certout", "three.crt"];
    decided(&instance, &[&kur[..], &signed].concat(), &["approve"]).granted();
    assert_eq!(statuses(&instance, "gw1"), ["valid"; 4]);

    // Who decided stands in the journal.
    let export = instance.ok(&["audit", "export"]);
    let entries: Vec<Value> =
        export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| entries.iter().filter(|entry| entry["kind"] == kind).collect::<Vec<_>>();
    assert_eq!((of("requested").len(), of("request-decided").len()), (4, 4));
    let first = of("request-decided")[0];
    assert_eq!((&first["verdict"], &first["words"]), (&"approved".into(), &"it is ours".into()));
    assert!(first["actor"].as_str().is_some_and(|actor| actor.starts_with("uid ")), "{first}");
    instance.ok(&["audit", "verify"]);
}

#[test]
fn a_rejection_reaches_openssl_with_the_administrators_words() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    let secret = by_secret(&peer);
    let mut ir = vec!["-cmd", "ir", "-newkey", "gw1.key", "-certout", "gw1.crt"];
    ir.extend(secret.iter().map(String::as_str));
    let words = "call the desk, ext. 4711";
    decided(&instance, &ir, &["reject", "--reason", words]).refused(&[words, "notAuthorized"]);
    assert_eq!(statuses(&instance, "gw1"), [""; 0]);
    // It no longer keeps others out, and stays to be told again until it expires.
    assert_eq!(waiting(&instance)[0]["status"], "rejected");
    decided(&instance, &ir, &["approve"]).granted();
    instance.ok(&["audit", "verify"]);
}

#[test]
fn what_waits_survives_a_restart_and_a_rebuilt_index() {
    let mut instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let first = waits(&instance, &Draft::new(IR, request(&Key::new())).by_secret(&peer));
    let second = waits(&instance, &Draft::new(IR, request(&Key::new())).by_secret(&peer));
    let before = waiting(&instance);
    assert_eq!(before.len(), 2);
    instance.kill();
    instance.serve();
    assert_eq!(waiting(&instance), before);
    let polled = exchange(&instance, &poll(&first, &[0]).by_secret(&peer));
    assert_eq!(poll_rep(&polled).check_after, 1);
    instance.stop();
    // An administrator decides while no server runs.
    let id = |at: usize| before[at]["id"].as_str().unwrap().to_owned();
    instance.ok(&["request", "approve", &id(0)]);
    instance.ok(&["request", "reject", &id(1), "--reason", "no"]);
    instance.ok(&["store", "rebuild"]);
    let decided: Vec<Value> = waiting(&instance).iter().map(|one| one["status"].clone()).collect();
    assert_eq!(decided, ["approved", "rejected"]);
    instance.serve();
    let answer = exchange(&instance, &poll(&polled, &[0]).by_secret(&peer));
    assert_eq!(answer.kind, IP);
    let certificate = answer.certificate();
    let answer = exchange(
        &instance,
        &Draft::after(&answer, CERT_CONF, confirmation(&certificate)).by_secret(&peer),
    );
    assert_eq!(answer.kind, PKICONF);
    let words =
        refused(&exchange(&instance, &poll(&second, &[0]).by_secret(&peer)), "notAuthorized");
    assert!(words.ends_with("rejected the request: no"), "{words}");
    assert_eq!(statuses(&instance, "gw1"), ["valid"]);
    instance.stop();
    instance.ok(&["store", "rebuild"]);
    instance.ok(&["audit", "verify"]);
    assert_eq!(waiting(&instance).len(), 1, "the rejected one");
}

#[test]
fn each_poll_goes_on_from_the_answer_before() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let other = instance.peer("gw2", &["fqdn:gw2.example.net"]);
    let ir = Draft::new(IR, request(&Key::new()));
    let answer = waits(&instance, &ir.by_secret(&peer));
    assert!(answer.is_protected_by(&peer.secret));
    let send = |draft: &Draft| exchange(&instance, &draft.by_secret(&peer));

    // The transaction is in use, nothing is to be confirmed, and nobody else may ask.
    let again = Draft::new(IR, request(&Key::new()))
        .with(|header| header.transaction_id.clone_from(&ir.header.transaction_id));
    refused(&send(&again), "transactionIdInUse");
    refused(&send(&Draft::after(&answer, CERT_CONF, confirmation(b"x"))), "badRequest");
    refused(&exchange(&instance, &poll(&answer, &[0]).by_secret(&other)), "badRequest");
    let unknown = poll(&answer, &[0]).with(|header| {
        header.transaction_id = Some(OctetString::new([9; 16].as_slice()).unwrap());
    });
    refused(&send(&unknown), "badRequest");

    // certReqId: that of the answer, once.
    for ids in [&[-1][..], &[1], &[0, 0], &[]] {
        refused(&send(&poll(&answer, ids)), "badRequest");
    }
    refused(&send(&Draft::after(&answer, 25, any(&7_u8).to_der().unwrap())), "badDataFormat");

    // Nonces: recipNonce is ours, senderNonce is new each time.
    let nonce = |octet: u8| Some(OctetString::new([octet; 16].as_slice()).unwrap());
    refused(&send(&poll(&answer, &[0]).with(|h| h.recip_nonce = nonce(5))), "badRecipientNonce");
    refused(&send(&poll(&answer, &[0]).with(|h| h.recip_nonce = None)), "badRecipientNonce");
    let used = ir.header.sender_nonce.clone();
    refused(&send(&poll(&answer, &[0]).with(|h| h.sender_nonce = used)), "badSenderNonce");
    let ours = answer.header.sender_nonce.clone();
    refused(&send(&poll(&answer, &[0]).with(|h| h.sender_nonce = ours)), "badSenderNonce");
    let draft = poll(&answer, &[0]);
    let first = send(&draft);
    let reply = poll_rep(&first);
    assert_eq!((reply.id, reply.check_after), (Int::new(&[0]).unwrap(), 1));
    assert!(reply.reason.unwrap()[0].contains("administrator"));
    assert!(first.header.recip_nonce == draft.header.sender_nonce);
    assert!(first.header.sender_nonce != answer.header.sender_nonce);
    refused(&send(&draft), "badSenderNonce");
    let second = send(&poll(&first, &[0]));
    poll_rep(&second);

    // Approved, it is issued once; a poll that comes again, its answer lost, gets the same.
    approve(&instance);
    let issued = send(&poll(&second, &[0]));
    let certificate = issued.certificate();
    assert!(issued.info("1.3.6.1.5.5.7.4.14").is_some(), "confirmWaitTime");
    let repeated = send(&poll(&second, &[0]));
    assert_eq!(repeated.certificate(), certificate);
    let conf = |answer: &Answer| Draft::after(answer, CERT_CONF, confirmation(&certificate));
    refused(&send(&conf(&repeated).with(|h| h.recip_nonce = nonce(5))), "badRecipientNonce");
    assert_eq!(send(&conf(&repeated)).kind, PKICONF);
    refused(&send(&poll(&repeated, &[0])), "certConfirmed");
    assert_eq!(statuses(&instance, "gw1"), ["valid"]);
    instance.ok(&["audit", "verify"]);
}

#[test]
fn a_transaction_of_another_kind_has_nothing_to_poll() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let answer =
        exchange(&instance, &Draft::new(IR, request(&Key::new())).implicit().by_secret(&peer));
    answer.certificate();
    let words = refused(&exchange(&instance, &poll(&answer, &[0]).by_secret(&peer)), "badRequest");
    assert!(words.contains("nothing waits"), "{words}");
}

/// Starts `openssl cmp`, and stops it when this many requests were repeated and this many wait.
fn asked_for(instance: &Instance, arguments: &[&str], joined: usize, waits: usize) {
    let mut client = client(instance, arguments);
    until_asked(instance, joined, waits);
    client.kill().and_then(|()| client.wait()).expect("it ends");
}

fn until_asked(instance: &Instance, joined: usize, waits: usize) {
    let deadline = Instant::now() + PATIENCE;
    let count = || instance.ok(&["audit", "export"]).matches("request-joined").count();
    while (count(), waiting(instance).len()) != (joined, waits) {
        assert!(Instant::now() < deadline, "{} and {:?}", count(), waiting(instance));
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn openssl_that_gave_up_waiting_asks_again_and_joins_its_own_request() {
    let mut instance = site();
    let peer =
        instance.peer_with("gw1", &["fqdn:gw1.example.net", "ip:192.0.2.1"], &["--uses", "2"]);
    let secret = by_secret(&peer);
    let secret: Vec<&str> = secret.iter().map(String::as_str).collect();
    key(&instance, "p256", "gw1.key");
    key(&instance, "p256", "other.key");
    // A validity counts from when it is asked for, and makes no other request.
    let ir = ["-cmd", "ir", "-newkey", "gw1.key", "-certout", "gw1.crt", "-days", "20"];
    let ir = [&ir[..], &secret].concat();
    asked_for(&instance, &ir, 0, 1);
    // More often than requests of an account may wait, and over a restart of the server.
    for round in 1..=9 {
        asked_for(&instance, &ir, round, 1);
        if round == 4 {
            instance.stop();
            instance.serve();
        }
    }
    // One that waits in another transaction gets it.
    let patient = client(&instance, &ir);
    until_asked(&instance, 10, 1);
    approve(&instance);
    ended(patient).granted();
    assert_eq!(statuses(&instance, "gw1"), ["valid"]);
    assert!(waiting(&instance).is_empty());

    // What is approved meanwhile is had at once; another key is another request, and so are other names.
    asked_for(&instance, &ir, 10, 1);
    approve(&instance);
    asked_for(&instance, &[&ir[..], &["-sans", "192.0.2.1"]].concat(), 10, 2);
    let other = ["-cmd", "ir", "-newkey", "other.key", "-certout", "x.crt"];
    asked_for(&instance, &[&other[..], &secret].concat(), 10, 3);
    let run = ended(client(&instance, &ir)).granted();
    assert!(!run.text.contains("sending POLLREQ"), "{}", run.text);
    assert_eq!(waiting(&instance).len(), 2);
    instance.ok(&["audit", "verify"]);
}

#[test]
fn a_client_that_is_started_anew_joins_its_request_after_another_key_of_the_ca_issues() {
    let mut instance = site();
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "2"]);
    let (waited, approved) = (Key::new(), Key::new());
    let ir = |key: &Key| Draft::new(IR, request(key)).implicit().by_secret(&peer);
    waits(&instance, &ir(&approved));
    approve(&instance);
    let first = waits(&instance, &ir(&waited));
    instance.stop();
    instance.ok(&["ca", "roll", "issuing", "--staged"]);
    instance.serve();
    instance.ok(&["crl", "publish", "--ca", "issuing.2"]);
    instance.ok(&["ca", "activate", "issuing.2"]);
    // What waits is asked for again, and what was approved is had at once, from the key that issues now.
    let again = waits(&instance, &ir(&waited));
    assert_eq!(waiting(&instance).len(), 2, "it is one request");
    exchange(&instance, &ir(&approved)).certificate();
    approve(&instance);
    let polled = exchange(&instance, &poll(&again, &[0]).by_secret(&peer));
    polled.certificate();
    refused(&exchange(&instance, &poll(&first, &[0]).by_secret(&peer)), "badRequest");
    let issuers = instance.certificates("gw1");
    let issuers: Vec<&Value> = issuers.iter().map(|one| &one["ca"]).collect();
    assert_eq!(issuers, ["issuing.2", "issuing.2"]);
    instance.ok(&["audit", "verify"]);
}

/// `openssl cmp`, which waits until its own time ends.
fn gives_up_by_itself(instance: &Instance, arguments: &[&str]) -> openssl::Run {
    // A total_timeout below the msg_timeout is refused before anything is sent.
    let timeouts = ["-msg_timeout", "10", "-total_timeout", "11"];
    ended(client(instance, &[arguments, &timeouts].concat()))
}

#[test]
fn openssl_gives_up_at_its_total_timeout_and_gets_its_certificate_later() {
    let instance = site();
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "1"]);
    let secret = by_secret(&peer);
    let secret: Vec<&str> = secret.iter().map(String::as_str).collect();
    key(&instance, "p256", "gw1.key");
    let ir = ["-cmd", "ir", "-newkey", "gw1.key", "-certout", "gw1.crt"];
    let ir = [&ir[..], &secret].concat();
    // It polls, and is not refused: its own time ends the wait.
    let run = gives_up_by_itself(&instance, &ir).refused(&["total timeout"]);
    assert!(run.text.contains("received POLLREP"), "{}", run.text);
    assert!(!run.text.contains("PKIStatus: rejection"), "{}", run.text);
    let left = waiting(&instance);
    assert_eq!(left.len(), 1, "its request waits on");
    assert_eq!(left[0]["status"], "waiting");
    // Once more, in a transaction of its own: the same request.
    asked_for(&instance, &ir, 1, 1);
    approve(&instance);
    let run = ended(client(&instance, &ir)).granted();
    assert!(!run.text.contains("sending POLLREQ"), "{}", run.text);
    assert_eq!(statuses(&instance, "gw1"), ["valid"]);
    assert!(waiting(&instance).is_empty());
    instance.ok(&["audit", "verify"]);
}

#[test]
fn a_peer_gives_up_with_an_error() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let answer = waits(&instance, &Draft::new(IR, request(&Key::new())).by_secret(&peer));
    let polled = exchange(&instance, &poll(&answer, &[0]).by_secret(&peer));
    poll_rep(&polled);
    let status = common::cmp::Status { status: 2, text: None, fail_info: None };
    let error = vec![any(&status)].to_der().unwrap();
    let gone = exchange(&instance, &Draft::after(&polled, ERROR, error).by_secret(&peer));
    assert_eq!(gone.kind, PKICONF);
    assert!(waiting(&instance).is_empty());
    refused(&exchange(&instance, &poll(&polled, &[0]).by_secret(&peer)), "badRequest");
    let export = instance.ok(&["audit", "export"]);
    assert!(export.contains("\"verdict\":\"withdrawn\""), "{export}");
}

#[test]
fn what_was_approved_is_checked_anew_when_its_peer_comes() {
    let instance = site();
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "1"]);
    let ask =
        || waits(&instance, &Draft::new(IR, request(&Key::new())).implicit().by_secret(&peer));
    let fetch = |answer: &Answer| exchange(&instance, &poll(answer, &[0]).by_secret(&peer));
    // The profile takes other keys by now.
    let first = ask();
    approve(&instance);
    configure(&instance, "keys = [\"p384\"]\n");
    reload(&instance, 1);
    let answer = fetch(&first);
    assert_eq!(answer.kind, IP);
    refused(&answer, "badAlg");
    // And the old ones again: the approval still stands.
    configure(&instance, "");
    reload(&instance, 2);
    let second = ask();
    fetch(&answer).certificate();
    // The secret is used up.
    approve(&instance);
    let answer = fetch(&second);
    refused(&answer, "notAuthorized");
    // The account is gone.
    instance.ok(&["peer", "remove", "gw1"]);
    refused(&fetch(&answer), "badMessageCheck");
    assert_eq!(statuses(&instance, "gw1"), ["valid"]);
    instance.ok(&["audit", "verify"]);
}

/// Sends SIGHUP, and waits until the server has read its configuration this often.
fn reload(instance: &Instance, times: usize) {
    let pid = instance.pid().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    let deadline = Instant::now() + PATIENCE;
    while instance.log().matches("the configuration was read again").count() < times {
        assert!(Instant::now() < deadline, "SIGHUP was not heard");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn only_so_many_requests_of_an_account_wait() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let other = instance.peer("gw2", &["fqdn:gw2.example.net"]);
    let ir = |peer: &Peer| Draft::new(IR, request(&Key::new())).by_secret(peer);
    for _ in 0..8 {
        waits(&instance, &ir(&peer));
    }
    let answer = exchange(&instance, &ir(&peer));
    assert_eq!(answer.kind, ERROR);
    let words = refused(&answer, "systemUnavail");
    assert!(words.contains("8 requests of the account `gw1` wait"), "{words}");
    waits(&instance, &ir(&other));
    let all = waiting(&instance);
    assert_eq!(all.len(), 9);
    instance.ok(&["request", "reject", all[0]["id"].as_str().unwrap()]);
    waits(&instance, &ir(&peer));
    let metrics = instance.http("GET", "/metrics", "text/plain", &[]).unwrap();
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("countersign_requests_pending{state=\"waiting\"} 9"), "{metrics}");
}

#[test]
fn what_nobody_decides_expires() {
    let mut instance = site();
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--expires", "60d"]);
    let ir = || Draft::new(IR, request(&Key::new()));
    let answer = waits(&instance, &ir().by_secret(&peer));
    for _ in 0..7 {
        waits(&instance, &ir().by_secret(&peer));
    }
    instance.stop();
    instance.serve_with(at_another_time("+8d", common::COUNTERSIGN));
    assert!(waiting(&instance).is_empty());
    let later = |draft: Draft| {
        draft.with(|header| header.message_time = Some(any(&from_now(8 * 86_400)))).by_secret(&peer)
    };
    let words = refused(&exchange(&instance, &later(poll(&answer, &[0]))), "badRequest");
    assert!(words.contains("no transaction"), "{words}");
    // They keep no others out.
    waits(&instance, &later(ir()));
    assert_eq!(waiting(&instance).len(), 1);
    instance.stop();
    instance.serve_with(at_another_time("+8d", common::COUNTERSIGN));
    assert_eq!(waiting(&instance).len(), 1);
}

#[test]
fn an_administrator_sees_what_is_asked_for_and_mistakes_are_named() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net", "ip:192.0.2.1"]);
    assert_eq!(instance.ok(&["request", "list"]).trim(), "none");
    key(&instance, "p384", "gw1.key");
    let secret = by_secret(&peer);
    let mut ir = vec!["-cmd", "ir", "-newkey", "gw1.key", "-certout", "gw1.crt"];
    ir.extend(["-subject", "/CN=gw1", "-sans", "gw1.example.net 192.0.2.1", "-days", "9"]);
    ir.extend(secret.iter().map(String::as_str));
    let client = client(&instance, &ir);
    let id = next_request(&instance);
    let shown = instance.json(&["request", "show", &id[..8]]);
    for (field, value) in [
        ("id", id.as_str()),
        ("status", "waiting"),
        ("account", "gw1"),
        ("profile", "gateway"),
        ("ca", "issuing"),
        ("subject", "CN=gw1"),
        ("key", "P-384"),
    ] {
        assert_eq!(shown[field], value, "{shown}");
    }
    assert_eq!(shown["alt_names"], serde_json::json!(["fqdn:gw1.example.net", "ip:192.0.2.1"]));
    assert!(shown["decided_by"].is_null() && shown["registrar"].is_null(), "{shown}");
    let fails = |arguments: &[&str], code: i32, word: &str| {
        let output = instance.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(word), "{arguments:?}: {text}");
    };
    fails(&["request", "show", "00000000"], 3, "request list");
    fails(&["request", "approve", "xyz"], 2, "hexadecimal");
    fails(&["request", "reject", &id, "--reason", "a\u{1b}[31mb"], 2, "");
    fails(&["request", "reject", &id, "--reason", &"x".repeat(301)], 2, "300");
    let approved = instance.json(&["request", "approve", &id]);
    assert_eq!(approved["status"], "approved");
    assert!(approved["decided_by"].as_str().is_some_and(|by| by.starts_with("uid ")));
    ended(client).granted();
    fails(&["request", "reject", &id], 3, "request list");
    let client = self::client(&instance, &ir);
    let id = next_request(&instance);
    instance.ok(&["request", "reject", &id]);
    fails(&["request", "approve", &id], 3, "rejected already");
    ended(client).refused(&["no reason is given"]);
    // The poll that was told so counts as refused, the polls before it do not.
    let metrics = instance.http("GET", "/metrics", "text/plain", &[]).unwrap();
    let metrics = String::from_utf8(metrics.body).unwrap();
    let polls = "countersign_cmp_messages_total{kind=\"pollReq\",outcome=\"refused\"} ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(polls));
    assert_eq!(count, Some("1"), "{metrics}");
}

#[test]
fn a_registration_authority_waits_for_the_account_that_it_asks_for() {
    let instance = site();
    instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let (ra, second) = (registrar(&instance, "ra1"), registrar(&instance, "ra2"));
    let draft = Draft::new(CR, vouched_for(&Key::new(), "CN=gw1")).implicit();
    let answer = waits(&instance, &draft.by(&ra));
    assert_eq!(answer.kind, CP);
    let shown = instance.json(&["request", "show", &next_request(&instance)]);
    assert_eq!((&shown["account"], &shown["registrar"]), (&"gw1".into(), &"ra1".into()));
    approve(&instance);
    refused(&exchange(&instance, &poll(&answer, &[0]).by(&second)), "badRequest");
    let issued = exchange(&instance, &poll(&answer, &[0]).by(&ra));
    assert_eq!(issued.kind, CP);
    issued.certificate();
    assert_eq!(statuses(&instance, "gw1"), ["valid"]);
    instance.ok(&["audit", "verify"]);
}

#[test]
fn another_credential_does_not_fetch_what_was_approved() {
    let instance = site();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let first = waits(&instance, &Draft::new(IR, request(&Key::new())).implicit().by_secret(&peer));
    approve(&instance);
    let key = Key::new();
    let second = waits(&instance, &Draft::new(IR, request(&key)).implicit().by_secret(&peer));
    approve(&instance);
    let answer = exchange(&instance, &poll(&second, &[0]).by_secret(&peer));
    let holder = Holder { key, certificate: answer.certificate() };
    // By signature, what was begun with a secret.
    refused(&exchange(&instance, &poll(&first, &[0]).by(&holder)), "wrongIntegrity");
    // A key update that waits, asked for with a certificate that is revoked meanwhile.
    let kur = Draft::new(common::cmp::KUR, request(&Key::new())).implicit();
    let answer = waits(&instance, &kur.by(&holder));
    assert_eq!(answer.kind, KUP);
    approve(&instance);
    let serial =
        data_encoding::HEXLOWER.encode(holder.read().tbs_certificate.serial_number.as_bytes());
    instance.ok(&["cert", "revoke", &serial]);
    refused(&exchange(&instance, &poll(&answer, &[0]).by(&holder)), "certRevoked");
    let reset = instance.json(&["peer", "reset-secret", "gw1"]);
    let text = |field: &str| reset[field].as_str().unwrap().to_owned();
    let fresh = Peer { name: "gw1".into(), reference: text("reference"), secret: text("secret") };
    refused(&exchange(&instance, &poll(&first, &[0]).by_secret(&fresh)), "badMessageCheck");
    assert_eq!(statuses(&instance, "gw1"), ["revoked"]);
}
