//! Certificates in PEM.

use der::Encode;

use super::facts::Facts;
use crate::error::{Error, Result};

/// Reads one or more certificates in PEM, or a single one in DER. Returns them in DER.
///
/// # Errors
/// [`Error::Malformed`] if there is none, or one cannot be read; for DER, also those of [`Facts::of`].
pub fn read_all(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let none = || Error::malformed("expected a certificate in PEM or DER");
    if bytes.first() == Some(&0x30) {
        Facts::of(bytes)?;
        return Ok(vec![bytes.to_vec()]);
    }
    let chain = x509_cert::Certificate::load_pem_chain(bytes).map_err(|_| none())?;
    if chain.is_empty() {
        return Err(none());
    }
    chain.iter().map(|certificate| certificate.to_der().map_err(Error::internal)).collect()
}

/// Encodes DER in PEM with this label, such as `CERTIFICATE`.
///
/// # Errors
/// [`Error::Internal`] if it cannot be encoded.
pub fn to_pem(label: &'static str, der: &[u8]) -> Result<String> {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).map_err(Error::internal)
}
