//! The folder of an instance's private keys: encrypted PKCS#8, in files of mode 0600.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use der::SecretDocument;
use der::pem::LineEnding;
use pkcs8::EncryptedPrivateKeyInfo;
use zeroize::Zeroizing;

use super::passphrase::Passphrase;
use super::private::FileKey;
use crate::entropy::Entropy;
use crate::error::{Error, Result};

/// The largest key file that is read, in bytes. An encrypted RSA-4096 key takes 3.4 KiB.
const MAX_KEY_FILE: u64 = 16 * 1024;
/// The end of the name of a file with the key of a revoked delegate, which is kept for an investigation.
pub const REVOKED: &str = ".key.revoked";

/// The folder `keys/` of an instance.
#[derive(Debug, Clone)]
pub struct KeyFolder(PathBuf);

impl KeyFolder {
    /// The folder at `path`. It need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The path of the private key with this name, `NAME.key`, whether or not it exists.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.key"))
    }

    /// The path of the file with exactly this name, such as that of a certificate or a public key, whether or not it
    /// exists.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Whether a private key with this name exists.
    pub fn contains(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Encrypts a key under the passphrase (PBES2 with scrypt and AES-256-CBC) and writes it durably to a new file.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the file already exists or cannot be written, or there is no randomness.
    pub fn save(
        &self,
        name: &str,
        key: &FileKey,
        passphrase: &Passphrase,
        entropy: &dyn Entropy,
    ) -> Result<()> {
        self.save_pkcs8(name, key.pkcs8(), passphrase, entropy)
    }

    /// Decrypts the key with this name.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the file is missing, too large, not an encrypted PKCS#8 in PEM, or readable by others;
    /// [`Error::Unauthenticated`] if the passphrase is wrong; [`Error::Malformed`] if [`FileKey::from_pkcs8`] cannot read the key.
    pub fn load(&self, name: &str, passphrase: &Passphrase) -> Result<FileKey> {
        FileKey::from_pkcs8(self.load_pkcs8(name, passphrase)?.as_bytes())
    }

    /// Like [`Self::save`], for a PKCS#8 key of any kind.
    pub(crate) fn save_pkcs8(
        &self,
        name: &str,
        pkcs8: &[u8],
        passphrase: &Passphrase,
        entropy: &dyn Entropy,
    ) -> Result<()> {
        let document = passphrase.encrypt(pkcs8, entropy)?;
        let pem =
            document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).map_err(Error::internal)?;
        self.write_new(name, pem.as_bytes())
    }

    /// Like [`Self::load`], for a PKCS#8 key of any kind, which is returned undecoded.
    ///
    /// # Errors
    /// As [`Self::load`], without [`Error::Malformed`].
    pub fn load_pkcs8(&self, name: &str, passphrase: &Passphrase) -> Result<SecretDocument> {
        open_file(&self.path(name), passphrase)
    }

    /// Makes a copy of the folder in which every private key is encrypted under another passphrase. Everything in the copy is durable.
    /// Returns the number of private keys.
    ///
    /// Keys of revoked delegates, which are kept as `NAME.key.revoked`, are among them, unless the passphrase does not open them: versions
    /// of this program before left them under the passphrase of their time. Such a file is copied as it is, and not counted.
    ///
    /// # Errors
    /// Those of [`Self::load`] and [`Self::save`], for any of the keys; [`Error::Unavailable`] if the copy exists or a file cannot be
    /// copied.
    pub fn copy_under(
        &self,
        copy: &Self,
        old: &Passphrase,
        new: &Passphrase,
        entropy: &dyn Entropy,
    ) -> Result<usize> {
        let failed =
            |path: &Path, e: &std::io::Error| Error::io(format!("`{}`", path.display()), e);
        let mut folder = fs::DirBuilder::new();
        folder.mode(0o700).create(&copy.0).map_err(|e| failed(&copy.0, &e))?;
        let mut keys = 0_usize;
        for entry in fs::read_dir(&self.0).map_err(|e| failed(&self.0, &e))? {
            let path = entry.map_err(|e| failed(&self.0, &e))?.path();
            let Some(file) = path.file_name().filter(|_| path.is_file()) else { continue };
            let text = file.to_str().unwrap_or_default();
            let kept = text.strip_suffix(REVOKED);
            let key = match text.strip_suffix(".key").or(kept) {
                Some(name) => match open_file(&path, old) {
                    Err(Error::Unauthenticated(_)) if kept.is_some() => None,
                    opened => Some((name, opened?)),
                },
                None => None,
            };
            if let Some((name, key)) = key {
                copy.save_pkcs8(name, key.as_bytes(), new, entropy)?;
                if kept.is_some() {
                    let to = copy.0.join(file);
                    fs::rename(copy.path(name), &to).map_err(|e| failed(&to, &e))?;
                }
                keys = keys.saturating_add(1);
            } else {
                let to = copy.0.join(file);
                fs::copy(&path, &to).map_err(|e| failed(&path, &e))?;
                File::open(&to).and_then(|file| file.sync_all()).map_err(|e| failed(&to, &e))?;
            }
        }
        File::open(&copy.0)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| failed(&copy.0, &e))?;
        Ok(keys)
    }

    /// Writes the new file `NAME.key`, which only its owner can read, and makes it durable. An existing file is never
    /// overwritten.
    fn write_new(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.path(name);
        let failed = |e: &std::io::Error| Error::io(format!("`{}`", path.display()), e);
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true).mode(0o700).create(&self.0).map_err(|e| failed(&e))?;
        let mut options = OpenOptions::new();
        let mut file =
            // An existing key is never overwritten: a repeated attempt must find and use it.
            options.write(true).create_new(true).mode(0o600).open(&path).map_err(|e| failed(&e))?;
        file.write_all(content).and_then(|()| file.sync_all()).map_err(|e| failed(&e))?;
        // Without this, a power cut could lose the name of the file.
        File::open(&self.0).and_then(|folder| folder.sync_all()).map_err(|e| failed(&e))
    }
}

/// Decrypts a key file.
fn open_file(path: &Path, passphrase: &Passphrase) -> Result<SecretDocument> {
    let pem = read_private(path, MAX_KEY_FILE)?;
    let (label, document) = SecretDocument::from_pem(&pem)
        .map_err(|e| Error::unavailable(format!("`{}` is not a PEM file: {e}", path.display())))?;
    if label != "ENCRYPTED PRIVATE KEY" {
        return Err(Error::unavailable(format!(
            "expected an `ENCRYPTED PRIVATE KEY` in `{}`, found a `{label}`; encrypt it with \
                 `openssl pkcs8 -topk8 -scrypt`",
            path.display()
        )));
    }
    let encrypted = EncryptedPrivateKeyInfo::try_from(document.as_bytes())
        .map_err(|e| Error::unavailable(format!("`{}` is damaged: {e}", path.display())))?;
    passphrase.decrypt(&encrypted).ok_or_else(|| {
        Error::unauthenticated(format!("the passphrase does not open `{}`", path.display()))
    })
}

/// Reads a secret text file of at most `limit` bytes. It refuses a file that others can read.
///
/// # Errors
/// [`Error::Unavailable`] if the file is missing, too large or not text, or if its mode is looser than 0600.
pub fn read_private(path: &Path, limit: u64) -> Result<Zeroizing<String>> {
    read_secret(path, limit, 0o077)
}

/// Reads a credential that systemd provides, like [`read_private`] but allowing mode 0440. systemd sets that mode if
/// the service runs as a user of its own: the group bits are then the mask of an access control list that names only
/// this user, and nobody else can enter the folder.
///
/// # Errors
/// [`Error::Unavailable`] if the file is missing, too large or not text, or if its mode is looser than 0640.
pub fn read_credential(path: &Path, limit: u64) -> Result<Zeroizing<String>> {
    read_secret(path, limit, 0o037)
}

/// Like [`read_private`], for a file of any octets.
///
/// # Errors
/// As [`read_private`].
pub fn read_private_octets(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>> {
    read_octets(path, limit, 0o077)
}

/// Reads a secret text file. It refuses a file with any of the `forbidden` mode bits.
fn read_secret(path: &Path, limit: u64, forbidden: u32) -> Result<Zeroizing<String>> {
    let octets = read_octets(path, limit, forbidden)?;
    let text = std::str::from_utf8(&octets)
        .map_err(|e| Error::unavailable(format!("`{}`: {e}", path.display())))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Reads a secret file. It refuses a file with any of the `forbidden` mode bits.
fn read_octets(path: &Path, limit: u64, forbidden: u32) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |e: &std::io::Error| Error::io(format!("`{}`", path.display()), e);
    let file = File::open(path).map_err(|e| failed(&e))?;
    let mode = file.metadata().map_err(|e| failed(&e))?.mode() & 0o777;
    // The mode is that of the opened file, so it cannot change between the check and the reading.
    if mode & forbidden != 0 {
        return Err(Error::unavailable(format!(
            "expected `{0}` to be readable by its owner only, found mode {mode:04o}; run `chmod 600 {0}`",
            path.display()
        )));
    }
    // The memory does not move while it fills, so that no copy is left behind.
    let length = file.metadata().map_or(0, |of| of.len()).min(limit).saturating_add(2);
    let mut octets = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0)));
    // One byte more than allowed is read, to notice a file that is too large.
    file.take(limit.saturating_add(1)).read_to_end(&mut octets).map_err(|e| failed(&e))?;
    if u64::try_from(octets.len()).is_ok_and(|length| length > limit) {
        return Err(Error::unavailable(format!(
            "expected at most {limit} bytes in `{}`, found more",
            path.display()
        )));
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rcgen::SigningKey;

    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::key::KeyAlgorithm;

    #[test]
    fn a_key_of_each_kind_comes_back_from_its_file_and_signs() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::new(folder.path().join("keys"));
        let passphrase = Passphrase::new("correct horse\n").unwrap();
        for (algorithm, name) in KeyAlgorithm::ALL {
            let key = FileKey::generate(algorithm).unwrap();
            keys.save(name, &key, &passphrase, &SystemEntropy::default()).unwrap();
            assert_eq!(fs::metadata(keys.path(name)).unwrap().permissions().mode() & 0o777, 0o600);
            let again = keys.load(name, &passphrase).unwrap();
            let signature = again.sign(b"message").unwrap();
            key.public().verify(&again.signature_algorithm(), b"message", &signature).unwrap();
            assert!(
                key.public().verify(&again.signature_algorithm(), b"massage", &signature).is_err()
            );
            let wrong = keys.load(name, &Passphrase::new("correct house").unwrap());
            assert!(matches!(wrong, Err(Error::Unauthenticated(_))), "{wrong:?}");
        }
        let over = FileKey::generate(KeyAlgorithm::P256).unwrap();
        assert!(keys.save("p256", &over, &passphrase, &SystemEntropy::default()).is_err());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::new(folder.path());
        let passphrase = Passphrase::new("p").unwrap();
        let key = FileKey::generate(KeyAlgorithm::Ed25519).unwrap();
        keys.save("a", &key, &passphrase, &SystemEntropy::default()).unwrap();
        fs::set_permissions(keys.path("a"), fs::Permissions::from_mode(0o640)).unwrap();
        let Err(Error::Unavailable(why)) = keys.load("a", &passphrase) else {
            panic!("it was taken")
        };
        assert!(why.contains("0640") && why.contains("chmod 600"), "{why}");
    }

    #[test]
    fn openssl_opens_what_we_encrypt() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder::new(folder.path());
        let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
        keys.save("a", &key, &Passphrase::new("secret").unwrap(), &SystemEntropy::default())
            .unwrap();
        let output = std::process::Command::new("openssl")
            .args(["pkey", "-passin", "pass:secret", "-pubout", "-outform", "DER", "-in"])
            .arg(keys.path("a"))
            .output()
            .expect("this test needs `openssl`: apt-get install openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, key.public().der());
    }
}
