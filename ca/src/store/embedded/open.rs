//! Opens an embedded store: lock, journal, heads, index, and the replay of what the index lacks.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, RwLock};

use super::commit::{Counts, GATHERED, Shared};
use super::index::{Changes, Index, Layered, Position, wait_until_released};
use super::rules::{Rules, Stop};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::{
    Damage, DamageKind, Entry, FILE_HEADER, Frontier, Head, JournalFile, JournalPaths, Scanner,
    Step, leaf_hash, read_heads, sync_folder_of,
};

/// Octets behind the last whole tree head that a crash may leave; more than one record is damage.
const TORN_HEAD: u64 = 1024;

/// How far a replay of the journal is, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Read so far.
    pub done: u64,
    /// To be read.
    pub total: u64,
}

/// Called now and then during a replay.
pub type ProgressFn<'a> = dyn FnMut(Progress) + 'a;

/// The folder of the index in a data folder.
pub fn index_folder(data: &Path) -> PathBuf {
    data.join("index")
}

/// What the refusal of a store says that another process has open.
pub const LOCKED: &str = "(a server that is starting or stopping, or another command)";

/// Takes the lock of a data folder.
///
/// # Errors
/// [`Error::Unavailable`] when another process has it.
pub fn lock(data: &Path) -> Result<File> {
    let path = data.join("store.lock");
    let wrong = |e: &io::Error| Error::io(format!("`{}`", path.display()), e);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|e| wrong(&e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::unavailable(format!(
            "another process has the store in `{}` open {LOCKED}: wait for it, or stop it",
            data.display()
        ))),
        Err(fs::TryLockError::Error(e)) => Err(wrong(&e)),
    }
}

/// Opens journal and index, and brings the index up to the end of the journal.
///
/// # Errors
/// [`Error::Internal`] that names the damage when the journal is not whole.
pub fn open(data: &Path, cache: u64, progress: &mut ProgressFn<'_>) -> Result<(Shared, File)> {
    let paths = JournalPaths::new(data);
    let mut journal = JournalFile::open_or_create(&paths)?;
    let heads = trusted_heads(&paths.heads)?;
    let (index, start) = open_index(data, cache, &journal)?;
    let applied = start.as_ref().map_or(0, |position| position.sequence);
    let start = start.unwrap_or_else(beginning);
    if start.offset > journal.length {
        return Err(Error::from(Damage {
            kind: DamageKind::Shortened,
            sequence: start.sequence,
            offset: journal.length,
            detail: format!(
                "the index has seen `{}` entries in `{}` octets, the journal has `{}` octets",
                start.sequence, start.offset, journal.length
            ),
        }));
    }
    let mut replay = Replay::new(&journal, &index, start, &heads);
    let torn = replay.run(progress)?;
    let position = replay.position;
    check_length(&position, applied, &heads)?;
    if let Some(torn) = torn {
        cut_tail(&paths, &mut journal, &torn)?;
    }
    journal.file.sync_data().map_err(|e| Error::io("the journal cannot be made durable", &e))?;
    if let Err(error) = index.apply(&position) {
        tracing::warn!(%error, "the index is not on the disk yet, and stays in memory");
    }
    let reader = journal.file.try_clone().map_err(|e| Error::io("the journal", &e))?;
    let path = paths.journal;
    index.rebuild_with(move |until| index_in_memory(&JournalFile::open(&path, false)?, until));
    let recorded = (Mutex::new(position.sequence), Condvar::new());
    let shared = Shared {
        recorded,
        index,
        journal: reader,
        durable: RwLock::new(position),
        counts: Mutex::new(Counts::default()),
    };
    Ok((shared, journal.file))
}

/// Builds an index in `folder` from the first entries of a journal, up to `until`.
///
/// # Errors
/// [`Error::Internal`] when journal or index fail.
pub fn build_index(folder: &Path, journal: &JournalFile, until: u64, cache: u64) -> Result<Index> {
    let (index, _) = Index::open(folder, cache, journal.instance)?;
    fill(index, journal, until)
}

/// Builds an index in memory from the first entries of a journal, up to `until`.
fn index_in_memory(journal: &JournalFile, until: u64) -> Result<Index> {
    fill(Index::in_memory(), journal, until)
}

fn fill(index: Index, journal: &JournalFile, until: u64) -> Result<Index> {
    let mut replay = Replay::new(journal, &index, beginning(), &[]);
    replay.end = until;
    if let Some(damage) = replay.run(&mut |_| {})? {
        return Err(damage.into());
    }
    let position = replay.position;
    index.apply(&position)?;
    Ok(index)
}

/// The position of an empty journal.
pub fn beginning() -> Position {
    Position {
        sequence: 0,
        offset: FILE_HEADER as u64,
        last: Timestamp::from_millis(i64::MIN),
        frontier: Frontier::default(),
        certificates: 0,
    }
}

fn trusted_heads(path: &Path) -> Result<Vec<Head>> {
    let (heads, whole) = read_heads(path)?;
    let length = fs::metadata(path).map_or(0, |meta| meta.len());
    if length.saturating_sub(whole) > TORN_HEAD {
        return Err(Error::from(Damage {
            kind: DamageKind::Heads,
            sequence: heads.last().map_or(0, |head| head.size),
            offset: whole,
            detail: format!("`{}` is damaged at this offset", path.display()),
        }));
    }
    Ok(heads)
}

/// Opens the index; one that fails is deleted.
fn open_index(data: &Path, cache: u64, journal: &JournalFile) -> Result<(Index, Option<Position>)> {
    let folder = index_folder(data);
    match Index::open(&folder, cache, journal.instance) {
        Ok(opened) => Ok(opened),
        Err(error @ Error::Unavailable(_)) => Err(error),
        Err(error) => {
            wait_until_released(&folder)?;
            tracing::warn!(%error, "the index is rebuilt from the journal");
            let removed = if folder.is_dir() {
                fs::remove_dir_all(&folder)
            } else {
                fs::remove_file(&folder)
            };
            removed.map_err(|e| Error::io(format!("`{}`", folder.display()), &e))?;
            Index::open(&folder, cache, journal.instance)
        }
    }
}

fn check_length(position: &Position, applied: u64, heads: &[Head]) -> Result<()> {
    let signed = heads.last().map_or(0, |head| head.size);
    let known = signed.max(applied);
    if position.sequence >= known {
        return Ok(());
    }
    let witness = if signed >= applied { "the last signed tree head" } else { "the index" };
    Err(Error::from(Damage {
        kind: DamageKind::Shortened,
        sequence: position.sequence,
        offset: position.offset,
        detail: format!(
            "{witness} has seen `{known}` entries, the journal has `{}`",
            position.sequence
        ),
    }))
}

/// Keeps the torn tail beside the journal, then cuts it off.
fn cut_tail(paths: &JournalPaths, journal: &mut JournalFile, torn: &Damage) -> Result<()> {
    let kept = paths.folder.join(format!("cut-{}-{}", torn.sequence, torn.offset));
    let length = usize::try_from(journal.length.saturating_sub(torn.offset));
    let mut tail = vec![0; length.map_err(Error::internal)?];
    journal
        .file
        .read_exact_at(&mut tail, torn.offset)
        .and_then(|()| fs::write(&kept, &tail))
        .and_then(|()| File::open(&kept)?.sync_all())
        .map_err(|e| Error::io(format!("`{}`", kept.display()), &e))?;
    sync_folder_of(&kept)?;
    journal
        .file
        .set_len(torn.offset)
        .and_then(|()| journal.file.sync_all())
        .map_err(|e| Error::io("the torn tail of the journal cannot be cut off", &e))?;
    journal.length = torn.offset;
    tracing::warn!(
        entry = torn.sequence,
        offset = torn.offset,
        octets = tail.len(),
        kept = %kept.display(),
        "the journal ended within an entry that was never acknowledged; the tail was cut off"
    );
    Ok(())
}

/// Applies entries of the journal to an index.
struct Replay<'a> {
    journal: &'a JournalFile,
    index: &'a Index,
    heads: &'a [Head],
    position: Position,
    end: u64,
}

impl<'a> Replay<'a> {
    fn new(
        journal: &'a JournalFile,
        index: &'a Index,
        position: Position,
        heads: &'a [Head],
    ) -> Self {
        let first = heads.partition_point(|head| head.size <= position.sequence);
        let heads = heads.get(first..).unwrap_or_default();
        Self { journal, index, heads, position, end: journal.length }
    }

    /// Goes to the end; returns the torn tail, if there is one.
    fn run(&mut self, progress: &mut ProgressFn<'_>) -> Result<Option<Damage>> {
        let first = self.position.offset;
        let total = self.end.saturating_sub(first);
        let mut scanner = Scanner::new(&self.journal.file, first, self.position.sequence, self.end);
        loop {
            match scanner.step()? {
                Step::End => break,
                Step::Damaged(damage) if damage.kind == DamageKind::TruncatedTail => {
                    return Ok(Some(damage));
                }
                Step::Damaged(damage) => return Err(damage.into()),
                Step::Entry { offset, payload, envelope } => {
                    let recorded = envelope.open()?;
                    let end = offset + super::rules::frame_length(payload);
                    self.position.frontier.push(leaf_hash(payload));
                    self.take(recorded.at, &recorded.entry, offset, end)?;
                }
            }
            self.compare_with_head()?;
            if self.position.sequence.is_multiple_of(1024) {
                progress(Progress { done: self.position.offset.saturating_sub(first), total });
            }
        }
        progress(Progress { done: total, total });
        Ok(None)
    }

    fn take(&mut self, at: Timestamp, entry: &Entry, offset: u64, end: u64) -> Result<()> {
        let mut changes = Changes::default();
        let mut rules = Rules {
            view: Layered { changes: &mut changes, index: self.index },
            journal: &self.journal.file,
            durable: self.end,
            certificates: &mut self.position.certificates,
        };
        let found = match rules.find(entry) {
            Ok(found) => found,
            Err(Stop::Refused(error)) => return Err(error),
            Err(Stop::Pending) => None,
        };
        rules.apply(at, entry, found.as_ref(), offset)?;
        self.position.sequence += 1;
        self.position.offset = end;
        self.index.absorb(changes, (self.position.sequence, end));
        self.position.last = at;
        if self.index.waiting() >= GATHERED {
            self.index.apply(&self.position)?;
        }
        Ok(())
    }

    fn compare_with_head(&mut self) -> Result<()> {
        while let Some((head, rest)) = self.heads.split_first() {
            if head.size > self.position.sequence {
                break;
            }
            if head.root != self.position.frontier.root() {
                return Err(Error::from(Damage {
                    kind: DamageKind::Altered,
                    sequence: head.size,
                    offset: self.position.offset,
                    detail: format!(
                        "the first `{}` entries are not those that the tree head of {} was signed over",
                        head.size, head.at
                    ),
                }));
            }
            self.heads = rest;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::{EmbeddedOptions, EmbeddedStore, Store};
    use super::*;
    use crate::journal::{append, payload};
    use crate::record::Deed;

    /// Locks were recorded until they were kept in memory.
    #[test]
    fn an_old_journal_with_a_lock_in_it_is_replayed_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let opened = || EmbeddedStore::open(folder.path(), EmbeddedOptions::default(), &mut |_| {});
        let at = Timestamp::from_seconds;
        let deed = || Deed { actor: "root".into(), action: "x".into(), detail: String::new() };
        let store = opened().unwrap();
        store.record_deed(at(1), &deed()).unwrap();
        drop(store);
        let locked = Entry::Locked { reference: "ref-gw1".into(), until: at(500) };
        let body = locked.encode_body().unwrap();
        let mut frame = Vec::new();
        append(&mut frame, &payload(1, at(2), locked.kind(), &body).unwrap()).unwrap();
        let path = JournalPaths::new(folder.path()).journal;
        OpenOptions::new().append(true).open(&path).unwrap().write_all(&frame).unwrap();

        let store = opened().unwrap();
        assert_eq!((store.status().entries, store.last_entry()), (2, at(2)));
        store.record_deed(at(3), &deed()).unwrap();
        assert_eq!(store.status().entries, 3);
        let (kept, fresh) = store.compare_index().unwrap();
        assert_eq!(kept, fresh);
        let mut exported = String::new();
        crate::journal::export(folder.path(), 0, &mut |line| {
            exported.push_str(line);
            Ok(true)
        })
        .unwrap();
        assert!(exported.contains("\"reference\":\"ref-gw1\""), "{exported}");
    }
}
