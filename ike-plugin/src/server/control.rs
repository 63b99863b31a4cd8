//! Commands of an operator to a running authorizer, over the socket on which daemons ask it.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::decide::Authorizer;

/// The names of the steps in JSON, in the order of [`Step`](crate::wire::Step).
pub const STEPS: [&str; 6] = ["question", "path", "status", "identity", "policy", "authorizer"];

/// The beginning of a command. A line that begins otherwise is a question.
const CONTROL: &[u8] = b"{\"do\":";

/// A command, such as `{"do":"reload"}`. The answer is `{"ok":…}` or `{"error":"…"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Control {
    /// Loads the policy again, and gives the state.
    Reload,
    /// Gives the state: the policy's digest and the counters.
    Status,
}

/// Whether a line is a command, and not a question.
pub(super) fn is_control(line: &[u8]) -> bool {
    line.starts_with(CONTROL)
}

/// Carries out a command, and gives the answer with its line feed.
pub(super) fn answer(authorizer: &Authorizer, octets: &[u8]) -> Vec<u8> {
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

/// The state of an authorizer as a JSON object: the digest of the policy in force, its number of assertions, how many times a policy was
/// loaded, and the counters since the start.
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
