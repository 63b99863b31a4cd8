//! Restore of a backup into a data folder without a journal.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use ring::digest::{Context, SHA256};

use super::backup::{BackupSummary, MAGIC, PIECE, VERSION};
use super::lock::lock;
use super::open::index_folder;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::journal::{
    self, Entry, FILE_HEADER, Head, JournalFile, JournalPaths, Step, append, private_file,
    read_heads, sync_folder_of,
};
use crate::record::Restoration;

/// The most octets of the tree heads in a backup.
const MAX_HEADS: u64 = 4 << 20;

/// The settings of a restore.
#[derive(Debug, Clone)]
pub struct Restore {
    /// The present moment.
    pub at: Timestamp,
    /// The administrator: a user of the operating system, such as `uid 0`.
    pub actor: String,
    /// Whether secrets and vendors' certificates keep the uses that they had when the backup was made.
    pub keeps_uses: bool,
    /// How long after the last entry of the backup `at` may be. After a longer time the clock is thought to be wrong.
    /// `None` allows any time.
    pub longest_silence: Option<Duration>,
    /// Whether the administrator says that the clock is right, although it is before the last entry of the backup, or
    /// long after it.
    pub accepts_clock: bool,
}

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The backup.
    pub backup: BackupSummary,
    /// When the last entry of the backup was recorded, if the clock was in doubt and accepted; otherwise `None`.
    pub clock_accepted: Option<Timestamp>,
}

/// Brings the journal and the tree heads of a backup into a data folder that has none. Adds the entry that says so, and
/// before it, if the clock was in doubt, the entry that it was accepted. The index is rebuilt when the store is opened
/// next.
///
/// # Errors
/// `Conflict` when the folder has a journal, [`Error::Malformed`] when the stream is not a whole backup,
/// [`Error::Internal`] when the journal in it is damaged, [`Error::Unavailable`] when the disk fails, the clock is not
/// believed or another process has the store open.
pub fn restore_journal(reader: &mut dyn Read, data: &Path, how: &Restore) -> Result<Restored> {
    let _lock = lock(data)?;
    let paths = JournalPaths::new(data);
    if paths.journal.try_exists().unwrap_or(true) {
        return Err(Error::denied(
            Denial::Conflict,
            format!("`{}` exists already: restore into an empty folder", paths.journal.display()),
        ));
    }
    let wrong = |e: io::Error| Error::io(format!("`{}`", paths.folder.display()), &e);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&paths.folder).map_err(wrong)?;
    // 1. Everything goes into temporary files, and the sum over all of it is compared.
    let mut input = HashingReader { reader, context: Context::new(&SHA256) };
    let lengths = read_header(&mut input)?;
    let temporary = paths.journal.with_extension("restored");
    let mut file = private_file(&temporary).map_err(wrong)?;
    input.copy(lengths.journal, &mut file)?;
    let mut heads_octets = Vec::new();
    input.copy(lengths.heads, &mut heads_octets)?;
    let sha256 = input.finish()?;
    file.sync_all().map_err(wrong)?;
    // 2. The journal is read through, and must be as long as its heads say.
    let counted = count_entries(&temporary)?;
    let heads_file = paths.heads.with_extension("restored");
    private_file(&heads_file)
        .and_then(|mut file| file.write_all(&heads_octets).and_then(|()| file.sync_all()))
        .map_err(wrong)?;
    let heads = read_heads(&heads_file)?.heads;
    if let Some(Head { size, .. }) = heads.last().filter(|head| head.size > counted.entries) {
        return Err(Error::malformed(format!(
            "the backup has `{}` entries, its last tree head says `{size}`",
            counted.entries
        )));
    }
    // 3. The entry of the restore is appended before the journal counts. So no instance ever runs that does not know
    //    that something was lost.
    let restoration =
        Restoration { actor: how.actor.clone(), backup: sha256, keeps_uses: how.keeps_uses };
    let clock_accepted = check_clock(how, counted.last)?;
    let accepted = clock_accepted.map(|_| Entry::ClockAccepted { actor: how.actor.clone() });
    let mut frames = Vec::new();
    let added = accepted.into_iter().chain([Entry::Restored(restoration)]);
    for (sequence, entry) in (counted.entries..).zip(added) {
        let body = entry.encode_body()?;
        append(&mut frames, &journal::payload(sequence, how.at, entry.kind(), &body)?)?;
    }
    file.seek(SeekFrom::Start(lengths.journal))
        .and_then(|_| file.write_all(&frames))
        .and_then(|()| file.sync_all())
        .map_err(wrong)?;
    // 4. The restore counts from here on. An index of before goes first, as it belongs to another history. The journal
    //    comes last: a crash before its rename leaves a folder without a journal, into which the backup can be restored
    //    again.
    let index = index_folder(data);
    if index.is_dir() {
        fs::remove_dir_all(&index).map_err(wrong)?;
    }
    fs::rename(&heads_file, &paths.heads)
        .and_then(|()| fs::rename(&temporary, &paths.journal))
        .map_err(wrong)?;
    sync_folder_of(&paths.journal)?;
    let backup = BackupSummary {
        entries: counted.entries,
        journal_bytes: lengths.journal,
        heads: heads.len() as u64,
        sha256,
    };
    Ok(Restored { backup, clock_accepted })
}

/// Refuses the restore if the clock is in doubt and not accepted. If it is in doubt and accepted, returns `last`, the
/// time of the last entry of the backup.
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

/// The number of the entries of a journal, and the time of the last one.
struct Counted {
    entries: u64,
    /// When the last entry was recorded.
    last: Option<Timestamp>,
}

fn count_entries(path: &Path) -> Result<Counted> {
    let journal = JournalFile::open(path)?;
    let mut scanner = journal.scanner();
    let mut last = None;
    loop {
        match scanner.step()? {
            Step::Entry { envelope, .. } => last = Some(envelope.at),
            Step::End => return Ok(Counted { entries: scanner.sequence(), last }),
            Step::Damaged(damage) => return Err(damage.into()),
        }
    }
}

/// The lengths of the parts of a backup, in octets.
struct Lengths {
    journal: u64,
    heads: u64,
}

fn read_header(input: &mut HashingReader<'_>) -> Result<Lengths> {
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
    Ok(Lengths { journal, heads })
}

/// Hashes what it reads.
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

    /// Reads the hash at the end, compares it, and returns it.
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
