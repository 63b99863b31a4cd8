//! Keys that the authority makes for somebody else (RFC 9483 §4.1.6). Such a key is in memory until its answer is encrypted,
//! is wiped then, and is never stored.

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

use crate::error::{Denial, Error, Result};
use crate::key::algorithm_identifier;
use crate::profile::Profile;
use crate::key::public::{KeyKind, ProvenKey, SubjectPublicKey};

/// The sizes of RSA keys that are made, in bits. Larger ones take seconds each.
const RSA_SIZES: [(u32, KeySize); 3] =
    [(2048, KeySize::Rsa2048), (3072, KeySize::Rsa3072), (4096, KeySize::Rsa4096)];

/// Which key is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedKey {
    /// The first kind of the profile.
    Any,
    /// RSA of the smallest size that the profile takes.
    Rsa,
    /// This very kind.
    Kind(KeyKind),
}

impl WantedKey {
    /// The kind to make under this profile.
    ///
    /// # Errors
    /// `Denied` for one that the profile does not take or that is not made here: with [`Denial::Algorithm`] for the kind and
    /// [`Denial::KeySize`] for the size.
    pub fn under(self, profile: &Profile) -> Result<KeyKind> {
        let kinds = profile.keys();
        let kind = match self {
            Self::Any => kinds.first().copied(),
            Self::Rsa => kinds.iter().copied().find(|kind| matches!(kind, KeyKind::Rsa(_))),
            Self::Kind(kind) => Some(kind),
        };
        let kind = match (self, kind) {
            (Self::Any | Self::Rsa, Some(KeyKind::Rsa(least))) => {
                let fitting = RSA_SIZES.iter().find(|(bits, _)| *bits >= least);
                KeyKind::Rsa(fitting.map_or(least, |(bits, _)| *bits))
            }
            (_, Some(kind)) => kind,
            (_, None) => KeyKind::Rsa(2048),
        };
        profile.check_key(kind)?;
        match kind {
            KeyKind::Rsa(bits) if !RSA_SIZES.iter().any(|(size, _)| *size == bits) => {
                Err(Error::denied(
                    Denial::KeySize,
                    format!("RSA keys of 2048, 3072 and 4096 bits are made here, found {bits}"),
                ))
            }
            kind => Ok(kind),
        }
    }
}

/// The form in which a key that was made here is handed over, by what its reader can open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyForm {
    /// As RFC 9483 §4.1.6 has it: an AsymmetricKeyPackage (RFC 5958 §2), and under a secret AES key wrap (RFC 9481 §4.3.1).
    #[default]
    Rfc5958,
    /// As OpenSSL's client reads it up to 4.0.3: a bare PrivateKeyInfo (RFC 5208 §5), and under a secret id-alg-PWRI-KEK
    /// (RFC 3211 §2.3).
    Openssl,
}

/// The forms by the names that a profile gives them.
pub(crate) const KEY_FORMS: [(&str, KeyForm); 2] =
    [("rfc5958", KeyForm::Rfc5958), ("openssl", KeyForm::Openssl)];

/// What is made for a request that wants a key, and how it is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyOrder {
    /// The kind of key.
    pub kind: KeyKind,
    /// The form that the profile says.
    pub form: KeyForm,
}

/// A key pair that was made for a peer.
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

    /// Its public half.
    pub const fn public(&self) -> &SubjectPublicKey {
        &self.public
    }

    /// Its private half: a OneAsymmetricKey, DER, with the public key in it (RFC 5958 §2).
    pub fn one_asymmetric_key(&self) -> &[u8] {
        self.private.as_bytes()
    }

    /// Its private half: a PrivateKeyInfo, DER (RFC 5208 §5).
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be encoded.
    pub fn private_key_info(&self) -> Result<SecretDocument> {
        let info = PrivateKeyInfo::from_der(self.private.as_bytes()).map_err(Error::internal)?;
        let bare = PrivateKeyInfo { public_key: None, ..info };
        SecretDocument::encode_msg(&bare).map_err(Error::internal)
    }

    /// For a certificate: nobody need prove possession of what was made here.
    pub fn proven(&self) -> ProvenKey {
        ProvenKey::generated(self.public.clone())
    }

    fn ecdsa(kind: KeyKind, algorithm: &'static EcdsaSigningAlgorithm) -> Result<Self> {
        let pair = EcdsaKeyPair::generate(algorithm).map_err(|_| failed(kind))?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| failed(kind))?;
        Self::new(kind, pkcs8.as_ref(), pair.public_key().as_ref())
    }

    fn new(kind: KeyKind, pkcs8: &[u8], public: &[u8]) -> Result<Self> {
        let spki = SubjectPublicKeyInfoOwned {
            algorithm: algorithm_identifier(kind),
            subject_public_key: BitString::from_bytes(public).map_err(Error::internal)?,
        };
        let public_key = SubjectPublicKey::from_der(&spki.to_der().map_err(Error::internal)?)?;
        let mut info = PrivateKeyInfo::from_der(pkcs8).map_err(Error::internal)?;
        // With a public key it is version 2, as RFC 9483 §4.1.6 wants it.
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::key::FileKey;
    use crate::profile::{DefaultUrls, ProfileConfig, Profiles};

    fn profile(keys: &[&str], min_rsa_bits: u32) -> Profile {
        let config = ProfileConfig {
            keys: Some(keys.iter().map(|key| (*key).to_owned()).collect()),
            min_rsa_bits: Some(min_rsa_bits),
            ..ProfileConfig::default()
        };
        let configs = BTreeMap::from([("own".to_owned(), config)]);
        let profiles = Profiles::new(&configs, &DefaultUrls::default()).unwrap();
        profiles.named(&"own".parse().unwrap()).unwrap().as_ref().clone()
    }

    #[test]
    fn the_profile_chooses_where_the_peer_does_not() {
        let both = profile(&["p384", "rsa"], 2500);
        assert_eq!(WantedKey::Any.under(&both), Ok(KeyKind::P384));
        assert_eq!(WantedKey::Rsa.under(&both), Ok(KeyKind::Rsa(3072)));
        let kind = |kind| WantedKey::Kind(kind).under(&both);
        assert_eq!(kind(KeyKind::Rsa(4096)), Ok(KeyKind::Rsa(4096)));
        for (refused, denial) in [
            (KeyKind::Rsa(2048), Denial::KeySize),
            (KeyKind::Rsa(16_384), Denial::KeySize),
            (KeyKind::Ed25519, Denial::Algorithm),
        ] {
            assert!(matches!(kind(refused), Err(Error::Denied { kind, .. }) if kind == denial));
        }
        let none = profile(&["p256"], 2048);
        assert!(WantedKey::Rsa.under(&none).unwrap_err().to_string().contains("p256"));
        assert!(WantedKey::Any.under(&profile(&["rsa"], 8192)).is_err());
    }

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
            // ring takes version 2 for Ed25519 alone.
            let v1 = PrivateKeyInfo { public_key: None, ..info };
            let der = if kind == KeyKind::Ed25519 { der.to_vec() } else { v1.to_der().unwrap() };
            // No CA of ours has a key on P-521, so that no key file has one.
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
