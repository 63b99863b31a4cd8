//! A bounded cache that keeps what was used recently.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// SHA-256 over the inputs that a value depends on.
pub(super) type Key = [u8; 32];

type Half<V> = HashMap<Key, Arc<V>>;

/// A bounded map. It has two halves: a value that is used moves to the newer half, and when that is full, the older half is forgotten and
/// the newer one takes its place.
pub(super) struct Recent<V> {
    halves: Mutex<Halves<V>>,
    /// The most values of a half.
    half: usize,
}

struct Halves<V> {
    newer: Half<V>,
    older: Half<V>,
}

impl<V> Recent<V> {
    /// A map of at most `most` values; an odd number counts as the next even one, and 0 as 2.
    pub fn new(most: usize) -> Self {
        Self {
            halves: Mutex::new(Halves { newer: HashMap::new(), older: HashMap::new() }),
            half: most.div_ceil(2).max(1),
        }
    }

    /// The value of a key, or `None`. The value then counts as used now.
    pub fn value(&self, key: &Key) -> Option<Arc<V>> {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = halves.newer.get(key) {
            return Some(Arc::clone(value));
        }
        let value = halves.older.remove(key)?;
        self.insert_into(&mut halves, *key, Arc::clone(&value), &|_| true);
        Some(value)
    }

    /// Adds a value. If the newer half is full, its values that are not `live` are dropped first.
    pub fn insert(&self, key: Key, value: Arc<V>, live: impl Fn(&V) -> bool) {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        halves.older.remove(&key);
        self.insert_into(&mut halves, key, value, &live);
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        let halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        halves.newer.len().saturating_add(halves.older.len())
    }

    fn insert_into(
        &self,
        halves: &mut Halves<V>,
        key: Key,
        value: Arc<V>,
        live: &dyn Fn(&V) -> bool,
    ) {
        if halves.newer.len() >= self.half {
            halves.newer.retain(|_, value| live(value));
            // Unless that freed at least half of it, it becomes the older half; otherwise every insertion would look at all values.
            if halves.newer.len() > self.half / 2 || halves.newer.len() == self.half {
                halves.older = std::mem::take(&mut halves.newer);
            }
        }
        halves.newer.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        key
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_bounded() {
        let recent = Recent::new(100);
        for number in 0..10_000 {
            recent.insert(key(number), Arc::new(number), |_| true);
            assert_eq!(recent.value(&key(0)).as_deref(), Some(&0), "{number}");
            assert!(recent.len() <= 101, "{}", recent.len());
        }
        assert_eq!(recent.value(&key(9_999)).as_deref(), Some(&9_999));
        assert_eq!(recent.value(&key(5_000)), None);
    }

    #[test]
    fn what_is_over_goes_before_what_is_good() {
        let recent = Recent::new(100);
        let live = |number: &u32| *number < 10;
        (0..10).for_each(|number| recent.insert(key(number), Arc::new(number), live));
        (10..10_000).for_each(|number| recent.insert(key(number), Arc::new(number), live));
        (0..10).for_each(|number| assert!(recent.value(&key(number)).is_some(), "{number}"));
        assert!(recent.len() <= 100, "{}", recent.len());
    }
}
