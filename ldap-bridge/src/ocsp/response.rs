//! Encodes and signs answers (RFC 6960 §4.2.1).

use std::time::Duration;

use bytes::Bytes;
use countersign_ca::authority::{CertificateStatus, Responder};
use countersign_ca::record::{Reason, Revocation};
use countersign_ca::{Error, Timestamp};
use der::asn1::{
    AnyRef, BitStringRef, GeneralizedTime, Null, ObjectIdentifier, OctetString, OctetStringRef,
};
use der::{Decode, Encode, Sequence};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::pkix::CrlReason;
use x509_cert::ext::{Extension, Extensions};
use x509_ocsp::{CertStatus, OcspGeneralizedTime, OcspResponseStatus, ResponderId, RevokedInfo};

use super::answer::Kind;
use super::request::{BASIC, NONCE};

/// id-pkix-ocsp-archive-cutoff, RFC 6960 §4.4.4.
const ARCHIVE_CUTOFF: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.6");
/// id-pkix-ocsp-extended-revoke, RFC 6960 §4.4.8.
const EXTENDED_REVOKE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.9");

/// The content of a signed answer.
pub struct Content<'a> {
    /// producedAt: the time of the signature.
    pub produced_at: Timestamp,
    /// thisUpdate: a time at which the statuses are known to be right.
    pub this_update: Timestamp,
    /// nextUpdate: the time by which newer information is available.
    pub next_update: Timestamp,
    /// The archive cutoff (RFC 6960 §4.4.4): certificates that expired before this time may not be reported as revoked. `None` leaves it
    /// out.
    pub archive_cutoff: Option<Timestamp>,
    /// Whether serial numbers that were never issued are reported as revoked, and not as unknown.
    pub extended_revoked: bool,
    /// The content of the nonce's extnValue, as it arrived in the request; `None` without a nonce.
    pub nonce: Option<&'a [u8]>,
    /// The certificates, each with its status.
    pub singles: Vec<Single<'a>>,
}

/// One certificate and its status.
pub struct Single<'a> {
    /// The CertID as it arrived, DER.
    pub cert_id: &'a [u8],
    /// The status.
    pub status: &'a CertificateStatus,
}

/// An OCSP response as it is encoded. Errors have no `response_bytes`.
///
/// ```text
/// OCSPResponse ::= SEQUENCE {
///    responseStatus         OCSPResponseStatus,
///    responseBytes          [0] EXPLICIT ResponseBytes OPTIONAL }
/// ```
/// RFC 6960 §4.2.1.
#[derive(Sequence)]
struct OcspResponse<'a> {
    response_status: OcspResponseStatus,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    response_bytes: Option<ResponseBytes<'a>>,
}

/// The type of a signed response, always id-pkix-ocsp-basic here, and the response in DER.
///
/// ```text
/// ResponseBytes ::=       SEQUENCE {
///     responseType   OBJECT IDENTIFIER,
///     response       OCTET STRING }
/// ```
/// RFC 6960 §4.2.1.
#[derive(Sequence)]
struct ResponseBytes<'a> {
    response_type: ObjectIdentifier,
    response: OctetStringRef<'a>,
}

/// A signed response, with the certificate of the responder.
///
/// ```text
/// BasicOCSPResponse       ::= SEQUENCE {
///    tbsResponseData      ResponseData,
///    signatureAlgorithm   AlgorithmIdentifier,
///    signature            BIT STRING,
///    certs            [0] EXPLICIT SEQUENCE OF Certificate OPTIONAL }
/// ```
/// RFC 6960 §4.2.1.
#[derive(Sequence)]
struct BasicOcspResponse<'a> {
    tbs_response_data: AnyRef<'a>,
    signature_algorithm: AlgorithmIdentifierOwned,
    signature: BitStringRef<'a>,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    certs: Option<Vec<AnyRef<'a>>>,
}

/// The signed part of a response.
///
/// ```text
/// ResponseData ::= SEQUENCE {
///    version              [0] EXPLICIT Version DEFAULT v1,
///    responderID              ResponderID,
///    producedAt               GeneralizedTime,
///    responses                SEQUENCE OF SingleResponse,
///    responseExtensions   [1] EXPLICIT Extensions OPTIONAL }
/// ```
/// RFC 6960 §4.2.1. The version is always the default, which DER leaves out.
#[derive(Sequence)]
struct ResponseData<'a> {
    responder_id: ResponderId,
    produced_at: OcspGeneralizedTime,
    responses: Vec<SingleResponse<'a>>,
    #[asn1(context_specific = "1", optional = "true", tag_mode = "EXPLICIT")]
    response_extensions: Option<Extensions>,
}

/// The status of one certificate, and the times between which it counts.
///
/// ```text
/// SingleResponse ::= SEQUENCE {
///    certID                       CertID,
///    certStatus                   CertStatus,
///    thisUpdate                   GeneralizedTime,
///    nextUpdate         [0]       EXPLICIT GeneralizedTime OPTIONAL,
///    singleExtensions   [1]       EXPLICIT Extensions OPTIONAL }
/// ```
/// RFC 6960 §4.2.1.
#[derive(Sequence)]
struct SingleResponse<'a> {
    cert_id: AnyRef<'a>,
    cert_status: CertStatus,
    this_update: OcspGeneralizedTime,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    next_update: Option<OcspGeneralizedTime>,
    #[asn1(context_specific = "1", optional = "true", tag_mode = "EXPLICIT")]
    single_extensions: Option<Extensions>,
}

impl Content<'_> {
    /// Signs the answer, and encodes the OCSPResponse in DER.
    pub fn signed(&self, responder: &Responder) -> Result<Vec<u8>, Error> {
        let tbs = self.tbs(responder)?;
        let signature = responder.sign(&tbs)?;
        let encode = || -> der::Result<Vec<u8>> {
            let basic = BasicOcspResponse {
                tbs_response_data: AnyRef::from_der(&tbs)?,
                signature_algorithm: responder.algorithm(),
                signature: BitStringRef::from_bytes(&signature)?,
                certs: Some(vec![AnyRef::from_der(responder.certificate())?]),
            }
            .to_der()?;
            OcspResponse {
                response_status: OcspResponseStatus::Successful,
                response_bytes: Some(ResponseBytes {
                    response_type: BASIC,
                    response: OctetStringRef::new(&basic)?,
                }),
            }
            .to_der()
        };
        encode().map_err(Error::internal)
    }

    fn tbs(&self, responder: &Responder) -> Result<Vec<u8>, Error> {
        let responses = self.singles.iter().map(|single| self.single(single));
        let key_hash = OctetString::new(responder.key_identifier()).map_err(Error::internal)?;
        let data = ResponseData {
            responder_id: ResponderId::ByKey(key_hash),
            produced_at: time(self.produced_at)?,
            responses: responses.collect::<Result<_, _>>()?,
            response_extensions: self.extensions()?,
        };
        data.to_der().map_err(Error::internal)
    }

    fn single<'a>(&self, single: &Single<'a>) -> Result<SingleResponse<'a>, Error> {
        let cutoff = self.archive_cutoff.map(|cutoff| {
            extension(ARCHIVE_CUTOFF, &time(cutoff)?.to_der().map_err(Error::internal)?)
        });
        Ok(SingleResponse {
            cert_id: AnyRef::from_der(single.cert_id).map_err(Error::internal)?,
            cert_status: self.status(single.status)?,
            this_update: time(self.this_update)?,
            next_update: Some(time(self.next_update)?),
            single_extensions: cutoff.transpose()?.map(|cutoff| vec![cutoff]),
        })
    }

    fn status(&self, status: &CertificateStatus) -> Result<CertStatus, Error> {
        match status {
            CertificateStatus::Good => Ok(CertStatus::good()),
            CertificateStatus::Revoked(revocation) => Ok(CertStatus::revoked(info(revocation)?)),
            // RFC 6960 §2.2 prescribes this form: on hold since 1970-01-01.
            CertificateStatus::NeverIssued if self.extended_revoked => {
                Ok(CertStatus::revoked(RevokedInfo {
                    revocation_time: time(Timestamp::default())?,
                    revocation_reason: Some(CrlReason::CertificateHold),
                }))
            }
            CertificateStatus::NeverIssued => Ok(CertStatus::unknown()),
        }
    }

    /// The response extensions: the nonce as it arrived, and id-pkix-ocsp-extended-revoke if `revoked` may mean "never issued".
    fn extensions(&self) -> Result<Option<Extensions>, Error> {
        let mut extensions = Vec::new();
        if let Some(nonce) = self.nonce {
            extensions.push(extension(NONCE, nonce)?);
        }
        let never_issued =
            self.singles.iter().any(|single| *single.status == CertificateStatus::NeverIssued);
        if self.extended_revoked && never_issued {
            extensions.push(extension(EXTENDED_REVOKE, &Null.to_der().map_err(Error::internal)?)?);
        }
        Ok(Some(extensions).filter(|extensions| !extensions.is_empty()))
    }
}

/// An unsigned answer with an error, DER: malformedRequest, tryLater, unauthorized, or for any other kind internalError.
pub fn error(kind: Kind) -> Bytes {
    // OCSPResponse { responseStatus } is five octets, of which only the last differs.
    let status: &'static [u8] = match kind {
        Kind::Malformed => &[0x30, 3, 0x0a, 1, 1],
        Kind::TryLater => &[0x30, 3, 0x0a, 1, 3],
        Kind::Unauthorized => &[0x30, 3, 0x0a, 1, 6],
        _ => &[0x30, 3, 0x0a, 1, 2],
    };
    Bytes::from_static(status)
}

fn info(revocation: &Revocation) -> Result<RevokedInfo, Error> {
    let reason = match revocation.reason {
        Reason::Unspecified => None,
        Reason::KeyCompromise => Some(CrlReason::KeyCompromise),
        Reason::CaCompromise => Some(CrlReason::CaCompromise),
        Reason::AffiliationChanged => Some(CrlReason::AffiliationChanged),
        Reason::Superseded => Some(CrlReason::Superseded),
        Reason::CessationOfOperation => Some(CrlReason::CessationOfOperation),
        Reason::CertificateHold => Some(CrlReason::CertificateHold),
        Reason::RemoveFromCrl => Some(CrlReason::RemoveFromCRL),
        Reason::PrivilegeWithdrawn => Some(CrlReason::PrivilegeWithdrawn),
        Reason::AaCompromise => Some(CrlReason::AaCompromise),
    };
    Ok(RevokedInfo { revocation_time: time(revocation.at)?, revocation_reason: reason })
}

fn time(at: Timestamp) -> Result<OcspGeneralizedTime, Error> {
    let seconds = u64::try_from(at.seconds()).map_err(|_| Error::internal("a date before 1970"))?;
    GeneralizedTime::from_unix_duration(Duration::from_secs(seconds))
        .map(OcspGeneralizedTime)
        .map_err(Error::internal)
}

fn extension(extn_id: ObjectIdentifier, value: &[u8]) -> Result<Extension, Error> {
    let extn_value = OctetString::new(value).map_err(Error::internal)?;
    Ok(Extension { extn_id, critical: false, extn_value })
}
