//! EnvelopedData (RFC 5652 §6) as CMP uses it (RFC 9810 §5.2.2, RFC 9481 §4): content that one recipient alone can read.
//! An RSA key gets the content's key by transport, an EC key by agreement, who shares a secret by password.
//!
//! An [`Envelope`] is made before the certificate that goes into it is issued: what can fail because of the recipient's
//! key fails then.

mod agreement;
mod legacy;
mod oid;
mod password;
mod transport;

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap};
use cms::content_info::CmsVersion;
use cms::enveloped_data::EncryptedContentInfo;
use countersign_ca::{Entropy, Error, KeyKind, SubjectPublicKey};
use der::asn1::{Int, OctetString, SetOfVec};
use der::oid::ObjectIdentifier;
use der::{Any, Decode, Encode, Sequence, Tag, TagNumber};
use spki::AlgorithmIdentifierOwned;
use x509_cert::name::Name;
use zeroize::Zeroizing;

pub use legacy::{EncryptedValue, LegacyEnvelope, encrypt_with};
pub use oid::{ID_DATA, ID_SIGNED_DATA};

/// The octets of an AES-256 key.
const KEY: usize = 32;

/// A content encryption key, wiped when dropped.
type ContentKey = Zeroizing<[u8; KEY]>;

/// How a content encryption key is encrypted under a key that comes from a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyWrapping {
    /// AES key wrap (RFC 9481 §4.3.1).
    AesWrap,
    /// id-alg-PWRI-KEK (RFC 3211 §2.3), the only one that OpenSSL reads.
    PwriKek,
}

/// What names the recipient of an envelope.
#[derive(Debug, Clone, Copy)]
pub enum Recipient<'a> {
    /// The key identifier of its key.
    Key(&'a [u8]),
    /// The certReqId of its request, which stands as the serial number of a certificate of the NULL-DN (RFC 9810 §5.2.8.3.3): there is
    /// no certificate yet.
    Request(&'a Int),
}

/// ```text
/// IssuerAndSerialNumber ::= SEQUENCE {
///     issuer Name,
///     serialNumber CertificateSerialNumber }
/// ```
/// RFC 5652 §10.2.4. The serial number of `x509-cert` is no number that a request may have, such as 0.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct IssuerAndSerialNumber {
    issuer: Name,
    serial_number: Int,
}

impl IssuerAndSerialNumber {
    /// Of a request.
    fn of_request(id: &Int) -> Self {
        Self { issuer: Name::default(), serial_number: id.clone() }
    }
}

/// ```text
/// EnvelopedData ::= SEQUENCE {
///     version CMSVersion,
///     originatorInfo [0] IMPLICIT OriginatorInfo OPTIONAL,
///     recipientInfos RecipientInfos,
///     encryptedContentInfo EncryptedContentInfo,
///     unprotectedAttrs [1] IMPLICIT UnprotectedAttributes OPTIONAL }
///
/// RecipientInfo ::= CHOICE {
///     ktri     KeyTransRecipientInfo,
///     kari [1] KeyAgreeRecipientInfo,
///     kekri [2] KEKRecipientInfo,
///     pwri [3] PasswordRecipientInfo,
///     ori  [4] OtherRecipientInfo }
/// ```
/// RFC 5652 §6.1 and §6.2, without the optional fields. The crate `cms` has these types too, and tags the rKeyId in a
/// KeyAgreeRecipientInfo as primitive, which others cannot read.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct EnvelopedData {
    version: CmsVersion,
    recipient_infos: SetOfVec<Any>,
    encrypted_content_info: EncryptedContentInfo,
}

/// What is encrypted for one recipient, before its content is known.
pub struct Envelope {
    key: ContentKey,
    version: CmsVersion,
    recipient: Any,
}

impl Envelope {
    /// For whoever has the private half of `key`.
    ///
    /// # Errors
    /// [`Error::Malformed`] when nothing can be encrypted for the key.
    pub fn for_key(
        key: &SubjectPublicKey,
        recipient: Recipient<'_>,
        entropy: &dyn Entropy,
    ) -> Result<Self, Error> {
        let content_key = content_key(entropy)?;
        let (version, recipient) = match key.kind() {
            KeyKind::Rsa(_) => {
                let info = transport::recipient(key, recipient, &content_key)?;
                (info.version, Any::encode_from(&info).map_err(Error::internal)?)
            }
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => {
                let info = agreement::recipient(key, recipient, &content_key, entropy)?;
                (info.version, tagged(TagNumber::N1, &info).map_err(Error::internal)?)
            }
            KeyKind::Ed25519 => {
                return Err(Error::malformed(
                    "nothing can be encrypted for an Ed25519 key; use an RSA or EC key",
                ));
            }
        };
        // RFC 5652 §6.1: 0 where the RecipientInfo is of version 0, and else 2.
        let version = if version == CmsVersion::V0 { CmsVersion::V0 } else { CmsVersion::V2 };
        Ok(Self { key: content_key, version, recipient })
    }

    /// For whoever knows this secret.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is no randomness.
    pub fn for_secret(
        secret: &[u8],
        wrapping: KeyWrapping,
        entropy: &dyn Entropy,
    ) -> Result<Self, Error> {
        let content_key = content_key(entropy)?;
        let recipient = password::recipient(secret, &content_key, wrapping, entropy)?;
        let recipient = tagged(TagNumber::N3, &recipient).map_err(Error::internal)?;
        // RFC 5652 §6.1: 3 with a password.
        Ok(Self { key: content_key, version: CmsVersion::V3, recipient })
    }

    /// Encrypts the content.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be encrypted.
    pub fn seal(
        self,
        content_type: ObjectIdentifier,
        content: &[u8],
    ) -> Result<EnvelopedData, Error> {
        let (content_enc_alg, encrypted) = encrypt(&self.key, content)?;
        Ok(EnvelopedData {
            version: self.version,
            recipient_infos: SetOfVec::try_from(vec![self.recipient]).map_err(Error::internal)?,
            encrypted_content_info: EncryptedContentInfo {
                content_type,
                content_enc_alg,
                encrypted_content: Some(octets(&encrypted)?),
            },
        })
    }
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Envelope(…)")
    }
}

fn content_key(entropy: &dyn Entropy) -> Result<ContentKey, Error> {
    let mut key = Zeroizing::new([0; KEY]);
    entropy.fill(key.as_mut_slice())?;
    Ok(key)
}

/// AES-256-CBC with the padding of RFC 5652 §6.3, and its parameters: the IV (RFC 3565 §4.1).
fn encrypt(key: &ContentKey, content: &[u8]) -> Result<(AlgorithmIdentifierOwned, Vec<u8>), Error> {
    let failed = |_| Error::internal("the content cannot be encrypted");
    // Room for the padding from the start: a buffer that grows leaves a copy of the content behind.
    let mut buffer = Zeroizing::new(Vec::with_capacity(content.len().saturating_add(16)));
    buffer.extend_from_slice(content);
    let cipher = UnboundCipherKey::new(&AES_256, key.as_slice()).map_err(failed)?;
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(cipher).map_err(failed)?;
    let context = cipher.encrypt(&mut *buffer).map_err(failed)?;
    let DecryptionContext::Iv128(iv) = context else {
        return Err(Error::internal("the cipher has no initialization vector"));
    };
    let iv: &[u8; 16] = iv.as_ref();
    let parameters = Any::encode_from(&octets(iv)?).map_err(Error::internal)?;
    let algorithm = AlgorithmIdentifierOwned {
        oid: crate::cmp::wire::oid::AES_256_CBC,
        parameters: Some(parameters),
    };
    Ok((algorithm, std::mem::take(&mut *buffer)))
}

/// AES-256-CBC of whole blocks, without padding.
fn cbc(key: &ContentKey, iv: &[u8; 16], blocks: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |_| Error::internal("the content's key cannot be encrypted");
    let mut buffer = Zeroizing::new(Vec::with_capacity(blocks.len().saturating_add(16)));
    buffer.extend_from_slice(blocks);
    let cipher = UnboundCipherKey::new(&AES_256, key.as_slice()).map_err(failed)?;
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(cipher).map_err(failed)?;
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    cipher.less_safe_encrypt(&mut *buffer, context).map_err(failed)?;
    // Whole blocks are followed by one that is padding alone.
    buffer.truncate(blocks.len());
    Ok(buffer)
}

/// The content key, wrapped by AES-256 (RFC 3394), with the algorithm's identifier, which has no parameters (RFC 3565 §4.2).
fn wrap(kek: &[u8], key: &ContentKey) -> Result<OctetString, Error> {
    let failed = |_| Error::internal("the content's key cannot be wrapped");
    let mut wrapped = [0; KEY + 8];
    let kek = AesKek::new(&key_wrap::AES_256, kek).map_err(failed)?;
    octets(kek.wrap(key.as_slice(), &mut wrapped).map_err(failed)?)
}

const AES_WRAP: AlgorithmIdentifierOwned =
    AlgorithmIdentifierOwned { oid: oid::AES_256_WRAP, parameters: None };

/// A SEQUENCE in an implicit context tag.
fn tagged(number: TagNumber, value: &impl Encode) -> der::Result<Any> {
    let content = Any::from_der(&value.to_der()?)?;
    Any::new(Tag::ContextSpecific { constructed: true, number }, content.value())
}

fn octets(bytes: &[u8]) -> Result<OctetString, Error> {
    OctetString::new(bytes).map_err(Error::internal)
}

#[cfg(test)]
mod tests;
