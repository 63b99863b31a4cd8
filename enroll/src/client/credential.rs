//! The credential of a peer in EST and SCEP, and signatures by a peer's key. CMP has a credential type of its own, because it can protect
//! messages with a MAC.

use std::fmt;

use countersign_ca::FileKey;
use rcgen::SigningKey;
use zeroize::Zeroizing;

use super::error::ClientError;

/// The credential that proves a peer's identity.
pub enum Credential {
    /// A shared secret.
    Secret {
        /// The reference that names the secret; `None` for a challengePassword of SCEP that is the secret alone.
        reference: Option<String>,
        /// The secret; wiped when dropped.
        secret: Zeroizing<String>,
    },
    /// A certificate with its private key.
    Certificate {
        /// The certificate, DER.
        certificate: Vec<u8>,
        /// The CA certificates above the certificate, its issuer first, DER.
        chain: Vec<Vec<u8>>,
        /// The private key of the certificate.
        key: Box<FileKey>,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret { reference, .. } => write!(f, "Secret({reference:?}, …)"),
            Self::Certificate { .. } => f.write_str("Certificate(…)"),
        }
    }
}

/// A signature by the peer's key.
///
/// # Errors
/// [`ClientError::Internal`] if signing fails.
pub fn sign(key: &FileKey, octets: &[u8]) -> Result<Vec<u8>, ClientError> {
    key.sign(octets).map_err(|e| ClientError::Internal(format!("signing failed: {e}")))
}
