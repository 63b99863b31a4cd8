//! EncryptedValue, which pvno 2 has and RFC 9810 §5.2.2 keeps for old clients. It is used for RSA keys only, and for certificates only: no
//! private key is sent in it.

use aws_lc_rs::rsa::Pkcs1PublicEncryptingKey;
use countersign_ca::{Denial, Entropy, Error, KeyKind, SubjectPublicKey};
use der::Sequence;
use der::asn1::{BitString, OctetString};
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use super::content::{ContentKey, Encrypted, content_key, encrypt};
use super::transport;

/// Something encrypted for one recipient, in the deprecated form (RFC 4211 §6.4).
///
/// ```text
/// EncryptedValue ::= SEQUENCE {
///     intendedAlg [0] AlgorithmIdentifier  OPTIONAL,
///     symmAlg     [1] AlgorithmIdentifier  OPTIONAL,
///     encSymmKey  [2] BIT STRING           OPTIONAL,
///     keyAlg      [3] AlgorithmIdentifier  OPTIONAL,
///     valueHint   [4] OCTET STRING         OPTIONAL,
///     encValue        BIT STRING }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct EncryptedValue {
    /// The algorithm with which the value will be used, where it is a private key.
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub intended_alg: Option<AlgorithmIdentifierOwned>,
    /// The algorithm that encrypts the value.
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub symm_alg: Option<AlgorithmIdentifierOwned>,
    /// The symmetric key, encrypted with the recipient's key.
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    pub enc_symm_key: Option<BitString>,
    /// The algorithm that encrypts the symmetric key.
    #[asn1(context_specific = "3", tag_mode = "IMPLICIT", optional = "true")]
    pub key_alg: Option<AlgorithmIdentifierOwned>,
    /// A hint for the recipient.
    #[asn1(context_specific = "4", tag_mode = "IMPLICIT", optional = "true")]
    pub value_hint: Option<OctetString>,
    /// The value, encrypted.
    pub enc_value: BitString,
}

/// An EncryptedValue for one recipient, before its value is known.
pub struct LegacyEnvelope {
    key: ContentKey,
    encrypted_key: Vec<u8>,
}

impl LegacyEnvelope {
    /// An envelope for the holder of the private key to an RSA key.
    ///
    /// # Errors
    /// As [`encrypt_with`], and [`Error::Unavailable`] without randomness.
    pub fn for_key(key: &SubjectPublicKey, entropy: &dyn Entropy) -> Result<Self, Error> {
        let content_key = content_key(entropy)?;
        let encrypted_key = encrypt_with(key, content_key.as_slice())?;
        Ok(Self { key: content_key, encrypted_key })
    }

    /// Encrypts the value.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be encrypted.
    pub fn seal(self, value: &[u8]) -> Result<EncryptedValue, Error> {
        let Encrypted { algorithm, octets: encrypted } = encrypt(&self.key, value)?;
        let bits = |bytes: &[u8]| BitString::from_bytes(bytes).map_err(Error::internal);
        Ok(EncryptedValue {
            intended_alg: None,
            symm_alg: Some(algorithm),
            enc_symm_key: Some(bits(&self.encrypted_key)?),
            key_alg: Some(countersign_ca::key::algorithm_identifier(KeyKind::Rsa(0))),
            value_hint: None,
            enc_value: bits(&encrypted)?,
        })
    }
}

/// Encrypts with RSAES-PKCS1-v1_5 (RFC 8017 §7.2), which old clients can decrypt.
///
/// # Errors
/// `Denied` with [`Denial::ProofOfPossession`] for a key that is not RSA, [`Error::Malformed`] for a key that cannot encrypt.
pub fn encrypt_with(key: &SubjectPublicKey, secret: &[u8]) -> Result<Vec<u8>, Error> {
    if !matches!(key.kind(), KeyKind::Rsa(_)) {
        return Err(Error::denied(
            Denial::ProofOfPossession,
            format!(
                "with pvno 2, something can be encrypted for RSA keys only, found {}; send pvno 3",
                key.kind()
            ),
        ));
    }
    let failed = |_| Error::malformed("nothing can be encrypted with this RSA key");
    let public = Pkcs1PublicEncryptingKey::new(transport::public_key(key)?).map_err(failed)?;
    let mut room = Zeroizing::new(vec![0; public.ciphertext_size()]);
    Ok(public.encrypt(secret, &mut room).map_err(failed)?.to_vec())
}
