//! What waits for the writer. It is woken once for a group, and not for each entry that joins it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Things that wait, at most so many.
pub struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    most: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// What the writer waits for; `None` while it works.
    wanted: Option<Wanted>,
    /// How many are at work on something that will probably be added.
    announced: usize,
    closed: bool,
}

/// How many have to wait before the writer is woken.
#[derive(Clone, Copy)]
enum Wanted {
    /// So many.
    Count(usize),
    /// What all have to add that are at work, or so many if nobody was announced.
    All { otherwise: usize },
}

/// Somebody who will probably add something, until dropped.
pub struct Announced<T>(Arc<Queue<T>>);

/// Why something was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// As many wait as may.
    Full,
    /// Nobody takes anything any more.
    Closed,
}

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// Something waits.
    Some,
    /// Nothing came.
    Nothing,
    /// Nothing waits, and nothing will come.
    Closed,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub fn new(most: usize) -> Self {
        let state = State { waiting: VecDeque::new(), wanted: None, announced: 0, closed: false };
        Self { state: Mutex::new(state), arrived: Condvar::new(), most: most.max(1) }
    }

    /// Adds something.
    pub fn push(&self, one: T) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.waiting.len() >= self.most {
            return Err(Refused::Full);
        }
        state.waiting.push_back(one);
        self.wake(state);
        Ok(())
    }

    /// Says that something will probably be added: while others are at work, what waits already waits for them a moment.
    pub fn announce(self: &Arc<Self>) -> Announced<T> {
        let mut state = self.lock();
        state.announced = state.announced.saturating_add(1);
        Announced(Arc::clone(self))
    }

    /// Waits until something waits, at most `patience`. Then, if others are at work, until all of them have added theirs, for
    /// `at_work` at most; if nobody was announced, until `enough` wait, for `linger` at most.
    pub fn wait(
        &self,
        patience: Duration,
        (at_work, enough, linger): (Duration, usize, Duration),
    ) -> Awaited {
        let state = self.wait_for(self.lock(), Wanted::Count(1), patience);
        if state.waiting.is_empty() {
            return if state.closed { Awaited::Closed } else { Awaited::Nothing };
        }
        // When nobody is at work any more, there is nobody to wait for.
        let (most, otherwise) = match state.announced {
            0 => (linger, enough.min(self.most)),
            _ => (at_work, 1),
        };
        drop(self.wait_for(state, Wanted::All { otherwise }, most));
        Awaited::Some
    }

    /// The first of those that wait, while `take` says so.
    pub fn take(&self, mut take: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut state = self.lock();
        let count = state.waiting.iter().take_while(|one| take(one)).count();
        state.waiting.drain(..count).collect()
    }

    /// Takes nothing any more. What waits is still to be taken.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.wake(state);
    }

    fn wait_for<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<T>>,
        wanted: Wanted,
        patience: Duration,
    ) -> MutexGuard<'a, State<T>> {
        state.wanted = Some(wanted);
        if state.is_enough() || patience.is_zero() {
            state.wanted = None;
            return state;
        }
        // Whoever finds that it is enough takes back what is wanted.
        let (mut state, _) = self
            .arrived
            .wait_timeout_while(state, patience, |state| state.wanted.is_some())
            .unwrap_or_else(PoisonError::into_inner);
        state.wanted = None;
        state
    }

    /// Wakes the writer if it has what it waits for.
    fn wake(&self, mut state: MutexGuard<'_, State<T>>) {
        let is_enough = state.is_enough();
        if is_enough {
            state.wanted = None;
        }
        drop(state);
        if is_enough {
            self.arrived.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// Whether the writer waits, and has what it waits for.
    fn is_enough(&self) -> bool {
        let wanted = match self.wanted {
            None => return false,
            Some(Wanted::Count(count)) => count,
            Some(Wanted::All { otherwise }) if self.announced == 0 => otherwise,
            Some(Wanted::All { .. }) => self.announced,
        };
        self.waiting.len() >= wanted || self.closed
    }
}

/// One fewer is at work, and perhaps what the writer waits for is now there.
impl<T> Drop for Announced<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.announced = state.announced.saturating_sub(1);
        self.0.wake(state);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(1);

    #[test]
    fn it_takes_so_many_and_nothing_once_it_is_closed() {
        let queue = Queue::new(2);
        assert_eq!(queue.wait(SHORT, (SHORT, 1, SHORT)), Awaited::Nothing);
        assert_eq!([1, 2, 3].map(|n| queue.push(n)), [Ok(()), Ok(()), Err(Refused::Full)]);
        assert_eq!(queue.take(|one| *one < 2), [1]);
        queue.close();
        assert_eq!(queue.push(4), Err(Refused::Closed));
        assert_eq!(queue.wait(LONG, (LONG, 9, LONG)), Awaited::Some);
        assert_eq!(queue.take(|_| true), [2]);
        assert_eq!(queue.wait(LONG, (LONG, 1, LONG)), Awaited::Closed);
    }

    #[test]
    fn it_waits_for_the_first_then_for_enough_or_for_the_end_of_its_patience() {
        let queue = Queue::new(64);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..5).for_each(|n| queue.push(n).unwrap()));
            assert_eq!(queue.wait(LONG, (LONG, 5, LONG)), Awaited::Some);
            assert_eq!(queue.take(|_| true), [0, 1, 2, 3, 4]);
            queue.push(5).unwrap();
            assert_eq!(queue.wait(LONG, (LONG, 2, SHORT)), Awaited::Some);
            assert_eq!(queue.take(|_| true), [5]);
            scope.spawn(|| queue.close());
            assert_eq!(queue.wait(LONG, (LONG, 2, LONG)), Awaited::Closed);
        });
    }

    /// Waits as the writer does, and gives what it then has.
    fn taken(queue: &Queue<u32>, (at_work, linger): (Duration, Duration)) -> Vec<u32> {
        let began = Instant::now();
        assert_eq!(queue.wait(LONG, (at_work, 9, linger)), Awaited::Some);
        assert!(began.elapsed() < LONG / 10, "it waited until its patience ended");
        queue.take(|_| true)
    }

    #[test]
    fn it_waits_for_everybody_who_is_at_work_and_for_nobody_else() {
        let queue = Arc::new(Queue::new(64));
        let alone = queue.announce();
        queue.push(0).unwrap();
        assert_eq!(taken(&queue, (LONG, LONG)), [0]);
        drop(alone);
        let _all = [queue.announce(), queue.announce(), queue.announce()];
        queue.push(1).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| [2, 3].map(|n| queue.push(n).unwrap()));
            assert_eq!(taken(&queue, (LONG, LONG)), [1, 2, 3]);
        });
    }

    #[test]
    fn who_is_done_without_adding_anything_is_not_waited_for() {
        let queue = Arc::new(Queue::new(64));
        let [one, other] = [queue.announce(), queue.announce()];
        queue.push(1).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(other));
            assert_eq!(taken(&queue, (LONG, LONG)), [1]);
        });
        // Nor for anybody, if nobody is at work any more. They may be done before the wait begins: then it is for who lingers.
        std::thread::scope(|scope| {
            let other = queue.announce();
            queue.push(3).unwrap();
            scope.spawn(|| {
                std::thread::sleep(SHORT);
                drop((one, other));
            });
            assert_eq!(taken(&queue, (LONG, SHORT)), [3]);
        });
        let _idle = [queue.announce(), queue.announce()];
        queue.push(2).unwrap();
        assert_eq!(taken(&queue, (SHORT, LONG)), [2], "and for no longer than may be");
    }
}
