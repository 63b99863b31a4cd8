//! Bodies about certificates: reserved serials, issued certificates, their confirmation.

use std::borrow::Cow;
use std::time::Duration;

use minicbor::{Decode, Encode};

use super::super::entry::Entry;
use super::cbor;
use super::transaction::TransactionBody;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::record::{Issued, Label, Serial};

/// The length of the serials that this program draws, in octets.
const SHORT: usize = 16;

/// Serials that a CA is about to sign with.
#[derive(Encode, Decode)]
pub struct ReservedBody<'a> {
    #[b(0)]
    ca: &'a str,
    /// The serial numbers, 16 octets each, one after the other.
    #[cbor(b(1), with = "minicbor::bytes")]
    serials: Cow<'a, [u8]>,
    /// Longer ones, of a CA that was taken over: 20 octets each.
    #[cbor(b(2), with = "minicbor::bytes")]
    longer: Option<Cow<'a, [u8]>>,
}

impl<'a> ReservedBody<'a> {
    /// The body for serials that a CA reserves. The longer ones come last when it is read.
    pub fn new(ca: &'a Label, serials: &[Serial]) -> Self {
        let (short, long): (Vec<_>, Vec<_>) =
            serials.iter().map(Serial::octets).partition(|octets| octets.len() == SHORT);
        Self {
            ca: ca.as_str(),
            serials: Cow::Owned(short.concat()),
            longer: (!long.is_empty()).then(|| Cow::Owned(long.concat())),
        }
    }

    /// The entry in the body.
    pub fn entry(self) -> Result<Entry> {
        let (short, rest) = self.serials.as_chunks::<SHORT>();
        let (long, more) = self.longer.as_deref().unwrap_or_default().as_chunks::<20>();
        if !rest.is_empty() || !more.is_empty() {
            return Err(Error::internal("its serials do not have 16 or 20 octets each"));
        }
        let short = short.iter().map(cbor::serial);
        let serials = short.chain(long.iter().map(cbor::serial)).collect::<Result<_>>()?;
        Ok(Entry::Reserved { ca: self.ca.parse()?, serials })
    }
}

/// An issued certificate.
#[derive(Encode, Decode)]
pub struct IssuedBody<'a> {
    #[b(0)]
    ca: &'a str,
    #[cbor(b(1), with = "minicbor::bytes")]
    serial: &'a [u8],
    #[b(2)]
    account: &'a str,
    #[b(3)]
    profile: &'a str,
    /// Milliseconds since 1970.
    #[n(4)]
    not_after: i64,
    /// DER.
    #[cbor(b(5), with = "minicbor::bytes")]
    certificate: &'a [u8],
    #[n(6)]
    consumes_secret: bool,
    #[b(7)]
    transaction: Option<TransactionBody<'a>>,
    /// The serial of the certificate that the new one replaces.
    #[cbor(b(8), with = "minicbor::bytes")]
    replaces: Option<&'a [u8]>,
    #[n(9)]
    partition: Option<u16>,
    /// Present and true if nobody may see the certificate before it is confirmed.
    #[n(10)]
    withheld: Option<bool>,
    /// Present and true if the certificate uses up one use of the vendor's certificate of the account's equipment.
    #[n(11)]
    consumes_equipment: Option<bool>,
    /// Present and true if no directory may show the certificate.
    #[n(12)]
    unpublished: Option<bool>,
    /// How long after the certificate is good the replaced one is to be revoked, in milliseconds; absent if it stays.
    #[n(13)]
    retires: Option<u64>,
}

impl<'a> IssuedBody<'a> {
    /// The body for an issued certificate.
    pub fn new(issued: &'a Issued) -> Result<Self> {
        let transaction = issued.transaction.as_ref();
        Ok(Self {
            ca: issued.ca.as_str(),
            serial: issued.serial.octets(),
            account: issued.account.as_str(),
            profile: issued.profile.as_str(),
            not_after: issued.not_after.millis(),
            certificate: &issued.certificate,
            consumes_secret: issued.consumes_secret,
            transaction: transaction
                .map(|transaction| TransactionBody::of_issued(transaction, issued))
                .transpose()?,
            replaces: issued.replaces.as_ref().map(Serial::octets),
            partition: issued.partition,
            withheld: issued.withheld.then_some(true),
            consumes_equipment: issued.consumes_equipment.then_some(true),
            unpublished: issued.unpublished.then_some(true),
            retires: issued
                .retires
                .map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        })
    }

    /// The record. Its incarnation is `None`, as that is checked when the entry is recorded and never again.
    pub fn record(self) -> Result<Issued> {
        let mut issued = Issued {
            ca: self.ca.parse()?,
            serial: cbor::serial(self.serial)?,
            account: self.account.parse()?,
            incarnation: None,
            profile: self.profile.parse()?,
            not_after: Timestamp::from_millis(self.not_after),
            certificate: self.certificate.to_vec(),
            consumes_secret: self.consumes_secret,
            consumes_equipment: self.consumes_equipment.unwrap_or(false),
            transaction: None,
            replaces: self.replaces.map(cbor::serial).transpose()?,
            partition: self.partition,
            withheld: self.withheld.unwrap_or(false),
            unpublished: self.unpublished.unwrap_or(false),
            retires: self.retires.map(Duration::from_millis),
        };
        issued.transaction =
            self.transaction.map(|transaction| transaction.record_of(&issued)).transpose()?;
        Ok(issued)
    }
}

/// The holder's confirmation of the certificate that a transaction issued.
#[derive(Encode, Decode)]
pub struct ConfirmedBody<'a> {
    /// The identifier of the transaction.
    #[cbor(b(0), with = "minicbor::bytes")]
    pub transaction: &'a [u8],
}

impl ConfirmedBody<'_> {
    /// The entry in the body.
    pub fn entry(self) -> Entry {
        Entry::Confirmed { transaction: self.transaction.to_vec() }
    }
}
