//! The load generator: enrolments over many connections at once, each answer checked. By hand:
//!
//! `cargo bench --bench enrol -- load --server URL --reference R --secret-file F --connections 16 --seconds 60`

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Connection, Target};
use crate::hostile::Hostile;
use crate::wire::{Ask, Key, Protector, Request, request};

/// A long load verifies the signatures of one answer in this many.
const SAMPLE: u64 = 32;
/// The most recorded latencies of each connection.
const LATENCIES: usize = 1 << 20;

/// A peer: its protection of messages, and the key that it requests certificates for.
pub struct Peer {
    pub protector: Protector,
    pub key: Key,
}

/// The kind of request, and of its confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    pub ask: Ask,
    pub implicit: bool,
}

/// How strictly answers are checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The certificate must be for the key that was asked for.
    Ours,
    /// The certificate may be any: a mock server answers every request with the same one.
    Any,
}

/// A request, made before the clock starts.
pub struct Prepared {
    pub peer: usize,
    request: Request,
    http: Vec<u8>,
}

/// Makes this many requests, from the peers in turn.
pub fn prepare(
    target: &Target,
    peers: &[Peer],
    manner: Manner,
    count: usize,
    subject: Option<&str>,
) -> Vec<Prepared> {
    let contents: Vec<_> = peers.iter().map(|peer| peer.key.request(manner.ask, subject)).collect();
    (0..count)
        .map(|n| {
            let peer = n % peers.len();
            let by = &peers[peer].protector;
            let request = request(manner.ask, &contents[peer], by, manner.implicit);
            Prepared { peer, http: target.post(&request.message), request }
        })
        .collect()
}

/// The result of a run.
pub struct Run {
    /// Enrolments per second.
    pub rate: f64,
    /// Microseconds.
    pub p50: f64,
    /// The certificates, each with its peer.
    pub certificates: Vec<(usize, Vec<u8>)>,
}

/// Sends prepared requests over this many connections. The answers are checked after the measurement; it panics if one is not granted.
pub fn run(
    target: &Target,
    peers: &[Peer],
    prepared: &[Prepared],
    connections: usize,
    manner: Manner,
    check: Check,
) -> Run {
    let next = AtomicU64::new(0);
    let answers = Mutex::new(Vec::with_capacity(prepared.len()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut connection = Connection::new(target);
                let mut own = Vec::new();
                while let Some(one) = prepared.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let from = Instant::now();
                    let answer = connection.exchange(&one.http).unwrap_or_else(|e| panic!("{e}"));
                    if !manner.implicit {
                        let by = &peers[one.peer].protector;
                        confirm(&mut connection, target, &one.request, &answer, by);
                    }
                    own.push((from.elapsed(), one, answer));
                }
                answers.lock().unwrap().append(&mut own);
            });
        }
    });
    let elapsed = began.elapsed();
    let answers = answers.into_inner().unwrap();
    let mut latencies: Vec<_> = answers.iter().map(|(latency, ..)| *latency).collect();
    latencies.sort_unstable();
    let certificates = answers.iter().enumerate().map(|(n, (_, one, answer))| {
        let peer = &peers[one.peer];
        let public = (check == Check::Ours).then_some(peer.key.public.as_slice());
        let granted = one.request.granted(answer, public).unwrap_or_else(|e| panic!("{e}"));
        if check == Check::Ours && n % 16 == 0 {
            granted.verify(&peer.protector, &[]).unwrap_or_else(|e| panic!("{e}"));
        }
        (one.peer, granted.certificate.to_vec())
    });
    Run {
        rate: latencies.len() as f64 / elapsed.as_secs_f64(),
        p50: latencies[latencies.len() / 2].as_secs_f64() * 1e6,
        certificates: certificates.collect(),
    }
}

fn confirm(
    connection: &mut Connection<'_>,
    target: &Target,
    request: &Request,
    answer: &[u8],
    by: &Protector,
) {
    let confirmed = try_confirm(connection, target, request, answer, by);
    confirmed.unwrap_or_else(|e| panic!("{e}"));
}

fn try_confirm(
    connection: &mut Connection<'_>,
    target: &Target,
    request: &Request,
    answer: &[u8],
    by: &Protector,
) -> Result<(), String> {
    let granted = request.granted(answer, None)?;
    let confirmation = request.confirmation(&granted, by);
    let answer = connection.exchange(&target.post(&confirmation.message))?;
    confirmation.confirmed(&answer)
}

/// The result of a load over time.
#[derive(Default)]
pub struct Found {
    pub granted: u64,
    pub verified: u64,
    pub hostile: u64,
    /// The hostile requests that were granted, by name.
    pub taken_in: Vec<String>,
    /// The reasons why honest requests failed, and how often.
    pub errors: BTreeMap<String, u64>,
    /// Microseconds.
    latencies: Vec<u32>,
}

impl Found {
    fn add(&mut self, mut other: Self) {
        self.granted += other.granted;
        self.verified += other.verified;
        self.hostile += other.hostile;
        self.taken_in.append(&mut other.taken_in);
        self.latencies.append(&mut other.latencies);
        for (why, count) in other.errors {
            *self.errors.entry(why).or_default() += count;
        }
    }

    /// Milliseconds, of all enrolments so far.
    pub fn percentiles(&mut self) -> [f64; 3] {
        self.latencies.sort_unstable();
        [500, 990, 999].map(|share| {
            let at = self.latencies.len().saturating_sub(1) * share / 1000;
            self.latencies.get(at).map_or(f64::NAN, |micros| f64::from(*micros) / 1000.0)
        })
    }

    pub fn print(&mut self, took: Duration) {
        let [p50, p99, p999] = self.percentiles();
        println!("| enrolled | {} |\n|---|---|", self.granted);
        println!("| a second | {:.0} |", self.granted as f64 / took.as_secs_f64());
        println!("| latency p50, p99, p99.9 | {p50:.2}, {p99:.2}, {p999:.2} ms |");
        println!("| answers whose signatures were verified | {} |", self.verified);
        println!("| hostile requests | {} |", self.hostile);
        println!("| of them granted | {} |", self.taken_in.len());
        println!("| errors to honest clients | {} |", self.errors.values().sum::<u64>());
        for (why, count) in &self.errors {
            println!("| {why} | {count} |");
        }
        for what in &self.taken_in {
            println!("| granted though hostile | {what} |");
        }
    }
}

/// A load over a time. Messages are made when they are sent.
pub struct Load<'a> {
    pub target: &'a Target,
    pub peers: &'a [Peer],
    pub manner: Manner,
    pub subject: Option<&'a str>,
    pub connections: usize,
    pub time: Duration,
    /// The hostile requests in a million.
    pub hostile: u32,
    /// Certificates of CAs that answers do not carry.
    pub cas: &'a [Vec<u8>],
}

impl Load<'_> {
    pub fn run(&self) -> Found {
        let stop = AtomicBool::new(false);
        let found = Mutex::new(Found::default());
        std::thread::scope(|scope| {
            for number in 0..self.connections {
                let (stop, found) = (&stop, &found);
                scope.spawn(move || {
                    let own = self.one(number, stop);
                    found.lock().unwrap().add(own);
                });
            }
            std::thread::sleep(self.time);
            stop.store(true, Ordering::Relaxed);
        });
        found.into_inner().unwrap()
    }

    fn one(&self, number: usize, stop: &AtomicBool) -> Found {
        let mut connection = Connection::new(self.target);
        let mut found = Found::default();
        let mut hostile = Hostile::new(self.target, &self.peers[number % self.peers.len()]);
        // Connections share out the peers, and each makes its peers' requests once.
        let own: Vec<_> = (number..self.peers.len())
            .step_by(self.connections)
            .chain([number % self.peers.len()])
            .map(|peer| {
                let peer = &self.peers[peer];
                (peer, peer.key.request(self.manner.ask, self.subject))
            })
            .collect();
        for (round, (peer, content)) in own.iter().cycle().enumerate() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            if u32::from_be_bytes(crate::wire::random()) % 1_000_000 < self.hostile {
                found.hostile += 1;
                found.taken_in.extend(hostile.strike());
            }
            let from = Instant::now();
            let sampled = (round as u64).is_multiple_of(SAMPLE);
            match self.enrol(&mut connection, peer, content, sampled) {
                Ok(()) => {
                    found.granted += 1;
                    found.verified += u64::from(sampled);
                    if found.latencies.len() < LATENCIES {
                        found.latencies.push(from.elapsed().as_micros() as u32);
                    }
                }
                Err(why) => {
                    *found.errors.entry(why).or_default() += 1;
                    connection = Connection::new(self.target);
                    // A server that is gone is not asked a hundred thousand times a second.
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }
        found
    }

    fn enrol(
        &self,
        connection: &mut Connection<'_>,
        peer: &Peer,
        content: &[u8],
        sampled: bool,
    ) -> Result<(), String> {
        let request = request(self.manner.ask, content, &peer.protector, self.manner.implicit);
        let answer = connection.exchange(&self.target.post(&request.message))?;
        let granted = request.granted(&answer, Some(&peer.key.public))?;
        if sampled {
            granted.verify(&peer.protector, self.cas)?;
        }
        match self.manner.implicit {
            true => Ok(()),
            false => try_confirm(connection, self.target, &request, &answer, &peer.protector),
        }
    }
}
