//! The account that an entry names. It may have another name since, and another account may have its name.

use super::keys;
use super::values;
use super::values::renamed::{self, Renamed};
use crate::error::Result;
use crate::record::{Incarnation, Label};

/// The account that an entry names, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its present name, or its last one.
    pub name: Label,
    /// Which of the accounts of that name it is; `None` if it was removed.
    pub incarnation: Option<Incarnation>,
}

/// The account that had this name when the entry at `offset` was recorded. `value` reads the index.
///
/// # Errors
/// [`crate::Error::Internal`] when the index fails.
pub fn owner(
    name: &Label,
    offset: u64,
    value: impl Fn(&[u8]) -> Result<Option<Vec<u8>>>,
) -> Result<Owner> {
    let incarnation = |name: &Label| {
        let octets = value(&keys::account(name))?;
        octets.map(|octets| values::account::incarnation(&octets)).transpose()
    };
    let present = incarnation(name)?.filter(|own| own.precedes(offset));
    if present.is_some() {
        return Ok(Owner { name: name.clone(), incarnation: present });
    }
    let octets = value(&keys::renamed(name))?.unwrap_or_default();
    let mut all = renamed::decode(&octets)?.into_iter();
    Ok(match all.find(|one| one.from < offset && offset < one.until) {
        Some(Renamed { name, is_removed: true, .. }) => Owner { name, incarnation: None },
        Some(Renamed { name, .. }) => {
            let incarnation = incarnation(&name)?;
            Owner { name, incarnation }
        }
        None => Owner { name: name.clone(), incarnation: None },
    })
}
