//! Appends groups of entries to the journal and makes them durable.
//!
//! A group counts only once `fdatasync` has returned. When a write or a sync fails, the file is cut back to its last
//! durable length. After a *full disk* that suffices: what was durable is not touched, and the next group is written
//! anew, so no page is trusted that the kernel may have dropped and called clean. After any *other* failed sync the
//! kernel may have thrown away dirty pages and reports the error only once ("fsyncgate"), and what the device holds
//! is unknown: nothing more is written until the store is opened again, which reads back what is really there.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use crate::error::{Error, Result};

/// What a journal is written to. A test hands in one that fails.
pub trait Tape: Send {
    /// Writes all of `octets` at `offset`, which is the end.
    fn write_at(&mut self, offset: u64, octets: &[u8]) -> io::Result<()>;
    /// Returns when everything written is durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts off everything from `length` on.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

impl Tape for File {
    fn write_at(&mut self, offset: u64, octets: &[u8]) -> io::Result<()> {
        self.write_all_at(octets, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// The only one that writes to the journal.
pub struct Writer {
    tape: Box<dyn Tape>,
    sync: bool,
    /// INVARIANT: everything before this is durable and acknowledged.
    length: u64,
    state: State,
}

enum State {
    Ready,
    /// Something may stand behind `length` that must be cut off before the next group.
    Unclean,
    /// What the device holds is unknown.
    Lost(String),
}

impl Writer {
    /// Writes on from `length`. Without `sync`, nothing is made durable: for measurements only.
    pub fn new(tape: Box<dyn Tape>, length: u64, sync: bool) -> Self {
        Self { tape, sync, length, state: State::Ready }
    }

    /// The durable length of the file, where the next group begins.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Appends a group; when this returns `Ok`, it is durable.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: nothing of the group counts.
    pub fn commit(&mut self, group: &[u8]) -> Result<()> {
        if let State::Lost(why) = &self.state {
            return Err(lost(why));
        }
        if matches!(self.state, State::Unclean) {
            self.cut_back()?;
        }
        if let Err(error) = self.tape.write_at(self.length, group) {
            return Err(self.roll_back("written", &error));
        }
        if self.sync
            && let Err(error) = self.tape.sync()
        {
            if is_full(&error) {
                return Err(self.roll_back("made durable", &error));
            }
            let why = error.to_string();
            tracing::error!(error = %why, "the journal cannot be made durable; nothing more is recorded");
            self.state = State::Lost(why.clone());
            // Best effort: on opening, whatever is behind the durable length is looked at again.
            let _ = self.tape.truncate(self.length);
            return Err(lost(&why));
        }
        self.length = self.length.saturating_add(u64::try_from(group.len()).unwrap_or(0));
        Ok(())
    }

    fn roll_back(&mut self, verb: &str, error: &io::Error) -> Error {
        tracing::error!(%error, "the journal cannot be {verb}");
        self.state = State::Unclean;
        let _ = self.cut_back();
        if is_full(error) {
            Error::unavailable(format!(
                "the journal cannot be {verb}, the disk is full ({error}): make space, then try again"
            ))
        } else {
            Error::unavailable(format!("the journal cannot be {verb}: {error}"))
        }
    }

    fn cut_back(&mut self) -> Result<()> {
        let cut = self.tape.truncate(self.length).and_then(|()| self.tape.sync());
        cut.map_err(|e| Error::io("the journal cannot be cut back after a failed write", &e))?;
        self.state = State::Ready;
        Ok(())
    }
}

fn lost(why: &str) -> Error {
    Error::unavailable(format!(
        "the journal could not be made durable ({why}), and what the disk holds is unknown: check the disk, then \
         start again"
    ))
}

/// No space, no quota, or the file is as large as it may be.
fn is_full(error: &io::Error) -> bool {
    [Errno::NOSPC, Errno::DQUOT, Errno::FBIG]
        .map(|full| Some(full.raw_os_error()))
        .contains(&error.raw_os_error())
}
