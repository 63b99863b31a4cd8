//! A question of IKE, typed, and the action attribute set that it becomes.

use std::net::IpAddr;

use super::address::{AddressRange, Moment, address};
use crate::attributes::{AttributeError, AttributeSet};

/// What an IKE daemon wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question<'q> {
    /// The peer and the exchange that authenticated it.
    pub phase1: Phase1<'q>,
    /// What it wants to protect; nothing while only the peer is in question.
    pub phase2: Option<Phase2<'q>>,
    /// Now, UTC.
    pub utc: Moment,
    /// Now, where the gateway is.
    pub local: Moment,
}

/// Phase 1, or IKE_SA_INIT and IKE_AUTH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase1<'q> {
    /// Which exchange.
    pub exchange: Exchange,
    /// Whether this side began it.
    pub initiator: bool,
    /// The Diffie-Hellman group (RFC 7296 §3.3.2).
    pub group: Option<u16>,
    /// Who the peer says it is.
    pub remote_id: Selector<'q>,
    /// Where the peer speaks from.
    pub remote_address: IpAddr,
    /// Where this side speaks.
    pub local_address: IpAddr,
}

/// The exchange of phase 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    /// IKEv1 main mode.
    Main,
    /// IKEv1 aggressive mode.
    Aggressive,
    /// IKEv2; isakmpd has none.
    Ikev2,
}

/// Quick mode, or a CHILD_SA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase2<'q> {
    /// Whether it has a Diffie-Hellman exchange of its own.
    pub pfs: bool,
    /// AH, if it is proposed: the transform's hash, and the rest.
    pub ah: Option<(Hash, Transform)>,
    /// ESP, if it is proposed: the encryption, and the rest.
    pub esp: Option<(Encryption, Transform)>,
    /// IPComp, if it is proposed.
    pub ipcomp: Option<Ipcomp>,
    /// What is reached on the other side.
    pub remote: Selector<'q>,
    /// What is reached on this side.
    pub local: Selector<'q>,
}

/// What AH, ESP and IPComp have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transform {
    /// How packets are authenticated.
    pub authentication: Option<Authentication>,
    /// Tunnel or transport.
    pub encapsulation: Option<Encapsulation>,
    /// Seconds.
    pub life_seconds: Option<u32>,
    /// Kilobytes.
    pub life_kilobytes: Option<u32>,
    /// The Diffie-Hellman group.
    pub group: Option<u16>,
    /// Bits of key.
    pub key_length: Option<u16>,
    /// Rounds of the algorithm.
    pub key_rounds: Option<u16>,
    /// Congestion notification through the tunnel.
    pub ecn: bool,
}

/// IPComp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipcomp {
    /// The algorithm.
    pub compression: Compression,
    /// The dictionary, as a power of 2.
    pub dictionary: Option<u16>,
    /// A private algorithm.
    pub private: Option<u16>,
    /// The rest.
    pub transform: Transform,
}

/// Declares an enum whose variants have names in the vocabulary.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// As the vocabulary writes it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

named! {
    /// How ESP encrypts. The last four are not isakmpd's: their names are the usual ones.
    Encryption {
        /// DES
        Des = "des",
        /// DES with a 64-bit IV
        DesIv64 = "des-iv64",
        /// Triple DES
        TripleDes = "3des",
        /// RC4
        Rc4 = "rc4",
        /// RC5
        Rc5 = "rc5",
        /// IDEA
        Idea = "idea",
        /// CAST-128
        Cast = "cast",
        /// Blowfish
        Blowfish = "blowfish",
        /// Triple IDEA
        TripleIdea = "3idea",
        /// DES with a 32-bit IV
        DesIv32 = "des-iv32",
        /// No encryption
        Null = "null",
        /// AES-CBC
        Aes = "aes",
        /// AES-CTR
        AesCtr = "aes-ctr",
        /// AES-GCM
        AesGcm = "aes-gcm",
        /// AES-GMAC: no encryption
        AesGmac = "aes-gmac",
        /// ChaCha20-Poly1305
        ChaCha20Poly1305 = "chacha20-poly1305",
    }
}

named! {
    /// How packets are authenticated.
    Authentication {
        /// HMAC-MD5
        HmacMd5 = "hmac-md5",
        /// HMAC-SHA-1
        HmacSha = "hmac-sha",
        /// DES-MAC
        DesMac = "des-mac",
        /// Keyed MD5
        Kpdk = "kpdk",
        /// HMAC-SHA-256
        HmacSha256 = "hmac-sha2-256",
        /// HMAC-SHA-384
        HmacSha384 = "hmac-sha2-384",
        /// HMAC-SHA-512
        HmacSha512 = "hmac-sha2-512",
        /// HMAC-RIPEMD-160
        HmacRipemd = "hmac-ripemd",
    }
}

named! {
    /// The transform of AH.
    Hash {
        /// MD5
        Md5 = "md5",
        /// SHA-1
        Sha = "sha",
        /// RIPEMD-160
        Ripemd = "ripemd",
        /// SHA-256
        Sha256 = "sha2-256",
        /// SHA-384
        Sha384 = "sha2-384",
        /// SHA-512
        Sha512 = "sha2-512",
        /// DES
        Des = "des",
    }
}

named! {
    /// The mode of a transform.
    Encapsulation {
        /// Tunnel
        Tunnel = "tunnel",
        /// Transport
        Transport = "transport",
        /// Tunnel in UDP (RFC 3948)
        UdpTunnel = "udp-encap-tunnel",
        /// Transport in UDP (RFC 3948)
        UdpTransport = "udp-encap-transport",
    }
}

named! {
    /// The compression of IPComp.
    Compression {
        /// Proprietary
        Oui = "oui",
        /// DEFLATE
        Deflate = "deflate",
        /// LZS
        Lzs = "lzs",
        /// V.42bis
        V42bis = "v42bis",
    }
}

impl Exchange {
    /// As the vocabulary writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Aggressive => "aggressive",
            Self::Ikev2 => "ikev2",
        }
    }
}

/// An identity, or traffic: who or where, which protocol, which port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector<'q> {
    /// Who or where.
    pub identity: Identity<'q>,
    /// The IP protocol; 0 for any.
    pub protocol: u8,
    /// The port; 0 for any.
    pub port: u16,
}

/// The kinds of identity (RFC 2407 §4.6.2.1, RFC 7296 §3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity<'q> {
    /// An address, a range or a subnet.
    Addresses(AddressRange),
    /// A domain name.
    Fqdn(&'q [u8]),
    /// A mailbox.
    UserFqdn(&'q [u8]),
    /// A distinguished name, as [`distinguished_name`](super::distinguished_name) writes it, without `DN:`.
    Asn1Dn(&'q str),
    /// A general name in DER.
    Asn1Gn(&'q [u8]),
    /// Anything else.
    KeyId(&'q [u8]),
}

impl Identity<'_> {
    const fn type_name(&self) -> &'static str {
        match self {
            Self::Addresses(range) => range.type_name(),
            Self::Fqdn(_) => "FQDN",
            Self::UserFqdn(_) => "User FQDN",
            Self::Asn1Dn(_) => "ASN1 DN",
            Self::Asn1Gn(_) => "ASN1 GN",
            Self::KeyId(_) => "Key ID",
        }
    }

    /// Text as it is; a key ID that is not printable, and DER, in hexadecimal digits.
    fn value(&self) -> Vec<u8> {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes).into_bytes();
        match self {
            Self::Addresses(range) => range.to_string().into_bytes(),
            Self::Fqdn(name) | Self::UserFqdn(name) => name.to_vec(),
            Self::Asn1Dn(name) => name.as_bytes().to_vec(),
            Self::KeyId(id) if id.iter().all(|byte| matches!(byte, b' '..=b'~')) => id.to_vec(),
            Self::Asn1Gn(bytes) | Self::KeyId(bytes) => hex(bytes),
        }
    }
}

impl Question<'_> {
    /// The question as action attributes: all names of the vocabulary, empty or `no` where they do not apply.
    ///
    /// # Errors
    /// Something that a peer sent cannot be carried, such as a name with a NUL byte. Whoever asks must refuse then.
    pub fn attributes(&self) -> Result<AttributeSet, AttributeError> {
        let mut set = Attributes(AttributeSet::with_capacity(64, 2048));
        set.text("app_domain", "IPsec policy")?;
        set.text("doi", "ipsec")?;
        set.text("GMTTimeOfDay", self.utc.to_string())?;
        set.text("LocalTimeOfDay", self.local.to_string())?;
        self.phase1.describe(&mut set)?;
        match &self.phase2 {
            Some(phase2) => phase2.describe(&mut set)?,
            None => Phase2::describe_absence(&mut set)?,
        }
        Ok(set.0)
    }
}

impl Phase1<'_> {
    fn describe(&self, set: &mut Attributes) -> Result<(), AttributeError> {
        set.yes_no("initiator", self.initiator)?;
        set.text("phase_1", self.exchange.name())?;
        set.number("phase1_group_desc", self.group)?;
        set.selector(&REMOTE_ID, Some(&self.remote_id))?;
        for name in ["remote_ike_address", "remote_negotiation_address"] {
            set.text(name, address(self.remote_address))?;
        }
        for name in ["local_ike_address", "local_negotiation_address"] {
            set.text(name, address(self.local_address))?;
        }
        Ok(())
    }
}

impl Phase2<'_> {
    fn describe(&self, set: &mut Attributes) -> Result<(), AttributeError> {
        set.yes_no("pfs", self.pfs)?;
        let (hash, ah) = self.ah.unzip();
        set.transform(&AH, ah)?;
        set.protection(&AH, ah)?;
        set.text("ah_hash_alg", hash.map_or("", Hash::name))?;
        let (encryption, esp) = self.esp.unzip();
        set.transform(&ESP, esp)?;
        set.protection(&ESP, esp)?;
        set.text("esp_enc_alg", encryption.map_or("", Encryption::name))?;
        set.ipcomp(self.ipcomp)?;
        set.selector(&REMOTE_FILTER, Some(&self.remote))?;
        set.selector(&LOCAL_FILTER, Some(&self.local))
    }

    fn describe_absence(set: &mut Attributes) -> Result<(), AttributeError> {
        set.yes_no("pfs", false)?;
        for names in [&AH, &ESP] {
            set.transform(names, None)?;
            set.protection(names, None)?;
        }
        set.text("ah_hash_alg", "")?;
        set.text("esp_enc_alg", "")?;
        set.ipcomp(None)?;
        set.selector(&REMOTE_FILTER, None)?;
        set.selector(&LOCAL_FILTER, None)
    }
}

/// The names of what AH, ESP and IPComp have in common.
struct TransformNames {
    present: &'static str,
    encapsulation: &'static str,
    life_seconds: &'static str,
    life_kilobytes: &'static str,
    group: &'static str,
    ecn: &'static str,
    authentication: &'static str,
    key_length: &'static str,
    key_rounds: &'static str,
}

macro_rules! transform_names {
    ($protocol:literal) => {
        TransformNames {
            present: concat!($protocol, "_present"),
            encapsulation: concat!($protocol, "_encapsulation"),
            life_seconds: concat!($protocol, "_life_seconds"),
            life_kilobytes: concat!($protocol, "_life_kbytes"),
            group: concat!($protocol, "_group_desc"),
            ecn: concat!($protocol, "_ecn"),
            authentication: concat!($protocol, "_auth_alg"),
            key_length: concat!($protocol, "_key_length"),
            key_rounds: concat!($protocol, "_key_rounds"),
        }
    };
}

const AH: TransformNames = transform_names!("ah");
const ESP: TransformNames = transform_names!("esp");
/// The last three names of it are not in the vocabulary, and never used.
const COMP: TransformNames = transform_names!("comp");

/// The names of an identity or of traffic.
struct SelectorNames {
    value: &'static str,
    kind: &'static str,
    lower: &'static str,
    upper: &'static str,
    port: &'static str,
    protocol: &'static str,
}

macro_rules! selector_names {
    ($name:literal) => {
        SelectorNames {
            value: $name,
            kind: concat!($name, "_type"),
            lower: concat!($name, "_addr_lower"),
            upper: concat!($name, "_addr_upper"),
            port: concat!($name, "_port"),
            protocol: concat!($name, "_proto"),
        }
    };
}

const REMOTE_ID: SelectorNames = selector_names!("remote_id");
const REMOTE_FILTER: SelectorNames = selector_names!("remote_filter");
const LOCAL_FILTER: SelectorNames = selector_names!("local_filter");

struct Attributes(AttributeSet);

type Set = Result<(), AttributeError>;

impl Attributes {
    fn text(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Set {
        self.0.set(name, value)
    }

    fn yes_no(&mut self, name: impl AsRef<[u8]>, value: bool) -> Set {
        self.text(name, if value { "yes" } else { "no" })
    }

    fn number(&mut self, name: impl AsRef<[u8]>, value: Option<impl ToString>) -> Set {
        self.text(name, value.map_or_else(String::new, |value| value.to_string()))
    }

    /// What AH, ESP and IPComp have in common.
    fn transform(&mut self, names: &TransformNames, transform: Option<Transform>) -> Set {
        let Transform { encapsulation, life_seconds, life_kilobytes, group, ecn, .. } =
            transform.unwrap_or_default();
        self.yes_no(names.present, transform.is_some())?;
        self.text(names.encapsulation, encapsulation.map_or("", Encapsulation::name))?;
        self.number(names.life_seconds, life_seconds)?;
        self.number(names.life_kilobytes, life_kilobytes)?;
        self.number(names.group, group)?;
        self.yes_no(names.ecn, ecn)
    }

    /// What AH and ESP have in common.
    fn protection(&mut self, names: &TransformNames, transform: Option<Transform>) -> Set {
        let Transform { authentication, key_length, key_rounds, .. } =
            transform.unwrap_or_default();
        self.text(names.authentication, authentication.map_or("", Authentication::name))?;
        self.number(names.key_length, key_length)?;
        self.number(names.key_rounds, key_rounds)
    }

    fn ipcomp(&mut self, ipcomp: Option<Ipcomp>) -> Set {
        self.transform(&COMP, ipcomp.map(|ipcomp| ipcomp.transform))?;
        self.text("comp_alg", ipcomp.map_or("", |ipcomp| ipcomp.compression.name()))?;
        self.number("comp_dict_size", ipcomp.and_then(|ipcomp| ipcomp.dictionary))?;
        self.number("comp_private_alg", ipcomp.and_then(|ipcomp| ipcomp.private))
    }

    fn selector(&mut self, names: &SelectorNames, selector: Option<&Selector<'_>>) -> Set {
        let identity = selector.map(|selector| &selector.identity);
        let addresses = match identity {
            Some(Identity::Addresses(range)) => Some(range),
            _ => None,
        };
        self.text(names.value, identity.map_or_else(Vec::new, Identity::value))?;
        self.text(names.kind, identity.map_or("", Identity::type_name))?;
        self.text(names.lower, addresses.map_or_else(String::new, AddressRange::lower))?;
        self.text(names.upper, addresses.map_or_else(String::new, AddressRange::upper))?;
        self.number(names.port, selector.map(|selector| selector.port))?;
        let protocol = selector.map(|selector| match selector.protocol {
            1 => "icmp".to_owned(),
            6 => "tcp".to_owned(),
            17 => "udp".to_owned(),
            58 => "ipv6-icmp".to_owned(),
            other => other.to_string(),
        });
        self.text(names.protocol, protocol.unwrap_or_default())
    }
}
