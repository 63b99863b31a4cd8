//! The certificates in the order of issue: sealed spans, followed by the rows that are in no span yet.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::store::numbers::SPAN;
use crate::store::values::damaged;
use crate::store::values::filing::Row;
use crate::store::values::span::{self, Stored};

/// The number of rows of a span.
const ROWS: usize = SPAN as usize;

/// The certificates in the order of issue.
#[derive(Default)]
pub struct Filed {
    spans: Vec<Span>,
    tail: Vec<Row>,
}

impl Filed {
    /// The certificates of these spans, followed by these rows.
    pub const fn new(spans: Vec<Span>, tail: Vec<Row>) -> Self {
        Self { spans, tail }
    }

    /// The number of certificates.
    pub const fn count(&self) -> u64 {
        self.sealed() + self.tail.len() as u64
    }

    /// The number of certificates in spans.
    pub const fn sealed(&self) -> u64 {
        self.spans.len() as u64 * SPAN
    }

    /// The spans.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The span with this number; `None` if it is not sealed.
    pub fn span(&self, number: u64) -> Option<&Span> {
        usize::try_from(number).ok().and_then(|number| self.spans.get(number))
    }

    /// The rows that are in no span yet.
    pub fn tail(&self) -> &[Row] {
        &self.tail
    }

    /// The rows from `first` to `until` in the order of issue, as far as they are in no span.
    pub fn rows(&self, first: u64, until: u64) -> &[Row] {
        let place = |ordinal: u64| {
            let place = usize::try_from(ordinal.saturating_sub(self.sealed()));
            place.unwrap_or(usize::MAX).min(self.tail.len())
        };
        self.tail.get(place(first)..place(until)).unwrap_or_default()
    }

    /// Adds rows at the end.
    pub fn extend(&mut self, rows: Vec<Row>) {
        self.tail.extend(rows);
    }

    /// Whether there are enough rows for a span.
    pub const fn is_due(&self) -> bool {
        self.tail.len() >= ROWS
    }

    /// The next span, if there are enough rows. [`Self::push`] puts it in place of these rows.
    pub fn seal(&self) -> Option<Result<Span>> {
        self.tail.get(..ROWS).map(Span::seal)
    }

    /// Replaces the first rows that are in no span by a span.
    pub fn push(&mut self, span: Span) {
        self.spans.push(span);
        self.tail.drain(..ROWS.min(self.tail.len()));
    }

    /// Replaces the spans from `number` on by the same spans at other places in the file.
    pub fn replace(&mut self, number: usize, moved: Vec<Span>) {
        for (span, moved) in self.spans.iter_mut().skip(number).zip(moved) {
            *span = moved;
        }
    }
}

/// A sealed span.
#[derive(Debug, Clone)]
pub struct Span {
    place: Place,
    length: usize,
    /// The offset of the entry of the span's first certificate.
    pub first: u64,
    /// The earliest end of validity of a certificate in the span.
    pub least: Timestamp,
    /// The latest end of validity of a certificate in the span.
    pub most: Timestamp,
}

#[derive(Debug, Clone)]
enum Place {
    Memory(Arc<[u8]>),
    File { file: Arc<File>, at: u64 },
}

impl Span {
    fn seal(rows: &[Row]) -> Result<Self> {
        let octets: Arc<[u8]> = span::seal(rows)?.into();
        let ends = rows.iter().map(|row| row.not_after);
        let first = rows.first().map_or(0, |row| row.offset);
        let (length, place) = (octets.len(), Place::Memory(octets));
        Self { place, length, first, least: Timestamp::default(), most: Timestamp::default() }
            .between(ends)
    }

    /// The span in these octets, which lie at `at` in a file. Calls `issued` with the number and the offset of each
    /// certificate.
    ///
    /// # Errors
    /// [`Error::Internal`] when the octets are not a span.
    pub fn read(
        octets: &[u8],
        file: &Arc<File>,
        at: u64,
        mut issued: impl FnMut(u64, u64),
    ) -> Result<Self> {
        let (mut first, mut ends) = (None, Vec::with_capacity(ROWS));
        for row in span::numbered(octets)? {
            first.get_or_insert(row.offset);
            issued(row.number, row.offset);
            ends.push(row.not_after);
        }
        let place = Place::File { file: Arc::clone(file), at };
        let (first, never) = (first.ok_or_else(damaged)?, Timestamp::default());
        Self { place, length: octets.len(), first, least: never, most: never }
            .between(ends.into_iter())
    }

    fn between(self, ends: impl Iterator<Item = Timestamp> + Clone) -> Result<Self> {
        let (least, most) = ends.clone().min().zip(ends.max()).ok_or_else(damaged)?;
        Ok(Self { least, most, ..self })
    }

    /// The same span, at the offset `at` of a file.
    pub fn moved(&self, file: &Arc<File>, at: u64) -> Self {
        Self { place: Place::File { file: Arc::clone(file), at }, ..self.clone() }
    }

    /// All octets of the span.
    ///
    /// # Errors
    /// Those of [`Stored::part`].
    pub fn octets(&self) -> Result<Arc<[u8]>> {
        match &self.place {
            Place::Memory(octets) => Ok(Arc::clone(octets)),
            Place::File { .. } => Ok(self.part(0, self.length)?.into()),
        }
    }
}

impl Stored for Span {
    fn part(&self, from: usize, length: usize) -> Result<Vec<u8>> {
        let end = from.checked_add(length).filter(|end| *end <= self.length);
        end.ok_or_else(damaged)?;
        match &self.place {
            Place::Memory(octets) => octets.part(from, length),
            Place::File { file, at } => {
                let mut part = vec![0; length];
                file.read_exact_at(&mut part, at.saturating_add(from as u64))
                    .map_err(|e| Error::io("the index cannot be read", &e))?;
                Ok(part)
            }
        }
    }

    fn length(&self) -> usize {
        self.length
    }
}
