//! PKCS #10 requests (RFC 2986). CMP carries them in p10cr; EST and SCEP carry them by themselves.

use countersign_ca::{Denial, Error, ProvenKey, SubjectPublicKey};
use der::asn1::Any;
use der::oid::ObjectIdentifier;
use der::{Decode, Tag, Tagged};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use zeroize::Zeroizing;

use super::extensions::{AltNames, SeparateExtensions, separate_alt_names, with_one_alt_name};
use super::malformed;
use super::template::RequestTemplate;
use crate::ber::{BIT_STRING, CONTEXT_0, Elements, INTEGER, OBJECT_IDENTIFIER, SEQUENCE, SET};

/// extensionRequest, RFC 2985 §5.4.2.
pub const EXTENSION_REQUEST: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
/// challengePassword, RFC 2985 §5.4.1.
pub const CHALLENGE_PASSWORD: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.7");

/// A PKCS #10 request whose signature was verified. It has no `Debug`, because it contains a secret.
pub struct CertificationRequest {
    /// The fields that the request asks for.
    pub template: RequestTemplate,
    /// The challengePassword; `None` without one.
    pub challenge_password: Option<Zeroizing<String>>,
}

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
/// The signature is verified over the octets as they were sent, because some clients do not sort the attributes as DER demands.
///
/// # Errors
/// [`Error::Malformed`] or `Denied` with [`Denial::Template`] for a request that is not of this form; for its signature,
/// [`Denial::Algorithm`] and [`Denial::ProofOfPossession`].
pub fn certification_request(
    body: &Any,
    alt_names: AltNames,
) -> Result<CertificationRequest, Error> {
    match body.tag() {
        Tag::Sequence => request_of(Elements::of(body.value()), alt_names),
        found => Err(Error::malformed(format!("expected a CertificationRequest, found {found}"))),
    }
}

/// Like [`certification_request`], for the request's DER. No copy is made of it, because it may contain a secret.
///
/// # Errors
/// As [`certification_request`].
pub fn certification_request_in(
    der: &[u8],
    alt_names: AltNames,
) -> Result<CertificationRequest, Error> {
    let mut whole = Elements::of(der);
    let request = whole.expect(SEQUENCE, "a CertificationRequest")?;
    match whole.is_finished() {
        true => request_of(request.elements(), alt_names),
        false => Err(Error::malformed("octets stand behind the CertificationRequest")),
    }
}

/// Reads a request from its parts.
fn request_of(mut parts: Elements<'_>, alt_names: AltNames) -> Result<CertificationRequest, Error> {
    let read = malformed("a CertificationRequest");
    let three = "a CertificationRequest of three parts";
    let info = parts.expect(SEQUENCE, three)?;
    let algorithm = parts.expect(SEQUENCE, three)?;
    let signature = parts.expect(BIT_STRING, three)?;
    if !parts.is_finished() {
        return Err(Error::malformed("expected a CertificationRequest of three parts"));
    }
    let mut fields = info.elements();
    let version = fields.expect(INTEGER, "the version of the CertificationRequest")?;
    let subject = fields.expect(SEQUENCE, "the subject of the CertificationRequest")?;
    let spki = fields.expect(SEQUENCE, "the key of the CertificationRequest")?;
    let attributes = fields.optional(CONTEXT_0);
    if version.content != [0] {
        return Err(Error::denied(
            Denial::Template,
            "expected a CertificationRequest of version 0 (v1)",
        ));
    }
    if !fields.is_finished() {
        return Err(Error::malformed("expected a CertificationRequest with one set of attributes"));
    }
    let subject = Name::from_der(subject.whole).map_err(&read)?;
    let key = SubjectPublicKey::from_der(spki.whole)?;
    let algorithm = AlgorithmIdentifierOwned::from_der(algorithm.whole).map_err(&read)?;
    let signature = signature
        .content
        .strip_prefix(&[0])
        .ok_or_else(|| Error::denied(Denial::ProofOfPossession, "the signature has unused bits"))?;
    let key = ProvenKey::verify(key, &algorithm, info.whole, signature)?;
    let Attributes { extensions, challenge_password } = match attributes {
        Some(attributes) => Attributes::read(attributes.elements())?,
        None => Attributes::default(),
    };
    let requested = match alt_names {
        AltNames::AsSent => extensions.unwrap_or_default(),
        AltNames::Repaired => with_one_alt_name(extensions.unwrap_or_default()),
    };
    let SeparateExtensions { alt_names, others } = separate_alt_names(requested)?;
    let template = RequestTemplate {
        key,
        issuer: None,
        subject: Some(subject).filter(|subject| !subject.is_empty()),
        alt_names,
        extensions: others,
        not_before: None,
        not_after: None,
        published: None,
        notices: Vec::new(),
    };
    Ok(CertificationRequest { template, challenge_password })
}

/// The attributes of a request that this program reads.
#[derive(Default)]
struct Attributes {
    /// The extensions in the first extensionRequest (RFC 2985 §5.4.2); `None` without one.
    extensions: Option<Vec<Extension>>,
    /// The first challengePassword (RFC 2985 §5.4.1), which has a single value.
    challenge_password: Option<Zeroizing<String>>,
}

impl Attributes {
    /// Reads the attributes, in any order. All others are ignored.
    fn read(mut attributes: Elements<'_>) -> Result<Self, Error> {
        let mut read = Self::default();
        while !attributes.is_finished() {
            let mut attribute = attributes.expect(SEQUENCE, "an attribute")?.elements();
            let kind = attribute.expect(OBJECT_IDENTIFIER, "the type of an attribute")?.content;
            let mut values = attribute.expect(SET, "the values of an attribute")?.elements();
            let mut value =
                || values.next().ok_or_else(|| Error::malformed("an attribute has no value"));
            if kind == EXTENSION_REQUEST.as_bytes() && read.extensions.is_none() {
                let extensions = Vec::<Extension>::from_der(value()?.whole);
                read.extensions = Some(extensions.map_err(malformed("an extensionRequest"))?);
            } else if kind == CHALLENGE_PASSWORD.as_bytes() && read.challenge_password.is_none() {
                let value = value()?;
                let text = directory_string(value.tag, value.content);
                read.challenge_password =
                    Some(text.ok_or_else(|| Error::malformed("the challengePassword is no text"))?);
            }
        }
        Ok(read)
    }
}

/// The text of a string with this tag and content, if it is of one of the kinds that clients use for a DirectoryString (RFC 5280 §4.1.2.4),
/// or an IA5String; `None` for anything else.
pub fn directory_string(tag: u8, octets: &[u8]) -> Option<Zeroizing<String>> {
    let text = match tag {
        // UTF8String.
        0x0c => std::str::from_utf8(octets).ok()?.to_owned(),
        // PrintableString, TeletexString, IA5String.
        0x13 | 0x14 | 0x16 if octets.is_ascii() => std::str::from_utf8(octets).ok()?.to_owned(),
        // BMPString.
        0x1e => {
            let (pairs, rest) = octets.as_chunks::<2>();
            let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
            let units: Zeroizing<Vec<u16>> = Zeroizing::new(units.collect());
            String::from_utf16(&units).ok().filter(|_| rest.is_empty())?
        }
        _ => return None,
    };
    Some(Zeroizing::new(text))
}
