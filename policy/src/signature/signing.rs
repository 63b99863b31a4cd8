//! Private keys that sign credentials: ECDSA, Ed25519, and RSA with SHA-256. New signatures use neither SHA-1 nor MD5.

use ring::rand::SecureRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};

use super::algorithm::SignatureAlgorithm;
use crate::key::{Encoding, P256, P384, PublicKey};
use crate::principal::Principal;

/// Why a key cannot be read, or does not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The octets are not a private key of a supported kind.
    #[error(
        "expected a PKCS#8 private key for P-256, P-384, Ed25519 or RSA of 2048 to 4096 bits, found something else: {0}"
    )]
    Key(String),
    /// There is no randomness, or the library failed.
    #[error("signing failed")]
    Failed,
}

/// A private key that signs credentials. It is wiped from memory as far as the cryptographic library does so.
pub struct SigningKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ecdsa(Box<EcdsaKeyPair>, SignatureAlgorithm),
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(Box<RsaKeyPair>),
}

impl SigningKey {
    /// Reads a PKCS#8 PrivateKeyInfo (RFC 5958), DER. An ECDSA key takes a secret for its nonces from `random`.
    ///
    /// # Errors
    /// It is not a private key of a supported kind.
    pub fn from_pkcs8(der: &[u8], random: &dyn SecureRandom) -> Result<Self, SigningError> {
        let key = |reason: &dyn std::fmt::Display| SigningError::Key(reason.to_string());
        let info = PrivateKeyInfo::from_der(der).map_err(|e| key(&e))?;
        let curve = info.algorithm.parameters_oid().ok();
        let (pair, public) = match info.algorithm.oid.to_string().as_str() {
            "1.2.840.10045.2.1" if curve == Some(P256) => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, random)
                    .map_err(|e| key(&e))?;
                let public =
                    PublicKey::ecdsa_p256(pair.public_key().as_ref()).map_err(|e| key(&e))?;
                (Pair::Ecdsa(Box::new(pair), SignatureAlgorithm::EcdsaP256Sha256), public)
            }
            "1.2.840.10045.2.1" if curve == Some(P384) => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, der, random)
                    .map_err(|e| key(&e))?;
                let public =
                    PublicKey::ecdsa_p384(pair.public_key().as_ref()).map_err(|e| key(&e))?;
                (Pair::Ecdsa(Box::new(pair), SignatureAlgorithm::EcdsaP384Sha384), public)
            }
            "1.3.101.112" => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|e| key(&e))?;
                let public = PublicKey::ed25519(pair.public_key().as_ref()).map_err(|e| key(&e))?;
                (Pair::Ed25519(Box::new(pair)), public)
            }
            "1.2.840.113549.1.1.1" => {
                let pair = RsaKeyPair::from_pkcs8(der).map_err(|e| key(&e))?;
                let public = PublicKey::rsa(pair.public_key().as_ref()).map_err(|e| key(&e))?;
                (Pair::Rsa(Box::new(pair)), public)
            }
            other => return Err(key(&format!("the algorithm `{other}`"))),
        };
        Ok(Self { pair, public })
    }

    /// The public key as a principal: the authorizer of the credentials that this key signs.
    pub fn principal(&self) -> Principal {
        Principal::of_key(self.public.clone())
    }

    /// The algorithm of the key's signatures.
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        match &self.pair {
            Pair::Ecdsa(_, algorithm) => *algorithm,
            Pair::Ed25519(_) => SignatureAlgorithm::Ed25519,
            Pair::Rsa(_) => SignatureAlgorithm::RsaSha256,
        }
    }

    /// Signs the body of an assertion, which ends where the label of its `Signature` field begins. Returns the content of that field
    /// without quotes, for instance `sig-ed25519-base64:…`.
    ///
    /// # Errors
    /// There is no randomness, or the library failed.
    pub fn sign(
        &self,
        body: &[u8],
        encoding: Encoding,
        random: &dyn SecureRandom,
    ) -> Result<String, SigningError> {
        let name = format!("{}-{}:", self.algorithm().name(), encoding.name());
        let message = [body, name.as_bytes()].concat();
        let bits = match &self.pair {
            Pair::Ecdsa(pair, _) => {
                pair.sign(random, &message).map_err(|_| SigningError::Failed)?.as_ref().to_vec()
            }
            Pair::Ed25519(pair) => pair.sign(&message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, random, &message, &mut signature)
                    .map_err(|_| SigningError::Failed)?;
                signature
            }
        };
        Ok(format!("{name}{}", encoding.encode(&bits)))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({}, …)", self.principal())
    }
}

/// The algorithm of a PKCS#8 PrivateKeyInfo; the library reads the rest.
struct PrivateKeyInfo<'a> {
    algorithm: spki::AlgorithmIdentifierRef<'a>,
}

impl<'a> PrivateKeyInfo<'a> {
    fn from_der(der: &'a [u8]) -> der::Result<Self> {
        use der::{Reader, SliceReader};
        let mut outer = SliceReader::new(der)?;
        outer.sequence(|reader| {
            let _version: u8 = reader.decode()?;
            let algorithm = reader.decode()?;
            let rest = reader.remaining_len();
            reader.read_slice(rest)?;
            Ok(Self { algorithm })
        })
    }
}
