//! What the thread that works on a message may do, and how many requests of one account are worked on at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_ca::record::Label;

use crate::cmp::wire::refusal::Refusal;
use crate::transport::share::Order;

/// What the thread that works on a message may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Thread {
    /// It may wait: for the disk, or for a place.
    #[default]
    MayWait,
    /// It only computes, and not for long: others wait for it.
    Computes,
    /// It is one of the few threads that derive keys from secrets, one after the other in this order: it waits for nothing longer
    /// than a place to do so.
    Derives(Order),
}

impl Thread {
    /// What comes next takes long, or waits.
    ///
    /// # Errors
    /// A refusal that has the message worked on by another thread, from the beginning. Nothing may be done before.
    pub fn waits(self) -> Result<(), Refusal> {
        match self {
            Self::MayWait => Ok(()),
            Self::Computes | Self::Derives(_) => Err(Refusal::elsewhere()),
        }
    }

    /// What comes next derives a key from a secret.
    ///
    /// # Errors
    /// As [`Self::waits`].
    pub fn derives(self) -> Result<(), Refusal> {
        match self {
            Self::MayWait | Self::Derives(_) => Ok(()),
            Self::Computes => Err(Refusal::elsewhere()),
        }
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
    use super::*;

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
