//! Look-ups of certificates in the index by several conditions at once, in several orders. No entry of the journal is read: because
//! certificates share numbers, the result may have more certificates than were asked for, but never fewer.

use std::collections::{BinaryHeap, HashSet};
use std::ops::Range;

use super::Index;
use super::filed::Filed;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::inventory::{ListOrder, ListPlace};
use crate::store::keys;
use crate::store::numbers::{CHUNK, SPAN};
use crate::store::values::ended;
use crate::store::values::span::{self, Placed};

/// Conditions on certificates that the index can check.
#[derive(Debug, Clone)]
pub struct Sieve {
    /// The numbers of search keys and facets. A certificate passes only if it has all of them.
    pub searches: Vec<u32>,
    /// The numbers of the accounts whose certificates pass; `None` for all accounts.
    pub accounts: Option<AccountNumbers>,
    /// The times between which the certificate's validity must end.
    pub ends: Range<Timestamp>,
    /// The journal offsets between which the certificate's entry must be.
    pub offsets: Range<u64>,
    /// Whether a certificate that is revoked for good or replaced is left out.
    pub current: bool,
}

/// Numbers of accounts. A span has thousands of certificates of other accounts, which a filter of bits passes over without
/// a look into the set.
#[derive(Debug, Clone, Default)]
pub struct AccountNumbers {
    filter: Vec<u64>,
    numbers: HashSet<u32>,
}

/// The words of the filter: a bit for each value of the lowest 16 bits of a number.
const WORDS: usize = 1024;

impl AccountNumbers {
    /// Whether a number is among these.
    pub fn contains(&self, number: u32) -> bool {
        let (word, bit) = Self::place(number);
        self.filter.get(word).is_some_and(|word| word & bit != 0) && self.numbers.contains(&number)
    }

    const fn place(number: u32) -> (usize, u64) {
        ((number & 0xffff) as usize / 64, 1 << (number % 64))
    }
}

impl FromIterator<u32> for AccountNumbers {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let numbers: HashSet<u32> = numbers.into_iter().collect();
        let mut filter = vec![0; WORDS];
        for number in &numbers {
            let (word, bit) = Self::place(*number);
            if let Some(word) = filter.get_mut(word) {
                *word |= bit;
            }
        }
        Self { filter, numbers }
    }
}

/// A place in an order, as a key: the certificate with the smaller key comes first.
pub type OrderKey = (i64, u64);

/// The key of a place in an order.
pub const fn order_key(order: ListOrder, place: ListPlace) -> OrderKey {
    let (ends, offset) = (place.not_after.millis(), place.offset);
    match order {
        ListOrder::Issued => (0, offset),
        ListOrder::IssuedReversed => (0, !offset),
        ListOrder::Expires => (ends, offset),
        ListOrder::ExpiresReversed => (!ends, !offset),
    }
}

/// The place with a key of an order. If the order is that of issue, `not_after` is not known.
pub const fn place_of_key(order: ListOrder, key: OrderKey) -> ListPlace {
    let (ends, offset) = match order {
        ListOrder::Issued | ListOrder::Expires => key,
        ListOrder::IssuedReversed => (0, !key.1),
        ListOrder::ExpiresReversed => (!key.0, !key.1),
    };
    ListPlace { not_after: Timestamp::from_millis(ends), offset }
}

/// The facts about a span, or about the rows that are in no span, that are known without reading it.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    number: u64,
    offsets: (u64, u64),
    ends: (Timestamp, Timestamp),
}

impl Bounds {
    /// The lowest and the highest key, in an order, that a certificate of the span can have.
    fn keys(&self, order: ListOrder) -> (OrderKey, OrderKey) {
        let place = |not_after, offset| order_key(order, ListPlace { not_after, offset });
        let (a, b) = (place(self.ends.0, self.offsets.0), place(self.ends.1, self.offsets.1));
        (a.min(b), a.max(b))
    }

    fn may_have(&self, sieve: &Sieve) -> bool {
        self.ends.1 >= sieve.ends.start
            && self.ends.0 < sieve.ends.end
            && self.offsets.1 >= sieve.offsets.start
            && self.offsets.0 < sieve.offsets.end
    }
}

impl Index {
    /// The first `most` certificates after the key `after` in an order that pass a sieve, by their keys.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] when the index fails.
    pub fn sifted(
        &self,
        sieve: &Sieve,
        order: ListOrder,
        after: Option<OrderKey>,
        most: usize,
    ) -> Result<Vec<OrderKey>> {
        let mut bounds = self.bounds();
        bounds.retain(|span| {
            span.may_have(sieve) && after.is_none_or(|after| span.keys(order).1 > after)
        });
        bounds.sort_by_key(|span| span.keys(order).0);
        let mut first: BinaryHeap<OrderKey> = BinaryHeap::new();
        for span in bounds {
            let last = first.peek().filter(|_| first.len() >= most);
            if last.is_some_and(|last| *last < span.keys(order).0) {
                break;
            }
            for placed in self.sift(span.number, sieve)? {
                let Placed { offset, not_after, .. } = placed;
                let key = order_key(order, ListPlace { not_after, offset });
                if after.is_none_or(|after| key > after) {
                    first.push(key);
                    if first.len() > most {
                        first.pop();
                    }
                }
            }
        }
        Ok(first.into_sorted_vec())
    }

    /// The bounds of each span, and of each part of the order of issue that is in no span yet.
    fn bounds(&self) -> Vec<Bounds> {
        self.read_state(|state| {
            let (spans, tail) = (state.filed.spans(), state.filed.tail());
            let firsts = spans.iter().skip(1).map(|span| span.first);
            let firsts = firsts.chain(tail.first().map(|row| row.offset)).chain([u64::MAX]);
            let mut bounds: Vec<Bounds> = (0..)
                .zip(spans.iter().zip(firsts))
                .map(|(number, (span, next))| Bounds {
                    number,
                    offsets: (span.first, next.saturating_sub(1)),
                    ends: (span.least, span.most),
                })
                .collect();
            for (number, rows) in (spans.len() as u64..).zip(tail.chunks(SPAN as usize)) {
                let ends = rows.iter().map(|row| row.not_after);
                let (Some(first), Some(last)) = (rows.first(), rows.last()) else { break };
                let (Some(least), Some(most)) = (ends.clone().min(), ends.max()) else { break };
                let offsets = (first.offset, last.offset);
                bounds.push(Bounds { number, offsets, ends: (least, most) });
            }
            bounds
        })
    }

    /// The certificates of a span that pass a sieve, in the order of issue.
    fn sift(&self, number: u64, sieve: &Sieve) -> Result<Vec<Placed>> {
        let mut found = self.in_span(
            number,
            |filed: &Filed| {
                let first = number * SPAN;
                let rows = (0..).zip(filed.rows(first, first + SPAN));
                let wanted = rows.filter(|(_, row)| {
                    sieve.accounts.as_ref().is_none_or(|own| own.contains(row.account))
                        && sieve.searches.iter().all(|search| row.search.contains(search))
                });
                wanted
                    .map(|(which, row)| Placed {
                        which,
                        offset: row.offset,
                        not_after: row.not_after,
                    })
                    .collect()
            },
            |span| sift_sealed(span, sieve),
        )?;
        found.retain(|placed| {
            sieve.ends.contains(&placed.not_after) && sieve.offsets.contains(&placed.offset)
        });
        if sieve.current && !found.is_empty() {
            let ended = self.value(&keys::ended(number))?.unwrap_or_default();
            found.retain(|placed| !ended::has(&ended, placed.which));
        }
        Ok(found)
    }
}

/// The certificates of a sealed span that have the sieve's account and search keys.
fn sift_sealed(span: &super::filed::Span, sieve: &Sieve) -> Result<Vec<Placed>> {
    let mut places: Option<Vec<u64>> = None;
    let mut narrow = |found: Vec<u64>| match &mut places {
        None => places = Some(found),
        Some(places) => places.retain(|which| found.binary_search(which).is_ok()),
    };
    if let Some(accounts) = &sieve.accounts {
        narrow(span::of_accounts(span, |number| accounts.contains(number))?);
    }
    for search in &sieve.searches {
        narrow(span::with_search(span, *search)?);
    }
    let Some(mut places) = places else { return span::all(span) };
    places.dedup();
    let mut chunks: Vec<u64> = places.iter().map(|which| which / CHUNK).collect();
    chunks.dedup();
    // A chunk takes two reads; the whole span takes two reads and some time.
    let placed = match chunks.len() > MOST_CHUNKS {
        true => span::all(span)?,
        false => {
            let parts = chunks.into_iter().map(|chunk| span::chunk(span, chunk));
            parts.collect::<Result<Vec<_>>>()?.concat()
        }
    };
    Ok(placed.into_iter().filter(|placed| places.binary_search(&placed.which).is_ok()).collect())
}

/// The most chunks of a span that are read one by one.
const MOST_CHUNKS: usize = 16;
