//! What lies on disk stays what it is: the same verbs give the same octets in the journal and the same keys and values
//! in the index, whatever becomes of the code. If one of these sums changes, data folders of before cannot be read:
//! then the format's number must change with it.

#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod journal_common;

use std::fs;

use countersign_ca::journal::FILE_HEADER;
use countersign_ca::record::approval::{
    Decision, PendingRequest, RecordedRequest, RequestId, Verdict,
};
use countersign_ca::record::{
    Account, AdminAction, CaRecord, CrlRecord, CrlScope, Duty, Issued, Links, Permission, Reason,
    Revocation, RevokedEntry, Succession, Transaction,
};
use countersign_ca::record::{Device, Mapping, Vendor};
use countersign_ca::{Identity, Store};
use data_encoding::HEXLOWER;
use journal_common::*;
use sha2::{Digest, Sha256};

fn ca_record(name: &str, succeeds: Option<Succession>) -> CaRecord {
    let is_root = name.starts_with("root");
    let chain = if is_root { vec![] } else { vec![vec![48, 1]] };
    CaRecord { name: label(name), is_root, certificate: vec![48, 0], chain, succeeds }
}

fn succession(of: &str, links: Option<Links>, waits: bool) -> Option<Succession> {
    Some(Succession { predecessor: label(of), links, waits })
}

fn crl(scope: CrlScope, number: u64) -> CrlRecord {
    CrlRecord {
        ca: ca(),
        scope,
        number,
        this_update: at(number as i64),
        signed: at(number as i64 + 60),
        next_update: at(900_000),
        entries: number,
        tbs_sha256: [number as u8; 32],
        is_base: scope == CrlScope::Full,
        reached: Some(4096),
        brought: None,
    }
}

fn pending(id: &[u8], account: &str) -> PendingRequest {
    PendingRequest {
        transaction: transaction(id, account, None, 900_000),
        incarnation: None,
        request: RecordedRequest {
            key: vec![48, 0],
            subject: Some(vec![48, 1]),
            alt_names: vec![vec![130, 1, 97]],
            extensions: vec![vec![48, 2]],
            not_before: Some(at(0)),
            not_after: None,
            profile: label("gateway"),
            ca: ca(),
            updates: Some(serial(3)),
            published: Some(true),
        },
    }
}

fn founded(store: &dyn Store) {
    let links = Links { new_with_old: vec![48, 3], old_with_new: vec![48, 4] };
    store.record_ca(at(0), &ca_record("root", None)).unwrap();
    store.record_ca(at(0), &ca_record("issuing", None)).unwrap();
    store.record_ca(at(0), &ca_record("root.2", succession("root", Some(links), false))).unwrap();
    store.record_ca(at(0), &ca_record("issuing.2", succession("issuing", None, true))).unwrap();
    store.record_assigned(at(0), &label("issuing.2"), Duty::Issue).unwrap();
    store.record_assigned(at(0), &label("issuing.2"), Duty::Default).unwrap();
    for name in ["maker", "other"] {
        let vendor = Vendor {
            name: label(name),
            mapping: Mapping::SerialNumber,
            roots: vec![vec![48, 1]],
            intermediates: vec![vec![48, 2]],
            profile: Some(label("gateway")),
            crls: vec!["/srv/maker.crl".into()],
            created: at(0),
        };
        store.record_vendor(at(0), &vendor).unwrap();
    }
    store.record_vendor_removed(at(0), &label("other")).unwrap();
    let identities = ["fqdn:gw1.example.net", "ip:192.0.2.1", "ip:2001:db8::1", "dn:CN=gw1"];
    let many = Account {
        identities: identities.map(|text| text.parse::<Identity>().unwrap()).to_vec(),
        equipment: Some(Device {
            vendor: label("maker"),
            value: "SN1".into(),
            uses_left: 2,
            allowed: at(0),
        }),
        permissions: [Permission::KeyGeneration, Permission::CrossCertification].into(),
        ..account("gw1", 200)
    };
    store.record_accounts(at(0), &[many, account("gw2", 9), account("gw3", 9)]).unwrap();
    store.record_account_changed(at(1), &account("gw2", 8)).unwrap();
}

fn issued_and_confirmed(store: &dyn Store) {
    for block in 0..3u128 {
        let serials: Vec<_> = (block * 64 + 1..=block * 64 + 64).map(serial).collect();
        store.reserve_serials(at(2), &ca(), &serials).unwrap();
    }
    for number in 1..=150u128 {
        let id = number.to_be_bytes();
        let awaits = (number % 2 == 0).then_some(number);
        let opened = (number % 3 > 0).then(|| transaction(&id, "gw1", awaits, 60_000_000));
        let record = Issued {
            consumes_secret: number % 5 == 0,
            consumes_equipment: number == 7 || number == 8,
            replaces: (number == 100).then(|| serial(99)),
            partition: (number % 4 == 0).then_some(number as u16),
            withheld: number == 10,
            unpublished: number == 11,
            retires: None,
            ..issued(number, "gw1")
        };
        let record = Issued { transaction: opened, ..record };
        store.record_issued(at(2 + number as i64), &record).unwrap();
    }
    store.record_confirmed(at(200), &4u128.to_be_bytes()).unwrap();
}

fn revoked(store: &dyn Store) {
    let asked = Transaction {
        registrar: Some(label("gw2")),
        client: Some([192, 0, 2, 1].into()),
        ..transaction(b"revoke", "gw1", None, 70_000_000)
    };
    let invalid = Revocation { invalidity: Some(at(-5)), ..revocation(300, Reason::KeyCompromise) };
    store.record_revoked(at(300), &ca(), &serial(1), &invalid, Some(&asked)).unwrap();
    let untaken = revocation(301, Reason::CessationOfOperation);
    store.record_untaken(at(301), &ca(), &serial(10), &untaken).unwrap();
    for number in [12, 13] {
        let hold = revocation(302, Reason::CertificateHold);
        store.record_revoked(at(302), &ca(), &serial(number), &hold, None).unwrap();
    }
    store.record_released(at(303), &ca(), &serial(12)).unwrap();
    let listed = RevokedEntry {
        serial: serial(999),
        not_after: at(9_000_000),
        partition: Some(3),
        revocation: revocation(304, Reason::Superseded),
    };
    store.record_listed(at(304), &ca(), &listed).unwrap();
    for (number, scope) in
        [CrlScope::Full, CrlScope::Delta, CrlScope::Partition(3)].into_iter().enumerate()
    {
        store.record_crl(at(305), &crl(scope, number as u64 + 1)).unwrap();
    }
}

fn requested(store: &dyn Store) {
    for id in [&b"one"[..], b"two", b"three"] {
        store.record_requested(at(400), &pending(id, "gw1")).unwrap();
    }
    store.record_requested(at(400), &pending(b"four", "gw3")).unwrap();
    let joined = transaction(b"five", "gw1", None, 900_000);
    store.record_joined(at(401), &RequestId::of(b"one"), &joined).unwrap();
    for (id, verdict) in [
        (&b"one"[..], Verdict::Approved),
        (b"two", Verdict::Rejected),
        (b"three", Verdict::Withdrawn),
    ] {
        let decision = Decision { verdict, actor: "uid 0".into(), comment: Some("so".into()) };
        store.record_decided(at(402), &RequestId::of(id), &decision).unwrap();
    }
    let opened = transaction(b"one", "gw1", Some(160), 900_000);
    let record = Issued { transaction: Some(opened), ..issued(160, "gw1") };
    store.record_issued(at(403), &record).unwrap();
    store.record_account_removed(at(404), &label("gw3")).unwrap();
    let done = AdminAction { actor: "uid 0".into(), action: "ca roll".into(), detail: "x".into() };
    store.record_admin_action(at(405), &done).unwrap();
    store.record_clock_accepted(at(0), "uid 0").unwrap();
    // Some transactions end, and their values are forgotten one by one.
    for n in 0..4 {
        store.record_admin_action(at(1_000_000 + n), &done).unwrap();
    }
}

#[test]
fn the_octets_of_journal_and_index_stay_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    founded(&store);
    issued_and_confirmed(&store);
    revoked(&store);
    requested(&store);
    let journal = fs::read(folder.path().join("journal/journal")).unwrap();
    // The header names the instance, which is made at random.
    let sum = HEXLOWER.encode(&Sha256::digest(journal.get(FILE_HEADER..).unwrap()));
    let (own, fresh) = store.compare_index().unwrap();
    assert_eq!(own, fresh);
    assert_eq!(sum, "babbfe6b9a029de35051ab154aab1c343086f7fc974a827935c3e82388d72456");
    assert_eq!(own.to_string(), "5a0c7b4ffc60107b04677bc9d8739b79");
}
