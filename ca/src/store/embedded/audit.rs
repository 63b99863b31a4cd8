//! The audit of a data folder: verifies the journal, and compares the index with it.

use std::fs;
use std::io;
use std::path::Path;

use super::index::{Index, IndexSum, OpenedIndex, wait_until_released};
use super::lock::lock;
use super::open::index_folder;
use super::replay::build_index;
use crate::error::{Error, Result};
use crate::journal::{self, Damage, DamageKind, JournalFile, JournalPaths, Report, Verification};

/// The size of the cache of each of the two indexes that are compared, in octets.
const CACHE: u64 = 8 << 20;

/// Verifies a data folder: the journal as [`journal::verify()`] does, and whether the index, if there is one, equals
/// one that is built anew. The index is not compared while another process has the store open, nor if the journal is
/// damaged; a note in the report says so.
///
/// # Errors
/// Those of [`journal::verify()`].
pub fn audit(
    data: &Path,
    how: Verification<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report> {
    let lock = lock(data);
    let how = Verification { is_live: how.is_live || lock.is_err(), ..how };
    let mut report = journal::verify(data, how, progress)?;
    if lock.is_err() {
        report.notes.push("the index was not compared: the store is in use".into());
    } else if !report.is_good() {
        report.notes.push("the index was not compared: the journal is damaged".into());
    } else if index_folder(data).is_dir() {
        compare_index(data, &mut report)?;
    }
    Ok(report)
}

fn compare_index(data: &Path, report: &mut Report) -> Result<()> {
    let journal = JournalFile::open(&JournalPaths::new(data).journal)?;
    let mut differs = |kind, detail: String| {
        let (sequence, offset) = (report.entries, report.bytes);
        report.add(Damage { kind, sequence, offset, detail });
    };
    // The index is closed again at the end of this match.
    let (own, position) = match Index::open(&index_folder(data), CACHE, journal.instance) {
        Ok(OpenedIndex { index, position: Some(position) }) => (index.sum().sum, position),
        Ok(OpenedIndex { position: None, .. }) => return Ok(()),
        Err(error) => {
            let detail = format!("{error}; it is rebuilt when the store is opened");
            differs(DamageKind::Index, detail);
            return Ok(());
        }
    };
    if position.offset > journal.length {
        let detail = format!("the index has seen `{}` entries", position.sequence);
        differs(DamageKind::Shortened, detail);
        return Ok(());
    }
    if fresh_sum(data, &journal, position.offset, CACHE)? != own {
        differs(DamageKind::Index, "run `countersign store rebuild`".into());
    }
    Ok(())
}

/// The sum over an index that is built anew from the entries of the journal up to the offset `until`, in a folder
/// beside the index, which is deleted afterwards.
///
/// # Errors
/// Those of a replay, and [`Error::Unavailable`] when the folder cannot be deleted.
pub fn fresh_sum(data: &Path, journal: &JournalFile, until: u64, cache: u64) -> Result<IndexSum> {
    let folder = data.join("index.check");
    let clear = || {
        wait_until_released(&folder)?;
        match fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::io(format!("`{}`", folder.display()), &e))
            }
            _ => Ok(()),
        }
    };
    // An audit that was killed may have left the folder.
    clear()?;
    let sum = build_index(&folder, journal, until, cache).map(|index| index.sum().sum);
    clear()?;
    sum
}
