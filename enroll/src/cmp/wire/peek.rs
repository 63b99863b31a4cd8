//! Looks at a message before it is decoded, to choose the thread and the slots for it. For a message that is not DER the functions return
//! `None`; it is refused when it is decoded.

use der::asn1::AnyRef;
use der::{Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};
use spki::{AlgorithmIdentifierOwned, AlgorithmIdentifierRef};

use super::mac::{MacParameters, is_mac_algorithm};

/// The kind of the body: the number of the context tag of the message's second element. `None` if there is no such element.
pub fn body_kind(message: &[u8]) -> Option<u8> {
    let message = AnyRef::from_der(message).ok()?;
    let mut parts = SliceReader::new(message.value()).ok()?;
    let _header = parts.tlv_bytes().ok()?;
    match AnyRef::decode(&mut parts).ok()?.tag() {
        Tag::ContextSpecific { constructed: true, number } => Some(number.value()),
        _ => None,
    }
}

/// How many iterations the MAC of a message asks for, of all blocks of its key together. `None` for a message whose protectionAlg is no
/// MAC, and 0 for a MAC whose parameters will be refused.
pub fn mac_iterations(message: &[u8]) -> Option<u64> {
    let found = protection_alg(message).filter(|found| is_mac_algorithm(found.oid))?;
    let owned = found.to_der().and_then(|der| AlgorithmIdentifierOwned::from_der(&der)).ok()?;
    let read = MacParameters::read_unbounded(&owned).and_then(Result::ok);
    Some(read.map_or(0, |parameters| parameters.iterations()))
}

/// protectionAlg: the fourth or fifth field of the header, after pvno, sender, recipient and an optional messageTime.
fn protection_alg(message: &[u8]) -> Option<AlgorithmIdentifierRef<'_>> {
    const EXPECTED: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber::N1 };
    let message = AnyRef::from_der(message).ok()?;
    let header = AnyRef::decode(&mut SliceReader::new(message.value()).ok()?).ok()?;
    let mut fields = SliceReader::new(header.value()).ok()?;
    for position in 0..5 {
        let field = AnyRef::decode(&mut fields).ok()?;
        // The first three fields are passed over: the tag of a sender, which is a GeneralName, may be the expected one.
        if position >= 3 && field.tag() == EXPECTED {
            return AlgorithmIdentifierRef::from_der(field.value()).ok();
        }
    }
    None
}
