//! Reads the journal: entry by entry from some place on, with what is wrong named for what it is; or one by offset.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::super::damage::{Damage, DamageKind};
use super::super::entry::{Envelope, Recorded};
use super::frame::{FRAME_HEADER, FrameHeader, MAX_PAYLOAD};
use crate::error::{Error, Result};

/// How much is read at once.
const WINDOW: usize = 1 << 20;
/// The first read for one entry: most entries end within it.
const FIRST_READ: usize = 2048;
/// The first octet of every payload: a CBOR array of five.
const PAYLOAD_START: u8 = 0x85;

/// Reads the payload of the entry at `offset`, its checksum verified.
///
/// # Errors
/// [`Error::Internal`] when no valid entry is there.
pub fn payload_at(file: &File, offset: u64) -> Result<Vec<u8>> {
    let mut octets = vec![0; FIRST_READ];
    let read = read_up_to(file, offset, &mut octets)?;
    octets.truncate(read);
    let damaged = || {
        Error::internal(format!(
            "the entry at offset `{offset}` of the journal is damaged: see `countersign audit verify`, \
             and restore a backup"
        ))
    };
    let header = FrameHeader::parse(&octets).ok_or_else(damaged)?;
    let end = usize::try_from(header.frame_length()).map_err(Error::internal)?;
    if end > octets.len() {
        let have = octets.len();
        octets.resize(end, 0);
        let rest = octets.get_mut(have..).unwrap_or_default();
        let at = offset.saturating_add(u64::try_from(have).map_err(Error::internal)?);
        if read_up_to(file, at, rest)? < rest.len() {
            return Err(damaged());
        }
    }
    octets.truncate(end);
    octets.drain(..FRAME_HEADER);
    if header.matches(&octets) { Ok(octets) } else { Err(damaged()) }
}

/// Reads the entry at `offset`.
///
/// # Errors
/// [`Error::Internal`] when no valid entry is there.
pub fn entry_at(file: &File, offset: u64) -> Result<Recorded> {
    let payload = payload_at(file, offset)?;
    Envelope::parse(&payload)
        .ok_or_else(|| Error::internal(format!("no entry stands at offset `{offset}`")))?
        .open()
}

/// One step through the journal.
#[derive(Debug)]
pub enum Step<'a> {
    /// A valid entry in its place.
    Entry {
        /// Where its frame begins.
        offset: u64,
        /// Its payload, the leaf of the Merkle tree.
        payload: &'a [u8],
        /// The payload's envelope.
        envelope: Envelope<'a>,
    },
    /// Something is wrong here. [`Scanner::resume`] goes on behind it.
    Damaged(Damage),
    /// The end, cleanly.
    End,
}

/// Walks through the journal's entries in order.
#[derive(Debug)]
pub struct Scanner<'f> {
    window: Window<'f>,
    /// Where the next frame begins.
    offset: u64,
    /// The sequence number that it must have.
    sequence: u64,
    /// Where to go on after damage: the offset of a valid frame, and its sequence number.
    resume: Option<(u64, u64)>,
}

impl<'f> Scanner<'f> {
    /// From the frame at `offset`, which must have this sequence number, to `end`.
    pub const fn new(file: &'f File, offset: u64, sequence: u64, end: u64) -> Self {
        let window = Window { file, end, base: offset, octets: Vec::new() };
        Self { window, offset, sequence, resume: None }
    }

    /// Where the next frame begins.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The sequence number that the next entry must have.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The next entry, or what stands in its place.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the file cannot be read.
    pub fn step(&mut self) -> Result<Step<'_>> {
        let offset = self.offset;
        if offset >= self.window.end {
            return Ok(Step::End);
        }
        let Some(header) = self.window.valid_frame(offset)? else {
            return self.classify_bad_frame().map(Step::Damaged);
        };
        let found = self.window.envelope(offset, &header)?.map(|(_, e)| (e.version, e.sequence));
        match found {
            None => return Ok(Step::Damaged(self.not_an_entry(offset + header.frame_length()))),
            Some((_, sequence)) if sequence != self.sequence => {
                return self.classify_sequence(sequence).map(Step::Damaged);
            }
            Some(_) => {}
        }
        self.offset += header.frame_length();
        self.sequence += 1;
        match self.window.envelope(offset, &header)? {
            Some((payload, envelope)) => Ok(Step::Entry { offset, payload, envelope }),
            None => Err(Error::internal("an entry vanished while it was read")),
        }
    }

    /// Goes on behind damage; `false` when nothing valid is there.
    pub fn resume(&mut self) -> bool {
        match self.resume.take() {
            Some((offset, sequence)) => {
                self.offset = offset;
                self.sequence = sequence;
                true
            }
            None => false,
        }
    }

    /// Whether the bad frame here is the torn end of a group that was never acknowledged, or a damaged entry.
    fn classify_bad_frame(&mut self) -> Result<Damage> {
        let bad = self.offset;
        let (mut at, mut kind) = (bad, DamageKind::TruncatedTail);
        while let Some((found, header, sequence)) = self.next_valid(at.saturating_add(1))? {
            self.resume = self.resume.or(Some((found, sequence)));
            if found.saturating_sub(u64::from(header.back)) > bad {
                kind = DamageKind::Corrupt;
                break;
            }
            at = found + header.frame_length() - 1;
        }
        let detail = match kind {
            DamageKind::Corrupt => "its checksum is wrong, and valid entries follow".to_owned(),
            _ => format!(
                "the last `{}` octets are no complete entry",
                self.window.end.saturating_sub(bad)
            ),
        };
        Ok(Damage { kind, sequence: self.sequence, offset: bad, detail })
    }

    fn not_an_entry(&mut self, behind: u64) -> Damage {
        self.resume = Some((behind, self.sequence + 1));
        let detail = "its checksum is right but it is no entry".to_owned();
        Damage { kind: DamageKind::Corrupt, sequence: self.sequence, offset: self.offset, detail }
    }

    /// A valid entry with the wrong number: is the right one further on (re-ordered), or nowhere (missing)?
    fn classify_sequence(&mut self, found: u64) -> Result<Damage> {
        let (expected, offset) = (self.sequence, self.offset);
        self.resume = Some((offset, found));
        let mut kind = if found < expected { DamageKind::Reordered } else { DamageKind::Missing };
        let mut at = offset;
        while kind == DamageKind::Missing {
            match self.next_valid(at)? {
                None => break,
                Some((_, _, sequence)) if sequence == expected => kind = DamageKind::Reordered,
                Some((here, header, _)) => at = here + header.frame_length(),
            }
        }
        let detail = format!("expected entry `{expected}`, found entry `{found}`");
        Ok(Damage { kind, sequence: expected, offset, detail })
    }

    /// The first valid frame that holds an entry, at `from` or behind: its offset, header and sequence number.
    fn next_valid(&mut self, from: u64) -> Result<Option<(u64, FrameHeader, u64)>> {
        let mut at = from;
        while at < self.window.end {
            if self.window.may_be_frame(at)?
                && let Some(header) = self.window.valid_frame(at)?
                && let Some((_, envelope)) = self.window.envelope(at, &header)?
            {
                return Ok(Some((at, header, envelope.sequence)));
            }
            at += 1;
        }
        Ok(None)
    }
}

/// The part of the file that is in memory.
#[derive(Debug)]
struct Window<'f> {
    file: &'f File,
    end: u64,
    /// Where in the file `octets` begins.
    base: u64,
    octets: Vec<u8>,
}

impl Window<'_> {
    /// `length` octets at `offset`; fewer at the end.
    fn slice(&mut self, offset: u64, length: usize) -> Result<&[u8]> {
        let length = usize::try_from(self.end.saturating_sub(offset))
            .map_or(length, |left| left.min(length));
        let covered = offset >= self.base
            && usize::try_from(offset - self.base)
                .is_ok_and(|at| at.saturating_add(length) <= self.octets.len());
        if !covered {
            let left = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
            self.octets.resize(length.max(WINDOW).min(left), 0);
            let read = read_up_to(self.file, offset, &mut self.octets)?;
            self.octets.truncate(read);
            self.base = offset;
        }
        let at = usize::try_from(offset - self.base).map_err(Error::internal)?;
        let end = at.saturating_add(length).min(self.octets.len());
        Ok(self.octets.get(at..end).unwrap_or_default())
    }

    /// A quick look that spares most checksums when searching for a frame.
    fn may_be_frame(&mut self, offset: u64) -> Result<bool> {
        let octets = self.slice(offset, FRAME_HEADER + 2)?;
        let version = octets.get(FRAME_HEADER + 1).copied().unwrap_or(0);
        Ok(octets.get(FRAME_HEADER) == Some(&PAYLOAD_START)
            && (1..24).contains(&version)
            && FrameHeader::parse(octets).is_some())
    }

    /// The header of the frame at `offset`, if frame and checksum are whole.
    fn valid_frame(&mut self, offset: u64) -> Result<Option<FrameHeader>> {
        let Some(header) = FrameHeader::parse(self.slice(offset, FRAME_HEADER)?) else {
            return Ok(None);
        };
        let payload = self.payload(offset, &header)?;
        Ok(header.matches(payload).then_some(header))
    }

    fn payload(&mut self, offset: u64, header: &FrameHeader) -> Result<&[u8]> {
        let length = usize::try_from(header.length).map_err(Error::internal)?.min(MAX_PAYLOAD);
        // The whole frame, so that the window holds header and payload together.
        let frame = self.slice(offset, FRAME_HEADER + length)?;
        Ok(frame.get(FRAME_HEADER..).unwrap_or_default())
    }

    fn envelope(
        &mut self,
        offset: u64,
        header: &FrameHeader,
    ) -> Result<Option<(&[u8], Envelope<'_>)>> {
        let payload = self.payload(offset, header)?;
        Ok(Envelope::parse(payload).map(|envelope| (payload, envelope)))
    }
}

/// Reads until `octets` are full or the file ends.
fn read_up_to(file: &File, offset: u64, octets: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while let Some(rest) = octets.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(filled).map_err(Error::internal)?);
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io("the journal cannot be read", &e)),
        }
    }
    Ok(filled)
}
