//! Public keys: the accepted kinds, and the verification of signatures with them. AWS-LC verifies ECDSA, which it does faster than ring and
//! for more curves and hashes; ring verifies the rest.
//!
//! Signatures with MD5, and with RSA keys below 2048 bits, are never verified; those with SHA-1 only by [`SubjectPublicKey::verify_former`].

use std::fmt;

use der::asn1::{Null, UintRef};
use der::{Any, Decode, Encode, Sequence};
use ring::digest;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoRef};

use crate::error::{Denial, Error, Result};
use crate::oid;

/// The largest SubjectPublicKeyInfo that is parsed, in bytes. RSA-8192 takes 1,062.
const MAX_SPKI: usize = 8192;

/// The kind of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// An elliptic-curve key on secp256r1.
    P256,
    /// An elliptic-curve key on secp384r1.
    P384,
    /// An elliptic-curve key on secp521r1.
    P521,
    /// Ed25519.
    Ed25519,
    /// RSA, with the length of the modulus in bits.
    Rsa(u32),
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P256 => f.write_str("P-256"),
            Self::P384 => f.write_str("P-384"),
            Self::P521 => f.write_str("P-521"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Rsa(bits) => write!(f, "RSA-{bits}"),
        }
    }
}

/// A SubjectPublicKeyInfo of a supported kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectPublicKey {
    der: Vec<u8>,
    kind: KeyKind,
    bits: Vec<u8>,
}

/// An RSA public key.
///
/// ```text
/// RSAPublicKey ::= SEQUENCE {
///     modulus           INTEGER,  -- n
///     publicExponent    INTEGER   -- e }
/// ```
/// RFC 8017 §A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

impl SubjectPublicKey {
    /// Reads a DER SubjectPublicKeyInfo (RFC 5280 §4.1).
    ///
    /// # Errors
    /// [`Error::Malformed`] if it cannot be read; `Denied` with [`Denial::Algorithm`] for an unsupported kind, with
    /// [`Denial::KeySize`] for an unsupported size.
    pub fn from_der(spki: &[u8]) -> Result<Self> {
        if spki.len() > MAX_SPKI {
            return Err(Error::denied(
                Denial::KeySize,
                format!("a public key has at most {MAX_SPKI} bytes here, found {}", spki.len()),
            ));
        }
        let info = SubjectPublicKeyInfoRef::from_der(spki)
            .map_err(|e| Error::malformed(format!("expected a SubjectPublicKeyInfo: {e}")))?;
        let bits = info
            .subject_public_key
            .as_bytes()
            .ok_or_else(|| Error::malformed("a subjectPublicKey has no unused bits"))?;
        let kind = kind_of(&info, bits)?;
        Ok(Self { der: spki.to_vec(), kind, bits: bits.to_vec() })
    }

    /// The octets of the subjectPublicKey, a BIT STRING.
    pub(crate) fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// The SubjectPublicKeyInfo, DER, as it was read.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The kind of the key.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key identifier of RFC 5280 §4.2.1.2, method (1): SHA-1 over the content of the BIT STRING.
    pub fn key_identifier(&self) -> [u8; 20] {
        let mut identifier = [0; 20];
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.bits);
        identifier.copy_from_slice(hash.as_ref());
        identifier
    }

    /// Verifies a signature over `message`.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Algorithm`] if the algorithm is not supported or does not fit the key;
    /// [`Error::Unauthenticated`] if the signature is wrong.
    pub fn verify(
        &self,
        algorithm: &AlgorithmIdentifierOwned,
        message: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        let wrong =
            || Error::unauthenticated(format!("the {} signature does not verify", self.kind));
        if let Some(verifier) = ecdsa_verifier(self.kind, algorithm) {
            let key = aws_lc_rs::signature::UnparsedPublicKey::new(verifier, &self.bits);
            return key.verify(message, signature).map_err(|_| wrong());
        }
        let verifier = verifier(self.kind, algorithm)?;
        UnparsedPublicKey::new(verifier, &self.bits).verify(message, signature).map_err(|_| wrong())
    }

    /// Like [`Self::verify`], but also verifies RSA signatures with SHA-1. This is only for what a CA signed before it was taken over, from
    /// the files of its operator: nobody who authenticates gets here.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_former(
        &self,
        algorithm: &AlgorithmIdentifierOwned,
        message: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        if !matches!((self.kind, algorithm.oid), (KeyKind::Rsa(_), oid::RSA_SHA1)) {
            return self.verify(algorithm, message, signature);
        }
        let verifier = &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY;
        UnparsedPublicKey::new(verifier, &self.bits).verify(message, signature).map_err(|_| {
            Error::unauthenticated(format!("the {} signature does not verify", self.kind))
        })
    }
}

/// A public key, with the way in which possession of its private key is proven.
#[derive(Debug, Clone)]
pub struct ProvenKey {
    key: SubjectPublicKey,
    proof: Proof,
}

/// How possession of a private key is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The key signed the request, and the signature was verified.
    Signature,
    /// A registration authority verified the proof and vouches for it (raVerified, RFC 4211 §4).
    Vouched,
    /// The peer decrypted a random number ([`crate::Challenge`]).
    Decryption,
    /// The certificate is returned encrypted for the key, and only its holder can confirm it (RFC 9810 §5.2.8.3.2).
    /// Until the confirmation, the proof is outstanding.
    Confirmation,
    /// The authority generated the key itself ([`crate::GeneratedKey`]).
    Generated,
}

impl ProvenKey {
    /// Verifies a proof of possession: a signature over `message` by `key` itself (RFC 4211 §4.1, RFC 2986 §3).
    ///
    /// # Errors
    /// `Denied` with [`Denial::ProofOfPossession`] if the signature is wrong or its algorithm is for another kind of
    /// key, with [`Denial::Algorithm`] if the algorithm is not supported.
    pub fn verify(
        key: SubjectPublicKey,
        algorithm: &AlgorithmIdentifierOwned,
        message: &[u8],
        signature: &[u8],
    ) -> Result<Self> {
        match key.verify(algorithm, message, signature) {
            Ok(()) => Ok(Self { key, proof: Proof::Signature }),
            Err(Error::Unauthenticated(why)) => Err(Error::denied(
                Denial::ProofOfPossession,
                format!(
                    "proof of possession: {why}; sign the request with the key that it asks to certify"
                ),
            )),
            Err(Error::Denied { why, .. }) if is_for_another(key.kind, algorithm) => {
                Err(Error::denied(Denial::ProofOfPossession, format!("proof of possession: {why}")))
            }
            Err(other) => Err(other),
        }
    }

    /// A key whose possession will be proven by confirming the certificate, which is returned encrypted for the key.
    /// The authority issues for it only if a confirmation is awaited.
    ///
    /// # Errors
    /// `Denied` with [`Denial::ProofOfPossession`] if nothing can be encrypted for the key.
    pub fn to_be_confirmed(key: SubjectPublicKey) -> Result<Self> {
        check_encryption(key.kind())?;
        Ok(Self { key, proof: Proof::Confirmation })
    }

    /// A key with a proof that the caller has seen. Nothing is verified here.
    pub(crate) const fn with_proof(key: SubjectPublicKey, proof: Proof) -> Self {
        Self { key, proof }
    }

    /// The public key.
    pub const fn key(&self) -> &SubjectPublicKey {
        &self.key
    }

    /// How possession is proven.
    pub const fn proof(&self) -> Proof {
        self.proof
    }
}

/// Checks that data can be encrypted for a key of this kind.
///
/// # Errors
/// `Denied` with [`Denial::ProofOfPossession`] that says what to do instead.
pub(super) fn check_encryption(kind: KeyKind) -> Result<()> {
    match kind {
        KeyKind::Rsa(_) | KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => Ok(()),
        KeyKind::Ed25519 => Err(Error::denied(
            Denial::ProofOfPossession,
            "an Ed25519 key only signs; prove its possession by a signature",
        )),
    }
}

/// The kind of a key, from its algorithm and parameters. Lengths are checked; whether a point is on its curve is
/// checked for P-256 only.
fn kind_of(info: &SubjectPublicKeyInfoRef<'_>, bits: &[u8]) -> Result<KeyKind> {
    let unsupported = |what: String| {
        Error::denied(
            Denial::Algorithm,
            format!("expected a P-256, P-384, P-521, Ed25519 or RSA public key, found {what}"),
        )
    };
    let parameters = info.algorithm.parameters;
    match info.algorithm.oid {
        oid::EC_PUBLIC_KEY => {
            let curve = parameters
                .and_then(|p| p.decode_as::<der::oid::ObjectIdentifier>().ok())
                .ok_or_else(|| unsupported("an EC key without a named curve".into()))?;
            let (kind, point) = match curve {
                oid::P256 => (KeyKind::P256, 65),
                oid::P384 => (KeyKind::P384, 97),
                oid::P521 => (KeyKind::P521, 133),
                other => return Err(unsupported(format!("the curve `{other}`"))),
            };
            if bits.len() != point || bits.first() != Some(&4) {
                return Err(Error::malformed(format!(
                    "expected an uncompressed {kind} point of {point} octets, found {} octets",
                    bits.len()
                )));
            }
            if kind == KeyKind::P256 && p256::PublicKey::from_sec1_bytes(bits).is_err() {
                return Err(Error::malformed("the public key is not a point on P-256"));
            }
            Ok(kind)
        }
        oid::ED25519 if parameters.is_some() => {
            Err(Error::malformed("an Ed25519 key has no algorithm parameters (RFC 8410 §3)"))
        }
        oid::ED25519 if bits.len() != 32 => {
            Err(Error::malformed(format!("an Ed25519 key has 32 octets, found {}", bits.len())))
        }
        oid::ED25519 => Ok(KeyKind::Ed25519),
        oid::RSA_ENCRYPTION => rsa_kind(bits),
        other => Err(unsupported(format!("the algorithm `{other}`"))),
    }
}

/// The kind of an RSA key, with its size. Even moduli and exponents, the exponent 1, and sizes outside 2048 to 8192
/// bits are refused.
fn rsa_kind(bits: &[u8]) -> Result<KeyKind> {
    let key = RsaPublicKey::from_der(bits)
        .map_err(|e| Error::malformed(format!("expected an RSAPublicKey: {e}")))?;
    let modulus = key.modulus.as_bytes();
    let leading = modulus.first().map_or(8, |byte| byte.leading_zeros());
    let length =
        u32::try_from(modulus.len()).unwrap_or(u32::MAX).saturating_mul(8).saturating_sub(leading);
    let exponent_is_odd = key.public_exponent.as_bytes().last().is_some_and(|byte| byte & 1 == 1);
    let odd = modulus.last().is_some_and(|byte| byte & 1 == 1);
    if !odd || !exponent_is_odd || key.public_exponent.as_bytes() == [1] {
        return Err(Error::malformed(
            "an RSA modulus and exponent are odd, and the exponent is at least 3",
        ));
    }
    if !(2048..=8192).contains(&length) {
        return Err(Error::denied(
            Denial::KeySize,
            format!("expected an RSA key of 2048 to 8192 bits, found {length}"),
        ));
    }
    Ok(KeyKind::Rsa(length))
}

/// The AlgorithmIdentifier of a public key of this kind (RFC 5480 §2.1.1, RFC 8410 §3, RFC 3279 §2.3.1).
pub fn algorithm_identifier(kind: KeyKind) -> AlgorithmIdentifierOwned {
    let (oid, parameters) = match kind {
        KeyKind::P256 => (oid::EC_PUBLIC_KEY, Some(Any::from(oid::P256))),
        KeyKind::P384 => (oid::EC_PUBLIC_KEY, Some(Any::from(oid::P384))),
        KeyKind::P521 => (oid::EC_PUBLIC_KEY, Some(Any::from(oid::P521))),
        KeyKind::Ed25519 => (oid::ED25519, None),
        KeyKind::Rsa(_) => (oid::RSA_ENCRYPTION, Some(Any::from(Null))),
    };
    AlgorithmIdentifierOwned { oid, parameters }
}

/// AWS-LC's verifier for an elliptic-curve key and an ECDSA algorithm; `None` for any other kind of key or algorithm.
fn ecdsa_verifier(
    kind: KeyKind,
    algorithm: &AlgorithmIdentifierOwned,
) -> Option<&'static aws_lc_rs::signature::EcdsaVerificationAlgorithm> {
    use aws_lc_rs::signature as aws_lc;
    match (kind, algorithm.oid) {
        (KeyKind::P256, oid::ECDSA_SHA256) => Some(&aws_lc::ECDSA_P256_SHA256_ASN1),
        (KeyKind::P256, oid::ECDSA_SHA384) => Some(&aws_lc::ECDSA_P256_SHA384_ASN1),
        (KeyKind::P384, oid::ECDSA_SHA256) => Some(&aws_lc::ECDSA_P384_SHA256_ASN1),
        (KeyKind::P384, oid::ECDSA_SHA384) => Some(&aws_lc::ECDSA_P384_SHA384_ASN1),
        (KeyKind::P256, oid::ECDSA_SHA512) => Some(&aws_lc::ECDSA_P256_SHA512_ASN1),
        (KeyKind::P384, oid::ECDSA_SHA512) => Some(&aws_lc::ECDSA_P384_SHA512_ASN1),
        (KeyKind::P521, oid::ECDSA_SHA256) => Some(&aws_lc::ECDSA_P521_SHA256_ASN1),
        (KeyKind::P521, oid::ECDSA_SHA384) => Some(&aws_lc::ECDSA_P521_SHA384_ASN1),
        (KeyKind::P521, oid::ECDSA_SHA512) => Some(&aws_lc::ECDSA_P521_SHA512_ASN1),
        _ => None,
    }
}

/// ring's verifier for any other kind of key and signature algorithm.
fn verifier(
    kind: KeyKind,
    algorithm: &AlgorithmIdentifierOwned,
) -> Result<&'static dyn VerificationAlgorithm> {
    let verifier: &'static dyn VerificationAlgorithm = match (kind, algorithm.oid) {
        (KeyKind::Ed25519, oid::ED25519) => &signature::ED25519,
        (KeyKind::Rsa(_), oid::RSA_SHA256) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (KeyKind::Rsa(_), oid::RSA_SHA384) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (KeyKind::Rsa(_), oid::RSA_SHA512) => &signature::RSA_PKCS1_2048_8192_SHA512,
        (KeyKind::Rsa(_), oid::RSA_PSS) => pss_verifier(algorithm)?,
        (_, other) => {
            return Err(Error::denied(
                Denial::Algorithm,
                format!(
                    "the signature algorithm `{other}` is not supported with a {kind} key; \
                     use SHA-256, SHA-384 or SHA-512"
                ),
            ));
        }
    };
    Ok(verifier)
}

/// Whether the signature algorithm is supported, but only for keys of another kind.
fn is_for_another(kind: KeyKind, algorithm: &AlgorithmIdentifierOwned) -> bool {
    match algorithm.oid {
        oid::ECDSA_SHA256 | oid::ECDSA_SHA384 | oid::ECDSA_SHA512 => {
            !matches!(kind, KeyKind::P256 | KeyKind::P384 | KeyKind::P521)
        }
        oid::ED25519 => kind != KeyKind::Ed25519,
        oid::RSA_SHA256 | oid::RSA_SHA384 | oid::RSA_SHA512 | oid::RSA_PSS => {
            !matches!(kind, KeyKind::Rsa(_))
        }
        _ => false,
    }
}

/// The parameters of an RSASSA-PSS signature.
///
/// ```text
/// RSASSA-PSS-params ::= SEQUENCE {
///     hashAlgorithm    [0] HashAlgorithm     DEFAULT sha1Identifier,
///     maskGenAlgorithm [1] MaskGenAlgorithm  DEFAULT mgf1SHA1Identifier,
///     saltLength       [2] INTEGER           DEFAULT 20,
///     trailerField     [3] TrailerField      DEFAULT trailerFieldBC }
/// ```
/// RFC 8017 §A.2.3. Only parameters are accepted in which MGF1 uses the same hash and the salt is as long as the hash,
/// as RFC 4055 §3.1 recommends.
#[derive(Sequence)]
struct PssParameters {
    #[asn1(context_specific = "0", optional = "true")]
    hash: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "1", optional = "true")]
    mask: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "2", optional = "true")]
    salt: Option<u32>,
    #[asn1(context_specific = "3", optional = "true")]
    trailer: Option<u32>,
}

/// ring's verifier for RSASSA-PSS with these parameters.
fn pss_verifier(
    algorithm: &AlgorithmIdentifierOwned,
) -> Result<&'static dyn VerificationAlgorithm> {
    let unsupported = || {
        Error::denied(
            Denial::Algorithm,
            "RSASSA-PSS is taken with SHA-256, SHA-384 or SHA-512, MGF1 with the same hash, and a salt as long as the hash",
        )
    };
    let parameters: PssParameters = algorithm
        .parameters
        .as_ref()
        .and_then(|any| any.to_der().ok())
        .and_then(|der| PssParameters::from_der(&der).ok())
        .ok_or_else(unsupported)?;
    let hash = parameters.hash.as_ref().map(|a| a.oid).ok_or_else(unsupported)?;
    let mask = parameters.mask.as_ref().ok_or_else(unsupported)?;
    let mask_hash = mask
        .parameters
        .as_ref()
        .and_then(|any| any.to_der().ok())
        .and_then(|der| AlgorithmIdentifierOwned::from_der(&der).ok())
        .map(|a| a.oid);
    if mask.oid != oid::MGF1
        || mask_hash != Some(hash)
        || parameters.trailer.is_some_and(|t| t != 1)
    {
        return Err(unsupported());
    }
    match (hash, parameters.salt) {
        (oid::SHA256, Some(32)) => Ok(&signature::RSA_PSS_2048_8192_SHA256),
        (oid::SHA384, Some(48)) => Ok(&signature::RSA_PSS_2048_8192_SHA384),
        (oid::SHA512, Some(64)) => Ok(&signature::RSA_PSS_2048_8192_SHA512),
        _ => Err(unsupported()),
    }
}
