//! The thread that writes the decision log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use countersign_ca::Timestamp;
use serde_json::Value;

use super::files::{ASIDE, POLICIES, log_file, policy_file};
use super::record::{Decision, decision_json, refusal_json};
use super::repeats::{Repeat, Repeats, repeat_json};
use crate::wire::Answer;

/// A file is put aside once it is larger than this, in octets.
const MAX_FILE: u64 = 64 << 20;
/// The most policies that are kept, the newest ones.
const MAX_POLICIES: usize = 32;
/// The time between two loggings of the repeats.
const REPEATS_TOLD: Duration = Duration::from_secs(10);

/// A job for the writer thread.
pub(super) enum Line {
    /// A decision about a question.
    Decision(Box<Decision>),
    /// The denial of something that is not a question, and its time.
    Refusal(Timestamp, Answer),
    /// The trace of a denial, and how often it was repeated.
    Repeat(String, Repeat),
    /// A policy to be kept: the SHA-256 over its text in hexadecimal, and the text.
    Policy(String, Vec<u8>),
    /// A request that is answered when everything before it is written.
    Flushed(SyncSender<()>),
}

/// Appends lines to the current file, rotates full files, and keeps policies.
pub(super) struct LogWriter {
    repeats: Arc<Repeats>,
    /// When the repeats were last logged.
    told: Instant,
    folder: PathBuf,
    file: File,
    /// The size of the file, in octets.
    size: u64,
    /// The lines that are not written yet.
    buffer: Vec<u8>,
    /// How many lines the buffer has.
    waiting: u64,
}

impl LogWriter {
    /// Opens the current file of the log in this folder.
    pub fn open(folder: PathBuf, repeats: Arc<Repeats>) -> io::Result<Self> {
        let file = append(&log_file(&folder, 0))?;
        let size = file.metadata()?.len();
        let told = Instant::now();
        Ok(Self { repeats, told, folder, file, size, buffer: Vec::new(), waiting: 0 })
    }

    /// Does the jobs until the log is closed. `lost` counts lines that could not be written.
    pub fn run(mut self, lines: &Receiver<Line>, lost: &AtomicU64) {
        let mut is_open = true;
        while is_open {
            let mut flushed = Vec::new();
            match lines.recv_timeout(REPEATS_TOLD) {
                Ok(line) => self.take(line, &mut flushed),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => is_open = false,
            }
            while self.buffer.len() < (1 << 20)
                && let Ok(line) = lines.try_recv()
            {
                self.take(line, &mut flushed);
            }
            if !is_open || !flushed.is_empty() || self.told.elapsed() >= REPEATS_TOLD {
                self.tell_repeats();
            }
            if self.buffer.is_empty() && flushed.is_empty() {
                continue;
            }
            if let Err(error) = self.write() {
                tracing::error!(%error, lost = self.waiting, "decisions were not recorded");
                lost.fetch_add(self.waiting, Ordering::Relaxed);
            }
            self.buffer.clear();
            self.waiting = 0;
            for done in flushed {
                let _ = done.send(());
            }
        }
    }

    fn tell_repeats(&mut self) {
        self.told = Instant::now();
        for (trace, repeat) in self.repeats.take() {
            self.put(&repeat_json(&trace, &repeat));
        }
    }

    fn put(&mut self, value: &Value) {
        self.waiting += 1;
        self.buffer.extend_from_slice(value.to_string().as_bytes());
        self.buffer.push(b'\n');
    }

    fn take(&mut self, line: Line, flushed: &mut Vec<SyncSender<()>>) {
        let value = match line {
            Line::Decision(decision) => decision_json(*decision),
            Line::Refusal(at, answer) => refusal_json(at, &answer),
            Line::Repeat(trace, repeat) => repeat_json(&trace, &repeat),
            Line::Policy(digest, text) => {
                if let Err(error) = self.keep(&digest, &text) {
                    tracing::warn!(%error, "the policy is not kept; decisions by it cannot be explained later");
                }
                return;
            }
            Line::Flushed(done) => return flushed.push(done),
        };
        self.put(&value);
    }

    fn write(&mut self) -> io::Result<()> {
        if self.size > MAX_FILE {
            self.put_aside()?;
        }
        let written = self.file.write_all(&self.buffer);
        if written.is_err() {
            // Half a line would make the next one unreadable.
            let _ = self.file.set_len(self.size);
        }
        written?;
        self.size = self.size.saturating_add(self.buffer.len() as u64);
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        let name = |number: usize| log_file(&self.folder, number);
        for number in (1..ASIDE).rev() {
            match fs::rename(name(number), name(number + 1)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        fs::rename(name(0), name(1))?;
        self.file = append(&name(0))?;
        self.size = 0;
        Ok(())
    }

    fn keep(&self, digest: &str, text: &[u8]) -> io::Result<()> {
        let folder = self.folder.join(POLICIES);
        let path = policy_file(&self.folder, digest);
        let beside = folder.join("new");
        match fs::remove_file(&beside) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text)?;
        fs::rename(&beside, &path)?;
        let mut policies: Vec<_> = fs::read_dir(&folder)?
            .filter_map(Result::ok)
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        policies.sort();
        let surplus = policies.len().saturating_sub(MAX_POLICIES);
        policies.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}
