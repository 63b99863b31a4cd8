//! The fields of the request's header that the answer's header repeats.

use der::Encode;
use der::asn1::OctetString;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::cmp::wire::message::{NONCE, PkiHeader};

/// The longest senderKID that an answer repeats, in octets.
const MAX_KID: usize = 128;

/// The longest sender that an answer repeats as its recipient, in octets of DER.
const MAX_NAME: usize = 4096;

/// The fields that an answer repeats from its request. Fields that are longer than any accepted one are left out, so that a stranger
/// cannot have a long message sent back.
#[derive(Debug, Clone)]
pub struct Echo {
    /// pvno: 3 if the request has 3, else 2.
    pub version: u8,
    /// The recipient: the request's sender.
    pub recipient: GeneralName,
    /// transactionID.
    pub transaction_id: Option<OctetString>,
    /// recipNonce: the request's senderNonce.
    pub recip_nonce: Option<OctetString>,
    /// The request's senderKID, which names the reference of a secret.
    pub reference: Option<OctetString>,
}

impl Echo {
    /// Takes the fields from a request's header; all are empty if no header could be read.
    pub fn of(request: Option<&PkiHeader>) -> Self {
        let null_dn = GeneralName::DirectoryName(Name::default());
        let Some(header) = request else {
            return Self {
                version: 2,
                recipient: null_dn,
                transaction_id: None,
                recip_nonce: None,
                reference: None,
            };
        };
        let short = |octets: &Option<OctetString>, most: usize| {
            octets.clone().filter(|octets| octets.as_bytes().len() <= most)
        };
        let is_short = |name: &&GeneralName| {
            name.encoded_len()
                .is_ok_and(|length| usize::try_from(length).is_ok_and(|l| l <= MAX_NAME))
        };
        Self {
            version: if header.pvno.as_bytes() == [3] { 3 } else { 2 },
            recipient: Some(&header.sender).filter(is_short).cloned().unwrap_or(null_dn),
            transaction_id: short(&header.transaction_id, *NONCE.end()),
            recip_nonce: short(&header.sender_nonce, *NONCE.end()),
            reference: short(&header.sender_kid, MAX_KID),
        }
    }
}
