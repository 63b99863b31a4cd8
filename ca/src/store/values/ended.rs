//! The certificates of a span that need no renewal: a bit for each place in the span, lowest bit first. Octets of zeros at
//! the end are left out.

/// Sets the bit of a place.
pub fn set(bits: &mut Vec<u8>, which: u64) {
    let Ok(at) = usize::try_from(which / 8) else { return };
    if bits.len() <= at {
        bits.resize(at.saturating_add(1), 0);
    }
    if let Some(octet) = bits.get_mut(at) {
        *octet |= 1 << (which % 8);
    }
}

/// Whether the bit of a place is set.
pub fn has(bits: &[u8], which: u64) -> bool {
    let octet = usize::try_from(which / 8).ok().and_then(|at| bits.get(at));
    octet.is_some_and(|octet| octet >> (which % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_that_were_set_are_set() {
        let mut bits = Vec::new();
        for which in [70, 0, 7, 70] {
            set(&mut bits, which);
        }
        let found: Vec<u64> = (0..200).filter(|which| has(&bits, *which)).collect();
        assert_eq!((found, bits.len()), (vec![0, 7, 70], 9));
    }
}
