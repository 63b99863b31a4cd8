//! Lists of certificates that share one value, in the order of issue. Numbers that rise are stored as differences. A
//! varint has seven bits in each octet; other numbers have their most significant octet first.

/// A certificate in a list of members or of search keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The number of its account or search key: 32 bits, which others may share.
    pub number: u32,
    /// The certificate's place in the span, from 0.
    pub which: u64,
}

/// The members in a value, each as `number:4 which:varint`.
pub fn members(value: &[u8]) -> impl Iterator<Item = Member> {
    let mut rest = value;
    std::iter::from_fn(move || {
        let (number, behind) = rest.split_first_chunk::<4>()?;
        rest = behind;
        Some(Member { number: u32::from_be_bytes(*number), which: take_varint(&mut rest)? })
    })
}

/// Appends a member to a value.
pub fn push_member(value: &mut Vec<u8>, member: Member) {
    value.extend_from_slice(&member.number.to_be_bytes());
    push_varint(value, member.which);
}

/// A certificate in the order of issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// The number of its serial.
    pub number: u64,
    /// The offset of its entry.
    pub offset: u64,
}

/// The certificates in a value, each as `number:8` and a varint, the difference of its offset to the one before.
pub fn numbered(value: &[u8]) -> impl Iterator<Item = Numbered> {
    let (mut rest, mut offset) = (value, 0u64);
    std::iter::from_fn(move || {
        let (number, behind) = rest.split_first_chunk::<8>()?;
        rest = behind;
        offset = offset.checked_add(take_varint(&mut rest)?)?;
        Some(Numbered { number: u64::from_be_bytes(*number), offset })
    })
}

/// Appends a certificate to a value. Its offset must be larger than those before.
pub fn push_numbered(value: &mut Vec<u8>, certificate: Numbered) {
    let last = numbered(value).last().map_or(0, |last| last.offset);
    value.extend_from_slice(&certificate.number.to_be_bytes());
    push_varint(value, certificate.offset.saturating_sub(last));
}

/// A certificate that ends on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The offset of its entry.
    pub offset: u64,
    /// When it ends, in milliseconds since midnight.
    pub millis: u64,
}

/// The certificates in a value, each as two varints: the difference of its offset to the one before, and the
/// milliseconds since midnight.
pub fn endings(value: &[u8]) -> impl Iterator<Item = Ending> {
    let (mut rest, mut offset) = (value, 0u64);
    std::iter::from_fn(move || {
        offset = offset.checked_add(take_varint(&mut rest)?)?;
        Some(Ending { offset, millis: take_varint(&mut rest)? })
    })
}

/// Appends a certificate to a value. Its offset must be larger than those before.
pub fn push_ending(value: &mut Vec<u8>, ending: Ending) {
    let last = endings(value).last().map_or(0, |last| last.offset);
    push_varint(value, ending.offset.saturating_sub(last));
    push_varint(value, ending.millis);
}

/// The numbers of serials in a value, 8 octets each.
pub fn serial_numbers(value: &[u8]) -> impl Iterator<Item = u64> {
    value.as_chunks::<8>().0.iter().map(|number| u64::from_be_bytes(*number))
}

/// Removes a number from a value of [`serial_numbers`]. The others keep their order.
pub fn remove_serial_number(value: &mut Vec<u8>, number: u64) {
    let position = serial_numbers(value).position(|other| other == number);
    if let Some(position) = position {
        let from = position.saturating_mul(8);
        value.drain(from..from.saturating_add(8));
    }
}

/// Appends a number with seven bits in each octet, least significant first. All octets but the last have the highest
/// bit set.
fn push_varint(octets: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        octets.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    octets.push(number as u8);
}

/// Removes a number that [`push_varint`] wrote from the front, and returns it; `None` if the octets are cut short.
fn take_varint(octets: &mut &[u8]) -> Option<u64> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let (mut members_of, mut numbered_of, mut timed) = (Vec::new(), Vec::new(), Vec::new());
        let pairs: Vec<(u64, u64)> = vec![(32, 0), (33, u64::MAX), (1 << 20, 127), (1 << 38, 128)];
        for (offset, other) in pairs.iter().copied() {
            push_member(&mut members_of, Member { number: 7, which: offset });
            push_numbered(&mut numbered_of, Numbered { number: other, offset });
            push_ending(&mut timed, Ending { offset, millis: other });
        }
        assert_eq!(
            members(&members_of).map(|member| member.which).collect::<Vec<_>>(),
            [32, 33, 1 << 20, 1 << 38]
        );
        let numbered = numbered(&numbered_of).map(|found| (found.offset, found.number));
        assert_eq!(numbered.collect::<Vec<_>>(), pairs);
        let timed = endings(&timed).map(|found| (found.offset, found.millis));
        assert_eq!(timed.collect::<Vec<_>>(), pairs);
        assert_eq!(members_of.len(), 16 + 1 + 1 + 3 + 6);
    }
}
