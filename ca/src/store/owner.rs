//! The account that an entry names. It may have another name since, and another account may have its name.

use super::keys;
use super::values::{self, renamed};
use crate::error::Result;
use crate::record::{Incarnation, Label};

/// The account that an entry names, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its present name.
    pub name: Label,
    /// Which of the accounts of that name it is.
    pub incarnation: Incarnation,
}

/// The account that had this name when the entry at `offset` was recorded; `None` if it was removed since. `value` reads
/// the index.
///
/// # Errors
/// [`crate::Error::Internal`] when the index fails.
pub fn owner(
    name: &Label,
    offset: u64,
    value: impl Fn(&[u8]) -> Result<Option<Vec<u8>>>,
) -> Result<Option<Owner>> {
    let incarnation = |name: &Label| {
        let octets = value(&keys::account(name))?;
        octets.map(|octets| values::account::incarnation(&octets)).transpose()
    };
    let present = incarnation(name)?.filter(|own| own.precedes(offset));
    if let Some(incarnation) = present {
        return Ok(Some(Owner { name: name.clone(), incarnation }));
    }
    let Some(octets) = value(&keys::renamed(name))? else { return Ok(None) };
    let mut all = renamed::decode(&octets)?.into_iter();
    let Some(found) = all.find(|one| one.from < offset && offset < one.until) else {
        return Ok(None);
    };
    let incarnation = incarnation(&found.name)?;
    Ok(incarnation.map(|incarnation| Owner { name: found.name, incarnation }))
}
