//! The frames around payloads in the journal file, and the file's header.
//!
//! ```text
//! file   = header frame* room*
//! header = "CSJOURNL" version:u32 instance:16 crc:u32          (CRC-32 over what is before it)
//! frame  = length:u32 crc:u32 back:u32 payload                 (CRC-32 over length, back and payload)
//! room   = 0xff
//! ```
//!
//! A writer that makes each group durable writes *room* ahead of the frames, and cuts it off when it ends: a file system makes a write
//! durable at less cost if the blocks exist already. No frame begins with four octets of room, as its length would be out of bounds. Only
//! octets that reach to the end of the file count as room.
//!
//! Numbers are little endian. `back` is the distance in octets from the beginning of the frame's group, the frames that
//! were appended in one write, to the frame. The file was durable up to that beginning when the group was written.
//! After a power cut, pages of the last group may be missing in any pattern. So a bad frame whose group reaches to the
//! end of the file was never acknowledged and may be cut off; any other bad frame was acknowledged and is damage.

use crate::error::{Error, Result};

/// The first octets of every journal.
pub const MAGIC: &[u8; 8] = b"CSJOURNL";
/// The version of the framing.
pub const FORMAT: u32 = 1;
/// Octets in the file's header.
pub const FILE_HEADER: usize = 32;
/// Octets in a frame before its payload.
pub const FRAME_HEADER: usize = 12;
/// The octet that room consists of.
pub const ROOM: u8 = 0xff;
/// The most octets of a payload: enough to import some 40,000 accounts in one entry.
pub const MAX_PAYLOAD: usize = 16 << 20;

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Octets of payload.
    pub length: u32,
    /// CRC-32 over length, back and payload.
    pub crc: u32,
    /// Octets from the beginning of the frame's group to the frame.
    pub back: u32,
}

impl FrameHeader {
    /// Reads a header from the first [`FRAME_HEADER`] octets; `None` when there are fewer or the length is out of
    /// bounds.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let [length, crc, back] = [0, 4, 8].map(|at| u32_at(octets, at));
        let header = Self { length: length?, crc: crc?, back: back? };
        let payload = usize::try_from(header.length).ok()?;
        (1..=MAX_PAYLOAD).contains(&payload).then_some(header)
    }

    /// Octets of the whole frame, header and payload.
    pub const fn frame_length(&self) -> u64 {
        FRAME_HEADER as u64 + self.length as u64
    }

    /// Whether length and checksum are those of this payload.
    pub fn matches(&self, payload: &[u8]) -> bool {
        usize::try_from(self.length) == Ok(payload.len())
            && checksum(self.length, self.back, payload) == self.crc
    }
}

/// Appends `payload` as a frame to `group`, which holds the frames of a group that is not written yet.
///
/// # Errors
/// [`Error::Malformed`] when the payload is empty or longer than [`MAX_PAYLOAD`].
pub fn append(group: &mut Vec<u8>, payload: &[u8]) -> Result<()> {
    if payload.is_empty() || payload.len() > MAX_PAYLOAD {
        return Err(Error::malformed(format!(
            "an entry of the journal has at most {MAX_PAYLOAD} octets, found {}: \
             divide the request into smaller ones",
            payload.len()
        )));
    }
    let length = u32::try_from(payload.len()).map_err(Error::internal)?;
    let back = u32::try_from(group.len()).map_err(Error::internal)?;
    group.extend_from_slice(&length.to_le_bytes());
    group.extend_from_slice(&checksum(length, back, payload).to_le_bytes());
    group.extend_from_slice(&back.to_le_bytes());
    group.extend_from_slice(payload);
    Ok(())
}

/// Octets of the frame of a payload.
pub const fn frame_length(payload: &[u8]) -> u64 {
    (FRAME_HEADER + payload.len()) as u64
}

/// The header of a new journal.
pub fn file_header(instance: &[u8; 16]) -> Vec<u8> {
    let mut header = Vec::with_capacity(FILE_HEADER);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&FORMAT.to_le_bytes());
    header.extend_from_slice(instance);
    let crc = crc32fast::hash(&header);
    header.extend_from_slice(&crc.to_le_bytes());
    header
}

/// Reads the header of a journal and returns the instance's identifier.
///
/// # Errors
/// [`Error::Internal`] when the octets are not the header of a journal, or the header is damaged or of another format.
pub fn parse_file_header(octets: &[u8]) -> Result<[u8; 16]> {
    let damaged = || {
        Error::internal(
            "the header of the journal is damaged: restore a backup (`countersign restore`)",
        )
    };
    if !octets.starts_with(MAGIC) {
        return Err(Error::internal(
            "the journal does not begin as a journal of this program does: restore a backup \
             (`countersign restore`), or name the right data folder",
        ));
    }
    let covered = octets.get(..FILE_HEADER - 4).ok_or_else(damaged)?;
    if u32_at(octets, FILE_HEADER - 4) != Some(crc32fast::hash(covered)) {
        return Err(damaged());
    }
    match u32_at(octets, 8) {
        Some(FORMAT) => {}
        other => {
            return Err(Error::internal(format!(
                "expected a journal of format `{FORMAT}`, found `{}`: it was written by another version of \
                 this program, use that one",
                other.unwrap_or(0)
            )));
        }
    }
    covered.get(12..28).and_then(|id| id.try_into().ok()).ok_or_else(damaged)
}

fn checksum(length: u32, back: u32, payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&length.to_le_bytes());
    crc.update(&back.to_le_bytes());
    crc.update(payload);
    crc.finalize()
}

fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    let four = octets.get(at..at.checked_add(4)?)?;
    four.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_matches_only_its_own_payload() {
        let mut group = Vec::new();
        append(&mut group, b"first").unwrap();
        append(&mut group, b"second").unwrap();
        let second = &group[FRAME_HEADER + 5..];
        let header = FrameHeader::parse(second).unwrap();
        assert_eq!((header.length, header.back), (6, 17));
        assert_eq!(header.frame_length(), 18);
        assert!(header.matches(b"second"));
        for bit in 0..48 {
            let mut flipped = *b"second";
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!header.matches(&flipped));
        }
        assert!(!FrameHeader { back: 0, ..header }.matches(b"second"));
    }

    #[test]
    fn refuses_lengths_out_of_bounds() {
        assert_eq!(FrameHeader::parse(&[0; 12]), None);
        assert_eq!(FrameHeader::parse(&[255; 12]), None);
        assert_eq!(FrameHeader::parse(&[1; 11]), None);
        assert!(append(&mut Vec::new(), &vec![0; MAX_PAYLOAD + 1]).is_err());
    }

    #[test]
    fn a_header_says_what_is_wrong_with_it() {
        let header = file_header(&[7; 16]);
        assert_eq!(parse_file_header(&header), Ok([7; 16]));
        for at in 0..FILE_HEADER {
            let mut bad = header.clone();
            bad[at] ^= 4;
            assert!(matches!(parse_file_header(&bad), Err(Error::Internal(_))), "{at}");
            assert!(parse_file_header(&header[..at]).is_err());
        }
        let mut newer = file_header(&[7; 16]);
        newer[8] = 2;
        let crc = crc32fast::hash(&newer[..28]);
        newer[28..].copy_from_slice(&crc.to_le_bytes());
        assert!(parse_file_header(&newer).unwrap_err().to_string().contains("another version"));
    }
}
