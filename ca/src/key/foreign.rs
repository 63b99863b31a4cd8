//! Private keys as other programs keep them: PKCS#8, the traditional forms of OpenSSL, and PKCS#12. They are read here, and written only
//! as this instance keeps its own keys (`folder.rs`).

use std::fmt;

use der::asn1::{BitString, Null, ObjectIdentifier, OctetStringRef};
use der::{Any, Decode, Encode, SecretDocument, Sequence};
use p12_keystore::{KeyStore, KeyStoreEntry};
use pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo};
use spki::AlgorithmIdentifier;
use zeroize::Zeroizing;

use super::private::FileKey;
use crate::error::{Error, Result};
use crate::oid;

/// The labels of PEM (RFC 7468 §10, §11, and OpenSSL's traditional forms).
const PKCS8: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
const EC: &str = "EC PRIVATE KEY";
const RSA: &str = "RSA PRIVATE KEY";

/// What a PKCS#12 file holds: one private key, and certificates.
pub struct Bundle {
    /// The key.
    pub key: FileKey,
    /// The key's certificate, and those above it that are in the file, DER.
    pub certificates: Vec<Vec<u8>>,
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The private key of an elliptic curve.
///
/// ```text
/// ECPrivateKey ::= SEQUENCE {
///   version        INTEGER { ecPrivkeyVer1(1) } (ecPrivkeyVer1),
///   privateKey     OCTET STRING,
///   parameters [0] ECParameters {{ NamedCurve }} OPTIONAL,
///   publicKey  [1] BIT STRING OPTIONAL }
/// ```
/// RFC 5915 §3.
#[derive(Sequence)]
struct EcPrivateKey<'a> {
    version: u8,
    private_key: OctetStringRef<'a>,
    #[asn1(context_specific = "0", optional = "true")]
    parameters: Option<ObjectIdentifier>,
    #[asn1(context_specific = "1", optional = "true")]
    public_key: Option<BitString>,
}

/// Whether the file holds a key that only a password opens.
pub fn is_encrypted(file: &[u8]) -> bool {
    match block(file) {
        Ok(Some(text)) => text.starts_with(&format!("-----BEGIN {ENCRYPTED}-----")),
        _ => EncryptedPrivateKeyInfo::try_from(file).is_ok(),
    }
}

/// Reads a private key: PKCS#8 in PEM or DER, encrypted by PBES2 (RFC 8018) or not, or a key of OpenSSL's traditional forms
/// `EC PRIVATE KEY` and `RSA PRIVATE KEY` that is not encrypted. Other PEM blocks in the file are ignored.
///
/// # Errors
/// [`Error::Unauthenticated`] if the password is missing or wrong; [`Error::Malformed`] if the file holds no key, or one that cannot be
/// used here; the message says how to convert it.
pub fn read_key(file: &[u8], password: Option<&str>) -> Result<FileKey> {
    let Some(text) = block(file)? else {
        return match EncryptedPrivateKeyInfo::try_from(file) {
            Ok(encrypted) => decrypted(&encrypted, password),
            Err(_) => in_der(file),
        };
    };
    if text.contains("Proc-Type:") {
        return Err(Error::malformed(
            "the key is encrypted in OpenSSL's traditional form, which derives its key by MD5: convert it with `openssl pkcs8 -topk8 -in \
             FILE -out NEW`",
        ));
    }
    let (label, document) = SecretDocument::from_pem(text)
        .map_err(|e| Error::malformed(format!("the private key cannot be read: {e}")))?;
    match label {
        PKCS8 => usable(document.as_bytes()),
        ENCRYPTED => {
            let encrypted = EncryptedPrivateKeyInfo::try_from(document.as_bytes());
            let encrypted = encrypted.map_err(|e| {
                Error::malformed(format!(
                    "the encrypted private key cannot be read: {e}; `openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW` converts it"
                ))
            })?;
            decrypted(&encrypted, password)
        }
        EC => {
            let wrong = |e: der::Error| Error::malformed(format!("expected an ECPrivateKey: {e}"));
            let key = EcPrivateKey::from_der(document.as_bytes()).map_err(wrong)?;
            let curve = key.parameters.ok_or_else(|| {
                Error::malformed("the EC private key names no curve: `openssl pkcs8 -topk8 -nocrypt -in FILE -out NEW` converts it")
            })?;
            wrapped(oid::EC_PUBLIC_KEY, &Any::from(curve), document.as_bytes())
        }
        RSA => wrapped(oid::RSA_ENCRYPTION, &Any::from(Null), document.as_bytes()),
        other => Err(Error::malformed(format!(
            "expected a private key as PKCS#8, found `{other}`: `openssl pkcs8 -topk8 -in FILE -out NEW` converts it"
        ))),
    }
}

/// Reads a PKCS#12 file (RFC 7292) with one private key, encrypted by PBES2, or by the RC2 and Triple DES of older programs.
///
/// # Errors
/// [`Error::Unauthenticated`] if the password is wrong; [`Error::Malformed`] if the file cannot be read, or does not hold exactly one key
/// with its certificate.
pub fn read_bundle(file: &[u8], password: &str) -> Result<Bundle> {
    let store = KeyStore::from_pkcs12(file, password).map_err(|error| match error {
        p12_keystore::error::Error::MacError(_) => {
            Error::unauthenticated("the password does not open the PKCS#12 file")
        }
        other => Error::malformed(format!(
            "the PKCS#12 file cannot be read: {other}; `openssl pkcs12 -in FILE -nodes` shows its key and certificates, which \
             `--key` and `--certificate` take"
        )),
    })?;
    let mut chains = store.entries().filter_map(|(_, entry)| match entry {
        KeyStoreEntry::PrivateKeyChain(chain) => Some(chain),
        _ => None,
    });
    let (Some(chain), None) = (chains.next(), chains.next()) else {
        return Err(Error::malformed(
            "expected one private key with its certificate in the PKCS#12 file, found none or several; `openssl pkcs12 -in FILE -nodes` \
             shows them, and `--key` and `--certificate` take one",
        ));
    };
    let certificates = chain.chain().iter().map(|one| one.as_der().to_vec()).collect();
    Ok(Bundle { key: usable(chain.key())?, certificates })
}

/// The first PEM block with a private key; `None` if the file is no PEM.
fn block(file: &[u8]) -> Result<Option<&str>> {
    if file.first() == Some(&0x30) {
        return Ok(None);
    }
    let none = || Error::malformed("expected a private key in PEM or DER, found none");
    let text = std::str::from_utf8(file).map_err(|_| none())?;
    let blocks = text.match_indices("-----BEGIN ").filter_map(|(at, _)| text.get(at..));
    let is_key = |block: &&str| {
        let first = block.lines().next().unwrap_or_default();
        first.trim_end().ends_with("PRIVATE KEY-----")
    };
    let found = blocks.into_iter().find(is_key).ok_or_else(none)?;
    let end = found.find("-----END ").and_then(|at| {
        let line = found.get(at..)?.find('\n');
        Some(line.map_or(found.len(), |line| at.saturating_add(line).saturating_add(1)))
    });
    Ok(found.get(..end.unwrap_or(found.len())))
}

fn decrypted(encrypted: &EncryptedPrivateKeyInfo<'_>, password: Option<&str>) -> Result<FileKey> {
    if encrypted.encryption_algorithm.pbes2().is_none() {
        return Err(Error::malformed(
            "the key is encrypted by PBES1: `openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW` converts it",
        ));
    }
    let password = password.ok_or_else(|| {
        Error::unauthenticated("the key is encrypted: name the file of its password")
    })?;
    let document = encrypted
        .decrypt(password)
        .map_err(|_| Error::unauthenticated("the password does not open the private key"))?;
    usable(document.as_bytes())
}

/// The key in a file in DER: PKCS#8, or OpenSSL's traditional form, which `openssl genpkey -outform DER` writes.
fn in_der(file: &[u8]) -> Result<FileKey> {
    if PrivateKeyInfo::try_from(file).is_ok() {
        return usable(file);
    }
    if let Ok(EcPrivateKey { parameters: Some(curve), .. }) = EcPrivateKey::from_der(file) {
        return wrapped(oid::EC_PUBLIC_KEY, &Any::from(curve), file);
    }
    wrapped(oid::RSA_ENCRYPTION, &Any::from(Null), file).or_else(|_| usable(file))
}

/// The key with this algorithm whose own encoding is `key`.
fn wrapped(algorithm: ObjectIdentifier, parameters: &Any, key: &[u8]) -> Result<FileKey> {
    let algorithm = AlgorithmIdentifier { oid: algorithm, parameters: Some(parameters.into()) };
    let info = PrivateKeyInfo::new(algorithm, key);
    let der = Zeroizing::new(info.to_der().map_err(Error::internal)?);
    usable(&der)
}

/// The key in a PKCS#8 PrivateKeyInfo, DER.
fn usable(pkcs8: &[u8]) -> Result<FileKey> {
    let padded = padded(pkcs8)?;
    FileKey::from_pkcs8(padded.as_deref().map_or(pkcs8, Vec::as_slice)).map_err(|error| match error
    {
        Error::Malformed(why) => Error::malformed(format!(
            "{why}; expected a P-256, P-384 or Ed25519 key, or an RSA key of 2048 bits or more"
        )),
        other => other,
    })
}

/// An elliptic-curve key whose privateKey has as many octets as RFC 5915 §3 demands; `None` if it has, or the key is of another kind.
/// GnuTLS writes an INTEGER there, without zeros before it, or with one.
fn padded(pkcs8: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let Ok(info) = PrivateKeyInfo::try_from(pkcs8) else { return Ok(None) };
    let length: usize = match info.algorithm.parameters_oid() {
        Ok(oid::P256) => 32,
        Ok(oid::P384) => 48,
        _ => return Ok(None),
    };
    let Ok(key) = EcPrivateKey::from_der(info.private_key) else { return Ok(None) };
    let octets = key.private_key.as_bytes();
    let first = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len());
    let digits = octets.get(first..).unwrap_or_default();
    if octets.len() == length || digits.len() > length {
        return Ok(None);
    }
    let mut padded = Zeroizing::new(vec![0; length.saturating_sub(digits.len())]);
    padded.reserve_exact(digits.len());
    padded.extend_from_slice(digits);
    let private_key = OctetStringRef::new(&padded).map_err(Error::internal)?;
    let key =
        Zeroizing::new(EcPrivateKey { private_key, ..key }.to_der().map_err(Error::internal)?);
    let info = PrivateKeyInfo::new(info.algorithm, &key);
    Ok(Some(Zeroizing::new(info.to_der().map_err(Error::internal)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `openssl` writes with these arguments in a folder, as a file of it.
    fn made(lines: &[&str], file: &str) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        for line in lines {
            let output = std::process::Command::new("openssl")
                .args(line.split(' '))
                .current_dir(folder.path())
                .output()
                .expect("this test needs `openssl`: apt-get install openssl");
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        }
        std::fs::read(folder.path().join(file)).unwrap()
    }

    #[test]
    fn openssl_keys_of_every_form_are_read() {
        for (lines, kind) in [
            (&["genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out k"][..], "P-256"),
            (&["genpkey -algorithm ed25519 -out k"], "Ed25519"),
            (&["genrsa -out k 2048"], "RSA-2048"),
            (&["genrsa -traditional -out k 2048"], "RSA-2048"),
            (&["ecparam -name secp384r1 -genkey -out k"], "P-384"),
            (
                &["genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -outform DER -out k"],
                "P-256",
            ),
            (&["genpkey -algorithm ed25519 -aes256 -pass pass:secret -out k"], "Ed25519"),
            (&["genpkey -algorithm ed25519 -des3 -pass pass:secret -out k"], "Ed25519"),
            (
                &[
                    "genrsa -out p 2048",
                    "pkcs8 -topk8 -scrypt -in p -passout pass:secret -outform DER -out k",
                ],
                "RSA-2048",
            ),
            (&["genpkey -algorithm RSA -outform DER -out k"], "RSA-2048"),
        ] {
            let file = made(lines, "k");
            let read = read_key(&file, Some("secret")).unwrap_or_else(|e| panic!("{lines:?}: {e}"));
            assert_eq!(read.public().kind().to_string(), kind, "{lines:?}");
            if is_encrypted(&file) {
                for wrong in [None, Some("secreT")] {
                    let error = read_key(&file, wrong).unwrap_err();
                    assert!(matches!(error, Error::Unauthenticated(_)), "{error}");
                }
            } else {
                assert!(!lines.concat().contains("secret"), "{lines:?} is not seen as encrypted");
            }
        }
    }

    #[test]
    fn an_ec_key_may_have_more_or_fewer_octets_than_it_should() {
        let read = |octets: &[u8], key: &EcPrivateKey<'_>, info: &PrivateKeyInfo<'_>| {
            let private_key = OctetStringRef::new(octets).unwrap();
            let (parameters, public_key) = (key.parameters, key.public_key.clone());
            let key =
                EcPrivateKey { version: 1, private_key, parameters, public_key }.to_der().unwrap();
            read_key(&PrivateKeyInfo::new(info.algorithm, &key).to_der().unwrap(), None)
        };
        let mut shorter = 0;
        while shorter < 2 {
            let own = FileKey::generate(crate::key::KeyAlgorithm::P384).unwrap();
            let info = PrivateKeyInfo::try_from(own.pkcs8()).unwrap();
            let key = EcPrivateKey::from_der(info.private_key).unwrap();
            let octets = key.private_key.as_bytes();
            let longer = [&[0], octets].concat();
            assert_eq!(read(&longer, &key, &info).unwrap().public(), own.public());
            // One key in 256 begins with a zero.
            if let [0, rest @ ..] = octets {
                assert_eq!(read(rest, &key, &info).unwrap().public(), own.public());
                shorter += 1;
            }
        }
    }

    #[test]
    fn a_key_that_cannot_be_used_says_how_it_is_converted() {
        for (lines, expected) in [
            (
                &["genrsa -traditional -aes256 -passout pass:secret -out k 2048"][..],
                "openssl pkcs8 -topk8",
            ),
            (
                &[
                    "genrsa -out p 2048",
                    "pkcs8 -topk8 -v1 PBE-SHA1-3DES -in p -passout pass:secret -out k",
                ],
                "-v2 aes-256-cbc",
            ),
            (&["ecparam -name secp256k1 -genkey -out k"], "P-256, P-384"),
            (&["genpkey -algorithm ed448 -out k"], "P-256, P-384"),
            (&["req -x509 -newkey ed25519 -nodes -keyout k2 -subj /CN=a -out k"], "found none"),
        ] {
            let error = read_key(&made(lines, "k"), Some("secret")).unwrap_err().to_string();
            assert!(error.contains(expected), "{lines:?}: {error}");
        }
    }

    #[test]
    fn pkcs12_files_of_new_and_old_programs_are_read() {
        let ca = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -subj /O=Example/CN=root -out c";
        for (export, count) in [
            ("pkcs12 -export -in c -inkey k -passout pass:secret -out p", 1),
            ("pkcs12 -export -legacy -in c -inkey k -passout pass:secret -out p", 1),
        ] {
            let file = made(&[ca, export], "p");
            let bundle = read_bundle(&file, "secret").unwrap();
            assert_eq!(bundle.certificates.len(), count);
            let facts = crate::x509::Facts::of(&bundle.certificates[0]).unwrap();
            assert_eq!(facts.key, *bundle.key.public());
            let error = read_bundle(&file, "secreT").unwrap_err();
            assert!(matches!(error, Error::Unauthenticated(_)), "{export}: {error}");
        }
        let none = made(&[ca, "pkcs12 -export -nokeys -in c -passout pass:secret -out p"], "p");
        let error = read_bundle(&none, "secret").unwrap_err().to_string();
        assert!(error.contains("found none or several"), "{error}");
    }
}
