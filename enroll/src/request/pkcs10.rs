//! PKCS #10 requests (RFC 2986). CMP carries them in p10cr; EST and SCEP carry them by themselves.

use countersign_ca::{Denial, Error, ProvenKey, SubjectPublicKey};
use der::asn1::{Any, AnyRef, BitString};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};
use spki::AlgorithmIdentifierOwned;
use x509_cert::attr::Attribute;
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use zeroize::Zeroizing;

use super::elements::elements;
use super::extensions::{AltNames, SeparateExtensions, separate_alt_names, with_one_alt_name};
use super::malformed;
use super::template::RequestTemplate;

/// extensionRequest, RFC 2985 §5.4.2.
const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
/// challengePassword, RFC 2985 §5.4.1.
const CHALLENGE_PASSWORD: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.7");

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
    let read = malformed("a CertificationRequest");
    let parts = elements(body).map_err(&read)?;
    let [info, algorithm, signature] = parts.as_slice() else {
        return Err(Error::malformed("expected a CertificationRequest of three parts"));
    };
    let info_bytes = info.to_der().map_err(&read)?;
    let info_any = Any::from_der(&info_bytes).map_err(&read)?;
    let info_parts = elements(&info_any).map_err(&read)?;
    let [version, subject, spki, attributes @ ..] = info_parts.as_slice() else {
        return Err(Error::malformed("the CertificationRequest lacks version, subject or key"));
    };
    if version.decode_as::<u8>().ok() != Some(0) {
        return Err(Error::denied(
            Denial::Template,
            "expected a CertificationRequest of version 0 (v1)",
        ));
    }
    if attributes.len() > 1 {
        return Err(Error::malformed("expected a CertificationRequest with one set of attributes"));
    }
    let subject: Name = subject.decode_as().map_err(&read)?;
    let key = SubjectPublicKey::from_der(&spki.to_der().map_err(&read)?)?;
    let algorithm: AlgorithmIdentifierOwned = algorithm.decode_as().map_err(&read)?;
    let signature: BitString = signature.decode_as().map_err(&read)?;
    let signature = signature
        .as_bytes()
        .ok_or_else(|| Error::denied(Denial::ProofOfPossession, "the signature has unused bits"))?;
    let key = ProvenKey::verify(key, &algorithm, &info_bytes, signature)?;
    let Attributes { extensions, challenge_password } = match attributes.first() {
        Some(attributes) => Attributes::read(*attributes).map_err(&read)?,
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
    fn read(attributes: AnyRef<'_>) -> der::Result<Self> {
        let expected = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };
        attributes.tag().assert_eq(expected)?;
        let mut reader = SliceReader::new(attributes.value())?;
        let mut read = Self::default();
        while !reader.is_finished() {
            let attribute = Attribute::decode(&mut reader)?;
            let value = || attribute.values.get(0).ok_or_else(|| Tag::Set.value_error());
            if attribute.oid == EXTENSION_REQUEST && read.extensions.is_none() {
                read.extensions = Some(value()?.decode_as()?);
            } else if attribute.oid == CHALLENGE_PASSWORD && read.challenge_password.is_none() {
                let text = directory_string(value()?);
                read.challenge_password = Some(text.ok_or_else(|| value_error(&attribute))?);
            }
        }
        Ok(read)
    }
}

/// The error for the value of an attribute that is of the wrong kind.
fn value_error(attribute: &Attribute) -> der::Error {
    attribute.values.get(0).map_or(Tag::Set, Tagged::tag).value_error()
}

/// The text of a string of one of the kinds that clients use for a DirectoryString (RFC 5280 §4.1.2.4), or of an IA5String; `None` for
/// anything else.
pub fn directory_string(value: &Any) -> Option<Zeroizing<String>> {
    let octets = value.value();
    let text = match value.tag() {
        Tag::Utf8String => std::str::from_utf8(octets).ok()?.to_owned(),
        Tag::PrintableString | Tag::Ia5String | Tag::TeletexString if octets.is_ascii() => {
            std::str::from_utf8(octets).ok()?.to_owned()
        }
        Tag::BmpString => {
            let (pairs, rest) = octets.as_chunks::<2>();
            let units: Zeroizing<Vec<u16>> =
                Zeroizing::new(pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect());
            String::from_utf16(&units).ok().filter(|_| rest.is_empty())?
        }
        _ => return None,
    };
    Some(Zeroizing::new(text))
}
