//! By password: PBKDF2 over the shared secret (RFC 9483 §4.1.6.3, RFC 9481 §4.4.1), and AES key wrap (RFC 9481 §4.3.1), or for
//! those who cannot read that, id-alg-PWRI-KEK (RFC 3211 §2.3).

use std::num::NonZeroU32;

use cms::content_info::CmsVersion;
use cms::enveloped_data::PasswordRecipientInfo;
use countersign_ca::{Entropy, Error};
use der::asn1::{Any, Null, OctetString};
use ring::pbkdf2;
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use super::oid::PWRI_KEK;
use super::{AES_WRAP, ContentKey, KEY, KeyWrapping, cbc, octets, wrap};
use crate::cmp::wire::mac::Pbkdf2Parameters;
use crate::cmp::wire::oid;

/// The iterations of PBKDF2: the secret has 160 random bits, so that more would only cost.
const ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9_999);

/// ```text
/// PasswordRecipientInfo ::= SEQUENCE {
///     version                    CMSVersion,   -- always set to 0
///     keyDerivationAlgorithm [0] KeyDerivationAlgorithmIdentifier OPTIONAL,
///     keyEncryptionAlgorithm     KeyEncryptionAlgorithmIdentifier,
///     encryptedKey               EncryptedKey }
/// ```
/// RFC 5652 §6.2.4. The salt is another one than that of the message's MAC, as RFC 9483 §4.1.6.3 demands.
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
        KeyWrapping::PwriKek => pwri_kek(&kek, content_key, entropy)?,
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

/// The octets of a block of AES.
const BLOCK: usize = 16;

/// The content key and what stands before and after it, up to whole blocks.
const PADDED: usize = (1 + 3 + KEY).next_multiple_of(BLOCK);

/// The content key under id-alg-PWRI-KEK, whose parameter is the algorithm that encrypts it: AES-256-CBC with its IV (RFC 3211
/// §2.3.1). The key is padded with its length, the complement of its first three octets, and random octets, and is encrypted twice,
/// the second time with the last block of the first as the IV.
fn pwri_kek(
    kek: &ContentKey,
    content_key: &ContentKey,
    entropy: &dyn Entropy,
) -> Result<(AlgorithmIdentifierOwned, OctetString), Error> {
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
    Ok((AlgorithmIdentifierOwned { oid: PWRI_KEK, parameters }, octets(&twice)?))
}
