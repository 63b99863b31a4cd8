//! Names: distinguished ones compared as RFC 5280 §7.1 has it, and all kinds for people.

use std::borrow::Cow;
use std::net::IpAddr;

use data_encoding::HEXLOWER;
use der::{Any, Encode, Tag, Tagged};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::{Name, RelativeDistinguishedName};

use super::prepared;

/// How certainly a name is, or is within, another one. What is not certain joins no chain and is permitted by nobody, but may be what is
/// excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// It is another one.
    Different,
    /// A value has no comparable form, or more than one.
    Uncertain,
    /// It is the same.
    Same,
}

/// Whether two names are certainly the same: strings as RFC 4518 prepares them, in any case, with white space as one space.
pub fn same_name(left: &Name, right: &Name) -> bool {
    left.0.len() == right.0.len() && is_within(left, right)
}

/// Whether a name certainly is, or stands below, another one.
pub fn is_within(name: &Name, above: &Name) -> bool {
    likeness_within(name, above) == Likeness::Same
}

/// A text that all names have which are the same, to look them up by. It is for nothing else: two that differ may share it.
pub fn normal_name(name: &Name) -> String {
    let part = |part: &RelativeDistinguishedName| {
        let mut all: Vec<String> = part.0.iter().map(normal_attribute).collect();
        all.sort_unstable();
        all.join("+")
    };
    name.0.iter().map(part).collect::<Vec<_>>().join(",")
}

fn normal_attribute(attribute: &AttributeTypeAndValue) -> String {
    let value = match text(&attribute.value) {
        Some(text) => prepared::normal(&text),
        None => HEXLOWER.encode(attribute.value.value()),
    };
    format!("{}={value}", attribute.oid)
}

/// How certainly a name is, or stands below, another one.
pub fn likeness_within(name: &Name, above: &Name) -> Likeness {
    if name.0.len() < above.0.len() {
        return Likeness::Different;
    }
    least(name.0.iter().zip(&above.0).map(|(part, other)| part_likeness(part, other)))
}

fn part_likeness(left: &RelativeDistinguishedName, right: &RelativeDistinguishedName) -> Likeness {
    if left.0.len() != right.0.len() {
        return Likeness::Different;
    }
    let found = |wanted: &AttributeTypeAndValue, of: &RelativeDistinguishedName| {
        let same_type = of.0.iter().filter(|found| found.oid == wanted.oid);
        same_type
            .map(|found| value_likeness(&found.value, &wanted.value))
            .max()
            .unwrap_or(Likeness::Different)
    };
    let one_way = least(left.0.iter().map(|attribute| found(attribute, right)));
    // The way back is another one only where a part has an attribute type twice.
    if left.0.len() == 1 || one_way == Likeness::Different {
        return one_way;
    }
    one_way.min(least(right.0.iter().map(|attribute| found(attribute, left))))
}

/// The least of them, of none `Same`; what stands behind the first difference is not looked at.
fn least(all: impl Iterator<Item = Likeness>) -> Likeness {
    let mut least = Likeness::Same;
    for likeness in all {
        least = least.min(likeness);
        if least == Likeness::Different {
            break;
        }
    }
    least
}

fn value_likeness(left: &Any, right: &Any) -> Likeness {
    if left == right {
        return Likeness::Same;
    }
    match (text(left), text(right)) {
        (Some(left), Some(right)) => prepared::likeness(&left, &right),
        (None, None) => Likeness::Different,
        // What is no text where text stands in the other name is neither the same nor another.
        _ => Likeness::Uncertain,
    }
}

/// ```text
/// DirectoryString ::= CHOICE {
///     teletexString    TeletexString (SIZE (1..MAX)),
///     printableString  PrintableString (SIZE (1..MAX)),
///     universalString  UniversalString (SIZE (1..MAX)),
///     utf8String       UTF8String (SIZE (1..MAX)),
///     bmpString        BMPString (SIZE (1..MAX)) }
/// ```
/// RFC 5280 §4.1.2.4, with the strings of other attributes. What is of such a type and cannot be decoded ends where that begins, and is
/// marked by U+FFFD, which RFC 4518 prohibits. So is what a TeletexString has beyond ASCII: some write T.61 there, most Latin-1, a few
/// UTF-8. A UniversalString was made a UTF8String when it was read (`legible.rs`).
fn text(value: &Any) -> Option<Cow<'_, str>> {
    let octets = value.value();
    match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString => Some(String::from_utf8_lossy(octets)),
        Tag::TeletexString => {
            let unclear = octets.iter().position(|octet| !octet.is_ascii());
            let (clear, mark) = match unclear {
                Some(at) => (octets.get(..at).unwrap_or_default(), "\u{fffd}"),
                None => (octets, ""),
            };
            Some(String::from_utf8_lossy(clear) + mark)
        }
        Tag::BmpString => {
            let (units, rest) = octets.as_chunks::<2>();
            let units = units.iter().copied().map(u16::from_be_bytes);
            let mut text: String =
                char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect();
            if !rest.is_empty() {
                text.push('\u{fffd}');
            }
            Some(Cow::Owned(text))
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
