//! The outcome of comparing two names.

/// How certainly two names are the same, or one lies within the other. Callers treat `Uncertain` in the cautious way: it may exclude a name
/// by name constraints, but it never permits a name, and it never joins two certificates to a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// The names differ.
    Different,
    /// A value has no comparable form, or has several.
    Uncertain,
    /// The names are the same.
    Same,
}
