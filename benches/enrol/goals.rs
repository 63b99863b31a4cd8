//! The server beside its bounds, `openssl cmp`'s mock server and `cfssl serve`.

use crate::load::{Check, Manner, Peer, Run, prepare, run};
use crate::measure::{Goal, median};
use crate::meter::{Bench, Bounds, Cpu};
use crate::site::Site;
use crate::wire::Ask;

pub const ALTERNATIONS: usize = 7;
const CONNECTIONS: [usize; 3] = [1, 16, 64];

pub const SIGNED_IR: Manner = Manner { ask: Ask::Ir, implicit: true };

/// What was measured of one kind of request at a number of connections, one value for each alternation.
#[derive(Default)]
struct Row {
    cpu: Vec<f64>,
    rate: Vec<f64>,
    p50: Vec<f64>,
    /// CPU ÷ bound.
    ratio: Vec<f64>,
}

/// One kind of request.
struct Kind<'a> {
    name: &'static str,
    manner: Manner,
    peers: &'a [Peer],
    bound: fn(&Bounds) -> f64,
    rows: [Row; 3],
}

/// A run, and the CPU time of the server for each enrolment of it in microseconds.
pub fn measured(site: &Site, peers: &[Peer], manner: Manner, connections: usize, count: usize) -> (Run, f64) {
    let prepared = prepare(&site.target, peers, manner, count, None);
    let cpu = Cpu::of(site.pid());
    let run = run(&site.target, peers, &prepared, connections, manner, Check::Ours);
    let micros = cpu.micros() / count as f64;
    (run, micros)
}

pub fn run_all(goals: &mut Vec<Goal>) {
    let site = Site::start("enrol", |_| {});
    let mut bench = Bench::new(site.folder());
    let by_mac = [site.by_secret(500), site.by_secret(10_000)];
    let kind = |name, ask, implicit, peers, bound| Kind {
        name,
        manner: Manner { ask, implicit },
        peers,
        bound,
        rows: Default::default(),
    };
    let mut kinds = [
        kind("ir signed, implicitConfirm", Ask::Ir, true, &site.peers[..], |b| 2.0 * (b.verify + b.sign)),
        kind("ir signed, certConf", Ask::Ir, false, &site.peers[..], |b| 3.0 * (b.verify + b.sign)),
        kind("kur, implicitConfirm", Ask::Kur, true, &site.peers[..], |b| 2.0 * (b.verify + b.sign)),
        kind("p10cr, PBM 500", Ask::P10cr, true, &by_mac[0], |b| b.verify + b.sign + b.derive[0]),
        kind("p10cr, PBM 10,000", Ask::P10cr, true, &by_mac[1], |b| b.verify + b.sign + b.derive[1]),
    ];
    let mut all_bounds = Vec::new();
    let mut latency = Vec::new();
    for _ in 0..ALTERNATIONS {
        for kind in &mut kinds {
            let bounds = bench.time();
            let bound = (kind.bound)(&bounds);
            for (row, connections) in kind.rows.iter_mut().zip(CONNECTIONS) {
                let count = if connections == 1 { 200 } else { 1200 };
                let (run, cpu) = measured(&site, kind.peers, kind.manner, connections, count);
                row.cpu.push(cpu);
                row.rate.push(run.rate);
                row.p50.push(run.p50);
                row.ratio.push(cpu / bound);
                if kind.manner == SIGNED_IR && connections == 1 {
                    latency.push(run.p50 / (bounds.sync + bound));
                }
            }
            all_bounds.push(bounds);
        }
    }
    let of = |value: fn(&Bounds) -> f64| median(all_bounds.iter().map(value).collect());
    println!(
        "bounds, µs: verify {:.1}, sign {:.1}, PBM 500 {:.0}, PBM 10,000 {:.0}, fdatasync p50 {:.0}\n",
        of(|b| b.verify),
        of(|b| b.sign),
        of(|b| b.derive[0]),
        of(|b| b.derive[1]),
        of(|b| b.sync)
    );
    println!("| enrolment | connections | a second | p50, µs | server CPU, µs | ÷ bound |\n|---|---|---|---|---|---|");
    for kind in &kinds {
        for (row, connections) in kind.rows.iter().zip(CONNECTIONS) {
            println!(
                "| {} | {connections} | {:.0} | {:.0} | {:.0} | {:.2} |",
                kind.name,
                median(row.rate.clone()),
                median(row.p50.clone()),
                median(row.cpu.clone()),
                median(row.ratio.clone())
            );
        }
    }
    let ratio = |kind: usize, connections: usize| median(kinds[kind].rows[connections].ratio.clone());
    push(goals, "1", "CPU per signed ir ÷ (2V+2S), 16 connections", ratio(0, 1), (1.5, 1.25), false);
    push(goals, "5", "CPU per p10cr, PBM 10,000 ÷ (KDF+V+S), 16 connections", ratio(4, 1), (1.3, 1.1), false);
    push(goals, "7", "p50 of a signed ir at 1 connection ÷ (fdatasync p50 + 2V+2S)", median(latency), (2.0, 1.4), false);
}

/// A goal and its stretch.
pub fn push(
    goals: &mut Vec<Goal>,
    number: &'static str,
    what: &str,
    measured: f64,
    (target, stretch): (f64, f64),
    at_least: bool,
) {
    goals.push(Goal { number, what: what.into(), measured, target, at_least });
    let what = format!("{what} (stretch)");
    goals.push(Goal { number, what, measured, target: stretch, at_least });
}
