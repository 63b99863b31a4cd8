//! The server compared with its bounds, `openssl cmp`'s mock server and `cfssl serve`.

use crate::floor::{Floor, Transport};
use crate::load::{Check, Manner, Peer, Run, prepare, run};
use crate::measure::{Goal, median};
use crate::meter::{Bench, Bounds, Cpu};
use crate::other;
use crate::peers::{self as rivals, Rival};
use crate::plain::{self, Plain};
use crate::protocols;
use crate::site::Site;
use crate::wire::Ask;

pub const ALTERNATIONS: usize = 7;
const CONNECTIONS: [usize; 3] = [1, 16, 64];

pub const SIGNED_IR: Manner = Manner { ask: Ask::Ir, implicit: true };

/// The measurements of one kind of request at one number of connections, with a value for each alternation.
#[derive(Default)]
struct Row {
    cpu: Vec<f64>,
    rate: Vec<f64>,
    p50: Vec<f64>,
    /// CPU ÷ bound.
    ratio: Vec<f64>,
    /// CPU ÷ that of another build, if there is one beside.
    to_other: Vec<f64>,
}

/// One kind of request.
struct Kind<'a> {
    name: &'static str,
    manner: Manner,
    peers: &'a [Peer],
    /// The peers of another build's server.
    others: &'a [Peer],
    bound: fn(&Bounds) -> f64,
    rows: [Row; 3],
}

/// A run, and the CPU time of the server for each enrolment of it in microseconds.
pub fn measured(
    site: &Site,
    peers: &[Peer],
    manner: Manner,
    connections: usize,
    count: usize,
) -> (Run, f64) {
    let prepared = prepare(&site.target, peers, manner, count, None);
    let cpu = Cpu::of(site.pid());
    let run = run(&site.target, peers, &prepared, connections, manner, Check::Ours);
    let micros = cpu.micros() / count as f64;
    (run, micros)
}

/// Measures the server's enrolments with their bounds, and the rivals in the same rounds.
pub fn enrolments(goals: &mut Vec<Goal>) {
    let site = Site::start("enrol", |_| {});
    let mut bench = Bench::new(site.folder());
    let by_mac = [site.by_secret(500), site.by_secret(10_000)];
    let other = other::named_by("ENROL_BENCH_OTHER");
    let other = other.map(|program| Site::of(&program, "other", |_| {}));
    let other_by_mac = match &other {
        Some(other) => [other.by_secret(500), other.by_secret(10_000)],
        None => Default::default(),
    };
    let other_peers = other.as_ref().map_or(&[][..], |other| &other.peers);
    let mut kinds = kinds((&site.peers, &by_mac), (other_peers, &other_by_mac));
    rivals::prepare(site.folder());
    let (mock, client) = rivals::mock(site.folder());
    let (cfssl, csr) = rivals::cfssl(site.folder());
    let floor = Floor::start("floor-cmp", Transport::Clear, 2, 1400);
    let mut floors: [protocols::Row; 3] = Default::default();
    let mut all_bounds = Vec::new();
    let (mut latency, mut under_load) = (Vec::new(), Vec::new());
    let mut beside = Beside::default();
    for _ in 0..ALTERNATIONS {
        for kind in &mut kinds {
            let bounds = bench.time();
            let bound = (kind.bound)(&bounds);
            let rows = kind.rows.iter_mut().zip(&mut floors).zip(CONNECTIONS);
            for ((row, floor_row), connections) in rows {
                let count = if connections == 1 { 200 } else { 1200 };
                let (run, cpu) = measured(&site, kind.peers, kind.manner, connections, count);
                row.push(&run, cpu, bound);
                if kind.manner == SIGNED_IR {
                    floor_row.push(&floor.volley(connections, count), bound);
                }
                if let Some(other) = &other {
                    let (_, theirs) = measured(other, kind.others, kind.manner, connections, count);
                    row.to_other.push(cpu / theirs);
                }
                match connections {
                    1 if kind.manner == SIGNED_IR => {
                        latency.push(run.p50 / (bounds.sync + bound));
                    }
                    16 if kind.manner == SIGNED_IR => {
                        under_load.push(cpu / (2.0 * bounds.loaded));
                        beside.measure(&mock, &client, &cfssl, &csr, cpu, run.rate);
                    }
                    _ => {}
                }
            }
            all_bounds.push(bounds);
        }
    }
    print_bounds(&all_bounds);
    print_kinds(&kinds);
    for (row, connections) in floors.iter().zip(CONNECTIONS) {
        row.print("the floor: 2V+2S, a shared `fdatasync`, nothing decoded", connections);
    }
    beside.print();
    let ratio = |kind: usize, row: usize| median(kinds[kind].rows[row].ratio.clone());
    let ir = ratio(0, 1);
    push(goals, "1", "CPU per signed ir ÷ (2V+2S), 16 connections", ir, (1.5, 1.25), false);
    for (what, (kind, row), (target, stretch)) in [
        ("the same, 64 connections", (0, 2), (1.5, 1.3)),
        ("the same, 1 connection", (0, 0), (2.2, 1.8)),
        ("the same with certConf, ÷ (3V+3S), 16 connections", (1, 1), (1.8, 1.5)),
        ("the same with certConf, ÷ (3V+3S), 64 connections", (1, 2), (1.8, 1.5)),
        ("CPU per p10cr, PBM 500 ÷ (KDF+V+S), 16 connections", (3, 1), (2.0, 1.5)),
        ("CPU per p10cr, PBM 500 ÷ (KDF+V+S), 64 connections", (3, 2), (2.0, 1.5)),
    ] {
        push(goals, "1", what, ratio(kind, row), (target, stretch), false);
    }
    let what = "the same, 2V+2S timed on all CPUs at once";
    push(goals, "1", what, median(under_load), (1.5, 1.25), false);
    let what = "`openssl cmp` mock server, CPU per signed ir ÷ ours, 16 connections";
    push(goals, "3", what, median(beside.mock_ratio), (3.5, 5.0), true);
    let what = "signed ir a second ÷ `cfssl serve`, 16 connections";
    push(goals, "4", what, median(beside.cfssl_ratio), (1.2, 1.6), true);
    let what = "CPU per p10cr, PBM 10,000 ÷ (KDF+V+S), 16 connections";
    push(goals, "5", what, ratio(4, 1), (1.25, 1.1), false);
    let what = "p50 of a signed ir at 1 connection ÷ (fdatasync p50 + 2V+2S)";
    push(goals, "7", what, median(latency), (2.0, 1.4), false);
}

/// The peers of a server with certificates, and those with secrets.
type Peers<'a> = (&'a [Peer], &'a [Vec<Peer>; 2]);

fn kinds<'a>(own: Peers<'a>, other: Peers<'a>) -> [Kind<'a>; 5] {
    let kind = |name, ask, implicit, (peers, others), bound| Kind {
        name,
        manner: Manner { ask, implicit },
        peers,
        others,
        bound,
        rows: Default::default(),
    };
    let signed = (own.0, other.0);
    let secret = |which: usize| (&*own.1[which], &*other.1[which]);
    let two: fn(&Bounds) -> f64 = |b| 2.0 * (b.verify + b.sign);
    let three: fn(&Bounds) -> f64 = |b| 3.0 * (b.verify + b.sign);
    let pbm: fn(&Bounds) -> f64 = |b| b.verify + b.sign + b.derive[0];
    let long: fn(&Bounds) -> f64 = |b| b.verify + b.sign + b.derive[1];
    [
        kind("ir signed, implicitConfirm", Ask::Ir, true, signed, two),
        kind("ir signed, certConf", Ask::Ir, false, signed, three),
        kind("kur, implicitConfirm", Ask::Kur, true, signed, two),
        kind("p10cr, PBM 500, implicitConfirm", Ask::P10cr, true, secret(0), pbm),
        kind("p10cr, PBM 10,000, implicitConfirm", Ask::P10cr, true, secret(1), long),
    ]
}

impl Row {
    fn push(&mut self, run: &Run, cpu: f64, bound: f64) {
        self.cpu.push(cpu);
        self.rate.push(run.rate);
        self.p50.push(run.p50);
        self.ratio.push(cpu / bound);
    }
}

/// Measures the rivals and our server in the same rounds.
#[derive(Default)]
struct Beside {
    mock_cpu: Vec<f64>,
    mock_rate: Vec<f64>,
    mock_ratio: Vec<f64>,
    cfssl_cpu: Vec<f64>,
    cfssl_rate: Vec<f64>,
    cfssl_ratio: Vec<f64>,
}

impl Beside {
    fn measure(
        &mut self,
        mock: &Rival,
        client: &Peer,
        cfssl: &Rival,
        csr: &[u8],
        our_cpu: f64,
        our_rate: f64,
    ) {
        let client = std::slice::from_ref(client);
        let count = 200;
        let prepared = prepare(&mock.target, client, SIGNED_IR, count, Some("gw1"));
        let cpu = Cpu::of(mock.pid());
        let run = run(&mock.target, client, &prepared, 16, SIGNED_IR, Check::Any);
        let mock_cpu = cpu.micros() / count as f64;
        self.mock_cpu.push(mock_cpu);
        self.mock_rate.push(run.rate);
        self.mock_ratio.push(mock_cpu / our_cpu);
        let count = 1200;
        let cpu = Cpu::of(cfssl.pid());
        let rate = rivals::volley(cfssl, csr, 16, count);
        self.cfssl_cpu.push(cpu.micros() / count as f64);
        self.cfssl_rate.push(rate);
        self.cfssl_ratio.push(our_rate / rate);
    }

    fn print(&self) {
        let of = |values: &[f64]| median(values.to_vec());
        println!(
            "| `openssl cmp` mock server, ir signed, records nothing | 16 | {:.0} | | {:.0} | | |",
            of(&self.mock_rate),
            of(&self.mock_cpu)
        );
        println!(
            "| `cfssl serve`, one signature, no CMP, records nothing | 16 | {:.0} | | {:.0} | | |",
            of(&self.cfssl_rate),
            of(&self.cfssl_cpu)
        );
    }
}

fn print_bounds(all: &[Bounds]) {
    let of = |value: fn(&Bounds) -> f64| median(all.iter().map(value).collect());
    println!("| bound | µs |\n|---|---|");
    println!("| V: verifying on P-256 | {:.1} |", of(|b| b.verify));
    println!("| S: signing | {:.1} |", of(|b| b.sign));
    println!("| V+S while every CPU does so | {:.1} |", of(|b| b.loaded));
    println!("| KDF: PBM 500, 10,000 | {:.0}, {:.0} |", of(|b| b.derive[0]), of(|b| b.derive[1]));
    println!("| `fdatasync`, p50 | {:.0} |\n", of(|b| b.sync));
}

fn print_kinds(kinds: &[Kind<'_>]) {
    println!(
        "| enrolment | connections | a second | p50, µs | server CPU, µs | ÷ bound | ÷ other build |"
    );
    println!("|---|---|---|---|---|---|---|");
    for kind in kinds {
        for (row, connections) in kind.rows.iter().zip(CONNECTIONS) {
            println!(
                "| {} | {connections} | {:.0} | {:.0} | {:.0} | {:.2} | {} |",
                kind.name,
                median(row.rate.clone()),
                median(row.p50.clone()),
                median(row.cpu.clone()),
                median(row.ratio.clone()),
                match &*row.to_other {
                    [] => String::new(),
                    ratios => format!("{:.2}", median(ratios.to_vec())),
                }
            );
        }
    }
}

/// Goal 6: the same server with and without waiting for the disk.
pub fn durability(goals: &mut Vec<Goal>) {
    let durable = Plain::start("durable", true);
    let volatile = Plain::start("volatile", false);
    let rate = |plain: &Plain| {
        let prepared = prepare(&plain.target, &plain.peers, SIGNED_IR, 2000, None);
        run(&plain.target, &plain.peers, &prepared, 64, SIGNED_IR, Check::Ours).rate
    };
    let ratios = (0..ALTERNATIONS).map(|_| rate(&durable) / rate(&volatile)).collect();
    let what = "durable ÷ not durable, signed ir a second, 64 connections";
    push(goals, "6", what, median(ratios), (0.75, 0.9), true);
}

/// Goal 2.
pub fn instructions(goals: &mut Vec<Goal>) {
    let Some((handler, cryptography)) = plain::instructions() else {
        return println!("goal 2 is not measured: there is no valgrind (`make bench-deps`)");
    };
    println!("\n| instructions by callgrind, a signed ir | |\n|---|---|");
    println!("| from its octets to those of the answer | {handler:.0} |");
    println!("| two verifications and two signatures | {cryptography:.0} |");
    let what = "instructions of a signed ir ÷ those of 2V+2S";
    push(goals, "2", what, handler / cryptography, (1.25, 1.08), false);
}

/// Goal 12.
pub fn million(goals: &mut Vec<Goal>) {
    let count = std::env::var("ENROL_BENCH_CERTIFICATES");
    let count = count.ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let (rate, cpu) = crate::million::run(count);
    println!("\n{count} stored ÷ none, 64 connections: rate {rate:.2}, server CPU {cpu:.2}");
    push(goals, "12", "signed ir a second, all stored ÷ none", rate, (0.9, 0.98), true);
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
