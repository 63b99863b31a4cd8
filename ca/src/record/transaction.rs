//! Transactions of enrolment protocols.

use std::net::IpAddr;

use super::certificate_id::CertificateId;
use super::label::Label;
use crate::clock::Timestamp;

/// A protocol transaction that survives a restart: a request that was answered, and what the peer still has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The transactionID, 1 to 64 octets.
    pub id: Vec<u8>,
    /// The account that the transaction belongs to.
    pub account: Label,
    /// The certificate that the peer has to confirm; `None` once the transaction is over.
    pub awaits: Option<CertificateId>,
    /// The deadline for the confirmation; `None` means until the transaction expires.
    pub confirm_until: Option<Timestamp>,
    /// When the transaction expires. Until then its identifier cannot be used again.
    pub expires: Timestamp,
    /// What the protocol needs to continue, in an encoding of its own.
    pub context: Vec<u8>,
    /// The account of the registration authority that vouches for the request, if there is one.
    pub registrar: Option<Label>,
    /// The address that sent the message which caused the entry, if it is known.
    pub client: Option<IpAddr>,
}
