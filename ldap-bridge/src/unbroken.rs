//! Turns a panic into an error, so that a thread survives it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use crate::error::{Error, Result};

/// The message of the error after a panic.
pub const BROKEN: &str = "a fault of ours, which the log tells; it is tried again";

/// Runs a future. A panic becomes an error, and the thread continues.
///
/// # Errors
/// [`Error::Internal`] if it panics. The caller must discard everything that it was changing.
pub async fn unbroken<T>(work: impl Future<Output = T>) -> Result<T> {
    let mut work = std::pin::pin!(work);
    let polled = std::future::poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(polled) => polled.map(Ok),
            // The hook of the process has reported it.
            Err(_) => Poll::Ready(Err(Error::Internal(BROKEN.into()))),
        }
    });
    polled.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error() {
        assert_eq!(unbroken(async { 7 }).await, Ok(7));
        let broken = unbroken(async { panic!("on purpose") }).await;
        assert!(matches!(broken, Err::<(), _>(Error::Internal(_))));
    }
}
