//! The body about a signed CRL.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::cbor::{from_slice, to_vec};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::record::{CrlRecord, CrlScope};

/// Encodes a CRL's record as the body of its entry.
pub fn encode_crl(crl: &CrlRecord) -> Result<Vec<u8>> {
    to_vec(&CrlBody::new(crl))
}

/// Decodes what [`encode_crl`] wrote.
pub fn decode_crl(octets: &[u8]) -> Result<CrlRecord> {
    from_slice::<CrlBody<'_>>(octets)?.record()
}

/// A signed CRL.
#[derive(Encode, Decode)]
pub struct CrlBody<'a> {
    #[b(0)]
    ca: &'a str,
    #[n(1)]
    number: u64,
    /// Milliseconds since 1970, as the other times.
    #[n(2)]
    this_update: i64,
    #[n(3)]
    next_update: i64,
    /// The number of revoked and held certificates on the CRL.
    #[n(4)]
    entries: u64,
    /// SHA-256 over the TBSCertList; in old entries without `scope`, over the whole CRL.
    #[cbor(b(5), with = "minicbor::bytes")]
    sha256: &'a [u8],
    /// 0 for a full CRL, 1 for a delta CRL, otherwise a partition's number plus 2.
    #[n(6)]
    scope: Option<u32>,
    /// Whether delta CRLs refer to this CRL from now on.
    #[n(7)]
    is_base: Option<bool>,
    /// When the CRL was signed. Absent if that is thisUpdate, as in all entries that were written before thisUpdate was
    /// backdated.
    #[n(8)]
    signed: Option<i64>,
    /// The offset in the journal, in octets, up to which revocations are on the CRL. Absent if it is not known, as in
    /// entries that were written before revocations were ordered by the journal.
    #[n(9)]
    reached: Option<u64>,
    /// The CRL, DER, if the CA's private key is elsewhere. Absent for a CRL that this instance signed.
    #[n(10)]
    brought: Option<ByteVec>,
}

impl<'a> CrlBody<'a> {
    /// The body for a CRL's record.
    pub fn new(crl: &'a CrlRecord) -> Self {
        Self {
            ca: crl.ca.as_str(),
            number: crl.number,
            this_update: crl.this_update.millis(),
            next_update: crl.next_update.millis(),
            entries: crl.entries,
            sha256: &crl.tbs_sha256,
            scope: Some(match crl.scope {
                CrlScope::Full => 0,
                CrlScope::Delta => 1,
                CrlScope::Partition(number) => u32::from(number).saturating_add(2),
            }),
            is_base: Some(crl.is_base),
            signed: Some(crl.signed).filter(|at| *at != crl.this_update).map(Timestamp::millis),
            reached: crl.reached,
            brought: crl.brought.clone().map(ByteVec::from),
        }
    }

    /// The CRL's record in the body.
    pub fn record(self) -> Result<CrlRecord> {
        Ok(CrlRecord {
            ca: self.ca.parse()?,
            number: self.number,
            this_update: Timestamp::from_millis(self.this_update),
            signed: Timestamp::from_millis(self.signed.unwrap_or(self.this_update)),
            next_update: Timestamp::from_millis(self.next_update),
            entries: self.entries,
            tbs_sha256: self.sha256.try_into().map_err(Error::internal)?,
            scope: match self.scope {
                None | Some(0) => CrlScope::Full,
                Some(1) => CrlScope::Delta,
                Some(more) => CrlScope::Partition(
                    u16::try_from(more.saturating_sub(2)).map_err(Error::internal)?,
                ),
            },
            is_base: self.is_base.unwrap_or(false),
            reached: self.reached,
            brought: self.brought.map(Vec::from),
        })
    }
}
