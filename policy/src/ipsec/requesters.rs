//! The principals that isakmpd uses as requesters: pre-shared keys and X.509 names.

use super::name::{DistinguishedName, NameError};
use data_encoding::HEXLOWER;
use md5::Md5;
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

/// The longest passphrase, in bytes.
pub const MAX_PASSPHRASE: usize = 4096;

/// Why a passphrase gives no requesters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// The passphrase is empty.
    #[error("the passphrase is empty; a pre-shared key has at least one byte")]
    Empty,
    /// The passphrase is longer than [`MAX_PASSPHRASE`]. The number is its length in bytes.
    #[error("the passphrase has {0} bytes; at most {MAX_PASSPHRASE} are taken")]
    TooLong(usize),
}

/// The three requesters of a peer that has proved knowledge of a pre-shared key: the key itself, its MD5 and its SHA-1 in hexadecimal
/// digits, each after its prefix (`passphrase:`, `passphrase-md5-hex:`, `passphrase-sha1-hex:`).
///
/// Each of them reveals the key or allows somebody to guess it. So all are wiped when dropped; do not log them, and do not copy them into
/// memory that is not wiped. The hashes are names that policies use, not protection.
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

/// The requester for the name of an X.509 peer, from the DER of the name: `DN:/C=SE/O=Example/CN=gw7`. It is a value for comparisons,
/// and must not be inserted into the text of an assertion.
///
/// # Errors
/// The name is malformed, empty, too long, or ambiguous.
pub fn distinguished_name(name: &[u8]) -> Result<Vec<u8>, NameError> {
    Ok(format!("DN:{}", DistinguishedName::from_der(name)?).into_bytes())
}

fn principal(prefix: &str, rest: &[u8]) -> Zeroizing<Vec<u8>> {
    // Allocated with its final size: a vector that grows leaves copies of the secret in memory.
    let mut text = Zeroizing::new(Vec::with_capacity(prefix.len() + rest.len()));
    text.extend_from_slice(prefix.as_bytes());
    text.extend_from_slice(rest);
    text
}
