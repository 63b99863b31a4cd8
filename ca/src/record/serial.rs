//! Serial numbers of certificates.

use std::fmt;
use std::str::FromStr;

use crate::entropy::Entropy;
use crate::error::{Error, Result};

/// The serial number of a certificate: 16 octets, drawn at random, never all zero (RFC 5280 §4.1.2.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial([u8; 16]);

impl Serial {
    /// The serial number with these octets, most significant first; `None` if they are all zero.
    pub fn new(octets: [u8; 16]) -> Option<Self> {
        (octets != [0; 16]).then_some(Self(octets))
    }

    /// The octets, most significant first.
    pub const fn octets(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads the content octets of a DER INTEGER as an unsigned number, with or without a leading zero octet. `None` if
    /// the number is 0 or takes more than 16 octets.
    pub fn from_integer(content: &[u8]) -> Option<Self> {
        let magnitude = content.strip_prefix(&[0]).unwrap_or(content);
        let mut octets = [0; 16];
        let start = octets.len().checked_sub(magnitude.len())?;
        octets.get_mut(start..)?.copy_from_slice(magnitude);
        Self::new(octets)
    }

    /// Draws a new serial number of 128 random bits.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the source of randomness fails, or returns only zeros.
    pub fn random(entropy: &dyn Entropy) -> Result<Self> {
        let mut octets = [0; 16];
        entropy.fill(&mut octets)?;
        Self::new(octets)
            .ok_or_else(|| Error::unavailable("the source of randomness gives only zeros"))
    }

    /// The number of the CRL partition, from 0, that lists the certificate with this serial number; `count` is the
    /// number of partitions. `None` if `count` is 0. Serial numbers are random, so all partitions have about the same
    /// size.
    pub fn partition(&self, count: u16) -> Option<u16> {
        let (first, _) = self.0.split_first_chunk()?;
        u16::try_from(u64::from_be_bytes(*first).checked_rem(u64::from(count))?).ok()
    }
}

/// Writes 32 lower-case hexadecimal digits.
impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
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
                "expected a serial number of up to 32 hexadecimal digits, found `{}`",
                text.escape_debug()
            ))
        };
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let value = u128::from_str_radix(&digits, 16).map_err(|_| wrong())?;
        Self::new(value.to_be_bytes()).ok_or_else(wrong)
    }
}
