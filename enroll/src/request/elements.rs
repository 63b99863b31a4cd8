//! The elements of a SEQUENCE, one by one: for types whose parts are read by hand.

use der::asn1::{Any, AnyRef};
use der::{Decode, Reader, SliceReader, Tag, Tagged};

/// The elements inside a SEQUENCE.
///
/// # Errors
/// The value is not a SEQUENCE, or its content is not a sequence of DER elements.
pub fn elements(sequence: &Any) -> der::Result<Vec<AnyRef<'_>>> {
    if sequence.tag() != Tag::Sequence {
        return Err(sequence.tag().unexpected_error(Some(Tag::Sequence)));
    }
    let mut reader = SliceReader::new(sequence.value())?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(AnyRef::decode(&mut reader)?);
    }
    Ok(found)
}
