//! CMP over HTTP, on a real socket: paths, content types, bounds, and slow senders.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use actix_web::{App, HttpServer};
use common::der::{ERROR, IP, Message};
use common::*;
use countersign_ca::{FileKey, KeyAlgorithm};
use countersign_enroll::cmp::{CmpConfig, Endpoint, Outcome};

const CMP: &str = "application/pkixcmp";

struct Server {
    place: Place,
    address: SocketAddr,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    handle: actix_web::dev::ServerHandle,
}

impl Server {
    fn start(slots: usize) -> Self {
        Self::start_with(slots, 32 << 20, Duration::from_millis(300))
    }

    fn start_with(slots: usize, large_bodies: usize, body_timeout: Duration) -> Self {
        let mut config = CmpConfig::default();
        config.bounds.bytes = 64 << 10;
        let place = Place::with(config);
        let outcomes: Arc<Mutex<Vec<Outcome>>> = Arc::default();
        let seen = Arc::clone(&outcomes);
        let observer = Arc::new(move |outcome| seen.lock().unwrap().push(outcome));
        let endpoint = Endpoint::new(Arc::clone(&place.service), slots, observer)
            .with_large_bodies(large_bodies)
            .with_body_timeout(body_timeout);
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    let endpoint = endpoint.clone();
                    App::new().configure(move |config| endpoint.configure(config))
                })
                .workers(1)
                .disable_signals()
                .bind(("127.0.0.1", 0))
                .unwrap();
                let address = server.addrs()[0];
                let running = server.run();
                tell.send((address, running.handle())).unwrap();
                running.await.unwrap();
            });
        });
        let (address, handle) = told.recv().unwrap();
        Self { place, address, outcomes, handle }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn ask(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let head = head(method, path, content_type, body.len());
        stream.write_all(head.as_bytes()).unwrap();
        // The server may answer and close before it has read a body that is too large.
        let _ = stream.write_all(body);
        Answer::read(stream)
    }

    fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.ask("POST", path, CMP, body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The future need not be awaited: the server is told to stop when it is made.
        drop(self.handle.stop(false));
    }
}

fn head(method: &str, path: &str, content_type: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn read(mut stream: TcpStream) -> Self {
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        let end = all.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let headers = String::from_utf8_lossy(&all[..end]).to_lowercase();
        let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, headers, body: all[end + 4..].to_vec() }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn ir(server: &Server, secret: &Secret) -> Vec<u8> {
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let body = cert_request(&template(&key, None), &key, &[]);
    server.place.draft(IR, &body).protected(secret)
}

#[test]
fn paths_lead_to_the_service_and_others_nowhere() {
    let server = Server::start(4);
    let secret = server.place.account("gw1", 100, None);
    for path in [
        "/.well-known/cmp",
        "/.well-known/cmp/initialization",
        "/.well-known/cmp/p/gateway",
        "/.well-known/cmp/p/first",
        "/.well-known/cmp/p/gateway/initialization",
        "/pkix",
        "/pkix/",
    ] {
        let answer = server.post(path, &ir(&server, &secret));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(answer.headers.contains("content-type: application/pkixcmp"), "{}", answer.headers);
        assert!(answer.headers.contains("cache-control: no-store"), "{}", answer.headers);
        let message = Message::read(&answer.body);
        assert_eq!(message.body.tag, IP, "{path}: {:?}", message.refusal());
    }
    for path in [
        "/.well-known/cmp/keyupdate",
        "/.well-known/cmp/certification",
        "/.well-known/cmp/pkcs10",
        "/.well-known/cmp/revocation",
        "/.well-known/cmp/p/gateway/revocation",
    ] {
        let answer = server.post(path, &ir(&server, &secret));
        assert_eq!(answer.status, 200);
        refused(&Message::read(&answer.body), ERROR, "badRequest");
    }
    for path in [
        "/.well-known/cmp/p/nowhere",
        "/.well-known/cmp/p/nowhere/initialization",
        "/.well-known/cmp/p/gateway/enrol",
        "/.well-known/cmp/enrol",
        "/.well-known/cmp/p/root",
        "/.well-known/cmp/p/..%2f..%2fetc",
        "/.well-known/cmp/p/%1b%5b31m",
        "/.well-known",
        "/elsewhere",
    ] {
        let answer = server.post(path, &ir(&server, &secret));
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert!(!answer.body.contains(&0x1b), "{path}");
    }
    assert_eq!(server.place.certificates("gw1").len(), 7);
    let granted = server.outcomes.lock().unwrap().iter().filter(|outcome| outcome.granted).count();
    assert_eq!((granted, server.outcomes.lock().unwrap().len()), (7, 12));
}

#[test]
fn methods_content_types_and_sizes_are_checked() {
    let server = Server::start(4);
    let secret = server.place.account("gw1", 100, None);
    for method in ["GET", "PUT", "DELETE"] {
        let answer = server.ask(method, "/.well-known/cmp", CMP, b"");
        assert_eq!(answer.status, 405);
        assert!(answer.headers.contains("allow: post"), "{}", answer.headers);
    }
    for (content_type, status) in [
        (CMP, 200),
        ("Application/PKIXCMP", 200),
        ("application/pkixcmp; charset=binary", 200),
        ("application/pkixcmp-poll", 415),
        ("application/pkix", 415),
        ("text/plain; application/pkixcmp", 415),
        ("", 415),
    ] {
        let answer = server.ask("POST", "/pkix/", content_type, &ir(&server, &secret));
        assert_eq!(answer.status, status, "{content_type}");
    }
    let most = vec![0x30; 64 << 10];
    let answer = server.post("/pkix/", &most);
    assert_eq!(answer.status, 200);
    refused(&Message::read(&answer.body), ERROR, "badDataFormat");
    assert_eq!(server.post("/pkix/", &vec![0x30; (64 << 10) + 1]).status, 413);
    // A chunked body, without a Content-Length and without an end.
    let mut stream = server.connect();
    let head = format!(
        "POST /pkix/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {CMP}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [b"4000\r\n".as_slice(), &[0x30; 0x4000], b"\r\n"].concat();
    for _ in 0..8 {
        let _ = stream.write_all(&chunk);
    }
    assert_eq!(Answer::read(stream).status, 413);
    assert_eq!(server.post("/pkix/", &ir(&server, &secret)).status, 200);
}

#[test]
fn a_server_without_a_free_slot_says_busy() {
    let server = Server::start(0);
    let secret = server.place.account("gw1", 100, None);
    let answer = server.post("/.well-known/cmp", &ir(&server, &secret));
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains("retry-after: 2"), "{}", answer.headers);
    assert_eq!(server.place.certificates("gw1").len(), 0);
}

#[test]
fn who_sends_slowly_keeps_nobody_out_and_is_sent_away() {
    let server = Server::start(1);
    let secret = server.place.account("gw1", 100, None);
    let slow: Vec<TcpStream> = (0..5)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(head("POST", "/pkix/", CMP, 500).as_bytes()).unwrap();
            stream.write_all(&[0x30; 100]).unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    let answer = server.post("/pkix/", &ir(&server, &secret));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(Message::read(&answer.body).body.tag, IP);
    for stream in slow {
        assert_eq!(Answer::read(stream).status, 408);
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// Sends a body of 64 KiB without its last octet.
fn nearly_sent(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(head("POST", "/pkix/", CMP, 64 << 10).as_bytes()).unwrap();
    // The server may refuse the body before it has read all of it.
    let _ = stream.write_all(&[0x30; (64 << 10) - 1]);
    stream
}

#[test]
fn large_bodies_have_a_bound_together_and_small_ones_come_through() {
    // Beyond its first 16 KiB each body takes 48 KiB: four fit into the bound, less the part of a fifth that was read before its refusal.
    let server = Server::start_with(4, 200 << 10, Duration::from_secs(4));
    let secret = server.place.account("gw1", 100, None);
    let streams: Vec<TcpStream> = (0..24).map(|_| nearly_sent(&server)).collect();
    let small = server.post("/pkix/", &ir(&server, &secret));
    assert_eq!(small.status, 200, "{}", small.text());
    assert_eq!(Message::read(&small.body).body.tag, IP);
    let answers: Vec<Answer> = streams.into_iter().map(Answer::read).collect();
    let told = |status| answers.iter().filter(|answer| answer.status == status).count();
    // The large bodies that fit wait for their last octet until they time out; the small one was answered before that.
    let (busy, late) = (told(503), told(408));
    assert!(busy >= 20 && late > 0 && busy + late == 24, "{busy} busy, {late} late");
    for answer in answers.iter().filter(|answer| answer.status == 503) {
        assert!(answer.headers.contains("retry-after: 2"), "{}", answer.headers);
        assert!(answer.headers.contains("connection: close"), "{}", answer.headers);
    }
    // All permits for large bodies are given back.
    for _ in 0..8 {
        assert_eq!(server.post("/pkix/", &vec![0x30; 64 << 10]).status, 200);
    }
}
