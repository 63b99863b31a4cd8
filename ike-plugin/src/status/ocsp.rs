//! OCSP as a client (RFC 6960). A request asks about one certificate, names its issuer by SHA-1, which every responder knows, and has no nonce:
//! the nextUpdate of an answer bounds how long it can be replayed (RFC 5019).
//!
//! A status is read from a response only after its signature is verified. Before that, only the outer structure and the signer are read.

use std::sync::Arc;

use countersign_ca::path::Extension;
use countersign_ca::{Timestamp, sets};
use der::asn1::{
    AnyRef, BitStringRef, GeneralizedTime, Null, ObjectIdentifier, OctetString, OctetStringRef,
};
use der::{Any, Decode, Encode, Reader, Sequence, SliceReader, Tag, TagNumber, Tagged};
use sha1::{Digest, Sha1};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoRef};
use x509_cert::ext::pkix::{CrlReason, KeyUsages};
use x509_ocsp::{OcspResponse, OcspResponseStatus, ResponderId};

use countersign_ca::name::same_name;
use countersign_ca::path::{Certificate, legible};

/// id-sha1.
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
/// id-pkix-ocsp-basic.
const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
/// id-kp-OCSPSigning.
const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");

/// The most certificates of a response that are looked at for the responder's. Further ones are ignored.
const MAX_CERTIFICATES: usize = 8;
/// How far the clocks of the responder and of this host may differ, in seconds.
const SKEW: i64 = 300;
/// How long an answer without nextUpdate counts, in seconds from its thisUpdate on. Its absence means that newer information is available
/// all the time (RFC 6960 §4.2.2.1).
const NO_NEXT: i64 = 300;

/// The tag `[0]`, constructed.
const ZERO: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };
/// The tag `[1]`, constructed.
const ONE: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber::N1 };

/// A responder's answer about one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspAnswer {
    /// When the certificate was revoked, and why; `None` if it is good. If the response has that in a form that cannot be read, it is
    /// thisUpdate and "unspecified".
    pub revoked: Option<(Timestamp, CrlReason)>,
    /// The time at which the responder knew this to be correct (thisUpdate).
    pub this_update: Timestamp,
    /// The time until which the answer counts, a tolerance of 300 seconds for the clocks included. A revocation that is not a hold counts
    /// for ever.
    pub until: Timestamp,
}

impl OcspAnswer {
    /// Whether the answer stays true for ever. A revocation does, unless it is a hold (certificateHold).
    pub fn is_for_good(&self) -> bool {
        self.revoked.is_some_and(|(_, reason)| reason != CrlReason::CertificateHold)
    }
}

/// An OCSP request, without the optional parts (RFC 6960 §4.1.1).
///
/// ```text
/// OCSPRequest ::= SEQUENCE {
///     tbsRequest              TBSRequest,
///     optionalSignature   [0] EXPLICIT Signature OPTIONAL }
/// TBSRequest ::= SEQUENCE {
///     version             [0] EXPLICIT Version DEFAULT v1,
///     requestorName       [1] EXPLICIT GeneralName OPTIONAL,
///     requestList             SEQUENCE OF Request,
///     requestExtensions   [2] EXPLICIT Extensions OPTIONAL }
/// Request ::= SEQUENCE {
///     reqCert                 CertID,
///     singleRequestExtensions [0] EXPLICIT Extensions OPTIONAL }
/// ```
#[derive(Sequence)]
struct OcspRequest {
    tbs_request: TbsRequest,
}

#[derive(Sequence)]
struct TbsRequest {
    request_list: Vec<Request>,
}

#[derive(Sequence)]
struct Request {
    req_cert: CertId,
}

/// The certificate that a request asks about (RFC 6960 §4.1.1). x509-ocsp's type takes no serial number that is negative or has more than
/// 20 octets.
///
/// ```text
/// CertID ::= SEQUENCE {
///     hashAlgorithm       AlgorithmIdentifier,
///     issuerNameHash      OCTET STRING,
///     issuerKeyHash       OCTET STRING,
///     serialNumber        CertificateSerialNumber }
/// ```
#[derive(Clone, Sequence)]
struct CertId {
    hash_algorithm: AlgorithmIdentifierOwned,
    issuer_name_hash: OctetString,
    issuer_key_hash: OctetString,
    serial_number: Any,
}

/// A question about the status of a certificate. It has all that a request and the reading of its response need. The certificate itself
/// would need ten times the memory.
pub struct OcspQuestion {
    id: CertId,
    issuer: Arc<Certificate>,
}

impl OcspQuestion {
    /// The question about a certificate.
    ///
    /// # Errors
    /// A part of the certificates cannot be encoded.
    pub fn of(certificate: &Certificate, issuer: &Arc<Certificate>) -> Result<Self, String> {
        let id = cert_id(certificate, issuer).map_err(|e| e.to_string())?;
        Ok(Self { id, issuer: Arc::clone(issuer) })
    }

    /// The request, DER.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn request(&self) -> Result<Vec<u8>, String> {
        let list = vec![Request { req_cert: self.id.clone() }];
        let request = OcspRequest { tbs_request: TbsRequest { request_list: list } };
        request.to_der().map_err(|e| e.to_string())
    }

    /// Reads a response in DER, and gives its answer. The issuer must have signed the response, or a responder that the issuer certified for
    /// OCSP. `at` is the present time.
    ///
    /// # Errors
    /// The response gives no status of this certificate that can be accepted; the text gives the reason.
    pub fn read(&self, octets: &[u8], at: Timestamp) -> Result<OcspAnswer, String> {
        read_answer(octets, self, at)
    }
}

/// Encodes the OCSP request about a certificate, in DER.
///
/// # Errors
/// A part of the certificates cannot be encoded.
pub fn request(certificate: &Certificate, issuer: &Arc<Certificate>) -> Result<Vec<u8>, String> {
    OcspQuestion::of(certificate, issuer)?.request()
}

fn cert_id(certificate: &Certificate, issuer: &Certificate) -> der::Result<CertId> {
    let key = SubjectPublicKeyInfoRef::from_der(issuer.spki())?;
    Ok(CertId {
        hash_algorithm: AlgorithmIdentifierOwned { oid: SHA1, parameters: Some(Null.into()) },
        issuer_name_hash: OctetString::new(Sha1::digest(issuer.subject()).as_slice())?,
        issuer_key_hash: OctetString::new(
            Sha1::digest(key.subject_public_key.raw_bytes()).as_slice(),
        )?,
        serial_number: Any::new(Tag::Integer, certificate.serial.as_slice())?,
    })
}

/// Reads a response in DER, and gives its answer about a certificate, as [`OcspQuestion::read`].
///
/// # Errors
/// As [`OcspQuestion::read`], or a part of the certificates cannot be encoded.
pub fn read(
    octets: &[u8],
    certificate: &Certificate,
    issuer: &Arc<Certificate>,
    at: Timestamp,
) -> Result<OcspAnswer, String> {
    OcspQuestion::of(certificate, issuer)?.read(octets, at)
}

fn read_answer(octets: &[u8], of: &OcspQuestion, at: Timestamp) -> Result<OcspAnswer, String> {
    let unreadable = |e: der::Error| format!("what came is no OCSP response: {e}");
    if !sets::are_small(octets) {
        return Err("what came is no OCSP response: a set in it has too many elements".into());
    }
    let response = OcspResponse::from_der(octets).map_err(unreadable)?;
    if response.response_status != OcspResponseStatus::Successful {
        return Err(format!("the responder answered `{:?}`", response.response_status));
    }
    let bytes = response.response_bytes.ok_or("the response is empty")?;
    if bytes.response_type != BASIC {
        return Err(format!("expected a basic OCSP response, found `{}`", bytes.response_type));
    }
    let basic = Basic::read(bytes.response.as_bytes()).map_err(unreadable)?;
    basic.verify(&of.issuer, at)?;
    basic.check_extensions()?;
    let mut answer: Option<Result<OcspAnswer, String>> = None;
    for single in basic.singles(&of.id).map_err(unreadable)? {
        let next = judge(single, at);
        // If a response has several answers about one certificate, the worst counts, because it is not known which one the responder meant.
        answer = Some(match answer {
            Some(before) => worse(before, next),
            None => next,
        });
    }
    answer.ok_or("the response is about another certificate")?
}

fn worse(
    one: Result<OcspAnswer, String>,
    other: Result<OcspAnswer, String>,
) -> Result<OcspAnswer, String> {
    match (&one, &other) {
        (Ok(answer), _) if answer.revoked.is_some() => one,
        (_, Ok(answer)) if answer.revoked.is_some() => other,
        (Ok(first), Ok(second)) => {
            if first.until <= second.until {
                one
            } else {
                other
            }
        }
        (Err(_), _) => one,
        (_, Err(_)) => other,
    }
}

/// A basic OCSP response, of which `responses` are not read yet (RFC 6960 §4.2.1).
///
/// ```text
/// BasicOCSPResponse ::= SEQUENCE {
///     tbsResponseData      ResponseData,
///     signatureAlgorithm   AlgorithmIdentifier,
///     signature            BIT STRING,
///     certs            [0] EXPLICIT SEQUENCE OF Certificate OPTIONAL }
/// ResponseData ::= SEQUENCE {
///     version          [0] EXPLICIT Version DEFAULT v1,
///     responderID          ResponderID,
///     producedAt           GeneralizedTime,
///     responses            SEQUENCE OF SingleResponse,
///     responseExtensions [1] EXPLICIT Extensions OPTIONAL }
/// ```
struct Basic<'a> {
    /// The octets of ResponseData, which the signature covers.
    signed: &'a [u8],
    responder: ResponderId,
    /// The content octets of `responses`.
    responses: &'a [u8],
    extensions: Option<&'a [u8]>,
    algorithm: AlgorithmIdentifierOwned,
    signature: &'a [u8],
    certificates: Vec<&'a [u8]>,
}

impl<'a> Basic<'a> {
    fn read(der: &'a [u8]) -> der::Result<Self> {
        let mut reader = content(AnyRef::from_der(der)?)?;
        let signed = reader.tlv_bytes()?;
        let algorithm = AlgorithmIdentifierOwned::decode(&mut reader)?;
        let signature = BitStringRef::decode(&mut reader)?;
        let signature = signature.as_bytes().ok_or(der::ErrorKind::Failed)?;
        let mut certificates = Vec::new();
        if let Some(outer) = optional(&mut reader, ZERO)? {
            let mut all = content(AnyRef::from_der(outer.value())?)?;
            while !all.is_finished() && certificates.len() < MAX_CERTIFICATES {
                certificates.push(all.tlv_bytes()?);
            }
        }
        reader.finish(())?;
        let mut data = content(AnyRef::from_der(signed)?)?;
        if let Some(version) = optional(&mut data, ZERO)?
            && u8::from_der(version.value())? != 0
        {
            return Err(der::ErrorKind::Value { tag: Tag::Integer }.into());
        }
        let responder = ResponderId::from_der(&legible(data.tlv_bytes()?))?;
        GeneralizedTime::decode(&mut data)?;
        let responses = AnyRef::decode(&mut data)?;
        responses.tag().assert_eq(Tag::Sequence)?;
        let extensions = optional(&mut data, ONE)?.map(|of| of.value());
        data.finish(())?;
        let responses = responses.value();
        Ok(Self { signed, responder, responses, extensions, algorithm, signature, certificates })
    }

    /// Verifies the signature. The signer must be the issuer itself, or a responder that the issuer certified for OCSP (RFC 6960 §4.2.2.2).
    fn verify(&self, issuer: &Arc<Certificate>, at: Timestamp) -> Result<(), String> {
        let by = |signer: &Certificate| signer.verify(&self.algorithm, self.signed, self.signature);
        let mut why = "expected a response signed by the issuer or with its responder's certificate, found neither".to_owned();
        if is_named(&self.responder, issuer) {
            match by(issuer) {
                Ok(()) => return Ok(()),
                Err(e) => why = format!("the signature of the response is wrong: {e}"),
            }
        }
        for sent in &self.certificates {
            let Ok(signer) = Certificate::from_der(sent.to_vec()) else { continue };
            if !is_named(&self.responder, &signer) || signer.spki() == issuer.spki() {
                continue;
            }
            match may_answer(&signer, issuer, at).and_then(|()| by(&signer)) {
                Ok(()) => return Ok(()),
                Err(e) => why = format!("the responder `{}` is not believed: {e}", signer.shown()),
            }
        }
        Err(why)
    }

    fn check_extensions(&self) -> Result<(), String> {
        self.extensions.map_or(Ok(()), |of| check_extensions(of, "the response"))
    }

    /// The answers about this certificate. Answers about others are skipped without being checked.
    fn singles(&self, asked: &CertId) -> der::Result<Vec<SliceReader<'a>>> {
        let mut reader = SliceReader::new(self.responses)?;
        let mut found = Vec::new();
        while !reader.is_finished() {
            let single = AnyRef::decode(&mut reader)?;
            let is_asked = |single: AnyRef<'a>| {
                let mut reader = content(single).ok()?;
                is_about(AnyRef::decode(&mut reader).ok()?, asked).then_some(reader)
            };
            found.extend(is_asked(single));
        }
        Ok(found)
    }
}

/// Whether a CertID is the one that was asked about. The responder must use the hash algorithm of the request.
fn is_about(id: AnyRef<'_>, asked: &CertId) -> bool {
    let read = || -> der::Result<bool> {
        let mut reader = content(id)?;
        let algorithm = ObjectIdentifier::decode(&mut content(AnyRef::decode(&mut reader)?)?)?;
        let name = OctetStringRef::decode(&mut reader)?;
        let key = OctetStringRef::decode(&mut reader)?;
        let serial = AnyRef::decode(&mut reader)?;
        Ok(algorithm == asked.hash_algorithm.oid
            && name.as_bytes() == asked.issuer_name_hash.as_bytes()
            && key.as_bytes() == asked.issuer_key_hash.as_bytes()
            && (serial.tag(), serial.value()) == (Tag::Integer, asked.serial_number.value()))
    };
    read().unwrap_or(false)
}

/// The answer about one certificate, without its CertID (RFC 6960 §4.2.1).
///
/// ```text
/// SingleResponse ::= SEQUENCE {
///     certID               CertID,
///     certStatus           CertStatus,
///     thisUpdate           GeneralizedTime,
///     nextUpdate       [0] EXPLICIT GeneralizedTime OPTIONAL,
///     singleExtensions [1] EXPLICIT Extensions OPTIONAL }
/// CertStatus ::= CHOICE {
///     good             [0] IMPLICIT NULL,
///     revoked          [1] IMPLICIT RevokedInfo,
///     unknown          [2] IMPLICIT UnknownInfo }
/// ```
struct Single<'a> {
    status: AnyRef<'a>,
    this_update: i64,
    next_update: Option<i64>,
    extensions: Option<&'a [u8]>,
}

impl<'a> Single<'a> {
    fn read(mut reader: SliceReader<'a>) -> der::Result<Self> {
        let seconds = |time: GeneralizedTime| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        };
        let status = AnyRef::decode(&mut reader)?;
        let this_update = seconds(GeneralizedTime::decode(&mut reader)?);
        let next_update = optional(&mut reader, ZERO)?
            .map(|of| GeneralizedTime::from_der(of.value()).map(seconds))
            .transpose()?;
        let extensions = optional(&mut reader, ONE)?.map(|of| of.value());
        reader.finish(Self { status, this_update, next_update, extensions })
    }
}

fn judge(reader: SliceReader<'_>, at: Timestamp) -> Result<OcspAnswer, String> {
    let single = Single::read(reader)
        .map_err(|e| format!("the answer about the certificate cannot be read: {e}"))?;
    if let Some(extensions) = single.extensions {
        check_extensions(extensions, "the answer about the certificate")?;
    }
    let this = single.this_update;
    let next = single.next_update.unwrap_or(this.saturating_add(NO_NEXT));
    let answer = OcspAnswer {
        revoked: revoked(&single)?,
        this_update: Timestamp::from_seconds(this),
        until: Timestamp::from_seconds(next.saturating_add(SKEW)),
    };
    // A permanent revocation stays true after nextUpdate, so that the times are not checked.
    if answer.is_for_good() {
        return Ok(answer);
    }
    let now = at.seconds();
    if this > now.saturating_add(SKEW) {
        return Err(format!(
            "the response is of {}, which is in the future; look at the clocks",
            answer.this_update
        ));
    }
    if next.saturating_add(SKEW) < now {
        return Err(format!("the response ended at {}", Timestamp::from_seconds(next)));
    }
    Ok(answer)
}

/// The time and reason of a revocation; `None` if the certificate is good. A revocation whose details cannot be read is a revocation all the
/// same.
fn revoked(single: &Single<'_>) -> Result<Option<(Timestamp, CrlReason)>, String> {
    let Tag::ContextSpecific { number, .. } = single.status.tag() else {
        return Err("the response has no status".into());
    };
    match number {
        TagNumber::N0 if single.status.value().is_empty() => return Ok(None),
        TagNumber::N1 => {}
        _ => return Err("the responder does not know the certificate".into()),
    }
    let read = || -> der::Result<(Timestamp, CrlReason)> {
        let mut reader = SliceReader::new(single.status.value())?;
        let since = GeneralizedTime::decode(&mut reader)?.to_unix_duration().as_secs();
        let reason = optional(&mut reader, ZERO)?
            .and_then(|of| CrlReason::from_der(of.value()).ok())
            .unwrap_or(CrlReason::Unspecified);
        Ok((Timestamp::from_seconds(i64::try_from(since).unwrap_or(i64::MAX)), reason))
    };
    let odd = (Timestamp::from_seconds(single.this_update), CrlReason::Unspecified);
    Ok(Some(read().unwrap_or(odd)))
}

/// Rejects critical extensions, because none is known here and a critical one must not be ignored (RFC 6960 §4.4), and extensions that come
/// twice. `der` is an Extensions, and `of` says whose it is, for messages.
fn check_extensions(der: &[u8], of: &str) -> Result<(), String> {
    let all = Extension::all(der).map_err(|e| format!("the extensions of {of}: {e}"))?;
    if let Some(critical) = all.iter().find(|extension| extension.critical) {
        return Err(format!(
            "the critical extension `{}` of {of} is unknown (RFC 6960 §4.4)",
            critical.shown()
        ));
    }
    match Extension::twice(&all) {
        Some(twice) => Err(format!("{of} has the extension `{}` twice", twice.shown())),
        None => Ok(()),
    }
}

/// Checks that the issuer has certified this signer to answer for it (RFC 6960 §4.2.2.2), and that the certificate is valid at this time.
fn may_answer(signer: &Certificate, issuer: &Certificate, at: Timestamp) -> Result<(), String> {
    if !same_name(&signer.issuer_name, &issuer.subject_name) || !signer.is_signed_by(issuer) {
        return Err("the certificate's issuer has not certified it".into());
    }
    if let Some(defect) = signer.defect() {
        return Err(defect.to_owned());
    }
    if !(signer.not_before..=signer.not_after).contains(&at.whole_seconds()) {
        return Err(format!(
            "its certificate is valid from {} to {}",
            signer.not_before, signer.not_after
        ));
    }
    if !signer.key_purposes.iter().flatten().any(|purpose| *purpose == OCSP_SIGNING) {
        return Err("its certificate is not for OCSP".into());
    }
    if !signer.has_ocsp_nocheck {
        return Err("its certificate has no id-pkix-ocsp-nocheck, so that its own status would be to be asked".into());
    }
    match &signer.key_usage {
        Some(usage) if !usage.0.contains(KeyUsages::DigitalSignature) => {
            Err("its key is not for signatures".into())
        }
        _ => Ok(()),
    }
}

/// Whether a ResponderID names this certificate's subject or key.
fn is_named(id: &ResponderId, of: &Certificate) -> bool {
    match id {
        ResponderId::ByName(name) => same_name(name, &of.subject_name),
        ResponderId::ByKey(hash) => SubjectPublicKeyInfoRef::from_der(of.spki()).is_ok_and(|key| {
            Sha1::digest(key.subject_public_key.raw_bytes()).as_slice() == hash.as_bytes()
        }),
    }
}

/// A reader of the content of a SEQUENCE.
fn content(outer: AnyRef<'_>) -> der::Result<SliceReader<'_>> {
    outer.tag().assert_eq(Tag::Sequence)?;
    SliceReader::new(outer.value())
}

/// The next element, if it has this tag.
fn optional<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> der::Result<Option<AnyRef<'a>>> {
    if reader.is_finished() || reader.peek_tag()? != tag {
        return Ok(None);
    }
    AnyRef::decode(reader).map(Some)
}
