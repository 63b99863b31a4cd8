//! A policy file of any bytes: parsed, shown, printed and parsed again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| countersign_policy::exercise::parse(text));
