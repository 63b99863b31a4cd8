//! A few threads, each of which takes one long job after the other, in the order that these have. A thread for each job, woken for it and put to sleep after it,
//! costs more.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::rt::task::spawn_blocking;
use tokio::sync::oneshot;

use crate::transport::share::Order;

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
    jobs: BTreeMap<Order, Job>,
    working: usize,
}

impl Workers {
    /// At most so many threads; one at least.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Shared { most: most.max(1), state: Mutex::default() }))
    }

    /// Has something done when it is the first in order, which is done even if nobody waits for its result any more. `None` if it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        order: Order,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        self.begin(order, Box::new(move || drop(done.send(work()))));
        result.await.ok()
    }

    fn begin(&self, order: Order, job: Job) {
        let mut state = self.0.lock();
        state.jobs.insert(order, job);
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
            let Some((_, job)) = state.jobs.pop_first() else {
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
    use crate::transport::share::Places;

    /// The orders of work that costs so much each, of one sender.
    fn order(places: &Places, cost: u64) -> Order {
        places.order(None, cost)
    }

    #[actix_web::test]
    async fn every_job_is_done_by_no_more_threads_than_that() {
        let (workers, places) = (Workers::new(2), Places::new(1));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..64).map(|n| {
            let (workers, now, most) = (workers.clone(), Arc::clone(&now), Arc::clone(&most));
            let order = order(&places, 1);
            actix_web::rt::spawn(async move {
                let work = move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    n
                };
                workers.run(order, work).await
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
        let (workers, places) = (Workers::new(1), Places::new(1));
        assert_eq!(workers.run(order(&places, 1), || panic!("on purpose")).await, None::<()>);
        assert_eq!(workers.run(order(&places, 1), || 7).await, Some(7));
    }

    #[actix_web::test]
    async fn what_costs_little_is_done_before_what_costs_much_and_came_earlier() {
        let (workers, places) = (Workers::new(1), Places::new(1));
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (begun, is_begun) = oneshot::channel();
        let done = Arc::new(Mutex::new(Vec::new()));
        let run = |address: [u8; 4], cost| {
            let order = places.order(Some(std::net::IpAddr::from(address).into()), cost);
            let (workers, done) = (workers.clone(), Arc::clone(&done));
            let work = move || done.lock().unwrap().push(cost);
            let running = async move { workers.run(order, work).await };
            actix_web::rt::spawn(running)
        };
        let first = workers.clone();
        let order = places.order(None, 1);
        let blocker = actix_web::rt::spawn(async move {
            let work = move || {
                let _ = begun.send(());
                held.recv().unwrap();
            };
            first.run(order, work).await
        });
        is_begun.await.unwrap();
        let flood = [run([192, 0, 2, 1], 600_000), run([192, 0, 2, 1], 600_001)];
        let honest = [run([192, 0, 2, 2], 500), run([192, 0, 2, 3], 700_000)];
        // Every one of them is in the queue before the thread is free.
        while workers.0.lock().jobs.len() < 4 {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
        blocker.await.unwrap();
        for job in flood.into_iter().chain(honest) {
            job.await.unwrap().unwrap();
        }
        assert_eq!(*done.lock().unwrap(), [500, 600_000, 700_000, 600_001]);
    }

    #[actix_web::test]
    async fn what_nobody_waits_for_is_done() {
        let (workers, places) = (Workers::new(1), Places::new(1));
        let (done, is_done) = oneshot::channel();
        {
            let mut left = Box::pin(workers.run(order(&places, 1), move || done.send(()).is_ok()));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let _ = left.as_mut().poll(&mut context);
        }
        assert_eq!(is_done.await, Ok(()));
    }
}
