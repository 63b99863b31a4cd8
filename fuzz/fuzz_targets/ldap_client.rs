//! What a directory answers, any octets: cut into frames and looked through, and what passes parsed as the LDAP library does.
#![no_main]

#[path = "../../ldap-bridge/tests/exercise/mod.rs"]
mod exercise;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    exercise::exercise(octets);
});
