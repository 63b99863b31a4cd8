//! The watch: a thread of a running server that looks at the instance as `countersign status` does, again and again. Notifications and
//! metrics are made of its last look, so that neither a receiver nor a scrape causes one.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use countersign_ca::Timestamp;

use crate::admin::answer::StatusAnswer;
use crate::admin::look;
use crate::exit::Failure;
use crate::finding::{Finding, Severity};
use crate::instance::Instance;
use crate::notify::Notifier;
use crate::threads::Threads;

/// The pause after a look is at least this many times the time that the look took: with millions of certificates, the watch takes a
/// twentieth of one processor at most.
const REST: u32 = 20;

/// What was seen.
pub struct Look {
    /// The state of the instance.
    pub answer: StatusAnswer,
    /// When.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
}

/// The watch of a server.
pub struct Watch {
    state: Mutex<State>,
    wake: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct State {
    last: Option<Arc<Look>>,
    interval: Duration,
    is_stopped: bool,
}

impl Watch {
    /// A watch that does not look yet.
    pub fn new(interval: Duration) -> Arc<Self> {
        let state = State { last: None, interval, is_stopped: false };
        Arc::new(Self { state: Mutex::new(state), wake: Condvar::new(), thread: Mutex::default() })
    }

    /// Starts the thread, which looks at once, and then each interval. It ends at [`Self::stop`].
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(
        self: &Arc<Self>,
        threads: &Threads,
        instance: &Arc<Instance>,
        notifier: &Arc<Notifier>,
    ) -> std::io::Result<()> {
        let (watch, instance, notifier) =
            (Arc::clone(self), Arc::clone(instance), Arc::clone(notifier));
        let thread = threads.start("watch", move || {
            loop {
                let took = watch.look(&instance, &notifier);
                if watch.rest(took.saturating_mul(REST)) {
                    return;
                }
            }
        })?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// The last look; `None` before the first.
    pub fn last(&self) -> Option<Arc<Look>> {
        self.state().last.clone()
    }

    /// Sets the pause between two looks.
    pub fn set_interval(&self, interval: Duration) {
        self.state().interval = interval;
        self.wake.notify_all();
    }

    /// Ends the thread, and waits for the look that it takes: it reads the store.
    pub fn stop(&self) {
        self.state().is_stopped = true;
        self.wake.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the watch ended badly");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, instance: &Instance, notifier: &Notifier) -> Duration {
        let (at, began) = (instance.now(), Instant::now());
        let looked = look(instance);
        let took = began.elapsed();
        match looked {
            Ok(answer) => {
                notifier.tell(answer.findings.clone());
                self.state().last = Some(Arc::new(Look { answer, at, took }));
            }
            Err(failure) => {
                tracing::error!("the state of the instance cannot be read: {failure}");
                notifier.tell(self.unreadable(&failure));
            }
        }
        took
    }

    /// The findings of the last look, which may still hold, and that there was none since.
    fn unreadable(&self, failure: &Failure) -> Vec<Finding> {
        let last = self.last();
        let before = last.iter().flat_map(|look| look.answer.findings.iter().cloned());
        let message = format!("the state of the instance cannot be read: {failure}");
        before.chain([Finding::new(Severity::Error, "unreadable", message)]).collect()
    }

    /// Waits for the interval, and at least for `least`. True if the server stops.
    fn rest(&self, least: Duration) -> bool {
        let began = Instant::now();
        let mut state = self.state();
        loop {
            let left = state.interval.max(least).saturating_sub(began.elapsed());
            if state.is_stopped || left.is_zero() {
                return state.is_stopped;
            }
            let waited = self.wake.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
