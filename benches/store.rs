//! The embedded store: commits per second compared with the disk's own `fdatasync` rate, memory and disk for each certificate, and the
//! time of a start. Goals 6, 11 and 12 (docs/PERFORMANCE.md).
//!
//! `cargo bench --bench store`. `STORE_BENCH_CERTIFICATES` (default 1,000,000) and `STORE_BENCH_SECONDS` (default 1, for each of seven
//! alternations) make it smaller. `STORE_BENCH_OTHER` names the binary of this bench in another build, which then runs after this one.
//! Figures depend on the disk; compare only ratios of one run.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that panics says so"
)]

#[path = "store/certificates.rs"]
mod certificates;
mod other;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use countersign_ca::record::{Account, Issued, Label, Serial, Transaction};
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore};
use countersign_ca::{Store, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};

use certificates::{certificate, mix};

const ALTERNATIONS: usize = 7;
/// The variable that names another build's binary.
const OTHER: &str = "STORE_BENCH_OTHER";
const ACCOUNTS: u64 = 10_000;
/// The step of the simulated clock for each certificate, in milliseconds. It must not make a thread that was kept waiting look like a clock that
/// went backwards.
const TICK: i64 = 1;
/// The lifetime of a transaction, by the simulated clock.
const TRANSACTION: i64 = 30_000;

fn main() {
    let certificates = setting("STORE_BENCH_CERTIFICATES", 1_000_000);
    let slice = Duration::from_secs_f64(setting("STORE_BENCH_SECONDS", 1) as f64);
    let folder = Scratch::new();
    let started = Instant::now();
    println!("store: {certificates} certificates, {ALTERNATIONS} alternations of {slice:?}\n");
    let grown = grow(&folder, certificates, slice);
    let mut disk = Probe::new(&folder.0);
    rates(&folder, &mut disk, slice);
    let ratio = goal_6(&folder, slice);
    println!("\n| goal | ratio | measured | target | |\n|---|---|---|---|---|");
    goal("6", "durable ÷ not durable, 64 writers, 2V+2S each", ratio, 0.75, true);
    goal("11", "memory growth per million, MiB", grown.memory, 32.0, false);
    goal("11", "disk ÷ DER octets", grown.disk, 1.25, false);
    goal("11", "disk ÷ DER octets (stretch)", grown.disk, 1.15, false);
    goal(
        "12",
        "rate at all stored ÷ at none, 64 writers, 2V+2S each",
        grown.enrolment_rate,
        0.9,
        true,
    );
    goal("(12)", "the same, records alone", grown.record_rate, 0.9, true);
    goal("15", "full rebuild, µs a certificate", grown.rebuild, 5.0, false);
    if let Some(program) = other::named_by(OTHER) {
        beside(&program, &grown);
    }
    println!("\nwhole run: {:.0} s", started.elapsed().as_secs_f64());
}

struct Grown {
    /// MiB for each million certificates.
    memory: f64,
    /// ÷ DER octets.
    disk: f64,
    record_rate: f64,
    enrolment_rate: f64,
    /// Certificates a second from 256 writers.
    filled: f64,
    /// Microseconds for each certificate.
    rebuild: f64,
}

/// Runs another build's bench, and prints its tables and the ratios.
fn beside(program: &Path, ours: &Grown) {
    let text = other::run(program, &[], OTHER);
    println!("\nThe other build:\n\n{text}\n| | this build | the other | ÷ |\n|---|---|---|---|");
    let of = |row: &str| other::cell(&text, &[row], 1);
    let rebuilt = text.lines().find_map(|line| line.split("full rebuild of ").nth(1)).unwrap();
    let rebuilt: f64 = rebuilt.split(' ').next().unwrap().parse().unwrap();
    let rebuild = of("time until ready, full rebuild") * 1e6 / rebuilt;
    let row = |what: &str, ours: f64, theirs: f64| {
        println!("| {what} | {ours:.2} | {theirs:.2} | {:.2} |", ours / theirs);
    };
    row("full rebuild, µs a certificate", ours.rebuild, rebuild);
    row("filled by 256 writers, certificates/s", ours.filled, of("filled by 256 writers"));
    row("memory growth per million, MiB", ours.memory, of("memory growth per million"));
    let disk = of("disk per certificate") / of("DER octets per certificate");
    row("disk ÷ DER octets", ours.disk, disk);
    println!("\n| goal | ratio | measured | target | |\n|---|---|---|---|---|");
    goal("15", "full rebuild: the other build ÷ this", rebuild / ours.rebuild, 4.0, true);
}

/// Fills a store, and measures memory, disk and time.
fn grow(folder: &Scratch, certificates: u64, slice: Duration) -> Grown {
    let bench = Bench::open(folder.0.join("large"), true);
    // Threads, caches and live transactions reach their usual size first: they do not grow with the certificates.
    bench.issue(256, Until::Count(certificates / 20), None);
    let (memory, disk, der) = (resident(), on_disk(&bench.folder), bench.der_octets());
    let began = Instant::now();
    bench.issue(256, Until::Count(certificates), None);
    let took = began.elapsed();
    let millions = certificates as f64 / 1e6;
    let memory = (resident() as f64 - memory as f64) / 1_048_576.0 / millions;
    let status = bench.store().status();
    let peak = status_field("VmHWM") as f64 / 1024.0;
    let (folder_path, counters) = bench.close();
    let disk_used = (on_disk(&folder_path) - disk) as f64;
    let der = (counters.der.load(Ordering::Relaxed) - der) as f64;
    println!("| {certificates} certificates | |\n|---|---|");
    println!(
        "| filled by 256 writers | {:.0} certificates/s |",
        certificates as f64 / took.as_secs_f64()
    );
    println!("| memory growth per million | {memory:.1} MiB |");
    println!("| peak resident memory | {peak:.0} MiB |");
    println!("| DER octets per certificate | {:.0} |", der / certificates as f64);
    println!("| disk per certificate | {:.0} octets |", disk_used / certificates as f64);
    println!(
        "| of it, index on disk | {:.0} octets |",
        status.index_bytes as f64 / certificates as f64
    );
    let before = resident();
    let began = Instant::now();
    let reopened = Bench::resume(folder_path, counters);
    let ready = began.elapsed().as_secs_f64();
    println!("| time until ready, normal start | {ready:.2} s |");
    let held = resident().saturating_sub(before) as f64 / 1_048_576.0;
    println!("| memory taken by that start | {held:.1} MiB |");
    let small = |n: usize| Bench::open(folder.0.join(format!("small{n}")), true);
    let crypto = Crypto::new();
    let (mut records, mut enrolments) = (Vec::new(), Vec::new());
    for n in 0..ALTERNATIONS {
        let empty = small(n);
        for (crypto, ratios) in [(None, &mut records), (Some(&crypto), &mut enrolments)] {
            let at_none = empty.issue(64, Until::Time(slice), crypto).rate;
            let at_all = reopened.issue(64, Until::Time(slice), crypto).rate;
            ratios.push(at_all / at_none);
        }
        empty.remove();
    }
    let (path, counters) = reopened.close();
    let began = Instant::now();
    let rebuilt = EmbeddedStore::rebuild(&path, EmbeddedOptions::default(), &mut |_| {}).unwrap();
    let took_rebuilding = began.elapsed().as_secs_f64();
    let all = rebuilt.status().certificates;
    println!("| time until ready, full rebuild of {all} | {took_rebuilding:.2} s |\n");
    drop((rebuilt, counters));
    fs::remove_dir_all(&path).unwrap();
    Grown {
        memory,
        disk: disk_used / der,
        record_rate: median(records),
        enrolment_rate: median(enrolments),
        filled: certificates as f64 / took.as_secs_f64(),
        rebuild: took_rebuilding * 1e6 / all as f64,
    }
}

/// Measures commits per second, and the disk's own rate.
fn rates(folder: &Scratch, disk: &mut Probe, slice: Duration) {
    let bench = Bench::open(folder.0.join("rates"), true);
    let writers = [1, 64, 512];
    let (mut syncs, mut sync_p50) = (Vec::new(), Vec::new());
    let mut runs: [Vec<Run>; 3] = Default::default();
    for _ in 0..ALTERNATIONS {
        let (rate, p50) = disk.run(slice);
        syncs.push(rate);
        sync_p50.push(p50);
        for (runs, writers) in runs.iter_mut().zip(writers) {
            runs.push(bench.issue(writers, Until::Time(slice), None));
        }
    }
    bench.remove();
    let disk_rate = median(syncs);
    println!(
        "| writers | commits/s | ÷ fdatasync/s | p50 | certificates per fdatasync |\n|---|---|---|---|---|"
    );
    println!(
        "| the disk alone, append of 900 octets and fdatasync | {disk_rate:.0} | 1 | {:.0} µs | |",
        median(sync_p50)
    );
    for (runs, writers) in runs.into_iter().zip(writers) {
        let rate = median(runs.iter().map(|r| r.rate).collect());
        let p50 = median(runs.iter().map(|r| r.p50).collect());
        let grouped = median(runs.iter().map(|r| r.per_group).collect());
        println!(
            "| {writers} | {rate:.0} | {:.1} | {p50:.0} µs | {grouped:.1} |",
            rate / disk_rate
        );
    }
}

/// Compares durable commits with commits that are not, with and without the cryptography of an enrolment in each.
fn goal_6(folder: &Scratch, slice: Duration) -> f64 {
    let durable = Bench::open(folder.0.join("durable"), true);
    let volatile = Bench::open(folder.0.join("volatile"), false);
    let crypto = Crypto::new();
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let (mut rates, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..ALTERNATIONS {
        let a = durable.issue(64, Until::Time(slice), Some(&crypto)).rate;
        let b = volatile.issue(64, Until::Time(slice), Some(&crypto)).rate;
        with.push(a / b);
        rates.push(a);
        let a = durable.issue(64, Until::Time(slice), None).rate;
        let b = volatile.issue(64, Until::Time(slice), None).rate;
        without.push(a / b);
        raw.push(b);
    }
    durable.remove();
    volatile.remove();
    println!("\n| 64 writers | durable ÷ not durable | |\n|---|---|---|");
    let ratio = median(with);
    println!(
        "| each verifies and signs twice (P-256) | {ratio:.2} | {:.0}/s durable |",
        median(rates)
    );
    println!("| records alone | {:.2} | {:.0}/s not durable |", median(without), median(raw));
    ratio
}

fn goal(number: &str, what: &str, measured: f64, target: f64, at_least: bool) {
    let met = if at_least { measured >= target } else { measured <= target };
    let sign = if at_least { '≥' } else { '≤' };
    let verdict = if met { "met" } else { "missed" };
    println!("| {number} | {what} | {measured:.2} | {sign} {target} | {verdict} |");
}

/// A store, with accounts, serial numbers and a simulated clock.
struct Bench {
    folder: PathBuf,
    store: Option<EmbeddedStore>,
    counters: Counters,
}

struct Counters {
    clock: AtomicI64,
    serials: AtomicU64,
    der: AtomicU64,
}

enum Until {
    Count(u64),
    Time(Duration),
}

struct Run {
    rate: f64,
    /// Microseconds.
    p50: f64,
    per_group: f64,
}

impl Bench {
    fn open(folder: PathBuf, sync: bool) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let counters = Counters {
            clock: AtomicI64::new(now),
            serials: AtomicU64::new(0),
            der: AtomicU64::new(0),
        };
        let options = EmbeddedOptions { sync, ..EmbeddedOptions::default() };
        let store = EmbeddedStore::open(&folder, options, &mut |_| {}).unwrap();
        let accounts: Vec<Account> = (0..ACCOUNTS)
            .map(|n| Account {
                name: account(n),
                identities: vec![format!("fqdn:gw{n}.example.net").parse().unwrap()],
                profile: "gateway".parse().unwrap(),
                ca: None,
                secret: None,
                equipment: None,
                created: Timestamp::from_millis(now),
                permissions: Default::default(),
                remarks: Default::default(),
                is_disabled: false,
                incarnation: Default::default(),
            })
            .collect();
        store.record_accounts(Timestamp::from_millis(now), &accounts).unwrap();
        Self { folder, store: Some(store), counters }
    }

    fn resume(folder: PathBuf, counters: Counters) -> Self {
        let store = EmbeddedStore::open(&folder, EmbeddedOptions::default(), &mut |_| {}).unwrap();
        Self { folder, store: Some(store), counters }
    }

    fn store(&self) -> &EmbeddedStore {
        self.store.as_ref().unwrap()
    }

    fn close(mut self) -> (PathBuf, Counters) {
        self.store = None;
        (self.folder, self.counters)
    }

    fn remove(self) {
        let (folder, _) = self.close();
        fs::remove_dir_all(folder).unwrap();
    }

    fn der_octets(&self) -> u64 {
        self.counters.der.load(Ordering::Relaxed)
    }

    /// Issues from this many threads at once.
    fn issue(&self, writers: u64, until: Until, crypto: Option<&Crypto>) -> Run {
        let before = self.store().status().counts;
        let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let limit = match until {
            Until::Count(count) => count,
            Until::Time(_) => u64::MAX,
        };
        let latencies = Mutex::new(Vec::new());
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| {
                    let mut own = Vec::new();
                    let mut serials = Vec::new();
                    while !stop.load(Ordering::Relaxed)
                        && done.fetch_add(1, Ordering::Relaxed) < limit
                    {
                        let from = Instant::now();
                        self.issue_one(&mut serials, crypto);
                        own.push(from.elapsed().as_nanos() as u32 / 1000);
                    }
                    latencies.lock().unwrap().append(&mut own);
                });
            }
            if let Until::Time(time) = until {
                std::thread::sleep(time);
                stop.store(true, Ordering::Relaxed);
            }
        });
        let took = began.elapsed().as_secs_f64();
        let mut latencies = latencies.into_inner().unwrap();
        latencies.sort_unstable();
        let after = self.store().status().counts;
        Run {
            rate: latencies.len() as f64 / took,
            p50: f64::from(latencies[latencies.len() / 2]),
            per_group: (after.entries - before.entries) as f64
                / (after.groups - before.groups) as f64,
        }
    }

    /// The store's part of one enrolment: a certificate and its transaction, with a serial number of a reserved block of 64.
    fn issue_one(&self, serials: &mut Vec<Serial>, crypto: Option<&Crypto>) {
        let Counters { clock, serials: counter, der } = &self.counters;
        let ca: Label = "issuing".parse().unwrap();
        if serials.is_empty() {
            let first = counter.fetch_add(64, Ordering::Relaxed);
            serials.extend((first..first + 64).map(|n| {
                let high = u128::from(mix(n)) << 64;
                Serial::new((high | u128::from(mix(!n))).to_be_bytes()).unwrap()
            }));
            let now = Timestamp::from_millis(clock.load(Ordering::Relaxed));
            self.store().reserve_serials(now, &ca, serials).unwrap();
        }
        if let Some(crypto) = crypto {
            crypto.work();
        }
        let serial = serials.pop().unwrap();
        let now = clock.fetch_add(TICK, Ordering::Relaxed);
        let seed = u64::from_be_bytes(serial.octets()[..8].try_into().unwrap());
        let certificate = certificate(seed, &serial);
        der.fetch_add(certificate.len() as u64, Ordering::Relaxed);
        let account = account(seed % ACCOUNTS);
        let issued = Issued {
            incarnation: None,
            ca,
            serial,
            profile: "gateway".parse().unwrap(),
            not_after: Timestamp::from_millis(now + 90 * 86_400_000),
            certificate,
            consumes_secret: false,
            consumes_equipment: false,
            transaction: Some(Transaction {
                registrar: None,
                proof: None,
                client: Some([192, 0, 2, 1].into()),
                id: serial.octets().to_vec(),
                account: account.clone(),
                awaits: None,
                confirm_until: None,
                expires: Timestamp::from_millis(now + TRANSACTION),
                context: Vec::new(),
            }),
            account,
            replaces: None,
            partition: None,
            withheld: false,
            unpublished: false,
            retires: None,
        };
        self.store().record_issued(Timestamp::from_millis(now), &issued).unwrap();
    }
}

/// The cryptography of an enrolment under a signature: two verifications and two signatures with P-256.
struct Crypto {
    key: EcdsaKeyPair,
    random: SystemRandom,
    signature: Vec<u8>,
}

const MESSAGE: [u8; 600] = [7; 600];

impl Crypto {
    fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        let signature = key.sign(&random, &MESSAGE).unwrap().as_ref().to_vec();
        Self { key, random, signature }
    }

    fn work(&self) {
        let public =
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.key.public_key().as_ref());
        for _ in 0..2 {
            public.verify(&MESSAGE, &self.signature).unwrap();
            self.key.sign(&self.random, &MESSAGE).unwrap();
        }
    }
}

/// The disk alone: it appends an entry's octets again and again, each time with `fdatasync`.
struct Probe(File);

impl Probe {
    fn new(folder: &Path) -> Self {
        Self(File::create(folder.join("probe")).unwrap())
    }

    /// Rate per second, and the median in microseconds.
    fn run(&mut self, slice: Duration) -> (f64, f64) {
        let (began, mut times) = (Instant::now(), Vec::new());
        while began.elapsed() < slice {
            let from = Instant::now();
            self.0.write_all(&[0x5a; 900]).unwrap();
            self.0.sync_data().unwrap();
            times.push(from.elapsed().as_secs_f64() * 1e6);
        }
        (times.len() as f64 / began.elapsed().as_secs_f64(), median(times))
    }
}

/// A folder on the disk that the build is on, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("store-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn account(number: u64) -> Label {
    format!("gw{number}").parse().unwrap()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Resident memory in octets.
fn resident() -> u64 {
    status_field("VmRSS") * 1024
}

fn status_field(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Octets that a folder's files occupy.
fn on_disk(folder: &Path) -> u64 {
    let mut octets = 0;
    for item in fs::read_dir(folder).unwrap() {
        let item = item.unwrap();
        let meta = item.metadata().unwrap();
        octets += if meta.is_dir() { on_disk(&item.path()) } else { meta.len() };
    }
    octets
}
