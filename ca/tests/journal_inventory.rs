//! Lists of certificates by several conditions: each page by page equals what a search through all certificates finds,
//! in spans and behind them, and after a rebuild.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod journal_common;

use std::cmp::Reverse;
use std::sync::OnceLock;

use countersign_ca::record::inventory::{CertificateQuery, CertificateStatus, ListOrder};
use countersign_ca::record::search::SearchKey;
use countersign_ca::record::{
    CaRecord, CertificateId, CertificateRecord, Issued, Label, Reason, Serial, Transaction,
};
use countersign_ca::store::EmbeddedStore;
use countersign_ca::{Store, Timestamp};
use journal_common::*;

/// The certificates in a span.
const SPAN: u128 = 16_384;
/// The certificates of the sample: one span, and some behind it.
const ALL: u128 = SPAN + 500;

/// A serial number whose first digits are spread.
fn spread(number: u128) -> Serial {
    serial(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

fn sample_issued(number: u128) -> Issued {
    // One certificate in 4,000 is of another CA, one in 50 under another profile.
    let ca = if number % 4000 == 17 { label("second") } else { ca() };
    let profile = if number % 50 == 3 { "host" } else { "gateway" };
    Issued {
        serial: spread(number),
        ca,
        profile: label(profile),
        ..issued(number, &format!("gw{}", number % 300))
    }
}

fn named(store: &EmbeddedStore, name: &str) {
    let record = CaRecord {
        name: label(name),
        is_root: false,
        certificate: vec![0x30, 0],
        chain: Vec::new(),
        succeeds: None,
    };
    store.record_ca(at(0), &record).unwrap();
}

/// A data folder with [`ALL`] certificates, of which some are revoked, held, replaced or unconfirmed.
fn sample() -> &'static std::path::Path {
    static SAMPLE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let sample = SAMPLE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        named(&store, "issuing");
        named(&store, "second");
        let accounts: Vec<_> = (0..300).map(|n| account(&format!("gw{n}"), 9)).collect();
        store.record_accounts(at(0), &accounts).unwrap();
        let all: Vec<u128> = (1..=ALL).collect();
        for block in all.chunks(64) {
            for ca in ["issuing", "second"].map(label) {
                let own = block.iter().map(|number| sample_issued(*number));
                let own: Vec<Serial> =
                    own.filter(|one| one.ca == ca).map(|one| one.serial).collect();
                if !own.is_empty() {
                    let begun = at(i64::try_from(block[0]).unwrap());
                    store.reserve_serials(begun, &ca, &own).unwrap();
                }
            }
            for number in block {
                let millis = 2 + i64::try_from(*number).unwrap();
                let mut one = sample_issued(*number);
                if number % 5000 == 777 {
                    let id = CertificateId::new(one.ca.clone(), one.serial);
                    let account = one.account.as_str().to_owned();
                    let asked = transaction(&number.to_be_bytes(), &account, Some(1), 9_000_000);
                    one.transaction = Some(Transaction { awaits: Some(id), ..asked });
                }
                if *number == ALL - 1 {
                    one.replaces = Some(spread(90));
                }
                store.record_issued(at(millis), &one).unwrap();
            }
        }
        let after = at(3 + i64::try_from(ALL).unwrap());
        for number in (1..=ALL).filter(|number| number % 900 == 4) {
            let one = sample_issued(number);
            let reason =
                if number % 1800 == 4 { Reason::CertificateHold } else { Reason::KeyCompromise };
            store
                .record_revoked(after, &one.ca, &one.serial, &revocation(3, reason), None)
                .unwrap();
        }
        folder
    });
    sample.path()
}

/// Every certificate, found without a query.
fn everything(store: &EmbeddedStore) -> Vec<CertificateRecord> {
    let (mut all, mut cursor) = (Vec::new(), Some(0));
    while let Some(from) = cursor {
        let page = store.certificates(None, from, 5000).unwrap();
        all.extend(page.records);
        cursor = page.next;
    }
    all
}

fn pages(store: &EmbeddedStore, query: &CertificateQuery, limit: usize) -> Vec<Serial> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(query, after, limit).unwrap();
        assert!(page.records.len() <= limit);
        found.extend(page.records.iter().map(|record| record.serial));
        // The cursor survives as text.
        after = page.next.map(|place| place.to_string().parse().unwrap());
        if after.is_none() {
            return found;
        }
    }
}

type Model = Box<dyn Fn(&CertificateRecord) -> bool>;

/// Queries, each with an independent reading of what it asks for.
fn questions(now: Timestamp) -> Vec<(&'static str, CertificateQuery, Model)> {
    let day = |days: i64| at(days * 86_400_000);
    let base = CertificateQuery { now, ..CertificateQuery::default() };
    let is_hold = |record: &CertificateRecord| {
        record.revocation.as_ref().is_some_and(|of| of.reason == Reason::CertificateHold)
    };
    let second: Label = label("second");
    let some = spread(4711).to_string();
    let prefix = some[..5].to_owned();
    vec![
        ("all", base.clone(), Box::new(|_| true)),
        (
            "a rare CA",
            CertificateQuery { ca: Some(second.clone()), ..base.clone() },
            Box::new(|record| record.ca.as_str() == "second"),
        ),
        (
            "a profile of an account in a window of ends",
            CertificateQuery {
                profile: Some(label("host")),
                account: Some(label("gw3")),
                expires: Some(day(100)..day(120)),
                ..base.clone()
            },
            Box::new(move |record| {
                record.profile.as_str() == "host"
                    && record.account.as_str() == "gw3"
                    && record.not_after >= day(100)
                    && record.not_after < day(120)
            }),
        ),
        (
            "a window of issue",
            CertificateQuery { issued: Some(at(1000)..at(1400)), ..base.clone() },
            Box::new(|record| record.issued >= at(1000) && record.issued < at(1400)),
        ),
        (
            "held",
            CertificateQuery { status: Some(CertificateStatus::Held), ..base.clone() },
            Box::new(is_hold),
        ),
        (
            "revoked, of a profile",
            CertificateQuery {
                status: Some(CertificateStatus::Revoked),
                profile: Some(label("gateway")),
                ..base.clone()
            },
            Box::new(move |record| {
                record.revocation.is_some()
                    && !is_hold(record)
                    && record.profile.as_str() == "gateway"
            }),
        ),
        (
            "revoked, of an account",
            CertificateQuery {
                status: Some(CertificateStatus::Revoked),
                account: Some(label("gw4")),
                ..base.clone()
            },
            Box::new(move |record| {
                record.revocation.is_some() && !is_hold(record) && record.account.as_str() == "gw4"
            }),
        ),
        (
            "expired",
            CertificateQuery { status: Some(CertificateStatus::Expired), ..base.clone() },
            Box::new(move |record| record.revocation.is_none() && record.not_after < now),
        ),
        (
            "unconfirmed",
            CertificateQuery { status: Some(CertificateStatus::Unconfirmed), ..base.clone() },
            Box::new(move |record| {
                !record.confirmed && record.revocation.is_none() && record.not_after >= now
            }),
        ),
        (
            "valid",
            CertificateQuery { status: Some(CertificateStatus::Valid), ..base.clone() },
            Box::new(move |record| {
                record.confirmed && record.revocation.is_none() && record.not_after >= now
            }),
        ),
        (
            "current ones of an account",
            CertificateQuery { current: true, account: Some(label("gw90")), ..base.clone() },
            Box::new(move |record| {
                record.account.as_str() == "gw90"
                    && (record.revocation.is_none() || is_hold(record))
                    && record.serial != spread(90)
            }),
        ),
        (
            "a serial prefix",
            CertificateQuery { serial: Some(prefix.parse().unwrap()), ..base.clone() },
            Box::new(move |record| record.serial.to_string().starts_with(&prefix)),
        ),
        (
            "a search key",
            CertificateQuery {
                key: SearchKey::of(&sample_issued(SPAN + 2).certificate).pop(),
                ..base
            },
            Box::new(|record| record.serial == spread(SPAN + 2)),
        ),
    ]
}

fn examine(store: &EmbeddedStore) {
    let all = everything(store);
    assert_eq!(all.len() as u128, ALL);
    let now = at(100 * 86_400_000);
    for (name, query, includes) in questions(now) {
        let mut expected: Vec<&CertificateRecord> =
            all.iter().filter(|record| includes(record)).collect();
        assert!(!expected.is_empty(), "{name} is empty, and shows nothing");
        for order in [
            ListOrder::Issued,
            ListOrder::IssuedReversed,
            ListOrder::Expires,
            ListOrder::ExpiresReversed,
        ] {
            match order {
                ListOrder::Issued => expected.sort_by_key(|record| record.offset),
                ListOrder::IssuedReversed => expected.sort_by_key(|record| Reverse(record.offset)),
                ListOrder::Expires => {
                    expected.sort_by_key(|record| (record.not_after, record.offset));
                }
                ListOrder::ExpiresReversed => {
                    expected.sort_by_key(|record| Reverse((record.not_after, record.offset)));
                }
            }
            let query = CertificateQuery { order, ..query.clone() };
            let limit = if expected.len() > 2000 { 1000 } else { 7 };
            let found = pages(store, &query, limit);
            let expected: Vec<Serial> = expected.iter().map(|record| record.serial).collect();
            assert!(found == expected, "{name}, {order:?}: {} {}", found.len(), expected.len());
        }
    }
}

#[test]
fn each_list_is_what_a_search_through_everything_finds() {
    examine(&open(sample()));
}

#[test]
fn a_rebuilt_index_gives_the_same_lists() {
    let folder = tempfile::tempdir().unwrap();
    copy_data(sample(), folder.path(), false);
    examine(&open(folder.path()));
}
