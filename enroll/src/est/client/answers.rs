//! The bodies of answers, as servers of all makes write them.

use countersign_ca::x509::Facts;

use crate::ber::Bounds;
use crate::certs_only::certificates_in;
use crate::client::{ClientError, EnrolmentRequest, MAX_ANSWER};
use crate::est::wire::base64;

/// Bounds on a certs-only message.
const BOUNDS: Bounds = Bounds { bytes: MAX_ANSWER as usize, depth: 32, elements: 20_000 };

/// The most certificates in one answer.
const MAX_CERTIFICATES: usize = 64;

/// The certificates in an answer. `what` is the name of the operation.
///
/// # Errors
/// [`ClientError::Untrusted`] if it is not a certs-only message in base64, or has none or too many of them.
pub fn certificates(body: &[u8], what: &str) -> Result<Vec<Vec<u8>>, ClientError> {
    let read = base64::decode_answer(body).and_then(|octets| certificates_in(&octets, BOUNDS));
    let list = read.map_err(|e| {
        ClientError::untrusted(format!(
            "expected certificates (certs-only PKCS #7) in the answer to {what}: {e}"
        ))
    })?;
    match list.len() {
        1..=MAX_CERTIFICATES => Ok(list),
        found => Err(ClientError::untrusted(format!(
            "expected 1 to {MAX_CERTIFICATES} certificates in the answer to {what}, found {found}"
        ))),
    }
}

/// Finds the certificate for the requested key in `list`, and returns it and the others. If none is for that key, returns the first one,
/// which the caller then finds to be wrong.
pub fn own_and_others(
    mut list: Vec<Vec<u8>>,
    request: &EnrolmentRequest<'_>,
) -> (Vec<u8>, Vec<Vec<u8>>) {
    let own = request.key.public().der();
    let is_own = |der: &Vec<u8>| Facts::of(der).is_ok_and(|facts| facts.key.der() == own);
    let at = list.iter().position(is_own).unwrap_or(0);
    match list.is_empty() {
        true => (Vec::new(), list),
        false => (list.remove(at), list),
    }
}
