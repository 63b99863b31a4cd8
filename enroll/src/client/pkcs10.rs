//! Makes PKCS #10 requests (RFC 2986), which EST and SCEP carry. `request/pkcs10.rs` reads them.

use countersign_ca::x509::subject_alt_name;
use der::Encode;
use der::oid::ObjectIdentifier;
use x509_cert::ext::Extension;
use zeroize::Zeroizing;

use super::credential::sign;
use super::error::ClientError;
use super::request::EnrolmentRequest;
use crate::ber::{BIT_STRING, CONTEXT_0, INTEGER, SEQUENCE, SET, encode};
use crate::request::pkcs10::{CHALLENGE_PASSWORD, EXTENSION_REQUEST};

/// PrintableString.
const PRINTABLE_STRING: u8 = 0x13;
/// UTF8String.
const UTF8_STRING: u8 = 0x0c;

/// What a request has besides the names and the key.
#[derive(Default)]
pub struct Additions<'a> {
    /// The challengePassword (RFC 2985 §5.4.1), which may be a secret.
    pub challenge_password: Option<&'a str>,
    /// Further extensions to ask for.
    pub extensions: Vec<Extension>,
}

/// A CertificationRequest for these names and this key, signed with the key, DER.
///
/// Its names are those that CMP's CertTemplate has. With an RSA key, the same arguments give the same octets.
///
/// # Errors
/// [`ClientError::Internal`] if it cannot be encoded or signed; [`ClientError::Input`] for names that no certificate can have.
pub fn certification_request(
    request: &EnrolmentRequest<'_>,
    additions: Additions<'_>,
) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    let failed = ClientError::encoding;
    let mut extensions = Vec::new();
    if !request.alt_names.is_empty() {
        extensions.push(subject_alt_name(&request.subject, &request.alt_names)?);
    }
    extensions.extend(additions.extensions);
    let mut attributes = Vec::new();
    if !extensions.is_empty() {
        let value = extensions.to_der().map_err(failed)?;
        attributes.push(attribute(EXTENSION_REQUEST, &value)?);
    }
    if let Some(text) = additions.challenge_password {
        let tag = if text.bytes().all(is_printable) { PRINTABLE_STRING } else { UTF8_STRING };
        let value = Zeroizing::new(encode(tag, &[text.as_bytes()]));
        attributes.push(attribute(CHALLENGE_PASSWORD, &value)?);
    }
    // DER sorts a SET OF (X.690 §11.6).
    attributes.sort_by(|a, b| a.as_slice().cmp(b.as_slice()));
    let attributes: Vec<&[u8]> = attributes.iter().map(|attribute| attribute.as_slice()).collect();
    let attributes = Zeroizing::new(encode(CONTEXT_0, &attributes));
    let subject = request.subject.to_der().map_err(failed)?;
    let version = encode(INTEGER, &[&[0]]);
    let parts: [&[u8]; 4] = [&version, &subject, request.key.public().der(), &attributes];
    let info = Zeroizing::new(encode(SEQUENCE, &parts));
    let signature = sign(request.key, &info)?;
    let algorithm = request.key.signature_algorithm().to_der().map_err(failed)?;
    let signature = encode(BIT_STRING, &[&[0], &signature]);
    Ok(Zeroizing::new(encode(SEQUENCE, &[&info, &algorithm, &signature])))
}

/// An attribute with one value.
fn attribute(kind: ObjectIdentifier, value: &[u8]) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    let kind = kind.to_der().map_err(ClientError::encoding)?;
    let values = Zeroizing::new(encode(SET, &[value]));
    Ok(Zeroizing::new(encode(SEQUENCE, &[&kind, &values])))
}

/// Whether a PrintableString may have this octet (X.680 §41.4).
const fn is_printable(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(octet, b' ' | b'\'' | b'(' | b')' | b'+'..=b'/' | b':' | b'=' | b'?')
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use countersign_ca::{FileKey, Identity, KeyAlgorithm};
    use x509_cert::name::Name;

    use super::*;
    use crate::client::Body;
    use crate::request::extensions::AltNames;
    use crate::request::pkcs10::certification_request_in;

    #[test]
    fn the_server_reads_names_and_challenge_and_an_rsa_request_is_the_same_again() {
        for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa3072] {
            let key = FileKey::generate(algorithm).unwrap();
            let id: Identity = "fqdn:gw1.example.net".parse().unwrap();
            let request = EnrolmentRequest {
                body: Body::Initialization,
                key: &key,
                subject: Name::from_str("CN=gw1.example.net").unwrap(),
                needs_subject: false,
                alt_names: vec![id.general_name().unwrap().unwrap()],
                replaces: None,
                profile: None,
                not_after: None,
                implicit_confirm: false,
            };
            for challenge in ["REF:secret", "päss_word", "a+b/c="] {
                let make = || {
                    let additions =
                        Additions { challenge_password: Some(challenge), ..Additions::default() };
                    certification_request(&request, additions).unwrap()
                };
                let made = make();
                assert_eq!(
                    algorithm == KeyAlgorithm::Rsa3072,
                    made == make() && algorithm != KeyAlgorithm::Ed25519
                );
                let read = certification_request_in(&made, AltNames::AsSent).unwrap();
                assert_eq!(read.challenge_password.as_deref().map(String::as_str), Some(challenge));
                assert_eq!(read.template.subject.as_ref(), Some(&request.subject));
                assert_eq!(read.template.alt_names, request.alt_names);
            }
        }
    }
}
