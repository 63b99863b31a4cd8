//! EnvelopedData (RFC 5652 §6) as CMP uses it (RFC 9810 §5.2.2, RFC 9481 §4): content that only one recipient can read. The content
//! encryption key is encrypted by key transport for an RSA key, by key agreement for an EC key, and by password for a shared secret.
//!
//! An [`Envelope`] is made before the certificate that it will hold is issued, so that a key for which nothing can be encrypted is refused
//! before anything is issued.

mod agreement;
mod content;
mod legacy;
mod oid;
mod password;
mod transport;

use cms::content_info::CmsVersion;
use cms::enveloped_data::EncryptedContentInfo;
use countersign_ca::{Entropy, Error, KeyKind, SubjectPublicKey};
use der::asn1::SetOfVec;
use der::oid::ObjectIdentifier;
use der::{Any, Decode, Encode, Sequence, Tag, TagNumber};

use content::{ContentKey, Encrypted, content_key, encrypt, octets};

pub use content::Recipient;
pub use legacy::{EncryptedValue, LegacyEnvelope, encrypt_with};
pub use oid::{ID_DATA, ID_SIGNED_DATA};
pub use password::KeyWrapping;

/// Content that is encrypted for one recipient (RFC 5652 §6.1 and §6.2), without the optional fields.
///
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
///
/// The types of the crate `cms` are not used, because it tags the rKeyId in a KeyAgreeRecipientInfo as primitive, which other programs
/// cannot read.
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
    /// An envelope for the holder of the private key to `key`. `recipient` is how the envelope names it.
    ///
    /// # Errors
    /// [`Error::Malformed`] when nothing can be encrypted for the key, [`Error::Unavailable`] when there is no randomness.
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

/// A SEQUENCE with this implicit context tag in place of its own tag.
fn tagged(number: TagNumber, value: &impl Encode) -> der::Result<Any> {
    let content = Any::from_der(&value.to_der()?)?;
    Any::new(Tag::ContextSpecific { constructed: true, number }, content.value())
}

#[cfg(test)]
mod tests;
