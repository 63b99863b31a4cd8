//! Bodies about revocations, holds and releases.

use minicbor::{Decode, Encode};

use super::super::entry::Entry;
use super::cbor;
use super::transaction::TransactionBody;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Label, Revocation, RevokedEntry, Serial, Transaction};

/// A revocation or hold.
#[derive(Encode, Decode)]
pub struct RevokedBody<'a> {
    #[b(0)]
    ca: &'a str,
    #[cbor(b(1), with = "minicbor::bytes")]
    serial: &'a [u8],
    /// Milliseconds since 1970.
    #[n(2)]
    at: i64,
    /// The CRLReason of RFC 5280 §5.3.1.
    #[n(3)]
    reason: u8,
    /// The invalidity date of RFC 5280 §5.3.2, in milliseconds since 1970.
    #[n(4)]
    invalidity: Option<i64>,
    #[b(5)]
    transaction: Option<TransactionBody<'a>>,
    /// Present and true if the holder did not accept the certificate.
    #[n(6)]
    untaken: Option<bool>,
}

impl<'a> RevokedBody<'a> {
    /// The body for a revocation or hold.
    pub fn new(
        ca: &'a Label,
        serial: &'a Serial,
        revocation: &Revocation,
        transaction: Option<&'a Transaction>,
    ) -> Result<Self> {
        Ok(Self {
            ca: ca.as_str(),
            serial: serial.octets(),
            at: revocation.at.millis(),
            reason: revocation.reason as u8,
            invalidity: revocation.invalidity.map(Timestamp::millis),
            transaction: transaction.map(TransactionBody::new).transpose()?,
            untaken: None,
        })
    }

    /// The same body, with `untaken`: whether the holder did not accept the certificate.
    pub fn untaken(self, untaken: bool) -> Self {
        Self { untaken: untaken.then_some(true), ..self }
    }

    /// The entry in the body.
    pub fn entry(self) -> Result<Entry> {
        Ok(Entry::Revoked {
            ca: self.ca.parse()?,
            serial: cbor::serial(self.serial)?,
            revocation: Revocation {
                at: Timestamp::from_millis(self.at),
                reason: cbor::reason(self.reason)?,
                invalidity: self.invalidity.map(Timestamp::from_millis),
            },
            transaction: self.transaction.map(TransactionBody::record).transpose()?,
            untaken: self.untaken.unwrap_or(false),
        })
    }
}

/// A release from hold.
#[derive(Encode, Decode)]
pub struct ReleasedBody<'a> {
    #[b(0)]
    ca: &'a str,
    #[cbor(b(1), with = "minicbor::bytes")]
    serial: &'a [u8],
}

impl<'a> ReleasedBody<'a> {
    /// The body for a release from hold.
    pub fn new(ca: &'a Label, serial: &'a Serial) -> Self {
        Self { ca: ca.as_str(), serial: serial.octets() }
    }

    /// The entry in the body.
    pub fn entry(self) -> Result<Entry> {
        Ok(Entry::Released { ca: self.ca.parse()?, serial: cbor::serial(self.serial)? })
    }
}

/// A revocation that is known only from a CRL that was signed before a restore.
#[derive(Encode, Decode)]
pub struct ListedBody<'a> {
    #[b(0)]
    ca: &'a str,
    #[cbor(b(1), with = "minicbor::bytes")]
    serial: &'a [u8],
    /// Milliseconds since 1970.
    #[n(2)]
    at: i64,
    /// The CRLReason of RFC 5280 §5.3.1.
    #[n(3)]
    reason: u8,
    /// The invalidity date of RFC 5280 §5.3.2, in milliseconds since 1970.
    #[n(4)]
    invalidity: Option<i64>,
    /// The moment until which CRLs list the serial number at least, in milliseconds since 1970.
    #[n(5)]
    not_after: i64,
    #[n(6)]
    partition: Option<u16>,
}

impl<'a> ListedBody<'a> {
    /// The body for a revocation that a CRL lists.
    pub fn new(ca: &'a Label, entry: &'a RevokedEntry) -> Self {
        Self {
            ca: ca.as_str(),
            serial: entry.serial.octets(),
            at: entry.revocation.at.millis(),
            reason: entry.revocation.reason as u8,
            invalidity: entry.revocation.invalidity.map(Timestamp::millis),
            not_after: entry.not_after.millis(),
            partition: entry.partition,
        }
    }

    /// The entry in the body.
    pub fn entry(self) -> Result<Entry> {
        let revocation = Revocation {
            at: Timestamp::from_millis(self.at),
            reason: cbor::reason(self.reason)?,
            invalidity: self.invalidity.map(Timestamp::from_millis),
        };
        let entry = RevokedEntry {
            serial: cbor::serial(self.serial)?,
            not_after: Timestamp::from_millis(self.not_after),
            partition: self.partition,
            revocation,
        };
        Ok(Entry::Listed { ca: self.ca.parse()?, entry })
    }
}
