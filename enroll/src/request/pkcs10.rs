//! PKCS #10 requests (RFC 2986). CMP carries them in p10cr; EST and SCEP carry them by themselves.

use countersign_ca::{Denial, Error, KeyKind, ProvenKey, SubjectPublicKey};
use der::asn1::Any;
use der::oid::ObjectIdentifier;
use der::{Decode, Tag, Tagged};
use ring::digest;
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use zeroize::Zeroizing;

use super::extensions::{AltNames, SeparateExtensions, separate_alt_names, with_one_alt_name};
use super::malformed;
use super::template::RequestTemplate;
use crate::ber::{
    BIT_STRING, CONTEXT_0, Element, Elements, INTEGER, OBJECT_IDENTIFIER, SEQUENCE, SET,
};

/// extensionRequest, RFC 2985 §5.4.2.
pub const EXTENSION_REQUEST: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
/// challengePassword, RFC 2985 §5.4.1.
pub const CHALLENGE_PASSWORD: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.7");
/// id-aa-decryptKeyID, RFC 4108 §2.2.5.
const DECRYPT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.37");
/// id-aa-asymmDecryptKeyID, RFC 7030 §4.4.1.2.
const ASYMMETRIC_DECRYPT_KEY_ID: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.54");

/// A PKCS #10 request whose signature was verified. It has no `Debug`, because it contains a secret.
pub struct CertificationRequest {
    /// The fields that the request asks for.
    pub template: RequestTemplate,
    /// The challengePassword; `None` without one.
    pub challenge_password: Option<Zeroizing<String>>,
}

/// A PKCS #10 request for a key that the server shall generate (RFC 7030 §4.4.1). The key and the signature in the request prove nothing.
/// It has no `Debug`, because it may contain a secret.
pub struct KeyRequest {
    /// The kind of the request's own key. The generated key shall be of the same kind.
    pub kind: KeyKind,
    /// The fields that the request asks for.
    pub template: RequestTemplate<()>,
    /// The challengePassword; `None` without one.
    pub challenge_password: Option<Zeroizing<String>>,
    /// Whether the request names a key with which the private key shall be encrypted.
    pub names_decryption_key: bool,
    /// SHA-256 over the CertificationRequestInfo: all of the request that counts.
    pub digest: [u8; 32],
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

/// Like [`certification_request_in`], for a request whose key the server shall generate. Its signature is not verified: "the public key
/// values and signature in the CSR MUST be ignored" (RFC 7030 §4.4.1).
///
/// # Errors
/// As [`certification_request`], without those for the signature.
pub fn key_request_in(der: &[u8], alt_names: AltNames) -> Result<KeyRequest, Error> {
    let mut whole = Elements::of(der);
    let request = whole.expect(SEQUENCE, "a CertificationRequest")?;
    if !whole.is_finished() {
        return Err(Error::malformed("octets stand behind the CertificationRequest"));
    }
    let parts = Parts::read(request.elements())?;
    let key = SubjectPublicKey::from_der(parts.key.whole)?;
    let digest = digest::digest(&digest::SHA256, parts.info.whole);
    let Template { template, attributes } = parts.template((), alt_names)?;
    Ok(KeyRequest {
        kind: key.kind(),
        template,
        challenge_password: attributes.challenge_password,
        names_decryption_key: attributes.names_decryption_key,
        digest: digest.as_ref().try_into().map_err(Error::internal)?,
    })
}

/// Reads a request from its parts, and verifies its signature.
fn request_of(parts: Elements<'_>, alt_names: AltNames) -> Result<CertificationRequest, Error> {
    let parts = Parts::read(parts)?;
    let key = SubjectPublicKey::from_der(parts.key.whole)?;
    let algorithm = AlgorithmIdentifierOwned::from_der(parts.algorithm.whole)
        .map_err(malformed("a CertificationRequest"))?;
    let signature =
        parts.signature.content.strip_prefix(&[0]).ok_or_else(|| {
            Error::denied(Denial::ProofOfPossession, "the signature has unused bits")
        })?;
    let key = ProvenKey::verify(key, &algorithm, parts.info.whole, signature)?;
    let Template { template, attributes } = parts.template(key, alt_names)?;
    Ok(CertificationRequest { template, challenge_password: attributes.challenge_password })
}

/// The elements of a request.
struct Parts<'a> {
    info: Element<'a>,
    subject: Element<'a>,
    key: Element<'a>,
    attributes: Option<Element<'a>>,
    algorithm: Element<'a>,
    signature: Element<'a>,
}

/// The fields that a request asks for, and its attributes.
struct Template<K> {
    template: RequestTemplate<K>,
    attributes: Attributes,
}

impl<'a> Parts<'a> {
    fn read(mut parts: Elements<'a>) -> Result<Self, Error> {
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
        let key = fields.expect(SEQUENCE, "the key of the CertificationRequest")?;
        let attributes = fields.optional(CONTEXT_0);
        if version.content != [0] {
            return Err(Error::denied(
                Denial::Template,
                "expected a CertificationRequest of version 0 (v1)",
            ));
        }
        if !fields.is_finished() {
            return Err(Error::malformed(
                "expected a CertificationRequest with one set of attributes",
            ));
        }
        Ok(Self { info, subject, key, attributes, algorithm, signature })
    }

    /// The fields that the request asks for, for this key.
    fn template<K>(&self, key: K, alt_names: AltNames) -> Result<Template<K>, Error> {
        let subject = Name::from_der(self.subject.whole);
        let subject = subject.map_err(malformed("a CertificationRequest"))?;
        let mut attributes = match self.attributes {
            Some(attributes) => Attributes::read(attributes.elements())?,
            None => Attributes::default(),
        };
        let extensions = attributes.extensions.take().unwrap_or_default();
        let requested = match alt_names {
            AltNames::AsSent => extensions,
            AltNames::Repaired => with_one_alt_name(extensions),
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
        Ok(Template { template, attributes })
    }
}

/// The attributes of a request that this program reads.
#[derive(Default)]
struct Attributes {
    /// The extensions in the first extensionRequest (RFC 2985 §5.4.2); `None` without one.
    extensions: Option<Vec<Extension>>,
    /// The first challengePassword (RFC 2985 §5.4.1), which has a single value.
    challenge_password: Option<Zeroizing<String>>,
    /// Whether there is a DecryptKeyIdentifier or an AsymmetricDecryptKeyIdentifier (RFC 7030 §4.4.1).
    names_decryption_key: bool,
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
            } else if kind == DECRYPT_KEY_ID.as_bytes()
                || kind == ASYMMETRIC_DECRYPT_KEY_ID.as_bytes()
            {
                read.names_decryption_key = true;
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
