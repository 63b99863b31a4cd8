//! The IKE daemons that files are written for, and the modes of phase 1, with their names in the configuration.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::GatewayError;

/// An IKE daemon.
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

    /// The daemon's name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strongswan => "strongswan",
            Self::Libreswan => "libreswan",
            Self::Iked => "iked",
            Self::Isakmpd => "isakmpd",
            Self::Racoon => "racoon",
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
    /// The mode's name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ikev2 => "ikev2",
            Self::Main => "main",
            Self::Aggressive => "aggressive",
        }
    }
}
