//! The messages of an EST client (RFC 7030, RFC 8951). The decoder checks every answer.

use data_encoding::BASE64;

use crate::client::Target;
use crate::wire::{Ask, Key, field_of_tbs, parts};

pub const ENROL: &str = "/.well-known/est/simpleenroll";
pub const RENEW: &str = "/.well-known/est/simplereenroll";

/// An account's secret, as HTTP Basic has it.
pub fn basic(reference: &str, secret: &str) -> String {
    let userpass = BASE64.encode(format!("{reference}:{secret}").as_bytes());
    format!("Authorization: Basic {userpass}\r\n")
}

/// The octets of a request for a certificate for this key. Its signature is a new one each time, so that no two requests are the same.
pub fn request(target: &Target, key: &Key, lines: &str) -> Vec<u8> {
    let body = BASE64.encode(&key.request(Ask::P10cr, None));
    target.post_with(lines, body.as_bytes())
}

/// The certificate in an answer, which must be for this key.
pub fn granted(answer: &[u8], public: &[u8]) -> Result<Vec<u8>, String> {
    let text: Vec<u8> =
        answer.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
    let der = BASE64.decode(&text).map_err(|e| format!("expected base64: {e}"))?;
    let certificate = certificates_in(&der)?.into_iter().next().ok_or("no certificate")?;
    match field_of_tbs(&certificate, 5)?.whole == public {
        true => Ok(certificate),
        false => Err("the certificate is for another key".into()),
    }
}

/// The certificates in a certs-only message (RFC 8551 §3.2.2).
///
/// ```text
/// ContentInfo ::= SEQUENCE { contentType, content [0] SignedData }
/// SignedData ::= SEQUENCE { version, digestAlgorithms, encapContentInfo, certificates [0], … }
/// ```
pub fn certificates_in(message: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let inside = |content, at: usize| -> Result<_, String> {
        parts(content)?.get(at).copied().ok_or_else(|| "expected a certs-only message".to_owned())
    };
    let signed = inside(inside(inside(message, 0)?.content, 1)?.content, 0)?;
    let certificates = parts(signed.content)?.into_iter().find(|part| part.tag == 0xa0);
    let certificates = certificates.ok_or("no certificates in the message")?;
    Ok(parts(certificates.content)?.iter().map(|one| one.whole.to_vec()).collect())
}
