//! The record in the database that says how far in the journal the database is, and the sum over the database.

use minicbor::{Decode, Encode};

use super::super::position::Position;
use super::sum::IndexSum;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::Frontier;

/// The version of the form of keys and values. An index of another version is rebuilt.
const FORMAT: u32 = 9;

/// The state of the database under the index.
#[derive(Clone, Copy)]
pub struct Flushed {
    /// The instance that the index belongs to.
    pub instance: [u8; 16],
    /// The sum over every key and value but this record.
    pub sum: IndexSum,
    /// The sequence number of the first entry that the database does not have.
    pub sequence: u64,
    /// The number of certificates whose rows are on disk: those of full spans in the file of spans, the others in the
    /// database.
    pub certificates: u64,
}

#[derive(Encode, Decode)]
struct Meta<'a> {
    #[n(0)]
    format: u32,
    #[cbor(b(1), with = "minicbor::bytes")]
    instance: &'a [u8],
    #[n(2)]
    sequence: u64,
    #[n(3)]
    offset: u64,
    /// Milliseconds since 1970.
    #[n(4)]
    last: i64,
    #[n(5)]
    certificates: u64,
    /// The roots of the complete subtrees, largest first, 32 octets each.
    #[cbor(n(6), with = "minicbor::bytes")]
    peaks: Vec<u8>,
    /// The sum, most significant octet first.
    #[cbor(n(7), with = "minicbor::bytes")]
    sum: [u8; 16],
}

/// Writes the record.
///
/// # Errors
/// [`Error::Internal`] when CBOR cannot be written.
pub fn encode(flushed: &Flushed, position: &Position) -> Result<Vec<u8>> {
    minicbor::to_vec(Meta {
        format: FORMAT,
        instance: &flushed.instance,
        sequence: position.sequence,
        offset: position.offset,
        last: position.last.millis(),
        certificates: position.certificates,
        peaks: position.frontier.peaks().concat(),
        sum: flushed.sum.0.to_be_bytes(),
    })
    .map_err(Error::internal)
}

/// Reads the record.
///
/// # Errors
/// [`Error::Internal`] when it is damaged, of another version or of another instance.
pub fn decode(octets: &[u8], instance: [u8; 16]) -> Result<(Flushed, Position)> {
    let meta: Meta = minicbor::decode(octets).map_err(Error::internal)?;
    if meta.format != FORMAT || meta.instance != instance {
        return Err(Error::internal("the index is of another version or instance"));
    }
    let peaks = meta.peaks.as_chunks::<32>().0.to_vec();
    let frontier = Frontier::from_parts(meta.sequence, peaks)
        .ok_or_else(|| Error::internal("the index has a wrong Merkle tree"))?;
    let sum = IndexSum(u128::from_be_bytes(meta.sum));
    let position = Position {
        sequence: meta.sequence,
        offset: meta.offset,
        last: Timestamp::from_millis(meta.last),
        frontier,
        certificates: meta.certificates,
    };
    let Meta { sequence, certificates, .. } = meta;
    Ok((Flushed { instance, sum, sequence, certificates }, position))
}
