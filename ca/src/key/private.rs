//! Private keys that sign.
//!
//! Code that signs takes rcgen's [`SigningKey`]. [`FileKey`] implements it for a key that lies in a file (`folder.rs`).
//! The key of an issuing CA is decrypted once, when the instance opens, and wiped when the instance closes. The key of
//! a root is decrypted each time that it is used.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use der::asn1::Null;
use der::{Any, SecretDocument};
use pkcs8::PrivateKeyInfo;
use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm, SigningKey};
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use super::public::{KeyKind, SubjectPublicKey};
use crate::error::{Error, Result};
use crate::oid;

/// The kinds of key that can be generated for a CA, or for a gateway that enrols itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256, signing with SHA-256.
    #[default]
    P256,
    /// ECDSA on P-384, signing with SHA-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA with 3072 bits, signing with PKCS #1 v1.5 and SHA-256.
    Rsa3072,
    /// RSA with 4096 bits, signing with PKCS #1 v1.5 and SHA-256.
    Rsa4096,
}

impl KeyAlgorithm {
    /// Every kind, with its name in commands and files.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::P256, "p256"),
        (Self::P384, "p384"),
        (Self::Ed25519, "ed25519"),
        (Self::Rsa3072, "rsa3072"),
        (Self::Rsa4096, "rsa4096"),
    ];

    /// The kind to generate in place of a key of this kind: the same one, or else the nearest that can be generated.
    /// That is P-384 for P-521, RSA-3072 for RSA keys of up to 3072 bits, and RSA-4096 for longer ones.
    pub const fn of(kind: KeyKind) -> Self {
        match kind {
            KeyKind::P256 => Self::P256,
            KeyKind::P384 | KeyKind::P521 => Self::P384,
            KeyKind::Ed25519 => Self::Ed25519,
            KeyKind::Rsa(bits) if bits > 3072 => Self::Rsa4096,
            KeyKind::Rsa(_) => Self::Rsa3072,
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            Self::ALL.into_iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name),
        )
    }
}

impl FromStr for KeyAlgorithm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|(_, name)| *name == text).map(|(kind, _)| kind).ok_or_else(
            || {
                Error::malformed(format!(
                    "expected one of p256, p384, ed25519, rsa3072 and rsa4096, found `{}`",
                    text.escape_debug()
                ))
            },
        )
    }
}

/// A private key with its public half.
pub struct FileKey {
    pair: KeyPair,
    /// The same key in AWS-LC's form, which signs faster than rcgen's. `None` for Ed25519 and P-521.
    fast: Option<FastPair>,
    public: SubjectPublicKey,
}

/// A key of AWS-LC.
enum FastPair {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl FileKey {
    /// Generates a new key.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the operating system provides no randomness.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self> {
        let failed = |e: &dyn fmt::Display| {
            Error::unavailable(format!("a {algorithm} key could not be generated: {e}"))
        };
        let pair = match algorithm {
            KeyAlgorithm::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            KeyAlgorithm::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            KeyAlgorithm::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519),
            KeyAlgorithm::Rsa3072 => return Self::generate_rsa(aws_lc_rs::rsa::KeySize::Rsa3072),
            KeyAlgorithm::Rsa4096 => return Self::generate_rsa(aws_lc_rs::rsa::KeySize::Rsa4096),
        }
        .map_err(|e| failed(&e))?;
        Self::from_pair(pair)
    }

    /// Reads a PKCS#8 PrivateKeyInfo (RFC 5958).
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not a P-256, P-384, Ed25519 or RSA key, or one of a size that cannot sign.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let algorithm = signature_algorithm_of(der)?;
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der.into(), algorithm)
            .map_err(|e| Error::malformed(format!("the private key cannot be used: {e}")))?;
        Self::from_pair(pair)
    }

    /// The public key.
    pub const fn public(&self) -> &SubjectPublicKey {
        &self.public
    }

    /// The algorithm that this key signs with, as certificates and messages name it.
    pub fn signature_algorithm(&self) -> AlgorithmIdentifierOwned {
        signature_algorithm(self.public.kind())
    }

    /// The key as unencrypted PKCS#8 of version 1 (RFC 5208), for the key file of a gateway that enrols itself. Version
    /// 2, in which Ed25519 keys are generated, adds the public key; OpenSSL 3.0 and strongSwan do not read it.
    ///
    /// # Errors
    /// [`Error::Internal`] if the key cannot be encoded.
    pub fn exported(&self) -> Result<Zeroizing<Vec<u8>>> {
        let mut info = PrivateKeyInfo::try_from(self.pkcs8()).map_err(Error::internal)?;
        info.public_key = None;
        let der = SecretDocument::encode_msg(&info).map_err(Error::internal)?;
        Ok(Zeroizing::new(der.as_bytes().to_vec()))
    }

    /// The key as unencrypted PKCS#8, for [`Self::exported`], [`KeyFolder::save`](super::KeyFolder::save) and
    /// [`MessageSigner`](super::MessageSigner) only.
    pub(crate) fn pkcs8(&self) -> &[u8] {
        self.pair.serialized_der()
    }

    fn generate_rsa(size: aws_lc_rs::rsa::KeySize) -> Result<Self> {
        let pair = aws_lc_rs::rsa::KeyPair::generate(size)
            .map_err(|_| Error::unavailable("an RSA key could not be generated"))?;
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair)
            .map_err(|_| Error::internal("a new RSA key could not be encoded"))?;
        Self::from_pkcs8(der.as_ref())
    }

    fn from_pair(pair: KeyPair) -> Result<Self> {
        let public = SubjectPublicKey::from_der(&pair.subject_public_key_info())?;
        let pkcs8 = pair.serialized_der();
        let ecdsa =
            |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).map(FastPair::Ecdsa).map(Some);
        let fast = match public.kind() {
            KeyKind::P256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyKind::P384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyKind::Rsa(_) => RsaKeyPair::from_pkcs8(pkcs8).map(FastPair::Rsa).map(Some),
            KeyKind::P521 | KeyKind::Ed25519 => Ok(None),
        };
        let fast =
            fast.map_err(|e| Error::malformed(format!("the private key cannot be used: {e}")))?;
        Ok(Self { pair, fast, public })
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileKey({}, …)", self.public.kind())
    }
}

impl PublicKeyData for FileKey {
    fn der_bytes(&self) -> &[u8] {
        self.pair.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        PublicKeyData::algorithm(&self.pair)
    }
}

impl SigningKey for FileKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let random = SystemRandom::new();
        let signature = match &self.fast {
            None => return self.pair.sign(message),
            Some(FastPair::Ecdsa(pair)) => {
                pair.sign(&random, message).map(|made| made.as_ref().to_vec())
            }
            Some(FastPair::Rsa(pair)) => {
                let mut made = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut made).map(|()| made)
            }
        };
        signature.map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// The algorithm with which this program signs by a key of this kind.
pub fn signature_algorithm(kind: KeyKind) -> AlgorithmIdentifierOwned {
    let (oid, parameters) = match kind {
        KeyKind::P256 => (oid::ECDSA_SHA256, None),
        KeyKind::P384 => (oid::ECDSA_SHA384, None),
        KeyKind::P521 => (oid::ECDSA_SHA512, None),
        KeyKind::Ed25519 => (oid::ED25519, None),
        KeyKind::Rsa(_) => (oid::RSA_SHA256, Some(Any::from(Null))),
    };
    AlgorithmIdentifierOwned { oid, parameters }
}

/// rcgen's signature algorithm for a PKCS#8 private key.
fn signature_algorithm_of(pkcs8: &[u8]) -> Result<&'static SignatureAlgorithm> {
    let info = PrivateKeyInfo::try_from(pkcs8)
        .map_err(|e| Error::malformed(format!("expected a PKCS#8 private key: {e}")))?;
    let curve = info.algorithm.parameters_oid().ok();
    match (info.algorithm.oid, curve) {
        (oid::EC_PUBLIC_KEY, Some(oid::P256)) => Ok(&rcgen::PKCS_ECDSA_P256_SHA256),
        (oid::EC_PUBLIC_KEY, Some(oid::P384)) => Ok(&rcgen::PKCS_ECDSA_P384_SHA384),
        (oid::ED25519, _) => Ok(&rcgen::PKCS_ED25519),
        (oid::RSA_ENCRYPTION, _) => Ok(&rcgen::PKCS_RSA_SHA256),
        (other, _) => Err(Error::malformed(format!(
            "expected a P-256, P-384, Ed25519 or RSA private key, found the algorithm `{other}`"
        ))),
    }
}
