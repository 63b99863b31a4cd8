//! The handle of the decision log. The log has one JSON object on a line, in files of bounded size and number. It also keeps the last
//! policies by which decisions were made.
//!
//! A thread of its own writes, so that a decision does not wait for the disk. If the disk fails or hangs, decisions go on, and those that are not
//! recorded are counted: a broken disk must not take all tunnels down. Policies may contain pre-shared keys, so that only the owner can read
//! them.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use countersign_ca::Timestamp;

use super::files::POLICIES;
use super::record::Decision;
use super::repeats::Repeats;
use super::writer::{Line, LogWriter};
use crate::policy::LoadedPolicy;
use crate::wire::Answer;

/// The most lines that wait in the queue for the writer thread.
const QUEUE: usize = 4096;
/// How long a decision waits for room in the queue. After one has waited in vain, the next ones do not wait at all, until one finds room
/// again.
const PATIENCE: Duration = Duration::from_millis(100);

/// The handle of the decision log. Dropping it writes what is queued, and ends the writer thread.
pub struct DecisionLog {
    lines: Option<SyncSender<Line>>,
    lost: Arc<AtomicU64>,
    repeats: Arc<Repeats>,
    /// Whether the last decision found no room in the queue.
    hangs: AtomicBool,
    thread: Option<JoinHandle<()>>,
}

impl DecisionLog {
    /// Opens the log in `folder`, and makes the folder if there is none.
    ///
    /// # Errors
    /// The folder or the file cannot be written, or a thread cannot be made.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let policies = folder.join(POLICIES);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&policies)?;
        // A folder that an earlier version made may be readable to others.
        fs::set_permissions(&policies, fs::Permissions::from_mode(0o700))?;
        let repeats = Arc::<Repeats>::default();
        let writer = LogWriter::open(folder.to_owned(), Arc::clone(&repeats))?;
        let (lines, waiting) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        let thread = std::thread::Builder::new()
            .name("decisions".into())
            .spawn(move || writer.run(&waiting, &counted))?;
        let (lines, hangs) = (Some(lines), AtomicBool::new(false));
        Ok(Self { lines, lost, repeats, hangs, thread: Some(thread) })
    }

    /// A log that records nothing.
    pub fn none() -> Self {
        let (lost, repeats, hangs) = (Arc::default(), Arc::default(), AtomicBool::new(false));
        Self { lines: None, lost, repeats, hangs, thread: None }
    }

    /// Records a decision. If the disk fails or hangs, the decision is lost, and counted by [`Self::lost`].
    pub fn record(&self, decision: Decision) {
        self.send(Line::Decision(Box::new(decision)));
    }

    /// Records the denial of something that is not a question.
    pub fn record_refusal(&self, at: Timestamp, answer: Answer) {
        self.send(Line::Refusal(at, answer));
    }

    /// Counts a repetition of a recorded denial.
    pub fn record_again(&self, at: Timestamp, answer: &Answer) {
        if self.lines.is_none() {
            return;
        }
        let told = self.repeats.count(at, answer);
        told.into_iter().for_each(|(trace, repeat)| self.send(Line::Repeat(trace, repeat)));
    }

    /// Keeps a policy, so that decisions by it can be explained later.
    pub fn keep_policy(&self, policy: &LoadedPolicy) {
        self.send(Line::Policy(policy.digest().to_string(), policy.text()));
    }

    /// Waits until everything recorded so far is written to the file, or could not be.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if let Some(lines) = &self.lines
            && lines.send(Line::Flushed(done)).is_ok()
        {
            let _ = wait.recv();
        }
    }

    /// The number of lines that could not be recorded since the log was opened: decisions, and counts of repeated denials.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The repeats that are not in the log yet.
    #[cfg(test)]
    pub(super) fn repeats(&self) -> &Repeats {
        &self.repeats
    }

    /// Queues a line for the writer. A daemon waits meanwhile, so that the caller waits only briefly for a busy disk, and not at all for one
    /// that hangs.
    fn send(&self, mut line: Line) {
        let Some(lines) = &self.lines else { return };
        let began = Instant::now();
        loop {
            line = match lines.try_send(line) {
                Ok(()) => return self.hangs.store(false, Ordering::Relaxed),
                Err(TrySendError::Full(line))
                    if began.elapsed() < PATIENCE && !self.hangs.load(Ordering::Relaxed) =>
                {
                    line
                }
                Err(TrySendError::Full(line) | TrySendError::Disconnected(line)) => {
                    return self.lose(&line);
                }
            };
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn lose(&self, line: &Line) {
        if !self.hangs.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "the disk of the decision log hangs; decisions are counted, and not recorded"
            );
        }
        match line {
            Line::Policy(..) => {
                tracing::warn!("the policy is not kept; decisions by it cannot be explained later");
            }
            _ => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for DecisionLog {
    fn drop(&mut self) {
        self.lines = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
