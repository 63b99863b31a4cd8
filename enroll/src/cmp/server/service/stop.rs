//! Why a message is not granted.

use countersign_ca::Error;

use crate::cmp::wire::refusal::Refusal;
use crate::transport::pool::NeedsBlockingThread;

/// Why a step ends the work on a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The message is refused, and the answer says why.
    Refused(Refusal),
    /// Too much is worked on already. There is no answer to the message: HTTP status 503 asks the peer to send it again. The text is for
    /// the log.
    ///
    /// INVARIANT: nothing was recorded for the message yet.
    Busy(&'static str),
    /// The step would block, and this thread must not. A blocking thread begins the message anew.
    ///
    /// INVARIANT: nothing was recorded for the message yet.
    NeedsBlockingThread,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error.into())
    }
}

impl From<NeedsBlockingThread> for Stop {
    fn from(_: NeedsBlockingThread) -> Self {
        Self::NeedsBlockingThread
    }
}
