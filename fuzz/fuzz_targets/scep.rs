//! A SCEP message of any octets, or what is inside one: BER, SignedData, EnvelopedData, PKCS #10, and the query of a GET.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| countersign_enroll::scep::exercise::decode(octets));
