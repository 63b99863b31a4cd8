//! What an enrolment costs: CMP over HTTP, durable and audited, beside its cryptography, `openssl cmp`'s mock server and
//! `cfssl serve`. Goals 1 to 7 and 12 (docs/PERFORMANCE.md).
//!
//! `cargo bench --bench enrol`; it needs `openssl`, `cfssl` and `valgrind` (`make bench-deps`). `ENROL_BENCH_CERTIFICATES`
//! (default 1,000,000) is how many are stored for goal 12. Figures move with the machine; only ratios of one run compare.
//!
//! The load generator alone, against any CMP server: `cargo bench --bench enrol -- load --help`. Ten minutes with hostile
//! clients among the others, against a server of its own: `cargo bench --bench enrol -- soak --minutes 10`; before that it is besieged
//! for some minutes from many addresses, and by a directory and a server of CRLs (`--siege-only` does no more).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that panics says so"
)]

#[path = "store/certificates.rs"]
mod certificates;
#[path = "enrol/cli.rs"]
mod cli;
#[path = "enrol/client.rs"]
mod client;
#[path = "enrol/goals.rs"]
mod goals;
#[path = "enrol/hostile.rs"]
mod hostile;
#[path = "enrol/load.rs"]
mod load;
#[allow(dead_code, reason = "shared with another bench, which uses more of it")]
#[path = "status/measure.rs"]
mod measure;
#[path = "enrol/meter.rs"]
mod meter;
#[path = "enrol/million.rs"]
mod million;
#[path = "enrol/peers.rs"]
mod peers;
#[path = "enrol/plain.rs"]
mod plain;
#[path = "enrol/siege.rs"]
mod siege;
#[path = "enrol/site.rs"]
mod site;
#[path = "enrol/soak.rs"]
mod soak;
#[path = "enrol/wire.rs"]
mod wire;

use std::time::Instant;

use clap::Parser;
use mimalloc::MiMalloc;

/// As the program has it: what is measured of the library alone is measured as the program would do it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    match cli::Arguments::parse().mode {
        Some(cli::Mode::Load(load)) => load.run(),
        Some(cli::Mode::Soak(soak)) => soak.run(),
        Some(cli::Mode::ServePlain { folder, durable }) => plain::serve(&folder, durable),
        Some(cli::Mode::Count { folder }) => plain::counted(&folder),
        None => bench(),
    }
}

fn bench() {
    let started = Instant::now();
    let mut goals = Vec::new();
    goals::enrolments(&mut goals);
    goals::durability(&mut goals);
    goals::instructions(&mut goals);
    goals::million(&mut goals);
    goals.sort_by_key(|goal| goal.number.parse::<u32>().unwrap_or(u32::MAX));
    println!("\n| goal | ratio | measured | target | |\n|---|---|---|---|---|");
    for goal in &goals {
        println!("{goal}");
    }
    println!("\nwhole run: {:.0} s", started.elapsed().as_secs_f64());
}
