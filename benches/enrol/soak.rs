//! A soak: minutes at full speed, with hostile clients among the honest ones. No honest client may get an error, memory may grow only by
//! what the certificates take, and the journal must verify.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::goals::SIGNED_IR;
use crate::load::Load;
use crate::measure::{median, status};
use crate::site::{COUNTERSIGN, Site, command};

/// Goal 11: the most memory for a million certificates, in MiB.
const PER_MILLION: f64 = 80.0;
/// The allowance for caches and the allocator, in MiB.
const SLACK: f64 = 1.05;
/// The configuration. Transactions are remembered for two minutes (the confirmation's time and two windows) and not for a quarter of an
/// hour. From the third minute on, as many end as begin, so that a growth after it is not caused by them.
const SHORT_TRANSACTIONS: &str = "[cmp]\nconfirm_wait = \"1m\"\ntime_window = \"30s\"\n";

pub fn run(time: Duration, connections: usize, hostile: u32) {
    let site = Site::start("soak", |data| {
        let path = data.join("countersign.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("[cmp]\n"));
        fs::write(path, text.replacen("[cmp]\n", SHORT_TRANSACTIONS, 1)).unwrap();
    });
    let load = Load {
        target: &site.target,
        peers: &site.peers,
        manner: SIGNED_IR,
        subject: None,
        connections,
        time,
        hostile,
        cas: &[],
    };
    let stop = AtomicBool::new(false);
    let (mut found, memory) = std::thread::scope(|scope| {
        let sampler = scope.spawn(|| sample(site.pid(), &stop));
        let found = load.run();
        stop.store(true, Ordering::Relaxed);
        (found, sampler.join().unwrap())
    });
    println!("soak: {time:?}, {connections} connections\n");
    found.print(time);
    let third = memory.len() / 3;
    let first = median(memory[..third].to_vec());
    let last = median(memory[memory.len() - third..].to_vec());
    // From the middle of the first third to the middle of the last.
    let between = found.granted as f64 * 2.0 / 3.0 / 1e6;
    println!("| resident memory, median of the first third | {first:.0} MiB |");
    println!("| of the last third | {last:.0} MiB |");
    println!("| growth for each million certificates | {:.0} MiB |", (last - first) / between);
    let log = fs::read_to_string(site.log()).unwrap();
    let panics = log.lines().filter(|line| line.contains("panicked")).count();
    println!("| lines in the server's log, panics | {}, {panics} |", log.lines().count());
    // Each line without its time, and how often the log has it.
    let mut lines = BTreeMap::new();
    for line in log.lines() {
        let (_, text) = line.split_once("Z ").unwrap_or(("", line));
        *lines.entry(text.trim()).or_insert(0_u32) += 1;
    }
    for (line, count) in lines.iter().take(10) {
        println!("| {count} times | {} |", line.escape_debug());
    }
    let folder = site.stop();
    let verified = command(&folder.0, COUNTERSIGN, &["--data", "data", "audit", "verify"]);
    println!("\n`countersign audit verify`:\n{}", verified.trim());
    assert!(found.errors.is_empty(), "an honest client got an error");
    assert!(found.taken_in.is_empty(), "a hostile request was granted");
    assert_eq!(panics, 0, "{log}");
    assert!(
        last <= first * SLACK + PER_MILLION * between,
        "memory grew from {first:.0} to {last:.0} MiB"
    );
}

/// Resident memory each second, MiB.
fn sample(pid: u32, stop: &AtomicBool) -> Vec<f64> {
    let mut all = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_secs(1));
        all.extend(status(pid, "VmRSS").map(|kib| kib as f64 / 1024.0));
    }
    all
}
