//! Slots for connections: a bound on all connections of a listener, and on those of one address (an IPv6 /64 counts as one).
//!
//! If there is no free slot, another connection that is idle, or makes the server wait, is ended to make room, so that a client that opens
//! many connections and sends nothing cannot keep others out.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use countersign_ca::Network;

/// The activity of a connection, which decides whether it may be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Activity {
    /// The server waits for the next request. In LDAP, it may also wait for the rest of one.
    Idle,
    /// The server waits for the client to send the rest of a request, or to read an answer.
    Waiting,
    /// The server works on a request.
    Working,
}

/// Why a connection gets no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The address has the most connections that one address may have, and none of them is idle.
    Address,
    /// All slots are taken, and no connection may be ended.
    All,
}

/// The slots of a listener.
pub struct ConnectionSlots {
    most: usize,
    /// The most connections of one address.
    most_of_one: usize,
    began: Instant,
    state: Mutex<SlotTable>,
}

/// The connections that have slots, by number.
#[derive(Default)]
struct SlotTable {
    connections: HashMap<u64, Arc<Connection>>,
    /// The number of connections of each address (an IPv6 /64 is one).
    of_one: HashMap<Network, usize>,
    next: u64,
    /// The number of connections that were ended to make room.
    ended: u64,
}

/// The state of a connection, which the table of slots and the connection's own task share.
struct Connection {
    network: Network,
    activity: AtomicU8,
    /// The time when the activity was last noted, in milliseconds since the slots were made.
    since: AtomicU64,
    is_ended: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Connection {
    fn is(&self, activity: Activity) -> bool {
        self.activity.load(Ordering::Relaxed) == activity as u8
    }

    fn end(&self) {
        self.is_ended.store(true, Ordering::Release);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl SlotTable {
    fn forget(&mut self, number: u64) -> Option<Arc<Connection>> {
        let connection = self.connections.remove(&number)?;
        if let Some(own) = self.of_one.get_mut(&connection.network) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.of_one.remove(&connection.network);
            }
        }
        Some(connection)
    }

    /// Ends one of the connections that `may_end` allows. `may_end` is called with a connection and the number of connections of its
    /// address. An idle connection is ended first; then one of the address with the most connections; then the one whose activity was
    /// noted first. Returns false if no connection may be ended.
    fn end_one(&mut self, may_end: impl Fn(&Connection, usize) -> bool) -> bool {
        let rank = |(number, connection): (&u64, &Arc<Connection>)| {
            let count = self.of_one.get(&connection.network).copied().unwrap_or_default();
            let oldest = Reverse((connection.since.load(Ordering::Relaxed), *number));
            may_end(connection, count).then_some((connection.is(Activity::Idle), count, oldest))
        };
        let found = self.connections.iter().filter_map(rank).max();
        let Some((_, _, Reverse((_, number)))) = found else { return false };
        if let Some(connection) = self.forget(number) {
            connection.end();
            self.ended = self.ended.saturating_add(1);
        }
        true
    }
}

impl ConnectionSlots {
    /// Slots for at most `most` connections, and at most `most_of_one` of one address.
    pub fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        let began = Instant::now();
        Arc::new(Self { most, most_of_one, began, state: Mutex::default() })
    }

    /// Takes a slot for a connection from this address. If the address already has the most connections that it may have, one of its own
    /// idle connections is ended. If all slots are taken, one of any address is ended: an idle one, or else one that makes the server
    /// wait, of an address with more connections.
    ///
    /// # Errors
    /// [`Full`] if no connection may be ended.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Result<ConnectionSlot, Full> {
        let network = Network::from(address);
        let mut state = self.lock();
        let own = state.of_one.get(&network).copied().unwrap_or_default();
        if own >= self.most_of_one {
            let is_own = |connection: &Connection, _| {
                connection.network == network && connection.is(Activity::Idle)
            };
            if !state.end_one(is_own) {
                return Err(Full::Address);
            }
        } else if state.connections.len() >= self.most {
            let waits = |connection: &Connection, count| {
                connection.is(Activity::Idle)
                    || (connection.is(Activity::Waiting) && count > own.saturating_add(1))
            };
            if !state.end_one(waits) {
                return Err(Full::All);
            }
        }
        let connection = Arc::new(Connection {
            network,
            activity: AtomicU8::new(Activity::Idle as u8),
            since: AtomicU64::new(self.now()),
            is_ended: AtomicBool::new(false),
            waker: Mutex::default(),
        });
        let number = state.next;
        state.next = number.wrapping_add(1);
        state.connections.insert(number, Arc::clone(&connection));
        let own = state.of_one.entry(network).or_default();
        *own = own.saturating_add(1);
        drop(state);
        Ok(ConnectionSlot { slots: Arc::clone(self), number, connection })
    }

    /// Ends the connections that have been idle for longer than `patience`.
    pub fn end_idle(&self, patience: Duration) {
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let Some(before) = self.now().checked_sub(patience) else { return };
        let mut state = self.lock();
        let is_over = |connection: &Connection| {
            connection.is(Activity::Idle) && connection.since.load(Ordering::Relaxed) < before
        };
        let over: Vec<u64> = state
            .connections
            .iter()
            .filter(|(_, connection)| is_over(connection))
            .map(|(n, _)| *n)
            .collect();
        let over: Vec<_> = over.into_iter().filter_map(|number| state.forget(number)).collect();
        drop(state);
        over.iter().for_each(|connection| connection.end());
    }

    /// The number of slots that are taken.
    pub fn taken(&self) -> usize {
        self.lock().connections.len()
    }

    /// The number of connections that were ended since the start to make room for others.
    pub fn given_up(&self) -> u64 {
        self.lock().ended
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, SlotTable> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's slot. Dropping it frees the slot.
pub struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    number: u64,
    connection: Arc<Connection>,
}

impl ConnectionSlot {
    /// Notes the present activity of the connection.
    pub fn note(&self, activity: Activity) {
        self.connection.since.store(self.slots.now(), Ordering::Relaxed);
        self.connection.activity.store(activity as u8, Ordering::Relaxed);
    }

    /// Whether the connection must end, to make room or because it was idle for too long. If not, the task of `context` is woken when it
    /// must.
    pub fn is_ended(&self, context: &Context<'_>) -> bool {
        if !self.connection.is_ended.load(Ordering::Acquire) {
            let mut waker = self.connection.waker.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *waker {
                Some(known) => known.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
        }
        // Checked again, because the flag may have been set before the waker was stored.
        self.connection.is_ended.load(Ordering::Acquire)
    }

    /// Waits until the connection must end, to make room or because it was idle for too long.
    pub async fn ended(&self) {
        poll_fn(|context| match self.is_ended(context) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.slots.lock().forget(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn is_ended(slot: &ConnectionSlot) -> bool {
        slot.is_ended(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn an_address_has_its_share_and_its_idle_connections_end_first() {
        let slots = ConnectionSlots::new(100, 2);
        let (first, second) = (slots.take(v4(1)).unwrap(), slots.take(v4(1)).unwrap());
        second.note(Activity::Working);
        // Only the idle one is ended.
        let other = slots.take(v4(2)).unwrap();
        let third = slots.take(v4(1)).unwrap();
        assert!(is_ended(&first) && !is_ended(&second) && !is_ended(&other));
        third.note(Activity::Waiting);
        assert_eq!(slots.take(v4(1)).err(), Some(Full::Address));
        assert_eq!((slots.taken(), slots.given_up()), (3, 1));
        // What was ended and is dropped only now does not count twice.
        drop(first);
        assert_eq!(slots.taken(), 3);
        drop((second, third));
        assert!(slots.take(v4(1)).is_ok());
    }

    #[test]
    fn when_places_run_out_the_address_with_the_most_idle_ones_gives_one_up() {
        let slots = ConnectionSlots::new(5, 4);
        let many: Vec<_> = (0..4).map(|_| slots.take(v4(1)).unwrap()).collect();
        let one = slots.take(v4(2)).unwrap();
        let newcomer = slots.take(v4(3)).unwrap();
        assert!(is_ended(&many[0]) && !is_ended(&one));
        newcomer.note(Activity::Working);
        one.note(Activity::Working);
        // Connections that make the server wait are ended only for a client with fewer.
        many[1..].iter().for_each(|slot| slot.note(Activity::Waiting));
        let second = slots.take(v4(4)).unwrap();
        second.note(Activity::Working);
        assert_eq!(many.iter().filter(|slot| is_ended(slot)).count(), 2);
        let third = slots.take(v4(4)).err();
        assert_eq!(third, Some(Full::All), "one of two waits, and the newcomer has one already");
    }

    #[test]
    fn idle_connections_end_after_a_while() {
        let slots = ConnectionSlots::new(5, 5);
        let (idle, busy) = (slots.take(v4(1)).unwrap(), slots.take(v4(1)).unwrap());
        busy.note(Activity::Working);
        std::thread::sleep(Duration::from_millis(5));
        slots.end_idle(Duration::from_secs(3600));
        assert!(!is_ended(&idle));
        slots.end_idle(Duration::ZERO);
        assert!(is_ended(&idle) && !is_ended(&busy));
        assert_eq!(slots.taken(), 1);
    }
}
