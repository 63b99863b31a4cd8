//! Requests that wait: their entries are taken in order and refused out of it, they are bounded, they expire, and an index
//! that is rebuilt says the same of them. So it is with the accounts that hold an identity.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod journal_common;

use countersign_ca::record::approval::{
    Decision, MAX_PENDING_OF_ACCOUNT, PendingRequest, RecordedRequest, RequestId, Verdict,
};
use countersign_ca::record::{Account, AdminAction, CertificateId, Issued};
use countersign_ca::store::{EmbeddedStore, RequestCounts};
use countersign_ca::{Denial, Error, Identity, Result, Store};
use journal_common::*;

fn pending(id: &[u8], account: &str, expires: i64) -> PendingRequest {
    PendingRequest {
        transaction: transaction(id, account, None, expires),
        incarnation: None,
        request: RecordedRequest {
            key: vec![48, 0],
            subject: None,
            alt_names: vec![vec![130, 1, 97]],
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

fn decision(verdict: Verdict) -> Decision {
    Decision { verdict, actor: "uid 0".into(), comment: None }
}

fn decide(store: &dyn Store, millis: i64, id: &[u8], verdict: Verdict) -> Result<()> {
    store.record_decided(at(millis), &RequestId::of(id), &decision(verdict))
}

#[track_caller]
fn denied<T: std::fmt::Debug>(result: Result<T>, kind: Denial) {
    match result {
        Err(Error::Denied { kind: found, .. }) if found == kind => {}
        other => panic!("expected {kind:?}, found {other:?}"),
    }
}

#[track_caller]
fn rebuilt_index_is_the_same(store: &EmbeddedStore) {
    let (own, fresh) = store.compare_index().unwrap();
    assert_eq!(own, fresh);
}

fn waiting(undecided: usize, approved: usize) -> RequestCounts {
    RequestCounts { undecided, approved }
}

fn in_transaction(number: u128, account: &str, id: &[u8], expires: i64) -> Issued {
    Issued {
        transaction: Some(transaction(id, account, Some(number), expires)),
        ..issued(number, account)
    }
}

#[test]
fn only_an_approved_request_becomes_a_certificate_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 0);
    store.record_accounts(at(1), &[account("gw2", 1)]).unwrap();
    store.reserve_serials(at(1), &ca(), &[serial(1), serial(2), serial(3)]).unwrap();
    store.record_requested(at(2), &pending(b"one", "gw1", 900_000)).unwrap();
    denied(
        store.record_requested(at(2), &pending(b"one", "gw1", 900_000)),
        Denial::TransactionInUse,
    );
    denied(store.record_requested(at(2), &pending(b"x", "gone", 900_000)), Denial::NotAuthorized);
    // Not decided, decided for another account, rejected.
    let own = in_transaction(1, "gw1", b"one", 500_000);
    denied(store.record_issued(at(3), &own), Denial::TransactionInUse);
    denied(decide(&store, 3, b"two", Verdict::Approved), Denial::Conflict);
    decide(&store, 3, b"one", Verdict::Approved).unwrap();
    denied(decide(&store, 4, b"one", Verdict::Rejected), Denial::Conflict);
    let foreign = in_transaction(1, "gw2", b"one", 500_000);
    denied(store.record_issued(at(4), &foreign), Denial::TransactionInUse);
    store.record_requested(at(4), &pending(b"two", "gw1", 900_000)).unwrap();
    decide(&store, 5, b"two", Verdict::Rejected).unwrap();
    let rejected = in_transaction(2, "gw1", b"two", 500_000);
    denied(store.record_issued(at(5), &rejected), Denial::TransactionInUse);
    assert_eq!(store.count_waiting(at(5)).unwrap(), waiting(0, 1));
    assert_eq!(store.all_waiting(at(5)).unwrap().len(), 2);
    rebuilt_index_is_the_same(&store);

    drop(store);
    let store = open(folder.path());
    store.record_issued(at(6), &own).unwrap();
    denied(
        store.record_issued(at(7), &in_transaction(3, "gw1", b"one", 500_000)),
        Denial::TransactionInUse,
    );
    assert_eq!(store.waiting(at(7), b"one").unwrap(), None);
    assert_eq!(
        store.issued_in(at(7), b"one").unwrap(),
        Some(CertificateId { ca: ca(), serial: serial(1) })
    );
    store.record_confirmed(at(8), b"one").unwrap();
    assert_eq!(store.count_waiting(at(8)).unwrap(), waiting(0, 0));
    rebuilt_index_is_the_same(&store);
    // The certificate's transaction has ended; the request's own moment is still to come, and counts no more.
    assert_eq!(store.transaction(at(500_000), b"one").unwrap(), None);
    drop(store);
    let store = EmbeddedStore::rebuild(folder.path(), options(), &mut |_| {}).unwrap();
    assert_eq!(store.waiting(at(9), b"one").unwrap(), None);
    let waiting = store.waiting(at(9), b"two").unwrap().unwrap();
    assert_eq!((waiting.received, waiting.verdict()), (at(4), Some(Verdict::Rejected)));
    assert_eq!(waiting.pending, pending(b"two", "gw1", 900_000));
}

#[test]
fn what_a_request_brings_is_bounded_in_each_of_its_parts() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 0);
    let malformed = |result: Result<()>| match result {
        Err(Error::Malformed(why)) => why,
        other => panic!("expected a refusal, found {other:?}"),
    };
    let long = vec![0; 64 << 10];
    let requested = |change: &dyn Fn(&mut RecordedRequest)| {
        let mut pending = pending(b"long", "gw1", 900_000);
        change(&mut pending.request);
        malformed(store.record_requested(at(1), &pending))
    };
    for why in [
        requested(&|request| request.key = long.clone()),
        requested(&|request| request.subject = Some(long.clone())),
        requested(&|request| request.alt_names = vec![long.clone()]),
        requested(&|request| request.extensions = vec![long.clone()]),
    ] {
        assert!(why.contains("65536 octets"), "{why}");
    }
    // The transaction of an approved request is bounded as each other one.
    store.reserve_serials(at(2), &ca(), &[serial(1)]).unwrap();
    store.record_requested(at(2), &pending(b"one", "gw1", 900_000)).unwrap();
    decide(&store, 3, b"one", Verdict::Approved).unwrap();
    let mut issued = in_transaction(1, "gw1", b"one", 500_000);
    issued.transaction.as_mut().unwrap().context = vec![0; (64 << 10) + 1];
    let why = malformed(store.record_issued(at(4), &issued));
    assert!(why.contains("a context of at most 65536"), "{why}");
    store.record_issued(at(4), &in_transaction(1, "gw1", b"one", 500_000)).unwrap();
}

#[test]
fn what_waits_is_bounded_given_up_and_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 0);
    store.record_accounts(at(1), &[account("gw2", 1)]).unwrap();
    let id = |n: usize| n.to_be_bytes();
    for n in 0..MAX_PENDING_OF_ACCOUNT {
        store.record_requested(at(2), &pending(&id(n), "gw1", 200_000)).unwrap();
    }
    let more = pending(b"more", "gw1", 200_000);
    denied(store.record_requested(at(3), &more), Denial::TooMany);
    store.record_requested(at(3), &pending(b"other", "gw2", 900_000)).unwrap();
    decide(&store, 4, &id(0), Verdict::Approved).unwrap();
    denied(store.record_requested(at(4), &more), Denial::TooMany);
    // Giving up makes room, also after the approval; so does a rejection.
    decide(&store, 5, &id(0), Verdict::Withdrawn).unwrap();
    assert_eq!(store.waiting(at(5), &id(0)).unwrap(), None);
    denied(decide(&store, 5, &id(0), Verdict::Withdrawn), Denial::Conflict);
    store.record_requested(at(6), &more).unwrap();
    decide(&store, 7, &id(1), Verdict::Rejected).unwrap();
    store.record_requested(at(7), &pending(b"again", "gw1", 200_000)).unwrap();
    denied(store.record_requested(at(7), &pending(b"full", "gw1", 200_000)), Denial::TooMany);
    rebuilt_index_is_the_same(&store);

    // They end, though nothing is recorded; what is recorded later clears them away, a span of time after it.
    assert_eq!(store.all_waiting(at(200_000)).unwrap().len(), 1);
    denied(decide(&store, 200_000, &id(2), Verdict::Approved), Denial::Conflict);
    store.record_requested(at(200_000), &pending(b"full", "gw1", 900_000)).unwrap();
    for n in 0..4 {
        let done = AdminAction { actor: "root".into(), action: "x".into(), detail: String::new() };
        store.record_admin_action(at(400_000 + n), &done).unwrap();
    }
    assert_eq!(store.all_waiting(at(0)).unwrap().len(), 2, "even those of long ago");
    rebuilt_index_is_the_same(&store);
    let words = Decision { comment: Some("x".repeat(301)), ..decision(Verdict::Rejected) };
    let long = store.record_decided(at(400_010), &RequestId::of(b"full"), &words);
    assert!(matches!(long, Err(Error::Malformed(_))));
}

#[test]
fn the_holders_of_an_identity_are_found_as_accounts_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let identity: Identity = "fqdn:shared.example.net".parse().unwrap();
    let holds = |name: &str| Account { identities: vec![identity.clone()], ..account(name, 1) };
    let holders = |store: &EmbeddedStore| -> Vec<String> {
        let found = store.holders(&identity).unwrap();
        found.into_iter().map(|account| account.name.to_string()).collect()
    };
    store.record_accounts(at(0), &[holds("gw1"), holds("gw2"), account("gw3", 1)]).unwrap();
    assert_eq!(holders(&store), ["gw1", "gw2"]);
    store.record_account_changed(at(1), &account("gw1", 1)).unwrap();
    store.record_account_changed(at(1), &holds("gw3")).unwrap();
    assert_eq!(holders(&store), ["gw2", "gw3"]);
    store.record_account_removed(at(2), &label("gw2")).unwrap();
    drop(store);
    let store = open(folder.path());
    assert_eq!(holders(&store), ["gw3"]);
    store.record_account_removed(at(3), &label("gw3")).unwrap();
    assert_eq!(holders(&store), [""; 0]);
    rebuilt_index_is_the_same(&store);
}

#[test]
fn what_an_account_asked_for_is_not_had_by_a_later_one_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 0);
    store.record_accounts(at(1), &[account("gw2", 1)]).unwrap();
    store.reserve_serials(at(1), &ca(), &[serial(1), serial(2)]).unwrap();
    store.record_requested(at(2), &pending(b"one", "gw1", 900_000)).unwrap();
    store.record_requested(at(2), &pending(b"two", "gw1", 900_000)).unwrap();
    store.record_requested(at(2), &pending(b"other", "gw2", 900_000)).unwrap();
    decide(&store, 3, b"one", Verdict::Approved).unwrap();
    let before = store.account(&label("gw1")).unwrap().unwrap();
    store.record_account_removed(at(4), &label("gw1")).unwrap();
    assert_eq!(store.count_waiting(at(4)).unwrap(), waiting(1, 0));
    let again = Account { secret: None, ..account("gw1", 1) };
    store.record_accounts(at(5), &[again]).unwrap();
    let now = store.account(&label("gw1")).unwrap().unwrap();
    assert!(before.incarnation < now.incarnation);

    let mut opened = Some(store);
    for _ in 0..2 {
        let rebuild = || EmbeddedStore::rebuild(folder.path(), options(), &mut |_| {}).unwrap();
        let store = opened.take().unwrap_or_else(rebuild);
        rebuilt_index_is_the_same(&store);
        for id in [&b"one"[..], b"two"] {
            assert_eq!(store.waiting(at(6), id).unwrap(), None);
            denied(decide(&store, 6, id, Verdict::Approved), Denial::Conflict);
            denied(decide(&store, 6, id, Verdict::Withdrawn), Denial::Conflict);
        }
        assert_eq!(store.all_waiting(at(6)).unwrap().len(), 1);
        assert_eq!(store.waiting_of(at(6), &label("gw1")).unwrap(), []);
        let fetched = in_transaction(1, "gw1", b"one", 500_000);
        denied(store.record_issued(at(6), &fetched), Denial::TransactionInUse);
        // What was authorized for the account before is not recorded for this one.
        let late = Issued { incarnation: Some(before.incarnation), ..issued(2, "gw1") };
        denied(store.record_issued(at(6), &late), Denial::NotAuthorized);
        let late = PendingRequest {
            incarnation: Some(before.incarnation),
            ..pending(b"late", "gw1", 900_000)
        };
        denied(store.record_requested(at(6), &late), Denial::NotAuthorized);
        denied(store.record_account_changed(at(6), &before), Denial::NotAuthorized);
    }
    let store = open(folder.path());
    // Nor do its requests take the places of the present account's.
    for n in 0..MAX_PENDING_OF_ACCOUNT {
        store.record_requested(at(7), &pending(&n.to_be_bytes(), "gw1", 900_000)).unwrap();
    }
    assert_eq!(store.count_waiting(at(7)).unwrap(), waiting(1 + MAX_PENDING_OF_ACCOUNT, 0));
    rebuilt_index_is_the_same(&store);
}

#[test]
fn a_transaction_that_joins_a_request_goes_on_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    fill(&store, 0);
    store.record_accounts(at(1), &[account("gw2", 1)]).unwrap();
    store.reserve_serials(at(1), &ca(), &[serial(1), serial(2), serial(3)]).unwrap();
    store.record_requested(at(2), &pending(b"one", "gw1", 900_000)).unwrap();
    let one = RequestId::of(b"one");
    let join = |store: &EmbeddedStore, id: &[u8], account: &str, expires| {
        store.record_joined(at(3), &one, &transaction(id, account, None, expires))
    };
    join(&store, b"two", "gw1", 900_000).unwrap();
    join(&store, b"three", "gw1", 800_000).unwrap();
    denied(join(&store, b"two", "gw1", 900_000), Denial::TransactionInUse);
    denied(join(&store, b"four", "gw2", 900_000), Denial::Conflict);
    assert!(matches!(join(&store, b"four", "gw1", 900_001), Err(Error::Internal(_))));
    let unknown = transaction(b"four", "gw1", None, 900_000);
    let unknown = store.record_joined(at(3), &RequestId::of(b"nothing"), &unknown);
    denied(unknown, Denial::Conflict);
    assert_eq!(store.count_waiting(at(3)).unwrap(), waiting(1, 0));
    denied(
        store.record_issued(at(3), &in_transaction(1, "gw1", b"two", 500_000)),
        Denial::TransactionInUse,
    );
    decide(&store, 4, b"one", Verdict::Approved).unwrap();
    for round in 0..2 {
        for id in [&b"one"[..], b"two", b"three"] {
            let waiting = store.waiting(at(5), id).unwrap().unwrap();
            assert_eq!((waiting.id, waiting.verdict()), (one, Some(Verdict::Approved)), "{round}");
            let known = store.transaction(at(5), id).unwrap().unwrap();
            assert_eq!(known.id, id);
        }
        rebuilt_index_is_the_same(&store);
        drop(store);
        store = EmbeddedStore::rebuild(folder.path(), options(), &mut |_| {}).unwrap();
    }
    // One certificate, in whichever transaction comes first.
    store.record_issued(at(6), &in_transaction(1, "gw1", b"two", 500_000)).unwrap();
    assert_eq!(
        store.issued_in(at(7), b"two").unwrap(),
        Some(CertificateId { ca: ca(), serial: serial(1) })
    );
    assert_eq!(store.count_waiting(at(7)).unwrap(), waiting(0, 0));
    for id in [&b"one"[..], b"three"] {
        assert_eq!(store.waiting(at(7), id).unwrap(), None);
        let again = store.record_issued(at(7), &in_transaction(2, "gw1", id, 500_000));
        denied(again, Denial::TransactionInUse);
    }
    denied(join(&store, b"five", "gw1", 900_000), Denial::Conflict);

    // Given up in a transaction that joined, it is given up; what was rejected is asked for anew.
    store.record_requested(at(8), &pending(b"six", "gw1", 900_000)).unwrap();
    let six = RequestId::of(b"six");
    store.record_joined(at(8), &six, &transaction(b"seven", "gw1", None, 900_000)).unwrap();
    store.record_decided(at(9), &six, &decision(Verdict::Rejected)).unwrap();
    let late = store.record_joined(at(9), &six, &transaction(b"eight", "gw1", None, 900_000));
    denied(late, Denial::Conflict);
    let told = store.waiting(at(9), b"seven").unwrap().unwrap();
    assert_eq!(told.verdict(), Some(Verdict::Rejected));
    rebuilt_index_is_the_same(&store);
}
