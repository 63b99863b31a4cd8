//! The authority over the embedded store: found, authorize, issue, revoke, publish; checked by `openssl verify`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use countersign_ca::accounts::{AccountDraft, Accounts, NewAccount, SecretPolicy};
use countersign_ca::authority::{
    Authority, CertificateStatus, CrlSettings, LockSettings, Settings, TransactionDraft,
};
use countersign_ca::certificate::to_pem;
use countersign_ca::foundation::Foundation;
use countersign_ca::founding::CaOptions;
use countersign_ca::profile::{DefaultUrls, Profiles};
use countersign_ca::record::{CrlScope, Deed, Label, Reason};
use countersign_ca::recovery::Recovery;
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore, Restore, restore_journal};
use countersign_ca::{
    CertificateRequest, Clock, Denial, Error, FileKey, KeyAlgorithm, KeyFolder, KeyKind,
    Passphrase, ProvenKey, Requester, SubjectPublicKey, SystemClock, SystemEntropy, Timestamp,
    WantedKey,
};
use rcgen::SigningKey;

struct Place {
    folder: tempfile::TempDir,
    authority: Authority,
}

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

fn options(name: &str, path_length: Option<u8>) -> CaOptions {
    CaOptions {
        subject: countersign_ca::identity::distinguished_name(name).unwrap(),
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

fn foundation(folder: &Path) -> Foundation {
    let store = EmbeddedStore::open(folder, EmbeddedOptions::default(), &mut |_| {}).unwrap();
    Foundation {
        store: Arc::new(store),
        keys: KeyFolder::new(folder.join("keys")),
        passphrase: Passphrase::new("secret").unwrap(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
    }
}

fn found(root: KeyAlgorithm, issuing: KeyAlgorithm) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let ground = foundation(folder.path());
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

fn open(ground: Foundation, folder: &Path) -> Authority {
    let urls = DefaultUrls {
        crl: vec!["http://pki.example.net/crl/{ca}.crl".into()],
        ocsp: vec!["http://pki.example.net/ocsp".into()],
        ca_issuers: vec!["http://pki.example.net/ca/{ca}.cer".into()],
    };
    let settings = Settings {
        default_ca: None,
        crl: crl_settings(folder),
        locks: LockSettings::default(),
        responder_validity: Duration::from_secs(30 * 86_400),
    };
    Authority::open(ground, Profiles::new(&BTreeMap::new(), &urls).unwrap(), settings).unwrap()
}

fn crl_settings(folder: &Path) -> CrlSettings {
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

fn account(authority: &Authority, name: &str, uses: u32) -> NewAccount {
    let draft = AccountDraft {
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

fn requester(authority: &Authority, account: &NewAccount) -> Requester {
    let reference = &account.account.secret.as_ref().unwrap().reference;
    let secret = account.secret.as_ref().unwrap();
    authority
        .authenticate_secret(reference.as_bytes(), &mut |tried| tried == secret.as_bytes())
        .unwrap()
}

fn request(key: &FileKey) -> CertificateRequest {
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
    }
}

fn draft(id: &[u8], await_confirmation: bool) -> Option<TransactionDraft> {
    let expires = countersign_ca::Timestamp::from_seconds(4_000_000_000);
    Some(TransactionDraft {
        registrar: None,
        id: id.to_vec(),
        expires,
        context: b"context".to_vec(),
        confirm_until: await_confirmation.then_some(expires),
    })
}

fn openssl_verify(place: &Place, certificate: &[u8]) -> (bool, String) {
    let write = |name: &str, label, der: &[u8]| {
        std::fs::write(place.folder.path().join(name), to_pem(label, der).unwrap()).unwrap();
    };
    write("leaf.pem", "CERTIFICATE", certificate);
    let chain = place.authority.chain(None).unwrap();
    write("issuing.pem", "CERTIFICATE", &chain[0]);
    write("root.pem", "CERTIFICATE", &chain[1]);
    let crls: String = ["issuing", "root"]
        .map(|ca| {
            let crl = place.authority.crl(&label(ca), CrlScope::Full).unwrap().expect("a CRL");
            to_pem("X509 CRL", &crl.der).unwrap()
        })
        .concat();
    std::fs::write(place.folder.path().join("crls.pem"), crls).unwrap();
    let output = Command::new("openssl")
        .current_dir(place.folder.path())
        .args([
            "verify",
            "-x509_strict",
            "-crl_check_all",
            "-CAfile",
            "root.pem",
            "-untrusted",
            "issuing.pem",
        ])
        .args(["-CRLfile", "crls.pem", "leaf.pem"])
        .output()
        .expect("this test needs `openssl`: apt-get install openssl");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_certificate_lives_from_its_request_to_the_crl() {
    for algorithm in
        [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa3072]
    {
        let place = found(algorithm, algorithm);
        let authority = &place.authority;
        let gw1 = account(authority, "gw1", 1);
        let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
        let asker = requester(authority, &gw1);
        let authorized = authority.authorize(&asker, request(&key)).unwrap();
        let issued = authority.issue(authorized, draft(b"transaction-1", true)).unwrap();
        assert_eq!(issued.changes, [""; 0]);
        for ca in ["root", "issuing"] {
            authority.publish_crl(&label(ca)).unwrap();
        }
        let (good, text) = openssl_verify(&place, &issued.certificate);
        assert!(good, "{algorithm}: {text}");

        // Its one use is gone, and so is its transaction's name.
        let again = authority.authorize(&requester(authority, &gw1), request(&key));
        assert!(
            matches!(again, Err(Error::Denied { kind: Denial::NotAuthorized, .. })),
            "{again:?}"
        );
        let record = authority.store().certificate(&issued.ca, &issued.serial).unwrap().unwrap();
        assert!(!record.confirmed);
        authority.confirm(b"transaction-1").unwrap();
        assert!(
            authority.store().certificate(&issued.ca, &issued.serial).unwrap().unwrap().confirmed
        );
        let twice = authority.confirm(b"transaction-1");
        assert!(
            matches!(twice, Err(Error::Denied { kind: Denial::AlreadyConfirmed, .. })),
            "{twice:?}"
        );

        // It speaks for itself until it is revoked.
        let by_itself = |authority: &Authority| {
            authority
                .authenticate_certificate(&issued.certificate, &mut |_: &SubjectPublicKey| Ok(()))
        };
        let holder = by_itself(authority).unwrap();
        authority
            .revoke_for(&holder, &issued.ca, &issued.serial, Reason::KeyCompromise, None, None)
            .unwrap();
        let refused = by_itself(authority);
        assert!(
            matches!(refused, Err(Error::Denied { kind: Denial::AlreadyRevoked, .. })),
            "{refused:?}"
        );
        let crl = authority.publish_crl(&issued.ca).unwrap();
        assert_eq!(crl.entries, 1);
        let (good, text) = openssl_verify(&place, &issued.certificate);
        assert!(!good && text.contains("certificate revoked"), "{text}");
    }
}

#[test]
fn three_wrong_secrets_lock_a_reference_and_a_new_secret_opens_it() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let gw1 = account(authority, "gw1", 1);
    let reference = gw1.account.secret.as_ref().unwrap().reference.clone();
    for _ in 0..3 {
        let wrong = authority.authenticate_secret(reference.as_bytes(), &mut |_| false);
        assert!(matches!(wrong, Err(Error::Unauthenticated(_))), "{wrong:?}");
    }
    // The secret itself is not tried; another one is, so that it takes as long as with an unknown reference.
    let mut tried = Vec::new();
    let locked = authority.authenticate_secret(reference.as_bytes(), &mut |secret| {
        tried.push(secret.to_vec());
        true
    });
    let unknown = authority.authenticate_secret(b"nobody", &mut |_| false).unwrap_err();
    assert!(
        matches!(&locked, Err(Error::Denied { kind: Denial::Locked, why }) if *why == unknown.to_string()),
        "{locked:?}"
    );
    assert_eq!(tried.len(), 1);
    assert_ne!(tried[0], gw1.secret.as_ref().unwrap().as_bytes());
    let again = authority
        .reset_secret(&label("gw1"), SecretPolicy { lifetime: Duration::from_secs(60), uses: 2 })
        .unwrap();
    assert_ne!(again.account.secret.as_ref().unwrap().reference, reference);
    drop(requester(authority, &again));
    let old = authority.authenticate_secret(reference.as_bytes(), &mut |_| false).unwrap_err();
    let unknown = authority.authenticate_secret(b"nobody", &mut |_| false).unwrap_err();
    assert_eq!(old, unknown, "an old reference looks like one that never was");
}

#[test]
fn a_right_secret_alone_does_not_reset_the_count_of_wrong_ones() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let gw1 = account(authority, "gw1", 5);
    let reference = gw1.account.secret.as_ref().unwrap().reference.clone();
    let wrong = || authority.authenticate_secret(reference.as_bytes(), &mut |_| false);
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    // Two wrong ones, a certificate, two wrong ones: no lock.
    assert!(wrong().is_err() && wrong().is_err());
    let asker = requester(authority, &gw1);
    authority.issue(authority.authorize(&asker, request(&key)).unwrap(), None).unwrap();
    assert!(wrong().is_err() && wrong().is_err());
    // A message that is only replayed authenticates, and resets nothing.
    drop(requester(authority, &gw1));
    assert!(matches!(wrong(), Err(Error::Unauthenticated(_))));
    assert!(matches!(wrong(), Err(Error::Denied { kind: Denial::Locked, .. })));
}

#[test]
fn a_key_update_keeps_the_identities_and_replaces_its_own_certificate_only() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let gw1 = account(authority, "gw1", 5);
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let asker = requester(authority, &gw1);
    let mut narrow = request(&key);
    let fqdn = gw1.account.identities[0].general_name().unwrap().unwrap();
    let ip = gw1.account.identities[1].general_name().unwrap().unwrap();
    narrow.alt_names = vec![fqdn.clone()];
    let first = authority.issue(authority.authorize(&asker, narrow).unwrap(), None).unwrap();
    let second =
        authority.issue(authority.authorize(&asker, request(&key)).unwrap(), None).unwrap();

    let holder = authority.authenticate_certificate(&first.certificate, &mut |_| Ok(())).unwrap();
    let update = |updates, alt_names| CertificateRequest { updates, alt_names, ..request(&key) };
    let widened = authority.authorize(&holder, update(Some(first.serial), vec![fqdn, ip]));
    assert!(
        matches!(&widened, Err(Error::Denied { kind: Denial::NotAuthorized, why }) if why.contains("192.0.2.1")),
        "{widened:?}"
    );
    let other = authority.authorize(&holder, update(Some(second.serial), Vec::new()));
    assert!(
        matches!(other, Err(Error::Denied { kind: Denial::NoSuchCertificate, .. })),
        "{other:?}"
    );
    let by_secret = authority.authorize(&asker, update(Some(first.serial), Vec::new()));
    assert!(
        matches!(by_secret, Err(Error::Denied { kind: Denial::NotAuthorized, .. })),
        "{by_secret:?}"
    );
    let renewed = authority
        .issue(authority.authorize(&holder, update(Some(first.serial), Vec::new())).unwrap(), None)
        .unwrap();
    let facts = countersign_ca::certificate::Facts::of(&renewed.certificate).unwrap();
    assert_eq!(facts.alt_names.len(), 1);
}

#[test]
fn a_key_update_keeps_the_subject_and_adds_no_names_where_there_were_none() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let dn = |text: &str| countersign_ca::identity::distinguished_name(text).unwrap();
    let (one, two) = ("CN=gw1,O=Example", "CN=gw2,O=Example");
    let held = ["fqdn:gw1.example.net".to_owned(), format!("dn:{one}"), format!("dn:{two}")];
    let draft = AccountDraft {
        name: label("gw1"),
        identities: held.iter().map(|id| id.parse().unwrap()).collect(),
        profile: label("gateway"),
        ca: None,
        equipment: None,
        secret: Some(SecretPolicy { lifetime: Duration::from_secs(3600), uses: 5 }),
        permissions: Default::default(),
    };
    let account = authority.add_accounts(&[draft]).unwrap().remove(0);
    let asker = requester(authority, &account);
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let issue = |asker: &Requester, request| {
        authority.issue(authority.authorize(asker, request).unwrap(), None).unwrap()
    };
    let holder = |certificate: &[u8]| {
        authority.authenticate_certificate(certificate, &mut |_| Ok(())).unwrap()
    };
    let facts = |certificate: &[u8]| countersign_ca::certificate::Facts::of(certificate).unwrap();
    let update = |of: &countersign_ca::authority::IssuedCertificate, subject: Option<&str>| {
        let subject = subject.map(dn);
        CertificateRequest { updates: Some(of.serial), subject, ..request(&key) }
    };

    // The second DN, which is not the one that the account gets without a wish, stays.
    let first = issue(&asker, CertificateRequest { subject: Some(dn(two)), ..request(&key) });
    let signer = holder(&first.certificate);
    for subject in [None, Some(two), Some("cn=GW2,o=example")] {
        let renewed = issue(&signer, update(&first, subject));
        assert_eq!(facts(&renewed.certificate).subject, dn(two), "{subject:?}");
        assert_eq!(facts(&renewed.certificate).alt_names.len(), 1);
    }
    for other in [one, "CN=gw1.example.net", "CN=gw1"] {
        let refused = authority.authorize(&signer, update(&first, Some(other)));
        assert!(
            matches!(&refused, Err(Error::Denied { kind: Denial::NotAuthorized, why }) if why.contains("key update")),
            "{other}: {refused:?}"
        );
        // A new certificate may have it.
        let new = CertificateRequest { subject: Some(dn(other)), ..request(&key) };
        authority.authorize(&signer, new).unwrap();
    }

    // The account names something else meanwhile: the update gets what it would have got at first.
    let renamed = countersign_ca::record::Account {
        identities: held[..2].iter().map(|id| id.parse().unwrap()).collect(),
        ..account.account.clone()
    };
    let now = countersign_ca::Clock::now(&SystemClock);
    authority.store().record_account_changed(now, &renamed).unwrap();
    let signer = holder(&first.certificate);
    let renewed = issue(&signer, update(&first, None));
    assert_eq!(facts(&renewed.certificate).subject, dn(one));
    assert!(authority.authorize(&signer, update(&first, Some(two))).is_err());

    // A certificate of a DN and nothing else gets no alternative names, though the account holds some by now.
    let only_dn = countersign_ca::record::Account {
        identities: vec![held[1].parse().unwrap()],
        ..account.account.clone()
    };
    authority.store().record_account_changed(now, &only_dn).unwrap();
    let bare = issue(&requester(authority, &account), request(&key));
    assert_eq!(facts(&bare.certificate).alt_names, []);
    authority.store().record_account_changed(now, &account.account).unwrap();
    let signer = holder(&bare.certificate);
    let renewed = issue(&signer, update(&bare, None));
    assert_eq!(facts(&renewed.certificate).alt_names, []);
    let fqdn = account.account.identities[0].general_name().unwrap().unwrap();
    let widened = CertificateRequest { alt_names: vec![fqdn], ..update(&bare, None) };
    let widened = authority.authorize(&signer, widened);
    assert!(
        matches!(&widened, Err(Error::Denied { kind: Denial::NotAuthorized, why }) if why.contains("gw1.example.net")),
        "{widened:?}"
    );
}

#[test]
fn what_cannot_be_granted_has_no_key_made() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let waits =
        countersign_ca::profile::ProfileConfig { approval: Some(true), ..Default::default() };
    let profiles = BTreeMap::from([("waits".to_owned(), waits)]);
    place.authority.reload_profiles(Profiles::new(&profiles, &DefaultUrls::default()).unwrap());
    let authority = &place.authority;
    let account = |name: &str, profile: &str| {
        let draft = AccountDraft {
            name: label(name),
            identities: vec![format!("fqdn:{name}.example.net").parse().unwrap()],
            profile: label(profile),
            ca: None,
            equipment: None,
            secret: Some(SecretPolicy { lifetime: Duration::from_secs(3600), uses: 5 }),
            permissions: [countersign_ca::record::Permission::KeyGeneration].into(),
        };
        requester(authority, &authority.add_accounts(&[draft]).unwrap().remove(0))
    };
    let (gw1, gw2) = (account("gw1", "gateway"), account("gw2", "waits"));
    let plain = || {
        let CertificateRequest { alt_names, extensions, .. } =
            request(&FileKey::generate(KeyAlgorithm::P256).unwrap());
        CertificateRequest {
            key: (),
            subject: None,
            alt_names,
            not_before: None,
            not_after: None,
            extensions,
            profile: None,
            ca: None,
            updates: None,
        }
    };
    let kind = |asker, request| authority.key_to_generate(asker, WantedKey::Any, &request);
    assert_eq!(kind(&gw1, plain()).unwrap(), KeyKind::P256);
    let refused = |asker, request, word: &str| {
        let why = kind(asker, request).unwrap_err().to_string();
        assert!(why.contains(word), "expected `{word}` in: {why}");
    };
    refused(&gw2, plain(), "cannot wait");
    let subject = countersign_ca::identity::distinguished_name("CN=gw2.example.net").unwrap();
    refused(&gw1, CertificateRequest { subject: Some(subject), ..plain() }, "CN=gw2.example.net");
    let past = countersign_ca::Timestamp::from_seconds(1_000_000_000);
    refused(&gw1, CertificateRequest { not_after: Some(past), ..plain() }, "5 minutes");
    refused(&gw1, CertificateRequest { ca: Some(label("root")), ..plain() }, "`root`");
}

#[test]
fn serial_numbers_are_taken_ahead_without_waiting_and_never_twice() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let gw1 = account(authority, "gw1", 1000);
    let asker = requester(authority, &gw1);
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let mut seen = std::collections::HashSet::new();
    let mut ahead = 0;
    for _ in 0..300 {
        let mut authorized = authority.authorize(&asker, request(&key)).unwrap();
        ahead += u32::from(authority.take_serial(&mut authorized).unwrap());
        assert!(seen.insert(authority.issue(authorized, None).unwrap().serial));
    }
    // The first ones are waited for, if none were recorded when the CA was opened.
    assert!(ahead >= 299, "{ahead} of 300");
}

#[test]
fn an_instance_opens_again_with_its_keys_and_its_crl() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let first = place.authority.publish_crl(&label("issuing")).unwrap();
    let protection = place.authority.protection(None).unwrap().certificate().to_vec();
    let Place { folder, authority } = place;
    drop(authority);
    let authority = open(foundation(folder.path()), folder.path());
    assert_eq!(
        authority.protection(None).unwrap().certificate(),
        protection,
        "the signer of answers is kept"
    );
    assert!(authority.crl(&label("issuing"), CrlScope::Full).unwrap().is_some());
    assert!(authority.publish_crl(&label("issuing")).unwrap().number > first.number);
    drop(authority);
    let mut wrong = foundation(folder.path());
    wrong.passphrase = Passphrase::new("another").unwrap();
    assert!(matches!(wrong.create_own_keys(), Err(Error::Unauthenticated(_))));
}

#[test]
fn a_certificate_is_found_by_each_of_its_keys() {
    use countersign_ca::search::{SearchKey, sha1};
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let store = authority.store();
    let mut issued = Vec::new();
    for name in ["gw1", "gw2", "gw2b"] {
        let account = account(authority, name, 5);
        let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
        let asker = requester(authority, &account);
        issued.push(
            authority.issue(authority.authorize(&asker, request(&key)).unwrap(), None).unwrap(),
        );
    }
    for (n, own) in issued.iter().enumerate() {
        let keys = SearchKey::of(&own.certificate);
        assert!(keys.contains(&SearchKey::Certificate(sha1(&own.certificate))), "{keys:?}");
        let kinds: std::collections::BTreeSet<_> = keys
            .iter()
            .map(|key| format!("{key:?}").split('(').next().unwrap().to_owned())
            .collect();
        assert_eq!(kinds.len(), 6, "{keys:?}");
        for key in keys {
            let found = store.find(&key, 10).unwrap();
            // The address is everybody's.
            let all = matches!(&key, SearchKey::Uri(uri) if uri == "192.0.2.1");
            let expected: Vec<_> = match all {
                true => issued.iter().rev().map(|issued| issued.serial).collect(),
                false => vec![issued[n].serial],
            };
            assert_eq!(found.iter().map(|r| r.serial).collect::<Vec<_>>(), expected, "{key:?}");
        }
    }
    assert_eq!(store.find(&SearchKey::Uri("192.0.2.1".into()), 2).unwrap().len(), 2);
    assert_eq!(store.find(&SearchKey::Name("nobody".into()), 2).unwrap(), []);
    // OpenSSL's view of the same: the hash of issuer and serial, the key identifier, the names.
    std::fs::write(place.folder.path().join("c.der"), &issued[0].certificate).unwrap();
    let output = Command::new("openssl")
        .current_dir(place.folder.path())
        .args(["x509", "-inform", "DER", "-in", "c.der", "-noout", "-fingerprint", "-sha1"])
        .args(["-ext", "subjectKeyIdentifier,subjectAltName"])
        .output()
        .expect("this test needs `openssl`: apt-get install openssl");
    let text = String::from_utf8_lossy(&output.stdout).replace(':', "");
    let upper = |octets: &[u8]| data_encoding::HEXUPPER.encode(octets);
    for key in SearchKey::of(&issued[0].certificate) {
        match key {
            SearchKey::Certificate(hash) => assert!(text.contains(&upper(&hash)), "{text}"),
            SearchKey::Uri(uri) => assert!(text.contains(&uri), "{text}"),
            SearchKey::KeyIdentifier(_) => {
                let found = store.find(&key, 1).unwrap();
                assert_eq!(found[0].serial, issued[0].serial);
            }
            _ => {}
        }
    }
}

#[test]
fn crls_are_told_apart_by_their_times_which_no_slow_clock_refuses() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let store = authority.store();
    let issuing = label("issuing");
    let (mut last, began) = (authority.publish_crl(&issuing).unwrap(), authority.now());
    // A peer whose clock is behind takes it.
    assert!(last.this_update <= began.minus(Duration::from_secs(58)), "{last:?}");
    assert!(last.next_update > began.plus(Duration::from_secs(7 * 86_400 - 60)));
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let gw1 = account(authority, "gw1", 1);
    let asker = requester(authority, &gw1);
    let issued =
        authority.issue(authority.authorize(&asker, request(&key)).unwrap(), None).unwrap();
    authority.revoke(&issuing, &issued.serial, Reason::KeyCompromise, None).unwrap();
    // More at once than there are seconds before now: the last ones wait for theirs.
    for _ in 0..62 {
        let next = authority.publish_crl(&issuing).unwrap();
        let second = last.this_update.plus(Duration::from_secs(1));
        assert!(next.this_update >= second && next.number > last.number, "{last:?} {next:?}");
        assert!(next.this_update <= authority.now() && next.entries == 1, "{next:?}");
        last = next;
    }
    // It is due by when it was signed, not by thisUpdate.
    assert!(authority.crl_due(&issuing).unwrap().unwrap() > authority.now());
    assert!(!last.is_past_half(authority.now()));
    assert_eq!(store.last_crl(&issuing, CrlScope::Full).unwrap(), Some(last));
}

#[test]
fn what_is_revoked_without_the_key_at_hand_is_missed_by_the_crl() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let issuing = label("issuing");
    assert!(authority.crl_lacks_changes(&issuing).unwrap(), "there is none");
    let gw1 = account(authority, "gw1", 1);
    let asker = requester(authority, &gw1);
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let issued =
        authority.issue(authority.authorize(&asker, request(&key)).unwrap(), None).unwrap();
    authority.publish_crl(&issuing).unwrap();
    assert!(!authority.crl_lacks_changes(&issuing).unwrap());
    authority.revoke(&issuing, &issued.serial, Reason::CertificateHold, None).unwrap();
    assert!(authority.crl_lacks_changes(&issuing).unwrap());
}

/// A clock that is set by hand.
struct ByHand(std::sync::Mutex<Timestamp>);

impl ByHand {
    fn advance(&self, seconds: u64) -> Timestamp {
        let mut now = self.0.lock().unwrap();
        *now = now.plus(Duration::from_secs(seconds));
        *now
    }
}

impl Clock for ByHand {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

#[test]
fn an_import_that_takes_its_time_does_not_set_the_clock_back() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let store = Arc::clone(place.authority.store());
    let sealer = Foundation::sealer(&KeyFolder::new(place.folder.path().join("keys"))).unwrap();
    let clock = Arc::new(ByHand(std::sync::Mutex::new(place.authority.now())));
    let accounts = Accounts::new(
        Arc::clone(&store),
        sealer,
        Arc::clone(&clock) as Arc<dyn Clock>,
        Arc::new(SystemEntropy::default()),
    );
    let drafts: Vec<AccountDraft> = (0..64)
        .map(|n| AccountDraft {
            name: label(&format!("gw{n}")),
            identities: vec![format!("fqdn:gw{n}.example.net").parse().unwrap()],
            profile: label("gateway"),
            ca: None,
            equipment: None,
            secret: Some(SecretPolicy { lifetime: Duration::from_secs(3600), uses: 1 }),
            permissions: Default::default(),
        })
        .collect();
    let deed = Deed { actor: "uid 0".into(), action: "meanwhile".into(), detail: String::new() };
    let mut told = 0;
    // While the secrets are sealed, somebody else records something.
    accounts
        .add(&place.authority.profiles(), &drafts, &mut |_, _| {
            told += 1;
            store.record_deed(clock.advance(30), &deed).unwrap();
        })
        .unwrap();
    assert_eq!((told, store.accounts().unwrap().len()), (1, 64));
    assert_eq!(store.last_entry(), clock.now());
}

/// Everything of an instance as it is now, and where a restored one may lie.
fn back_up(place: Place) -> (Place, Vec<u8>) {
    let Place { folder, authority } = place;
    drop(authority);
    let mut octets = Vec::new();
    let store =
        EmbeddedStore::open(folder.path(), EmbeddedOptions::default(), &mut |_| {}).unwrap();
    store.backup_journal(&mut octets).unwrap();
    drop(store);
    let authority = open(foundation(folder.path()), folder.path());
    (Place { folder, authority }, octets)
}

fn restored(lost: Place, backup: &[u8], keeps_uses: bool) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let how = Restore {
        at: lost.authority.now(),
        actor: "uid 0".into(),
        keeps_uses,
        longest_silence: None,
    };
    let (from, to) = (lost.folder.path().join("keys"), folder.path().join("keys"));
    drop(lost.authority);
    restore_journal(&mut &backup[..], folder.path(), &how).unwrap();
    std::fs::create_dir(&to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    let authority = open(foundation(folder.path()), folder.path());
    Place { folder, authority }
}

#[test]
fn a_restored_instance_goes_on_where_the_lost_one_ended() {
    let issuing = label("issuing");
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let gw1 = account(&place.authority, "gw1", 5);
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let enrolled = |authority: &Authority, transaction: Option<TransactionDraft>| {
        let asker = requester(authority, &gw1);
        authority.issue(authority.authorize(&asker, request(&key)).unwrap(), transaction).unwrap()
    };
    let kept = enrolled(&place.authority, None);
    let unconfirmed = TransactionDraft {
        confirm_until: Some(place.authority.now()),
        ..draft(b"awaits", true).unwrap()
    };
    let awaiting = enrolled(&place.authority, Some(unconfirmed));
    place.authority.publish_crl(&issuing).unwrap();
    let (lost, backup) = back_up(place);
    // What is not in the backup.
    let renewed = enrolled(&lost.authority, None);
    let unknown = enrolled(&lost.authority, None);
    for (serial, reason) in
        [(&kept.serial, Reason::KeyCompromise), (&unknown.serial, Reason::CertificateHold)]
    {
        lost.authority.revoke(&issuing, serial, reason, None).unwrap();
    }
    for _ in 0..5 {
        lost.authority.publish_crl(&issuing).unwrap();
    }
    let last = lost.authority.crl(&issuing, CrlScope::Full).unwrap().unwrap();

    let place = restored(lost, &backup, false);
    let (authority, store) = (&place.authority, place.authority.store());
    assert!(store.restored().unwrap().is_some());
    // 1. What peers remember of CRLs.
    let first = authority.publish_crl(&issuing).unwrap();
    assert!(first.number > last.record.number && first.this_update > last.record.this_update);
    assert!(first.this_update <= authority.now());
    // 2. Secrets may have been used up.
    let asker = requester(authority, &gw1);
    let refused =
        authority.authorize(&asker, request(&key)).and_then(|it| authority.issue(it, None));
    assert!(matches!(refused, Err(Error::Denied { .. })), "{refused:?}");
    let policy = SecretPolicy { lifetime: Duration::from_secs(60), uses: 1 };
    drop(requester(authority, &authority.reset_secret(&label("gw1"), policy).unwrap()));
    // 3. A certificate may have been confirmed.
    assert_eq!(authority.revoke_unconfirmed().unwrap(), 0);
    assert_eq!(
        authority.certificate_status(&issuing, &awaiting.serial).unwrap(),
        CertificateStatus::Good
    );
    // 4. What was issued comes back, from certificates of our own making only.
    let recovery =
        Recovery { store: store.as_ref(), clock: &SystemClock, partition_urls: &[], partitions: 0 };
    let known = recovery.certificate(&kept.certificate, None).unwrap();
    assert_eq!((known.is_new, known.account), (false, Some(label("gw1"))));
    let imported = recovery.certificate(&renewed.certificate, None).unwrap();
    assert_eq!((imported.is_new, imported.account), (true, Some(label("gw1"))));
    assert!(!recovery.certificate(&renewed.certificate, None).unwrap().is_new);
    let mut altered = unknown.certificate.clone();
    let end = altered.len() - 1;
    altered[end] ^= 1;
    let refused = recovery.certificate(&altered, None);
    assert!(
        matches!(&refused, Err(Error::Denied { kind: Denial::SignerNotTrusted, .. })),
        "{refused:?}"
    );
    let nobody = recovery.certificate(&unknown.certificate, Some(&label("gw9")));
    assert!(nobody.unwrap_err().to_string().contains("no account `gw9`"));
    authority
        .authenticate_certificate(&renewed.certificate, &mut |_: &SubjectPublicKey| Ok(()))
        .unwrap();
    // 5. What was revoked as well, out of the lost instance's last CRL; also of a certificate that nobody brings back.
    let mut forged = last.der.to_vec();
    let end = forged.len() - 1;
    forged[end] ^= 1;
    assert!(matches!(recovery.crl(&forged), Err(Error::Denied { .. })));
    let done = recovery.crl(&last.der).unwrap();
    assert_eq!(
        (done.revoked, done.listed, done.known),
        (vec![kept.serial], vec![unknown.serial], 0)
    );
    let again = recovery.crl(&last.der).unwrap();
    assert_eq!((again.revoked.len(), again.listed.len(), again.known), (0, 0, 2));
    assert_eq!(authority.publish_crl(&issuing).unwrap().entries, 2);
    let status = |serial| authority.certificate_status(&issuing, serial).unwrap();
    for (serial, expected) in
        [(&kept.serial, Reason::KeyCompromise), (&unknown.serial, Reason::CertificateHold)]
    {
        let CertificateStatus::Revoked(revocation) = status(serial) else { panic!("{serial}") };
        assert_eq!(revocation.reason, expected);
    }
    // When its certificate is brought back, it is on hold as before, and can be released.
    assert!(recovery.certificate(&unknown.certificate, None).unwrap().is_new);
    assert!(matches!(status(&unknown.serial), CertificateStatus::Revoked(_)));
    authority.release(&issuing, &unknown.serial).unwrap();
    authority.revoke(&issuing, &renewed.serial, Reason::Superseded, None).unwrap();
    assert_eq!(authority.publish_crl(&issuing).unwrap().entries, 2);
}

#[test]
fn a_second_restore_of_one_backup_does_not_repeat_the_numbers_of_the_first() {
    let issuing = label("issuing");
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let gw1 = account(&place.authority, "gw1", 1);
    let (lost, backup) = back_up(place);
    let first = restored(lost, &backup, true);
    // An administrator knew that no secret was used.
    drop(requester(&first.authority, &gw1));
    assert_eq!(
        first.authority.store().account(&label("gw1")).unwrap().unwrap().secret.unwrap().uses_left,
        1
    );
    let last = (0..3).map(|_| first.authority.publish_crl(&issuing).unwrap()).last().unwrap();
    let second = restored(first, &backup, true);
    let next = second.authority.publish_crl(&issuing).unwrap();
    assert!(next.number > last.number && next.this_update > last.this_update, "{last:?} {next:?}");
}
