//! Serial numbers of certificates.

use std::fmt;
use std::str::FromStr;

use crate::entropy::Entropy;
use crate::error::{Error, Result};

/// The length of the serial numbers that this program draws, in octets.
const DRAWN: usize = 16;

/// The length of the longest serial number, in octets (RFC 5280 §4.1.2.2).
const LONGEST: usize = 20;

/// The serial number of a certificate: a positive INTEGER of at most 20 octets (RFC 5280 §4.1.2.2). This program draws 16 octets at random;
/// a CA that was taken over may have issued longer ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial([u8; LONGEST]);

impl Serial {
    /// The serial number with these octets, most significant first; `None` if they are all zero.
    pub fn new(octets: [u8; DRAWN]) -> Option<Self> {
        Self::from_parts(0, u128::from_be_bytes(octets))
    }

    /// The octets, most significant first: 16, or 20 of a number that is larger.
    pub fn octets(&self) -> &[u8] {
        match self.0.split_first_chunk::<{ LONGEST - DRAWN }>() {
            Some(([0, 0, 0, 0], rest)) => rest,
            _ => &self.0,
        }
    }

    /// Reads what [`Self::octets`] returns; `None` for anything else.
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        Self::from_integer(octets).filter(|serial| serial.octets() == octets)
    }

    /// The number above its low 128 bits, and these.
    pub fn parts(&self) -> (u32, u128) {
        let (high, low) = self.0.split_at(LONGEST - DRAWN);
        let high = high.first_chunk().map_or(0, |high| u32::from_be_bytes(*high));
        (high, low.first_chunk().map_or(0, |low| u128::from_be_bytes(*low)))
    }

    /// Reads the content octets of a DER INTEGER as an unsigned number, with or without a leading zero octet. `None` if
    /// the number is 0, or its INTEGER takes more than 20 octets.
    pub fn from_integer(content: &[u8]) -> Option<Self> {
        let magnitude = content.strip_prefix(&[0]).unwrap_or(content);
        let mut octets = [0; LONGEST];
        let start = octets.len().checked_sub(magnitude.len())?;
        octets.get_mut(start..)?.copy_from_slice(magnitude);
        let (high, low) = Self(octets).parts();
        Self::from_parts(high, low)
    }

    /// Draws a new serial number of 128 random bits.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the source of randomness fails, or returns only zeros.
    pub fn random(entropy: &dyn Entropy) -> Result<Self> {
        let mut octets = [0; DRAWN];
        entropy.fill(&mut octets)?;
        Self::new(octets)
            .ok_or_else(|| Error::unavailable("the source of randomness gives only zeros"))
    }

    /// The number of the CRL partition, from 0, that lists the certificate with this serial number; `count` is the
    /// number of partitions. `None` if `count` is 0. Serial numbers are random, so all partitions have about the same
    /// size.
    pub fn partition(&self, count: u16) -> Option<u16> {
        let (_, low) = self.parts();
        let first = u64::try_from(low >> 64).ok()?;
        u16::try_from(first.checked_rem(u64::from(count))?).ok()
    }

    /// The number with these parts; `None` if it is 0, or negative in 20 octets.
    fn from_parts(high: u32, low: u128) -> Option<Self> {
        let is_positive = (high, low) != (0, 0) && high >> 31 == 0;
        let mut octets = [0; LONGEST];
        let (above, below) = octets.split_at_mut(LONGEST - DRAWN);
        above.copy_from_slice(&high.to_be_bytes());
        below.copy_from_slice(&low.to_be_bytes());
        is_positive.then_some(Self(octets))
    }
}

/// 32 lower-case hexadecimal digits, or 40 of a number that is larger.
impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(self.octets()))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

/// Reads hexadecimal digits in upper or lower case, with or without colons and leading zeros.
impl FromStr for Serial {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::malformed(format!(
                "expected a serial number of up to 40 hexadecimal digits, found `{}`",
                text.escape_debug()
            ))
        };
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let digits = digits.trim_start_matches('0').to_ascii_uppercase();
        if digits.len() > 2 * LONGEST {
            return Err(wrong());
        }
        let padded = format!("{digits:0>40}");
        let octets = data_encoding::HEXUPPER.decode(padded.as_bytes()).map_err(|_| wrong())?;
        Self::from_integer(&octets).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_is_written_as_it_is_read() {
        for (text, shown) in [
            ("1", "00000000000000000000000000000001"),
            ("00:01:AB", "000000000000000000000000000001ab"),
            ("ffffffffffffffffffffffffffffffff", "ffffffffffffffffffffffffffffffff"),
            ("1ffffffffffffffffffffffffffffffff", "00000001ffffffffffffffffffffffffffffffff"),
            (
                "7fffffffffffffffffffffffffffffffffffffff",
                "7fffffffffffffffffffffffffffffffffffffff",
            ),
        ] {
            let serial: Serial = text.parse().unwrap();
            assert_eq!(serial.to_string(), shown);
            assert_eq!(Serial::from_octets(serial.octets()), Some(serial));
        }
        for wrong in ["", "0", "g", "80ffffffffffffffffffffffffffffffffffffff", &"1".repeat(41)] {
            assert!(wrong.parse::<Serial>().is_err(), "{wrong}");
        }
        let long: Serial = "100000000000000000000000000000000".parse().unwrap();
        assert!(long > Serial::new([0xff; 16]).unwrap());
        assert_eq!(Serial::from_octets(&[0; 20]), None);
        assert_eq!(Serial::from_octets(&[1; 17]), None);
    }
}
