//! The announcement of a record: a caller is at work on something that it will probably record soon.

use std::fmt;
use std::sync::Arc;

/// A counter of announcements. While there are any, the store delays what is recorded a moment, so that the records of
/// all announcing callers become durable together.
pub trait Announcements: Send + Sync {
    /// Counts one announcement less.
    fn withdraw(&self);
}

/// The announcement that the caller will probably record something soon. It ends when this value is dropped. The caller
/// drops it when its record is with the store, or when it knows that there will be none.
pub struct Announced(Arc<dyn Announcements>);

impl Announced {
    /// An announcement that was counted already.
    pub fn new(announcements: Arc<dyn Announcements>) -> Self {
        Self(announcements)
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}

impl fmt::Debug for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Announced")
    }
}
