//! Every action attribute of `isakmpd.policy(5)`, and what its values look like.

use std::fmt;

/// An action attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What its values look like.
    pub format: Format,
    /// What it says.
    pub meaning: &'static str,
}

/// What the values of an attribute look like. Any may be empty where it does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A decimal number.
    Number,
    /// An address of fixed width.
    Address,
    /// An address or a range of them, or a name, by the type of the identity.
    Identity,
    /// The name or the number of a protocol.
    Protocol,
    /// `YYYYMMDDHHMMSS`
    Time,
}

const YES_NO: Format = Format::OneOf(&["yes", "no"]);
const ENCAPSULATION: Format =
    Format::OneOf(&["tunnel", "transport", "udp-encap-tunnel", "udp-encap-transport"]);
const AUTHENTICATION: Format = Format::OneOf(&[
    "hmac-md5",
    "hmac-sha",
    "des-mac",
    "kpdk",
    "hmac-sha2-256",
    "hmac-sha2-384",
    "hmac-sha2-512",
    "hmac-ripemd",
]);
const TYPE: Format = Format::OneOf(&[
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
]);

const fn entry(name: &'static str, format: Format, meaning: &'static str) -> Attribute {
    Attribute { name, format, meaning }
}

const ATTRIBUTES: [Attribute; 59] = [
    entry("app_domain", Format::OneOf(&["IPsec policy"]), "always `IPsec policy`"),
    entry("doi", Format::OneOf(&["ipsec"]), "always `ipsec`"),
    entry("initiator", YES_NO, "whether this side begins the exchange"),
    entry("pfs", YES_NO, "whether phase 2 makes a Diffie-Hellman exchange of its own"),
    entry("phase_1", Format::OneOf(&["main", "aggressive", "ikev2"]), "the exchange of phase 1"),
    entry("phase1_group_desc", Format::Number, "the Diffie-Hellman group of phase 1"),
    entry("GMTTimeOfDay", Format::Time, "the time, UTC"),
    entry("LocalTimeOfDay", Format::Time, "the time where the gateway is"),
    entry("ah_present", YES_NO, "whether AH is proposed"),
    entry("esp_present", YES_NO, "whether ESP is proposed"),
    entry("comp_present", YES_NO, "whether IPComp is proposed"),
    entry(
        "ah_hash_alg",
        Format::OneOf(&["md5", "sha", "ripemd", "sha2-256", "sha2-384", "sha2-512", "des"]),
        "the transform of AH",
    ),
    entry("ah_auth_alg", AUTHENTICATION, "the authentication of AH"),
    entry("ah_encapsulation", ENCAPSULATION, "the mode of AH"),
    entry("ah_life_seconds", Format::Number, "the lifetime of AH, in seconds"),
    entry("ah_life_kbytes", Format::Number, "the lifetime of AH, in kilobytes"),
    entry("ah_ecn", YES_NO, "whether AH's tunnel carries congestion notification"),
    entry("ah_group_desc", Format::Number, "the Diffie-Hellman group of AH"),
    entry("ah_key_length", Format::Number, "the key of AH, in bits"),
    entry("ah_key_rounds", Format::Number, "the rounds of AH's algorithm"),
    entry(
        "esp_enc_alg",
        Format::OneOf(&[
            "des",
            "des-iv64",
            "3des",
            "rc4",
            "rc5",
            "idea",
            "cast",
            "blowfish",
            "3idea",
            "des-iv32",
            "null",
            "aes",
            "aes-ctr",
            "aes-gcm",
            "aes-gmac",
            "chacha20-poly1305",
        ]),
        "the encryption of ESP",
    ),
    entry("esp_auth_alg", AUTHENTICATION, "the authentication of ESP"),
    entry("esp_encapsulation", ENCAPSULATION, "the mode of ESP"),
    entry("esp_life_seconds", Format::Number, "the lifetime of ESP, in seconds"),
    entry("esp_life_kbytes", Format::Number, "the lifetime of ESP, in kilobytes"),
    entry("esp_ecn", YES_NO, "whether ESP's tunnel carries congestion notification"),
    entry("esp_group_desc", Format::Number, "the Diffie-Hellman group of ESP"),
    entry("esp_key_length", Format::Number, "the key of ESP, in bits"),
    entry("esp_key_rounds", Format::Number, "the rounds of ESP's algorithm"),
    entry(
        "comp_alg",
        Format::OneOf(&["oui", "deflate", "lzs", "v42bis"]),
        "the compression of IPComp",
    ),
    entry("comp_encapsulation", ENCAPSULATION, "the mode of IPComp"),
    entry("comp_life_seconds", Format::Number, "the lifetime of IPComp, in seconds"),
    entry("comp_life_kbytes", Format::Number, "the lifetime of IPComp, in kilobytes"),
    entry("comp_ecn", YES_NO, "whether IPComp's tunnel carries congestion notification"),
    entry("comp_group_desc", Format::Number, "the Diffie-Hellman group of IPComp"),
    entry("comp_dict_size", Format::Number, "the dictionary of IPComp, as a power of 2"),
    entry("comp_private_alg", Format::Number, "the private algorithm of IPComp"),
    entry("remote_filter", Format::Identity, "what the tunnel reaches on the other side"),
    entry("remote_filter_type", TYPE, "what kind of identity `remote_filter` is"),
    entry("remote_filter_addr_lower", Format::Address, "the lowest address of `remote_filter`"),
    entry("remote_filter_addr_upper", Format::Address, "the highest address of `remote_filter`"),
    entry("remote_filter_port", Format::Number, "the port of `remote_filter`, 0 for any"),
    entry("remote_filter_proto", Format::Protocol, "the protocol of `remote_filter`, 0 for any"),
    entry("local_filter", Format::Identity, "what the tunnel reaches on this side"),
    entry("local_filter_type", TYPE, "what kind of identity `local_filter` is"),
    entry("local_filter_addr_lower", Format::Address, "the lowest address of `local_filter`"),
    entry("local_filter_addr_upper", Format::Address, "the highest address of `local_filter`"),
    entry("local_filter_port", Format::Number, "the port of `local_filter`, 0 for any"),
    entry("local_filter_proto", Format::Protocol, "the protocol of `local_filter`, 0 for any"),
    entry("remote_id", Format::Identity, "the phase 1 identity of the peer"),
    entry("remote_id_type", TYPE, "what kind of identity `remote_id` is"),
    entry("remote_id_addr_lower", Format::Address, "the lowest address of `remote_id`"),
    entry("remote_id_addr_upper", Format::Address, "the highest address of `remote_id`"),
    entry("remote_id_port", Format::Number, "the port of `remote_id`, 0 for any"),
    entry("remote_id_proto", Format::Protocol, "the protocol of `remote_id`, 0 for any"),
    entry("remote_ike_address", Format::Address, "the address from which the peer speaks IKE"),
    entry("remote_negotiation_address", Format::Address, "the same as `remote_ike_address`"),
    entry("local_ike_address", Format::Address, "the address on which this side speaks IKE"),
    entry("local_negotiation_address", Format::Address, "the same as `local_ike_address`"),
];

/// An attribute of the vocabulary. Names distinguish case.
pub fn attribute(name: &str) -> Option<&'static Attribute> {
    ATTRIBUTES.iter().find(|attribute| attribute.name == name)
}

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> {
    ATTRIBUTES.iter().map(|attribute| attribute.name)
}

impl Format {
    /// Whether a value of this format can equal a literal; the empty string can where the attribute does not apply.
    ///
    /// # Errors
    /// Why it cannot, and what to write instead.
    pub fn check(&self, literal: &str) -> Result<(), String> {
        if literal.is_empty() {
            return Ok(());
        }
        match self {
            Self::OneOf(values) if values.contains(&literal) => Ok(()),
            Self::OneOf(values) => {
                let lower = literal.to_lowercase();
                let near = values
                    .iter()
                    .map(|value| (strsim::damerau_levenshtein(value, &lower), value))
                    .filter(|(distance, _)| *distance <= 2)
                    .min()
                    .map(|(_, value)| value);
                Err(near.map_or_else(
                    || format!("the values are `{}`", values.join("`, `")),
                    |near| format!("did you mean `{near}`?"),
                ))
            }
            Self::Number if literal.len() > 1 && literal.starts_with('0') => {
                Err("numbers have no leading zeros".into())
            }
            Self::Number if literal.bytes().all(|byte| byte.is_ascii_digit()) => Ok(()),
            Self::Number => Err("the values are decimal numbers".into()),
            Self::Address => padded(literal).unwrap_or_else(|| Err(ADDRESSES.into())),
            Self::Identity => match literal.split_once('-') {
                Some((lower, upper)) => match (padded(lower), padded(upper)) {
                    (Some(lower), Some(upper)) => lower.and(upper),
                    _ => Ok(()),
                },
                None => padded(literal).unwrap_or(Ok(())),
            },
            Self::Protocol => Ok(()),
            Self::Time
                if literal.len() == 14 && literal.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                Ok(())
            }
            Self::Time => Err("times are written YYYYMMDDHHMMSS, with the seconds".into()),
        }
    }
}

const ADDRESSES: &str = "addresses are written with all their digits, as `192.168.002.001` or \
                         `2001:0db8:0000:0000:0000:0000:0000:0001`";

/// Nothing if it is no address at all; else whether it is written as addresses are here.
fn padded(literal: &str) -> Option<Result<(), String>> {
    let unpadded: String = if literal.contains(':') {
        literal.into()
    } else {
        let octets: Vec<&str> =
            literal.split('.').map(|octet| octet.trim_start_matches('0')).collect();
        octets
            .iter()
            .map(|octet| if octet.is_empty() { "0" } else { octet })
            .collect::<Vec<_>>()
            .join(".")
    };
    let address: std::net::IpAddr = unpadded.parse().ok()?;
    let right = super::address::address(address);
    Some(if right == literal { Ok(()) } else { Err(format!("write `{right}`: {ADDRESSES}")) })
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(values) => f.write_str(&values.join(" | ")),
            Self::Number => f.write_str("decimal number"),
            Self::Address => f.write_str("192.168.002.001 or 2001:0db8:…:0001"),
            Self::Identity => f.write_str("address, lower-upper, or name"),
            Self::Protocol => f.write_str("protocol name or number"),
            Self::Time => f.write_str("YYYYMMDDHHMMSS"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_that_an_attribute_never_equals() {
        for (name, literal, hint) in [
            ("esp_enc_alg", "3DES", "3des"),
            ("esp_enc_alg", "rot13", "the values are"),
            ("esp_present", "true", "`yes`"),
            ("remote_ike_address", "192.168.2.1", "192.168.002.001"),
            ("remote_ike_address", "gw", "all their digits"),
            ("remote_filter", "10.1.0.0-10.1.0.255", "010.001.000.000"),
            ("remote_id", "2001:db8::1", "2001:0db8:0000"),
            ("esp_key_length", "0128", "leading"),
            ("esp_key_length", "128 bits", "decimal"),
            ("GMTTimeOfDay", "20260101", "seconds"),
        ] {
            let error = attribute(name).unwrap().format.check(literal).unwrap_err();
            assert!(error.contains(hint), "{name} {literal}: {error}");
        }
        for (name, literal) in [
            ("esp_enc_alg", "aes"),
            ("esp_enc_alg", ""),
            ("remote_ike_address", "192.168.002.001"),
            ("remote_filter", "010.001.000.000-010.001.000.255"),
            ("remote_filter", "gw-1.example.org"),
            ("remote_id", "/C=SE/CN=gw-7"),
            ("remote_id_proto", "udp"),
            ("esp_life_seconds", "0"),
            ("GMTTimeOfDay", "20260101000000"),
        ] {
            assert_eq!(attribute(name).unwrap().format.check(literal), Ok(()), "{name} {literal}");
        }
    }

    #[test]
    fn names_are_unique_and_distinguish_case() {
        let mut all: Vec<_> = names().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), ATTRIBUTES.len());
        assert_eq!(attribute("ESP_present"), None);
    }
}
