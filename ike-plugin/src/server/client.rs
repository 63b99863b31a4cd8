//! The client's side of the socket, for hooks of daemons, tests and commands that are written in Rust.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::control::Control;
use crate::wire::{Answer, MAX_TIMEOUT, Question};

/// How long a command waits for each read and write on the socket of a running authorizer.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(300);

/// Sends a question to an authorizer, and waits for the answer: at most `timeout_ms` of the question for each read and write.
///
/// # Errors
/// The socket cannot be reached, no answer comes in time, or the answer cannot be read or is to another question.
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

/// Sends a command to an authorizer, and gives the authorizer's state afterwards: the JSON object of [`state`](super::state).
///
/// # Errors
/// The socket cannot be reached, no readable answer comes in time, or the command failed.
pub fn control(socket: &Path, control: Control) -> io::Result<Value> {
    let line = serde_json::to_vec(&control)?;
    let answer: Value = serde_json::from_str(&exchange(socket, &line, CONTROL_TIMEOUT)?)?;
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
