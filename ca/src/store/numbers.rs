//! The numbers under which the index files serials, accounts, search keys, days and transactions, and how many go into
//! one value.
//!
//! An embedded database spends far more on a key than on an octet. So many small things share one value.
//!
//! INVARIANT: these functions and constants are the same on every machine and in every version, as the index on disk
//! depends on them. A change of one needs a new `FORMAT` of the index (`embedded/index/reached.rs`).

use crate::clock::Timestamp;
use crate::record::{Label, Serial};

/// Certificates in one value of the order of issue. They were issued one after the other.
pub const ORDER_CHUNK: u64 = 64;
/// Certificates in one span of the order of issue, within which those of an account are looked up together.
pub const ACCOUNT_SPAN: u64 = 4096;
/// Certificates in one span of the order of issue, within which those with a search key are looked up together.
pub const SEARCH_SPAN: u64 = 4096;
/// The most certificates in one value of those that end on a day.
pub const EXPIRY_CHUNK: usize = 64;
/// The most transactions in one block.
pub const TRANSACTION_CHUNK: usize = 32;

const MILLIS_OF_DAY: u64 = 86_400_000;
const SIGN: u64 = 1 << 63;

/// A day, counted from 1970-01-01 in UTC.
pub type Day = u32;

/// The bucket of some 65 seconds (2^16 ms) in which a transaction expires. A later bucket has a larger number.
pub type Bucket = u64;

/// A number of 64 bits for a serial of a CA. The rules refuse to reserve a serial whose number is in use already, so
/// that a number names one serial.
pub fn serial_number(ca: &Label, serial: &Serial) -> u64 {
    let name = label_number(ca);
    let value = u128::from_be_bytes(*serial.octets());
    let (high, low) = ((value >> 64) as u64, value as u64);
    mix(mix(name ^ high).wrapping_add(low))
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

/// The part of a span that an account or a search key is filed in, and its number there. Two of them may share both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartNumber {
    /// The part, from 0.
    pub part: u8,
    /// The number in the part. Others may have the same.
    pub number: u32,
}

/// The number of an account, in one of 64 parts.
pub fn account_number(account: &Label) -> PartNumber {
    let number = label_number(account);
    PartNumber { part: (number >> 58) as u8, number: number as u32 }
}

/// The number of a search key with this fingerprint, in one of 256 parts.
pub const fn search_number(fingerprint: u64) -> PartNumber {
    PartNumber { part: (fingerprint >> 56) as u8, number: fingerprint as u32 }
}

/// A moment as a day and the milliseconds since its midnight. Moments before 1970 are taken for 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayTime {
    /// The day.
    pub day: Day,
    /// The milliseconds since midnight.
    pub millis: u64,
}

impl DayTime {
    /// The moment as a timestamp.
    pub fn moment(self) -> Timestamp {
        let millis = u64::from(self.day) * MILLIS_OF_DAY + self.millis;
        Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }
}

impl From<Timestamp> for DayTime {
    fn from(at: Timestamp) -> Self {
        let millis = u64::try_from(at.millis()).unwrap_or(0);
        let day = Day::try_from(millis / MILLIS_OF_DAY).unwrap_or(Day::MAX);
        Self { day, millis: millis - u64::from(day) * MILLIS_OF_DAY }
    }
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
        let at = Timestamp::from_millis(1_700_000_123_456);
        let time = DayTime::from(at);
        assert_eq!(time.day, 19_675);
        assert_eq!(time.moment(), at);
    }

    #[test]
    fn numbers_differ_by_ca_and_serial() {
        let serial = |n: u128| Serial::new(n.to_be_bytes()).unwrap();
        let (a, b): (Label, Label) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert_ne!(serial_number(&a, &serial(1)), serial_number(&b, &serial(1)));
        assert_ne!(serial_number(&a, &serial(1)), serial_number(&a, &serial(2)));
        assert_ne!(serial_number(&a, &serial(1)), serial_number(&a, &serial(1 << 64)));
    }
}
