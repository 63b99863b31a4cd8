//! CertRep (RFC 8894 §3.3.2): the answer to a message. Nothing in it is used before its signature is verified, except to show what an
//! unproven refusal says.

use countersign_ca::key::{DecryptionKey, KeyTransport};
use countersign_ca::x509::Facts;
use countersign_ca::{Entropy, Error, SubjectPublicKey, oid as ca};
use der::oid::ObjectIdentifier;
use ring::digest;

use super::signing::Signing;
use crate::ber::{
    self, Bounds, CONTEXT_0, CONTEXT_1, Element, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING,
    PRIMITIVE_0, SEQUENCE, SET,
};
use crate::certs_only::{ID_SIGNED_DATA, certificates_in};
use crate::client::{ClientError, MAX_ANSWER, Refusal};
use crate::legible::legible;
use crate::request::pkcs10::directory_string;
use crate::scep::certificate::IssuerAndSerial;
use crate::scep::config::Legacy;
use crate::scep::envelope::Envelope;
use crate::scep::message::{SignerInfo, content_info, effective_algorithm};
use crate::scep::oid;
use crate::scep::refusal::{Refusal as Refused, Stop};

/// Bounds on an answer, on the envelope in it, and on the content of that.
const BOUNDS: Bounds = Bounds { bytes: MAX_ANSWER as usize, depth: 32, elements: 20_000 };

/// The names of failInfo (RFC 8894 §3.2.1.4), by its number.
const FAIL_INFO: [&str; 5] = ["badAlg", "badMessageCheck", "badRequest", "badTime", "badCertId"];

/// What an answer must repeat, and who may sign it.
pub struct Expected<'a> {
    /// The name of the message.
    pub asked: &'static str,
    /// The transactionID of the message.
    pub transaction: &'a str,
    /// The senderNonce of the message.
    pub nonce: &'a [u8],
    /// The certificates that may sign the answer, DER.
    pub signers: &'a [Vec<u8>],
}

/// The status that the CA's answer gives.
#[derive(Debug)]
pub enum Status {
    /// SUCCESS (0), with an EnvelopedData.
    Success(Vec<u8>),
    /// FAILURE (2).
    Failure(Refusal),
    /// PENDING (3).
    Pending,
}

/// The parts of an answer.
struct Parts<'a> {
    content: &'a [u8],
    info: SignerInfo<'a>,
    message_type: &'a [u8],
    status: &'a [u8],
    fail_info: &'a [u8],
    text: String,
    transaction: &'a [u8],
    recipient_nonce: &'a [u8],
    message_digest: &'a [u8],
}

impl Expected<'_> {
    /// Reads an answer, and checks that it answers the message and that the CA signed it.
    ///
    /// # Errors
    /// [`ClientError::Untrusted`] if not; [`ClientError::Refused`] for a refusal of which that is not proven.
    pub fn read(&self, answer: &[u8]) -> Result<Status, ClientError> {
        let unreadable = |e: Error| {
            ClientError::untrusted(format!(
                "expected a CertRep in the answer to the {}: {e}",
                self.asked
            ))
        };
        let definite = ber::definite(answer, BOUNDS).map_err(unreadable)?;
        let parts = Parts::read(&definite).map_err(unreadable)?;
        let verified = self.verify(&parts);
        if parts.status == b"2" {
            let number = std::str::from_utf8(parts.fail_info).ok().and_then(|n| n.parse().ok());
            let name = number.and_then(|number: usize| FAIL_INFO.get(number).copied());
            return Ok(Status::Failure(Refusal {
                asked: self.asked,
                failures: name.into_iter().collect(),
                text: legible(&parts.text),
                unproven: verified.err().map(|e| e.to_string()),
            }));
        }
        verified?;
        match parts.status {
            b"0" => Ok(Status::Success(parts.content.to_vec())),
            b"3" => Ok(Status::Pending),
            other => Err(ClientError::untrusted(format!(
                "expected a pkiStatus of 0, 2 or 3, found `{}`",
                String::from_utf8_lossy(other)
            ))),
        }
    }

    fn verify(&self, parts: &Parts<'_>) -> Result<(), ClientError> {
        let lie = |why: String| Err(ClientError::untrusted(why));
        // 1. The signature is over the attributes, and they have the digest of the content.
        let key = self.signer(parts)?;
        let info = &parts.info;
        let algorithm = match info.digest_algorithm {
            ca::SHA256 => &digest::SHA256,
            ca::SHA384 => &digest::SHA384,
            ca::SHA512 => &digest::SHA512,
            other => {
                return lie(format!(
                    "expected an answer signed with SHA-256 or better, found {}",
                    digest_name(other)
                ));
            }
        };
        if digest::digest(algorithm, parts.content).as_ref() != parts.message_digest {
            return lie("the answer's messageDigest is not the digest of its content".into());
        }
        let signature = effective_algorithm(&info.signature_algorithm, info.digest_algorithm);
        let signed = ber::encode(SET, &[info.attributes.content]);
        key.verify(&signature, &signed, info.signature)
            .map_err(|e| ClientError::untrusted(format!("the answer's signature is wrong: {e}")))?;
        // 2. It answers this message.
        if parts.message_type != b"3" {
            return lie("expected a CertRep (messageType 3)".into());
        }
        if parts.transaction != self.transaction.as_bytes() {
            return lie("the answer is of another transaction: its transactionID is not that of the request".into());
        }
        if parts.recipient_nonce != self.nonce {
            return lie("the answer is to another message: its recipientNonce is not the senderNonce of the request".into());
        }
        Ok(())
    }

    /// The key of the certificate that signed the answer. The certificate must be one of those that may sign answers.
    fn signer(&self, parts: &Parts<'_>) -> Result<SubjectPublicKey, ClientError> {
        let sid = parts.info.sid;
        let name = IssuerAndSerial::read(sid.elements()).ok();
        for der in self.signers {
            let Ok(facts) = Facts::of(der) else { continue };
            let is_signer = match sid.tag {
                PRIMITIVE_0 => facts.key_identifier == sid.content,
                _ => name.is_some() && IssuerAndSerial::of(der).ok() == name,
            };
            if is_signer {
                return Ok(facts.key);
            }
        }
        Err(ClientError::untrusted(
            "the answer is signed by somebody else than the CA or its registration authority (GetCACert)",
        ))
    }
}

impl<'a> Parts<'a> {
    fn read(answer: &'a [u8]) -> Result<Self, Error> {
        let mut signed = content_info(answer, ID_SIGNED_DATA, "a SignedData")?;
        signed.expect(INTEGER, "a version")?;
        signed.expect(SET, "digest algorithms")?;
        let mut encapsulated = signed.expect(SEQUENCE, "an encapContentInfo")?.elements();
        encapsulated.expect(OBJECT_IDENTIFIER, "a content type")?;
        // Some servers leave the content out of an answer without one, and others have one of no octets.
        let content = match encapsulated.optional(CONTEXT_0) {
            Some(content) => {
                content.elements().expect(OCTET_STRING, "an OCTET STRING with the content")?.content
            }
            None => &[],
        };
        signed.optional(CONTEXT_0);
        signed.optional(CONTEXT_1);
        let mut infos = signed.expect(SET, "signerInfos")?.elements();
        let info = SignerInfo::read(infos.expect(SEQUENCE, "a signerInfo")?.elements())?;
        let attributes = info.attributes;
        let text = value(attributes, oid::FAIL_INFO_TEXT)?;
        let text = text.and_then(|text| directory_string(text.tag, text.content));
        Ok(Self {
            content,
            message_type: content_of(attributes, oid::MESSAGE_TYPE)?,
            status: content_of(attributes, oid::PKI_STATUS)?,
            fail_info: content_of(attributes, oid::FAIL_INFO)?,
            text: text.map(|text| text.as_str().to_owned()).unwrap_or_default(),
            transaction: content_of(attributes, oid::TRANSACTION_ID)?,
            recipient_nonce: content_of(attributes, oid::RECIPIENT_NONCE)?,
            message_digest: content_of(attributes, oid::MESSAGE_DIGEST)?,
            info,
        })
    }
}

/// The content of the one value of an attribute; empty without the attribute.
fn content_of(attributes: Element<'_>, kind: ObjectIdentifier) -> Result<&[u8], Error> {
    Ok(value(attributes, kind)?.map_or(&[][..], |found| found.content))
}

/// The one value of an attribute; `None` without the attribute.
fn value(attributes: Element<'_>, kind: ObjectIdentifier) -> Result<Option<Element<'_>>, Error> {
    let mut found = None;
    let mut attributes = attributes.elements();
    while !attributes.is_finished() {
        let mut attribute = attributes.expect(SEQUENCE, "an attribute")?.elements();
        if attribute.expect(OBJECT_IDENTIFIER, "the type of an attribute")?.content
            != kind.as_bytes()
        {
            continue;
        }
        let mut values = attribute.expect(SET, "the values of an attribute")?.elements();
        let one = values.next().filter(|_| values.is_finished() && found.is_none());
        found = Some(one.ok_or_else(|| {
            Error::malformed("an attribute is there twice, or has not one value")
        })?);
    }
    Ok(found)
}

/// The certificates in the envelope of a granted answer, which is encrypted for the signer of the request.
///
/// # Errors
/// [`ClientError::Untrusted`] if it cannot be decrypted or read.
pub fn opened(
    envelope: &[u8],
    signing: &Signing<'_>,
    entropy: &dyn Entropy,
) -> Result<Vec<Vec<u8>>, ClientError> {
    let unreadable =
        |why: &str| ClientError::untrusted(format!("the answer cannot be opened: {why}"));
    let stopped = |stop: Stop| match stop {
        Stop::Refused(refusal) => unreadable(&refusal.text),
        Stop::Unavailable | Stop::Failed => unreadable("it is no EnvelopedData"),
    };
    let envelope =
        Envelope::read_or(envelope, BOUNDS, Legacy::Refused, other_cipher).map_err(stopped)?;
    let own = IssuerAndSerial::of(signing.certificate)?;
    let recipient = envelope.recipients.iter().find(|recipient| recipient.name == own);
    let recipient = recipient.ok_or_else(|| unreadable("it is encrypted for somebody else"))?;
    if recipient.transport() != Ok(KeyTransport::Pkcs1) {
        return Err(unreadable(
            "its key is not encrypted by RSA with PKCS #1 v1.5 (RFC 8894 §2.9)",
        ));
    }
    let key = DecryptionKey::new(signing.key, entropy)?;
    let length = envelope.cipher.key_length();
    let key = key.content_key(KeyTransport::Pkcs1, &recipient.encrypted_key, length);
    let content =
        envelope.decrypt(&key).ok_or_else(|| unreadable("it is not encrypted for our key"))?;
    certificates_in(&content, BOUNDS).map_err(|e| unreadable(&e.to_string()))
}

/// The error for an answer that is encrypted with the algorithm `found`. The answer contains no secret, but somebody who can break the
/// cipher could put another answer in its place.
fn other_cipher(found: ObjectIdentifier) -> Refused {
    let name = match found {
        oid::DES_CBC => "single DES".to_owned(),
        oid::DES_EDE3_CBC => "triple DES".to_owned(),
        other => format!("the algorithm `{other}`"),
    };
    Refused::bad_alg(format!(
        "the server encrypted it with {name}, although the request was encrypted with AES; update the server, or use EST or CMP"
    ))
}

/// The name of a digest algorithm, for people.
fn digest_name(found: ObjectIdentifier) -> String {
    match found {
        oid::SHA1 => "SHA-1".to_owned(),
        oid::MD5 => "MD5".to_owned(),
        other => format!("`{other}`"),
    }
}
