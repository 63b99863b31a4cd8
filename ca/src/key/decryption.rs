//! Decrypts content encryption keys that were encrypted for an RSA key with PKCS #1 v1.5 (RFC 8017 §7.2, RFC 5652 §6.2.1), which most
//! clients of SCEP use, or with RSAES-OAEP (RFC 8017 §7.1), which Windows can use (ADR 25).
//!
//! A peer that learns whether an encrypted key had a valid padding can decrypt messages of others (Bleichenbacher's attack). So there is
//! no error for a wrong padding: the result is then another key, with which the content cannot be decrypted.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepAlgorithm, OaepPrivateDecryptingKey, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey,
};
use ring::hmac;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use super::private::FileKey;
use super::public::{KeyKind, SubjectPublicKey};
use crate::entropy::Entropy;
use crate::error::{Error, Result};

/// The longest content encryption key, in octets: that of AES-256.
const LONGEST: usize = 32;

/// How a content encryption key is encrypted with an RSA key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyTransport {
    /// PKCS #1 v1.5.
    Pkcs1,
    /// RSAES-OAEP with this hash, also in its mask generation function MGF1, and without a label.
    Oaep(OaepHash),
}

/// The hash of RSAES-OAEP. SHA-1, its default (RFC 4055 §4.1), is as good as the others there: collisions do not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OaepHash {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl OaepHash {
    /// RSAES-OAEP with this hash, as the library names it.
    pub const fn algorithm(self) -> &'static OaepAlgorithm {
        match self {
            Self::Sha1 => &OAEP_SHA1_MGF1SHA1,
            Self::Sha256 => &OAEP_SHA256_MGF1SHA256,
            Self::Sha384 => &OAEP_SHA384_MGF1SHA384,
            Self::Sha512 => &OAEP_SHA512_MGF1SHA512,
        }
    }
}

/// An RSA key that decrypts content encryption keys.
pub struct DecryptionKey {
    pkcs1: Pkcs1PrivateDecryptingKey,
    oaep: OaepPrivateDecryptingKey,
    public: SubjectPublicKey,
    /// Derives the key that is returned in place of a wrong one. The same encrypted key always gives the same result, so that an attacker
    /// learns nothing by sending it again.
    decoys: hmac::Key,
}

impl DecryptionKey {
    /// Opens an RSA key for decryption.
    ///
    /// # Errors
    /// [`Error::Internal`] if it is not an RSA key; [`Error::Unavailable`] without randomness.
    pub fn new(key: &FileKey, entropy: &dyn Entropy) -> Result<Self> {
        let KeyKind::Rsa(_) = key.public().kind() else {
            return Err(Error::internal("only an RSA key decrypts content encryption keys"));
        };
        let unusable =
            |e: &dyn std::fmt::Display| Error::internal(format!("the RSA key cannot decrypt: {e}"));
        let opened = PrivateDecryptingKey::from_pkcs8(key.pkcs8()).map_err(|e| unusable(&e))?;
        let oaep = OaepPrivateDecryptingKey::new(opened.clone()).map_err(|e| unusable(&e))?;
        let pkcs1 = Pkcs1PrivateDecryptingKey::new(opened).map_err(|e| unusable(&e))?;
        let mut secret = Zeroizing::new([0; 32]);
        entropy.fill(secret.as_mut_slice())?;
        let decoys = hmac::Key::new(hmac::HMAC_SHA256, secret.as_slice());
        Ok(Self { pkcs1, oaep, public: key.public().clone(), decoys })
    }

    /// The public half of the key.
    pub const fn public(&self) -> &SubjectPublicKey {
        &self.public
    }

    /// The content encryption key of `length` octets, at most 32, that was encrypted for this key. If there is none of this length, because
    /// the padding is wrong or for any other reason, the result is a key that nobody knows.
    pub fn content_key(
        &self,
        transport: KeyTransport,
        encrypted: &[u8],
        length: usize,
    ) -> Zeroizing<Vec<u8>> {
        let decoy = hmac::sign(&self.decoys, encrypted);
        let mut room = Zeroizing::new(vec![0; self.pkcs1.min_output_size().max(LONGEST)]);
        let found = match transport {
            KeyTransport::Pkcs1 => self.pkcs1.decrypt(encrypted, &mut room),
            KeyTransport::Oaep(hash) => {
                self.oaep.decrypt(hash.algorithm(), encrypted, &mut room, None)
            }
        };
        let found = found.map(|found| found.len());
        // An error counts as a key of no length, and what the buffer holds then is never chosen.
        let is_right = found.unwrap_or(0).ct_eq(&length) & Choice::from(u8::from(length > 0));
        let pairs = room.iter().zip(decoy.as_ref()).take(length);
        Zeroizing::new(
            pairs.map(|(key, decoy)| u8::conditional_select(decoy, key, is_right)).collect(),
        )
    }
}

impl std::fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DecryptionKey({}, …)", self.public.kind())
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rsa::{OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey};

    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::key::KeyAlgorithm;

    #[test]
    fn a_wrong_key_is_another_key_and_no_error() {
        let key = FileKey::generate(KeyAlgorithm::Rsa3072).unwrap();
        let decryption = DecryptionKey::new(&key, &SystemEntropy::default()).unwrap();
        let public = PublicEncryptingKey::from_der(key.public().der()).unwrap();
        let oaep = OaepPublicEncryptingKey::new(public.clone()).unwrap();
        let pkcs1 = Pkcs1PublicEncryptingKey::new(public).unwrap();
        let encrypt = |transport, content: &[u8]| {
            let mut room = vec![0; pkcs1.ciphertext_size()];
            match transport {
                KeyTransport::Pkcs1 => pkcs1.encrypt(content, &mut room).unwrap().to_vec(),
                KeyTransport::Oaep(hash) => {
                    oaep.encrypt(hash.algorithm(), content, &mut room, None).unwrap().to_vec()
                }
            }
        };
        let hashes = [OaepHash::Sha1, OaepHash::Sha256, OaepHash::Sha384, OaepHash::Sha512];
        let all = hashes.map(KeyTransport::Oaep).into_iter().chain([KeyTransport::Pkcs1]);
        for (transport, other) in all.clone().zip(all.cycle().skip(1)) {
            let encrypt = |content: &[u8]| encrypt(transport, content);
            let decrypt = |octets: &[u8], length| decryption.content_key(transport, octets, length);
            let right = encrypt(&[7; 32]);
            assert_eq!(*decrypt(&right, 32), [7; 32]);
            assert_eq!(*decrypt(&encrypt(&[8; 16]), 16), [8; 16]);
            assert_ne!(*decryption.content_key(other, &right, 32), [7; 32], "{other:?}");
            let mut broken = right.clone();
            broken[100] ^= 1;
            let short = &right[1..];
            for (wrong, length) in [
                (&broken[..], 32),
                (short, 32),
                (&[], 32),
                (&[0xff; 384], 32),
                (&right, 16),
                (&encrypt(&[7; 16]), 32),
                (&encrypt(&[7; 33]), 32),
                (&encrypt(&[]), 16),
            ] {
                let decoy = decrypt(wrong, length);
                assert_eq!(decoy.len(), length);
                assert_ne!(*decoy, vec![7; length]);
                assert_eq!(decoy, decrypt(wrong, length), "the same each time");
            }
        }
        assert!(
            DecryptionKey::new(
                &FileKey::generate(KeyAlgorithm::P256).unwrap(),
                &SystemEntropy::default()
            )
            .is_err()
        );
    }
}
