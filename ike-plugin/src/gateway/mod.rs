//! What the daemon of a gateway needs in its files: configuration, certificate, chain, CRLs, key. One folder for each kind of daemon,
//! ready to be used; and whether two gateways, as they are configured, would come up.

pub mod abilities;
mod check;
mod credentials;
mod files;
mod hash;
mod iked;
mod isakmpd;
mod key;
mod libreswan;
mod material;
mod pkcs12;
mod proposal;
mod racoon;
mod strongswan;
mod text;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use countersign_ca::Identity;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use abilities::{Abilities, Feature, limits, warnings_of_ca};
pub use check::{Obstacle, Severity, alone, between, together};
pub use credentials::{Layout, credentials};
pub use files::{Entry, Files};
pub use hash::{subject_hash, subject_hash_old};
pub use key::PrivateKey;
pub use material::{AltNames, Facts, IssuedCrl, Material, NamedCa, issued_crl};
pub use proposal::{Encryption, Group, Hash, Proposal};

/// What is wrong with the data of an export, in words: expected, found, what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GatewayError(String);

impl GatewayError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A daemon that speaks IKE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Daemon {
    /// strongSwan's charon, configured by `swanctl`.
    Strongswan,
    /// libreswan's pluto.
    Libreswan,
    /// OpenIKED's iked.
    Iked,
    /// OpenBSD's isakmpd.
    Isakmpd,
    /// racoon of the IPsec tools.
    Racoon,
}

impl Daemon {
    /// Every daemon that files are written for.
    pub const ALL: [Self; 5] =
        [Self::Strongswan, Self::Libreswan, Self::Iked, Self::Isakmpd, Self::Racoon];

    /// Its name, as it is written in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strongswan => "strongswan",
            Self::Libreswan => "libreswan",
            Self::Iked => "iked",
            Self::Isakmpd => "isakmpd",
            Self::Racoon => "racoon",
        }
    }

    /// Whether it speaks this mode.
    pub fn speaks(self, mode: Mode) -> bool {
        Abilities::of(self).modes.contains(&mode)
    }

    /// What it proposes unless the operator says something. Any two have one of these in common.
    pub const fn proposals(self, mode: Mode) -> &'static [Proposal] {
        match (self, mode) {
            (_, Mode::Main | Mode::Aggressive) => &[Proposal::DEFAULT_V1],
            (Self::Iked, Mode::Ikev2) => &[Proposal::DEFAULT_IKED],
            (_, Mode::Ikev2) => &Proposal::DEFAULT_V2,
        }
    }
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Daemon {
    type Err = GatewayError;

    fn from_str(text: &str) -> Result<Self, GatewayError> {
        Self::ALL.into_iter().find(|daemon| daemon.name() == text).ok_or_else(|| {
            GatewayError::new(format!(
                "expected strongswan, libreswan, iked, isakmpd or racoon, found `{}`",
                text.escape_debug()
            ))
        })
    }
}

/// How phase 1 is negotiated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// IKEv2 (RFC 7296).
    #[default]
    Ikev2,
    /// IKEv1, main mode (RFC 2409).
    Main,
    /// IKEv1, aggressive mode.
    Aggressive,
}

impl Mode {
    /// As it is written in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ikev2 => "ikev2",
            Self::Main => "main",
            Self::Aggressive => "aggressive",
        }
    }
}

/// When a gateway brings its tunnels up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// When the first packet wants to pass.
    #[default]
    OnTraffic,
    /// When the daemon starts.
    AtOnce,
    /// Never: the peer does, or the operator.
    Wait,
}

/// What must be known of a peer's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revocation {
    /// That it is not revoked.
    #[default]
    Strict,
    /// Nothing, unless a CRL or an OCSP response is at hand.
    IfPresent,
}

/// A network, by its first address and the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    /// The first address.
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// The length of the prefix in bits.
    pub const fn length(self) -> u8 {
        self.length
    }

    /// Whether it is one address.
    pub const fn is_host(self) -> bool {
        self.length == if self.address.is_ipv4() { 32 } else { 128 }
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

    /// Whether an address is in it.
    pub fn holds(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && Self::bits(self.address) == Self::bits(address) & Self::mask_bits(self.length)
    }

    /// Whether an address is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.holds(other.address) || other.holds(self.address)
    }

    /// The address at the top of 128 bits.
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

/// `10.1.0.0/16`, `2001:db8::/48`; an address alone is a network of one.
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
        let most = if address.is_ipv4() { 32 } else { 128 };
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

/// A gateway as its operator describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Its name: connections and files are named after it.
    pub name: String,
    /// What it runs.
    pub daemon: Daemon,
    /// Who it says it is.
    pub id: Identity,
    /// Where it is reached; `None` for one that only initiates.
    pub address: Option<IpAddr>,
    /// The address that it has itself, where that is another one: behind NAT.
    pub local_address: Option<IpAddr>,
    /// The networks behind it; empty for none but its own address.
    pub networks: Vec<Network>,
    /// How it negotiates.
    pub mode: Mode,
    /// What it proposes in phase 1, and the same again for the traffic, with perfect forward secrecy.
    pub proposals: Vec<Proposal>,
    /// When it brings tunnels up.
    pub start: Start,
    /// What it must know of a peer's certificate.
    pub revocation: Revocation,
    /// Whether it asks the authorizer.
    pub authorizer: bool,
}

impl Gateway {
    /// The address that its daemon binds to.
    pub fn bound_to(&self) -> Option<IpAddr> {
        self.local_address.or(self.address)
    }
}

/// How the two sides prove who they are.
#[derive(Debug)]
pub enum Authentication<'e> {
    /// Each by its certificate.
    Certificate(Certified<'e>),
    /// Both by this secret.
    PreSharedKey(Zeroizing<String>),
}

/// What a gateway proves itself with that has a certificate.
#[derive(Debug, Clone, Copy)]
pub struct Certified<'e> {
    /// Its certificate, its chain, whom it trusts.
    pub material: &'e Material,
    /// Its private key; without it, the folder says where the key goes.
    pub key: Option<&'e PrivateKey>,
}

/// The longest pre-shared key, in characters. racoon reads lines of a fixed length.
const MAX_PSK: usize = 128;

impl Authentication<'_> {
    /// A pre-shared key.
    ///
    /// # Errors
    /// It has characters with which some daemon would read another key than the other.
    pub fn pre_shared_key(secret: Zeroizing<String>) -> Result<Self, GatewayError> {
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\#'`".contains(&byte);
        if secret.is_empty() || secret.len() > MAX_PSK || !secret.bytes().all(plain) {
            return Err(GatewayError::new(format!(
                "expected a pre-shared key of 1 to {MAX_PSK} letters, digits and signs, without spaces, quotes, backslashes and `#`, \
                 which daemons read in different ways; `openssl rand -hex 32` makes a good one"
            )));
        }
        if secret.starts_with("0x") || secret.starts_with("0s") {
            return Err(GatewayError::new(
                "expected a pre-shared key that does not begin with `0x` or `0s`: some daemons take what follows for another notation",
            ));
        }
        Ok(Self::PreSharedKey(secret))
    }

    /// The secret, if it is one.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Certificate(_) => None,
            Self::PreSharedKey(secret) => Some(secret),
        }
    }

    /// The certificate with its key, if it is one.
    pub const fn certified(&self) -> Option<Certified<'_>> {
        match self {
            Self::Certificate(certified) => Some(*certified),
            Self::PreSharedKey(_) => None,
        }
    }
}

/// All that is written for one gateway.
#[derive(Debug)]
pub struct Export<'e> {
    /// The gateway.
    pub own: &'e Gateway,
    /// Whom it talks to; empty for whoever its CAs certify.
    pub peers: &'e [&'e Gateway],
    /// How both sides prove who they are.
    pub authentication: &'e Authentication<'e>,
    /// The program that a daemon runs to ask the authorizer.
    pub program: &'e str,
}

impl Export<'_> {
    /// The folder's content.
    ///
    /// # Errors
    /// The daemon cannot do what the gateway's description says, or cannot be told so.
    pub fn files(&self) -> Result<Files, GatewayError> {
        for (name, gateway) in
            std::iter::once(("", self.own)).chain(self.peers.iter().map(|peer| ("peer ", *peer)))
        {
            text::plain_name(&gateway.name).map_err(|e| GatewayError::new(format!("{name}{e}")))?;
        }
        match self.own.daemon {
            Daemon::Strongswan => strongswan::files(self),
            Daemon::Libreswan => libreswan::files(self),
            Daemon::Iked => iked::files(self),
            Daemon::Isakmpd => isakmpd::files(self),
            Daemon::Racoon => racoon::files(self),
        }
    }

    /// What somebody should know of the folder, besides what [`alone`] finds.
    pub fn warnings(&self) -> Vec<String> {
        match self.own.daemon {
            Daemon::Libreswan => libreswan::warnings(self),
            _ => Vec::new(),
        }
    }

    /// The certificate with its key; `None` with a pre-shared key.
    fn certified(&self) -> Option<Certified<'_>> {
        self.authentication.certified()
    }

    /// Whether the private key is to be put in by hand.
    fn lacks_key(&self) -> bool {
        self.certified().is_some_and(|certified| certified.key.is_none())
    }

    /// Whether this peer, as responder, would be silent if it were requested a certificate: it sends one unasked.
    fn keeps_silent_when_asked(&self, peer: &Gateway) -> bool {
        let is_limited = abilities::limit_of(peer.daemon, Feature::AggressiveResponder).is_some();
        is_limited && self.own.mode == Mode::Aggressive && self.certified().is_some()
    }

    /// The proposals of the gateway, each as its daemon writes it.
    fn proposals(
        &self,
        write: impl Fn(&Proposal) -> Option<String>,
    ) -> Result<Vec<String>, GatewayError> {
        let each = self.own.proposals.iter().map(|proposal| {
            write(proposal).ok_or_else(|| {
                GatewayError::new(format!(
                    "`{}` runs {}, which does not know `{proposal}`; name another in `proposals`",
                    self.own.name, self.own.daemon
                ))
            })
        });
        each.collect()
    }

    /// Where the other end is, for a daemon that must be told.
    fn address_of(&self, peer: &Gateway) -> Result<IpAddr, GatewayError> {
        peer.address.ok_or_else(|| {
            GatewayError::new(format!(
                "expected `gateways.{}.address`: {} on `{}` must be told where its peer is",
                peer.name, self.own.daemon, self.own.name
            ))
        })
    }

    /// The networks of a gateway; its own address if there are none.
    fn networks_of(&self, gateway: &Gateway) -> Result<Vec<Network>, GatewayError> {
        match gateway.networks.as_slice() {
            [] => {
                let address = self.address_of(gateway)?;
                let length = if address.is_ipv4() { 32 } else { 128 };
                Ok(vec![Network { address, length }])
            }
            networks => Ok(networks.to_vec()),
        }
    }

    /// The pairs of networks between which a tunnel is possible: those of one family.
    fn pairs(&self, peer: &Gateway) -> Result<Vec<(Network, Network)>, GatewayError> {
        let mut pairs = Vec::new();
        for here in self.networks_of(self.own)? {
            for there in self.networks_of(peer)? {
                if here.address.is_ipv4() == there.address.is_ipv4() {
                    pairs.push((here, there));
                }
            }
        }
        if pairs.is_empty() {
            return Err(GatewayError::new(format!(
                "expected networks of one family behind `{}` and `{}`, found IPv4 on one side and IPv6 on the other",
                self.own.name, peer.name
            )));
        }
        Ok(pairs)
    }
}
