//! Bodies about the vendors whose certificates may sign first enrolments.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::cbor::{from_slice, to_vec};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::Label;
use crate::record::Vendor;

/// Encodes a vendor as the body of its entry.
pub fn encode_vendor(vendor: &Vendor) -> Result<Vec<u8>> {
    to_vec(&VendorBody::new(vendor))
}

/// Decodes what [`encode_vendor`] wrote.
pub fn decode_vendor(octets: &[u8]) -> Result<Vendor> {
    from_slice::<VendorBody<'_>>(octets)?.record()
}

/// A trusted vendor.
#[derive(Encode, Decode)]
pub struct VendorBody<'a> {
    #[b(0)]
    name: &'a str,
    /// The name of the mapping from a certificate to the equipment.
    #[b(1)]
    mapping: &'a str,
    /// DER certificates.
    #[n(2)]
    roots: Vec<ByteVec>,
    /// DER certificates.
    #[n(3)]
    intermediates: Vec<ByteVec>,
    #[b(4)]
    profile: Option<&'a str>,
    /// Paths of files.
    #[b(5)]
    crls: Vec<&'a str>,
    /// Milliseconds since 1970.
    #[n(6)]
    created: i64,
}

impl<'a> VendorBody<'a> {
    pub fn new(vendor: &'a Vendor) -> Self {
        let all = |list: &[Vec<u8>]| list.iter().cloned().map(ByteVec::from).collect();
        Self {
            name: vendor.name.as_str(),
            mapping: vendor.mapping.name(),
            roots: all(&vendor.roots),
            intermediates: all(&vendor.intermediates),
            profile: vendor.profile.as_ref().map(Label::as_str),
            crls: vendor.crls.iter().map(String::as_str).collect(),
            created: vendor.created.millis(),
        }
    }

    pub fn record(self) -> Result<Vendor> {
        let all = |list: Vec<ByteVec>| list.into_iter().map(Vec::from).collect();
        Ok(Vendor {
            name: self.name.parse()?,
            mapping: self.mapping.parse()?,
            roots: all(self.roots),
            intermediates: all(self.intermediates),
            profile: self.profile.map(str::parse).transpose()?,
            crls: self.crls.into_iter().map(str::to_owned).collect(),
            created: Timestamp::from_millis(self.created),
        })
    }
}

/// The removal of a vendor.
#[derive(Encode, Decode)]
pub struct VendorRemovedBody<'a> {
    #[b(0)]
    pub name: &'a str,
}
