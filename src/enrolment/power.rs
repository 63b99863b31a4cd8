//! A test that lets the power fail after each single step on the disk. The folder then has the old key with the old certificate, or the new
//! key with the new one, and the next run finishes the renewal.

use countersign_ca::x509::Facts;
use countersign_ca::{FileKey, KeyAlgorithm};
use countersign_enroll::client::{Anchors, Credential, Issued};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer};
use zeroize::Zeroizing;

use super::faults::fail_after;
use super::folder::Folder;
use super::material::{certificates, key_from_pem};
use super::peer::{Peer, Trust};
use super::pending::{Purpose, State};
use super::settings::{First, Protocol, Settings};
use super::story::finish;
use crate::exit::Failure;

fn settings(layout: &str, protocol: Protocol) -> Settings {
    let scheme = if protocol == Protocol::Est { "https" } else { "http" };
    Settings {
        version: 1,
        protocol,
        server: format!("{scheme}://192.0.2.1/"),
        name: "gw1".into(),
        layout: layout.into(),
        key_kind: "p256".into(),
        ids: vec!["fqdn:gw1.example.net".into()],
        subject: None,
        profile: None,
        recipient: None,
        days: None,
        implicit_confirm: false,
        renew_before: None,
        patience: "1s".into(),
        timeout: "1s".into(),
        then: Some("true".into()),
        keep: 3,
        first: First::default(),
    }
}

/// A certificate for this key, which needs no confirmation.
fn issued(key: &FileKey) -> Issued {
    let root_key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Root");
    let root = params.self_signed(&root_key).unwrap().der().to_vec();
    let issuer = Issuer::new(params, &root_key);
    let leaf = CertificateParams::new(vec!["gw1.example.net".to_owned()]).unwrap();
    Issued {
        certificate: leaf.signed_by(key, &issuer).unwrap().der().to_vec(),
        path: vec![root.clone()],
        anchors: vec![root],
        changes: Vec::new(),
        confirmation: None,
    }
}

/// Renews with a new key, up to the certificate in force.
fn renew(folder: &Folder, settings: &Settings, peer: &Peer) -> Result<(), Failure> {
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let issued = issued(&key);
    let mut pending = folder.begin(Purpose::Renewal, settings.protocol, key)?;
    if settings.protocol != Protocol::Cmp {
        // Each state of the request has to have it.
        pending.begun.fixed = vec![0x30, 0];
        folder.save_pending(&pending)?;
        folder.save_state(&pending.begun, &State::Undecided)?;
        assert_eq!(folder.pending().unwrap().unwrap().begun, pending.begun);
    }
    pending.state = State::Issued(Box::new(issued));
    folder.save_pending(&pending)?;
    finish(folder, settings, peer, pending, None).map(drop)
}

/// The certificate in force. It must belong to the key beside it, in the generation and in the daemon's files.
#[track_caller]
fn certificate_with_its_key(folder: &Folder, certificate: &str, key: &str) -> Vec<u8> {
    let present = folder.present().unwrap().expect("a certificate");
    assert_eq!(present.facts.key.der(), present.key.public().der());
    let daemons = certificates(&folder.path().join(certificate)).unwrap().remove(0);
    let its_key = key_from_pem(&folder.path().join(key)).unwrap();
    assert_eq!(Facts::of(&daemons).unwrap().key.der(), its_key.public().der());
    assert_eq!(daemons, present.certificate);
    daemons
}

#[test]
fn key_and_certificate_belong_together_whenever_the_power_fails() {
    for protocol in [Protocol::Cmp, Protocol::Est, Protocol::Scep] {
        power_fails_after_each_step(protocol);
    }
}

fn power_fails_after_each_step(protocol: Protocol) {
    let credential =
        Credential::Secret { reference: Some("r".into()), secret: Zeroizing::new("s".into()) };
    let layout = ("strongswan", "x509/gw1.pem", "private/gw1.pem");
    let settings = settings(layout.0, protocol);
    let root_key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let root = issued(&root_key).anchors;
    let trust =
        Trust { anchors: Anchors::Known(root), signer: None, tls: Vec::new(), fingerprint: None };
    let peer = Peer::new(&settings, credential, trust).unwrap();
    let mut old_survived = 0;
    for steps in 0.. {
        let at = tempfile::tempdir().unwrap();
        let folder = Folder::create(at.path()).unwrap();
        renew(&folder, &settings, &peer).unwrap();
        let old = certificate_with_its_key(&folder, layout.1, layout.2);
        fail_after(Some(steps));
        let renewed = renew(&folder, &settings, &peer);
        fail_after(None);
        drop(folder);
        // The next run.
        let folder = Folder::open(at.path()).unwrap();
        let found = certificate_with_its_key(&folder, layout.1, layout.2);
        old_survived += usize::from(found == old);
        match folder.pending().unwrap() {
            Some(pending) if !matches!(pending.state, State::Sent | State::Undecided) => {
                finish(&folder, &settings, &peer, pending, None).unwrap();
                assert_ne!(
                    certificate_with_its_key(&folder, layout.1, layout.2),
                    old,
                    "after {steps} steps"
                );
                assert!(folder.pending().unwrap().is_none());
            }
            Some(_) => assert_eq!(found, old),
            None => {}
        }
        renew(&folder, &settings, &peer).unwrap();
        certificate_with_its_key(&folder, layout.1, layout.2);
        if renewed.is_ok() {
            assert!(steps > 15 && old_survived > 8, "{steps} steps, {old_survived}");
            return;
        }
    }
}
