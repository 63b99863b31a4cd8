//! Accounts that get another name, and certificates that are to be revoked after their renewal: in the store, and after a rebuild of the index.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod journal_common;

use std::path::Path;
use std::time::Duration;

use countersign_ca::record::approval::{PendingRequest, RecordedRequest};
use countersign_ca::record::inventory::{AccountQuery, CertificateQuery};
use countersign_ca::record::{Account, Issued, Reason, Remarks};
use countersign_ca::store::{Change, EmbeddedStore};
use countersign_ca::{Denial, Error, Store, Timestamp};
use journal_common::*;

fn denied<T: std::fmt::Debug>(result: countersign_ca::Result<T>, kind: Denial) {
    match result {
        Err(Error::Denied { kind: found, .. }) if found == kind => {}
        other => panic!("expected {kind:?}, found {other:?}"),
    }
}

fn rebuilt(folder: &Path) -> EmbeddedStore {
    EmbeddedStore::rebuild(folder, options(), &mut |_| {}).unwrap()
}

/// The serial numbers of an account's certificates, as two look-ups find them.
fn own(store: &dyn Store, name: &str) -> Vec<u128> {
    let name = label(name);
    let query = CertificateQuery { account: Some(name.clone()), ..Default::default() };
    let listed = store.list(&query, None, 100).unwrap().records;
    let paged = store.certificates(Some(&name), 0, 100).unwrap().records;
    assert_eq!(listed, paged);
    listed.iter().map(|record| record.serial.parts().1).collect()
}

fn holder(store: &dyn Store, number: u128) -> Option<String> {
    let record = store.certificate(&ca(), &serial(number)).unwrap().unwrap();
    store.holder(&record).unwrap().map(|account| account.name.to_string())
}

fn issue(store: &dyn Store, millis: i64, number: u128, account: &str) {
    store.record_issued(at(millis), &issued(number, account)).unwrap();
}

fn pending(id: &[u8], account: &str) -> PendingRequest {
    PendingRequest {
        transaction: transaction(id, account, None, 1_000_000),
        incarnation: None,
        request: RecordedRequest {
            key: vec![1; 91],
            subject: None,
            alt_names: Vec::new(),
            extensions: Vec::new(),
            not_before: None,
            not_after: None,
            profile: label("gateway"),
            ca: ca(),
            updates: None,
            published: None,
        },
    }
}

#[test]
fn what_names_an_account_by_an_earlier_name_is_its_own_and_nobody_else_s() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let serials: Vec<_> = (1..=9).map(serial).collect();
    store.reserve_serials(at(0), &ca(), &serials).unwrap();
    // Both of one import, so that only their names tell them apart.
    let labelled = Account {
        remarks: Remarks {
            labels: [("site".to_owned(), "berlin".to_owned())].into(),
            ..Remarks::default()
        },
        ..account("a", 5)
    };
    store.record_accounts(at(1), &[labelled, account("b", 5)]).unwrap();
    issue(&store, 2, 1, "a");
    issue(&store, 3, 2, "b");
    store.record_requested(at(4), &pending(b"t1", "a")).unwrap();
    let before = store.account(&label("a")).unwrap().unwrap();
    // An account of the next name was there, and is gone.
    store.record_accounts(at(5), &[account("c", 1)]).unwrap();
    issue(&store, 6, 3, "c");
    store.record_account_removed(at(7), &label("c")).unwrap();
    let mark = store.mark();

    denied(store.record_account_renamed(at(8), &label("x"), &label("y")), Denial::Conflict);
    denied(store.record_account_renamed(at(8), &label("a"), &label("b")), Denial::Conflict);
    denied(store.record_account_renamed(at(8), &label("a"), &label("a")), Denial::Conflict);
    denied(store.record_account_renamed(at(8), &label("a"), &label("_a")), Denial::Conflict);
    store.record_account_renamed(at(8), &label("a"), &label("c")).unwrap();
    let history = store.changes_since(mark).unwrap();
    assert_eq!(history.changes, [Change::Renamed { from: label("a") }]);
    // The names of the two swap, by a third one; and the first one gets certificates under each.
    issue(&store, 9, 4, "c");
    store.record_account_renamed(at(10), &label("b"), &label("a")).unwrap();
    store.record_account_renamed(at(11), &label("c"), &label("b")).unwrap();
    issue(&store, 12, 5, "b");
    issue(&store, 13, 6, "a");

    let look = |store: &EmbeddedStore| {
        // The one that was `a` and is `b` has 1, 4 and 5, and not that of the `c` that is gone.
        assert_eq!((own(store, "b"), own(store, "a")), (vec![1, 4, 5], vec![2, 6]));
        assert_eq!(own(store, "c"), [3]);
        let holders = (1..=6).map(|number| holder(store, number).unwrap_or_default());
        assert_eq!(holders.collect::<Vec<_>>(), ["b", "a", "", "b", "b", "a"]);
        let account = store.account(&label("b")).unwrap().unwrap();
        let moved =
            Account { name: label("b"), incarnation: account.incarnation, ..before.clone() };
        assert_eq!(account, moved);
        assert_eq!(account.incarnation.offset(), before.incarnation.offset());
        assert_eq!(store.former_names(&label("b")).unwrap(), [label("a"), label("c")]);
        let by_reference = store.account_by_reference("ref-a").unwrap().unwrap();
        let holders = store.holders(&before.identities[0]).unwrap();
        assert_eq!((by_reference.name, &holders[..]), (label("b"), std::slice::from_ref(&account)));
        let labelled =
            AccountQuery { label: Some("site=berlin".parse().unwrap()), ..Default::default() };
        assert_eq!(
            store.list_accounts(&labelled, None, 9).unwrap().accounts,
            std::slice::from_ref(&account)
        );
        let query =
            CertificateQuery { label: Some("site=berlin".parse().unwrap()), ..Default::default() };
        assert_eq!(store.list(&query, None, 9).unwrap().records.len(), 3);
        let newest = store.enrolled(&store.accounts().unwrap(), at(20)).unwrap();
        let newest = newest.iter().map(|of| of.newest.as_ref().map(|record| record.serial));
        assert_eq!(newest.collect::<Vec<_>>(), [Some(serial(6)), Some(serial(5))]);
        // What it asked for waits under its present name, and its transaction goes on.
        let waiting = store.waiting_of(at(20), &label("b")).unwrap();
        assert_eq!(waiting.len(), 1);
        assert_eq!(waiting[0].pending.transaction.account, label("b"));
        assert!(store.waiting_of(at(20), &label("a")).unwrap().is_empty());
        assert_eq!(store.transaction(at(20), b"t1").unwrap().unwrap().account, label("b"));
    };
    look(&store);
    drop(store);
    let store = rebuilt(folder.path());
    look(&store);
    // A removal ends all of it: a later account of a former name owns nothing.
    store.record_account_removed(at(21), &label("b")).unwrap();
    store.record_accounts(at(22), &[account("c", 1)]).unwrap();
    assert_eq!((holder(&store, 1), holder(&store, 4), holder(&store, 5)), (None, None, None));
    assert!(store.all_waiting(at(23)).unwrap().is_empty());
    assert!(store.former_names(&label("b")).unwrap().is_empty());
    assert_eq!((own(&store, "a"), own(&store, "b")), (vec![2, 6], vec![1, 4, 5]));
    // And a later one of its last name neither, whatever it is called later.
    let later = Account { secret: None, ..account("b", 1) };
    store.record_accounts(at(24), &[later]).unwrap();
    store.record_account_renamed(at(25), &label("b"), &label("d")).unwrap();
    assert_eq!((holder(&store, 1), holder(&store, 4), holder(&store, 5)), (None, None, None));
    assert_eq!(store.former_names(&label("d")).unwrap(), [label("b")]);
    assert!(own(&store, "d").is_empty());
}

#[test]
fn certificates_of_a_removed_account_are_found_by_its_last_name_whatever_becomes_of_that_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let serials: Vec<_> = (1..=9).map(serial).collect();
    store.reserve_serials(at(0), &ca(), &serials).unwrap();
    // One was `a`, and is removed as `b`.
    store.record_accounts(at(1), &[account("a", 5), account("c", 5)]).unwrap();
    issue(&store, 2, 1, "a");
    issue(&store, 3, 2, "c");
    store.record_account_renamed(at(4), &label("a"), &label("b")).unwrap();
    issue(&store, 5, 3, "b");
    store.record_account_removed(at(6), &label("b")).unwrap();
    assert_eq!(own(&store, "b"), [1, 3]);
    // Another one gets its last name, is called otherwise, and gets it again.
    let names = |store: &dyn Store, name: &str| store.former_names(&label(name)).unwrap();
    store.record_account_renamed(at(7), &label("c"), &label("b")).unwrap();
    issue(&store, 8, 4, "b");
    assert_eq!((own(&store, "b"), names(&store, "b")), (vec![1, 2, 3, 4], vec![label("c")]));
    store.record_account_renamed(at(9), &label("b"), &label("d")).unwrap();
    assert_eq!((own(&store, "b"), own(&store, "d")), (vec![1, 3], vec![2, 4]));
    assert_eq!((names(&store, "b"), names(&store, "d")), (vec![], vec![label("c"), label("b")]));
    store.record_account_renamed(at(10), &label("d"), &label("b")).unwrap();
    // And one that was `a` after it is removed as `b`, too: both are found.
    store.record_account_removed(at(11), &label("b")).unwrap();
    let next = Account { secret: None, ..account("a", 1) };
    store.record_accounts(at(12), &[next]).unwrap();
    issue(&store, 13, 5, "a");
    store.record_account_renamed(at(14), &label("a"), &label("b")).unwrap();
    let look = |store: &EmbeddedStore| {
        assert_eq!(
            (own(store, "a"), own(store, "b"), own(store, "d")),
            (vec![], vec![1, 2, 3, 4, 5], vec![])
        );
        let holders = (1..=5).map(|number| holder(store, number).unwrap_or_default());
        assert_eq!(holders.collect::<Vec<_>>(), ["", "", "", "", "b"]);
        assert_eq!(names(store, "b"), [label("a")]);
        let newest = store.enrolled(&store.accounts().unwrap(), at(20)).unwrap();
        assert_eq!(newest[0].newest.as_ref().map(|record| record.serial), Some(serial(5)));
    };
    look(&store);
    drop(store);
    let store = rebuilt(folder.path());
    look(&store);
    store.record_account_renamed(at(15), &label("b"), &label("e")).unwrap();
    assert_eq!((own(&store, "b"), own(&store, "e")), (vec![1, 2, 3, 4], vec![5]));
}

#[test]
fn an_account_is_renamed_so_often_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.record_accounts(at(0), &[account("n0", 1)]).unwrap();
    for number in 0..64 {
        let (from, to) = (label(&format!("n{number}")), label(&format!("n{}", number + 1)));
        store.record_account_renamed(at(number), &from, &to).unwrap();
    }
    denied(store.record_account_renamed(at(70), &label("n64"), &label("n65")), Denial::Conflict);
}

#[test]
fn an_action_that_was_authorized_under_the_old_name_is_refused_and_not_given_to_another() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.record_accounts(at(0), &[account("a", 1), account("b", 1)]).unwrap();
    store.reserve_serials(at(1), &ca(), &[serial(1)]).unwrap();
    let incarnation = store.incarnation(&label("a")).unwrap();
    let authorized = Issued { incarnation, ..issued(1, "a") };
    store.record_account_renamed(at(2), &label("a"), &label("c")).unwrap();
    denied(store.record_issued(at(3), &authorized), Denial::NotAuthorized);
    // The next one of the name is of the same import.
    store.record_account_renamed(at(4), &label("b"), &label("a")).unwrap();
    denied(store.record_issued(at(5), &authorized), Denial::NotAuthorized);
}

/// A renewal of `old` after which it is to be revoked within 10 seconds.
fn renewal(number: u128, old: u128) -> Issued {
    Issued {
        replaces: Some(serial(old)),
        retires: Some(Duration::from_secs(10)),
        ..issued(number, "gw1")
    }
}

fn due(store: &dyn Store, millis: i64) -> Vec<(u128, Timestamp)> {
    let all = store.retiring(at(millis), None, 100).unwrap();
    all.iter().map(|it| (it.certificate.serial.parts().1, it.due)).collect()
}

#[test]
fn a_replaced_certificate_is_due_after_the_confirmation_until_one_of_the_two_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.record_accounts(at(0), &[account("gw1", 1)]).unwrap();
    let serials: Vec<_> = (1..=40).map(serial).collect();
    store.reserve_serials(at(0), &ca(), &serials).unwrap();
    for number in 1..=9 {
        issue(&store, 1, number, "gw1");
    }
    let awaiting = |id: &[u8], number, old| Issued {
        transaction: Some(transaction(id, "gw1", Some(number), 60_000)),
        ..renewal(number, old)
    };
    // 1 is replaced by a certificate that needs no confirmation, 2 by one that is confirmed later, 3 by one that never is.
    store.record_issued(at(1_000), &renewal(11, 1)).unwrap();
    store.record_issued(at(1_000), &awaiting(b"t2", 12, 2)).unwrap();
    store.record_issued(at(1_000), &awaiting(b"t3", 13, 3)).unwrap();
    // 4 stays: its renewal says nothing. 5 is replaced twice, and 6 expires before it would be due.
    store.record_issued(at(2_000), &Issued { retires: None, ..renewal(14, 4) }).unwrap();
    store.record_issued(at(2_000), &renewal(15, 5)).unwrap();
    store.record_issued(at(3_000), &renewal(16, 5)).unwrap();
    let long = Duration::from_secs(400 * 86_400);
    store.record_issued(at(3_000), &Issued { retires: Some(long), ..renewal(17, 6) }).unwrap();
    store.record_confirmed(at(5_000), b"t2").unwrap();
    let expected = [(1, at(11_000)), (5, at(12_000)), (2, at(15_000))];
    let check = |store: &dyn Store| {
        assert_eq!(due(store, 100_000), expected);
        assert_eq!(due(store, 11_999), expected[..1]);
        assert_eq!(due(store, 10_999), []);
        let one = store.retiring(at(100_000), None, 1).unwrap();
        let rest = store.retiring(at(100_000), one.first(), 100).unwrap();
        assert_eq!(rest.iter().map(|it| it.due).collect::<Vec<_>>(), [at(12_000), at(15_000)]);
        let of = |number| store.retirement(&ca(), &serial(number)).unwrap();
        let by: Vec<_> = of(5).unwrap().replaced_by.iter().map(|(id, _)| id.serial).collect();
        assert_eq!(by, [serial(15), serial(16)]);
        assert_eq!([of(3), of(4), of(6), of(11)], [None, None, None, None]);
    };
    check(&store);
    drop(store);
    let store = rebuilt(folder.path());
    check(&store);
    // The revocation of the new one lets the old one live; of two, the other still counts.
    let revoke = |number, reason| {
        store
            .record_revoked(at(20_000), &ca(), &serial(number), &revocation(20_000, reason), None)
            .unwrap();
    };
    revoke(11, Reason::KeyCompromise);
    revoke(15, Reason::CessationOfOperation);
    assert_eq!(due(&store, 100_000), [(5, at(13_000)), (2, at(15_000))]);
    // A hold changes nothing, and neither does that the new one was replaced itself.
    revoke(16, Reason::CertificateHold);
    revoke(12, Reason::Superseded);
    assert_eq!(due(&store, 100_000), [(5, at(13_000)), (2, at(15_000))]);
    // One that is revoked is due no more.
    revoke(2, Reason::Superseded);
    revoke(5, Reason::CertificateHold);
    assert_eq!(due(&store, 100_000), [(5, at(13_000))]);
    revoke(5, Reason::Superseded);
    assert_eq!(due(&store, 100_000), []);
    drop(store);
    assert_eq!(due(&rebuilt(folder.path()), 100_000), []);
}
