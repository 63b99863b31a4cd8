//! Small records as the index keeps them.

use ring::digest;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::record::{AccountSecret, Label, Reason, Revocation, RevokedEntry, Serial};

/// The first half of SHA-256 over a transaction's identifier: strangers choose identifiers, and may be long-winded.
pub type TransactionId = [u8; 16];

/// Octets of one transaction in a value.
const TRANSACTION: usize = 33;

/// Where a transaction stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionState {
    /// The journal's entry that holds it.
    pub offset: u64,
    /// When it is forgotten.
    pub expires: Timestamp,
    /// Whether the certificate in that entry awaits confirmation.
    pub is_awaiting: bool,
    /// Whether that entry is a request that waited, or waits, for an administrator.
    pub is_pending: bool,
    /// In which of the index's values it is: span of time and number.
    pub place: (u64, u32),
}

/// By what a certificate's confirmation is awaited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The journal's entry that holds certificate and transaction.
    pub offset: u64,
    /// The transaction.
    pub id: TransactionId,
    /// Until when.
    pub until: Timestamp,
    /// The secret that the certificate used, one use of which comes back if it is not taken: [`AccountSecret::mark`].
    pub spent: Option<Mark>,
}

/// Names a secret: a part of SHA-256 over its reference.
pub type Mark = [u8; 8];

impl AccountSecret {
    /// What names it.
    pub(super) fn mark(&self) -> Mark {
        let hash = digest::digest(&digest::SHA256, self.reference.as_bytes());
        hash.as_ref().first_chunk().copied().unwrap_or_default()
    }
}

/// As the index keeps it.
pub fn encode_awaited(awaited: &Awaited) -> Vec<u8> {
    let Awaited { offset, id, until, spent } = awaited;
    let spent = spent.as_ref().map_or(&[][..], |mark| mark);
    [&offset.to_be_bytes()[..], id, &until.millis().to_be_bytes(), spent].concat()
}

/// Reads what [`encode_awaited`] wrote; `None` for nothing, which stands where nothing is awaited any more.
pub fn read_awaited(octets: &[u8]) -> Option<Awaited> {
    let (offset, rest) = octets.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk()?;
    let (until, spent) = rest.split_first_chunk()?;
    let until = Timestamp::from_millis(i64::from_be_bytes(*until));
    Some(Awaited {
        offset: u64::from_be_bytes(*offset),
        id: *id,
        until,
        spent: spent.try_into().ok(),
    })
}

/// As the index keeps when the journal was restored, by the entry at `offset`.
pub fn encode_restored(at: Timestamp, offset: u64) -> Vec<u8> {
    [at.millis().to_be_bytes(), offset.to_be_bytes()].concat()
}

/// Reads what [`encode_restored`] wrote.
pub fn read_restored(octets: &[u8]) -> Option<(Timestamp, u64)> {
    let (at, offset) = octets.split_first_chunk()?;
    Some((
        Timestamp::from_millis(i64::from_be_bytes(*at)),
        u64::from_be_bytes(*offset.first_chunk()?),
    ))
}

/// A transaction's identifier as the index knows it.
pub fn transaction_id(id: &[u8]) -> TransactionId {
    let hash = digest::digest(&digest::SHA256, id);
    hash.as_ref().first_chunk().copied().unwrap_or_default()
}

/// Adds a transaction to a value.
pub fn push_transaction(value: &mut Vec<u8>, id: &TransactionId, state: &TransactionState) {
    value.extend_from_slice(id);
    value.extend_from_slice(&state.offset.to_be_bytes());
    value.extend_from_slice(&state.expires.millis().to_be_bytes());
    value.push(u8::from(state.is_awaiting) | u8::from(state.is_pending) << 1);
}

/// The transactions of the value at this place.
pub fn read_transactions(
    value: &[u8],
    place: (u64, u32),
) -> impl Iterator<Item = (TransactionId, TransactionState)> {
    value.as_chunks::<TRANSACTION>().0.iter().filter_map(move |record| {
        let (id, rest) = record.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (expires, rest) = rest.split_first_chunk()?;
        let flags = rest.first().copied()?;
        let state = TransactionState {
            offset: u64::from_be_bytes(*offset),
            expires: Timestamp::from_millis(i64::from_be_bytes(*expires)),
            is_awaiting: flags & 1 != 0,
            is_pending: flags & 2 != 0,
            place,
        };
        Some((*id, state))
    })
}

/// How many transactions a value of so many octets holds.
pub const fn count_transactions(octets: usize) -> usize {
    octets / TRANSACTION
}

/// Reason, time, end of the certificate's validity, the invalidity date, if any, and the partition, if any.
pub fn encode_revocation(entry: &RevokedEntry) -> Vec<u8> {
    let RevokedEntry { revocation, not_after, partition, .. } = entry;
    let mut octets = vec![revocation.reason as u8];
    for at in [Some(revocation.at), Some(*not_after), revocation.invalidity].into_iter().flatten() {
        octets.extend_from_slice(&at.millis().to_be_bytes());
    }
    octets.extend(partition.iter().flat_map(|number| number.to_be_bytes()));
    octets
}

/// Reads what [`encode_revocation`] wrote.
///
/// # Errors
/// [`Error::Internal`] when it did not.
pub fn decode_revocation(serial: Serial, octets: &[u8]) -> Result<RevokedEntry> {
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

/// Reads a name.
///
/// # Errors
/// [`Error::Internal`] when it is none.
pub fn label(octets: &[u8]) -> Result<Label> {
    std::str::from_utf8(octets).ok().and_then(|text| text.parse().ok()).ok_or_else(damaged)
}

pub(super) fn damaged() -> Error {
    Error::internal(
        "a record of the index is damaged: stop the service and run `countersign store rebuild`",
    )
}
