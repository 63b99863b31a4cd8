//! Certificates that their holder has not confirmed. Numbers have their most significant octet first; `until` is in
//! milliseconds since 1970.
//!
//! ```text
//! value = offset:8 transaction:16 until:8 [secret:8]     while the confirmation is awaited
//! value =                                                afterwards
//! ```

use ring::digest;

use super::transaction::TransactionId;
use crate::clock::Timestamp;
use crate::record::AccountSecret;

/// The awaited confirmation of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconfirmed {
    /// The journal offset of the entry that holds the certificate and its transaction.
    pub offset: u64,
    /// The name of the transaction in the index.
    pub id: TransactionId,
    /// The moment until which the confirmation is awaited.
    pub until: Timestamp,
    /// The secret of which the certificate consumed one use; `None` if it consumed none. The secret gets the use back if the holder does
    /// not accept the certificate.
    pub spent: Option<SecretId>,
}

/// A short name of a secret: the first 8 octets of SHA-256 over its reference.
pub type SecretId = [u8; 8];

/// The short name of a secret.
pub fn secret_id(secret: &AccountSecret) -> SecretId {
    let hash = digest::digest(&digest::SHA256, secret.reference.as_bytes());
    hash.as_ref().first_chunk().copied().unwrap_or_default()
}

/// Writes an awaited confirmation.
pub fn encode(unconfirmed: &Unconfirmed) -> Vec<u8> {
    let Unconfirmed { offset, id, until, spent } = unconfirmed;
    let spent = spent.as_ref().map_or(&[][..], |secret| secret);
    [&offset.to_be_bytes()[..], id, &until.millis().to_be_bytes(), spent].concat()
}

/// Reads what [`encode`] wrote; `None` for the empty value of a certificate whose confirmation is not awaited any more.
pub fn decode(octets: &[u8]) -> Option<Unconfirmed> {
    let (offset, rest) = octets.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk()?;
    let (until, spent) = rest.split_first_chunk()?;
    let until = Timestamp::from_millis(i64::from_be_bytes(*until));
    Some(Unconfirmed {
        offset: u64::from_be_bytes(*offset),
        id: *id,
        until,
        spent: spent.try_into().ok(),
    })
}
