//! A few threads, each of which takes one long job after the other. A thread for each job, woken for it and put to sleep after it,
//! costs more.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::rt::task::spawn_blocking;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// The threads, and what they have yet to do. How much that may be, whoever calls bounds.
#[derive(Clone)]
pub struct Workers(Arc<Shared>);

struct Shared {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    working: usize,
}

impl Workers {
    /// At most so many threads; one at least.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Shared { most: most.max(1), state: Mutex::default() }))
    }

    /// Has something done, which is done even if nobody waits for its result any more. `None` if it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        self.begin(Box::new(move || drop(done.send(work()))));
        result.await.ok()
    }

    fn begin(&self, job: Job) {
        let mut state = self.0.lock();
        state.jobs.push_back(job);
        if state.working >= self.0.most {
            return;
        }
        state.working = state.working.saturating_add(1);
        drop(state);
        let shared = Arc::clone(&self.0);
        drop(spawn_blocking(move || shared.work()));
    }
}

impl Shared {
    /// Works until nothing is left to do.
    fn work(&self) {
        loop {
            let mut state = self.lock();
            let Some(job) = state.jobs.pop_front() else {
                state.working = state.working.saturating_sub(1);
                return;
            };
            drop(state);
            // The hook of the process has reported it, and whoever waits learns that nothing came of it.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[actix_web::test]
    async fn every_job_is_done_by_no_more_threads_than_that() {
        let workers = Workers::new(2);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..64).map(|n| {
            let (workers, now, most) = (workers.clone(), Arc::clone(&now), Arc::clone(&most));
            actix_web::rt::spawn(async move {
                let work = move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    n
                };
                workers.run(work).await
            })
        });
        let jobs: Vec<_> = jobs.collect();
        for (n, job) in jobs.into_iter().enumerate() {
            assert_eq!(job.await.unwrap(), Some(n));
        }
        assert!(most.load(Ordering::SeqCst) <= 2);
    }

    #[actix_web::test]
    async fn a_job_that_panics_harms_no_other() {
        let workers = Workers::new(1);
        assert_eq!(workers.run(|| panic!("on purpose")).await, None::<()>);
        assert_eq!(workers.run(|| 7).await, Some(7));
    }

    #[actix_web::test]
    async fn what_nobody_waits_for_is_done() {
        let workers = Workers::new(1);
        let (done, is_done) = oneshot::channel();
        {
            let mut left = Box::pin(workers.run(move || done.send(()).is_ok()));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let _ = left.as_mut().poll(&mut context);
        }
        assert_eq!(is_done.await, Ok(()));
    }
}
