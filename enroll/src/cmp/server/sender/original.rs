//! The message of an end entity that a registration authority changed, and sends along with its own in origPKIMessage (RFC 9810
//! §5.1.1.3).

use countersign_ca::Requester;
use countersign_ca::record::Label;
use der::Encode;
use x509_cert::ext::pkix::name::GeneralName;

use crate::cmp::server::service::CmpService;
use crate::cmp::server::service::route::Route;
use crate::cmp::server::service::stop::Stop;
use crate::cmp::wire::message::Message;
use crate::cmp::wire::refusal::{Failure, Refusal, encoding_failed, malformed};
use crate::cmp::wire::{kind, names, oid};
use crate::request::elements::elements;
use crate::transport::pool::Pool;

/// The message that a registration authority changed, as the end entity sent it.
pub struct Original {
    /// The message.
    pub message: Message,
    /// The end entity, which the message's own protection authenticated.
    pub sender: Requester,
}

impl Original {
    /// The end entity's account.
    pub fn account(&self) -> &Label {
        &self.sender.account().name
    }
}

impl CmpService {
    /// Reads and authenticates the message in origPKIMessage, if there is one.
    ///
    /// The message must prove itself as if it had come alone, and be as fresh: otherwise a registration authority could use a message
    /// that it kept of a peer at any later time. Its recipient is this authority, or the registration authority.
    ///
    /// # Errors
    /// As [`Self::authenticate`], and refusals of a message that cannot be read, is nested, is stale, is for another recipient, or is of
    /// another transaction.
    pub(crate) fn original(
        &self,
        route: &Route,
        message: &Message,
        pool: Pool,
    ) -> Result<Option<Original>, Stop> {
        let bad = |why: &str| Err(Refusal::new(Failure::BadRequest, why.to_owned()).into());
        let Some(original) = original(message)? else { return Ok(None) };
        if original.kind == kind::NESTED {
            return bad("the original message is that of an end entity, and not nested");
        }
        if original.header.transaction_id != message.header.transaction_id {
            return bad("the message in origPKIMessage is of another transaction");
        }
        let of_original = |why: Refusal| {
            Refusal::new(why.failure, format!("the message in origPKIMessage: {}", why.text))
        };
        self.check_time(original.header.message_time).map_err(of_original)?;
        if !is_for_the_sender(&original, message) {
            self.check_recipient(&original).map_err(of_original)?;
        }
        let sender = self.authenticate(route, &original, pool)?.requester;
        Ok(Some(Original { message: original, sender }))
    }
}

/// Whether an end entity sent its message to the registration authority that now sends another one.
fn is_for_the_sender(original: &Message, message: &Message) -> bool {
    match (&original.header.recipient, &message.header.sender) {
        (GeneralName::DirectoryName(recipient), GeneralName::DirectoryName(sender)) => {
            names::same(recipient, sender)
        }
        _ => false,
    }
}

/// Reads the message in origPKIMessage, if there is one.
///
/// # Errors
/// `badRequest` for more than one message, `badDataFormat` for one that cannot be decoded.
pub fn original(message: &Message) -> Result<Option<Message>, Refusal> {
    let bad = |why: &str| Err(Refusal::new(Failure::BadRequest, why.to_owned()));
    let infos = message.header.general_info.iter().flatten();
    let mut infos = infos.filter(|info| info.info_type == oid::ORIG_PKI_MESSAGE);
    let Some(info) = infos.next() else { return Ok(None) };
    if infos.next().is_some() {
        return bad("origPKIMessage stands twice in generalInfo");
    }
    let Some(value) = &info.info_value else {
        return bad("the value of origPKIMessage is the original message, in a SEQUENCE");
    };
    let originals = elements(value).map_err(malformed("PKIMessages in origPKIMessage"))?;
    let [original] = originals.as_slice() else {
        return bad("expected one message in origPKIMessage");
    };
    Message::decode(&original.to_der().map_err(encoding_failed)?).map(Some)
}
