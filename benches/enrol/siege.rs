//! A siege by attackers who only want to be in the way: idle connections and unread answers from many addresses, bad requests without end,
//! and a hostile directory and CRL server that send too much. All of it is on loopback, and bounded in count and time. Honest
//! enrolments, OCSP requests and revocations must go on meanwhile, nearly as fast as without.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::{Connection, Target};
use crate::hostile::Hostile;
use crate::measure::{median, status};
use crate::site::{COUNTERSIGN, Site, command};
use crate::wire::{Ask, request, tlv};

/// By what factor honest clients may be slower.
const SLOWER: f64 = 3.0;
/// The most memory of the server, in MiB.
const MEMORY: f64 = 400.0;
/// How many addresses hold connections, and how many connections each.
const IDLERS: (u8, usize) = (24, 100);
/// How many addresses send requests without reading, and over how many connections each.
const UNREADERS: (u8, usize) = (8, 8);
/// How many clients send bad requests, and the pause of each between two of them.
const STRIKERS: usize = 4;
const PAUSE: Duration = Duration::from_millis(25);
/// How many enrolments and OCSP requests are timed, and how many revocations.
const TIMED: usize = 600;
const REVOCATIONS: usize = 7;
/// The most octets of one answer of the hostile servers.
const FLOOD: usize = 200 << 20;

/// The load that the hostile clients and servers caused, printed beside the latencies of honest clients.
#[derive(Default)]
struct Harm {
    /// Connections that hostile clients opened to stay idle, or to read no answer.
    opened: AtomicUsize,
    /// How many of these the server closed.
    ended: AtomicUsize,
    /// Octets of requests from clients that read no answer.
    unread: AtomicU64,
    /// Bad requests that the server refused or cut off.
    strikes: AtomicUsize,
    /// Connections to the hostile directory and the hostile CRL server.
    asked: AtomicUsize,
    /// Octets that those two sent.
    flooded: AtomicU64,
}

impl Harm {
    fn add(counter: &AtomicU64, octets: usize) {
        counter.fetch_add(octets as u64, Ordering::Relaxed);
    }

    /// One line for the report.
    fn line(&self) -> String {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        let mib = |of: &AtomicU64| of.load(Ordering::Relaxed) >> 20;
        format!(
            "{} connections opened, {} ended by the server; {} MiB of questions whose answers nobody read; {} bad requests; \
             directory and CRL server asked {} times, {} MiB sent",
            count(&self.opened),
            count(&self.ended),
            mib(&self.unread),
            count(&self.strikes),
            count(&self.asked),
            mib(&self.flooded),
        )
    }
}

/// Medians, in milliseconds.
struct Latencies {
    enrolment: f64,
    ocsp: f64,
    revocation: f64,
}

pub fn run() {
    raise_descriptors();
    let (directory, crls) = (listener(), listener());
    let (stop, harm) = (AtomicBool::new(false), Harm::default());
    std::thread::scope(|scope| {
        scope.spawn(|| serve(&directory, &stop, &harm, hostile_directory));
        scope.spawn(|| serve(&crls, &stop, &harm, hostile_crl));
        let ended = Ending(&stop);
        let site = Site::start("siege", |data| configure(data, &directory, &crls));
        let quiet = honest(&site);
        let besieged = besiege(&site, &stop, &harm);
        let (latencies, memory, taken_in, kept) = besieged;
        drop(ended);
        println!("siege\n\n| | quiet | besieged | ratio |\n|---|---|---|---|");
        let rows = [
            ("enrolment", quiet.enrolment, latencies.enrolment),
            ("OCSP", quiet.ocsp, latencies.ocsp),
            ("`cert revoke`", quiet.revocation, latencies.revocation),
        ];
        for (name, before, during) in rows {
            println!("| {name}, median ms | {before:.2} | {during:.2} | {:.2} |", during / before);
        }
        println!("\nresident memory at most {memory:.0} MiB; connections held at the end {kept}");
        println!("{}", harm.line());
        let folder = site.stop();
        command(&folder.0, COUNTERSIGN, &["--data", "data", "audit", "verify"]);
        assert!(taken_in.is_empty(), "granted though hostile: {taken_in:?}");
        assert!(memory < MEMORY, "{memory:.0} MiB");
        for (name, before, during) in rows {
            assert!(during <= SLOWER * before, "{name}: {before:.2} ms became {during:.2} ms");
        }
    });
}

/// Stops every attacker when it is dropped, also after a panic.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The hostile servers: a directory to publish to, and CRLs for the authorizer.
fn configure(data: &Path, directory: &TcpListener, crls: &TcpListener) {
    let policy = data.join("policy");
    fs::write(&policy, "Authorizer: \"POLICY\"\n").unwrap();
    let address = |of: &TcpListener| of.local_addr().unwrap();
    let authorizer = format!(
        "[authorizer]\nserve = true\nsocket = {:?}\npolicy = [{policy:?}]\ncrls = [\"http://{}/x.crl\", \"ldap://{}/cn=x?certificateRevocationList;binary\"]\n",
        data.join("socket"),
        address(crls),
        address(directory)
    );
    let publisher = format!(
        "\n[[ldap.directories]]\nname = \"hostile\"\nurls = [\"ldap://{}\"]\ninterval = \"1s\"\n",
        address(directory)
    );
    let path = data.join("countersign.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("[authorizer]\n"));
    fs::write(path, text.replacen("[authorizer]\n", &authorizer, 1) + &publisher).unwrap();
}

/// Enrols, asks by OCSP and revokes, one after the other.
fn honest(site: &Site) -> Latencies {
    let mut connection = Connection::new(&site.target);
    let mut enrolment = Vec::new();
    for peer in site.peers.iter().cycle().take(TIMED) {
        let content = peer.key.request(Ask::Ir, None);
        let asked = request(Ask::Ir, &content, &peer.protector, true);
        let began = Instant::now();
        // Each has a new connection, as a gateway's requests do.
        connection = match enrolment.len() % 2 {
            0 => Connection::new(&site.target),
            _ => connection,
        };
        let answer = connection.exchange(&site.target.post(&asked.message)).expect("an answer");
        enrolment.push(millis(began));
        asked.granted(&answer, Some(&peer.key.public)).expect("a certificate");
    }
    let list = ["--data", "data", "--format", "json", "cert", "list", "--account", "gw0"];
    let listed: serde_json::Value =
        serde_json::from_str(&command(site.folder(), COUNTERSIGN, &list)).unwrap();
    let valid = listed.as_array().unwrap().iter().filter(|of| of["status"] == "valid");
    let serials: Vec<&str> = valid.map(|of| of["serial"].as_str().unwrap()).collect();
    let mut question = Connection::new(&site.target);
    let serial = format!("0x{}", serials[0]);
    let ask = ["ocsp", "-issuer", "data/keys/issuing.crt", "-serial", &serial, "-no_nonce"];
    command(site.folder(), "openssl", &[&ask[..], &["-reqout", "q.der"]].concat());
    let target =
        Target { media: "application/ocsp-request", ..Target::cmp(&site.target.address, "/ocsp") };
    let body = target.post(&fs::read(site.folder().join("q.der")).unwrap());
    let timed = |mut work: Box<dyn FnMut() + '_>, count: usize| {
        let each = (0..count).map(|_| {
            let began = Instant::now();
            work();
            millis(began)
        });
        median(each.collect())
    };
    let ocsp = timed(Box::new(|| drop(question.exchange(&body).expect("an answer"))), TIMED);
    let mut next = 0;
    let mut others = Vec::new();
    for account in 1..=REVOCATIONS {
        let account = format!("gw{account}");
        let list = ["--data", "data", "--format", "json", "cert", "list", "--account", &account];
        let listed: serde_json::Value =
            serde_json::from_str(&command(site.folder(), COUNTERSIGN, &list)).unwrap();
        let valid = listed.as_array().unwrap().iter().rfind(|of| of["status"] == "valid");
        others.push(valid.unwrap()["serial"].as_str().unwrap().to_owned());
    }
    let revoke = || {
        let arguments = ["--data", "data", "cert", "revoke", &others[next]];
        command(site.folder(), COUNTERSIGN, &arguments);
        next += 1;
    };
    let revocation = timed(Box::new(revoke), REVOCATIONS);
    Latencies { enrolment: median(enrolment), ocsp, revocation }
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// The latencies under siege, the peak memory, the hostile requests that were granted, and the connections at the end.
fn besiege(site: &Site, stop: &AtomicBool, harm: &Harm) -> (Latencies, f64, Vec<String>, usize) {
    let held = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let ended = Ending(stop);
        for address in 0..IDLERS.0 {
            let held = &held;
            scope.spawn(move || idle(site, [127, 0, 1, address + 1], stop, held, harm));
        }
        for address in 0..UNREADERS.0 {
            scope.spawn(move || unread(site, [127, 0, 2, address + 1], stop, harm));
        }
        let strikers: Vec<_> = (0..STRIKERS)
            .map(|number| {
                scope.spawn(move || {
                    let mut hostile = Hostile::new(&site.target, &site.peers[200 + number]);
                    let mut taken_in = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        taken_in.extend(hostile.strike());
                        harm.strikes.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(PAUSE);
                    }
                    taken_in
                })
            })
            .collect();
        let sampler = scope.spawn(|| {
            let mut most = 0.0_f64;
            while !stop.load(Ordering::Relaxed) {
                most =
                    status(site.pid(), "VmRSS").map_or(most, |kib| most.max(kib as f64 / 1024.0));
                std::thread::sleep(Duration::from_millis(100));
            }
            most
        });
        // Wait until every connection is established.
        std::thread::sleep(Duration::from_secs(5));
        let latencies = honest(site);
        let kept = held.load(Ordering::Relaxed);
        drop(ended);
        let taken_in = strikers.into_iter().flat_map(|striker| striker.join().unwrap()).collect();
        (latencies, sampler.join().unwrap(), taken_in, kept)
    })
}

/// Holds connections, some of them with a partial request, and opens new ones for those that the server closes.
fn idle(site: &Site, from: [u8; 4], stop: &AtomicBool, held: &AtomicUsize, harm: &Harm) {
    let mut own: Vec<TcpStream> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let before = own.len();
        own.retain(|stream| !matches!(stream.peek(&mut [0; 1]), Ok(0)));
        held.fetch_sub(before - own.len(), Ordering::Relaxed);
        harm.ended.fetch_add(before - own.len(), Ordering::Relaxed);
        // No more than so many at a time.
        for _ in own.len()..IDLERS.1.min(own.len() + 10) {
            let Some(mut stream) = connected(&site.target.address, from) else { break };
            if own.len().is_multiple_of(2) {
                let _ = stream.write_all(b"POST /.well-known/cmp HTTP/1.1\r\nHost: x\r\nContent-");
            }
            own.push(stream);
            held.fetch_add(1, Ordering::Relaxed);
            harm.opened.fetch_add(1, Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Sends requests again and again, and reads no answer.
fn unread(site: &Site, from: [u8; 4], stop: &AtomicBool, harm: &Harm) {
    let questions = "GET /crl/issuing.crl HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    let mut own: Vec<TcpStream> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if own.len() < UNREADERS.1 {
            let more = connected(&site.target.address, from);
            harm.opened.fetch_add(usize::from(more.is_some()), Ordering::Relaxed);
            own.extend(more);
        }
        let before = own.len();
        own.retain_mut(|stream| match stream.write(questions.as_bytes()) {
            Err(e) => e.kind() == std::io::ErrorKind::WouldBlock,
            Ok(written) => {
                Harm::add(&harm.unread, written);
                written > 0
            }
        });
        harm.ended.fetch_add(before - own.len(), Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A non-blocking connection from another address of the loopback network.
fn connected(to: &str, from: [u8; 4]) -> Option<TcpStream> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).ok()?;
    bind(&socket, &SocketAddr::from((from, 0))).ok()?;
    connect(&socket, &to.parse::<SocketAddr>().ok()?).ok()?;
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true).ok()?;
    Some(stream)
}

fn listener() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

/// Serves one client after the other.
fn serve(
    listener: &TcpListener,
    stop: &AtomicBool,
    harm: &Harm,
    answer: fn(TcpStream, &AtomicBool, &Harm),
) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                let time = Some(Duration::from_secs(1));
                let _ = stream.set_nonblocking(false);
                let _ = (stream.set_read_timeout(time), stream.set_write_timeout(time));
                harm.asked.fetch_add(1, Ordering::Relaxed);
                answer(stream, stop, harm);
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// A hostile directory: it accepts every bind, and answers each search with entries without end.
fn hostile_directory(mut stream: TcpStream, stop: &AtomicBool, harm: &Harm) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 6..) = stream.read(&mut buffer) {
        let id = &buffer[2..5];
        let message = |operation: &[u8]| tlv(0x30, &[id, operation].concat());
        if buffer[5] == 0x60 {
            let _ = stream.write_all(&message(&tlv(0x61, &[10, 1, 0, 4, 0, 4, 0])));
            continue;
        }
        let value = tlv(0x04, &[0x30; 60_000]);
        let attribute =
            tlv(0x30, &[tlv(0x04, b"userCertificate;binary"), tlv(0x31, &value)].concat());
        let mut sent = 0;
        while sent < FLOOD && !stop.load(Ordering::Relaxed) && read > 0 {
            let name = tlv(0x04, format!("cn=x{sent},ou=peers,o=Countersign").as_bytes());
            let entry = message(&tlv(0x64, &[name, tlv(0x30, &attribute)].concat()));
            if stream.write_all(&entry).is_err() {
                return;
            }
            sent += entry.len();
            Harm::add(&harm.flooded, entry.len());
        }
    }
}

/// A hostile HTTP server: it answers with a body without end.
fn hostile_crl(mut stream: TcpStream, stop: &AtomicBool, harm: &Harm) {
    let mut buffer = [0; 4096];
    let _ = stream.read(&mut buffer);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/pkix-crl\r\nConnection: close\r\n\r\n";
    let mut sent = 0;
    let mut next = stream.write_all(head.as_bytes());
    while next.is_ok() && sent < FLOOD && !stop.load(Ordering::Relaxed) {
        next = stream.write_all(&[0x30; 4096]);
        sent += 4096;
        Harm::add(&harm.flooded, 4096);
    }
}

/// Raises the limit on file descriptors of this process to the maximum.
fn raise_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
