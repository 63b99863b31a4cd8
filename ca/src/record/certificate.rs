//! The records of certificates.

use std::net::IpAddr;
use std::time::Duration;

use super::account::Incarnation;
use super::certificate_id::CertificateId;
use super::label::Label;
use super::revocation::Revocation;
use super::serial::Serial;
use super::transaction::Transaction;
use crate::clock::Timestamp;

/// A certificate as it is recorded at its issuance, before it leaves the authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The issuing CA.
    pub ca: Label,
    /// The certificate's serial number, which was reserved before.
    pub serial: Serial,
    /// The account to which the certificate was issued.
    pub account: Label,
    /// The incarnation of the account that was authorized. The store refuses the record if another account has the name
    /// by then. `None` skips this check.
    pub incarnation: Option<Incarnation>,
    /// The profile under which the certificate was issued.
    pub profile: Label,
    /// The end of the certificate's validity.
    pub not_after: Timestamp,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Whether the certificate consumes one use of the account's shared secret.
    pub consumes_secret: bool,
    /// Whether the certificate consumes one use of the vendor's certificate of the account's device.
    pub consumes_equipment: bool,
    /// The protocol transaction in which the certificate was issued; `None` if it was issued in none.
    pub transaction: Option<Transaction>,
    /// The serial number of the certificate that this one replaces in a key update; `None` if it replaces none. The
    /// same CA issued it, or a predecessor.
    pub replaces: Option<Serial>,
    /// The CRL partition that the certificate's distribution point names; `None` if it names none.
    pub partition: Option<u16>,
    /// Whether the certificate is hidden from everybody until it is confirmed. The confirmation proves that the peer
    /// decrypted it.
    pub withheld: bool,
    /// Whether the peer wants the certificate in no directory (dontPublish, RFC 4211 §6.3).
    pub unpublished: bool,
    /// How long after this certificate is good the replaced one is to be revoked: from its confirmation, or if none is
    /// awaited from its issue. `None` if the replaced one stays as it is.
    pub retires: Option<Duration>,
}

impl Issued {
    /// A certificate that no peer requested here: of the instance itself, of a subordinate CA, or of a CA that is taken over. It uses up
    /// nothing, replaces nothing, and is on the full CRL.
    pub fn unrequested(
        id: CertificateId,
        account: Label,
        profile: Label,
        not_after: Timestamp,
        certificate: Vec<u8>,
    ) -> Self {
        let CertificateId { ca, serial } = id;
        Self {
            ca,
            serial,
            account,
            incarnation: None,
            profile,
            not_after,
            certificate,
            consumes_secret: false,
            consumes_equipment: false,
            transaction: None,
            replaces: None,
            partition: None,
            withheld: false,
            unpublished: false,
            retires: None,
        }
    }
}

/// The store's record of a certificate, with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRecord {
    /// The issuing CA.
    pub ca: Label,
    /// The certificate's serial number.
    pub serial: Serial,
    /// The present name of the account to which the certificate was issued. If that account was removed, its last name,
    /// which another account may have: [`crate::Store::holder`] tells them apart.
    pub account: Label,
    /// The incarnation of that account; `None` if it was removed.
    pub incarnation: Option<Incarnation>,
    /// The journal offset, in octets, of the certificate's entry.
    pub offset: u64,
    /// The profile under which the certificate was issued.
    pub profile: Label,
    /// When the certificate was recorded.
    pub issued: Timestamp,
    /// The end of the certificate's validity.
    pub not_after: Timestamp,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Whether the peer confirmed the certificate. If the peer need not confirm it, this is true from the start.
    pub confirmed: bool,
    /// Whether the peer still has to confirm the certificate. An unconfirmed certificate that is revoked is neither
    /// `confirmed` nor `awaits_confirmation`; nor is one that was unconfirmed in a backup that was restored, because
    /// the confirmation may have come after the backup.
    pub awaits_confirmation: bool,
    /// Whether the certificate is hidden: its confirmation, which proves that the peer decrypted it, is outstanding.
    pub withheld: bool,
    /// Whether the peer wants the certificate in no directory (dontPublish, RFC 4211 §6.3).
    pub unpublished: bool,
    /// The account of the registration authority that requested the certificate or forwarded the request; `None` if
    /// there was none.
    pub registrar: Option<Label>,
    /// The IP address that requested the certificate; `None` if it is not known.
    pub client: Option<IpAddr>,
    /// The certificate's revocation or hold; `None` if it is good.
    pub revocation: Option<Revocation>,
}

impl CertificateRecord {
    /// Whether anybody may see the certificate in a directory or a search.
    pub const fn is_public(&self) -> bool {
        !self.withheld && !self.unpublished
    }
}

/// A certificate that a renewal replaced and that is to be revoked, as the replacing certificate said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retirement {
    /// The certificate that was replaced.
    pub certificate: CertificateId,
    /// When it is to be revoked.
    pub due: Timestamp,
    /// The certificates that replaced it and are confirmed, each with the moment from which on it has this one revoked: one
    /// certificate, unless this one was renewed several times.
    pub replaced_by: Vec<(CertificateId, Timestamp)>,
}
