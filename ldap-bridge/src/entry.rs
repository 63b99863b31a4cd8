//! Entries of a directory as values (RFC 4512 §2, schema of RFC 4523). There is no I/O here.

use bytes::Bytes;

use crate::dn::Dn;

/// One entry: its name, its object classes and its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name of the entry.
    pub dn: Dn,
    /// The object classes of the entry, the structural one first, without `top`.
    pub classes: Vec<&'static str>,
    /// The attributes of the entry besides `objectClass`. Each occurs once, with at least one value.
    pub attributes: Vec<Attribute>,
}

/// An attribute with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The type of the attribute in the spelling of the schema, without options.
    pub name: &'static str,
    /// The values of the attribute: DER for the types of RFC 4523, otherwise UTF-8. Cloning a value does not copy its octets.
    pub values: Vec<Bytes>,
}

impl Attribute {
    /// Makes an attribute with these values.
    pub fn new(name: &'static str, values: impl IntoIterator<Item = Bytes>) -> Self {
        Self { name, values: values.into_iter().collect() }
    }

    /// Whether the attribute is transferred with the option `;binary` (RFC 4522, RFC 4523 §2).
    pub fn is_binary(&self) -> bool {
        is_binary(self.name)
    }

    /// The attribute description in messages: the type, with `;binary` if the type demands that.
    pub fn description(&self) -> String {
        if self.is_binary() { format!("{};binary", self.name) } else { self.name.to_owned() }
    }
}

impl Entry {
    /// The values of an attribute; none if the entry does not have it. The case of the type makes no difference.
    pub fn values(&self, name: &str) -> &[Bytes] {
        self.attributes
            .iter()
            .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
            .map_or(&[], |attribute| attribute.values.as_slice())
    }
}

/// The certificates of a CA (RFC 4523 §4.2).
pub const CA_CERTIFICATE: &str = "cACertificate";
/// The certificates of a peer (RFC 4523 §4.1).
pub const USER_CERTIFICATE: &str = "userCertificate";
/// A CRL (RFC 4523 §4.4).
pub const CERTIFICATE_REVOCATION_LIST: &str = "certificateRevocationList";
/// A CRL that lists certificates of CAs (RFC 4523 §4.5).
pub const AUTHORITY_REVOCATION_LIST: &str = "authorityRevocationList";
/// A delta CRL (RFC 4523 §4.6).
pub const DELTA_REVOCATION_LIST: &str = "deltaRevocationList";
/// The certificate that a CA has from another CA, as a CertificatePair (RFC 4523 §4.3).
pub const CROSS_CERTIFICATE_PAIR: &str = "crossCertificatePair";

/// The attributes of RFC 4523 that hold DER and need `;binary`.
pub const BINARY: [&str; 6] = [
    USER_CERTIFICATE,
    CA_CERTIFICATE,
    CROSS_CERTIFICATE_PAIR,
    CERTIFICATE_REVOCATION_LIST,
    AUTHORITY_REVOCATION_LIST,
    DELTA_REVOCATION_LIST,
];

/// Whether an attribute type holds DER and needs `;binary`.
pub fn is_binary(name: &str) -> bool {
    BINARY.iter().any(|binary| binary.eq_ignore_ascii_case(name))
}
