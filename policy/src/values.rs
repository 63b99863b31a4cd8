//! Compliance values (RFC 2704 §5.1.2): the possible answers, from the least trust to the most.

use std::collections::HashMap;

/// The most values in a set.
pub const MAX_VALUES: usize = 1 << 16;

/// The number of values up to which comparing with each is faster than hashing.
const FEW: usize = 8;

/// Why a list is not a set of compliance values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValuesError {
    /// The list is empty.
    #[error("expected at least one compliance value, found none")]
    Empty,
    /// This value occurs more than once.
    #[error("compliance value `{0}` stands in the order twice")]
    Twice(String),
    /// There are more than [`MAX_VALUES`] values. The number is `MAX_VALUES` + 1, because the rest are not counted.
    #[error("expected at most {MAX_VALUES} compliance values, found {0}")]
    TooMany(usize),
}

/// A set of compliance values, ordered from the least trust to the most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComplianceValues {
    names: Vec<Box<[u8]>>,
    /// All values, separated by commas.
    joined: Vec<u8>,
    /// The position of each value; `None` if there are at most [`FEW`] values.
    index: Option<HashMap<Box<[u8]>, usize>>,
}

impl ComplianceValues {
    /// Makes a set of values that are given in ascending order: the first is `_MIN_TRUST`, the last is `_MAX_TRUST`.
    ///
    /// # Errors
    /// There is no value, there are more than [`MAX_VALUES`], or one appears twice.
    pub fn new<V: AsRef<[u8]>>(values: impl IntoIterator<Item = V>) -> Result<Self, ValuesError> {
        let names: Vec<Box<[u8]>> =
            values.into_iter().take(MAX_VALUES + 1).map(|value| value.as_ref().into()).collect();
        if names.is_empty() {
            return Err(ValuesError::Empty);
        }
        if names.len() > MAX_VALUES {
            return Err(ValuesError::TooMany(names.len()));
        }
        let mut index = HashMap::with_capacity(names.len());
        for (position, name) in names.iter().enumerate() {
            if index.insert(name.clone(), position).is_some() {
                return Err(ValuesError::Twice(String::from_utf8_lossy(name).into_owned()));
            }
        }
        let joined = names.join(&b","[..]);
        let index = (names.len() > FEW).then_some(index);
        Ok(Self { names, joined, index })
    }

    /// `false`, `true`: the values that isakmpd uses.
    pub fn boolean() -> Self {
        let names: Vec<Box<[u8]>> = vec![(*b"false").into(), (*b"true").into()];
        Self { names, joined: b"false,true".to_vec(), index: None }
    }

    /// The position of a value, counted from 0; `None` if the set does not have it.
    pub fn position(&self, name: &[u8]) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(name).copied(),
            None => self.names.iter().position(|known| **known == *name),
        }
    }

    /// The value at a position; empty if there is none.
    pub fn name(&self, position: usize) -> &[u8] {
        self.names.get(position).map_or(&[], |name| name)
    }

    /// The position of `_MAX_TRUST`; `_MIN_TRUST` is at 0.
    pub fn max(&self) -> usize {
        self.names.len().saturating_sub(1)
    }

    /// `_VALUES`: all values, separated by commas.
    pub fn joined(&self) -> &[u8] {
        &self.joined
    }

    /// All values, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().map(|name| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_each_value_once() {
        assert_eq!(ComplianceValues::new::<&str>([]), Err(ValuesError::Empty));
        assert_eq!(ComplianceValues::new(["a", "b", "a"]), Err(ValuesError::Twice("a".into())));
        assert!(matches!(
            ComplianceValues::new((0..70_000).map(|n| n.to_string())),
            Err(ValuesError::TooMany(_))
        ));
    }

    #[test]
    fn few_and_many_values_are_found_alike() {
        for count in [1_usize, 8, 9, 1000] {
            let values = ComplianceValues::new((0..count).map(|n| n.to_string())).unwrap();
            for n in 0..count {
                assert_eq!(values.position(n.to_string().as_bytes()), Some(n));
                assert_eq!(values.name(n), n.to_string().as_bytes());
            }
            assert_eq!((values.position(b"x"), values.max()), (None, count - 1));
        }
        assert_eq!(ComplianceValues::new(["a", "b"]).unwrap().joined(), b"a,b");
        assert_eq!(ComplianceValues::boolean(), ComplianceValues::new(["false", "true"]).unwrap());
    }
}
