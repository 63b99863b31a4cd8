//! Addresses and times as isakmpd writes them: of fixed width, so that they order as strings.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One address: four groups of three decimal digits, or eight of four hexadecimal ones.
pub(super) fn address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{a:03}.{b:03}.{c:03}.{d:03}")
        }
        IpAddr::V6(v6) => v6.segments().map(|group| format!("{group:04x}")).join(":"),
    }
}

/// Addresses from the lower to the upper, both included, of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    lower: IpAddr,
    upper: IpAddr,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Address,
    Range,
    Subnet,
}

impl AddressRange {
    /// One address.
    pub const fn address(address: IpAddr) -> Self {
        Self { lower: address, upper: address, kind: Kind::Address }
    }

    /// A range. Nothing if the families differ or the order is wrong.
    pub fn range(lower: IpAddr, upper: IpAddr) -> Option<Self> {
        (lower.is_ipv4() == upper.is_ipv4() && lower <= upper).then_some(Self {
            lower,
            upper,
            kind: Kind::Range,
        })
    }

    /// A subnet: the address may be any in it. Nothing if the prefix is longer than an address.
    pub fn subnet(address: IpAddr, prefix: u8) -> Option<Self> {
        let (lower, upper) = match address {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
                let bits = v4.to_bits();
                (
                    IpAddr::from(Ipv4Addr::from_bits(bits & !host)),
                    IpAddr::from(Ipv4Addr::from_bits(bits | host)),
                )
            }
            IpAddr::V6(v6) => {
                let host = u128::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
                let bits = v6.to_bits();
                (
                    IpAddr::from(Ipv6Addr::from_bits(bits & !host)),
                    IpAddr::from(Ipv6Addr::from_bits(bits | host)),
                )
            }
        };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= longest).then_some(Self { lower, upper, kind: Kind::Subnet })
    }

    pub(super) fn lower(&self) -> String {
        address(self.lower)
    }

    pub(super) fn upper(&self) -> String {
        address(self.upper)
    }

    /// `IPv4 subnet` and its like.
    pub(super) const fn type_name(&self) -> &'static str {
        match (self.kind, self.lower) {
            (Kind::Address, IpAddr::V4(_)) => "IPv4 address",
            (Kind::Range, IpAddr::V4(_)) => "IPv4 range",
            (Kind::Subnet, IpAddr::V4(_)) => "IPv4 subnet",
            (Kind::Address, IpAddr::V6(_)) => "IPv6 address",
            (Kind::Range, IpAddr::V6(_)) => "IPv6 range",
            (Kind::Subnet, IpAddr::V6(_)) => "IPv6 subnet",
        }
    }
}

/// `lower-upper`, or the one address.
impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Address => f.write_str(&self.lower()),
            Kind::Range | Kind::Subnet => write!(f, "{}-{}", self.lower(), self.upper()),
        }
    }
}

/// A civil date and time, which somebody with a clock hands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The year, up to 9999.
    pub year: u16,
    /// From 1 to 12.
    pub month: u8,
    /// From 1 to 31.
    pub day: u8,
    /// From 0 to 23.
    pub hour: u8,
    /// From 0 to 59.
    pub minute: u8,
    /// From 0 to 60.
    pub second: u8,
}

/// `YYYYMMDDHHMMSS`
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_fixed_width() {
        let show =
            |range: Option<AddressRange>| range.map(|range| (range.type_name(), range.to_string()));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(address(ip("192.168.2.1")), "192.168.002.001");
        assert_eq!(
            address(ip("1080:0:12:0:8:800:200C:417A")),
            "1080:0000:0012:0000:0008:0800:200c:417a"
        );
        for (range, wanted) in [
            (
                AddressRange::subnet(ip("10.3.51.77"), 24),
                ("IPv4 subnet", "010.003.051.000-010.003.051.255"),
            ),
            (
                AddressRange::subnet(ip("0.0.0.0"), 0),
                ("IPv4 subnet", "000.000.000.000-255.255.255.255"),
            ),
            (
                AddressRange::subnet(ip("10.0.0.1"), 32),
                ("IPv4 subnet", "010.000.000.001-010.000.000.001"),
            ),
            (
                AddressRange::range(ip("1.2.3.4"), ip("1.2.3.9")),
                ("IPv4 range", "001.002.003.004-001.002.003.009"),
            ),
            (
                AddressRange::subnet(ip("2001:db8::1"), 64),
                (
                    "IPv6 subnet",
                    "2001:0db8:0000:0000:0000:0000:0000:0000-2001:0db8:0000:0000:ffff:ffff:ffff:ffff",
                ),
            ),
        ] {
            assert_eq!(show(range), Some((wanted.0, wanted.1.to_owned())));
        }
        assert_eq!(AddressRange::subnet(ip("10.0.0.1"), 33), None);
        assert_eq!(AddressRange::range(ip("1.2.3.4"), ip("::1")), None);
        assert_eq!(AddressRange::range(ip("1.2.3.4"), ip("1.2.3.3")), None);
        let moment = Moment { year: 2026, month: 1, day: 5, hour: 9, minute: 3, second: 0 };
        assert_eq!(moment.to_string(), "20260105090300");
    }
}
