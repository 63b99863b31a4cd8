//! The directory's schema (RFC 4512 §4.2, RFC 4519, RFC 4523), its subschema entry, and its root DSE (RFC 4512 §5.1).

use bytes::Bytes;

use crate::entry::{Attribute, BINARY};
use crate::protocol::oid;

/// The DN of the subschema entry, where clients read the schema.
pub const SUBSCHEMA: &str = "cn=Subschema";

/// An attribute type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeType {
    /// The name of the type in the spelling of the schema.
    pub name: &'static str,
    /// The object identifier of the type.
    pub oid: &'static str,
    /// The rule by which filters and compare requests match its values.
    pub matching: Matching,
    /// Whether the attribute is operational: returned only if the client asks for it.
    pub is_operational: bool,
}

/// A matching rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matching {
    /// caseIgnoreMatch, or a rule that is equivalent for the values here.
    CaseIgnore,
    /// objectIdentifierMatch.
    ObjectIdentifier,
    /// distinguishedNameMatch.
    DistinguishedName,
    /// There is no matching rule. A filter on the attribute is Undefined, except for its presence.
    None,
}

const fn attribute(name: &'static str, oid: &'static str, matching: Matching) -> AttributeType {
    AttributeType { name, oid, matching, is_operational: false }
}

const fn operational(name: &'static str, oid: &'static str, matching: Matching) -> AttributeType {
    AttributeType { name, oid, matching, is_operational: true }
}

const TYPES: &[AttributeType] = &[
    attribute("objectClass", "2.5.4.0", Matching::ObjectIdentifier),
    attribute("cn", "2.5.4.3", Matching::CaseIgnore),
    attribute("serialNumber", "2.5.4.5", Matching::CaseIgnore),
    attribute("c", "2.5.4.6", Matching::CaseIgnore),
    attribute("l", "2.5.4.7", Matching::CaseIgnore),
    attribute("st", "2.5.4.8", Matching::CaseIgnore),
    attribute("o", "2.5.4.10", Matching::CaseIgnore),
    attribute("ou", "2.5.4.11", Matching::CaseIgnore),
    attribute("uid", "0.9.2342.19200300.100.1.1", Matching::CaseIgnore),
    attribute("dc", "0.9.2342.19200300.100.1.25", Matching::CaseIgnore),
    attribute("userCertificate", "2.5.4.36", Matching::None),
    attribute("cACertificate", "2.5.4.37", Matching::None),
    attribute("authorityRevocationList", "2.5.4.38", Matching::None),
    attribute("certificateRevocationList", "2.5.4.39", Matching::None),
    attribute("crossCertificatePair", "2.5.4.40", Matching::None),
    attribute("deltaRevocationList", "2.5.4.53", Matching::None),
    operational("subschemaSubentry", "2.5.18.10", Matching::DistinguishedName),
    operational("namingContexts", "1.3.6.1.4.1.1466.101.120.5", Matching::DistinguishedName),
    operational("supportedExtension", "1.3.6.1.4.1.1466.101.120.7", Matching::ObjectIdentifier),
    operational("supportedControl", "1.3.6.1.4.1.1466.101.120.13", Matching::ObjectIdentifier),
    operational("supportedLDAPVersion", "1.3.6.1.4.1.1466.101.120.15", Matching::CaseIgnore),
    operational("supportedFeatures", "1.3.6.1.4.1.4203.1.3.5", Matching::ObjectIdentifier),
    operational("vendorName", "1.3.6.1.1.4", Matching::CaseIgnore),
    operational("vendorVersion", "1.3.6.1.1.5", Matching::CaseIgnore),
    operational("attributeTypes", "2.5.21.5", Matching::None),
    operational("objectClasses", "2.5.21.6", Matching::None),
];

/// Object classes: name, object identifier, and the rest of the description (RFC 4512 §4.1.1).
const CLASSES: &[(&str, &str, &str)] = &[
    ("top", "2.5.6.0", "ABSTRACT MUST objectClass"),
    ("country", "2.5.6.2", "SUP top STRUCTURAL MUST c"),
    ("locality", "2.5.6.3", "SUP top STRUCTURAL MAY ( st $ l )"),
    ("organization", "2.5.6.4", "SUP top STRUCTURAL MUST o MAY ( st $ l )"),
    ("organizationalUnit", "2.5.6.5", "SUP top STRUCTURAL MUST ou MAY ( st $ l )"),
    ("applicationProcess", "2.5.6.11", "SUP top STRUCTURAL MUST cn MAY ( ou $ l )"),
    ("device", "2.5.6.14", "SUP top STRUCTURAL MUST cn MAY ( serialNumber $ ou $ o $ l )"),
    (
        "cRLDistributionPoint",
        "2.5.6.19",
        "SUP top STRUCTURAL MUST cn MAY ( certificateRevocationList $ authorityRevocationList $ deltaRevocationList )",
    ),
    ("pkiUser", "2.5.6.21", "SUP top AUXILIARY MAY userCertificate"),
    (
        "pkiCA",
        "2.5.6.22",
        "SUP top AUXILIARY MAY ( cACertificate $ certificateRevocationList $ authorityRevocationList $ crossCertificatePair )",
    ),
    ("deltaCRL", "2.5.6.23", "SUP top AUXILIARY MAY deltaRevocationList"),
    ("account", "0.9.2342.19200300.100.4.5", "SUP top STRUCTURAL MUST uid MAY ( l $ o $ ou )"),
    ("dcObject", "1.3.6.1.4.1.1466.344", "SUP top AUXILIARY MUST dc"),
    ("subentry", "2.5.17.0", "SUP top STRUCTURAL MUST cn"),
    ("subschema", "2.5.20.1", "AUXILIARY MAY ( attributeTypes $ objectClasses )"),
];

/// Reads a client's attribute description; `None` if the type is unknown, or there is an option other than `;binary`.
pub fn attribute_type(description: &str) -> Option<&'static AttributeType> {
    let (name, is_binary) = match description.split_once(';') {
        None => (description, false),
        Some((name, option)) if option.eq_ignore_ascii_case("binary") => (name, true),
        Some(_) => return None,
    };
    let found =
        TYPES.iter().find(|known| known.oid == name || known.name.eq_ignore_ascii_case(name))?;
    (!is_binary || BINARY.contains(&found.name)).then_some(found)
}

/// The object identifier of an object class, which may be given by name or by object identifier; `None` if the class is unknown.
pub fn object_class(name: &str) -> Option<&'static str> {
    let found =
        CLASSES.iter().find(|(known, oid, _)| *oid == name || known.eq_ignore_ascii_case(name));
    found.map(|(_, oid, _)| *oid)
}

/// The attributes of the root DSE. With TLS, it offers StartTLS.
pub fn root_dse(naming_contexts: &[String], has_tls: bool) -> Vec<Attribute> {
    let mut extensions = vec![oid::WHO_AM_I];
    extensions.extend(has_tls.then_some(oid::START_TLS));
    let text = |name, values: &[&str]| {
        Attribute::new(name, values.iter().map(|value| Bytes::from((*value).to_owned())))
    };
    let mut attributes = vec![text("objectClass", &["top"])];
    if !naming_contexts.is_empty() {
        let contexts: Vec<&str> = naming_contexts.iter().map(String::as_str).collect();
        attributes.push(text("namingContexts", &contexts));
    }
    attributes.extend([
        text("subschemaSubentry", &[SUBSCHEMA]),
        text("supportedLDAPVersion", &["3"]),
        // There are no referrals here, so that ManageDsaIT changes nothing (RFC 3296 §3).
        text("supportedControl", &[oid::PAGED_RESULTS, oid::MANAGE_DSA_IT]),
        text("supportedExtension", &extensions),
        // All operational attributes (RFC 3673), absolute true and false filters (RFC 4526).
        text("supportedFeatures", &["1.3.6.1.4.1.4203.1.5.1", "1.3.6.1.4.1.4203.1.5.3"]),
        text("vendorName", &["Countersign"]),
        text("vendorVersion", &[env!("CARGO_PKG_VERSION")]),
    ]);
    attributes
}

/// The attributes of the subschema.
pub fn subschema() -> Vec<Attribute> {
    let types = TYPES.iter().map(|known| {
        let (syntax, rule) = match known.matching {
            Matching::CaseIgnore => ("1.3.6.1.4.1.1466.115.121.1.15", "EQUALITY caseIgnoreMatch "),
            Matching::ObjectIdentifier => {
                ("1.3.6.1.4.1.1466.115.121.1.38", "EQUALITY objectIdentifierMatch ")
            }
            Matching::DistinguishedName => {
                ("1.3.6.1.4.1.1466.115.121.1.12", "EQUALITY distinguishedNameMatch ")
            }
            Matching::None if BINARY.contains(&known.name) => (binary_syntax(known.name), ""),
            Matching::None => ("1.3.6.1.4.1.1466.115.121.1.15", ""),
        };
        let usage = if known.is_operational { " USAGE directoryOperation" } else { "" };
        Bytes::from(format!("( {} NAME '{}' {rule}SYNTAX {syntax}{usage} )", known.oid, known.name))
    });
    let classes = CLASSES
        .iter()
        .map(|(name, oid, text)| Bytes::from(format!("( {oid} NAME '{name}' {text} )")));
    vec![
        Attribute::new("objectClass", ["top", "subentry", "subschema"].map(Bytes::from)),
        Attribute::new("cn", [Bytes::from("Subschema")]),
        Attribute::new("attributeTypes", types),
        Attribute::new("objectClasses", classes),
    ]
}

/// The syntax of a binary attribute type (RFC 4523 §2): Certificate, Certificate Pair or Certificate List.
fn binary_syntax(name: &str) -> &'static str {
    match name {
        "userCertificate" | "cACertificate" => "1.3.6.1.4.1.1466.115.121.1.8",
        "crossCertificatePair" => "1.3.6.1.4.1.1466.115.121.1.10",
        _ => "1.3.6.1.4.1.1466.115.121.1.9",
    }
}
