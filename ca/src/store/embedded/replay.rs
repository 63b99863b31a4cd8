//! The replay: applies entries of the journal to an index, and compares the Merkle tree with the signed tree heads on
//! the way.
//!
//! The journal is cut into pieces. Several threads check, decode and hash the entries of a piece each; this thread
//! applies one piece after the other. Where a piece is not whole, the rest is read entry by entry, to say what is wrong.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::group_view::GroupView;
use super::index::Index;
use super::index::changes::Changes;
use super::position::Position;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::{
    Cutter, Damage, DamageKind, Entry, Hash, Head, JournalFile, Piece, Recorded, Scanner, Step,
    frame_length, leaf_hash,
};
use crate::store::rules::{Prepared, Rules, Stop};

/// How far a replay of the journal is, in octets from the place where it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The octets read so far.
    pub done: u64,
    /// The octets to read in all.
    pub total: u64,
}

/// A function that is called now and then during a replay.
pub type ProgressFn<'a> = dyn FnMut(Progress) + 'a;

/// A journal of fewer octets than this is decoded by the thread that applies it.
const ALONE: u64 = 1 << 20;

/// Builds an index in `folder` from the first entries of a journal, up to the offset `until`. `cache` is the size of
/// its cache in octets.
///
/// # Errors
/// [`Error::Internal`] when the journal is damaged or the index fails; [`Error::Unavailable`] when the journal cannot
/// be read or another process has the index open.
pub fn build_index(folder: &Path, journal: &JournalFile, until: u64, cache: u64) -> Result<Index> {
    fill(Index::open(folder, cache, journal.instance)?.index, journal, until)
}

/// Builds an index in memory from the first entries of a journal, up to the offset `until`.
///
/// # Errors
/// [`Error::Internal`] when the journal is damaged; [`Error::Unavailable`] when it cannot be read.
pub fn index_in_memory(journal: &JournalFile, until: u64) -> Result<Index> {
    fill(Index::in_memory(), journal, until)
}

fn fill(index: Index, journal: &JournalFile, until: u64) -> Result<Index> {
    let mut replay = Replay::new(journal, &index, Position::beginning(), &[]);
    replay.end = until;
    if let Some(damage) = replay.run(&mut |_| {})? {
        return Err(damage.into());
    }
    let position = replay.position;
    index.apply(&position)?;
    Ok(index)
}

/// A replay from a position to the end of the journal.
pub struct Replay<'a> {
    journal: &'a JournalFile,
    index: &'a Index,
    /// The tree heads of larger journals than that up to the position. The replay still compares them.
    heads: &'a [Head],
    position: Position,
    end: u64,
    /// The number of threads that decode.
    threads: usize,
}

/// An entry that was checked and decoded, with the values that were computed from it.
struct Ready {
    offset: u64,
    /// The offset after the entry's frame.
    end: u64,
    leaf: Hash,
    at: Timestamp,
    entry: Entry,
    prepared: Prepared,
}

/// The entries of a piece.
struct Decoded {
    entries: Vec<Ready>,
    /// Whether all entries of the piece could be decoded.
    is_whole: bool,
}

/// Work for the threads that decode.
enum Job {
    /// Decode this piece of the journal, and send its entries through this channel.
    Decode(Piece, SyncSender<Decoded>),
    /// Free the memory of entries that were applied.
    Forget(Vec<Ready>),
}

impl<'a> Replay<'a> {
    /// A replay from `position`, up to which `index` is complete. The heads must be in the order of their sizes.
    pub fn new(
        journal: &'a JournalFile,
        index: &'a Index,
        position: Position,
        heads: &'a [Head],
    ) -> Self {
        let first = heads.partition_point(|head| head.size <= position.sequence);
        let heads = heads.get(first..).unwrap_or_default();
        let threads = thread::available_parallelism().map_or(1, Into::into);
        Self { journal, index, heads, position, end: journal.length, threads }
    }

    /// The position that the replay has reached.
    pub fn into_position(self) -> Position {
        self.position
    }

    /// Applies every entry up to the end. Returns the torn tail of the journal, if it has one.
    ///
    /// # Errors
    /// [`Error::Internal`] that names the damage when the journal is not whole; also when the index fails.
    /// [`Error::Unavailable`] when the journal cannot be read.
    pub fn run(&mut self, progress: &mut ProgressFn<'_>) -> Result<Option<Damage>> {
        let first = self.position.offset;
        let total = self.end.saturating_sub(first);
        self.apply_pieces(&mut |offset| {
            progress(Progress { done: offset.saturating_sub(first), total });
        })?;
        let torn = self.apply_rest()?;
        if torn.is_none() {
            progress(Progress { done: total, total });
        }
        Ok(torn)
    }

    /// Applies the entries of all pieces, up to the first entry that is not valid. `progress` is called with the offset
    /// that was reached.
    fn apply_pieces(&mut self, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let Position { offset, sequence, .. } = self.position;
        let mut cutter = Cutter::new(&self.journal.file, offset, sequence, self.end);
        if self.threads < 2 || self.end.saturating_sub(offset) < ALONE {
            while let Some(piece) = cutter.next_piece()? {
                let Decoded { entries, is_whole } = decode(&piece);
                self.apply(&entries)?;
                progress(self.position.offset);
                if !is_whole {
                    break;
                }
            }
            return Ok(());
        }
        let (jobs, work) = channel::<Job>();
        let work = Mutex::new(work);
        thread::scope(|scope| {
            // It is dropped at the end of this scope, before the threads are waited for, so that they end.
            let jobs = jobs;
            for _ in 0..self.threads {
                scope.spawn(|| decode_pieces(&work));
            }
            let mut pending: VecDeque<Receiver<Decoded>> = VecDeque::new();
            let mut is_cut = false;
            loop {
                // Enough pieces for the threads, and no more, so that memory stays bounded.
                while !is_cut && pending.len() <= self.threads * 2 {
                    let Some(piece) = cutter.next_piece()? else {
                        is_cut = true;
                        break;
                    };
                    let (to, from) = sync_channel(1);
                    jobs.send(Job::Decode(piece, to)).map_err(Error::internal)?;
                    pending.push_back(from);
                }
                let Some(next) = pending.pop_front() else { return Ok(()) };
                let Decoded { entries, is_whole } = next.recv().map_err(Error::internal)?;
                self.apply(&entries)?;
                jobs.send(Job::Forget(entries)).map_err(Error::internal)?;
                progress(self.position.offset);
                if !is_whole {
                    return Ok(());
                }
            }
        })
    }

    /// Applies the entries that are in no piece, one by one. Returns the torn tail of the journal, if it has one.
    fn apply_rest(&mut self) -> Result<Option<Damage>> {
        let Position { offset, sequence, .. } = self.position;
        let scanner = Scanner::new(&self.journal.file, offset, sequence, self.end);
        let mut scanner = scanner.until(self.journal.until);
        loop {
            match scanner.step()? {
                Step::End => return Ok(None),
                Step::Damaged(damage) if damage.kind == DamageKind::TruncatedTail => {
                    return Ok(Some(damage));
                }
                Step::Damaged(damage) => return Err(damage.into()),
                Step::Entry { offset, payload, envelope } => {
                    let end = offset + frame_length(payload);
                    let ready = Ready::new(envelope.open()?, payload, offset, end);
                    self.apply(&[ready])?;
                }
            }
        }
    }

    /// Applies entries that follow each other.
    fn apply(&mut self, entries: &[Ready]) -> Result<()> {
        let mut changes = Changes::default();
        for ready in entries {
            // The entry of a restore scans the index, which must have everything before.
            if matches!(ready.entry, Entry::Restored(_)) {
                self.index.absorb(std::mem::take(&mut changes), self.position.mark());
            }
            self.apply_one(&mut changes, ready)?;
            self.compare_with_heads()?;
        }
        self.index.absorb(changes, self.position.mark());
        if self.index.is_due()? {
            self.index.apply(&self.position)?;
        }
        Ok(())
    }

    fn apply_one(&mut self, changes: &mut Changes, ready: &Ready) -> Result<()> {
        let Ready { offset, end, leaf, at, entry, prepared } = ready;
        let mut rules = Rules {
            view: GroupView {
                changes,
                index: self.index,
                journal: &self.journal.file,
                durable: self.end,
                certificates: &mut self.position.certificates,
            },
            prepared,
        };
        let subject = match rules.find(entry) {
            Ok(subject) => subject,
            Err(Stop::Refused(error)) => return Err(error),
            Err(Stop::NotDurable) => None,
        };
        rules.apply(*at, entry, subject.as_ref(), *offset)?;
        self.position.frontier.push(*leaf);
        self.position.sequence += 1;
        self.position.offset = *end;
        self.position.last = *at;
        Ok(())
    }

    /// Compares the Merkle tree with each tree head of its size.
    fn compare_with_heads(&mut self) -> Result<()> {
        while let Some((head, rest)) = self.heads.split_first() {
            if head.size > self.position.sequence {
                break;
            }
            if head.root != self.position.frontier.root() {
                return Err(Error::from(Damage {
                    kind: DamageKind::Altered,
                    sequence: head.size,
                    offset: self.position.offset,
                    detail: format!(
                        "the first `{}` entries are not those that the tree head of {} was signed over",
                        head.size, head.at
                    ),
                }));
            }
            self.heads = rest;
        }
        Ok(())
    }
}

impl Ready {
    fn new(recorded: Recorded, payload: &[u8], offset: u64, end: u64) -> Self {
        let Recorded { at, mut entry, .. } = recorded;
        let prepared = Prepared::of(&entry);
        // The rules go by what was prepared of it.
        if let Entry::Issued(issued) = &mut entry {
            issued.certificate = Vec::new();
        }
        Self { offset, end, leaf: leaf_hash(payload), at, entry, prepared }
    }
}

/// Decodes pieces until there are no more.
fn decode_pieces(work: &Mutex<Receiver<Job>>) {
    loop {
        let job = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            // If nobody waits any more, something was wrong with a piece before this one.
            Ok(Job::Decode(piece, to)) => drop(to.send(decode(&piece))),
            Ok(Job::Forget(entries)) => drop(entries),
            Err(_) => return,
        }
    }
}

fn decode(piece: &Piece) -> Decoded {
    let (mut entries, mut reached) = (Vec::new(), None);
    for found in piece.entries() {
        let Ok(recorded) = found.envelope.open() else { break };
        entries.push(Ready::new(recorded, found.payload, found.offset, found.end));
        reached = Some(found.end);
    }
    Decoded { entries, is_whole: reached == Some(piece.end()) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::index::Scan;
    use super::super::{EmbeddedOptions, EmbeddedStore};
    use super::*;
    use crate::journal::JournalPaths;
    use crate::record::{Account, Issued, Revocation, Serial, Transaction};
    use crate::store::verbs::Store;

    const CERTIFICATES: u128 = 16_500;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + millis)
    }

    /// A journal with more certificates than a span has, and with other entries.
    fn journal(folder: &Path) -> JournalFile {
        let options = EmbeddedOptions { sync: false, ..EmbeddedOptions::default() };
        let store = EmbeddedStore::open(folder, options, &mut |_| {}).unwrap();
        let account = Account {
            name: "gw1".parse().unwrap(),
            identities: vec!["fqdn:gw1.example.net".parse().unwrap()],
            profile: "gateway".parse().unwrap(),
            ca: None,
            secret: None,
            equipment: None,
            created: at(0),
            permissions: Default::default(),
            remarks: Default::default(),
            is_disabled: false,
            incarnation: Default::default(),
        };
        store.record_accounts(at(0), &[account]).unwrap();
        let ca: crate::record::Label = "issuing".parse().unwrap();
        let serials: Vec<Serial> =
            (1..=CERTIFICATES).map(|n| Serial::new(n.to_be_bytes()).unwrap()).collect();
        for (block, serials) in (0..).zip(serials.chunks(64)) {
            let now = at(block * 700);
            store.reserve_serials(now, &ca, serials).unwrap();
            for serial in serials {
                let id = serial.octets().to_vec();
                let number = serial.parts().1;
                let transaction = Transaction {
                    registrar: None,
                    proof: None,
                    client: None,
                    id: id.clone(),
                    account: "gw1".parse().unwrap(),
                    awaits: None,
                    confirm_until: None,
                    expires: at(block * 700 + 60_000),
                    context: Vec::new(),
                };
                let issued = Issued {
                    ca: ca.clone(),
                    serial: *serial,
                    account: "gw1".parse().unwrap(),
                    incarnation: None,
                    profile: "gateway".parse().unwrap(),
                    not_after: at(90 * 86_400_000 + block),
                    certificate: [&[0x30; 100][..], &id].concat(),
                    consumes_secret: false,
                    consumes_equipment: false,
                    transaction: Some(transaction),
                    replaces: (number % 50 == 0)
                        .then(|| Serial::new((number - 49).to_be_bytes()).unwrap()),
                    partition: None,
                    withheld: false,
                    unpublished: false,
                    retires: None,
                };
                store.record_issued(now, &issued).unwrap();
                if number % 300 == 0 {
                    let reason = crate::record::Reason::KeyCompromise;
                    let revocation = Revocation { at: now, reason, invalidity: None };
                    store.record_revoked(now, &ca, serial, &revocation, None).unwrap();
                }
            }
        }
        drop(store);
        JournalFile::open(&JournalPaths::new(folder).journal).unwrap()
    }

    /// Every octet of the index that a replay with this many threads builds.
    fn built(journal: &JournalFile, threads: usize) -> Result<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path(), 1 << 20, journal.instance)?.index;
        let mut replay = Replay::new(journal, &index, Position::beginning(), &[]);
        replay.threads = threads;
        assert_eq!(replay.run(&mut |_| {})?, None);
        index.apply(&replay.position)?;
        let mut octets = Vec::new();
        index.scan(&[], &[], |key, value| {
            octets.extend_from_slice(key);
            octets.extend_from_slice(value);
            Ok(Scan::Continue)
        })?;
        octets.extend(fs::read(folder.path().join("spans")).unwrap());
        Ok(octets)
    }

    #[test]
    fn many_threads_build_the_same_index_as_one_octet_for_octet() {
        let folder = tempfile::tempdir().unwrap();
        let journal = journal(folder.path());
        let alone = built(&journal, 1).unwrap();
        assert!(alone.len() > 500_000, "{}", alone.len());
        assert!(built(&journal, 4).unwrap() == alone);
        // Damage in the middle is found at the same place.
        let path = JournalPaths::new(folder.path()).journal;
        let mut octets = fs::read(&path).unwrap();
        let middle = octets.len() / 2;
        octets[middle] ^= 1;
        fs::write(&path, octets).unwrap();
        let alone = built(&journal, 1).unwrap_err();
        assert!(alone.to_string().contains("corrupt"), "{alone}");
        assert_eq!(built(&journal, 4).unwrap_err(), alone);
    }
}
