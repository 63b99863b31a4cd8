//! The cost of revocation, and of its rivals in the same run: CRLs of up to a million entries, compared with hashing and signing alone and
//! with `openssl ca -gencrl`; OCSP answers, compared with `openssl ocsp`; LDAP look-ups, compared with slapd. Goals 8, 9, 10 and 13
//! (docs/PERFORMANCE.md).
//!
//! `cargo bench --bench status`. `STATUS_BENCH_ENTRIES` (default 1,000,000) is the length of the longest CRL. Figures depend on the machine;
//! compare only ratios of one run. It needs `openssl` and `slapd` (`make deps`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that panics says so"
)]

#[path = "status/crl.rs"]
mod crl;
#[path = "status/lookups.rs"]
mod lookups;
#[path = "status/measure.rs"]
mod measure;
#[path = "status/site.rs"]
mod site;

use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // The bench runs itself anew for what is measured by the peak memory of a process.
    if let [_, mode, rest @ ..] = arguments.as_slice()
        && mode == "crl-child"
    {
        return crl::child(rest);
    }
    let started = Instant::now();
    let mut goals = Vec::new();
    crl::run(&mut goals);
    lookups::run(&mut goals);
    println!("\n| goal | ratio | measured | target | |\n|---|---|---|---|---|");
    for goal in &goals {
        println!("{goal}");
    }
    println!("\nwhole run: {:.0} s", started.elapsed().as_secs_f64());
}
