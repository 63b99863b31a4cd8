//! The last restore from a backup.

use crate::clock::Timestamp;

/// Writes when the journal was restored, and the offset of the entry that says so.
pub fn encode(at: Timestamp, offset: u64) -> Vec<u8> {
    [at.millis().to_be_bytes(), offset.to_be_bytes()].concat()
}

/// Reads what [`encode`] wrote.
pub fn decode(octets: &[u8]) -> Option<(Timestamp, u64)> {
    let (at, offset) = octets.split_first_chunk()?;
    let at = Timestamp::from_millis(i64::from_be_bytes(*at));
    Some((at, u64::from_be_bytes(*offset.first_chunk()?)))
}
