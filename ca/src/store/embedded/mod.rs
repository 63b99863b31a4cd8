//! The embedded store: the journal and its index in one data folder, used by one process. Everything that knows a file
//! or the embedded database is in this folder.
//!
//! ```text
//! verbs.rs ─Command→ queue.rs ─group→ commit.rs ─frames→ journal, fdatasync
//!                                               ─changes→ index/
//!                                               ─position→ shared.rs
//!                                               ─answer→ the caller's receipt
//! ```

pub(super) mod audit;
pub(super) mod backup;
mod certificates;
pub(super) mod clock;
mod commit;
#[cfg(test)]
mod faults;
mod group_view;
mod history;
pub(super) mod index;
mod inventory;
pub(super) mod lock;
mod open;
mod position;
mod queue;
pub(super) mod replay;
mod requests;
pub(super) mod restore;
pub(super) mod shared;
mod verbs;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use commit::{Command, Committer, Request};
use index::{IndexSum, wait_until_released};
use open::{OpenedJournal, index_folder};
use position::Position;
use queue::{Queue, Refused};
use replay::ProgressFn;
use shared::{Counts, Shared};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::{
    self, Durability, Entry, Head, HeadSigner, HeadsFile, JournalFile, JournalPaths, Recorded,
    Tape, Writer,
};
use crate::receipt::{Receipt, receipt};
use crate::store::rules::Prepared;

/// The settings of an embedded store.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedOptions {
    /// Whether records are made durable. Without it a power cut loses acknowledged records: for measurements only.
    pub sync: bool,
    /// The most requests that may wait for the writer thread. A further request gets [`Error::Unavailable`].
    pub queue: usize,
    /// The size of the index's cache in octets, as the embedded database counts them. It takes several times as much
    /// memory.
    pub cache_bytes: u64,
    /// How long after the last entry another one may be recorded. After a longer silence the clock is thought to be
    /// wrong. `None` allows any time.
    pub longest_silence: Option<Duration>,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self { sync: true, queue: 4096, cache_bytes: 1 << 20, longest_silence: None }
    }
}

/// A store in a folder of this machine.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    commands: Arc<Queue<Command>>,
    writer: Option<JoinHandle<()>>,
    heads: Mutex<HeadsFile>,
    instance: [u8; 16],
    data: PathBuf,
    options: EmbeddedOptions,
    /// Held as long as the store is open.
    _lock: File,
}

/// The state of a store, for its operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The number of entries in the journal.
    pub entries: u64,
    /// The durable length of the journal in octets.
    pub journal_bytes: u64,
    /// When the last entry was recorded; `None` if there is none.
    pub last: Option<Timestamp>,
    /// The number of entries of the journal that the index on disk has. The rest is replayed when the store is opened.
    pub applied: u64,
    /// The size of the index on disk in octets; 0 if it is unknown.
    pub index_bytes: u64,
    /// The number of issued certificates.
    pub certificates: u64,
    /// The last signed tree head; `None` if none was signed yet.
    pub head: Option<Head>,
    /// The groups and entries that the writer thread has committed since the store was opened.
    pub counts: Counts,
}

impl EmbeddedStore {
    /// Opens the store in `folder`, which must exist, or begins a new one in it. `progress` is called while the index
    /// is brought up to date.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when another process has the store open or the disk fails; [`Error::Internal`] that names
    /// the damage and its place when the journal is not whole.
    pub fn open(
        folder: &Path,
        options: EmbeddedOptions,
        progress: &mut ProgressFn<'_>,
    ) -> Result<Self> {
        Self::open_on(folder, options, progress, |file| Box::new(file))
    }

    /// Deletes the index, then opens the store, which rebuilds it from the journal.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn rebuild(
        folder: &Path,
        options: EmbeddedOptions,
        progress: &mut ProgressFn<'_>,
    ) -> Result<Self> {
        let lock = lock::lock(folder)?;
        let index = index_folder(folder);
        wait_until_released(&index)?;
        if index.try_exists().unwrap_or(true) {
            fs::remove_dir_all(&index)
                .map_err(|e| Error::io(format!("`{}`", index.display()), &e))?;
        }
        drop(lock);
        Self::open(folder, options, progress)
    }

    /// As [`Self::open`]. The journal is written through what `tape` makes of the file, so that a test can let the disk
    /// fail.
    pub(crate) fn open_on(
        folder: &Path,
        options: EmbeddedOptions,
        progress: &mut ProgressFn<'_>,
        tape: impl FnOnce(File) -> Box<dyn Tape>,
    ) -> Result<Self> {
        let lock = lock::lock(folder)?;
        let OpenedJournal { shared, file, instance } =
            open::open(folder, options.cache_bytes, progress)?;
        let heads = HeadsFile::open(JournalPaths::new(folder).heads)?;
        let end = file.metadata().map_err(|e| Error::io("the journal", &e))?.len();
        let length = shared.position().offset;
        let durability = if options.sync { Durability::Synced } else { Durability::Unsynced };
        let writer = Writer::new(tape(file), length, end, durability);
        let (shared, commands) = (Arc::new(shared), Arc::new(Queue::new(options.queue)));
        let silence = options.longest_silence;
        let committer = Committer::new(Arc::clone(&shared), writer, Arc::clone(&commands), silence);
        let writer = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || committer.run())
            .map_err(|e| Error::io("the journal's thread cannot be started", &e))?;
        Ok(Self {
            shared,
            commands,
            writer: Some(writer),
            heads: Mutex::new(heads),
            instance,
            data: folder.to_owned(),
            options,
            _lock: lock,
        })
    }

    /// Signs a tree head over the durable journal, unless the last head has the same size. This is cheap enough to do
    /// every second.
    ///
    /// # Errors
    /// Those of the signer, and [`Error::Unavailable`] when the head cannot be recorded.
    pub fn sign_head(&self, at: Timestamp, signer: &dyn HeadSigner) -> Result<Head> {
        let mut heads = self.lock_heads();
        let Position { sequence: size, frontier, .. } = self.shared.position();
        if let Some(last) = heads.last().filter(|last| last.size == size) {
            return Ok(last.clone());
        }
        let head = Head::sign(&self.instance, size, frontier.root(), at, signer)?;
        heads.append(head.clone())?;
        Ok(head)
    }

    /// The instance's identifier, which every tree head names.
    pub const fn instance(&self) -> &[u8; 16] {
        &self.instance
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        &self.data
    }

    /// The state of the store, for its operator.
    pub fn status(&self) -> Status {
        let position = self.shared.position();
        Status {
            entries: position.sequence,
            journal_bytes: position.offset,
            last: position.last_entry(),
            applied: self.shared.index.applied(),
            index_bytes: self.shared.index.size_on_disk(),
            certificates: position.certificates,
            head: self.lock_heads().last().cloned(),
            counts: self.shared.counts(),
        }
    }

    /// The sum over the index, and the sum over an index that is built anew from the same entries. If they differ, the index is wrong.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the index changes meanwhile, and the errors of a replay.
    pub fn compare_index(&self) -> Result<(IndexSum, IndexSum)> {
        let (reply, answer) = sync_channel(1);
        self.send(Command::Settle(reply))?;
        let position = answer.recv().map_err(|_| stopped())??;
        let summed = self.shared.index.sum();
        if summed.sequence != position.sequence {
            return Err(Error::unavailable("the index moved on while it was compared: try again"));
        }
        let file = JournalFile::open(&JournalPaths::new(&self.data).journal)?;
        let cache = self.options.cache_bytes;
        let fresh = audit::fresh_sum(&self.data, &file, position.offset, cache)?;
        Ok((summed.sum, fresh))
    }

    fn lock_heads(&self) -> MutexGuard<'_, HeadsFile> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an entry and waits until it is durable.
    fn record(&self, at: Timestamp, entry: Entry) -> Result<()> {
        self.begin(at, entry)?.wait()
    }

    /// Hands an entry to the writer thread, without waiting. The receipt resolves when the entry is durable or refused.
    fn begin(&self, at: Timestamp, entry: Entry) -> Result<Receipt> {
        let asked = Instant::now();
        let (body, prepared) = (entry.encode_body()?, Prepared::of(&entry));
        let (receipt, reply) = receipt();
        let request = Request { at, asked, entry, body, prepared, reply };
        self.send(Command::Record(Box::new(request)))?;
        Ok(receipt)
    }

    fn send(&self, command: Command) -> Result<()> {
        self.commands.push(command).map_err(|refused| match refused {
            Refused::Full => Error::unavailable(format!(
                "the store is busy, `{}` requests are waiting: try again later",
                self.options.queue
            )),
            Refused::Closed => stopped(),
        })
    }

    fn entry_at(&self, offset: u64) -> Result<Recorded> {
        journal::entry_at(&self.shared.journal, offset)
    }
}

/// Closes the queue, and waits until the writer thread has recorded what is in it.
impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.commands.close();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the journal's thread ended badly");
        }
    }
}

fn stopped() -> Error {
    Error::unavailable("the store is closed")
}
