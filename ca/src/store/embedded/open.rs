//! Opens an embedded store: journal, tree heads, index, and the replay of what the index lacks.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::index::{Index, OpenedIndex, wait_until_released};
use super::position::Position;
use super::replay::{ProgressFn, Replay, index_in_memory};
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::journal::{
    Damage, DamageKind, Head, HeadsRead, JournalFile, JournalPaths, ROOM, read_heads,
    sync_folder_of,
};

/// The most octets that a crash may leave after the last whole record in the file of tree heads: one incomplete record. More is damage.
const TORN_HEAD: u64 = 1024;

/// The most octets at the end of an entry that may look like room.
const LIKE_ROOM: u64 = 4096;

/// The folder of the index in a data folder.
pub fn index_folder(data: &Path) -> PathBuf {
    data.join("index")
}

/// An opened journal with its index.
pub struct OpenedJournal {
    /// The parts that the writer thread shares with readers.
    pub shared: Shared,
    /// The journal, for writing.
    pub file: File,
    /// The instance's identifier.
    pub instance: [u8; 16],
}

/// Opens journal and index, and brings the index up to the end of the journal. A torn tail is cut off. `cache` is the
/// size of the index's cache in octets. The caller holds the lock of the data folder.
///
/// # Errors
/// [`Error::Internal`] that names the damage when the journal is not whole; the journal is then unchanged.
/// [`Error::Unavailable`] when a file cannot be read or written.
pub fn open(data: &Path, cache: u64, progress: &mut ProgressFn<'_>) -> Result<OpenedJournal> {
    let paths = JournalPaths::new(data);
    let mut journal = JournalFile::open_or_create(&paths)?;
    let heads = trusted_heads(&paths.heads)?;
    // 1. The index may not be ahead of the journal: then the end of the journal was lost.
    let OpenedIndex { index, position: start } = open_index(data, cache, &journal)?;
    let applied = start.as_ref().map_or(0, |position| position.sequence);
    let start = start.unwrap_or_else(Position::beginning);
    if start.offset > journal.length || start.offset > journal.until.saturating_add(LIKE_ROOM) {
        return Err(Error::from(Damage {
            kind: DamageKind::Shortened,
            sequence: start.sequence,
            offset: journal.length.min(journal.until),
            detail: format!(
                "the index has seen `{}` entries in `{}` octets, the journal has `{}` octets",
                start.sequence,
                start.offset,
                journal.length.min(journal.until)
            ),
        }));
    }
    // 2. The replay reads to the end, and says whether the tail is torn.
    let mut replay = Replay::new(&journal, &index, start, &heads);
    let torn = replay.run(progress)?;
    let position = replay.into_position();
    // 3. Only a journal that is as long as its witnesses say is cut: a tail that a head was signed over was not torn by
    //    a crash.
    check_length(&position, applied, &heads)?;
    if let Some(torn) = torn {
        cut_tail(&paths, &mut journal, &torn)?;
    }
    // 4. The last group may be in the page cache only, if the process was killed between its write and its sync. It was
    //    applied just now, so it must be durable before anything rests on it.
    journal.file.sync_data().map_err(|e| Error::io("the journal cannot be made durable", &e))?;
    if let Err(error) = index.apply(&position) {
        tracing::warn!(%error, "the index is not on the disk yet, and stays in memory");
    }
    let reader = journal.file.try_clone().map_err(|e| Error::io("the journal", &e))?;
    let path = paths.journal;
    index.rebuild_with(move |until| index_in_memory(&JournalFile::open(&path)?, until));
    let shared = Shared::new(index, reader, position);
    Ok(OpenedJournal { shared, file: journal.file, instance: journal.instance })
}

/// Reads the tree heads, and refuses a file with damage that no crash leaves.
fn trusted_heads(path: &Path) -> Result<Vec<Head>> {
    let HeadsRead { heads, whole } = read_heads(path)?;
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

/// Opens the index. Deletes an index that is damaged or of another version, and makes an empty one in its place.
fn open_index(data: &Path, cache: u64, journal: &JournalFile) -> Result<OpenedIndex> {
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

/// Refuses a journal that has fewer entries than the index covers (`applied`), or than the last tree head covers.
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

/// Cuts the torn tail off the journal. A copy is kept beside it, and is durable before the cut: nothing is lost for an
/// investigation.
fn cut_tail(paths: &JournalPaths, journal: &mut JournalFile, torn: &Damage) -> Result<()> {
    let kept = paths.folder.join(format!("cut-{}-{}", torn.sequence, torn.offset));
    let length = usize::try_from(journal.length.saturating_sub(torn.offset));
    let mut tail = vec![0; length.map_err(Error::internal)?];
    journal
        .file
        .read_exact_at(&mut tail, torn.offset)
        .and_then(|()| fs::write(&kept, without_room(&tail)))
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

/// A tail without the room at its end.
fn without_room(tail: &[u8]) -> &[u8] {
    let end = tail.iter().rposition(|octet| *octet != ROOM).map_or(0, |last| last + 1);
    tail.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::super::{EmbeddedOptions, EmbeddedStore};
    use super::*;
    use crate::clock::Timestamp;
    use crate::journal::{Entry, append, payload};
    use crate::record::AdminAction;
    use crate::store::Store;

    /// Before locks were kept in memory, the journal had entries of locks.
    #[test]
    fn an_old_journal_with_a_lock_in_it_is_replayed_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let opened = || EmbeddedStore::open(folder.path(), EmbeddedOptions::default(), &mut |_| {});
        let at = Timestamp::from_seconds;
        let done =
            || AdminAction { actor: "root".into(), action: "x".into(), detail: String::new() };
        let store = opened().unwrap();
        store.record_admin_action(at(1), &done()).unwrap();
        drop(store);
        let locked = Entry::Locked { reference: "ref-gw1".into(), until: at(500) };
        let body = locked.encode_body().unwrap();
        let mut frame = Vec::new();
        append(&mut frame, &payload(1, at(2), locked.kind(), &body).unwrap()).unwrap();
        let path = JournalPaths::new(folder.path()).journal;
        OpenOptions::new().append(true).open(&path).unwrap().write_all(&frame).unwrap();

        let store = opened().unwrap();
        assert_eq!((store.status().entries, store.last_entry()), (2, at(2)));
        store.record_admin_action(at(3), &done()).unwrap();
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
