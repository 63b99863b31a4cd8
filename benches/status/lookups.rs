//! OCSP answers and LDAP look-ups, of our server and a rival in turn, with the same client.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::http;
use crate::measure::{Goal, Server, cpu, median};
use crate::site::{Site, path, post};

const ALTERNATIONS: usize = 7;
const SLICE: Duration = Duration::from_millis(1000);
const CLIENTS: usize = 8;

/// Measures both protocols, or the one that is named, and prints a table for each.
pub fn run(only: &str, goals: &mut Vec<Goal>) {
    let site = Site::start();
    if matches!(only, "" | "ocsp") {
        ocsp(&site, goals);
    }
    if matches!(only, "" | "ldap") {
        ldap(&site, goals);
    }
}

/// The result of one slice of time.
struct Slice {
    /// Requests each second.
    rate: f64,
    /// CPU time of the server for each request, in microseconds.
    cpu: f64,
}

/// Has clients send the same request again and again. `serve` makes one request on its connection, or on a new one.
fn slice<C: Send>(
    pid: u32,
    connect: impl Fn() -> C + Sync,
    serve: impl Fn(&mut C) + Sync,
) -> Slice {
    let count = AtomicU64::new(0);
    let (began, before) = (Instant::now(), cpu(pid));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = connect();
                while began.elapsed() < SLICE {
                    serve(&mut client);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let (requests, took) = (count.load(Ordering::Relaxed) as f64, began.elapsed());
    Slice {
        rate: requests / took.as_secs_f64(),
        cpu: (cpu(pid) - before).as_secs_f64() * 1e6 / requests,
    }
}

fn ocsp(site: &Site, goals: &mut Vec<Goal>) {
    let (rival, rival_address) = site.openssl_ocsp();
    let requests = ["plain.req", "nonce.req"].map(|name| fs::read(path(site, name)).unwrap());
    let [cached, fresh] = requests.map(|request| post(&request));
    let mut connection = TcpStream::connect(&site.http).unwrap();
    connection.write_all(&cached).unwrap();
    let (http, http_address) = http::start(http_answer(&mut connection));
    let keep = |server: &Server, address: &str, message: &[u8]| {
        slice(
            server.0.id(),
            || TcpStream::connect(address).unwrap(),
            |stream| {
                stream.write_all(message).unwrap();
                assert!(http_answer(stream) > 200);
            },
        )
    };
    // `openssl ocsp` answers one request for each connection.
    let connect = |server: &Server, address: &str| {
        slice(
            server.0.id(),
            || (),
            |()| {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(&fresh).unwrap();
                assert!(http_answer(&mut stream) > 200);
            },
        )
    };
    let mut rows = [(); 5].map(|()| (Vec::new(), Vec::new()));
    let mut ratios = [Vec::new(), Vec::new()];
    for _ in 0..ALTERNATIONS {
        let measured = [
            connect(&rival, &rival_address),
            connect(&site.server, &site.http),
            keep(&site.server, &site.http, &fresh),
            keep(&site.server, &site.http, &cached),
            keep(&http, &http_address, &cached),
        ];
        ratios[0].push(measured[0].cpu / measured[2].cpu);
        ratios[1].push(measured[0].cpu / measured[3].cpu);
        for (row, slice) in rows.iter_mut().zip(&measured) {
            row.0.push(slice.rate);
            row.1.push(slice.cpu);
        }
    }
    println!("\n| OCSP, {CLIENTS} clients | answers/s | CPU of the server |\n|---|---|---|");
    let names = [
        "`openssl ocsp`, a connection for each",
        "ours, signed for each (nonce), a connection for each",
        "ours, signed for each (nonce)",
        "ours, kept (no nonce)",
        "HTTP alone: actix-http, the same octets for each",
    ];
    for (name, (rates, cpus)) in names.into_iter().zip(rows) {
        println!("| {name} | {:.0} | {:.1} µs |", median(rates), median(cpus));
    }
    let [fresh, kept] = ratios.map(median);
    for (what, measured, target) in [
        ("OCSP: `openssl ocsp` ÷ ours, CPU, fresh", fresh, 2.5),
        ("OCSP: `openssl ocsp` ÷ ours, CPU, fresh (stretch)", fresh, 4.5),
        ("OCSP: `openssl ocsp` ÷ ours, CPU, kept", kept, 8.0),
        ("OCSP: `openssl ocsp` ÷ ours, CPU, kept (stretch)", kept, 12.0),
    ] {
        goals.push(Goal { number: "8", what: what.into(), measured, target, at_least: true });
    }
}

/// Reads an HTTP answer. Gives the length of its body.
fn http_answer(stream: &mut TcpStream) -> usize {
    let mut buffer = [0; 4 << 10];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).unwrap();
        assert!(read > 0, "the server closed");
        filled += read;
        let text = &buffer[..filled];
        let Some(end) = text.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&text[..end]).to_ascii_lowercase();
        assert!(head.starts_with("http/1.") && head[8..].starts_with(" 200"), "{head}");
        let (_, length) = head.split_once("content-length: ").unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        if filled >= end + 4 + length {
            return length;
        }
    }
}

fn ldap(site: &Site, goals: &mut Vec<Goal>) {
    let (rival, rival_address) = site.slapd();
    println!(
        "\n| LDAP, {CLIENTS} clients, kept connections | slapd | ours | ÷ |\n|---|---|---|---|"
    );
    for (what, dn, attribute, goal, stretch) in [
        ("certificate", "cn=gw1,ou=peers,o=Countersign", "userCertificate;binary", 2.0, 3.0),
        ("CRL of 1 MiB", "cn=issuing,o=Countersign", "certificateRevocationList;binary", 1.0, 1.7),
    ] {
        let request = search(dn, attribute);
        let look = |pid, address: &str| {
            slice(
                pid,
                || (TcpStream::connect(address).unwrap(), Vec::new()),
                |(stream, buffer)| {
                    stream.write_all(&request).unwrap();
                    assert!(found(stream, buffer) > 200, "nothing was found");
                },
            )
        };
        let (mut theirs, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ALTERNATIONS {
            let (one, other) =
                (look(rival.0.id(), &rival_address), look(site.server.0.id(), &site.ldap));
            ratios.push(other.rate / one.rate);
            theirs.push(one.rate);
            ours.push(other.rate);
        }
        let ratio = median(ratios);
        println!(
            "| {what}, look-ups/s | {:.0} | {:.0} | {ratio:.2} |",
            median(theirs),
            median(ours)
        );
        for (suffix, target) in [("", goal), (" (stretch)", stretch)] {
            let what = format!("LDAP look-ups, {what}: ours ÷ slapd{suffix}");
            goals.push(Goal { number: "13", what, measured: ratio, target, at_least: true });
        }
    }
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 128);
    [&[tag, content.len() as u8], content].concat()
}

/// A base search for one attribute.
fn search(dn: &str, attribute: &str) -> Vec<u8> {
    let content = [
        element(4, dn.as_bytes()),
        vec![0x0a, 1, 0, 0x0a, 1, 0, 2, 1, 0, 2, 1, 0, 1, 1, 0],
        element(0x87, b"objectClass"),
        element(0x30, &element(4, attribute.as_bytes())),
    ]
    .concat();
    element(0x30, &[&[2, 1, 7][..], &element(0x63, &content)].concat())
}

/// Reads messages up to the SearchResultDone. Gives the length of the entry. The buffer is kept, so that the client does not fetch a new
/// mebibyte from the kernel for each CRL.
fn found(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> usize {
    let mut entry = 0;
    loop {
        let mut header = [0; 2];
        stream.read_exact(&mut header).unwrap();
        let mut octets = vec![0; if header[1] < 0x80 { 0 } else { usize::from(header[1] & 0x7f) }];
        stream.read_exact(&mut octets).unwrap();
        let length = match header[1] {
            short @ 0..0x80 => usize::from(short),
            _ => octets.iter().fold(0, |length, octet| (length << 8) | usize::from(*octet)),
        };
        buffer.resize(buffer.len().max(length), 0);
        let content = &mut buffer[..length];
        stream.read_exact(content).unwrap();
        match content[3] {
            0x65 => return entry,
            _ => entry = length,
        }
    }
}
