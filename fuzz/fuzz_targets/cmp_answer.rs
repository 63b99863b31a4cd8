//! A CMP message of any octets, through the whole server: as it is, and repaired so that what lies behind the protection
//! and the proof of possession is reached. The authority stands in a temporary folder.
#![no_main]

#[allow(dead_code, reason = "shared with the test of the seeds, which also counts")]
#[path = "../../enroll/tests/exercise/mod.rs"]
mod exercise;

use std::cell::RefCell;

use exercise::Place;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static PLACE: RefCell<Place> = RefCell::new(Place::new());
}

fuzz_target!(|octets: &[u8]| PLACE.with(|place| place.borrow_mut().exercise(octets)));
