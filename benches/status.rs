//! The cost of revocation, and of its rivals in the same run: CRLs of up to a million entries, compared with hashing and signing alone and
//! with `openssl ca -gencrl`; OCSP answers, compared with `openssl ocsp`; LDAP look-ups, compared with slapd. Goals 8, 9, 10 and 13
//! (docs/PERFORMANCE.md).
//!
//! `cargo bench --bench status`. `STATUS_BENCH_ENTRIES` (default 1,000,000) is the length of the longest CRL. Figures depend on the machine;
//! compare only ratios of one run. `STATUS_BENCH_ONLY` (`crl`, `ocsp` or `ldap`) runs a part. It needs `openssl` and `slapd` (`make deps`).

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
#[path = "status/http.rs"]
mod http;
#[path = "status/lookups.rs"]
mod lookups;
#[path = "status/measure.rs"]
mod measure;
#[path = "status/site.rs"]
mod site;

use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // The bench runs itself anew for what is measured by the peak memory or the CPU time of a process.
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "crl-child", ..] => return crl::child(&arguments[2..]),
        [_, http::CHILD, length] => return http::child(length),
        _ => {}
    }
    let started = Instant::now();
    let mut goals = Vec::new();
    let only = std::env::var("STATUS_BENCH_ONLY").unwrap_or_default();
    if matches!(only.as_str(), "" | "crl") {
        crl::run(&mut goals);
    }
    if only != "crl" {
        lookups::run(&only, &mut goals);
    }
    println!("\n| goal | ratio | measured | target | |\n|---|---|---|---|---|");
    for goal in &goals {
        println!("{goal}");
    }
    println!("\nwhole run: {:.0} s", started.elapsed().as_secs_f64());
}
