//! Action attributes (RFC 2704 §3): the names and values by which a question describes the action.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// The longest name, in bytes. RFC 2704 §3 asks for 2048.
pub const MAX_NAME: usize = 2048;
/// The longest value, in bytes. RFC 2704 §3 asks for 2048.
pub const MAX_VALUE: usize = 1 << 16;
/// The most attributes in a set.
pub const MAX_ATTRIBUTES: usize = 1 << 12;

/// The number of bytes that all names and values may take together before a further value is set; replaced values count, too.
const MAX_BYTES: usize = 1 << 28;

/// Why an attribute is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// The name is not letters, digits and underscores, beginning with a letter or an underscore (RFC 2704 §3).
    #[error(
        "`{0}` is not an attribute name: it begins with a letter and goes on with letters, digits and underscores"
    )]
    Name(String),
    /// Names that begin with an underscore belong to the evaluator (RFC 2704 §3).
    #[error("`{0}` cannot be set: names that begin with `_` are the evaluator's own")]
    Reserved(String),
    /// The value holds a NUL byte (RFC 2704 §3).
    #[error("the value of `{0}` holds a NUL byte, which no attribute value may")]
    Nul(String),
    /// The name or the value is too long.
    #[error("attribute `{name}` has {length} bytes; at most {limit} are taken")]
    TooLong {
        /// The first 64 bytes of the name.
        name: String,
        /// The length of the name or the value, whichever is too long, in bytes.
        length: usize,
        /// The longest that is allowed, in bytes.
        limit: usize,
    },
    /// The set already has the most attributes or bytes that it may have.
    #[error("more than {MAX_ATTRIBUTES} attributes, or {MAX_BYTES} bytes of them")]
    TooMany,
}

/// The action attribute set of one question. Setting a name again replaces its value.
#[derive(Debug, Clone, Default)]
pub struct AttributeSet {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    table: HashTable<u32>,
}

/// An attribute: the hash of its name, and the ranges (start, end) of its name and its value in `AttributeSet::bytes`.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u64,
    name: (u32, u32),
    value: (u32, u32),
}

impl AttributeSet {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty set with room for `attributes` attributes, whose names and values have `bytes` bytes together.
    pub fn with_capacity(attributes: usize, bytes: usize) -> Self {
        let room = attributes.min(MAX_ATTRIBUTES);
        Self {
            bytes: Vec::with_capacity(bytes.min(MAX_BYTES)),
            entries: Vec::with_capacity(room),
            table: HashTable::with_capacity(room),
        }
    }

    /// Sets an attribute.
    ///
    /// # Errors
    /// The name is invalid or reserved, the value holds a NUL byte, or a bound is exceeded. The set is then unchanged.
    pub fn set(
        &mut self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), AttributeError> {
        let (name, value) = (name.as_ref(), value.as_ref());
        check(name, value)?;
        let hash = hash(name);
        let known = self.position(hash, name);
        if (known.is_none() && self.entries.len() >= MAX_ATTRIBUTES) || self.bytes.len() > MAX_BYTES
        {
            return Err(AttributeError::TooMany);
        }
        let value = self.store(value);
        match known.and_then(|position| self.entries.get_mut(position)) {
            Some(entry) => entry.value = value,
            None => {
                let name = self.store(name);
                let position = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
                self.entries.push(Entry { hash, name, value });
                let entries = &self.entries;
                self.table.insert_unique(hash, position, |&other| {
                    entries.get(other as usize).map_or(0, |entry| entry.hash)
                });
            }
        }
        Ok(())
    }

    /// The value of an attribute; `None` if it was not set.
    pub fn value(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        self.value_hashed(hash(name), name)
    }

    /// Names and values, in the order in which the names were first set.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|entry| (self.slice(entry.name), self.slice(entry.value)))
    }

    /// The number of attributes that are set.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no attribute is set.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Like [`value`](Self::value), for a caller that has already computed the [`hash`] of the name.
    pub(crate) fn value_hashed(&self, hash: u64, name: &[u8]) -> Option<&[u8]> {
        let entry = self.entries.get(self.position(hash, name)?)?;
        Some(self.slice(entry.value))
    }

    fn position(&self, hash: u64, name: &[u8]) -> Option<usize> {
        self.table
            .find(hash, |&position| {
                self.entries
                    .get(position as usize)
                    .is_some_and(|entry| entry.hash == hash && self.slice(entry.name) == name)
            })
            .map(|&position| position as usize)
    }

    fn store(&mut self, text: &[u8]) -> (u32, u32) {
        // INVARIANT: MAX_BYTES keeps the arena far below 4 GiB.
        let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(text);
        (start, u32::try_from(self.bytes.len()).unwrap_or(u32::MAX))
    }

    fn slice(&self, (start, end): (u32, u32)) -> &[u8] {
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }
}

/// The hash of an attribute name, the same in every set.
pub(crate) fn hash(name: &[u8]) -> u64 {
    FixedState::with_seed(0).hash_one(name)
}

/// Whether a text is an `<AttributeID>` (RFC 2704 §3).
pub fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

fn check(name: &[u8], value: &[u8]) -> Result<(), AttributeError> {
    let shown = || String::from_utf8_lossy(name.get(..64).unwrap_or(name)).into_owned();
    for (length, limit) in [(name.len(), MAX_NAME), (value.len(), MAX_VALUE)] {
        if length > limit {
            return Err(AttributeError::TooLong { name: shown(), length, limit });
        }
    }
    if !is_name(name) {
        return Err(AttributeError::Name(shown()));
    }
    if name.starts_with(b"_") {
        return Err(AttributeError::Reserved(shown()));
    }
    if value.contains(&0) {
        return Err(AttributeError::Nul(shown()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_name_wins_and_order_is_kept() {
        let mut set = AttributeSet::new();
        for (name, value) in [("b", "1"), ("a", "2"), ("b", "3")] {
            set.set(name, value).unwrap();
        }
        assert_eq!(set.value("b"), Some(b"3".as_slice()));
        assert_eq!(set.value("c"), None);
        assert_eq!(set.iter().map(|(name, _)| name).collect::<Vec<_>>(), [b"b", b"a"]);
    }

    #[test]
    fn names_and_values_out_of_bounds_are_refused_and_change_nothing() {
        let mut set = AttributeSet::new();
        assert!(matches!(set.set("_x", "1"), Err(AttributeError::Reserved(_))));
        for name in ["", "1a", "a-b", "a b", "\u{e9}"] {
            assert!(matches!(set.set(name, "1"), Err(AttributeError::Name(_))), "{name}");
        }
        assert!(matches!(set.set("a", "x\0y"), Err(AttributeError::Nul(_))));
        assert!(matches!(set.set("a".repeat(2049), ""), Err(AttributeError::TooLong { .. })));
        assert!(matches!(set.set("a", "x".repeat(65537)), Err(AttributeError::TooLong { .. })));
        assert!(set.is_empty());
        for n in 0..MAX_ATTRIBUTES {
            set.set(format!("a{n}"), "x").unwrap();
        }
        assert_eq!(set.set("one_more", ""), Err(AttributeError::TooMany));
        assert_eq!(set.set("a7", "y"), Ok(()));
        assert_eq!(set.len(), MAX_ATTRIBUTES);
    }
}
