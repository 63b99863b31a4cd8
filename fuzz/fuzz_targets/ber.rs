//! A message in BER of any octets: made definite, and compared with what another reader finds in it.
#![no_main]

#[path = "../../enroll/tests/exercise/ber.rs"]
mod exercise;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| exercise::exercise(octets));
