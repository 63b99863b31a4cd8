//! Addresses, ranges and times as isakmpd.policy(5) writes them: of fixed width, so that they compare as strings.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address range, a subnet or a time is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// One end of the range is IPv4, and the other IPv6.
    #[error("`{0}` and `{1}` are of two address families; a range or a subnet has one")]
    Families(IpAddr, IpAddr),
    /// The beginning of the range is above its end.
    #[error("the range begins at `{0}`, after its end `{1}`")]
    Reversed(IpAddr, IpAddr),
    /// The prefix has more bits than an address of its family.
    #[error("a prefix of {length} bits, but `{address}` has only {bits}")]
    Prefix {
        /// The address that was given.
        address: IpAddr,
        /// The given length of the prefix, in bits.
        length: u8,
        /// The number of bits of an address of this family.
        bits: u8,
    },
    /// The mask has a one after a zero. isakmpd accepts such a mask, and gives a range larger than the subnet.
    #[error("the mask `{0}` is not contiguous; a subnet is a prefix")]
    Mask(IpAddr),
    /// Not a day of the Gregorian calendar, or not a time of day.
    #[error(
        "`{0}` is no date and time: expected year 0 to 9999, a day of the calendar, a time to 23:59:60"
    )]
    Time(String),
}

/// An address of fixed width: `192.168.002.001`, or eight groups of four lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Padded(pub IpAddr);

impl fmt::Display for Padded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                write!(f, "{a:03}.{b:03}.{c:03}.{d:03}")
            }
            IpAddr::V6(address) => {
                for (position, group) in address.segments().into_iter().enumerate() {
                    let colon = if position == 0 { "" } else { ":" };
                    write!(f, "{colon}{group:04x}")?;
                }
                Ok(())
            }
        }
    }
}

/// All addresses from one to another, both included; written `lower-upper`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressRange {
    lower: IpAddr,
    upper: IpAddr,
}

impl AddressRange {
    /// The range between two addresses.
    ///
    /// # Errors
    /// The ends are of different families, or the first is above the second.
    pub fn new(lower: IpAddr, upper: IpAddr) -> Result<Self, AddressError> {
        if lower.is_ipv4() != upper.is_ipv4() {
            return Err(AddressError::Families(lower, upper));
        }
        if lower > upper {
            return Err(AddressError::Reversed(lower, upper));
        }
        Ok(Self { lower, upper })
    }

    /// The lowest address.
    pub fn lower(&self) -> IpAddr {
        self.lower
    }

    /// The highest address.
    pub fn upper(&self) -> IpAddr {
        self.upper
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", Padded(self.lower), Padded(self.upper))
    }
}

/// A subnet, as the range of its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subnet(AddressRange);

impl Subnet {
    /// The subnet of an address with a prefix of `length` bits; the bits of the address after the prefix are ignored.
    ///
    /// # Errors
    /// The prefix is longer than the address.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, AddressError> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if length > bits {
            return Err(AddressError::Prefix { address, length, bits });
        }
        Ok(Self(match address {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
                let lower = Ipv4Addr::from_bits(v4.to_bits() & !host);
                let upper = Ipv4Addr::from_bits(v4.to_bits() | host);
                AddressRange { lower: lower.into(), upper: upper.into() }
            }
            IpAddr::V6(v6) => {
                let host = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
                let lower = Ipv6Addr::from_bits(v6.to_bits() & !host);
                let upper = Ipv6Addr::from_bits(v6.to_bits() | host);
                AddressRange { lower: lower.into(), upper: upper.into() }
            }
        }))
    }

    /// The subnet of an address and a mask, as ID payloads of IKEv1 carry it (RFC 2407 §4.6.2).
    ///
    /// # Errors
    /// Address and mask are of different families, or the mask is not contiguous.
    pub fn with_mask(address: IpAddr, mask: IpAddr) -> Result<Self, AddressError> {
        let (ones, contiguous) = match (address, mask) {
            (IpAddr::V4(_), IpAddr::V4(mask)) => {
                let ones = mask.to_bits().leading_ones();
                (ones, ones == mask.to_bits().count_ones())
            }
            (IpAddr::V6(_), IpAddr::V6(mask)) => {
                let ones = mask.to_bits().leading_ones();
                (ones, ones == mask.to_bits().count_ones())
            }
            _ => return Err(AddressError::Families(address, mask)),
        };
        match u8::try_from(ones) {
            Ok(ones) if contiguous => Self::new(address, ones),
            _ => Err(AddressError::Mask(mask)),
        }
    }

    /// The lowest and the highest address of the subnet.
    pub fn range(&self) -> AddressRange {
        self.0
    }
}

/// A date and a time of day in some time zone. It is written as `YYYYMMDDHHMMSS`; isakmpd omits the seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CivilTime {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl CivilTime {
    /// A date (year, month, day) and a time (hour, minute, second, where 60 is a leap second, accepted in any minute).
    ///
    /// # Errors
    /// There is no such day or time, or the year has more than four digits.
    pub fn new(
        (year, month, day): (u16, u8, u8),
        (hour, minute, second): (u8, u8, u8),
    ) -> Result<Self, AddressError> {
        let time = Self { year, month, day, hour, minute, second };
        let valid = year <= 9999
            && (1..=days(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60;
        if valid { Ok(time) } else { Err(AddressError::Time(time.to_string())) }
    }
}

impl fmt::Display for CivilTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
    }
}

/// Parses an address: IPv6 in any form of RFC 4291 §2.2, IPv4 as four decimal numbers, with leading zeros or without.
pub(super) fn parse(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let mut octets = [0_u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets).into())
}

/// Parses a time exactly as [`CivilTime`] writes it.
pub(super) fn parse_time(text: &str) -> Option<CivilTime> {
    if text.len() != 14 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let two = |at: usize| text.get(at..at + 2)?.parse::<u8>().ok();
    let year = text.get(..4)?.parse().ok()?;
    CivilTime::new((year, two(4)?, two(6)?), (two(8)?, two(10)?, two(12)?)).ok()
}

fn days(year: u16, month: u8) -> u8 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 0,
    }
}
