//! Tests that what the authorizer keeps of a peer, facts instead of certificates, answers as the certificates do: with real paths, a clock that the
//! test sets, and the decision log.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::fs;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use countersign_ca::Timestamp;
use countersign_ca::clock::Clock;
use countersign_ca::path::{Anchors, Certificate, PathSettings, ValidPath, validate};
use countersign_ike_plugin::decide::Authorizer;
use countersign_ike_plugin::decision_log::{DecisionLog, decisions};
use countersign_ike_plugin::identity::{Mapping, PeerId};
use countersign_ike_plugin::policy::{Policy, PolicyFiles};
use countersign_ike_plugin::status::Status;
use countersign_ike_plugin::trust::Trust;
use countersign_ike_plugin::wire::{Answer, Octets, Question, Step, Verdict};
use countersign_policy::Principal;
use countersign_policy::key::PublicKey;
use der::Encode;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType,
};
use serde_json::{Value, json};

/// 2027-01-15T08:00:00Z.
const START: i64 = 1_800_000_000;
const YEAR: i64 = 365 * 86_400;

/// A clock that is set by the test.
struct Still(AtomicI64);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Real paths to one anchor. Each certificate is good.
struct Paths {
    anchors: Anchors,
    /// What a look-up finds.
    found: Mutex<Vec<Vec<u8>>>,
}

impl Trust for Paths {
    fn path(&self, chain: &[Vec<u8>], at: Timestamp) -> Result<ValidPath, String> {
        let read = |der: &Vec<u8>| Arc::new(Certificate::from_der(der.clone()).unwrap());
        let chain: Vec<_> = chain.iter().map(read).collect();
        validate(&self.anchors, &PathSettings::default(), &chain, &[], at)
            .map_err(|e| e.to_string())
    }

    fn status(&self, _: &ValidPath, _: Timestamp, _: Instant) -> Status {
        Status::Good(Timestamp::from_millis(i64::MAX))
    }

    fn look_up(&self, _: &PeerId, _: Instant) -> Result<Vec<Vec<Vec<u8>>>, String> {
        Ok(self.found.lock().unwrap().iter().map(|of| vec![of.clone()]).collect())
    }

    fn generation(&self) -> u64 {
        0
    }
}

struct Made {
    params: CertificateParams,
    key: KeyPair,
    der: Vec<u8>,
}

impl Made {
    /// A CA, or a peer with a DNS name, that is valid from a year ago until `end`, in seconds from the start.
    fn new(name: &str, by: Option<&Self>, is_ca: bool, end: i64) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let at = |seconds| time::OffsetDateTime::from_unix_timestamp(START + seconds).unwrap();
        (params.not_before, params.not_after) = (at(-YEAR), at(end));
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        } else {
            let name = format!("{name}.example");
            params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        }
        let key = KeyPair::generate().unwrap();
        let made = match by {
            Some(by) => params.signed_by(&key, &Issuer::from_params(&by.params, &by.key)),
            None => params.self_signed(&key),
        };
        let der = made.unwrap().der().to_vec();
        Self { params, key, der }
    }

    /// The key as a policy names it.
    fn key(&self) -> String {
        let certificate = Certificate::from_der(self.der.clone()).unwrap();
        let key = Principal::of_key(PublicKey::from_spki(certificate.spki()).unwrap());
        String::from_utf8(key.text().into_owned()).unwrap()
    }
}

struct Site {
    folder: tempfile::TempDir,
    clock: Arc<Still>,
    root: Made,
    trust: Arc<Paths>,
}

impl Site {
    fn new(end: i64) -> Self {
        let root = Made::new("root", None, true, end);
        let anchors = Anchors::new([root.der.clone()]).unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(Still(AtomicI64::new(START * 1000))),
            root,
            trust: Arc::new(Paths { anchors, found: Mutex::default() }),
        }
    }

    fn authorizer(&self, licensees: &str, log: DecisionLog) -> Authorizer {
        self.write(licensees);
        let policies = vec![self.folder.path().join("policy")];
        let policy = Policy::load(PolicyFiles { policies, ..PolicyFiles::default() }).unwrap();
        let (trust, clock) = (Arc::clone(&self.trust), Arc::clone(&self.clock));
        Authorizer::new(trust, policy, Mapping::default(), clock, log, 100).unwrap()
    }

    fn write(&self, licensees: &str) {
        let text = format!(
            "Authorizer: \"POLICY\"\nLicensees: {licensees}\nConditions: true -> \"true\";\n"
        );
        fs::write(self.folder.path().join("policy"), text).unwrap();
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("decisions")
    }
}

fn question(id: (u8, &[u8]), chain: &[&Made]) -> Question {
    let chain: Vec<_> = chain.iter().map(|of| json!(Octets(of.der.clone()))).collect();
    let mut question = json!({
        "v": 1, "daemon": "test", "ike": 2, "mode": "ike_sa", "role": "responder",
        "local": {"address": "192.0.2.1", "id": {"type": 2, "data": "Z3c="}},
        "remote": {"address": "192.0.2.7", "id": {"type": id.0, "data": json!(Octets(id.1.to_vec()))}},
        "auth": "cert", "proposal": {"group": 19},
    });
    if !chain.is_empty() {
        question["chain"] = json!(chain);
    }
    serde_json::from_value(question).unwrap()
}

fn ask(authorizer: &Authorizer, id: (u8, &[u8]), chain: &[&Made]) -> Answer {
    authorizer.decide(question(id, chain), Instant::now() + Duration::from_secs(60))
}

fn kept(authorizer: &Authorizer) -> u64 {
    authorizer.counts().kept.load(Ordering::Relaxed)
}

/// Two CAs have one name and two keys; each has a peer. Whatever was kept of whom, a policy's answer depends only on the peer's own path.
#[test]
fn peers_share_what_they_have_in_common_and_no_rights() {
    let site = Site::new(YEAR);
    let one = Made::new("ca", Some(&site.root), true, YEAR);
    let other = Made::new("ca", Some(&site.root), true, YEAR);
    let third = Made::new("third", Some(&site.root), true, YEAR);
    let peers = [
        ("gw1", Made::new("gw1", Some(&one), false, YEAR), &one),
        ("gw2", Made::new("gw2", Some(&one), false, YEAR), &one),
        ("gw3", Made::new("gw3", Some(&other), false, YEAR), &other),
        ("gw4", Made::new("gw4", Some(&third), false, YEAR), &third),
    ];
    for (licensees, allowed) in [
        ("\"DN:/CN=gw1\"".to_owned(), &["gw1"][..]),
        (format!("\"{}\"", peers[1].1.key()), &["gw2"]),
        (format!("\"{}\"", one.key()), &["gw1", "gw2"]),
        (format!("\"{}\"", other.key()), &["gw3"]),
        ("\"DN:/CN=ca\"".to_owned(), &["gw1", "gw2", "gw3"]),
        ("\"DN:/CN=ca\" && \"DN:/CN=root\"".to_owned(), &["gw1", "gw2", "gw3"]),
        (format!("\"DN:/CN=ca\" && \"{}\"", other.key()), &["gw3"]),
        ("\"DN:/CN=root\"".to_owned(), &["gw1", "gw2", "gw3", "gw4"]),
        (format!("\"{}\"", site.root.key()), &["gw1", "gw2", "gw3", "gw4"]),
        ("\"DN:/CN=gw\"".to_owned(), &[]),
    ] {
        let authorizer = site.authorizer(&licensees, DecisionLog::none());
        for round in 0..3 {
            for (name, peer, ca) in &peers {
                // A repeated refusal would not be decided again.
                site.clock.0.fetch_add(1000, Ordering::SeqCst);
                let id = format!("{name}.example");
                let answer = ask(&authorizer, (2, id.as_bytes()), &[peer, ca]);
                let is_allowed = allowed.contains(name);
                let wanted = if is_allowed { Verdict::Allow } else { Verdict::Deny };
                assert_eq!(answer.decision, wanted, "{licensees}, {name}, {round}: {answer:?}");
                assert_eq!(answer.step, Step::Policy);
                if !is_allowed {
                    let asked = format!("{} or DN:/CN={name}", peer.key());
                    assert!(answer.reason.ends_with(&asked), "{}", answer.reason);
                }
            }
        }
        assert_eq!(kept(&authorizer), 8, "{licensees}");
    }
}

/// Whichever certificate of the path ends first, the anchor's included; and a clock that is set back.
#[test]
fn what_is_kept_ends_with_each_certificate_of_the_path() {
    for short in 0..3 {
        let end = |of| if of == short { 1000 } else { YEAR };
        let site = Site::new(end(2));
        let ca = Made::new("ca", Some(&site.root), true, end(1));
        let peer = Made::new("gw1", Some(&ca), false, end(0));
        let authorizer = site.authorizer("\"DN:/CN=root\"", DecisionLog::none());
        let at = |seconds: i64| {
            site.clock.0.store((START + seconds) * 1000, Ordering::SeqCst);
            ask(&authorizer, (2, b"gw1.example"), &[&peer, &ca])
        };
        assert_eq!(at(0).decision, Verdict::Allow);
        assert_eq!(at(999).decision, Verdict::Allow);
        assert_eq!(kept(&authorizer), 1);
        assert_eq!(at(1000).decision, Verdict::Allow, "the last second of the validity");
        let answer = at(1001);
        assert_eq!((answer.decision, answer.step), (Verdict::Deny, Step::Path), "{answer:?}");
        assert_eq!(kept(&authorizer), 1, "it was judged anew, each time");
        // Before the time for which it was judged, and before any certificate is valid.
        assert_eq!(at(-1).decision, Verdict::Allow);
        assert_eq!(kept(&authorizer), 1);
        assert_eq!(at(-YEAR - 1).step, Step::Path);
    }
}

/// The log describes a known peer as at first: its certificate, its requesters, the policy in force.
#[test]
fn the_log_describes_a_known_peer_as_a_new_one() {
    let site = Site::new(YEAR);
    let ca = Made::new("ca", Some(&site.root), true, YEAR);
    let peer = Made::new("gw1", Some(&ca), false, YEAR);
    let log = DecisionLog::open(&site.log()).unwrap();
    let authorizer = site.authorizer("\"DN:/CN=ca\"", log);
    let name = |text: &str| text.parse::<x509_cert::name::Name>().unwrap().to_der().unwrap();
    let ids: [(u8, Vec<u8>); 3] =
        [(2, b"gw1.example".to_vec()), (2, b"GW1.EXAMPLE".to_vec()), (9, name("CN=GW1"))];
    for id in ids.iter().chain(&ids) {
        let answer = ask(&authorizer, (id.0, &id.1), &[&peer, &ca]);
        assert_eq!(answer.decision, Verdict::Allow, "{answer:?}");
    }
    assert_eq!(kept(&authorizer), 3);
    drop(authorizer);
    let mut found = decisions(&site.log(), 10, |_| true).unwrap();
    found.reverse();
    let certificate = Certificate::from_der(peer.der.clone()).unwrap();
    let hexadecimal = |octets: &[u8]| data_encoding::HEXLOWER.encode(octets);
    let described = json!({
        "subject": "CN=gw1", "names": ["dns:gw1.example"], "issuer": "CN=ca",
        "serial": hexadecimal(&certificate.serial),
        "not_after": certificate.not_after.to_string(),
        "sha256": hexadecimal(certificate.fingerprint()),
    });
    for (number, decision) in found.iter().enumerate() {
        assert_eq!(decision["certificate"], described, "{number}");
        assert_eq!(decision["requesters"], json!([peer.key(), "DN:/CN=gw1"]), "{number}");
        assert_eq!(decision["policy"], found[0]["policy"], "{number}");
        let first = &found[number % 3];
        let same_as = if number < 3 { &Value::Null } else { &first["trace"] };
        assert_eq!(&decision["same_as"], same_as, "{number}");
        assert_eq!(decision["path"].is_array(), number < 3, "{number}");
        for member in ["decision", "step", "reason", "remote"] {
            assert_eq!(decision[member], first[member], "{number}, {member}");
        }
    }
}

/// A reload takes effect for known peers at once, and they do not keep the old policy in memory.
#[test]
fn a_policy_that_was_replaced_is_held_by_no_known_peer() {
    let site = Site::new(YEAR);
    let ca = Made::new("ca", Some(&site.root), true, YEAR);
    let peer = Made::new("gw1", Some(&ca), false, YEAR);
    let authorizer = site.authorizer("\"DN:/CN=ca\"", DecisionLog::none());
    let decision = || ask(&authorizer, (2, b"gw1.example"), &[&peer, &ca]).decision;
    assert_eq!(decision(), Verdict::Allow);
    let old = Arc::downgrade(&authorizer.policy());
    site.write("\"DN:/CN=gw2\"");
    authorizer.reload().unwrap();
    assert!(old.upgrade().is_none(), "the old policy is still in memory");
    assert_eq!(decision(), Verdict::Deny);
}

/// Of several certificates that were looked up, none is accepted. The first one's reason counts, and the log describes that one.
#[test]
fn the_log_describes_the_certificate_that_the_reason_is_about() {
    let site = Site::new(YEAR);
    let stranger = Made::new("stranger", None, true, YEAR);
    let first = Made::new("first", Some(&stranger), false, YEAR);
    let second = Made::new("second", Some(&site.root), false, YEAR);
    *site.trust.found.lock().unwrap() = vec![first.der.clone(), second.der.clone()];
    let log = DecisionLog::open(&site.log()).unwrap();
    let authorizer = site.authorizer("\"DN:/CN=root\"", log);
    let answer = ask(&authorizer, (2, b"third.example"), &[]);
    assert_eq!((answer.decision, answer.step), (Verdict::Deny, Step::Path), "{answer:?}");
    assert!(answer.reason.contains("CN=first"), "{}", answer.reason);
    // The one that is accepted is described, whichever was tried before.
    let answer = ask(&authorizer, (2, b"second.example"), &[]);
    assert_eq!(answer.decision, Verdict::Allow, "{answer:?}");
    drop(authorizer);
    let found = decisions(&site.log(), 10, |_| true).unwrap();
    assert_eq!(found[1]["certificate"]["subject"], "CN=first");
    assert_eq!(found[0]["certificate"]["subject"], "CN=second");
}
