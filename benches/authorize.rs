//! What a question to the authorizer costs: over its socket, warm and cold, from 1 and 32 askers, with 10, 10,000 and 100,000 peers in the
//! policy. Beside it, in the same run: an echo of the same lines over a socket, and the signatures that a cold answer must verify.
//!
//! `cargo bench --bench authorize`. Figures move with the machine; only ratios of one run compare.

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
use std::time::{Duration, Instant};

use countersign_ca::SystemClock;
use countersign_ike_plugin::authorizer::Authorizer;
use countersign_ike_plugin::decision::DecisionLog;
use countersign_ike_plugin::identity::Mapping;
use countersign_ike_plugin::path::{Anchors, Certificate, PathSettings};
use countersign_ike_plugin::policy::{Policy, PolicyFiles};
use countersign_ike_plugin::server::{AuthorizerServer, SocketSettings};
use countersign_ike_plugin::status::cache::{CacheSettings, CrlCache};
use countersign_ike_plugin::status::fetch::Fetcher;
use countersign_ike_plugin::status::location::Locations;
use countersign_ike_plugin::status::responders::OcspCache;
use countersign_ike_plugin::status::{CrlChecker, Mode, Prefer};
use countersign_ike_plugin::trust::Standing;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, IsCa, Issuer, KeyIdMethod, KeyPair, SanType, SerialNumber,
};
use serde_json::json;

/// Peers whose certificates are asked about.
const PEERS: usize = 2_000;
/// Questions of a warm run.
const WARM: usize = 40_000;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(folder.path());
    let questions: Vec<Vec<u8>> = (0..PEERS).map(|number| site.question(number)).collect();
    let echo = Echo::start(folder.path());
    let verification = site.verification();
    println!(
        "one P-256 verification: {:.1} µs; a question has {} octets\n",
        micros(verification),
        questions[0].len()
    );
    println!(
        "| peers | askers | | questions/s | p50 | p99 | bound, p50 | ratio |\n|---|---|---|---|---|---|---|---|"
    );
    for known in [10, 10_000, 100_000] {
        for askers in [1, 32] {
            let bound = ask(&echo.0, &questions[..1], WARM, askers).p50;
            // A cold answer is given once, so each run has an authorizer of its own.
            let cold = {
                let running = site.authorizer(folder.path(), known);
                ask(&running.0, &questions, PEERS, askers)
            };
            let running = site.authorizer(folder.path(), known);
            ask(&running.0, &questions[..1], 100, askers);
            let warm = ask(&running.0, &questions[..1], WARM, askers);
            row(known, askers, "warm", &warm, bound);
            // The leaf, the issuing CA, and the CRL of each issuer.
            row(known, askers, "cold", &cold, bound + verification * 4);
        }
    }
    println!(
        "\nthe bound of warm answers is an echo of the same lines; of cold ones, that and four verifications"
    );
}

fn row(known: usize, askers: usize, kind: &str, run: &Run, bound: Duration) {
    let ratio = run.p50.as_secs_f64() / bound.as_secs_f64();
    println!(
        "| {known} | {askers} | {kind} | {:.0} | {:.0} µs | {:.0} µs | {:.0} µs | {ratio:.2} |",
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
    rate: f64,
    p50: Duration,
    p99: Duration,
}

/// Asks `count` questions from as many threads, each with a connection of its own; every answer must be `allow`, or the echo.
fn ask(socket: &Path, questions: &[Vec<u8>], count: usize, askers: usize) -> Run {
    let started = Instant::now();
    let mut took: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..askers)
            .map(|asker| {
                scope.spawn(move || {
                    let mut reader = BufReader::new(UnixStream::connect(socket).unwrap());
                    let mut answer = String::new();
                    let mut took = Vec::with_capacity(count / askers);
                    for number in (asker..count).step_by(askers) {
                        let began = Instant::now();
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
    Run { rate, p50: took[took.len() / 2], p99: took[took.len() * 99 / 100] }
}

/// Gives back every line.
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

struct Running(
    std::path::PathBuf,
    #[allow(dead_code, reason = "it serves until it is dropped")] AuthorizerServer,
);

/// A root, an issuing CA, their CRLs, and the certificates of the peers.
struct Site {
    root: Vec<u8>,
    issuing: Vec<u8>,
    peers: Vec<Vec<u8>>,
    crls: Vec<String>,
}

impl Site {
    fn new(folder: &Path) -> Self {
        let (root_params, root_key) = (params("root", true), KeyPair::generate().unwrap());
        let root = root_params.self_signed(&root_key).unwrap().der().to_vec();
        let root_issuer = Issuer::from_params(&root_params, &root_key);
        let (issuing_params, issuing_key) = (params("issuing", true), KeyPair::generate().unwrap());
        let issuing = issuing_params.signed_by(&issuing_key, &root_issuer).unwrap().der().to_vec();
        let issuer = Issuer::from_params(&issuing_params, &issuing_key);
        let peer = |number: usize| {
            let mut params = params(&format!("peer-{number}"), false);
            let name = format!("peer-{number}.example.net");
            params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
            params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec()
        };
        let crl = |name: &str, issuer: &Issuer<'_, &KeyPair>| {
            let path = folder.join(name);
            let now = time::OffsetDateTime::now_utc();
            let params = CertificateRevocationListParams {
                this_update: now - time::Duration::hours(1),
                next_update: now + time::Duration::hours(24),
                crl_number: SerialNumber::from(1),
                issuing_distribution_point: None,
                revoked_certs: Vec::new(),
                key_identifier_method: KeyIdMethod::Sha256,
            };
            std::fs::write(&path, params.signed_by(issuer).unwrap().der()).unwrap();
            path.display().to_string()
        };
        let crls = vec![crl("root.crl", &root_issuer), crl("issuing.crl", &issuer)];
        Self { peers: (0..PEERS).map(peer).collect(), root, issuing, crls }
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
            "chain": [base64(&self.peers[number]), base64(&self.issuing)],
            "proposal": {"group": 19},
        });
        format!("{question}\n").into_bytes()
    }

    /// An assertion for each peer that is known, of which the first are asked about; the CA vouches for the rest.
    fn authorizer(&self, folder: &Path, known: usize) -> Running {
        let mut text = String::from(
            "Authorizer: \"POLICY\"\nLicensees: \"DN:/CN=issuing\"\nConditions: app_domain == \"IPsec policy\" -> \"true\";\n",
        );
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
        let cache =
            CrlCache::start(settings, Box::new(Fetcher::new(1 << 20)), clock.clone()).unwrap();
        let checker = CrlChecker {
            mode: Mode::Strict,
            locations: Locations::default(),
            configured: self.crls.clone(),
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
            anchors: Anchors::new([self.root.clone()]).unwrap(),
        };
        checker.cache.at(&self.crls, None, Instant::now() + Duration::from_secs(10));
        let standing = Standing::new(PathSettings::default(), checker, None).unwrap();
        let files = PolicyFiles { policies: vec![policy], ..PolicyFiles::default() };
        let log = DecisionLog::open(&folder.join("decisions")).unwrap();
        let policy = Policy::load(files).unwrap();
        let authorizer =
            Authorizer::new(Arc::new(standing), policy, Mapping::default(), clock, log, 100_000)
                .unwrap();
        let settings = SocketSettings { path: path.clone(), mode: 0o600, max_connections: 64 };
        Running(path, AuthorizerServer::start(Arc::new(authorizer), &settings).unwrap())
    }

    /// What one signature takes, of many.
    fn verification(&self) -> Duration {
        let root = Certificate::from_der(self.root.clone()).unwrap();
        let issuing = Certificate::from_der(self.issuing.clone()).unwrap();
        let started = Instant::now();
        for _ in 0..1_000 {
            assert!(issuing.is_signed_by(&root));
        }
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
