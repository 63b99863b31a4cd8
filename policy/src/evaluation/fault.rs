//! Run-time errors of conditions.

/// The longest string that a condition may join from others, in bytes.
pub(super) const MAX_TEXT: usize = 1 << 20;

/// A run-time error: the whole test of the clause in which it happens is false (RFC 2704 §5.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Division by zero: `x / 0` or `x % 0`.
    #[error("division by zero")]
    DivisionByZero,
    /// The result of arithmetic is an integer outside 32 bits, or a float that is not finite.
    #[error("a number that does not fit")]
    Overflow,
    /// The right side of `~=` is not a regular expression.
    #[error("an invalid regular expression")]
    Pattern,
    /// A string that is joined from others is longer than 1 MiB.
    #[error("a string of more than {MAX_TEXT} bytes")]
    TooLong,
    /// The conditions of the assertions cost more work than one question may.
    #[error("too much work for one question")]
    Work,
}
