//! The contents of bodies that are no requests for certificates (RFC 9810 §5.3).

use der::Sequence;
use der::asn1::{Any, Int, OctetString};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::Extension;

use super::crmf::{CertId, CertTemplate};
use super::key_pair::CertifiedKeyPair;
use super::status::PkiStatusInfo;

/// certReqId 0: that of the one request in a message (RFC 9483 §4.1.1).
pub const FIRST_REQUEST: i8 = 0;

/// certReqId −1: that of a request without a certReqId of its own, such as a p10cr (RFC 9483 §4.1.4), and of an error message that
/// says "waiting" (§4.4).
pub const NO_REQUEST_ID: i8 = -1;

/// A certReqId as an INTEGER.
pub fn cert_req_id(id: i8) -> der::Result<Int> {
    Int::new(&id.to_be_bytes())
}

/// ```text
/// CertRepMessage ::= SEQUENCE {
///     caPubs       [1] SEQUENCE SIZE (1..MAX) OF CMPCertificate OPTIONAL,
///     response         SEQUENCE OF CertResponse }
/// ```
/// RFC 9810 §5.3.4.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertRepMessage {
    /// caPubs: trust anchors.
    #[asn1(context_specific = "1", optional = "true")]
    pub ca_pubs: Option<Vec<Any>>,
    /// One response to each request.
    pub response: Vec<CertResponse>,
}

/// ```text
/// CertResponse ::= SEQUENCE {
///     certReqId           INTEGER,
///     status              PKIStatusInfo,
///     certifiedKeyPair    CertifiedKeyPair    OPTIONAL,
///     rspInfo             OCTET STRING        OPTIONAL }
/// ```
/// RFC 9810 §5.3.4.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertResponse {
    /// The request's certReqId; −1 for a p10cr (RFC 9483 §4.1.4).
    pub cert_req_id: Int,
    /// Whether the request was granted.
    pub status: PkiStatusInfo,
    /// The certificate, if the request was granted.
    pub certified_key_pair: Option<CertifiedKeyPair>,
}

/// ```text
/// CertStatus ::= SEQUENCE {
///     certHash    OCTET STRING,
///     certReqId   INTEGER,
///     statusInfo  PKIStatusInfo OPTIONAL,
///     hashAlg [0] AlgorithmIdentifier OPTIONAL }
/// ```
/// RFC 9810 §5.3.18.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertStatus {
    /// The hash of the certificate's DER.
    pub cert_hash: OctetString,
    /// The certReqId of the request.
    pub cert_req_id: Int,
    /// Whether the peer accepts the certificate. Absent, it does.
    pub status_info: Option<PkiStatusInfo>,
    /// The hash algorithm. Absent, it is that of the certificate's signature.
    #[asn1(context_specific = "0", optional = "true")]
    pub hash_alg: Option<AlgorithmIdentifierOwned>,
}

/// ```text
/// RevDetails ::= SEQUENCE {
///     certDetails         CertTemplate,
///     crlEntryDetails     Extensions OPTIONAL }
/// ```
/// RFC 9810 §5.3.9.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct RevDetails {
    /// Names the certificate, by issuer and serialNumber.
    pub cert_details: CertTemplate,
    /// The reason and the invalidity date, as CRL entry extensions.
    pub crl_entry_details: Option<Vec<Extension>>,
}

/// ```text
/// RevRepContent ::= SEQUENCE {
///     status       SEQUENCE SIZE (1..MAX) OF PKIStatusInfo,
///     revCerts [0] SEQUENCE SIZE (1..MAX) OF CertId OPTIONAL, … }
/// ```
/// RFC 9810 §5.3.10.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct RevRepContent {
    /// One status for each RevDetails, in their order.
    pub status: Vec<PkiStatusInfo>,
    /// The certificates that were revoked.
    #[asn1(context_specific = "0", optional = "true")]
    pub rev_certs: Option<Vec<CertId>>,
}

/// ```text
/// ErrorMsgContent ::= SEQUENCE {
///     pKIStatusInfo          PKIStatusInfo,
///     errorCode              INTEGER           OPTIONAL,
///     errorDetails           PKIFreeText       OPTIONAL }
/// ```
/// RFC 9810 §5.3.21.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct ErrorMsgContent {
    /// The status, with the reason of the error.
    pub status: PkiStatusInfo,
    /// An error code that the implementation defines.
    pub error_code: Option<Int>,
    /// Further text.
    pub error_details: Option<Vec<String>>,
}

/// ```text
/// PollReqContent ::= SEQUENCE OF SEQUENCE { certReqId INTEGER }
/// ```
/// RFC 9810 §5.3.22: one element.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct PollReq {
    /// The certReqId of the request that waits.
    pub cert_req_id: Int,
}

/// ```text
/// PollRepContent ::= SEQUENCE OF SEQUENCE {
///     certReqId    INTEGER,
///     checkAfter   INTEGER,  -- time in seconds
///     reason       PKIFreeText OPTIONAL }
/// ```
/// RFC 9810 §5.3.22: one element.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct PollRep {
    /// The certReqId of the request that waits.
    pub cert_req_id: Int,
    /// After how many seconds the peer is to poll again.
    pub check_after: u32,
    /// Why the request waits.
    pub reason: Option<Vec<String>>,
}
