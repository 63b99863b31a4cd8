//! X.500 names in OpenSSL's one-line form, `/C=SE/O=Example/CN=gw7`: the form of isakmpd's `DN:` principals.
//!
//! The form is that of X509_NAME_oneline in OpenSSL 3. It escapes `/`, `+` and non-printable bytes but not the backslash, so that two
//! different names can have the same line; such names are refused here. LibreSSL escapes neither `/` nor `+`, and writes `/` between the
//! attributes of one relative name: a policy written for it must be adapted for such names. x509-parser is not used for names, because
//! it silently ends a name at the first part that it cannot read.

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use std::fmt;

/// The longest name that is accepted, in bytes of DER.
pub const MAX_DER: usize = 8 << 10;
/// The longest one-line form that is accepted, in bytes.
pub const MAX_LINE: usize = 16 << 10;
/// The longest attribute type that is accepted as numbers with points between, in characters.
pub const MAX_TYPE: usize = 79;

/// Why a name has no one-line form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not the DER of a Name (RFC 5280 §4.1.2.4) with string values.
    #[error("not a DER-encoded X.500 name: {0}")]
    Malformed(String),
    /// The name has no attributes. Its empty line would be that of every peer with an empty name.
    #[error("the name is empty; a principal needs at least one attribute")]
    Empty,
    /// The name, its line, or one of its attribute types is too long.
    #[error("the name or a part of it has {length} bytes or more; at most {limit} are taken")]
    TooLong {
        /// The length found until reading ended: bytes of the name or of its line, or characters of the attribute type.
        length: usize,
        /// The longest length that is allowed, in the same unit.
        limit: usize,
    },
    /// Another name would have the same one-line form, because of the value of this attribute type.
    #[error(
        "the value of `{0}` has a backslash at its end or before `x` and two hex digits, which makes its one-line form \
         that of another name, too"
    )]
    Ambiguous(String),
}

impl From<der::Error> for NameError {
    fn from(error: der::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// A distinguished name in its one-line form; only printable ASCII, never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DistinguishedName(String);

impl DistinguishedName {
    /// Reads a Name in DER:
    ///
    /// ```text
    /// Name                      ::= CHOICE { rdnSequence RDNSequence }              -- RFC 5280 §4.1.2.4
    /// RDNSequence               ::= SEQUENCE OF RelativeDistinguishedName
    /// RelativeDistinguishedName ::= SET SIZE (1..MAX) OF AttributeTypeAndValue
    /// AttributeTypeAndValue     ::= SEQUENCE { type OBJECT IDENTIFIER, value ANY }
    /// ```
    ///
    /// # Errors
    /// The DER is malformed, a value is not a string, the name is empty or too long, or its line would be ambiguous. An attribute type of
    /// more than [`MAX_TYPE`] characters is too long, because OpenSSL truncates it.
    pub fn from_der(name: &[u8]) -> Result<Self, NameError> {
        within(name.len(), MAX_DER)?;
        let mut line = String::with_capacity(2 * name.len());
        for rdn in parts(&sequence(AnyRef::from_der(name)?, Tag::Sequence)?)? {
            let attributes = parts(&sequence(rdn, Tag::Set)?)?;
            if attributes.is_empty() {
                return Err(NameError::Malformed("a relative distinguished name is empty".into()));
            }
            for (position, attribute) in attributes.into_iter().enumerate() {
                line.push(if position == 0 { '/' } else { '+' });
                push_attribute(&mut line, attribute)?;
                within(line.len(), MAX_LINE)?;
            }
        }
        if line.is_empty() { Err(NameError::Empty) } else { Ok(Self(line)) }
    }

    /// The one-line form.
    pub fn one_line(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn push_attribute(line: &mut String, attribute: AnyRef<'_>) -> Result<(), NameError> {
    let fields = parts(&sequence(attribute, Tag::Sequence)?)?;
    let [kind, value] = fields.as_slice() else {
        return Err(NameError::Malformed(format!(
            "an attribute has a type and a value, not {} fields",
            fields.len()
        )));
    };
    let numbers = dotted(sequence(*kind, Tag::ObjectIdentifier)?.value())?;
    let kind = short_name(&numbers).unwrap_or(&numbers);
    let bytes = text(*value)?;
    if is_ambiguous(bytes) {
        return Err(NameError::Ambiguous(kind.to_owned()));
    }
    line.push_str(kind);
    line.push('=');
    bytes.iter().for_each(|byte| push_escaped(line, *byte));
    Ok(())
}

/// The content octets of an object identifier (X.690 §8.19) as numbers with points between. The type of the crate `der` is not used,
/// because it does not accept `2.999`.
fn dotted(oid: &[u8]) -> Result<String, NameError> {
    let malformed = || NameError::Malformed("an attribute type is no object identifier".into());
    let mut text = String::new();
    let mut arc = None;
    for byte in oid {
        let begun: u128 = match (arc, byte) {
            (None, 0x80) => return Err(malformed()),
            (None, _) => 0,
            (Some(begun), _) => begun,
        };
        let value = begun.checked_mul(128).ok_or_else(malformed)? | u128::from(byte & 0x7f);
        arc = (byte & 0x80 != 0).then_some(value);
        if arc.is_none() {
            match (text.is_empty(), value) {
                (true, 0..40) => text = format!("0.{value}"),
                (true, 40..80) => text = format!("1.{}", value - 40),
                (true, _) => text = format!("2.{}", value - 80),
                (false, _) => text.push_str(&format!(".{value}")),
            }
        }
        if text.len() > MAX_TYPE {
            return Err(NameError::TooLong { length: text.len(), limit: MAX_TYPE });
        }
    }
    if text.is_empty() || arc.is_some() { Err(malformed()) } else { Ok(text) }
}

fn push_escaped(line: &mut String, byte: u8) {
    match byte {
        b'/' | b'+' => line.extend(['\\', char::from(byte)]),
        b' '..=b'~' => line.push(char::from(byte)),
        _ => {
            line.push_str("\\x");
            data_encoding::HEXUPPER.encode_append(&[byte], line);
        }
    }
}

/// Whether unescaped bytes could be read as an escape, or could escape the separator that follows them.
fn is_ambiguous(value: &[u8]) -> bool {
    let hex = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
    value.ends_with(b"\\")
        || value
            .windows(4)
            .any(|four| matches!(four, [b'\\', b'x', high, low] if hex(high) && hex(low)))
}

/// The octets of a string value. The types are those of a Name that OpenSSL reads, except for those that the crate `der` does not support.
fn text(value: AnyRef<'_>) -> Result<&[u8], NameError> {
    match value.tag() {
        Tag::Utf8String => match std::str::from_utf8(value.value()) {
            Ok(_) => Ok(value.value()),
            Err(_) => Err(NameError::Malformed("a UTF8String is not UTF-8".into())),
        },
        Tag::PrintableString
        | Tag::Ia5String
        | Tag::TeletexString
        | Tag::NumericString
        | Tag::BmpString => Ok(value.value()),
        other => Err(NameError::Malformed(format!("expected a string value, found {other}"))),
    }
}

fn sequence(value: AnyRef<'_>, tag: Tag) -> Result<AnyRef<'_>, NameError> {
    value.tag().assert_eq(tag)?;
    Ok(value)
}

fn parts<'a>(whole: &AnyRef<'a>) -> Result<Vec<AnyRef<'a>>, NameError> {
    let mut reader = SliceReader::new(whole.value())?;
    let mut parts = Vec::new();
    while !reader.is_finished() {
        parts.push(AnyRef::decode(&mut reader)?);
    }
    Ok(parts)
}

fn within(length: usize, limit: usize) -> Result<(), NameError> {
    if length > limit { Err(NameError::TooLong { length, limit }) } else { Ok(()) }
}

/// OpenSSL's short name of an attribute type, by its numbers; `None` if it has none.
pub(super) fn short_name(numbers: &str) -> Option<&'static str> {
    SHORT_NAMES.iter().find(|(oid, _)| *oid == numbers).map(|(_, short)| *short)
}

/// The short name that equals the text, or else one that equals it in another case; `None` if there is neither.
pub(super) fn type_of(name: &str) -> Option<&'static str> {
    let mut all = SHORT_NAMES.iter().map(|(_, short)| *short);
    all.clone()
        .find(|short| *short == name)
        .or_else(|| all.find(|short| short.eq_ignore_ascii_case(name)))
}

/// OpenSSL's short names of attribute types (X.520, RFC 4519, RFC 4524, PKCS #9, CA/Browser Forum, Russian law). A type
/// that is not here is written as its numbers.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.2", "textEncodedORAddress"),
    ("0.9.2342.19200300.100.1.3", "mail"),
    ("0.9.2342.19200300.100.1.4", "info"),
    ("0.9.2342.19200300.100.1.5", "favouriteDrink"),
    ("0.9.2342.19200300.100.1.6", "roomNumber"),
    ("0.9.2342.19200300.100.1.7", "photo"),
    ("0.9.2342.19200300.100.1.8", "userClass"),
    ("0.9.2342.19200300.100.1.9", "host"),
    ("0.9.2342.19200300.100.1.10", "manager"),
    ("0.9.2342.19200300.100.1.11", "documentIdentifier"),
    ("0.9.2342.19200300.100.1.12", "documentTitle"),
    ("0.9.2342.19200300.100.1.13", "documentVersion"),
    ("0.9.2342.19200300.100.1.14", "documentAuthor"),
    ("0.9.2342.19200300.100.1.15", "documentLocation"),
    ("0.9.2342.19200300.100.1.20", "homeTelephoneNumber"),
    ("0.9.2342.19200300.100.1.21", "secretary"),
    ("0.9.2342.19200300.100.1.22", "otherMailbox"),
    ("0.9.2342.19200300.100.1.23", "lastModifiedTime"),
    ("0.9.2342.19200300.100.1.24", "lastModifiedBy"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.26", "aRecord"),
    ("0.9.2342.19200300.100.1.27", "pilotAttributeType27"),
    ("0.9.2342.19200300.100.1.28", "mXRecord"),
    ("0.9.2342.19200300.100.1.29", "nSRecord"),
    ("0.9.2342.19200300.100.1.30", "sOARecord"),
    ("0.9.2342.19200300.100.1.31", "cNAMERecord"),
    ("0.9.2342.19200300.100.1.37", "associatedDomain"),
    ("0.9.2342.19200300.100.1.38", "associatedName"),
    ("0.9.2342.19200300.100.1.39", "homePostalAddress"),
    ("0.9.2342.19200300.100.1.40", "personalTitle"),
    ("0.9.2342.19200300.100.1.41", "mobileTelephoneNumber"),
    ("0.9.2342.19200300.100.1.42", "pagerTelephoneNumber"),
    ("0.9.2342.19200300.100.1.43", "friendlyCountryName"),
    ("0.9.2342.19200300.100.1.44", "uid"),
    ("0.9.2342.19200300.100.1.45", "organizationalStatus"),
    ("0.9.2342.19200300.100.1.46", "janetMailbox"),
    ("0.9.2342.19200300.100.1.47", "mailPreferenceOption"),
    ("0.9.2342.19200300.100.1.48", "buildingName"),
    ("0.9.2342.19200300.100.1.49", "dSAQuality"),
    ("0.9.2342.19200300.100.1.50", "singleLevelQuality"),
    ("0.9.2342.19200300.100.1.51", "subtreeMinimumQuality"),
    ("0.9.2342.19200300.100.1.52", "subtreeMaximumQuality"),
    ("0.9.2342.19200300.100.1.53", "personalSignature"),
    ("0.9.2342.19200300.100.1.54", "dITRedirect"),
    ("0.9.2342.19200300.100.1.55", "audio"),
    ("0.9.2342.19200300.100.1.56", "documentPublisher"),
    ("1.2.643.3.131.1.1", "INN"),
    ("1.2.643.100.1", "OGRN"),
    ("1.2.643.100.3", "SNILS"),
    ("1.2.643.100.5", "OGRNIP"),
    ("1.2.643.100.111", "subjectSignTool"),
    ("1.2.643.100.112", "issuerSignTool"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("1.2.840.113549.1.9.2", "unstructuredName"),
    ("1.2.840.113549.1.9.3", "contentType"),
    ("1.2.840.113549.1.9.4", "messageDigest"),
    ("1.2.840.113549.1.9.5", "signingTime"),
    ("1.2.840.113549.1.9.6", "countersignature"),
    ("1.2.840.113549.1.9.7", "challengePassword"),
    ("1.2.840.113549.1.9.8", "unstructuredAddress"),
    ("1.2.840.113549.1.9.9", "extendedCertificateAttributes"),
    ("1.3.6.1.4.1.311.60.2.1.1", "jurisdictionL"),
    ("1.3.6.1.4.1.311.60.2.1.2", "jurisdictionST"),
    ("1.3.6.1.4.1.311.60.2.1.3", "jurisdictionC"),
    ("1.3.6.1.5.5.7.9.1", "id-pda-dateOfBirth"),
    ("1.3.6.1.5.5.7.9.2", "id-pda-placeOfBirth"),
    ("1.3.6.1.5.5.7.9.3", "id-pda-gender"),
    ("1.3.6.1.5.5.7.9.4", "id-pda-countryOfCitizenship"),
    ("1.3.6.1.5.5.7.9.5", "id-pda-countryOfResidence"),
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.14", "searchGuide"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.16", "postalAddress"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.18", "postOfficeBox"),
    ("2.5.4.19", "physicalDeliveryOfficeName"),
    ("2.5.4.20", "telephoneNumber"),
    ("2.5.4.21", "telexNumber"),
    ("2.5.4.22", "teletexTerminalIdentifier"),
    ("2.5.4.23", "facsimileTelephoneNumber"),
    ("2.5.4.24", "x121Address"),
    ("2.5.4.25", "internationaliSDNNumber"),
    ("2.5.4.26", "registeredAddress"),
    ("2.5.4.27", "destinationIndicator"),
    ("2.5.4.28", "preferredDeliveryMethod"),
    ("2.5.4.29", "presentationAddress"),
    ("2.5.4.30", "supportedApplicationContext"),
    ("2.5.4.31", "member"),
    ("2.5.4.32", "owner"),
    ("2.5.4.33", "roleOccupant"),
    ("2.5.4.34", "seeAlso"),
    ("2.5.4.35", "userPassword"),
    ("2.5.4.36", "userCertificate"),
    ("2.5.4.37", "cACertificate"),
    ("2.5.4.38", "authorityRevocationList"),
    ("2.5.4.39", "certificateRevocationList"),
    ("2.5.4.40", "crossCertificatePair"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.45", "x500UniqueIdentifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.47", "enhancedSearchGuide"),
    ("2.5.4.48", "protocolInformation"),
    ("2.5.4.49", "distinguishedName"),
    ("2.5.4.50", "uniqueMember"),
    ("2.5.4.51", "houseIdentifier"),
    ("2.5.4.52", "supportedAlgorithms"),
    ("2.5.4.53", "deltaRevocationList"),
    ("2.5.4.54", "dmdName"),
    ("2.5.4.65", "pseudonym"),
    ("2.5.4.72", "role"),
    ("2.5.4.97", "organizationIdentifier"),
    ("2.5.4.98", "c3"),
    ("2.5.4.99", "n3"),
    ("2.5.4.100", "dnsName"),
];
