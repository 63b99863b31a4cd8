//! The listening socket. Each connection has a thread, which reads questions and commands line by line and answers each with a line.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::control;
use super::lines::Lines;
use crate::decide::Authorizer;
use crate::wire::{Answer, MAX_QUESTION, MAX_TIMEOUT, Question, Step};

/// How long the server waits for the next octets of a client before it closes the connection.
const IDLE: Duration = Duration::from_secs(300);
/// How long a client may take to read an answer before the server closes the connection.
const WRITE: Duration = Duration::from_secs(10);

/// The settings of the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketSettings {
    /// The path of the socket.
    pub path: PathBuf,
    /// The file mode of the socket, such as 0o600. Users who may write to the socket may ask, and give commands.
    pub mode: u32,
    /// The most connections at once. A further one gets a denial and is closed.
    pub max_connections: usize,
}

/// The authorizer's socket. It is served until this is dropped, which closes all connections and removes the socket.
pub struct AuthorizerServer {
    path: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    authorizer: Arc<Authorizer>,
    stop: AtomicBool,
    connections: AtomicUsize,
    /// The open connections, to be closed when the server stops.
    streams: Mutex<Vec<std::sync::Weak<UnixStream>>>,
}

impl AuthorizerServer {
    /// Begins to serve the socket. A socket that a dead process has left behind is replaced.
    ///
    /// # Errors
    /// The socket or a thread cannot be made, or another process serves the socket.
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
        // The listener blocks in accept(); this connection wakes it up.
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
    // The socket gets its name only after its mode is set, so that no client can connect before.
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
            // There may be no file descriptor left: wait until another connection has ended.
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
        let answered = if control::is_control(octets) {
            control::answer(&shared.authorizer, octets)
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
    // A panic is a denial, too.
    catch_unwind(AssertUnwindSafe(|| authorizer.decide(question, deadline))).unwrap_or_else(|_| {
        let why = "the authorizer failed; its log says why".to_owned();
        Answer { id, ..authorizer.refuse(Step::Authorizer, why) }
    })
}

fn line(answer: &Answer) -> Vec<u8> {
    let mut line = serde_json::to_vec(answer).unwrap_or_default();
    line.push(b'\n');
    line
}
