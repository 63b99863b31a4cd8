//! The checks of a header that need no key (RFC 9483 §3.5), and what an answer's header repeats of it.

use std::ops::RangeInclusive;

use countersign_ca::Timestamp;
use countersign_ca::certificate::Facts;
use der::asn1::{Any, GeneralizedTime, OctetString};
use der::{Encode, Tag, Tagged};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::cmp::server::sender::authenticate::is_for_equipment;
use crate::cmp::wire::message::{InfoTypeAndValue, Message, PkiHeader};
use crate::cmp::wire::refusal::{Failure, Refusal};
use crate::cmp::server::service::CmpService;
use crate::cmp::wire::{names, oid};

/// The length of a transactionID: 128 bits (RFC 9483 §3.1), as OpenSSL and the clients on mbed TLS send it.
pub const TRANSACTION_ID: usize = 16;

/// The lengths of a transactionID by RFC 9810 §5.1.1, which names none.
const TRANSACTION_IDS: RangeInclusive<usize> = 1..=64;

/// The lengths of a nonce that are taken: 128 bits at least (RFC 9483 §3.5).
const NONCE: RangeInclusive<usize> = 16..=64;

/// The bodies that may go on with a transaction: popdecr, nested, error, certConf and pollReq. Every other one opens one.
const CONTINUING: [u8; 5] = [6, 20, 23, 24, 25];

/// The largest senderKID that an answer repeats, in octets.
const MAX_KID: usize = 128;

/// The largest sender that an answer repeats as its recipient, in octets of DER.
const MAX_NAME: usize = 4096;

impl CmpService {
    /// RFC 9483 §3.1 and §3.5, as far as it needs no key; of a transactionID what the rules in force say.
    pub(crate) fn check_header(&self, message: &Message) -> Result<(), Refusal> {
        let header = &message.header;
        // RFC 9810 §7: other versions have another syntax.
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
        if header.recip_nonce.is_some() && !CONTINUING.contains(&message.kind) {
            return Err(Refusal::new(
                Failure::BadRecipientNonce,
                "recipNonce must be absent in the first message of a transaction",
            ));
        }
        self.check_time(header.message_time)?;
        self.check_recipient(message)?;
        check_text(header.free_text.as_deref())?;
        check_infos(message.kind, header.general_info.as_deref())
    }

    /// A transaction has an identifier: of 128 bits by RFC 9483 §3.1, of any length by RFC 9810 §5.1.1. Where it is absent, a first
    /// message lacks a field, and any other one belongs to no transaction (RFC 9483 §3.5).
    fn check_transaction(&self, message: &Message) -> Result<(), Refusal> {
        let (found, tolerant) = (message.transaction_id().len(), self.is_tolerant());
        let failure = match found {
            TRANSACTION_ID => return Ok(()),
            _ if tolerant && TRANSACTION_IDS.contains(&found) => return Ok(()),
            0 if !goes_on(message.kind) => Failure::BadDataFormat,
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

    /// A message is for this authority: for one of its CAs, for what signs in their name, or for nobody in particular.
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
        match is_ours || is_vendors(message, recipient) {
            true => Ok(()),
            false => Err(Refusal::new(
                Failure::WrongAuthority,
                format!("the message is for `{recipient}`, which is not a CA of this instance"),
            )),
        }
    }

    /// messageTime is within the window around now; where it may be absent, whoever prefers that leaves it out.
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
        let sent = Timestamp::from_seconds(
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX),
        );
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

/// Whether equipment names the issuer of its vendor's certificate: OpenSSL's client does so if it is not told whom it asks. That the
/// certificate is a trusted vendor's is checked with its signature.
fn is_vendors(message: &Message, recipient: &Name) -> bool {
    let signer = message.extra_certs.first().filter(|_| is_for_equipment(message.kind));
    let signer = signer.and_then(|der| Facts::of(der).ok());
    signer.is_some_and(|signer| names::same(&signer.issuer, recipient))
}

/// Whether a body always stands within a transaction: error, certConf and pollReq. A nested message may open one.
pub(crate) const fn goes_on(kind: u8) -> bool {
    matches!(kind, 23..=25)
}

/// PKIFreeText has at least one text (RFC 9810 §5.1.1).
fn check_text(text: Option<&[String]>) -> Result<(), Refusal> {
    match text {
        Some([]) => Err(Refusal::new(Failure::BadDataFormat, "expected a text in freeText")),
        Some(text) => {
            tracing::debug!("the peer writes: {}", crate::cmp::wire::refusal::legible(&text.join("; ")));
            Ok(())
        }
        None => Ok(()),
    }
}

/// What generalInfo says of the confirmation (RFC 9483 §3.1).
fn check_infos(kind: u8, infos: Option<&[InfoTypeAndValue]>) -> Result<(), Refusal> {
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
    if of(oid::IMPLICIT_CONFIRM).next().is_some() && !may_confirm(kind) {
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

/// Whether a body may ask for implicit confirmation: ir, cr, p10cr, kur and ccr ask for a certificate, and a nested
/// message may repeat the header of what is in it (RFC 9483 §3.1).
const fn may_confirm(kind: u8) -> bool {
    matches!(kind, 0 | 2 | 4 | 7 | 13 | 20)
}

/// What an answer repeats of the request's header: nothing that is longer than what would be taken, so that a
/// stranger's message is not echoed at length.
#[derive(Debug, Clone)]
pub struct Echo {
    /// pvno: that of the request, or the lowest that is understood here.
    pub version: u8,
    /// The recipient: the request's sender.
    pub recipient: GeneralName,
    /// transactionID.
    pub transaction_id: Option<OctetString>,
    /// recipNonce: the request's senderNonce.
    pub recip_nonce: Option<OctetString>,
    /// The request's senderKID.
    pub reference: Option<OctetString>,
}

impl Echo {
    /// Of a request, or of something that could not be read as one.
    pub fn of(request: Option<&PkiHeader>) -> Self {
        let nobody = GeneralName::DirectoryName(Name::default());
        let Some(header) = request else {
            return Self {
                version: 2,
                recipient: nobody,
                transaction_id: None,
                recip_nonce: None,
                reference: None,
            };
        };
        let short = |octets: &Option<OctetString>, most: usize| {
            octets.clone().filter(|octets| octets.as_bytes().len() <= most)
        };
        let small = |name: &GeneralName| {
            name.encoded_len()
                .is_ok_and(|length| usize::try_from(length).is_ok_and(|l| l <= MAX_NAME))
        };
        Self {
            version: if header.pvno.as_bytes() == [3] { 3 } else { 2 },
            recipient: Some(&header.sender).filter(|name| small(name)).cloned().unwrap_or(nobody),
            transaction_id: short(&header.transaction_id, *NONCE.end()),
            recip_nonce: short(&header.sender_nonce, *NONCE.end()),
            reference: short(&header.sender_kid, MAX_KID),
        }
    }
}
