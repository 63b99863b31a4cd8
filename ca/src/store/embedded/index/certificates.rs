//! Look-ups of certificates in the index: by place in the order of issue, account, search key and end of validity. Certificates in spans
//! are found in the same way as the later ones, which are in no span yet.

use std::collections::BinaryHeap;

use super::Index;
use super::filed::{Filed, Span};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::store::keys;
use crate::store::numbers::{CHUNK, SPAN};
use crate::store::values::ended;
use crate::store::values::filing::Row;
use crate::store::values::span::{self, Placed};

/// A certificate with the end of its validity. Values are ordered by the end, then by the order of issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ending {
    /// The end of the validity.
    pub at: Timestamp,
    /// The journal offset of the certificate's entry.
    pub offset: u64,
}

impl Index {
    /// The journal offsets of the certificates in a chunk of the order of issue, in order.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] when the index fails, as with the other functions.
    pub fn offsets(&self, chunk: u64) -> Result<Vec<u64>> {
        let (first, until) = (chunk * CHUNK, (chunk + 1) * CHUNK);
        let rows = |filed: &Filed| filed.rows(first, until).iter().map(|row| row.offset).collect();
        self.in_span(first / SPAN, rows, |span| {
            let placed = span::chunk(span, first % SPAN / CHUNK)?;
            Ok(placed.into_iter().map(|placed| placed.offset).collect())
        })
    }

    /// The places in the order of issue of the certificates in a span whose account has a number that is `wanted`, in
    /// order.
    pub fn of_accounts(&self, number: u64, wanted: &dyn Fn(u32) -> bool) -> Result<Vec<u64>> {
        let rows = |filed: &Filed| ordinals(filed, number, |row| wanted(row.account));
        self.in_span(number, rows, |span| {
            let places = span::of_accounts(span, wanted)?;
            Ok(places.into_iter().map(|which| number * SPAN + which).collect())
        })
    }

    /// The places in the order of issue of the certificates in a span that have a search key with this number, in
    /// order.
    pub fn with_search(&self, number: u64, search: u32) -> Result<Vec<u64>> {
        let rows = |filed: &Filed| ordinals(filed, number, |row| row.search.contains(&search));
        self.in_span(number, rows, |span| {
            let mut places = span::with_search(span, search)?;
            places.dedup();
            Ok(places.into_iter().map(|which| number * SPAN + which).collect())
        })
    }

    /// The place in the order of issue of the certificate whose entry is at an offset; `None` if there is none.
    pub fn ordinal(&self, offset: u64) -> Result<Option<u64>> {
        let number = self.read_state(|state| {
            let spans = state.filed.spans();
            let behind = spans.partition_point(|span| span.first <= offset) as u64;
            let is_behind = state.filed.tail().first().is_some_and(|row| row.offset <= offset);
            if is_behind { Some(behind) } else { behind.checked_sub(1) }
        });
        let Some(number) = number else { return Ok(None) };
        let rows = |filed: &Filed| {
            let found = filed.tail().binary_search_by_key(&offset, |row| row.offset).ok();
            found.map(|place| filed.sealed() + place as u64)
        };
        self.in_span(number, rows, |span| {
            Ok(span::place_of(span, offset)?.map(|which| number * SPAN + which))
        })
    }

    /// The first `most` certificates after `after` that need a renewal and whose validity ends in `from..until`, soonest first.
    pub fn ending(
        &self,
        after: Option<Ending>,
        from: Timestamp,
        until: Timestamp,
        most: usize,
    ) -> Result<Vec<Ending>> {
        let mut soonest = Soonest { after, from, until, most, heap: BinaryHeap::new() };
        // 1. The certificates in no span, and the spans in which some may end in time.
        let (tail, mut spans) = self.read_state(|state| {
            let sealed = state.filed.sealed();
            let tail: Vec<Placed> = (sealed..)
                .zip(state.filed.tail())
                .map(|(which, row)| Placed { which, offset: row.offset, not_after: row.not_after })
                .filter(|placed| soonest.includes(placed))
                .collect();
            let spans = (0..).zip(state.filed.spans());
            let spans = spans.filter(|(_, span)| span.least < until && span.most >= from);
            (tail, spans.map(|(number, span)| (number, span.clone())).collect::<Vec<(u64, Span)>>())
        });
        for part in tail.chunk_by(|a, b| a.which / SPAN == b.which / SPAN) {
            let number = part.first().map_or(0, |placed| placed.which / SPAN);
            self.take_soonest(&mut soonest, number, part)?;
        }
        // 2. The spans in the order of their earliest end, until none can have one that is soon enough.
        spans.sort_by_key(|(_, span)| span.least);
        for (number, span) in spans {
            if soonest.is_full() && soonest.heap.peek().is_some_and(|last| last.at < span.least) {
                break;
            }
            let placed = self.in_place(number, &span)?;
            self.take_soonest(&mut soonest, number, &placed)?;
        }
        Ok(soonest.heap.into_sorted_vec())
    }

    /// Every certificate of a span.
    fn in_place(&self, number: u64, span: &Span) -> Result<Vec<Placed>> {
        span::all(span).or_else(|error| {
            self.leave_disk(error)?;
            self.in_span(number, |_| Vec::new(), span::all)
        })
    }

    fn take_soonest(&self, soonest: &mut Soonest, number: u64, placed: &[Placed]) -> Result<()> {
        let ended = self.value(&keys::ended(number))?.unwrap_or_default();
        for placed in placed.iter().filter(|placed| !ended::has(&ended, placed.which % SPAN)) {
            if soonest.includes(placed) {
                soonest.add(placed);
            }
        }
        Ok(())
    }

    /// What `sealed` returns for the span with this number, or, if it is not sealed, `rows` for all certificates.
    pub(super) fn in_span<T>(
        &self,
        number: u64,
        rows: impl Fn(&Filed) -> T,
        sealed: impl Fn(&Span) -> Result<T>,
    ) -> Result<T> {
        self.persistently(|| {
            let span = self.read_state(|state| match state.filed.span(number) {
                Some(span) => Ok(span.clone()),
                None => Err(rows(&state.filed)),
            });
            // The span is read without a lock, as that may wait for the disk.
            span.map_or_else(Ok, |span| sealed(&span))
        })
    }
}

/// The places in the order of issue of the rows that are `wanted` and belong to a span that is not sealed.
fn ordinals(filed: &Filed, number: u64, wanted: impl Fn(&Row) -> bool) -> Vec<u64> {
    let first = number * SPAN;
    let rows = (first..).zip(filed.rows(first, first + SPAN));
    rows.filter(|(_, row)| wanted(row)).map(|(ordinal, _)| ordinal).collect()
}

/// Of the certificates seen so far, those whose validity ends soonest.
struct Soonest {
    after: Option<Ending>,
    from: Timestamp,
    until: Timestamp,
    most: usize,
    heap: BinaryHeap<Ending>,
}

impl Soonest {
    fn includes(&self, placed: &Placed) -> bool {
        let Placed { offset, not_after: at, .. } = *placed;
        let ending = Ending { at, offset };
        (self.from..self.until).contains(&at) && self.after.is_none_or(|after| ending > after)
    }

    fn add(&mut self, placed: &Placed) {
        self.heap.push(Ending { at: placed.not_after, offset: placed.offset });
        if self.heap.len() > self.most {
            self.heap.pop();
        }
    }

    fn is_full(&self) -> bool {
        self.heap.len() >= self.most
    }
}
