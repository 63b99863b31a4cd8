//! Appends groups of entries, each in one write, to the journal and makes them durable.
//!
//! A group counts only once `fdatasync` has returned. When a write or a sync fails, the writer cuts the file back to
//! its last durable length. After a *full disk* that suffices: the durable part is untouched, and the next group is
//! written anew, so that no page is relied on that the kernel may have dropped and marked clean. After any *other*
//! failed sync the kernel may have dropped dirty pages, and it reports the error only once ("fsyncgate"). The content
//! of the device is then unknown, and the writer writes nothing more until the store is opened again, which reads back
//! what the device really holds.
//!
//! Once a group is answered, [`Writer::prepare`] writes room for the next ones (`frame.rs`). Without room, as on a full
//! disk, groups are appended.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use super::frame::ROOM;
use crate::error::{Error, Result};

/// The device that a journal is written to: a file, or in tests one that fails.
pub trait Tape: Send {
    /// Writes all of `octets` at `offset`, the end of what was written so far.
    ///
    /// # Errors
    /// Those of the device. A part may have been written.
    fn write_at(&mut self, offset: u64, octets: &[u8]) -> io::Result<()>;
    /// Returns when everything that was written is durable.
    ///
    /// # Errors
    /// Those of the device.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts off everything from `length` on.
    ///
    /// # Errors
    /// Those of the device.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// Whether room should be written ahead of the groups.
    fn wants_room(&self) -> bool {
        false
    }
}

/// The least octets of room that are written at once, and the most. Between these bounds, the writer writes as much room as it has
/// written since it was opened.
const LEAST_ROOM: u64 = 64 << 10;
const MOST_ROOM: u64 = 1 << 20;

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

    fn wants_room(&self) -> bool {
        true
    }
}

/// Whether [`Writer::commit`] waits for the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Each group is made durable by one `fdatasync`.
    Synced,
    /// Nothing is made durable. A power cut loses acknowledged entries: for measurements only.
    Unsynced,
}

/// The writer of a journal. There is one for each journal, in the thread that commits groups.
pub struct Writer {
    tape: Box<dyn Tape>,
    durability: Durability,
    // INVARIANT: everything before this offset is durable; every entry there is acknowledged or about to be.
    length: u64,
    /// The end of the file: room is between `length` and this.
    end: u64,
    /// The octets written since the writer was made.
    written: u64,
    /// After a failure to write room, the durable length at which to try again.
    retry: u64,
    state: State,
}

enum State {
    Ready,
    /// Whether octets of a failed group may follow `length`. They must be cut off before the next group is written.
    Unclean,
    /// The content of the device is unknown, for this reason.
    Lost(String),
}

impl Writer {
    /// A writer that appends at `length`, the durable length of the journal. Room follows, up to `end`.
    pub fn new(tape: Box<dyn Tape>, length: u64, end: u64, durability: Durability) -> Self {
        let state = State::Ready;
        Self { tape, durability, length, end, written: 0, retry: 0, state }
    }

    /// The durable length of the journal in octets, where the next group begins.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Appends a group; when this returns `Ok`, the group is durable.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the device fails or has failed: the group must not be acknowledged. After a failed
    /// sync, other than for a full disk, it may nevertheless be in the journal when the store is opened again.
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
        if self.durability == Durability::Synced
            && let Err(error) = self.tape.sync()
        {
            if is_full(&error) {
                return Err(self.roll_back("made durable", &error));
            }
            let why = error.to_string();
            tracing::error!(error = %why, "the journal cannot be made durable; nothing more is recorded");
            self.state = State::Lost(why.clone());
            // Best effort: opening the store examines what is behind the durable length anyway.
            let _ = self.tape.truncate(self.length);
            return Err(lost(&why));
        }
        let written = u64::try_from(group.len()).unwrap_or(0);
        self.length = self.length.saturating_add(written);
        self.end = self.end.max(self.length);
        self.written = self.written.saturating_add(written);
        Ok(())
    }

    /// Writes room for the next groups, if little is left. A failure here fails no group: it only costs time.
    pub fn prepare(&mut self) {
        let room = self.written.clamp(LEAST_ROOM, MOST_ROOM);
        let left = self.end.saturating_sub(self.length);
        let is_wanted = self.durability == Durability::Synced
            && matches!(self.state, State::Ready)
            && self.tape.wants_room();
        if !is_wanted || left >= room / 4 || self.length < self.retry {
            return;
        }
        let octets = vec![ROOM; usize::try_from(room).unwrap_or(0)];
        let written = self.tape.write_at(self.end, &octets);
        let is_written = written.is_ok();
        let Err(error) = written.and_then(|()| self.tape.sync()) else {
            self.end = self.end.saturating_add(room);
            return;
        };
        tracing::warn!(%error, "no room can be written ahead in the journal");
        self.retry = self.length.saturating_add(room);
        // As after a failed group: what is behind the durable length is cut off before the next one, and after a failed
        // sync there is no next one.
        self.state = match is_written && !is_full(&error) {
            true => State::Lost(error.to_string()),
            false => State::Unclean,
        };
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
        self.end = self.length;
        self.state = State::Ready;
        Ok(())
    }
}

/// Cuts the room off. If that fails, it stays, and is told from entries when the store is opened again.
impl Drop for Writer {
    fn drop(&mut self) {
        if matches!(self.state, State::Ready) && self.end > self.length {
            let _ = self.tape.truncate(self.length);
        }
    }
}

fn lost(why: &str) -> Error {
    Error::unavailable(format!(
        "the journal could not be made durable ({why}), and what the disk holds is unknown: check the disk, then \
         start again"
    ))
}

/// Whether the disk has no space, the user no quota left, or the file is as large as it may be.
fn is_full(error: &io::Error) -> bool {
    [Errno::NOSPC, Errno::DQUOT, Errno::FBIG]
        .map(|full| Some(full.raw_os_error()))
        .contains(&error.raw_os_error())
}
