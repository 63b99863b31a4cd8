//! IP networks in the notations of the configuration and of daemons.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::error::GatewayError;

/// A network: its first address and its prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    /// The network of one address.
    pub const fn host(address: IpAddr) -> Self {
        Self { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// The first address.
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// The length of the prefix in bits.
    pub const fn length(self) -> u8 {
        self.length
    }

    /// Whether the network is one address.
    pub const fn is_host(self) -> bool {
        self.length == Self::host(self.address).length
    }

    /// The mask, such as `255.255.0.0`.
    pub fn mask(self) -> IpAddr {
        let bits = Self::mask_bits(self.length);
        match self.address {
            IpAddr::V4(_) => IpAddr::V4(((bits >> 96) as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(bits.into()),
        }
    }

    /// The last address.
    pub fn last(self) -> IpAddr {
        let bits = Self::bits(self.address) | !Self::mask_bits(self.length);
        match self.address {
            IpAddr::V4(_) => IpAddr::V4(((bits >> 96) as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(bits.into()),
        }
    }

    /// Whether the network contains an address.
    pub fn holds(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && Self::bits(self.address) == Self::bits(address) & Self::mask_bits(self.length)
    }

    /// Whether the two networks have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.holds(other.address) || other.holds(self.address)
    }

    /// The address, left-aligned in 128 bits.
    fn bits(address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
            IpAddr::V6(v6) => u128::from(v6),
        }
    }

    fn mask_bits(length: u8) -> u128 {
        u128::MAX.checked_shl(128_u32.saturating_sub(u32::from(length))).unwrap_or(0)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// Reads `10.1.0.0/16` or `2001:db8::/48`. An address without a prefix length is a network of one address.
impl FromStr for Network {
    type Err = GatewayError;

    fn from_str(text: &str) -> Result<Self, GatewayError> {
        let wrong = || {
            GatewayError::new(format!(
                "expected a network such as `10.1.0.0/16`, found `{}`",
                text.escape_debug()
            ))
        };
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = Self::host(address).length;
        let length = length.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        let network = Self { address, length };
        if length > most {
            return Err(wrong());
        }
        if !network.holds(address) {
            return Err(GatewayError::new(format!(
                "expected the first address of a network, found `{text}`, which has bits beyond its prefix"
            )));
        }
        Ok(network)
    }
}
