//! A gateway's private key. It was generated elsewhere, and is only passed on.

use std::fmt;

use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RsaKeyPair,
};
use spki::SubjectPublicKeyInfoRef;
use zeroize::Zeroizing;

use super::error::GatewayError;
use super::facts::Facts;

/// A private key in PKCS#8 (RFC 5958), not encrypted. It is wiped when it is dropped.
pub struct PrivateKey {
    der: Zeroizing<Vec<u8>>,
    pem: Zeroizing<String>,
}

impl PrivateKey {
    /// Reads a key in PEM. Text before the PEM is skipped.
    ///
    /// # Errors
    /// There is no PEM, or it is not an unencrypted PKCS#8 key.
    pub fn from_pem(text: &str) -> Result<Self, GatewayError> {
        let expected = |found: &str| {
            GatewayError::new(format!(
                "expected a private key as PEM, PKCS#8, without a passphrase (`-----BEGIN PRIVATE KEY-----`), found {found}; \
                 `openssl pkcs8 -topk8 -nocrypt` makes one from the others"
            ))
        };
        let start = text.find("-----BEGIN ").ok_or_else(|| expected("no PEM"))?;
        let text = text.get(start..).unwrap_or_default();
        let (label, document) =
            der::Document::from_pem(text).map_err(|e| expected(&e.to_string()))?;
        let der = Zeroizing::new(document.as_bytes().to_vec());
        // `Document` does not wipe its memory, so that the octets are taken out and wiped here.
        drop(Zeroizing::new(document.into_vec()));
        if label != "PRIVATE KEY" {
            return Err(expected(&format!("`{label}`")));
        }
        let pem = der::pem::encode_string("PRIVATE KEY", der::pem::LineEnding::LF, &der);
        let pem = Zeroizing::new(pem.map_err(|e| expected(&e.to_string()))?);
        Ok(Self { der, pem })
    }

    /// The key as PKCS#8 in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The key as PKCS#8 in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Checks that the private key belongs to the public key of a certificate.
    ///
    /// # Errors
    /// The two keys do not belong together, or one of them cannot be read.
    pub fn check(&self, facts: &Facts) -> Result<(), GatewayError> {
        let certified = SubjectPublicKeyInfoRef::try_from(facts.spki.as_slice())
            .map_err(|e| GatewayError::new(format!("the certificate's key cannot be read: {e}")))?;
        let certified = certified.subject_public_key.raw_bytes();
        if self.public().is_some_and(|public| public == certified) {
            return Ok(());
        }
        Err(GatewayError::new(format!(
            "expected the private key of the certificate of `{}` ({}), found another key; `--key` names the file of the one \
             that the gateway enrolled with",
            facts.subject, facts.key
        )))
    }

    /// The public key as in the bit string of a SubjectPublicKeyInfo; `None` for a kind of key that is not known.
    fn public(&self) -> Option<Vec<u8>> {
        let random = ring::rand::SystemRandom::new();
        let p521 = || {
            let signing = &aws_lc_rs::signature::ECDSA_P521_SHA512_ASN1_SIGNING;
            let pair = aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(signing, &self.der).ok()?;
            Some(aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref().to_vec())
        };
        let ecdsa = [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING]
            .into_iter()
            .find_map(|curve| {
                EcdsaKeyPair::from_pkcs8(curve, &self.der, &random)
                    .ok()
                    .map(|pair| pair.public_key().as_ref().to_vec())
            });
        ecdsa
            .or_else(p521)
            .or_else(|| {
                RsaKeyPair::from_pkcs8(&self.der)
                    .ok()
                    .map(|pair| pair.public_key().as_ref().to_vec())
            })
            .or_else(|| {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(&self.der)
                    .ok()
                    .map(|pair| pair.public_key().as_ref().to_vec())
            })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}
