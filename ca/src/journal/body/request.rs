//! Bodies about requests that an administrator must decide.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::super::entry::Entry;
use super::cbor;
use super::transaction::TransactionBody;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::record::approval::{
    Decision, PartialApproval, PendingRequest, RecordedRequest, RequestId, Verdict,
};
use crate::record::{Serial, Transaction};

/// A request for a certificate.
#[derive(Encode, Decode)]
pub struct RequestedBody<'a> {
    #[b(0)]
    transaction: TransactionBody<'a>,
    /// The SubjectPublicKeyInfo, DER.
    #[cbor(b(1), with = "minicbor::bytes")]
    key: &'a [u8],
    /// The subject as a DER Name.
    #[cbor(b(2), with = "minicbor::bytes")]
    subject: Option<&'a [u8]>,
    /// DER GeneralNames.
    #[n(3)]
    alt_names: Vec<ByteVec>,
    /// DER Extensions.
    #[n(4)]
    extensions: Vec<ByteVec>,
    /// Milliseconds since 1970.
    #[n(5)]
    not_before: Option<i64>,
    /// Milliseconds since 1970.
    #[n(6)]
    not_after: Option<i64>,
    #[b(7)]
    profile: &'a str,
    #[b(8)]
    ca: &'a str,
    /// The serial of the certificate that the new one is to replace.
    #[cbor(b(9), with = "minicbor::bytes")]
    updates: Option<&'a [u8]>,
    /// Whether directories are to show the certificate; absent if the request does not say.
    #[n(10)]
    published: Option<bool>,
}

impl<'a> RequestedBody<'a> {
    /// The body for a request that awaits approval.
    pub fn new(pending: &'a PendingRequest) -> Result<Self> {
        let request = &pending.request;
        let octets = |values: &[Vec<u8>]| values.iter().cloned().map(ByteVec::from).collect();
        Ok(Self {
            transaction: TransactionBody::new(&pending.transaction)?,
            key: &request.key,
            subject: request.subject.as_deref(),
            alt_names: octets(&request.alt_names),
            extensions: octets(&request.extensions),
            not_before: request.not_before.map(Timestamp::millis),
            not_after: request.not_after.map(Timestamp::millis),
            profile: request.profile.as_str(),
            ca: request.ca.as_str(),
            updates: request.updates.as_ref().map(Serial::octets),
            published: request.published,
        })
    }

    /// The record. Its incarnation is `None`, as that is checked when the entry is recorded and never again.
    pub fn record(self) -> Result<PendingRequest> {
        let octets = |values: Vec<ByteVec>| values.into_iter().map(Vec::from).collect();
        Ok(PendingRequest {
            transaction: self.transaction.record()?,
            incarnation: None,
            request: RecordedRequest {
                key: self.key.to_vec(),
                subject: self.subject.map(<[u8]>::to_vec),
                alt_names: octets(self.alt_names),
                extensions: octets(self.extensions),
                not_before: self.not_before.map(Timestamp::from_millis),
                not_after: self.not_after.map(Timestamp::from_millis),
                profile: self.profile.parse()?,
                ca: self.ca.parse()?,
                updates: self.updates.map(cbor::serial).transpose()?,
                published: self.published,
            },
        })
    }
}

/// A transaction that joins a request.
#[derive(Encode, Decode)]
pub struct JoinedBody<'a> {
    /// The octets of the [`RequestId`].
    #[cbor(b(0), with = "minicbor::bytes")]
    request: &'a [u8],
    #[b(1)]
    transaction: TransactionBody<'a>,
}

impl<'a> JoinedBody<'a> {
    /// The body for a transaction that joins a request.
    pub fn new(request: &'a RequestId, transaction: &'a Transaction) -> Result<Self> {
        Ok(Self { request: request.octets(), transaction: TransactionBody::new(transaction)? })
    }

    /// The entry in the body.
    pub fn entry(self) -> Result<Entry> {
        let request = request_id(self.request)?;
        Ok(Entry::Joined { request, transaction: self.transaction.record()? })
    }
}

/// The decision about a request.
#[derive(Encode, Decode)]
pub struct DecidedBody<'a> {
    /// The octets of the [`RequestId`].
    #[cbor(b(0), with = "minicbor::bytes")]
    request: &'a [u8],
    /// The discriminant of [`Verdict`]: 1 approved, 2 rejected, 3 withdrawn.
    #[n(1)]
    verdict: u8,
    #[b(2)]
    actor: &'a str,
    /// The reason, for the peer.
    #[b(3)]
    comment: Option<&'a str>,
}

impl<'a> DecidedBody<'a> {
    /// The body for the decision about a request.
    pub fn new(request: &'a RequestId, decision: &'a Decision) -> Self {
        Self {
            request: request.octets(),
            verdict: decision.verdict as u8,
            actor: &decision.actor,
            comment: decision.comment.as_deref(),
        }
    }

    /// The entry in the body.
    pub fn entry(self) -> Result<Entry> {
        let verdict = Verdict::from_number(self.verdict)
            .ok_or_else(|| Error::internal(format!("the verdict `{}` is unknown", self.verdict)))?;
        let decision = Decision {
            verdict,
            actor: self.actor.to_owned(),
            comment: self.comment.map(str::to_owned),
        };
        Ok(Entry::Decided { request: request_id(self.request)?, decision })
    }
}

/// An approval that does not suffice alone.
#[derive(Encode, Decode)]
pub struct PartlyApprovedBody<'a> {
    /// The octets of the [`RequestId`].
    #[cbor(b(0), with = "minicbor::bytes")]
    request: &'a [u8],
    #[b(1)]
    person: &'a str,
    #[b(2)]
    actor: &'a str,
    /// A note.
    #[b(3)]
    comment: Option<&'a str>,
}

impl<'a> PartlyApprovedBody<'a> {
    /// The body for an approval.
    pub fn new(request: &'a RequestId, approval: &'a PartialApproval) -> Self {
        Self {
            request: request.octets(),
            person: &approval.person,
            actor: &approval.actor,
            comment: approval.comment.as_deref(),
        }
    }

    /// The entry in the body.
    pub fn entry(self) -> Result<Entry> {
        let approval = PartialApproval {
            person: self.person.to_owned(),
            actor: self.actor.to_owned(),
            comment: self.comment.map(str::to_owned),
        };
        Ok(Entry::PartlyApproved { request: request_id(self.request)?, approval })
    }
}

fn request_id(octets: &[u8]) -> Result<RequestId> {
    octets.try_into().map(RequestId::new).map_err(Error::internal)
}
