//! Rules on distinguished names (RFC 5280 §4.1.2.4 and §A.1).

use x509_parser::der_parser::asn1_rs::{Tag, oid};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::finding::Report;
use super::rules;
use crate::name::refuse_misleading;

/// The upper bounds of RFC 5280 §A.1, in characters, by the arcs of the attribute type's object identifier.
const BOUNDS: [(&[u64], usize); 9] = [
    (&[2, 5, 4, 3], 64),
    (&[2, 5, 4, 7], 128),
    (&[2, 5, 4, 8], 128),
    (&[2, 5, 4, 10], 64),
    (&[2, 5, 4, 11], 64),
    (&[2, 5, 4, 12], 64),
    (&[2, 5, 4, 5], 64),
    (&[2, 5, 4, 65], 128),
    (&[1, 2, 840, 113_549, 1, 9, 1], 255),
];

/// Lints a distinguished name, and adds the findings to `report`. `what` is `issuer` or `subject`, for the messages.
pub fn lint(what: &str, name: &X509Name<'_>, report: &mut Report) {
    for rdn in name.iter_rdn() {
        let mut seen = Vec::new();
        for attribute in rdn.iter() {
            if seen.contains(&attribute.attr_type()) {
                report.find(
                    &rules::NAME_TWICE,
                    format!("the {what} has `{}` twice in one RDN", attribute.attr_type()),
                );
            }
            seen.push(attribute.attr_type());
            lint_attribute(what, attribute, report);
        }
    }
}

/// Lints one attribute of a name: its string type, its characters and its length.
fn lint_attribute(what: &str, attribute: &AttributeTypeAndValue<'_>, report: &mut Report) {
    let kind = attribute.attr_type();
    let value = attribute.attr_value();
    let tag = value.header.tag();
    let expected: &[Tag] =
        if *kind == oid!(2.5.4.6) || *kind == oid!(2.5.4.5) || *kind == oid!(2.5.4.46) {
            &[Tag::PrintableString]
        } else if *kind == oid!(0.9.2342.19200300.100.1.25) || *kind == oid!(1.2.840.113549.1.9.1) {
            &[Tag::Ia5String]
        } else {
            &[Tag::Utf8String, Tag::PrintableString]
        };
    if !expected.contains(&tag) {
        report.find(&rules::NAME_STRING, format!("in the {what}, `{kind}` is a {tag}"));
        return;
    }
    let Ok(text) = std::str::from_utf8(value.data) else {
        report.find(&rules::NAME_STRING, format!("in the {what}, `{kind}` is not UTF-8"));
        return;
    };
    let printable = |c: char| c.is_ascii_alphanumeric() || " '()+,-./:=?".contains(c);
    if (tag == Tag::PrintableString && !text.chars().all(printable))
        || (tag == Tag::Ia5String && !text.is_ascii())
    {
        report.find(
            &rules::NAME_STRING,
            format!("in the {what}, `{kind}` holds characters that a {tag} cannot"),
        );
    }
    let length = text.chars().count();
    if length == 0 {
        report.find(&rules::NAME_EMPTY, format!("in the {what}, `{kind}` is empty"));
    }
    let bound = BOUNDS
        .iter()
        .find(|(arcs, _)| kind.iter().is_some_and(|found| found.eq(arcs.iter().copied())))
        .map(|(_, bound)| *bound);
    if *kind == oid!(2.5.4.6) && length != 2 && length != 0 {
        report.find(
            &rules::NAME_LENGTH,
            format!("in the {what}, a country has 2 letters, found {length}"),
        );
    } else if let Some(bound) = bound.filter(|bound| length > *bound) {
        report.find(
            &rules::NAME_LENGTH,
            format!(
                "in the {what}, `{kind}` has {length} characters, and at most {bound} are allowed"
            ),
        );
    }
    if refuse_misleading(text).is_err() {
        report.find(
            &rules::NAME_MISLEADING,
            format!("in the {what}, `{kind}` is `{}`", text.escape_unicode()),
        );
    }
}
