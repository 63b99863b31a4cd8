//! Names: distinguished ones compared as RFC 5280 §7.1 has it, and all kinds for people.

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use der::{Any, Encode, Tag, Tagged};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::{Name, RelativeDistinguishedName};

/// Whether two names are the same: strings in any case, with white space as one space.
pub fn same_name(left: &Name, right: &Name) -> bool {
    left.0.len() == right.0.len() && is_within(left, right)
}

/// Whether a name is, or stands below, another one.
pub fn is_within(name: &Name, above: &Name) -> bool {
    name.0.len() >= above.0.len()
        && name.0.iter().zip(&above.0).all(|(part, other)| same_part(part, other))
}

fn same_part(left: &RelativeDistinguishedName, right: &RelativeDistinguishedName) -> bool {
    let has = |of: &RelativeDistinguishedName, wanted: &AttributeTypeAndValue| {
        of.0.iter().any(|found| found.oid == wanted.oid && same_value(&found.value, &wanted.value))
    };
    left.0.len() == right.0.len()
        && left.0.iter().all(|attribute| has(right, attribute))
        && right.0.iter().all(|attribute| has(left, attribute))
}

fn same_value(left: &Any, right: &Any) -> bool {
    left == right || folded(left).is_some_and(|left| folded(right) == Some(left))
}

/// A string without regard to case and to how much white space there is; `None` for what is no string.
fn folded(value: &Any) -> Option<String> {
    let is_text = matches!(value.tag(), Tag::Utf8String | Tag::PrintableString | Tag::Ia5String);
    let text = std::str::from_utf8(value.value()).ok().filter(|_| is_text)?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase())
}

/// A subjectAltName entry for people.
pub fn general_name(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(name) => format!("dns:{}", name.as_str().escape_debug()),
        GeneralName::Rfc822Name(name) => format!("email:{}", name.as_str().escape_debug()),
        GeneralName::UniformResourceIdentifier(uri) => {
            format!("uri:{}", uri.as_str().escape_debug())
        }
        GeneralName::DirectoryName(name) => format!("dn:{name}"),
        GeneralName::IpAddress(octets) => match address(octets.as_bytes()) {
            Some(address) => format!("ip:{address}"),
            None => format!("ip:0x{}", HEXLOWER.encode(octets.as_bytes())),
        },
        GeneralName::RegisteredId(oid) => format!("oid:{oid}"),
        other => format!("0x{}", HEXLOWER.encode(&other.to_der().unwrap_or_default())),
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}
