//! How much is worked on at once: keys derived from secrets, keys that are made here, and requests of one account.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use countersign_ca::record::Label;

use super::refusal::Refusal;

/// What the thread that works on a message may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Thread {
    /// It may wait: for the disk, or for a place.
    #[default]
    MayWait,
    /// It only computes, and not for long: others wait for it.
    Computes,
    /// It is one of the few threads that derive keys from secrets, one after the other: it waits for nothing longer than a place to do
    /// so, or the record of a lock.
    Derives,
}

impl Thread {
    /// What comes next takes long, or waits.
    ///
    /// # Errors
    /// A refusal that has the message worked on by another thread, from the beginning. Nothing may be done before.
    pub fn waits(self) -> Result<(), Refusal> {
        match self {
            Self::MayWait => Ok(()),
            Self::Computes | Self::Derives => Err(Refusal::elsewhere()),
        }
    }

    /// What comes next derives a key from a secret.
    ///
    /// # Errors
    /// As [`Self::waits`].
    pub fn derives(self) -> Result<(), Refusal> {
        match self {
            Self::MayWait | Self::Derives => Ok(()),
            Self::Computes => Err(Refusal::elsewhere()),
        }
    }
}

/// Places for work that costs much: whoever finds none free waits for one. How many may wait is bounded by who calls.
#[derive(Debug)]
pub struct Places {
    free: Mutex<usize>,
    freed: Condvar,
}

/// A place, given back when dropped.
pub struct Place<'a>(&'a Places);

impl Places {
    /// So many places; one at least.
    pub fn new(count: usize) -> Self {
        Self { free: Mutex::new(count.max(1)), freed: Condvar::new() }
    }

    /// Waits for a place.
    pub fn take(&self) -> Place<'_> {
        let free = locked(&self.free);
        let free = self.freed.wait_while(free, |free| *free == 0);
        let mut free = free.unwrap_or_else(PoisonError::into_inner);
        *free = free.saturating_sub(1);
        Place(self)
    }

    /// A place, if one is free.
    pub fn try_take(&self) -> Option<Place<'_>> {
        let mut free = locked(&self.free);
        *free = free.checked_sub(1)?;
        Some(Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut free = locked(&self.0.free);
        *free = free.saturating_add(1);
        self.0.freed.notify_one();
    }
}

/// How many requests of each account are worked on.
#[derive(Debug)]
pub struct InFlight {
    most: usize,
    counts: Arc<Counts>,
}

type Counts = Mutex<HashMap<Label, usize>>;

/// A request that is worked on, until dropped.
#[derive(Debug)]
pub struct Working {
    counts: Arc<Counts>,
    account: Label,
}

impl InFlight {
    /// At most `most` of each account.
    pub fn new(most: usize) -> Self {
        Self { most, counts: Arc::default() }
    }

    /// Begins a request; `None` if too many of the account are worked on.
    pub fn begin(&self, account: &Label) -> Option<Working> {
        let mut counts = locked(&self.counts);
        let count = counts.get(account).copied().unwrap_or(0);
        if count >= self.most {
            return None;
        }
        counts.insert(account.clone(), count.saturating_add(1));
        Some(Working { counts: Arc::clone(&self.counts), account: account.clone() })
    }
}

impl Working {
    /// Whose it is.
    pub const fn account(&self) -> &Label {
        &self.account
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut counts = locked(&self.counts);
        match counts.get_mut(&self.account) {
            Some(count) if *count > 1 => *count = count.saturating_sub(1),
            _ => drop(counts.remove(&self.account)),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_more_than_the_places_work_at_once_and_everybody_gets_one() {
        let (places, now, most, done) =
            (Places::new(2), AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let _place = places.take();
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!((most.into_inner() <= 2, done.into_inner()), (true, 16));
    }

    #[test]
    fn who_does_not_wait_gets_a_place_or_none() {
        let places = Places::new(1);
        let place = places.try_take().expect("it is free");
        assert!(places.try_take().is_none());
        drop(place);
        assert!(places.try_take().is_some());
    }

    #[test]
    fn an_account_has_its_own_count_which_falls_again() {
        let (gw1, gw2): (Label, Label) = ("gw1".parse().unwrap(), "gw2".parse().unwrap());
        let all = InFlight::new(2);
        let first = all.begin(&gw1).expect("the first");
        let second = all.begin(&gw1).expect("the second");
        assert!(all.begin(&gw1).is_none());
        assert!(all.begin(&gw2).is_some());
        drop(first);
        let third = all.begin(&gw1).expect("one has ended");
        assert!(all.begin(&gw1).is_none());
        drop((second, third));
        assert!(all.counts.lock().unwrap().is_empty(), "nothing is kept of who is gone");
    }
}
