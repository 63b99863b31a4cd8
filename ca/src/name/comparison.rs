//! Comparison of distinguished names (RFC 5280 §7.1).

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use der::{Any, Tag, Tagged};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::{Name, RelativeDistinguishedName};

use super::likeness::Likeness;
use super::prepared;

/// Whether two names are certainly the same. Strings are compared after the preparation of RFC 4518: without regard to
/// case, and with any white space as one space.
pub fn same_name(left: &Name, right: &Name) -> bool {
    left.0.len() == right.0.len() && is_within(left, right)
}

/// Whether `name` certainly equals `above` or lies below it: its first RDNs are those of `above`.
pub fn is_within(name: &Name, above: &Name) -> bool {
    likeness_within(name, above) == Likeness::Same
}

/// A text that is equal for all names that are the same, for use as a look-up key only. Two different names may share
/// it.
pub fn normal_name(name: &Name) -> String {
    let part = |part: &RelativeDistinguishedName| {
        let mut all: Vec<String> = part.0.iter().map(normal_attribute).collect();
        all.sort_unstable();
        all.join("+")
    };
    name.0.iter().map(part).collect::<Vec<_>>().join(",")
}

/// The look-up text of one attribute.
fn normal_attribute(attribute: &AttributeTypeAndValue) -> String {
    let value = match text(&attribute.value) {
        Some(text) => prepared::normal(&text),
        None => HEXLOWER.encode(attribute.value.value()),
    };
    format!("{}={value}", attribute.oid)
}

/// How certainly `name` equals `above` or lies below it.
pub fn likeness_within(name: &Name, above: &Name) -> Likeness {
    if name.0.len() < above.0.len() {
        return Likeness::Different;
    }
    least(name.0.iter().zip(&above.0).map(|(part, other)| part_likeness(part, other)))
}

/// How certainly two RDNs are the same. Their attributes may be in any order.
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
    // With one attribute, or once the RDNs differ, the reverse comparison adds nothing. It is needed only if an RDN has
    // an attribute type twice.
    if left.0.len() == 1 || one_way == Likeness::Different {
        return one_way;
    }
    one_way.min(least(right.0.iter().map(|attribute| found(attribute, left))))
}

/// The least certain of these likenesses; `Same` if there are none. It stops at the first difference.
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

/// How certainly two attribute values are the same.
fn value_likeness(left: &Any, right: &Any) -> Likeness {
    if left == right {
        return Likeness::Same;
    }
    match (text(left), text(right)) {
        (Some(left), Some(right)) => prepared::likeness(&left, &right),
        (None, None) => Likeness::Different,
        // One value is text and the other is not, so they cannot be compared.
        _ => Likeness::Uncertain,
    }
}

/// The text of an attribute value; `None` if the value is not of a string type.
///
/// ```text
/// DirectoryString ::= CHOICE {
///     teletexString    TeletexString (SIZE (1..MAX)),
///     printableString  PrintableString (SIZE (1..MAX)),
///     universalString  UniversalString (SIZE (1..MAX)),
///     utf8String       UTF8String (SIZE (1..MAX)),
///     bmpString        BMPString (SIZE (1..MAX)) }
/// ```
/// RFC 5280 §4.1.2.4, and the string types of other attributes.
///
/// Where a value cannot be decoded, the text ends, with U+FFFD as its last character. RFC 4518 prohibits that
/// character, so the comparison becomes uncertain. The non-ASCII part of a TeletexString is treated the same way:
/// issuers write T.61, Latin-1 or UTF-8 there. `path/legible.rs` has replaced UniversalStrings with UTF8Strings before.
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
