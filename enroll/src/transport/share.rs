//! What strangers share: places, and turns at work that costs much. Whoever sends little, or asks for little, is not kept out by who
//! sends and asks for much.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use countersign_ca::Network;

/// From how many senders a turn is remembered before those are forgotten that no turn depends on any more.
const REMEMBERED: usize = 1024;

/// Whose share counts: a network's. Everybody whose address is not known shares one.
pub type Sender = Option<Network>;

/// Places, of which nobody has more than are left: one sender gets half of them at most, two get a third each, and so on.
#[derive(Debug, Clone)]
pub struct Seats(Arc<Mutex<Seating>>);

#[derive(Debug)]
struct Seating {
    free: usize,
    taken: HashMap<Sender, usize>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Seats,
    sender: Sender,
}

impl Seats {
    /// So many places.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(Seating { free: count, taken: HashMap::new() })))
    }

    /// A place, if this sender may have one more.
    pub fn take(&self, sender: Sender) -> Option<Seat> {
        let mut seating = locked(&self.0);
        let own = seating.taken.get(&sender).copied().unwrap_or(0);
        if own >= seating.free {
            return None;
        }
        seating.free = seating.free.saturating_sub(1);
        seating.taken.insert(sender, own.saturating_add(1));
        Some(Seat { seats: self.clone(), sender })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seating = locked(&self.seats.0);
        seating.free = seating.free.saturating_add(1);
        match seating.taken.get_mut(&self.sender) {
            Some(own) if *own > 1 => *own = own.saturating_sub(1),
            _ => drop(seating.taken.remove(&self.sender)),
        }
    }
}

/// Whose turn it is: the lower ones come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    /// When it would be done if everybody were served alike, in units of work.
    due: u64,
    /// Of those that are due together, who came first.
    number: u64,
}

/// Places for work that costs much: whoever finds none free waits for one, and gets it in the order of [`Places::order`]. How many
/// may wait is bounded by who calls.
#[derive(Debug)]
pub struct Places {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    waiting: BTreeSet<Order>,
    /// How far the work is: the latest `due` that was served.
    served: u64,
    /// When the last work of each sender is due.
    due: HashMap<Sender, u64>,
    number: u64,
}

/// A place, given back when dropped.
pub struct Place<'a>(&'a Places);

impl Places {
    /// So many places; one at least.
    pub fn new(count: usize) -> Self {
        let (waiting, due) = (BTreeSet::new(), HashMap::new());
        let state = State { free: count.max(1), waiting, served: 0, due, number: 0 };
        Self { state: Mutex::new(state), freed: Condvar::new() }
    }

    /// When it is the turn of work that costs so much: before all that costs more and came at the same time, and, of one sender,
    /// after what that sender asked for before (self-clocked fair queueing).
    pub fn order(&self, sender: Sender, cost: u64) -> Order {
        let mut state = locked(&self.state);
        let served = state.served;
        let begins = state.due.get(&sender).copied().unwrap_or(0).max(served);
        let due = begins.saturating_add(cost.max(1));
        if state.due.len() >= REMEMBERED {
            state.due.retain(|_, due| *due > served);
        }
        state.due.insert(sender, due);
        state.number = state.number.wrapping_add(1);
        Order { due, number: state.number }
    }

    /// Waits for a place.
    pub fn take(&self, order: Order) -> Place<'_> {
        let mut state = locked(&self.state);
        state.waiting.insert(order);
        let is_late = |state: &mut State| state.free == 0 || state.waiting.first() != Some(&order);
        let waited = self.freed.wait_while(state, is_late);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting.remove(&order);
        state.free = state.free.saturating_sub(1);
        state.served = state.served.max(order.due);
        if state.free > 0 && !state.waiting.is_empty() {
            self.freed.notify_all();
        }
        Place(self)
    }

    /// A place, if one is free.
    pub fn try_take(&self) -> Option<Place<'_>> {
        let mut state = locked(&self.state);
        state.free = state.free.checked_sub(1)?;
        Some(Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = locked(&self.0.state);
        state.free = state.free.saturating_add(1);
        // Only one of those who wait is the first.
        self.0.freed.notify_all();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        let seats = Seats::new(12);
        let all = |sender| std::iter::from_fn(|| seats.take(sender)).collect::<Vec<_>>();
        let first = all(from("192.0.2.1"));
        let second = all(from("192.0.2.2"));
        let third = all(from("192.0.2.3"));
        assert_eq!([first.len(), second.len(), third.len()], [6, 3, 2]);
        // One is left for whoever has none yet.
        assert!(seats.take(from("192.0.2.1")).is_none());
        let last = seats.take(from("192.0.2.4")).expect("one is left");
        assert!(seats.take(from("192.0.2.5")).is_none());
        drop((first, second, third, last));
        assert_eq!(all(from("192.0.2.5")).len(), 6);
        assert!(seats.0.lock().unwrap().taken.is_empty(), "nothing is kept of who is gone");
        assert!(Seats::new(1).take(from("192.0.2.1")).is_some());
    }

    #[test]
    fn little_work_comes_first_and_every_sender_in_turn() {
        let places = Places::new(1);
        let (greedy, modest, other) = (from("192.0.2.1"), from("192.0.2.2"), from("192.0.2.3"));
        let flood: Vec<Order> = (0..100).map(|_| places.order(greedy, 600_000)).collect();
        assert!(flood.is_sorted(), "one sender's work is done in its order");
        let little = places.order(modest, 500);
        assert!(little < flood[0]);
        // Much work of somebody else waits for one of the flood, and not for all of it.
        let much = places.order(other, 700_000);
        assert!(flood[0] < much && much < flood[1]);
        // Who was served long ago begins where everybody else is now.
        drop(places.take(flood[50]));
        let late = places.order(modest, 500);
        assert!(flood[50] < late && late < flood[51]);
    }

    #[test]
    fn who_waits_gets_a_place_in_order() {
        let places = Places::new(1);
        let held = places.take(places.order(from("192.0.2.9"), 1));
        let served = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            // Ordered from the last to the first.
            for cost in [4_u64, 3, 2, 1] {
                let order = places.order(from(&format!("192.0.2.{cost}")), cost * 1000);
                let (places, served) = (&places, &served);
                scope.spawn(move || {
                    let _place = places.take(order);
                    served.lock().unwrap().push(cost);
                });
            }
            while locked(&places.state).waiting.len() < 4 {
                std::thread::yield_now();
            }
            drop(held);
        });
        assert_eq!(*served.lock().unwrap(), [1, 2, 3, 4]);
    }

    #[test]
    fn no_more_than_the_places_work_at_once_and_everybody_gets_one() {
        let (places, now, most, done) =
            (Places::new(2), AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for n in 0..16 {
                let (places, now, most, done) = (&places, &now, &most, &done);
                scope.spawn(move || {
                    let _place = places.take(places.order(None, n));
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
    fn what_is_remembered_of_senders_has_an_end() {
        let places = Places::new(1);
        for n in 0..10_000_u32 {
            let order = places.order(Some(IpAddr::from(n.to_be_bytes()).into()), 1);
            drop(places.take(order));
        }
        assert!(locked(&places.state).due.len() <= REMEMBERED);
    }
}
