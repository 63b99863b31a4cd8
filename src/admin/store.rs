//! The store, as administrators see it and back it up.

use std::path::Path;

use data_encoding::HEXLOWER;

use super::answer::{BackupAnswer, StoreState};
use super::recorded::record;
use crate::exit::Failure;
use crate::instance::Instance;

/// The state of the store.
pub fn status(instance: &Instance) -> StoreState {
    let status = instance.store.status();
    let head = status.head.as_ref();
    StoreState {
        entries: status.entries,
        journal_bytes: status.journal_bytes,
        last_entry: status.last.map(|last| last.to_string()),
        certificates: status.certificates,
        index_applied: status.applied,
        index_bytes: status.index_bytes,
        head_size: head.map(|head| head.size),
        head_root: head.map(|head| HEXLOWER.encode(&head.root)),
        head_signed: head.map(|head| head.at.to_string()),
    }
}

/// Writes the journal's backup to a file.
pub fn backup(instance: &Instance, actor: &str, to: &Path) -> Result<BackupAnswer, Failure> {
    let summary = instance.store.backup(to)?;
    record(instance, actor, "backup", &to.display())?;
    Ok(BackupAnswer {
        entries: summary.entries,
        journal_bytes: summary.journal_bytes,
        sha256: HEXLOWER.encode(&summary.sha256),
    })
}
