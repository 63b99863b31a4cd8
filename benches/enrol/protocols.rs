//! EST and SCEP beside their cryptography, and SCEP beside micromdm's `scepserver`.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::cli::read_pem;
use crate::client::{Connection, Target};
use crate::est;
use crate::floor::{Floor, Transport};
use crate::goals::ALTERNATIONS;
use crate::load::Peer;
use crate::measure::{Goal, median};
use crate::meter::Cpu;
use crate::peers::{self as rivals};
use crate::primitives::{EllipticBench, HandshakeBench, RsaBench};
use crate::scep::{CertRep, Client, RENEWAL, REQUEST, Ra};
use crate::site::{COUNTERSIGN, Secret, Site};
use crate::wire::{Key, Protector, random, verify_certificate};

/// One in this many answers has its signatures verified.
const SAMPLE: usize = 16;

/// A connection, with what it asks in turn.
pub struct Lane {
    pub target: Target,
    pub requests: Vec<Vec<u8>>,
}

/// The result of sending what all lanes have.
pub struct Volley {
    /// A second.
    pub rate: f64,
    /// Microseconds.
    pub p50: f64,
    /// Microseconds of the server for each.
    pub cpu: f64,
    /// The answers of each lane, in the order of its requests.
    answers: Vec<Vec<Vec<u8>>>,
}

/// Sends everything, each lane on a connection of its own. It panics if a status is not 200.
pub fn volley(pid: u32, lanes: &[Lane]) -> Volley {
    let one = |lane: &Lane| {
        let mut connection = Connection::new(&lane.target);
        let ask = |request: &Vec<u8>| {
            let from = Instant::now();
            let answer = connection
                .exchange(request)
                .unwrap_or_else(|e| panic!("{} {}: {e}", lane.target.address, lane.target.path));
            (from.elapsed(), answer)
        };
        lane.requests.iter().map(ask).unzip::<_, _, Vec<_>, Vec<_>>()
    };
    let cpu = Cpu::of(pid);
    let began = Instant::now();
    let (times, answers): (Vec<_>, Vec<_>) = std::thread::scope(|scope| {
        let all: Vec<_> = lanes.iter().map(|lane| scope.spawn(move || one(lane))).collect();
        all.into_iter().map(|one| one.join().unwrap()).unzip()
    });
    let elapsed = began.elapsed();
    let cpu = cpu.micros();
    let mut times = times.concat();
    times.sort_unstable();
    Volley {
        rate: times.len() as f64 / elapsed.as_secs_f64(),
        p50: times[times.len() / 2].as_secs_f64() * 1e6,
        cpu: cpu / times.len() as f64,
        answers,
    }
}

/// The measurements of one kind of request at one number of connections, with a value for each alternation.
#[derive(Default)]
pub struct Row {
    rate: Vec<f64>,
    p50: Vec<f64>,
    cpu: Vec<f64>,
    ratio: Vec<f64>,
}

impl Row {
    pub fn push(&mut self, volley: &Volley, bound: f64) {
        self.rate.push(volley.rate);
        self.p50.push(volley.p50);
        self.cpu.push(volley.cpu);
        self.ratio.push(volley.cpu / bound);
    }

    pub fn print(&self, name: &str, connections: usize) {
        let of = |values: &[f64]| median(values.to_vec());
        println!(
            "| {name} | {connections} | {:.0} | {:.0} | {:.0} | {:.2} |",
            of(&self.rate),
            of(&self.p50),
            of(&self.cpu),
            of(&self.ratio)
        );
    }

    fn ratio(&self) -> f64 {
        median(self.ratio.clone())
    }
}

fn print_head() {
    println!("\n| enrolment | connections | a second | p50, µs | server CPU, µs | ÷ bound |");
    println!("|---|---|---|---|---|---|");
}

/// The load average of the machine during the last minute.
fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Turns both protocols on in the configuration of a new instance.
fn serving_both(data: &Path) {
    let path = data.join("countersign.toml");
    let text = fs::read_to_string(&path).unwrap();
    let est = "[est]\nlisten = \"127.0.0.1:0\"\n";
    let text = text.replacen("[est]\n", est, 1).replacen("[scep]\n", "[scep]\nenabled = true\n", 1);
    fs::write(path, text).unwrap();
}

/// EST, on kept connections and with a handshake for each request.
pub fn est(goals: &mut Vec<Goal>) {
    const CONNECTIONS: [usize; 3] = [1, 16, 64];
    let site = Site::start("est", serving_both);
    let root = read_pem(&site.folder().join("data/keys/root.crt")).unwrap();
    let issuing = read_pem(&site.folder().join("data/keys/issuing.crt")).unwrap();
    let address = fs::read_to_string(site.folder().join("data/listen.est")).unwrap();
    let address = address.trim().trim_start_matches("https://").to_owned();
    let (elliptic, handshakes) = (EllipticBench::new(), HandshakeBench::new());
    let kinds = [
        ("EST simpleenroll by secret, kept connection", false, true),
        ("EST simplereenroll by certificate, kept connection", true, true),
        ("EST simpleenroll by secret, a handshake each", false, false),
        ("EST simplereenroll by certificate, a handshake each", true, false),
    ];
    let floor = Floor::start("floor-est", Transport::Tls, 1, 500);
    let mut floors: [Row; 3] = Default::default();
    let mut rows: [[Row; 3]; 4] = Default::default();
    let mut bounds = Vec::new();
    for _ in 0..ALTERNATIONS {
        let (own, [server, with_client]) = (elliptic.time(), handshakes.time());
        bounds.push([own.verify, own.sign, server, with_client]);
        for (row, connections) in floors.iter_mut().zip(CONNECTIONS) {
            let count = if connections == 1 { 200 } else { 1200 };
            row.push(&floor.volley(connections, count), own.verify + own.sign);
        }
        for (rows, (_, by_certificate, kept)) in rows.iter_mut().zip(kinds) {
            let bound = own.verify
                + own.sign
                + match (kept, by_certificate) {
                    (true, _) => 0.0,
                    (false, false) => server,
                    (false, true) => with_client,
                };
            for (row, connections) in rows.iter_mut().zip(CONNECTIONS) {
                let each = if connections == 1 { 200 } else { 1200 / connections };
                let peers = site.peers.iter().zip(&site.secrets).take(connections);
                let (lanes, keys): (Vec<_>, Vec<_>) = peers
                    .map(|(peer, secret)| {
                        est_lane(&address, &root, (peer, secret), by_certificate, kept, each)
                    })
                    .unzip();
                let done = volley(site.pid(), &lanes);
                row.push(&done, bound);
                for (answers, key) in done.answers.iter().zip(&keys) {
                    for (n, answer) in answers.iter().enumerate() {
                        let certificate = est::granted(answer, &key.public).unwrap();
                        if n % SAMPLE == 0 {
                            verify_certificate(&certificate, &issuing).unwrap();
                        }
                    }
                }
            }
        }
    }
    let of = |which: usize| median(bounds.iter().map(|bound| bound[which]).collect());
    println!("\n| bound of EST, load average {} | µs |\n|---|---|", load_average());
    println!("| V: verifying on P-256 | {:.1} |", of(0));
    println!("| S: signing | {:.1} |", of(1));
    println!("| H: the server's half of a TLS 1.3 handshake in memory, by rustls | {:.1} |", of(2));
    println!("| H with a client's certificate | {:.1} |", of(3));
    print_head();
    for ((name, ..), rows) in kinds.iter().zip(&rows) {
        for (row, connections) in rows.iter().zip(CONNECTIONS) {
            row.print(name, connections);
        }
    }
    for (row, connections) in floors.iter().zip(CONNECTIONS) {
        row.print("the floor over TLS: V+S, a shared `fdatasync`, kept connection", connections);
    }
    for (kind, what) in [(0, "secret"), (1, "certificate")] {
        let what = format!("CPU per EST enrolment by {what}, kept ÷ (V+S), 16 connections");
        let measured = rows[kind][1].ratio();
        goals.push(Goal { number: "EST", what, measured, target: 1.5, at_least: false });
    }
}

/// A connection of one peer, and the key that it requests certificates for.
fn est_lane(
    address: &str,
    root: &[u8],
    (peer, (reference, secret)): (&Peer, &Secret),
    by_certificate: bool,
    kept: bool,
    count: usize,
) -> (Lane, Key) {
    let Protector::Signature { key, certificate, .. } = &peer.protector else {
        panic!("the peers have certificates")
    };
    let mut target = match by_certificate {
        true => Target::est(address, est::RENEW, root, Some((certificate, &key.pkcs8))),
        false => Target::est(address, est::ENROL, root, None),
    };
    target.fresh = !kept;
    let lines = if by_certificate { String::new() } else { est::basic(reference, secret) };
    let own = Key::generate();
    let requests = (0..count).map(|_| est::request(&target, &own, &lines)).collect();
    (Lane { target, requests }, own)
}

/// A peer of SCEP: its key, the name that it asks for, and its challengePassword.
struct ScepPeer {
    client: Client,
    name: String,
    challenge: String,
}

/// Messages of these peers, and what their answers must have.
struct Volleyed {
    lanes: Vec<Lane>,
    ids: Vec<Vec<String>>,
}

impl Volleyed {
    /// Makes this many messages of each peer, for one server.
    fn prepare(target: &Target, ra: &Ra, peers: &[ScepPeer], kind: &str, each: usize) -> Self {
        let of = |peer: &ScepPeer| {
            let csr = peer.client.csr(&peer.name, &peer.challenge);
            let ids: Vec<String> =
                (0..each).map(|_| u128::from_be_bytes(random()).to_string()).collect();
            let message = |id: &String| target.post(&peer.client.message(kind, id, ra, &csr));
            (Lane { target: target.clone(), requests: ids.iter().map(message).collect() }, ids)
        };
        let (lanes, ids) = peers.iter().map(of).unzip();
        Self { lanes, ids }
    }

    /// Checks every answer of our server, and verifies the signatures of some.
    fn check(&self, done: &Volley, peers: &[ScepPeer], ra: &Ra, issuing: &[u8]) {
        for ((answers, ids), peer) in done.answers.iter().zip(&self.ids).zip(peers) {
            for (n, (answer, id)) in answers.iter().zip(ids).enumerate() {
                let answer = CertRep::read(answer).unwrap();
                let certificate = peer.client.granted(&answer).unwrap();
                if n % SAMPLE == 0 {
                    answer.verify(id, &ra.signature).unwrap();
                    verify_certificate(&certificate, issuing).unwrap();
                }
            }
        }
    }
}

/// A server of SCEP, and what its clients need.
struct ScepSite {
    site: Site,
    target: Target,
    ra: Ra,
    issuing: Vec<u8>,
    peers: Vec<ScepPeer>,
}

impl ScepSite {
    fn start(name: &str, options: &[&str]) -> Self {
        let site = Site::founded(Path::new(COUNTERSIGN), name, options, serving_both);
        let target = Target::scep(&site.target.address, "/scep?operation=PKIOperation");
        let get =
            format!("GET /scep?operation=GetCACert HTTP/1.1\r\nHost: {}\r\n\r\n", target.address);
        let certificates = Connection::new(&target).exchange(get.as_bytes()).unwrap();
        let issuing = read_pem(&site.folder().join("data/keys/issuing.crt")).unwrap();
        let peers = site.secrets.iter().take(SCEP_CONNECTIONS[1]).enumerate();
        let peer = |(n, (reference, secret)): (usize, &Secret)| ScepPeer {
            client: Client::generate(),
            name: format!("gw{n}.example.net"),
            challenge: format!("{reference}:{secret}"),
        };
        let peers = peers.map(peer).collect();
        Self { target, ra: Ra::read(&certificates).unwrap(), issuing, peers, site }
    }

    /// Sends messages of this kind over this many connections.
    fn volley(&self, peers: &[ScepPeer], kind: &str, each: usize) -> Volley {
        let messages = Volleyed::prepare(&self.target, &self.ra, peers, kind, each);
        let done = volley(self.site.pid(), &messages.lanes);
        messages.check(&done, peers, &self.ra, &self.issuing);
        done
    }

    /// Enrols each peer, whose certificate then signs its messages.
    fn enrolled(&self) -> Vec<ScepPeer> {
        let enrol = |peer: &ScepPeer| {
            let mut client = Client::generate();
            let csr = client.csr(&peer.name, &peer.challenge);
            let message = client.message(REQUEST, "1", &self.ra, &csr);
            let answer =
                Connection::new(&self.target).exchange(&self.target.post(&message)).unwrap();
            client.certificate = client.granted(&CertRep::read(&answer).unwrap()).unwrap();
            ScepPeer { client, name: peer.name.clone(), challenge: String::new() }
        };
        self.peers.iter().map(enrol).collect()
    }
}

/// The most messages of one sender that are worked on at once are half of `scep.max_concurrent`.
const SCEP_CONNECTIONS: [usize; 2] = [1, 16];

/// SCEP, and the rival.
pub fn scep(goals: &mut Vec<Goal>) {
    let default = ScepSite::start("scep", &[]);
    let renewing = default.enrolled();
    let rsa = ScepSite::start("scep-rsa", &["--algorithm", "rsa3072"]);
    let (elliptic, primitives) = (EllipticBench::new(), RsaBench::new());
    let scratch = default.site.folder().join("rival");
    fs::create_dir_all(&scratch).unwrap();
    let (rival, rivals_ca) = rivals::scepserver(&scratch, "secret");
    let rivals_ra = Ra::one(rivals_ca);
    let kinds = [
        "SCEP PKCSReq by secret, CA with P-256",
        "SCEP RenewalReq by certificate, CA with P-256",
        "SCEP PKCSReq by secret, CA with RSA-3072",
        "`scepserver`, PKCSReq, CA with RSA-3072",
    ];
    let mut rows: [[Row; 2]; 4] = Default::default();
    let (mut bounds, mut to_rival, mut refused) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ALTERNATIONS {
        let (own, rsa_times) = (elliptic.time(), primitives.time());
        bounds.push([
            rsa_times.decrypt_3072,
            rsa_times.sign_3072,
            rsa_times.verify_2048,
            rsa_times.encrypt_2048,
            own.sign,
        ]);
        let message = rsa_times.decrypt_3072
            + rsa_times.sign_3072
            + 2.0 * rsa_times.verify_2048
            + rsa_times.encrypt_2048;
        let (by_p256, by_rsa) = (message + own.sign, message + rsa_times.sign_3072);
        for (which, connections) in SCEP_CONNECTIONS.into_iter().enumerate() {
            let each = if connections == 1 { 30 } else { 20 };
            let peers = &default.peers[..connections];
            rows[0][which].push(&default.volley(peers, REQUEST, each), by_p256);
            let peers = &renewing[..connections];
            rows[1][which].push(&default.volley(peers, RENEWAL, each), by_p256);
            let ours = rsa.volley(&rsa.peers[..connections], REQUEST, each);
            rows[2][which].push(&ours, by_rsa);
            // The same clients, under the rival's secret.
            let peers: Vec<_> = (0..connections)
                .map(|n| ScepPeer {
                    client: Client::generate(),
                    name: format!("gw{n}.example.net"),
                    challenge: "secret".into(),
                })
                .collect();
            let messages = Volleyed::prepare(&rival.target, &rivals_ra, &peers, REQUEST, each);
            let theirs = volley(rival.pid(), &messages.lanes);
            // It refuses some messages that come soon after another. They count for it.
            let granted = |answer: &&Vec<u8>| CertRep::read(answer).unwrap().succeeded().is_ok();
            let granted = theirs.answers.iter().flatten().filter(granted).count();
            refused += connections * each - granted;
            rows[3][which].push(&theirs, by_rsa);
            if connections > 1 {
                to_rival.push(ours.rate / theirs.rate);
            }
        }
    }
    let of = |which: usize| median(bounds.iter().map(|bound| bound[which]).collect());
    println!("\n| bound of SCEP, load average {} | µs |\n|---|---|", load_average());
    println!("| decrypting a key with RSA-3072 | {:.0} |", of(0));
    println!("| signing with RSA-3072 | {:.0} |", of(1));
    println!("| verifying by RSA-2048 | {:.0} |", of(2));
    println!("| encrypting a key for RSA-2048 | {:.0} |", of(3));
    println!("| signing on P-256 | {:.1} |", of(4));
    print_head();
    for (name, rows) in kinds.iter().zip(&rows) {
        for (row, connections) in rows.iter().zip(SCEP_CONNECTIONS) {
            row.print(name, connections);
        }
    }
    println!("\n`scepserver` refused {refused} messages in all; they count for it.");
    for (kind, what) in [(0, "PKCSReq"), (1, "RenewalReq")] {
        let what = format!("CPU per SCEP {what} ÷ its cryptography, 16 connections");
        let measured = rows[kind][1].ratio();
        goals.push(Goal { number: "SCEP", what, measured, target: 1.35, at_least: false });
    }
    let what = "SCEP a second ÷ `scepserver`, CA with RSA-3072, 16 connections".into();
    let measured = median(to_rival);
    goals.push(Goal { number: "SCEP", what, measured, target: 3.0, at_least: true });
}
