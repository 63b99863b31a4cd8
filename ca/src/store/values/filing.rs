//! Certificates as the index files them, one row each, in the order of issue; and chunks of rows that are not sealed in
//! a span yet. Other numbers than varints have their most significant octet first.
//!
//! ```text
//! chunk = row*                                         at most CHUNK rows
//! row   = offset:varint number:8 account:3 not-after:difference count:varint (search:4)*
//! ```
//!
//! The offset and `not-after` of a row are differences to those of the row before; those of the first row are whole.

use super::lists::{push_difference, push_varint, take_difference, take_varint};
use super::read::damaged;
use crate::clock::Timestamp;
use crate::error::Result;

/// A certificate, as the index files it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The number of the certificate's serial.
    pub number: u64,
    /// The journal offset of the certificate's entry.
    pub offset: u64,
    /// The number of the certificate's account.
    pub account: u32,
    /// The end of the certificate's validity.
    pub not_after: Timestamp,
    /// The numbers of the certificate's search keys.
    pub search: Box<[u32]>,
}

/// Writes a chunk. The offsets of its rows must rise.
pub fn encode_chunk(rows: &[Row]) -> Vec<u8> {
    let mut value = Vec::with_capacity(rows.len().saturating_mul(56));
    let (mut offset, mut not_after) = (0, 0);
    for row in rows {
        push_varint(&mut value, row.offset.wrapping_sub(offset));
        value.extend_from_slice(&row.number.to_be_bytes());
        let [_, account @ ..] = row.account.to_be_bytes();
        value.extend_from_slice(&account);
        push_difference(&mut value, row.not_after.millis().wrapping_sub(not_after));
        push_varint(&mut value, row.search.len() as u64);
        row.search.iter().for_each(|number| value.extend_from_slice(&number.to_be_bytes()));
        (offset, not_after) = (row.offset, row.not_after.millis());
    }
    value
}

/// Reads what [`encode_chunk`] wrote.
///
/// # Errors
/// [`crate::Error::Internal`] when the value is damaged.
pub fn decode_chunk(value: &[u8]) -> Result<Vec<Row>> {
    let (mut rest, mut rows) = (value, Vec::new());
    let (mut offset, mut not_after) = (0_u64, 0_i64);
    while !rest.is_empty() {
        let row = take_row(&mut rest, offset, not_after).ok_or_else(damaged)?;
        (offset, not_after) = (row.offset, row.not_after.millis());
        rows.push(row);
    }
    Ok(rows)
}

fn take_row(rest: &mut &[u8], offset: u64, not_after: i64) -> Option<Row> {
    let offset = offset.wrapping_add(take_varint(rest)?);
    let (number, behind) = rest.split_first_chunk()?;
    let ([high, middle, low], behind) = behind.split_first_chunk()?;
    *rest = behind;
    let not_after = not_after.wrapping_add(take_difference(rest)?);
    let count = usize::try_from(take_varint(rest)?).ok()?;
    let (search, behind) = rest.split_at_checked(count.checked_mul(4)?)?;
    *rest = behind;
    let search = search.as_chunks::<4>().0.iter().map(|number| u32::from_be_bytes(*number));
    Some(Row {
        number: u64::from_be_bytes(*number),
        offset,
        account: u32::from_be_bytes([0, *high, *middle, *low]),
        not_after: Timestamp::from_millis(not_after),
        search: search.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        let row = |offset, not_after, search: &[u32]| Row {
            number: u64::MAX - offset,
            offset,
            account: 0x00ff_fe01,
            not_after: Timestamp::from_millis(not_after),
            search: search.into(),
        };
        let rows =
            [row(32, 0, &[]), row(33, -5, &[1, u32::MAX]), row(1 << 38, i64::MAX, &[7; 300])];
        let value = encode_chunk(&rows);
        assert_eq!(decode_chunk(&value).unwrap(), rows);
        for cut in 1..value.len() {
            let read = decode_chunk(&value[..cut]);
            assert!(read.is_err() || read.unwrap().len() < 3, "{cut}");
        }
    }
}
