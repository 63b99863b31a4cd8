//! Verifies signatures of credentials (RFC 2704 §4.6.7, RFC 2792 §4).

use md5::Md5;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use sha1::{Digest as _, Sha1};

use super::algorithm::SignatureAlgorithm;
use super::legacy::{Digest, verify_dsa, verify_rsa};
use crate::key::{Encoding, PublicKey};

/// The longest content of a `Signature` field, in bytes.
const MAX_SIGNATURE: usize = 1 << 14;

/// The reason why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The signature does not begin with `sig-…-hex:` or `sig-…-base64:` of a known algorithm.
    #[error("`{0}` is no signature algorithm of KeyNote")]
    Unknown(String),
    /// The signature is too long, or the part after the colon cannot be decoded.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The signature uses MD5, SHA-1 or DSA, and legacy signatures are not accepted.
    #[error("`{0}` is a legacy algorithm, which counts only where legacy signatures are accepted")]
    Legacy(&'static str),
    /// The authorizer's key is of another kind.
    #[error("`{algorithm}` is not made with a key of kind `{key}`, which the authorizer is")]
    OtherKey {
        /// The algorithm of the signature.
        algorithm: &'static str,
        /// The kind of the authorizer's key.
        key: &'static str,
    },
    /// The signature was made for another text or with another key, or its octets or the key are malformed.
    #[error("it does not fit the text and the authorizer's key")]
    Wrong,
}

/// Whether signatures with MD5, SHA-1 and DSA count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LegacySignatures {
    /// Legacy signatures do not count.
    #[default]
    Refused,
    /// Legacy signatures count, because the operator turned them on.
    Accepted,
}

/// The content of a `Signature` field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    algorithm: SignatureAlgorithm,
    /// The algorithm's name with the colon, as written; the signature covers it too.
    prefix: Vec<u8>,
    /// The signature itself, decoded from hexadecimal digits or base64.
    bits: Vec<u8>,
}

impl Signature {
    /// Reads the content of a `Signature` field without its quotes, such as `sig-ed25519-hex:…`. The signature is not verified.
    ///
    /// # Errors
    /// The algorithm is unknown, the text is too long, or the part after the colon cannot be decoded.
    pub fn parse(text: &[u8]) -> Result<Self, SignatureError> {
        if text.len() > MAX_SIGNATURE {
            return Err(SignatureError::Malformed(format!(
                "expected at most {MAX_SIGNATURE} bytes, found {}",
                text.len()
            )));
        }
        let unknown = || {
            let name = text.split(|byte| *byte == b':').next().unwrap_or_default();
            SignatureError::Unknown(crate::source::printable(name.get(..40).unwrap_or(name)))
        };
        let (encoding, name, bits) = Encoding::split(text).ok_or_else(unknown)?;
        let algorithm = SignatureAlgorithm::ALL
            .into_iter()
            .find(|algorithm| name.eq_ignore_ascii_case(algorithm.name().as_bytes()))
            .ok_or_else(unknown)?;
        let prefix = text.get(..text.len() - bits.len()).unwrap_or_default().to_vec();
        let bits = encoding.decode(bits).map_err(SignatureError::Malformed)?;
        Ok(Self { algorithm, prefix, bits })
    }

    /// The algorithm of the signature.
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Verifies that `signer` signed an assertion's body, which ends where the label of the `Signature` field begins.
    ///
    /// # Errors
    /// The signature does not count; the error says why.
    pub fn verify(
        &self,
        signer: &PublicKey,
        body: &[u8],
        legacy: LegacySignatures,
    ) -> Result<(), SignatureError> {
        if self.algorithm.is_legacy() && legacy == LegacySignatures::Refused {
            return Err(SignatureError::Legacy(self.algorithm.name()));
        }
        let other =
            SignatureError::OtherKey { algorithm: self.algorithm.name(), key: signer.name() };
        let right = match (self.algorithm, signer) {
            (SignatureAlgorithm::RsaSha1, PublicKey::Rsa(key)) => verify_rsa(
                key,
                &Digest { prefixes: &[b"\x04\x14"], hash: self.sha1(body) },
                &self.bits,
            ),
            (SignatureAlgorithm::RsaMd5, PublicKey::Rsa(key)) => {
                let hash = Md5::new().chain_update(body).chain_update(&self.prefix).finalize();
                verify_rsa(
                    key,
                    &Digest { prefixes: &[b"\x04\x10"], hash: hash.to_vec() },
                    &self.bits,
                )
            }
            (SignatureAlgorithm::X509Sha1, PublicKey::Rsa(key)) => verify_rsa(
                key,
                &Digest { prefixes: &SHA1_DIGEST_INFO, hash: self.sha1(body) },
                &self.bits,
            ),
            (SignatureAlgorithm::DsaSha1, PublicKey::Dsa(key)) => {
                verify_dsa(key, &self.sha1(body), &self.bits)
            }
            (SignatureAlgorithm::RsaSha256, PublicKey::Rsa(key)) => {
                self.verify_with(&RSA_PKCS1_2048_8192_SHA256, key.der(), body)
            }
            (SignatureAlgorithm::EcdsaP256Sha256, PublicKey::EcdsaP256(point)) => {
                self.verify_with(&ECDSA_P256_SHA256_ASN1, point, body)
            }
            (SignatureAlgorithm::EcdsaP384Sha384, PublicKey::EcdsaP384(point)) => {
                self.verify_with(&ECDSA_P384_SHA384_ASN1, point, body)
            }
            (SignatureAlgorithm::Ed25519, PublicKey::Ed25519(key)) => {
                self.verify_with(&ED25519, key, body)
            }
            _ => return Err(other),
        };
        if right { Ok(()) } else { Err(SignatureError::Wrong) }
    }

    fn sha1(&self, body: &[u8]) -> Vec<u8> {
        Sha1::new().chain_update(body).chain_update(&self.prefix).finalize().to_vec()
    }

    fn verify_with(
        &self,
        algorithm: &'static dyn VerificationAlgorithm,
        key: &[u8],
        body: &[u8],
    ) -> bool {
        let message = [body, &self.prefix].concat();
        UnparsedPublicKey::new(algorithm, key).verify(&message, &self.bits).is_ok()
    }
}

/// The DER in front of a SHA-1 hash in a DigestInfo: with the object identifier that the reference implementation writes,
/// 1.3.14.3.2.15 (shaWithRSASignature), and with the correct one, 1.3.14.3.2.26.
const SHA1_DIGEST_INFO: [&[u8]; 2] = [
    b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x0f\x05\x00\x04\x14",
    b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14",
];
