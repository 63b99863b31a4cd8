//! The principals in whose name isakmpd asks: a pre-shared key, an X.509 name.

use super::name::{DistinguishedName, NameError};
use data_encoding::HEXLOWER;
use md5::Md5;
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

/// The longest passphrase, in bytes.
pub const MAX_PASSPHRASE: usize = 4096;

/// Why a passphrase stands for nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// It has no bytes.
    #[error("the passphrase is empty; a pre-shared key has at least one byte")]
    Empty,
    /// It has too many bytes.
    #[error("the passphrase has {0} bytes; at most {MAX_PASSPHRASE} are taken")]
    TooLong(usize),
}

/// The three requesters of a peer that has proved to know a pre-shared key: the key itself, its MD5 and its SHA-1.
///
/// Each lets whoever reads it guess or know the key, so all are wiped when dropped; keep them out of logs, and do not
/// copy them into anything that is not wiped. The hashes are names that policies use, not protection.
///
/// # Errors
/// The passphrase is empty or too long.
pub fn passphrase(secret: &[u8]) -> Result<Vec<Zeroizing<Vec<u8>>>, PassphraseError> {
    match secret.len() {
        0 => return Err(PassphraseError::Empty),
        1..=MAX_PASSPHRASE => {}
        length => return Err(PassphraseError::TooLong(length)),
    }
    let md5 = Zeroizing::new(<[u8; 16]>::from(Md5::digest(secret)));
    let sha1 = Zeroizing::new(<[u8; 20]>::from(Sha1::digest(secret)));
    Ok(vec![
        principal("passphrase:", secret),
        principal("passphrase-md5-hex:", Zeroizing::new(HEXLOWER.encode(&*md5)).as_bytes()),
        principal("passphrase-sha1-hex:", Zeroizing::new(HEXLOWER.encode(&*sha1)).as_bytes()),
    ])
}

/// The requester for the name of an X.509 peer, from the DER of the name: `DN:/C=SE/O=Example/CN=gw7`. It is a value to
/// compare with, never text to paste into an assertion.
///
/// # Errors
/// The name is malformed, empty, too long, or ambiguous.
pub fn distinguished_name(name: &[u8]) -> Result<Vec<u8>, NameError> {
    Ok(format!("DN:{}", DistinguishedName::from_der(name)?).into_bytes())
}

fn principal(prefix: &str, rest: &[u8]) -> Zeroizing<Vec<u8>> {
    // Of the final size from the start: a vector that grows leaves copies of the secret behind.
    let mut text = Zeroizing::new(Vec::with_capacity(prefix.len() + rest.len()));
    text.extend_from_slice(prefix.as_bytes());
    text.extend_from_slice(rest);
    text
}
