//! Public keys in the spellings of KeyNote: RFC 2792 for RSA and DSA (but modulus before exponent, as in the reference implementation and
//! PKCS #1, against RFC 2792 §3.2), `x509-` of the reference implementation, and names of our own for ECDSA and Ed25519 (policy/README.md).

use std::borrow::Cow;

use der::asn1::UintRef;
use der::{Decode, Encode, Sequence};
use p256::elliptic_curve::sec1::ToEncodedPoint;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The largest RSA modulus or DSA prime, in bits.
const MAX_BITS: usize = 16384;

/// A public key in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PublicKey {
    /// RSA.
    Rsa(RsaKey),
    /// DSA.
    Dsa(DsaKey),
    /// ECDSA on P-256: the point, uncompressed (SEC 1 §2.3.3).
    EcdsaP256(Box<[u8]>),
    /// ECDSA on P-384: the point, uncompressed.
    EcdsaP384(Box<[u8]>),
    /// Ed25519: the 32 octets of the key (RFC 8032 §5.1.5).
    Ed25519([u8; 32]),
}

/// An RSA public key (RFC 8017 A.1.1), in DER.
///
/// ```text
/// RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RsaKey {
    der: Box<[u8]>,
    bits: usize,
}

impl RsaKey {
    /// The length of the modulus, in bits.
    pub const fn bits(&self) -> usize {
        self.bits
    }

    /// The key in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

/// A DSA public key (RFC 2792 §3.1), in DER.
///
/// ```text
/// SEQUENCE { y INTEGER, p INTEGER, q INTEGER, g INTEGER }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DsaKey {
    der: Box<[u8]>,
}

impl DsaKey {
    /// The key in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

#[derive(Sequence)]
pub(crate) struct RsaDer<'a> {
    /// The modulus n.
    pub modulus: UintRef<'a>,
    /// The public exponent e.
    pub exponent: UintRef<'a>,
}

#[derive(Sequence)]
pub(crate) struct DsaDer<'a> {
    /// The public value y.
    pub y: UintRef<'a>,
    /// The prime modulus p.
    pub p: UintRef<'a>,
    /// The order q of the subgroup.
    pub q: UintRef<'a>,
    /// The generator g of the subgroup.
    pub g: UintRef<'a>,
}

/// The parameters of a DSA key in a SubjectPublicKeyInfo (RFC 3279 §2.3.2).
#[derive(Sequence)]
struct DsaParameters<'a> {
    p: UintRef<'a>,
    q: UintRef<'a>,
    g: UintRef<'a>,
}

impl PublicKey {
    /// The algorithm's name, with which principals of this kind begin, before `-hex:` or `-base64:`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "rsa",
            Self::Dsa(_) => "dsa",
            Self::EcdsaP256(_) => "ecdsa-p256",
            Self::EcdsaP384(_) => "ecdsa-p384",
            Self::Ed25519(_) => "ed25519",
        }
    }

    /// The octets that a spelling encodes after the algorithm's name: DER for RSA and DSA, the uncompressed point for ECDSA, and the 32
    /// octets of an Ed25519 key.
    pub fn bits(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Rsa(key) => Cow::Borrowed(&key.der),
            Self::Dsa(key) => Cow::Borrowed(&key.der),
            Self::EcdsaP256(point) | Self::EcdsaP384(point) => Cow::Borrowed(point),
            Self::Ed25519(key) => Cow::Borrowed(key),
        }
    }

    pub(crate) fn rsa(der: &[u8]) -> Result<Self, String> {
        let key = RsaDer::from_der(der).map_err(|e| {
            format!("expected an RSAPublicKey of PKCS #1 in DER, found something else: {e}")
        })?;
        let bits = bits(key.modulus);
        if bits > MAX_BITS || self::bits(key.exponent) > 64 {
            return Err(format!(
                "expected at most {MAX_BITS} bits of modulus and 64 of exponent, found {bits} and more"
            ));
        }
        if !odd(key.modulus) || !odd(key.exponent) {
            return Err("expected an odd modulus and exponent, found an even one".into());
        }
        Ok(Self::Rsa(RsaKey { der: der.into(), bits }))
    }

    pub(crate) fn dsa(der: &[u8]) -> Result<Self, String> {
        let key = DsaDer::from_der(der)
            .map_err(|e| format!("expected a SEQUENCE of four integers y, p, q and g in DER, found something else: {e}"))?;
        if [key.y, key.p, key.g].into_iter().any(|number| bits(number) > MAX_BITS)
            || bits(key.q) > 512
        {
            return Err(format!("expected at most {MAX_BITS} bits, and 512 for q, found more"));
        }
        if !odd(key.p) || !odd(key.q) {
            return Err("expected odd primes p and q, found an even number".into());
        }
        Ok(Self::Dsa(DsaKey { der: der.into() }))
    }

    pub(crate) fn ecdsa_p256(point: &[u8]) -> Result<Self, String> {
        let key = p256::PublicKey::from_sec1_bytes(point).map_err(|_| {
            "expected a point on P-256 as SEC 1 writes it, found something else".to_owned()
        })?;
        Ok(Self::EcdsaP256(key.to_encoded_point(false).as_bytes().into()))
    }

    /// A key on P-384. Only the form of the point is checked; whether it is on the curve is checked when a signature is verified with it.
    pub(crate) fn ecdsa_p384(point: &[u8]) -> Result<Self, String> {
        match point {
            [4, rest @ ..] if rest.len() == 96 => Ok(Self::EcdsaP384(point.into())),
            _ => Err(format!(
                "expected an uncompressed point on P-384, 04 and 97 octets in all, found {}",
                point.len()
            )),
        }
    }

    pub(crate) fn ed25519(key: &[u8]) -> Result<Self, String> {
        let key = key.try_into().map_err(|_| format!("expected 32 octets, found {}", key.len()))?;
        Ok(Self::Ed25519(key))
    }

    /// The subject's key of an X.509 certificate (RFC 5280 §4.1.2.7).
    ///
    /// # Errors
    /// It is not a certificate, octets follow it, or its key is malformed or of a kind that is not supported.
    pub fn in_certificate(der: &[u8]) -> Result<Self, String> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|e| {
            format!("expected an X.509 certificate in DER, found something else: {e}")
        })?;
        if !rest.is_empty() {
            return Err(format!(
                "expected an X.509 certificate and nothing else, found {} octets behind it",
                rest.len()
            ));
        }
        Self::from_spki(certificate.public_key().raw)
    }

    /// The key in a SubjectPublicKeyInfo, DER.
    ///
    /// # Errors
    /// It is not a SubjectPublicKeyInfo, or the key is malformed or of a kind that is not supported.
    pub fn from_spki(der: &[u8]) -> Result<Self, String> {
        let info = spki::SubjectPublicKeyInfoRef::from_der(der)
            .map_err(|e| format!("expected a SubjectPublicKeyInfo, found something else: {e}"))?;
        let bits =
            info.subject_public_key.as_bytes().ok_or("expected whole octets of key, found bits")?;
        let curve = info.algorithm.parameters_oid().ok();
        match info.algorithm.oid.to_string().as_str() {
            "1.2.840.113549.1.1.1" => Self::rsa(bits),
            "1.3.101.112" => Self::ed25519(bits),
            "1.2.840.10045.2.1" if curve == Some(P256) => Self::ecdsa_p256(bits),
            "1.2.840.10045.2.1" if curve == Some(P384) => Self::ecdsa_p384(bits),
            "1.2.840.10040.4.1" => {
                let parameters =
                    info.algorithm.parameters.ok_or("expected DSA parameters, found none")?;
                Self::dsa(
                    &dsa_der(&parameters.to_der().map_err(|e| e.to_string())?, bits)
                        .map_err(|e| e.to_string())?,
                )
            }
            other => Err(format!(
                "expected an RSA, DSA, P-256, P-384 or Ed25519 key, found the algorithm `{other}`"
            )),
        }
    }
}

pub(crate) const P256: spki::ObjectIdentifier =
    spki::ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(crate) const P384: spki::ObjectIdentifier = spki::ObjectIdentifier::new_unwrap("1.3.132.0.34");

fn dsa_der(parameters: &[u8], key: &[u8]) -> der::Result<Vec<u8>> {
    let DsaParameters { p, q, g } = DsaParameters::from_der(parameters)?;
    DsaDer { y: UintRef::from_der(key)?, p, q, g }.to_der()
}

fn bits(number: UintRef<'_>) -> usize {
    let bytes = number.as_bytes();
    bytes.first().map_or(0, |first| bytes.len() * 8 - first.leading_zeros() as usize)
}

fn odd(number: UintRef<'_>) -> bool {
    number.as_bytes().last().is_some_and(|last| last & 1 == 1)
}
