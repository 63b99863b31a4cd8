//! By password: PBKDF2 over the shared secret, and AES key wrap (RFC 9483 §4.1.6.3, RFC 9481 §4.3.1 and §4.4.1).

use std::num::NonZeroU32;

use cms::content_info::CmsVersion;
use cms::enveloped_data::PasswordRecipientInfo;
use countersign_ca::{Entropy, Error};
use der::asn1::{Any, Null};
use ring::pbkdf2;
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use super::{AES_WRAP, ContentKey, KEY, octets, wrap};
use crate::cmp::mac::Pbkdf2Parameters;
use crate::cmp::oid;

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
    Ok(PasswordRecipientInfo {
        version: CmsVersion::V0,
        key_derivation_alg: Some(AlgorithmIdentifierOwned {
            oid: oid::PBKDF2,
            parameters: Some(Any::encode_from(&parameters).map_err(Error::internal)?),
        }),
        key_enc_alg: AES_WRAP,
        enc_key: wrap(kek.as_slice(), content_key)?,
    })
}
