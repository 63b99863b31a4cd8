//! CRLs from servers that are good, late, silent, wrong or hostile. The CRLs are made with rcgen; the server is part of the test.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use countersign_ca::SystemClock;
use countersign_ca::clock::Clock;
use countersign_ca::path::{Anchors, Certificate, PathSettings, ValidPath, validate};
use countersign_ike_plugin::status::crl_cache::{CacheSettings, CrlCache};
use countersign_ike_plugin::status::fetch::Fetcher;
use countersign_ike_plugin::status::location::Locations;
use countersign_ike_plugin::status::ocsp_cache::OcspCache;
use countersign_ike_plugin::status::{Lack, Status};
use countersign_ike_plugin::status::{Mode, Prefer, StatusChecker};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    DistinguishedName, DnType, IsCa, Issuer, KeyIdMethod, KeyPair, RevocationReason,
    RevokedCertParams, SerialNumber,
};

/// The server's answer to every request: a status line and a body; `None` for a server that does not answer.
type Page = Arc<Mutex<Option<(&'static str, Vec<u8>)>>>;

struct Ca {
    params: CertificateParams,
    key: KeyPair,
    der: Vec<u8>,
}

impl Ca {
    fn new() -> Self {
        let mut params = params("ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { params, key, der }
    }

    fn crl(&self, number: u64, hours: i64, revoked: bool) -> Vec<u8> {
        let now = time::OffsetDateTime::now_utc();
        let entry = RevokedCertParams {
            serial_number: SerialNumber::from(7),
            revocation_time: now - time::Duration::minutes(1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: now - time::Duration::hours(2),
            next_update: now + time::Duration::hours(hours),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: if revoked { vec![entry] } else { Vec::new() },
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&Issuer::from_params(&self.params, &self.key)).unwrap().der().to_vec()
    }

    /// The path of a certificate with the serial number 7 that names this location.
    fn path(&self, location: &str) -> (ValidPath, Anchors) {
        let mut params = params("gw");
        params.serial_number = Some(SerialNumber::from(7));
        params.crl_distribution_points =
            vec![CrlDistributionPoint { uris: vec![location.to_owned()] }];
        let leaf = params
            .signed_by(&KeyPair::generate().unwrap(), &Issuer::from_params(&self.params, &self.key))
            .unwrap();
        let anchors = Anchors::new([self.der.clone()]).unwrap();
        let leaf = Arc::new(Certificate::from_der(leaf.der().to_vec()).unwrap());
        let path =
            validate(&anchors, &PathSettings::default(), &[leaf], &[], SystemClock.now()).unwrap();
        (path, anchors)
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn serve(page: &Page) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let page = Arc::clone(page);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let page = Arc::clone(&page);
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    line.clear();
                }
                let answer = page.lock().unwrap().clone();
                match answer {
                    Some((status, body)) => {
                        let head = format!(
                            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                            body.len()
                        );
                        let _ = stream.write_all(&[head.as_bytes(), &body].concat());
                    }
                    None => std::thread::sleep(Duration::from_secs(60)),
                }
            });
        }
    });
    format!("http://{address}/ca.crl")
}

struct Site {
    ca: Ca,
    page: Page,
    url: String,
    path: ValidPath,
    anchors: Anchors,
}

impl Site {
    fn new(status: &'static str, body: impl FnOnce(&Ca) -> Vec<u8>) -> Self {
        let ca = Ca::new();
        let page: Page = Arc::new(Mutex::new(Some((status, body(&ca)))));
        let url = serve(&page);
        let (path, anchors) = ca.path(&url);
        Self { ca, page, url, path, anchors }
    }

    fn checker(&self, mode: Mode, allowed: bool, folder: Option<&Path>) -> StatusChecker {
        let settings = CacheSettings {
            folder: folder.map(Path::to_owned),
            refresh: Duration::from_secs(3600),
        };
        let beginnings: Vec<String> = allowed.then(|| self.url.clone()).into_iter().collect();
        StatusChecker {
            mode,
            locations: Locations::new(&beginnings).unwrap(),
            configured: Vec::new(),
            cache: CrlCache::start(
                settings,
                Box::new(Fetcher::new(64 << 10)),
                Arc::new(SystemClock),
            )
            .unwrap(),
            prefer: Prefer::Crl,
            responders: Vec::new(),
            ocsp: OcspCache::start(
                Duration::from_secs(3600),
                Box::new(Fetcher::new(64 << 10)),
                Arc::new(SystemClock),
            )
            .unwrap(),
            others: Vec::new(),
            anchors: self.anchors.clone(),
        }
    }

    fn put(&self, body: Vec<u8>) {
        *self.page.lock().unwrap() = Some(("200 OK", body));
    }

    fn status(&self, checker: &StatusChecker, wait: Duration) -> Status {
        let (certificate, issuer) = self.path.pairs().next().unwrap();
        checker.check(&self.path, certificate, issuer, SystemClock.now(), Instant::now() + wait)
    }
}

const LONG: Duration = Duration::from_secs(30);

#[track_caller]
fn unknown(status: Status, words: &[&str]) {
    match status {
        Status::Unknown(why) => {
            words.iter().for_each(|word| assert!(why.contains(word), "`{word}` is not in: {why}"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn good_and_revoked() {
    let site = Site::new("200 OK", |ca| ca.crl(1, 24, false));
    let checker = site.checker(Mode::Strict, true, None);
    let Status::Good(until) = site.status(&checker, LONG) else { panic!("not good") };
    assert!(
        until > SystemClock.now() && until < SystemClock.now().plus(Duration::from_secs(86_401))
    );
    // PEM is accepted too, and the next question has the fetched CRL.
    let base64 = data_encoding::BASE64.encode(&site.ca.crl(2, 24, true));
    site.put(format!("-----BEGIN X509 CRL-----\n{base64}\n-----END X509 CRL-----\n").into_bytes());
    let before = checker.cache.generation();
    checker.cache.fetch_now();
    let deadline = Instant::now() + LONG;
    while checker.cache.generation() == before {
        assert!(Instant::now() < deadline, "the new CRL did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
    match site.status(&checker, LONG) {
        Status::Revoked(why) => {
            assert!(why.contains("CN=gw") && why.contains("KeyCompromise"), "{why}")
        }
        other => panic!("{other:?}"),
    }
    let lenient = site.checker(Mode::IfPresent, true, None);
    assert!(matches!(site.status(&lenient, LONG), Status::Revoked(_)));
    let off = site.status(&site.checker(Mode::Off, true, None), LONG);
    assert!(matches!(off, Status::Passed(_, Lack::NotAsked)), "{off:?}");
}

#[test]
fn what_is_no_good_crl_is_not_known() {
    let other = Ca::new();
    let cases: [(&'static str, Vec<u8>, &[&str]); 5] = [
        ("404 Not Found", Vec::new(), &["404", "tried again after 10s"]),
        ("200 OK", b"<html>".to_vec(), &["expected a CRL in DER"]),
        ("200 OK", vec![0x30; 70 << 10], &["tried again"]),
        ("302 Found", Vec::new(), &["302"]),
        ("200 OK", other.crl(1, 24, false), &["cannot be used", "nobody known signed it"]),
    ];
    for (status, body, words) in cases {
        let site = Site::new(status, |_| body);
        unknown(site.status(&site.checker(Mode::Strict, true, None), LONG), words);
        let lenient = site.status(&site.checker(Mode::IfPresent, true, None), LONG);
        let Status::Passed(until, Lack::NotKnown) = lenient else { panic!("{lenient:?}") };
        assert!(
            until <= SystemClock.now().plus(Duration::from_secs(61)),
            "it is asked again soon: {until}"
        );
    }
    let ended = Site::new("200 OK", |ca| ca.crl(1, -1, false));
    unknown(ended.status(&ended.checker(Mode::Strict, true, None), LONG), &["it ended at"]);
    let closed = Site::new("200 OK", |ca| ca.crl(1, 24, false));
    unknown(
        closed.status(&closed.checker(Mode::Strict, false, None), LONG),
        &["authorizer.locations does not allow it"],
    );
}

#[test]
fn a_silent_server_is_waited_for_no_longer_than_is_said_and_once() {
    let site = Site::new("200 OK", |ca| ca.crl(1, 24, false));
    *site.page.lock().unwrap() = None;
    let checker = site.checker(Mode::Strict, true, None);
    unknown(site.status(&checker, Duration::from_millis(300)), &["did not answer in time"]);
}

#[test]
fn no_crl_goes_back_and_none_of_strangers_replaces_a_good_one() {
    let site = Site::new("200 OK", |ca| ca.crl(5, 24, true));
    let checker = site.checker(Mode::Strict, true, None);
    assert!(matches!(site.status(&checker, LONG), Status::Revoked(_)));
    // An older CRL of the same CA, and a newer one of another: revocations that these would hide stay known.
    for body in [site.ca.crl(4, 24, false), Ca::new().crl(9, 24, false), b"nonsense".to_vec()] {
        site.put(body);
        checker.cache.fetch_now();
        let deadline = Instant::now() + LONG;
        let refused = || {
            let found =
                checker.cache.at(std::slice::from_ref(&site.url), &[], Instant::now() + LONG);
            !found.errors.is_empty()
        };
        while !refused() {
            assert!(Instant::now() < deadline, "it was not refused");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(matches!(site.status(&checker, LONG), Status::Revoked(_)));
        site.put(site.ca.crl(5, 24, true));
        checker.cache.fetch_now();
        while refused() {
            assert!(Instant::now() < deadline, "the good one did not come back");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_restart_without_network_still_knows() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new("200 OK", |ca| ca.crl(1, 24, true));
    let checker = site.checker(Mode::Strict, true, Some(folder.path()));
    assert!(matches!(site.status(&checker, LONG), Status::Revoked(_)));
    drop(checker);
    *site.page.lock().unwrap() = None;
    let checker = site.checker(Mode::Strict, true, Some(folder.path()));
    assert!(matches!(site.status(&checker, Duration::from_millis(1)), Status::Revoked(_)));
    // A damaged file in the folder is not a CRL.
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        std::fs::write(entry.unwrap().path(), b"damage").unwrap();
    }
    let checker = site.checker(Mode::Strict, true, Some(folder.path()));
    unknown(site.status(&checker, Duration::from_millis(100)), &["did not answer in time"]);
}

/// A CRL that was verified before a restart is not replaced by an older one, or by one of an unknown signer, before its signer is known again.
#[test]
fn no_crl_goes_back_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new("200 OK", |ca| ca.crl(5, 24, true));
    let checker = site.checker(Mode::Strict, true, Some(folder.path()));
    assert!(matches!(site.status(&checker, LONG), Status::Revoked(_)));
    drop(checker);
    let stranger = Ca::new();
    for body in [site.ca.crl(4, 24, false), stranger.crl(9, 24, false)] {
        site.put(body);
        let checker = site.checker(Mode::Strict, true, Some(folder.path()));
        // As after a start: there was no question yet, so that no issuer is known.
        let deadline = Instant::now() + LONG;
        let refused = || {
            let found = checker.cache.at(std::slice::from_ref(&site.url), &[], deadline);
            found.errors.iter().any(|error| error.contains("the CRL of before stays"))
        };
        while !refused() {
            assert!(Instant::now() < deadline, "it was not refused");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(matches!(site.status(&checker, LONG), Status::Revoked(_)));
        drop(checker);
        *site.page.lock().unwrap() = None;
        let checker = site.checker(Mode::Strict, true, Some(folder.path()));
        let still = site.status(&checker, Duration::from_millis(1));
        assert!(
            matches!(still, Status::Revoked(_)),
            "what lies in the folder was replaced: {still:?}"
        );
    }
    // A newer CRL of the same CA is accepted.
    site.put(site.ca.crl(6, 24, false));
    let checker = site.checker(Mode::Strict, true, Some(folder.path()));
    let deadline = Instant::now() + LONG;
    while !matches!(site.status(&checker, LONG), Status::Good(_)) {
        assert!(Instant::now() < deadline, "the newer one did not come");
        checker.cache.fetch_now();
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A revocation still counts when the CRL has expired, whatever CRL is at its location then, and after a restart.
#[test]
fn a_revocation_outlives_its_crl() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new("200 OK", |ca| ca.crl(5, -1, true));
    let revoked = |checker: &StatusChecker, wait| {
        let status = site.status(checker, wait);
        assert!(matches!(status, Status::Revoked(_)), "{status:?}");
    };
    let checker = site.checker(Mode::IfPresent, true, Some(folder.path()));
    revoked(&checker, LONG);
    // A CRL of a stranger with the CA's name, and one of the CA's next key.
    for body in [Ca::new().crl(9, 24, false), Ca::new().crl(10, 24, false)] {
        site.put(body);
        let before = checker.cache.generation();
        checker.cache.fetch_now();
        let deadline = Instant::now() + LONG;
        while checker.cache.generation() == before {
            assert!(Instant::now() < deadline, "what lies there now did not come");
            std::thread::sleep(Duration::from_millis(10));
        }
        revoked(&checker, LONG);
    }
    drop(checker);
    *site.page.lock().unwrap() = None;
    let checker = site.checker(Mode::IfPresent, true, Some(folder.path()));
    revoked(&checker, Duration::from_millis(1));
    // The next CRL of the same key no longer lists it.
    site.put(site.ca.crl(6, 24, false));
    let checker = site.checker(Mode::Strict, true, Some(folder.path()));
    let deadline = Instant::now() + LONG;
    while !matches!(site.status(&checker, LONG), Status::Good(_)) {
        assert!(Instant::now() < deadline, "the newer one did not come");
        checker.cache.fetch_now();
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Two keys of a CA publish at one location, one after the other: revocations in the first CRL still count.
#[test]
fn the_crl_of_a_later_key_hides_no_revocation() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new("200 OK", |ca| ca.crl(5, -1, true));
    let next = Ca::new();
    let signers: Vec<Arc<Certificate>> =
        [&site.ca, &next].map(|ca| Arc::new(Certificate::from_der(ca.der.clone()).unwrap())).into();
    let checker = site.checker(Mode::IfPresent, true, Some(folder.path()));
    let at = |checker: &StatusChecker| {
        checker.cache.at(std::slice::from_ref(&site.url), &signers, Instant::now() + LONG).crls
    };
    assert_eq!(at(&checker).len(), 1);
    site.put(next.crl(1, 24, false));
    checker.cache.fetch_now();
    let deadline = Instant::now() + LONG;
    while at(&checker).len() < 2 {
        assert!(Instant::now() < deadline, "the later key's CRL did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(matches!(site.status(&checker, LONG), Status::Revoked(_)));
    // Both are there after a restart; the next CRL of each key replaces its last.
    drop(checker);
    *site.page.lock().unwrap() = None;
    let checker = site.checker(Mode::IfPresent, true, Some(folder.path()));
    assert_eq!(at(&checker).len(), 2);
    site.put(next.crl(2, 24, false));
    checker.cache.fetch_now();
    while !at(&checker).first().is_some_and(|crl| crl.is_signed_by(&signers[1])) {
        assert!(Instant::now() < deadline, "the later key's next CRL did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(at(&checker).len(), 2);
}

/// The signer of an indirect CRL is known, although it is not the certificate's issuer.
#[test]
fn whoever_signed_a_crl_is_known_even_if_another_issued_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new("200 OK", |ca| ca.crl(5, 24, true));
    let indirect = {
        let mut params = params("crl issuer");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Ca { params, key, der }
    };
    let signers: Vec<Arc<Certificate>> = [&site.ca, &indirect]
        .map(|ca| Arc::new(Certificate::from_der(ca.der.clone()).unwrap()))
        .into();
    let at = |checker: &StatusChecker| {
        checker.cache.at(std::slice::from_ref(&site.url), &signers, Instant::now() + LONG)
    };
    site.put(indirect.crl(5, 24, true));
    let checker = site.checker(Mode::Strict, true, Some(folder.path()));
    assert_eq!(at(&checker).crls[0].len(), 1);
    site.put(indirect.crl(4, 24, false));
    checker.cache.fetch_now();
    let deadline = Instant::now() + LONG;
    while at(&checker).errors.is_empty() {
        assert!(Instant::now() < deadline, "the older one was not refused");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(at(&checker).crls[0].len(), 1);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "it outlasts a restart");
}

/// A CRL that is not looked at may list the certificate, so that even the mode that requires no status refuses it.
#[test]
fn crls_of_more_signers_than_are_looked_at_let_nobody_pass() {
    let site = Site::new("200 OK", |ca| ca.crl(1, 24, false));
    let folder = tempfile::tempdir().unwrap();
    let mut params = params("ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::from_params(&site.ca.params, &site.ca.key);
    let der = params.signed_by(&key, &issuer).unwrap().der().to_vec();
    let next = Ca { params, key, der };
    let with = |count: u64, mode| {
        let files = (1..=count).map(|number| {
            let file = folder.path().join(format!("{number}.crl"));
            std::fs::write(&file, next.crl(number, 24, false)).unwrap();
            file.to_str().unwrap().to_owned()
        });
        let others = vec![Arc::new(Certificate::from_der(next.der.clone()).unwrap())];
        StatusChecker { configured: files.collect(), others, ..site.checker(mode, true, None) }
    };
    let few = site.status(&with(5, Mode::IfPresent), LONG);
    assert!(matches!(few, Status::Good(_)), "{few:?}");
    for mode in [Mode::IfPresent, Mode::Strict] {
        let words = ["is not known", "not all CRLs can be used: more than 64 signers"];
        unknown(site.status(&with(66, mode), LONG), &words);
    }
}
