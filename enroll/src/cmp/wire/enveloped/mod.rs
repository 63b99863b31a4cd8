//! EnvelopedData (RFC 5652 §6) as CMP uses it (RFC 9810 §5.2.2, RFC 9481 §4): content that only one recipient can read. The content
//! encryption key is encrypted by key transport for an RSA key, by key agreement for an EC key, and by password for a shared secret.
//!
//! An [`Envelope`] is made before the certificate that it will hold is issued, so that a key for which nothing can be encrypted is refused
//! before anything is issued.

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

/// The length of an AES-256 key, in octets.
const KEY: usize = 32;

/// A content encryption key, or another key of its length; wiped when dropped.
type ContentKey = Zeroizing<[u8; KEY]>;

/// How the content encryption key is encrypted with a key that is derived from a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyWrapping {
    /// AES key wrap (RFC 9481 §4.3.1).
    AesWrap,
    /// id-alg-PWRI-KEK (RFC 3211 §2.3), the only way that OpenSSL can read.
    PwriKek,
}

/// How an envelope names its recipient.
#[derive(Debug, Clone, Copy)]
pub enum Recipient<'a> {
    /// By the key identifier of its key.
    Key(&'a [u8]),
    /// By the certReqId of its request, because there is no certificate yet: as the serial number of a certificate that the NULL-DN
    /// issued (RFC 9810 §5.2.8.3.3).
    Request(&'a Int),
}

/// ```text
/// IssuerAndSerialNumber ::= SEQUENCE {
///     issuer Name,
///     serialNumber CertificateSerialNumber }
/// ```
/// RFC 5652 §10.2.4. The serial number type of `x509-cert` refuses numbers that a certReqId may have, such as 0.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct IssuerAndSerialNumber {
    issuer: Name,
    serial_number: Int,
}

impl IssuerAndSerialNumber {
    /// Names the recipient by the certReqId of its request.
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
/// RFC 5652 §6.1 and §6.2, without the optional fields. The types of the crate `cms` are not used, because it tags the rKeyId in a
/// KeyAgreeRecipientInfo as primitive, which other programs cannot read.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct EnvelopedData {
    version: CmsVersion,
    recipient_infos: SetOfVec<Any>,
    encrypted_content_info: EncryptedContentInfo,
}

/// An EnvelopedData for one recipient, before its content is known.
pub struct Envelope {
    key: ContentKey,
    version: CmsVersion,
    recipient: Any,
}

impl Envelope {
    /// An envelope for the holder of the private key to `key`.
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
        // RFC 5652 §6.1: the version is 0 if that of the RecipientInfo is, and else 2.
        let version = if version == CmsVersion::V0 { CmsVersion::V0 } else { CmsVersion::V2 };
        Ok(Self { key: content_key, version, recipient })
    }

    /// An envelope for the holder of a shared secret.
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
        // RFC 5652 §6.1: the version is 3 with a PasswordRecipientInfo.
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
        let Encrypted { algorithm, octets: encrypted } = encrypt(&self.key, content)?;
        Ok(EnvelopedData {
            version: self.version,
            recipient_infos: SetOfVec::try_from(vec![self.recipient]).map_err(Error::internal)?,
            encrypted_content_info: EncryptedContentInfo {
                content_type,
                content_enc_alg: algorithm,
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

/// A fresh content encryption key.
fn content_key(entropy: &dyn Entropy) -> Result<ContentKey, Error> {
    let mut key = Zeroizing::new([0; KEY]);
    entropy.fill(key.as_mut_slice())?;
    Ok(key)
}

/// Encrypted content.
struct Encrypted {
    /// The algorithm, with its parameters.
    algorithm: AlgorithmIdentifierOwned,
    /// The ciphertext.
    octets: Vec<u8>,
}

/// Encrypts content with AES-256-CBC and the padding of RFC 5652 §6.3. The parameter of the algorithm is the IV (RFC 3565 §4.1).
fn encrypt(key: &ContentKey, content: &[u8]) -> Result<Encrypted, Error> {
    let failed = |_| Error::internal("the content cannot be encrypted");
    // The buffer has room for the padding from the start. If it grew, a copy of the content would be left in memory.
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
    Ok(Encrypted { algorithm, octets: std::mem::take(&mut *buffer) })
}

/// Encrypts whole blocks with AES-256-CBC, without padding.
fn cbc(key: &ContentKey, iv: &[u8; 16], blocks: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |_| Error::internal("the content's key cannot be encrypted");
    let mut buffer = Zeroizing::new(Vec::with_capacity(blocks.len().saturating_add(16)));
    buffer.extend_from_slice(blocks);
    let cipher = UnboundCipherKey::new(&AES_256, key.as_slice()).map_err(failed)?;
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(cipher).map_err(failed)?;
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    cipher.less_safe_encrypt(&mut *buffer, context).map_err(failed)?;
    // The cipher appended one more block, which is padding alone.
    buffer.truncate(blocks.len());
    Ok(buffer)
}

/// Wraps the content encryption key with AES-256 (RFC 3394).
fn wrap(kek: &[u8], key: &ContentKey) -> Result<OctetString, Error> {
    let failed = |_| Error::internal("the content's key cannot be wrapped");
    let mut wrapped = [0; KEY + 8];
    let kek = AesKek::new(&key_wrap::AES_256, kek).map_err(failed)?;
    octets(kek.wrap(key.as_slice(), &mut wrapped).map_err(failed)?)
}

/// The identifier of AES key wrap, which has no parameters (RFC 3565 §4.2).
const AES_WRAP: AlgorithmIdentifierOwned =
    AlgorithmIdentifierOwned { oid: oid::AES_256_WRAP, parameters: None };

/// A SEQUENCE with this implicit context tag in place of its own tag.
fn tagged(number: TagNumber, value: &impl Encode) -> der::Result<Any> {
    let content = Any::from_der(&value.to_der()?)?;
    Any::new(Tag::ContextSpecific { constructed: true, number }, content.value())
}

/// An OCTET STRING.
fn octets(bytes: &[u8]) -> Result<OctetString, Error> {
    OctetString::new(bytes).map_err(Error::internal)
}

#[cfg(test)]
mod tests;
