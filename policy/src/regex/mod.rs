//! POSIX extended regular expressions (IEEE Std 1003.1, chapter 9) over bytes, for KeyNote's `~=`.
//!
//! Matching is leftmost-longest, unanchored, case-sensitive, and in the C locale; `.` and negated brackets match a newline, and `^`
//! and `$` match only at the ends of the text. Syntax that POSIX does not have, such as back-references and escapes of other dialects, is
//! refused with a reason. An automaton of `regex-automata` finds in linear time whether a text matches. The texts of groups are found
//! by our own code, with bounded work, because no library follows the POSIX rule for them.

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

/// The longest text in which groups are matched, in bytes. RFC 2704 §3 requires 2048.
pub const MAX_CAPTURED: usize = 4096;

/// The most work of [`Regex::captures`], in about nanoseconds.
const MAX_WORK: usize = 1 << 27;

/// A compiled regular expression. Clones share one allocation.
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
    /// It is not a POSIX extended regular expression, or takes too much memory.
    pub fn new(pattern: &[u8]) -> Result<Self, RegexError> {
        Self::compile(pattern, Use::Often)
    }

    /// Compiles a pattern that will be used once: compiling is fast, matching is slower.
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

    /// The time, in about nanoseconds, that a search takes in a text of this length (in bytes).
    pub fn cost(&self, length: usize) -> usize {
        self.0.automaton.cost(length)
    }

    /// Whether the expression matches anywhere in a text.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.0.automaton.is_match(text)
    }

    /// The range of the longest of the leftmost matches, and of each group in it; `None` if the expression does not match. From left to
    /// right, each group matches as much as it can; for a repeated group, the last repetition counts.
    ///
    /// # Errors
    /// It would take too much work, or the text is longer than [`MAX_CAPTURED`].
    pub fn captures(&self, text: &[u8]) -> Result<Option<Groups>, OutOfSteps> {
        self.captures_within(text, &mut MAX_WORK.clone())
    }

    /// Like [`captures`](Self::captures), with a bound on the work in about nanoseconds, from which the actual cost is subtracted.
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
