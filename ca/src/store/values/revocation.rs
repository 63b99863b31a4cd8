//! Revocations, holds and releases.
//!
//! ```text
//! value = reason:1 at:8 not-after:8 [invalidity:8] [partition:2]     times in milliseconds since 1970
//! ```

use super::read::damaged;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Reason, Revocation, RevokedEntry, Serial};

/// Writes a revocation. The serial is in the key.
pub fn encode(entry: &RevokedEntry) -> Vec<u8> {
    let RevokedEntry { revocation, not_after, partition, .. } = entry;
    let mut octets = vec![revocation.reason as u8];
    for at in [Some(revocation.at), Some(*not_after), revocation.invalidity].into_iter().flatten() {
        octets.extend_from_slice(&at.millis().to_be_bytes());
    }
    octets.extend(partition.iter().flat_map(|number| number.to_be_bytes()));
    octets
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// [`crate::Error::Internal`] when the value is damaged.
pub fn decode(serial: Serial, octets: &[u8]) -> Result<RevokedEntry> {
    let (reason, rest) = octets.split_first().ok_or_else(damaged)?;
    let (times, partition) = rest.as_chunks();
    let mut times = times.iter().map(|millis| Timestamp::from_millis(i64::from_be_bytes(*millis)));
    let reason = Reason::from_number(*reason).ok_or_else(damaged)?;
    let (at, not_after) = times.next().zip(times.next()).ok_or_else(damaged)?;
    Ok(RevokedEntry {
        serial,
        not_after,
        partition: partition.first_chunk().copied().map(u16::from_be_bytes),
        revocation: Revocation { at, reason, invalidity: times.next() },
    })
}
