//! A pkiMessage as a client sends it (RFC 8894 §3): a SignedData with authenticated attributes around an EnvelopedData.
//!
//! The crate `cms` is not used: it refuses indefinite lengths, and sorts what was signed. Clients need neither sorted attributes nor DER.

use countersign_ca::oid as ca;
use countersign_ca::{Error, KeyKind};
use der::Decode;
use der::oid::ObjectIdentifier;
use ring::{digest, signature};
use spki::AlgorithmIdentifierOwned;

use super::certificate::{IssuerAndSerial, Signer};
use super::config::Legacy;
use super::oid;
use super::refusal::{Refusal, Stop, Unreadable};
use crate::ber::{
    self, BIT_STRING, Bounds, CONTEXT_0, CONTEXT_1, Element, Elements, INTEGER, OBJECT_IDENTIFIER,
    OCTET_STRING, PRIMITIVE_0, SEQUENCE, SET,
};
use crate::certs_only::{ID_DATA, ID_SIGNED_DATA};

/// The longest transactionID and the longest senderNonce, in octets.
const MAX_IDENTIFIER: usize = 256;

/// The kinds of message that a client sends (RFC 8894 §3.2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageType {
    /// RenewalReq (17): a request, signed with the certificate that it replaces.
    RenewalReq,
    /// PKCSReq (19): a request.
    PkcsReq,
    /// CertPoll (20): whether a request was decided.
    CertPoll,
    /// GetCert (21): a certificate.
    GetCert,
    /// GetCRL (22): a CRL.
    GetCrl,
}

impl MessageType {
    /// The name in the RFC.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RenewalReq => "RenewalReq",
            Self::PkcsReq => "PKCSReq",
            Self::CertPoll => "CertPoll",
            Self::GetCert => "GetCert",
            Self::GetCrl => "GetCRL",
        }
    }
}

/// The parts of a message by which its answer is recognized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The transactionID: the content of the string.
    pub id: Vec<u8>,
    /// The value of the attribute transactionID, as it was sent.
    pub id_value: Vec<u8>,
    /// The value of the attribute senderNonce, as it was sent.
    pub sender_nonce: Vec<u8>,
}

/// A pkiMessage that was read. Nothing was verified yet.
#[derive(Debug)]
pub struct PkiMessage {
    /// The parts by which the message's answer is recognized.
    pub transaction: Transaction,
    /// The content of the attribute messageType.
    message_type: Vec<u8>,
    /// The octets of the encapsulated content: an EnvelopedData, perhaps in BER.
    pub content: Vec<u8>,
    /// The certificate of the signer, or the reason why it cannot be used.
    signer: Result<Signer, Error>,
    digest_algorithm: ObjectIdentifier,
    signature_algorithm: AlgorithmIdentifierOwned,
    message_digest: Vec<u8>,
    /// The signed attributes as they were sent, with the tag of a SET: that is what was signed (RFC 5652 §5.4).
    signed: Vec<u8>,
    signature: Vec<u8>,
}

impl PkiMessage {
    /// Reads a message, DER or BER.
    ///
    /// ```text
    /// SignedData ::= SEQUENCE {
    ///     version CMSVersion,
    ///     digestAlgorithms DigestAlgorithmIdentifiers,
    ///     encapContentInfo EncapsulatedContentInfo,
    ///     certificates [0] IMPLICIT CertificateSet OPTIONAL,
    ///     crls [1] IMPLICIT RevocationInfoChoices OPTIONAL,
    ///     signerInfos SignerInfos }
    ///
    /// EncapsulatedContentInfo ::= SEQUENCE {
    ///     eContentType ContentType,
    ///     eContent [0] EXPLICIT OCTET STRING OPTIONAL }
    /// ```
    ///
    /// # Errors
    /// [`Unreadable`] if it is not a pkiMessage with a transactionID, so that there can be no CertRep.
    pub fn read(octets: &[u8], bounds: Bounds) -> Result<Self, Unreadable> {
        Self::parse(octets, bounds).map_err(|e| Unreadable(format!("no pkiMessage: {e}")))
    }

    fn parse(octets: &[u8], bounds: Bounds) -> Result<Self, Error> {
        let definite = ber::definite(octets, bounds)?;
        let mut signed_data = content_info(&definite, ID_SIGNED_DATA, "a SignedData")?;
        signed_data.expect(INTEGER, "a version")?;
        signed_data.expect(SET, "digest algorithms")?;
        let mut encapsulated = signed_data.expect(SEQUENCE, "an encapContentInfo")?.elements();
        let kind = encapsulated.expect(OBJECT_IDENTIFIER, "a content type")?;
        if kind.content != ID_DATA.as_bytes() {
            return Err(Error::malformed("expected an encapContentInfo with data"));
        }
        let mut content = encapsulated.expect(CONTEXT_0, "a content")?.elements();
        let content = content.expect(OCTET_STRING, "an OCTET STRING with the content")?;
        let certificates = signed_data.optional(CONTEXT_0);
        signed_data.optional(CONTEXT_1);
        let mut signers = signed_data.expect(SET, "signerInfos")?.elements();
        let info = SignerInfo::read(signers.expect(SEQUENCE, "a signerInfo")?.elements())?;
        if !signers.is_finished() {
            return Err(Error::malformed("expected one signerInfo"));
        }
        let Attributes { transaction_id, sender_nonce, message_type, message_digest } =
            Attributes::read(info.attributes)?;
        let bounded = |element: Element<'_>| (1..=MAX_IDENTIFIER).contains(&element.content.len());
        let transaction_id = transaction_id
            .filter(|id| bounded(*id))
            .ok_or_else(|| Error::malformed("expected a transactionID of 1 to 256 octets"))?;
        let sender_nonce = sender_nonce
            .filter(|nonce| nonce.tag == OCTET_STRING && bounded(*nonce))
            .ok_or_else(|| Error::malformed("expected a senderNonce of 1 to 256 octets"))?;
        let message_type =
            message_type.ok_or_else(|| Error::malformed("the attribute messageType is missing"))?;
        let message_digest = message_digest
            .ok_or_else(|| Error::malformed("the attribute messageDigest is missing"))?;
        Ok(Self {
            transaction: Transaction {
                id: transaction_id.content.to_vec(),
                id_value: transaction_id.whole.to_vec(),
                sender_nonce: sender_nonce.whole.to_vec(),
            },
            message_type: message_type.content.to_vec(),
            content: content.content.to_vec(),
            signer: info.signer(certificates),
            digest_algorithm: info.digest_algorithm,
            signature_algorithm: info.signature_algorithm,
            message_digest: message_digest.content.to_vec(),
            signed: ber::encode(SET, &[info.attributes.content]),
            signature: info.signature.to_vec(),
        })
    }

    /// The kind of message.
    ///
    /// # Errors
    /// badRequest for any other than the five that a server serves.
    pub fn kind(&self) -> Result<MessageType, Refusal> {
        Ok(match self.message_type.as_slice() {
            b"17" => MessageType::RenewalReq,
            b"19" => MessageType::PkcsReq,
            b"20" => MessageType::CertPoll,
            b"21" => MessageType::GetCert,
            b"22" => MessageType::GetCrl,
            other => {
                return Err(Refusal::bad_request(format!(
                    "expected a messageType of 17, 19, 20, 21 or 22, found `{}`",
                    String::from_utf8_lossy(other)
                )));
            }
        })
    }

    /// Verifies that the holder of the signer's certificate signed this message, and returns the certificate. That proves nothing about
    /// who the holder is.
    ///
    /// # Errors
    /// badAlg for MD5, for SHA-1 unless `legacy` accepts it, and for a key that cannot decrypt the answer; badMessageCheck if the
    /// signature is wrong.
    pub fn verify(&self, legacy: Legacy) -> Result<Signer, Stop> {
        // 1. The algorithms, before anything else: a client that can do no better learns that.
        let algorithm = effective_algorithm(&self.signature_algorithm, self.digest_algorithm);
        let is_sha1 = self.digest_algorithm == oid::SHA1 || algorithm.oid == oid::SHA1_RSA;
        if self.digest_algorithm == oid::MD5 || algorithm.oid == oid::MD5_RSA {
            return Err(Refusal::bad_alg(
                "the message is signed with MD5, which is not accepted; have the client use SHA-256",
            )
            .into());
        }
        if is_sha1 && legacy == Legacy::Refused {
            return Err(Refusal::bad_alg(
                "the message is signed with SHA-1; have the client use SHA-256, which GetCACaps offers (scepclient 2.1.0 \
                 cannot), or have the administrator set `scep.legacy_algorithms`",
            )
            .into());
        }
        let signer = self.signer.clone()?;
        let KeyKind::Rsa(_) = signer.key.kind() else {
            return Err(Refusal::bad_alg(format!(
                "the message is signed with a {} key, for which no answer can be encrypted; use an RSA key, or enrol over CMP or \
                 EST",
                signer.key.kind()
            ))
            .into());
        };
        // 2. The digest of the content, and the signature over the attributes.
        let digest = match self.digest_algorithm {
            ca::SHA256 => &digest::SHA256,
            ca::SHA384 => &digest::SHA384,
            ca::SHA512 => &digest::SHA512,
            oid::SHA1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            other => {
                return Err(Refusal::bad_alg(format!(
                    "expected a message that is signed with SHA-256, SHA-384 or SHA-512, found the digest algorithm `{other}`"
                ))
                .into());
            }
        };
        if digest::digest(digest, &self.content).as_ref() != self.message_digest {
            return Err(Refusal::bad_message_check(
                "messageDigest is not the digest of the content; the message was damaged",
            )
            .into());
        }
        match is_sha1 {
            true => verify_sha1(&signer, &self.signed, &self.signature)?,
            false => signer.key.verify(&algorithm, &self.signed, &self.signature)?,
        }
        if is_sha1 {
            tracing::warn!("the message is signed with SHA-1, which the settings accept");
        }
        Ok(signer)
    }
}

/// The signature algorithm. Some programs write rsaEncryption there, and the digest only in digestAlgorithm (RFC 5652 §5.3 allows it with
/// RSA).
pub fn effective_algorithm(
    signature: &AlgorithmIdentifierOwned,
    digest: ObjectIdentifier,
) -> AlgorithmIdentifierOwned {
    if signature.oid != ca::RSA_ENCRYPTION {
        return signature.clone();
    }
    let oid = match digest {
        ca::SHA384 => ca::RSA_SHA384,
        ca::SHA512 => ca::RSA_SHA512,
        oid::SHA1 => oid::SHA1_RSA,
        oid::MD5 => oid::MD5_RSA,
        _ => ca::RSA_SHA256,
    };
    AlgorithmIdentifierOwned { oid, parameters: Some(der::Any::from(der::asn1::Null)) }
}

/// Verifies a signature by RSA with SHA-1, which the authority never does.
fn verify_sha1(signer: &Signer, message: &[u8], signature: &[u8]) -> Result<(), Stop> {
    let mut spki = Elements::of(signer.key.der()).expect(SEQUENCE, "a public key")?.elements();
    spki.expect(SEQUENCE, "an algorithm")?;
    let bits = spki.expect(BIT_STRING, "a key")?.content;
    let verifier = &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY;
    let key = signature::UnparsedPublicKey::new(verifier, bits.get(1..).unwrap_or_default());
    key.verify(message, signature).map_err(|_| {
        Refusal::bad_message_check("the signature of the message does not verify").into()
    })
}

/// The elements of the content in a ContentInfo of this type.
///
/// # Errors
/// [`Error::Malformed`] if the ContentInfo has another type.
pub fn content_info<'a>(
    octets: &'a [u8],
    expected: ObjectIdentifier,
    what: &str,
) -> Result<Elements<'a>, Error> {
    let mut info = Elements::of(octets).expect(SEQUENCE, "a ContentInfo")?.elements();
    let kind = info.expect(OBJECT_IDENTIFIER, "a content type")?;
    if kind.content != expected.as_bytes() {
        return Err(Error::malformed(format!("expected {what}, found another content type")));
    }
    let mut content = info.expect(CONTEXT_0, "a content")?.elements();
    Ok(content.expect(SEQUENCE, what)?.elements())
}

/// The parts of a SignerInfo.
pub struct SignerInfo<'a> {
    /// The signer: an IssuerAndSerialNumber, or a key identifier with the tag \[0\].
    pub sid: Element<'a>,
    /// The algorithm of messageDigest.
    pub digest_algorithm: ObjectIdentifier,
    /// The signedAttrs, with their tag \[0\].
    pub attributes: Element<'a>,
    /// The algorithm of the signature.
    pub signature_algorithm: AlgorithmIdentifierOwned,
    /// The signature.
    pub signature: &'a [u8],
}

impl<'a> SignerInfo<'a> {
    /// ```text
    /// SignerInfo ::= SEQUENCE {
    ///     version CMSVersion,
    ///     sid SignerIdentifier,
    ///     digestAlgorithm DigestAlgorithmIdentifier,
    ///     signedAttrs [0] IMPLICIT SignedAttributes OPTIONAL,
    ///     signatureAlgorithm SignatureAlgorithmIdentifier,
    ///     signature SignatureValue,
    ///     unsignedAttrs [1] IMPLICIT UnsignedAttributes OPTIONAL }
    ///
    /// SignerIdentifier ::= CHOICE {
    ///     issuerAndSerialNumber IssuerAndSerialNumber,
    ///     subjectKeyIdentifier [0] SubjectKeyIdentifier }
    /// ```
    ///
    /// # Errors
    /// [`Error::Malformed`] if the element is not a SignerInfo, or has no signed attributes.
    pub fn read(mut parts: Elements<'a>) -> Result<Self, Error> {
        parts.expect(INTEGER, "a version")?;
        let sid = match parts.optional(PRIMITIVE_0) {
            Some(key_identifier) => key_identifier,
            None => parts.expect(SEQUENCE, "a signer identifier")?,
        };
        let digest_algorithm = algorithm(parts.expect(SEQUENCE, "a digest algorithm")?)?.oid;
        let attributes = parts.expect(CONTEXT_0, "signed attributes")?;
        let signature_algorithm = algorithm(parts.expect(SEQUENCE, "a signature algorithm")?)?;
        let signature = parts.expect(OCTET_STRING, "a signature")?.content;
        Ok(Self { sid, digest_algorithm, attributes, signature_algorithm, signature })
    }

    /// The certificate of the signer among these.
    fn signer(&self, certificates: Option<Element<'_>>) -> Result<Signer, Error> {
        let certificates = certificates.into_iter().flat_map(Element::elements);
        let mut certificates = certificates.filter(|certificate| certificate.tag == SEQUENCE);
        let found = match self.sid.tag {
            PRIMITIVE_0 => certificates.next(),
            _ => {
                let name = IssuerAndSerial::read(self.sid.elements())?;
                certificates.find(|one| IssuerAndSerial::of(one.whole).is_ok_and(|own| own == name))
            }
        };
        let found = found.ok_or_else(|| {
            Error::unauthenticated("the certificate of the signer is not in the message")
        })?;
        Signer::of(found.whole)
    }
}

/// Reads an AlgorithmIdentifier.
pub fn algorithm(element: Element<'_>) -> Result<AlgorithmIdentifierOwned, Error> {
    AlgorithmIdentifierOwned::from_der(element.whole)
        .map_err(|e| Error::malformed(format!("expected an algorithm: {e}")))
}

/// The values of the attributes that this program reads, each of which may be there once.
#[derive(Default)]
struct Attributes<'a> {
    transaction_id: Option<Element<'a>>,
    sender_nonce: Option<Element<'a>>,
    message_type: Option<Element<'a>>,
    message_digest: Option<Element<'a>>,
}

impl<'a> Attributes<'a> {
    fn read(attributes: Element<'a>) -> Result<Self, Error> {
        let mut read = Self::default();
        let mut attributes = attributes.elements();
        while !attributes.is_finished() {
            let mut attribute = attributes.expect(SEQUENCE, "an attribute")?.elements();
            let kind = attribute.expect(OBJECT_IDENTIFIER, "the type of an attribute")?.content;
            let mut values = attribute.expect(SET, "the values of an attribute")?.elements();
            let place = match kind {
                kind if kind == oid::TRANSACTION_ID.as_bytes() => &mut read.transaction_id,
                kind if kind == oid::SENDER_NONCE.as_bytes() => &mut read.sender_nonce,
                kind if kind == oid::MESSAGE_TYPE.as_bytes() => &mut read.message_type,
                kind if kind == oid::MESSAGE_DIGEST.as_bytes() => &mut read.message_digest,
                _ => continue,
            };
            let value = values.next().filter(|_| values.is_finished() && place.is_none());
            *place = Some(value.ok_or_else(|| {
                Error::malformed("an attribute is there twice, or has not one value")
            })?);
        }
        Ok(read)
    }
}
