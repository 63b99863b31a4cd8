//! PasswordRecipientInfo: the key encryption key is derived from the shared secret with PBKDF2 (RFC 9483 §4.1.6.3, RFC 9481 §4.4.1). It
//! encrypts by AES key wrap (RFC 9481 §4.3.1) or, for clients that cannot read that, by id-alg-PWRI-KEK (RFC 3211 §2.3).

use std::num::NonZeroU32;

use cms::content_info::CmsVersion;
use cms::enveloped_data::PasswordRecipientInfo;
use countersign_ca::{Entropy, Error};
use der::asn1::{Any, Null, OctetString};
use ring::pbkdf2;
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use super::content::{AES_WRAP, ContentKey, KEY, cbc, octets, wrap};
use super::oid::PWRI_KEK;
use crate::cmp::wire::oid;
use crate::cmp::wire::pbkdf2::Pbkdf2Parameters;

/// How the content encryption key is encrypted with a key that is derived from a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyWrapping {
    /// AES key wrap (RFC 9481 §4.3.1).
    AesWrap,
    /// id-alg-PWRI-KEK (RFC 3211 §2.3), the only one of the two that OpenSSL can read.
    PwriKek,
}

/// The iterations of PBKDF2. The secret has 160 random bits, so that more iterations would only cost time.
const ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9_999);

/// Encrypts the content encryption key with a key that is derived from a shared secret (RFC 5652 §6.2.4).
///
/// ```text
/// PasswordRecipientInfo ::= SEQUENCE {
///     version                    CMSVersion,   -- always set to 0
///     keyDerivationAlgorithm [0] KeyDerivationAlgorithmIdentifier OPTIONAL,
///     keyEncryptionAlgorithm     KeyEncryptionAlgorithmIdentifier,
///     encryptedKey               EncryptedKey }
/// ```
///
/// The salt is not that of the message's MAC, as RFC 9483 §4.1.6.3 requires.
///
/// # Errors
/// [`Error::Unavailable`] when there is no randomness, [`Error::Internal`] when something cannot be encoded or encrypted.
pub fn recipient(
    secret: &[u8],
    content_key: &ContentKey,
    wrapping: KeyWrapping,
    entropy: &dyn Entropy,
) -> Result<PasswordRecipientInfo, Error> {
    let mut salt = [0; 16];
    entropy.fill(&mut salt)?;
    let mut kek = Zeroizing::new([0; KEY]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, &salt, secret, kek.as_mut_slice());
    let parameters = Pbkdf2Parameters {
        salt: octets(&salt)?,
        iteration_count: ITERATIONS.get().into(),
        key_length: Some(KEY as u16),
        prf: Some(AlgorithmIdentifierOwned {
            oid: oid::HMAC_SHA256,
            parameters: Some(Any::from(Null)),
        }),
    };
    let (key_enc_alg, enc_key) = match wrapping {
        KeyWrapping::AesWrap => (AES_WRAP, wrap(kek.as_slice(), content_key)?),
        KeyWrapping::PwriKek => {
            let PwriKek { algorithm, key } = pwri_kek(&kek, content_key, entropy)?;
            (algorithm, key)
        }
    };
    Ok(PasswordRecipientInfo {
        version: CmsVersion::V0,
        key_derivation_alg: Some(AlgorithmIdentifierOwned {
            oid: oid::PBKDF2,
            parameters: Some(Any::encode_from(&parameters).map_err(Error::internal)?),
        }),
        key_enc_alg,
        enc_key,
    })
}

/// The length of a block of AES, in octets.
const BLOCK: usize = 16;

/// The length of the content encryption key with its prefix and the padding to whole blocks, in octets.
const PADDED: usize = (1 + 3 + KEY).next_multiple_of(BLOCK);

/// A key that id-alg-PWRI-KEK encrypts.
struct PwriKek {
    algorithm: AlgorithmIdentifierOwned,
    key: OctetString,
}

/// Encrypts the content encryption key with id-alg-PWRI-KEK, whose parameter is the cipher, AES-256-CBC with its IV (RFC 3211 §2.3.1).
///
/// The key is preceded by its length and the complement of its first three octets, and followed by random octets. The whole is encrypted
/// twice; the second IV is the last block of the first ciphertext.
fn pwri_kek(
    kek: &ContentKey,
    content_key: &ContentKey,
    entropy: &dyn Entropy,
) -> Result<PwriKek, Error> {
    let (mut iv, mut padding) = ([0; BLOCK], [0; PADDED - 4 - KEY]);
    entropy.fill(&mut iv)?;
    entropy.fill(&mut padding)?;
    let mut block = Zeroizing::new(Vec::with_capacity(PADDED + BLOCK));
    block.push(KEY as u8);
    block.extend(content_key.iter().take(3).map(|octet| !octet));
    block.extend_from_slice(content_key.as_slice());
    block.extend_from_slice(&padding);
    let once = cbc(kek, &iv, &block)?;
    let last = once.last_chunk::<BLOCK>().ok_or_else(|| Error::internal("no block"))?;
    let twice = cbc(kek, last, &once)?;
    let inner = AlgorithmIdentifierOwned {
        oid: oid::AES_256_CBC,
        parameters: Some(Any::encode_from(&octets(&iv)?).map_err(Error::internal)?),
    };
    let parameters = Some(Any::encode_from(&inner).map_err(Error::internal)?);
    let algorithm = AlgorithmIdentifierOwned { oid: PWRI_KEK, parameters };
    Ok(PwriKek { algorithm, key: octets(&twice)? })
}
