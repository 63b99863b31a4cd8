//! What was found out about peers, for as long as nothing changes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

type Half<K, V> = HashMap<K, Arc<V>>;

/// A bounded map: when it is full, what was not asked for lately is forgotten.
pub struct Kept<K, V> {
    halves: Mutex<(Half<K, V>, Half<K, V>)>,
    half: usize,
}

impl<K: Eq + Hash + Copy, V> Kept<K, V> {
    /// A map of at most `most` values.
    pub fn new(most: usize) -> Self {
        Self { halves: Mutex::default(), half: most.div_ceil(2).max(1) }
    }

    /// A value.
    pub fn value(&self, key: &K) -> Option<Arc<V>> {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = halves.0.get(key) {
            return Some(Arc::clone(value));
        }
        let value = halves.1.remove(key)?;
        self.insert_into(&mut halves, *key, Arc::clone(&value), &|_| true);
        Some(value)
    }

    /// Keeps a value. If room is needed, values that are not `live` any more go first.
    pub fn insert(&self, key: K, value: Arc<V>, live: impl Fn(&V) -> bool) {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        halves.1.remove(&key);
        self.insert_into(&mut halves, key, value, &live);
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        let halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        halves.0.len().saturating_add(halves.1.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn insert_into(
        &self,
        halves: &mut (Half<K, V>, Half<K, V>),
        key: K,
        value: Arc<V>,
        live: &dyn Fn(&V) -> bool,
    ) {
        if halves.0.len() >= self.half {
            halves.0.retain(|_, value| live(value));
            // Only if much was freed, so that few look at them all.
            if halves.0.len() > self.half / 2 || halves.0.len() == self.half {
                halves.1 = std::mem::take(&mut halves.0);
            }
        }
        halves.0.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_bounded() {
        let kept = Kept::new(100);
        for number in 0..10_000 {
            kept.insert(number, Arc::new(number), |_| true);
            assert_eq!(kept.value(&0).as_deref(), Some(&0), "{number}");
            assert!(kept.len() <= 101, "{}", kept.len());
        }
        assert_eq!(kept.value(&9_999).as_deref(), Some(&9_999));
        assert_eq!(kept.value(&5_000), None);
        assert!(!kept.is_empty());
    }

    #[test]
    fn what_is_over_goes_before_what_is_good() {
        let kept = Kept::new(100);
        let live = |number: &u32| *number < 10;
        (0..10).for_each(|number| kept.insert(number, Arc::new(number), live));
        (10..10_000).for_each(|number| kept.insert(number, Arc::new(number), live));
        (0..10).for_each(|number| assert!(kept.value(&number).is_some(), "{number}"));
        assert!(kept.len() <= 100, "{}", kept.len());
    }
}
