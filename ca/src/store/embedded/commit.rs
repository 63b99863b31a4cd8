//! The writer thread: the only one that changes the journal and the index.
//!
//! It takes the waiting requests as one group, checks each entry against the index and the changes of the group so far,
//! writes all of them with one append and one `fdatasync`, and only then answers. If the write fails, it drops the
//! changes and tells every caller in the group so.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use super::clock::moment;
use super::group_view::GroupView;
use super::index::MAX_OFFSET;
use super::index::changes::Changes;
use super::position::Position;
use super::queue::{Patience, Queue, Woken};
use super::shared::Shared;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::{self, Entry, Writer, append, frame_length, leaf_hash};
use crate::receipt::Reply;
use crate::store::rules::{Prepared, Rules, Stop};

/// The most entries in one group.
const MAX_GROUP: usize = 1024;
/// No entry is added to a group that has this many octets.
const MAX_GROUP_OCTETS: usize = 4 << 20;
/// How long the writer must be idle before it writes the gathered changes to the database.
const IDLE: Duration = Duration::from_millis(500);
/// How long the writer waits, at most, for as many requests as were in the last group.
const MAX_LINGER: Duration = Duration::from_micros(1_000);
/// How long the writer waits, at most, for announced requests. An `fdatasync` takes as much CPU time as two signature
/// verifications.
const MAX_WAIT: Duration = Duration::from_micros(2_000);
/// How long the writer waits after a failure of the database before it tries it again.
const RETRY: Duration = Duration::from_secs(10);

/// A command for the writer thread.
pub enum Command {
    /// Record an entry.
    Record(Box<Request>),
    /// Bring the database under the index up to date, and answer with the position in the journal that it then has
    /// reached.
    Settle(SyncSender<Result<Position>>),
}

/// An entry to record.
pub struct Request {
    /// The present moment by the caller's clock.
    pub at: Timestamp,
    /// When the caller read its clock, by the monotonic clock of this process.
    pub asked: Instant,
    /// The entry.
    pub entry: Entry,
    /// The entry's encoded body. The caller's thread encodes it, to spare the only writer thread the work.
    pub body: Vec<u8>,
    /// The other values that the caller computed from the entry beforehand.
    pub prepared: Prepared,
    /// The writer's end of the caller's receipt.
    pub reply: Reply,
}

/// The state of the writer thread.
pub struct Committer {
    shared: Arc<Shared>,
    writer: Writer,
    commands: Arc<Queue<Command>>,
    last_group: LastGroup,
    /// The memory of the last group's octets, to be used again.
    buffer: Vec<u8>,
    /// After a failure of the database under the index, the earliest moment to try it again.
    retry: Instant,
    /// Whether the database may lack changes that the index in memory has.
    unsettled: bool,
    /// How long after the last entry another one may be recorded: [`super::EmbeddedOptions::longest_silence`].
    longest_silence: Option<Duration>,
}

/// The size and the duration of the last group, from which the writer guesses how long to wait for the next one.
#[derive(Clone, Copy)]
struct LastGroup {
    entries: usize,
    took: Duration,
}

/// A group that is being put together.
struct Group {
    changes: Changes,
    /// The position after the group.
    position: Position,
    /// The frames of the group's entries, as they are appended to the journal.
    octets: Vec<u8>,
    answers: Vec<Answer>,
    entries: u64,
    /// The error of the index, if it failed in the middle of an entry: `changes` are then incomplete, and the group
    /// cannot be used.
    failed: Option<Error>,
}

/// An answer that waits until the group is durable.
struct Answer {
    to: Reply,
    result: Result<()>,
}

impl Committer {
    /// A writer for this store. [`Self::run`] does the work.
    pub fn new(
        shared: Arc<Shared>,
        writer: Writer,
        commands: Arc<Queue<Command>>,
        longest_silence: Option<Duration>,
    ) -> Self {
        Self {
            shared,
            writer,
            commands,
            last_group: LastGroup { entries: 1, took: Duration::ZERO },
            buffer: Vec::new(),
            retry: Instant::now(),
            unsettled: true,
            longest_silence,
        }
    }

    /// Works until the queue is closed and empty.
    pub fn run(mut self) {
        loop {
            match self.commands.wait(IDLE, self.patience()) {
                Woken::Some => {
                    let commands = self.gather();
                    self.serve(commands);
                }
                Woken::Nothing if Instant::now() >= self.retry => {
                    let _ = self.settle();
                }
                Woken::Nothing => {}
                Woken::Closed => break,
            }
        }
        let _ = self.settle();
        if let Err(error) = self.shared.index.write_out() {
            tracing::warn!(%error, "the index was not written out; it will be rebuilt");
        }
    }

    /// How long to wait for the next group to grow. The callers of the last group mostly come again at once: to wait
    /// for them for a quarter of the time that a group takes spares half of the groups.
    fn patience(&self) -> Patience {
        let LastGroup { entries, took } = self.last_group;
        Patience {
            announced: MAX_WAIT,
            enough: entries.min(MAX_GROUP),
            linger: (took / 4).min(MAX_LINGER),
        }
    }

    /// The waiting commands, as far as they fit into one group.
    fn gather(&self) -> Vec<Command> {
        let (mut count, mut octets) = (0_usize, 0_usize);
        self.commands.take(|command| {
            let fits = count < MAX_GROUP && octets < MAX_GROUP_OCTETS;
            count = count.saturating_add(1);
            octets = octets.saturating_add(size_of_command(command));
            fits
        })
    }

    fn serve(&mut self, commands: Vec<Command>) {
        let (started, count) = (Instant::now(), commands.len());
        let mut group = self.new_group();
        for command in commands {
            match command {
                Command::Record(request) => group = self.add(group, request),
                Command::Settle(reply) => {
                    self.commit(group);
                    let _ = reply.send(self.settle());
                    group = self.new_group();
                }
            }
        }
        self.commit(group);
        self.writer.prepare();
        self.last_group = LastGroup { entries: count, took: started.elapsed() };
        // A failure is seen, and reported, when the changes are handed over.
        if self.shared.index.is_due().unwrap_or(true) && Instant::now() >= self.retry {
            let _ = self.settle();
        }
    }

    fn new_group(&mut self) -> Group {
        let mut octets = std::mem::take(&mut self.buffer);
        octets.clear();
        octets.shrink_to(MAX_GROUP_OCTETS);
        Group {
            changes: Changes::default(),
            position: self.shared.position(),
            octets,
            answers: Vec::new(),
            entries: 0,
            failed: None,
        }
    }

    /// Adds an entry to the group. If the entry is about a certificate of the same group, commits the group first and
    /// begins a new one.
    fn add(&mut self, mut group: Group, request: Box<Request>) -> Group {
        let result = match self.try_add(&mut group, &request) {
            Err(Stop::NotDurable) => {
                self.commit(group);
                group = self.new_group();
                match self.try_add(&mut group, &request) {
                    Err(Stop::NotDurable) => Err(Error::internal("a durable entry was not found")),
                    Err(Stop::Refused(error)) => Err(error),
                    Ok(()) => Ok(()),
                }
            }
            Err(Stop::Refused(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        // A refusal waits for the group, too: it may rest on entries of the group, which are not durable yet.
        group.answers.push(Answer { to: request.reply, result });
        group
    }

    fn try_add(&mut self, group: &mut Group, request: &Request) -> Result<(), Stop> {
        let Request { entry, body, prepared, .. } = request;
        // 1. The entry gets its time and its place.
        let at = match entry {
            Entry::ClockAccepted { .. } => request.at,
            _ => {
                let (waited, last) = (request.asked.elapsed(), group.position.last_entry());
                moment(request.at, waited, last, self.longest_silence)?
            }
        };
        let payload = journal::payload(group.position.sequence, at, entry.kind(), body)?;
        let offset = group.position.offset;
        let end = offset + frame_length(&payload);
        if end > MAX_OFFSET {
            return Err(Error::unavailable("the journal is as long as it can be (512 GiB)").into());
        }
        // 2. The rules say whether it may be recorded. Until here nothing of the group was changed.
        let mut rules = Rules {
            view: GroupView {
                changes: &mut group.changes,
                index: &self.shared.index,
                journal: &self.shared.journal,
                durable: self.writer.length(),
                certificates: &mut group.position.certificates,
            },
            prepared,
        };
        let subject = rules.find(entry)?;
        rules.check(at, entry, subject.as_ref())?;
        append(&mut group.octets, &payload)?;
        // 3. The index follows. If it fails now, some changes of the entry are made and others not: the whole group is
        //    given up.
        if let Err(error) = rules.apply(at, entry, subject.as_ref(), offset) {
            group.failed = Some(index_failed(&error));
            return Err(error.into());
        }
        group.position.frontier.push(leaf_hash(&payload));
        group.position.sequence += 1;
        group.position.offset = end;
        group.position.last = at;
        group.entries += 1;
        Ok(())
    }

    /// Makes the group durable, then visible, and then answers. The order matters: a power cut must not undo anything that a reader has
    /// seen or a caller was told.
    fn commit(&mut self, group: Group) {
        let Group { changes, position, octets, answers, entries, failed } = group;
        if entries > 0 || failed.is_some() {
            let written = match failed {
                Some(error) => Err(error),
                None => self.writer.commit(&octets),
            };
            self.buffer = octets;
            if let Err(error) = written {
                for answer in answers {
                    answer.to.send(Err(error.clone()));
                }
                return;
            }
            self.shared.index.absorb(changes, position.mark());
            self.shared.advance(position, entries);
            self.unsettled = true;
        }
        for answer in answers {
            answer.to.send(answer.result);
        }
    }

    /// Hands to the database the changes that have gathered in memory. If the database fails, as on a full disk, the index continues in
    /// memory, and nothing else is affected, because the index can be rebuilt from the journal.
    fn settle(&mut self) -> Result<Position> {
        let position = self.shared.position();
        if self.unsettled {
            if let Err(error) = self.shared.index.apply(&position) {
                self.retry = Instant::now() + RETRY;
                self.shared.index.leave_disk(error)?;
            }
            self.unsettled = false;
        }
        Ok(position)
    }
}

/// However the writer thread ends, even by a panic, no caller waits for it any longer: each gets the answer that the
/// store is closed.
impl Drop for Committer {
    fn drop(&mut self) {
        self.commands.close();
        drop(self.commands.take(|_| true));
    }
}

fn index_failed(error: &Error) -> Error {
    Error::unavailable(format!(
        "{error}: if this goes on, start again, and the index is rebuilt from the journal"
    ))
}

fn size_of_command(command: &Command) -> usize {
    match command {
        Command::Record(request) => request.body.len().saturating_add(64),
        Command::Settle(_) => 0,
    }
}
