//! The names of the files in the folder of the decision log.

use std::path::{Path, PathBuf};

/// How many full files are kept besides the current one.
pub const ASIDE: usize = 3;
/// The folder of the policies, within that of the log.
pub const POLICIES: &str = "policies";

/// A file of decisions: 0 is the current one, 1 the newest of the full ones.
pub fn log_file(folder: &Path, number: usize) -> PathBuf {
    match number {
        0 => folder.join("decisions.jsonl"),
        _ => folder.join(format!("decisions.jsonl.{number}")),
    }
}

/// The file of a policy, by the SHA-256 over its text in hex.
pub fn policy_file(folder: &Path, digest: &str) -> PathBuf {
    folder.join(POLICIES).join(format!("{digest}.policy"))
}
