//! OCSP responses of OpenSSL's responder to our requests, and responses that must be refused.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

#[path = "../../ca/tests/path_crl/draft.rs"]
#[allow(dead_code, reason = "shared with the tests of CRLs")]
mod draft;
mod exercise;
#[path = "ocsp/odd.rs"]
mod odd;

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use countersign_ca::clock::Clock;
use countersign_ca::path::{Anchors, Certificate, PathSettings, ValidPath, validate};
use countersign_ca::{SystemClock, Timestamp};
use countersign_ike_plugin::status::crl_cache::{CacheSettings, CrlCache, Fetch};
use countersign_ike_plugin::status::location::Locations;
use countersign_ike_plugin::status::ocsp_cache::{Ask, OcspCache};
use countersign_ike_plugin::status::{Lack, Status};
use countersign_ike_plugin::status::{Mode, Prefer, StatusChecker};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SerialNumber,
};

/// The certificate that is asked about.
const URL: &str = "http://ocsp.example/";

/// id-pkix-ocsp-nocheck.
const NO_CHECK: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 5];

/// A clock that can be set ahead.
struct Ahead(AtomicI64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(SystemClock.now().seconds() + self.0.load(Ordering::SeqCst))
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

struct Ca {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
    der: Vec<u8>,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { params, key, pem: certificate.pem(), der: certificate.der().to_vec() }
    }

    fn issue(&self, params: &CertificateParams) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        (params.signed_by(&key, &issuer).unwrap(), key)
    }

    /// Certificate and key of a responder.
    fn responder(&self, change: impl Fn(&mut CertificateParams)) -> [String; 2] {
        let mut params = params("responder");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        params.custom_extensions = vec![CustomExtension::from_oid_content(NO_CHECK, vec![5, 0])];
        change(&mut params);
        let (certificate, key) = self.issue(&params);
        [certificate.pem(), key.serialize_pem()]
    }
}

type OnTheWay = fn(Vec<u8>) -> Result<Vec<u8>, String>;

/// OpenSSL's responder, which answers a request that lies in a file.
struct Responder {
    folder: tempfile::TempDir,
    signer: Mutex<[String; 2]>,
    /// The line of the index after the kind: of the certificate 7.
    entry: Mutex<&'static str>,
    /// Changes a response on its way to the client.
    on_the_way: Mutex<OnTheWay>,
    asked: AtomicUsize,
}

const GOOD: &str = "V\t491231235959Z\t\t07\tunknown\t/CN=gw\n";
const REVOKED: &str = "R\t491231235959Z\t260101120000Z,keyCompromise\t07\tunknown\t/CN=gw\n";
const HELD: &str = "R\t491231235959Z\t260101120000Z,certificateHold\t07\tunknown\t/CN=gw\n";
const NOTHING: &str = "V\t491231235959Z\t\t08\tunknown\t/CN=other\n";

impl Responder {
    fn respond(&self, request: &[u8]) -> Vec<u8> {
        let write =
            |name: &str, content: &[u8]| fs::write(self.folder.path().join(name), content).unwrap();
        let [certificate, key] = self.signer.lock().unwrap().clone();
        write("request.der", request);
        write("signer.pem", certificate.as_bytes());
        write("signer.key", key.as_bytes());
        write("index", self.entry.lock().unwrap().as_bytes());
        let arguments = "ocsp -index index -CA ca.pem -rsigner signer.pem -rkey signer.key -reqin request.der -respout response.der -ndays 1";
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(self.folder.path())
            .output();
        let output = output.unwrap_or_else(|e| panic!("`openssl`: {e}; run `make deps`"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(self.folder.path().join("response.der")).unwrap()
    }
}

struct Shared(Arc<Responder>);

impl Ask for Shared {
    fn ask(&self, url: &str, request: &[u8]) -> Result<Vec<u8>, String> {
        assert_eq!(url, URL);
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let response = self.0.respond(request);
        let on_the_way = *self.0.on_the_way.lock().unwrap();
        on_the_way(response)
    }
}

/// There are no CRLs.
struct NoCrl;

impl Fetch for NoCrl {
    fn fetch(&self, _: &str) -> Result<Vec<u8>, String> {
        Err("no CRL is here".into())
    }
}

struct Site {
    ca: Ca,
    responder: Arc<Responder>,
    clock: Arc<Ahead>,
    path: ValidPath,
    anchors: Anchors,
}

impl Site {
    fn new() -> Self {
        let ca = Ca::new("ca");
        let mut params = params("gw");
        params.serial_number = Some(SerialNumber::from(7));
        let leaf = Certificate::from_der(ca.issue(&params).0.der().to_vec()).unwrap();
        let anchors = Anchors::new([ca.der.clone()]).unwrap();
        let now = SystemClock.now();
        let path =
            validate(&anchors, &PathSettings::default(), &[Arc::new(leaf)], &[], now).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), &ca.pem).unwrap();
        let responder = Responder {
            folder,
            signer: Mutex::new(ca.responder(|_| ())),
            entry: Mutex::new(GOOD),
            on_the_way: Mutex::new(Ok),
            asked: AtomicUsize::new(0),
        };
        let clock = Arc::new(Ahead(AtomicI64::new(0)));
        Self { ca, responder: Arc::new(responder), clock, path, anchors }
    }

    fn checker(&self, mode: Mode) -> StatusChecker {
        let settings = CacheSettings { folder: None, refresh: Duration::from_secs(3600) };
        let ask = Box::new(Shared(Arc::clone(&self.responder)));
        StatusChecker {
            mode,
            locations: Locations::default(),
            configured: Vec::new(),
            cache: CrlCache::start(settings, Box::new(NoCrl), self.clock.clone()).unwrap(),
            prefer: Prefer::Ocsp,
            responders: vec![URL.to_owned()],
            ocsp: OcspCache::start(Duration::from_secs(3600), ask, self.clock.clone()).unwrap(),
            others: Vec::new(),
            anchors: self.anchors.clone(),
        }
    }

    fn ask(&self, checker: &StatusChecker) -> Status {
        let (certificate, issuer) = self.path.pairs().next().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        checker.check(&self.path, certificate, issuer, self.clock.now(), deadline)
    }

    /// The reason for which a new checker gives no status.
    #[track_caller]
    fn unknown(&self, words: &str) {
        match self.ask(&self.checker(Mode::Strict)) {
            Status::Unknown(why) => assert!(why.contains(words), "expected `{words}`: {why}"),
            other => panic!("expected `{words}`, found {other:?}"),
        }
    }
}

#[test]
fn what_the_responder_says_counts() {
    let site = Site::new();
    let own = [site.ca.pem.clone(), site.ca.key.serialize_pem()];
    let delegated = site.responder.signer.lock().unwrap().clone();
    for signer in [delegated, own] {
        *site.responder.signer.lock().unwrap() = signer;
        *site.responder.entry.lock().unwrap() = GOOD;
        assert!(matches!(site.ask(&site.checker(Mode::Strict)), Status::Good(_)));
        *site.responder.entry.lock().unwrap() = REVOKED;
        match site.ask(&site.checker(Mode::IfPresent)) {
            Status::Revoked(why) => {
                assert!(why.contains("2026-01-01T12:00:00Z: KeyCompromise (OCSP)"), "{why}");
            }
            other => panic!("{other:?}"),
        }
        *site.responder.entry.lock().unwrap() = NOTHING;
        site.unknown("does not know the certificate");
        let passed = site.ask(&site.checker(Mode::IfPresent));
        assert!(matches!(passed, Status::Passed(_, Lack::NotKnown)), "{passed:?}");
    }
}

#[test]
fn an_answer_is_kept_and_a_change_is_noticed() {
    let site = Site::new();
    let checker = site.checker(Mode::Strict);
    for _ in 0..20 {
        assert!(matches!(site.ask(&checker), Status::Good(_)));
    }
    assert_eq!(site.responder.asked.load(Ordering::SeqCst), 1);
    let before = checker.ocsp.generation();
    *site.responder.entry.lock().unwrap() = REVOKED;
    checker.ocsp.ask_now();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !matches!(site.ask(&checker), Status::Revoked(_)) {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(checker.ocsp.generation() > before, "kept decisions would go on");

    // The answer has expired, and the responder is gone: the answer no longer counts.
    *site.responder.entry.lock().unwrap() = GOOD;
    let checker = site.checker(Mode::Strict);
    assert!(matches!(site.ask(&checker), Status::Good(_)));
    *site.responder.on_the_way.lock().unwrap() = |_| Err("gone".into());
    site.clock.0.store(2 * 86_400, Ordering::SeqCst);
    checker.ocsp.ask_now();
    while !matches!(site.ask(&checker), Status::Unknown(why) if why.contains("gone")) {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A permanent revocation still counts when the answer has expired and is not renewed; a hold does not.
#[test]
fn a_revocation_outlives_its_answer() {
    let site = Site::new();
    for (entry, lapses) in [(REVOKED, false), (HELD, true)] {
        site.clock.0.store(0, Ordering::SeqCst);
        *site.responder.on_the_way.lock().unwrap() = Ok;
        *site.responder.entry.lock().unwrap() = entry;
        let checker = site.checker(Mode::IfPresent);
        assert!(matches!(site.ask(&checker), Status::Revoked(_)));
        *site.responder.on_the_way.lock().unwrap() = |_| Err("gone".into());
        site.clock.0.store(30 * 86_400, Ordering::SeqCst);
        let passed = matches!(site.ask(&checker), Status::Passed(_, Lack::NotKnown));
        assert_eq!(passed, lapses, "{entry}");
    }
}

/// A decision that did not wait for the first answer ends when "revoked" comes later.
#[test]
fn a_first_answer_that_comes_late_is_noticed() {
    let site = Site::new();
    *site.responder.entry.lock().unwrap() = REVOKED;
    let checker = site.checker(Mode::IfPresent);
    let (certificate, issuer) = site.path.pairs().next().unwrap();
    let before = checker.ocsp.generation();
    let now = site.clock.now();
    let hasty = checker.check(&site.path, certificate, issuer, now, Instant::now());
    assert!(matches!(hasty, Status::Passed(_, Lack::NotKnown)), "{hasty:?}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while checker.ocsp.generation() == before {
        assert!(Instant::now() < deadline, "what was decided without the answer goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(matches!(site.ask(&checker), Status::Revoked(_)));
}

/// The first question about a peer must not invalidate the status of all others.
#[test]
fn a_first_answer_that_was_waited_for_leaves_others_alone() {
    let site = Site::new();
    let checker = site.checker(Mode::Strict);
    let before = checker.ocsp.generation();
    assert!(matches!(site.ask(&checker), Status::Good(_)));
    assert_eq!(checker.ocsp.generation(), before);
}

#[test]
fn nobody_else_is_believed() {
    let site = Site::new();
    let other = Ca::new("ca");
    let set = |signer: [String; 2]| *site.responder.signer.lock().unwrap() = signer;
    set(other.responder(|_| ()));
    site.unknown("issuer has not certified it");
    set(site.ca.responder(|params| params.extended_key_usages.clear()));
    site.unknown("not for OCSP");
    set(site.ca.responder(|params| params.custom_extensions.clear()));
    site.unknown("id-pkix-ocsp-nocheck");
    set(site.ca.responder(|params| params.not_after = rcgen::date_time_ymd(2026, 1, 1)));
    site.unknown("is valid from");
    set([other.pem.clone(), other.key.serialize_pem()]);
    site.unknown(
        "the responder `CN=ca` is not believed: the certificate's issuer has not certified it",
    );
    set(site.ca.responder(|params| {
        let mut critical = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        critical.set_criticality(true);
        params.custom_extensions.push(critical);
    }));
    site.unknown("its critical extension `1.2.3.4` is unknown (§4.2)");
    // A gateway with a certificate of the CA is not a responder of the CA.
    set(site.ca.responder(|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    }));
    site.unknown("not for OCSP");
}

#[test]
fn what_comes_damaged_late_or_for_another_is_not_taken() {
    let site = Site::new();
    let on_the_way = |change| *site.responder.on_the_way.lock().unwrap() = change;
    on_the_way(|_| Ok(b"<html>moved</html>".to_vec()));
    site.unknown("no OCSP response");
    on_the_way(|_| Ok(Vec::new()));
    site.unknown("no OCSP response");
    // tryLater, as RFC 6960 writes it.
    on_the_way(|_| Ok(vec![0x30, 3, 0x0a, 1, 3]));
    site.unknown("TryLater");
    on_the_way(|mut response| {
        response.push(0);
        Ok(response)
    });
    site.unknown("no OCSP response");
    on_the_way(|response| {
        // An octet of the signed part: the producer's time is near the front.
        let text = response.windows(3).position(|octets| octets == b"202").unwrap();
        let mut response = response;
        response[text + 3] ^= 1;
        Ok(response)
    });
    site.unknown("not believed");
    on_the_way(Ok);
    site.clock.0.store(3 * 86_400, Ordering::SeqCst);
    // The clock of the responder is three days behind ours.
    site.unknown("the response ended at");
    site.clock.0.store(-3 * 86_400, Ordering::SeqCst);
    site.unknown("which is in the future");
    site.clock.0.store(0, Ordering::SeqCst);

    // An answer about another certificate of the same CA.
    let mut params = params("other");
    params.serial_number = Some(SerialNumber::from(8));
    let other = Certificate::from_der(site.ca.issue(&params).0.der().to_vec()).unwrap();
    let (gateway, issuer) = site.path.pairs().next().unwrap();
    let request = countersign_ike_plugin::status::ocsp::request(&other, issuer).unwrap();
    *site.responder.entry.lock().unwrap() = NOTHING;
    let response = site.responder.respond(&request);
    let read = countersign_ike_plugin::status::ocsp::read;
    assert_eq!(read(&response, &other, issuer, site.clock.now()).unwrap().revoked, None);
    let why = read(&response, gateway, issuer, site.clock.now()).unwrap_err();
    assert!(why.contains("about another certificate"), "{why}");
}

#[test]
fn each_octet_of_a_response_counts_or_is_signed_by_nobody() {
    let site = Site::new();
    let (gateway, issuer) = site.path.pairs().next().unwrap();
    *site.responder.entry.lock().unwrap() = REVOKED;
    let request = countersign_ike_plugin::status::ocsp::request(gateway, issuer).unwrap();
    let response = site.responder.respond(&request);
    let read = |octets: &[u8]| {
        countersign_ike_plugin::status::ocsp::read(octets, gateway, issuer, site.clock.now())
    };
    assert!(read(&response).unwrap().revoked.is_some());
    for at in 0..response.len() {
        for bit in [1, 0x80] {
            let mut changed = response.clone();
            changed[at] ^= bit;
            // There is never another answer.
            if let Ok(answer) = read(&changed) {
                assert!(answer.revoked.is_some(), "octet {at}");
            }
        }
        assert!(read(&response[..at]).is_err(), "cut at {at}");
    }
}
