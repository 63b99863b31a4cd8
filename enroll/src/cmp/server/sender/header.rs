//! The checks of a header that need no key (RFC 9483 §3.5).

use std::ops::RangeInclusive;

use der::asn1::{Any, GeneralizedTime};
use der::{Tag, Tagged};
use x509_cert::ext::pkix::name::GeneralName;

use super::device;
use crate::cmp::server::service::CmpService;
use crate::cmp::wire::message::{InfoTypeAndValue, Message, NONCE};
use crate::cmp::wire::refusal::{Failure, Refusal, legible};
use crate::cmp::wire::time::timestamp;
use crate::cmp::wire::{kind, names, oid};

/// The length of a transactionID by RFC 9483 §3.1, in octets: 128 bits. OpenSSL and the clients on mbed TLS send that.
pub const TRANSACTION_ID: usize = 16;

/// The lengths of a transactionID that are accepted by the rules of RFC 9810, whose §5.1.1 names none.
const TRANSACTION_IDS: RangeInclusive<usize> = 1..=64;

impl CmpService {
    /// Checks a header by RFC 9483 §3.1 and §3.5, as far as that needs no key, and its transactionID by the rules in force.
    ///
    /// # Errors
    /// A refusal with the failInfo bit that RFC 9483 §3.5 gives for each fault.
    pub(crate) fn check_header(&self, message: &Message) -> Result<(), Refusal> {
        let header = &message.header;
        // RFC 9810 §7: messages of other versions have another syntax.
        if !matches!(header.pvno.as_bytes(), [2 | 3]) {
            return Err(Refusal::new(Failure::UnsupportedVersion, "expected pvno 2 or 3"));
        }
        self.check_transaction(message)?;
        let nonce = header.sender_nonce.as_ref().map(|nonce| nonce.as_bytes().len());
        if !nonce.is_some_and(|nonce| NONCE.contains(&nonce)) {
            let found = nonce.map_or_else(|| "none".to_owned(), |nonce| format!("one of {nonce}"));
            let (least, most) = (NONCE.start(), NONCE.end());
            return Err(Refusal::new(
                Failure::BadSenderNonce,
                format!("expected a senderNonce of {least} to {most} random octets, found {found}"),
            ));
        }
        // RFC 9483 §3.1: the first message of a transaction answers nothing.
        if header.recip_nonce.is_some() && !kind::may_continue_transaction(message.kind) {
            return Err(Refusal::new(
                Failure::BadRecipientNonce,
                "recipNonce must be absent in the first message of a transaction",
            ));
        }
        self.check_time(header.message_time)?;
        self.check_recipient(message)?;
        check_free_text(header.free_text.as_deref())?;
        check_general_info(message.kind, header.general_info.as_deref())
    }

    /// Checks the length of the transactionID: 16 octets by RFC 9483 §3.1; 1 to 64 octets by the rules of RFC 9810, whose §5.1.1 names no
    /// length. A message that opens a transaction and has no transactionID lacks a field (`badDataFormat`); any other fault is a
    /// `badRequest` (RFC 9483 §3.5).
    fn check_transaction(&self, message: &Message) -> Result<(), Refusal> {
        let (found, tolerant) = (message.transaction_id().len(), self.is_tolerant());
        let failure = match found {
            TRANSACTION_ID => return Ok(()),
            _ if tolerant && TRANSACTION_IDS.contains(&found) => return Ok(()),
            0 if !kind::continues_transaction(message.kind) => Failure::BadDataFormat,
            _ => Failure::BadRequest,
        };
        let expected = match tolerant {
            true => format!("{} to {}", TRANSACTION_IDS.start(), TRANSACTION_IDS.end()),
            false => TRANSACTION_ID.to_string(),
        };
        let found = if found == 0 { "none".to_owned() } else { format!("one of {found}") };
        let why = format!("expected a transactionID of {expected} octets, found {found}");
        Err(Refusal::new(failure, why))
    }

    /// Checks that a message is for this authority: for one of its CAs, for a CMP signer of one, or for the NULL-DN. A recipient that is no
    /// directoryName is accepted, too, and so is the issuer of the vendor certificate with which a device enrols.
    ///
    /// # Errors
    /// `wrongAuthority` for any other recipient, where the operator has it checked.
    pub(crate) fn check_recipient(&self, message: &Message) -> Result<(), Refusal> {
        let GeneralName::DirectoryName(recipient) = &message.header.recipient else {
            return Ok(());
        };
        if recipient.is_empty() || !self.config().check_recipient {
            return Ok(());
        }
        let authority = self.authority();
        let signs_as = |ca| {
            let signer = authority.protection(Some(ca)).ok();
            signer.is_some_and(|signer| names::same(signer.subject(), recipient))
        };
        let is_ours =
            authority.cas().any(|ca| names::same(&ca.subject, recipient) || signs_as(&ca.name));
        match is_ours || device::is_vendor_named(message, recipient) {
            true => Ok(()),
            false => Err(Refusal::new(
                Failure::WrongAuthority,
                format!("the message is for `{recipient}`, which is not a CA of this instance"),
            )),
        }
    }

    /// Checks that messageTime is within the window around now, or absent where the operator allows that.
    ///
    /// # Errors
    /// `badTime` or `missingTimeStamp`.
    pub(crate) fn check_time(&self, message_time: Option<GeneralizedTime>) -> Result<(), Refusal> {
        let Some(time) = message_time else {
            return match self.config().require_message_time {
                true => Err(Refusal::new(
                    Failure::MissingTimeStamp,
                    "messageTime is missing: a replay could not be told",
                )),
                false => Ok(()),
            };
        };
        let sent = timestamp(time.to_unix_duration());
        let now = self.authority().now();
        let window = self.config().time_window;
        if sent < now.minus(window) || sent > now.plus(window) {
            return Err(Refusal::new(
                Failure::BadTime,
                format!("messageTime is {sent} and it is {}; set the clock", now.whole_seconds()),
            ));
        }
        Ok(())
    }
}

/// Checks that freeText, if it is present, has a text (PKIFreeText, RFC 9810 §5.1.1), and logs it.
fn check_free_text(text: Option<&[String]>) -> Result<(), Refusal> {
    match text {
        Some([]) => Err(Refusal::new(Failure::BadDataFormat, "expected a text in freeText")),
        Some(text) => {
            tracing::debug!("the peer writes: {}", legible(&text.join("; ")));
            Ok(())
        }
        None => Ok(()),
    }
}

/// Checks that generalInfo, if it is present, is not empty, and checks implicitConfirm and confirmWaitTime in it (RFC 9483 §3.1).
fn check_general_info(kind: u8, infos: Option<&[InfoTypeAndValue]>) -> Result<(), Refusal> {
    let Some(infos) = infos else { return Ok(()) };
    let refused = |failure, why: &str| Err(Refusal::new(failure, why.to_owned()));
    if infos.is_empty() {
        return refused(Failure::BadDataFormat, "expected something in generalInfo");
    }
    let of = |kind| infos.iter().filter(move |info| info.info_type == kind);
    let tag = |info: &InfoTypeAndValue| info.info_value.as_ref().map(Any::tag);
    if of(oid::IMPLICIT_CONFIRM).any(|info| tag(info).is_some_and(|tag| tag != Tag::Null)) {
        return refused(Failure::BadRequest, "the value of implicitConfirm is NULL");
    }
    if of(oid::IMPLICIT_CONFIRM).next().is_some() && !kind::may_ask_for_implicit_confirm(kind) {
        return refused(
            Failure::BadRequest,
            "implicitConfirm stands in requests for certificates only",
        );
    }
    if of(oid::CONFIRM_WAIT_TIME).any(|info| tag(info) != Some(Tag::GeneralizedTime)) {
        return refused(
            Failure::BadDataFormat,
            "the value of confirmWaitTime is a GeneralizedTime",
        );
    }
    if of(oid::IMPLICIT_CONFIRM).chain(of(oid::CONFIRM_WAIT_TIME)).count() > 1 {
        return refused(
            Failure::BadRequest,
            "implicitConfirm and confirmWaitTime exclude each other, and stand once",
        );
    }
    Ok(())
}
