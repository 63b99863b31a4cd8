//! A gateway with an isakmpd policy, and peers that connect to it.
#![allow(dead_code, reason = "each test uses its own part of it")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use countersign_ca::Timestamp;
use countersign_ca::clock::Clock;
use countersign_ca::path::{Anchors, PathSettings};
use countersign_ike_plugin::decide::Authorizer;
use countersign_ike_plugin::decision_log::DecisionLog;
use countersign_ike_plugin::explain::Explainer;
use countersign_ike_plugin::identity::Mapping;
use countersign_ike_plugin::policy::{Policy, PolicyFiles};
use countersign_ike_plugin::status::crl_cache::{CacheSettings, CrlCache};
use countersign_ike_plugin::status::fetch::Fetcher;
use countersign_ike_plugin::status::location::Locations;
use countersign_ike_plugin::status::ocsp_cache::OcspCache;
use countersign_ike_plugin::status::{Mode, Prefer, StatusChecker};
use countersign_ike_plugin::trust::ConfiguredTrust;
use countersign_ike_plugin::wire::{Answer, Question, Step, Verdict};
use countersign_policy::Trace;
use countersign_policy::signature::{Encoding, SigningKey};
use data_encoding::BASE64;
use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, IsCa, Issuer, KeyPair,
    SanType,
};
use ring::rand::SystemRandom;
use serde_json::{Value, json};

/// A clock that is set by the test.
pub struct Hands(pub AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::Relaxed))
    }
}

/// A CA: its certificate, in DER, and its issuer for signing.
pub struct Ca {
    params: CertificateParams,
    key: KeyPair,
    der: Vec<u8>,
}

/// A name with an e-mail address behind the common name, as was usual at the time of the manual.
fn named(common_name: &str, mailbox: Option<&str>) -> CertificateParams {
    const EMAIL_ADDRESS: &[u64] = &[1, 2, 840, 113549, 1, 9, 1];
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    if let Some(mailbox) = mailbox {
        let kind = DnType::CustomDnType(EMAIL_ADDRESS.to_vec());
        params.distinguished_name.push(kind, DnValue::Ia5String(mailbox.try_into().unwrap()));
    }
    params
}

impl Ca {
    pub fn root(common_name: &str, mailbox: Option<&str>) -> Self {
        let mut params = named(common_name, mailbox);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { params, key, der }
    }

    pub fn below(&self, common_name: &str) -> Self {
        let mut params = named(common_name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &self.issuer()).unwrap().der().to_vec();
        Self { params, key, der }
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    /// A peer of this name.
    pub fn peer(&self, name: &str) -> Peer {
        let mut params = named(name, None);
        params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &self.issuer()).unwrap().der().to_vec();
        Peer { id: name.to_owned(), chain: vec![der], psk: None }
    }

    /// A peer that sends this CA's certificate with its own.
    pub fn peer_with_chain(&self, name: &str) -> Peer {
        let mut peer = self.peer(name);
        peer.chain.push(self.der.clone());
        peer
    }

    /// Its key as a principal, by its certificate, with line breaks like those of the manual.
    pub fn principal(&self) -> String {
        principal(&self.der)
    }

    /// A credential with these fields, by this CA.
    pub fn credential(&self, fields: &str) -> String {
        let body = format!("keynote-version: 2\n{fields}authorizer: \"{}\"\n", self.principal());
        let random = SystemRandom::new();
        let key = SigningKey::from_pkcs8(&self.key.serialize_der(), &random).unwrap();
        let signature = key.sign(body.as_bytes(), Encoding::Base64, &random).unwrap();
        format!("{body}Signature: \"{}\"\n", broken(&signature))
    }
}

pub fn principal(certificate: &[u8]) -> String {
    broken(&format!("x509-base64:{}", BASE64.encode(certificate)))
}

/// Lines of at most 56 characters, joined with a backslash; the next begins with spaces.
pub fn broken(text: &str) -> String {
    let lines: Vec<_> =
        text.as_bytes().chunks(56).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
    lines.join("\\\n             ")
}

/// A peer that connects.
#[derive(Clone)]
pub struct Peer {
    id: String,
    pub chain: Vec<Vec<u8>>,
    psk: Option<String>,
}

impl Peer {
    pub fn knows(psk: &str) -> Self {
        Self { id: "gw2.example".to_owned(), chain: Vec::new(), psk: Some(psk.to_owned()) }
    }

    /// Phase 1 in main mode.
    pub fn phase1(&self) -> Value {
        let base64 = |octets: &[u8]| json!(BASE64.encode(octets));
        let mut question = json!({
            "v": 1, "daemon": "charon", "ike": 1, "mode": "main", "role": "responder",
            "local": {"address": "192.0.2.1", "port": 500, "id": {"type": 2, "data": base64(b"gw1.example")}},
            "remote": {"address": "192.0.2.2", "port": 500, "id": {"type": 2, "data": base64(self.id.as_bytes())}},
            "chain": self.chain.iter().map(|der| base64(der)).collect::<Vec<_>>(),
            "proposal": {"group": 2},
        });
        if let Some(psk) = &self.psk {
            question["psk"] = base64(psk.as_bytes());
        }
        question
    }

    pub fn phase2(&self, proposal: Value) -> Value {
        let mut question = self.phase1();
        question["child"] = json!({
            "role": "responder", "mode": "tunnel", "proposal": proposal,
            "local": [{"from": "10.1.0.0", "to": "10.1.255.255"}],
            "remote": [{"from": "10.2.0.0", "to": "10.2.255.255"}],
        });
        question
    }

    /// Phase 2 with ESP, by the number of the cipher.
    pub fn esp(&self, cipher: u16) -> Value {
        self.phase2(json!({"protocol": "esp", "encryption": cipher, "integrity": 2}))
    }

    /// Phase 2 with AH, by the number of the integrity algorithm.
    pub fn ah(&self, integrity: u16) -> Value {
        self.phase2(json!({"protocol": "ah", "integrity": integrity}))
    }
}

// Transform types 1 and 3 of the IANA registry "IKEv2 Parameters".
pub const TRIPLE_DES: u16 = 3;
pub const BLOWFISH: u16 = 7;
pub const NULL: u16 = 11;
pub const AES: u16 = 12;
pub const MD5: u16 = 1;
pub const SHA: u16 = 2;
pub const SHA256: u16 = 12;

/// The same question with one fact changed, or added.
pub fn but(question: &Value, pointer: &str, value: Value) -> Value {
    let mut question = question.clone();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    let parent = question.pointer_mut(parent).unwrap();
    assert_ne!(parent.get(member), Some(&value), "`{pointer}` does not differ");
    match parent {
        Value::Array(parent) => parent[member.parse::<usize>().unwrap()] = value,
        parent => parent[member] = value,
    }
    question
}

/// A gateway with a policy, and the CAs whose certificates it accepts.
pub struct Gateway {
    folder: tempfile::TempDir,
    pub clock: Arc<Hands>,
    authorizer: Authorizer,
}

/// Noon, UTC.
fn noon() -> DateTime {
    date(2026, 7, 1).at(12, 0, 0, 0)
}

impl Gateway {
    pub fn new(policy: &str, anchors: &[&Ca]) -> Self {
        Self::with(policy, anchors, &[], false)
    }

    /// With credentials by identity; `legacy` says whether legacy signatures count.
    pub fn with(policy: &str, anchors: &[&Ca], credentials: &[(&str, &str)], legacy: bool) -> Self {
        Self::by(policy, anchors, credentials, &|files| files.legacy_signatures = legacy)
    }

    /// A gateway that asks its policy when isakmpd does.
    pub fn as_isakmpd(policy: &str, anchors: &[&Ca]) -> Self {
        Self::by(policy, anchors, &[], &|files| files.phase_2_only = true)
    }

    fn by(
        policy: &str,
        anchors: &[&Ca],
        credentials: &[(&str, &str)],
        settings: &dyn Fn(&mut PolicyFiles),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (identity, credentials) in credentials {
            let of = folder.path().join("credentials").join(identity);
            fs::create_dir_all(&of).unwrap();
            fs::write(of.join("credentials"), credentials).unwrap();
        }
        let policy = loaded(folder.path(), policy, settings);
        let noon = TimeZone::UTC.to_timestamp(noon()).unwrap().as_second();
        let clock = Arc::new(Hands(AtomicI64::new(noon)));
        let authorizer = Authorizer::new(
            Arc::new(standing(anchors, clock.clone())),
            policy,
            Mapping::default(),
            clock.clone(),
            DecisionLog::open(&folder.path().join("decisions")).unwrap(),
            100,
        )
        .unwrap();
        Self { folder, clock, authorizer }
    }

    /// Replaces the policy.
    ///
    /// # Errors
    /// The policy is invalid; the text gives the reason.
    pub fn replace(&self, policy: &str) -> Result<(), String> {
        fs::write(self.folder.path().join("isakmpd.policy"), policy).unwrap();
        self.authorizer.reload().map(drop)
    }

    pub fn ask(&self, question: &Value) -> Answer {
        let question: Question = serde_json::from_value(question.clone()).unwrap();
        self.authorizer.decide(question, Instant::now() + Duration::from_secs(60))
    }

    /// The log lines of these decisions, in order, with the traces of the policy when it is asked again.
    pub fn explained(self, traces: &[String]) -> Vec<Vec<Trace>> {
        let Self { folder, authorizer, .. } = self;
        // The log is complete when its writer has ended.
        drop(authorizer);
        let explainer = Explainer {
            log: folder.path().join("decisions"),
            credentials: Some(folder.path().join("credentials")),
        };
        let explain = |trace: &String| {
            let decision = explainer.decision(trace).unwrap();
            explainer.explain(&decision).unwrap()
        };
        traces.iter().map(explain).collect()
    }

    #[track_caller]
    pub fn allows(&self, question: &Value) {
        let answer = self.ask(question);
        assert_eq!(answer.decision, Verdict::Allow, "{}: {question}", answer.reason);
    }

    /// The policy decided, not an earlier step.
    #[track_caller]
    pub fn denies(&self, question: &Value) {
        let answer = self.ask(question);
        assert_eq!((answer.decision, answer.step), (Verdict::Deny, Step::Policy), "{question}");
        let phase = if question.get("child").is_some() { "this traffic" } else { "phase 1" };
        assert!(answer.reason.contains(&format!("does not allow {phase}")), "{}", answer.reason);
    }
}

pub fn loaded(folder: &Path, text: &str, settings: &dyn Fn(&mut PolicyFiles)) -> Policy {
    let file = folder.join("isakmpd.policy");
    fs::write(&file, text).unwrap();
    let mut files = PolicyFiles {
        policies: vec![file],
        credentials: Some(folder.join("credentials")),
        ..PolicyFiles::default()
    };
    settings(&mut files);
    Policy::load(files).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn standing(anchors: &[&Ca], clock: Arc<dyn Clock>) -> ConfiguredTrust {
    let settings = CacheSettings { folder: None, refresh: Duration::from_secs(3600) };
    let checker = StatusChecker {
        mode: Mode::Off,
        locations: Locations::default(),
        configured: Vec::new(),
        cache: CrlCache::start(settings, Box::new(Fetcher::new(1 << 10)), clock.clone()).unwrap(),
        prefer: Prefer::Crl,
        responders: Vec::new(),
        ocsp: OcspCache::start(Duration::from_secs(3600), Box::new(Fetcher::new(64 << 10)), clock)
            .unwrap(),
        others: Vec::new(),
        anchors: Anchors::new(anchors.iter().map(|ca| ca.der.clone())).unwrap(),
    };
    ConfiguredTrust::new(PathSettings::default(), checker, None).unwrap()
}

/// An assertion that allows these licensees phase 1 and nothing else: in phase 2 there is always a filter.
pub fn phase_1(licensees: &str) -> String {
    format!(
        "\nAuthorizer: \"POLICY\"\nLicensees: {licensees}\nConditions: remote_filter_type == \"\" -> \"true\";\n"
    )
}
