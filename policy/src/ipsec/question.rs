//! Typed questions about phase 1 and phase 2 of IKE, and their conversion to attribute sets.
//!
//! Every question has every attribute of the vocabulary; attributes of protocols that are not proposed are empty or `no`, as in
//! isakmpd. The clock is not read; the caller passes a [`Moment`].

use super::address::{AddressRange, CivilTime, Padded, Subnet};
use super::algorithm::{AhHash, Compression, Encapsulation, EspAlgorithms, Exchange, Integrity};
use super::format::MAX_NUMBER;
use super::name::DistinguishedName;
use super::vocabulary::{
    AH, COMP, ESP, LOCAL_FILTER, ProtocolNames, REMOTE_FILTER, REMOTE_ID, SelectorNames,
};
use crate::attributes::{AttributeError, AttributeSet};
use data_encoding::HEXLOWER;
use std::fmt::{Display, Write as _};
use std::net::IpAddr;

/// The time of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Date and time in UTC.
    pub utc: CivilTime,
    /// Date and time in the time zone of this host.
    pub local: CivilTime,
}

/// The facts of phase 1. As a question of its own: whether this peer may set up an IKE SA. Such a question has no proposal for phase 2, so
/// that a policy that does not check `esp_present` or `ah_present` allows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase1 {
    /// The kind of exchange.
    pub exchange: Exchange,
    /// The Diffie-Hellman group, by its IANA number; `None` gives an empty attribute.
    pub group: Option<u16>,
    /// Whether this host began phase 1.
    pub initiator: bool,
    /// The authenticated identity of the peer. In IKEv2, which sends neither port nor protocol, both are 0.
    pub identity: Selector,
    /// The address from which the peer's IKE messages come.
    pub remote_address: IpAddr,
    /// The address of this host at which the peer's IKE messages arrive.
    pub local_address: IpAddr,
    /// The time of the question.
    pub moment: Moment,
}

/// A question of phase 2 (Quick Mode; in IKEv2 a Child SA): may these SAs carry this traffic?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase2 {
    /// The phase 1 under which the phase 2 is negotiated.
    pub phase1: Phase1,
    /// Whether this host began phase 2.
    pub initiator: bool,
    /// Whether phase 2 has its own key exchange (perfect forward secrecy).
    pub pfs: bool,
    /// The proposed protection of the traffic.
    pub proposal: Proposal,
    /// The traffic of the remote end. `None` if there is no ID payload for it; then it is the peer's IKE address.
    pub remote: Option<Selector>,
    /// The traffic of the local end. `None` if there is no ID payload for it; then it is this host's IKE address.
    pub local: Option<Selector>,
}

/// The IPsec protocols that are proposed together; `None` for one that is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Proposal {
    /// Encapsulating Security Payload.
    pub esp: Option<Esp>,
    /// Authentication Header.
    pub ah: Option<Ah>,
    /// IP payload compression.
    pub ipcomp: Option<Comp>,
}

/// ESP as proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Esp {
    /// Encryption and authentication.
    pub algorithms: EspAlgorithms,
    /// The key length in bits, if it is negotiated.
    pub key_length: Option<u16>,
    /// The number of rounds of the cipher, if it is negotiated.
    pub key_rounds: Option<u16>,
    /// The terms that all protocols have.
    pub terms: Terms,
}

/// AH as proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ah {
    /// The transform; in IKEv2 that of the integrity algorithm ([`Integrity::ah_hash`]). `None` gives an empty attribute.
    pub hash: Option<AhHash>,
    /// The algorithm that authenticates; `None` gives an empty attribute.
    pub integrity: Option<Integrity>,
    /// The key length in bits, if it is negotiated.
    pub key_length: Option<u16>,
    /// The number of rounds of the algorithm, if it is negotiated.
    pub key_rounds: Option<u16>,
    /// The terms that all protocols have.
    pub terms: Terms,
}

/// IPComp as proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comp {
    /// The transform; `None` for one without a name in the vocabulary.
    pub algorithm: Option<Compression>,
    /// log2 of the size of the dictionary, if it is negotiated.
    pub dictionary: Option<u16>,
    /// The number of a private algorithm, if it is negotiated.
    pub private_algorithm: Option<u32>,
    /// The terms that all protocols have.
    pub terms: Terms,
}

/// The terms that every IPsec protocol has in a proposal. `None` means that a term is not proposed, and gives an empty attribute.
///
/// Numbers above 2³¹−1 become 2³¹−1: assertions cannot express more, and `@` reads more as 0, so that an endless lifetime would
/// pass as a short one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// The lifetime of the SA, in seconds.
    pub life_seconds: Option<u32>,
    /// The lifetime of the SA, in kilobytes of traffic.
    pub life_kbytes: Option<u32>,
    /// Tunnel or transport mode.
    pub encapsulation: Option<Encapsulation>,
    /// Whether explicit congestion notification is requested.
    pub ecn: bool,
    /// The Diffie-Hellman group for perfect forward secrecy, by its IANA number.
    pub group: Option<u16>,
}

/// A traffic selector, or a phase 1 identity, with port and protocol as in an ID payload (RFC 2407 §4.6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// The identity or the addresses.
    pub identity: Identity,
    /// The port; 0 for any. A range of ports cannot be expressed: narrow such a selector of IKEv2, or refuse it.
    pub port: u16,
    /// The IP protocol number; 0 for any.
    pub protocol: u8,
}

/// An identity of an ID payload (RFC 2407 §4.6.2, RFC 7296 §3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// One address of either family.
    Address(IpAddr),
    /// A range of addresses.
    Range(AddressRange),
    /// A subnet.
    Subnet(Subnet),
    /// A domain name, as received.
    Fqdn(Vec<u8>),
    /// A mail address, as received.
    UserFqdn(Vec<u8>),
    /// An X.500 name.
    DistinguishedName(DistinguishedName),
    /// A GeneralName, whose value is empty, as in isakmpd, because it has no standard text form.
    GeneralName,
    /// Opaque bytes. If all are printable ASCII, they are used unchanged, otherwise all in lower-case hexadecimal digits (isakmpd repeats
    /// the first). So a policy cannot distinguish the bytes `00 01` from the text `0001`; isakmpd.policy(5) defines it so.
    KeyId(Vec<u8>),
}

impl Phase1 {
    /// The attributes of the question whether this peer may set up an IKE SA.
    ///
    /// # Errors
    /// A value of the peer cannot be expressed; the error names the attribute.
    pub fn attributes(&self) -> Result<AttributeSet, AttributeError> {
        let mut writer = Writer::new();
        writer.phase1(self)?;
        writer.yes_no("initiator", self.initiator)?;
        writer.yes_no("pfs", false)?;
        writer.proposal(&Proposal::default())?;
        writer.no_selector(&REMOTE_FILTER)?;
        writer.no_selector(&LOCAL_FILTER)?;
        Ok(writer.set)
    }
}

impl Phase2 {
    /// The attributes of the question whether these SAs may be set up.
    ///
    /// # Errors
    /// A value of the peer cannot be expressed; the error names the attribute.
    pub fn attributes(&self) -> Result<AttributeSet, AttributeError> {
        let mut writer = Writer::new();
        writer.phase1(&self.phase1)?;
        writer.yes_no("initiator", self.initiator)?;
        writer.yes_no("pfs", self.pfs)?;
        writer.proposal(&self.proposal)?;
        writer.filter(&REMOTE_FILTER, self.remote.as_ref(), self.phase1.remote_address)?;
        writer.filter(&LOCAL_FILTER, self.local.as_ref(), self.phase1.local_address)?;
        Ok(writer.set)
    }
}

impl Identity {
    /// The value of the attributes `remote_id_type`, `remote_filter_type` and `local_filter_type`.
    pub fn kind(&self) -> &'static str {
        let family = |address: IpAddr, four, six| if address.is_ipv4() { four } else { six };
        match self {
            Self::Address(address) => family(*address, "IPv4 address", "IPv6 address"),
            Self::Range(range) => family(range.lower(), "IPv4 range", "IPv6 range"),
            Self::Subnet(subnet) => family(subnet.range().lower(), "IPv4 subnet", "IPv6 subnet"),
            Self::Fqdn(_) => "FQDN",
            Self::UserFqdn(_) => "User FQDN",
            Self::DistinguishedName(_) => "ASN1 DN",
            Self::GeneralName => "ASN1 GN",
            Self::KeyId(_) => "Key ID",
        }
    }

    fn ends(&self) -> Option<(IpAddr, IpAddr)> {
        match self {
            Self::Address(address) => Some((*address, *address)),
            Self::Range(range) => Some((range.lower(), range.upper())),
            Self::Subnet(subnet) => Some((subnet.range().lower(), subnet.range().upper())),
            _ => None,
        }
    }
}

/// An attribute set that is being written, with a buffer for the text of one value.
struct Writer {
    set: AttributeSet,
    scratch: String,
}

type Written = Result<(), AttributeError>;

impl Writer {
    fn new() -> Self {
        Self { set: AttributeSet::with_capacity(64, 2048), scratch: String::with_capacity(96) }
    }

    fn phase1(&mut self, phase1: &Phase1) -> Written {
        self.set.set("app_domain", "IPsec policy")?;
        self.set.set("doi", "ipsec")?;
        self.set.set("phase_1", phase1.exchange.name())?;
        self.number("phase1_group_desc", phase1.group)?;
        for name in ["remote_ike_address", "remote_negotiation_address"] {
            self.text(name, Padded(phase1.remote_address))?;
        }
        for name in ["local_ike_address", "local_negotiation_address"] {
            self.text(name, Padded(phase1.local_address))?;
        }
        self.text("GMTTimeOfDay", phase1.moment.utc)?;
        self.text("LocalTimeOfDay", phase1.moment.local)?;
        self.selector(&REMOTE_ID, &phase1.identity)
    }

    fn proposal(&mut self, proposal: &Proposal) -> Written {
        self.esp(proposal.esp.as_ref())?;
        self.ah(proposal.ah.as_ref())?;
        self.comp(proposal.ipcomp.as_ref())
    }

    fn esp(&mut self, esp: Option<&Esp>) -> Written {
        self.terms(&ESP, esp.map(|esp| esp.terms))?;
        self.set.set("esp_enc_alg", esp.map_or("", |esp| esp.algorithms.cipher_name()))?;
        self.set.set("esp_auth_alg", esp.map_or("", |esp| esp.algorithms.integrity_name()))?;
        self.number("esp_key_length", esp.and_then(|esp| esp.key_length))?;
        self.number("esp_key_rounds", esp.and_then(|esp| esp.key_rounds))
    }

    fn ah(&mut self, ah: Option<&Ah>) -> Written {
        self.terms(&AH, ah.map(|ah| ah.terms))?;
        self.set.set("ah_hash_alg", ah.and_then(|ah| ah.hash).map_or("", AhHash::name))?;
        self.set.set("ah_auth_alg", ah.and_then(|ah| ah.integrity).map_or("", Integrity::name))?;
        self.number("ah_key_length", ah.and_then(|ah| ah.key_length))?;
        self.number("ah_key_rounds", ah.and_then(|ah| ah.key_rounds))
    }

    fn comp(&mut self, comp: Option<&Comp>) -> Written {
        self.terms(&COMP, comp.map(|comp| comp.terms))?;
        let algorithm = comp.and_then(|comp| comp.algorithm);
        self.set.set("comp_alg", algorithm.map_or("", Compression::name))?;
        self.number("comp_dict_size", comp.and_then(|comp| comp.dictionary))?;
        self.number("comp_private_alg", comp.and_then(|comp| comp.private_algorithm))
    }

    fn terms(&mut self, names: &ProtocolNames, terms: Option<Terms>) -> Written {
        self.yes_no(names.present, terms.is_some())?;
        let terms = terms.unwrap_or_default();
        self.number(names.life_seconds, terms.life_seconds)?;
        self.number(names.life_kbytes, terms.life_kbytes)?;
        self.set.set(names.encapsulation, terms.encapsulation.map_or("", Encapsulation::name))?;
        self.yes_no(names.ecn, terms.ecn)?;
        self.number(names.group, terms.group)
    }

    /// Writes a traffic selector. If there is none, writes the IKE address, without port and protocol, as isakmpd does.
    fn filter(&mut self, names: &SelectorNames, said: Option<&Selector>, ike: IpAddr) -> Written {
        match said {
            Some(selector) => self.selector(names, selector),
            None => {
                self.identity(names, &Identity::Address(ike))?;
                self.set.set(names.port, "")?;
                self.set.set(names.protocol, "")
            }
        }
    }

    fn selector(&mut self, names: &SelectorNames, selector: &Selector) -> Written {
        self.identity(names, &selector.identity)?;
        self.number(names.port, Some(selector.port))?;
        match selector.protocol {
            6 => self.set.set(names.protocol, "tcp"),
            17 => self.set.set(names.protocol, "udp"),
            97 => self.set.set(names.protocol, "etherip"),
            other => self.number(names.protocol, Some(other)),
        }
    }

    fn no_selector(&mut self, names: &SelectorNames) -> Written {
        let SelectorNames { value, kind, lower, upper, port, protocol } = names;
        [value, kind, lower, upper, port, protocol]
            .into_iter()
            .try_for_each(|name| self.set.set(name, ""))
    }

    fn identity(&mut self, names: &SelectorNames, identity: &Identity) -> Written {
        self.set.set(names.kind, identity.kind())?;
        match identity.ends() {
            Some((lower, upper)) => {
                self.text(names.lower, Padded(lower))?;
                self.text(names.upper, Padded(upper))?;
            }
            None => {
                self.set.set(names.lower, "")?;
                self.set.set(names.upper, "")?;
            }
        }
        match identity {
            Identity::Address(address) => self.text(names.value, Padded(*address)),
            Identity::Range(range) => self.text(names.value, range),
            Identity::Subnet(subnet) => self.text(names.value, subnet.range()),
            Identity::Fqdn(name) | Identity::UserFqdn(name) => self.set.set(names.value, name),
            Identity::DistinguishedName(name) => self.set.set(names.value, name.one_line()),
            Identity::GeneralName => self.set.set(names.value, ""),
            Identity::KeyId(id) => self.key_id(names.value, id),
        }
    }

    fn key_id(&mut self, name: &str, id: &[u8]) -> Written {
        if id.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return self.set.set(name, id);
        }
        self.set.set(name, HEXLOWER.encode(id))
    }

    fn yes_no(&mut self, name: &str, value: bool) -> Written {
        self.set.set(name, if value { "yes" } else { "no" })
    }

    fn number(&mut self, name: &str, value: Option<impl Into<u32>>) -> Written {
        match value {
            Some(value) => self.text(name, value.into().min(MAX_NUMBER)),
            None => self.set.set(name, ""),
        }
    }

    fn text(&mut self, name: &str, value: impl Display) -> Written {
        self.scratch.clear();
        // INVARIANT: writing to a String does not fail, nor does the formatting of these numbers, addresses and times.
        let _ = write!(self.scratch, "{value}");
        self.set.set(name, &self.scratch)
    }
}
