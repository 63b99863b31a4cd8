//! Power cuts for tests: after a chosen number of steps on the disk, every further step fails.

use std::cell::Cell;
use std::io;

thread_local! {
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Lets the power fail after `steps` further steps of this thread; `None` for never.
pub fn fail_after(steps: Option<u32>) {
    LEFT.set(steps);
}

/// A step on the disk, which fails once the power is out.
pub fn step() -> io::Result<()> {
    match LEFT.get() {
        None => Ok(()),
        Some(0) => Err(io::Error::other("the power failed")),
        Some(left) => {
            LEFT.set(Some(left - 1));
            Ok(())
        }
    }
}
