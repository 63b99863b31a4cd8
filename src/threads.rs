//! Threads that a server cannot do without. One that panics is started again, and the panic is counted, so that readiness and metrics
//! can report it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long after a panic the server reports that it is not ready. The thread works again by then, and may never panic again.
const REPORTED: Duration = Duration::from_secs(3600);

/// The pause between a panic and the next start of the thread.
const PAUSE: Duration = Duration::from_secs(1);

/// The panics of a server's threads, by the name of the thread. Clones share them.
#[derive(Clone, Default)]
pub struct Threads(Arc<Mutex<BTreeMap<&'static str, Panics>>>);

/// How often one thread panicked, and when last.
struct Panics {
    count: u64,
    last: Instant,
}

impl Threads {
    /// Starts a thread that calls `work` until it returns. When `work` panics, the panic is counted and `work` is called again after a
    /// pause.
    pub fn start(
        &self,
        name: &'static str,
        mut work: impl FnMut() + Send + 'static,
    ) -> std::io::Result<JoinHandle<()>> {
        let threads = self.clone();
        std::thread::Builder::new().name(name.into()).spawn(move || {
            while catch_unwind(AssertUnwindSafe(&mut work)).is_err() {
                tracing::error!("a fault of ours ended the thread `{name}`, which goes on");
                threads.count(name);
                std::thread::sleep(PAUSE);
            }
        })
    }

    fn count(&self, name: &'static str) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let panics = state.entry(name).or_insert(Panics { count: 0, last: Instant::now() });
        *panics = Panics { count: panics.count.saturating_add(1), last: Instant::now() };
    }

    /// The threads that panicked since the start, and how often.
    pub fn panics(&self) -> Vec<(&'static str, u64)> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.iter().map(|(name, panics)| (*name, panics.count)).collect()
    }

    /// A reason for each thread that panicked within the last hour.
    pub fn unready(&self) -> Vec<String> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = state.iter().filter(|(_, panics)| panics.last.elapsed() < REPORTED);
        let reason = |(name, panics): (&&'static str, &Panics)| {
            format!(
                "a fault of ours ended the thread `{name}` {} times, and it went on: keep the log",
                panics.count
            )
        };
        recent.map(reason).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_thread_that_panics_goes_on_and_is_told() {
        let (threads, rounds) = (Threads::default(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&rounds);
        let work = move || {
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                panic!("on purpose");
            }
        };
        threads.start("crl", work).unwrap().join().unwrap();
        assert_eq!(rounds.load(Ordering::SeqCst), 2, "it went on after the panic");
        assert_eq!(threads.panics(), [("crl", 1)]);
        assert!(threads.unready()[0].contains("`crl` 1 times"));
    }
}
