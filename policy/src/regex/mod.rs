//! POSIX extended regular expressions (IEEE Std 1003.1, chapter 9) over bytes, for KeyNote's `~=`.
//!
//! Leftmost-longest, unanchored, case-sensitive, in the C locale; `.` and negated brackets match a newline, and `^` and `$`
//! are the ends of the text. What POSIX does not have, back-references and the escapes of others, is refused with a reason.
//! Whether a text matches is found in linear time by an automaton of `regex-automata`; what the groups matched, by a
//! bounded pass of our own, because no library of the field follows the POSIX rule for them.

mod automaton;
mod error;
mod parse;
mod submatch;
mod syntax;

use std::sync::Arc;

use automaton::{Automaton, Use};
use syntax::Expression;

pub use error::{MAX_PATTERN, OutOfSteps, RegexError};
pub use submatch::Groups;

/// The longest text in which groups are looked for, in bytes. RFC 2704 §3 asks for 2048.
pub const MAX_CAPTURED: usize = 4096;

/// What finding submatches may cost, in about nanoseconds.
const MAX_WORK: usize = 1 << 27;

/// A compiled regular expression. Clones share it.
#[derive(Debug, Clone)]
pub struct Regex(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    expression: Expression,
    automaton: Automaton,
}

impl Regex {
    /// Compiles a pattern that will be used many times.
    ///
    /// # Errors
    /// It is no POSIX extended regular expression, or takes too much memory.
    pub fn new(pattern: &[u8]) -> Result<Self, RegexError> {
        Self::compile(pattern, Use::Often)
    }

    /// Compiles a pattern that came with a question: quick to make, slower to use.
    pub(crate) fn once(pattern: &[u8]) -> Result<Self, RegexError> {
        Self::compile(pattern, Use::Once)
    }

    fn compile(pattern: &[u8], how_often: Use) -> Result<Self, RegexError> {
        let expression = parse::parse(pattern)?;
        let automaton = Automaton::new(&expression, how_often).ok_or_else(|| {
            RegexError::new(
                0,
                "expected a smaller expression, found one that takes too much memory",
            )
        })?;
        Ok(Self(Arc::new(Inner { expression, automaton })))
    }

    /// The number of parenthesised groups.
    pub fn groups(&self) -> usize {
        self.0.expression.groups
    }

    /// About how many nanoseconds it takes to look into a text.
    pub fn cost(&self, length: usize) -> usize {
        self.0.automaton.cost(length)
    }

    /// Whether it matches somewhere in a text.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.0.automaton.is_match(text)
    }

    /// The leftmost, and of those the longest match, and what the groups matched in it: each the longest it can from left
    /// to right, the last time if it is repeated.
    ///
    /// # Errors
    /// It would take too much work, or the text is longer than [`MAX_CAPTURED`].
    pub fn captures(&self, text: &[u8]) -> Result<Option<Groups>, OutOfSteps> {
        self.captures_within(text, &mut MAX_WORK.clone())
    }

    /// As [`captures`](Self::captures), with what it may cost, in about nanoseconds; what it did cost is taken off.
    pub(crate) fn captures_within(
        &self,
        text: &[u8],
        work: &mut usize,
    ) -> Result<Option<Groups>, OutOfSteps> {
        if !self.is_match(text) {
            return Ok(None);
        }
        if text.len() > MAX_CAPTURED {
            return Err(OutOfSteps);
        }
        match self.0.automaton.find(text, work)? {
            Some(span) => submatch::groups(&self.0.expression, text, span, work).map(Some),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
