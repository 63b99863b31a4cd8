//! The private keys that sign: generated here, kept as encrypted PKCS#8 in files of mode 0600.
//!
//! What signs is rcgen's [`SigningKey`]; a [`FileKey`] is the implementation whose key lies in a file. A key is
//! decrypted once, when the instance opens, and wiped when it closes.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use aws_lc_rs::encoding::AsDer;
use der::asn1::Null;
use der::pem::LineEnding;
use der::{Any, SecretDocument};
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo};
use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm, SigningKey};
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::oid;
use crate::key::public::{KeyKind, SubjectPublicKey};

/// scrypt with N = 2^14, r = 8, p = 5: 16 MiB, which OpenSSL's own limit of 32 MiB still opens.
const SCRYPT: (u8, u32, u32) = (14, 8, 5);

/// The largest key file that is read, in bytes; an encrypted RSA-4096 key takes 3.4 KiB.
const MAX_KEY_FILE: u64 = 16 * 1024;

/// The kinds of key that can be generated for a CA.
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
    /// Each kind with its name in commands and files.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::P256, "p256"),
        (Self::P384, "p384"),
        (Self::Ed25519, "ed25519"),
        (Self::Rsa3072, "rsa3072"),
        (Self::Rsa4096, "rsa4096"),
    ];

    /// That of a key of this kind, or of the next stronger one that can be generated; P-384 after P-521.
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

/// What opens the key files. Wiped when dropped, and never shown.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// From text without its line end.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is empty.
    pub fn new(text: &str) -> Result<Self> {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(Error::malformed("the passphrase is empty; write one line into its file"));
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// A private key with its public half.
pub struct FileKey {
    pair: KeyPair,
    public: SubjectPublicKey,
}

impl FileKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the operating system gives no randomness.
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
    /// [`Error::Malformed`] when it holds no key of a kind that [`KeyAlgorithm`] knows.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let algorithm = signature_algorithm_of(der)?;
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der.into(), algorithm)
            .map_err(|e| Error::malformed(format!("the private key cannot be used: {e}")))?;
        Self::from_pair(pair)
    }

    /// The public half.
    pub const fn public(&self) -> &SubjectPublicKey {
        &self.public
    }

    /// The algorithm that it signs with, as certificates and messages name it.
    pub fn signature_algorithm(&self) -> AlgorithmIdentifierOwned {
        signature_algorithm(self.public.kind())
    }

    /// The key as PKCS#8 of version 1 (RFC 5208), unencrypted: for the key file of a gateway that enrols itself. Version 2,
    /// which Ed25519 keys come in, adds the public key, and OpenSSL 3.0 and strongSwan do not read it.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be encoded.
    pub fn exported(&self) -> Result<Zeroizing<Vec<u8>>> {
        let mut info = PrivateKeyInfo::try_from(self.pkcs8()).map_err(Error::internal)?;
        info.public_key = None;
        let der = SecretDocument::encode_msg(&info).map_err(Error::internal)?;
        Ok(Zeroizing::new(der.as_bytes().to_vec()))
    }

    /// The key as PKCS#8, unencrypted: for [`KeyFolder::save`] and for signing in parts only.
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
        Ok(Self { pair, public })
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
        self.pair.sign(message)
    }
}

/// The algorithm that a key of this kind signs with here.
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

/// The algorithm of a public key of this kind (RFC 5480 §2.1.1, RFC 8410 §3, RFC 3279 §2.3.1).
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

/// The folder `keys/` of an instance.
#[derive(Debug, Clone)]
pub struct KeyFolder(PathBuf);

impl KeyFolder {
    /// The folder at `path`; it need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where the key of this name lies, or would.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.key"))
    }

    /// Where a public file of this name lies, or would.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Whether there is a key of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Encrypts a key under the passphrase (PBES2: scrypt, AES-256-CBC) and writes it, durably, to a new file.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the file exists already or cannot be written.
    pub fn save(
        &self,
        name: &str,
        key: &FileKey,
        passphrase: &Passphrase,
        entropy: &dyn Entropy,
    ) -> Result<()> {
        self.save_pkcs8(name, key.pkcs8(), passphrase, entropy)
    }

    /// Opens a key.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the file is missing or readable by others, [`Error::Unauthenticated`] when the
    /// passphrase does not open it.
    pub fn load(&self, name: &str, passphrase: &Passphrase) -> Result<FileKey> {
        FileKey::from_pkcs8(self.load_pkcs8(name, passphrase)?.as_bytes())
    }

    /// As [`Self::save`], for any PKCS#8 key.
    pub(crate) fn save_pkcs8(
        &self,
        name: &str,
        pkcs8: &[u8],
        passphrase: &Passphrase,
        entropy: &dyn Entropy,
    ) -> Result<()> {
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        entropy.fill(&mut salt)?;
        entropy.fill(&mut iv)?;
        let (log_n, r, p) = SCRYPT;
        let params = scrypt::Params::new(log_n, r, p, 32).map_err(Error::internal)?;
        let scheme =
            pbes2::Parameters::scrypt_aes256cbc(params, &salt, &iv).map_err(Error::internal)?;
        let pem = PrivateKeyInfo::try_from(pkcs8)
            .and_then(|info| info.encrypt_with_params(scheme, passphrase.0.as_bytes()))
            .and_then(|document| Ok(document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)?))
            .map_err(Error::internal)?;
        self.write_new(name, pem.as_bytes())
    }

    /// As [`Self::load`], for any PKCS#8 key, and as it is.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_pkcs8(&self, name: &str, passphrase: &Passphrase) -> Result<SecretDocument> {
        let path = self.path(name);
        let pem = read_private(&path, MAX_KEY_FILE)?;
        let (label, document) = SecretDocument::from_pem(&pem).map_err(|e| {
            Error::unavailable(format!("`{}` is not a PEM file: {e}", path.display()))
        })?;
        if label != "ENCRYPTED PRIVATE KEY" {
            return Err(Error::unavailable(format!(
                "expected an `ENCRYPTED PRIVATE KEY` in `{}`, found a `{label}`; encrypt it with \
                 `openssl pkcs8 -topk8 -scrypt`",
                path.display()
            )));
        }
        EncryptedPrivateKeyInfo::try_from(document.as_bytes())
            .map_err(|e| Error::unavailable(format!("`{}` is damaged: {e}", path.display())))?
            .decrypt(passphrase.0.as_bytes())
            .map_err(|_| {
                Error::unauthenticated(format!("the passphrase does not open `{}`", path.display()))
            })
    }

    fn write_new(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.path(name);
        let failed = |e: &std::io::Error| Error::io(format!("`{}`", path.display()), e);
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true).mode(0o700).create(&self.0).map_err(|e| failed(&e))?;
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(0o600).open(&path).map_err(|e| failed(&e))?;
        file.write_all(content).and_then(|()| file.sync_all()).map_err(|e| failed(&e))?;
        File::open(&self.0).and_then(|folder| folder.sync_all()).map_err(|e| failed(&e))
    }
}

/// Reads a secret file of at most `limit` bytes, and refuses one that others can read.
///
/// # Errors
/// [`Error::Unavailable`] when it is missing, too large, not text, or its mode is looser than 0600.
pub fn read_private(path: &Path, limit: u64) -> Result<Zeroizing<String>> {
    read_secret(path, limit, 0o077)
}

/// Reads a credential that systemd gave, as [`read_private`] reads other files. Its mode is 0440 where the service has a user of
/// its own: what stands for the group is the mask of an access control list that names this user, and the folder around it is
/// nobody else's.
///
/// # Errors
/// [`Error::Unavailable`] when it is missing, too large, not text, or its mode is looser than 0640.
pub fn read_credential(path: &Path, limit: u64) -> Result<Zeroizing<String>> {
    read_secret(path, limit, 0o037)
}

fn read_secret(path: &Path, limit: u64, forbidden: u32) -> Result<Zeroizing<String>> {
    let failed = |e: &std::io::Error| Error::io(format!("`{}`", path.display()), e);
    let file = File::open(path).map_err(|e| failed(&e))?;
    let mode = file.metadata().map_err(|e| failed(&e))?.mode() & 0o777;
    if mode & forbidden != 0 {
        return Err(Error::unavailable(format!(
            "expected `{0}` to be readable by its owner only, found mode {mode:04o}; run `chmod 600 {0}`",
            path.display()
        )));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(limit.saturating_add(1)).read_to_string(&mut text).map_err(|e| failed(&e))?;
    if u64::try_from(text.len()).is_ok_and(|length| length > limit) {
        return Err(Error::unavailable(format!(
            "expected at most {limit} bytes in `{}`, found more",
            path.display()
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::entropy::SystemEntropy;

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
