//! The identity that a peer claims: an ID payload, read (RFC 2407 §4.6.2, RFC 7296 §3.5).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use countersign_ca::Identity;
use countersign_ca::sets;
use countersign_policy::ipsec::{self, AddressRange, DistinguishedName, Subnet};
use data_encoding::HEXLOWER;
use der::Decode;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::id_type;
use crate::wire::IkeId;
use countersign_ca::name::{escape_misleading, general_name};
use countersign_ca::path::legible;

/// The longest ID payload that is accepted, in octets.
const MAX_ID: usize = 8 << 10;

/// An ID payload, read. Host names, also those in mail addresses, are converted to lower case. Otherwise a peer could choose between
/// spellings that are the same to its certificate and that a policy, which compares octets, would tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerId {
    /// ID_IPV4_ADDR, ID_IPV6_ADDR.
    Address(IpAddr),
    /// ID_FQDN.
    Fqdn(Vec<u8>),
    /// ID_USER_FQDN, ID_RFC822_ADDR.
    Email(Vec<u8>),
    /// ID_DER_ASN1_DN: the name in DER, and in OpenSSL's one-line form.
    DistinguishedName(Vec<u8>, DistinguishedName),
    /// ID_DER_ASN1_GN.
    GeneralName(Box<GeneralName>),
    /// ID_IPV4_ADDR_SUBNET, ID_IPV6_ADDR_SUBNET.
    Subnet(Subnet),
    /// ID_IPV4_ADDR_RANGE, ID_IPV6_ADDR_RANGE.
    Range(AddressRange),
    /// ID_KEY_ID.
    KeyId(Vec<u8>),
}

/// Why an ID payload cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an ID payload of type {kind} with {expected}, found {found}")]
pub struct IdError {
    /// The ID type.
    pub kind: u8,
    /// What an ID payload of this type contains.
    pub expected: &'static str,
    /// What was found.
    pub found: String,
}

impl PeerId {
    /// Reads an ID payload.
    ///
    /// # Errors
    /// The data does not fit the type, is too long or has too large a set, or the type is unknown.
    pub fn read(id: &IkeId) -> Result<Self, IdError> {
        let data = id.data.0.as_slice();
        let wrong =
            |expected| IdError { kind: id.kind, expected, found: format!("{} octets", data.len()) };
        if data.len() > MAX_ID {
            return Err(wrong("at most 8192 octets"));
        }
        Ok(match id.kind {
            id_type::IPV4_ADDR => Self::Address(v4(data).ok_or_else(|| wrong("4 octets"))?),
            id_type::IPV6_ADDR => Self::Address(v6(data).ok_or_else(|| wrong("16 octets"))?),
            id_type::FQDN => {
                Self::Fqdn(text(data).ok_or_else(|| wrong("a name"))?.to_ascii_lowercase())
            }
            id_type::USER_FQDN => {
                let mut mailbox = text(data).ok_or_else(|| wrong("a mail address"))?;
                let host = mailbox.iter().rposition(|byte| *byte == b'@').unwrap_or(mailbox.len());
                mailbox.get_mut(host..).unwrap_or_default().make_ascii_lowercase();
                Self::Email(mailbox)
            }
            id_type::IPV4_ADDR_SUBNET | id_type::IPV6_ADDR_SUBNET => {
                let two =
                    if id.kind == id_type::IPV4_ADDR_SUBNET { two_v4(data) } else { two_v6(data) };
                let (address, mask) = two.ok_or_else(|| wrong("a subnet"))?;
                Self::Subnet(
                    Subnet::with_mask(address, mask).map_err(|_| wrong("an address and a mask"))?,
                )
            }
            id_type::IPV4_ADDR_RANGE | id_type::IPV6_ADDR_RANGE => {
                let two =
                    if id.kind == id_type::IPV4_ADDR_RANGE { two_v4(data) } else { two_v6(data) };
                let (lower, upper) = two.ok_or_else(|| wrong("a range"))?;
                Self::Range(
                    AddressRange::new(lower, upper)
                        .map_err(|_| wrong("two ascending addresses"))?,
                )
            }
            // The DER library sorts a SET in quadratic time, so that a large one would be an attack.
            id_type::DER_ASN1_DN | id_type::DER_ASN1_GN if !sets::are_small(data) => {
                return Err(IdError {
                    found: "a set of too many elements".into(),
                    ..wrong("names with few attributes in one part")
                });
            }
            id_type::DER_ASN1_DN => {
                let line = DistinguishedName::from_der(data).map_err(|e| IdError {
                    found: e.to_string(),
                    ..wrong("an X.500 name in DER")
                })?;
                Self::DistinguishedName(data.to_vec(), line)
            }
            id_type::DER_ASN1_GN => {
                let name = GeneralName::from_der(data).map_err(|_| wrong("a general name"))?;
                Self::GeneralName(Box::new(name))
            }
            id_type::KEY_ID if !data.is_empty() => Self::KeyId(data.to_vec()),
            id_type::KEY_ID => return Err(wrong("at least one octet")),
            _ => return Err(wrong("a type from 1 to 11")),
        })
    }

    /// Whether the identity names one peer. A subnet or a range of addresses names several.
    pub fn is_host(&self) -> bool {
        !matches!(self, Self::Subnet(_) | Self::Range(_))
    }

    /// The same identity in the form of accounts and certificates; `None` if it has no such form, as a key ID, a subnet, a range, or a
    /// general name of another kind.
    pub fn identity(&self) -> Option<Identity> {
        let string = |octets: &[u8]| String::from_utf8(octets.to_vec()).ok();
        Some(match self {
            Self::Address(address) => Identity::Ip(*address),
            Self::Fqdn(name) => Identity::Fqdn(string(name)?),
            Self::Email(mailbox) => Identity::Email(string(mailbox)?),
            Self::DistinguishedName(der, _) => Identity::Dn(Name::from_der(&legible(der)).ok()?),
            Self::GeneralName(name) => Identity::from_general_name(name).ok()?,
            _ => return None,
        })
    }

    /// Checks that a peer whose identity is an IP address sends its packets from that address (RFC 4945 §3.1.1). Other identities always
    /// pass.
    ///
    /// # Errors
    /// It does not. The text says what was expected, and what to do.
    pub fn comes_from(&self, source: IpAddr) -> Result<(), String> {
        match self.identity() {
            Some(Identity::Ip(said)) if said.to_canonical() != source.to_canonical() => {
                Err(format!(
                    "the peer says it is the address `{said}`, and its packets come from `{source}`; if it is behind NAT, give it another \
                 kind of identity, or set `authorizer.address_ids = \"any\"`"
                ))
            }
            _ => Ok(()),
        }
    }

    /// The identity in the policy's vocabulary.
    pub fn for_policy(&self) -> ipsec::Identity {
        match self {
            Self::Address(address) => ipsec::Identity::Address(*address),
            Self::Fqdn(name) => ipsec::Identity::Fqdn(name.clone()),
            Self::Email(mailbox) => ipsec::Identity::UserFqdn(mailbox.clone()),
            Self::DistinguishedName(_, line) => ipsec::Identity::DistinguishedName(line.clone()),
            Self::GeneralName(_) => ipsec::Identity::GeneralName,
            Self::Subnet(subnet) => ipsec::Identity::Subnet(*subnet),
            Self::Range(range) => ipsec::Identity::Range(*range),
            Self::KeyId(id) => ipsec::Identity::KeyId(id.clone()),
        }
    }

    /// The name of the identity's kind, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Address(IpAddr::V4(_)) => "IPv4 address",
            Self::Address(IpAddr::V6(_)) => "IPv6 address",
            Self::Fqdn(_) => "FQDN",
            Self::Email(_) => "e-mail address",
            Self::DistinguishedName(..) => "distinguished name",
            Self::GeneralName(_) => "general name",
            Self::Subnet(_) => "subnet",
            Self::Range(_) => "address range",
            Self::KeyId(_) => "key ID",
        }
    }
}

/// Writes the identity as logs show it and as the folder of its credentials is named. Only two kinds have a prefix: a key ID is written
/// as `key-id:` and its text, or `key-id:0x` and hexadecimal digits, and a general name with its kind, such as `dns:gw1.example.net`.
/// Control characters and invisible ones are written as `\u{…}`.
impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Fqdn(text) | Self::Email(text) => {
                f.write_str(&escape_misleading(&String::from_utf8_lossy(text)))
            }
            Self::DistinguishedName(_, line) => write!(f, "{line}"),
            Self::GeneralName(name) => f.write_str(&general_name(name)),
            Self::Subnet(subnet) => {
                let range = subnet.range();
                let (lower, upper) = (range.lower(), range.upper());
                write!(f, "{lower}/{}", prefix_length(lower, upper).unwrap_or_default())
            }
            Self::Range(range) => write!(f, "{}-{}", range.lower(), range.upper()),
            Self::KeyId(id) if id.iter().all(|byte| matches!(byte, b'!'..=b'~')) => {
                write!(f, "key-id:{}", String::from_utf8_lossy(id))
            }
            Self::KeyId(id) => write!(f, "key-id:0x{}", HEXLOWER.encode(id)),
        }
    }
}

/// The prefix length of the range from `lower` to `upper`; `None` if the range is not a subnet.
pub(crate) fn prefix_length(lower: IpAddr, upper: IpAddr) -> Option<u8> {
    let (bits, width) = match (lower, upper) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits() ^ b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits(), 128),
        _ => return None,
    };
    let host = 128 - bits.leading_zeros();
    let low = match lower {
        IpAddr::V4(a) => u128::from(a.to_bits()),
        IpAddr::V6(a) => a.to_bits(),
    };
    let mask = if host == 128 { u128::MAX } else { (1 << host) - 1 };
    (bits == mask && low & mask == 0).then(|| u8::try_from(width - host).unwrap_or_default())
}

fn v4(octets: &[u8]) -> Option<IpAddr> {
    Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?)))
}

fn v6(octets: &[u8]) -> Option<IpAddr> {
    Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)))
}

fn two_v4(octets: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let (first, second) = octets.split_at_checked(4)?;
    Some((v4(first)?, v4(second)?))
}

fn two_v6(octets: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let (first, second) = octets.split_at_checked(16)?;
    Some((v6(first)?, v6(second)?))
}

/// The octets of a name; `None` if it is empty or has ASCII control characters. No real name has them, and programs in C stop reading at a
/// NUL.
fn text(octets: &[u8]) -> Option<Vec<u8>> {
    let proper = !octets.is_empty() && octets.iter().all(|byte| *byte >= b' ' && *byte != 0x7f);
    proper.then(|| octets.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Octets;

    fn id(kind: u8, data: &[u8]) -> Result<PeerId, IdError> {
        PeerId::read(&IkeId { kind, data: Octets(data.to_vec()) })
    }

    #[test]
    fn an_address_is_where_packets_come_from() {
        let from = |kind, data: &[u8], source: &str| {
            id(kind, data).unwrap().comes_from(source.parse().unwrap())
        };
        from(1, &[192, 0, 2, 1], "192.0.2.1").unwrap();
        from(1, &[192, 0, 2, 1], "::ffff:192.0.2.1").unwrap();
        let why = from(1, &[192, 0, 2, 1], "198.51.100.7").unwrap_err();
        assert!(why.contains("`192.0.2.1`") && why.contains("`198.51.100.7`"), "{why}");
        let v6: Ipv6Addr = "2001:db8::1".parse().unwrap();
        assert!(from(5, &v6.octets(), "2001:db8::2").is_err());
        let general = [0x87, 4, 192, 0, 2, 1];
        assert!(
            from(10, &general, "192.0.2.2").is_err() && from(10, &general, "192.0.2.1").is_ok()
        );
        from(2, b"gw1.example", "198.51.100.7").unwrap();
    }

    /// U+009B begins a command to a terminal, and U+202E turns the direction of what follows.
    #[test]
    fn characters_that_mislead_are_shown_as_escapes() {
        let cn = |text: &str| {
            let value = [&[0x0c, text.len() as u8], text.as_bytes()].concat();
            let attribute = [&[0x30, value.len() as u8 + 5, 6, 3, 0x55, 4, 3][..], &value].concat();
            let set = [&[0x31, attribute.len() as u8][..], &attribute].concat();
            [&[0x30, set.len() as u8][..], &set].concat()
        };
        let text = "gw\u{9b}2J\u{202e}1";
        let dn = cn(text);
        let general = [&[0xa4, dn.len() as u8][..], &dn].concat();
        for (kind, data, shown) in [
            (2, text.as_bytes(), r"gw\u{9b}2j\u{202e}1"),
            (3, text.as_bytes(), r"gw\u{9b}2J\u{202e}1"),
            (9, &dn, r"/CN=gw\xC2\x9B2J\xE2\x80\xAE1"),
            (10, &general, r"dn:CN=gw\u{9b}2J\u{202e}1"),
        ] {
            assert_eq!(id(kind, data).unwrap().to_string(), shown);
        }
    }

    /// A name of one RDN with 17 attributes. It is refused, because the DER library sorts a SET in quadratic time.
    fn large_name() -> Vec<u8> {
        let attributes: Vec<u8> = (0..17)
            .flat_map(|number| {
                [&[0x30, 14, 6, 3, 0x55, 4, 3, 0x0c, 7][..], b"common", &[b'a' + number]].concat()
            })
            .collect();
        assert_eq!(attributes.len(), 272);
        [&[0x30, 0x82, 1, 20, 0x31, 0x82, 1, 16][..], &attributes].concat()
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for (kind, data) in [
            (1, &b"abc"[..]),
            (2, b""),
            (2, b"gw1.example\0.evil"),
            (4, &[10, 0, 0, 0, 255, 0, 255, 0]),
            (7, &[10, 0, 0, 9, 10, 0, 0, 1]),
            (9, b"CN=x"),
            (10, b"x"),
            (9, &large_name()),
            (10, &[&[0xa4, 0x82, 1, 24][..], &large_name()].concat()),
            (11, b""),
            (0, b"x"),
            (12, b"x"),
            (2, &[b'a'; MAX_ID + 1]),
        ] {
            let error = id(kind, data).unwrap_err().to_string();
            assert!(error.contains("expected") && error.contains("found"), "{kind}: {error}");
        }
    }
}
