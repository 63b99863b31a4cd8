//! Transactions of enrolment protocols.

use std::net::IpAddr;

use super::certificate_id::CertificateId;
use super::label::Label;
use crate::clock::Timestamp;

/// A protocol transaction that survives a restart: a request that was answered, and the confirmation that the peer
/// still has to send, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The transactionID, 1 to 64 octets.
    pub id: Vec<u8>,
    /// The account that the transaction belongs to.
    pub account: Label,
    /// The certificate whose confirmation is awaited; `None` if none is awaited, or not any more.
    pub awaits: Option<CertificateId>,
    /// The deadline for the confirmation; `None` if it may come until the transaction expires.
    pub confirm_until: Option<Timestamp>,
    /// When the transaction expires. Until then its identifier cannot be used again.
    pub expires: Timestamp,
    /// The data that the protocol needs to continue, in the protocol's own encoding; at most 64 KiB.
    pub context: Vec<u8>,
    /// The account of the registration authority that vouches for the request; `None` if there is none.
    pub registrar: Option<Label>,
    /// The IP address that sent the message which caused the journal entry; `None` if it is not known.
    pub client: Option<IpAddr>,
    /// How the sender of that message proved itself; `None` if it is not known, as in entries of before that was recorded.
    pub proof: Option<ProvenBy>,
}

/// How the sender of a message proved itself. The numbers are those in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ProvenBy {
    /// By the account's shared secret.
    Secret = 1,
    /// By a certificate of the account.
    Certificate = 2,
    /// By the certificate of a registration authority, which vouches for the account.
    Registrar = 3,
    /// By the certificate that the vendor of the account's device issued.
    Vendor = 4,
}

impl ProvenBy {
    const ALL: [Self; 4] = [Self::Secret, Self::Certificate, Self::Registrar, Self::Vendor];

    /// The proof with this number; `None` if there is none.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|proof| *proof as u8 == number)
    }

    /// The name in exports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Certificate => "certificate",
            Self::Registrar => "registrar",
            Self::Vendor => "vendor",
        }
    }
}
