//! Bodies about CAs: their certificates, and their duties.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::super::entry::Entry;
use super::cbor::{from_slice, to_vec};
use crate::error::{Error, Result};
use crate::record::{CaRecord, Duty, Label, Links, Succession};

/// Encodes a CA's record as the body of its entry.
pub fn encode_ca(ca: &CaRecord) -> Result<Vec<u8>> {
    to_vec(&CaBody::new(ca))
}

/// Decodes what [`encode_ca`] wrote.
pub fn decode_ca(octets: &[u8]) -> Result<CaRecord> {
    from_slice::<CaBody<'_>>(octets)?.record()
}

/// A CA's certificate.
#[derive(Encode, Decode)]
pub struct CaBody<'a> {
    #[b(0)]
    name: &'a str,
    #[n(1)]
    is_root: bool,
    /// DER.
    #[cbor(b(2), with = "minicbor::bytes")]
    certificate: &'a [u8],
    /// The CA certificates above this one, DER, root last.
    #[n(3)]
    chain: Vec<ByteVec>,
    #[b(4)]
    succeeds: Option<SuccessionBody<'a>>,
}

/// How a CA succeeds its predecessor, which is the CA with the previous key of the same line.
#[derive(Encode, Decode)]
struct SuccessionBody<'a> {
    #[b(0)]
    predecessor: &'a str,
    #[cbor(b(1), with = "minicbor::bytes")]
    new_with_old: Option<&'a [u8]>,
    #[cbor(b(2), with = "minicbor::bytes")]
    old_with_new: Option<&'a [u8]>,
    /// Present and true while the predecessor still issues.
    #[n(3)]
    waits: Option<bool>,
}

impl<'a> CaBody<'a> {
    /// The body for a CA's record.
    pub fn new(ca: &'a CaRecord) -> Self {
        Self {
            name: ca.name.as_str(),
            is_root: ca.is_root,
            certificate: &ca.certificate,
            chain: ca.chain.iter().cloned().map(ByteVec::from).collect(),
            succeeds: ca.succeeds.as_ref().map(SuccessionBody::new),
        }
    }

    /// The CA's record in the body.
    pub fn record(self) -> Result<CaRecord> {
        Ok(CaRecord {
            name: self.name.parse()?,
            is_root: self.is_root,
            certificate: self.certificate.to_vec(),
            chain: self.chain.into_iter().map(Vec::from).collect(),
            succeeds: self.succeeds.map(SuccessionBody::record).transpose()?,
        })
    }
}

impl<'a> SuccessionBody<'a> {
    fn new(succession: &'a Succession) -> Self {
        let links = succession.links.as_ref();
        Self {
            predecessor: succession.predecessor.as_str(),
            new_with_old: links.map(|links| links.new_with_old.as_slice()),
            old_with_new: links.map(|links| links.old_with_new.as_slice()),
            waits: succession.waits.then_some(true),
        }
    }

    fn record(self) -> Result<Succession> {
        let links = match (self.new_with_old, self.old_with_new) {
            (Some(new_with_old), Some(old_with_new)) => Some(Links {
                new_with_old: new_with_old.to_vec(),
                old_with_new: old_with_new.to_vec(),
            }),
            (None, None) => None,
            _ => return Err(Error::internal("one of its two links between roots is missing")),
        };
        let waits = self.waits.unwrap_or_default();
        Ok(Succession { predecessor: self.predecessor.parse()?, links, waits })
    }
}

/// A CA's duty.
#[derive(Encode, Decode)]
pub struct AssignedBody<'a> {
    #[b(0)]
    ca: &'a str,
    /// The discriminant of [`Duty`].
    #[n(1)]
    duty: u8,
}

impl<'a> AssignedBody<'a> {
    /// The body for a duty that is assigned to a CA.
    pub fn new(ca: &'a Label, duty: Duty) -> Self {
        Self { ca: ca.as_str(), duty: duty as u8 }
    }

    /// The entry in the body.
    pub fn entry(self) -> Result<Entry> {
        let duty =
            Duty::ALL.into_iter().find(|duty| *duty as u8 == self.duty).ok_or_else(|| {
                Error::internal(format!(
                    "its duty `{}` is unknown: use the newer program that wrote it",
                    self.duty
                ))
            })?;
        Ok(Entry::Assigned { ca: self.ca.parse()?, duty })
    }
}
