//! Power cuts for tests: after a chosen number of steps on the disk, every further step fails.

use std::cell::Cell;
use std::io;

thread_local! {
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Simulates a power cut: every step of this thread fails after `steps` further ones; `None` for no power cut.
pub fn fail_after(steps: Option<u32>) {
    LEFT.set(steps);
}

/// Counts a step on the disk. It fails once the power is out.
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
