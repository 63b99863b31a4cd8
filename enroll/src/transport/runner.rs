//! Runs a request on the thread that its protocol chose, and once more on a blocking thread if it turns out that the request has to wait
//! (ADR 12).

use std::sync::Arc;

use actix_web::web;
use countersign_ca::Authority;
use countersign_ca::store::Announced;

use super::pool::{Attempt, NeedsBlockingThread, Pool};
use super::turn::Turn;
use super::workers::Workers;

/// The threads on which the requests of one protocol run. Clones share them.
#[derive(Clone)]
pub struct Runner {
    authority: Arc<Authority>,
    turn: Arc<Turn>,
    mac_workers: Workers,
}

/// A request that was worked on. The caller keeps this until the answer may be sent: the slot of the request is given back when this is
/// dropped.
pub struct Ran<R, T, E> {
    /// The result of the work.
    pub result: Result<T, E>,
    /// The request, kept for the slot and the permits that it holds.
    _request: R,
    /// Has the journal's writer wait a moment for this request's record.
    _announced: Option<Announced>,
}

impl Runner {
    /// Threads for the requests to this authority, of which at most `mac_workers`, and one at least, derive keys from secrets.
    pub fn new(authority: Arc<Authority>, mac_workers: usize) -> Self {
        Self { authority, turn: Arc::default(), mac_workers: Workers::new(mac_workers) }
    }

    /// The same threads for another event loop, with a queue of its own for the requests that compute on that loop: one at a time.
    pub fn for_event_loop(&self) -> Self {
        Self { turn: Arc::default(), ..self.clone() }
    }

    /// Works on a request; `None` if the work panicked, which the process's panic hook has reported.
    ///
    /// `work` is called with the pool that it runs on. Where it asks for a blocking thread, it is called once more on one, and must
    /// have recorded nothing before.
    ///
    /// If the peer goes away, work that was begun on another thread is finished, and `request` is dropped only then: its slot stays taken
    /// as long as the work lasts.
    pub async fn run<R, T, E, W>(&self, pool: Pool, request: R, work: W) -> Option<Ran<R, T, E>>
    where
        R: Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
        W: Fn(Pool, &R) -> Result<Attempt<T>, E> + Send + 'static,
    {
        // The writer waits only for requests that need no blocking thread: those will soon have something to record.
        let announced = (pool != Pool::Blocking).then(|| self.authority.store().announce());
        let (attempt, request, work) = match pool {
            Pool::EventLoop => {
                let attempt = self.turn.compute(|| work(pool, &request)).await?;
                (attempt, request, work)
            }
            Pool::MacWorker(rank) => {
                let job = move || (work(pool, &request), request, work);
                self.mac_workers.run(rank, job).await?
            }
            Pool::Blocking => (Ok(Err(NeedsBlockingThread)), request, work),
        };
        let result = match attempt {
            Ok(Ok(done)) => Ok(done),
            Err(error) => Err(error),
            Ok(Err(NeedsBlockingThread)) => {
                // From here on the request waits for something else, and the writer must not wait for it.
                drop(announced);
                let job = move || (work(Pool::Blocking, &request), request);
                let (attempt, request) = web::block(job).await.ok()?;
                // INVARIANT: a blocking thread never asks for another one (`Pool::require_blocking`).
                let result = attempt.map(Result::ok).transpose()?;
                return Some(Ran { result, _request: request, _announced: None });
            }
        };
        Some(Ran { result, _request: request, _announced: announced })
    }
}
