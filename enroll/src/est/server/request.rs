//! Reads a CertificationRequest, within bounds.

use countersign_ca::Error;
use der::Decode;
use der::asn1::Any;

use super::config::EstConfig;
use crate::ber::{self, Bounds};
use crate::request::extensions::AltNames;
use crate::request::malformed;
use crate::request::pkcs10::{CertificationRequest, certification_request};

/// The deepest nesting of a request.
const DEPTH: usize = 32;

/// The most elements of a request.
const ELEMENTS: usize = 10_000;

/// Reads a CertificationRequest, and verifies its signature.
///
/// # Errors
/// As [`certification_request`].
pub fn read(octets: &[u8], config: &EstConfig) -> Result<CertificationRequest, Error> {
    let bounds = Bounds { bytes: config.max_bytes, depth: DEPTH, elements: ELEMENTS };
    let definite = ber::definite(octets, bounds)?;
    let any = Any::from_der(&definite).map_err(malformed("a CertificationRequest"))?;
    certification_request(&any, AltNames::Repaired)
}
