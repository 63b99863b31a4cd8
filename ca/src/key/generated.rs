//! Key pairs that the authority generates for peers (RFC 9483 §4.1.6). Such a key stays in memory until the answer that
//! contains it is encrypted; then it is wiped. It is never stored.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};
use der::asn1::BitString;
use der::{Decode, Encode, SecretDocument};
use pkcs8::PrivateKeyInfo;
use spki::SubjectPublicKeyInfoOwned;

use super::public::{KeyKind, Proof, ProvenKey, SubjectPublicKey, algorithm_identifier};
use crate::error::{Error, Result};

/// The RSA key sizes that are generated, in bits. Larger keys take seconds each.
pub(crate) const RSA_SIZES: [(u32, KeySize); 3] =
    [(2048, KeySize::Rsa2048), (3072, KeySize::Rsa3072), (4096, KeySize::Rsa4096)];

/// The form in which a generated key is handed over. It depends on what the recipient can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyForm {
    /// The form of RFC 9483 §4.1.6: an AsymmetricKeyPackage (RFC 5958 §2); under a shared secret, wrapped by AES key
    /// wrap (RFC 9481 §4.3.1).
    #[default]
    Rfc5958,
    /// The form that OpenSSL's client up to 4.0.3 can read: a bare PrivateKeyInfo (RFC 5208 §5); under a shared secret,
    /// wrapped by id-alg-PWRI-KEK (RFC 3211 §2.3).
    Openssl,
}

/// A key pair that was generated for a peer.
pub struct GeneratedKey {
    public: SubjectPublicKey,
    private: SecretDocument,
}

impl GeneratedKey {
    pub(crate) fn generate(kind: KeyKind) -> Result<Self> {
        match kind {
            KeyKind::P256 => Self::ecdsa(kind, &ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyKind::P384 => Self::ecdsa(kind, &ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyKind::P521 => Self::ecdsa(kind, &ECDSA_P521_SHA512_ASN1_SIGNING),
            KeyKind::Ed25519 => {
                let pair = Ed25519KeyPair::generate().map_err(|_| failed(kind))?;
                let pkcs8 = pair.to_pkcs8v1().map_err(|_| failed(kind))?;
                Self::new(kind, pkcs8.as_ref(), pair.public_key().as_ref())
            }
            KeyKind::Rsa(bits) => {
                let size = RSA_SIZES.iter().find(|(size, _)| *size == bits);
                let (_, size) = size.ok_or_else(|| failed(kind))?;
                let pair = RsaKeyPair::generate(*size).map_err(|_| failed(kind))?;
                let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> =
                    pair.as_der().map_err(|_| failed(kind))?;
                Self::new(kind, pkcs8.as_ref(), pair.public_key().as_ref())
            }
        }
    }

    /// The public key.
    pub const fn public(&self) -> &SubjectPublicKey {
        &self.public
    }

    /// The private key as a OneAsymmetricKey, DER, with the public key in it (RFC 5958 §2).
    pub fn one_asymmetric_key(&self) -> &[u8] {
        self.private.as_bytes()
    }

    /// The private key as a PrivateKeyInfo, DER (RFC 5208 §5).
    ///
    /// # Errors
    /// [`Error::Internal`] if it cannot be encoded.
    pub fn private_key_info(&self) -> Result<SecretDocument> {
        let info = PrivateKeyInfo::from_der(self.private.as_bytes()).map_err(Error::internal)?;
        let bare = PrivateKeyInfo { public_key: None, ..info };
        SecretDocument::encode_msg(&bare).map_err(Error::internal)
    }

    /// The public key, for a certificate request. No proof of possession is needed, because the authority made the key
    /// itself.
    pub fn proven(&self) -> ProvenKey {
        ProvenKey::with_proof(self.public.clone(), Proof::Generated)
    }

    fn ecdsa(kind: KeyKind, algorithm: &'static EcdsaSigningAlgorithm) -> Result<Self> {
        let pair = EcdsaKeyPair::generate(algorithm).map_err(|_| failed(kind))?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| failed(kind))?;
        Self::new(kind, pkcs8.as_ref(), pair.public_key().as_ref())
    }

    /// Adds the public key to the private one, and checks that it is usable.
    fn new(kind: KeyKind, pkcs8: &[u8], public: &[u8]) -> Result<Self> {
        let spki = SubjectPublicKeyInfoOwned {
            algorithm: algorithm_identifier(kind),
            subject_public_key: BitString::from_bytes(public).map_err(Error::internal)?,
        };
        let public_key = SubjectPublicKey::from_der(&spki.to_der().map_err(Error::internal)?)?;
        let mut info = PrivateKeyInfo::from_der(pkcs8).map_err(Error::internal)?;
        // A OneAsymmetricKey with a public key has version 2, which RFC 9483 §4.1.6 demands.
        info.public_key = Some(public);
        let private = SecretDocument::encode_msg(&info).map_err(Error::internal)?;
        Ok(Self { public: public_key, private })
    }
}

impl std::fmt::Debug for GeneratedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GeneratedKey({}, …)", self.public.kind())
    }
}

fn failed(kind: KeyKind) -> Error {
    Error::unavailable(format!("a {kind} key could not be generated"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::FileKey;

    #[test]
    fn what_is_made_is_version_2_with_its_public_key_and_signs() {
        for kind in
            [KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519, KeyKind::Rsa(2048)]
        {
            let made = GeneratedKey::generate(kind).unwrap();
            assert_eq!(made.public().kind(), kind);
            let der = made.one_asymmetric_key();
            let info = PrivateKeyInfo::from_der(der).unwrap();
            assert_eq!(info.version(), pkcs8::Version::V2, "{kind}");
            assert!(made.public().der().ends_with(info.public_key.unwrap()), "{kind}");
            assert!(!format!("{made:?}").contains("private"));
            // ring accepts version 2 for Ed25519 only.
            let v1 = PrivateKeyInfo { public_key: None, ..info };
            let der = if kind == KeyKind::Ed25519 { der.to_vec() } else { v1.to_der().unwrap() };
            // No CA of this program has a key on P-521, so FileKey does not read one.
            if kind == KeyKind::P521 {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P521_SHA512_ASN1_SIGNING, &der);
                assert!(made.public().der().ends_with(pair.unwrap().public_key().as_ref()));
            } else {
                let key = FileKey::from_pkcs8(&der).unwrap();
                assert_eq!(key.public(), made.public(), "{kind}");
            }
            let bare = made.private_key_info().unwrap();
            assert_eq!(bare.as_bytes(), v1.to_der().unwrap(), "{kind}");
            assert_eq!(
                PrivateKeyInfo::from_der(bare.as_bytes()).unwrap().version(),
                pkcs8::Version::V1
            );
        }
    }
}
