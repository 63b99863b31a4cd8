//! PKCS #10 requests (RFC 2986). CMP carries them in p10cr; EST and SCEP carry them by themselves.

use countersign_ca::{ProvenKey, SubjectPublicKey};
use der::asn1::{Any, AnyRef, BitString};
use der::{Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};
use spki::AlgorithmIdentifierOwned;
use x509_cert::attr::Attribute;
use x509_cert::ext::Extension;
use x509_cert::name::Name;

use super::elements::elements;
use super::extensions::{AltNames, SeparateExtensions, separate_alt_names, with_one_alt_name};
use super::oid;
use super::refusal::{Failure, Refusal, malformed};
use super::request_template::RequestTemplate;

/// Reads a CertificationRequest (RFC 2986 §4) and verifies its signature, which is the proof of possession.
///
/// ```text
/// CertificationRequest ::= SEQUENCE {
///     certificationRequestInfo SEQUENCE {
///         version INTEGER, subject Name, subjectPKInfo SubjectPublicKeyInfo, attributes [0] Attributes },
///     signatureAlgorithm AlgorithmIdentifier,
///     signature BIT STRING }
/// ```
///
/// # Errors
/// `badDataFormat` or `badCertTemplate` for a request that is not of this form, `badAlg` and `badPOP` for its signature.
pub fn certification_request(body: &Any, alt_names: AltNames) -> Result<RequestTemplate, Refusal> {
    let read = malformed("a CertificationRequest");
    let parts = elements(body).map_err(&read)?;
    let [info, algorithm, signature] = parts.as_slice() else {
        return Err(Refusal::new(
            Failure::BadDataFormat,
            "expected a CertificationRequest of three parts",
        ));
    };
    let info_bytes = info.to_der().map_err(&read)?;
    let info_any = Any::from_der(&info_bytes).map_err(&read)?;
    let info_parts = elements(&info_any).map_err(&read)?;
    let [version, subject, spki, attributes @ ..] = info_parts.as_slice() else {
        return Err(Refusal::new(
            Failure::BadDataFormat,
            "the CertificationRequest lacks version, subject or key",
        ));
    };
    if version.decode_as::<u8>().ok() != Some(0) {
        return Err(Refusal::new(
            Failure::BadCertTemplate,
            "expected a CertificationRequest of version 0 (v1)",
        ));
    }
    if attributes.len() > 1 {
        return Err(Refusal::new(
            Failure::BadDataFormat,
            "expected a CertificationRequest with one set of attributes",
        ));
    }
    let subject: Name = subject.decode_as().map_err(&read)?;
    let key = SubjectPublicKey::from_der(&spki.to_der().map_err(&read)?)?;
    let algorithm: AlgorithmIdentifierOwned = algorithm.decode_as().map_err(&read)?;
    let signature: BitString = signature.decode_as().map_err(&read)?;
    let signature = signature
        .as_bytes()
        .ok_or_else(|| Refusal::new(Failure::BadPop, "the signature has unused bits"))?;
    let key = ProvenKey::verify(key, &algorithm, &info_bytes, signature)?;
    let requested = match attributes.first() {
        Some(attributes) => requested_extensions(*attributes).map_err(&read)?,
        None => Vec::new(),
    };
    let requested = match alt_names {
        AltNames::AsSent => requested,
        AltNames::Repaired => with_one_alt_name(requested),
    };
    let SeparateExtensions { alt_names, others } = separate_alt_names(requested)?;
    Ok(RequestTemplate {
        key,
        issuer: None,
        subject: Some(subject).filter(|subject| !subject.is_empty()),
        alt_names,
        extensions: others,
        not_before: None,
        not_after: None,
        published: None,
        notices: Vec::new(),
    })
}

/// The extensions in the first extensionRequest among the attributes (RFC 2985 §5.4.2); none without one.
fn requested_extensions(attributes: AnyRef<'_>) -> der::Result<Vec<Extension>> {
    let expected = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };
    attributes.tag().assert_eq(expected)?;
    let mut reader = SliceReader::new(attributes.value())?;
    while !reader.is_finished() {
        let attribute = Attribute::decode(&mut reader)?;
        if attribute.oid == oid::EXTENSION_REQUEST {
            let value = attribute.values.get(0).ok_or_else(|| Tag::Set.value_error())?;
            return value.decode_as();
        }
    }
    Ok(Vec::new())
}
