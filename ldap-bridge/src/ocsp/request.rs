//! Decodes requests (RFC 6960 §4.1.1), within bounds of octets and certificates, and without recursion.
//!
//! The octets of a CertID are kept as they arrived, because the answer repeats them and clients compare them.

use std::collections::BTreeSet;

use der::asn1::{AnyRef, ContextSpecific, ObjectIdentifier, OctetStringRef};
use der::{Decode, Reader, Sequence, SliceReader, Tag, TagNumber, Tagged};

/// The largest request that is decoded, in octets. A request about [`MAX_CERTIFICATES`] certificates takes 8 KiB; a signature with
/// certificates may follow.
pub const MAX_REQUEST: usize = 64 * 1024;

/// The most certificates that one request may ask about.
pub const MAX_CERTIFICATES: usize = 64;

/// id-pkix-ocsp-basic, RFC 6960 §4.2.1.
pub const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
/// id-pkix-ocsp-nonce, RFC 9654 §2.1.
pub const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
/// id-pkix-ocsp-response, RFC 6960 §4.4.3.
const ACCEPTABLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.4");

/// The longest nonce, in octets (RFC 9654 §2.1).
const MAX_NONCE: usize = 128;

/// The longest serial number, in octets: 20, and a leading zero (RFC 5280 §4.1.2.2).
const MAX_SERIAL: usize = 21;

/// The most extensions of one list, and the most types of acceptable responses.
const MAX_EXTENSIONS: usize = 16;

/// The request is malformed; the text gives the reason.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl From<der::Error> for Malformed {
    fn from(error: der::Error) -> Self {
        Self(error.to_string())
    }
}

fn malformed<T>(why: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(why.into()))
}

/// An OCSP request, decoded.
#[derive(Debug)]
pub struct Request<'a> {
    /// The certificates that are asked about, 1 to [`MAX_CERTIFICATES`].
    pub certificates: Vec<CertId<'a>>,
    /// The content of the nonce's extnValue (the DER of an OCTET STRING), which the answer repeats; `None` without a nonce.
    pub nonce: Option<&'a [u8]>,
}

/// The name of a certificate in a request: its issuer by two hashes, and its serial number.
///
/// ```text
/// CertID ::= SEQUENCE {
///     hashAlgorithm           AlgorithmIdentifier,
///     issuerNameHash          OCTET STRING, -- Hash of issuer's DN
///     issuerKeyHash           OCTET STRING, -- Hash of issuer's public key
///     serialNumber            CertificateSerialNumber }
/// ```
/// RFC 6960 §4.1.1.
#[derive(Debug)]
pub struct CertId<'a> {
    /// The whole CertID, DER.
    pub der: &'a [u8],
    /// The algorithm of both hashes.
    pub hash_algorithm: ObjectIdentifier,
    /// The hash of the issuer's distinguished name.
    pub issuer_name_hash: &'a [u8],
    /// The hash of the issuer's public key.
    pub issuer_key_hash: &'a [u8],
    /// The content octets of the INTEGER as they arrived. strongSwan before 5.9.12 may omit the leading zero that makes the number
    /// positive.
    pub serial: &'a [u8],
}

/// An OCSP request as it is encoded. The signature is not used.
///
/// ```text
/// OCSPRequest ::= SEQUENCE {
///     tbsRequest              TBSRequest,
///     optionalSignature   [0] EXPLICIT Signature OPTIONAL }
/// ```
/// RFC 6960 §4.1.1.
#[derive(Sequence)]
struct OcspRequest<'a> {
    tbs_request: TbsRequest<'a>,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    _optional_signature: Option<AnyRef<'a>>,
}

/// The part of an OCSP request that a signature covers.
///
/// ```text
/// TBSRequest ::= SEQUENCE {
///     version             [0] EXPLICIT Version DEFAULT v1,
///     requestorName       [1] EXPLICIT GeneralName OPTIONAL,
///     requestList             SEQUENCE OF Request,
///     requestExtensions   [2] EXPLICIT Extensions OPTIONAL }
/// ```
/// RFC 6960 §4.1.1.
#[derive(Sequence)]
struct TbsRequest<'a> {
    #[asn1(context_specific = "0", default = "u8::default", tag_mode = "EXPLICIT")]
    version: u8,
    #[asn1(context_specific = "1", optional = "true", tag_mode = "EXPLICIT")]
    _requestor_name: Option<AnyRef<'a>>,
    request_list: AnyRef<'a>,
    #[asn1(context_specific = "2", optional = "true", tag_mode = "EXPLICIT")]
    request_extensions: Option<AnyRef<'a>>,
}

/// An algorithm, with parameters that are absent or NULL for a hash.
///
/// ```text
/// AlgorithmIdentifier  ::=  SEQUENCE  {
///      algorithm               OBJECT IDENTIFIER,
///      parameters              ANY DEFINED BY algorithm OPTIONAL  }
/// ```
/// RFC 5280 §4.1.1.2.
#[derive(Sequence)]
struct AlgorithmIdentifier<'a> {
    algorithm: ObjectIdentifier,
    parameters: Option<AnyRef<'a>>,
}

/// An extension of a request or of an element of its list.
///
/// ```text
/// Extension  ::=  SEQUENCE  {
///      extnID      OBJECT IDENTIFIER,
///      critical    BOOLEAN DEFAULT FALSE,
///      extnValue   OCTET STRING }
/// ```
/// RFC 5280 §4.1.
#[derive(Sequence)]
struct Extension<'a> {
    extn_id: ObjectIdentifier,
    #[asn1(default = "bool::default")]
    critical: bool,
    extn_value: OctetStringRef<'a>,
}

impl<'a> Request<'a> {
    /// Decodes an OCSPRequest in DER. Its signature and the name of the requestor are ignored.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_REQUEST {
            return malformed(format!("expected at most {MAX_REQUEST} octets"));
        }
        let OcspRequest { tbs_request: tbs, .. } = OcspRequest::from_der(bytes)?;
        if tbs.version != 0 {
            return malformed(format!("expected version 1, found {}", u16::from(tbs.version) + 1));
        }
        let certificates = certificates(tbs.request_list)?;
        let nonce = match tbs.request_extensions {
            Some(extensions) => request_extensions(extensions)?,
            None => None,
        };
        Ok(Self { certificates, nonce })
    }
}

/// Reads the requestList and returns the CertID of each Request (RFC 6960 §4.1.1). An empty list and a critical extension are refused.
///
/// ```text
/// Request ::= SEQUENCE {
///     reqCert                     CertID,
///     singleRequestExtensions     [0] EXPLICIT Extensions OPTIONAL }
/// ```
fn certificates(list: AnyRef<'_>) -> Result<Vec<CertId<'_>>, Malformed> {
    let mut found = Vec::new();
    for request in elements(list, MAX_CERTIFICATES)? {
        let mut reader = reader(AnyRef::from_der(request)?)?;
        found.push(CertId::decode(reader.tlv_bytes()?)?);
        if let Some(extensions) =
            ContextSpecific::<AnyRef<'_>>::decode_explicit(&mut reader, TagNumber::N0)?
        {
            for extension in extension_list(extensions.value)? {
                refuse_critical(&extension)?;
            }
        }
        reader.finish(())?;
    }
    match found.is_empty() {
        true => malformed("no certificate is asked about"),
        false => Ok(found),
    }
}

impl<'a> CertId<'a> {
    fn decode(der: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = reader(AnyRef::from_der(der)?)?;
        let algorithm = AlgorithmIdentifier::decode(&mut reader)?;
        if algorithm.parameters.is_some_and(|parameters| parameters != AnyRef::NULL) {
            return malformed("a hash algorithm has parameters");
        }
        let issuer_name_hash = OctetStringRef::decode(&mut reader)?.as_bytes();
        let issuer_key_hash = OctetStringRef::decode(&mut reader)?.as_bytes();
        let serial = AnyRef::decode(&mut reader)?;
        reader.finish(())?;
        if serial.tag() != Tag::Integer || !(1..=MAX_SERIAL).contains(&serial.value().len()) {
            return malformed("a serial number is no INTEGER of 1 to 20 octets");
        }
        Ok(Self {
            der,
            hash_algorithm: algorithm.algorithm,
            issuer_name_hash,
            issuer_key_hash,
            serial: serial.value(),
        })
    }
}

/// Reads the extensions of the request; returns the content of the nonce's extnValue, if there is one.
fn request_extensions(extensions: AnyRef<'_>) -> Result<Option<&[u8]>, Malformed> {
    let mut nonce = None;
    for extension in extension_list(extensions)? {
        match extension.extn_id {
            NONCE => {
                let value = extension.extn_value.as_bytes();
                let length = OctetStringRef::from_der(value)?.as_bytes().len();
                if !(1..=MAX_NONCE).contains(&length) {
                    return malformed(format!(
                        "expected a nonce of 1 to {MAX_NONCE} octets, found {length} (RFC 9654 §2.1)"
                    ));
                }
                nonce = Some(value);
            }
            ACCEPTABLE => acceptable_responses(extension.extn_value.as_bytes())?,
            _ => refuse_critical(&extension)?,
        }
    }
    Ok(nonce)
}

/// Refuses a list of acceptable types of responses that does not contain the basic type.
///
/// ```text
/// AcceptableResponses ::= SEQUENCE OF OBJECT IDENTIFIER
/// ```
/// RFC 6960 §4.4.3. The list must contain the basic type, because the service has no other; §4.2.1 obliges every client to support it.
fn acceptable_responses(value: &[u8]) -> Result<(), Malformed> {
    for oid in elements(AnyRef::from_der(value)?, MAX_EXTENSIONS)? {
        if ObjectIdentifier::from_der(oid)? == BASIC {
            return Ok(());
        }
    }
    malformed("expected id-pkix-ocsp-basic among the acceptable responses")
}

fn refuse_critical(extension: &Extension<'_>) -> Result<(), Malformed> {
    match extension.critical {
        true => malformed(format!("the critical extension `{}` is not known", extension.extn_id)),
        false => Ok(()),
    }
}

fn extension_list(list: AnyRef<'_>) -> Result<Vec<Extension<'_>>, Malformed> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for element in elements(list, MAX_EXTENSIONS)? {
        let extension = Extension::from_der(element)?;
        if !seen.insert(extension.extn_id) {
            return malformed(format!("the extension `{}` stands twice", extension.extn_id));
        }
        found.push(extension);
    }
    Ok(found)
}

/// The elements of a SEQUENCE OF, each in DER.
fn elements(list: AnyRef<'_>, most: usize) -> Result<Vec<&[u8]>, Malformed> {
    let mut reader = reader(list)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        if found.len() == most {
            return malformed(format!("expected at most {most} elements in a list"));
        }
        found.push(reader.tlv_bytes()?);
    }
    Ok(found)
}

fn reader(sequence: AnyRef<'_>) -> Result<SliceReader<'_>, Malformed> {
    sequence.tag().assert_eq(Tag::Sequence)?;
    Ok(SliceReader::new(sequence.value())?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use der::Encode;
    use der::asn1::{GeneralizedTime, Ia5String, OctetString};
    use proptest::prelude::*;
    use spki::AlgorithmIdentifierOwned;
    use x509_cert::ext::Extension as OwnedExtension;
    use x509_cert::ext::pkix::name::GeneralName;
    use x509_cert::serial_number::SerialNumber;
    use x509_ocsp as other;

    use super::*;

    fn single(serial: &[u8]) -> other::Request {
        other::Request {
            req_cert: other::CertId {
                hash_algorithm: AlgorithmIdentifierOwned {
                    oid: countersign_ca::oid::SHA256,
                    parameters: Some(der::asn1::Null.into()),
                },
                issuer_name_hash: OctetString::new([1; 32]).unwrap(),
                issuer_key_hash: OctetString::new([2; 32]).unwrap(),
                serial_number: SerialNumber::new(serial).unwrap(),
            },
            single_request_extensions: None,
        }
    }

    /// A request of `count` questions, with a nonce of the length `nonce`, encoded by another library.
    fn written(count: usize, nonce: Option<usize>) -> Vec<u8> {
        let nonce = nonce.map(|length| {
            let value = OctetString::new(vec![7; length]).unwrap().to_der().unwrap();
            vec![OwnedExtension {
                extn_id: NONCE,
                critical: false,
                extn_value: OctetString::new(value).unwrap(),
            }]
        });
        other::OcspRequest {
            tbs_request: other::TbsRequest {
                version: other::Version::V1,
                requestor_name: Some(GeneralName::Rfc822Name(Ia5String::new("a@b").unwrap())),
                request_list: vec![single(&[0x80, 1]); count],
                request_extensions: nonce,
            },
            optional_signature: None,
        }
        .to_der()
        .unwrap()
    }

    #[test]
    fn what_another_library_writes_is_read() {
        let bytes = written(2, Some(16));
        let request = Request::decode(&bytes).unwrap();
        let [first, second] = request.certificates.as_slice() else { panic!("two") };
        assert_eq!(first.der, single(&[0x80, 1]).req_cert.to_der().unwrap());
        assert_eq!((first.serial, second.serial), (&[0, 0x80, 1][..], &[0, 0x80, 1][..]));
        assert_eq!((first.issuer_name_hash, first.issuer_key_hash), (&[1; 32][..], &[2; 32][..]));
        assert_eq!(first.hash_algorithm, countersign_ca::oid::SHA256);
        assert_eq!(request.nonce.unwrap()[..2], [4, 16]);
        assert_eq!(Request::decode(&written(1, None)).unwrap().nonce, None);
    }

    #[test]
    fn bounds_hold_to_the_last_one() {
        assert!(Request::decode(&written(MAX_CERTIFICATES, None)).is_ok());
        assert!(Request::decode(&written(MAX_CERTIFICATES + 1, None)).is_err());
        assert!(Request::decode(&written(0, None)).is_err());
        for (length, good) in [(0, false), (1, true), (128, true), (129, false)] {
            assert_eq!(Request::decode(&written(1, Some(length))).is_ok(), good, "{length}");
        }
        assert!(Request::decode(&vec![0x30; MAX_REQUEST + 1]).unwrap_err().0.contains("at most"));
    }

    #[test]
    fn a_hash_with_parameters_of_its_own_is_refused() {
        let mut request = single(&[1]);
        let mut encoded = |parameters| {
            request.req_cert.hash_algorithm.parameters = parameters;
            request.req_cert.to_der().unwrap()
        };
        let time = GeneralizedTime::from_unix_duration(Duration::ZERO).unwrap();
        assert!(CertId::decode(&encoded(None)).is_ok());
        assert!(CertId::decode(&encoded(Some(der::asn1::Null.into()))).is_ok());
        assert!(CertId::decode(&encoded(Some(der::Any::encode_from(&time).unwrap()))).is_err());
    }

    proptest! {
        #[test]
        fn damage_is_an_error_and_no_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            octet in any::<u8>(),
        ) {
            let _ = Request::decode(&bytes);
            let mut damaged = written(2, Some(16));
            let at = at.index(damaged.len());
            damaged[at] = octet;
            if let Ok(request) = Request::decode(&damaged) {
                prop_assert!((1..=MAX_CERTIFICATES).contains(&request.certificates.len()));
                prop_assert!(request.nonce.is_none_or(|nonce| (3..=131).contains(&nonce.len())));
            }
        }
    }
}
