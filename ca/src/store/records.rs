//! Small records as the index keeps them.

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::record::{Label, Reason, Revocation, Serial};

/// Where a transaction stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionState {
    /// The journal's entry that holds it.
    pub offset: u64,
    /// When it is forgotten.
    pub expires: Timestamp,
    /// The certificate whose confirmation it awaits.
    pub awaits: Option<(Label, Serial)>,
}

impl TransactionState {
    /// Offset, end, and the awaited serial with its CA, if any.
    pub fn encode(&self) -> Vec<u8> {
        let mut octets = self.offset.to_be_bytes().to_vec();
        octets.extend_from_slice(&self.expires.millis().to_be_bytes());
        if let Some((ca, serial)) = &self.awaits {
            octets.extend_from_slice(serial.octets());
            octets.extend_from_slice(ca.as_str().as_bytes());
        }
        octets
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`Error::Internal`] when it did not.
    pub fn decode(octets: &[u8]) -> Result<Self> {
        let (offset, rest) = octets.split_first_chunk().ok_or_else(damaged)?;
        let (expires, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
        let awaits = match rest.split_first_chunk() {
            None => None,
            Some((serial, ca)) => Some((label(ca)?, Serial::new(*serial).ok_or_else(damaged)?)),
        };
        Ok(Self {
            offset: u64::from_be_bytes(*offset),
            expires: Timestamp::from_millis(i64::from_be_bytes(*expires)),
            awaits,
        })
    }
}

/// Reason, time, end of the certificate's validity, and the invalidity date, if any.
pub fn encode_revocation(revocation: &Revocation, not_after: Timestamp) -> Vec<u8> {
    let mut octets = vec![revocation.reason as u8];
    for at in [Some(revocation.at), Some(not_after), revocation.invalidity].into_iter().flatten() {
        octets.extend_from_slice(&at.millis().to_be_bytes());
    }
    octets
}

/// Reads what [`encode_revocation`] wrote.
///
/// # Errors
/// [`Error::Internal`] when it did not.
pub fn decode_revocation(octets: &[u8]) -> Result<(Revocation, Timestamp)> {
    let (reason, times) = octets.split_first().ok_or_else(damaged)?;
    let mut times = times
        .as_chunks()
        .0
        .iter()
        .map(|millis| Timestamp::from_millis(i64::from_be_bytes(*millis)));
    let revocation =
        |at, invalidity| Some(Revocation { at, reason: Reason::from_number(*reason)?, invalidity });
    match (times.next(), times.next()) {
        (Some(at), Some(not_after)) => {
            revocation(at, times.next()).map(|r| (r, not_after)).ok_or_else(damaged)
        }
        _ => Err(damaged()),
    }
}

/// Reads a name.
///
/// # Errors
/// [`Error::Internal`] when it is none.
pub fn label(octets: &[u8]) -> Result<Label> {
    std::str::from_utf8(octets).ok().and_then(|text| text.parse().ok()).ok_or_else(damaged)
}

fn damaged() -> Error {
    Error::internal(
        "a record of the index is damaged: stop the service and run `countersign store rebuild`",
    )
}
