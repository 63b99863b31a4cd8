//! Rows of the index for requests that wait for an administrator, and the accounts of each identity.

use ring::digest;

use super::records;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::identity::Identity;
use crate::pending::{RequestId, Verdict};
use crate::record::Label;

/// A request in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRow {
    /// The entry that holds it.
    pub offset: u64,
    /// Until when it waits.
    pub expires: Timestamp,
    /// The entry that decided it, and how.
    pub decided: Option<(u64, Verdict)>,
    /// How many other transactions joined it.
    pub joined: u16,
    /// Its account.
    pub account: Label,
}

impl PendingRow {
    /// The row's key.
    pub fn key(id: &RequestId) -> Vec<u8> {
        super::packed::key(b'q', id.octets())
    }

    /// The request that a key names.
    pub fn id_of(key: &[u8]) -> Option<RequestId> {
        key.get(1..)?.try_into().ok().map(RequestId::new)
    }

    /// As the index keeps it.
    pub fn encode(&self) -> Vec<u8> {
        let (decided, verdict) = self.decided.map_or((0, 0), |(at, verdict)| (at, verdict as u8));
        [
            &self.offset.to_be_bytes()[..],
            &self.expires.millis().to_be_bytes(),
            &decided.to_be_bytes(),
            &[verdict],
            &self.joined.to_be_bytes(),
            self.account.as_str().as_bytes(),
        ]
        .concat()
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] when it did not.
    pub fn decode(octets: &[u8]) -> Result<Self> {
        let parts = || {
            let (offset, rest) = octets.split_first_chunk()?;
            let (expires, rest) = rest.split_first_chunk()?;
            let (decided, rest) = rest.split_first_chunk()?;
            let (verdict, rest) = rest.split_first()?;
            let (joined, account) = rest.split_first_chunk()?;
            let numbers = (u64::from_be_bytes(*offset), i64::from_be_bytes(*expires));
            let decision = (u64::from_be_bytes(*decided), *verdict);
            Some((numbers, decision, u16::from_be_bytes(*joined), account))
        };
        let ((offset, expires), (decided, verdict), joined, account) =
            parts().ok_or_else(records::damaged)?;
        let decided = match verdict {
            0 => None,
            number => Some((decided, Verdict::from_number(number).ok_or_else(records::damaged)?)),
        };
        let account = records::label(account)?;
        Ok(Self { offset, expires: Timestamp::from_millis(expires), decided, joined, account })
    }

    /// Whether it counts among those that wait: what is rejected only waits to be told so.
    pub const fn counts(&self) -> bool {
        !matches!(self.decided, Some((_, Verdict::Rejected | Verdict::Withdrawn)))
    }
}

/// The key of the request that a transaction joined.
pub fn joined_key(transaction: &[u8; 16]) -> Vec<u8> {
    super::packed::key(b'j', transaction)
}

/// The key of when the requests expire that wait, of an account or of all.
pub fn counts_key(account: Option<&Label>) -> Vec<u8> {
    super::packed::key(b'n', account.map_or(&[][..], |name| name.as_str().as_bytes()))
}

/// How many of these moments are still to come.
pub fn count(value: &[u8], at: Timestamp) -> usize {
    moments(value).filter(|expires| *expires > at).count()
}

/// With one more moment, and without those that are over.
pub fn with_moment(value: &[u8], expires: Timestamp, at: Timestamp) -> Vec<u8> {
    let lasting = moments(value).filter(|moment| *moment > at);
    lasting.chain([expires]).flat_map(|moment| moment.millis().to_be_bytes()).collect()
}

/// With one moment less.
pub fn without_moment(value: &[u8], expires: Timestamp) -> Vec<u8> {
    let mut left: Vec<Timestamp> = moments(value).collect();
    if let Some(place) = left.iter().position(|moment| *moment == expires) {
        left.remove(place);
    }
    left.iter().flat_map(|moment| moment.millis().to_be_bytes()).collect()
}

/// The moments in a value of [`counts_key`].
pub fn moments(value: &[u8]) -> impl Iterator<Item = Timestamp> {
    let moments = value.as_chunks::<8>().0.iter();
    moments.map(|millis| Timestamp::from_millis(i64::from_be_bytes(*millis)))
}

/// The key of the accounts that hold an identity. Two identities may share it, if rarely.
pub fn identity_key(identity: &Identity) -> Vec<u8> {
    let hash = digest::digest(&digest::SHA256, identity.normal().as_bytes());
    super::packed::key(b'i', hash.as_ref().get(..16).unwrap_or_default())
}

/// The accounts in a value of [`identity_key`].
pub fn holders(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|octet| *octet == 0).filter(|name| !name.is_empty())
}

/// With or without an account.
pub fn with_holder(value: &[u8], account: &Label, is_held: bool) -> Vec<u8> {
    let name = account.as_str().as_bytes();
    let others = holders(value).filter(|holder| *holder != name);
    others.chain(is_held.then_some(name)).collect::<Vec<_>>().join(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        let account: Label = "gw1".parse().unwrap();
        for decided in [None, Some((9, Verdict::Approved)), Some((0, Verdict::Rejected))] {
            let row = PendingRow {
                offset: 7,
                expires: Timestamp::from_millis(-5),
                decided,
                joined: 513,
                account: account.clone(),
            };
            assert_eq!(PendingRow::decode(&row.encode()).unwrap(), row);
            assert!(PendingRow::decode(&row.encode()[..26]).is_err());
        }
        let id = RequestId::of(b"x");
        assert_eq!(PendingRow::id_of(&PendingRow::key(&id)), Some(id));
    }

    #[test]
    fn moments_and_holders_come_and_go() {
        let at = Timestamp::from_millis;
        let value = with_moment(&with_moment(&[], at(10), at(0)), at(20), at(5));
        assert_eq!((count(&value, at(9)), count(&value, at(10))), (2, 1));
        assert_eq!(count(&with_moment(&value, at(30), at(15)), at(0)), 2);
        assert_eq!(count(&without_moment(&value, at(20)), at(0)), 1);
        assert_eq!(count(&without_moment(&value, at(21)), at(0)), 2);
        let [one, two]: [Label; 2] = ["gw1", "gw2"].map(|name| name.parse().unwrap());
        let value = with_holder(&with_holder(&[], &one, true), &two, true);
        assert_eq!(with_holder(&value, &one, true), [&b"gw2"[..], b"gw1"].join(&0));
        assert_eq!(holders(&with_holder(&value, &one, false)).collect::<Vec<_>>(), [b"gw2"]);
        assert_eq!(with_holder(b"gw1", &one, false), b"");
    }
}
