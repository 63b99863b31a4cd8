//! Values that must not be released until their journal entry is durable.
//!
//! A [`Recording`] holds such a value. [`Recording::map`] transforms the value while the writer thread still works;
//! [`Recording::wait`] (blocking) and [`Recording::settled`] (a future, which needs no particular runtime) return it
//! once the writer has confirmed the entry.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use crate::error::{Error, Result};

/// An action to run once the entry of a receipt is durable.
type After = Box<dyn FnOnce() + Send>;

/// A value that is released when its journal entry is durable. Dropping the `Recording` does not cancel the entry: what
/// was handed to the writer is recorded regardless.
#[must_use = "nothing is sure before it was waited for"]
pub struct Recording<T> {
    value: T,
    receipt: Option<Receipt>,
}

impl<T> Recording<T> {
    /// A value that depends on no entry and is available at once.
    pub const fn ready(value: T) -> Self {
        Self { value, receipt: None }
    }

    /// A value that depends on the entry of this receipt.
    pub const fn new(value: T, receipt: Receipt) -> Self {
        Self { value, receipt: Some(receipt) }
    }

    /// Whether the value depends on no entry.
    pub const fn is_ready(&self) -> bool {
        self.receipt.is_none()
    }

    /// Whether [`Self::wait`] would return at once, with the value or an error.
    pub fn is_settled(&self) -> bool {
        self.receipt.as_ref().is_none_or(Receipt::is_settled)
    }

    /// Transforms the value. The result depends on the same entry.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Recording<U> {
        Recording { value: make(self.value), receipt: self.receipt }
    }

    /// Like [`Self::map`], for a transformation that can fail.
    ///
    /// # Errors
    /// The error of `make`.
    pub fn try_map<U, E>(self, make: impl FnOnce(T) -> Result<U, E>) -> Result<Recording<U>, E> {
        Ok(Recording { value: make(self.value)?, receipt: self.receipt })
    }

    /// Blocks this thread until the entry is durable, and returns the value.
    ///
    /// # Errors
    /// The reason why the entry was not recorded.
    pub fn wait(self) -> Result<T> {
        self.receipt.map_or(Ok(()), Receipt::wait)?;
        Ok(self.value)
    }

    /// Resolves to the value when the entry is durable.
    ///
    /// # Errors
    /// The reason why the entry was not recorded.
    pub async fn settled(self) -> Result<T> {
        if let Some(receipt) = self.receipt {
            receipt.await?;
        }
        Ok(self.value)
    }
}

impl<T> std::fmt::Debug for Recording<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording").field("is_ready", &self.is_ready()).finish_non_exhaustive()
    }
}

/// A future for the answer of the writer thread about one entry: it resolves when the entry is durable, or with the reason why the entry
/// was not recorded.
#[must_use = "nothing is sure before it was waited for"]
pub struct Receipt {
    slot: Arc<Slot>,
    after: Option<After>,
}

/// The writer's end of a [`Receipt`]. If it is dropped without an answer, the receipt resolves to the error that the
/// store is closed.
pub(crate) struct Reply(Arc<Slot>);

/// The state that a receipt and its [`Reply`] share.
struct Slot(Mutex<State>);

enum State {
    Waiting {
        waker: Option<Waker>,
        /// The action of a receipt that was dropped before the answer. The writer runs it.
        after: Option<After>,
    },
    Done(Result<()>),
}

/// Makes a receipt, and the writer's end of it.
pub(crate) fn receipt() -> (Receipt, Reply) {
    let slot = Arc::new(Slot(Mutex::new(State::Waiting { waker: None, after: None })));
    (Receipt { slot: Arc::clone(&slot), after: None }, Reply(slot))
}

impl Receipt {
    /// Runs `after` once, if the entry becomes durable: when this receipt resolves or, if it is dropped before, when the writer answers.
    /// `after` must be quick: it may run on the writer thread. It replaces the action of an earlier call.
    pub fn then(mut self, after: impl FnOnce() + Send + 'static) -> Self {
        self.after = Some(Box::new(after));
        self
    }

    /// Whether the writer thread has answered, with success or an error.
    fn is_settled(&self) -> bool {
        matches!(*self.slot.lock(), State::Done(_))
    }

    /// Blocks this thread until the writer answers.
    ///
    /// # Errors
    /// The reason why the entry was not recorded.
    pub fn wait(mut self) -> Result<()> {
        thread_local! {
            static WAKER: Waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        }
        WAKER.with(|waker| {
            let mut context = Context::from_waker(waker);
            loop {
                match Pin::new(&mut self).poll(&mut context) {
                    Poll::Ready(answer) => return answer,
                    Poll::Pending => std::thread::park(),
                }
            }
        })
    }
}

impl Future for Receipt {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let answer = match &mut *self.slot.lock() {
            State::Done(answer) => answer.clone(),
            State::Waiting { waker, .. } => {
                match waker {
                    // Only the task that polled last is woken, as the contract of `Future::poll` demands.
                    Some(known) => known.clone_from(context.waker()),
                    None => *waker = Some(context.waker().clone()),
                }
                return Poll::Pending;
            }
        };
        let after = self.after.take();
        if let (Ok(()), Some(after)) = (&answer, after) {
            after();
        }
        Poll::Ready(answer)
    }
}

/// If the entry is durable already, runs the pending action now; otherwise leaves it to the writer.
impl Drop for Receipt {
    fn drop(&mut self) {
        let Some(own) = self.after.take() else { return };
        match &mut *self.slot.lock() {
            State::Waiting { after, .. } => return *after = Some(own),
            State::Done(Err(_)) => return,
            State::Done(Ok(())) => {}
        }
        own();
    }
}

impl Reply {
    /// Sends the answer to the receipt.
    pub fn send(self, answer: Result<()>) {
        self.0.answer(answer);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if matches!(*self.0.lock(), State::Waiting { .. }) {
            self.0.answer(Err(Error::unavailable("the store is closed")));
        }
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, answer: Result<()>) {
        let is_durable = answer.is_ok();
        let before = std::mem::replace(&mut *self.lock(), State::Done(answer));
        let State::Waiting { waker, after } = before else { return };
        if let Some(after) = after.filter(|_| is_durable) {
            after();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A waker that unparks the waiting thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    fn counted() -> (Arc<AtomicU32>, impl FnOnce() + Send + 'static) {
        let count = Arc::new(AtomicU32::new(0));
        let own = Arc::clone(&count);
        let add = move || {
            own.fetch_add(1, Ordering::SeqCst);
        };
        (count, add)
    }

    #[test]
    fn a_value_is_had_when_the_writer_has_answered() {
        let (receipt, reply) = receipt();
        let pending = Recording::new(20, receipt).map(|value| value + 1);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| pending.wait());
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waits.is_finished());
            reply.send(Ok(()));
            assert_eq!(waits.join().unwrap(), Ok(21));
        });
        assert_eq!(Recording::ready(1).wait(), Ok(1));
    }

    #[test]
    fn a_refusal_and_a_writer_that_is_gone_are_errors() {
        let (refused, reply) = receipt();
        reply.send(Err(Error::unavailable("full")));
        assert_eq!(Recording::new(1, refused).wait(), Err(Error::unavailable("full")));
        let (left, reply) = receipt();
        drop(reply);
        assert!(matches!(left.wait(), Err(Error::Unavailable(why)) if why.contains("closed")));
    }

    #[test]
    fn what_comes_after_is_done_once_and_only_when_it_is_durable() {
        for waited in [true, false] {
            for answered_first in [true, false] {
                for (answer, times) in [(Ok(()), 1), (Err(Error::unavailable("full")), 0)] {
                    let (count, after) = counted();
                    let (receipt, reply) = receipt();
                    let receipt = receipt.then(after);
                    let mut reply = Some(reply);
                    if answered_first {
                        reply.take().unwrap().send(answer.clone());
                    }
                    std::thread::scope(|scope| {
                        let end = move || if waited { drop(receipt.wait()) } else { drop(receipt) };
                        let ends = scope.spawn(end);
                        if !waited {
                            ends.join().unwrap();
                        }
                        if let Some(reply) = reply {
                            reply.send(answer);
                        }
                    });
                    assert_eq!(count.load(Ordering::SeqCst), times, "{waited} {answered_first}");
                }
            }
        }
    }

    #[test]
    fn as_a_future_it_wakes_the_last_one_who_asked() {
        let (receipt, reply) = receipt();
        let mut future = Box::pin(Recording::new(3, receipt).settled());
        let (first, second) = (Arc::new(Counted::default()), Arc::new(Counted::default()));
        for waker in [&first, &second] {
            let waker = Waker::from(Arc::clone(waker));
            assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        reply.send(Ok(()));
        assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (0, 1));
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(Ok(3)));
    }

    #[derive(Default)]
    struct Counted(AtomicU32);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}
