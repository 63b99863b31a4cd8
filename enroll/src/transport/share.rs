//! Fair shares for senders: slots for requests, and permits for expensive work. A sender of few or cheap requests is not kept out by a
//! sender of many or expensive ones.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use countersign_ca::Network;

use super::lock::locked;

/// From this number of remembered senders on, senders whose work was all served are forgotten.
const REMEMBERED: usize = 1024;

/// The network that requests come from: the unit of fair sharing. `None` stands for all requests without a known address together.
pub type Sender = Option<Network>;

/// Slots for requests that are worked on. A sender gets one more only while more are free than it has: A single sender gets at most half
/// of them (rounded up); two senders that take slots in turn get about a third each, and so on. Clones share the slots.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Mutex<Occupancy>>);

#[derive(Debug)]
struct Occupancy {
    free: usize,
    /// How many slots each sender has taken. A sender without one has no entry.
    taken: HashMap<Sender, usize>,
}

/// A slot, free again when dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    sender: Sender,
}

impl Slots {
    /// Creates this many slots.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(Occupancy { free: count, taken: HashMap::new() })))
    }

    /// Takes a slot; `None` if this sender may have no further one now.
    pub fn try_acquire(&self, sender: Sender) -> Option<Slot> {
        let mut occupancy = locked(&self.0);
        let own = occupancy.taken.get(&sender).copied().unwrap_or(0);
        if own >= occupancy.free {
            return None;
        }
        occupancy.free = occupancy.free.saturating_sub(1);
        occupancy.taken.insert(sender, own.saturating_add(1));
        Some(Slot { slots: self.clone(), sender })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut occupancy = locked(&self.slots.0);
        occupancy.free = occupancy.free.saturating_add(1);
        match occupancy.taken.get_mut(&self.sender) {
            Some(own) if *own > 1 => *own = own.saturating_sub(1),
            _ => drop(occupancy.taken.remove(&self.sender)),
        }
    }
}

/// The position of a piece of work in the queue of a [`FairSemaphore`]. Lower ranks are served first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// The time, in units of work, at which the work would be finished if all senders were served at the same rate.
    due: u64,
    /// The number of the arrival. Of work that is due at the same time, the earliest arrival is served first.
    number: u64,
}

/// A semaphore for expensive work. Threads that find no permit free wait for one, and get it in the order of their [`Rank`]s. The
/// caller bounds how many threads wait.
#[derive(Debug)]
pub struct FairSemaphore {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    waiting: BTreeSet<Rank>,
    /// The latest `due` that was served: the virtual time of the queue.
    served: u64,
    /// The `due` of the last work of each sender that is remembered.
    due: HashMap<Sender, u64>,
    number: u64,
}

/// A permit for expensive work, given back when dropped.
pub struct Permit<'a>(&'a FairSemaphore);

impl FairSemaphore {
    /// Creates a semaphore with this many permits, but at least with one.
    pub fn new(permits: usize) -> Self {
        let (waiting, due) = (BTreeSet::new(), HashMap::new());
        let state = State { free: permits.max(1), waiting, served: 0, due, number: 0 };
        Self { state: Mutex::new(state), freed: Condvar::new() }
    }

    /// Ranks a piece of work that costs this many units of work (for a MAC: iterations), after earlier work of the same sender. Of two
    /// pieces that arrive at the same time from senders without earlier work, the cheaper one comes first (self-clocked fair queueing).
    pub fn rank(&self, sender: Sender, cost: u64) -> Rank {
        let mut state = locked(&self.state);
        let served = state.served;
        let begins = state.due.get(&sender).copied().unwrap_or(0).max(served);
        let due = begins.saturating_add(cost.max(1));
        if state.due.len() >= REMEMBERED {
            // Work of a sender that is due no later than `served` begins at `served` anyway: its entry says nothing more.
            state.due.retain(|_, due| *due > served);
        }
        state.due.insert(sender, due);
        state.number = state.number.wrapping_add(1);
        Rank { due, number: state.number }
    }

    /// Waits for a permit, which the waiting threads get in the order of their ranks.
    pub fn acquire(&self, rank: Rank) -> Permit<'_> {
        let mut state = locked(&self.state);
        state.waiting.insert(rank);
        let must_wait = |state: &mut State| state.free == 0 || state.waiting.first() != Some(&rank);
        let waited = self.freed.wait_while(state, must_wait);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting.remove(&rank);
        state.free = state.free.saturating_sub(1);
        state.served = state.served.max(rank.due);
        // The next in the queue may have been woken while this thread was still the first, and have gone back to sleep.
        if state.free > 0 && !state.waiting.is_empty() {
            self.freed.notify_all();
        }
        Permit(self)
    }

    /// How many senders are remembered.
    #[cfg(test)]
    pub fn remembered(&self) -> usize {
        locked(&self.state).due.len()
    }

    /// Takes a permit if one is free, without waiting, even if threads wait for a permit; else `None`.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        let mut state = locked(&self.state);
        state.free = state.free.checked_sub(1)?;
        Some(Permit(self))
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = locked(&self.0.state);
        state.free = state.free.saturating_add(1);
        // All are woken, because a condition variable cannot wake the first in rank alone; the others go back to sleep.
        self.0.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn from(address: &str) -> Sender {
        Some(address.parse::<IpAddr>().unwrap().into())
    }

    #[test]
    fn nobody_has_more_places_than_are_left() {
        let slots = Slots::new(12);
        let all = |sender| std::iter::from_fn(|| slots.try_acquire(sender)).collect::<Vec<_>>();
        let first = all(from("192.0.2.1"));
        let second = all(from("192.0.2.2"));
        let third = all(from("192.0.2.3"));
        assert_eq!([first.len(), second.len(), third.len()], [6, 3, 2]);
        // One is left for a sender that has none yet.
        assert!(slots.try_acquire(from("192.0.2.1")).is_none());
        let last = slots.try_acquire(from("192.0.2.4")).expect("one is left");
        assert!(slots.try_acquire(from("192.0.2.5")).is_none());
        drop((first, second, third, last));
        assert_eq!(all(from("192.0.2.5")).len(), 6);
        assert!(slots.0.lock().unwrap().taken.is_empty(), "a sender that is gone leaves no entry");
        assert!(Slots::new(1).try_acquire(from("192.0.2.1")).is_some());
    }

    #[test]
    fn little_work_comes_first_and_every_sender_in_turn() {
        let permits = FairSemaphore::new(1);
        let (greedy, modest, other) = (from("192.0.2.1"), from("192.0.2.2"), from("192.0.2.3"));
        let flood: Vec<Rank> = (0..100).map(|_| permits.rank(greedy, 600_000)).collect();
        assert!(flood.is_sorted(), "one sender's work is done in its order");
        let little = permits.rank(modest, 500);
        assert!(little < flood[0]);
        // Expensive work of another sender waits for one piece of the flood, and not for all of it.
        let much = permits.rank(other, 700_000);
        assert!(flood[0] < much && much < flood[1]);
        // A sender that was served long ago begins where the others are now.
        drop(permits.acquire(flood[50]));
        let late = permits.rank(modest, 500);
        assert!(flood[50] < late && late < flood[51]);
    }

    #[test]
    fn who_waits_gets_a_place_in_order() {
        let permits = FairSemaphore::new(1);
        let held = permits.acquire(permits.rank(from("192.0.2.9"), 1));
        let served = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            // They arrive in the reverse order of their ranks.
            for cost in [4_u64, 3, 2, 1] {
                let rank = permits.rank(from(&format!("192.0.2.{cost}")), cost * 1000);
                let (permits, served) = (&permits, &served);
                scope.spawn(move || {
                    let _permit = permits.acquire(rank);
                    served.lock().unwrap().push(cost);
                });
            }
            while locked(&permits.state).waiting.len() < 4 {
                std::thread::yield_now();
            }
            drop(held);
        });
        assert_eq!(*served.lock().unwrap(), [1, 2, 3, 4]);
    }

    #[test]
    fn no_more_than_the_places_work_at_once_and_everybody_gets_one() {
        let (permits, now, most, done) =
            (FairSemaphore::new(2), AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for n in 0..16 {
                let (permits, now, most, done) = (&permits, &now, &most, &done);
                scope.spawn(move || {
                    let _permit = permits.acquire(permits.rank(None, n));
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
        let permits = FairSemaphore::new(1);
        let permit = permits.try_acquire().expect("it is free");
        assert!(permits.try_acquire().is_none());
        drop(permit);
        assert!(permits.try_acquire().is_some());
    }

    #[test]
    fn what_is_remembered_of_senders_has_an_end() {
        let permits = FairSemaphore::new(1);
        for n in 0..10_000_u32 {
            let rank = permits.rank(Some(IpAddr::from(n.to_be_bytes()).into()), 1);
            drop(permits.acquire(rank));
        }
        assert!(permits.remembered() <= REMEMBERED);
    }
}
