//! The contents of bodies other than requests for certificates (RFC 9810 §5.3).

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

/// The content of ip, cp, kup and ccp: the responses to requests for certificates (RFC 9810 §5.3.4).
///
/// ```text
/// CertRepMessage ::= SEQUENCE {
///     caPubs       [1] SEQUENCE SIZE (1..MAX) OF CMPCertificate OPTIONAL,
///     response         SEQUENCE OF CertResponse }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertRepMessage {
    /// caPubs: certificates that the peer may take as trust anchors if a shared secret protects the message.
    #[asn1(context_specific = "1", optional = "true")]
    pub ca_pubs: Option<Vec<Any>>,
    /// One response to each request.
    pub response: Vec<CertResponse>,
}

/// The response to one request for a certificate (RFC 9810 §5.3.4).
///
/// ```text
/// CertResponse ::= SEQUENCE {
///     certReqId           INTEGER,
///     status              PKIStatusInfo,
///     certifiedKeyPair    CertifiedKeyPair    OPTIONAL,
///     rspInfo             OCTET STRING        OPTIONAL }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertResponse {
    /// The request's certReqId; −1 for a p10cr (RFC 9483 §4.1.4).
    pub cert_req_id: Int,
    /// Whether the request was granted, with the reason or the changes.
    pub status: PkiStatusInfo,
    /// The certificate, if the request was granted.
    pub certified_key_pair: Option<CertifiedKeyPair>,
}

/// The peer's acceptance or rejection of one certificate, in a certConf (RFC 9810 §5.3.18).
///
/// ```text
/// CertStatus ::= SEQUENCE {
///     certHash    OCTET STRING,
///     certReqId   INTEGER,
///     statusInfo  PKIStatusInfo OPTIONAL,
///     hashAlg [0] AlgorithmIdentifier OPTIONAL }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertStatus {
    /// The hash of the certificate's DER.
    pub cert_hash: OctetString,
    /// The certReqId of the request.
    pub cert_req_id: Int,
    /// Whether the peer accepts the certificate. If it is absent, the peer does.
    pub status_info: Option<PkiStatusInfo>,
    /// The hash algorithm. If it is absent, it is that of the certificate's signature.
    #[asn1(context_specific = "0", optional = "true")]
    pub hash_alg: Option<AlgorithmIdentifierOwned>,
}

/// One certificate that the peer wants to have revoked, in an rr (RFC 9810 §5.3.9).
///
/// ```text
/// RevDetails ::= SEQUENCE {
///     certDetails         CertTemplate,
///     crlEntryDetails     Extensions OPTIONAL }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct RevDetails {
    /// Names the certificate, by issuer and serialNumber.
    pub cert_details: CertTemplate,
    /// The reason and the invalidity date, as CRL entry extensions.
    pub crl_entry_details: Option<Vec<Extension>>,
}

/// The content of an rp (RFC 9810 §5.3.10).
///
/// ```text
/// RevRepContent ::= SEQUENCE {
///     status       SEQUENCE SIZE (1..MAX) OF PKIStatusInfo,
///     revCerts [0] SEQUENCE SIZE (1..MAX) OF CertId OPTIONAL, … }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct RevRepContent {
    /// One status for each RevDetails of the rr, in their order.
    pub status: Vec<PkiStatusInfo>,
    /// The certificates that were revoked.
    #[asn1(context_specific = "0", optional = "true")]
    pub rev_certs: Option<Vec<CertId>>,
}

/// The content of an error message (RFC 9810 §5.3.21).
///
/// ```text
/// ErrorMsgContent ::= SEQUENCE {
///     pKIStatusInfo          PKIStatusInfo,
///     errorCode              INTEGER           OPTIONAL,
///     errorDetails           PKIFreeText       OPTIONAL }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct ErrorMsgContent {
    /// The status, with the reason of the error.
    pub status: PkiStatusInfo,
    /// An error code that the implementation defines.
    pub error_code: Option<Int>,
    /// Further text.
    pub error_details: Option<Vec<String>>,
}

/// One element of the content of a pollReq (RFC 9810 §5.3.22).
///
/// ```text
/// PollReqContent ::= SEQUENCE OF SEQUENCE { certReqId INTEGER }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct PollReq {
    /// The certReqId of the request that waits.
    pub cert_req_id: Int,
}

/// One element of the content of a pollRep (RFC 9810 §5.3.22).
///
/// ```text
/// PollRepContent ::= SEQUENCE OF SEQUENCE {
///     certReqId    INTEGER,
///     checkAfter   INTEGER,  -- time in seconds
///     reason       PKIFreeText OPTIONAL }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct PollRep {
    /// The certReqId of the request that waits.
    pub cert_req_id: Int,
    /// The number of seconds, counted from this answer, after which the peer is to poll again.
    pub check_after: u32,
    /// Why the request waits.
    pub reason: Option<Vec<String>>,
}
