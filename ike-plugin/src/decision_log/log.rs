//! The decision log: one JSON object a line, in files of bounded size and number, and the policies they were made by.
//!
//! A refusal that is given again to the same question is counted, and told in a line of its own from time to time, with the trace of the
//! first.
//!
//! A thread of its own writes, so that a decision does not wait for the disk. If the disk fails or hangs, decisions go on, and those
//! that are not on record are counted: a disk must not take all tunnels down. Policies may hold pre-shared keys: nobody else reads them.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use countersign_ca::Timestamp;
use countersign_ca::certificate::Facts;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::identity::PeerId;
use crate::path::{ValidPath, general_name};
use crate::policy::LoadedPolicy;
use crate::status::Lack;
use crate::wire::{Answer, Octets, Question, Step, Verdict};

/// Decisions that may await the disk.
const QUEUE: usize = 4096;
/// How long a decision waits for a place among them, unless others waited in vain.
const PATIENCE: Duration = Duration::from_millis(100);
/// A file is put aside at this size, in octets.
const FILE: u64 = 64 << 20;
/// Files that are kept aside.
const ASIDE: usize = 3;
/// Policies that are kept.
const POLICIES: usize = 32;
/// How often it is told what was refused again.
const TOLD: Duration = Duration::from_secs(10);
/// The most refusals of which it is counted how often they were given again; then they are told at once.
const MAX_AGAIN: usize = 1024;
/// The name of the file that grows.
const NAME: &str = "decisions.jsonl";

/// A decision, as it is recorded.
pub struct Decision {
    /// When it was made.
    pub at: Timestamp,
    /// How long it took.
    pub micros: u64,
    /// The answer.
    pub answer: Answer,
    /// The question, without a pre-shared key.
    pub question: Question,
    /// The earlier decision that found out all but the policy's answer.
    pub same_as: Option<String>,
    /// The peer's certificate.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// In whose name the policy was asked.
    pub requesters: Option<Arc<[String]>>,
    /// The policy.
    pub policy: Option<Arc<LoadedPolicy>>,
    /// What of the status was not known, and let pass.
    pub lack: Option<Lack>,
    /// The path that was found out for this decision.
    pub path: Option<Arc<ValidPath>>,
}

/// A peer's certificate, as people know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerCertificate {
    /// The subject (RFC 4514).
    pub subject: String,
    /// The subject alternative names.
    pub names: Vec<String>,
    /// The issuer (RFC 4514).
    pub issuer: String,
    /// The serial number, hex.
    pub serial: String,
    /// The end of its validity (RFC 3339).
    pub not_after: String,
    /// SHA-256 over the certificate, hex.
    pub sha256: String,
}

impl PeerCertificate {
    /// Of a certificate, DER; `None` if it is none.
    pub fn of(der: &[u8]) -> Option<Self> {
        let facts = Facts::of(der).ok()?;
        Some(Self {
            subject: facts.subject.to_string(),
            names: facts.alt_names.iter().map(general_name).collect(),
            issuer: facts.issuer.to_string(),
            serial: HEXLOWER.encode(&facts.serial),
            not_after: facts.not_after.to_string(),
            sha256: HEXLOWER.encode(&Sha256::digest(der)),
        })
    }
}

/// How often a refusal was given again since that was told.
struct Again {
    count: u64,
    last: Timestamp,
    step: Step,
    reason: String,
}

/// By trace.
type Repeats = HashMap<String, Again>;

enum Line {
    Decision(Box<Decision>),
    Refusal(Timestamp, Answer),
    Again(String, Again),
    Policy(String, Arc<[u8]>),
    Flushed(SyncSender<()>),
}

/// The log.
pub struct DecisionLog {
    lines: Option<SyncSender<Line>>,
    lost: Arc<AtomicU64>,
    repeats: Arc<Mutex<Repeats>>,
    /// Whether the last one found no place.
    hangs: AtomicBool,
    thread: Option<JoinHandle<()>>,
}

impl DecisionLog {
    /// Opens the log in `folder`, which is made.
    ///
    /// # Errors
    /// The folder or the file cannot be written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let policies = folder.join("policies");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&policies)?;
        // One of an earlier version may be open to others.
        fs::set_permissions(&policies, fs::Permissions::from_mode(0o700))?;
        let repeats = Arc::default();
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

    /// A log that keeps nothing.
    pub fn none() -> Self {
        let (lost, repeats, hangs) = (Arc::default(), Arc::default(), AtomicBool::new(false));
        Self { lines: None, lost, repeats, hangs, thread: None }
    }

    /// Records a decision. If the disk hangs it is lost, and counted.
    pub fn record(&self, decision: Decision) {
        self.send(Line::Decision(Box::new(decision)));
    }

    /// Records that something was refused that was no question.
    pub fn record_refusal(&self, at: Timestamp, answer: Answer) {
        self.send(Line::Refusal(at, answer));
    }

    /// Counts a refusal that is on record, and was given again.
    pub fn record_again(&self, at: Timestamp, answer: &Answer) {
        if self.lines.is_none() {
            return;
        }
        let mut repeats = lock(&self.repeats);
        let is_full = repeats.len() >= MAX_AGAIN && !repeats.contains_key(&answer.trace);
        let told = if is_full { std::mem::take(&mut *repeats) } else { Repeats::new() };
        match repeats.get_mut(&answer.trace) {
            Some(again) => {
                again.count = again.count.saturating_add(1);
                again.last = at;
            }
            None => {
                let reason = answer.reason.clone();
                let again = Again { count: 1, last: at, step: answer.step, reason };
                repeats.insert(answer.trace.clone(), again);
            }
        }
        drop(repeats);
        told.into_iter().for_each(|(trace, again)| self.send(Line::Again(trace, again)));
    }

    /// Keeps a policy, so that a decision by it can be explained later.
    pub fn keep_policy(&self, policy: &LoadedPolicy) {
        self.send(Line::Policy(policy.digest().to_string(), Arc::clone(policy.text())));
    }

    /// Waits until everything recorded so far is in the file.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if let Some(lines) = &self.lines
            && lines.send(Line::Flushed(done)).is_ok()
        {
            let _ = wait.recv();
        }
    }

    /// Decisions that could not be recorded.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// A daemon waits for who calls this: a disk that is busy is waited for a moment, and one that hangs not at all.
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

struct LogWriter {
    repeats: Arc<Mutex<Repeats>>,
    told: Instant,
    folder: PathBuf,
    file: File,
    size: u64,
    buffer: Vec<u8>,
    waiting: u64,
}

impl LogWriter {
    fn open(folder: PathBuf, repeats: Arc<Mutex<Repeats>>) -> io::Result<Self> {
        let file = append(&folder.join(NAME))?;
        let size = file.metadata()?.len();
        let told = Instant::now();
        Ok(Self { repeats, told, folder, file, size, buffer: Vec::new(), waiting: 0 })
    }

    fn run(mut self, lines: &Receiver<Line>, lost: &AtomicU64) {
        let mut is_open = true;
        while is_open {
            let mut flushed = Vec::new();
            match lines.recv_timeout(TOLD) {
                Ok(line) => self.take(line, &mut flushed),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => is_open = false,
            }
            while self.buffer.len() < (1 << 20)
                && let Ok(line) = lines.try_recv()
            {
                self.take(line, &mut flushed);
            }
            if !is_open || !flushed.is_empty() || self.told.elapsed() >= TOLD {
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
        let repeats = std::mem::take(&mut *lock(&self.repeats));
        for (trace, again) in repeats {
            self.put(&again_json(&trace, &again));
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
            Line::Again(trace, again) => again_json(&trace, &again),
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
        if self.size > FILE {
            self.put_aside()?;
        }
        let written = self.file.write_all(&self.buffer);
        if written.is_err() {
            // Half a line would spoil the next one.
            let _ = self.file.set_len(self.size);
        }
        written?;
        self.size = self.size.saturating_add(self.buffer.len() as u64);
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        let name = |number: usize| self.folder.join(format!("{NAME}.{number}"));
        for number in (1..ASIDE).rev() {
            match fs::rename(name(number), name(number + 1)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        fs::rename(self.folder.join(NAME), name(1))?;
        self.file = append(&self.folder.join(NAME))?;
        self.size = 0;
        Ok(())
    }

    fn keep(&self, digest: &str, text: &[u8]) -> io::Result<()> {
        let folder = self.folder.join("policies");
        let path = folder.join(format!("{digest}.policy"));
        let beside = folder.join("new");
        match fs::remove_file(&beside) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text)?;
        fs::rename(&beside, &path)?;
        let mut kept: Vec<_> = fs::read_dir(&folder)?
            .filter_map(Result::ok)
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        kept.sort();
        let surplus = kept.len().saturating_sub(POLICIES);
        kept.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn decision_json(decision: Decision) -> Value {
    let Decision { at, micros, answer, mut question, same_as, certificate, .. } = decision;
    let end = |end: &crate::wire::End| {
        let id = PeerId::read(&end.id);
        json!({
            "address": end.address,
            "port": end.port,
            "id": id.as_ref().map_or_else(ToString::to_string, ToString::to_string),
            "id_type": id.as_ref().map_or("unreadable", |id| id.kind()),
        })
    };
    let mut value = json!({
        "time": at.to_string(),
        "trace": answer.trace,
        "decision": answer.decision,
        "step": answer.step,
        "reason": answer.reason,
        "phase": if question.child.is_some() { 2 } else { 1 },
        "daemon": question.daemon,
        "connection": question.connection,
        "ike": question.ike,
        "mode": question.mode,
        "role": question.role,
        "local": end(&question.local),
        "remote": end(&question.remote),
        "proposal": question.proposal.text,
        "certificate": certificate.as_deref(),
        "requesters": decision.requesters.as_deref(),
        "policy": decision.policy.as_deref().map(|policy| policy.digest().as_ref()),
        "same_as": same_as,
        "micros": micros,
    });
    if let Some(fields) = value.as_object_mut() {
        if let Some(path) = decision.path.filter(|_| same_as.is_none()) {
            let octets = |of: &[u8]| json!(Octets(of.to_vec()));
            let certificates = path.certificates.iter().map(|of| octets(of.der()));
            fields.insert("path".into(), certificates.collect());
            fields.insert("anchor_key".into(), octets(path.anchor.spki()));
            question.chain.clear();
        }
        if same_as.is_some() {
            question.chain.clear();
        }
        if let Some(lack) = decision.lack {
            fields.insert("status".into(), json!(lack));
        }
        if decision.policy.is_some_and(|policy| policy.takes_legacy_signatures()) {
            fields.insert("legacy_signatures".into(), json!(true));
        }
        fields.insert("question".into(), json!(question));
    }
    value
}

fn refusal_json(at: Timestamp, answer: &Answer) -> Value {
    json!({
        "time": at.to_string(),
        "trace": answer.trace,
        "decision": Verdict::Deny,
        "step": answer.step,
        "reason": answer.reason,
    })
}

/// No decision, but how often one was given again.
fn again_json(trace: &str, again: &Again) -> Value {
    json!({
        "time": again.last.to_string(),
        "again": trace,
        "decision": Verdict::Deny,
        "step": again.step,
        "reason": again.reason,
        "times": again.count,
    })
}

fn lock(repeats: &Mutex<Repeats>) -> std::sync::MutexGuard<'_, Repeats> {
    repeats.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The newest decisions that `wanted` takes, at most `limit`, newest first. Those that were given again say how often, and when the last
/// time.
///
/// # Errors
/// A file cannot be read.
pub fn decisions(
    folder: &Path,
    limit: usize,
    mut wanted: impl FnMut(&Value) -> bool,
) -> io::Result<Vec<Value>> {
    let mut found = Vec::new();
    let mut repeats: HashMap<String, (u64, String)> = HashMap::new();
    for number in 0..=ASIDE {
        let name = if number == 0 { NAME.to_owned() } else { format!("{NAME}.{number}") };
        let file = match File::open(folder.join(name)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        let mut last: VecDeque<Value> = VecDeque::new();
        for line in BufReader::new(file).split(b'\n') {
            let Ok(value) = serde_json::from_slice::<Value>(&line?) else { continue };
            if let Some(trace) = value.get("again").and_then(Value::as_str) {
                let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
                let more = value.get("times").and_then(Value::as_u64).unwrap_or_default();
                let (times, last) = repeats.entry(trace.to_owned()).or_default();
                *times = times.saturating_add(more);
                *last = std::mem::take(last).max(text("time").to_owned());
            } else if wanted(&value) {
                if last.len() == limit {
                    last.pop_front();
                }
                last.push_back(value);
            }
        }
        found.extend(last.into_iter().rev());
        found.truncate(limit);
        if found.len() == limit {
            break;
        }
    }
    for decision in &mut found {
        let again = decision.get("trace").and_then(Value::as_str).and_then(|of| repeats.get(of));
        if let (Some((times, last)), Some(fields)) = (again, decision.as_object_mut()) {
            fields.insert("repeated".into(), json!(times));
            fields.insert("last_repeated".into(), json!(last));
        }
    }
    Ok(found)
}

/// A policy that decisions were made by.
///
/// # Errors
/// It is not kept any more, or cannot be read.
pub fn kept_policy(folder: &Path, digest: &str) -> io::Result<Vec<u8>> {
    if digest.is_empty() || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no digest of a policy"));
    }
    fs::read(folder.join("policies").join(format!("{digest}.policy")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::VERSION;

    fn refusal(trace: String) -> Answer {
        let (id, reason) = (String::new(), "no".to_owned());
        Answer { v: VERSION, id, decision: Verdict::Deny, step: Step::Policy, reason, trace }
    }

    #[test]
    fn what_is_counted_is_bounded_and_none_of_it_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let log = DecisionLog::open(folder.path()).unwrap();
        let at = Timestamp::from_seconds(1_800_000_000);
        for number in 0..5000 {
            log.record_again(at, &refusal(format!("{:x}", number % 2500)));
            assert!(lock(&log.repeats).len() <= MAX_AGAIN);
        }
        log.record_refusal(at, refusal("7".into()));
        log.flush();
        let text = fs::read_to_string(folder.path().join(NAME)).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        assert_eq!(lines.filter_map(|line| line["times"].as_u64()).sum::<u64>(), 5000);
        assert_eq!(log.lost(), 0);
        let found = decisions(folder.path(), 10, |_| true).unwrap();
        assert_eq!(found.len(), 1, "a count is no decision");
        assert_eq!(found[0]["repeated"], 2);
    }
}
