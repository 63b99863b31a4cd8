//! EncryptedValue, which pvno 2 knows and RFC 9810 §5.2.2 keeps for old clients. It is made for RSA keys alone, and only
//! for certificates: a private key never leaves in it.

use aws_lc_rs::rsa::Pkcs1PublicEncryptingKey;
use countersign_ca::{Denial, Entropy, Error, KeyKind, SubjectPublicKey};
use der::Sequence;
use der::asn1::{BitString, OctetString};
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use super::{ContentKey, content_key, encrypt, transport};

/// ```text
/// EncryptedValue ::= SEQUENCE {
///     intendedAlg [0] AlgorithmIdentifier  OPTIONAL,
///     symmAlg     [1] AlgorithmIdentifier  OPTIONAL,
///     encSymmKey  [2] BIT STRING           OPTIONAL,
///     keyAlg      [3] AlgorithmIdentifier  OPTIONAL,
///     valueHint   [4] OCTET STRING         OPTIONAL,
///     encValue        BIT STRING }
/// ```
/// RFC 4211 §2.1.9.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct EncryptedValue {
    /// What the encrypted key is for.
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub intended_alg: Option<AlgorithmIdentifierOwned>,
    /// How the value is encrypted.
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub symm_alg: Option<AlgorithmIdentifierOwned>,
    /// The symmetric key, encrypted with the recipient's.
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    pub enc_symm_key: Option<BitString>,
    /// How the symmetric key is encrypted.
    #[asn1(context_specific = "3", tag_mode = "IMPLICIT", optional = "true")]
    pub key_alg: Option<AlgorithmIdentifierOwned>,
    /// A hint for the recipient.
    #[asn1(context_specific = "4", tag_mode = "IMPLICIT", optional = "true")]
    pub value_hint: Option<OctetString>,
    /// The value, encrypted.
    pub enc_value: BitString,
}

/// As [`super::Envelope`], for an EncryptedValue.
pub struct LegacyEnvelope {
    key: ContentKey,
    encrypted_key: Vec<u8>,
}

impl LegacyEnvelope {
    /// For whoever has the private half of an RSA key.
    ///
    /// # Errors
    /// `Denied` with [`Denial::ProofOfPossession`] for another key.
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
        let (algorithm, encrypted) = encrypt(&self.key, value)?;
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

/// RSAES-PKCS1-v1_5, which old clients decrypt.
///
/// # Errors
/// `Denied` with [`Denial::ProofOfPossession`] for a key that is not RSA, [`Error::Malformed`] for one that encrypts nothing.
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
