//! The CPU time of a server, and its bounds: the time of cryptography and disk alone, measured in the same run.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

use crate::measure::median;
use crate::wire::{Key, derive};

/// The CPU time of each thread of a process, in nanoseconds.
pub struct Cpu {
    pid: u32,
    before: HashMap<String, u64>,
}

impl Cpu {
    pub fn of(pid: u32) -> Self {
        Self { pid, before: threads(pid) }
    }

    /// Microseconds since this was made. Threads that ended since are not counted.
    pub fn micros(&self) -> f64 {
        let now = threads(self.pid);
        let spent = now.iter().map(|(thread, time)| {
            time.saturating_sub(self.before.get(thread).copied().unwrap_or_default())
        });
        spent.sum::<u64>() as f64 / 1e3
    }
}

fn threads(pid: u32) -> HashMap<String, u64> {
    let Ok(folder) = fs::read_dir(format!("/proc/{pid}/task")) else { return HashMap::new() };
    let each = folder.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        let time = text.split(' ').next()?.parse().ok()?;
        Some((thread.file_name().into_string().ok()?, time))
    });
    each.collect()
}

/// Waits until a process is idle.
pub fn until_idle(pid: u32) {
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        let cpu = Cpu::of(pid);
        std::thread::sleep(Duration::from_secs(1));
        // Two hundredths of one CPU.
        if cpu.micros() < 20_000.0 {
            return;
        }
        assert!(Instant::now() < deadline, "the server does not come to rest");
    }
}

/// Microseconds on one CPU.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Verifying a signature on P-256 over 600 octets.
    pub verify: f64,
    /// Making such a signature.
    pub sign: f64,
    /// Deriving a key by 500 and by 10,000 iterations.
    pub derive: [f64; 2],
    /// `fdatasync` after an append of 900 octets, the median.
    pub sync: f64,
    /// Verifying and making one signature while every CPU does the same. A loaded server is measured against this, because two virtual CPUs
    /// can be two threads of one core.
    pub loaded: f64,
}

/// Measures the bounds of an enrolment.
pub struct Bench {
    key: Key,
    signature: Vec<u8>,
    probe: File,
}

const MESSAGE: [u8; 600] = [7; 600];

impl Bench {
    pub fn new(folder: &Path) -> Self {
        let key = Key::generate();
        let signature = key.sign(&MESSAGE);
        Self { key, signature, probe: File::create(folder.join("probe")).unwrap() }
    }

    pub fn time(&mut self) -> Bounds {
        let bounds = Bounds {
            verify: each(400, || self.verify()),
            sign: each(800, || drop(self.key.sign(&MESSAGE))),
            derive: [
                each(100, || drop(derive(b"secret", &[1; 16], 500))),
                each(20, || drop(derive(b"secret", &[1; 16], 10_000))),
            ],
            sync: 0.0,
            loaded: 0.0,
        };
        let loaded = self.loaded();
        let probe = &mut self.probe;
        let times = (0..100).map(|_| {
            let from = Instant::now();
            probe.write_all(&[0x5a; 900]).unwrap();
            probe.sync_data().unwrap();
            from.elapsed().as_secs_f64() * 1e6
        });
        Bounds { sync: median(times.collect()), loaded, ..bounds }
    }

    fn loaded(&self) -> f64 {
        let cpus = std::thread::available_parallelism().map_or(2, usize::from);
        let both = || {
            each(300, || {
                self.verify();
                self.sign();
            })
        };
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..cpus).map(|_| scope.spawn(both)).collect();
            median(all.into_iter().map(|one| one.join().unwrap()).collect())
        })
    }

    /// One verification from the octets of the key, as the server does it.
    pub fn verify(&self) {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.key.public[26..]);
        key.verify(&MESSAGE, &self.signature).unwrap();
    }

    pub fn sign(&self) {
        self.key.sign(&MESSAGE);
    }
}

/// The mean CPU time of a call, in microseconds, over this many calls.
pub fn each(count: u32, mut call: impl FnMut()) -> f64 {
    let began = thread_time();
    for _ in 0..count {
        call();
    }
    (thread_time() - began).as_secs_f64() * 1e6 / f64::from(count)
}

/// The CPU time of this thread so far.
pub fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
