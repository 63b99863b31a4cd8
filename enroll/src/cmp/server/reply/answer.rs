//! The content of an answer, before it becomes a message.

use der::Encode;
use der::asn1::Null;

use crate::cmp::server::service::context::Confirmation;
use crate::cmp::wire::content::{
    CertRepMessage, CertResponse, ErrorMsgContent, FIRST_REQUEST, NO_REQUEST_ID, RevRepContent,
    cert_req_id,
};
use crate::cmp::wire::crmf::{CertReqMsg, MAX_CERT_REQ_ID};
use crate::cmp::wire::kind;
use crate::cmp::wire::message::Message;
use crate::cmp::wire::refusal::{Failure, Refusal, encoding_failed};
use crate::cmp::wire::status::PkiStatusInfo;

/// The content of an answer: its body, and the fields of the message around it that depend on the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The kind of the body.
    pub kind: u8,
    /// The content of the body, DER.
    pub content: Vec<u8>,
    /// The lowest pvno of a message that may carry the content: 3 for EnvelopedData (RFC 9810 §7), else 2.
    pub pvno: u8,
    /// Whether the answer says that the request which waited was rejected.
    pub is_rejection: bool,
    /// How the certificate in the answer is confirmed; `None` if the answer has no certificate.
    pub confirmation: Option<Confirmation>,
    /// The certificates for extraCerts, DER: a chain whose last certificate is a root. The root is not sent.
    pub extra_certs: Vec<Vec<u8>>,
    /// A root to add as the last of extraCerts, DER, for a peer that has none yet.
    pub root: Option<Vec<u8>>,
}

impl Answer {
    /// An answer that consists of its body only.
    pub fn plain(kind: u8, content: &impl Encode) -> der::Result<Self> {
        Ok(Self {
            kind,
            content: content.to_der()?,
            pvno: 2,
            is_rejection: false,
            confirmation: None,
            extra_certs: Vec::new(),
            root: None,
        })
    }

    /// An error message that refuses.
    pub fn error(refusal: &Refusal) -> der::Result<Self> {
        let status = PkiStatusInfo::refused(refusal)?;
        Self::plain(kind::ERROR, &ErrorMsgContent { status, error_code: None, error_details: None })
    }

    /// A pkiConf. It answers a certConf, or an error message of the peer.
    ///
    /// # Errors
    /// `systemFailure` if it cannot be encoded.
    pub fn confirmed() -> Result<Self, Refusal> {
        Self::plain(kind::PKICONF, &Null).map_err(encoding_failed)
    }
}

/// Whether the sender of a refused message is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The sender is authenticated, and the header of its message was accepted.
    Known,
    /// The sender has proven nothing yet.
    Stranger,
}

/// The answer that refuses a message.
///
/// A known peer whose request could be read gets a response of the request's kind; every other message is answered with an error message
/// (RFC 9483 §3.6.4 and §4.1.1). An rr is refused in an rp (§4.2), unless the fault is in the message around it.
pub fn refused_answer(message: &Message, peer: Peer, refusal: &Refusal) -> der::Result<Answer> {
    let request = message.kind;
    match request {
        kind::RR if !is_of_message(refusal.failure) => {
            let status = vec![PkiStatusInfo::refused(refusal)?];
            Answer::plain(kind::RP, &RevRepContent { status, rev_certs: None })
        }
        _ if peer == Peer::Stranger || is_general(request, refusal.failure) => {
            Answer::error(refusal)
        }
        kind::IR => refused_response(kind::IP, message, refusal),
        kind::CR | kind::P10CR => refused_response(kind::CP, message, refusal),
        kind::KUR => refused_response(kind::KUP, message, refusal),
        kind::CCR => refused_response(kind::CCP, message, refusal),
        _ => Answer::error(refusal),
    }
}

/// Whether a refusal has nothing to do with the request in particular, so that an error message answers it.
const fn is_general(request: u8, failure: Failure) -> bool {
    matches!(
        failure,
        Failure::BadMessageCheck
            | Failure::BadDataFormat
            | Failure::TransactionIdInUse
            | Failure::SystemUnavail
            | Failure::SystemFailure
    ) // A PKCS #10 request whose algorithm is unknown was not read any further.
        || (request == kind::P10CR && matches!(failure, Failure::BadAlg))
}

/// Whether a refusal is of the message around a request, and not of the request.
const fn is_of_message(failure: Failure) -> bool {
    matches!(
        failure,
        Failure::UnsupportedVersion
            | Failure::BadTime
            | Failure::MissingTimeStamp
            | Failure::BadSenderNonce
            | Failure::BadRecipientNonce
            | Failure::TransactionIdInUse
            | Failure::SystemUnavail
            | Failure::SystemFailure
    )
}

/// A response that refuses the request in a message. It repeats the request's certReqId; if that cannot be read or is too long, its
/// certReqId is 0.
fn refused_response(kind: u8, message: &Message, refusal: &Refusal) -> der::Result<Answer> {
    let own = match message.kind {
        kind::P10CR => Some(cert_req_id(NO_REQUEST_ID)?),
        _ => CertReqMsg::only(&message.body).ok().map(|only| only.request.cert_req_id),
    };
    let id = match own.filter(|id| id.as_bytes().len() <= MAX_CERT_REQ_ID) {
        Some(id) => id,
        None => cert_req_id(FIRST_REQUEST)?,
    };
    let status = PkiStatusInfo::refused(refusal)?;
    let response = CertResponse { cert_req_id: id, status, certified_key_pair: None };
    Answer::plain(kind, &CertRepMessage { ca_pubs: None, response: vec![response] })
}
