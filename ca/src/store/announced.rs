//! The announcement of a record: a caller is at work on something that it will probably record soon.

use std::fmt;
use std::sync::Arc;

/// Counts announcements. While there are any, the store delays what is recorded a moment, so that the records of all of
/// them become durable together.
pub trait Announcements: Send + Sync {
    /// One caller less is at work.
    fn withdraw(&self);
}

/// An announcement, which holds until this is dropped. A caller holds it until its record is with the store, or it
/// knows that there will be none.
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
