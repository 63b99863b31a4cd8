//! Files that an operator names: certificates, keys and secrets.

use std::path::Path;

use countersign_ca::FileKey;
use countersign_ca::key::read_private;
use countersign_ca::x509::read_all;
use countersign_ike_plugin::gateway::PrivateKey;
use zeroize::Zeroizing;

use super::folder::read;
use crate::exit::Failure;

/// The largest key or secret, in bytes.
const MAX_SECRET: u64 = 64 << 10;

/// Reads the certificates of a file, PEM or DER. Returns them in DER, in the order of the file.
pub fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let content = read(path)?
        .ok_or_else(|| Failure::unavailable(format!("`{}` does not exist", path.display())))?;
    read_all(&content).map_err(|e| Failure::input(format!("`{}`: {e}", path.display())))
}

/// A secret from a file that only its owner can read: one line.
pub fn secret(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = read_private(path, MAX_SECRET)?;
    let secret = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
    let found = match (secret.is_empty(), secret.contains('\n')) {
        (false, false) => return Ok(secret),
        (true, _) => "none",
        (false, true) => "several lines",
    };
    Err(Failure::input(format!(
        "expected a secret in one line in `{}`, found {found}",
        path.display()
    )))
}

/// Reads a private key from a file that only its owner can read: PKCS#8, PEM.
pub fn key_from_pem(path: &Path) -> Result<FileKey, Failure> {
    let text = read_private(path, MAX_SECRET)?;
    let at = |e: &dyn std::fmt::Display| Failure::input(format!("`{}`: {e}", path.display()));
    let key = PrivateKey::from_pem(&text).map_err(|e| at(&e))?;
    FileKey::from_pkcs8(key.der()).map_err(|e| at(&e))
}

/// A private key as a file: PKCS#8, PEM.
pub fn key_pem(key: &FileKey) -> Result<Zeroizing<String>, Failure> {
    let der = key.exported()?;
    let pem = der::pem::encode_string("PRIVATE KEY", der::pem::LineEnding::LF, &der);
    pem.map(Zeroizing::new).map_err(|e| Failure { code: 1, message: e.to_string() })
}
