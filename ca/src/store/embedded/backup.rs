//! Backup of a live store into one stream.
//!
//! ```text
//! backup = "CSBACKUP" version:u32 journal-length:u64 heads-length:u64 journal heads sha256:32     (little endian)
//! ```
//!
//! The journal is append-only: its first octets, up to what was durable at one moment, are a consistent backup. The
//! index is not in the backup, as it is rebuilt. The program adds keys and configuration.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use ring::digest::{Context, SHA256};

use super::EmbeddedStore;
use crate::error::{Error, Result};
use crate::journal::{
    JournalFile, JournalPaths, heads_to_octets, private_file, read_heads, sync_folder_of,
};

/// The first octets of a backup.
pub const MAGIC: &[u8; 8] = b"CSBACKUP";
/// The version of the format.
pub const VERSION: u32 = 1;
/// Octets that are copied at once.
pub const PIECE: usize = 1 << 20;

/// The content of a backup, summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSummary {
    /// The number of entries of the journal.
    pub entries: u64,
    /// Octets of the journal, with its header.
    pub journal_bytes: u64,
    /// The number of tree heads.
    pub heads: u64,
    /// SHA-256 over the backup without its last 32 octets, which are this value.
    pub sha256: [u8; 32],
}

impl EmbeddedStore {
    /// Writes a backup to a file while the store goes on. After a crash the whole file is there, or none of it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the file cannot be written or the journal cannot be read.
    pub fn backup(&self, to: &Path) -> Result<BackupSummary> {
        let temporary = to.with_added_extension("new");
        let wrong = |e: io::Error| Error::io(format!("`{}` cannot be written", to.display()), &e);
        let mut file = private_file(&temporary).map_err(wrong)?;
        let summary = self.backup_journal(&mut file)?;
        file.sync_all().and_then(|()| fs::rename(&temporary, to)).map_err(wrong)?;
        sync_folder_of(to)?;
        Ok(summary)
    }

    /// Writes a backup to any stream while the store goes on.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the stream cannot be written or the journal cannot be read.
    pub fn backup_journal(&self, writer: &mut dyn Write) -> Result<BackupSummary> {
        // The heads are read before the position: every head that is read covers entries before that position. In the
        // other order, a head could be signed in between over entries that are not in the backup.
        let paths = JournalPaths::new(self.folder());
        let heads = {
            let _held = self.lock_heads();
            read_heads(&paths.heads)?.heads
        };
        let position = self.shared.position();
        let journal = JournalFile::open(&paths.journal)?;
        let heads_octets = heads_to_octets(&heads)?;
        let mut out = HashingWriter::new(writer);
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

fn copy_prefix(file: &File, length: u64, out: &mut HashingWriter<'_>) -> Result<()> {
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

/// Hashes what it writes.
struct HashingWriter<'a> {
    writer: &'a mut dyn Write,
    context: Context,
}

impl<'a> HashingWriter<'a> {
    fn new(writer: &'a mut dyn Write) -> Self {
        Self { writer, context: Context::new(&SHA256) }
    }

    fn put(&mut self, octets: &[u8]) -> Result<()> {
        self.context.update(octets);
        let written = self.writer.write_all(octets);
        written.map_err(|e| Error::io("the backup cannot be written", &e))
    }

    /// Writes the hash, and returns it.
    fn finish(self) -> Result<[u8; 32]> {
        let sha256: [u8; 32] =
            self.context.finish().as_ref().try_into().map_err(Error::internal)?;
        let written = self.writer.write_all(&sha256).and_then(|()| self.writer.flush());
        written.map_err(|e| Error::io("the backup cannot be written", &e))?;
        Ok(sha256)
    }
}
