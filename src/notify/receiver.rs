//! One receiver, with its thread. The thread waits for findings, sends the difference to what the receiver was told, and tries again
//! later if that fails. It holds one message at most, so that a receiver that does not answer costs nobody anything.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use countersign_ca::{Clock, Entropy, SystemClock, SystemEntropy, Timestamp};
use countersign_enroll::legible;

use super::ledger::{Change, Ledger, Plan};
use super::message::{Content, Message};
use super::{mail, webhook};
use crate::config::{Channel, ReceiverConfig};
use crate::finding::Finding;
use crate::threads::Threads;

/// The pause before the first repetition; each further one is twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// The longest pause.
const LAST_RETRY: Duration = Duration::from_secs(900);
/// The longest wait for something to do.
const IDLE: Duration = Duration::from_secs(3600);

/// The findings of one look at the instance.
pub struct News {
    /// The findings.
    pub findings: Vec<Finding>,
    /// Counts the looks.
    pub number: u64,
}

/// A receiver. Its thread runs until [`Self::stop`].
pub struct Receiver {
    /// Its settings.
    pub config: ReceiverConfig,
    instance: String,
    /// The file of its ledger.
    file: PathBuf,
    shared: Mutex<Shared>,
    wake: Condvar,
}

/// What the thread and others share.
struct Shared {
    news: Option<Arc<News>>,
    outcome: Outcome,
    stop: bool,
}

/// How messages to a receiver went.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// How many it took since the server started.
    pub delivered: u64,
    /// How many attempts failed since the server started.
    pub failed: u64,
    /// How many attempts failed in a row, while something is to be told. Tests do not count.
    pub failures: u32,
    /// The last verdict; `None` before the first.
    pub last: Option<Verdict>,
    /// When it last took a message.
    pub last_success: Option<Timestamp>,
    /// When the next attempt is.
    pub next_try: Option<Timestamp>,
}

/// How one attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver took the message.
    Delivered,
    /// It did not, and this is why.
    Failed(String),
}

/// A message that was not taken yet.
struct Unsent {
    changes: Vec<Change>,
    message: Message,
}

impl Receiver {
    /// A receiver whose thread does not run. `folder` has the files of ledgers; `before` is how messages went so far.
    pub fn new(
        config: ReceiverConfig,
        instance: &str,
        folder: &std::path::Path,
        before: Outcome,
    ) -> Self {
        let file = folder.join(format!("{}.json", config.name));
        let outcome = Outcome { failures: 0, next_try: None, ..before };
        Self {
            config,
            instance: instance.to_owned(),
            file,
            shared: Mutex::new(Shared { news: None, outcome, stop: false }),
            wake: Condvar::new(),
        }
    }

    /// Starts the thread. If the receiver had another thread, with other settings, its end is waited for, because both write the ledger.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(
        self: &Arc<Self>,
        threads: &Threads,
        mut before: Option<JoinHandle<()>>,
    ) -> std::io::Result<JoinHandle<()>> {
        let receiver = Arc::clone(self);
        threads.start("notify", move || {
            if let Some(before) = before.take() {
                let _ = before.join();
            }
            receiver.work();
        })
    }

    /// Gives the thread the findings of now.
    pub fn tell(&self, news: &Arc<News>) {
        self.shared().news = Some(Arc::clone(news));
        self.wake.notify_all();
    }

    /// How messages went.
    pub fn outcome(&self) -> Outcome {
        self.shared().outcome.clone()
    }

    /// Has the thread end, after the attempt that it makes.
    pub fn stop(&self) {
        self.shared().stop = true;
        self.wake.notify_all();
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut ledger = Ledger::read(&self.file);
        self.shared().outcome.last_success = ledger.last_success;
        let (mut seen, mut unsent, mut retry) = (0, None::<Unsent>, None::<Instant>);
        while let Some(news) = self.wait(seen, retry) {
            let now = SystemClock.now();
            // A receiver that does not answer need not be told of that, once it does.
            let own = |f: &&Finding| {
                f.code == "notify" && f.subject.as_deref() == Some(self.config.name.as_str())
            };
            let findings: Vec<Finding> =
                news.findings.iter().filter(|f| !own(f)).cloned().collect();
            seen = news.number;
            let plan = ledger.plan(&findings, &self.config.wants, now);
            if plan.changes.is_empty() {
                if unsent.take().is_some() {
                    let mut shared = self.shared();
                    shared.outcome.failures = 0;
                    shared.outcome.next_try = None;
                }
                retry = None;
                if plan.next != ledger {
                    ledger = plan.next;
                    self.keep(&ledger);
                }
                continue;
            }
            if retry.is_some_and(|at| at > Instant::now()) {
                continue;
            }
            let open = findings.iter().filter(|f| self.config.wants.includes(&f.code, f.severity));
            let sent = self.message(&plan, unsent.take(), open.count(), now).and_then(|due| {
                let result = self.deliver(&due.message);
                if result.is_err() {
                    unsent = Some(due);
                }
                result
            });
            match sent {
                Ok(()) => {
                    ledger = plan.next;
                    ledger.last_success = Some(now);
                    self.keep(&ledger);
                    retry = None;
                }
                Err(_) => retry = Some(self.back_off()),
            }
        }
    }

    /// Waits until there is something to look at: findings that are newer than `seen`, or the moment of a repetition. `None` at the end.
    fn wait(&self, seen: u64, retry: Option<Instant>) -> Option<Arc<News>> {
        let mut shared = self.shared();
        loop {
            if shared.stop {
                return None;
            }
            let left = retry.map(|at| at.saturating_duration_since(Instant::now()));
            if let Some(news) = &shared.news
                && (news.number > seen || left.is_some_and(|left| left.is_zero()))
            {
                return Some(Arc::clone(news));
            }
            let patience = left.unwrap_or(IDLE).min(IDLE);
            let waited = self.wake.wait_timeout(shared, patience);
            shared = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The message that was not taken, if it still says what is to be told, so that the receiver can tell that it is the same; or a new one.
    fn message(
        &self,
        plan: &Plan,
        unsent: Option<Unsent>,
        open: usize,
        now: Timestamp,
    ) -> Result<Unsent, String> {
        if let Some(unsent) = unsent
            && unsent.changes == plan.changes
        {
            return Ok(unsent);
        }
        let (changes, left_out) = (&plan.changes[..], plan.left_out);
        let content = Content { instance: &self.instance, changes, left_out, open };
        Ok(Unsent { changes: plan.changes.clone(), message: Message::new(&content, now)? })
    }

    /// Makes one attempt to tell the receiver what is to be told, and records how it went.
    fn deliver(&self, message: &Message) -> Result<(), String> {
        let result = self.attempt(message);
        let mut shared = self.shared();
        let outcome = &mut shared.outcome;
        match &result {
            Ok(()) => {
                outcome.failures = 0;
                outcome.next_try = None;
            }
            Err(_) => outcome.failures = outcome.failures.saturating_add(1),
        }
        result
    }

    /// Makes one attempt with a message of which nothing depends on whether it is taken, or one of [`Self::deliver`]'s.
    pub fn attempt(&self, message: &Message) -> Result<(), String> {
        let now = SystemClock.now();
        let result = deliver(&self.config, message, now);
        let (name, id) = (&self.config.name, &message.id);
        let mut shared = self.shared();
        let outcome = &mut shared.outcome;
        match &result {
            Ok(()) => {
                tracing::info!(receiver = %name, id, "the receiver took a notification");
                outcome.delivered = outcome.delivered.saturating_add(1);
                outcome.last = Some(Verdict::Delivered);
                outcome.last_success = Some(now);
            }
            Err(why) => {
                tracing::warn!(receiver = %name, id, "a notification was not taken: {why}");
                outcome.failed = outcome.failed.saturating_add(1);
                outcome.last = Some(Verdict::Failed(why.clone()));
            }
        }
        result
    }

    /// The moment of the next attempt: twice as late as the one before, less up to a half by chance, so that instances do not come in step.
    fn back_off(&self) -> Instant {
        let mut shared = self.shared();
        let doublings = shared.outcome.failures.saturating_sub(1).min(16);
        let longest = FIRST_RETRY.saturating_mul(1_u32 << doublings).min(LAST_RETRY);
        let mut chance = [0];
        let _ = SystemEntropy::default().fill(&mut chance);
        let pause = longest.mul_f64(1.0 - f64::from(chance[0]) / 512.0);
        shared.outcome.next_try = Some(SystemClock.now().plus(pause));
        Instant::now() + pause
    }

    /// Writes the ledger. If that fails, the receiver is told again after a restart.
    fn keep(&self, ledger: &Ledger) {
        if let Err(why) = ledger.write(&self.file) {
            tracing::error!(
                "what the receiver `{}` was told is not recorded: {why}",
                self.config.name
            );
        }
    }
}

/// Sends a message by the way of a receiver.
///
/// # Errors
/// Why it was not taken, in a legible form.
pub fn deliver(config: &ReceiverConfig, message: &Message, now: Timestamp) -> Result<(), String> {
    let roots = config.ca_file.as_deref();
    let result = match &config.channel {
        Channel::Webhook(webhook) => webhook::deliver(webhook, roots, message, now),
        Channel::Mail(mail) => mail::deliver(mail, roots, message, now),
    };
    result.map_err(|why| legible(&why))
}
