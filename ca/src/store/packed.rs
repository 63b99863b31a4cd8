//! How the index packs many small things into one value, and its keys.
//!
//! sled spends far more on a key than on an octet: 64 certificates share one value.

use crate::clock::Timestamp;
use crate::record::{Label, Serial};

const DAY: u64 = 86_400_000;

/// A key: a letter for the kind, and what follows.
pub fn key(kind: u8, rest: &[u8]) -> Vec<u8> {
    [&[kind], rest].concat()
}

/// A key of something of a CA or an account: the name, a zero, and what follows.
pub fn named_key(kind: u8, name: &Label, rest: &[u8]) -> Vec<u8> {
    [&[kind], name.as_str().as_bytes(), &[0], rest].concat()
}

/// The key of something of a certificate.
pub fn serial_key(kind: u8, ca: &Label, serial: &Serial) -> Vec<u8> {
    named_key(kind, ca, serial.octets())
}

/// A moment so that the order of octets is the order of time.
pub fn ordered(at: Timestamp) -> [u8; 8] {
    (at.millis().cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// The moment that [`ordered`] wrote at the beginning of `octets`.
pub fn from_ordered(octets: &[u8]) -> Option<Timestamp> {
    let value = u64_from(octets.get(..8)?)? ^ (1 << 63);
    Some(Timestamp::from_millis(value.cast_signed()))
}

/// The day of a moment since 1970, and the milliseconds since its midnight.
pub fn day_of(at: Timestamp) -> (u32, u64) {
    let millis = u64::try_from(at.millis()).unwrap_or(0);
    let day = u32::try_from(millis / DAY).unwrap_or(u32::MAX);
    (day, millis - u64::from(day) * DAY)
}

/// The moment that [`day_of`] divided.
pub fn from_day(day: u32, millis: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(u64::from(day) * DAY + millis).unwrap_or(i64::MAX))
}

/// Reads 8 octets, most significant first.
pub fn u64_from(octets: &[u8]) -> Option<u64> {
    octets.try_into().ok().map(u64::from_be_bytes)
}

/// Appends a number: seven bits in each octet, least significant first.
pub fn push_number(octets: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        octets.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    octets.push(number as u8);
}

/// Takes what [`push_number`] appended off the front.
pub fn take_number(octets: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = octets.split_first()?;
        *octets = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Rising offsets, each as the distance to the one before.
pub fn offsets(value: &[u8]) -> impl Iterator<Item = u64> {
    let (mut rest, mut offset) = (value, 0u64);
    std::iter::from_fn(move || {
        offset = offset.checked_add(take_number(&mut rest)?)?;
        Some(offset)
    })
}

/// Adds a larger offset to [`offsets`].
pub fn push_offset(value: &mut Vec<u8>, offset: u64) {
    let last = offsets(value).last().unwrap_or(0);
    push_number(value, offset.saturating_sub(last));
}

/// Serials' numbers, each with an offset; the offsets rise.
pub fn numbered_offsets(value: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    let (mut rest, mut offset) = (value, 0u64);
    std::iter::from_fn(move || {
        let (number, behind) = rest.split_first_chunk::<8>()?;
        rest = behind;
        offset = offset.checked_add(take_number(&mut rest)?)?;
        Some((u64::from_be_bytes(*number), offset))
    })
}

/// Adds to [`numbered_offsets`].
pub fn push_numbered(value: &mut Vec<u8>, number: u64, offset: u64) {
    let last = numbered_offsets(value).last().map_or(0, |(_, offset)| offset);
    value.extend_from_slice(&number.to_be_bytes());
    push_number(value, offset.saturating_sub(last));
}

/// Pairs of a rising offset and some milliseconds.
pub fn timed_offsets(value: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    let (mut rest, mut offset) = (value, 0u64);
    std::iter::from_fn(move || {
        offset = offset.checked_add(take_number(&mut rest)?)?;
        Some((offset, take_number(&mut rest)?))
    })
}

/// Adds to [`timed_offsets`].
pub fn push_timed(value: &mut Vec<u8>, offset: u64, millis: u64) {
    let last = timed_offsets(value).last().map_or(0, |(offset, _)| offset);
    push_number(value, offset.saturating_sub(last));
    push_number(value, millis);
}

/// Serials' numbers, 8 octets each.
pub fn numbers(value: &[u8]) -> impl Iterator<Item = u64> {
    value.as_chunks::<8>().0.iter().map(|number| u64::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let (mut plain, mut numbered, mut timed) = (Vec::new(), Vec::new(), Vec::new());
        let pairs: Vec<(u64, u64)> = vec![(32, 0), (33, u64::MAX), (1 << 20, 127), (1 << 38, 128)];
        for (offset, other) in &pairs {
            push_offset(&mut plain, *offset);
            push_numbered(&mut numbered, *other, *offset);
            push_timed(&mut timed, *offset, *other);
        }
        let swapped: Vec<(u64, u64)> = pairs.iter().map(|(a, b)| (*b, *a)).collect();
        assert_eq!(offsets(&plain).collect::<Vec<_>>(), [32, 33, 1 << 20, 1 << 38]);
        assert_eq!(numbered_offsets(&numbered).collect::<Vec<_>>(), swapped);
        assert_eq!(timed_offsets(&timed).collect::<Vec<_>>(), pairs);
        assert_eq!(plain.len(), 1 + 1 + 3 + 6);
    }

    #[test]
    fn moments_keep_their_order() {
        let moments = [i64::MIN, -1, 0, 1, i64::MAX].map(Timestamp::from_millis);
        assert!(moments.map(ordered).is_sorted());
        for at in moments {
            assert_eq!(from_ordered(&ordered(at)), Some(at));
        }
        let at = Timestamp::from_millis(1_700_000_123_456);
        let (day, millis) = day_of(at);
        assert_eq!(day, 19_675);
        assert_eq!(from_day(day, millis), at);
    }
}
