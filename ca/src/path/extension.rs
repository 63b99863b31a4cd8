//! Extensions of CRLs, of CRL entries and of OCSP responses, in their encoded form. Their identifiers may be longer
//! than the DER library supports.

use data_encoding::HEXLOWER;
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Reader, SliceReader, Tag, Tagged};

/// The most extensions of one object.
const MAX_EXTENSIONS: usize = 64;

/// An extension, borrowed from its encoded form.
///
/// ```text
/// Extension  ::=  SEQUENCE  {
///      extnID      OBJECT IDENTIFIER,
///      critical    BOOLEAN DEFAULT FALSE,
///      extnValue   OCTET STRING }
/// ```
/// RFC 5280 §4.1.
#[derive(Debug, Clone, Copy)]
pub struct Extension<'a> {
    id: &'a [u8],
    /// Whether a reader that does not know the extension must reject the object.
    pub critical: bool,
    /// The content octets of extnValue.
    pub value: &'a [u8],
}

impl<'a> Extension<'a> {
    /// Reads `Extensions ::= SEQUENCE SIZE (1..MAX) OF Extension`, DER.
    ///
    /// # Errors
    /// The octets cannot be read, or there are more than 64 extensions.
    pub fn all(der: &'a [u8]) -> der::Result<Vec<Self>> {
        let outer = AnyRef::from_der(der)?;
        outer.tag().assert_eq(Tag::Sequence)?;
        let mut reader = SliceReader::new(outer.value())?;
        let mut all = Vec::new();
        while !reader.is_finished() {
            if all.len() == MAX_EXTENSIONS {
                return Err(der::ErrorKind::Overlength.into());
            }
            all.push(Self::read(AnyRef::decode(&mut reader)?)?);
        }
        Ok(all)
    }

    /// Reads one extension.
    fn read(extension: AnyRef<'a>) -> der::Result<Self> {
        extension.tag().assert_eq(Tag::Sequence)?;
        let mut reader = SliceReader::new(extension.value())?;
        let id = AnyRef::decode(&mut reader)?;
        id.tag().assert_eq(Tag::ObjectIdentifier)?;
        let critical = reader.peek_tag()? == Tag::Boolean && bool::decode(&mut reader)?;
        let value = OctetStringRef::decode(&mut reader)?;
        reader.finish(Self { id: id.value(), critical, value: value.as_bytes() })
    }

    /// Whether the extension has this identifier.
    pub fn is(&self, id: &ObjectIdentifier) -> bool {
        self.id == id.as_bytes()
    }

    /// The identifier as people read it: dotted, or the first 64 of its octets in hexadecimal digits if the DER library
    /// cannot represent it.
    pub fn shown(&self) -> String {
        let short = ObjectIdentifier::from_bytes(self.id).map(|id| id.to_string());
        short.unwrap_or_else(|_| {
            format!("0x{}", HEXLOWER.encode(self.id.get(..64).unwrap_or(self.id)))
        })
    }

    /// An extension that occurs twice, which RFC 5280 §4.2 forbids; `None` if there is none.
    pub fn twice(all: &[Self]) -> Option<&Self> {
        let mut rest = all;
        while let Some((first, others)) = rest.split_first() {
            if others.iter().any(|other| other.id == first.id) {
                return Some(first);
            }
            rest = others;
        }
        None
    }
}
