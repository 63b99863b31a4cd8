//! The passphrase of an instance's keys. It remembers the keys that it derived, so that the key files of an instance, which share a salt,
//! take one derivation together (ADR 28).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use der::SecretDocument;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo};
use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::error::{Error, Result};

/// The parameters of scrypt: log2 N, r and p (N = 2^14, r = 8, p = 5). They take 16 MiB; OpenSSL refuses parameters
/// that take more than 32 MiB, and operators open these files with it.
const SCRYPT: (u8, u32, u32) = (14, 8, 5);

/// The length of a salt that is drawn here, in octets.
const SALT: usize = 16;

/// The most derived keys that are remembered. If one more is derived, the first one is forgotten. Each key file of an earlier version, or
/// of OpenSSL, has a salt of its own.
const MOST: usize = 64;

/// The passphrase that decrypts the key files. It is wiped when dropped and never shown. Clones share the derived keys.
#[derive(Clone)]
pub struct Passphrase {
    text: Zeroizing<String>,
    derived: Arc<Mutex<Vec<Derived>>>,
}

/// A key that was derived from the passphrase by scrypt.
struct Derived {
    params: scrypt::Params,
    salt: Vec<u8>,
    key: Key,
}

/// A key for AES-256.
type Key = Zeroizing<[u8; 32]>;

impl Passphrase {
    /// Makes a passphrase of text, without the line ends at its end.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is empty.
    pub fn new(text: &str) -> Result<Self> {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(Error::malformed("the passphrase is empty; write one line into its file"));
        }
        Ok(Self { text: Zeroizing::new(text.to_owned()), derived: Arc::default() })
    }

    /// Encrypts a PKCS#8 key by PBES2 with scrypt and AES-256-CBC (RFC 8018 §6.2, RFC 7914). The salt is that of a key which this
    /// passphrase decrypted or encrypted before, if there is one, and random otherwise; the IV is always random.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no randomness; [`Error::Internal`] if `pkcs8` is no key.
    pub(super) fn encrypt(&self, pkcs8: &[u8], entropy: &dyn Entropy) -> Result<SecretDocument> {
        PrivateKeyInfo::try_from(pkcs8).map_err(Error::internal)?;
        let (log_n, r, p) = SCRYPT;
        let params = scrypt::Params::new(log_n, r, p, 32).map_err(Error::internal)?;
        let mut iv = [0; 16];
        entropy.fill(&mut iv)?;
        let salt = match self.salt(params) {
            Some(salt) => salt,
            None => {
                let mut salt = vec![0; SALT];
                entropy.fill(&mut salt)?;
                salt
            }
        };
        let key = self.key(params, &salt)?;
        let cipher = UnboundCipherKey::new(&AES_256, key.as_slice()).map_err(Error::internal)?;
        let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(cipher).map_err(Error::internal)?;
        // The buffer is the clear key until it is encrypted in its place. Room for the padding keeps it from being copied when it grows.
        let mut octets = Zeroizing::new(Vec::with_capacity(pkcs8.len().saturating_add(16)));
        octets.extend_from_slice(pkcs8);
        let context = EncryptionContext::Iv128(FixedLength::from(&iv));
        cipher.less_safe_encrypt(&mut *octets, context).map_err(Error::internal)?;
        let scheme =
            pbes2::Parameters::scrypt_aes256cbc(params, &salt, &iv).map_err(Error::internal)?;
        EncryptedPrivateKeyInfo { encryption_algorithm: scheme.into(), encrypted_data: &octets }
            .try_into()
            .map_err(Error::internal)
    }

    /// Decrypts a PKCS#8 key; `None` if this is not its passphrase.
    pub(super) fn decrypt(&self, key: &EncryptedPrivateKeyInfo<'_>) -> Option<SecretDocument> {
        match own_form(&key.encryption_algorithm) {
            Some(OwnForm { params, salt, iv }) => {
                let derived = self.key(params, salt).ok()?;
                let cipher = UnboundCipherKey::new(&AES_256, derived.as_slice()).ok()?;
                let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(cipher).ok()?;
                let mut octets = Zeroizing::new(key.encrypted_data.to_vec());
                let context = DecryptionContext::Iv128(FixedLength::from(iv));
                let clear = cipher.decrypt(&mut octets, context).ok()?;
                SecretDocument::try_from(&*clear).ok()
            }
            // Another KDF or cipher, as OpenSSL's own files have.
            None => key.decrypt(self.text.as_bytes()).ok(),
        }
    }

    /// The salt of a key that was derived with these parameters, if there is one.
    fn salt(&self, params: scrypt::Params) -> Option<Vec<u8>> {
        let derived = self.lock();
        let alike = derived.iter().rfind(|of| same(of.params, params) && of.salt.len() == SALT);
        alike.map(|of| of.salt.clone())
    }

    /// Derives a key, unless it was derived before.
    fn key(&self, params: scrypt::Params, salt: &[u8]) -> Result<Key> {
        let known = |of: &&Derived| same(of.params, params) && of.salt == salt;
        // The lock is held meanwhile: who needs the same key waits for it instead of deriving it, too.
        let mut derived = self.lock();
        if let Some(known) = derived.iter().find(known) {
            return Ok(known.key.clone());
        }
        let mut key = Key::default();
        scrypt::scrypt(self.text.as_bytes(), salt, &params, key.as_mut_slice())
            .map_err(Error::internal)?;
        if derived.len() >= MOST {
            drop(derived.remove(0));
        }
        derived.push(Derived { params, salt: salt.to_vec(), key: key.clone() });
        Ok(key)
    }

    /// Locks the list. A panic elsewhere leaves it complete, so that the lock may be taken afterwards.
    fn lock(&self) -> MutexGuard<'_, Vec<Derived>> {
        self.derived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// The parameters of a key that is encrypted as [`Passphrase::encrypt`] does it.
struct OwnForm<'a> {
    params: scrypt::Params,
    salt: &'a [u8],
    iv: &'a [u8; 16],
}

/// Reads the parameters of scrypt with AES-256-CBC; `None` for any other scheme.
fn own_form<'a>(scheme: &EncryptionScheme<'a>) -> Option<OwnForm<'a>> {
    let parameters = scheme.pbes2()?;
    let pbes2::EncryptionScheme::Aes256Cbc { iv } = parameters.encryption else { return None };
    let kdf = parameters.kdf.scrypt()?;
    if kdf.key_length.is_some_and(|length| length != 32) {
        return None;
    }
    let params = scrypt::Params::try_from(kdf).ok()?;
    Some(OwnForm { params, salt: kdf.salt, iv })
}

/// Whether two derivations differ in the salt only.
fn same(one: scrypt::Params, other: scrypt::Params) -> bool {
    (one.log_n(), one.r(), one.p()) == (other.log_n(), other.r(), other.p())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::key::{FileKey, KeyAlgorithm};

    fn salt_and_iv(document: &SecretDocument) -> (Vec<u8>, [u8; 16]) {
        let info = EncryptedPrivateKeyInfo::try_from(document.as_bytes()).unwrap();
        let own = own_form(&info.encryption_algorithm).unwrap();
        (own.salt.to_vec(), *own.iv)
    }

    #[test]
    fn the_keys_of_one_passphrase_share_a_salt_and_no_iv() {
        let entropy = SystemEntropy::default();
        let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
        let passphrase = Passphrase::new("correct horse").unwrap();
        let encrypted = [(); 2].map(|()| passphrase.encrypt(key.pkcs8(), &entropy).unwrap());
        let [first, second] = encrypted.each_ref().map(salt_and_iv);
        assert_eq!(first.0, second.0);
        assert_ne!(first.1, second.1);
        assert_eq!(passphrase.lock().len(), 1, "one derivation");
        // A new process takes up the salt of the files that it opens.
        let later = Passphrase::new("correct horse").unwrap();
        let info = EncryptedPrivateKeyInfo::try_from(encrypted[0].as_bytes()).unwrap();
        assert_eq!(later.decrypt(&info).unwrap().as_bytes(), key.pkcs8());
        let third = later.encrypt(key.pkcs8(), &entropy).unwrap();
        assert_eq!(salt_and_iv(&third).0, first.0);
        // Another instance has another salt, with the same passphrase, too.
        let other = Passphrase::new("correct horse").unwrap();
        assert_ne!(salt_and_iv(&other.encrypt(key.pkcs8(), &entropy).unwrap()).0, first.0);
        let wrong = Passphrase::new("correct house").unwrap();
        assert!(wrong.decrypt(&info).is_none());
    }

    #[test]
    fn the_library_reads_what_is_written_and_the_other_way_round() {
        let entropy = SystemEntropy::default();
        let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
        let passphrase = Passphrase::new("secret").unwrap();
        let own = passphrase.encrypt(key.pkcs8(), &entropy).unwrap();
        let info = EncryptedPrivateKeyInfo::try_from(own.as_bytes()).unwrap();
        assert_eq!(info.decrypt("secret").unwrap().as_bytes(), key.pkcs8());
        let clear = PrivateKeyInfo::try_from(key.pkcs8()).unwrap();
        let params = scrypt::Params::new(4, 8, 1, 32).unwrap();
        let schemes = [
            pbes2::Parameters::scrypt_aes256cbc(params, &[7; 8], &[9; 16]).unwrap(),
            pbes2::Parameters::scrypt_aes128cbc(params, &[7; 8], &[9; 16]).unwrap(),
            pbes2::Parameters::pbkdf2_sha256_aes256cbc(1000, &[7; 8], &[9; 16]).unwrap(),
        ];
        for scheme in schemes {
            let theirs = clear.encrypt_with_params(scheme, "secret").unwrap();
            let info = EncryptedPrivateKeyInfo::try_from(theirs.as_bytes()).unwrap();
            assert_eq!(passphrase.decrypt(&info).unwrap().as_bytes(), key.pkcs8());
        }
    }

    #[test]
    fn no_more_derived_keys_are_remembered_than_may_be() {
        let passphrase = Passphrase::new("secret").unwrap();
        let params = scrypt::Params::new(1, 1, 1, 32).unwrap();
        for salt in 0..200_u8 {
            passphrase.key(params, &[salt]).unwrap();
        }
        assert_eq!(passphrase.lock().len(), MOST);
        let mut fresh = Key::default();
        scrypt::scrypt(b"secret", &[199], &params, fresh.as_mut_slice()).unwrap();
        assert_eq!(passphrase.key(params, &[199]).unwrap(), fresh);
    }
}
