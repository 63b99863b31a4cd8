//! A transaction inside the bodies of other entries.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::cbor;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::record::{CertificateId, Issued, Label, ProvenBy, Transaction};

/// A transaction. In the entry of a certificate it does not repeat the account and the certificate.
#[derive(Encode, Decode)]
pub struct TransactionBody<'a> {
    #[cbor(b(0), with = "minicbor::bytes")]
    id: &'a [u8],
    /// Milliseconds since 1970.
    #[n(1)]
    expires: i64,
    #[cbor(b(2), with = "minicbor::bytes")]
    context: &'a [u8],
    /// Whether the transaction awaits the confirmation of the certificate in this entry.
    #[n(3)]
    awaits: bool,
    /// The account; absent if it is the one that the entry's certificate is issued to.
    #[b(4)]
    account: Option<&'a str>,
    #[n(5)]
    confirm_until: Option<i64>,
    /// The account of the registration authority that vouches for the request.
    #[b(6)]
    registrar: Option<&'a str>,
    /// The IP address that the peer's message came from, 4 or 16 octets. Absent if it is not known, as in entries that
    /// were written before addresses were recorded.
    #[n(7)]
    client: Option<ByteVec>,
    /// The discriminant of [`ProvenBy`]. Absent if it is not known, as in entries of before that was recorded.
    #[n(8)]
    proof: Option<u8>,
}

impl<'a> TransactionBody<'a> {
    /// The transaction of an entry without a certificate.
    pub fn new(transaction: &'a Transaction) -> Result<Self> {
        Self::with(transaction, None)
    }

    /// The transaction in the entry of a certificate. It may await the confirmation of that certificate, and of no
    /// other.
    pub fn of_issued(transaction: &'a Transaction, issued: &Issued) -> Result<Self> {
        Self::with(transaction, Some(issued))
    }

    fn with(transaction: &'a Transaction, issued: Option<&Issued>) -> Result<Self> {
        let awaited = transaction.awaits.as_ref();
        let is_of_issued = |id: &CertificateId| {
            issued.is_some_and(|issued| issued.ca == id.ca && issued.serial == id.serial)
        };
        if awaited.is_some_and(|id| !is_of_issued(id)) {
            return Err(Error::internal(
                "a transaction can await only the confirmation of the certificate that it issues",
            ));
        }
        let is_same = issued.is_some_and(|issued| issued.account == transaction.account);
        Ok(Self {
            id: &transaction.id,
            expires: transaction.expires.millis(),
            context: &transaction.context,
            awaits: awaited.is_some(),
            account: (!is_same).then(|| transaction.account.as_str()),
            confirm_until: transaction.confirm_until.map(Timestamp::millis),
            registrar: transaction.registrar.as_ref().map(Label::as_str),
            client: transaction.client.map(|address| cbor::address_octets(address).into()),
            proof: transaction.proof.map(|proof| proof as u8),
        })
    }

    /// Reads what [`Self::new`] wrote.
    pub fn record(self) -> Result<Transaction> {
        self.record_with(None)
    }

    /// Reads what [`Self::of_issued`] wrote.
    pub fn record_of(self, issued: &Issued) -> Result<Transaction> {
        self.record_with(Some(issued))
    }

    fn record_with(self, issued: Option<&Issued>) -> Result<Transaction> {
        let account = match (self.account, issued) {
            (Some(name), _) => name.parse()?,
            (None, Some(issued)) => issued.account.clone(),
            (None, None) => return Err(Error::internal("its transaction names no account")),
        };
        let awaited = issued.filter(|_| self.awaits);
        Ok(Transaction {
            id: self.id.to_vec(),
            account,
            awaits: awaited.map(|issued| CertificateId::new(issued.ca.clone(), issued.serial)),
            confirm_until: self.confirm_until.map(Timestamp::from_millis),
            expires: Timestamp::from_millis(self.expires),
            context: self.context.to_vec(),
            registrar: self.registrar.map(str::parse).transpose()?,
            client: self.client.map(|octets| cbor::address(&octets)).transpose()?,
            proof: self.proof.map(proof).transpose()?,
        })
    }
}

fn proof(number: u8) -> Result<ProvenBy> {
    ProvenBy::from_number(number).ok_or_else(|| {
        Error::internal(format!(
            "its proof `{number}` is unknown: use the newer program that wrote it"
        ))
    })
}
