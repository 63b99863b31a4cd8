//! Power cuts for tests: after so many steps on the disk, none succeeds any more.

use std::cell::Cell;
use std::io;

thread_local! {
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Lets the power fail after so many steps of this thread; `None` for never.
pub fn fail_after(steps: Option<u32>) {
    LEFT.set(steps);
}

/// A step on the disk.
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
