//! Values that were read from the database recently. A look-up in the database takes a microsecond, or ten if the page is on disk only;
//! every enrolment looks up the same account several times.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::keys::Key;

/// The most octets of keys and values.
const MOST: usize = 2 << 20;

/// A copy of the values of the database that were read recently.
#[derive(Default)]
pub struct Hot(Mutex<Copied>);

#[derive(Default)]
struct Copied {
    values: HashMap<Key, Vec<u8>>,
    octets: usize,
    generation: Generation,
}

/// The number of times that the database was changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Generation(u64);

impl Hot {
    /// The value of a key.
    ///
    /// # Errors
    /// The generation in which it is not copied: read it from the database, and [`Self::keep`] it.
    pub fn value(&self, key: &[u8]) -> Result<Vec<u8>, Generation> {
        let copied = self.lock();
        copied.values.get(key).cloned().ok_or(copied.generation)
    }

    /// Keeps a value that was read from the database after [`Self::value`] returned this generation. If the database was changed since,
    /// the value may be outdated.
    pub fn keep(&self, generation: Generation, key: &[u8], value: &[u8]) {
        let mut copied = self.lock();
        if copied.generation != generation {
            return;
        }
        let octets = key.len().saturating_add(value.len());
        if copied.octets.saturating_add(octets) > MOST {
            copied.values.clear();
            copied.octets = 0;
        }
        if octets <= MOST && copied.values.insert(key.to_vec(), value.to_vec()).is_none() {
            copied.octets = copied.octets.saturating_add(octets);
        }
    }

    /// Forgets these keys, after the database was changed.
    pub fn forget<'a>(&self, keys: impl Iterator<Item = &'a Key>) {
        let mut copied = self.lock();
        copied.generation.0 += 1;
        for key in keys {
            if let Some(value) = copied.values.remove(key) {
                copied.octets = copied.octets.saturating_sub(key.len().saturating_add(value.len()));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Copied> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_before_a_change_is_not_kept() {
        let (hot, key) = (Hot::default(), b"k".to_vec());
        let before = hot.value(&key).unwrap_err();
        hot.forget([&key].into_iter());
        hot.keep(before, &key, b"old");
        let now = hot.value(&key).unwrap_err();
        assert_ne!(now, before);
        hot.keep(now, &key, b"new");
        assert_eq!(hot.value(&key), Ok(b"new".to_vec()));
        hot.forget([&key].into_iter());
        assert!(hot.value(&key).is_err());
    }

    #[test]
    fn it_stays_bounded() {
        let hot = Hot::default();
        let now = hot.value(b"").unwrap_err();
        for number in 0..5000_u64 {
            hot.keep(now, &number.to_be_bytes(), &[7; 1000]);
            assert!(hot.lock().octets <= MOST);
        }
        hot.keep(now, b"large", &vec![7; MOST]);
        assert!(hot.value(b"large").is_err());
    }
}
