//! CRLs of 10,000, 100,000 and 1,000,000 entries.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use countersign_ca::record::revoked::RevokedSet;
use countersign_ca::record::{Reason, Revocation, RevokedEntry, Serial};
use countersign_ca::signed::crl::Crl;
use countersign_ca::{FileKey, KeyAlgorithm, Timestamp};
use rcgen::SigningKey;
use ring::digest::{Context, SHA256};

use crate::measure::{Goal, Scratch, cost_of, median, own_cpu, status};

const ALTERNATIONS: usize = 7;

/// Measures every length, and prints a table.
pub fn run(goals: &mut Vec<Goal>) {
    let most: u32 = std::env::var("STATUS_BENCH_ENTRIES").map_or(1_000_000, |n| n.parse().unwrap());
    println!(
        "| CRL of | octets | ours, CPU | peak memory | SHA-256 and a signature, CPU | ÷ | `openssl ca -gencrl`, CPU | peak memory |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let lengths = [10_000, 100_000, 1_000_000].into_iter().filter(|n| *n <= most);
    for entries in lengths {
        let scratch = Scratch::new("crl");
        let ours = ours(entries, &scratch.0);
        let theirs = theirs(entries, &scratch.0);
        println!(
            "| {entries} | {} | {:.1} ms | {:.1} MiB | {:.1} ms | {:.2} | {:.2} s | {:.0} MiB |",
            ours.length,
            ours.cpu * 1e3,
            ours.peak_mib,
            ours.bound * 1e3,
            ours.ratio,
            theirs.0,
            theirs.1
        );
        if entries != most {
            continue;
        }
        let mut goal = |number, what: &str, measured, target, at_least| {
            goals.push(Goal { number, what: what.to_owned(), measured, target, at_least });
        };
        let nine = format!("CRL of {entries}: CPU ÷ SHA-256 over its octets and a signature");
        goal("9", &nine, ours.ratio, 5.0, false);
        goal("9", &format!("{nine} (stretch)"), ours.ratio, 2.5, false);
        let (cpu, memory) = (theirs.0 / ours.cpu, theirs.1 / ours.peak_mib);
        goal("10", "`openssl ca -gencrl` ÷ ours, CPU", cpu, 60.0, true);
        goal("10", "`openssl ca -gencrl` ÷ ours, CPU (stretch)", cpu, 130.0, true);
        goal("10", "`openssl ca -gencrl` ÷ ours, peak memory", memory, 6.0, true);
        goal("10", "`openssl ca -gencrl` ÷ ours, peak memory (stretch)", memory, 12.0, true);
    }
}

struct Ours {
    length: u64,
    cpu: f64,
    bound: f64,
    ratio: f64,
    peak_mib: f64,
}

/// Runs the measurement in a process of its own, so that its peak memory is that of the CRL alone.
fn ours(entries: u32, folder: &Path) -> Ours {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["crl-child", &entries.to_string()])
        .arg(folder)
        .output()
        .expect("the bench runs itself");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().map(|n| n.parse().unwrap()).collect();
    let [length, cpu, bound, ratio, peak_mib] = numbers[..] else { panic!("{text}") };
    Ours { length: length as u64, cpu, bound, ratio, peak_mib }
}

/// `crl-child ENTRIES FOLDER`: signs a CRL, and hashes the file and signs once, in turn.
pub fn child(arguments: &[String]) {
    let entries: u32 = arguments[0].parse().unwrap();
    let path = Path::new(&arguments[1]).join("ours.crl");
    let set = revoked(entries);
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let issuer = "CN=Issuing,O=Example,C=DE".parse().unwrap();
    let crl = Crl {
        issuer: &issuer,
        issuer_key_identifier: &[7; 20],
        number: 300,
        this_update: Timestamp::from_seconds(1_800_000_000),
        next_update: Timestamp::from_seconds(1_800_600_000),
        base: None,
        distribution_point: &[],
        freshest: &[],
    };
    let pid = std::process::id();
    let (mut ours, mut bounds, mut length) = (Vec::new(), Vec::new(), 0);
    let mut file =
        File::options().create(true).truncate(true).read(true).write(true).open(path).unwrap();
    for _ in 0..ALTERNATIONS {
        let before = own_cpu();
        length = crl
            .sign(&key, set.listed(None, Timestamp::default(), &Default::default()), &mut file)
            .unwrap()
            .length;
        ours.push((own_cpu() - before).as_secs_f64());
        file.seek(SeekFrom::Start(0)).unwrap();
        bounds.push(hash_and_sign(&mut file, &key).as_secs_f64());
    }
    let ratios = ours.iter().zip(&bounds).map(|(ours, bound)| ours / bound).collect();
    let peak = status(pid, "VmHWM").unwrap() as f64 / 1024.0;
    println!("{length} {} {} {} {peak}", median(ours), median(bounds), median(ratios));
}

/// The CPU time of SHA-256 over the file's octets, without reading them, and of one signature.
fn hash_and_sign(file: &mut File, key: &FileKey) -> Duration {
    let (mut context, mut chunk, mut took) =
        (Context::new(&SHA256), vec![0; 1 << 16], Duration::ZERO);
    loop {
        let read = file.read(&mut chunk).unwrap();
        let began = Instant::now();
        context.update(&chunk[..read]);
        took += began.elapsed();
        if read == 0 {
            break;
        }
    }
    let began = Instant::now();
    std::hint::black_box(context.finish());
    std::hint::black_box(key.sign(b"a digest would be signed").unwrap());
    took + began.elapsed()
}

/// The n-th of a CRL's entries, ordered by their serial numbers, which are spread evenly. Half of the entries have a reason.
fn entry(n: u32, of: u32) -> RevokedEntry {
    let noise = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) >> 32;
    let serial =
        (u128::MAX / u128::from(of)) * u128::from(n) + noise % (u128::MAX / u128::from(of)) + 1;
    RevokedEntry {
        serial: Serial::new(serial.to_be_bytes()).unwrap(),
        not_after: Timestamp::from_seconds(1_900_000_000),
        partition: None,
        revocation: Revocation {
            // The revocation date is independent of the serial number.
            at: Timestamp::from_seconds(1_700_000_000 + (noise % 90_000_000) as i64),
            reason: if n.is_multiple_of(2) { Reason::Unspecified } else { Reason::Superseded },
            invalidity: None,
        },
    }
}

/// As when a store opens.
fn revoked(entries: u32) -> RevokedSet {
    let mut set = RevokedSet::default();
    (0..entries).for_each(|n| set.insert(&entry(n, entries)));
    set
}

/// `openssl ca -gencrl` over an index of the same kind: CPU seconds and peak memory in MiB.
fn theirs(entries: u32, folder: &Path) -> (f64, f64) {
    let mut index = String::new();
    // The index has the order of issue, in which serial numbers are random.
    for n in (0..u64::from(entries)).map(|n| n * 7_919 % u64::from(entries)) {
        let entry = entry(n as u32, entries);
        let reason = if entry.revocation.reason == Reason::Superseded { ",superseded" } else { "" };
        let serial = entry.serial.to_string().to_uppercase();
        index.push_str(&format!(
            "R\t300101000000Z\t231114221320Z{reason}\t{serial}\tunknown\t/CN={serial}\n"
        ));
    }
    fs::write(folder.join("index.txt"), index).unwrap();
    fs::write(folder.join("crlnumber"), "012C\n").unwrap();
    fs::write(
        folder.join("ca.cnf"),
        "[ca]\ndefault_ca=a\n[a]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=7\n\
         crl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n",
    )
    .unwrap();
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.current_dir(folder).args(arguments);
        command
    };
    let made = openssl(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=a",
    ])
    .args(["-keyout", "ca.key", "-out", "ca.crt"])
    .output()
    .expect("openssl: run `make deps`");
    assert!(made.status.success());
    let runs = if entries >= 1_000_000 { 1 } else { 3 };
    let costs: Vec<_> = (0..runs)
        .map(|_| {
            cost_of(&mut openssl(&[
                "ca",
                "-gencrl",
                "-config",
                "ca.cnf",
                "-cert",
                "ca.crt",
                "-keyfile",
                "ca.key",
                "-out",
                "theirs.crl",
            ]))
        })
        .collect();
    let peak = costs.iter().map(|cost| cost.peak_kib).max().unwrap() as f64 / 1024.0;
    (median(costs.iter().map(|cost| cost.cpu.as_secs_f64()).collect()), peak)
}
