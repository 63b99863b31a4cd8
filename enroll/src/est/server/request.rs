//! Reads a CertificationRequest, within bounds: one that is signed with its key, or one for a key that is generated here.

use countersign_ca::Error;
use zeroize::Zeroizing;

use super::config::EstConfig;
use crate::ber::{self, Bounds};
use crate::request::extensions::AltNames;
use crate::request::pkcs10::{
    CertificationRequest, KeyRequest, certification_request_in, key_request_in,
};

/// The deepest nesting of a request.
const DEPTH: usize = 32;

/// The most elements of a request.
const ELEMENTS: usize = 10_000;

/// What a request asks for.
pub enum Content {
    /// A certificate for the key that signed the request.
    Certificate(CertificationRequest),
    /// A key, and a certificate for it.
    Key(KeyRequest),
}

impl Content {
    /// The challengePassword of the request; `None` without one.
    pub fn challenge_password(&self) -> Option<&str> {
        let password = match self {
            Self::Certificate(request) => &request.challenge_password,
            Self::Key(request) => &request.challenge_password,
        };
        password.as_ref().map(|text| text.as_str())
    }
}

/// Reads a CertificationRequest, and verifies its signature.
///
/// # Errors
/// As [`certification_request_in`].
pub fn read(octets: &[u8], config: &EstConfig) -> Result<CertificationRequest, Error> {
    certification_request_in(&definite(octets, config)?, AltNames::Repaired)
}

/// Reads a CertificationRequest for a key that is generated here.
///
/// # Errors
/// As [`key_request_in`].
pub fn read_for_key(octets: &[u8], config: &EstConfig) -> Result<KeyRequest, Error> {
    key_request_in(&definite(octets, config)?, AltNames::Repaired)
}

/// The request with definite lengths. Its challengePassword may be a secret.
fn definite(octets: &[u8], config: &EstConfig) -> Result<Zeroizing<Vec<u8>>, Error> {
    let bounds = Bounds { bytes: config.max_bytes, depth: DEPTH, elements: ELEMENTS };
    Ok(Zeroizing::new(ber::definite(octets, bounds)?.into_owned()))
}
