//! Cuts a journal into pieces of whole frames, which several threads can then check and decode at once.
//!
//! The cut goes by the lengths in the frames' headers alone. [`Piece::entries`] checks the rest. If either finds damage, a
//! [`super::Scanner`] says what it is.

use std::fs::File;

use super::super::payload::Envelope;
use super::frame::{FRAME_HEADER, FrameHeader};
use super::reader::read_up_to;
use crate::error::{Error, Result};

/// The octets of a piece, unless its first frame is longer.
const PIECE: usize = 256 << 10;

/// Whole frames that follow each other.
pub struct Piece {
    octets: Vec<u8>,
    /// The offset in the journal of the first frame.
    offset: u64,
    /// The sequence number that the first entry must have.
    sequence: u64,
}

/// An entry in a piece, with its frame and its sequence number checked.
pub struct PieceEntry<'a> {
    /// The offset of the entry's frame.
    pub offset: u64,
    /// The offset after the entry's frame.
    pub end: u64,
    /// The payload of the entry, the leaf of the Merkle tree.
    pub payload: &'a [u8],
    /// The payload's envelope.
    pub envelope: Envelope<'a>,
}

impl Piece {
    /// The entries of the piece, up to the first one that is not valid.
    pub fn entries(&self) -> impl Iterator<Item = PieceEntry<'_>> {
        let (mut rest, mut offset) = (self.octets.as_slice(), self.offset);
        let mut sequences = self.sequence..;
        std::iter::from_fn(move || {
            let (header, payload, behind) = split_frame(rest)?;
            let envelope = Envelope::parse(payload).filter(|_| header.matches(payload))?;
            let end = offset + header.frame_length();
            let entry = PieceEntry { offset, end, payload, envelope };
            (rest, offset) = (behind, end);
            (Some(entry.envelope.sequence) == sequences.next()).then_some(entry)
        })
    }

    /// The offset after the piece's last frame.
    pub const fn end(&self) -> u64 {
        self.offset + self.octets.len() as u64
    }
}

/// Cuts the pieces of a journal in order.
pub struct Cutter<'f> {
    file: &'f File,
    offset: u64,
    sequence: u64,
    end: u64,
}

impl<'f> Cutter<'f> {
    /// A cutter from the frame at `offset`, whose entry must have this sequence number, up to the offset `end`.
    pub const fn new(file: &'f File, offset: u64, sequence: u64, end: u64) -> Self {
        Self { file, offset, sequence, end }
    }

    /// The next piece; `None` at the end, or where no whole frame begins.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the file cannot be read.
    pub fn next_piece(&mut self) -> Result<Option<Piece>> {
        let mut octets = self.read(PIECE)?;
        if let Some(header) = FrameHeader::parse(&octets) {
            let length = usize::try_from(header.frame_length()).map_err(Error::internal)?;
            if length > octets.len() {
                octets = self.read(length)?;
            }
        }
        let (mut rest, mut count) = (octets.as_slice(), 0);
        while let Some((_, _, behind)) = split_frame(rest) {
            (rest, count) = (behind, count + 1);
        }
        octets.truncate(octets.len() - rest.len());
        if count == 0 {
            return Ok(None);
        }
        let piece = Piece { octets, offset: self.offset, sequence: self.sequence };
        (self.offset, self.sequence) = (piece.end(), self.sequence + count);
        Ok(Some(piece))
    }

    fn read(&self, length: usize) -> Result<Vec<u8>> {
        let left = usize::try_from(self.end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let mut octets = vec![0; length.min(left)];
        let read = read_up_to(self.file, self.offset, &mut octets)?;
        octets.truncate(read);
        Ok(octets)
    }
}

/// The header of the first frame, its payload, and the octets after it; `None` if there is no whole frame.
fn split_frame(octets: &[u8]) -> Option<(FrameHeader, &[u8], &[u8])> {
    let header = FrameHeader::parse(octets)?;
    let length = usize::try_from(header.length).ok()?;
    let (payload, behind) = octets.get(FRAME_HEADER..)?.split_at_checked(length)?;
    Some((header, payload, behind))
}
