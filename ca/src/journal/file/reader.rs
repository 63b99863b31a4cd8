//! Reads journal entries: in order from an offset on, or a single one by its offset. The scanner reports damage as a specific [`Damage`],
//! and can continue after it.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::super::damage::{Damage, DamageKind};
use super::super::entry::Recorded;
use super::super::payload::Envelope;
use super::frame::{FRAME_HEADER, FrameHeader, MAX_PAYLOAD};
use crate::error::{Error, Result};

/// Octets that a scan reads at once.
const WINDOW: usize = 1 << 20;
/// Octets that are first read for a single entry. Most entries end within them, and take one system call.
const FIRST_READ: usize = 2048;
/// The first octet of every payload: the head of a CBOR array of five items.
const PAYLOAD_START: u8 = 0x85;

/// Reads the payload of the entry at `offset` and verifies its checksum.
///
/// # Errors
/// [`Error::Internal`] when no valid entry is there; [`Error::Unavailable`] when the file cannot be read.
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
/// [`Error::Internal`] when no valid entry is there, or its body cannot be decoded; [`Error::Unavailable`] when the
/// file cannot be read.
pub fn entry_at(file: &File, offset: u64) -> Result<Recorded> {
    let payload = payload_at(file, offset)?;
    Envelope::parse(&payload)
        .ok_or_else(|| Error::internal(format!("no entry stands at offset `{offset}`")))?
        .open()
}

/// One step of a [`Scanner`].
#[derive(Debug)]
pub enum Step<'a> {
    /// A valid entry with the expected sequence number.
    Entry {
        /// The offset of the entry's frame.
        offset: u64,
        /// The payload of the entry, the leaf of the Merkle tree.
        payload: &'a [u8],
        /// The payload's envelope.
        envelope: Envelope<'a>,
    },
    /// There is no valid entry with the expected sequence number. [`Scanner::resume`] continues after the damage.
    Damaged(Damage),
    /// The end: only room follows the last entry, or the part to be scanned ends.
    End,
}

/// Reads the entries of a journal in order.
#[derive(Debug)]
pub struct Scanner<'f> {
    window: Window<'f>,
    /// The offset at which the scan ends. Entries that begin there or later are not read.
    until: u64,
    next: Place,
    /// The valid frame at which to continue after damage.
    resume: Option<Place>,
}

/// Where a frame is, and the sequence number of its entry.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    sequence: u64,
}

/// A valid frame that holds an entry.
struct ValidFrame {
    place: Place,
    header: FrameHeader,
}

impl ValidFrame {
    /// The offset after the frame.
    const fn end(&self) -> u64 {
        self.place.offset + self.header.frame_length()
    }

    /// The offset at which the frame's group begins: the entries that were appended together.
    fn group(&self) -> u64 {
        self.place.offset.saturating_sub(u64::from(self.header.back))
    }
}

impl<'f> Scanner<'f> {
    /// A scanner from the frame at `offset`, whose entry must have this sequence number, up to the offset `end`.
    pub const fn new(file: &'f File, offset: u64, sequence: u64, end: u64) -> Self {
        let window = Window { file, end, base: offset, octets: Vec::new() };
        Self { window, until: end, next: Place { offset, sequence }, resume: None }
    }

    /// The same scanner, which ends before the first entry that would begin at `until` or later.
    pub fn until(self, until: u64) -> Self {
        Self { until: until.min(self.until), ..self }
    }

    /// The offset of the next frame.
    pub const fn offset(&self) -> u64 {
        self.next.offset
    }

    /// The sequence number that the next entry must have.
    pub const fn sequence(&self) -> u64 {
        self.next.sequence
    }

    /// Reads the next entry.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the file cannot be read.
    pub fn step(&mut self) -> Result<Step<'_>> {
        let offset = self.next.offset;
        if offset >= self.until {
            return Ok(Step::End);
        }
        let Some(header) = self.window.valid_frame(offset)? else {
            return self.classify_bad_frame().map(Step::Damaged);
        };
        let found = self.window.envelope(offset, &header)?.map(|(_, envelope)| envelope.sequence);
        match found {
            None => return Ok(Step::Damaged(self.not_an_entry(offset + header.frame_length()))),
            Some(sequence) if sequence != self.next.sequence => {
                return self.classify_sequence(sequence).map(Step::Damaged);
            }
            Some(_) => {}
        }
        self.next.offset += header.frame_length();
        self.next.sequence += 1;
        // Decoded once more, as the borrow checker does not let the first envelope live across the change above.
        match self.window.envelope(offset, &header)? {
            Some((payload, envelope)) => Ok(Step::Entry { offset, payload, envelope }),
            None => Err(Error::internal("an entry vanished while it was read")),
        }
    }

    /// Continues at the first valid entry after the damage; `false` when there is none.
    pub fn resume(&mut self) -> bool {
        match self.resume.take() {
            Some(place) => {
                self.next = place;
                true
            }
            None => false,
        }
    }

    /// Classifies the bad frame here: it is the torn end of a group of entries that was never acknowledged, or a
    /// damaged entry. It is damaged if a valid frame of a later group follows: groups are durable one after the other.
    fn classify_bad_frame(&mut self) -> Result<Damage> {
        let bad = self.next.offset;
        let (mut from, mut kind) = (bad.saturating_add(1), DamageKind::TruncatedTail);
        while let Some(found) = self.next_valid(from)? {
            self.resume = self.resume.or(Some(found.place));
            if found.group() > bad {
                kind = DamageKind::Corrupt;
                break;
            }
            from = found.end();
        }
        let detail = match kind {
            DamageKind::Corrupt => "its checksum is wrong, and valid entries follow".to_owned(),
            _ => format!(
                "the last `{}` octets are no complete entry",
                self.until.saturating_sub(bad)
            ),
        };
        Ok(Damage { kind, sequence: self.next.sequence, offset: bad, detail })
    }

    fn not_an_entry(&mut self, behind: u64) -> Damage {
        let Place { offset, sequence } = self.next;
        self.resume = Some(Place { offset: behind, sequence: sequence + 1 });
        let detail = "its checksum is right but it is no entry".to_owned();
        Damage { kind: DamageKind::Corrupt, sequence, offset, detail }
    }

    /// Classifies a valid entry that does not have the expected sequence number. Entries are in the wrong order if the number is too
    /// small or the expected entry follows; otherwise entries are missing.
    fn classify_sequence(&mut self, found: u64) -> Result<Damage> {
        let Place { offset, sequence: expected } = self.next;
        self.resume = Some(Place { offset, sequence: found });
        let mut kind = if found < expected { DamageKind::Reordered } else { DamageKind::Missing };
        let mut from = offset;
        while kind == DamageKind::Missing {
            match self.next_valid(from)? {
                None => break,
                Some(frame) if frame.place.sequence == expected => kind = DamageKind::Reordered,
                Some(frame) => from = frame.end(),
            }
        }
        let detail = format!("expected entry `{expected}`, found entry `{found}`");
        Ok(Damage { kind, sequence: expected, offset, detail })
    }

    /// The first valid frame that holds an entry, at the offset `from` or later.
    fn next_valid(&mut self, from: u64) -> Result<Option<ValidFrame>> {
        let mut at = from;
        while at < self.until {
            if self.window.may_be_frame(at)?
                && let Some(header) = self.window.valid_frame(at)?
                && let Some((_, envelope)) = self.window.envelope(at, &header)?
            {
                let place = Place { offset: at, sequence: envelope.sequence };
                return Ok(Some(ValidFrame { place, header }));
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
    /// The offset in the file of the first of `octets`.
    base: u64,
    octets: Vec<u8>,
}

impl Window<'_> {
    /// The `length` octets at `offset`; fewer at the end of the scanned part.
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

    /// Whether a frame may begin at `offset`: a quick look that spares most checksums in a search.
    fn may_be_frame(&mut self, offset: u64) -> Result<bool> {
        let octets = self.slice(offset, FRAME_HEADER + 2)?;
        let version = octets.get(FRAME_HEADER + 1).copied().unwrap_or(0);
        Ok(octets.get(FRAME_HEADER) == Some(&PAYLOAD_START)
            && (1..24).contains(&version)
            && FrameHeader::parse(octets).is_some())
    }

    /// The header of the frame at `offset`, if the frame is whole and its checksum right.
    fn valid_frame(&mut self, offset: u64) -> Result<Option<FrameHeader>> {
        let Some(header) = FrameHeader::parse(self.slice(offset, FRAME_HEADER)?) else {
            return Ok(None);
        };
        let payload = self.payload(offset, &header)?;
        Ok(header.matches(payload).then_some(header))
    }

    fn payload(&mut self, offset: u64, header: &FrameHeader) -> Result<&[u8]> {
        let length = usize::try_from(header.length).map_err(Error::internal)?.min(MAX_PAYLOAD);
        // Header and payload in one slice, so that the window holds both.
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

/// Reads until `octets` are full or the file ends, and returns the number of octets read.
pub fn read_up_to(file: &File, offset: u64, octets: &mut [u8]) -> Result<usize> {
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
