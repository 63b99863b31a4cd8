//! The body of an EST request, or the value of its `Authorization`, of any octets: decoded, and read as a CertificationRequest.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| countersign_enroll::est::exercise::decode(octets));
