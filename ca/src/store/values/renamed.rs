//! The accounts that had a name and have another one now, in the order in which they gave it up. Numbers have their most
//! significant octet first.
//!
//! ```text
//! value = (from:8 until:8 removed:1 length:1 name)*     offsets of the entries that gave the account this name, and the next one
//! ```

use super::read::{damaged, label};
use crate::error::Result;
use crate::record::Label;

/// The most accounts that can have given up the same name, and the most former names of one account.
pub const MAX_RENAMED: usize = 64;

/// An account that had a name and has another one now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// The offset of the entry that gave the account the name.
    pub from: u64,
    /// The offset of the entry that gave the account the next name.
    pub until: u64,
    /// The present name, or the last one of an account that was removed.
    pub name: Label,
    /// Whether the account was removed.
    pub is_removed: bool,
}

/// Writes a value.
pub fn encode(all: &[Renamed]) -> Vec<u8> {
    let mut octets = Vec::new();
    for Renamed { from, until, name, is_removed } in all {
        octets.extend_from_slice(&from.to_be_bytes());
        octets.extend_from_slice(&until.to_be_bytes());
        octets.push(u8::from(*is_removed));
        // A name has at most 64 octets.
        octets.push(name.as_str().len() as u8);
        octets.extend_from_slice(name.as_str().as_bytes());
    }
    octets
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// [`crate::Error::Internal`] when the value is damaged.
pub fn decode(mut octets: &[u8]) -> Result<Vec<Renamed>> {
    let mut all = Vec::new();
    while !octets.is_empty() {
        let (from, rest) = octets.split_first_chunk().ok_or_else(damaged)?;
        let (until, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
        let (removed, rest) = rest.split_first().ok_or_else(damaged)?;
        let (length, rest) = rest.split_first().ok_or_else(damaged)?;
        let (name, rest) = rest.split_at_checked(usize::from(*length)).ok_or_else(damaged)?;
        all.push(Renamed {
            from: u64::from_be_bytes(*from),
            until: u64::from_be_bytes(*until),
            name: label(name)?,
            is_removed: *removed != 0,
        });
        octets = rest;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_were() {
        let renamed = |from, until, name: &str, is_removed| Renamed {
            from,
            until,
            name: name.parse().unwrap(),
            is_removed,
        };
        let all = [renamed(1, 2, "gw1", false), renamed(7, u64::MAX, &"x".repeat(64), true)];
        let octets = encode(&all);
        assert_eq!(decode(&octets).unwrap(), all);
        assert_eq!(decode(&[]).unwrap(), []);
        assert!(decode(&octets[..octets.len() - 1]).is_err());
    }
}
