//! The authority over the embedded store: found, authorize, issue, revoke and publish. `openssl verify` checks the
//! results.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod authority_common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use authority_common::{
    ByHand, Place, account, attempt, draft, found, foundation, label, open, options, request,
    requester, roll,
};
use countersign_ca::authority::accounts::refuse_outside;
use countersign_ca::authority::accounts::{AccountDraft, Accounts, NewAccount, SecretPolicy};
use countersign_ca::authority::{Attempt, Authority, Candidate};
use countersign_ca::founding;
use countersign_ca::founding::Foundation;
use countersign_ca::profile::{DefaultUrls, Profiles};
use countersign_ca::record::search::SearchKey;
use countersign_ca::record::{
    Account, AdminAction, CaRecord, CertificateRecord, CrlScope, Duty, Issued, Label, Reason,
    Serial,
};
use countersign_ca::x509::{Facts, to_pem};
use countersign_ca::{
    CertificateRequest, Clock, Credential, Denial, Error, FileKey, KeyAlgorithm, KeyFolder,
    KeyKind, Passphrase, Requester, RollOptions, SubjectPublicKey, SystemClock, SystemEntropy,
    WantedKey,
};

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

        // The only use of the secret is consumed, and the transaction's identifier cannot be used again.
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

        // The certificate authenticates its holder until it is revoked.
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
    // The secret itself is not tried. A decoy is, so that the answer takes as long as for an unknown reference.
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
    // The peer itself, at another address, is not affected. Neither is a transaction that was begun with the right
    // secret.
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
fn who_has_an_ipv6_network_guesses_no_more_often_than_who_has_one_address() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let gw1 = account(authority, "gw1", 1);
    let reference = gw1.account.secret.as_ref().unwrap().reference.clone();
    let by = |address: &str| {
        let from = Some(address.parse().unwrap());
        let attempt = Attempt { from, ..attempt(&reference, 1) };
        authority.authenticate_secret(attempt, &mut |_| false).unwrap_err()
    };
    for address in ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::1"] {
        assert!(matches!(by(address), Error::Unauthenticated(_)), "{address}");
    }
    let locked = |error| matches!(error, Error::Denied { kind: Denial::Locked, .. });
    assert!(locked(by("2001:db8::3")));
    assert!(!locked(by("2001:db8:0:1::1")));
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
    // Two wrong secrets, a certificate, and two wrong ones again do not lock the reference.
    assert!(wrong().is_err() && wrong().is_err());
    let asker = requester(authority, &gw1);
    authority.issue(authority.authorize(&asker, request(&key)).unwrap(), None).unwrap();
    assert!(wrong().is_err() && wrong().is_err());
    // A replayed message authenticates, but does not reset the count.
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
    let facts = countersign_ca::x509::Facts::of(&renewed.certificate).unwrap();
    assert_eq!(facts.alt_names.len(), 1);
}

#[test]
fn a_key_update_keeps_the_subject_and_adds_no_names_where_there_were_none() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let dn = |text: &str| countersign_ca::name::distinguished_name(text).unwrap();
    let (one, two) = ("CN=gw1,O=Example", "CN=gw2,O=Example");
    let held = ["fqdn:gw1.example.net".to_owned(), format!("dn:{one}"), format!("dn:{two}")];
    let draft = AccountDraft {
        remarks: Default::default(),
        line: None,
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
    let facts = |certificate: &[u8]| countersign_ca::x509::Facts::of(certificate).unwrap();
    let update = |of: &countersign_ca::authority::IssuedCertificate, subject: Option<&str>| {
        let subject = subject.map(dn);
        CertificateRequest { updates: Some(of.serial), subject, ..request(&key) }
    };

    // The key update keeps the second DN, although a request without a subject would get the first one.
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
        // A request for a new certificate may have that DN.
        let new = CertificateRequest { subject: Some(dn(other)), ..request(&key) };
        authority.authorize(&signer, new).unwrap();
    }

    // After the account's names have changed, the update gets the names that a first request would get.
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

    // A certificate that has only a DN gets no alternative names in an update, although the account holds some by now.
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
            remarks: Default::default(),
            line: None,
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
            published: None,
        }
    };
    let kind = |asker, request| authority.key_to_generate(asker, WantedKey::Any, &request);
    assert_eq!(kind(&gw1, plain()).unwrap().kind, KeyKind::P256);
    let refused = |asker, request, word: &str| {
        let why = kind(asker, request).unwrap_err().to_string();
        assert!(why.contains(word), "expected `{word}` in: {why}");
    };
    refused(&gw2, plain(), "cannot wait");
    let subject = countersign_ca::name::distinguished_name("CN=gw2.example.net").unwrap();
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
    // If no serial numbers were recorded when the CA was opened, the first ones are waited for.
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
    use countersign_ca::record::search::sha1;
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
            let found = store.find(&key, 10, &|_| true).unwrap();
            // Every certificate has this address.
            let all = matches!(&key, SearchKey::Uri(uri) if uri == "192.0.2.1");
            let expected: Vec<_> = match all {
                true => issued.iter().rev().map(|issued| issued.serial).collect(),
                false => vec![issued[n].serial],
            };
            assert_eq!(found.iter().map(|r| r.serial).collect::<Vec<_>>(), expected, "{key:?}");
        }
    }
    assert_eq!(store.find(&SearchKey::Uri("192.0.2.1".into()), 2, &|_| true).unwrap().len(), 2);
    assert_eq!(store.find(&SearchKey::Name("nobody".into()), 2, &|_| true).unwrap(), []);
    // OpenSSL computes the same keys: the hash of issuer and serial number, the key identifier, the names.
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
                let found = store.find(&key, 1, &|_| true).unwrap();
                assert_eq!(found[0].serial, issued[0].serial);
            }
            _ => {}
        }
    }
}

#[test]
fn what_is_not_wanted_does_not_count_towards_the_limit_of_a_search_and_the_search_ends() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let (authority, store) = (&place.authority, place.authority.store());
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let account = account(authority, "gw1", 40);
    let issue = || {
        let authorized = authority.authorize(&requester(authority, &account), request(&key));
        authority.issue(authorized.unwrap(), None).unwrap()
    };
    let issued: Vec<_> = (0..34).map(|_| issue()).collect();
    let is_key = |key: &SearchKey| matches!(key, SearchKey::KeyIdentifier(_));
    let key = SearchKey::of(&issued[0].certificate).into_iter().find(is_key).unwrap();
    let serials = |limit, wanted: &dyn Fn(&CertificateRecord) -> bool| -> Vec<_> {
        store.find(&key, limit, wanted).unwrap().iter().map(|record| record.serial).collect()
    };
    let only = |serial| move |record: &CertificateRecord| record.serial == serial;
    assert_eq!(serials(1, &|_| true), [issued[33].serial]);
    // For each certificate that may be found, 32 are examined.
    assert_eq!(serials(1, &only(issued[2].serial)), [issued[2].serial]);
    assert_eq!(serials(1, &only(issued[1].serial)), []);
    assert_eq!(serials(2, &only(issued[1].serial)), [issued[1].serial]);
    assert_eq!(serials(0, &|_| true), []);
}

#[test]
fn each_key_of_a_ca_has_a_subject_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let ground = founded(folder.path());
    let subject = |ca: &CaRecord| Facts::of(&ca.certificate).unwrap().subject.to_string();
    // The subject of an existing CA is refused in any spelling.
    let again = options("CN=ISSUING,O=example,C=DE", Some(0));
    let refused = |result: Result<CaRecord, Error>| {
        let why = result.unwrap_err().to_string();
        assert!(why.contains("one CRL for each name"), "{why}");
    };
    refused(ground.create_issuing(&label("second"), &again, KeyAlgorithm::P256));
    refused(ground.create_issuing(
        &label("second"),
        &options("CN=Root,O=Example,C=DE", None),
        KeyAlgorithm::P256,
    ));
    let next = ground.roll(&label("issuing"), &roll(false)).unwrap();
    assert_eq!(subject(&next), "CN=Issuing G2,O=Example,C=DE");
    let root = ground.roll(&label("root"), &roll(false)).unwrap();
    assert_eq!(subject(&root), "CN=Root G2,O=Example,C=DE");
    // The links name both roots.
    let links = root.succeeds.clone().unwrap().links.unwrap();
    for (link, of, by) in [
        (&links.new_with_old, "CN=Root G2", "CN=Root,"),
        (&links.old_with_new, "CN=Root,", "CN=Root G2"),
    ] {
        let facts = Facts::of(link).unwrap();
        assert!(facts.subject.to_string().starts_with(of), "{}", facts.subject);
        assert!(facts.issuer.to_string().starts_with(by), "{}", facts.issuer);
    }
    // A next issuing key below the root's next key, with a subject of its own.
    let named = countersign_ca::name::distinguished_name("CN=Gateways").unwrap();
    let options = RollOptions { subject: Some(named), ..roll(false) };
    assert_eq!(subject(&ground.roll(&label("issuing.2"), &options).unwrap()), "CN=Gateways");
    let taken = countersign_ca::name::distinguished_name("CN=gateways").unwrap();
    let options = RollOptions { subject: Some(taken), ..roll(false) };
    refused(ground.roll(&label("issuing.3"), &options));
    // If an interrupted attempt left a key of another kind, it is refused.
    let label = label("third");
    let third = self::options("CN=Third", Some(0));
    ground.request_issuing(&label, &third, KeyAlgorithm::P384).unwrap();
    let why = ground.create_issuing(&label, &third, KeyAlgorithm::P256).unwrap_err().to_string();
    assert!(why.contains("another kind (P-384)"), "{why}");
    ground.create_issuing(&label, &third, KeyAlgorithm::P384).unwrap();
}

#[test]
fn the_next_key_waits_until_it_is_told_to_issue_and_the_first_ca_stays_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let ground = founded(folder.path());
    let others = options("CN=Branches", Some(0));
    ground.create_issuing(&label("branches"), &others, KeyAlgorithm::P256).unwrap();
    ground.roll(&label("issuing"), &roll(true)).unwrap();
    let why = ground.roll(&label("issuing"), &roll(true)).unwrap_err().to_string();
    assert!(why.contains("`issuing.2` already"), "{why}");
    let authority = open(ground, folder.path());
    let issued = |authority: &Authority, name: &str| {
        let account = account(authority, name, 1);
        let requester = requester(authority, &account);
        let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
        let authorized = authority.authorize(&requester, request(&key)).unwrap();
        authority.issue(authorized, None).unwrap().ca.to_string()
    };
    assert_eq!(authority.default_ca(), Some(label("issuing")));
    assert_eq!(issued(&authority, "a"), "issuing");
    // A waiting key does not issue even if a request names it.
    let draft = AccountDraft {
        ca: Some(label("issuing.2")),
        ..account_draft("named", &["fqdn:named.example.net"])
    };
    let named = authority.add_accounts(&[draft]).unwrap().remove(0);
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let authorized = authority.authorize(&requester(&authority, &named), request(&key)).unwrap();
    assert_eq!(authority.issue(authorized, None).unwrap().ca, label("issuing"));
    assert!(!authority.is_succeeded(&label("issuing")));
    let denied = |result: Result<(), Error>, words: &str| {
        let why = result.unwrap_err().to_string();
        assert!(why.contains(words), "{why}");
    };
    denied(authority.assign(&label("issuing"), Duty::Issue), "does not wait");
    denied(authority.assign(&label("issuing.2"), Duty::Default), "ca activate issuing.2");
    denied(authority.assign(&label("root"), Duty::Default), "no issuing CA `root`");
    denied(authority.assign(&label("nosuch"), Duty::Default), "no issuing CA `nosuch`");
    authority.assign(&label("issuing.2"), Duty::Issue).unwrap();
    assert_eq!(issued(&authority, "b"), "issuing.2");
    denied(authority.assign(&label("issuing.2"), Duty::Issue), "does not wait");
    authority.assign(&label("branches"), Duty::Default).unwrap();
    assert_eq!(issued(&authority, "c"), "branches");
    // All of this is in the journal, and is read back without the index.
    drop(authority);
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    let authority = open(foundation(folder.path()), folder.path());
    assert_eq!(authority.default_ca(), Some(label("branches")));
    assert!(authority.is_succeeded(&label("issuing")));
    assert_eq!(issued(&authority, "d"), "branches");
}

#[test]
fn nothing_is_issued_that_no_verifier_accepts_below_the_path() {
    let template = |result: Result<(), Error>, words: &str| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Denied { kind: Denial::Template, .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    };
    // 1. Constraints of the CA itself.
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let ask = |authority: &Authority, ids: &[&str]| {
        let name = format!("gw{}", authority.store().accounts().unwrap().len());
        let draft = account_draft(&name, ids);
        let account = authority.add_accounts(&[draft]).unwrap().remove(0);
        let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
        let authorized = authority.authorize(&requester(authority, &account), request(&key))?;
        authority.issue(authorized, None).map(drop)
    };
    ask(authority, &["fqdn:gw1.example.net", "ip:192.0.2.9"]).unwrap();
    template(ask(authority, &["fqdn:gw1.other.example"]), "gw1.other.example");
    template(ask(authority, &["fqdn:gw2.example.net", "ip:198.51.100.1"]), "198.51.100.1");
    // 2. An administrator is told when the account is added.
    let cas = authority.store().cas().unwrap();
    let default = Some(label("issuing"));
    let told = |ids: &[&str]| {
        let drafts = [account_draft("a", &["fqdn:a.example.net"]), account_draft("b", ids)];
        refuse_outside(&cas, default.as_ref(), &authority.profiles(), &drafts, authority.now())
    };
    told(&["fqdn:b.sub.example.net", "email:b@anywhere.example"]).unwrap();
    template(told(&["fqdn:b.example.org"]), "account `b`");

    // 3. Constraints of a root elsewhere, some of them on directory names. The subjects issued here are siblings of the
    // CA's own.
    let (key, certificate) = root_elsewhere(&["dns:example.net"], None);
    let folder = tempfile::tempdir().unwrap();
    let ground = foundation(folder.path());
    ground.create_own_keys().unwrap();
    let install = |name: &str, length: Option<u8>, root: (&FileKey, &[u8])| {
        let mut plain = options(&format!("CN={name},O=Example"), length);
        plain.permitted.clear();
        ground.request_issuing(&label(name), &plain, KeyAlgorithm::P256).unwrap();
        let own = ground.keys.load(name, &ground.passphrase).unwrap();
        let serial = Serial::new([7; 16]).unwrap();
        let below =
            founding::issuing(&plain, own.public(), root.1, root.0, serial, SystemClock.now());
        ground.install_issuing(&label(name), &[below.unwrap(), root.1.to_vec()])
    };
    install("first", Some(0), (&key, &certificate)).unwrap();
    // 4. A root that allows no CA below it is refused when it is installed, before anybody asks for a certificate.
    let (key, certificate) = root_elsewhere(&[], Some(0));
    template(install("second", None, (&key, &certificate)).map(drop), "pathLenConstraint");
    assert_eq!(ground.store.cas().unwrap().len(), 2);
    let authority = open(ground, folder.path());
    ask(&authority, &["fqdn:gw1.example.net"]).unwrap();
    template(ask(&authority, &["fqdn:gw1.other.example"]), "gw1.other.example");
}

fn account_draft(name: &str, ids: &[&str]) -> AccountDraft {
    AccountDraft {
        remarks: Default::default(),
        name: label(name),
        identities: ids.iter().map(|id| id.parse().unwrap()).collect(),
        profile: label("gateway"),
        ca: None,
        equipment: None,
        secret: Some(SecretPolicy { lifetime: Duration::from_secs(3600), uses: 9 }),
        permissions: Default::default(),
        line: None,
    }
}

/// A root and its key that belong to no instance.
fn root_elsewhere(permitted: &[&str], path_length: Option<u8>) -> (FileKey, Vec<u8>) {
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let mut options = options(&format!("CN=Far {}", permitted.len()), path_length);
    options.permitted = permitted.iter().map(|name| name.parse().unwrap()).collect();
    (options.crl_urls, options.ocsp_urls) = (Vec::new(), Vec::new());
    options.ca_issuers_urls = Vec::new();
    let root = founding::root(&options, &key, Serial::new([9; 16]).unwrap(), SystemClock.now());
    (key, root.unwrap())
}

/// An instance with a root and an issuing CA, not opened.
fn founded(folder: &Path) -> Foundation {
    let ground = foundation(folder);
    ground.create_own_keys().unwrap();
    let mut plain = options("CN=Root,O=Example,C=DE", None);
    plain.permitted = Vec::new();
    ground.create_root(&plain, KeyAlgorithm::P256).unwrap();
    let issuing = options("CN=Issuing,O=Example,C=DE", Some(0));
    ground.create_issuing(&label("issuing"), &issuing, KeyAlgorithm::P256).unwrap();
    ground
}

#[test]
fn crls_are_told_apart_by_their_times_which_no_slow_clock_refuses() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let store = authority.store();
    let issuing = label("issuing");
    let (mut last, began) = (authority.publish_crl(&issuing).unwrap(), authority.now());
    // A peer whose clock is behind accepts it.
    assert!(last.this_update <= began.minus(Duration::from_secs(58)), "{last:?}");
    assert!(last.next_update > began.plus(Duration::from_secs(7 * 86_400 - 60)));
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let gw1 = account(authority, "gw1", 1);
    let asker = requester(authority, &gw1);
    let issued =
        authority.issue(authority.authorize(&asker, request(&key)).unwrap(), None).unwrap();
    authority.revoke(&issuing, &issued.serial, Reason::KeyCompromise, None).unwrap();
    // More CRLs than there are seconds before now, so the last ones wait for their thisUpdate.
    for _ in 0..62 {
        let next = authority.publish_crl(&issuing).unwrap();
        let second = last.this_update.plus(Duration::from_secs(1));
        assert!(next.this_update >= second && next.number > last.number, "{last:?} {next:?}");
        assert!(next.this_update <= authority.now() && next.entries == 1, "{next:?}");
        last = next;
    }
    // The next one is due by the time of signing, not by thisUpdate.
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
            remarks: Default::default(),
            name: label(&format!("gw{n}")),
            identities: vec![format!("fqdn:gw{n}.example.net").parse().unwrap()],
            profile: label("gateway"),
            ca: None,
            equipment: None,
            secret: Some(SecretPolicy { lifetime: Duration::from_secs(3600), uses: 1 }),
            permissions: Default::default(),
            line: None,
        })
        .collect();
    let done =
        AdminAction { actor: "uid 0".into(), action: "meanwhile".into(), detail: String::new() };
    let mut told = 0;
    // While the secrets are sealed, another entry is recorded.
    accounts
        .add(&place.authority.profiles(), &drafts, &mut |_, _| {
            told += 1;
            store.record_admin_action(clock.advance(30), &done).unwrap();
        })
        .unwrap();
    assert_eq!((told, store.accounts().unwrap().len()), (1, 64));
    assert_eq!(store.last_entry(), clock.now());
}

#[test]
fn a_certificate_speaks_for_the_account_that_it_was_issued_to_and_for_no_later_one_of_its_name() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let denied = |found: countersign_ca::Result<()>, kind: Denial| match found {
        Err(Error::Denied { kind: found, why }) if found == kind => why,
        other => panic!("expected {kind:?}, found {other:?}"),
    };
    let by = |certificate: &[u8]| authority.authenticate_certificate(certificate, &mut |_| Ok(()));
    let before = account(authority, "gw1", 5);
    let secret = requester(authority, &before);
    let first = authority.authorize(&secret, request(&key)).unwrap();
    let first = authority.issue(first, draft(b"first", true)).unwrap();
    authority.confirm(b"first").unwrap();
    // A requester and its grants, from before the account is removed.
    let holder = by(&first.certificate).unwrap();
    let granted = authority.authorize(&secret, request(&key)).unwrap();
    let updated = CertificateRequest { updates: Some(first.serial), ..request(&key) };
    let updated = authority.authorize(&holder, updated).unwrap();

    authority.remove_account(&label("gw1")).unwrap();
    let gone = denied(by(&first.certificate).map(drop), Denial::SignerNotTrusted);
    assert!(gone.contains("`gw1`") && gone.contains("gone"), "{gone}");
    let after = AccountDraft {
        remarks: Default::default(),
        line: None,
        name: label("gw1"),
        identities: vec!["fqdn:other.example.net".parse().unwrap()],
        profile: label("gateway"),
        ca: None,
        equipment: None,
        secret: Some(SecretPolicy { lifetime: Duration::from_secs(3600), uses: 2 }),
        permissions: Default::default(),
    };
    let after = authority.add_accounts(&[after]).unwrap().remove(0);

    // The old certificate does not get the names of the new account, and neither does anything that was begun with it.
    denied(by(&first.certificate).map(drop), Denial::SignerNotTrusted);
    denied(authority.issue(granted, None).map(drop), Denial::NotAuthorized);
    denied(authority.issue(updated, None).map(drop), Denial::NotAuthorized);
    // A copy of the old account is not written over the new one.
    let read = holder.account();
    denied(authority.store().record_account_changed(authority.now(), read), Denial::NotAuthorized);

    let secret = requester(authority, &after);
    let second = authority.authorize(&secret, request(&key)).unwrap();
    let second = authority.issue(second, None).unwrap();
    // Neither account can revoke the other's certificate.
    let revoke = |by: &Requester, issued: &countersign_ca::authority::IssuedCertificate| {
        authority.revoke_for(by, &issued.ca, &issued.serial, Reason::KeyCompromise, None, None)
    };
    denied(revoke(&holder, &second), Denial::NoSuchCertificate);
    let present = by(&second.certificate).unwrap();
    denied(revoke(&present, &first), Denial::NoSuchCertificate);
    denied(revoke(&secret, &first), Denial::NoSuchCertificate);
    assert_eq!(present.account().identities[0].to_string(), "fqdn:other.example.net");
    revoke(&present, &second).unwrap();
}

#[test]
fn a_certificate_that_is_not_taken_does_not_use_up_the_secret() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let gw1 = account(authority, "gw1", 1);
    let left = || {
        let account = authority.store().account(&label("gw1")).unwrap().unwrap();
        account.secret.unwrap().uses_left
    };
    let issue = |id: &[u8]| {
        let authorized = authority.authorize(&requester(authority, &gw1), request(&key))?;
        authority.issue(authorized, draft(id, true))
    };
    let given_back = countersign_ca::record::MAX_GIVEN_BACK;
    for n in 0..given_back {
        issue(&n.to_be_bytes()).unwrap();
        assert_eq!(left(), 0);
        authority.reject(&n.to_be_bytes()).unwrap();
        assert_eq!(left(), 1, "{n}");
    }
    // There is a limit, so that a peer cannot have certificates made without end.
    issue(b"last").unwrap();
    authority.reject(b"last").unwrap();
    assert_eq!(left(), 0);
    assert!(matches!(issue(b"more"), Err(Error::Denied { kind: Denial::NotAuthorized, .. })));
}

#[test]
fn everything_that_is_wrong_with_accounts_is_told_at_once() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    account(authority, "gw1", 1);
    let draft = |line, name: &str, id: &str, profile: &str| AccountDraft {
        remarks: Default::default(),
        line: Some(line),
        name: label(name),
        identities: vec![id.parse().unwrap()],
        profile: label(profile),
        ca: None,
        equipment: None,
        secret: None,
        permissions: Default::default(),
    };
    let long = format!("dn:CN={},O=Example", "a".repeat(70));
    let mut elsewhere = draft(5, "gw5", "fqdn:gw5.example.net", "gateway");
    elsewhere.ca = Some(label("branch"));
    let drafts = [
        draft(2, "gw2", "fqdn:gw2.example.net", "gatewy"),
        draft(3, "gw3", &long, "gateway"),
        draft(4, "gw1", "fqdn:gw1.example.net", "gateway"),
        elsewhere,
        draft(6, "gw6", "fqdn:gw6.example.net", "gateway"),
        draft(7, "gw6", "fqdn:gw6.example.net", "gateway"),
    ];
    let Err(Error::Malformed(why)) = authority.add_accounts(&drafts) else { panic!("added") };
    for expected in [
        "line 2, account `gw2`, column `profile`: there is no profile `gatewy`",
        "line 3, account `gw3`, column `ids`: no certificate can hold",
        "line 4, account `gw1` exists already",
        "line 5, account `gw5`, column `ca`: there is no issuing CA `branch`",
        "line 7, account `gw6` is there twice; see line 6",
    ] {
        assert!(why.lines().any(|line| line.starts_with(expected)), "{expected}\n{why}");
    }
    assert_eq!(why.lines().count(), 5, "{why}");
    assert_eq!(authority.store().accounts().unwrap().len(), 1);
}

#[test]
fn each_revoked_key_of_the_ocsp_responder_is_kept() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let (authority, issuing) = (&place.authority, label("issuing"));
    let keys = place.folder.path().join("keys");
    let mut retired = Vec::new();
    for _ in 0..2 {
        let responder = authority.responder(&issuing).unwrap();
        let serial = Facts::of(responder.certificate()).unwrap().serial;
        let serial = Serial::from_integer(&serial).unwrap();
        retired.push(std::fs::read(keys.join("issuing.ocsp.key")).unwrap());
        authority.revoke(&issuing, &serial, Reason::KeyCompromise, None).unwrap();
        assert!(authority.replace_revoked_responder(&issuing).unwrap());
        let next = authority.responder(&issuing).unwrap();
        assert_ne!(next.certificate(), responder.certificate());
    }
    let files = std::fs::read_dir(&keys).unwrap().map(|entry| entry.unwrap().path());
    let kept = files.filter(|file| file.extension().is_some_and(|end| end == "revoked"));
    let kept: Vec<Vec<u8>> = kept.map(|file| std::fs::read(file).unwrap()).collect();
    assert_eq!(kept.len(), 2);
    assert!(retired.iter().all(|key| kept.contains(key)));
}

#[test]
fn a_signer_that_is_remembered_is_verified_each_time_and_loses_its_rights_at_once() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let gw1 = account(authority, "gw1", 2);
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let authorized = authority.authorize(&requester(authority, &gw1), request(&key)).unwrap();
    let issued = authority.issue(authorized, draft(b"one", true)).unwrap();
    let (ca, serial) = (&issued.ca, &issued.serial);
    let mut verified = 0;
    let mut by = |signature: countersign_ca::Result<()>| {
        authority.authenticate_certificate(&issued.certificate, &mut |verifier| {
            assert_eq!(verifier, key.public());
            verified += 1;
            signature.clone()
        })
    };
    let denied = |found: countersign_ca::Result<Requester>, expected: Denial| match found {
        Err(Error::Denied { kind, .. }) => assert_eq!(kind, expected),
        other => panic!("expected {expected:?}, found {other:?}"),
    };
    let awaits = |found: &Requester| match found.credential() {
        Credential::Certificate(record) => record.awaits_confirmation,
        other => panic!("{other:?}"),
    };
    // It is confirmed after its first message.
    assert!(awaits(&by(Ok(())).unwrap()));
    authority.confirm(b"one").unwrap();
    for _ in 0..2 {
        assert!(!awaits(&by(Ok(())).unwrap()));
    }
    // A wrong signature is wrong as before.
    let wrong = Err(Error::Unauthenticated("wrong".into()));
    assert!(matches!(by(wrong), Err(Error::Unauthenticated(_))));
    authority.revoke(ca, serial, Reason::CertificateHold, None).unwrap();
    denied(by(Ok(())), Denial::SignerNotTrusted);
    authority.release(ca, serial).unwrap();
    by(Ok(())).unwrap();
    authority.revoke(ca, serial, Reason::KeyCompromise, None).unwrap();
    denied(by(Ok(())), Denial::AlreadyRevoked);
    assert_eq!(verified, 7);
}

#[test]
fn a_signer_that_is_remembered_stays_its_account_s_under_every_name_and_nobody_else_s() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let gw1 = account(authority, "gw1", 2);
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let authorized = authority.authorize(&requester(authority, &gw1), request(&key)).unwrap();
    let issued = authority.issue(authorized, None).unwrap();
    let by = || authority.authenticate_certificate(&issued.certificate, &mut |_| Ok(()));
    let names = || {
        let found = by().unwrap();
        match found.credential() {
            Credential::Certificate(record) => {
                (found.account().name.clone(), record.account.clone())
            }
            other => panic!("{other:?}"),
        }
    };
    let rename = |from: &str, to: &str| {
        authority
            .store()
            .record_account_renamed(authority.now(), &label(from), &label(to))
            .unwrap();
    };
    assert_eq!(names(), (label("gw1"), label("gw1")));
    for (from, name) in [("gw1", "gw2"), ("gw2", "gw3"), ("gw3", "gw1"), ("gw1", "gw4")] {
        rename(from, name);
        for _ in 0..2 {
            assert_eq!(names(), (label(name), label(name)));
        }
    }
    // A new account of its first name is another one, and the certificate is not that one's.
    let later = account(authority, "gw1", 1);
    assert_eq!(names(), (label("gw4"), label("gw4")));
    let updates = CertificateRequest { updates: Some(issued.serial), ..request(&key) };
    authority.issue(authority.authorize(&by().unwrap(), updates).unwrap(), None).unwrap();
    // Once its account is gone, the certificate authenticates nobody, whatever has its names by then.
    authority.remove_account(&label("gw4")).unwrap();
    let refused = || match by() {
        Err(Error::Denied { kind: Denial::SignerNotTrusted, why }) => {
            assert!(why.contains("gone"), "{why}")
        }
        other => panic!("{other:?}"),
    };
    refused();
    rename(later.account.name.as_str(), "gw4");
    refused();
    authority.revoke(&issued.ca, &issued.serial, Reason::KeyCompromise, None).unwrap();
    assert!(matches!(by(), Err(Error::Denied { kind: Denial::AlreadyRevoked, .. })));
}

#[test]
fn a_renewal_by_a_certificate_of_another_ca_replaces_nothing_that_has_its_serial_number() {
    let folder = tempfile::tempdir().unwrap();
    let ground = founded(folder.path());
    let (old, new) = (label("issuing"), label("second"));
    ground.create_issuing(&new, &options("CN=Second", Some(0)), KeyAlgorithm::P256).unwrap();
    let authority = open(ground, folder.path());
    let store = authority.store();
    let (gw1, gw2) = (account(&authority, "gw1", 2), account(&authority, "gw2", 2));
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let issue = |account: &NewAccount| {
        let authorized = authority.authorize(&requester(&authority, account), request(&key));
        authority.issue(authorized.unwrap(), None).unwrap()
    };
    let first = issue(&gw1);
    assert_eq!(first.ca, old);
    // The second CA numbered its certificates as the first one did: the same serial number is somebody else's there.
    store.reserve_serials(authority.now(), &new, &[first.serial]).unwrap();
    let others = Issued {
        ca: new.clone(),
        serial: first.serial,
        account: gw2.account.name.clone(),
        incarnation: None,
        profile: label("gateway"),
        not_after: authority.now().plus(Duration::from_secs(86_400)),
        certificate: issue(&gw2).certificate,
        consumes_secret: false,
        consumes_equipment: false,
        transaction: None,
        replaces: None,
        partition: None,
        withheld: false,
        unpublished: false,
        retires: None,
    };
    store.record_issued(authority.now(), &others).unwrap();
    let renew = |signer: &[u8], serial| {
        let signer = authority.authenticate_certificate(signer, &mut |_| Ok(())).unwrap();
        let update = CertificateRequest { updates: Some(serial), ..request(&key) };
        authority.issue(authority.authorize(&signer, update).unwrap(), None)
    };
    let is_awaited = |ca: &Label| {
        let far = authority.now().plus(Duration::from_secs(4000 * 86_400));
        let found = store.expiring(authority.now(), far, 100).unwrap();
        found.iter().any(|record| (&record.ca, record.serial) == (ca, first.serial))
    };
    // The account moves to the second CA, and renews with the first one's certificate.
    let moved = store.account(&gw1.account.name).unwrap().unwrap();
    let moved = Account { ca: Some(new.clone()), ..moved };
    store.record_account_changed(authority.now(), &moved).unwrap();
    let renewed = renew(&first.certificate, first.serial).unwrap();
    assert_eq!(renewed.ca, new);
    assert!(is_awaited(&new), "the renewal of another one's certificate is awaited as before");
    // Neither does it matter that the other one is revoked.
    authority.revoke(&new, &first.serial, Reason::KeyCompromise, None).unwrap();
    renew(&first.certificate, first.serial).unwrap();
    // Within a CA, the old certificate is replaced, and need not be renewed.
    store.record_account_changed(authority.now(), &Account { ca: None, ..moved }).unwrap();
    assert!(is_awaited(&old));
    renew(&first.certificate, first.serial).unwrap();
    assert!(!is_awaited(&old));
}

#[test]
fn a_secret_that_is_kept_is_tried_each_time_and_ends_with_its_account() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let authority = &place.authority;
    let gw1 = account(authority, "gw1", 2);
    let (reference, secret) = {
        let of = gw1.account.secret.as_ref().unwrap();
        (of.reference.clone(), gw1.secret.clone().unwrap())
    };
    // The first message opens the box, the second need not.
    for _ in 0..2 {
        drop(requester(authority, &gw1));
        let wrong = authority.authenticate_secret(attempt(&reference, 1), &mut |tried| {
            assert!(matches!(tried, Candidate::Secret(tried) if tried == secret.as_bytes()));
            false
        });
        assert!(matches!(wrong, Err(Error::Unauthenticated(_))), "{wrong:?}");
    }
    authority.forget_opened_secrets();
    drop(requester(authority, &gw1));
    authority.remove_account(&label("gw1")).unwrap();
    let gone = authority.authenticate_secret(attempt(&reference, 1), &mut |tried| {
        assert!(matches!(tried, Candidate::Decoy(_)));
        true
    });
    assert!(matches!(gone, Err(Error::Unauthenticated(_))), "{gone:?}");
}
