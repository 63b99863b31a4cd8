//! What answers say, read as any server may write it: what others add at the ends is read over.

use der::asn1::{Any, AnyRef, Int};
use der::{Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};

use super::{ClientError, Refusal};
use crate::cmp::wire::content::{ACCEPTED, GRANTED_WITH_MODS, PkiStatusInfo, kind};
use crate::cmp::wire::crmf::elements;
use crate::cmp::wire::message::Message;
use crate::cmp::wire::refusal::{legible, names};

/// The PKIStatus "waiting" (RFC 9810 §5.2.3).
pub const WAITING: u8 = 3;

/// The most certificates in caPubs.
const MAX_CERTIFICATES: usize = 16;

/// What a CA says about a certificate that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It has to decide; with its text.
    Waiting(String),
    /// Granted.
    Granted(Box<Granted>),
}

/// A certificate that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// caPubs, DER.
    pub ca_pubs: Vec<Vec<u8>>,
    /// Whether the CA changed something; with its text.
    pub changed: Option<String>,
}

/// Reads a CertRepMessage with the one response to our one request (RFC 9483 §4.1.1).
///
/// # Errors
/// [`ClientError::Refused`] for a rejection.
pub fn decision(
    answer: &Message,
    expected: u8,
    asked: &'static str,
    id: &Int,
) -> Result<Decision, ClientError> {
    if answer.kind != expected {
        return Err(ClientError::untrusted(format!(
            "expected the answer {} to the {asked}, found {}",
            kind::name(expected),
            kind::name(answer.kind)
        )));
    }
    let unreadable = ClientError::unreadable("a CertRepMessage");
    let mut parts = elements(&answer.body).map_err(&unreadable)?.into_iter().peekable();
    let ca_pubs = match parts.next_if(|part| is_context(*part, TagNumber::N1)) {
        Some(tagged) => sequence_of(tagged).map_err(&unreadable)?,
        None => Vec::new(),
    };
    if ca_pubs.len() > MAX_CERTIFICATES {
        return Err(ClientError::untrusted(format!(
            "expected at most {MAX_CERTIFICATES} certificates in caPubs"
        )));
    }
    let responses: Any = match parts.next() {
        Some(part) => part.into(),
        None => return Err(ClientError::untrusted("the CertRepMessage has no response")),
    };
    let responses = elements(&responses).map_err(&unreadable)?;
    let [response] = responses.as_slice() else {
        return Err(ClientError::untrusted(format!(
            "expected one response to one request, found {}",
            responses.len()
        )));
    };
    read_response(*response, id, asked, ca_pubs)
}

/// ```text
/// CertResponse ::= SEQUENCE {
///     certReqId           INTEGER,
///     status              PKIStatusInfo,
///     certifiedKeyPair    CertifiedKeyPair    OPTIONAL,
///     rspInfo             OCTET STRING        OPTIONAL }
/// CertifiedKeyPair ::= SEQUENCE {
///     certOrEncCert       CHOICE { certificate [0] CMPCertificate, encryptedCert [1] EncryptedKey },
///     … }
/// ```
/// RFC 9810 §5.3.4.
fn read_response(
    response: AnyRef<'_>,
    id: &Int,
    asked: &'static str,
    ca_pubs: Vec<Vec<u8>>,
) -> Result<Decision, ClientError> {
    let unreadable = ClientError::unreadable("a CertResponse");
    let response: Any = response.into();
    let parts = elements(&response).map_err(&unreadable)?;
    let [response_id, status, rest @ ..] = parts.as_slice() else {
        return Err(ClientError::untrusted("the CertResponse lacks certReqId or status"));
    };
    let response_id: Int = response_id.decode_as().map_err(&unreadable)?;
    if response_id != *id {
        return Err(ClientError::untrusted("the CertResponse is for another certReqId"));
    }
    let status = status_info(*status)?;
    match status.status {
        ACCEPTED | GRANTED_WITH_MODS => {}
        WAITING => return Ok(Decision::Waiting(legible(&text(status.status_string.as_deref())))),
        _ => return Err(ClientError::Refused(refusal(asked, &status))),
    }
    let pair = rest.first().filter(|part| part.tag() == Tag::Sequence).ok_or_else(|| {
        ClientError::untrusted("the CertResponse says granted, and holds no certificate")
    })?;
    let pair: Any = (*pair).into();
    let parts = elements(&pair).map_err(&unreadable)?;
    let certificate =
        parts.first().filter(|part| is_context(**part, TagNumber::N0)).ok_or_else(|| {
            ClientError::untrusted(
                "expected a certificate that is not encrypted: its key signs, and proved itself",
            )
        })?;
    let changed = (status.status == GRANTED_WITH_MODS)
        .then(|| legible(&text(status.status_string.as_deref())));
    Ok(Decision::Granted(Box::new(Granted {
        certificate: certificate.value().to_vec(),
        ca_pubs,
        changed,
    })))
}

/// The PKIStatusInfo of an error message.
pub fn error_status(answer: &Message) -> Result<PkiStatusInfo, ClientError> {
    let parts = elements(&answer.body).map_err(ClientError::unreadable("an ErrorMsgContent"))?;
    let first =
        parts.first().ok_or_else(|| ClientError::untrusted("the error message is empty"))?;
    status_info(*first)
}

/// A PKIStatusInfo.
pub fn status_info(part: AnyRef<'_>) -> Result<PkiStatusInfo, ClientError> {
    let read = |part: AnyRef<'_>| PkiStatusInfo::from_der(&part.to_der()?);
    read(part).map_err(ClientError::unreadable("a PKIStatusInfo"))
}

/// A refusal in the server's words.
pub fn refusal(asked: &'static str, status: &PkiStatusInfo) -> Refusal {
    Refusal {
        asked,
        failures: status.fail_info.as_ref().map(names).unwrap_or_default(),
        text: legible(&text(status.status_string.as_deref())),
        unproven: None,
    }
}

/// PKIFreeText in one line.
pub fn text(texts: Option<&[String]>) -> String {
    texts.unwrap_or_default().join("; ")
}

/// The elements of a SEQUENCE in an explicit tag, DER.
fn sequence_of(tagged: AnyRef<'_>) -> der::Result<Vec<Vec<u8>>> {
    let sequence = AnyRef::from_der(tagged.value())?;
    sequence.tag().assert_eq(Tag::Sequence)?;
    let mut reader = SliceReader::new(sequence.value())?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(reader.tlv_bytes()?.to_vec());
    }
    Ok(found)
}

fn is_context(part: AnyRef<'_>, expected: TagNumber) -> bool {
    part.tag() == Tag::ContextSpecific { constructed: true, number: expected }
}
