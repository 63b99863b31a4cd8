//! The queue of commands for the writer thread. A group is the commands that the writer takes together; it is woken
//! once for a group, and not for each command that joins it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::announced::{Announced, Announcements};

/// A bounded queue with one reader, the writer thread.
pub struct Queue<T> {
    state: Mutex<State<T>>,
    /// Signals the writer thread that it has what it waits for.
    arrived: Condvar,
    most: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// What the writer waits for; `None` while it works.
    wanted: Option<Wanted>,
    /// The number of callers that announced a command and have not withdrawn the announcement.
    announced: usize,
    closed: bool,
}

/// The number of commands that must wait before the writer is woken.
#[derive(Clone, Copy)]
enum Wanted {
    /// The writer is woken once this many commands wait.
    Count(usize),
    /// The writer is woken once as many commands wait as are announced; if none is announced, once `otherwise` commands wait.
    All { otherwise: usize },
}

/// The bounds on how long [`Queue::wait`] waits for a group to grow.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long to wait for announced commands.
    pub announced: Duration,
    /// How many commands to wait for if none is announced.
    pub enough: usize,
    /// How long to wait for `enough` commands.
    pub linger: Duration,
}

/// The reason why a command was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The queue is full.
    Full,
    /// The queue is closed.
    Closed,
}

/// The outcome of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Commands wait.
    Some,
    /// No command came.
    Nothing,
    /// No command waits, and none will come.
    Closed,
}

impl<T> Queue<T> {
    /// An empty queue for at most `most` commands.
    pub fn new(most: usize) -> Self {
        let state = State { waiting: VecDeque::new(), wanted: None, announced: 0, closed: false };
        Self { state: Mutex::new(state), arrived: Condvar::new(), most: most.max(1) }
    }

    /// Adds a command.
    ///
    /// # Errors
    /// [`Refused`] when the queue is full or closed.
    pub fn push(&self, command: T) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.waiting.len() >= self.most {
            return Err(Refused::Full);
        }
        state.waiting.push_back(command);
        self.wake(state);
        Ok(())
    }

    /// Waits at most `idle` for a first command. Then waits for further commands of the same group: while commands are announced, until
    /// each announced caller has added one; otherwise until there are enough. `patience` bounds both.
    pub fn wait(&self, idle: Duration, patience: Patience) -> Woken {
        let state = self.wait_for(self.lock(), Wanted::Count(1), idle);
        if state.waiting.is_empty() {
            return if state.closed { Woken::Closed } else { Woken::Nothing };
        }
        // When the last announcement is withdrawn during the wait, one command is enough.
        let (longest, otherwise) = match state.announced {
            0 => (patience.linger, patience.enough.min(self.most)),
            _ => (patience.announced, 1),
        };
        drop(self.wait_for(state, Wanted::All { otherwise }, longest));
        Woken::Some
    }

    /// Removes the first commands from the queue, as long as `take` returns true for them, and returns them.
    pub fn take(&self, mut take: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut state = self.lock();
        let count = state.waiting.iter().take_while(|command| take(command)).count();
        state.waiting.drain(..count).collect()
    }

    /// Refuses commands from now on. Those that wait can still be taken.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.wake(state);
    }

    fn wait_for<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<T>>,
        wanted: Wanted,
        longest: Duration,
    ) -> MutexGuard<'a, State<T>> {
        state.wanted = Some(wanted);
        if state.is_enough() || longest.is_zero() {
            state.wanted = None;
            return state;
        }
        // The caller whose change suffices sets `wanted` to `None`, so that others do not signal again, and a spurious
        // wake-up is noticed.
        let (mut state, _) = self
            .arrived
            .wait_timeout_while(state, longest, |state| state.wanted.is_some())
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
        // Before the signal, so that the writer does not wake up only to wait for the lock.
        drop(state);
        if is_enough {
            self.arrived.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Queue<T> {
    /// Announces a command. Until the announcement is dropped, the writer thread delays the present commands for a moment, so that it can
    /// record this one together with them.
    pub fn announce(self: &Arc<Self>) -> Announced {
        let mut state = self.lock();
        state.announced = state.announced.saturating_add(1);
        drop(state);
        let announcements: Arc<dyn Announcements> = Arc::<Self>::clone(self);
        Announced::new(announcements)
    }
}

impl<T: Send> Announcements for Queue<T> {
    /// With one announcement less, the writer may have what it waits for.
    fn withdraw(&self) {
        let mut state = self.lock();
        state.announced = state.announced.saturating_sub(1);
        self.wake(state);
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(1);

    fn patience(announced: Duration, enough: usize, linger: Duration) -> Patience {
        Patience { announced, enough, linger }
    }

    #[test]
    fn it_takes_so_many_and_nothing_once_it_is_closed() {
        let queue = Queue::new(2);
        assert_eq!(queue.wait(SHORT, patience(SHORT, 1, SHORT)), Woken::Nothing);
        assert_eq!([1, 2, 3].map(|n| queue.push(n)), [Ok(()), Ok(()), Err(Refused::Full)]);
        assert_eq!(queue.take(|one| *one < 2), [1]);
        queue.close();
        assert_eq!(queue.push(4), Err(Refused::Closed));
        assert_eq!(queue.wait(LONG, patience(LONG, 9, LONG)), Woken::Some);
        assert_eq!(queue.take(|_| true), [2]);
        assert_eq!(queue.wait(LONG, patience(LONG, 1, LONG)), Woken::Closed);
    }

    #[test]
    fn it_waits_for_the_first_then_for_enough_or_for_the_end_of_its_patience() {
        let queue = Queue::new(64);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..5).for_each(|n| queue.push(n).unwrap()));
            assert_eq!(queue.wait(LONG, patience(LONG, 5, LONG)), Woken::Some);
            assert_eq!(queue.take(|_| true), [0, 1, 2, 3, 4]);
            queue.push(5).unwrap();
            assert_eq!(queue.wait(LONG, patience(LONG, 2, SHORT)), Woken::Some);
            assert_eq!(queue.take(|_| true), [5]);
            scope.spawn(|| queue.close());
            assert_eq!(queue.wait(LONG, patience(LONG, 2, LONG)), Woken::Closed);
        });
    }

    /// Waits as the writer does, and gives what it then has.
    fn taken(queue: &Queue<u32>, announced: Duration, linger: Duration) -> Vec<u32> {
        let began = Instant::now();
        assert_eq!(queue.wait(LONG, patience(announced, 9, linger)), Woken::Some);
        assert!(began.elapsed() < LONG / 10, "it waited until its patience ended");
        queue.take(|_| true)
    }

    #[test]
    fn it_waits_for_everybody_who_is_at_work_and_for_nobody_else() {
        let queue = Arc::new(Queue::new(64));
        let alone = queue.announce();
        queue.push(0).unwrap();
        assert_eq!(taken(&queue, LONG, LONG), [0]);
        drop(alone);
        let _all = [queue.announce(), queue.announce(), queue.announce()];
        queue.push(1).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| [2, 3].map(|n| queue.push(n).unwrap()));
            assert_eq!(taken(&queue, LONG, LONG), [1, 2, 3]);
        });
    }

    #[test]
    fn who_is_done_without_adding_anything_is_not_waited_for() {
        let queue = Arc::new(Queue::new(64));
        let [one, other] = [queue.announce(), queue.announce()];
        queue.push(1).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(other));
            assert_eq!(taken(&queue, LONG, LONG), [1]);
        });
        // When the last announcement is withdrawn, the wait ends. If that happens before the wait begins, the writer
        // lingers instead.
        std::thread::scope(|scope| {
            let other = queue.announce();
            queue.push(3).unwrap();
            scope.spawn(|| {
                std::thread::sleep(SHORT);
                drop((one, other));
            });
            assert_eq!(taken(&queue, LONG, SHORT), [3]);
        });
        let _idle = [queue.announce(), queue.announce()];
        queue.push(2).unwrap();
        assert_eq!(taken(&queue, SHORT, LONG), [2], "and for no longer than may be");
    }
}
