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
}
