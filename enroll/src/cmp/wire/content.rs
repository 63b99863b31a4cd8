//! The contents of bodies other than requests for certificates (RFC 9810 §5.3).

use der::Sequence;
use der::asn1::{Any, BitString, Int, OctetString};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::Extension;

use super::crmf::{CertId, CertTemplate};
use crate::cmp::server::exchange::delivery::CertifiedKeyPair;
use super::refusal::Refusal;

/// The context tags of PKIBody (RFC 9810 §5.1.2).
pub mod kind {
    /// Initialization request.
    pub const IR: u8 = 0;
    /// Initialization response.
    pub const IP: u8 = 1;
    /// Certification request.
    pub const CR: u8 = 2;
    /// Certification response.
    pub const CP: u8 = 3;
    /// PKCS #10 request.
    pub const P10CR: u8 = 4;
    /// Challenge for a proof of possession.
    pub const POPDECC: u8 = 5;
    /// Its response.
    pub const POPDECR: u8 = 6;
    /// Key update request.
    pub const KUR: u8 = 7;
    /// Key update response.
    pub const KUP: u8 = 8;
    /// Revocation request.
    pub const RR: u8 = 11;
    /// Revocation response.
    pub const RP: u8 = 12;
    /// Cross-certification request.
    pub const CCR: u8 = 13;
    /// Cross-certification response.
    pub const CCP: u8 = 14;
    /// Confirmation.
    pub const PKICONF: u8 = 19;
    /// Messages in a message.
    pub const NESTED: u8 = 20;
    /// General message.
    pub const GENM: u8 = 21;
    /// General response.
    pub const GENP: u8 = 22;
    /// Error.
    pub const ERROR: u8 = 23;
    /// Certificate confirmation.
    pub const CERT_CONF: u8 = 24;
    /// Polling request.
    pub const POLL_REQ: u8 = 25;
    /// Polling response.
    pub const POLL_REP: u8 = 26;

    /// The name of a body in RFC 9810.
    pub fn name(kind: u8) -> &'static str {
        const NAMES: [&str; 27] = [
            "ir", "ip", "cr", "cp", "p10cr", "popdecc", "popdecr", "kur", "kup", "krr", "krp",
            "rr", "rp", "ccr", "ccp", "ckuann", "cann", "rann", "crlann", "pkiconf", "nested",
            "genm", "genp", "error", "certConf", "pollReq", "pollRep",
        ];
        NAMES.get(usize::from(kind)).copied().unwrap_or("an unknown body")
    }
}

/// PKIStatus numbers (RFC 9810 §5.2.3).
pub const ACCEPTED: u8 = 0;
/// The request was changed; the peer sees how in the certificate and in the text.
pub const GRANTED_WITH_MODS: u8 = 1;
/// The request was refused.
pub const REJECTION: u8 = 2;
/// Nothing is decided yet; the peer asks again.
pub const WAITING: u8 = 3;

/// ```text
/// PKIStatusInfo ::= SEQUENCE {
///     status        PKIStatus,
///     statusString  PKIFreeText     OPTIONAL,
///     failInfo      PKIFailureInfo  OPTIONAL }
/// ```
/// RFC 9810 §5.2.3.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct PkiStatusInfo {
    /// The status.
    pub status: u8,
    /// Text for people.
    pub status_string: Option<Vec<String>>,
    /// Why it was refused.
    pub fail_info: Option<BitString>,
}

impl PkiStatusInfo {
    /// Granted, with what was changed.
    pub fn granted(changes: &[String]) -> Self {
        let status = if changes.is_empty() { ACCEPTED } else { GRANTED_WITH_MODS };
        Self {
            status,
            status_string: (!changes.is_empty()).then(|| changes.to_vec()),
            fail_info: None,
        }
    }

    /// Granted as asked, with a text for people.
    pub fn accepted(text: String) -> Self {
        Self { status: ACCEPTED, status_string: Some(vec![text]), fail_info: None }
    }

    /// Nothing is decided yet, and why.
    pub fn waiting(why: String) -> Self {
        Self { status: WAITING, status_string: Some(vec![why]), fail_info: None }
    }

    /// Refused, and why.
    pub fn refused(refusal: &Refusal) -> der::Result<Self> {
        Ok(Self {
            status: REJECTION,
            status_string: Some(vec![refusal.text.clone()]),
            fail_info: Some(refusal.failure.bits()?),
        })
    }
}

/// ```text
/// CertRepMessage ::= SEQUENCE {
///     caPubs       [1] SEQUENCE SIZE (1..MAX) OF CMPCertificate OPTIONAL,
///     response         SEQUENCE OF CertResponse }
/// ```
/// RFC 9810 §5.3.4.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertRepMessage {
    /// Trust anchors.
    #[asn1(context_specific = "1", optional = "true")]
    pub ca_pubs: Option<Vec<Any>>,
    /// One for each request.
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
    /// That of the request; -1 for p10cr (RFC 9483 §4.1.4).
    pub cert_req_id: Int,
    /// Granted or refused.
    pub status: PkiStatusInfo,
    /// The certificate.
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
    /// The hash of the certificate.
    pub cert_hash: OctetString,
    /// That of the request.
    pub cert_req_id: Int,
    /// Whether the peer takes it; it does when absent.
    pub status_info: Option<PkiStatusInfo>,
    /// The hash, where the signature's algorithm names none.
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
    /// Names the certificate by issuer and serialNumber.
    pub cert_details: CertTemplate,
    /// The reason and the invalidity date.
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
    /// In the order of the requests.
    pub status: Vec<PkiStatusInfo>,
    /// What was revoked.
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
    /// The refusal.
    pub status: PkiStatusInfo,
    /// A code of the implementation's own.
    pub error_code: Option<Int>,
    /// Further text.
    pub error_details: Option<Vec<String>>,
}
