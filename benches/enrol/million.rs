//! A server with a million certificates in its store, compared with an empty one.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_ca::record::{Account, Issued, Label, Serial};
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore};
use countersign_ca::{Store, Timestamp};

use crate::certificates::{certificate, mix};
use crate::goals::{ALTERNATIONS, SIGNED_IR, measured};
use crate::measure::median;
use crate::meter::until_idle;
use crate::site::Site;

const WRITERS: u64 = 256;
const ACCOUNTS: u64 = 10_000;
const BLOCK: u64 = 64;

/// The rate with this many stored certificates ÷ the rate with none, and the same ratio of the server's CPU time.
pub fn run(count: u64) -> (f64, f64) {
    let large = Site::start("million", |data| fill(data, count));
    let small = Site::start("none", |_| {});
    until_idle(large.pid());
    until_idle(small.pid());
    let (mut rates, mut times) = (Vec::new(), Vec::new());
    for _ in 0..ALTERNATIONS {
        let one = |site: &Site| measured(site, &site.peers, SIGNED_IR, 64, 3000);
        let (at_all, cpu_at_all) = one(&large);
        let (at_none, cpu_at_none) = one(&small);
        rates.push(at_all.rate / at_none.rate);
        times.push(cpu_at_all / cpu_at_none);
    }
    (median(rates), median(times))
}

/// Records certificates as if they had been issued.
fn fill(data: &Path, count: u64) {
    let store = EmbeddedStore::open(data, EmbeddedOptions::default(), &mut |_| {}).unwrap();
    let ca: Label = "issuing".parse().unwrap();
    let name = |n: u64| -> Label { format!("old{n}").parse().unwrap() };
    let account = |n| Account {
        name: name(n),
        identities: vec![format!("fqdn:old{n}.example.net").parse().unwrap()],
        profile: "gateway".parse().unwrap(),
        ca: None,
        secret: None,
        equipment: None,
        created: now(),
        permissions: Default::default(),
        remarks: Default::default(),
        is_disabled: false,
        incarnation: Default::default(),
    };
    store.record_accounts(now(), &(0..ACCOUNTS).map(account).collect::<Vec<_>>()).unwrap();
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                loop {
                    let first = next.fetch_add(BLOCK, Ordering::Relaxed);
                    if first >= count {
                        return;
                    }
                    let serials: Vec<Serial> = (first..first + BLOCK).map(serial).collect();
                    store.reserve_serials(now(), &ca, &serials).unwrap();
                    for (n, serial) in (first..).zip(serials) {
                        let issued = Issued {
                            incarnation: None,
                            ca: ca.clone(),
                            serial,
                            account: name(mix(n) % ACCOUNTS),
                            profile: "gateway".parse().unwrap(),
                            not_after: Timestamp::from_seconds(now().seconds() + 90 * 86_400),
                            certificate: certificate(mix(n), &serial),
                            consumes_secret: false,
                            consumes_equipment: false,
                            transaction: None,
                            replaces: None,
                            partition: None,
                            withheld: false,
                            unpublished: false,
                            retires: None,
                        };
                        store.record_issued(now(), &issued).unwrap();
                    }
                }
            });
        }
    });
}

fn serial(n: u64) -> Serial {
    let number = u128::from(mix(n)) << 64 | u128::from(mix(!n));
    Serial::new(number.to_be_bytes()).unwrap()
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(since.as_millis() as i64)
}
