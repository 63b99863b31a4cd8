//! The embedded store keeps its promises, verb by verb, and after every kind of stop.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod journal_common;

use std::sync::atomic::{AtomicU32, Ordering};

use countersign_ca::record::{
    Account, AdminAction, AnchorEvidence, AnchorShown, CaRecord, CrlRecord, CrlScope, Incarnation,
    Issued, Label, MAX_BROUGHT_CRL, Permission, Reason, Serial, Succession,
};
use countersign_ca::store::{Change, EmbeddedStore, History, Mark, Page};
use countersign_ca::{Denial, Error, Result, Store, Timestamp};
use journal_common::*;

fn denied<T: std::fmt::Debug>(result: Result<T>, kind: Denial) {
    match result {
        Err(Error::Denied { kind: found, .. }) if found == kind => {}
        other => panic!("expected {kind:?}, found {other:?}"),
    }
}

#[test]
fn a_certificate_lives_through_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let root = CaRecord {
        name: label("root"),
        is_root: true,
        certificate: vec![1; 600],
        chain: vec![vec![2; 500], vec![3; 400]],
        succeeds: None,
    };
    store.record_ca(at(0), &root).unwrap();
    store.record_accounts(at(1), &[account("gw1", 1), account("gw2", 2)]).unwrap();
    store.reserve_serials(at(2), &ca(), &[serial(1), serial(2), serial(3)]).unwrap();
    let first = Issued {
        consumes_secret: true,
        transaction: Some(transaction(b"t1", "gw1", Some(1), 60_000)),
        ..issued(1, "gw1")
    };
    store.record_issued(at(3), &first).unwrap();
    let record = store.certificate(&ca(), &serial(1)).unwrap().unwrap();
    assert!(!record.confirmed);
    assert_eq!((record.issued, &record.certificate), (at(3), &first.certificate));
    assert_eq!(store.account(&label("gw1")).unwrap().unwrap().secret.unwrap().uses_left, 0);
    assert_eq!(store.transaction(at(4), b"t1").unwrap(), first.transaction);
    drop(store);

    let store = open(folder.path());
    store.record_confirmed(at(5), b"t1").unwrap();
    assert!(store.certificate(&ca(), &serial(1)).unwrap().unwrap().confirmed);
    let over = store.transaction(at(6), b"t1").unwrap().unwrap();
    assert_eq!((over.awaits, over.context), (None, b"nonces".to_vec()));
    assert_eq!(store.transaction(at(60_000), b"t1").unwrap(), None);
    let second = Issued { replaces: Some(serial(1)), ..issued(2, "gw1") };
    store.record_issued(at(7), &second).unwrap();
    store
        .record_revoked(at(8), &ca(), &serial(2), &revocation(8, Reason::KeyCompromise), None)
        .unwrap();
    let crl = CrlRecord {
        ca: ca(),
        number: 1,
        this_update: at(9),
        signed: at(9),
        next_update: at(10),
        entries: 1,
        tbs_sha256: [3; 32],
        scope: CrlScope::Full,
        is_base: false,
        reached: None,
        brought: None,
    };
    store.record_crl(at(9), &crl).unwrap();
    let done = AdminAction { actor: "root".into(), action: "a b".into(), detail: String::new() };
    store.record_admin_action(at(10), &done).unwrap();
    drop(store);

    let store = open(folder.path());
    assert_eq!(store.cas().unwrap(), [root]);
    assert_eq!(store.last_crl(&ca(), CrlScope::Full).unwrap(), Some(crl));
    assert_eq!(store.last_entry(), at(10));
    let revoked: Vec<_> = store.revoked(&ca()).unwrap().iter().collect();
    assert_eq!(revoked.len(), 1);
    assert_eq!(
        (revoked[0].serial, revoked[0].not_after),
        (serial(2), second.not_after.whole_seconds())
    );
    assert_eq!(store.revocation(&ca(), &serial(2)).unwrap().unwrap().reason, Reason::KeyCompromise);
    assert_eq!(store.revocation(&ca(), &serial(1)).unwrap(), None);
    assert_eq!(store.expiring(at(0), at(i64::MAX / 2), 10).unwrap(), []);
    assert_eq!(store.status().certificates, 2);
    let (kept, fresh) = store.compare_index().unwrap();
    assert_eq!(kept, fresh);
}

#[test]
fn the_next_key_of_a_ca_replaces_what_the_one_before_signed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let record = |name: &str, of: Option<&str>| CaRecord {
        name: label(name),
        is_root: false,
        certificate: name.as_bytes().to_vec(),
        chain: vec![vec![2; 500]],
        succeeds: of.map(|of| Succession { predecessor: label(of), links: None, waits: false }),
    };
    store.record_ca(at(0), &record("issuing", None)).unwrap();
    store.record_accounts(at(1), &[account("gw1", 1)]).unwrap();
    store.reserve_serials(at(2), &ca(), &[serial(1)]).unwrap();
    store.record_issued(at(3), &issued(1, "gw1")).unwrap();
    for (name, of) in [("issuing.2", "issuing"), ("issuing.3", "issuing.2"), ("other", "gone")] {
        store.record_ca(at(4), &record(name, Some(of))).unwrap();
    }
    let expiring = |store: &EmbeddedStore| -> Vec<(Label, Serial)> {
        let records = store.expiring(at(0), at(i64::MAX / 2), 10).unwrap();
        records.into_iter().map(|record| (record.ca, record.serial)).collect()
    };
    // Another CA's certificate of that serial number is none of its business.
    for (name, left) in [("other", true), ("issuing.3", false)] {
        store.reserve_serials(at(5), &label(name), &[serial(2)]).unwrap();
        let next = Issued { ca: label(name), replaces: Some(serial(1)), ..issued(2, "gw1") };
        store.record_issued(at(6), &next).unwrap();
        assert_eq!(expiring(&store).contains(&(ca(), serial(1))), left, "{name}");
    }
    let (kept, fresh) = store.compare_index().unwrap();
    assert_eq!(kept, fresh);
    drop(store);
    let store = open(folder.path());
    assert_eq!(expiring(&store).len(), 2);
    assert_eq!(store.cas().unwrap()[1], record("issuing.2", Some("issuing")));
}

#[test]
fn every_refusal_names_its_kind_and_records_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 2);
    store.record_accounts(at(10), &[account("gw2", 1)]).unwrap();
    store.reserve_serials(at(10), &ca(), &[serial(3), serial(4), serial(5)]).unwrap();
    let hold = revocation(11, Reason::CertificateHold);
    store.record_revoked(at(11), &ca(), &serial(1), &hold, None).unwrap();
    let open_one =
        Issued { transaction: Some(transaction(b"t", "gw1", Some(3), 100)), ..issued(3, "gw1") };
    store.record_issued(at(12), &open_one).unwrap();
    let entries = store.status().entries;

    let conflict = Denial::Conflict;
    denied(store.reserve_serials(at(13), &ca(), &[serial(9), serial(1)]), conflict);
    denied(store.reserve_serials(at(13), &ca(), &[serial(9), serial(9)]), conflict);
    denied(store.reserve_serials(at(13), &ca(), &[serial(4)]), conflict);
    denied(store.record_issued(at(13), &issued(1, "gw1")), conflict);
    denied(store.record_issued(at(13), &issued(9, "gw1")), conflict);
    denied(store.record_issued(at(13), &issued(4, "nobody")), Denial::NotAuthorized);
    let reuse = transaction(b"t", "gw1", None, 200);
    let again = Issued { transaction: Some(reuse.clone()), ..issued(4, "gw1") };
    denied(store.record_issued(at(13), &again), Denial::TransactionInUse);
    // What a key update replaces was revoked since its message was looked at.
    let update = Issued { replaces: Some(serial(1)), ..issued(4, "gw1") };
    denied(store.record_issued(at(13), &update), Denial::SignerNotTrusted);
    let late = Issued { consumes_secret: true, ..issued(4, "gw1") };
    denied(store.record_confirmed(at(13), b"unknown"), Denial::NoSuchCertificate);
    let lost = revocation(13, Reason::KeyCompromise);
    let revoke = |n| store.record_revoked(at(13), &ca(), &serial(n), &lost, Some(&reuse));
    denied(revoke(9), Denial::NoSuchCertificate);
    denied(revoke(4), Denial::NoSuchCertificate);
    denied(revoke(1), Denial::TransactionInUse);
    denied(store.record_revoked(at(13), &ca(), &serial(1), &hold, None), Denial::AlreadyRevoked);
    denied(store.record_released(at(13), &ca(), &serial(2)), conflict);
    denied(store.record_released(at(13), &ca(), &serial(9)), Denial::NoSuchCertificate);
    denied(store.record_accounts(at(13), &[account("gw3", 1), account("gw1", 1)]), conflict);
    denied(store.record_accounts(at(13), &[account("gw3", 1), account("gw3", 1)]), conflict);
    let mut thief = account("gw3", 1);
    thief.secret = account("gw1", 1).secret;
    denied(store.record_accounts(at(13), &[thief.clone()]), conflict);
    thief.name = label("gw2");
    denied(store.record_account_changed(at(13), &thief), conflict);
    denied(store.record_account_changed(at(13), &account("gw3", 1)), conflict);
    denied(store.record_account_removed(at(13), &label("gw3")), conflict);
    assert!(matches!(store.reserve_serials(at(13), &ca(), &[]), Err(Error::Malformed(_))));
    assert_eq!(store.status().entries, entries);

    store.record_released(at(14), &ca(), &serial(1)).unwrap();
    store.record_revoked(at(14), &ca(), &serial(1), &hold, None).unwrap();
    store.record_revoked(at(15), &ca(), &serial(1), &lost, None).unwrap();
    denied(store.record_released(at(16), &ca(), &serial(1)), conflict);
    denied(store.record_issued(at(16), &update), Denial::AlreadyRevoked);
    // Revoked before it was confirmed: the transaction is over, the certificate stays unconfirmed.
    store.record_revoked(at(16), &ca(), &serial(3), &lost, None).unwrap();
    denied(store.record_confirmed(at(17), b"t"), Denial::AlreadyConfirmed);
    assert!(!store.certificate(&ca(), &serial(3)).unwrap().unwrap().confirmed);
    // An identifier that was forgotten can be used again, and its old certificate does not touch the new one.
    store.record_issued(at(100), &again).unwrap();
    assert_eq!(store.transaction(at(101), b"t").unwrap(), Some(reuse));
    let mut expired = account("gw1", 5);
    expired.secret.as_mut().unwrap().expires = at(102);
    store.record_account_changed(at(101), &expired).unwrap();
    let late = Issued { serial: serial(5), ..late };
    denied(store.record_issued(at(102), &late), Denial::NotAuthorized);
    store.record_account_removed(at(103), &label("gw1")).unwrap();
    assert_eq!(store.account_by_reference("ref-gw1").unwrap(), None);
    let (kept, fresh) = store.compare_index().unwrap();
    assert_eq!(kept, fresh);
}

#[test]
fn crl_numbers_only_rise() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let crl = |ca: &str, number| CrlRecord {
        ca: label(ca),
        number,
        this_update: at(0),
        signed: at(0),
        next_update: at(1),
        entries: 0,
        tbs_sha256: [0; 32],
        scope: CrlScope::Full,
        is_base: false,
        reached: None,
        brought: None,
    };
    store.record_crl(at(0), &crl("a", 5)).unwrap();
    denied(store.record_crl(at(0), &crl("a", 5)), Denial::Conflict);
    denied(store.record_crl(at(0), &crl("a", 4)), Denial::Conflict);
    store.record_crl(at(0), &crl("b", 1)).unwrap();
    store.record_crl(at(0), &crl("a", 7)).unwrap();
}

#[test]
fn accounts_change_and_keep_their_references() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let many: Vec<_> = (0..3000).map(|n| account(&format!("gw{n:05}"), 1)).collect();
    store.record_accounts(at(0), &many).unwrap();
    let stored = store.accounts().unwrap();
    // All came by one entry, which tells them from later accounts of their names.
    let incarnation = stored[0].incarnation;
    assert_ne!(incarnation, Incarnation::NONE);
    let many: Vec<_> = many.into_iter().map(|one| Account { incarnation, ..one }).collect();
    assert_eq!(stored, many);
    let mut changed = store.account_by_reference("ref-gw00007").unwrap().unwrap();
    changed.secret.as_mut().unwrap().reference = "new".into();
    store.record_account_changed(at(2), &changed).unwrap();
    assert_eq!(store.account_by_reference("ref-gw00007").unwrap(), None);
    assert_eq!(store.account_by_reference("new").unwrap(), Some(changed));
    // What a secret went through stays, whatever a change that was thought out before says.
    let before = store.account(&label("gw00008")).unwrap().unwrap();
    store.reserve_serials(at(3), &ca(), &[serial(1)]).unwrap();
    store.record_issued(at(3), &Issued { consumes_secret: true, ..issued(1, "gw00008") }).unwrap();
    let permitted = Account { permissions: [Permission::KeyGeneration].into(), ..before };
    store.record_account_changed(at(4), &permitted).unwrap();
    let now = store.account(&label("gw00008")).unwrap().unwrap();
    assert_eq!(now.permissions, permitted.permissions);
    assert_eq!(now.secret.unwrap().uses_left, 0);
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.accounts().unwrap().len(), 3000);
}

#[test]
fn certificates_come_in_pages_and_by_expiry() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 200);
    store.record_accounts(at(300), &[account("gw2", 1)]).unwrap();
    store.reserve_serials(at(300), &ca(), &[serial(201), serial(202)]).unwrap();
    store.record_issued(at(300), &issued(201, "gw2")).unwrap();
    store
        .record_issued(at(300), &Issued { replaces: Some(serial(5)), ..issued(202, "gw1") })
        .unwrap();
    for name in [None, Some(label("gw1")), Some(label("gw2")), Some(label("gw3"))] {
        let (mut all, mut cursor) = (Vec::new(), Some(0));
        while let Some(at) = cursor {
            let Page { records: page, next } = store.certificates(name.as_ref(), at, 7).unwrap();
            assert!(page.len() <= 7);
            all.extend(page.into_iter().map(|c| c.serial.parts().1));
            cursor = next;
        }
        let expected: Vec<u128> = match name.as_ref().map(|n| n.as_str()) {
            None => (1..=202).collect(),
            Some("gw1") => (1..=200).chain([202]).collect(),
            Some("gw2") => vec![201],
            _ => vec![],
        };
        assert_eq!(all, expected);
    }
    let hold = revocation(301, Reason::CertificateHold);
    store.record_revoked(at(301), &ca(), &serial(6), &hold, None).unwrap();
    store
        .record_revoked(at(301), &ca(), &serial(7), &revocation(301, Reason::Superseded), None)
        .unwrap();
    let expiring = |limit| {
        let records = store.expiring(issued(3, "x").not_after, issued(9, "x").not_after, limit);
        let numbers = records.unwrap().into_iter().map(|c| c.serial.parts().1);
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(expiring(10), [3, 4, 8]);
    assert_eq!(expiring(2), [3, 4]);
    store.record_released(at(302), &ca(), &serial(6)).unwrap();
    assert_eq!(expiring(10), [3, 4, 6, 8]);
}

#[test]
fn a_clock_that_goes_back_stops_records_but_a_slew_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.record_accounts(at(10_000), &[account("gw1", 1)]).unwrap();
    store.record_accounts(at(8_000), &[account("gw2", 1)]).unwrap();
    assert_eq!(store.last_entry(), at(10_000));
    // The time that a request waits for its turn is not taken for a clock that went back: far before it, then.
    let refused = store.record_accounts(at(100), &[account("gw3", 1)]);
    let Err(Error::Unavailable(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("went backwards") && why.contains(&at(100).to_string()), "{why}");
    store.record_accounts(at(10_001), &[account("gw3", 1)]).unwrap();
}

#[test]
fn a_use_of_a_secret_is_used_once_however_many_ask() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.record_accounts(at(0), &[account("gw1", 3)]).unwrap();
    let serials: Vec<_> = (1..=64).map(serial).collect();
    store.reserve_serials(at(0), &ca(), &serials).unwrap();
    let granted = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8u128 {
            let (store, granted) = (&store, &granted);
            scope.spawn(move || {
                for n in 1..=8 {
                    let one = Issued { consumes_secret: true, ..issued(thread * 8 + n, "gw1") };
                    match store.record_issued(at(1), &one) {
                        Ok(()) => granted.fetch_add(1, Ordering::Relaxed),
                        other => {
                            denied(other, Denial::NotAuthorized);
                            0
                        }
                    };
                }
            });
        }
    });
    assert_eq!(granted.into_inner(), 3);
    assert_eq!(store.status().certificates, 3);
}

#[test]
fn eight_threads_share_groups_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let durable = countersign_ca::store::EmbeddedOptions { sync: true, ..options() };
    let store =
        countersign_ca::store::EmbeddedStore::open(folder.path(), durable, &mut |_| {}).unwrap();
    store.record_accounts(at(0), &[account("gw1", 1)]).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8u128 {
            let store = &store;
            scope.spawn(move || {
                let own: Vec<_> = (0..50).map(|n| serial(1000 * (thread + 1) + n)).collect();
                store.reserve_serials(at(1), &ca(), &own).unwrap();
                for n in 0..50 {
                    let number = 1000 * (thread + 1) + n;
                    store.record_issued(at(1), &issued(number, "gw1")).unwrap();
                    assert!(store.certificate(&ca(), &serial(number)).unwrap().is_some());
                }
            });
        }
    });
    let status = store.status();
    assert_eq!(status.certificates, 400);
    assert_eq!(status.counts.entries, 409);
    assert!(status.counts.groups < 300, "{:?}", status.counts);
    let (kept, fresh) = store.compare_index().unwrap();
    assert_eq!(kept, fresh);
}

#[test]
fn only_one_process_opens_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    assert!(
        matches!(try_open(folder.path()), Err(Error::Unavailable(why)) if why.contains("open"))
    );
    drop(store);
    open(folder.path());
}

#[test]
fn what_changed_is_told_in_order_and_once_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let begin = store.mark();
    let never = std::sync::atomic::AtomicBool::new(false);
    assert!(!store.wait_beyond(begin, std::time::Duration::ZERO, &never));
    fill(&store, 3);
    assert!(store.wait_beyond(begin, std::time::Duration::ZERO, &never));
    let hold = revocation(20, Reason::CertificateHold);
    store.record_revoked(at(20), &ca(), &serial(2), &hold, None).unwrap();
    store.record_released(at(21), &ca(), &serial(2)).unwrap();
    let crl = CrlRecord {
        ca: ca(),
        number: 1,
        this_update: at(22),
        signed: at(22),
        next_update: at(23),
        entries: 0,
        tbs_sha256: [3; 32],
        scope: CrlScope::Delta,
        is_base: false,
        reached: None,
        brought: None,
    };
    store.record_crl(at(22), &crl).unwrap();
    drop(store);
    let store = open(folder.path());
    let History { changes, next: end } = store.changes_since(begin).unwrap();
    let told: Vec<String> = changes
        .iter()
        .map(|change| match change {
            Change::Issued(issued) => format!("issued {}", issued.serial),
            Change::Confirmed { transaction } => format!("confirmed {}", transaction.len()),
            Change::Status { serial, .. } => format!("status {serial}"),
            Change::Renamed { from } => format!("renamed {from}"),
            Change::Crl { scope, .. } => format!("crl {scope}"),
            Change::Ca(name) => format!("ca {name}"),
        })
        .collect();
    let expected: Vec<String> = (1..=3)
        .map(|n| format!("issued {}", serial(n)))
        .chain(std::iter::repeat_n(format!("status {}", serial(2)), 2))
        .chain(["crl delta".to_owned()])
        .collect();
    assert_eq!(told, expected);
    assert_eq!(end, store.mark());
    assert_eq!(store.changes_since(end).unwrap(), History { changes: Vec::new(), next: end });
    // Somebody waits in another thread, and is woken by the next entry.
    std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| store.wait_beyond(end, std::time::Duration::from_secs(60), &never));
        store.record_released(at(24), &ca(), &serial(2)).unwrap_err();
        store.record_revoked(at(24), &ca(), &serial(2), &hold, None).unwrap();
        assert!(waiting.join().unwrap());
    });
    // Or by somebody who wants an end.
    let (end, stop) = (store.mark(), std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| store.wait_beyond(end, std::time::Duration::from_secs(600), &stop));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        store.wake();
        assert!(!waiting.join().unwrap());
    });
}

#[test]
fn released_certificates_and_partitions_are_kept_by_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 2);
    let third = Issued { partition: Some(700), ..issued(3, "gw1") };
    store.reserve_serials(at(10), &ca(), &[serial(3)]).unwrap();
    assert_eq!(store.last_partition(&ca()).unwrap(), None);
    store.record_issued(at(10), &third).unwrap();
    let hold = |at| revocation(at, Reason::CertificateHold);
    for n in [1, 3] {
        store.record_revoked(at(20), &ca(), &serial(n), &hold(20), None).unwrap();
    }
    let listed = store.revoked(&ca()).unwrap();
    let partitions: Vec<_> = listed.iter().map(|entry| entry.partition).collect();
    assert_eq!(partitions, [None, Some(700)]);
    let before = store.mark();
    store.record_released(at(4_000), &ca(), &serial(1)).unwrap();
    store.record_released(at(4_000), &ca(), &serial(3)).unwrap();
    let between = store.mark();
    store.record_revoked(at(5_000), &ca(), &serial(3), &hold(5_000), None).unwrap();
    // What was held again is no longer released; the snapshot from before still says what it said.
    assert_eq!((listed.len(), store.revoked(&ca()).unwrap().len()), (2, 1));
    drop(store);
    let store = open(folder.path());
    let changed = |since: Mark| -> Vec<_> {
        let changed = store.changed(&ca(), since.offset()).unwrap();
        changed.iter().map(|entry| (entry.serial, entry.revocation.reason)).collect()
    };
    let released = (serial(1), Reason::RemoveFromCrl);
    let held = (serial(3), Reason::CertificateHold);
    assert_eq!(changed(before), [released, held]);
    assert_eq!(changed(between), [held]);
    assert_eq!(changed(store.mark()), []);
    assert_eq!(store.last_partition(&ca()).unwrap(), Some(700));
    assert_eq!(store.revoked(&ca()).unwrap().entry(&serial(3)).unwrap().partition, Some(700));
    let (kept, fresh) = store.compare_index().unwrap();
    assert_eq!(kept, fresh);
}

#[test]
fn a_use_comes_back_only_to_the_secret_that_was_used_and_only_for_what_was_not_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.record_accounts(at(1), &[account("gw1", 4)]).unwrap();
    store.reserve_serials(at(1), &ca(), &(1..=5).map(serial).collect::<Vec<_>>()).unwrap();
    let left = |store: &EmbeddedStore| {
        let secret = store.account(&label("gw1")).unwrap().unwrap().secret.unwrap();
        (secret.uses_left, secret.given_back)
    };
    let issue = |number: u128, consumes_secret| {
        let id = number.to_be_bytes();
        let record = Issued {
            consumes_secret,
            transaction: Some(transaction(&id, "gw1", Some(number), 900_000)),
            ..issued(number, "gw1")
        };
        store.record_issued(at(2), &record).unwrap();
    };
    let untaken = |number| {
        let revocation = revocation(3, Reason::CessationOfOperation);
        store.record_untaken(at(3), &ca(), &serial(number), &revocation)
    };
    (1..=4).for_each(|number| issue(number, true));
    issue(5, false);
    assert_eq!(left(&store), (0, 0));
    untaken(1).unwrap();
    assert_eq!(left(&store), (1, 1));
    denied(untaken(1), Denial::AlreadyRevoked);
    // One that used no secret; one that was confirmed; one that an administrator revoked.
    untaken(5).unwrap();
    store.record_confirmed(at(3), &2_u128.to_be_bytes()).unwrap();
    untaken(2).unwrap();
    store
        .record_revoked(at(3), &ca(), &serial(3), &revocation(3, Reason::KeyCompromise), None)
        .unwrap();
    assert_eq!(left(&store), (1, 1));
    // Another secret has its own uses.
    let mut reset = account("gw1", 7);
    reset.secret.as_mut().unwrap().reference = "another".into();
    store.record_account_changed(at(4), &reset).unwrap();
    untaken(4).unwrap();
    assert_eq!(left(&store), (7, 0));
    let (own, fresh) = store.compare_index().unwrap();
    assert_eq!(own, fresh);
}

#[test]
fn what_a_peer_has_shown_is_recorded_once_and_ends_with_its_account() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let ca = |name: &str, of: Option<&str>| CaRecord {
        name: label(name),
        is_root: false,
        certificate: vec![48, 0],
        chain: vec![],
        succeeds: of.map(|of| Succession { predecessor: label(of), links: None, waits: true }),
    };
    store.record_ca(at(0), &ca("a", None)).unwrap();
    store.record_ca(at(0), &ca("a.2", Some("a"))).unwrap();
    // Two entries, and so two incarnations.
    store.record_accounts(at(1), &[account("gw1", 5)]).unwrap();
    store.record_accounts(at(1), &[account("gw2", 5)]).unwrap();
    let shown = |name: &str, ca: &str, evidence, incarnation| AnchorShown {
        account: label(name),
        incarnation,
        ca: label(ca),
        evidence,
        actor: None,
    };
    let record = |moment, shown| store.begin_anchor_shown(at(moment), shown).unwrap().wait();
    let own = store.incarnation(&label("gw1")).unwrap();
    record(2, shown("gw1", "a.2", AnchorEvidence::General, own)).unwrap();
    record(3, shown("gw1", "a.2", AnchorEvidence::Export, None)).unwrap();
    // The same again, a first key, no CA, no account, and another account of the name.
    denied(record(4, shown("gw1", "a.2", AnchorEvidence::General, own)), Denial::Conflict);
    denied(record(4, shown("gw1", "a", AnchorEvidence::General, own)), Denial::Conflict);
    denied(record(4, shown("gw1", "b.2", AnchorEvidence::General, own)), Denial::Conflict);
    denied(record(4, shown("gw3", "a.2", AnchorEvidence::General, None)), Denial::NotAuthorized);
    denied(record(4, shown("gw2", "a.2", AnchorEvidence::General, own)), Denial::NotAuthorized);
    let known = |store: &EmbeddedStore| -> Vec<(Timestamp, AnchorEvidence)> {
        let known = store.anchors_shown(&label("gw1")).unwrap();
        known.into_iter().map(|known| (known.at, known.evidence)).collect()
    };
    let both = [(at(2), AnchorEvidence::General), (at(3), AnchorEvidence::Export)];
    assert_eq!(known(&store), both);
    // A changed account is the same one.
    store.record_account_changed(at(5), &account("gw1", 4)).unwrap();
    drop(store);
    let store = open(folder.path());
    assert_eq!(known(&store), both);
    let (kept, fresh) = store.compare_index().unwrap();
    assert_eq!(kept, fresh);
    store.record_account_removed(at(6), &label("gw1")).unwrap();
    store.record_accounts(at(7), &[account("gw1", 5)]).unwrap();
    assert_eq!(known(&store), []);
    let (kept, fresh) = store.compare_index().unwrap();
    assert_eq!(kept, fresh);
}

#[test]
fn a_crl_that_was_brought_is_kept_whole_and_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let crl = |number, length| CrlRecord {
        ca: label("root"),
        number,
        this_update: at(0),
        signed: at(0),
        next_update: at(1),
        entries: 0,
        tbs_sha256: [number as u8; 32],
        scope: CrlScope::Full,
        is_base: false,
        reached: None,
        brought: Some(vec![48; length]),
    };
    store.record_crl(at(0), &crl(1, MAX_BROUGHT_CRL)).unwrap();
    let refused = store.record_crl(at(0), &crl(2, MAX_BROUGHT_CRL + 1));
    assert!(matches!(refused, Err(Error::Malformed(_))), "{refused:?}");
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.last_crl(&label("root"), CrlScope::Full).unwrap().unwrap(), crl(1, 1 << 20));
    let (kept, fresh) = store.compare_index().unwrap();
    assert_eq!(kept, fresh);
}
