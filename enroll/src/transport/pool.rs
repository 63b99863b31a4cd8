//! The kinds of thread on which a request runs, and the steps that are allowed there (ADR 12).

use super::share::Rank;

/// The kind of thread that works on a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pool {
    /// The event loop of the request's connection. Other connections wait for it, so the request may only compute, and not for long.
    EventLoop,
    /// One of the few threads that derive keys from secrets (`CmpConfig::mac_workers`), in the order of this rank. Other requests wait
    /// for it, so the request may wait for nothing but a permit to derive a key.
    MacWorker(Rank),
    /// A thread of the request's own. It may wait for the disk, for files and for permits, and compute as long as it takes.
    #[default]
    Blocking,
}

/// A request has to be worked on by a blocking thread, from its beginning. Nothing was recorded or counted for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeedsBlockingThread;

/// The result of the work on a request on one thread, or that the request needs a blocking thread.
pub type Attempt<T> = Result<T, NeedsBlockingThread>;

impl Pool {
    /// To be called before each step that may block or takes long.
    ///
    /// On any other thread, the request is then begun anew on a blocking one. So the caller must not have recorded anything for it yet: a
    /// step that was recorded would be recorded twice.
    ///
    /// # Errors
    /// [`NeedsBlockingThread`] unless this is a blocking thread.
    pub const fn require_blocking(self) -> Result<(), NeedsBlockingThread> {
        match self {
            Self::Blocking => Ok(()),
            Self::EventLoop | Self::MacWorker(_) => Err(NeedsBlockingThread),
        }
    }

    /// To be called before a key of many iterations is derived from a secret. As with [`Self::require_blocking`], the caller must not have recorded anything
    /// for the request yet.
    ///
    /// # Errors
    /// [`NeedsBlockingThread`] on an event loop.
    pub const fn require_mac_worker(self) -> Result<(), NeedsBlockingThread> {
        match self {
            Self::MacWorker(_) | Self::Blocking => Ok(()),
            Self::EventLoop => Err(NeedsBlockingThread),
        }
    }
}
