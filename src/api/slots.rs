//! Slots for logins, of which one network has few: strangers in one place do not keep all others from logging in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_ca::Network;

/// The slots. Clones share them.
#[derive(Debug, Clone)]
pub struct Slots {
    most: usize,
    most_of_one: usize,
    taken: Arc<Mutex<BTreeMap<Network, usize>>>,
}

/// A slot, which is free again when this is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    network: Network,
}

impl Slots {
    /// So many slots, and so many of one network.
    pub fn new(most: usize, most_of_one: usize) -> Self {
        Self { most, most_of_one, taken: Arc::default() }
    }

    /// A slot for a client in this network; `None` if none is free for it.
    pub fn take(&self, network: Network) -> Option<Slot> {
        let mut taken = self.taken();
        let all = taken.values().fold(0_usize, |all, of_one| all.saturating_add(*of_one));
        let own = taken.get(&network).copied().unwrap_or(0);
        if all >= self.most || own >= self.most_of_one {
            return None;
        }
        taken.insert(network, own.saturating_add(1));
        Some(Slot { slots: self.clone(), network })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<Network, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        match taken.get_mut(&self.network) {
            Some(own) if *own > 1 => *own = own.saturating_sub(1),
            _ => drop(taken.remove(&self.network)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn one_network_does_not_take_all_slots() {
        let network = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
        let slots = Slots::new(3, 2);
        let first = slots.take(network("2001:db8::1")).unwrap();
        let second = slots.take(network("2001:db8::2")).unwrap();
        assert!(slots.take(network("2001:db8::3")).is_none(), "it is the same /64");
        let third = slots.take(network("192.0.2.1")).unwrap();
        assert!(slots.take(network("192.0.2.2")).is_none(), "there are three");
        drop(first);
        let fourth = slots.take(network("2001:db8::3")).unwrap();
        drop((second, third, fourth));
        assert!(slots.taken().is_empty(), "nothing is kept of who is gone");
    }
}
