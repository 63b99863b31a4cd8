//! Key transport: the content encryption key is encrypted with the recipient's RSA key by RSAES-OAEP (RFC 9481 §4.2.1, RFC 3560).

use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use cms::content_info::CmsVersion;
use countersign_ca::{Error, SubjectPublicKey, oid as ca};
use der::asn1::{Any, Null, OctetString};
use der::{Choice, Encode, Sequence};
use spki::AlgorithmIdentifierOwned;

use super::content::{ContentKey, IssuerAndSerialNumber, Recipient, octets};
use super::oid;

/// The parameters of RSAES-OAEP (RFC 4055 §4.1).
///
/// ```text
/// RSAES-OAEP-params ::= SEQUENCE {
///     hashFunc          [0] AlgorithmIdentifier DEFAULT sha1Identifier,
///     maskGenFunc       [1] AlgorithmIdentifier DEFAULT mgf1SHA1Identifier,
///     pSourceFunc       [2] AlgorithmIdentifier DEFAULT pSpecifiedEmptyIdentifier }
/// ```
///
/// pSourceFunc is left out: it has its default.
#[derive(Sequence)]
struct OaepParameters {
    #[asn1(context_specific = "0")]
    hash_func: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "1")]
    mask_gen_func: AlgorithmIdentifierOwned,
}

/// A recipient whose RSA key encrypts the content encryption key (RFC 5652 §6.2.1).
///
/// ```text
/// KeyTransRecipientInfo ::= SEQUENCE {
///     version                CMSVersion,  -- always set to 0 or 2
///     rid                    RecipientIdentifier,
///     keyEncryptionAlgorithm KeyEncryptionAlgorithmIdentifier,
///     encryptedKey           EncryptedKey }
/// ```
///
/// The version is 2 with a subjectKeyIdentifier, and 0 with an issuerAndSerialNumber. The crate `cms` has this type, too, but refuses the
/// serial number 0.
#[derive(Sequence)]
pub struct KeyTransRecipientInfo {
    /// The version.
    pub version: CmsVersion,
    rid: RecipientIdentifier,
    key_enc_alg: AlgorithmIdentifierOwned,
    enc_key: OctetString,
}

/// How the recipient is named (RFC 5652 §6.2.1).
///
/// ```text
/// RecipientIdentifier ::= CHOICE {
///     issuerAndSerialNumber IssuerAndSerialNumber,
///     subjectKeyIdentifier [0] SubjectKeyIdentifier }
/// ```
#[derive(Choice)]
enum RecipientIdentifier {
    IssuerAndSerialNumber(IssuerAndSerialNumber),
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    SubjectKeyIdentifier(OctetString),
}

/// Encrypts the content encryption key for the holder of an RSA key.
///
/// # Errors
/// [`Error::Malformed`] for a key that cannot encrypt.
pub fn recipient(
    key: &SubjectPublicKey,
    recipient: Recipient<'_>,
    content_key: &ContentKey,
) -> Result<KeyTransRecipientInfo, Error> {
    let public = public_key(key)?;
    let failed = |_| Error::malformed("nothing can be encrypted with this RSA key");
    let public = OaepPublicEncryptingKey::new(public).map_err(failed)?;
    let mut room = vec![0; public.ciphertext_size()];
    let encrypted = public
        .encrypt(&OAEP_SHA256_MGF1SHA256, content_key.as_slice(), &mut room, None)
        .map_err(failed)?;
    let (version, rid) = match recipient {
        Recipient::Key(identifier) => {
            (CmsVersion::V2, RecipientIdentifier::SubjectKeyIdentifier(octets(identifier)?))
        }
        Recipient::Request(id) => (
            CmsVersion::V0,
            RecipientIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber::of_request(id)),
        ),
    };
    Ok(KeyTransRecipientInfo {
        version,
        rid,
        key_enc_alg: oaep().map_err(Error::internal)?,
        enc_key: octets(encrypted)?,
    })
}

/// An RSA key in the form in which it encrypts.
///
/// # Errors
/// [`Error::Malformed`] for a key that cannot encrypt.
pub fn public_key(key: &SubjectPublicKey) -> Result<PublicEncryptingKey, Error> {
    PublicEncryptingKey::from_der(key.der())
        .map_err(|e| Error::malformed(format!("nothing can be encrypted with this RSA key: {e}")))
}

/// The identifier of RSAES-OAEP with SHA-256 and MGF1 with SHA-256.
fn oaep() -> der::Result<AlgorithmIdentifierOwned> {
    let sha256 = || AlgorithmIdentifierOwned { oid: ca::SHA256, parameters: Some(Any::from(Null)) };
    let parameters = OaepParameters {
        hash_func: sha256(),
        mask_gen_func: AlgorithmIdentifierOwned {
            oid: ca::MGF1,
            parameters: Some(Any::encode_from(&sha256())?),
        },
    };
    let parameters = der::Decode::from_der(&parameters.to_der()?)?;
    Ok(AlgorithmIdentifierOwned { oid: oid::RSAES_OAEP, parameters: Some(parameters) })
}
