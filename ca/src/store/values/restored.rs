//! The last restore from a backup.

use super::super::answers::LastRestore;
use crate::clock::Timestamp;

/// Writes the last restore.
pub fn encode(restore: LastRestore) -> Vec<u8> {
    let LastRestore { at, offset } = restore;
    [at.millis().to_be_bytes(), offset.to_be_bytes()].concat()
}

/// Reads what [`encode`] wrote; `None` if the value is cut short.
pub fn decode(octets: &[u8]) -> Option<LastRestore> {
    let (at, offset) = octets.split_first_chunk()?;
    let at = Timestamp::from_millis(i64::from_be_bytes(*at));
    Some(LastRestore { at, offset: u64::from_be_bytes(*offset.first_chunk()?) })
}
