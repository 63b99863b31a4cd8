//! CPU time and memory of processes, medians, and the table of goals.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A goal, with the measurement.
pub struct Goal {
    pub number: &'static str,
    pub what: String,
    pub measured: f64,
    pub target: f64,
    pub at_least: bool,
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met =
            if self.at_least { self.measured >= self.target } else { self.measured <= self.target };
        let (sign, word) =
            (if self.at_least { '≥' } else { '≤' }, if met { "met" } else { "missed" });
        write!(
            f,
            "| {} | {} | {:.2} | {sign} {} | {word} |",
            self.number, self.what, self.measured, self.target
        )
    }
}

/// The CPU time of a process so far, of all its threads, ended ones included. The resolution is a hundredth of a second.
pub fn cpu(pid: u32) -> Duration {
    let ticks: u64 = fields(pid)[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// The CPU time of this process so far.
pub fn own_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A field of `/proc/PID/status`, in KiB.
pub fn status(pid: u32, field: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The CPU time and peak memory of a process from its start to its end.
#[derive(Clone, Copy)]
pub struct Cost {
    pub cpu: Duration,
    pub peak_kib: u64,
}

/// Runs a command to its end, and measures it.
pub fn cost_of(command: &mut Command) -> Cost {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let (pid, mut peak_kib) = (child.id(), 0);
    // A process that ended and was not waited for still has its times.
    while state(pid) != 'Z' {
        peak_kib = status(pid, "VmHWM").unwrap_or(0).max(peak_kib);
        std::thread::sleep(Duration::from_millis(2));
    }
    let cpu = cpu(pid);
    assert!(child.wait().expect("it ends").success(), "{command:?}");
    Cost { cpu, peak_kib }
}

/// The fields of `/proc/PID/stat` after the name, the state first.
fn fields(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let (_, behind) = text.rsplit_once(") ").unwrap();
    behind.split(' ').map(str::to_owned).collect()
}

fn state(pid: u32) -> char {
    fields(pid)[0].chars().next().unwrap()
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A folder that is removed at the end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that ends with the bench.
pub struct Server(pub Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
