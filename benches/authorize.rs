//! The cost of a question to the authorizer, over its socket, from 1 and 32 clients. A question is cold (a peer's first) or warm (the peer is
//! cached). 10, 10,000 and 100,000 peers are in the policy; a CRL lists a tenth as many certificates; and when it is warm, each peer is
//! cached and asked about in turn. The same run measures bounds beside it: an echo of the same lines over a socket, and the signatures
//! that a cold answer must verify; and the memory of the process.
//!
//! `cargo bench --bench authorize`, or with other numbers of peers: `cargo bench --bench authorize -- 10 1000`. It first makes a certificate
//! for each peer, which takes a while. Figures depend on the machine; compare only ratios of one run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that panics says so"
)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use countersign_ca::SystemClock;
use countersign_ca::path::{Anchors, Certificate, PathSettings};
use countersign_ike_plugin::decide::Authorizer;
use countersign_ike_plugin::decision_log::DecisionLog;
use countersign_ike_plugin::identity::Mapping;
use countersign_ike_plugin::policy::{Policy, PolicyFiles};
use countersign_ike_plugin::server::{AuthorizerServer, SocketSettings};
use countersign_ike_plugin::status::crl_cache::{CacheSettings, CrlCache};
use countersign_ike_plugin::status::fetch::Fetcher;
use countersign_ike_plugin::status::location::Locations;
use countersign_ike_plugin::status::ocsp_cache::OcspCache;
use countersign_ike_plugin::status::{Mode, Prefer, StatusChecker};
use countersign_ike_plugin::trust::ConfiguredTrust;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, IsCa, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SanType, SerialNumber,
};
use serde_json::json;

/// The most cold questions of a run.
const COLD: usize = 2_000;
/// Questions of a warm run.
const WARM: usize = 40_000;

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|number| number.parse().ok()).collect();
    let numbers = if numbers.is_empty() { vec![10, 10_000, 100_000] } else { numbers };
    let folder = tempfile::tempdir().unwrap();
    let most = numbers.iter().copied().max().unwrap();
    let site = Site::new(most);
    let echo = Echo::start(folder.path());
    let verification = site.verification();
    println!(
        "one P-256 verification: {:.1} µs; a question has {} octets\n",
        micros(verification),
        site.question(0).len()
    );
    println!(
        "| peers | askers | | questions/s | p50 | p99 | bound, p50 | ratio | not recorded |\n|---|---|---|---|---|---|---|---|---|"
    );
    let mut memory = Vec::new();
    for known in numbers {
        let questions: Vec<Vec<u8>> = (0..known).map(|number| site.question(number)).collect();
        site.crls(folder.path(), known / 10);
        for askers in [1, 32] {
            let bound = ask(&echo.0, &questions[..1], WARM, askers, Hold::Connection).p50;
            let dialled = ask(&echo.0, &questions[..1], WARM / 4, askers, Hold::Nothing).p50;
            let before = resident();
            let running = site.authorizer(folder.path(), known);
            let loaded = resident();
            // A peer gives one cold answer. The peers that were not asked about are asked about here, so that all of them are cached.
            let cold = known.min(COLD);
            let first = ask(&running.path, &questions[..cold], cold, askers, Hold::Connection);
            let lost = running.lost();
            ask(&running.path, &questions[cold..], known - cold, askers, Hold::Connection);
            if askers == 1 {
                memory.push((known, before, loaded, resident()));
            }
            let kept = running.kept();
            let warm = ask(&running.path, &questions, WARM, askers, Hold::Connection);
            assert_eq!(running.kept() - kept, warm.count as u64, "a peer was not known any more");
            let warm_lost = running.lost() - lost;
            let each = ask(&running.path, &questions, WARM / 4, askers, Hold::Nothing);
            let each_lost = running.lost() - lost - warm_lost;
            row(known, askers, "warm", &warm, bound, warm_lost);
            row(known, askers, "warm, a connection each", &each, dialled, each_lost);
            // The leaf. The signatures of the issuing CA and of the CRLs are verified once for all peers.
            row(known, askers, "cold", &first, bound + verification, lost);
        }
    }
    println!(
        "\nthe bound of warm answers is an echo of the same lines; of cold ones, that and one verification"
    );
    println!(
        "\n| peers | before, MiB | policy and CRLs loaded | all peers kept | KiB a peer |\n|---|---|---|---|---|"
    );
    for (known, before, loaded, kept) in memory {
        let each = kept.saturating_sub(loaded) as f64 / known as f64;
        println!("| {known} | {} | {} | {} | {each:.1} |", before >> 10, loaded >> 10, kept >> 10);
    }
}

/// The memory of this process, which includes the clients' questions, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

fn row(known: usize, askers: usize, kind: &str, run: &Run, bound: Duration, lost: u64) {
    let ratio = run.p50.as_secs_f64() / bound.as_secs_f64();
    println!(
        "| {known} | {askers} | {kind} | {:.0} | {:.0} µs | {:.0} µs | {:.0} µs | {ratio:.2} | {lost} |",
        run.rate,
        micros(run.p50),
        micros(run.p99),
        micros(bound)
    );
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

struct Run {
    count: usize,
    rate: f64,
    p50: Duration,
    p99: Duration,
}

/// The state of a client between questions.
#[derive(Clone, Copy, PartialEq)]
enum Hold {
    /// Its connection.
    Connection,
    /// None: each question has a new connection, as charon's questions have.
    Nothing,
}

/// Asks `count` questions in turn from as many threads; every answer must be `allow`, or the echo.
fn ask(socket: &Path, questions: &[Vec<u8>], count: usize, askers: usize, hold: Hold) -> Run {
    let started = Instant::now();
    let connect = || BufReader::new(UnixStream::connect(socket).unwrap());
    let mut took: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..askers)
            .map(|asker| {
                scope.spawn(move || {
                    let mut reader = connect();
                    let mut answer = String::new();
                    let mut took = Vec::with_capacity(count / askers);
                    for number in (asker..count).step_by(askers) {
                        let began = Instant::now();
                        if hold == Hold::Nothing {
                            reader = connect();
                        }
                        reader.get_mut().write_all(&questions[number % questions.len()]).unwrap();
                        answer.clear();
                        reader.read_line(&mut answer).unwrap();
                        took.push(began.elapsed());
                        assert!(
                            answer.contains("\"allow\"") || answer.contains("\"chain\""),
                            "{answer}"
                        );
                    }
                    took
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let rate = took.len() as f64 / started.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
    Run { count: took.len(), rate, p50: at(50), p99: at(99) }
}

/// Echoes every line.
struct Echo(std::path::PathBuf);

impl Echo {
    fn start(folder: &Path) -> Self {
        let path = folder.join("echo");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.unwrap());
                    let mut line = Vec::new();
                    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                        if reader.get_mut().write_all(&line).is_err() {
                            return;
                        }
                        line.clear();
                    }
                });
            }
        });
        Self(path)
    }
}

struct Running {
    path: std::path::PathBuf,
    authorizer: Arc<Authorizer>,
    #[allow(dead_code, reason = "it serves until it is dropped")]
    server: AuthorizerServer,
}

impl Running {
    fn kept(&self) -> u64 {
        self.authorizer.counts().kept.load(Ordering::Relaxed)
    }

    fn lost(&self) -> u64 {
        self.authorizer.lost()
    }
}

struct Ca {
    params: CertificateParams,
    key: KeyPair,
    der: Vec<u8>,
}

impl Ca {
    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

/// A root, an issuing CA, their CRLs, and the certificates of the peers.
struct Site {
    root: Ca,
    issuing: Ca,
    peers: Vec<Vec<u8>>,
}

impl Site {
    fn new(peers: usize) -> Self {
        let (root_params, key) = (params("root", true), KeyPair::generate().unwrap());
        let der = root_params.self_signed(&key).unwrap().der().to_vec();
        let root = Ca { params: root_params, key, der };
        let (issuing_params, key) = (params("issuing", true), KeyPair::generate().unwrap());
        let der = issuing_params.signed_by(&key, &root.issuer()).unwrap().der().to_vec();
        let issuing = Ca { params: issuing_params, key, der };
        let issuer = issuing.issuer();
        let peer = |number: usize| {
            let mut params = params(&format!("peer-{number}"), false);
            let name = format!("peer-{number}.example.net");
            params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
            params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec()
        };
        let peers = (0..peers).map(peer).collect();
        Self { root, issuing, peers }
    }

    /// The CRLs of both CAs. The CRL of the issuing CA lists this many certificates; no question is about one of them.
    fn crls(&self, folder: &Path, listed: usize) {
        let now = time::OffsetDateTime::now_utc();
        let entry = |number: usize| RevokedCertParams {
            serial_number: SerialNumber::from_slice(
                &[&[0x7f; 12][..], &number.to_be_bytes()].concat(),
            ),
            revocation_time: now - time::Duration::hours(2),
            reason_code: None,
            invalidity_date: None,
        };
        for (name, ca, listed) in [("root", &self.root, 0), ("issuing", &self.issuing, listed)] {
            let params = CertificateRevocationListParams {
                this_update: now - time::Duration::hours(1),
                next_update: now + time::Duration::hours(24),
                crl_number: SerialNumber::from(1),
                issuing_distribution_point: None,
                revoked_certs: (0..listed).map(entry).collect(),
                key_identifier_method: KeyIdMethod::Sha256,
            };
            let crl = params.signed_by(&ca.issuer()).unwrap();
            std::fs::write(folder.join(format!("{name}.crl")), crl.der()).unwrap();
        }
    }

    fn question(&self, number: usize) -> Vec<u8> {
        let base64 = |octets: &[u8]| data_encoding::BASE64.encode(octets);
        let question = json!({
            "v": 1, "daemon": "bench", "ike": 2, "mode": "ike_sa", "role": "responder",
            "local": {"address": "192.0.2.1", "port": 500, "id": {"type": 2, "data": base64(b"gw.example.net")}},
            "remote": {
                "address": "192.0.2.2", "port": 500,
                "id": {"type": 2, "data": base64(format!("peer-{number}.example.net").as_bytes())},
            },
            "chain": [base64(&self.peers[number]), base64(&self.issuing.der)],
            "proposal": {"group": 19},
        });
        format!("{question}\n").into_bytes()
    }

    /// The policy, with an assertion for each peer.
    fn authorizer(&self, folder: &Path, known: usize) -> Running {
        let mut text = String::new();
        for number in 0..known {
            write!(
                text,
                "\nAuthorizer: \"POLICY\"\nLicensees: \"DN:/CN=peer-{number}\"\nConditions: remote_id == \"peer-{number}.example.net\" -> \
                 \"true\";\n"
            )
            .unwrap();
        }
        let (policy, path) = (folder.join("policy"), folder.join("authorizer"));
        std::fs::write(&policy, text).unwrap();
        let settings = CacheSettings { folder: None, refresh: Duration::from_secs(3600) };
        let clock = Arc::new(SystemClock);
        let crls = ["root.crl", "issuing.crl"].map(|name| folder.join(name).display().to_string());
        let cache =
            CrlCache::start(settings, Box::new(Fetcher::new(64 << 20)), clock.clone()).unwrap();
        let checker = StatusChecker {
            mode: Mode::Strict,
            locations: Locations::default(),
            configured: crls.to_vec(),
            cache,
            prefer: Prefer::Crl,
            responders: Vec::new(),
            ocsp: OcspCache::start(
                Duration::from_secs(3600),
                Box::new(Fetcher::new(64 << 10)),
                Arc::new(SystemClock),
            )
            .unwrap(),
            others: Vec::new(),
            anchors: Anchors::new([self.root.der.clone()]).unwrap(),
        };
        checker.cache.at(&crls, &[], Instant::now() + Duration::from_secs(10));
        let standing = ConfiguredTrust::new(PathSettings::default(), checker, None).unwrap();
        let files = PolicyFiles { policies: vec![policy], ..PolicyFiles::default() };
        let log = DecisionLog::open(&folder.join("decisions")).unwrap();
        let policy = Policy::load(files).unwrap();
        // Twice the known peers, because the cache may drop half of its entries at once.
        let most = known.saturating_mul(2).max(100_000);
        let authorizer =
            Authorizer::new(Arc::new(standing), policy, Mapping::default(), clock, log, most)
                .unwrap();
        let settings = SocketSettings { path: path.clone(), mode: 0o600, max_connections: 1024 };
        let authorizer = Arc::new(authorizer);
        let server = AuthorizerServer::start(Arc::clone(&authorizer), &settings).unwrap();
        Running { path, authorizer, server }
    }

    /// The mean time of a signature's verification.
    fn verification(&self) -> Duration {
        let root = Certificate::from_der(self.root.der.clone()).unwrap();
        // A certificate remembers who signed it, so that each of these is asked once.
        let issuing = vec![Certificate::from_der(self.issuing.der.clone()).unwrap(); 1_000];
        let started = Instant::now();
        assert!(issuing.iter().all(|issuing| issuing.is_signed_by(&root)));
        started.elapsed() / 1_000
    }
}

fn params(name: &str, is_ca: bool) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca =
        if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
    params.use_authority_key_identifier_extension = true;
    params
}
