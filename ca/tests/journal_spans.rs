//! More certificates than fit into a span of the index: they are found alike in a span and behind the spans, and
//! whatever a crash or damage leaves of the spans, the index equals one that is built anew.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod journal_common;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use countersign_ca::record::search::{SearchKey, sha1};
use countersign_ca::record::{Issued, Reason, Serial};
use countersign_ca::store::EmbeddedStore;
use countersign_ca::{Store, Timestamp};
use journal_common::*;

/// The certificates in a span.
const SPAN: u128 = 16_384;
/// The certificates of [`sample`]: two spans, and some behind them.
const ALL: u128 = 2 * SPAN + 700;
const ACCOUNTS: u128 = 7;

fn name(number: u128) -> String {
    format!("gw{}", number % ACCOUNTS)
}

fn end(number: u128) -> Timestamp {
    issued(number, "x").not_after
}

/// Issues certificates with these serials.
fn issue(store: &EmbeddedStore, numbers: std::ops::RangeInclusive<u128>) {
    let all: Vec<u128> = numbers.collect();
    for block in all.chunks(64) {
        let serials: Vec<Serial> = block.iter().copied().map(serial).collect();
        store.reserve_serials(at(1), &ca(), &serials).unwrap();
        for number in block {
            store.record_issued(at(2), &issued(*number, &name(*number))).unwrap();
        }
    }
}

fn begin(folder: &Path) -> EmbeddedStore {
    let store = open(folder);
    let accounts: Vec<_> = (0..ACCOUNTS).map(|number| account(&name(number), 9)).collect();
    store.record_accounts(at(0), &accounts).unwrap();
    store
}

/// The serials of certificates that need no renewal: revoked for good or replaced.
const ENDED: [u128; 6] = [5, 6, SPAN, SPAN + 1, 2 * SPAN + 3, ALL];

/// A data folder with [`ALL`] certificates.
fn sample() -> &'static Path {
    static SAMPLE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let sample = SAMPLE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let store = begin(folder.path());
        issue(&store, 1..=ALL - 2);
        let own: Vec<Serial> = (ALL - 1..=ALL).map(serial).collect();
        store.reserve_serials(at(1), &ca(), &own).unwrap();
        for (number, replaced) in [(ALL - 1, SPAN + 1), (ALL, 6)] {
            let record =
                Issued { replaces: Some(serial(replaced)), ..issued(number, &name(number)) };
            store.record_issued(at(2), &record).unwrap();
        }
        for (number, reason) in [
            (5, Reason::KeyCompromise),
            (SPAN, Reason::Superseded),
            (2 * SPAN + 3, Reason::KeyCompromise),
            (ALL, Reason::KeyCompromise),
            (7, Reason::CertificateHold),
            (2 * SPAN + 9, Reason::CertificateHold),
        ] {
            let revocation = revocation(3, reason);
            store.record_revoked(at(3), &ca(), &serial(number), &revocation, None).unwrap();
        }
        folder
    });
    sample.path()
}

fn numbers(records: &[countersign_ca::record::CertificateRecord]) -> Vec<u128> {
    records.iter().map(|record| record.serial.parts().1).collect()
}

/// All certificates of an account, by pages.
fn pages(store: &EmbeddedStore, account: Option<&str>) -> Vec<u128> {
    let account = account.map(label);
    let (mut found, mut cursor) = (Vec::new(), Some(0));
    while let Some(from) = cursor {
        let page = store.certificates(account.as_ref(), from, 1000).unwrap();
        found.extend(numbers(&page.records));
        cursor = page.next;
    }
    found
}

/// Whether everything of [`sample`] is found, by every way to ask.
fn examine(store: &EmbeddedStore) {
    assert_eq!(store.status().certificates, ALL as u64);
    assert_eq!(pages(store, None), (1..=ALL).collect::<Vec<_>>());
    let own: Vec<_> = (1..=ALL).filter(|number| number % ACCOUNTS == 3).collect();
    assert_eq!(pages(store, Some("gw3")), own);
    assert_eq!(pages(store, Some("gw9")), Vec::<u128>::new());
    for number in [1, 64, 65, SPAN - 1, SPAN, SPAN + 1, 2 * SPAN, 2 * SPAN + 1, ALL] {
        let record = store.certificate(&ca(), &serial(number)).unwrap().unwrap();
        assert_eq!((record.account, record.not_after), (label(&name(number)), end(number)));
        assert_eq!(record.certificate, issued(number, "x").certificate);
        let key = SearchKey::Certificate(sha1(&record.certificate));
        assert_eq!(numbers(&store.find(&key, 5, &|_| true).unwrap()), [number]);
    }
    assert!(store.certificate(&ca(), &serial(ALL + 1)).unwrap().is_none());
    let key = SearchKey::Certificate(sha1(b"none"));
    assert!(store.find(&key, 5, &|_| true).unwrap().is_empty());
    // Those that end, soonest first, in the order of issue if at the same moment.
    let held = [7, 2 * SPAN + 9];
    let mut ends: Vec<u128> =
        (1..=ALL).filter(|number| !ENDED.contains(number) && !held.contains(number)).collect();
    ends.sort_by_key(|number| (end(*number), *number));
    let found = |from: Timestamp, until: Timestamp, limit| {
        numbers(&store.expiring(from, until, limit).unwrap())
    };
    let (first, last) = (at(0), at(i64::MAX / 2));
    assert_eq!(found(first, last, 1), ends[..1]);
    assert_eq!(found(first, last, 700), ends[..700]);
    let (from, until) = (end(13), end(17));
    let within: Vec<_> =
        ends.iter().copied().filter(|number| (from..until).contains(&end(*number))).collect();
    assert_eq!(found(from, until, 10_000), within);
    assert_eq!(found(last, last, 10), Vec::<u128>::new());
    let (kept, fresh) = store.compare_index().unwrap();
    assert_eq!(kept, fresh);
}

#[test]
fn certificates_in_spans_and_behind_them_are_found_alike() {
    let folder = tempfile::tempdir().unwrap();
    copy_data(sample(), folder.path(), true);
    let store = open(folder.path());
    examine(&store);
    // A certificate that is released from hold may need a renewal again, in a span and behind it.
    for number in [7, 2 * SPAN + 9] {
        store.record_released(at(4), &ca(), &serial(number)).unwrap();
        let until = Timestamp::from_millis(end(number).millis() + 1);
        assert!(numbers(&store.expiring(end(number), until, 1000).unwrap()).contains(&number));
    }
    // A reserved serial is still reserved, and an issued one is not issued again.
    let taken = store.reserve_serials(at(5), &ca(), &[serial(SPAN)]);
    assert!(taken.unwrap_err().to_string().contains("was reserved before"));
    assert!(store.record_issued(at(5), &issued(70, "gw0")).is_err());
    drop(store);
    let rebuilt = EmbeddedStore::rebuild(folder.path(), options(), &mut |_| {}).unwrap();
    assert_eq!(pages(&rebuilt, None).len(), ALL as usize);
    let (kept, fresh) = rebuilt.compare_index().unwrap();
    assert_eq!(kept, fresh);
}

#[test]
fn a_rebuilt_index_finds_the_same() {
    let folder = tempfile::tempdir().unwrap();
    copy_data(sample(), folder.path(), false);
    examine(&open(folder.path()));
}

/// A file in the index's folder that vanishes when the index is rebuilt.
fn mark(folder: &Path) -> std::path::PathBuf {
    let mark = folder.join("index/mark");
    fs::write(&mark, "").unwrap();
    mark
}

#[test]
fn spans_that_are_lost_or_damaged_are_rebuilt() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 6] = [
        ("empty", |octets| octets.clear()),
        ("cut", |octets| octets.truncate(octets.len() - 1)),
        ("a length", |octets| octets[3] = 0xff),
        ("a number", |octets| octets[6000] ^= 1),
        ("a search key", |octets| octets[200_000] ^= 1),
        ("the second span", |octets| *octets.last_mut().unwrap() ^= 0x80),
    ];
    for (which, damage) in damages {
        let folder = tempfile::tempdir().unwrap();
        copy_data(sample(), folder.path(), true);
        let path = folder.path().join("index/spans");
        let mut octets = fs::read(&path).unwrap();
        damage(&mut octets);
        fs::write(&path, octets).unwrap();
        let mark = mark(folder.path());
        let store = open(folder.path());
        assert!(!mark.exists(), "{which}");
        assert_eq!(store.status().certificates, ALL as u64, "{which}");
        let (kept, fresh) = store.compare_index().unwrap();
        assert_eq!(kept, fresh, "{which}");
    }
}

#[test]
fn a_span_that_the_database_does_not_know_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    copy_data(sample(), folder.path(), true);
    let path = folder.path().join("index/spans");
    let whole = fs::metadata(&path).unwrap().len();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&[0x5a; 1_000_000]).unwrap();
    let mark = mark(folder.path());
    let store = open(folder.path());
    issue(&store, ALL + 1..=3 * SPAN + 1);
    let (kept, fresh) = store.compare_index().unwrap();
    assert_eq!(kept, fresh);
    drop(store);
    let store = open(folder.path());
    assert!(mark.exists(), "it was rebuilt");
    assert!(fs::metadata(&path).unwrap().len() > whole);
    assert_eq!(pages(&store, None), (1..=3 * SPAN + 1).collect::<Vec<_>>());
}

#[test]
fn an_index_of_long_before_follows_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let store = begin(folder.path());
    issue(&store, 1..=100);
    drop(store);
    let early = tempfile::tempdir().unwrap();
    copy_folder(&folder.path().join("index"), &early.path().join("index"));
    let store = open(folder.path());
    issue(&store, 101..=SPAN + 100);
    drop(store);
    copy_data(folder.path(), early.path(), false);
    let mark = mark(early.path());
    let store = open(early.path());
    assert!(mark.exists(), "it was rebuilt");
    assert_eq!(pages(&store, None), (1..=SPAN + 100).collect::<Vec<_>>());
    let (kept, fresh) = store.compare_index().unwrap();
    assert_eq!(kept, fresh);
}

/// The variable that makes [`a_store_to_be_killed`] work, and names its data folder.
const KILLED: &str = "COUNTERSIGN_TEST_KILLED";

/// Records certificates from several threads, and writes to `acknowledged` which it was told are durable, until it is
/// killed. Another test starts it.
#[test]
fn a_store_to_be_killed() {
    let Some(folder) = std::env::var_os(KILLED) else { return };
    let folder = Path::new(&folder);
    let store = open(folder);
    let next = AtomicU64::new(store.status().certificates * 2 / 64 + 1);
    let path = folder.join("acknowledged");
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
                loop {
                    // Blocks that a killed process reserved are passed over.
                    let first = u128::from(next.fetch_add(1, Ordering::SeqCst)) * 64;
                    let own: Vec<_> = (first..first + 64).map(serial).collect();
                    if store.reserve_serials(at(1), &ca(), &own).is_err() {
                        continue;
                    }
                    for number in first..first + 64 {
                        store.record_issued(at(2), &issued(number, &name(number))).unwrap();
                        file.write_all(&(number as u64).to_le_bytes()).unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn a_process_that_is_killed_at_any_moment_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    drop(begin(folder.path()));
    let path = folder.path().join("acknowledged");
    fs::write(&path, "").unwrap();
    let acknowledged = || fs::metadata(&path).unwrap().len() / 8;
    let (mut random, mut known) = (Numbers(5), 0);
    // The rounds cross the ends of two spans.
    for round in 0..10 {
        let target = acknowledged() + 2000 + random.below(3500);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_store_to_be_killed"])
            .env(KILLED, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while acknowledged() < target {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = open(folder.path());
        let all = fs::read(&path).unwrap();
        for number in &all.as_chunks::<8>().0[known..] {
            let number = u128::from(u64::from_le_bytes(*number));
            let found = store.certificate(&ca(), &serial(number)).unwrap();
            assert_eq!(found.unwrap().certificate, issued(number, "x").certificate, "{round}");
        }
        known = all.len() / 8;
        if round % 3 == 0 {
            let (kept, fresh) = store.compare_index().unwrap();
            assert_eq!(kept, fresh, "{round}");
        }
    }
    assert!(open(folder.path()).status().certificates > 2 * SPAN as u64);
}
