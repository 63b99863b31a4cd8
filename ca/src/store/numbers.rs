//! The numbers under which the index files serials, accounts, search keys and transactions, and how many go into one
//! value.
//!
//! An embedded database spends far more on a key than on an octet. So many small things share one value.
//!
//! INVARIANT: these functions and constants are the same on every machine and in every version, as the index on disk
//! depends on them. A change of one needs a new `FORMAT` of the index (`embedded/index/reached.rs`).

use crate::clock::Timestamp;
use crate::record::{Label, Serial};

/// Certificates in one span of the order of issue. A span that is full is sealed: its octets never change.
pub const SPAN: u64 = 1 << SPAN_BITS;
/// The number of bits of a certificate's place in its span.
pub const SPAN_BITS: u32 = 14;
/// Certificates in one chunk of a span. Their offsets are differences to the first one of the chunk.
pub const CHUNK: u64 = 64;
/// The most transactions in one block.
pub const TRANSACTION_CHUNK: usize = 32;

const SIGN: u64 = 1 << 63;

/// The bucket of some 65 seconds (2^16 ms) in which a transaction expires. A later bucket has a larger number.
pub type Bucket = u64;

/// A number of 64 bits for a serial of a CA. The rules refuse to reserve a serial whose number is in use already, so
/// that a number names one serial.
pub fn serial_number(ca: &Label, serial: &Serial) -> u64 {
    let name = label_number(ca);
    let (above, value) = serial.parts();
    let (high, low) = ((value >> 64) as u64, value as u64);
    let number = mix(mix(name ^ high).wrapping_add(low));
    match above {
        0 => number,
        above => mix(number ^ u64::from(above)),
    }
}

/// A number of 64 bits for a name: FNV-1a, mixed. Two names may share it, though hardly ever do.
fn label_number(name: &Label) -> u64 {
    mix(name.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    }))
}

/// The finaliser of SplitMix64.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The number of an account, 24 bits. Several accounts may have the same number.
pub fn account_number(account: &Label) -> u32 {
    (label_number(account) >> 40) as u32
}

/// The number of bits of a search key's number.
pub const SEARCH_BITS: u32 = 28;

/// The number of a search key with this fingerprint, [`SEARCH_BITS`] bits. Several search keys may have the same number.
pub const fn search_number(fingerprint: u64) -> u32 {
    (fingerprint >> (64 - SEARCH_BITS)) as u32
}

/// The bucket that a moment is in, as its number.
pub const fn bucket_of(at: Timestamp) -> Bucket {
    u64::from_be_bytes(ordered(at)) >> 16
}

/// A moment as octets whose order is the order of time: milliseconds since 1970 with the sign bit inverted.
pub const fn ordered(at: Timestamp) -> [u8; 8] {
    (at.millis().cast_unsigned() ^ SIGN).to_be_bytes()
}

/// The moment that [`ordered`] wrote.
pub const fn from_ordered(octets: [u8; 8]) -> Timestamp {
    Timestamp::from_millis((u64::from_be_bytes(octets) ^ SIGN).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_keep_their_order() {
        let moments = [i64::MIN, -1, 0, 1, i64::MAX].map(Timestamp::from_millis);
        assert!(moments.map(ordered).is_sorted());
        assert_eq!(moments.map(|at| from_ordered(ordered(at))), moments);
        for at in moments {
            assert!(bucket_of(at) <= bucket_of(Timestamp::from_millis(i64::MAX)));
        }
    }

    #[test]
    fn numbers_differ_by_ca_and_serial() {
        let serial = |n: u128| Serial::new(n.to_be_bytes()).unwrap();
        let (a, b): (Label, Label) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert_ne!(serial_number(&a, &serial(1)), serial_number(&b, &serial(1)));
        assert_ne!(serial_number(&a, &serial(1)), serial_number(&a, &serial(2)));
        assert_ne!(serial_number(&a, &serial(1)), serial_number(&a, &serial(1 << 64)));
        let long = Serial::from_octets(&[1; 20]).unwrap();
        let low = Serial::new([1; 16]).unwrap();
        assert_ne!(serial_number(&a, &low), serial_number(&a, &long));
    }
}
