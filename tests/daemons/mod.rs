//! Real IKE daemons and a real directory on a network of the test's own, and a Countersign that serves them.
#![allow(dead_code, reason = "each daemon uses its own part of it")]

pub mod authorizer;
pub mod charon;
pub mod exported;
pub mod libreswan;
pub mod namespaces;
pub mod openiked;
pub mod plugin;
pub mod site;
pub mod slapd;

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest wait for an event. Only a broken test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `ready` gives a value. After a long time the test fails; the message has `what` did not happen, and the `state`.
#[track_caller]
pub fn wait_for<T>(
    what: &str,
    state: impl Fn() -> String,
    mut ready: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what} did not happen in {PATIENCE:?}:\n{}", state());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The folder that `make deps` unpacked a package into.
#[track_caller]
pub fn unpacked(package: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-daemons").join(package);
    assert!(folder.is_dir(), "`{}` is missing: run `make deps`", folder.display());
    folder
}

/// Runs a command that must succeed. Gives its standard output, followed by its standard error.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let (ok, text) = outcome(command);
    assert!(ok, "{command:?} failed:\n{text}");
    text
}

/// Runs a command. Gives whether it succeeded, and its standard output, followed by its standard error.
#[track_caller]
pub fn outcome(command: &mut Command) -> (bool, String) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}; the program comes with `make deps`"));
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    if let Some(signal) = output.status.signal() {
        text.push_str(&format!("(ended by signal {signal})"));
    }
    (output.status.success(), text)
}

/// A process that runs until the test ends, and its log.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts a daemon. Its standard output and standard error go to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let file = fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}; the program comes with `make deps`"));
        Self { child, log: log.to_owned() }
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        let mut bytes = Vec::new();
        let read = fs::File::open(&self.log).and_then(|mut file| file.read_to_end(&mut bytes));
        read.map(|_| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Sends SIGTERM, and waits for the daemon's end.
    pub fn stop(mut self) {
        run(Command::new("kill").args(["-TERM", &self.child.id().to_string()]));
        let log = self.log.clone();
        wait_for(
            "the daemon's end",
            || fs::read_to_string(&log).unwrap_or_default(),
            || self.child.try_wait().expect("a status"),
        );
    }

    /// Waits until `ready` holds. Fails at once if the daemon has ended.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, mut ready: impl FnMut(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if ready(&log) {
                return;
            }
            let ended = self.child.try_wait().expect("a status");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{what} did not happen (the daemon's end: {ended:?}):\n{log}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}", self.log.display(), self.log());
        }
    }
}

/// The last line of a log that contains all these words. It is printed, too, so that the test's output has the daemon's own message.
#[track_caller]
pub fn quoted(who: &str, log: &str, words: &[&str]) -> String {
    let line = log.lines().rfind(|line| words.iter().all(|word| line.contains(word)));
    let line = line.unwrap_or_else(|| panic!("{who} logged no line with {words:?}:\n{log}"));
    println!("{who}: {line}");
    line.to_owned()
}
