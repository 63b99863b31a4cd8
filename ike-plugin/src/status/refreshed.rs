//! Values that worker threads fetch again before they expire, so that a decision does not wait for the network. The caches of CRLs and of OCSP
//! answers are built on it.
//!
//! A worker takes the slot that is due first, fetches without holding the lock, and puts the result into the slot. After a failure it retries
//! with increasing pauses. A fetch that panics counts as a failure, and the worker continues.

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many worker threads each cache has. A server that is silent holds up one of them.
const WORKERS: usize = 4;
/// The time before the second attempt at a fetch that failed. It doubles with each further one, up to `MAX_RETRY`.
const RETRY: Duration = Duration::from_secs(10);
/// The longest time between two attempts after failures.
const MAX_RETRY: Duration = Duration::from_secs(600);
/// The shortest pause after a fetch that succeeded, except that the cache of CRLs takes up to a tenth off.
pub const MIN_REFRESH: Duration = Duration::from_secs(2);
/// The longest pause after a fetch that brought a value which does not count any more, or has no end. The next value may come at any
/// time, and decisions wait for it.
const MAX_UNRENEWED: Duration = Duration::from_secs(60);
/// How long a worker sleeps if no slot is due; it is woken for a new slot.
const NOTHING_DUE: Duration = Duration::from_secs(3600);

/// The error that the operator sees of a fetch that panicked. The panic hook of the process has logged the details.
const BROKEN: &str = "a fault of ours, which the log tells";

/// Fetches and stores values of one kind.
pub trait Source: Send + Sync + 'static {
    /// The key of a value.
    type Key: Eq + Hash + Clone + Send;
    /// The cached value of a key.
    type Value: Send;
    /// The part of the value that a worker needs to fetch it again. It is copied, because the worker fetches without holding the lock.
    type Job;
    /// The result of a fetch.
    type Fetched;

    /// The name of the worker threads.
    const THREAD: &'static str;

    /// The job that fetches the value of a slot that is due.
    fn job(&self, value: &Self::Value) -> Self::Job;

    /// Fetches, however long it takes. The worker does not hold the lock meanwhile.
    ///
    /// # Errors
    /// The fetch failed; the text gives the reason.
    fn fetch(&self, key: &Self::Key, job: &Self::Job) -> Result<Self::Fetched, String>;

    /// Puts the result into the slot, and schedules the next fetch by [`Slot::succeeded`] or [`Slot::failed`].
    fn take(
        &self,
        key: &Self::Key,
        slot: &mut Slot<Self::Value>,
        fetched: Result<Self::Fetched, String>,
    ) -> Change;

    /// Whether a slot that is due is dropped instead of fetched.
    fn is_forgotten(&self, _slot: &Slot<Self::Value>) -> bool {
        false
    }
}

/// Whether the result of a fetch may change a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The result may change a decision.
    New,
    /// The result changes no decision.
    Same,
}

/// A cached value, and when it is fetched again.
pub struct Slot<V> {
    /// The value.
    pub value: V,
    /// When the value was last asked for by a decision.
    pub asked: Instant,
    error: Option<String>,
    failures: u32,
    /// How many fetches in succession brought the same value that is due for renewal.
    unrenewed: u32,
    due: Instant,
    is_tried: bool,
    is_busy: bool,
}

impl<V> Slot<V> {
    /// A value that is due at once.
    pub fn new(value: V) -> Self {
        let now = Instant::now();
        Self {
            value,
            asked: now,
            error: None,
            failures: 0,
            unrenewed: 0,
            due: now,
            is_tried: false,
            is_busy: false,
        }
    }

    /// Why the last fetch failed; `None` after one that succeeded, and before the first.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Whether a fetch has ended since the slot was made, whether or not it succeeded.
    pub const fn is_tried(&self) -> bool {
        self.is_tried
    }

    /// Whether a worker is fetching the value.
    pub const fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Notes that a fetch succeeded, and has it repeated after `pause`.
    pub fn succeeded(&mut self, pause: Duration) {
        (self.error, self.failures, self.unrenewed) = (None, 0, 0);
        self.due = Instant::now() + pause;
    }

    /// Notes that a fetch succeeded, but brought again a value that has already expired. The next value may come at any time. The fetch
    /// is repeated after 2 seconds, and after each further one in succession twice as late, but within a minute, and within `refresh`.
    pub fn unrenewed(&mut self, refresh: Duration) {
        let most = MAX_UNRENEWED.min(refresh).max(MIN_REFRESH);
        let wait = MIN_REFRESH.saturating_mul(1 << self.unrenewed.min(6)).min(most);
        (self.error, self.failures) = (None, 0);
        self.unrenewed = self.unrenewed.saturating_add(1);
        self.due = Instant::now() + wait;
    }

    /// Has the value fetched at once, and has callers wait for it, as if it were new. The present value stays until then.
    pub fn renew(&mut self) {
        (self.error, self.failures, self.unrenewed) = (None, 0, 0);
        (self.due, self.is_tried) = (Instant::now(), false);
    }

    /// The time until the next fetch.
    #[cfg(test)]
    pub fn pause(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// Notes that a fetch failed, and has it repeated after 10 seconds, and after each further failure in succession twice as late, but
    /// within 10 minutes. `message` makes the text of the error from the time until the next attempt.
    pub fn failed(&mut self, message: impl FnOnce(Duration) -> String) {
        let wait = RETRY.saturating_mul(1 << self.failures.min(6)).min(MAX_RETRY);
        self.failures = self.failures.saturating_add(1);
        self.due = Instant::now() + wait;
        self.error = Some(message(wait));
    }
}

/// The slots by key, behind the lock.
pub struct Slots<S: Source> {
    /// The slots.
    pub by_key: HashMap<S::Key, Slot<S::Value>>,
    is_stopping: bool,
}

impl<S: Source> Slots<S> {
    /// Whether the workers are ending, so that nothing more will come.
    pub const fn is_stopping(&self) -> bool {
        self.is_stopping
    }
}

/// Values by key. Worker threads keep them fresh until this is dropped.
pub struct Refreshed<S: Source> {
    shared: Arc<Shared<S>>,
}

struct Shared<S: Source> {
    source: S,
    slots: Mutex<Slots<S>>,
    /// Notified when a slot is new or due, when a fetch has ended, and at the end.
    changed: Condvar,
    generation: AtomicU64,
}

impl<S: Source> Refreshed<S> {
    /// Starts the workers.
    ///
    /// # Errors
    /// A thread cannot be made.
    pub fn start(source: S) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            source,
            slots: Mutex::new(Slots { by_key: HashMap::new(), is_stopping: false }),
            changed: Condvar::new(),
            generation: AtomicU64::new(0),
        });
        for _ in 0..WORKERS {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(S::THREAD.into())
                .spawn(move || while unbroken(|| shared.work()).is_none() {})?;
        }
        Ok(Self { shared })
    }

    /// The source that was given to [`Self::start`].
    pub fn source(&self) -> &S {
        &self.shared.source
    }

    /// Locks the slots.
    pub fn lock(&self) -> MutexGuard<'_, Slots<S>> {
        self.shared.lock()
    }

    /// Waits until a fetch has ended, but at most for `left`. The lock is released meanwhile. Spurious wake-ups happen.
    pub fn wait<'g>(
        &self,
        slots: MutexGuard<'g, Slots<S>>,
        left: Duration,
    ) -> MutexGuard<'g, Slots<S>> {
        self.shared.wait(slots, left)
    }

    /// Wakes the workers: a slot is new.
    pub fn notify(&self) {
        self.shared.changed.notify_all();
    }

    /// A number that rises whenever something was fetched that may change a decision.
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// Makes all values due now. It does not wait for the fetches.
    pub fn refresh_now(&self) {
        let now = Instant::now();
        self.shared.lock().by_key.values_mut().for_each(|slot| slot.due = now);
        self.notify();
    }
}

impl<S: Source> Drop for Refreshed<S> {
    /// Stops the workers. A worker that waits for a silent server ends by itself, when the server's time is over.
    fn drop(&mut self) {
        self.shared.lock().is_stopping = true;
        self.notify();
    }
}

impl<S: Source> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, Slots<S>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(
        &self,
        slots: MutexGuard<'g, Slots<S>>,
        left: Duration,
    ) -> MutexGuard<'g, Slots<S>> {
        self.changed.wait_timeout(slots, left).unwrap_or_else(PoisonError::into_inner).0
    }

    fn work(&self) {
        let mut slots = self.lock();
        while !slots.is_stopping {
            let now = Instant::now();
            slots.by_key.retain(|_, slot| {
                slot.is_busy || slot.due > now || !self.source.is_forgotten(slot)
            });
            let idle = slots.by_key.iter_mut().filter(|(_, slot)| !slot.is_busy);
            match idle.min_by_key(|(_, slot)| slot.due) {
                Some((key, slot)) if slot.due <= now => {
                    slot.is_busy = true;
                    let (key, job) = (key.clone(), self.source.job(&slot.value));
                    drop(slots);
                    let fetched = unbroken(|| self.source.fetch(&key, &job))
                        .unwrap_or_else(|| Err(BROKEN.into()));
                    slots = self.lock();
                    self.take(&mut slots, &key, fetched);
                    self.changed.notify_all();
                }
                next => {
                    let wait = next
                        .map_or(NOTHING_DUE, |(_, slot)| slot.due.saturating_duration_since(now));
                    slots = self.wait(slots, wait);
                }
            }
        }
    }

    fn take(&self, slots: &mut Slots<S>, key: &S::Key, fetched: Result<S::Fetched, String>) {
        let Some(slot) = slots.by_key.get_mut(key) else { return };
        (slot.is_busy, slot.is_tried) = (false, true);
        // INVARIANT: the generation rises before the lock is released, so that a thread that sees the new value sees the new generation, too.
        if self.source.take(key, slot, fetched) == Change::New {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Runs `work`; `None` if it panics, so that the caller can continue.
fn unbroken<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
