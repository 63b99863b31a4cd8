//! The checks of a header that need no key (RFC 9483 §3.5), and what an answer's header repeats of it.

use std::ops::RangeInclusive;

use countersign_ca::Timestamp;
use der::Encode;
use der::asn1::{GeneralizedTime, OctetString};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::message::{Message, PkiHeader};
use super::refusal::{Failure, Refusal};
use super::service::CmpService;

/// The lengths of a transactionID that are taken. RFC 9810 §5.1.1 asks for 16 octets; some clients send fewer.
const TRANSACTION_ID: RangeInclusive<usize> = 8..=64;

/// The lengths of a nonce that are taken (RFC 9810 §5.1.1: 128 bits).
const NONCE: RangeInclusive<usize> = 16..=64;

/// The largest senderKID that an answer repeats, in octets.
const MAX_KID: usize = 128;

/// The largest sender that an answer repeats as its recipient, in octets of DER.
const MAX_NAME: usize = 4096;

impl CmpService {
    /// RFC 9483 §3.1 and §3.5, as far as it needs no key.
    pub(super) fn check_header(&self, message: &Message) -> Result<(), Refusal> {
        let header = &message.header;
        // RFC 9810 §7: other versions have another syntax.
        if !matches!(header.pvno.as_bytes(), [2 | 3]) {
            return Err(Refusal::new(Failure::UnsupportedVersion, "expected pvno 2 or 3"));
        }
        let id = message.transaction_id().len();
        if !TRANSACTION_ID.contains(&id) {
            return Err(Refusal::new(
                Failure::BadDataFormat,
                format!("expected a transactionID of 16 octets, found {id}"),
            ));
        }
        let nonce = header.sender_nonce.as_ref().map_or(0, |nonce| nonce.as_bytes().len());
        if !NONCE.contains(&nonce) {
            return Err(Refusal::new(
                Failure::BadSenderNonce,
                format!("expected a senderNonce of 16 octets, found {nonce}"),
            ));
        }
        self.check_time(header.message_time)
    }

    fn check_time(&self, message_time: Option<GeneralizedTime>) -> Result<(), Refusal> {
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
            transaction_id: short(&header.transaction_id, *TRANSACTION_ID.end()),
            recip_nonce: short(&header.sender_nonce, *NONCE.end()),
            reference: short(&header.sender_kid, MAX_KID),
        }
    }
}
