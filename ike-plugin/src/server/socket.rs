//! The socket: each connection has a thread, asks line by line, and is answered line by line.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::decide::Authorizer;
use super::lines::Lines;
use crate::wire::{Answer, MAX_QUESTION, MAX_TIMEOUT, Question, Step};

/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(300);
/// How long an answer may take to be read.
const WRITE: Duration = Duration::from_secs(10);

/// The names of the steps, in the order of [`Step`].
pub const STEPS: [&str; 6] = ["question", "path", "status", "identity", "policy", "authorizer"];

/// How a line of an operator begins, rather than a daemon's.
const CONTROL: &[u8] = b"{\"do\":";

/// What an operator may have done: `{"do":"reload"}`. It is answered by `{"ok":…}` or `{"error":"…"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Control {
    /// Load the policy again, and credentials anew.
    Reload,
    /// Tell what was counted.
    Status,
}

/// Who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketSettings {
    /// Where the socket is.
    pub path: PathBuf,
    /// Its mode, such as 0o600.
    pub mode: u32,
    /// The most connections at once.
    pub max_connections: usize,
}

/// The socket, served until it is dropped.
pub struct AuthorizerServer {
    path: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    authorizer: Arc<Authorizer>,
    stop: AtomicBool,
    connections: AtomicUsize,
    /// To end conversations at stop.
    streams: Mutex<Vec<std::sync::Weak<UnixStream>>>,
}

impl AuthorizerServer {
    /// Listens. A socket that nobody serves any more is replaced.
    ///
    /// # Errors
    /// The socket cannot be made, or somebody serves it.
    pub fn start(authorizer: Arc<Authorizer>, settings: &SocketSettings) -> io::Result<Self> {
        let listener = listen(settings)?;
        let shared = Arc::new(Shared {
            authorizer,
            stop: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            streams: Mutex::default(),
        });
        let (serving, most) = (Arc::clone(&shared), settings.max_connections);
        let thread = std::thread::Builder::new()
            .name("authorizer".into())
            .spawn(move || serve(&listener, &serving, most))?;
        Ok(Self { path: settings.path.clone(), shared, thread: Some(thread) })
    }
}

impl Drop for AuthorizerServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // A connection of our own ends the wait for the next one.
        let _ = UnixStream::connect(&self.path);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let streams = std::mem::take(
            &mut *self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner),
        );
        for stream in streams.iter().filter_map(std::sync::Weak::upgrade) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

fn listen(settings: &SocketSettings) -> io::Result<UnixListener> {
    let path = &settings.path;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    match UnixStream::connect(path) {
        Ok(_) => {
            let why = format!("another authorizer listens at `{}`", path.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, why));
        }
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
        Err(_) => {}
    }
    // Under its own name only when its mode is set.
    let beside = path.with_extension(format!("{}", std::process::id()));
    let _ = std::fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside)?;
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(settings.mode))?;
    std::fs::rename(&beside, path)?;
    Ok(listener)
}

fn serve(listener: &UnixListener, shared: &Arc<Shared>, most: usize) {
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else {
            // Out of descriptors: others must end first.
            std::thread::sleep(Duration::from_millis(50));
            continue;
        };
        if shared.connections.load(Ordering::Relaxed) >= most {
            refuse(
                shared,
                &stream,
                format!("{most} connections are open; no more are served at once"),
            );
            continue;
        }
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let stream = Arc::new(stream);
        {
            let mut streams = shared.streams.lock().unwrap_or_else(PoisonError::into_inner);
            streams.retain(|stream| stream.strong_count() > 0);
            streams.push(Arc::downgrade(&stream));
        }
        let conversation = Arc::clone(shared);
        let spawned = std::thread::Builder::new().name("asker".into()).spawn(move || {
            if let Err(error) = converse(&stream, &conversation) {
                tracing::debug!(%error, "an asker's connection ended");
            }
            conversation.connections.fetch_sub(1, Ordering::Relaxed);
        });
        if spawned.is_err() {
            shared.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn refuse(shared: &Shared, mut stream: &UnixStream, why: String) {
    let answer = shared.authorizer.refuse(Step::Authorizer, why);
    let _ = stream.set_write_timeout(Some(WRITE));
    let _ = stream.write_all(&line(&answer));
}

fn converse(stream: &UnixStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(WRITE))?;
    let mut lines = Lines::new(stream, MAX_QUESTION);
    let mut writer = stream;
    while !shared.stop.load(Ordering::Relaxed) {
        let Some(octets) = lines.next()? else { return Ok(()) };
        if octets.last() != Some(&b'\n') {
            let why = format!(
                "expected one line of at most {MAX_QUESTION} octets, found {} without an end",
                octets.len()
            );
            writer.write_all(&line(&shared.authorizer.refuse(Step::Question, why)))?;
            return Ok(());
        }
        let answered = if octets.starts_with(CONTROL) {
            controlled(shared, octets)
        } else {
            line(&answer(shared, octets))
        };
        writer.write_all(&answered)?;
    }
    Ok(())
}

fn answer(shared: &Shared, octets: &[u8]) -> Answer {
    let authorizer = &shared.authorizer;
    let question: Question = match serde_json::from_slice(octets) {
        Ok(question) => question,
        Err(e) => return authorizer.refuse(Step::Question, format!("expected a question: {e}")),
    };
    let patience = Duration::from_millis(question.timeout_ms.min(MAX_TIMEOUT).into());
    let id = question.id.clone();
    let deadline = Instant::now() + patience;
    // Whatever goes wrong is no.
    catch_unwind(AssertUnwindSafe(|| authorizer.decide(question, deadline))).unwrap_or_else(|_| {
        let why = "the authorizer failed; its log says why".to_owned();
        Answer { id, ..authorizer.refuse(Step::Authorizer, why) }
    })
}

fn controlled(shared: &Shared, octets: &[u8]) -> Vec<u8> {
    let authorizer = &shared.authorizer;
    let result = match serde_json::from_slice(octets) {
        Err(e) => Err(format!("expected `reload` or `status`: {e}")),
        Ok(Control::Reload) => authorizer.reload().map(|_| state(authorizer)),
        Ok(Control::Status) => Ok(state(authorizer)),
    };
    let value = match result {
        Ok(state) => json!({ "ok": state }),
        Err(why) => json!({ "error": why }),
    };
    format!("{value}\n").into_bytes()
}

/// What an operator wants to know.
pub fn state(authorizer: &Authorizer) -> Value {
    let (policy, counts) = (authorizer.policy(), authorizer.counts());
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let denied: serde_json::Map<String, Value> = STEPS
        .iter()
        .zip(&counts.denied)
        .map(|(step, count)| ((*step).to_owned(), read(count).into()))
        .collect();
    json!({
        "policy": policy.digest().as_ref(),
        "assertions": policy.len(),
        "loaded": policy.number(),
        "allowed": read(&counts.allowed),
        "denied": denied,
        "kept": read(&counts.kept),
        "repeated": read(&counts.again),
        "asked": read(&counts.asked),
        "unrecorded": authorizer.lost(),
    })
}

fn line(answer: &Answer) -> Vec<u8> {
    let mut line = serde_json::to_vec(answer).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Asks an authorizer, for those who are written in Rust.
///
/// # Errors
/// Nobody answers within the question's time, or what is answered is no answer.
pub fn ask(socket: &Path, question: &Question) -> io::Result<Answer> {
    let patience = Duration::from_millis(question.timeout_ms.clamp(1, MAX_TIMEOUT).into());
    let line = zeroize::Zeroizing::new(serde_json::to_vec(question)?);
    let answer: Answer = serde_json::from_str(&exchange(socket, &line, patience)?)?;
    if answer.v != question.v || answer.id != question.id {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the answer is to another question",
        ));
    }
    Ok(answer)
}

/// Has a running authorizer do something.
///
/// # Errors
/// Nobody answers; or in words why it was not done.
pub fn control(socket: &Path, control: Control) -> io::Result<Value> {
    let line = serde_json::to_vec(&control)?;
    let answer: Value = serde_json::from_str(&exchange(socket, &line, IDLE)?)?;
    match answer.get("ok") {
        Some(state) => Ok(state.clone()),
        None => {
            let why = answer.get("error").and_then(Value::as_str).unwrap_or("no answer");
            Err(io::Error::other(why.to_owned()))
        }
    }
}

fn exchange(socket: &Path, line: &[u8], patience: Duration) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(line)?;
    stream.write_all(b"\n")?;
    let mut answer = String::new();
    BufReader::new(stream.take(1 << 20)).read_line(&mut answer)?;
    Ok(answer)
}
