//! Every action attribute of isakmpd.policy(5): what it means, when it is there, what it can hold.

use super::address::{self, AddressRange, Padded, Subnet};
use super::algorithm::{AhHash, Compression, Exchange, Integrity};
use crate::attributes::MAX_VALUE;
use std::net::IpAddr;

/// The largest number an assertion can compare with (RFC 2704 §4.6.5); larger values of a proposal are shown as this.
pub const MAX_NUMBER: u32 = i32::MAX as u32;

/// An action attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    /// Its name, in the case in which it must be written.
    pub name: &'static str,
    /// What it means, in a line.
    pub meaning: &'static str,
    /// What its values look like, when it is not empty.
    pub format: Format,
    /// When it has a value.
    pub scope: Scope,
    /// Whether it can be the empty string.
    pub optional: bool,
}

impl Attribute {
    /// Whether this attribute can ever equal a literal.
    ///
    /// # Errors
    /// It cannot; the text says what was expected and what to write.
    pub fn check(&self, literal: impl AsRef<[u8]>) -> Result<(), String> {
        if literal.as_ref().is_empty() && !self.optional {
            return Err(format!("`{}` is never empty", self.name));
        }
        self.format.check(literal)
    }
}

/// When an attribute has a value other than the empty string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// In every question, of phase 1 and of phase 2.
    Always,
    /// In phase 2, if ESP is proposed.
    Esp,
    /// In phase 2, if AH is proposed.
    Ah,
    /// In phase 2, if IPComp is proposed.
    Comp,
    /// In phase 2: the traffic selector of the far end.
    RemoteFilter,
    /// In phase 2: the traffic selector of the near end.
    LocalFilter,
    /// In every question: who the peer is.
    RemoteId,
}

/// What the values of an attribute look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One of these words, in this case.
    OneOf(&'static [&'static str]),
    /// A decimal number up to this one, without leading zeros.
    Number(u32),
    /// An address of fixed width ([`Padded`]).
    Address,
    /// An address, a range `lower-upper` of addresses, or any text that is a name.
    Identity,
    /// `tcp`, `udp`, `etherip`, or the number of another IP protocol.
    TransportProtocol,
    /// `YYYYMMDDHHMMSS`.
    Time,
    /// Any text.
    Text,
}

impl Format {
    /// Whether a value of this format can ever equal a literal (under `==`: a shorter time is still good for ordering).
    /// The empty string passes, since the attribute decides whether it can be empty: see [`Attribute::check`].
    ///
    /// # Errors
    /// It cannot; the text says what was expected, what was found, and what to write.
    pub fn check(&self, literal: impl AsRef<[u8]>) -> Result<(), String> {
        let literal = literal.as_ref();
        if literal.is_empty() {
            return Ok(());
        }
        if literal.len() > MAX_VALUE {
            return Err(format!("expected at most {MAX_VALUE} bytes, found {}", literal.len()));
        }
        if literal.contains(&0) {
            return Err("a NUL byte, which no value holds".into());
        }
        let text = std::str::from_utf8(literal).ok();
        let found = || excerpt(literal);
        match self {
            Self::Text => Ok(()),
            Self::Identity => text.map_or(Ok(()), identity),
            Self::OneOf(words) => one_of(words, text.unwrap_or_default(), &found()),
            Self::Number(limit) => number(*limit, text.unwrap_or_default(), &found()),
            Self::TransportProtocol => transport(text.unwrap_or_default(), &found()),
            Self::Address => match text.and_then(address::parse) {
                Some(address) => padded(text.unwrap_or_default(), address),
                None => Err(format!(
                    "expected an address such as `192.168.002.001`, found `{}`",
                    found()
                )),
            },
            Self::Time => match text.and_then(address::parse_time) {
                Some(_) => Ok(()),
                None => Err(format!(
                    "expected a time `YYYYMMDDHHMMSS`, found `{}`; fewer digits only serve `<` and `>`",
                    found()
                )),
            },
        }
    }
}

/// The attribute of this name.
pub fn attribute(name: &str) -> Option<&'static Attribute> {
    ATTRIBUTES.iter().find(|attribute| attribute.name == name)
}

/// The names of all attributes, in the order of [`ATTRIBUTES`].
pub fn names() -> impl ExactSizeIterator<Item = &'static str> {
    ATTRIBUTES.iter().map(|attribute| attribute.name)
}

/// The names of the attributes that describe an IPsec protocol.
pub(super) struct ProtocolNames {
    pub present: &'static str,
    pub life_seconds: &'static str,
    pub life_kbytes: &'static str,
    pub encapsulation: &'static str,
    pub ecn: &'static str,
    pub group: &'static str,
}

/// The names of the attributes that describe a traffic selector or a phase 1 identity.
pub(super) struct SelectorNames {
    pub value: &'static str,
    pub kind: &'static str,
    pub lower: &'static str,
    pub upper: &'static str,
    pub port: &'static str,
    pub protocol: &'static str,
}

macro_rules! protocol_names {
    ($name:ident, $prefix:literal) => {
        pub(super) const $name: ProtocolNames = ProtocolNames {
            present: concat!($prefix, "_present"),
            life_seconds: concat!($prefix, "_life_seconds"),
            life_kbytes: concat!($prefix, "_life_kbytes"),
            encapsulation: concat!($prefix, "_encapsulation"),
            ecn: concat!($prefix, "_ecn"),
            group: concat!($prefix, "_group_desc"),
        };
    };
}

macro_rules! selector_names {
    ($name:ident, $prefix:literal) => {
        pub(super) const $name: SelectorNames = SelectorNames {
            value: $prefix,
            kind: concat!($prefix, "_type"),
            lower: concat!($prefix, "_addr_lower"),
            upper: concat!($prefix, "_addr_upper"),
            port: concat!($prefix, "_port"),
            protocol: concat!($prefix, "_proto"),
        };
    };
}

protocol_names!(ESP, "esp");
protocol_names!(AH, "ah");
protocol_names!(COMP, "comp");
selector_names!(REMOTE_FILTER, "remote_filter");
selector_names!(LOCAL_FILTER, "local_filter");
selector_names!(REMOTE_ID, "remote_id");

const YES_NO: Format = Format::OneOf(&["yes", "no"]);
const SHORT: Format = Format::Number(u16::MAX as u32);
const NUMBER: Format = Format::Number(MAX_NUMBER);

const ENCAPSULATIONS: &[&str] = &["tunnel", "transport", "udp-encap-tunnel"];

const ESP_CIPHERS: &[&str] = &[
    "des-iv64",
    "des",
    "3des",
    "rc5",
    "idea",
    "cast",
    "blowfish",
    "3idea",
    "des-iv32",
    "rc4",
    "null",
    "aes",
    "camellia",
    "aes-gcm-12",
    "aes-gcm-8",
    "aes-ccm-16",
    "aes-ccm-12",
    "aes-ccm-8",
    "chacha20-poly1305",
];

const ESP_INTEGRITY: &[&str] = &[
    "hmac-md5",
    "hmac-sha",
    "des-mac",
    "kpdk",
    "hmac-sha2-256",
    "hmac-sha2-384",
    "hmac-sha2-512",
    "hmac-ripemd",
    "aes-xcbc",
    "aes-cmac",
    "aes-gmac",
    "aes-gcm-16",
    "aes-gcm-12",
    "aes-gcm-8",
    "aes-ccm-16",
    "aes-ccm-12",
    "aes-ccm-8",
    "chacha20-poly1305",
];

const IDENTITY_TYPES: &[&str] = &[
    "IPv4 address",
    "IPv4 range",
    "IPv4 subnet",
    "IPv6 address",
    "IPv6 range",
    "IPv6 subnet",
    "FQDN",
    "User FQDN",
    "ASN1 DN",
    "ASN1 GN",
    "Key ID",
];

/// Every attribute of the vocabulary.
pub const ATTRIBUTES: &[Attribute] = &[
    always(
        "app_domain",
        "the application that asks; always `IPsec policy`",
        Format::OneOf(&["IPsec policy"]),
        Scope::Always,
    ),
    always(
        "doi",
        "the domain of interpretation; always `ipsec`",
        Format::OneOf(&["ipsec"]),
        Scope::Always,
    ),
    always(
        "initiator",
        "whether we began the exchange in question: phase 2, or phase 1 if that is asked about",
        YES_NO,
        Scope::Always,
    ),
    always("phase_1", "how phase 1 was established", Format::OneOf(Exchange::NAMES), Scope::Always),
    always("pfs", "whether phase 2 does a key exchange of its own", YES_NO, Scope::Always),
    optional(
        "phase1_group_desc",
        "the Diffie-Hellman group of phase 1, by its IANA number",
        SHORT,
        Scope::Always,
    ),
    always("GMTTimeOfDay", "date and time in UTC", Format::Time, Scope::Always),
    always(
        "LocalTimeOfDay",
        "date and time in the time zone of this host",
        Format::Time,
        Scope::Always,
    ),
    always("remote_ike_address", "the address of the peer in IKE", Format::Address, Scope::Always),
    always(
        "remote_negotiation_address",
        "the same as `remote_ike_address`",
        Format::Address,
        Scope::Always,
    ),
    always("local_ike_address", "our own address in IKE", Format::Address, Scope::Always),
    always(
        "local_negotiation_address",
        "the same as `local_ike_address`",
        Format::Address,
        Scope::Always,
    ),
    always("esp_present", "whether ESP is proposed", YES_NO, Scope::Always),
    optional(
        "esp_enc_alg",
        "the cipher of ESP; `null` for none",
        Format::OneOf(ESP_CIPHERS),
        Scope::Esp,
    ),
    optional(
        "esp_auth_alg",
        "how ESP authenticates; empty for not at all",
        Format::OneOf(ESP_INTEGRITY),
        Scope::Esp,
    ),
    optional(
        "esp_key_length",
        "the key length of ESP, in bits, where it is negotiated",
        SHORT,
        Scope::Esp,
    ),
    optional(
        "esp_key_rounds",
        "the number of rounds of the ESP algorithm, where it is negotiated",
        SHORT,
        Scope::Esp,
    ),
    optional("esp_encapsulation", "the mode of ESP", Format::OneOf(ENCAPSULATIONS), Scope::Esp),
    optional(
        "esp_life_seconds",
        "the lifetime of ESP in seconds; empty, which `@` reads as 0, if none was proposed",
        NUMBER,
        Scope::Esp,
    ),
    optional(
        "esp_life_kbytes",
        "the lifetime of ESP in kilobytes; empty, which `@` reads as 0, if none was proposed",
        NUMBER,
        Scope::Esp,
    ),
    optional(
        "esp_group_desc",
        "the Diffie-Hellman group of the ESP proposal, by its IANA number",
        SHORT,
        Scope::Esp,
    ),
    always(
        "esp_ecn",
        "whether explicit congestion notification is asked for in the ESP tunnel",
        YES_NO,
        Scope::Always,
    ),
    always("ah_present", "whether AH is proposed", YES_NO, Scope::Always),
    optional("ah_hash_alg", "the transform of AH", Format::OneOf(AhHash::NAMES), Scope::Ah),
    optional("ah_auth_alg", "how AH authenticates", Format::OneOf(Integrity::NAMES), Scope::Ah),
    optional(
        "ah_key_length",
        "the key length of AH, in bits, where it is negotiated",
        SHORT,
        Scope::Ah,
    ),
    optional(
        "ah_key_rounds",
        "the number of rounds of the AH algorithm, where it is negotiated",
        SHORT,
        Scope::Ah,
    ),
    optional("ah_encapsulation", "the mode of AH", Format::OneOf(ENCAPSULATIONS), Scope::Ah),
    optional(
        "ah_life_seconds",
        "the lifetime of AH in seconds; empty, which `@` reads as 0, if none was proposed",
        NUMBER,
        Scope::Ah,
    ),
    optional(
        "ah_life_kbytes",
        "the lifetime of AH in kilobytes; empty, which `@` reads as 0, if none was proposed",
        NUMBER,
        Scope::Ah,
    ),
    optional(
        "ah_group_desc",
        "the Diffie-Hellman group of the AH proposal, by its IANA number",
        SHORT,
        Scope::Ah,
    ),
    always(
        "ah_ecn",
        "whether explicit congestion notification is asked for in the AH tunnel",
        YES_NO,
        Scope::Always,
    ),
    always("comp_present", "whether IPComp is proposed", YES_NO, Scope::Always),
    optional(
        "comp_alg",
        "the compression algorithm",
        Format::OneOf(Compression::NAMES),
        Scope::Comp,
    ),
    optional("comp_dict_size", "log2 of the largest dictionary", SHORT, Scope::Comp),
    optional(
        "comp_private_alg",
        "the number of a private compression algorithm",
        NUMBER,
        Scope::Comp,
    ),
    optional(
        "comp_encapsulation",
        "the mode of IPComp",
        Format::OneOf(ENCAPSULATIONS),
        Scope::Comp,
    ),
    optional(
        "comp_life_seconds",
        "the lifetime of IPComp in seconds; empty, which `@` reads as 0, if none was proposed",
        NUMBER,
        Scope::Comp,
    ),
    optional(
        "comp_life_kbytes",
        "the lifetime of IPComp in kilobytes; empty, which `@` reads as 0, if none was proposed",
        NUMBER,
        Scope::Comp,
    ),
    optional(
        "comp_group_desc",
        "the Diffie-Hellman group of the IPComp proposal, by its IANA number",
        SHORT,
        Scope::Comp,
    ),
    always(
        "comp_ecn",
        "whether explicit congestion notification is asked for in the IPComp tunnel",
        YES_NO,
        Scope::Always,
    ),
    optional(
        "remote_filter",
        "the traffic at the far end: an address, `lower-upper`, or a name",
        Format::Identity,
        Scope::RemoteFilter,
    ),
    optional(
        "remote_filter_type",
        "what kind of identity describes the traffic at the far end",
        Format::OneOf(IDENTITY_TYPES),
        Scope::RemoteFilter,
    ),
    optional(
        "remote_filter_addr_lower",
        "the lowest address of the traffic at the far end; empty for a name",
        Format::Address,
        Scope::RemoteFilter,
    ),
    optional(
        "remote_filter_addr_upper",
        "the highest address of the traffic at the far end; empty for a name",
        Format::Address,
        Scope::RemoteFilter,
    ),
    optional(
        "remote_filter_port",
        "the port of the traffic at the far end; `0` for any",
        SHORT,
        Scope::RemoteFilter,
    ),
    optional(
        "remote_filter_proto",
        "the transport protocol of the traffic at the far end: `tcp`, `udp`, `etherip` or its number, `0` for any",
        Format::TransportProtocol,
        Scope::RemoteFilter,
    ),
    optional(
        "local_filter",
        "the traffic at the near end: an address, `lower-upper`, or a name",
        Format::Identity,
        Scope::LocalFilter,
    ),
    optional(
        "local_filter_type",
        "what kind of identity describes the traffic at the near end",
        Format::OneOf(IDENTITY_TYPES),
        Scope::LocalFilter,
    ),
    optional(
        "local_filter_addr_lower",
        "the lowest address of the traffic at the near end; empty for a name",
        Format::Address,
        Scope::LocalFilter,
    ),
    optional(
        "local_filter_addr_upper",
        "the highest address of the traffic at the near end; empty for a name",
        Format::Address,
        Scope::LocalFilter,
    ),
    optional(
        "local_filter_port",
        "the port of the traffic at the near end; `0` for any",
        SHORT,
        Scope::LocalFilter,
    ),
    optional(
        "local_filter_proto",
        "the transport protocol of the traffic at the near end: `tcp`, `udp`, `etherip` or its number, `0` for any",
        Format::TransportProtocol,
        Scope::LocalFilter,
    ),
    optional(
        "remote_id",
        "the phase 1 identity of the peer: an address, `lower-upper`, or a name",
        Format::Identity,
        Scope::RemoteId,
    ),
    always(
        "remote_id_type",
        "what kind of identity describes the phase 1 identity of the peer",
        Format::OneOf(IDENTITY_TYPES),
        Scope::RemoteId,
    ),
    optional(
        "remote_id_addr_lower",
        "the lowest address of the phase 1 identity of the peer; empty for a name",
        Format::Address,
        Scope::RemoteId,
    ),
    optional(
        "remote_id_addr_upper",
        "the highest address of the phase 1 identity of the peer; empty for a name",
        Format::Address,
        Scope::RemoteId,
    ),
    always(
        "remote_id_port",
        "the port of the phase 1 identity of the peer; `0` for any",
        SHORT,
        Scope::RemoteId,
    ),
    always(
        "remote_id_proto",
        "the transport protocol of the phase 1 identity of the peer: `tcp`, `udp`, `etherip` or its number, `0` for any",
        Format::TransportProtocol,
        Scope::RemoteId,
    ),
];

const fn always(
    name: &'static str,
    meaning: &'static str,
    format: Format,
    scope: Scope,
) -> Attribute {
    Attribute { name, meaning, format, scope, optional: false }
}

const fn optional(
    name: &'static str,
    meaning: &'static str,
    format: Format,
    scope: Scope,
) -> Attribute {
    Attribute { name, meaning, format, scope, optional: true }
}

fn one_of(words: &[&str], text: &str, found: &str) -> Result<(), String> {
    if words.contains(&text) {
        return Ok(());
    }
    let list = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let hint = nearest(words, text).map(|word| format!("; did you mean `{word}`?"));
    Err(format!("expected one of {list}, found `{found}`{}", hint.unwrap_or_default()))
}

/// The word that was probably meant: the same in another case, one that goes on after a dash (`md5` for `hmac-md5`), or
/// one that differs by a slip of the pen.
fn nearest<'a>(words: &[&'a str], text: &str) -> Option<&'a str> {
    let text = text.get(..text.len().min(64))?.to_ascii_lowercase();
    let close = |word: &str| strsim::damerau_levenshtein(&word.to_ascii_lowercase(), &text);
    let part =
        |word: &&&str| text.len() > 1 && word.split_once('-').is_some_and(|(_, rest)| rest == text);
    let exact = words
        .iter()
        .find(|word| word.eq_ignore_ascii_case(&text))
        .or_else(|| words.iter().find(part));
    exact
        .or_else(|| words.iter().min_by_key(|word| close(word)).filter(|word| close(word) <= 2))
        .copied()
}

fn number(limit: u32, text: &str, found: &str) -> Result<(), String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("expected a decimal number, found `{found}`"));
    }
    match text.parse::<u32>() {
        Ok(value) if value > limit => Err(format!("expected at most `{limit}`, found `{found}`")),
        Err(_) => Err(format!("expected at most `{limit}`, found `{found}`")),
        Ok(value) if value.to_string() != text => {
            Err(format!("numbers have no leading zeros: write `{value}`, not `{found}`"))
        }
        Ok(_) => Ok(()),
    }
}

fn transport(text: &str, found: &str) -> Result<(), String> {
    if ["tcp", "udp", "etherip"].contains(&text) {
        return Ok(());
    }
    let name = match text.to_ascii_lowercase().as_str() {
        "tcp" | "6" => "tcp",
        "udp" | "17" => "udp",
        "etherip" | "97" => "etherip",
        _ => {
            return number(u32::from(u8::MAX), text, found).map_err(|message| {
                format!(
                    "neither `tcp`, `udp`, `etherip` nor the number of another protocol: {message}"
                )
            });
        }
    };
    Err(format!("the protocol `{found}` is written `{name}`"))
}

fn padded(text: &str, address: IpAddr) -> Result<(), String> {
    let right = Padded(address).to_string();
    if text == right {
        return Ok(());
    }
    Err(format!("addresses are padded with zeros and in lower case: write `{right}`, not `{text}`"))
}

fn identity(text: &str) -> Result<(), String> {
    if let Some(address) = address::parse(text) {
        return padded(text, address);
    }
    if let Some((lower, upper)) = pair(text, '-') {
        let range = AddressRange::new(lower, upper).map_err(|error| error.to_string())?.to_string();
        if text != range {
            return Err(format!(
                "addresses are padded with zeros and in lower case: write `{range}`, not `{text}`"
            ));
        }
        return Ok(());
    }
    let Some((address, prefix)) = text.split_once('/') else { return Ok(()) };
    let subnet = match (address::parse(address), prefix.parse::<u8>(), address::parse(prefix)) {
        (Some(address), Ok(length), _) => Subnet::new(address, length),
        (Some(address), _, Some(mask)) => Subnet::with_mask(address, mask),
        _ => return Ok(()),
    };
    let range = subnet.map_err(|error| error.to_string())?.range();
    Err(format!("a subnet is written as a range: `{range}`, not `{text}`"))
}

fn pair(text: &str, between: char) -> Option<(IpAddr, IpAddr)> {
    let (lower, upper) = text.split_once(between)?;
    Some((address::parse(lower)?, address::parse(upper)?))
}

fn excerpt(literal: &[u8]) -> String {
    String::from_utf8_lossy(literal.get(..64).unwrap_or(literal)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipsec::algorithm::{Aead, Cipher, Encapsulation};
    use std::collections::BTreeSet;

    #[test]
    fn the_lists_of_words_are_those_of_the_algorithms() {
        let set = |words: &[&'static str]| words.iter().copied().collect::<BTreeSet<_>>();
        let aead = |name: fn(Aead) -> &'static str| Aead::ALL.iter().map(move |aead| name(*aead));
        let ciphers = Cipher::NAMES.iter().copied().chain(aead(Aead::cipher_name)).collect();
        assert_eq!(set(ESP_CIPHERS), ciphers);
        let integrity =
            Integrity::NAMES.iter().copied().chain(aead(Aead::integrity_name)).collect();
        assert_eq!(set(ESP_INTEGRITY), integrity);
        assert_eq!(set(ENCAPSULATIONS), set(Encapsulation::NAMES));
    }

    #[test]
    fn no_name_stands_twice_and_every_name_is_an_attribute_name() {
        let distinct: BTreeSet<_> = names().collect();
        assert_eq!((distinct.len(), names().len()), (59, 59));
        assert!(names().all(|name| crate::attributes::is_name(name.as_bytes())));
        assert!(ATTRIBUTES.iter().all(|attribute| !attribute.meaning.is_empty()));
    }
}
