//! The admin socket. A client sends one request, a JSON object in one line. The server answers with any number of lines
//! `{"progress":[done,total]}` and then one line `{"ok":…}` or `{"error":{…}}`. The operating system identifies the
//! user of the client.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as ClientStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};

use super::actor;
use super::handler::handle_alone;
use super::request::Request;
use crate::exit::Failure;
use crate::instance::Instance;
use crate::wiped::{Wiped, WipedOctets};

/// The longest line, in bytes. It has room for 10,000 accounts with their identities, or for a CRL of a million entries.
pub const MAX_LINE: u64 = 64 << 20;

/// How long a client may take to send its request.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most connections of administrators at once.
const MAX_CLIENTS: usize = 16;

/// The longest path of a Unix socket, in bytes (`sun_path` in unix(7)).
const MAX_PATH: usize = 107;

/// Refuses a path that is too long for a socket.
pub fn check_path(path: &Path) -> Result<(), Failure> {
    match path.as_os_str().len() > MAX_PATH {
        true => Err(Failure::unavailable(format!(
            "the path `{}` is longer than {MAX_PATH} bytes, and a socket cannot have it; choose a shorter `--data`",
            path.display()
        ))),
        false => Ok(()),
    }
}

/// Listens on the socket of the data folder. The socket of a server that died is removed first: this process has the store's lock, so that
/// no other server runs.
pub fn listen(instance: &Instance) -> Result<UnixListener, Failure> {
    let path = instance.location.folder.socket();
    check_path(&path)?;
    let failed = |e: std::io::Error| Failure::unavailable(format!("`{}`: {e}", path.display()));
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Serves administrators until the task is dropped.
pub async fn serve(listener: UnixListener, instance: Arc<Instance>) {
    let slots = Arc::new(Semaphore::new(MAX_CLIENTS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let instance = Arc::clone(&instance);
                actix_web::rt::spawn(async move {
                    if let Err(e) = converse(stream, instance).await {
                        tracing::warn!("an administrator's connection: {e}");
                    }
                    drop(slot);
                });
            }
            Err(e) => {
                tracing::error!("the admin socket: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: UnixStream, instance: Arc<Instance>) -> std::io::Result<()> {
    let credentials = stream.peer_cred()?;
    let peer = credentials.uid();
    let (reader, mut writer) = stream.into_split();
    if peer != 0 && peer != rustix::process::geteuid().as_raw() {
        let refusal = json!({"error": Failure { code: 4, message: format!("user {peer} may not administer this instance") }});
        return writer.write_all(format!("{refusal}\n").as_bytes()).await;
    }
    // The client waits for the answer, so that its process is still the same.
    let actor = actor::local(peer, credentials.pid());
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new(reader.take(MAX_LINE));
    tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await??;
    // A command that only looked whether a server runs, such as `audit verify`.
    if line.is_empty() {
        return Ok(());
    }
    if u64::try_from(line.len()).unwrap_or(u64::MAX) >= MAX_LINE && !line.ends_with('\n') {
        let why = format!(
            "expected a request of at most {} MiB, found more: ask in parts",
            MAX_LINE >> 20
        );
        let refusal = json!({"error": Failure::input(why)});
        return writer.write_all(format!("{refusal}\n").as_bytes()).await;
    }
    let (progress, mut lines) = mpsc::unbounded_channel::<Value>();
    let work = actix_web::web::block(move || {
        let answer = serde_json::from_str::<Request>(&line)
            .map_err(|e| Failure::input(format!("expected a request: {e}")))
            .and_then(|request| {
                handle_alone(&instance, &actor, request, &mut |done, total| {
                    let _ = progress.send(json!({"progress": [done, total]}));
                })
            });
        drop(progress);
        answer
    });
    let work = actix_web::rt::spawn(work);
    while let Some(line) = lines.recv().await {
        writer.write_all(format!("{line}\n").as_bytes()).await?;
    }
    let mut answer = Wiped::default();
    *answer = match work.await {
        // The answer may contain a secret. It is moved into the object; `json!` would copy it.
        Ok(Ok(Ok(value))) => Value::Object([("ok".to_owned(), value)].into_iter().collect()),
        Ok(Ok(Err(failure))) => json!({"error": failure}),
        Ok(Err(_)) | Err(_) => {
            json!({"error": Failure { code: 1, message: "the server failed; its log says why".into() }})
        }
    };
    let mut octets = WipedOctets::json(&answer)?;
    drop(answer);
    octets.write_all(b"\n")?;
    writer.write_all(&octets).await
}

/// Sends a request to a running server, and waits for its answer. `progress` is called with the steps done and all steps, as the server
/// reports them.
pub fn ask(
    stream: ClientStream,
    request: &Request,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Value, Failure> {
    let gone =
        |e: std::io::Error| Failure::unavailable(format!("the running server did not answer: {e}"));
    let line = serde_json::to_string(request).map_err(|e| Failure::input(e.to_string()))?;
    let mut writer = stream.try_clone().map_err(gone)?;
    writer.write_all(format!("{line}\n").as_bytes()).map_err(gone)?;
    let mut reader = BufReader::new(stream.take(MAX_LINE));
    loop {
        let line = read_line(&mut reader).map_err(gone)?;
        if line.is_empty() {
            return Err(Failure::unavailable(
                "the running server went away before it answered: what was asked for may be done or not, so look before you ask again",
            ));
        }
        let mut answer: Wiped = serde_json::from_slice::<Value>(&line)
            .map_err(|e| {
                Failure::unavailable(format!("the running server's answer cannot be read: {e}"))
            })?
            .into();
        if let Some([done, total]) =
            answer.get("progress").and_then(Value::as_array).map(Vec::as_slice)
        {
            progress(done.as_u64().unwrap_or(0), total.as_u64().unwrap_or(0));
        } else if let Some(error) = answer.get("error") {
            return Err(serde_json::from_value(error.clone())
                .unwrap_or_else(|_| Failure { code: 1, message: error.to_string() }));
        } else {
            return Ok(answer.get_mut("ok").map(Value::take).unwrap_or_default());
        }
    }
}

/// Reads a line, which may contain a secret; empty at the end of the connection.
fn read_line(reader: &mut impl BufRead) -> std::io::Result<WipedOctets> {
    let mut line = WipedOctets::default();
    loop {
        let octets = reader.fill_buf()?;
        let end = octets.iter().position(|octet| *octet == b'\n').map(|at| at.saturating_add(1));
        let used = end.unwrap_or(octets.len());
        line.write_all(octets.get(..used).unwrap_or_default())?;
        reader.consume(used);
        if end.is_some() || used == 0 {
            return Ok(line);
        }
    }
}
