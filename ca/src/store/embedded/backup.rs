//! Backup of a live store into one stream, restore from it, and the audit that includes the index.
//!
//! ```text
//! backup = "CSBACKUP" version:u32 journal-length:u64 heads-length:u64 journal heads sha256:32     (little endian)
//! ```
//!
//! The journal is append-only: its first octets, up to what was durable at one moment, are a consistent backup.
//! The index is not in it, as it is rebuilt. Keys and configuration are the program's to add.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::time::Duration;

use ring::digest::{Context, SHA256};

use super::embedded::EmbeddedStore;
use super::index::{Index, wait_until_released};
use super::open::{self, build_index, index_folder};
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::journal::{
    self, Damage, DamageKind, Entry, FILE_HEADER, Head, JournalFile, JournalPaths, Report, Scanner,
    Step, Verification, append, heads_to_octets, private_file, read_heads, sync_folder_of,
};
use crate::record::Restoration;

const MAGIC: &[u8; 8] = b"CSBACKUP";
const VERSION: u32 = 1;
const PIECE: usize = 1 << 20;
/// The longest file of heads in a backup.
const MAX_HEADS: u64 = 4 << 20;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSummary {
    /// Entries of the journal.
    pub entries: u64,
    /// Octets of the journal.
    pub journal_bytes: u64,
    /// Tree heads.
    pub heads: u64,
    /// SHA-256 over the backup before its last 32 octets, which are this value.
    pub sha256: [u8; 32],
}

impl EmbeddedStore {
    /// Writes a backup to a file, which is there whole or not at all, while the store goes on.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be written.
    pub fn backup(&self, to: &Path) -> Result<BackupSummary> {
        let temporary = to.with_added_extension("new");
        let wrong = |e: io::Error| Error::io(format!("`{}` cannot be written", to.display()), &e);
        let mut file = private_file(&temporary).map_err(wrong)?;
        let summary = self.backup_journal(&mut file)?;
        file.sync_all().and_then(|()| fs::rename(&temporary, to)).map_err(wrong)?;
        sync_folder_of(to)?;
        Ok(summary)
    }

    /// Writes a backup to any stream, while the store goes on.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be written or the journal cannot be read.
    pub fn backup_journal(&self, writer: &mut dyn Write) -> Result<BackupSummary> {
        // Heads before the position: a head that is signed in between is left out, not its entries.
        let paths = JournalPaths::new(self.folder());
        let heads = {
            let _held = self.lock_heads();
            read_heads(&paths.heads)?.0
        };
        let position = self.position();
        let journal = JournalFile::open(&paths.journal, false)?;
        let heads_octets = heads_to_octets(&heads)?;
        let mut out = Hashing::new(writer);
        out.put(MAGIC)?;
        out.put(&VERSION.to_le_bytes())?;
        out.put(&position.offset.to_le_bytes())?;
        out.put(&(heads_octets.len() as u64).to_le_bytes())?;
        copy_prefix(&journal.file, position.offset, &mut out)?;
        out.put(&heads_octets)?;
        let sha256 = out.finish()?;
        Ok(BackupSummary {
            entries: position.sequence,
            journal_bytes: position.offset,
            heads: heads.len() as u64,
            sha256,
        })
    }
}

/// Who restores a backup, when and how.
#[derive(Debug, Clone)]
pub struct Restore {
    /// The present moment.
    pub at: Timestamp,
    /// Who: a user name or number of the operating system.
    pub actor: String,
    /// Whether secrets and vendors' certificates keep the uses that they had when the backup was made.
    pub keeps_uses: bool,
    /// How long after the last entry of the backup this may be; after more, the clock is thought to be wrong.
    pub longest_silence: Option<Duration>,
    /// Whether an administrator says that the clock is right, although it is before the last entry of the backup, or long behind it.
    pub accepts_clock: bool,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The backup.
    pub backup: BackupSummary,
    /// When the backup's last entry was recorded, if the clock was accepted in spite of it.
    pub clock_accepted: Option<Timestamp>,
}

/// Brings the journal and the heads of a backup into a data folder that has none, and adds the entry that it was restored; before that,
/// the one that the clock was accepted, if it was in doubt. The journal is read through before it counts; the index is rebuilt on the
/// next opening.
///
/// # Errors
/// `Conflict` when the folder has a journal, [`Error::Malformed`] when this is no whole backup,
/// [`Error::Unavailable`] when the disk fails or the clock is not believed.
pub fn restore_journal(reader: &mut dyn Read, data: &Path, how: &Restore) -> Result<Restored> {
    let _lock = open::lock(data)?;
    let paths = JournalPaths::new(data);
    if paths.journal.try_exists().unwrap_or(true) {
        return Err(Error::denied(
            Denial::Conflict,
            format!("`{}` exists already: restore into an empty folder", paths.journal.display()),
        ));
    }
    let wrong = |e: io::Error| Error::io(format!("`{}`", paths.folder.display()), &e);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&paths.folder).map_err(wrong)?;
    // 1. Everything into temporary files, and the sum over all of it compared.
    let mut input = HashingReader { reader, context: Context::new(&SHA256) };
    let (journal_length, heads_length) = read_header(&mut input)?;
    let temporary = paths.journal.with_extension("restored");
    let mut file = private_file(&temporary).map_err(wrong)?;
    input.copy(journal_length, &mut file)?;
    let mut heads_octets = Vec::new();
    input.copy(heads_length, &mut heads_octets)?;
    let sha256 = input.finish()?;
    file.sync_all().map_err(wrong)?;
    // 2. The journal is what it should be, and reaches as far as its heads say.
    let (entries, last) = count_entries(&temporary)?;
    let heads_file = paths.heads.with_extension("restored");
    private_file(&heads_file)
        .and_then(|mut file| file.write_all(&heads_octets).and_then(|()| file.sync_all()))
        .map_err(wrong)?;
    let (heads, _) = read_heads(&heads_file)?;
    if let Some(Head { size, .. }) = heads.last().filter(|head| head.size > entries) {
        return Err(Error::malformed(format!(
            "the backup has `{entries}` entries, its last tree head says `{size}`"
        )));
    }
    // 3. What is lost is known from the first moment: the entry is in the journal when that counts.
    let restoration =
        Restoration { actor: how.actor.clone(), backup: sha256, keeps_uses: how.keeps_uses };
    let clock_accepted = check_clock(how, last)?;
    let accepted = clock_accepted.map(|_| Entry::ClockAccepted { actor: how.actor.clone() });
    let mut frames = Vec::new();
    for (sequence, entry) in
        (entries..).zip(accepted.into_iter().chain([Entry::Restored(restoration)]))
    {
        let body = entry.encode_body()?;
        append(&mut frames, &journal::payload(sequence, how.at, entry.kind(), &body)?)?;
    }
    file.seek(SeekFrom::Start(journal_length))
        .and_then(|_| file.write_all(&frames))
        .and_then(|()| file.sync_all())
        .map_err(wrong)?;
    // 4. It counts from here on. The journal comes last: without it the folder is still empty.
    let index = index_folder(data);
    if index.is_dir() {
        fs::remove_dir_all(&index).map_err(wrong)?;
    }
    fs::rename(&heads_file, &paths.heads)
        .and_then(|()| fs::rename(&temporary, &paths.journal))
        .map_err(wrong)?;
    sync_folder_of(&paths.journal)?;
    let heads = heads.len() as u64;
    let backup = BackupSummary { entries, journal_bytes: journal_length, heads, sha256 };
    Ok(Restored { backup, clock_accepted })
}

/// Verifies a data folder: [`journal::verify()`], and whether the index, if there is one, says what the journal says.
/// The index is left alone while another process has the store open.
///
/// # Errors
/// Those of [`journal::verify()`].
pub fn audit(
    data: &Path,
    how: Verification<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report> {
    let lock = open::lock(data);
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
    const CACHE: u64 = 8 << 20;
    let journal = JournalFile::open(&JournalPaths::new(data).journal, false)?;
    let mut differs = |detail: String| {
        let (sequence, offset) = (report.entries, report.bytes);
        report.find(Damage { kind: DamageKind::Index, sequence, offset, detail });
    };
    let (kept, position) = match Index::open(&index_folder(data), CACHE, journal.instance) {
        Ok((index, Some(position))) => (index.sum().0, position),
        Ok((_, None)) => return Ok(()),
        Err(error) => {
            differs(format!("{error}; it is rebuilt when the store is opened"));
            return Ok(());
        }
    };
    if position.offset > journal.length {
        let detail = format!("the index has seen `{}` entries", position.sequence);
        report.find(Damage {
            kind: DamageKind::Shortened,
            sequence: report.entries,
            offset: report.bytes,
            detail,
        });
        return Ok(());
    }
    let fresh = data.join("index.check");
    let _ = fs::remove_dir_all(&fresh);
    let built = build_index(&fresh, &journal, position.offset, CACHE).map(|index| index.sum().0);
    wait_until_released(&fresh)?;
    let _ = fs::remove_dir_all(&fresh);
    if built? != kept {
        differs("run `countersign store rebuild`".into());
    }
    Ok(())
}

/// Whether the restore can be recorded now, behind the last entry of the backup. Gives that entry's time if the clock was in doubt and
/// is accepted.
fn check_clock(how: &Restore, last: Option<Timestamp>) -> Result<Option<Timestamp>> {
    let Some(last) = last else { return Ok(None) };
    let silence = how.at.since(last);
    let why = if how.at < last {
        format!(
            "the clock says {}, before the last entry of the backup, of {last}: nothing can be signed until that time. Set the clock \
             right, or, if it is right, say `--accept-clock`",
            how.at
        )
    } else if how.longest_silence.is_some_and(|longest| silence > longest) {
        format!(
            "the clock says {}, {} days after the last entry of the backup, of {last}: what is signed with a clock that is ahead \
             stops all signing until that time. Set the clock right, or, if it is right, say `--accept-clock`",
            how.at,
            silence.as_secs() / 86_400
        )
    } else {
        return Ok(None);
    };
    if how.accepts_clock { Ok(Some(last)) } else { Err(Error::unavailable(why)) }
}

/// How many entries there are, and when the last one was recorded.
fn count_entries(path: &Path) -> Result<(u64, Option<Timestamp>)> {
    let journal = JournalFile::open(path, false)?;
    let mut scanner = Scanner::new(&journal.file, FILE_HEADER as u64, 0, journal.length);
    let mut last = None;
    loop {
        match scanner.step()? {
            Step::Entry { envelope, .. } => last = Some(envelope.at),
            Step::End => return Ok((scanner.sequence(), last)),
            Step::Damaged(damage) => return Err(damage.into()),
        }
    }
}

fn read_header(input: &mut HashingReader<'_>) -> Result<(u64, u64)> {
    let mut header = Vec::with_capacity(28);
    input.copy(28, &mut header)?;
    let number = |at: usize| {
        let octets = header.get(at..at + 8).and_then(|octets| octets.try_into().ok());
        octets.map_or(0, u64::from_le_bytes)
    };
    if !header.starts_with(MAGIC) || header.get(8..12) != Some(&VERSION.to_le_bytes()) {
        return Err(Error::malformed("this is no backup of a journal, or of another version"));
    }
    let (journal, heads) = (number(12), number(20));
    if heads > MAX_HEADS || journal < FILE_HEADER as u64 {
        return Err(Error::malformed("the lengths in the backup are out of bounds"));
    }
    Ok((journal, heads))
}

fn copy_prefix(file: &File, length: u64, out: &mut Hashing<'_>) -> Result<()> {
    let (mut piece, mut at) = (vec![0; PIECE], 0);
    while at < length {
        let want = usize::try_from(length - at).map_or(PIECE, |left| left.min(PIECE));
        let buffer = piece.get_mut(..want).unwrap_or_default();
        file.read_exact_at(buffer, at).map_err(|e| Error::io("the journal cannot be read", &e))?;
        out.put(buffer)?;
        at += want as u64;
    }
    Ok(())
}

struct Hashing<'a> {
    writer: &'a mut dyn Write,
    context: Context,
}

impl<'a> Hashing<'a> {
    fn new(writer: &'a mut dyn Write) -> Self {
        Self { writer, context: Context::new(&SHA256) }
    }

    fn put(&mut self, octets: &[u8]) -> Result<()> {
        self.context.update(octets);
        let written = self.writer.write_all(octets);
        written.map_err(|e| Error::io("the backup cannot be written", &e))
    }

    fn finish(self) -> Result<[u8; 32]> {
        let sha256: [u8; 32] =
            self.context.finish().as_ref().try_into().map_err(Error::internal)?;
        let written = self.writer.write_all(&sha256).and_then(|()| self.writer.flush());
        written.map_err(|e| Error::io("the backup cannot be written", &e))?;
        Ok(sha256)
    }
}

struct HashingReader<'a> {
    reader: &'a mut dyn Read,
    context: Context,
}

impl HashingReader<'_> {
    fn copy(&mut self, length: u64, to: &mut dyn Write) -> Result<()> {
        let (mut piece, mut left) = (vec![0; PIECE], length);
        while left > 0 {
            let want = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            let buffer = piece.get_mut(..want).unwrap_or_default();
            self.reader.read_exact(buffer).map_err(|e| incomplete(&e))?;
            self.context.update(buffer);
            to.write_all(buffer).map_err(|e| Error::io("the restored file", &e))?;
            left -= want as u64;
        }
        Ok(())
    }

    fn finish(self) -> Result<[u8; 32]> {
        let mut expected = [0; 32];
        self.reader.read_exact(&mut expected).map_err(|e| incomplete(&e))?;
        if self.context.finish().as_ref() == expected {
            Ok(expected)
        } else {
            Err(Error::malformed("the backup is damaged: its checksum is wrong"))
        }
    }
}

fn incomplete(error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        Error::malformed("the backup is incomplete")
    } else {
        Error::io("the backup cannot be read", error)
    }
}
