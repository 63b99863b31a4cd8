//! A CMP message of any octets: decoded, with every kind of body and the certificates in it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| countersign_enroll::cmp::exercise::decode(octets));
