//! The receivers of a running server.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use countersign_ca::{Clock, SystemClock};

use super::message::Message;
use super::receiver::{News, Outcome, Receiver, deliver};
use crate::config::{NotifyConfig, ReceiverConfig};
use crate::exit::Failure;
use crate::finding::Finding;
use crate::threads::Threads;

/// How long the server waits at its end for messages that are on their way.
const FAREWELL: Duration = Duration::from_secs(3);

/// The most tests that are under way at once, of which each receiver has one. Each keeps a request of an administrator waiting.
const MAX_TESTS: usize = 4;

/// The receivers of a running server, each with its thread.
pub struct Notifier {
    threads: Threads,
    folder: PathBuf,
    state: Mutex<State>,
    /// The receivers of which a test is under way.
    tested: Mutex<BTreeSet<String>>,
}

struct State {
    running: Vec<Running>,
    news: Option<Arc<News>>,
    count: u64,
}

struct Running {
    receiver: Arc<Receiver>,
    thread: JoinHandle<()>,
}

/// A test that is under way, until this is dropped.
struct Testing<'a> {
    tested: &'a Mutex<BTreeSet<String>>,
    name: &'a str,
}

impl<'a> Testing<'a> {
    /// The test of a receiver; `None` while another one is under way, or too many are.
    fn begin(tested: &'a Mutex<BTreeSet<String>>, name: &'a str) -> Option<Self> {
        let mut all = tested.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = all.len() < MAX_TESTS && all.insert(name.to_owned());
        // Lazily: what is made and dropped here would end the other test.
        has_room.then(|| Self { tested, name })
    }
}

impl Drop for Testing<'_> {
    fn drop(&mut self) {
        self.tested.lock().unwrap_or_else(PoisonError::into_inner).remove(self.name);
    }
}

impl Notifier {
    /// Starts the receivers. `folder` has the files of their ledgers.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(
        threads: &Threads,
        folder: PathBuf,
        config: &NotifyConfig,
    ) -> Result<Self, Failure> {
        let state = Mutex::new(State { running: Vec::new(), news: None, count: 0 });
        let tested = Mutex::default();
        let notifier = Self { threads: threads.clone(), folder, state, tested };
        notifier.reload(config)?;
        Ok(notifier)
    }

    /// Starts the receivers that are new or have other settings, and ends those that are no more.
    ///
    /// # Errors
    /// The operating system gives no thread for a receiver. The others run, and the next call tries again.
    pub fn reload(&self, config: &NotifyConfig) -> Result<(), Failure> {
        let mut state = self.state();
        let mut old = std::mem::take(&mut state.running);
        let mut failed = None;
        for wanted in &config.receivers {
            let place = old.iter().position(|running| running.receiver.config.name == wanted.name);
            let before = place.map(|place| old.swap_remove(place));
            if let Some(same) = before.as_ref().filter(|old| old.receiver.config == *wanted) {
                let receiver = Arc::clone(&same.receiver);
                if let Some(Running { thread, .. }) = before {
                    state.running.push(Running { receiver, thread });
                }
                continue;
            }
            let (outcome, thread) = match before {
                Some(Running { receiver, thread }) => {
                    receiver.stop();
                    (receiver.outcome(), Some(thread))
                }
                None => (Outcome::default(), None),
            };
            let receiver =
                Arc::new(Receiver::new(wanted.clone(), &config.instance, &self.folder, outcome));
            let thread = match receiver.start(&self.threads, thread) {
                Ok(thread) => thread,
                Err(e) => {
                    tracing::error!("the receiver `{}` gets no thread: {e}", wanted.name);
                    failed = Some(e);
                    continue;
                }
            };
            if let Some(news) = &state.news {
                receiver.tell(news);
            }
            state.running.push(Running { receiver, thread });
        }
        old.iter().for_each(|running| running.receiver.stop());
        failed.map_or(Ok(()), |e| Err(e.into()))
    }

    /// Gives every receiver the findings of now.
    pub fn tell(&self, findings: Vec<Finding>) {
        let mut state = self.state();
        state.count = state.count.saturating_add(1);
        let news = Arc::new(News { findings, number: state.count });
        state.running.iter().for_each(|running| running.receiver.tell(&news));
        state.news = Some(news);
    }

    /// The receivers, in the order of the configuration, and how messages to them went.
    pub fn outcomes(&self) -> Vec<(ReceiverConfig, Outcome)> {
        let running = self.receivers();
        running.iter().map(|receiver| (receiver.config.clone(), receiver.outcome())).collect()
    }

    /// Sends a test, and returns the identifier of the message.
    ///
    /// # Errors
    /// There is no such receiver, it does not take the message, or another test is under way.
    pub fn test(&self, name: &str, instance: &str) -> Result<String, Failure> {
        let running = self.receivers();
        let receiver = running.iter().find(|receiver| receiver.config.name.as_str() == name);
        let receiver = receiver.ok_or_else(|| {
            missing(name, running.iter().map(|receiver| receiver.config.name.as_str()))
        })?;
        let Some(_testing) = Testing::begin(&self.tested, name) else {
            return Err(Failure::unavailable(format!(
                "a test of `{name}`, or of {MAX_TESTS} other receivers, is under way; try again when it has ended"
            )));
        };
        send(name, instance, |message| receiver.attempt(message))
    }

    /// Ends the threads. One that waits for a receiver is given up after a moment; what it sent may be sent again.
    pub fn stop(&self) {
        let running = std::mem::take(&mut self.state().running);
        running.iter().for_each(|running| running.receiver.stop());
        let deadline = Instant::now() + FAREWELL;
        while running.iter().any(|running| !running.thread.is_finished())
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn receivers(&self) -> Vec<Arc<Receiver>> {
        self.state().running.iter().map(|running| Arc::clone(&running.receiver)).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends a test to a receiver of the configuration while no server runs, and returns the identifier of the message.
///
/// # Errors
/// There is no such receiver, or it does not take the message.
pub fn send_test(config: &NotifyConfig, name: &str) -> Result<String, Failure> {
    let receiver = config.receivers.iter().find(|receiver| receiver.name.as_str() == name);
    let receiver = receiver.ok_or_else(|| {
        missing(name, config.receivers.iter().map(|receiver| receiver.name.as_str()))
    })?;
    send(name, &config.instance, |message| deliver(receiver, message, SystemClock.now()))
}

fn send(
    name: &str,
    instance: &str,
    deliver: impl Fn(&Message) -> Result<(), String>,
) -> Result<String, Failure> {
    let failed = |why: String| Failure::unavailable(format!("the receiver `{name}`: {why}"));
    let message = Message::test(instance, SystemClock.now()).map_err(failed)?;
    deliver(&message).map_err(failed)?;
    Ok(message.id)
}

fn missing<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    let known = match known.is_empty() {
        true => "notify.receivers in the configuration has none".to_owned(),
        false => format!("there are {}", known.join(", ")),
    };
    Failure::missing(format!("there is no receiver `{}`; {known}", name.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_has_one_test_at_a_time_and_all_have_few() {
        let tested = Mutex::default();
        let begin = |name: &'static str| Testing::begin(&tested, name);
        let first = begin("a");
        assert!(first.is_some() && begin("a").is_none());
        let others: Vec<_> = ["b", "c", "d", "e"].into_iter().map(begin).collect();
        let begun: Vec<bool> = others.iter().map(Option::is_some).collect();
        assert_eq!(begun, [true, true, true, false]);
        drop(first);
        assert!(begin("a").is_some());
        drop(others);
        assert!(tested.lock().unwrap().is_empty());
    }
}
