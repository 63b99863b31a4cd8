//! Spans: the certificates of a part of the order of issue, sealed in octets that never change. Numbers other than
//! varints are little endian.
//!
//! ```text
//! span      = directory numbers accounts buckets found rows
//! directory = (offset:8 not-after:8 place:4) × SPAN/CHUNK    the first row of each chunk, and where in rows it is
//! numbers   = number:8 × SPAN                                of serials
//! accounts  = account:3 × SPAN
//! buckets   = end:4 × (BUCKETS + 1)                          in `found`, counted in its elements; the first is 0
//! found     = (rest-of-number · which):4 *                   search keys, sorted within each bucket
//! rows      = (offset:varint not-after:difference)*          of each chunk, differences to the row before
//! ```
//!
//! The highest bits of a search key's number say its bucket; the others and the certificate's place in the span share
//! the 32 bits of an element. So a look-up reads a few hundred octets, and a start reads the whole span in order.

use super::filing::Row;
use super::lists::{push_difference, push_varint, take_difference, take_varint};
use super::read::damaged;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::store::numbers::{CHUNK, SEARCH_BITS, SPAN, SPAN_BITS};

/// The number of rows in a span.
const ROWS: usize = SPAN as usize;
/// The number of chunks in a span.
const CHUNKS: usize = ROWS / CHUNK as usize;
/// The number of low bits of a search key's number, which an element of a bucket contains beside a certificate's place.
const REST_BITS: u32 = 32 - SPAN_BITS;
/// The number of buckets of search keys.
const BUCKETS: usize = 1 << (SEARCH_BITS - REST_BITS);

/// The octets of an element of the directory, which says where each chunk of the span begins.
const ENTRY: usize = 20;
const NUMBERS: usize = CHUNKS * ENTRY;
const ACCOUNTS: usize = NUMBERS + ROWS * 8;
const STARTS: usize = ACCOUNTS + ROWS * 3;
const FOUND: usize = STARTS + (BUCKETS + 1) * 4;

/// The octets of a span, wherever they are.
pub trait Stored {
    /// The `length` octets of the span from offset `from`.
    ///
    /// # Errors
    /// [`Error::Internal`] when they are not there; [`Error::Unavailable`] when they cannot be read.
    fn part(&self, from: usize, length: usize) -> Result<Vec<u8>>;

    /// The length of the span in octets.
    fn length(&self) -> usize;
}

impl Stored for [u8] {
    fn part(&self, from: usize, length: usize) -> Result<Vec<u8>> {
        let part = from.checked_add(length).and_then(|end| self.get(from..end));
        part.map(<[u8]>::to_vec).ok_or_else(damaged)
    }

    fn length(&self) -> usize {
        self.len()
    }
}

/// A certificate in a span: its place, and the part of its row that is stored together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The place in the span, from 0.
    pub which: u64,
    /// The journal offset of the certificate's entry.
    pub offset: u64,
    /// The end of the certificate's validity.
    pub not_after: Timestamp,
}

/// A certificate with the number of its serial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// The number of the certificate's serial.
    pub number: u64,
    /// The journal offset of the certificate's entry.
    pub offset: u64,
    /// The end of the certificate's validity.
    pub not_after: Timestamp,
}

/// Seals rows, of which there must be [`SPAN`] with rising offsets.
///
/// # Errors
/// [`Error::Internal`] when there are fewer or more, or they are too large.
pub fn seal(rows: &[Row]) -> Result<Vec<u8>> {
    if rows.len() != ROWS {
        return Err(Error::internal(format!("a span has {ROWS} rows, found {}", rows.len())));
    }
    let keys = rows.iter().map(|row| row.search.len()).sum::<usize>();
    let mut octets = Vec::with_capacity(FOUND + keys * 4 + ROWS * 6);
    let mut packed = Vec::with_capacity(ROWS * 6);
    for chunk in rows.chunks(CHUNK as usize) {
        let mut before = chunk.first().map_or((0, 0), |row| (row.offset, row.not_after.millis()));
        octets.extend_from_slice(&before.0.to_le_bytes());
        octets.extend_from_slice(&before.1.to_le_bytes());
        let place = u32::try_from(packed.len()).map_err(Error::internal)?;
        octets.extend_from_slice(&place.to_le_bytes());
        for row in chunk {
            let (offset, not_after) = (row.offset, row.not_after.millis());
            push_varint(&mut packed, offset.wrapping_sub(before.0));
            push_difference(&mut packed, not_after.wrapping_sub(before.1));
            before = (offset, not_after);
        }
    }
    rows.iter().for_each(|row| octets.extend_from_slice(&row.number.to_le_bytes()));
    for row in rows {
        let [account @ .., _] = row.account.to_le_bytes();
        octets.extend_from_slice(&account);
    }
    push_found(&mut octets, rows)?;
    octets.extend_from_slice(&packed);
    Ok(octets)
}

/// Appends buckets and search keys.
fn push_found(octets: &mut Vec<u8>, rows: &[Row]) -> Result<()> {
    let mut buckets: Vec<Vec<u32>> = vec![Vec::new(); BUCKETS];
    for (which, row) in (0_u32..).zip(rows) {
        for number in &row.search {
            if let Some(bucket) = buckets.get_mut((number >> REST_BITS) as usize) {
                bucket.push(number << SPAN_BITS | which);
            }
        }
    }
    let mut end = 0_u32;
    octets.extend_from_slice(&end.to_le_bytes());
    for bucket in &mut buckets {
        bucket.sort_unstable();
        let length = u32::try_from(bucket.len()).map_err(Error::internal)?;
        end = end.checked_add(length).ok_or_else(damaged)?;
        octets.extend_from_slice(&end.to_le_bytes());
    }
    for bucket in &buckets {
        bucket.iter().for_each(|element| octets.extend_from_slice(&element.to_le_bytes()));
    }
    Ok(())
}

/// The certificates of a chunk.
///
/// # Errors
/// Those of [`Stored::part`], as with the other functions; [`Error::Internal`] also when the span is damaged.
pub fn chunk(span: &(impl Stored + ?Sized), chunk: u64) -> Result<Vec<Placed>> {
    let number = usize::try_from(chunk).ok().filter(|number| *number < CHUNKS);
    let number = number.ok_or_else(damaged)?;
    // Its element of the directory and the next one, which says where it ends.
    let count = (CHUNKS - number).min(2);
    let entries = span.part(number * ENTRY, count * ENTRY)?;
    let mut entries = entries.as_chunks::<ENTRY>().0.iter().map(Entry::read);
    let (entry, next) = (entries.next().ok_or_else(damaged)?, entries.next());
    let rows = rows_at(span)?;
    let end = next.map_or(Ok(span.length()), |next| next.place_from(rows))?;
    let from = entry.place_from(rows)?;
    let packed = span.part(from, end.checked_sub(from).ok_or_else(damaged)?)?;
    entry.rows(chunk * CHUNK, &packed)
}

/// The place in the span of the certificate whose entry is at an offset; `None` if there is none.
pub fn place_of(span: &(impl Stored + ?Sized), offset: u64) -> Result<Option<u64>> {
    let directory = span.part(0, NUMBERS)?;
    let entries = directory.as_chunks::<ENTRY>().0;
    let behind = entries.partition_point(|entry| Entry::read(entry).offset <= offset);
    let Some(number) = behind.checked_sub(1) else { return Ok(None) };
    let found = chunk(span, number as u64)?.into_iter().find(|placed| placed.offset == offset);
    Ok(found.map(|placed| placed.which))
}

/// Every certificate of the span, in order.
pub fn all(span: &(impl Stored + ?Sized)) -> Result<Vec<Placed>> {
    let directory = span.part(0, NUMBERS)?;
    let from = rows_at(span)?;
    let packed = span.part(from, span.length().checked_sub(from).ok_or_else(damaged)?)?;
    let mut entries = directory.as_chunks::<ENTRY>().0.iter().map(Entry::read).peekable();
    let (mut all, mut first) = (Vec::with_capacity(ROWS), 0);
    while let Some(entry) = entries.next() {
        let end = entries.peek().map_or(Ok(packed.len()), |next| next.place_from(0))?;
        let packed = packed.get(entry.place_from(0)?..end).ok_or_else(damaged)?;
        all.extend(entry.rows(first, packed)?);
        first += CHUNK;
    }
    Ok(all)
}

/// Every certificate of the span with the number of its serial, in order.
pub fn numbered(span: &(impl Stored + ?Sized)) -> Result<impl Iterator<Item = Numbered>> {
    let numbers = span.part(NUMBERS, ROWS * 8)?;
    let placed = all(span)?;
    Ok(placed.into_iter().enumerate().filter_map(move |(which, placed)| {
        let number = numbers.as_chunks::<8>().0.get(which)?;
        let Placed { offset, not_after, .. } = placed;
        Some(Numbered { number: u64::from_le_bytes(*number), offset, not_after })
    }))
}

/// The places of the certificates whose account has a number that is `wanted`, in order.
pub fn of_accounts(
    span: &(impl Stored + ?Sized),
    wanted: impl Fn(u32) -> bool,
) -> Result<Vec<u64>> {
    let accounts = span.part(ACCOUNTS, ROWS * 3)?;
    let accounts = (0..).zip(accounts.as_chunks::<3>().0);
    let own = accounts.filter(|(_, [a, b, c])| wanted(u32::from_le_bytes([*a, *b, *c, 0])));
    Ok(own.map(|(which, _)| which).collect())
}

/// The places of the certificates that have a search key with this number, in order.
pub fn with_search(span: &(impl Stored + ?Sized), number: u32) -> Result<Vec<u64>> {
    let bucket = (number >> REST_BITS) as usize;
    let ends = span.part(STARTS + bucket * 4, 8)?;
    let mut ends = ends.as_chunks::<4>().0.iter().map(|end| u32::from_le_bytes(*end) as usize);
    let (from, until) = ends.next().zip(ends.next()).ok_or_else(damaged)?;
    let count = until.checked_sub(from).ok_or_else(damaged)?;
    let elements = span.part(FOUND + from * 4, count * 4)?;
    let elements = elements.as_chunks::<4>().0.iter().map(|element| u32::from_le_bytes(*element));
    let rest = number & ((1 << REST_BITS) - 1);
    let own = elements.filter(|element| element >> SPAN_BITS == rest);
    Ok(own.map(|element| u64::from(element & ((1 << SPAN_BITS) - 1))).collect())
}

/// The offset in the span at which the rows begin.
fn rows_at(span: &(impl Stored + ?Sized)) -> Result<usize> {
    let end = span.part(FOUND - 4, 4)?;
    let keys = end.first_chunk().map_or(0, |end| u32::from_le_bytes(*end) as usize);
    Ok(FOUND + keys * 4)
}

/// An element of the directory: the place and the first values of one chunk.
#[derive(Clone, Copy)]
struct Entry {
    offset: u64,
    not_after: i64,
    place: u32,
}

impl Entry {
    fn read(octets: &[u8; ENTRY]) -> Self {
        let [o0, o1, o2, o3, o4, o5, o6, o7, n0, n1, n2, n3, n4, n5, n6, n7, place @ ..] = *octets;
        Self {
            offset: u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
            not_after: i64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7]),
            place: u32::from_le_bytes(place),
        }
    }

    fn place_from(self, rows: usize) -> Result<usize> {
        let place = usize::try_from(self.place).map_err(Error::internal)?;
        rows.checked_add(place).ok_or_else(damaged)
    }

    /// The rows of the chunk. The first of them is at the place `first` in the span.
    fn rows(self, first: u64, packed: &[u8]) -> Result<Vec<Placed>> {
        let (mut rest, mut rows) = (packed, Vec::with_capacity(CHUNK as usize));
        let (mut offset, mut not_after) = (self.offset, self.not_after);
        for which in first..first + CHUNK {
            let both = take_varint(&mut rest).zip(take_difference(&mut rest));
            let (more, later) = both.ok_or_else(damaged)?;
            offset = offset.wrapping_add(more);
            not_after = not_after.wrapping_add(later);
            rows.push(Placed { which, offset, not_after: Timestamp::from_millis(not_after) });
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let row = |n: u64| Row {
            number: n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            offset: 32 + n * 900 + if n > 9000 { 1 << 37 } else { 0 },
            account: (n % 1000) as u32 | 0x00ab_0000,
            not_after: Timestamp::from_millis(1_800_000_000_000 - (n as i64 % 77) * 1_000_000),
            search: (0..n % 9).map(|k| (n * 31 + k * 0x0123_4567) as u32 & 0x0fff_ffff).collect(),
        };
        (0..SPAN).map(row).collect()
    }

    #[test]
    fn what_is_sealed_is_found_by_every_way() {
        let rows = rows();
        let span = seal(&rows).unwrap();
        let span = span.as_slice();
        let found = all(span).unwrap();
        assert_eq!(found.len(), rows.len());
        for (row, placed) in rows.iter().zip(&found) {
            assert_eq!((row.offset, row.not_after), (placed.offset, placed.not_after));
        }
        for number in [0, 1, 140, 255] {
            let from = (number * CHUNK) as usize;
            assert_eq!(chunk(span, number).unwrap(), found[from..from + 64]);
        }
        assert!(chunk(span, 256).is_err());
        for numbered in numbered(span).unwrap().zip(&rows) {
            assert_eq!(
                (numbered.0.number, numbered.0.offset),
                (numbered.1.number, numbered.1.offset)
            );
        }
        for which in [0, 63, 64, 9000, 9001, SPAN - 1] {
            let row = &rows[which as usize];
            assert_eq!(place_of(span, row.offset).unwrap(), Some(which));
            assert_eq!(place_of(span, row.offset + 1).unwrap(), None);
            let own = (0..).zip(&rows).filter(|(_, other)| other.account == row.account);
            assert_eq!(
                of_accounts(span, |number| number == row.account).unwrap(),
                own.map(|(n, _)| n).collect::<Vec<u64>>()
            );
            for key in &row.search {
                let has = (0..).zip(&rows).filter(|(_, other)| other.search.contains(key));
                assert_eq!(
                    with_search(span, *key).unwrap(),
                    has.map(|(n, _)| n).collect::<Vec<u64>>()
                );
            }
        }
        assert_eq!(place_of(span, 31).unwrap(), None);
        assert_eq!(of_accounts(span, |number| number == 1).unwrap(), Vec::<u64>::new());
        assert_eq!(with_search(span, 0x0fff_fff0).unwrap(), Vec::<u64>::new());
    }

    #[test]
    fn a_span_that_is_cut_or_not_full_is_refused() {
        let rows = rows();
        assert!(seal(&rows[1..]).is_err());
        let span = seal(&rows).unwrap();
        for cut in [0, 19, NUMBERS, FOUND - 1, FOUND + 4, span.len() - 1] {
            assert!(all(&span[..cut]).is_err(), "{cut}");
        }
    }
}
