//! Evaluates filters, with the three truth values of RFC 4511 §4.5.1.7.

use bytes::Bytes;
use ldap3_proto::proto::{LdapFilter, LdapSubstringFilter};

use super::schema::{Matching, attribute_type, object_class};
use super::snapshot::{Encoded, Node};
use crate::dn::{Dn, prepared};

/// Whether an entry matches a filter; `None` is the truth value Undefined. It recurses; the caller first checks the depth that [`size`]
/// returns.
pub fn matches(filter: &LdapFilter, node: &Node) -> Option<bool> {
    match filter {
        LdapFilter::And(all) => fold(all.iter().map(|one| matches(one, node)), false),
        LdapFilter::Or(any) => fold(any.iter().map(|one| matches(one, node)), true),
        LdapFilter::Not(one) => matches(one, node).map(|value| !value),
        LdapFilter::Present(description) => {
            attribute_type(description).map(|kind| node.attribute(kind).is_some())
        }
        LdapFilter::Equality(description, value) | LdapFilter::Approx(description, value) => {
            any_value(node, description, |attribute| equals(attribute, value))
        }
        LdapFilter::Substring(description, parts) => {
            any_value(node, description, |attribute| contains(attribute, parts))
        }
        LdapFilter::GreaterOrEqual(..)
        | LdapFilter::LessOrEqual(..)
        | LdapFilter::Extensible(_) => None,
    }
}

/// The size of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The number of the filter's parts, including the parts of substring filters that are neither initial nor final.
    pub parts: usize,
    /// The depth to which the parts are nested; 1 for a single part.
    pub depth: usize,
}

/// Measures a filter, without recursion.
pub fn size(filter: &LdapFilter) -> Size {
    let (mut count, mut deepest) = (0usize, 0usize);
    let mut waiting = vec![(filter, 1usize)];
    while let Some((filter, depth)) = waiting.pop() {
        count = count.saturating_add(1);
        deepest = deepest.max(depth);
        match filter {
            LdapFilter::And(parts) | LdapFilter::Or(parts) => {
                waiting.extend(parts.iter().map(|part| (part, depth.saturating_add(1))));
            }
            LdapFilter::Not(part) => waiting.push((part, depth.saturating_add(1))),
            LdapFilter::Substring(_, parts) => count = count.saturating_add(parts.any.len()),
            _ => {}
        }
    }
    Size { parts: count, depth: deepest }
}

/// Whether a value of the attribute equals the assertion; `None` if the attribute has no equality rule here, or the assertion is no known
/// object class or no DN where one is needed.
pub fn equals(attribute: &Encoded, assertion: &str) -> Option<bool> {
    let texts = attribute.values.iter().filter_map(text);
    match attribute.kind.matching {
        Matching::CaseIgnore => {
            let wanted = prepared(assertion);
            Some(texts.into_iter().any(|value| prepared(value) == wanted))
        }
        Matching::ObjectIdentifier if attribute.kind.name == "objectClass" => {
            let wanted = object_class(assertion)?;
            Some(texts.into_iter().any(|value| object_class(value) == Some(wanted)))
        }
        Matching::ObjectIdentifier => Some(texts.into_iter().any(|value| value == assertion)),
        Matching::DistinguishedName => {
            let wanted: Dn = assertion.parse().ok()?;
            let key = |value: &str| value.parse::<Dn>().map(|dn| dn.key());
            Some(texts.into_iter().any(|value| key(value).is_ok_and(|key| key == wanted.key())))
        }
        Matching::None => None,
    }
}

/// Combines truth values: by "or" if `decisive` is true, by "and" if it is false.
fn fold(values: impl Iterator<Item = Option<bool>>, decisive: bool) -> Option<bool> {
    let mut result = Some(!decisive);
    for value in values {
        match value {
            Some(value) if value == decisive => return Some(decisive),
            None => result = None,
            Some(_) => {}
        }
    }
    result
}

/// Evaluates a test on an attribute. The test is Undefined for an unknown attribute. For an attribute that the entry does not have, it is
/// false, or Undefined if the attribute has no matching rule.
fn any_value(
    node: &Node,
    description: &str,
    holds: impl Fn(&Encoded) -> Option<bool>,
) -> Option<bool> {
    let kind = attribute_type(description)?;
    match node.attribute(kind) {
        Some(attribute) => holds(attribute),
        None if kind.matching == Matching::None => None,
        None => Some(false),
    }
}

fn contains(attribute: &Encoded, parts: &LdapSubstringFilter) -> Option<bool> {
    (attribute.kind.matching == Matching::CaseIgnore)
        .then(|| attribute.values.iter().filter_map(text).any(|value| has_parts(value, parts)))
}

/// Whether a value has the parts of a substring filter, in order and without regard to case (RFC 4517 §4.2.13).
fn has_parts(value: &str, parts: &LdapSubstringFilter) -> bool {
    let value = prepared(value);
    let mut rest = value.as_str();
    if let Some(initial) = &parts.initial {
        match rest.strip_prefix(folded(initial).trim_start()) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    for part in &parts.any {
        let part = folded(part);
        match rest.find(part.as_str()) {
            Some(at) => rest = rest.get(at.saturating_add(part.len())..).unwrap_or_default(),
            None => return false,
        }
    }
    parts.final_.as_ref().is_none_or(|last| rest.ends_with(folded(last).trim_end()))
}

/// Prepares a part of a substring filter: lower case, and single inner spaces. Outer spaces stay, because a part may begin or end with one.
fn folded(part: &str) -> String {
    let mut text = String::new();
    for c in part.to_lowercase().chars() {
        if c != ' ' || !text.ends_with(' ') {
            text.push(c);
        }
    }
    text
}

fn text(value: &Bytes) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use ldap3_proto::parse_ldap_filter_str;

    use super::*;
    use crate::entry::Attribute;

    #[test]
    fn truth_has_three_values() {
        let node = Node::apart(
            "cn=x",
            &[
                Attribute::new("objectClass", ["top", "pkiUser"].map(Bytes::from)),
                Attribute::new("cn", [Bytes::from("Gateway  One"), Bytes::from("gw1")]),
                Attribute::new("userCertificate", [Bytes::from_static(b"\x30\x00")]),
            ],
        );
        for (filter, expected) in [
            ("(objectClass=*)", Some(true)),
            ("(objectclass=PKIUSER)", Some(true)),
            ("(objectclass=2.5.6.21)", Some(true)),
            ("(objectclass=pkiCA)", Some(false)),
            ("(objectclass=spaceship)", None),
            ("(commonName=gw1)", None),
            ("(cn=gw2)", Some(false)),
            ("(ou=x)", Some(false)),
            ("(cn=gate*one)", Some(true)),
            ("(cn=*one*way*)", Some(false)),
            ("(cn=g*1)", Some(true)),
            ("(colour=red)", None),
            ("(!(colour=red))", None),
            ("(&(cn=gw1)(colour=red))", None),
            ("(&(cn=gw2)(colour=red))", Some(false)),
            ("(|(cn=gw1)(colour=red))", Some(true)),
            ("(|(cn=gw2)(colour=red))", None),
            ("(!(cn=gw2))", Some(true)),
            ("(userCertificate=*)", Some(true)),
            ("(cACertificate=*)", Some(false)),
            ("(userCertificate=x)", None),
            ("(cn>=a)", None),
            ("(cn~=GW1)", Some(true)),
        ] {
            let parsed = parse_ldap_filter_str(filter).unwrap();
            assert_eq!(matches(&parsed, &node), expected, "{filter}");
        }
        // The test's parser of filters takes no spaces, no OIDs and no options.
        let option = |name: &str| matches(&LdapFilter::Present(name.into()), &node);
        assert_eq!((option("userCertificate;binary"), option("cn;binary")), (Some(true), None));
        let by_oid = LdapFilter::Equality("2.5.4.3".into(), "GW1".into());
        assert_eq!(matches(&by_oid, &node), Some(true));
        let spaced = LdapFilter::Equality("CN".into(), " gateway  ONE".into());
        assert_eq!(matches(&spaced, &node), Some(true));
        for (part, expected) in [("way o", true), ("way  o", true), ("wayo", false)] {
            let parts = LdapSubstringFilter { any: vec![part.into()], ..Default::default() };
            let filter = LdapFilter::Substring("cn".into(), parts);
            assert_eq!(matches(&filter, &node), Some(expected), "{part}");
        }
        assert_eq!(matches(&LdapFilter::And(vec![]), &node), Some(true));
        assert_eq!(matches(&LdapFilter::Or(vec![]), &node), Some(false));
    }
}
