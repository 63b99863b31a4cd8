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

/// Whether the values of the attributes that both names have can be compared: text with text, whatever its encoding. What is no text
/// where text stands in the other name is neither the same nor another.
pub fn is_comparable(name: &Name, other: &Name) -> bool {
    let attributes = |of: &Name| of.0.iter().flat_map(|part| part.0.iter()).cloned().collect();
    let (left, right): (Vec<AttributeTypeAndValue>, Vec<_>) = (attributes(name), attributes(other));
    left.iter().all(|one| {
        right.iter().filter(|other| other.oid == one.oid).all(|other| {
            one.value == other.value || text(&one.value).is_some() == text(&other.value).is_some()
        })
    })
}

/// A string without regard to case and to how much white space there is; `None` for what is no string.
fn folded(value: &Any) -> Option<String> {
    let text = text(value)?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase())
}

/// ```text
/// DirectoryString ::= CHOICE {
///     teletexString    TeletexString (SIZE (1..MAX)),
///     printableString  PrintableString (SIZE (1..MAX)),
///     universalString  UniversalString (SIZE (1..MAX)),
///     utf8String       UTF8String (SIZE (1..MAX)),
///     bmpString        BMPString (SIZE (1..MAX)) }
/// ```
/// RFC 5280 §4.1.2.4, with the strings of other attributes. Nobody writes T.61: a TeletexString has Latin-1. der knows no
/// UniversalString, so that no name with one is read.
fn text(value: &Any) -> Option<String> {
    let octets = value.value();
    match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString => Some(std::str::from_utf8(octets).ok()?.to_owned()),
        Tag::TeletexString => Some(octets.iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let (units, rest) = octets.as_chunks::<2>();
            let units: Vec<u16> = units.iter().copied().map(u16::from_be_bytes).collect();
            String::from_utf16(&units).ok().filter(|_| rest.is_empty())
        }
        _ => None,
    }
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
