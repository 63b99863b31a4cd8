//! A policy file of any bytes: parsed, printed, laid out, linted, loaded and asked.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| countersign_policy::exercise::everything(text));
