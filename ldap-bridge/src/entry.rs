//! Entries of a directory, as values (RFC 4512 §2, schema of RFC 4523). Nothing here talks to anybody.

use bytes::Bytes;

use crate::dn::Dn;

/// One entry: its name, its object classes and its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub dn: Dn,
    /// Its object classes; the structural one first.
    pub classes: Vec<&'static str>,
    /// Its attributes apart from `objectClass`, each at most once, each with at least one value.
    pub attributes: Vec<Attribute>,
}

/// An attribute with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its type, as the schema spells it, without options.
    pub name: &'static str,
    /// Its values: DER for the types of RFC 4523, else UTF-8. Large ones are shared, never copied.
    pub values: Vec<Bytes>,
}

impl Attribute {
    /// An attribute with these values.
    pub fn new(name: &'static str, values: impl IntoIterator<Item = Bytes>) -> Self {
        Self { name, values: values.into_iter().collect() }
    }

    /// Whether it is transferred with the option `;binary` (RFC 4522, RFC 4523 §2).
    pub fn is_binary(&self) -> bool {
        is_binary(self.name)
    }

    /// Its description for a transfer: with `;binary` if its type asks for that.
    pub fn description(&self) -> String {
        if self.is_binary() { format!("{};binary", self.name) } else { self.name.to_owned() }
    }
}

impl Entry {
    /// The values of an attribute, whose type is compared without regard to case.
    pub fn values(&self, name: &str) -> &[Bytes] {
        self.attributes
            .iter()
            .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
            .map_or(&[], |attribute| attribute.values.as_slice())
    }
}

/// RFC 4523 §2.2.
pub const CA_CERTIFICATE: &str = "cACertificate";
/// RFC 4523 §2.1.
pub const USER_CERTIFICATE: &str = "userCertificate";
/// RFC 4523 §2.4.
pub const CERTIFICATE_REVOCATION_LIST: &str = "certificateRevocationList";
/// RFC 4523 §2.5.
pub const AUTHORITY_REVOCATION_LIST: &str = "authorityRevocationList";
/// RFC 4523 §2.6.
pub const DELTA_REVOCATION_LIST: &str = "deltaRevocationList";
/// RFC 4523 §2.3.
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
