//! Who a peer says it is, against what its certificate says (RFC 4945 §3.1 and §5.1, RFC 7296 §3.5).
//!
//! The common name is never looked at, and a wildcard in a certificate matches nobody: RFC 4945 §3.1.2 wants the very names.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use countersign_ca::certificate::Facts;
use countersign_ca::identity::Identity;
use countersign_ca::sets;
use countersign_policy::ipsec::{self, AddressRange, DistinguishedName, Subnet};
use data_encoding::HEXLOWER;
use der::{Decode, Encode};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::path::{general_name, legible, same_name};
use crate::wire::IkeId;

/// The longest ID payload taken, in octets.
const MAX_ID: usize = 8 << 10;
/// The most names of a certificate that a reason lists.
const MAX_NAMES: usize = 16;

/// An ID payload, read. Names of hosts are in lower case, whatever the peer wrote: else it could choose between spellings that its
/// certificate has as one, and that a policy tells apart.
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
    /// What the type holds.
    pub expected: &'static str,
    /// What was there.
    pub found: String,
}

impl PeerId {
    /// Reads an ID payload.
    ///
    /// # Errors
    /// The data is not what its type holds, or the type is unknown.
    pub fn read(id: &IkeId) -> Result<Self, IdError> {
        let data = id.data.0.as_slice();
        let wrong =
            |expected| IdError { kind: id.kind, expected, found: format!("{} octets", data.len()) };
        if data.len() > MAX_ID {
            return Err(wrong("at most 8192 octets"));
        }
        Ok(match id.kind {
            1 => Self::Address(v4(data).ok_or_else(|| wrong("4 octets"))?),
            5 => Self::Address(v6(data).ok_or_else(|| wrong("16 octets"))?),
            2 => Self::Fqdn(text(data).ok_or_else(|| wrong("a name"))?.to_ascii_lowercase()),
            3 => {
                let mut mailbox = text(data).ok_or_else(|| wrong("a mail address"))?;
                let host = mailbox.iter().rposition(|byte| *byte == b'@').unwrap_or(mailbox.len());
                mailbox.get_mut(host..).unwrap_or_default().make_ascii_lowercase();
                Self::Email(mailbox)
            }
            4 | 6 => {
                let (address, mask) = two(id.kind == 4, data).ok_or_else(|| wrong("a subnet"))?;
                Self::Subnet(
                    Subnet::with_mask(address, mask).map_err(|_| wrong("an address and a mask"))?,
                )
            }
            7 | 8 => {
                let (lower, upper) = two(id.kind == 7, data).ok_or_else(|| wrong("a range"))?;
                Self::Range(
                    AddressRange::new(lower, upper)
                        .map_err(|_| wrong("two ascending addresses"))?,
                )
            }
            // The DER library would put a large set in order in quadratic time.
            9 | 10 if !sets::are_small(data) => {
                return Err(IdError {
                    found: "a set of too many elements".into(),
                    ..wrong("names with few attributes in one part")
                });
            }
            9 => {
                let line = DistinguishedName::from_der(data).map_err(|e| IdError {
                    found: e.to_string(),
                    ..wrong("an X.500 name in DER")
                })?;
                Self::DistinguishedName(data.to_vec(), line)
            }
            10 => {
                let name = GeneralName::from_der(data).map_err(|_| wrong("a general name"))?;
                Self::GeneralName(Box::new(name))
            }
            11 if !data.is_empty() => Self::KeyId(data.to_vec()),
            11 => return Err(wrong("at least one octet")),
            _ => return Err(wrong("a type from 1 to 11")),
        })
    }

    /// Whether it names one peer, and not a network of them.
    pub fn is_host(&self) -> bool {
        !matches!(self, Self::Subnet(_) | Self::Range(_))
    }

    /// The identity of which accounts and certificates speak, if it is of such a kind.
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

    /// Whether a peer that says it is an address sends from it (RFC 4945 §3.1.1).
    ///
    /// # Errors
    /// In words what was expected, and what to do.
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

    /// As the policy's vocabulary has it.
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

    /// What kind it is, in words.
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

/// The value alone, as in logs and as a folder of credentials is named; a key ID has `key-id:` and its text or hex before.
impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Fqdn(text) | Self::Email(text) => f.write_str(&String::from_utf8_lossy(text)),
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

/// The length of the prefix that two ends of a range share, if the range is a subnet.
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

/// Which name a certificate must hold for a peer that says something no certificate holds: a key ID, a subnet or a range, as
/// [`PeerId`] shows them, and the identity that stands for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping(pub BTreeMap<String, Identity>);

/// What a certificate says of whom it belongs to.
#[derive(Debug, Clone)]
pub struct Names {
    subject: Name,
    alternatives: Vec<GeneralName>,
}

impl Names {
    /// The names of a certificate, DER.
    ///
    /// # Errors
    /// It is no certificate.
    pub fn of(certificate: &[u8]) -> Result<Self, countersign_ca::Error> {
        let facts = Facts::of(certificate)?;
        Ok(Self { subject: facts.subject, alternatives: facts.alt_names })
    }

    /// Whether the peer is whom it says it is.
    ///
    /// # Errors
    /// In words what was expected, and which names the certificate does hold.
    pub fn check(&self, id: &PeerId, mapping: &Mapping) -> Result<(), String> {
        let identity = match id {
            PeerId::KeyId(_) | PeerId::Subnet(_) | PeerId::Range(_) => {
                mapping.0.get(&id.to_string()).cloned().ok_or_else(|| {
                    format!(
                        "the peer says it is `{id}`, and no certificate holds a {}; map it to a name with \
                         `[authorizer.identities]`",
                        id.kind()
                    )
                })?
            }
            _ => match id.identity() {
                Some(identity) => identity,
                None => return Err(self.mismatch(id)),
            },
        };
        if self.hold(&identity) { Ok(()) } else { Err(self.mismatch(id)) }
    }

    /// The peer as its certificate writes it: names that are the same to X.500 may differ in case, white space and encoding.
    pub fn as_held(&self, id: PeerId) -> PeerId {
        let Some(Identity::Dn(said)) = id.identity() else { return id };
        let among = self.alternatives.iter().filter_map(|name| match name {
            GeneralName::DirectoryName(name) => Some(name),
            _ => None,
        });
        let held = std::iter::once(&self.subject).chain(among).find(|name| same_name(&said, name));
        let read = |held: &Name| {
            let der = held.to_der().ok()?;
            let line = DistinguishedName::from_der(&der).ok()?;
            Some(PeerId::DistinguishedName(der, line))
        };
        match (&id, held.and_then(read)) {
            (PeerId::DistinguishedName(..), Some(held)) => held,
            _ => id,
        }
    }

    /// Whether one of its names is this identity.
    pub fn hold(&self, identity: &Identity) -> bool {
        match identity {
            Identity::Dn(name) => {
                let is = |other: &Name| same_name(name, other);
                let among = self.alternatives.iter().any(|alternative| {
                    matches!(alternative, GeneralName::DirectoryName(other) if is(other))
                });
                !name.0.is_empty() && (is(&self.subject) || among)
            }
            _ => self.alternatives.iter().any(|name| holds(name, identity)),
        }
    }

    fn mismatch(&self, id: &PeerId) -> String {
        format!(
            "expected a certificate with the {} `{}`, found {}",
            id.kind(),
            id.to_string().escape_debug(),
            self.shown()
        )
    }

    /// All of them in words.
    pub fn shown(&self) -> String {
        let mut held: Vec<String> = self
            .alternatives
            .iter()
            .take(MAX_NAMES)
            .map(|name| format!("`{}`", general_name(name)))
            .collect();
        if self.alternatives.len() > MAX_NAMES {
            held.push(format!("{} more", self.alternatives.len() - MAX_NAMES));
        }
        let held = if held.is_empty() { "none".to_owned() } else { held.join(", ") };
        let subject = if self.subject.0.is_empty() {
            String::new()
        } else {
            format!("; its subject is `{}`", self.subject)
        };
        format!("subject alternative names: {held}{subject}")
    }
}

fn holds(name: &GeneralName, identity: &Identity) -> bool {
    match (name, identity) {
        (GeneralName::DnsName(held), Identity::Fqdn(said)) => {
            !held.as_str().contains('*') && held.as_str().eq_ignore_ascii_case(said)
        }
        (GeneralName::Rfc822Name(held), Identity::Email(said)) => same_mailbox(held.as_str(), said),
        (GeneralName::IpAddress(held), Identity::Ip(IpAddr::V4(said))) => {
            held.as_bytes() == said.octets()
        }
        (GeneralName::IpAddress(held), Identity::Ip(IpAddr::V6(said))) => {
            held.as_bytes() == said.octets()
        }
        _ => false,
    }
}

/// RFC 5280 §7.5: the part before `@` as it is written, the host in any case.
fn same_mailbox(left: &str, right: &str) -> bool {
    match (left.rsplit_once('@'), right.rsplit_once('@')) {
        (Some((a, host_a)), Some((b, host_b))) => a == b && host_a.eq_ignore_ascii_case(host_b),
        _ => false,
    }
}

fn v4(octets: &[u8]) -> Option<IpAddr> {
    Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?)))
}

fn v6(octets: &[u8]) -> Option<IpAddr> {
    Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)))
}

fn two(is_v4: bool, octets: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let width = if is_v4 { 4 } else { 16 };
    let (first, second) = octets.split_at_checked(width)?;
    if is_v4 { Some((v4(first)?, v4(second)?)) } else { Some((v6(first)?, v6(second)?)) }
}

/// No control characters: no name has them, and C reads such a name shorter than it is.
fn text(octets: &[u8]) -> Option<Vec<u8>> {
    let proper = !octets.is_empty() && octets.iter().all(|byte| *byte >= b' ' && *byte != 0x7f);
    proper.then(|| octets.to_vec())
}

#[cfg(test)]
mod tests {
    use der::Encode;

    use super::*;
    use crate::wire::Octets;

    fn id(kind: u8, data: &[u8]) -> Result<PeerId, IdError> {
        PeerId::read(&IkeId { kind, data: Octets(data.to_vec()) })
    }

    fn names(subject: &str, names: &[rcgen::SanType]) -> Names {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, subject);
        params.subject_alt_names = names.to_vec();
        let key = rcgen::KeyPair::generate().unwrap();
        Names::of(params.self_signed(&key).unwrap().der()).unwrap()
    }

    fn some() -> Names {
        let dns = |name: &str| rcgen::SanType::DnsName(name.try_into().unwrap());
        names(
            "cn.example",
            &[
                dns("gw1.example"),
                dns("*.wild.example"),
                rcgen::SanType::Rfc822Name("Op@example.net".try_into().unwrap()),
                rcgen::SanType::IpAddress("192.0.2.1".parse().unwrap()),
                rcgen::SanType::IpAddress("2001:db8::1".parse().unwrap()),
            ],
        )
    }

    fn ok(kind: u8, data: &[u8]) -> bool {
        some().check(&id(kind, data).unwrap(), &Mapping::default()).is_ok()
    }

    #[test]
    fn each_kind_matches_its_own_kind_of_name() {
        assert!(ok(2, b"gw1.example") && ok(2, b"GW1.Example"));
        assert!(ok(3, b"Op@Example.NET") && !ok(3, b"op@example.net"));
        assert!(ok(1, &[192, 0, 2, 1]) && !ok(1, &[192, 0, 2, 2]));
        let address: Ipv6Addr = "2001:db8::1".parse().unwrap();
        assert!(ok(5, &address.octets()));
        for (kind, data) in [
            (2, &b"cn.example"[..]),
            (2, b"gw1.example."),
            (2, b"a.wild.example"),
            (2, b"*.wild.example"),
            (2, b"192.0.2.1"),
            (2, b"Op@example.net"),
            (3, b"gw1.example"),
            (11, b"gw1.example"),
        ] {
            assert!(!ok(kind, data), "{kind} {data:?}");
        }
    }

    #[test]
    fn names_are_compared_as_x500_has_it() {
        let der = |text: &str| text.parse::<Name>().unwrap().to_der().unwrap();
        let some = some();
        let check = |text: &str| some.check(&id(9, &der(text)).unwrap(), &Mapping::default());
        check("CN=cn.example").unwrap();
        check("CN=CN.Example").unwrap();
        let why = check("CN=other").unwrap_err();
        assert!(
            why.contains("`/CN=other`") && why.contains("its subject is `CN=cn.example`"),
            "{why}"
        );
    }

    #[test]
    fn a_peer_cannot_choose_how_the_policy_reads_its_name() {
        use countersign_policy::ipsec::Identity as Asked;
        let asked = |kind, data: &[u8]| id(kind, data).unwrap().for_policy();
        assert_eq!(asked(2, b"GW1.Example"), Asked::Fqdn(b"gw1.example".to_vec()));
        assert_eq!(asked(3, b"Op@Example.NET"), Asked::UserFqdn(b"Op@example.net".to_vec()));
        let der = |text: &str| text.parse::<Name>().unwrap().to_der().unwrap();
        let said = id(9, &der("CN=CN.EXAMPLE")).unwrap();
        some().check(&said, &Mapping::default()).unwrap();
        assert_eq!(some().as_held(said).to_string(), "/CN=cn.example");
        let other = id(9, &der("CN=Other")).unwrap();
        assert_eq!(some().as_held(other.clone()), other);
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

    #[test]
    fn a_mismatch_says_what_the_certificate_holds() {
        let why = some().check(&id(2, b"gw2.example").unwrap(), &Mapping::default()).unwrap_err();
        for part in [
            "`gw2.example`",
            "dns:gw1.example",
            "email:Op@example.net",
            "ip:192.0.2.1",
            "ip:2001:db8::1",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
        let none = names("gw2.example", &[]);
        let why = none.check(&id(2, b"gw2.example").unwrap(), &Mapping::default()).unwrap_err();
        assert!(why.contains("names: none"), "{why}");
    }

    #[test]
    fn key_ids_and_networks_count_only_where_they_are_mapped() {
        let mapping = Mapping(
            [
                ("key-id:branch-7".to_owned(), "fqdn:gw1.example".parse().unwrap()),
                ("key-id:0x0001ff".to_owned(), "ip:192.0.2.1".parse().unwrap()),
                ("10.1.0.0/16".to_owned(), "fqdn:gw1.example".parse().unwrap()),
                ("10.0.0.1-10.0.0.9".to_owned(), "fqdn:gw2.example".parse().unwrap()),
            ]
            .into(),
        );
        let check = |kind, data: &[u8]| some().check(&id(kind, data).unwrap(), &mapping);
        check(11, b"branch-7").unwrap();
        check(11, &[0, 1, 255]).unwrap();
        check(4, &[10, 1, 0, 0, 255, 255, 0, 0]).unwrap();
        assert!(check(11, b"branch-8").unwrap_err().contains("map it"));
        assert!(check(4, &[10, 2, 0, 0, 255, 255, 0, 0]).unwrap_err().contains("`10.2.0.0/16`"));
        assert!(
            check(7, &[10, 0, 0, 1, 10, 0, 0, 9]).unwrap_err().contains("expected a certificate")
        );
    }

    /// A name with a set of 17 attributes, which would be put in order one by one.
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
