//! All action attributes of isakmpd.policy(5): the meaning, scope and format of each.

use super::algorithm::{AhHash, Compression, Exchange, Integrity};
use super::format::{Format, MAX_NUMBER};

/// An action attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    /// The name of the attribute, in the required case.
    pub name: &'static str,
    /// The meaning of the attribute, in one line.
    pub meaning: &'static str,
    /// The format of the attribute's values, other than the empty string.
    pub format: Format,
    /// The questions in which the attribute has a value other than the empty string.
    pub scope: Scope,
    /// Whether the attribute's value can be the empty string.
    pub optional: bool,
}

impl Attribute {
    /// Checks whether this attribute can equal (`==`) a literal.
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

/// The questions in which an attribute has a value other than the empty string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every question, of phase 1 and of phase 2.
    Always,
    /// Questions of phase 2 in which ESP is proposed.
    Esp,
    /// Questions of phase 2 in which AH is proposed.
    Ah,
    /// Questions of phase 2 in which IPComp is proposed.
    Comp,
    /// Questions of phase 2, for the traffic selector of the remote end.
    RemoteFilter,
    /// Questions of phase 2, for the traffic selector of the local end.
    LocalFilter,
    /// Every question, for the identity of the peer.
    RemoteId,
}

/// The attribute with this name, in this case; `None` if the vocabulary has none.
pub fn attribute(name: &str) -> Option<&'static Attribute> {
    ATTRIBUTES.iter().find(|attribute| attribute.name == name)
}

/// The names of all attributes, in the order of [`ATTRIBUTES`].
pub fn names() -> impl ExactSizeIterator<Item = &'static str> {
    ATTRIBUTES.iter().map(|attribute| attribute.name)
}

/// The names of the attributes that describe one IPsec protocol; each field says the meaning of the attribute's value.
pub(super) struct ProtocolNames {
    /// Whether the protocol is proposed.
    pub present: &'static str,
    /// The lifetime in seconds.
    pub life_seconds: &'static str,
    /// The lifetime in kilobytes.
    pub life_kbytes: &'static str,
    /// Tunnel or transport mode.
    pub encapsulation: &'static str,
    /// Explicit congestion notification in the tunnel.
    pub ecn: &'static str,
    /// The Diffie-Hellman group.
    pub group: &'static str,
}

/// The names of the attributes that describe a traffic selector or a phase 1 identity; each field says the meaning of the attribute's
/// value.
pub(super) struct SelectorNames {
    /// The address or name as text.
    pub value: &'static str,
    /// The type of the selector or identity.
    pub kind: &'static str,
    /// The lowest address.
    pub lower: &'static str,
    /// The highest address.
    pub upper: &'static str,
    /// The port.
    pub port: &'static str,
    /// The IP protocol.
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
