//! Which entry a certificate is in, after the history told of several changes of names at once.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign_ca::authority::accounts::AccountDraft;
use countersign_ca::authority::{Authority, CrlSettings, LockSettings, Settings};
use countersign_ca::founding::{CaOptions, Foundation};
use countersign_ca::profile::{DefaultUrls, Profiles};
use countersign_ca::record::{Issued, Label, Serial};
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore};
use countersign_ca::{KeyAlgorithm, KeyFolder, Passphrase, SystemClock, SystemEntropy};
use countersign_ldap_bridge::catalogue::Catalogue;
use countersign_ldap_bridge::layout::{Layout, LayoutConfig};

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

fn authority(folder: &Path) -> Arc<Authority> {
    let store = EmbeddedStore::open(folder, EmbeddedOptions::default(), &mut |_| {}).unwrap();
    let ground = Foundation {
        store: Arc::new(store),
        keys: KeyFolder::new(folder.join("keys")),
        passphrase: Passphrase::new("secret").unwrap(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
    };
    ground.create_own_keys().unwrap();
    let options = |name: &str| CaOptions {
        subject: countersign_ca::name::distinguished_name(name).unwrap(),
        validity: Duration::from_secs(3650 * 86_400),
        path_length: None,
        permitted: Vec::new(),
        excluded: Vec::new(),
        policies: Vec::new(),
        crl_urls: Vec::new(),
        ocsp_urls: Vec::new(),
        ca_issuers_urls: Vec::new(),
    };
    ground.create_root(&options("CN=Root"), KeyAlgorithm::P256).unwrap();
    let issuing = CaOptions { path_length: Some(0), ..options("CN=Issuing") };
    ground.create_issuing(&label("issuing"), &issuing, KeyAlgorithm::P256).unwrap();
    let urls = DefaultUrls { crl: Vec::new(), ocsp: Vec::new(), ca_issuers: Vec::new() };
    let crl = CrlSettings {
        validity: Duration::from_secs(7 * 86_400),
        root_validity: Duration::from_secs(180 * 86_400),
        interval: None,
        partitions: 0,
        partition_urls: Vec::new(),
        delta: false,
        delta_urls: Vec::new(),
        full_urls: Vec::new(),
        folder: folder.join("crl"),
    };
    let settings = Settings {
        default_ca: None,
        crl,
        locks: LockSettings::default(),
        responder_validity: Duration::from_secs(30 * 86_400),
    };
    let profiles = Profiles::new(&BTreeMap::new(), &urls).unwrap();
    Arc::new(Authority::open(ground, profiles, settings).unwrap())
}

fn add(authority: &Authority, name: &str) {
    let draft = AccountDraft {
        remarks: Default::default(),
        line: None,
        name: label(name),
        identities: vec!["fqdn:gw.example.net".parse().unwrap()],
        profile: label("gateway"),
        ca: None,
        equipment: None,
        secret: None,
        permissions: Default::default(),
    };
    authority.add_accounts(&[draft]).unwrap();
}

/// Records a certificate whose octets are `number` alone.
fn issue(authority: &Authority, number: u8, account: &str) {
    let serial = Serial::new([number; 16]).unwrap();
    let (store, now) = (authority.store(), authority.now());
    store.reserve_serials(now, &label("issuing"), &[serial]).unwrap();
    let issued = Issued {
        ca: label("issuing"),
        serial,
        account: label(account),
        incarnation: None,
        profile: label("gateway"),
        not_after: now.plus(Duration::from_secs(86_400)),
        certificate: vec![number],
        consumes_secret: false,
        consumes_equipment: false,
        transaction: None,
        replaces: None,
        partition: None,
        withheld: false,
        unpublished: false,
        retires: None,
    };
    store.record_issued(now, &issued).unwrap();
}

fn rename(authority: &Authority, from: &str, to: &str) {
    authority.store().record_account_renamed(authority.now(), &label(from), &label(to)).unwrap();
}

/// The certificates in the entries of peers, with the names of the entries.
fn published(catalogue: &Catalogue) -> BTreeSet<(String, u8)> {
    let entries = catalogue.entries().unwrap();
    let values = entries.iter().flat_map(|entry| {
        let own = entry.attributes.iter().filter(|one| one.name == "userCertificate");
        own.flat_map(|one| &one.values).map(|value| (entry.dn.to_string(), value[0]))
    });
    values.collect()
}

#[test]
fn a_certificate_is_in_its_account_s_entry_however_many_names_change_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let layout = Layout::new(&LayoutConfig {
        base: String::new(),
        ca: "cn={ca}".into(),
        partition: "cn={partition},cn={ca}".into(),
        peer: "cn={account}".into(),
        peers: BTreeMap::new(),
    });
    let layout = layout.unwrap();
    for (number, name) in [(1, "gw1"), (2, "gw2"), (3, "gw3")] {
        add(&authority, name);
        issue(&authority, number, name);
    }
    let mut catalogue = Catalogue::open(Arc::clone(&authority), layout.clone(), 100).unwrap();
    let mut check = |expected: &[(&str, u8)]| {
        catalogue.update().unwrap();
        let anew = Catalogue::open(Arc::clone(&authority), layout.clone(), 100).unwrap();
        let expected = expected.iter().map(|(name, number)| (format!("cn={name}"), *number));
        let expected: BTreeSet<_> = expected.collect();
        assert_eq!((published(&catalogue), published(&anew)), (expected.clone(), expected));
    };
    check(&[("gw1", 1), ("gw2", 2), ("gw3", 3)]);
    // One gets a certificate and another name, and a new account has its old one.
    issue(&authority, 4, "gw1");
    rename(&authority, "gw1", "berlin");
    add(&authority, "gw1");
    check(&[("berlin", 1), ("berlin", 4), ("gw2", 2), ("gw3", 3)]);
    // Two swap their names, and one gets its own again, each after another certificate.
    issue(&authority, 5, "berlin");
    issue(&authority, 6, "gw2");
    issue(&authority, 7, "gw3");
    for (from, to) in [("berlin", "x"), ("gw2", "berlin"), ("x", "gw2"), ("gw3", "y"), ("y", "gw3")]
    {
        rename(&authority, from, to);
    }
    check(&[
        ("gw2", 1),
        ("gw2", 4),
        ("gw2", 5),
        ("berlin", 2),
        ("berlin", 6),
        ("gw3", 3),
        ("gw3", 7),
    ]);
    // The entry of an account that is gone is its certificates', until another account has the name.
    authority.remove_account(&label("berlin")).unwrap();
    check(&[
        ("gw2", 1),
        ("gw2", 4),
        ("gw2", 5),
        ("berlin", 2),
        ("berlin", 6),
        ("gw3", 3),
        ("gw3", 7),
    ]);
    add(&authority, "berlin");
    issue(&authority, 8, "berlin");
    check(&[("gw2", 1), ("gw2", 4), ("gw2", 5), ("berlin", 8), ("gw3", 3), ("gw3", 7)]);
}
