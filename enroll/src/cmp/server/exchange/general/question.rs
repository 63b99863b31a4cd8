//! One general message, and functions that make the elements of its answer.

use std::cell::RefCell;

use countersign_ca::Requester;
use countersign_ca::record::Label;
use der::asn1::Any;
use der::oid::ObjectIdentifier;
use der::{EncodeValue, Tag, Tagged};

use crate::cmp::server::service::CmpService;
use crate::cmp::wire::message::InfoTypeAndValue;
use crate::cmp::wire::refusal::{Failure, Refusal, encoding_failed};

/// What the answer to a general message (genm, RFC 9810 §5.3.19) depends on beside the message's own content: the server, the CA, and
/// who asks.
pub struct Question<'a> {
    /// The server.
    pub service: &'a CmpService,
    /// The CA that the message is about: the CA that the path names, the CA that issued the signing certificate, or the CA that issues to
    /// the account. `None` means the default CA.
    pub ca: Option<Label>,
    /// The authenticated sender; `None` if the message is not protected.
    pub peer: Option<Peer<'a>>,
    /// The CAs with the next key of another one whose certificates are in the answer.
    pub given: RefCell<Vec<Label>>,
}

/// The authenticated sender of a general message.
pub struct Peer<'a> {
    /// The sender.
    pub requester: &'a Requester,
    /// The profile that the path or the header names; `None` if neither names one.
    pub profile: Option<Label>,
}

impl Question<'_> {
    /// The refusal of a question whose answer would be too large.
    pub fn too_large(&self) -> Refusal {
        Refusal::new(
            Failure::AddInfoNotAvailable,
            format!(
                "the answer would have more than {} octets; ask for less at once, and fetch CRLs from their \
                 distribution points",
                self.service.config().max_information
            ),
        )
    }
}

/// An element without a value.
pub fn without_value(info_type: ObjectIdentifier) -> InfoTypeAndValue {
    InfoTypeAndValue { info_type, info_value: None }
}

/// An element with a value.
///
/// # Errors
/// `systemFailure` if the value cannot be encoded.
pub fn with_value(
    info_type: ObjectIdentifier,
    value: &(impl EncodeValue + Tagged),
) -> Result<InfoTypeAndValue, Refusal> {
    let info_value = Some(Any::encode_from(value).map_err(encoding_failed)?);
    Ok(InfoTypeAndValue { info_type, info_value })
}

/// An element whose value is a SEQUENCE of parts that are DER already; without a value if there are no parts.
///
/// # Errors
/// As [`with_value`].
pub fn with_sequence(
    info_type: ObjectIdentifier,
    parts: &[&[u8]],
) -> Result<InfoTypeAndValue, Refusal> {
    if parts.is_empty() {
        return Ok(without_value(info_type));
    }
    let info_value = Some(Any::new(Tag::Sequence, parts.concat()).map_err(encoding_failed)?);
    Ok(InfoTypeAndValue { info_type, info_value })
}
