//! Tests what the authorizer caches of a peer, with a trust that counts how often it is asked; and the decision log.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use countersign_ca::clock::Clock;
use countersign_ca::path::{Certificate, ValidPath};
use countersign_ca::{SystemClock, Timestamp};
use countersign_ike_plugin::decide::{AddressIds, Authorizer};
use countersign_ike_plugin::decision_log::{DecisionLog, decisions};
use countersign_ike_plugin::identity::{Mapping, PeerId};
use countersign_ike_plugin::policy::{Policy, PolicyFiles};
use countersign_ike_plugin::status::Status;
use countersign_ike_plugin::trust::Trust;
use countersign_ike_plugin::wire::{Answer, Auth, Octets, Question, Step, Verdict};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use serde_json::json;

/// Trusts every certificate, unless it is told that all are revoked.
#[derive(Default)]
struct Everybody {
    paths: AtomicUsize,
    statuses: AtomicUsize,
    revoked: AtomicBool,
    /// It gives no status if the deadline is near.
    slow: AtomicBool,
    generation: AtomicU64,
}

/// A clock that is set by the test.
struct Still(AtomicI64);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

impl Everybody {
    fn is_late(&self, deadline: Instant) -> bool {
        self.slow.load(Ordering::SeqCst) && deadline <= Instant::now()
    }
}

impl Trust for Everybody {
    fn path(&self, chain: &[Vec<u8>], _: Timestamp) -> Result<ValidPath, String> {
        self.paths.fetch_add(1, Ordering::SeqCst);
        let read = |der: &Vec<u8>| Arc::new(Certificate::from_der(der.clone()).unwrap());
        let all: Vec<_> = chain.iter().map(read).collect();
        Ok(ValidPath { anchor: Arc::clone(all.last().unwrap()), certificates: all })
    }

    fn status(&self, _: &ValidPath, _: Timestamp, deadline: Instant) -> Status {
        self.statuses.fetch_add(1, Ordering::SeqCst);
        if self.is_late(deadline) {
            return Status::Unknown("nothing is known yet".into());
        }
        if self.revoked.load(Ordering::SeqCst) {
            return Status::Revoked("it was revoked".into());
        }
        Status::Good(Timestamp::from_millis(i64::MAX))
    }

    fn look_up(&self, _: &PeerId, deadline: Instant) -> Result<Vec<Vec<Vec<u8>>>, String> {
        if self.is_late(deadline) {
            return Err("it takes too long".into());
        }
        Ok(Vec::new())
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }
}

struct Site {
    folder: tempfile::TempDir,
    trust: Arc<Everybody>,
    certificate: Vec<u8>,
}

impl Site {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "gw1");
        params.subject_alt_names = vec![
            SanType::DnsName("gw1.example.net".try_into().unwrap()),
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
        ];
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            trust: Arc::default(),
            certificate: certificate.der().to_vec(),
        }
    }

    fn decisions(&self) -> std::path::PathBuf {
        self.folder.path().join("decisions")
    }

    fn policy(&self, condition: &str) -> Policy {
        let path = self.folder.path().join("policy");
        let text = format!(
            "Authorizer: \"POLICY\"\nLicensees: \"DN:/CN=gw1\" || \"passphrase:open sesame\"\nConditions: {condition} -> \"true\";\n"
        );
        fs::write(&path, text).unwrap();
        Policy::load(PolicyFiles { policies: vec![path], ..PolicyFiles::default() }).unwrap()
    }

    fn authorizer(&self, condition: &str, log: DecisionLog) -> Authorizer {
        let (trust, clock) = (Arc::clone(&self.trust), Arc::new(SystemClock));
        let policy = self.policy(condition);
        Authorizer::new(trust, policy, Mapping::default(), clock, log, 10).unwrap()
    }

    /// An authorizer with the clock of the test.
    fn authorizer_at(&self, clock: &Arc<Still>, condition: &str, log: DecisionLog) -> Authorizer {
        let (trust, clock) = (Arc::clone(&self.trust), Arc::clone(clock));
        let policy = self.policy(condition);
        Authorizer::new(trust, policy, Mapping::default(), clock, log, 10).unwrap()
    }

    fn question(&self, kind: u8, id: &[u8], source: &str) -> Question {
        let octets = |octets: &[u8]| json!(Octets(octets.to_vec()));
        serde_json::from_value(json!({
            "v": 1, "daemon": "test", "ike": 2, "mode": "ike_sa", "role": "responder",
            "local": {"address": "192.0.2.1", "id": {"type": 2, "data": "Z3c="}},
            "remote": {"address": source, "id": {"type": kind, "data": octets(id)}},
            "chain": [octets(&self.certificate)], "proposal": {"group": 19},
        }))
        .unwrap()
    }

    fn ask(&self, authorizer: &Authorizer, kind: u8, id: &[u8], source: &str) -> Answer {
        let deadline = Instant::now() + Duration::from_secs(60);
        authorizer.decide(self.question(kind, id, source), deadline)
    }

    fn paths(&self) -> usize {
        self.trust.paths.load(Ordering::SeqCst)
    }
}

const NAME: (u8, &[u8]) = (2, b"gw1.example.net");
const ADDRESS: (u8, &[u8]) = (1, &[192, 0, 2, 7]);
const THERE: &str = "192.0.2.7";
const ELSEWHERE: &str = "198.51.100.9";

#[test]
fn whoever_is_refused_displaces_nobody() {
    let site = Site::new();
    let authorizer = site.authorizer("true", DecisionLog::none());
    let good = || site.ask(&authorizer, NAME.0, NAME.1, THERE);
    assert_eq!(good().decision, Verdict::Allow);
    for number in 0..200 {
        let answer = site.ask(&authorizer, 2, format!("gw-{number}").as_bytes(), THERE);
        assert_eq!(answer.step, Step::Identity, "{answer:?}");
    }
    let before = site.paths();
    assert_eq!(good().decision, Verdict::Allow);
    assert_eq!(site.paths(), before, "it was found out anew");
}

/// RFC 4945 §3.1.1: also for a peer that is known from another question.
#[test]
fn whoever_says_it_is_an_address_sends_from_it() {
    let site = Site::new();
    let authorizer = site.authorizer("true", DecisionLog::none());
    let ask = |id: (u8, &[u8]), source| site.ask(&authorizer, id.0, id.1, source);
    for _ in 0..2 {
        assert_eq!(ask(ADDRESS, THERE).decision, Verdict::Allow);
        let answer = ask(ADDRESS, ELSEWHERE);
        assert_eq!((answer.decision, answer.step), (Verdict::Deny, Step::Identity));
        assert!(answer.reason.contains("address_ids") && answer.reason.contains(ELSEWHERE));
        assert_eq!(ask(NAME, ELSEWHERE).decision, Verdict::Allow, "a name may be anywhere");
    }
    assert_eq!(
        site.paths(),
        2,
        "all but the first questions of each identity are answered by what is kept"
    );
    let lenient = site.authorizer("true", DecisionLog::none()).with_address_ids(AddressIds::Any);
    assert_eq!(site.ask(&lenient, ADDRESS.0, ADDRESS.1, ELSEWHERE).decision, Verdict::Allow);
}

/// Spellings that are equal for the certificate are equal for the policy.
#[test]
fn a_peer_cannot_spell_itself_past_the_policy() {
    use der::Encode;
    let site = Site::new();
    let authorizer = site.authorizer(
        "remote_id != \"gw1.example.net\" && remote_id != \"/CN=gw1\"",
        DecisionLog::none(),
    );
    let name = |text: &str| text.parse::<x509_cert::name::Name>().unwrap().to_der().unwrap();
    for (kind, id) in [
        (2, b"gw1.example.net".to_vec()),
        (2, b"GW1.example.NET".to_vec()),
        (9, name("CN=gw1")),
        (9, name("CN=GW1")),
    ] {
        let answer = site.ask(&authorizer, kind, &id, THERE);
        assert_eq!(answer.step, Step::Policy, "{id:?}: {answer:?}");
        assert_eq!(answer.decision, Verdict::Deny, "{id:?}: {answer:?}");
    }
    assert_eq!(site.ask(&authorizer, ADDRESS.0, ADDRESS.1, THERE).decision, Verdict::Allow);
}

fn still() -> Arc<Still> {
    Arc::new(Still(AtomicI64::new(1_800_000_000_000)))
}

/// For every reason of refusal: of a thousand attempts within a short time, all but the first cost nothing, and the log has them in two lines.
#[test]
fn a_thousand_refusals_cost_one_and_are_told_once() {
    let wrong: (u8, &[u8]) = (2, b"gw2.example.net");
    for (step, id, revoked, condition, paths, statuses, asked) in [
        (Step::Status, NAME, true, "true", 1, 1, 0),
        (Step::Identity, wrong, false, "true", 1, 1, 0),
        (Step::Policy, NAME, false, "false", 1, 1, 1),
    ] {
        let site = Site::new();
        site.trust.revoked.store(revoked, Ordering::SeqCst);
        let log = DecisionLog::open(&site.decisions()).unwrap();
        let authorizer = site.authorizer_at(&still(), condition, log);
        let first = site.ask(&authorizer, id.0, id.1, THERE);
        assert_eq!((first.decision, first.step), (Verdict::Deny, step), "{first:?}");
        for _ in 1..1000 {
            assert_eq!(site.ask(&authorizer, id.0, id.1, THERE), first);
        }
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = authorizer.counts();
        assert_eq!((site.paths(), read(&counts.asked)), (paths, asked), "{step:?}");
        assert_eq!(site.trust.statuses.load(Ordering::SeqCst), statuses, "{step:?}");
        assert_eq!((read(&counts.denied[step as usize]), read(&counts.again)), (1000, 999));
        drop(authorizer);
        let text = fs::read_to_string(site.decisions().join("decisions.jsonl")).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        let found = decisions(&site.decisions(), 10, |_| true).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&found[0]["trace"], &found[0]["repeated"]), (&json!(first.trace), &json!(999)));
        assert!(found[0]["last_repeated"].is_string(), "{found:?}");
    }
}

#[test]
fn whoever_was_refused_is_let_in_as_soon_as_anything_changes() {
    let (site, clock) = (Site::new(), still());
    let authorizer = site.authorizer_at(&clock, "false", DecisionLog::none());
    let ask = || site.ask(&authorizer, NAME.0, NAME.1, THERE);
    assert_eq!(ask().step, Step::Policy);
    assert_eq!(ask().decision, Verdict::Deny);
    // Another policy.
    site.policy("true");
    assert_eq!(ask().decision, Verdict::Deny, "it is not in force yet");
    authorizer.reload().unwrap();
    assert_eq!(ask().decision, Verdict::Allow);
    // Another status: a new CRL, or a change in the store.
    let change = |revoked| {
        site.trust.revoked.store(revoked, Ordering::SeqCst);
        site.trust.generation.fetch_add(1, Ordering::SeqCst);
    };
    change(true);
    let refused = ask();
    assert_eq!((refused.step, ask()), (Step::Status, refused));
    change(false);
    assert_eq!(ask().decision, Verdict::Allow);
    // A change without notice counts when the cached refusal has expired.
    change(true);
    assert_eq!(ask().decision, Verdict::Deny);
    site.trust.revoked.store(false, Ordering::SeqCst);
    clock.0.fetch_add(1999, Ordering::SeqCst);
    assert_eq!(ask().decision, Verdict::Deny);
    clock.0.fetch_add(1, Ordering::SeqCst);
    assert_eq!(ask().decision, Verdict::Allow);
}

/// Also if the repeated refusal was found for another question.
#[test]
fn no_refusal_lasts_longer_than_what_it_rests_on() {
    let (site, clock) = (Site::new(), still());
    let authorizer = site.authorizer_at(&clock, "true", DecisionLog::none());
    let ask = |source| site.ask(&authorizer, NAME.0, NAME.1, source).decision;
    site.trust.revoked.store(true, Ordering::SeqCst);
    assert_eq!(ask(THERE), Verdict::Deny);
    site.trust.revoked.store(false, Ordering::SeqCst);
    clock.0.fetch_add(1999, Ordering::SeqCst);
    assert_eq!(ask(ELSEWHERE), Verdict::Deny, "the peer is known still");
    clock.0.fetch_add(1, Ordering::SeqCst);
    assert_eq!(ask(ELSEWHERE), Verdict::Allow);
}

/// The time allowed for a decision comes from the daemon, and is not part of the question.
#[test]
fn whoever_has_time_is_not_given_the_refusal_of_who_had_none() {
    let (site, clock) = (Site::new(), still());
    site.trust.slow.store(true, Ordering::SeqCst);
    let authorizer = site.authorizer_at(&clock, "true", DecisionLog::none());
    let question = site.question(NAME.0, NAME.1, THERE);
    let mut untold = question.clone();
    untold.chain.clear();
    untold.auth = Some(Auth::Cert);
    for (question, step, patient) in
        [(question, Step::Status, "agree"), (untold, Step::Question, "expected a certificate")]
    {
        let hurried = authorizer.decide(question.clone(), Instant::now());
        assert_eq!((hurried.decision, hurried.step), (Verdict::Deny, step), "{hurried:?}");
        assert_eq!(authorizer.refusals(), 0);
        let deadline = Instant::now() + Duration::from_secs(60);
        let answer = authorizer.decide(question, deadline);
        assert!(answer.reason.contains(patient), "{answer:?}");
    }
}

/// Only refusals are cached, only for exactly the same question, and not those of an authorizer that had no time.
#[test]
fn what_is_kept_refuses_nobody_else_and_lets_nobody_in() {
    let (site, clock) = (Site::new(), still());
    let condition = "remote_ike_address == \"192.000.002.007\" && phase1_group_desc == \"19\"";
    let authorizer = site.authorizer_at(&clock, condition, DecisionLog::none());
    let ask = |source| site.ask(&authorizer, NAME.0, NAME.1, source);
    let late = authorizer.decide(site.question(NAME.0, NAME.1, THERE), Instant::now());
    assert_eq!((late.decision, late.step), (Verdict::Deny, Step::Authorizer));
    let asked = || authorizer.counts().asked.load(Ordering::Relaxed);
    let mut other = site.question(NAME.0, NAME.1, THERE);
    other.proposal.group = Some(2);
    let refused = || {
        assert_eq!(ask(ELSEWHERE).decision, Verdict::Deny);
        let deadline = Instant::now() + Duration::from_secs(60);
        assert_eq!(authorizer.decide(other.clone(), deadline).decision, Verdict::Deny);
    };
    refused();
    let before = asked();
    for number in 1..=10 {
        refused();
        assert_eq!(ask(THERE).decision, Verdict::Allow);
        assert_eq!(asked(), before + number, "the policy is asked about who is let in, each time");
    }
}

#[test]
fn the_refusals_that_are_kept_are_bounded() {
    let (site, clock) = (Site::new(), still());
    let authorizer = site.authorizer_at(&clock, "true", DecisionLog::none());
    for number in 0..1000 {
        let answer = site.ask(&authorizer, 2, format!("gw-{number}").as_bytes(), THERE);
        assert_eq!(answer.step, Step::Identity, "{answer:?}");
        assert!(authorizer.refusals() <= 11, "{}", authorizer.refusals());
    }
    assert!(authorizer.refusals() >= 5, "some are kept");
}

#[test]
fn nobody_else_reads_the_policies_that_are_kept() {
    let site = Site::new();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let policies = site.decisions().join("policies");
    // As written by an earlier version.
    fs::create_dir_all(&policies).unwrap();
    fs::set_permissions(&policies, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(policies.join("new"), "").unwrap();
    let log = DecisionLog::open(&site.decisions()).unwrap();
    log.keep_policy(&site.policy("true").current());
    log.flush();
    assert_eq!(mode(&policies), 0o700);
    let kept: Vec<_> = fs::read_dir(&policies).unwrap().map(|of| of.unwrap().path()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(mode(&kept[0]), 0o600);
    assert!(fs::read_to_string(&kept[0]).unwrap().contains("sesame"));
    let fresh = site.folder.path().join("fresh");
    drop(DecisionLog::open(&fresh).unwrap());
    assert_eq!(mode(&fresh), 0o700);
}

/// The log is a pipe without a reader, which blocks like a disk that hangs.
#[test]
fn a_disk_that_hangs_stalls_nobody() {
    let site = Site::new();
    fs::create_dir(site.decisions()).unwrap();
    let pipe = site.decisions().join("decisions.jsonl");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap_or_else(|e| panic!("`mkfifo`: {e}; it is in coreutils")).success());
    // Opened for reading and writing, so that opening does not wait for a reader.
    let mut reader = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let authorizer = site.authorizer("true", DecisionLog::open(&site.decisions()).unwrap());
    for _ in 0..10_000 {
        assert_eq!(site.ask(&authorizer, NAME.0, NAME.1, THERE).decision, Verdict::Allow);
    }
    assert_eq!(authorizer.refuse(Step::Question, "no question".into()).decision, Verdict::Deny);
    authorizer.reload().unwrap();
    assert!(authorizer.lost() > 0, "what is not on record is counted");
    // The disk works again, otherwise the log would wait for ever.
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while reader.read(&mut buffer).is_ok() {}
    });
    drop(authorizer);
}
