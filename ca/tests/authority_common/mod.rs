//! Helpers for the tests of the authority: an instance with a root and an issuing CA, accounts, requests, and a manual
//! clock.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "shared by several tests, each of which uses a part; a test that panics is a test that fails"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use countersign_ca::authority::accounts::{AccountDraft, NewAccount, SecretPolicy};
use countersign_ca::authority::{
    Attempt, Authority, Candidate, CrlSettings, LockSettings, Settings, TransactionDraft,
};
use countersign_ca::founding::CaOptions;
use countersign_ca::founding::Foundation;
use countersign_ca::profile::{DefaultUrls, Profiles};
use countersign_ca::record::Label;
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore};
use countersign_ca::{
    CertificateRequest, Clock, FileKey, KeyAlgorithm, KeyFolder, Passphrase, ProvenKey, Requester,
    RollOptions, SystemClock, SystemEntropy, Timestamp,
};
use rcgen::SigningKey;

pub struct Place {
    pub folder: tempfile::TempDir,
    pub authority: Authority,
}

pub fn label(text: &str) -> Label {
    text.parse().unwrap()
}

pub fn options(name: &str, path_length: Option<u8>) -> CaOptions {
    CaOptions {
        subject: countersign_ca::name::distinguished_name(name).unwrap(),
        validity: Duration::from_secs(3650 * 86_400),
        path_length,
        permitted: vec!["dns:example.net".parse().unwrap(), "ip:192.0.2.0/24".parse().unwrap()],
        excluded: Vec::new(),
        policies: Vec::new(),
        crl_urls: vec!["http://pki.example.net/crl/root.crl".into()],
        ocsp_urls: vec!["http://pki.example.net/ocsp".into()],
        ca_issuers_urls: vec!["http://pki.example.net/ca/root.cer".into()],
    }
}

/// The instances of a test program have one passphrase, so that scrypt derives one key for all of them.
static PASSPHRASE: LazyLock<Passphrase> = LazyLock::new(|| Passphrase::new("secret").unwrap());

pub fn foundation(folder: &Path) -> Foundation {
    let store = EmbeddedStore::open(folder, EmbeddedOptions::default(), &mut |_| {}).unwrap();
    Foundation {
        store: Arc::new(store),
        keys: KeyFolder::new(folder.join("keys")),
        passphrase: PASSPHRASE.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
    }
}

pub fn found(root: KeyAlgorithm, issuing: KeyAlgorithm) -> Place {
    found_by(Arc::new(SystemClock), root, issuing)
}

pub fn found_by(clock: Arc<dyn Clock>, root: KeyAlgorithm, issuing: KeyAlgorithm) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let ground = Foundation { clock, ..foundation(folder.path()) };
    ground.create_own_keys().unwrap();
    let mut plain = options("CN=Root,O=Example,C=DE", None);
    (plain.permitted, plain.crl_urls) = (Vec::new(), Vec::new());
    (plain.ocsp_urls, plain.ca_issuers_urls) = (Vec::new(), Vec::new());
    ground.create_root(&plain, root).unwrap();
    ground
        .create_issuing(&label("issuing"), &options("CN=Issuing,O=Example,C=DE", Some(0)), issuing)
        .unwrap();
    let authority = open(ground, folder.path());
    Place { folder, authority }
}

pub fn open(ground: Foundation, folder: &Path) -> Authority {
    open_with(ground, crl_settings(folder))
}

pub fn open_with(ground: Foundation, crl: CrlSettings) -> Authority {
    let urls = DefaultUrls {
        crl: vec!["http://pki.example.net/crl/{ca}.crl".into()],
        ocsp: vec!["http://pki.example.net/ocsp".into()],
        ca_issuers: vec!["http://pki.example.net/ca/{ca}.cer".into()],
    };
    let settings = Settings {
        default_ca: None,
        crl,
        locks: LockSettings { after: 3, ..LockSettings::default() },
        responder_validity: Duration::from_secs(30 * 86_400),
    };
    Authority::open(ground, Profiles::new(&BTreeMap::new(), &urls).unwrap(), settings).unwrap()
}

pub fn crl_settings(folder: &Path) -> CrlSettings {
    CrlSettings {
        validity: Duration::from_secs(7 * 86_400),
        root_validity: Duration::from_secs(180 * 86_400),
        interval: None,
        partitions: 0,
        partition_urls: Vec::new(),
        delta: false,
        delta_urls: Vec::new(),
        full_urls: Vec::new(),
        folder: folder.join("crl"),
    }
}

pub fn account(authority: &Authority, name: &str, uses: u32) -> NewAccount {
    let draft = AccountDraft {
        remarks: Default::default(),
        line: None,
        name: label(name),
        identities: vec![
            format!("fqdn:{name}.example.net").parse().unwrap(),
            "ip:192.0.2.1".parse().unwrap(),
        ],
        profile: label("gateway"),
        ca: None,
        equipment: None,
        secret: Some(SecretPolicy { lifetime: Duration::from_secs(3600), uses }),
        permissions: Default::default(),
    };
    authority.add_accounts(&[draft]).unwrap().remove(0)
}

pub fn requester(authority: &Authority, account: &NewAccount) -> Requester {
    let reference = &account.account.secret.as_ref().unwrap().reference;
    let secret = account.secret.as_ref().unwrap();
    authority
        .authenticate_secret(
            attempt(reference, 1),
            &mut |tried| matches!(tried, Candidate::Secret(tried) if tried == secret.as_bytes()),
        )
        .unwrap()
}

pub fn request(key: &FileKey) -> CertificateRequest {
    let signature = key.sign(b"proof").unwrap();
    CertificateRequest {
        key: ProvenKey::verify(
            key.public().clone(),
            &key.signature_algorithm(),
            b"proof",
            &signature,
        )
        .unwrap(),
        subject: None,
        alt_names: Vec::new(),
        not_before: None,
        not_after: None,
        extensions: Vec::new(),
        profile: None,
        ca: None,
        updates: None,
        published: None,
    }
}

pub fn draft(id: &[u8], await_confirmation: bool) -> Option<TransactionDraft> {
    let expires = countersign_ca::Timestamp::from_seconds(4_000_000_000);
    Some(TransactionDraft {
        registrar: None,
        proof: None,
        client: Some([192, 0, 2, 7].into()),
        id: id.to_vec(),
        expires,
        context: b"context".to_vec(),
        confirm_until: await_confirmation.then_some(expires),
    })
}

/// An attempt from 192.0.2.`host` with the secret of this reference.
pub fn attempt(reference: &str, host: u8) -> Attempt<'_> {
    Attempt {
        reference: reference.as_bytes(),
        from: Some([192, 0, 2, host].into()),
        continues: false,
    }
}

pub fn roll(waits: bool) -> RollOptions {
    RollOptions {
        algorithm: None,
        subject: None,
        waits,
        validity: None,
        urls: DefaultUrls { crl: Vec::new(), ocsp: Vec::new(), ca_issuers: Vec::new() },
    }
}

/// A clock that a test sets.
pub struct ByHand(pub std::sync::Mutex<Timestamp>);

impl ByHand {
    pub fn advance(&self, seconds: u64) -> Timestamp {
        self.advance_by(Duration::from_secs(seconds))
    }

    pub fn advance_by(&self, duration: Duration) -> Timestamp {
        let mut now = self.0.lock().unwrap();
        *now = now.plus(duration);
        *now
    }
}

impl Clock for ByHand {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}
