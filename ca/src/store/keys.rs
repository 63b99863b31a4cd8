//! How the index packs many small things into one value, and its keys.
//!
//! sled spends far more on a key than on an octet: 64 certificates share one value.

use crate::clock::Timestamp;
use crate::record::{CrlScope, Label, Serial};

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

/// The name and the serial of a [`serial_key`].
pub fn from_serial_key(key: &[u8]) -> Option<(Label, Serial)> {
    let (_, rest) = key.split_first()?;
    let (name, serial) = rest.split_last_chunk()?;
    let name = std::str::from_utf8(name.strip_suffix(&[0])?).ok()?;
    Some((name.parse().ok()?, Serial::new(*serial)?))
}

/// The key of a certificate that is to be confirmed until a moment; a later moment has a larger key.
pub fn awaited_key(until: Timestamp, ca: &Label, serial: &Serial) -> Vec<u8> {
    [&b"w"[..], &ordered(until), ca.as_str().as_bytes(), &[0], serial.octets()].concat()
}

/// Moment, CA and serial of an [`awaited_key`].
pub fn from_awaited_key(key: &[u8]) -> Option<(Timestamp, Label, Serial)> {
    let (until, rest) = key.get(1..)?.split_first_chunk()?;
    let (name, serial) = rest.split_last_chunk()?;
    let name = std::str::from_utf8(name.strip_suffix(&[0])?).ok()?;
    let millis = (u64::from_be_bytes(*until) ^ (1 << 63)).cast_signed();
    Some((Timestamp::from_millis(millis), name.parse().ok()?, Serial::new(*serial)?))
}

/// The key of a CA's last CRL of a scope; without one, of the base of its delta CRLs.
pub fn crl_key(ca: &Label, scope: Option<CrlScope>) -> Vec<u8> {
    match scope {
        None => named_key(b'l', ca, b"b"),
        Some(CrlScope::Full) => named_key(b'l', ca, b"f"),
        Some(CrlScope::Delta) => named_key(b'l', ca, b"d"),
        Some(CrlScope::Partition(number)) => {
            let [high, low] = number.to_be_bytes();
            named_key(b'l', ca, &[b'p', high, low])
        }
    }
}

/// The key of a change of a CA's revocations, by the entry that made it.
pub fn change_key(ca: &Label, offset: u64) -> Vec<u8> {
    named_key(b'c', ca, &offset.to_be_bytes())
}

/// A moment so that the order of octets is the order of time.
pub fn ordered(at: Timestamp) -> [u8; 8] {
    (at.millis().cast_unsigned() ^ (1 << 63)).to_be_bytes()
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

/// The key of certificates that end on a day, from an offset on.
pub fn expiring_key(day: u32, offset: u64) -> Vec<u8> {
    [&b"e"[..], &day.to_be_bytes(), &offset.to_be_bytes()].concat()
}

/// Day and offset of an [`expiring_key`].
pub fn from_expiring_key(key: &[u8]) -> Option<(u32, u64)> {
    let (day, offset) = key.get(1..)?.split_first_chunk()?;
    Some((u32::from_be_bytes(*day), u64_from(offset)?))
}

/// The span of some 65 seconds in which a transaction ends; a later span has a larger number.
pub fn bucket_of(at: Timestamp) -> u64 {
    u64::from_be_bytes(ordered(at)) >> 16
}

/// The key of transactions that end in a span.
pub fn transactions_key(bucket: u64, number: u32) -> Vec<u8> {
    [&b"t"[..], &bucket.to_be_bytes(), &number.to_be_bytes()].concat()
}

/// Span and number of a [`transactions_key`].
pub fn from_transactions_key(key: &[u8]) -> Option<(u64, u32)> {
    let (bucket, number) = key.get(1..)?.split_first_chunk()?;
    Some((u64::from_be_bytes(*bucket), u32::from_be_bytes(number.try_into().ok()?)))
}

/// The key of those that have some search keys, among the n-th span of certificates.
pub fn search_key(span: u64, part: u8) -> Vec<u8> {
    [&b"h"[..], &span.to_be_bytes(), &[part]].concat()
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

/// Some accounts' certificates: 32 bits of the account's number, and which certificate of the span it is.
pub fn members(value: &[u8]) -> impl Iterator<Item = (u32, u64)> {
    let mut rest = value;
    std::iter::from_fn(move || {
        let (account, behind) = rest.split_first_chunk::<4>()?;
        rest = behind;
        Some((u32::from_be_bytes(*account), take_number(&mut rest)?))
    })
}

/// Adds to [`members`].
pub fn push_member(value: &mut Vec<u8>, account: u32, which: u64) {
    value.extend_from_slice(&account.to_be_bytes());
    push_number(value, which);
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

/// Takes a number out of [`numbers`]; the others keep their order.
pub fn remove_number(value: &mut Vec<u8>, number: u64) {
    let place = numbers(value).position(|other| other == number);
    if let Some(place) = place {
        let from = place.saturating_mul(8);
        value.drain(from..from.saturating_add(8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let (mut members_of, mut numbered, mut timed) = (Vec::new(), Vec::new(), Vec::new());
        let pairs: Vec<(u64, u64)> = vec![(32, 0), (33, u64::MAX), (1 << 20, 127), (1 << 38, 128)];
        for (offset, other) in &pairs {
            push_member(&mut members_of, 7, *offset);
            push_numbered(&mut numbered, *other, *offset);
            push_timed(&mut timed, *offset, *other);
        }
        let swapped: Vec<(u64, u64)> = pairs.iter().map(|(a, b)| (*b, *a)).collect();
        assert_eq!(
            members(&members_of).map(|(_, which)| which).collect::<Vec<_>>(),
            [32, 33, 1 << 20, 1 << 38]
        );
        assert_eq!(numbered_offsets(&numbered).collect::<Vec<_>>(), swapped);
        assert_eq!(timed_offsets(&timed).collect::<Vec<_>>(), pairs);
        assert_eq!(members_of.len(), 16 + 1 + 1 + 3 + 6);
        assert_eq!(from_expiring_key(&expiring_key(3, 9)), Some((3, 9)));
        assert_eq!(from_transactions_key(&transactions_key(3, 9)), Some((3, 9)));
    }

    #[test]
    fn moments_keep_their_order() {
        let moments = [i64::MIN, -1, 0, 1, i64::MAX].map(Timestamp::from_millis);
        assert!(moments.map(ordered).is_sorted());
        for at in moments {
            assert!(bucket_of(at) <= bucket_of(Timestamp::from_millis(i64::MAX)));
        }
        let at = Timestamp::from_millis(1_700_000_123_456);
        let (day, millis) = day_of(at);
        assert_eq!(day, 19_675);
        assert_eq!(from_day(day, millis), at);
    }
}
