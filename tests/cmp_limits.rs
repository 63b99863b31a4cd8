//! Limits on messages, accounts, connections and time. A stranger or a busy peer can delay only so much: the server answers "busy", and
//! never issues by halves.
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

use common::cmp::{
    self, Answer, CR, CertReqMsg, CertRequest, Draft, Holder, IR, Info, Key, Template, any,
    enrolled, exchange, oid, pbm, request,
};
use common::{Instance, Peer, http, tool_ok};
use der::Encode;
use der::asn1::OctetString;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::Name;

/// The longest wait for an event, far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn post(address: &str, message: &[u8]) -> common::Answer {
    http(address, "POST", "/.well-known/cmp", "application/pkixcmp", message).expect("an answer")
}

/// An ir under another peer's reference, with a wrong MAC of this many iterations. It costs the server work, and the client none.
fn work(reference: &str, iterations: u32) -> Vec<u8> {
    let draft = Draft::new(IR, request(&Key::new())).with(|header| {
        header.sender_kid = Some(OctetString::new(reference.as_bytes()).unwrap());
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
                let answer = post(&instance.address, &work(&peer.reference, 10_000_000));
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

/// The processor time that the server has used, in ticks of the kernel's clock. Unlike elapsed time, it does not depend on the load.
fn computed(instance: &Instance) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", instance.pid())).unwrap();
    // proc(5): utime is the twelfth field after the name of the program, which ends with the last parenthesis.
    let mut fields = text.rsplit_once(')').unwrap().1.split_ascii_whitespace();
    fields.nth(11).unwrap().parse().unwrap()
}

#[test]
fn an_unknown_reference_costs_few_iterations_however_many_are_asked_for() {
    let settings = "max_iterations = 4000000\nmax_unknown_iterations = 1000";
    let instance = Instance::start_with(&[("cmp", settings)]);
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let cost = |reference: &str| {
        let before = computed(&instance);
        let answer = post(&instance.address, &work(reference, 4_000_000));
        assert_eq!(Answer::read(&answer.body).status().unwrap().failures(), ["badMessageCheck"]);
        computed(&instance) - before
    };
    let (known, unknown) = (cost(&peer.reference), cost("nobody"));
    assert!(unknown * 5 < known, "{unknown} ticks for nobody, {known} for an account");
}

/// Sets a flag when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_first_enrolment_does_not_wait_for_all_that_strangers_ask_for() {
    let instance = Instance::start_with(&[("cmp", "max_iterations = 4000000\nmac_workers = 1")]);
    let victim = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "1000"]);
    let (begun, ended, over) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let begin = Instant::now();
    let folder = instance.file(".");
    let url = format!("http://{}/.well-known/cmp", instance.address);
    // From another address than the honest peer.
    let stranger = |number: usize| {
        let body = format!("work-{number}.der");
        while !over.load(Ordering::SeqCst) {
            std::fs::write(folder.join(&body), work(&victim.reference, 4_000_000)).unwrap();
            let (data, kind) = (format!("@{body}"), "Content-Type: application/pkixcmp");
            let arguments = ["-s", "-S", "--interface", "127.0.0.2", "-o", "/dev/null", "-H", kind];
            begun.fetch_add(1, Ordering::SeqCst);
            tool_ok(
                "curl",
                "curl",
                &[&arguments[..], &["--data-binary", &data, &url]].concat(),
                &folder,
            );
            ended.fetch_add(1, Ordering::SeqCst);
        }
    };
    thread::scope(|scope| {
        for number in 0..16 {
            let stranger = &stranger;
            scope.spawn(move || stranger(number));
        }
        // They end however this ends.
        let _over = Over(&over);
        // The one worker is at work, and others wait for it.
        while begun.load(Ordering::SeqCst) < 16 || ended.load(Ordering::SeqCst) == 0 {
            assert!(begin.elapsed() < PATIENCE, "nobody works");
            thread::sleep(Duration::from_millis(5));
        }
        // An honest enrolment has few iterations: it waits for what is being worked on, and is then the first. In the order of
        // arrival it would wait for fifteen; a few may end while it is on its way.
        let before = ended.load(Ordering::SeqCst);
        let draft = Draft::new(IR, request(&Key::new())).implicit();
        exchange(&instance, &draft.by_secret(&victim)).certificate();
        let waited = ended.load(Ordering::SeqCst) - before;
        assert!(waited < 8, "it waited for {waited} others");
    });
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

/// The octets that the server sends on a connection until it closes it.
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
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
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
    // Each that was taken ended another; one that is still to be taken would end whoever asks for something meanwhile.
    common::wait_for("the idle connections to be two", || {
        let is_open = |stream: &&TcpStream| {
            stream.set_nonblocking(true).unwrap();
            stream.peek(&mut [0]).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock)
        };
        (idle.iter().filter(is_open).count() == 2).then_some(())
    });
    enrolled(&instance, &peer);
    drop(idle);
    enrolled(&instance, &peer);
    assert_eq!(instance.certificates("gw1").len(), 2);
}

#[test]
fn whoever_reads_no_answer_is_not_waited_for() {
    let instance = Instance::start_with(&[("http", "max_connections = 2\nwrite_timeout = \"1s\"")]);
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    // More questions than there is room for their answers, until the server takes no more.
    let unread: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = connection(&instance, b"");
            stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
            let questions = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000_000);
            assert!(stream.write_all(questions.as_bytes()).is_err(), "all were answered");
            stream
        })
        .collect();
    enrolled(&instance, &peer);
    drop(unread);
}

/// An instance with a profile whose holders can receive encrypted keys, and a holder with the permission for key generation.
fn with_key_generation(cmp: &str) -> (Instance, Peer, Holder) {
    let profile = "[profiles.sealed]\nkey_usage = [\"digitalSignature\", \"keyAgreement\"]\n";
    let instance = Instance::start_with_profile(&[("cmp", cmp)], profile);
    let flags = ["--allow", "key-generation", "--profile", "sealed"];
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &flags);
    let holder = enrolled(&instance, &peer);
    (instance, peer, holder)
}

/// A signed request for central generation of an RSA key of this many bits, or of a P-256 key.
fn key_wanted(holder: &Holder, rsa_bits: Option<u32>) -> Vec<u8> {
    let controls = rsa_bits.map(|bits| {
        vec![AttributeTypeAndValue { oid: oid("1.3.6.1.5.5.7.5.1.12"), value: any(&bits) }]
    });
    let template = Template { subject: Some(Name::default()), ..Template::default() };
    let request = CertReqMsg { request: CertRequest { id: 0, template, controls }, proof: None };
    let draft = Draft::new(CR, vec![request].to_der().unwrap()).implicit();
    draft.with(|header| header.pvno = 3).by(holder)
}

#[test]
fn whoever_has_a_key_made_waits_for_no_stranger_and_nobody_waits_for_it() {
    let (instance, peer, holder) = with_key_generation(
        "max_iterations = 10000000\nmax_concurrent_macs = 1\nmac_workers = 1\nkey_workers = 64",
    );
    let begin = Instant::now();
    // A stranger's work may end before the rest is through; then it is done again.
    let mut undisturbed = false;
    while !undisturbed {
        assert!(begin.elapsed() < PATIENCE, "keys are made when the stranger's work is done");
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                // Whoever asks whether the place is taken has it for a moment.
                while post(&instance.address, &work(&peer.reference, 10_000_000)).status == 503 {
                    assert!(begin.elapsed() < PATIENCE, "the place is never free");
                }
                done.store(true, Ordering::SeqCst);
            });
            // The one place of those whom a secret protects is taken.
            while post(&instance.address, &work(&peer.reference, 100)).status != 503 {
                assert!(begin.elapsed() < PATIENCE, "the stranger never works");
                thread::sleep(Duration::from_millis(20));
            }
            let keys: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| post(&instance.address, &key_wanted(&holder, None))))
                .collect();
            let draft = Draft::new(CR, request(&Key::new())).implicit();
            exchange(&instance, &draft.by(&holder)).certificate();
            for key in keys {
                let answer = Answer::read(&key.join().unwrap().body);
                answer.certificate();
                answer.private_key().expect("a private key");
            }
            undisturbed = !done.load(Ordering::SeqCst);
        });
    }
    instance.ok(&["audit", "verify"]);
}

#[test]
fn keys_have_places_of_their_own_and_others_are_answered_meanwhile() {
    let (instance, _, holder) = with_key_generation("key_workers = 1");
    let (open, busy, made) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let begin = Instant::now();
    let mut answered = 0;
    thread::scope(|scope| {
        // As many as there are threads that compute, and more.
        for _ in 0..8 {
            scope.spawn(|| {
                open.fetch_add(1, Ordering::SeqCst);
                let answer = post(&instance.address, &key_wanted(&holder, Some(4096)));
                open.fetch_sub(1, Ordering::SeqCst);
                match answer.status {
                    200 => {
                        Answer::read(&answer.body).certificate();
                        made.fetch_add(1, Ordering::SeqCst);
                    }
                    503 => {
                        assert!(answer.header("retry-after").is_some());
                        busy.fetch_add(1, Ordering::SeqCst);
                    }
                    other => panic!("HTTP {other}"),
                }
            });
        }
        while busy.load(Ordering::SeqCst) == 0 || open.load(Ordering::SeqCst) > 0 {
            assert!(begin.elapsed() < PATIENCE, "nobody was told to wait");
            if busy.load(Ordering::SeqCst) + made.load(Ordering::SeqCst) == 8 {
                break;
            }
            let draft = Draft::new(CR, request(&Key::new())).implicit();
            exchange(&instance, &draft.by(&holder)).certificate();
            answered += usize::from(open.load(Ordering::SeqCst) > 0);
        }
    });
    let (busy, made) = (busy.into_inner(), made.into_inner());
    assert!(busy > 0 && made > 0, "{busy} busy, {made} made");
    assert!(answered > 0, "nobody was answered while keys were made");
    instance.ok(&["audit", "verify"]);
}

/// Resident memory of a server, in KiB.
fn memory(instance: &Instance) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", instance.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Waits for a condition. If it does not hold in time, the message names it.
fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_there() {
        assert!(begin.elapsed() < PATIENCE, "waited for {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A connection from another address of the loopback network.
fn connection_from(instance: &Instance, last: u8) -> TcpStream {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let from = std::net::SocketAddr::from(([127, 0, 0, last], 0));
    rustix::net::bind(&socket, &from).unwrap();
    let to: std::net::SocketAddr = instance.address.parse().unwrap();
    rustix::net::connect(&socket, &to).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn idle_connections_keep_nobody_out_and_administrators_never() {
    // So few descriptors that 2000 connections would take them all, had they places.
    let mut instance = Instance::init(&[]);
    let mut command = std::process::Command::new("bash");
    command.args(["-c", "ulimit -n 400 && exec \"$0\" \"$@\"", common::COUNTERSIGN]);
    instance.serve_with(command);
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let holder = enrolled(&instance, &peer);
    let mut idle: Vec<TcpStream> = Vec::new();
    for n in 0..600u32 {
        idle.push(connection_from(&instance, 10 + (n % 8) as u8));
        if n % 2 == 0 {
            // Half of them ask once, and keep the connection.
            let _ = idle.last_mut().unwrap().write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        if n % 3 == 0 {
            // And some begin a request that they do not finish.
            let _ = idle.last_mut().unwrap().write_all(b"GET /healthz HTTP/1.1\r\nHo");
        }
    }
    // Meanwhile others are served, from elsewhere and from the address of the flood.
    let draft = Draft::new(CR, request(&Key::new())).implicit();
    exchange(&instance, &draft.by(&holder)).certificate();
    let mut same = connection_from(&instance, 10);
    same.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    assert!(rest(same).starts_with("HTTP/1.1 200"));
    let serial = instance.certificates("gw1")[0]["serial"].as_str().unwrap().to_owned();
    instance.ok(&["cert", "revoke", &serial]);
    assert!(instance.log().contains("descriptors"), "{}", instance.log());
    drop(idle);
}

#[test]
fn pipelined_requests_are_answered_in_their_order_one_after_the_other() {
    let instance = Instance::start();
    let paths = ["/healthz", "/ca/root.cer", "/nowhere", "/crl/issuing.crl", "/readyz", "/"];
    let many: String = (0..20)
        .flat_map(|_| paths)
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
        .collect();
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let said = |octets: &[u8]| {
        let mut stream = connection(&instance, octets);
        let mut answers = Vec::new();
        stream.read_to_end(&mut answers).expect("answers");
        answers
    };
    // By head, by octet count and at once the same comes back.
    let answers = said(format!("{many}{last}").as_bytes());
    let heads = answers.windows(9).filter(|window| window == b"HTTP/1.1 ").count();
    assert_eq!(heads, 121, "one answer for each request");
    // A body and what stands behind it.
    let post = "POST /.well-known/cmp HTTP/1.1\r\nHost: x\r\nContent-Type: application/pkixcmp\r\nContent-Length: 8\r\n\r\n\r\n\r\n\r\n\r\n";
    let answers = said(format!("{post}{post}{last}").as_bytes());
    let heads = answers.windows(13).filter(|window| window == b"HTTP/1.1 200 ").count();
    assert_eq!(heads, 3, "{}", String::from_utf8_lossy(&answers));
    // Who closes its side after the questions still gets the answers.
    let mut half = connection(&instance, many.as_bytes());
    half.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answers = Vec::new();
    half.read_to_end(&mut answers).unwrap();
    assert_eq!(answers.windows(9).filter(|window| window == b"HTTP/1.1 ").count(), 120);
}

/// The status and body of every answer on one connection, framed by the requests' methods (RFC 9112 §6.3).
fn answers(said: &[u8], asked: &[&str]) -> Vec<(u16, Vec<u8>)> {
    let (mut rest, mut found) = (said, Vec::new());
    for method in asked {
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n");
        let Some(end) = end.map(|at| at + 4) else { break };
        let head = String::from_utf8(rest[..end].to_vec()).expect("a head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let lengths = head.lines().filter_map(|line| line.split_once(": "));
        let length = lengths
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .find_map(|(_, value)| value.parse().ok());
        let length = if *method == "HEAD" { 0 } else { length.unwrap_or(0) };
        found.push((status, rest[end..end + length].to_vec()));
        rest = &rest[end + length..];
    }
    assert!(rest.is_empty(), "not asked for: {:?}", String::from_utf8_lossy(rest));
    found
}

fn said(instance: &Instance, octets: &[u8]) -> Vec<u8> {
    let mut stream = connection(instance, octets);
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("answers");
    said
}

#[test]
fn what_stands_behind_a_body_is_another_request_and_what_is_in_it_is_none() {
    let instance = Instance::start();
    let head = "HEAD /ca/root.cer HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let post = "POST /.well-known/cmp HTTP/1.1\r\nHost: x\r\nContent-Type: application/pkixcmp\r\n";
    // A body that looks like requests is no request.
    let body = format!("\n\n{head}{last}");
    let length = format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let chunks = format!(
        "Transfer-Encoding: chunked\r\n\r\n{:x};a=b\r\n{body}\r\n1\r\n\n\r\n0\r\nTrailer: x\r\n\r\n",
        body.len()
    );
    for framed in [&length, &chunks] {
        let asked = ["POST", "HEAD", "POST", "HEAD", "GET"];
        let octets = format!("{post}{framed}{head}{post}{framed}{head}{last}");
        let found = answers(&said(&instance, octets.as_bytes()), &asked);
        let statuses: Vec<u16> = found.iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses, [200; 5], "{framed}");
        for at in [0, 2] {
            // Its answer is whole, though a HEAD stands behind it.
            let failures = Answer::read(&found[at].1).status().unwrap().failures();
            assert_eq!(failures, ["badDataFormat"]);
        }
        assert_eq!(found[4].1, b"ok\n");
    }
    // Nor does a body that nobody reads make the answer to its GET lose its own.
    let get = "GET /readyz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\n\n\n\r\n0\r\n\r\n";
    let octets = format!("{get}{head}{last}");
    let found = answers(&said(&instance, octets.as_bytes()), &["GET", "HEAD", "GET"]);
    assert!(found.len() == 3 && !found[0].1.is_empty(), "{found:?}");
}

#[test]
fn a_request_that_says_its_length_in_two_ways_ends_its_connection() {
    let instance = Instance::start();
    let next = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    for (version, headers, body) in [
        ("1.1", "Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        ("1.1", "Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
        ("1.1", "Content-Length: 5\r\nContent-Length: 0", "hello"),
        ("1.1", "Content-Length: 5, 5", "hello"),
        ("1.1", "Content-Length: +5", "hello"),
        ("1.1", "Content-Length: -1", ""),
        ("1.1", "Content-Length: 0x5", "hello"),
        ("1.1", "Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
        ("1.1", "Transfer-Encoding: xchunked", "0\r\n\r\n"),
        ("1.1", "Transfer-Encoding: identity", ""),
        ("1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"),
        ("1.1", "Transfer-Encoding : chunked", "0\r\n\r\n"),
        ("1.1", "X: y\r\n Content-Length: 5", "hello"),
        ("1.0", "Transfer-Encoding: chunked", "0\r\n\r\n"),
        ("1.1", "Transfer-Encoding: chunked", "fffffffffffffffff\r\n"),
        ("1.1", "Transfer-Encoding: chunked", "\r\n0\r\n\r\n"),
    ] {
        let post = format!(
            "POST /.well-known/cmp HTTP/{version}\r\nHost: x\r\nContent-Type: application/pkixcmp\r\n{headers}\r\n\r\n{body}"
        );
        let text = said(&instance, format!("{post}{next}{next}").as_bytes());
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(text.starts_with("HTTP/1.") && text.contains(" 400 "), "{headers}: {text}");
        assert_eq!(text.matches("HTTP/1.").count(), 1, "{headers}: {text}");
    }
}

#[test]
fn answers_that_nobody_reads_take_little_room() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    enrolled(&instance, &peer);
    let before = memory(&instance);
    let questions = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(40_000);
    let unread: Vec<TcpStream> = (0..100)
        .map(|_| {
            let stream = connection(&instance, b"");
            stream.set_nonblocking(true).unwrap();
            stream
        })
        .collect();
    // Until nothing more is taken of any of them.
    let mut rests: Vec<&[u8]> = vec![questions.as_bytes(); unread.len()];
    let mut quiet = Instant::now();
    let begin = Instant::now();
    while quiet.elapsed() < Duration::from_secs(1) && begin.elapsed() < PATIENCE {
        for (mut stream, rest) in unread.iter().zip(&mut rests) {
            if let Ok(written) = stream.write(rest)
                && written > 0
            {
                *rest = &rest[written..];
                quiet = Instant::now();
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    enrolled(&instance, &peer);
    let grown = memory(&instance).saturating_sub(before);
    assert!(grown < 48 << 10, "{grown} KiB for {} connections", unread.len());
}

#[test]
fn strangers_fill_no_log_and_each_line_names_their_address() {
    let instance = Instance::start_with(&[("http", "keep_alive = \"1m\"")]);
    for _ in 0..300 {
        assert_eq!(post(&instance.address, b"\x30\x03\x02\x01\x00").status, 200);
    }
    let lines = || {
        let log = instance.log();
        log.lines()
            .filter(|line| line.contains("countersign::refused"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let refused = lines();
    assert!((1..60).contains(&refused.len()), "{} lines", refused.len());
    assert!(refused.iter().all(|line| line.contains("client=127.0.0.1")), "{refused:?}");
    // What is left out is counted.
    let told = || {
        instance
            .log()
            .lines()
            .filter(|line| line.contains("left out of this log"))
            .filter_map(|line| {
                line.split("lines=").nth(1)?.split(' ').next()?.parse::<usize>().ok()
            })
            .sum::<usize>()
    };
    wait_for("the count of what was left out", || told() + lines().len() >= 300);
}

/// Sends a message from another address of the loopback network, and gives the answer's DER.
fn sent_from(instance: &Instance, last: u8, message: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /.well-known/cmp HTTP/1.1\r\nHost: x\r\nContent-Type: application/pkixcmp\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        message.len()
    );
    let mut stream = connection_from(instance, last);
    stream.write_all(&[head.as_bytes(), message].concat()).unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("an answer");
    let found = answers(&said, &["POST"]);
    assert_eq!((found.len(), found[0].0), (1, 200), "{}", String::from_utf8_lossy(&said));
    found[0].1.clone()
}

#[test]
fn the_journal_says_from_where_was_asked_what_it_records() {
    let profile = "[profiles.approved]\napproval = true\n";
    let mut instance = Instance::start_with_profile(&[], profile);
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let key = Key::new();
    let draft = Draft::new(IR, request(&key)).implicit();
    let answer = sent_from(&instance, 21, &draft.by_secret(&peer));
    let holder = Holder { key, certificate: Answer::read(&answer).certificate() };
    let serial = instance.certificates("gw1")[0]["serial"].as_str().unwrap().to_owned();
    let draft = Draft::new(cmp::RR, cmp::revocation(cmp::named(&holder), Vec::new()));
    sent_from(&instance, 22, &draft.by(&holder));
    let other = instance.peer_with("gw2", &["fqdn:gw2.example.net"], &["--profile", "approved"]);
    let draft = Draft::new(IR, request(&Key::new())).implicit();
    sent_from(&instance, 23, &draft.by_secret(&other));
    let id = instance.json(&["request", "list"])[0]["id"].as_str().unwrap().to_owned();
    let shown = |instance: &Instance| {
        let by_serial = instance.json(&["cert", "show", &serial]);
        let by_id = instance.json(&["request", "show", &id]);
        [by_serial["client"].clone(), by_id["client"].clone()]
    };
    assert_eq!(shown(&instance), ["127.0.0.21", "127.0.0.23"]);
    let entries = instance.ok(&["audit", "export"]);
    let entries = entries.lines().map(|line| serde_json::from_str(line).unwrap());
    let entries: Vec<serde_json::Value> = entries.collect();
    let clients = |kind: &str| {
        let of_kind = entries.iter().filter(|entry| entry["kind"] == kind);
        let clients = of_kind.map(|entry| entry["transaction"]["client"].as_str());
        clients.flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(clients("issued"), ["127.0.0.21"], "our own signers ask from nowhere");
    assert_eq!(clients("revoked"), ["127.0.0.22"]);
    assert_eq!(clients("requested"), ["127.0.0.23"]);
    // It is read from the journal, whatever becomes of the index.
    instance.stop();
    instance.ok(&["store", "rebuild"]);
    instance.ok(&["audit", "verify"]);
    instance.serve();
    assert_eq!(shown(&instance), ["127.0.0.21", "127.0.0.23"]);
}

/// The addresses that fail2ban would ban with our filter, one for each matching line of a log.
fn banned(log: &std::path::Path) -> Vec<String> {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operation.md"));
    let docs = docs.unwrap();
    let (_, filter) = docs.split_once("# /etc/fail2ban/filter.d/countersign.conf\n").unwrap();
    let file = log.with_extension("conf");
    std::fs::write(&file, filter.split_once("```").unwrap().0).unwrap();
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-daemons/fail2ban/usr");
    let output = std::process::Command::new("python3")
        .env("PYTHONPATH", format!("{package}/lib/python3/dist-packages"))
        .arg(format!("{package}/bin/fail2ban-regex"))
        .args(["-o", "<ip>"])
        .args([log, &file])
        .output()
        .expect("`python3`; run `make deps`");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{text}; `make deps` unpacks fail2ban");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn fail2ban_finds_who_is_refused_in_both_formats_and_nobody_else() {
    for format in ["text", "json"] {
        let instance = Instance::start_with(&[
            ("log", &format!("format = \"{format}\"")),
            // The server may not have noticed yet that a connection of the honest client, one after the other, is closed.
            ("http", "max_connections_per_address = 8"),
        ]);
        let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
        enrolled(&instance, &peer);
        let sent = |last: u8, message: &[u8]| drop(sent_from(&instance, last, message));
        // What cannot be read, a wrong secret, and a header that is refused; what a stranger says of somebody else's address is not
        // taken for his own.
        sent(11, b"\x30\x03\x02\x01\x00");
        sent(12, &work(&peer.reference, 1000));
        let lie = r#"x client=192.0.2.66 countersign::refused: refused: y","client":"192.0.2.66"},"target":"countersign::refused","span":{"client":"192.0.2.66"}"#;
        sent(13, &work(lie, 1000));
        let draft = Draft::new(IR, request(&Key::new())).with(|header| {
            let profile =
                Info { kind: oid("1.3.6.1.5.5.7.4.21"), value: Some(any(&vec![lie.to_owned()])) };
            header.general_info = Some(vec![profile]);
        });
        sent(14, &draft.by_secret(&peer));
        // One connection more than an address has, while the others are busy with a body that does not come.
        let busy = || {
            let mut busy = connection_from(&instance, 15);
            busy.write_all(
                b"POST /.well-known/cmp HTTP/1.1\r\nHost: x\r\nContent-Type: application/pkixcmp\r\nContent-Length: 9\r\n\
                  Expect: 100-continue\r\n\r\n",
            )
            .unwrap();
            let mut go_on = [0; 25];
            busy.read_exact(&mut go_on).unwrap();
            assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
            busy
        };
        let _busy: [TcpStream; 8] = std::array::from_fn(|_| busy());
        let more = rest(connection_from(&instance, 15));
        assert!(more.starts_with("HTTP/1.1 503"), "{more}");
        let found = banned(&instance.file("server.log"));
        for last in [11, 12, 14, 15] {
            assert!(
                found.contains(&format!("127.0.0.{last}")),
                "{format} {last}: {found:?}\n{}",
                instance.log()
            );
        }
        let is_ours = |of: &String| of.starts_with("127.0.0.1") && of.len() == 10;
        assert!(found.iter().all(is_ours), "{found:?}\n{}", instance.log());
    }
}
