//! A few threads that run long jobs one after the other, in the order of the jobs' ranks. A thread for each job, woken for it and put to
//! sleep after it, would cost more.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use actix_web::rt::task::spawn_blocking;
use tokio::sync::oneshot;

use super::lock::locked;
use super::share::{FairSemaphore, Rank, Sender};

type Job = Box<dyn FnOnce() + Send>;

/// The threads and their queue, which clones share. The caller bounds how many jobs are queued.
#[derive(Clone)]
pub struct Workers(Arc<Shared>);

struct Shared {
    /// How many threads may run at once.
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    jobs: BTreeMap<Rank, Job>,
    /// How many threads run now.
    running: usize,
}

impl Workers {
    /// Runs jobs on at most this many threads, but at least on one. Threads are started when there is a job, and end when there is none.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Shared { most: most.max(1), state: Mutex::default() }))
    }

    /// Runs a job when it is the first in rank; `None` if the job panicked. The job runs even if the returned future is dropped.
    pub async fn run<T: Send + 'static>(
        &self,
        rank: Rank,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        self.queue(rank, Box::new(move || drop(done.send(job()))));
        result.await.ok()
    }

    /// Runs a job of this sender that costs this many units of work, when it is its turn by `turns`. A turn counts only if a permit is
    /// taken for it: otherwise the queue never moves on, and remembers every sender. `turns` has as many permits as there are threads.
    pub async fn run_in_turn<T: Send + 'static>(
        &self,
        turns: &Arc<FairSemaphore>,
        sender: Sender,
        cost: u64,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let rank = turns.rank(sender, cost);
        let turns = Arc::clone(turns);
        let work = move || {
            let _permit = turns.acquire(rank);
            job()
        };
        self.run(rank, work).await
    }

    /// Queues a job, and starts a thread if one more may run.
    fn queue(&self, rank: Rank, job: Job) {
        let mut state = locked(&self.0.state);
        state.jobs.insert(rank, job);
        if state.running >= self.0.most {
            return;
        }
        state.running = state.running.saturating_add(1);
        drop(state);
        let shared = Arc::clone(&self.0);
        drop(spawn_blocking(move || shared.work()));
    }
}

impl Shared {
    /// Runs jobs until none is left. The lock under which a thread finds no job is the one under which it stops counting as running, so
    /// that a job which is queued at the same time is either run by this thread or starts another one.
    fn work(&self) {
        loop {
            let mut state = locked(&self.state);
            let Some((_, job)) = state.jobs.pop_first() else {
                state.running = state.running.saturating_sub(1);
                return;
            };
            drop(state);
            // The process's panic hook reports a panic; the job's caller learns that there is no result when `done` is dropped.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// The rank of a job of this cost, all jobs being of one sender.
    fn rank(permits: &FairSemaphore, cost: u64) -> Rank {
        permits.rank(None, cost)
    }

    #[actix_web::test]
    async fn every_job_is_done_by_no_more_threads_than_that() {
        let (workers, permits) = (Workers::new(2), FairSemaphore::new(1));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..64).map(|n| {
            let (workers, now, most) = (workers.clone(), Arc::clone(&now), Arc::clone(&most));
            let rank = rank(&permits, 1);
            actix_web::rt::spawn(async move {
                let work = move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    n
                };
                workers.run(rank, work).await
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
        let (workers, permits) = (Workers::new(1), FairSemaphore::new(1));
        assert_eq!(workers.run(rank(&permits, 1), || panic!("on purpose")).await, None::<()>);
        assert_eq!(workers.run(rank(&permits, 1), || 7).await, Some(7));
    }

    #[actix_web::test]
    async fn what_costs_little_is_done_before_what_costs_much_and_came_earlier() {
        let (workers, permits) = (Workers::new(1), FairSemaphore::new(1));
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (begun, is_begun) = oneshot::channel();
        let done = Arc::new(Mutex::new(Vec::new()));
        let run = |address: [u8; 4], cost| {
            let rank = permits.rank(Some(std::net::IpAddr::from(address).into()), cost);
            let (workers, done) = (workers.clone(), Arc::clone(&done));
            let work = move || done.lock().unwrap().push(cost);
            let running = async move { workers.run(rank, work).await };
            actix_web::rt::spawn(running)
        };
        let first = workers.clone();
        let rank = permits.rank(None, 1);
        let blocker = actix_web::rt::spawn(async move {
            let work = move || {
                let _ = begun.send(());
                held.recv().unwrap();
            };
            first.run(rank, work).await
        });
        is_begun.await.unwrap();
        let flood = [run([192, 0, 2, 1], 600_000), run([192, 0, 2, 1], 600_001)];
        let honest = [run([192, 0, 2, 2], 500), run([192, 0, 2, 3], 700_000)];
        // All four are queued before the thread is free.
        while locked(&workers.0.state).jobs.len() < 4 {
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
    async fn a_turn_that_was_taken_is_over_and_its_sender_forgotten() {
        let (workers, turns) = (Workers::new(1), Arc::new(FairSemaphore::new(1)));
        for n in 0..3000_u32 {
            let sender = Some(std::net::IpAddr::from(n.to_be_bytes()).into());
            assert_eq!(workers.run_in_turn(&turns, sender, 1, move || n).await, Some(n));
        }
        assert!(turns.remembered() <= 1024, "{}", turns.remembered());
        // A job that panics gives its permit back.
        let panics = workers.run_in_turn(&turns, None, 1, || panic!("on purpose"));
        assert_eq!(panics.await, None::<()>);
        assert_eq!(workers.run_in_turn(&turns, None, 1, || 7).await, Some(7));
    }

    #[actix_web::test]
    async fn what_nobody_waits_for_is_done() {
        let (workers, permits) = (Workers::new(1), FairSemaphore::new(1));
        let (done, is_done) = oneshot::channel();
        {
            let mut left = Box::pin(workers.run(rank(&permits, 1), move || done.send(()).is_ok()));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let _ = left.as_mut().poll(&mut context);
        }
        assert_eq!(is_done.await, Ok(()));
    }
}
