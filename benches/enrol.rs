//! The cost of an enrolment by CMP over HTTP, by EST and by SCEP, durable and audited. The same run measures the cryptography alone, `openssl
//! cmp`'s mock server, `cfssl serve` and micromdm's `scepserver`. Goals 1 to 7 and 12, EST and SCEP (docs/PERFORMANCE.md).
//!
//! `cargo bench --bench enrol`. It needs `openssl`, `cfssl`, `scepserver` and `valgrind` (`make bench-deps`). `ENROL_BENCH_ONLY` runs one part:
//! `cmp`, `durability`, `instructions`, `million`, `est` or `scep`. `ENROL_BENCH_CERTIFICATES` (default 1,000,000) is the number of stored
//! certificates for goal 12. `ENROL_BENCH_OTHER` names the program of another build, whose server is then measured by CMP in turn with this one's.
//! Figures depend on the machine; compare only ratios of one run.
//!
//! The load generator alone, against any CMP server: `cargo bench --bench enrol -- load --help`. A soak of ten minutes against a server of
//! its own, with hostile clients among the honest ones: `cargo bench --bench enrol -- soak --minutes 10`. Before the soak, a siege floods
//! the server for some minutes from many addresses, and from a hostile directory and CRL server (`--siege-only` does only that).

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
#[path = "enrol/est.rs"]
mod est;
#[path = "enrol/floor.rs"]
mod floor;
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
#[allow(dead_code, reason = "shared with other benches, which use more of it")]
mod other;
#[path = "enrol/peers.rs"]
mod peers;
#[path = "enrol/plain.rs"]
mod plain;
#[path = "enrol/primitives.rs"]
mod primitives;
#[path = "enrol/protocols.rs"]
mod protocols;
#[path = "enrol/scep.rs"]
mod scep;
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
use measure::Goal;
use mimalloc::MiMalloc;

/// The program's allocator, so that the library alone is measured under the same conditions as the program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    match cli::Arguments::parse().mode {
        Some(cli::Mode::Load(load)) => load.run(),
        Some(cli::Mode::Soak(soak)) => soak.run(),
        Some(cli::Mode::ServePlain { folder, durable }) => plain::serve(&folder, durable),
        Some(cli::Mode::ServeFloor { folder, transport, pairs }) => {
            floor::serve(&folder, transport, pairs);
        }
        Some(cli::Mode::Count { folder }) => plain::counted(&folder),
        None => bench(),
    }
}

/// A part of the bench, which adds its goals.
type Part = fn(&mut Vec<Goal>);

fn bench() {
    let started = Instant::now();
    let only = std::env::var("ENROL_BENCH_ONLY").unwrap_or_default();
    let mut goals = Vec::new();
    let parts: [(&str, Part); 6] = [
        ("cmp", goals::enrolments),
        ("durability", goals::durability),
        ("instructions", goals::instructions),
        ("million", goals::million),
        ("est", protocols::est),
        ("scep", protocols::scep),
    ];
    let names = parts.map(|(name, _)| name);
    assert!(only.is_empty() || names.contains(&&*only), "ENROL_BENCH_ONLY is one of {names:?}");
    for (name, part) in parts {
        if only.is_empty() || only == name {
            part(&mut goals);
        }
    }
    goals.sort_by_key(|goal| goal.number.parse::<u32>().unwrap_or(u32::MAX));
    println!("\n| goal | ratio | measured | target | |\n|---|---|---|---|---|");
    for goal in &goals {
        println!("{goal}");
    }
    println!("\nwhole run: {:.0} s", started.elapsed().as_secs_f64());
}
