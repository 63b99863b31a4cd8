//! Computing on an event loop. Jobs run one after the other, and between two jobs the loop serves its other connections. Handing a job to
//! another thread and its result back would cost a fifth of an enrolment (ADR 12).

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::Semaphore;
use tokio::task::yield_now;

/// Runs the jobs that compute on one event loop, one after the other.
pub struct Turn(Semaphore);

impl Default for Turn {
    fn default() -> Self {
        Self(Semaphore::new(1))
    }
}

impl Turn {
    /// Runs a job when it is its turn, in the order of calls; `None` if the job panicked.
    ///
    /// If the returned future is dropped before the job's turn comes, the job never runs.
    pub async fn compute<T>(&self, job: impl FnOnce() -> T) -> Option<T> {
        let _turn = self.0.acquire().await.ok()?;
        // The loop serves its other connections once before each job, also where jobs queue up.
        yield_now().await;
        // The process's panic hook reports the panic; the caller learns only that there is no result.
        catch_unwind(AssertUnwindSafe(job)).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;

    #[actix_web::test]
    async fn between_two_jobs_the_loop_serves_others() {
        let (turn, done) = (Rc::new(Turn::default()), Rc::new(RefCell::new(Vec::new())));
        let jobs = (0..3).map(|n| {
            let (turn, done) = (Rc::clone(&turn), Rc::clone(&done));
            actix_web::rt::spawn(async move {
                turn.compute(|| {
                    std::thread::sleep(Duration::from_millis(20));
                    done.borrow_mut().push(n);
                    n
                })
                .await
            })
        });
        let jobs: Vec<_> = jobs.collect();
        // A timer that ends during the first job is served before the last one.
        let other = Rc::clone(&done);
        let timer = actix_web::rt::spawn(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            other.borrow_mut().push(99);
        });
        for (n, job) in jobs.into_iter().enumerate() {
            assert_eq!(job.await.unwrap(), Some(n));
        }
        timer.await.unwrap();
        let done = done.borrow();
        let place = |what: usize| done.iter().position(|one| *one == what).unwrap();
        assert!(place(0) < place(1) && place(1) < place(2) && place(99) < place(2), "{done:?}");
    }

    #[actix_web::test]
    async fn a_job_that_panics_harms_no_other() {
        let turn = Turn::default();
        assert_eq!(turn.compute(|| panic!("on purpose")).await, None::<()>);
        assert_eq!(turn.compute(|| 7).await, Some(7));
    }

    #[actix_web::test]
    async fn a_job_that_nobody_waits_for_is_not_begun_and_keeps_no_other_out() {
        let (turn, begun) = (Turn::default(), RefCell::new(0));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        {
            // The first has its turn and yields to the loop, the second waits behind it.
            let count = || *begun.borrow_mut() += 1;
            let mut first = Box::pin(turn.compute(count));
            let mut second = Box::pin(turn.compute(count));
            assert!(first.as_mut().poll(&mut context).is_pending());
            assert!(second.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(turn.compute(|| 7).await, Some(7));
        assert_eq!(*begun.borrow(), 0);
    }
}
