//! Bounds the number of messages of one account that are worked on at once, so that one account cannot take all slots.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use countersign_ca::record::Label;

use super::lock::locked;

/// Slots for messages that are worked on: a message takes one, and each account has the same number of them.
#[derive(Debug)]
pub struct AccountSlots {
    /// How many slots an account has.
    most: usize,
    /// How many slots of each account are taken. An account without a taken slot has no entry.
    taken: Arc<Taken>,
}

type Taken = Mutex<HashMap<Label, usize>>;

/// A slot of an account, free again when dropped.
#[derive(Debug)]
pub struct AccountSlot {
    taken: Arc<Taken>,
    account: Label,
}

impl AccountSlots {
    /// Gives each account this many slots.
    pub fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// Takes a slot of an account; `None` if all of its slots are taken.
    pub fn try_acquire(&self, account: &Label) -> Option<AccountSlot> {
        let mut taken = locked(&self.taken);
        let count = taken.get(account).copied().unwrap_or(0);
        if count >= self.most {
            return None;
        }
        taken.insert(account.clone(), count.saturating_add(1));
        Some(AccountSlot { taken: Arc::clone(&self.taken), account: account.clone() })
    }
}

impl AccountSlot {
    /// The account to which this slot belongs.
    pub const fn account(&self) -> &Label {
        &self.account
    }
}

impl Drop for AccountSlot {
    fn drop(&mut self) {
        let mut taken = locked(&self.taken);
        match taken.get_mut(&self.account) {
            Some(count) if *count > 1 => *count = count.saturating_sub(1),
            _ => drop(taken.remove(&self.account)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_its_own_count_which_falls_again() {
        let (gw1, gw2): (Label, Label) = ("gw1".parse().unwrap(), "gw2".parse().unwrap());
        let all = AccountSlots::new(2);
        let first = all.try_acquire(&gw1).expect("the first");
        let second = all.try_acquire(&gw1).expect("the second");
        assert!(all.try_acquire(&gw1).is_none());
        assert!(all.try_acquire(&gw2).is_some());
        drop(first);
        let third = all.try_acquire(&gw1).expect("one has ended");
        assert!(all.try_acquire(&gw1).is_none());
        drop((second, third));
        assert!(all.taken.lock().unwrap().is_empty(), "an account that is gone leaves no entry");
    }
}
