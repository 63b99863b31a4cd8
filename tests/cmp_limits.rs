//! What a stranger or a busy peer can keep the server from, and what not: limits on messages, accounts, connections and
//! time. "Busy" is an answer, and nothing is issued by halves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::cmp::{self, Answer, CR, Draft, IR, Key, enrolled, exchange, pbm, request};
use common::{Instance, http};
use der::asn1::OctetString;

/// How long anything may take before the test fails; far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn post(address: &str, message: &[u8]) -> common::Answer {
    http(address, "POST", "/.well-known/cmp", "application/pkixcmp", message).expect("an answer")
}

/// An ir under a reference that there is not, with a MAC of so many iterations: work for the server, none for the client.
fn work(iterations: u32) -> Vec<u8> {
    let draft = Draft::new(IR, request(&Key::new())).with(|header| {
        header.sender_kid = Some(OctetString::new(&b"nobody"[..]).unwrap());
        header.protection_alg =
            Some(pbm(&cmp::random::<16>(), iterations, cmp::SHA256, cmp::HMAC_SHA256));
    });
    draft.protected_by(|_| vec![0; 32])
}

#[test]
fn mac_work_is_bounded_and_starves_nobody_who_signs() {
    let instance = Instance::start_with(&[(
        "cmp",
        "max_iterations = 10000000\nmax_concurrent_macs = 1\nmac_workers = 1",
    )]);
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let holder = enrolled(&instance, &peer);
    let done = AtomicBool::new(false);
    let begin = Instant::now();
    let (busy, signed) = thread::scope(|scope| {
        let worker = scope.spawn(|| {
            // Whoever has the one place works for seconds; a request below may have it at first.
            let answer = loop {
                let answer = post(&instance.address, &work(10_000_000));
                if answer.status != 503 {
                    break answer;
                }
                assert!(begin.elapsed() < PATIENCE, "the place is never free");
            };
            done.store(true, Ordering::SeqCst);
            answer
        });
        let (mut busy, mut signed) = (0, 0);
        while !done.load(Ordering::SeqCst) && (busy == 0 || signed < 3) {
            assert!(begin.elapsed() < PATIENCE, "{busy} busy, {signed} signed");
            let draft = Draft::new(IR, request(&Key::new())).implicit();
            let answer = post(&instance.address, &draft.by_secret(&peer));
            if answer.status == 503 {
                assert!(
                    answer.header("retry-after").is_some_and(|value| value.parse::<u32>().is_ok())
                );
                busy += 1;
            } else {
                // It came before the worker.
                Answer::read(&answer.body).certificate();
                continue;
            }
            let draft = Draft::new(CR, request(&Key::new())).implicit();
            exchange(&instance, &draft.by(&holder)).certificate();
            signed += i32::from(!done.load(Ordering::SeqCst));
        }
        let answer = worker.join().unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(Answer::read(&answer.body).status().unwrap().failures(), ["badMessageCheck"]);
        (busy, signed)
    });
    assert!(busy > 0 && signed > 0, "{busy} busy, {signed} signed while the worker worked");
    // The place is free again.
    enrolled(&instance, &peer);
    instance.ok(&["audit", "verify"]);
}

#[test]
fn one_account_does_not_take_every_place() {
    let instance = Instance::start_with(&[("cmp", "max_per_account = 1")]);
    let greedy = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "1000"]);
    let modest = instance.peer("gw2", &["fqdn:gw2.example.net"]);
    let (greedy, modest) = (enrolled(&instance, &greedy), enrolled(&instance, &modest));
    let (granted, busy) = (AtomicUsize::new(1), AtomicUsize::new(0));
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while busy.load(Ordering::SeqCst) == 0 {
                    assert!(begin.elapsed() < PATIENCE, "nobody was told to wait");
                    let draft = Draft::new(CR, request(&Key::new())).implicit();
                    let answer = post(&instance.address, &draft.by(&greedy));
                    match answer.status {
                        200 => {
                            Answer::read(&answer.body).certificate();
                            granted.fetch_add(1, Ordering::SeqCst);
                        }
                        503 => {
                            assert!(answer.header("retry-after").is_some());
                            busy.fetch_add(1, Ordering::SeqCst);
                        }
                        other => panic!("HTTP {other}"),
                    }
                }
            });
        }
        // The other account is not held up by it: one request at a time of its own is granted.
        for _ in 0..3 {
            let draft = Draft::new(CR, request(&Key::new())).implicit();
            exchange(&instance, &draft.by(&modest)).certificate();
        }
    });
    assert_eq!(instance.certificates("gw1").len(), granted.into_inner(), "busy issues nothing");
    assert_eq!(instance.certificates("gw2").len(), 4);
    instance.ok(&["audit", "verify"]);
}

/// What the server says on a connection until it closes it.
fn rest(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = Vec::new();
    // A reset is an end as well.
    let ended = stream.read_to_end(&mut said);
    let timed_out = ended.as_ref().is_err_and(|e| {
        matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
    });
    assert!(!timed_out, "the server holds the connection open: {}", String::from_utf8_lossy(&said));
    String::from_utf8_lossy(&said).into_owned()
}

fn connection(instance: &Instance, said: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(&instance.address).unwrap();
    stream.write_all(said).unwrap();
    stream
}

#[test]
fn heads_and_bodies_that_do_not_come_end_their_connections() {
    let instance = Instance::start_with(&[
        ("http", "request_timeout = \"1s\"\nkeep_alive = \"1s\""),
        ("cmp", "body_timeout = \"1s\""),
    ]);
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let head = "POST /.well-known/cmp HTTP/1.1\r\nHost: x\r\nContent-Type: application/pkixcmp\r\n";
    let silent = connection(&instance, b"");
    let slow_head = connection(&instance, head.as_bytes());
    let body = format!("{head}Content-Length: 1000\r\n\r\n0");
    let slow_body = connection(&instance, body.as_bytes());
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\n0");
    let slow_chunk = connection(&instance, chunked.as_bytes());
    let kept = connection(&instance, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    // Meanwhile everybody else is served.
    enrolled(&instance, &peer);
    // A body that nobody wants is not waited for either.
    let unread = chunked.replace("/cmp", "/cmp/nowhere");
    assert!(rest(connection(&instance, unread.as_bytes())).starts_with("HTTP/1.1 404"));
    assert!(rest(slow_body).starts_with("HTTP/1.1 408"));
    assert!(rest(slow_chunk).starts_with("HTTP/1.1 408"));
    let said = rest(slow_head);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    let said = rest(silent);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    assert!(rest(kept).starts_with("HTTP/1.1 200"));
    assert_eq!(instance.certificates("gw1").len(), 1);
}

#[test]
fn bodies_that_are_too_large_are_refused_by_their_length_and_by_their_octets() {
    let instance = Instance::start_with(&[("cmp", "max_bytes = 4096")]);
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let head = "POST /.well-known/cmp HTTP/1.1\r\nHost: x\r\nContent-Type: application/pkixcmp\r\n";
    let announced =
        connection(&instance, format!("{head}Content-Length: 1000000000\r\n\r\n").as_bytes());
    assert!(rest(announced).starts_with("HTTP/1.1 413"));
    let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n1001\r\n").into_bytes();
    chunked.extend([0x30; 0x1001]);
    chunked.extend(b"\r\n");
    assert!(rest(connection(&instance, &chunked)).starts_with("HTTP/1.1 413"));
    enrolled(&instance, &peer);
}

#[test]
fn connections_beyond_the_most_wait_and_are_served_when_others_end() {
    let instance =
        Instance::start_with(&[("http", "max_connections = 2\nrequest_timeout = \"1s\"")]);
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let idle: Vec<TcpStream> = (0..16).map(|_| connection(&instance, b"")).collect();
    enrolled(&instance, &peer);
    drop(idle);
    enrolled(&instance, &peer);
    assert_eq!(instance.certificates("gw1").len(), 2);
}
