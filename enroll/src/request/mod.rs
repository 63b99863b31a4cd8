//! Requests for certificates as all protocols carry them: PKCS #10, the extensions that a request asks for, and the template that results.
//! Nothing here knows a protocol or decides whether a request is granted.

pub mod elements;
pub mod extensions;
pub mod names;
pub mod pkcs10;
pub mod template;

use countersign_ca::Error;

/// Makes an error of the reason why something, such as "a CertificationRequest", cannot be decoded.
pub(crate) fn malformed(what: &str) -> impl Fn(der::Error) -> Error + '_ {
    move |e| Error::malformed(format!("expected {what}: {e}"))
}
