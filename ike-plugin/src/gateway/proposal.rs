//! Proposals: algorithms of phase 1 in the notation of the configuration. Each daemon's notation is in its own folder.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::GatewayError;

/// The encryption algorithm. AES-GCM authenticates, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// AES-CBC with a key of this many bits (RFC 3602).
    Cbc(u16),
    /// AES-GCM with a key of this many bits and a tag of 16 octets (RFC 4106, RFC 5282).
    Gcm(u16),
}

/// The hash of HMAC and of the pseudo-random function (RFC 4868).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// The length of the hash's output in bits.
    pub const fn bits(self) -> u16 {
        match self {
            Self::Sha256 => 256,
            Self::Sha384 => 384,
            Self::Sha512 => 512,
        }
    }
}

/// The Diffie-Hellman group, by its number in IANA's registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Group 14 (RFC 3526).
    Modp2048,
    /// Group 15.
    Modp3072,
    /// Group 16.
    Modp4096,
    /// Group 19 (RFC 5903).
    Ecp256,
    /// Group 20.
    Ecp384,
    /// Group 31 (RFC 8031).
    Curve25519,
}

impl Group {
    const ALL: [(Self, &'static str, u8); 6] = [
        (Self::Modp2048, "modp2048", 14),
        (Self::Modp3072, "modp3072", 15),
        (Self::Modp4096, "modp4096", 16),
        (Self::Ecp256, "ecp256", 19),
        (Self::Ecp384, "ecp384", 20),
        (Self::Curve25519, "curve25519", 31),
    ];

    /// The name of the group, which is the same in strongSwan and iked.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(group, ..)| *group == self).map_or("", |(_, name, _)| name)
    }

    /// The number of the group in IANA's registry.
    pub fn number(self) -> u8 {
        Self::ALL.into_iter().find(|(group, ..)| *group == self).map_or(0, |(.., number)| number)
    }

    /// The length of the group's prime in bits, if the group is one of RFC 3526.
    pub const fn modp(self) -> Option<u16> {
        match self {
            Self::Modp2048 => Some(2048),
            Self::Modp3072 => Some(3072),
            Self::Modp4096 => Some(4096),
            Self::Ecp256 | Self::Ecp384 | Self::Curve25519 => None,
        }
    }
}

/// A proposal of AES-CBC, HMAC-SHA-2 and a group of RFC 3526, as numbers of bits. isakmpd and racoon support nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classic {
    /// The length of the AES key.
    pub key: u16,
    /// The length of the hash's output.
    pub hash: u16,
    /// The length of the group's prime.
    pub group: u16,
}

/// Writes the algorithms as isakmpd's configuration names its transforms: `aes256-sha256-modp2048`.
impl fmt::Display for Classic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "aes{}-sha{}-modp{}", self.key, self.hash, self.group)
    }
}

/// One choice of algorithms, such as `aes256-sha256-modp2048` or `aes256gcm16-prfsha256-ecp256`, as strongSwan writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposal {
    /// The encryption algorithm.
    pub encryption: Encryption,
    /// The hash by which messages are authenticated and keys derived.
    pub hash: Hash,
    /// The group of the key exchange.
    pub group: Group,
}

impl Proposal {
    /// The default proposals for IKEv2: the fastest first, and the default of iked last.
    pub const DEFAULT_V2: [Self; 3] = [
        Self { encryption: Encryption::Gcm(256), hash: Hash::Sha256, group: Group::Ecp256 },
        Self::DEFAULT_V1,
        Self::DEFAULT_IKED,
    ];
    /// The default proposal for IKEv1, which every daemon with IKEv1 supports.
    pub const DEFAULT_V1: Self =
        Self { encryption: Encryption::Cbc(256), hash: Hash::Sha256, group: Group::Modp2048 };
    /// The default proposal of iked, which works on OpenBSD and on Linux. On Linux iked neither proposes AES-GCM for the traffic nor can load
    /// HMAC-SHA2-256. It must not propose these as alternatives either, because its peers choose by their own preference.
    pub const DEFAULT_IKED: Self =
        Self { encryption: Encryption::Cbc(256), hash: Hash::Sha512, group: Group::Modp2048 };

    /// The proposal for isakmpd and racoon; `None` for AES-GCM and for curves, which neither supports.
    pub const fn classic(&self) -> Option<Classic> {
        match (self.encryption, self.group.modp()) {
            (Encryption::Cbc(key), Some(group)) => {
                Some(Classic { key, hash: self.hash.bits(), group })
            }
            _ => None,
        }
    }

    /// Whether phase 1 of IKEv1 can use the proposal. AES-GCM came with IKEv2.
    pub const fn is_for_v1(&self) -> bool {
        matches!(self.encryption, Encryption::Cbc(_))
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hash, group) = (self.hash.bits(), self.group.name());
        match self.encryption {
            Encryption::Cbc(key) => write!(f, "aes{key}-sha{hash}-{group}"),
            Encryption::Gcm(key) => write!(f, "aes{key}gcm16-prfsha{hash}-{group}"),
        }
    }
}

impl FromStr for Proposal {
    type Err = GatewayError;

    fn from_str(text: &str) -> Result<Self, GatewayError> {
        read(text).ok_or_else(|| {
            GatewayError::new(format!(
                "expected a proposal such as `aes256-sha256-modp2048` or `aes256gcm16-prfsha256-ecp256` (AES of 128, 192 or 256 bits; \
                 SHA-256, 384 or 512; modp2048, modp3072, modp4096, ecp256, ecp384 or curve25519), found `{}`",
                text.escape_debug()
            ))
        })
    }
}

fn read(text: &str) -> Option<Proposal> {
    let mut words = text.split('-');
    let (encryption, hash, group) = (words.next()?, words.next()?, words.next()?);
    let bits = |text: &str| text.parse().ok().filter(|bits| matches!(bits, 128 | 192 | 256));
    let aes = encryption.strip_prefix("aes")?;
    let (encryption, hash) = match aes.strip_suffix("gcm16") {
        Some(key) => (Encryption::Gcm(bits(key)?), hash.strip_prefix("prf")?),
        None => (Encryption::Cbc(bits(aes)?), hash),
    };
    let hash = match hash {
        "sha256" => Hash::Sha256,
        "sha384" => Hash::Sha384,
        "sha512" => Hash::Sha512,
        _ => return None,
    };
    let (group, ..) = Group::ALL.into_iter().find(|(_, name, _)| *name == group)?;
    words.next().is_none().then_some(Proposal { encryption, hash, group })
}

impl Serialize for Proposal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Proposal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposals_are_read_and_written() {
        for text in
            ["aes256-sha256-modp2048", "aes128gcm16-prfsha384-curve25519", "aes192-sha512-ecp384"]
        {
            assert_eq!(text.parse::<Proposal>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "aes256",
            "aes256-sha256",
            "aes64-sha256-modp2048",
            "aes256-sha1-modp2048",
            "aes256-md5-modp1024",
            "aes256gcm16-sha256-ecp256",
            "aes256-sha256-modp2048-x",
            "3des-sha256-modp2048",
        ] {
            assert!(text.parse::<Proposal>().is_err(), "{text}");
        }
    }
}
