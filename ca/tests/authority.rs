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

use countersign_ca::accounts::{AccountDraft, NewAccount, SecretPolicy};
use countersign_ca::authority::{
    Attempt, Authority, Candidate, CrlSettings, LockSettings, Settings, TransactionDraft,
};
use countersign_ca::certificate::to_pem;
use countersign_ca::foundation::Foundation;
use countersign_ca::founding::CaOptions;
use countersign_ca::profile::{DefaultUrls, Profiles};
use countersign_ca::record::{CrlScope, Label, Reason};
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore};
use countersign_ca::{
    CertificateRequest, Denial, Error, FileKey, KeyAlgorithm, KeyFolder, KeyKind, Passphrase,
    ProvenKey, Requester, SubjectPublicKey, SystemClock, SystemEntropy, WantedKey,
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
        locks: LockSettings { after: 3, ..LockSettings::default() },
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
        .authenticate_secret(
            attempt(reference, 1),
            &mut |tried| matches!(tried, Candidate::Secret(tried) if tried == secret.as_bytes()),
        )
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
        assert_eq!((crl.number, crl.entries), (2, 1));
        let (good, text) = openssl_verify(&place, &issued.certificate);
        assert!(!good && text.contains("certificate revoked"), "{text}");
    }
}

/// Somebody at 192.0.2.`host` who says that it has the secret of this reference.
fn attempt(reference: &str, host: u8) -> Attempt<'_> {
    Attempt {
        reference: reference.as_bytes(),
        from: Some([192, 0, 2, host].into()),
        continues: false,
    }
}

#[test]
fn three_wrong_secrets_lock_a_reference_for_who_sent_them_and_for_nobody_else() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let gw1 = account(authority, "gw1", 1);
    let reference = gw1.account.secret.as_ref().unwrap().reference.clone();
    let right = |tried: Candidate<'_>| matches!(tried, Candidate::Secret(tried) if tried == gw1.secret.as_ref().unwrap().as_bytes());
    for _ in 0..3 {
        let wrong = authority.authenticate_secret(attempt(&reference, 1), &mut |_| false);
        assert!(matches!(wrong, Err(Error::Unauthenticated(_))), "{wrong:?}");
    }
    // The secret itself is not tried; another one is, so that it takes as long as with an unknown reference.
    let mut tried = Vec::new();
    let locked = authority.authenticate_secret(attempt(&reference, 1), &mut |secret| {
        tried.push(matches!(secret, Candidate::Decoy(_)));
        true
    });
    let unknown = authority.authenticate_secret(attempt("nobody", 1), &mut |_| false).unwrap_err();
    assert!(
        matches!(&locked, Err(Error::Denied { kind: Denial::Locked, why }) if *why == unknown.to_string()),
        "{locked:?}"
    );
    assert_eq!(tried, [true], "a decoy, once");
    // Its peer, elsewhere, does not notice. Nor does a transaction that was begun with the right secret.
    authority.authenticate_secret(attempt(&reference, 2), &mut |tried| right(tried)).unwrap();
    let goes_on = Attempt { continues: true, ..attempt(&reference, 1) };
    authority.authenticate_secret(goes_on, &mut |tried| right(tried)).unwrap();
    let again = authority
        .reset_secret(&label("gw1"), SecretPolicy { lifetime: Duration::from_secs(60), uses: 2 })
        .unwrap();
    assert_ne!(again.account.secret.as_ref().unwrap().reference, reference);
    drop(requester(authority, &again));
    let old = authority.authenticate_secret(attempt(&reference, 3), &mut |_| false).unwrap_err();
    let unknown = authority.authenticate_secret(attempt("nobody", 3), &mut |_| false).unwrap_err();
    assert_eq!(old, unknown, "an old reference looks like one that never was");
}

#[test]
fn wrong_secrets_within_a_transaction_lock_nobody() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let gw1 = account(authority, "gw1", 1);
    let reference = gw1.account.secret.as_ref().unwrap().reference.clone();
    for _ in 0..9 {
        let within = Attempt { continues: true, ..attempt(&reference, 1) };
        let wrong = authority.authenticate_secret(within, &mut |_| false);
        assert!(matches!(wrong, Err(Error::Unauthenticated(_))), "{wrong:?}");
    }
    let tried = authority.authenticate_secret(attempt(&reference, 1), &mut |tried| {
        matches!(tried, Candidate::Secret(_))
    });
    assert!(tried.is_ok(), "{tried:?}");
}

#[test]
fn a_right_secret_alone_does_not_reset_the_count_of_wrong_ones() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let gw1 = account(authority, "gw1", 5);
    let reference = gw1.account.secret.as_ref().unwrap().reference.clone();
    let wrong = || authority.authenticate_secret(attempt(&reference, 1), &mut |_| false);
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
    assert_eq!(kind(&gw1, plain()).unwrap().kind, KeyKind::P256);
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
    assert_eq!(authority.publish_crl(&label("issuing")).unwrap().number, first.number + 1);
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
