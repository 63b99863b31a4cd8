//! What waits for the writer. It is woken once for a group, and not for each entry that joins it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Things that wait, at most so many.
pub struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    most: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// How many have to wait before the writer is woken; 0 while it works.
    wanted: usize,
    closed: bool,
}

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
        let state = State { waiting: VecDeque::new(), wanted: 0, closed: false };
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
        let is_enough = state.wanted > 0 && state.waiting.len() >= state.wanted;
        if is_enough {
            state.wanted = 0;
        }
        drop(state);
        if is_enough {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits until something waits, at most `patience`; then, for `linger` at most, until `enough` do.
    pub fn wait(&self, patience: Duration, enough: usize, linger: Duration) -> Awaited {
        let state = self.wait_for(self.lock(), 1, patience);
        if state.waiting.is_empty() {
            return if state.closed { Awaited::Closed } else { Awaited::Nothing };
        }
        drop(self.wait_for(state, enough.min(self.most), linger));
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
        self.arrived.notify_all();
    }

    fn wait_for<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<T>>,
        wanted: usize,
        patience: Duration,
    ) -> MutexGuard<'a, State<T>> {
        if state.waiting.len() >= wanted || state.closed || patience.is_zero() {
            return state;
        }
        state.wanted = wanted;
        let (mut state, _) = self
            .arrived
            .wait_timeout_while(state, patience, |state| {
                state.waiting.len() < wanted && !state.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.wanted = 0;
        state
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(1);

    #[test]
    fn it_takes_so_many_and_nothing_once_it_is_closed() {
        let queue = Queue::new(2);
        assert_eq!(queue.wait(SHORT, 1, SHORT), Awaited::Nothing);
        assert_eq!([1, 2, 3].map(|n| queue.push(n)), [Ok(()), Ok(()), Err(Refused::Full)]);
        assert_eq!(queue.take(|one| *one < 2), [1]);
        queue.close();
        assert_eq!(queue.push(4), Err(Refused::Closed));
        assert_eq!(queue.wait(LONG, 9, LONG), Awaited::Some);
        assert_eq!(queue.take(|_| true), [2]);
        assert_eq!(queue.wait(LONG, 1, LONG), Awaited::Closed);
    }

    #[test]
    fn it_waits_for_the_first_then_for_enough_or_for_the_end_of_its_patience() {
        let queue = Queue::new(64);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..5).for_each(|n| queue.push(n).unwrap()));
            assert_eq!(queue.wait(LONG, 5, LONG), Awaited::Some);
            assert_eq!(queue.take(|_| true), [0, 1, 2, 3, 4]);
            queue.push(5).unwrap();
            assert_eq!(queue.wait(LONG, 2, SHORT), Awaited::Some);
            assert_eq!(queue.take(|_| true), [5]);
            scope.spawn(|| queue.close());
            assert_eq!(queue.wait(LONG, 2, LONG), Awaited::Closed);
        });
    }
}
