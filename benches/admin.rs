//! Lists of certificates and accounts: the cost of a page among many certificates, compared with the same page among a thousand.
//!
//! `cargo bench --bench admin`. `ADMIN_BENCH_CERTIFICATES` (default 1,000,000) and `ADMIN_BENCH_ACCOUNTS` (default 100,000) make it smaller.
//! Compare only figures of one run.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that panics says so"
)]

#[path = "store/certificates.rs"]
mod certificates;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use countersign_ca::record::inventory::{
    AccountQuery, CertificateQuery, CertificateStatus, ListOrder, ListPlace,
};
use countersign_ca::record::search::SearchKey;
use countersign_ca::record::{
    Account, CaRecord, Issued, Label, Reason, Remarks, Revocation, Serial,
};
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore};
use countersign_ca::{Store, Timestamp};

use certificates::{certificate, mix};

/// The number of rows of a page, as a screen shows them.
const PAGE: usize = 50;
/// How often each page is asked for.
const TIMES: u64 = 300;
/// The number of certificates that every figure is compared with.
const FEW: u64 = 1000;
const DAY: i64 = 86_400_000;

fn main() {
    let certificates = setting("ADMIN_BENCH_CERTIFICATES", 1_000_000);
    let accounts = setting("ADMIN_BENCH_ACCOUNTS", 100_000);
    let few = Site::filled(FEW, FEW / 10);
    let many = Site::filled(certificates, accounts);
    println!("admin: pages of {PAGE} of {certificates} certificates and {accounts} accounts\n");
    println!("| page | p50 | p99 | p99 of {FEW} | ÷ |\n|---|---|---|---|---|");
    for (name, ask) in questions() {
        let (p50, p99) = figures(&many, ask);
        let (_, least) = figures(&few, ask);
        let ratio = p99.as_secs_f64() / least.as_secs_f64();
        println!("| {name} | {p50:.1?} | {p99:.1?} | {least:.1?} | {ratio:.2} |");
    }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Asks `n` times, and returns half and 99 hundredths of the times that it took.
fn figures(site: &Site, ask: Ask) -> (Duration, Duration) {
    let mut took: Vec<Duration> = (0..TIMES)
        .map(|n| {
            let from = Instant::now();
            ask(site, mix(n));
            from.elapsed()
        })
        .collect();
    took.sort_unstable();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}

type Ask = fn(&Site, u64);

/// Each question, with a number by which it varies.
fn questions() -> Vec<(&'static str, Ask)> {
    vec![
        ("certificates in the order of issue", |site, n| {
            site.page(&site.query(), Some(site.place(n)));
        }),
        ("the newest certificates", |site, _| {
            site.page(&CertificateQuery { order: ListOrder::IssuedReversed, ..site.query() }, None);
        }),
        ("of an account", |site, n| {
            site.page(&CertificateQuery { account: Some(site.account(n)), ..site.query() }, None);
        }),
        ("of a label", |site, n| {
            let label = format!("site=s{}", n % site.sites()).parse().ok();
            site.page(&CertificateQuery { label, ..site.query() }, None);
        }),
        ("with a name", |site, n| {
            let der = certificate(n % site.certificates, &serial(n % site.certificates));
            let key = SearchKey::of(&der).pop();
            site.page(&CertificateQuery { key, ..site.query() }, None);
        }),
        ("whose serial number begins so", |site, n| {
            let prefix = serial(n % site.certificates).to_string()[..8].parse().ok();
            site.page(&CertificateQuery { serial: prefix, ..site.query() }, None);
        }),
        ("of a CA that issued one in 10,000", |site, _| {
            let ca = "rare".parse().ok();
            site.page(&CertificateQuery { ca, ..site.query() }, None);
        }),
        ("of a profile and a window of issue", |site, n| {
            let from = site.issued(n % site.certificates);
            let issued = Some(from..from.plus(Duration::from_secs(3600)));
            let profile = "host".parse().ok();
            site.page(&CertificateQuery { profile, issued, ..site.query() }, None);
        }),
        ("valid, current, ending within 30 days, soonest first", |site, _| {
            let now = site.now;
            let expires = Some(now..now.plus(Duration::from_secs(30 * 86_400)));
            let query = CertificateQuery {
                expires,
                current: true,
                status: Some(CertificateStatus::Valid),
                order: ListOrder::Expires,
                ..site.query()
            };
            site.page(&query, None);
        }),
        ("revoked", |site, _| {
            let status = Some(CertificateStatus::Revoked);
            site.page(&CertificateQuery { status, ..site.query() }, None);
        }),
        ("accounts with their certificates", |site, n| {
            let after = site.account(n);
            let page = site.store.list_accounts(&AccountQuery::default(), Some(&after), PAGE);
            site.store.enrolled(&page.unwrap().accounts, site.now).unwrap();
        }),
        ("accounts of a label with their certificates", |site, n| {
            let label = format!("site=s{}", n % site.sites()).parse().ok();
            let query = AccountQuery { label, ..AccountQuery::default() };
            let page = site.store.list_accounts(&query, None, PAGE).unwrap();
            site.store.enrolled(&page.accounts, site.now).unwrap();
        }),
    ]
}

/// A store with certificates.
struct Site {
    store: EmbeddedStore,
    _folder: tempfile::TempDir,
    certificates: u64,
    accounts: u64,
    begun: i64,
    now: Timestamp,
}

fn serial(number: u64) -> Serial {
    let (high, low) = (mix(number), mix(!number));
    Serial::new((u128::from(high) << 64 | u128::from(low)).to_be_bytes()).unwrap()
}

impl Site {
    /// A store with certificates that were issued in the last 300 days and last 365.
    fn filled(certificates: u64, accounts: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions { sync: false, ..EmbeddedOptions::default() };
        let store = EmbeddedStore::open(folder.path(), options, &mut |_| {}).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let begun = now - 300 * DAY;
        let (now, accounts) = (Timestamp::from_millis(now), accounts.max(1));
        let site = Self { store, _folder: folder, certificates, accounts, begun, now };
        for name in ["issuing", "rare"] {
            let record = CaRecord {
                name: name.parse().unwrap(),
                is_root: false,
                certificate: vec![0x30, 0],
                chain: Vec::new(),
                succeeds: None,
            };
            site.store.record_ca(Timestamp::from_millis(begun), &record).unwrap();
        }
        let all: Vec<u64> = (0..accounts).collect();
        for part in all.chunks(10_000) {
            let part: Vec<Account> = part.iter().map(|n| site.new_account(*n)).collect();
            site.store.record_accounts(Timestamp::from_millis(begun), &part).unwrap();
        }
        let all: Vec<u64> = (0..certificates).collect();
        for part in all.chunks(512) {
            let at = site.issued(part[0]);
            for ca in ["issuing", "rare"] {
                let own = part.iter().filter(|n| Self::ca(**n) == ca);
                let own: Vec<Serial> = own.map(|n| serial(*n)).collect();
                if !own.is_empty() {
                    site.store.reserve_serials(at, &ca.parse().unwrap(), &own).unwrap();
                }
            }
            let receipts = part.iter().map(|n| {
                let record = site.new_certificate(*n);
                site.store.begin_issued(site.issued(*n), record).unwrap()
            });
            let receipts: Vec<_> = receipts.collect();
            receipts.into_iter().for_each(|receipt| receipt.wait().unwrap());
        }
        for n in (0..certificates).filter(|n| n % 100 == 7) {
            let revocation = Revocation { at: now, reason: Reason::Superseded, invalidity: None };
            let ca: Label = Self::ca(n).parse().unwrap();
            site.store.record_revoked(now, &ca, &serial(n), &revocation, None).unwrap();
        }
        site
    }

    fn ca(n: u64) -> &'static str {
        if n % 10_000 == 13 { "rare" } else { "issuing" }
    }

    fn sites(&self) -> u64 {
        self.accounts.div_ceil(50)
    }

    fn account(&self, n: u64) -> Label {
        format!("gw{:08}", mix(n) % self.accounts).parse().unwrap()
    }

    fn new_account(&self, n: u64) -> Account {
        let site = ("site".to_owned(), format!("s{}", n % self.sites()));
        Account {
            name: format!("gw{n:08}").parse().unwrap(),
            identities: vec![format!("fqdn:gw{n}.example.net").parse().unwrap()],
            profile: "gateway".parse().unwrap(),
            ca: None,
            secret: None,
            equipment: None,
            created: Timestamp::from_millis(self.begun),
            permissions: Default::default(),
            remarks: Remarks { labels: [site].into(), ..Remarks::default() },
            is_disabled: false,
            incarnation: Default::default(),
        }
    }

    fn new_certificate(&self, n: u64) -> Issued {
        let profile = if n % 20 == 3 { "host" } else { "gateway" };
        Issued {
            ca: Self::ca(n).parse().unwrap(),
            serial: serial(n),
            account: self.account(n),
            incarnation: None,
            profile: profile.parse().unwrap(),
            not_after: self.issued(n).plus(Duration::from_secs(365 * 86_400)).whole_seconds(),
            certificate: certificate(n, &serial(n)),
            consumes_secret: false,
            consumes_equipment: false,
            transaction: None,
            replaces: None,
            partition: None,
            withheld: false,
            unpublished: false,
            retires: None,
        }
    }

    /// When a certificate was issued.
    fn issued(&self, n: u64) -> Timestamp {
        let n = i64::try_from(n).unwrap();
        let all = i64::try_from(self.certificates).unwrap();
        Timestamp::from_millis(self.begun + 300 * DAY / all * n)
    }

    fn query(&self) -> CertificateQuery {
        CertificateQuery { now: self.now, ..CertificateQuery::default() }
    }

    /// A place somewhere in the order of issue.
    fn place(&self, n: u64) -> ListPlace {
        let record = self.store.certificates(None, n % self.certificates, 1).unwrap();
        let record = &record.records[0];
        ListPlace { not_after: record.not_after, offset: record.offset }
    }

    fn page(&self, query: &CertificateQuery, after: Option<ListPlace>) {
        self.store.list(query, after, PAGE).unwrap();
    }
}
