//! Key agreement: ephemeral-static ECDH with the recipient's EC key, the KDF of ANSI X9.63 and AES key wrap
//! (RFC 9481 §4.1.2, RFC 5753 §3.1).

use aws_lc_rs::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey};
use aws_lc_rs::rand::SystemRandom;
use cms::content_info::CmsVersion;
use cms::enveloped_data::{OriginatorIdentifierOrKey, OriginatorPublicKey, RecipientKeyIdentifier};
use countersign_ca::{Entropy, Error, KeyKind, SubjectPublicKey, oid as ca};
use der::asn1::{Any, BitString, OctetString, OctetStringRef};
use der::{Choice, Decode, Encode, Sequence};
use sha2::{Digest, Sha256};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoRef};
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use zeroize::Zeroizing;

use super::content::{AES_WRAP, ContentKey, IssuerAndSerialNumber, KEY, Recipient, octets, wrap};
use super::oid;

/// The input of the key derivation beside the shared secret (RFC 5753 §7.2).
///
/// ```text
/// ECC-CMS-SharedInfo ::= SEQUENCE {
///     keyInfo         AlgorithmIdentifier,
///     entityUInfo [0] EXPLICIT OCTET STRING OPTIONAL,
///     suppPubInfo [2] EXPLICIT OCTET STRING }
/// ```
///
/// keyInfo is the key wrap, entityUInfo the ukm, and suppPubInfo the length of the key encryption key in bits.
#[derive(Sequence)]
struct SharedInfo<'a> {
    key_info: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "0")]
    entity_u_info: OctetStringRef<'a>,
    #[asn1(context_specific = "2")]
    supp_pub_info: OctetStringRef<'a>,
}

/// A recipient whose key agrees on the key encryption key (RFC 5652 §6.2.2).
///
/// ```text
/// KeyAgreeRecipientInfo ::= SEQUENCE {
///     version                CMSVersion,  -- always set to 3
///     originator         [0] EXPLICIT OriginatorIdentifierOrKey,
///     ukm                [1] EXPLICIT UserKeyingMaterial OPTIONAL,
///     keyEncryptionAlgorithm KeyEncryptionAlgorithmIdentifier,
///     recipientEncryptedKeys RecipientEncryptedKeys }
/// ```
///
/// The originator is an ephemeral key (RFC 5753 §3.1.1).
#[derive(Sequence)]
pub struct KeyAgreeRecipientInfo {
    /// The version.
    pub version: CmsVersion,
    #[asn1(context_specific = "0")]
    originator: OriginatorIdentifierOrKey,
    #[asn1(context_specific = "1")]
    ukm: OctetString,
    key_encryption_algorithm: AlgorithmIdentifierOwned,
    recipient_encrypted_keys: Vec<RecipientEncryptedKey>,
}

/// The content encryption key, wrapped for one recipient (RFC 5652 §6.2.2).
///
/// ```text
/// RecipientEncryptedKey ::= SEQUENCE {
///     rid KeyAgreeRecipientIdentifier,
///     encryptedKey EncryptedKey }
///
/// KeyAgreeRecipientIdentifier ::= CHOICE {
///     issuerAndSerialNumber IssuerAndSerialNumber,
///     rKeyId [0] IMPLICIT RecipientKeyIdentifier }
/// ```
#[derive(Sequence)]
struct RecipientEncryptedKey {
    rid: RecipientIdentifier,
    encrypted_key: OctetString,
}

/// KeyAgreeRecipientIdentifier: how the recipient is named (RFC 5652 §6.2.2).
#[derive(Choice)]
enum RecipientIdentifier {
    IssuerAndSerialNumber(IssuerAndSerialNumber),
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true")]
    RKeyId(RecipientKeyIdentifier),
}

/// Wraps the content encryption key for the holder of an EC key.
///
/// # Errors
/// [`Error::Malformed`] if the key is not a point on its curve, [`Error::Unavailable`] without randomness, [`Error::Internal`] if something
/// cannot be encoded or wrapped.
pub fn recipient(
    key: &SubjectPublicKey,
    recipient: Recipient<'_>,
    content_key: &ContentKey,
    entropy: &dyn Entropy,
) -> Result<KeyAgreeRecipientInfo, Error> {
    // 1. An ephemeral key on the recipient's curve.
    let curve = match key.kind() {
        KeyKind::P384 => &agreement::ECDH_P384,
        KeyKind::P521 => &agreement::ECDH_P521,
        _ => &agreement::ECDH_P256,
    };
    let failed = |_| Error::unavailable("an ephemeral key could not be generated");
    let ephemeral = EphemeralPrivateKey::generate(curve, &SystemRandom::new()).map_err(failed)?;
    let public = ephemeral.compute_public_key().map_err(failed)?;
    let originator = OriginatorPublicKey {
        // RFC 5753 §3.1.1: there are no parameters, because the curve is the recipient's.
        algorithm: AlgorithmIdentifierOwned { oid: ca::EC_PUBLIC_KEY, parameters: None },
        public_key: BitString::from_bytes(public.as_ref()).map_err(Error::internal)?,
    };
    // 2. The key encryption key, from the shared secret.
    let mut ukm = [0; 32];
    entropy.fill(&mut ukm)?;
    let shared_info = shared_info(&ukm).map_err(Error::internal)?;
    let info = SubjectPublicKeyInfoRef::from_der(key.der()).map_err(Error::internal)?;
    let point = info.subject_public_key.as_bytes().unwrap_or_default();
    let not_a_point = Error::malformed(format!("the public key is not a point on {}", key.kind()));
    let kek = agreement::agree_ephemeral(
        ephemeral,
        UnparsedPublicKey::new(curve, point),
        not_a_point,
        |shared| Ok(derive(shared, &shared_info)),
    )?;
    // 3. The content encryption key, wrapped with it.
    let rid = match recipient {
        Recipient::Key(identifier) => RecipientIdentifier::RKeyId(RecipientKeyIdentifier {
            subject_key_identifier: SubjectKeyIdentifier(octets(identifier)?),
            date: None,
            other: None,
        }),
        Recipient::Request(id) => {
            RecipientIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber::of_request(id))
        }
    };
    Ok(KeyAgreeRecipientInfo {
        version: CmsVersion::V3,
        originator: OriginatorIdentifierOrKey::OriginatorKey(originator),
        ukm: octets(&ukm)?,
        key_encryption_algorithm: AlgorithmIdentifierOwned {
            oid: oid::ECDH_SHA256,
            parameters: Some(Any::encode_from(&AES_WRAP).map_err(Error::internal)?),
        },
        recipient_encrypted_keys: vec![RecipientEncryptedKey {
            rid,
            encrypted_key: wrap(kek.as_slice(), content_key)?,
        }],
    })
}

/// ECC-CMS-SharedInfo, DER.
fn shared_info(ukm: &[u8]) -> der::Result<Vec<u8>> {
    let bits = (KEY as u32 * 8).to_be_bytes();
    SharedInfo {
        key_info: AES_WRAP,
        entity_u_info: OctetStringRef::new(ukm)?,
        supp_pub_info: OctetStringRef::new(&bits)?,
    }
    .to_der()
}

/// The key derivation function of ANSI X9.63 (SEC 1 §3.6.1) with SHA-256. One round gives the 32 octets of a key.
fn derive(shared: &[u8], shared_info: &[u8]) -> Zeroizing<[u8; KEY]> {
    let mut hash = Sha256::new();
    hash.update(shared);
    hash.update(1_u32.to_be_bytes());
    hash.update(shared_info);
    Zeroizing::new(hash.finalize().into())
}
