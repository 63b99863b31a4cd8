//! Reads the files of the decision log.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde_json::{Value, json};

use super::files::{ASIDE, log_file, policy_file};

/// The newest decisions for which `wanted` is true, at most `limit`, newest first. A repeated denial has the members `repeated`, the
/// number of repetitions, and `last_repeated`, the time of the last one (RFC 3339). Lines that are not JSON are skipped.
///
/// # Errors
/// A file cannot be read. A missing one is not an error.
pub fn decisions(
    folder: &Path,
    limit: usize,
    mut wanted: impl FnMut(&Value) -> bool,
) -> io::Result<Vec<Value>> {
    let mut found = Vec::new();
    let mut repeats: HashMap<String, (u64, String)> = HashMap::new();
    for number in 0..=ASIDE {
        let file = match File::open(log_file(folder, number)) {
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

/// The text of a policy by which decisions were made. `digest` is the SHA-256 over it in hexadecimal.
///
/// # Errors
/// The policy is not kept any more or cannot be read, or `digest` is not hexadecimal.
pub fn recorded_policy(folder: &Path, digest: &str) -> io::Result<Vec<u8>> {
    if digest.is_empty() || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no digest of a policy"));
    }
    fs::read(policy_file(folder, digest))
}
