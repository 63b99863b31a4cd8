//! What an answer says, before it becomes a message.

use countersign_ca::{Error, Timestamp};
use der::Encode;
use der::asn1::{Int, Null};

use crate::cmp::wire::content::{
    CertRepMessage, CertResponse, ErrorMsgContent, PkiStatusInfo, RevRepContent, kind,
};
use crate::cmp::wire::crmf::CertReqMsg;
use crate::cmp::wire::message::Message;
use crate::cmp::wire::refusal::{Failure, Refusal};
use crate::cmp::server::sender::tolerance::MAX_REQUEST_ID;

/// What an answer says: the body's kind and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The body's context tag.
    pub kind: u8,
    /// The content, DER.
    pub content: Vec<u8>,
    /// The lowest pvno of a message that may carry the content: 3 for EnvelopedData (RFC 9810 §5.1.1), else 2.
    pub pvno: u8,
    /// Whether implicit confirmation is granted.
    pub implicit_confirm: bool,
    /// Until when confirmation is awaited.
    pub confirm_until: Option<Timestamp>,
    /// Certificates for extraCerts, DER.
    pub extra_certs: Vec<Vec<u8>>,
    /// A root that stands last in extraCerts, DER; without it there is none.
    pub root: Option<Vec<u8>>,
}

impl Answer {
    /// An answer without anything beside its body.
    pub fn plain(kind: u8, content: &impl Encode) -> der::Result<Self> {
        Ok(Self {
            kind,
            content: content.to_der()?,
            pvno: 2,
            implicit_confirm: false,
            confirm_until: None,
            extra_certs: Vec::new(),
            root: None,
        })
    }

    /// An error message.
    pub fn error(refusal: &Refusal) -> der::Result<Self> {
        let status = PkiStatusInfo::refused(refusal)?;
        Self::plain(kind::ERROR, &ErrorMsgContent { status, error_code: None, error_details: None })
    }

    /// pkiConf: the confirmation, or the error, was heard.
    pub fn confirmed() -> Result<Self, Refusal> {
        Self::plain(kind::PKICONF, &Null).map_err(failed)
    }
}

/// Where a refusal stands: in a response of the request's kind when its sender is known and it could be read, else in
/// an error message (RFC 9483 §3.6.4 and §4.1.1). An rr is refused in an rp (§4.2), unless the message as such is wrong.
pub fn refused_answer(
    message: &Message,
    to_known_peer: bool,
    refusal: &Refusal,
) -> der::Result<Answer> {
    let request = message.kind;
    let general = matches!(
        refusal.failure,
        Failure::BadMessageCheck
            | Failure::BadDataFormat
            | Failure::TransactionIdInUse
            | Failure::SystemUnavail
            | Failure::SystemFailure
    );
    // A PKCS #10 request by an algorithm that nobody knows here is not read any further.
    let general = general || (request == kind::P10CR && refusal.failure == Failure::BadAlg);
    let of_the_message = matches!(
        refusal.failure,
        Failure::UnsupportedVersion
            | Failure::BadTime
            | Failure::MissingTimeStamp
            | Failure::BadSenderNonce
            | Failure::BadRecipientNonce
            | Failure::TransactionIdInUse
            | Failure::SystemUnavail
            | Failure::SystemFailure
    );
    let own_id = || CertReqMsg::only(&message.body).ok().map(|one| one.request.cert_req_id);
    let id = || match own_id().filter(|id| id.as_bytes().len() <= MAX_REQUEST_ID) {
        Some(id) => Ok(id),
        None => Int::new(&[0]),
    };
    let response = |kind: u8, id: Int| {
        let status = PkiStatusInfo::refused(refusal)?;
        let response = CertResponse { cert_req_id: id, status, certified_key_pair: None };
        Answer::plain(kind, &CertRepMessage { ca_pubs: None, response: vec![response] })
    };
    match request {
        kind::RR if !of_the_message => {
            let status = vec![PkiStatusInfo::refused(refusal)?];
            Answer::plain(kind::RP, &RevRepContent { status, rev_certs: None })
        }
        _ if general || !to_known_peer => Answer::error(refusal),
        kind::IR => response(kind::IP, id()?),
        kind::CR => response(kind::CP, id()?),
        kind::KUR => response(kind::KUP, id()?),
        kind::CCR => response(kind::CCP, id()?),
        kind::P10CR => response(kind::CP, Int::new(&[0xff])?),
        _ => Answer::error(refusal),
    }
}

/// certReqId −1, which stands for the one request of a p10cr (RFC 9483 §4.1.4).
pub fn minus_one() -> Result<Int, Refusal> {
    Int::new(&[0xff]).map_err(failed)
}

/// A refusal because an answer cannot be encoded, which is our fault.
pub fn failed(error: der::Error) -> Refusal {
    Refusal::from(Error::internal(format!("an answer cannot be encoded: {error}")))
}
