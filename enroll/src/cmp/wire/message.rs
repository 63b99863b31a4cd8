//! PKIMessage and PKIHeader (RFC 9810 §5.1). The octets of header and body are kept as they were received, because the protection is
//! computed over them: encoded anew, they might differ.

use std::ops::RangeInclusive;

use der::asn1::{Any, AnyRef, BitString, GeneralizedTime, Int, OctetString};
use der::{Decode, Encode, Reader, Sequence, SliceReader, Tag, TagNumber, Tagged};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::pkix::name::GeneralName;

use super::refusal::{Failure, Refusal};

/// The most certificates in extraCerts that are accepted.
const MAX_EXTRA_CERTS: usize = 16;

/// The lengths of a nonce that are accepted, in octets: at least 128 bits (RFC 9810 §5.1.1, RFC 9483 §3.5).
pub const NONCE: RangeInclusive<usize> = 16..=64;

/// The header of a message (RFC 9810 §5.1.1).
///
/// ```text
/// PKIHeader ::= SEQUENCE {
///     pvno                INTEGER     { cmp1999(1), cmp2000(2), cmp2021(3) },
///     sender              GeneralName,
///     recipient           GeneralName,
///     messageTime     [0] GeneralizedTime         OPTIONAL,
///     protectionAlg   [1] AlgorithmIdentifier     OPTIONAL,
///     senderKID       [2] KeyIdentifier           OPTIONAL,
///     recipKID        [3] KeyIdentifier           OPTIONAL,
///     transactionID   [4] OCTET STRING            OPTIONAL,
///     senderNonce     [5] OCTET STRING            OPTIONAL,
///     recipNonce      [6] OCTET STRING            OPTIONAL,
///     freeText        [7] PKIFreeText             OPTIONAL,
///     generalInfo     [8] SEQUENCE SIZE (1..MAX) OF InfoTypeAndValue OPTIONAL }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct PkiHeader {
    /// The version of the syntax: 2 for cmp2000, 3 for cmp2021.
    pub pvno: Int,
    /// The sender's name.
    pub sender: GeneralName,
    /// The recipient's name.
    pub recipient: GeneralName,
    /// When the sender made the message.
    #[asn1(context_specific = "0", optional = "true")]
    pub message_time: Option<GeneralizedTime>,
    /// The algorithm of the protection, with its parameters.
    #[asn1(context_specific = "1", optional = "true")]
    pub protection_alg: Option<AlgorithmIdentifierOwned>,
    /// The key of the sender that protects the message: the reference of a secret, or a subject key identifier.
    #[asn1(context_specific = "2", optional = "true")]
    pub sender_kid: Option<OctetString>,
    /// The recipient's key. Nothing here sets it or reads it.
    #[asn1(context_specific = "3", optional = "true")]
    pub recip_kid: Option<OctetString>,
    /// Identifies the transaction.
    #[asn1(context_specific = "4", optional = "true")]
    pub transaction_id: Option<OctetString>,
    /// A fresh random number of the sender.
    #[asn1(context_specific = "5", optional = "true")]
    pub sender_nonce: Option<OctetString>,
    /// The senderNonce of the message that this one answers.
    #[asn1(context_specific = "6", optional = "true")]
    pub recip_nonce: Option<OctetString>,
    /// Text for people.
    #[asn1(context_specific = "7", optional = "true")]
    pub free_text: Option<Vec<String>>,
    /// Further information, such as implicitConfirm.
    #[asn1(context_specific = "8", optional = "true")]
    pub general_info: Option<Vec<InfoTypeAndValue>>,
}

/// One piece of information, in generalInfo or in a general message (RFC 9810 §5.1.1 and §5.3.19).
///
/// ```text
/// InfoTypeAndValue ::= SEQUENCE {
///     infoType               OBJECT IDENTIFIER,
///     infoValue              ANY DEFINED BY infoType  OPTIONAL }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct InfoTypeAndValue {
    /// The kind of information.
    pub info_type: der::oid::ObjectIdentifier,
    /// The information.
    pub info_value: Option<Any>,
}

/// A PKIMessage as it was received (RFC 9810 §5.1).
///
/// ```text
/// PKIMessage ::= SEQUENCE {
///     header           PKIHeader,
///     body             PKIBody,
///     protection   [0] PKIProtection OPTIONAL,
///     extraCerts   [1] SEQUENCE SIZE (1..MAX) OF CMPCertificate OPTIONAL }
/// ```
#[derive(Debug, Clone)]
pub struct Message {
    /// The header.
    pub header: PkiHeader,
    /// The kind of the body: the number of its context tag ([`super::kind`]).
    pub kind: u8,
    /// The content of the body: the element inside its context tag.
    pub body: Any,
    /// The octets of the protection: a MAC or a signature. `None` without one.
    pub protection: Option<Vec<u8>>,
    /// extraCerts, DER.
    pub extra_certs: Vec<Vec<u8>>,
    /// ProtectedPart, DER, over which the protection is computed.
    pub protected_part: Vec<u8>,
}

impl Message {
    /// Decodes a message that passed [`super::bounds::check`].
    ///
    /// # Errors
    /// `badDataFormat` for anything that is not a PKIMessage.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = |e: der::Error| {
            Refusal::new(Failure::BadDataFormat, format!("expected a PKIMessage: {e}"))
        };
        let outer = AnyRef::from_der(bytes).map_err(malformed)?;
        if outer.tag() != Tag::Sequence {
            return Err(Refusal::new(
                Failure::BadDataFormat,
                "expected a PKIMessage, which is a SEQUENCE",
            ));
        }
        let mut reader = SliceReader::new(outer.value()).map_err(malformed)?;
        let header_bytes = reader.tlv_bytes().map_err(malformed)?;
        let body_bytes = reader.tlv_bytes().map_err(malformed)?;
        let header = PkiHeader::from_der(header_bytes).map_err(|e| {
            Refusal::new(Failure::BadDataFormat, format!("expected a PKIHeader: {e}"))
        })?;
        let tagged = AnyRef::from_der(body_bytes).map_err(malformed)?;
        let Tag::ContextSpecific { constructed: true, number } = tagged.tag() else {
            return Err(Refusal::new(
                Failure::BadDataFormat,
                "expected a PKIBody, which has a context tag",
            ));
        };
        let body = Any::from_der(tagged.value()).map_err(malformed)?;
        let mut message = Self {
            header,
            kind: number.value(),
            body,
            protection: None,
            extra_certs: Vec::new(),
            protected_part: protected_part(header_bytes, body_bytes).map_err(malformed)?,
        };
        while !reader.is_finished() {
            message.take_optional(reader.tlv_bytes().map_err(malformed)?).map_err(malformed)?;
        }
        Ok(message)
    }

    /// Reads an element after the body: protection or extraCerts. Each may be present once, and protection comes first.
    fn take_optional(&mut self, element: &[u8]) -> der::Result<()> {
        let tagged = AnyRef::from_der(element)?;
        match tagged.tag() {
            Tag::ContextSpecific { constructed: true, number: TagNumber::N0 }
                if self.protection.is_none() && self.extra_certs.is_empty() =>
            {
                let bits = BitString::from_der(tagged.value())?;
                let octets = bits.as_bytes().ok_or_else(|| Tag::BitString.value_error())?;
                self.protection = Some(octets.to_vec());
            }
            Tag::ContextSpecific { constructed: true, number: TagNumber::N1 }
                if self.extra_certs.is_empty() =>
            {
                let sequence = AnyRef::from_der(tagged.value())?;
                sequence.tag().assert_eq(Tag::Sequence)?;
                let mut reader = SliceReader::new(sequence.value())?;
                while !reader.is_finished() {
                    if self.extra_certs.len() == MAX_EXTRA_CERTS {
                        return Err(Tag::Sequence.length_error());
                    }
                    self.extra_certs.push(reader.tlv_bytes()?.to_vec());
                }
            }
            other => return Err(other.unexpected_error(None)),
        }
        Ok(())
    }

    /// The octets of the transactionID; none when it is absent.
    pub fn transaction_id(&self) -> &[u8] {
        self.header.transaction_id.as_ref().map_or(&[], OctetString::as_bytes)
    }
}

/// The octets over which a protection is computed (RFC 9810 §5.1.3), from the DER of header and body.
///
/// ```text
/// ProtectedPart ::= SEQUENCE { header PKIHeader, body PKIBody }
/// ```
pub fn protected_part(header: &[u8], body: &[u8]) -> der::Result<Vec<u8>> {
    AnyRef::new(Tag::Sequence, &[header, body].concat())?.to_der()
}

/// A PKIBody, DER: the content, which is DER already, in the context tag of this kind.
pub fn tagged_body(kind: u8, content: &[u8]) -> der::Result<Vec<u8>> {
    context(kind, content)
}

/// A PKIMessage, DER, of parts that are DER already.
pub fn assemble(
    header: &[u8],
    body: &[u8],
    protection: &[u8],
    extra_certs: &[&[u8]],
) -> der::Result<Vec<u8>> {
    let bits = BitString::from_bytes(protection)?.to_der()?;
    let mut content = [header, body, &context(0, &bits)?].concat();
    if !extra_certs.is_empty() {
        let certificates = AnyRef::new(Tag::Sequence, &extra_certs.concat())?.to_der()?;
        content.extend(context(1, &certificates)?);
    }
    AnyRef::new(Tag::Sequence, &content)?.to_der()
}

/// An element in an explicit context tag, DER.
fn context(number: u8, content: &[u8]) -> der::Result<Vec<u8>> {
    let tag = Tag::ContextSpecific { constructed: true, number: TagNumber::try_from(number)? };
    AnyRef::new(tag, content)?.to_der()
}
