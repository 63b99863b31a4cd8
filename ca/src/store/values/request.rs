//! Requests that an administrator must decide, and the counts of open ones. Numbers have their most significant octet
//! first.
//!
//! ```text
//! request = offset:8 expires:8 decided:8 verdict:1 joined:2 account     verdict 0 while the request is undecided
//! counts  = (expires:8)*                                                milliseconds since 1970
//! ```

use super::read::{damaged, label};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::Label;
use crate::record::approval::Verdict;

/// A request in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// The journal offset of the entry that holds the request.
    pub offset: u64,
    /// When the request expires.
    pub expires: Timestamp,
    /// The journal offset of the entry that decided the request, and the verdict; `None` while it is undecided.
    pub decided: Option<(u64, Verdict)>,
    /// The number of other transactions that joined the request.
    pub joined: u16,
    /// The account that asked.
    pub account: Label,
}

impl RequestRow {
    /// Writes the row. The request's name is in the key.
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
    /// [`crate::Error::Internal`] when the value is damaged.
    pub fn decode(octets: &[u8]) -> Result<Self> {
        let (offset, rest) = octets.split_first_chunk().ok_or_else(damaged)?;
        let (expires, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
        let (decided, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
        let (verdict, rest) = rest.split_first().ok_or_else(damaged)?;
        let (joined, account) = rest.split_first_chunk().ok_or_else(damaged)?;
        let decided = match *verdict {
            0 => None,
            number => {
                let verdict = Verdict::from_number(number).ok_or_else(damaged)?;
                Some((u64::from_be_bytes(*decided), verdict))
            }
        };
        Ok(Self {
            offset: u64::from_be_bytes(*offset),
            expires: Timestamp::from_millis(i64::from_be_bytes(*expires)),
            decided,
            joined: u16::from_be_bytes(*joined),
            account: label(account)?,
        })
    }

    /// Whether the request counts as open: undecided or approved. A rejected request does not count: it is kept only until its peer has
    /// been told.
    pub const fn is_open(&self) -> bool {
        !matches!(self.decided, Some((_, Verdict::Rejected | Verdict::Withdrawn)))
    }
}

/// The number of open requests in a value: of the recorded moments of expiry, those later than `at`.
pub fn count(value: &[u8], at: Timestamp) -> usize {
    moments(value).filter(|expires| *expires > at).count()
}

/// The value with one more moment of expiry, and without those that are over at `at`.
pub fn with_moment(value: &[u8], expires: Timestamp, at: Timestamp) -> Vec<u8> {
    let lasting = moments(value).filter(|moment| *moment > at);
    lasting.chain([expires]).flat_map(|moment| moment.millis().to_be_bytes()).collect()
}

/// The value without one of its moments of expiry.
pub fn without_moment(value: &[u8], expires: Timestamp) -> Vec<u8> {
    let mut left: Vec<Timestamp> = moments(value).collect();
    if let Some(position) = left.iter().position(|moment| *moment == expires) {
        left.remove(position);
    }
    left.iter().flat_map(|moment| moment.millis().to_be_bytes()).collect()
}

/// The moments of expiry in a value, one for each open request.
pub fn moments(value: &[u8]) -> impl Iterator<Item = Timestamp> {
    let moments = value.as_chunks::<8>().0.iter();
    moments.map(|millis| Timestamp::from_millis(i64::from_be_bytes(*millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        let account: Label = "gw1".parse().unwrap();
        for decided in [None, Some((9, Verdict::Approved)), Some((0, Verdict::Rejected))] {
            let row = RequestRow {
                offset: 7,
                expires: Timestamp::from_millis(-5),
                decided,
                joined: 513,
                account: account.clone(),
            };
            assert_eq!(RequestRow::decode(&row.encode()).unwrap(), row);
            assert!(RequestRow::decode(&row.encode()[..26]).is_err());
        }
    }

    #[test]
    fn moments_come_and_go() {
        let at = Timestamp::from_millis;
        let value = with_moment(&with_moment(&[], at(10), at(0)), at(20), at(5));
        assert_eq!((count(&value, at(9)), count(&value, at(10))), (2, 1));
        assert_eq!(count(&with_moment(&value, at(30), at(15)), at(0)), 2);
        assert_eq!(count(&without_moment(&value, at(20)), at(0)), 1);
        assert_eq!(count(&without_moment(&value, at(21)), at(0)), 2);
    }
}
