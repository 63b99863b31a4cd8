//! Lists of numbers in a value. A varint has seven bits in each octet; other numbers have their most significant octet
//! first.

/// The numbers of serials in a value, 8 octets each.
pub fn serial_numbers(value: &[u8]) -> impl Iterator<Item = u64> {
    value.as_chunks::<8>().0.iter().map(|number| u64::from_be_bytes(*number))
}

/// Appends a number with seven bits in each octet, least significant first. All octets but the last have the highest
/// bit set.
pub fn push_varint(octets: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        octets.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    octets.push(number as u8);
}

/// Appends a difference, so that a small one of either sign is short.
pub fn push_difference(octets: &mut Vec<u8>, number: i64) {
    push_varint(octets, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// Removes a difference that [`push_difference`] wrote from the front, and returns it; `None` if the octets are cut
/// short.
pub fn take_difference(octets: &mut &[u8]) -> Option<i64> {
    let number = take_varint(octets)?;
    Some((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
}

/// Removes a number that [`push_varint`] wrote from the front, and returns it; `None` if the octets are cut short.
pub fn take_varint(octets: &mut &[u8]) -> Option<u64> {
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
        let numbers = [0, 1, 127, 128, 1 << 38, u64::MAX];
        let differences = [0, -1, 1, 63, -64, 64, i64::MIN, i64::MAX];
        let mut packed = Vec::new();
        numbers.iter().for_each(|number| push_varint(&mut packed, *number));
        differences.iter().for_each(|number| push_difference(&mut packed, *number));
        let mut rest = packed.as_slice();
        assert_eq!(numbers.map(|_| take_varint(&mut rest).unwrap()), numbers);
        assert_eq!(differences.map(|_| take_difference(&mut rest).unwrap()), differences);
        assert_eq!((rest.len(), take_varint(&mut rest)), (0, None));
        let mut small = Vec::new();
        push_difference(&mut small, -64);
        assert_eq!(small.len(), 1);
    }
}
