//! Seals the shared secrets of accounts. Anybody with the public key can seal; only the running service can open.
//!
//! A sealed secret is called a box. The scheme is ECIES on P-256: an ephemeral key agreement, HKDF-SHA-256 (RFC 5869)
//! over both public keys, and AES-256-GCM. Each box has a key of its own, so the nonce is constant. A box is laid out
//! as version 1 (one octet), ephemeral public key (65 octets), ciphertext and tag. The associated data binds a box to
//! the secret's reference, so that nobody can move it to another account.

use aws_lc_rs::agreement;
use p256::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use p256::{PublicKey, SecretKey};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use super::folder::KeyFolder;
use super::passphrase::Passphrase;
use crate::entropy::Entropy;
use crate::error::{Error, Result};

const VERSION: u8 = 1;
const POINT: usize = 65;
const INFO: &[&[u8]] = &[b"countersign account secret 1"];

/// The public sealing key of an instance.
#[derive(Debug, Clone)]
pub struct Sealer(PublicKey);

/// The private sealing key, which opens what a [`Sealer`] sealed. It is wiped when dropped.
pub struct Opener {
    /// The key is aws-lc's, because each message under a shared secret waits for one key agreement, and aws-lc is
    /// several times faster.
    key: agreement::PrivateKey,
    sealer: Sealer,
}

impl Sealer {
    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it holds no P-256 key.
    pub fn from_der(spki: &[u8]) -> Result<Self> {
        PublicKey::from_public_key_der(spki)
            .map(Self)
            .map_err(|e| Error::malformed(format!("expected a P-256 sealing key: {e}")))
    }

    /// The key as a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`Error::Internal`] if it cannot be encoded.
    pub fn to_der(&self) -> Result<Vec<u8>> {
        Ok(self.0.to_public_key_der().map_err(Error::internal)?.as_bytes().to_vec())
    }

    /// Seals `secret` and binds it to `context`, which [`Opener::open`] must be given, too.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no randomness.
    pub fn seal(&self, secret: &[u8], context: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>> {
        let ephemeral = random_key(entropy)?;
        let point = ephemeral.public_key().to_encoded_point(false);
        let shared = diffie_hellman(ephemeral.to_nonzero_scalar(), self.0.as_affine());
        let key = box_key(shared.raw_secret_bytes(), point.as_bytes(), &self.0)?;
        let mut sealed = secret.to_vec();
        key.seal_in_place_append_tag(nonce(), Aad::from(context), &mut sealed)
            .map_err(|_| Error::internal("a secret could not be sealed"))?;
        Ok([&[VERSION], point.as_bytes(), sealed.as_slice()].concat())
    }
}

impl Opener {
    /// Generates a sealing key and saves it, encrypted, under `name`.
    ///
    /// # Errors
    /// As [`KeyFolder::save`].
    pub fn create(
        keys: &KeyFolder,
        name: &str,
        passphrase: &Passphrase,
        entropy: &dyn Entropy,
    ) -> Result<Self> {
        let key = random_key(entropy)?;
        let pkcs8 = key.to_pkcs8_der().map_err(Error::internal)?;
        keys.save_pkcs8(name, pkcs8.as_bytes(), passphrase, entropy)?;
        Self::new(&key)
    }

    /// Loads the sealing key that was saved under `name`.
    ///
    /// # Errors
    /// As [`KeyFolder::load_pkcs8`], and [`Error::Unavailable`] if the file holds no P-256 key.
    pub fn load(keys: &KeyFolder, name: &str, passphrase: &Passphrase) -> Result<Self> {
        let pkcs8 = keys.load_pkcs8(name, passphrase)?;
        let key = SecretKey::from_pkcs8_der(pkcs8.as_bytes())
            .map_err(|e| Error::unavailable(format!("the sealing key cannot be used: {e}")))?;
        Self::new(&key)
    }

    /// The public half.
    pub const fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Opens a box that was sealed with the same `context`.
    ///
    /// # Errors
    /// [`Error::Internal`] if the box is damaged, or was not sealed by this instance for this context.
    pub fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let damaged = || {
            Error::internal(
                "a sealed secret is damaged; reset it with `countersign peer reset-secret`",
            )
        };
        let rest = sealed.strip_prefix(&[VERSION]).ok_or_else(damaged)?;
        let (point, ciphertext) = rest.split_at_checked(POINT).ok_or_else(damaged)?;
        let ephemeral = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, point);
        let key = agreement::agree(&self.key, ephemeral, damaged(), |shared| {
            box_key(shared, point, &self.sealer.0)
        })?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let length = key
            .open_in_place(nonce(), Aad::from(context), &mut buffer)
            .map_err(|_| damaged())?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }

    fn new(key: &SecretKey) -> Result<Self> {
        let sealer = Sealer(key.public_key());
        let octets = Zeroizing::new(key.to_bytes());
        let key = agreement::PrivateKey::from_private_key(&agreement::ECDH_P256, octets.as_slice())
            .map_err(|e| Error::unavailable(format!("the sealing key cannot be used: {e}")))?;
        Ok(Self { key, sealer })
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener(…)")
    }
}

/// The nonce of every box (a sealed secret): all zeros. INVARIANT: each key encrypts one box only, so that no key is
/// used twice with this nonce.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// Draws a P-256 key, as an ephemeral key or a sealing key.
fn random_key(entropy: &dyn Entropy) -> Result<SecretKey> {
    // A random string of 32 octets is not a scalar of P-256 once in 2^32 draws.
    for _ in 0..8 {
        let mut octets = Zeroizing::new([0; 32]);
        entropy.fill(octets.as_mut_slice())?;
        if let Ok(key) = SecretKey::from_slice(octets.as_slice()) {
            return Ok(key);
        }
    }
    Err(Error::unavailable("the source of randomness gives no usable key"))
}

/// Derives the key of one box.
fn box_key(shared: &[u8], ephemeral: &[u8], recipient: &PublicKey) -> Result<LessSafeKey> {
    let recipient = recipient.to_encoded_point(false);
    let salt = [ephemeral, recipient.as_bytes()].concat();
    let prk = Salt::new(HKDF_SHA256, &salt).extract(shared);
    let okm =
        prk.expand(INFO, &AES_256_GCM).map_err(|_| Error::internal("key derivation failed"))?;
    Ok(LessSafeKey::new(UnboundKey::from(okm)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn only_the_right_key_and_context_open_a_box() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::new(folder.path());
        let passphrase = Passphrase::new("p").unwrap();
        let entropy = SystemEntropy::default();
        let opener = Opener::create(&keys, "seal", &passphrase, &entropy).unwrap();
        let sealer = Sealer::from_der(&opener.sealer().to_der().unwrap()).unwrap();
        let sealed = sealer.seal(b"secret", b"ref-1", &entropy).unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));

        let again = Opener::load(&keys, "seal", &passphrase).unwrap();
        assert_eq!(again.open(&sealed, b"ref-1").unwrap().as_slice(), b"secret");
        assert!(again.open(&sealed, b"ref-2").is_err());
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(again.open(&damaged, b"ref-1").is_err(), "octet {at}");
        }
        assert!(again.open(&sealed[..sealed.len() - 1], b"ref-1").is_err());
        let other = Opener::create(&keys, "other", &passphrase, &entropy).unwrap();
        assert!(other.open(&sealed, b"ref-1").is_err());
    }
}
