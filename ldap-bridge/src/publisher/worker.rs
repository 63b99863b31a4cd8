//! The thread that publishes in one directory. It publishes after each change, reconciles everything at an interval, and waits longer and
//! longer while the directory fails.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use countersign_ca::{Clock, SystemClock, Timestamp};
use ring::digest::{SHA256, digest};
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};

use super::connection::Connection;
use super::plan::plan;
use super::reconcile::{Report, Scope, apply, rules};
use super::settings::PublisherSettings;
use crate::dn::Dn;
use crate::entry::Entry;
use crate::error::{Error, Result};
use crate::unbroken::unbroken;
/// The time that the thread waits for further changes after one.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// The longest wait after the first failure. The bound doubles with each further failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait after any number of failures.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The state of a directory's publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The name of the directory.
    pub name: String,
    /// The URL of the server that was last compared with the desired entries; `None` before the first time.
    pub url: Option<String>,
    /// Whether there is a change that the directory does not have yet.
    pub is_behind: bool,
    /// When the directory last had all changes; `None` if it never had them since the start.
    pub last_success: Option<Timestamp>,
    /// The reason why the last attempt failed; `None` if it succeeded.
    pub error: Option<String>,
    /// The number of failures since the last success.
    pub failures: u32,
    /// The time of the next attempt after a failure; `None` if there was none.
    pub next_try: Option<Timestamp>,
    /// The number of operations that were applied since the start.
    pub operations: u64,
}

/// The publisher of one directory, with its thread, which runs until this is dropped.
pub struct Publisher {
    desired: watch::Sender<Arc<Vec<Entry>>>,
    status: Arc<Mutex<Status>>,
    thread: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Publisher {
    /// Starts the thread, which does nothing before [`Publisher::publish`] is called.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the thread cannot be made.
    pub fn start(settings: PublisherSettings, scope: Scope) -> Result<Self> {
        let (desired, entries) = watch::channel(Arc::default());
        let (stop, stopped) = watch::channel(false);
        let status = Arc::new(Mutex::new(Status {
            name: settings.name.clone(),
            url: None,
            is_behind: true,
            last_success: None,
            error: None,
            failures: 0,
            next_try: None,
            operations: 0,
        }));
        let failed = |e: std::io::Error| Error::Unavailable(e.to_string());
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let worker = Worker {
            settings,
            scope,
            status: Arc::clone(&status),
            connection: None,
            confirmed: HashMap::new(),
            full_check: Instant::now(),
            was_reused: false,
        };
        let thread = std::thread::Builder::new()
            .name("publisher".into())
            .spawn(move || runtime.block_on(worker.run(entries, stopped)))
            .map_err(failed)?;
        Ok(Self { desired, status, thread: Some(thread), stop })
    }

    /// Replaces the entries to be published.
    pub fn publish(&self, entries: Arc<Vec<Entry>>) {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).is_behind = true;
        let _ = self.desired.send(entries);
    }

    /// The present state of the publisher.
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Ends the thread, and waits for it. An operation that has begun is abandoned; the directory may still apply it.
impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a publisher ended badly");
        }
    }
}

struct Worker {
    settings: PublisherSettings,
    scope: Scope,
    status: Arc<Mutex<Status>>,
    connection: Option<Connection>,
    /// The hashes of the entries that the directory is known to have, by [`Dn::key`].
    confirmed: HashMap<String, [u8; 32]>,
    /// The time at which everything is reconciled again.
    full_check: Instant,
    /// Whether the last step used a connection that was open before.
    was_reused: bool,
}

impl Worker {
    async fn run(
        mut self,
        mut entries: watch::Receiver<Arc<Vec<Entry>>>,
        mut stopped: watch::Receiver<bool>,
    ) {
        tokio::select! {
            _ = stopped.changed() => {}
            () = self.work(&mut entries) => {}
        }
    }

    async fn work(&mut self, entries: &mut watch::Receiver<Arc<Vec<Entry>>>) {
        let mut wait = FIRST_WAIT;
        if entries.changed().await.is_err() {
            return;
        }
        loop {
            sleep(DEBOUNCE).await;
            let desired = Arc::clone(&entries.borrow_and_update());
            let mut stepped = self.unbroken_step(&desired).await;
            if self.was_reused && matches!(stepped, Err(Error::Unavailable(_))) {
                // An idle connection may have been closed without notice. A new one shows whether the directory is there.
                self.connection = None;
                stepped = self.unbroken_step(&desired).await;
            }
            match stepped {
                Ok(()) => {
                    wait = FIRST_WAIT;
                    tokio::select! {
                        changed = entries.changed() => if changed.is_err() { return },
                        () = sleep_until(self.full_check.into()) => {}
                    }
                }
                Err(e) => {
                    self.connection = None;
                    self.confirmed.clear();
                    let pause = with_jitter(wait);
                    self.failed(&e, pause);
                    sleep(pause).await;
                    wait = wait.saturating_mul(2).min(LONGEST_WAIT);
                }
            }
        }
    }

    /// Runs a step, and turns a panic into an error. After an error the connection is discarded, and the thread continues.
    async fn unbroken_step(&mut self, desired: &[Entry]) -> Result<()> {
        unbroken(self.step(desired)).await.unwrap_or_else(Err)
    }

    async fn step(&mut self, desired: &[Entry]) -> Result<()> {
        let is_full = self.connection.is_none() || Instant::now() >= self.full_check;
        self.was_reused = !is_full;
        if is_full {
            // A new connection goes to the first server that answers, so that this also returns from a failover.
            if let Some(old) = self.connection.take() {
                old.close().await;
            }
            self.connection = Some(Connection::open(&self.settings, desired).await?);
        }
        let marks: HashMap<String, [u8; 32]> =
            desired.iter().map(|entry| (entry.dn.key(), mark(entry))).collect();
        let changed: Vec<Entry> = desired
            .iter()
            .filter(|entry| {
                let key = entry.dn.key();
                is_full || self.confirmed.get(&key) != marks.get(&key)
            })
            .cloned()
            .collect();
        let gone: Vec<Dn> = self
            .confirmed
            .keys()
            .filter(|key| !marks.contains_key(*key))
            .filter_map(|key| key.parse().ok())
            .collect();
        let rules = rules(&self.settings, &self.scope);
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let names: Vec<Dn> = changed.iter().map(|entry| entry.dn.clone()).chain(gone).collect();
        let found = match is_full {
            true => connection.read_all(&self.scope.base, &names).await?,
            false => connection.read(&names).await?,
        };
        let report = apply(connection, plan(&changed, &found, &rules)).await?;
        if is_full {
            self.full_check = later(self.settings.interval);
        }
        self.confirmed = marks;
        self.done(report)
    }

    fn done(&mut self, report: Report) -> Result<()> {
        let count = report.operations.len();
        if count > 0 {
            tracing::info!(directory = %self.settings.name, operations = count, "published");
        }
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.operations = status.operations.saturating_add(count as u64);
        status.url = Some(report.url);
        if let Some(problem) = report.problems.first() {
            let more = report.problems.len().saturating_sub(1);
            let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
            return Err(Error::Denied(format!("{problem}{more}")));
        }
        status.is_behind = false;
        status.last_success = Some(SystemClock.now());
        (status.error, status.failures, status.next_try) = (None, 0, None);
        Ok(())
    }

    fn failed(&self, error: &Error, pause: Duration) {
        tracing::warn!(directory = %self.settings.name, pause = ?pause, "not published: {error}");
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.is_behind = true;
        status.error = Some(error.to_string());
        status.failures = status.failures.saturating_add(1);
        status.next_try = Some(SystemClock.now().plus(pause));
    }
}

/// A random time between half of `wait` and all of it, so that many publishers do not return at the same moment.
fn with_jitter(wait: Duration) -> Duration {
    let mut octets = [0; 4];
    let random = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut octets);
    let part = random.map_or(1.0, |()| f64::from(u32::from_be_bytes(octets)) / f64::from(u32::MAX));
    wait.mul_f64(part.mul_add(0.5, 0.5))
}

fn later(time: Duration) -> Instant {
    Instant::now().checked_add(time).unwrap_or_else(Instant::now)
}

/// A hash over the classes and values of an entry, by which a change is noticed.
fn mark(entry: &Entry) -> [u8; 32] {
    let mut text = entry.classes.join(" ").into_bytes();
    for attribute in &entry.attributes {
        text.extend_from_slice(attribute.name.as_bytes());
        for value in &attribute.values {
            text.extend_from_slice(digest(&SHA256, value).as_ref());
        }
    }
    digest(&SHA256, &text).as_ref().try_into().unwrap_or_default()
}
