//! Reads responses leniently, as servers of other makes write them: elements that they append are ignored.

use der::asn1::{Any, AnyRef, Int};
use der::{Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};

use crate::client::{ClientError, Refusal};
use crate::cmp::wire::kind;
use crate::cmp::wire::message::Message;
use crate::cmp::wire::refusal::{failure_names, legible};
use crate::cmp::wire::status::{ACCEPTED, GRANTED_WITH_MODS, PkiStatusInfo, WAITING};
use crate::request::elements::elements;

/// The most certificates in caPubs that are accepted.
const MAX_CERTIFICATES: usize = 16;

/// The decision of a CA on a requested certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The CA has not decided yet. The text is the CA's reason; empty if it gives none.
    Waiting(String),
    /// The CA granted the certificate.
    Granted(Box<Granted>),
}

/// A certificate that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// caPubs, DER.
    pub ca_pubs: Vec<Vec<u8>>,
    /// The CA's text about its changes (grantedWithMods); `None` if it changed nothing.
    pub changed: Option<String>,
}

/// Reads a CertRepMessage with one response to one request (RFC 9483 §4.1.1). `expected` is the kind of its body, `asked` the name of the
/// request's, and `id` the request's certReqId.
///
/// # Errors
/// [`ClientError::Refused`] for a rejection, [`ClientError::Untrusted`] for anything but such a response.
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

/// Reads a CertResponse (RFC 9810 §5.3.4). `id` is the certReqId that it must have, and `asked` the name of the request's body.
///
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
///
/// Elements after the certificate are ignored.
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

/// Reads a PKIStatusInfo.
pub fn status_info(part: AnyRef<'_>) -> Result<PkiStatusInfo, ClientError> {
    let read = |part: AnyRef<'_>| PkiStatusInfo::from_der(&part.to_der()?);
    read(part).map_err(ClientError::unreadable("a PKIStatusInfo"))
}

/// The refusal that a PKIStatusInfo describes, with `unproven` left at `None`. `asked` is the name of the body that was refused.
pub fn refusal(asked: &'static str, status: &PkiStatusInfo) -> Refusal {
    Refusal {
        asked,
        failures: status.fail_info.as_ref().map(failure_names).unwrap_or_default(),
        text: legible(&text(status.status_string.as_deref())),
        unproven: None,
    }
}

/// The texts of a PKIFreeText in one line.
pub fn text(texts: Option<&[String]>) -> String {
    texts.unwrap_or_default().join("; ")
}

/// The elements of a SEQUENCE inside an explicit tag, DER.
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

/// Whether an element has this constructed context tag.
fn is_context(part: AnyRef<'_>, expected: TagNumber) -> bool {
    part.tag() == Tag::ContextSpecific { constructed: true, number: expected }
}

/// Reads the parts of an answer that the client reads before it has verified the sender, and right after: for the fuzzer.
pub fn exercise(answer: &Message) {
    let id = answer.header.pvno.clone();
    let _ = error_status(answer);
    let _ = decision(answer, answer.kind, kind::name(answer.kind), &id);
}
