//! The writer thread: the only one that changes the journal and the index.
//!
//! It takes what is waiting as one group: checks each entry against the index and what the group changes so far,
//! writes all of them with one append and one `fdatasync`, and only then answers. If nothing came of the write, the
//! changes are dropped and everybody in the group is told so.

use std::fs::File;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::index::{Changes, Index, Layered, Position};
use super::queue::{Awaited, Queue};
use super::rules::{Rules, Stop};
use super::serials::MAX_OFFSET;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::{self, Entry, FRAME_HEADER, Writer, append, leaf_hash};
use crate::receipt::Reply;

/// The most entries in one group.
const MAX_GROUP: usize = 1024;
/// A group is written when it has this many octets.
const MAX_GROUP_OCTETS: usize = 4 << 20;
/// Changed keys that gather before they go to sled.
pub const GATHERED: usize = 4096;
/// With nothing to do for this long, what has gathered goes to sled.
const IDLE: Duration = Duration::from_millis(500);
/// How long the writer waits, at most, for as many as were in the last group.
const MAX_LINGER: Duration = Duration::from_micros(1_000);
/// How long it waits, at most, for those that are at work: an `fdatasync` takes as much CPU time as two verifications.
const MAX_WAIT: Duration = Duration::from_micros(2_000);
/// How long a failed index is left alone.
const RETRY: Duration = Duration::from_secs(10);
/// A clock may go back by so much: it is being slewed.
const SLEW: Duration = Duration::from_secs(2);

/// What the writer is asked to do.
pub enum Command {
    /// Record an entry.
    Record(Box<Request>),
    /// Bring the index up to date, and answer with the position that it then has.
    Settle(SyncSender<Result<Position>>),
}

/// An entry to record.
pub struct Request {
    /// The caller's clock.
    pub at: Timestamp,
    /// When the caller asked, so that the time until its turn is not taken for a clock that went backwards.
    pub asked: Instant,
    /// The entry.
    pub entry: Entry,
    /// Its body, encoded by the caller so that it need not be here.
    pub body: Vec<u8>,
    /// Where the answer goes.
    pub reply: Reply,
}

/// What the writer shares with readers.
pub struct Shared {
    /// The index.
    pub index: Index,
    /// The journal, for reading.
    pub journal: File,
    /// What is durable.
    pub durable: RwLock<Position>,
    /// What was measured.
    pub counts: Mutex<Counts>,
    /// How many entries are durable, for those who wait for more.
    pub recorded: (Mutex<u64>, Condvar),
}

/// What the writer counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Groups committed, each with one `fdatasync`.
    pub groups: u64,
    /// Entries in them.
    pub entries: u64,
}

impl Shared {
    /// What is durable now.
    pub fn position(&self) -> Position {
        self.durable.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The writer thread's state.
pub struct Committer {
    shared: Arc<Shared>,
    writer: Writer,
    commands: Arc<Queue<Command>>,
    /// Entries in the last group, and how long it took: how long to wait for as many again.
    last_group: (usize, Duration),
    /// The octets of the last group, to be used again.
    buffer: Vec<u8>,
    /// The index failed: not before this moment is it tried again.
    retry: Instant,
    /// The index may lack something.
    unsettled: bool,
    /// How long after the last entry one may be recorded.
    longest_silence: Option<Duration>,
}

/// A group that is being put together.
struct Group {
    changes: Changes,
    position: Position,
    octets: Vec<u8>,
    answers: Vec<(Reply, Result<()>)>,
    entries: u64,
    /// The index failed in the middle of an entry: nothing of the group can be used.
    failed: Option<Error>,
}

impl Committer {
    /// A writer for this store; [`Self::run`] does the work.
    pub fn new(
        shared: Arc<Shared>,
        writer: Writer,
        commands: Arc<Queue<Command>>,
        longest_silence: Option<Duration>,
    ) -> Self {
        let last_group = (1, Duration::ZERO);
        Self {
            shared,
            writer,
            commands,
            last_group,
            buffer: Vec::new(),
            retry: Instant::now(),
            unsettled: true,
            longest_silence,
        }
    }

    /// Works until the queue is closed and empty.
    pub fn run(mut self) {
        loop {
            let (expected, took) = self.last_group;
            // Those whom the last group answered mostly come again at once, and a short wait spares half of the groups.
            let linger = (took / 4).min(MAX_LINGER);
            match self.commands.wait(IDLE, (MAX_WAIT, expected.min(MAX_GROUP), linger)) {
                Awaited::Some => {
                    let commands = self.gather();
                    self.serve(commands);
                }
                Awaited::Nothing if Instant::now() >= self.retry => {
                    let _ = self.settle();
                }
                Awaited::Nothing => {}
                Awaited::Closed => break,
            }
        }
        let _ = self.settle();
        if let Err(error) = self.shared.index.write_out() {
            tracing::warn!(%error, "the index was not written out; it will be rebuilt");
        }
    }

    /// What is waiting, as far as it fits into one group.
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
        self.last_group = (count, started.elapsed());
        if self.shared.index.waiting() >= GATHERED && Instant::now() >= self.retry {
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

    /// Adds an entry to the group. If it depends on a certificate of the same group, the group is committed first.
    fn add(&mut self, mut group: Group, request: Box<Request>) -> Group {
        let answer = match self.try_add(&mut group, &request) {
            Err(Stop::Pending) => {
                self.commit(group);
                group = self.new_group();
                match self.try_add(&mut group, &request) {
                    Err(Stop::Pending) => Err(Error::internal("a durable entry was not found")),
                    Err(Stop::Refused(error)) => Err(error),
                    Ok(()) => Ok(()),
                }
            }
            Err(Stop::Refused(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        group.answers.push((request.reply, answer));
        group
    }

    fn try_add(&mut self, group: &mut Group, request: &Request) -> Result<(), Stop> {
        let at = match request.entry {
            Entry::ClockAccepted { .. } => request.at,
            _ => {
                let last = Some(group.position.last).filter(|_| group.position.sequence > 0);
                moment(request.at, request.asked.elapsed(), last, self.longest_silence)?
            }
        };
        let Request { entry, body, .. } = request;
        let payload = journal::payload(group.position.sequence, at, entry.kind(), body)?;
        let offset = group.position.offset;
        let end = offset + (payload.len() + FRAME_HEADER) as u64;
        if end > MAX_OFFSET {
            return Err(Error::unavailable("the journal is as long as it can be (512 GiB)").into());
        }
        let mut rules = Rules {
            view: Layered { changes: &mut group.changes, index: &self.shared.index },
            journal: &self.shared.journal,
            durable: self.writer.length(),
            certificates: &mut group.position.certificates,
        };
        let found = rules.find(entry)?;
        rules.check(at, entry, found.as_ref())?;
        append(&mut group.octets, &payload)?;
        if let Err(error) = rules.apply(at, entry, found.as_ref(), offset) {
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

    /// Makes the group durable, then visible, then answers.
    fn commit(&mut self, group: Group) {
        let Group { changes, position, octets, answers, entries, failed } = group;
        if entries > 0 || failed.is_some() {
            let written = match failed {
                Some(error) => Err(error),
                None => self.writer.commit(&octets),
            };
            self.buffer = octets;
            if let Err(error) = written {
                for (reply, _) in answers {
                    reply.send(Err(error.clone()));
                }
                return;
            }
            let recorded = position.sequence;
            self.shared.index.absorb(changes, (recorded, position.offset));
            *self.shared.durable.write().unwrap_or_else(PoisonError::into_inner) = position;
            *self.shared.recorded.0.lock().unwrap_or_else(PoisonError::into_inner) = recorded;
            self.shared.recorded.1.notify_all();
            self.unsettled = true;
            let mut counts = self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.groups += 1;
            counts.entries += entries;
        }
        for (reply, answer) in answers {
            reply.send(answer);
        }
    }

    /// Hands what has gathered to sled. If sled fails, as on a full disk, the index goes on in memory, and nothing else is affected:
    /// the journal is the truth.
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

/// Nobody waits for a writer that is gone, whyever it is.
impl Drop for Committer {
    fn drop(&mut self) {
        self.commands.close();
        drop(self.commands.take(|_| true));
    }
}

/// When the entry is recorded: `now`, but never before the last one. `waited` is how long ago the caller's clock said `now`.
fn moment(
    now: Timestamp,
    waited: Duration,
    last: Option<Timestamp>,
    longest_silence: Option<Duration>,
) -> Result<Timestamp> {
    let Some(last) = last else { return Ok(now) };
    if let Some(why) = longest_silence.and_then(|longest| clock_ahead(now, last, longest)) {
        Err(Error::unavailable(why))
    } else if now >= last {
        Ok(now)
    } else if last.since(now) <= SLEW.saturating_add(waited) {
        Ok(last)
    } else {
        Err(Error::unavailable(format!(
            "the clock went backwards, from {last} (the journal's last entry) to {now}: nothing is signed until it \
             has passed that moment again; set the clock right, or, if it is right, stop the server and run \
             `countersign store accept-clock`"
        )))
    }
}

/// Why nothing is recorded at `now`, if it is that long after the last entry.
pub fn clock_ahead(now: Timestamp, last: Timestamp, longest: Duration) -> Option<String> {
    const DAY: u64 = 86_400;
    let silence = now.since(last);
    (silence > longest).then(|| {
        format!(
            "the clock says {now}, {} days after the last entry, of {last}, and more than {} are not believed: what is signed \
             with a clock that is ahead stops all signing until that time. Set the clock right, or, if it is right, stop the \
             server and run `countersign store accept-clock`",
            silence.as_secs() / DAY,
            longest.as_secs() / DAY
        )
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn who_waited_for_his_turn_is_not_taken_for_a_clock_that_went_backwards() {
        let moment = |now, waited| moment(at(now), waited, Some(at(100)), None);
        assert_eq!(moment(101, NONE).unwrap(), at(101));
        assert_eq!(moment(98, NONE).unwrap(), at(100), "a clock may be slewed");
        assert!(moment(97, NONE).is_err());
        assert_eq!(moment(60, Duration::from_secs(40)).unwrap(), at(100));
        assert!(moment(57, Duration::from_secs(40)).is_err());
    }

    #[test]
    fn a_clock_that_is_far_ahead_is_not_believed() {
        let day = Duration::from_secs(86_400);
        let moment = |now, last| moment(at(now), NONE, last, Some(day));
        assert_eq!(moment(86_500, Some(at(100))).unwrap(), at(86_500));
        let refused = moment(86_501, Some(at(100))).unwrap_err().to_string();
        assert!(refused.contains("accept-clock"), "{refused}");
        assert_eq!(moment(86_501, None).unwrap(), at(86_501), "the first entry has none before it");
    }
}
