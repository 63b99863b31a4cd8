//! An OCSP response of any octets: as it is, and as a ResponseData that the issuer, or its responder, has signed.
#![no_main]

#[allow(dead_code, reason = "shared with the tests of CRLs")]
#[path = "../../ca/tests/path_crl/draft.rs"]
mod draft;
#[allow(dead_code, reason = "shared with the tests of the OCSP client")]
#[path = "../../ike-plugin/tests/exercise/mod.rs"]
mod exercise;

use exercise::Place;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static PLACE: Place = Place::new();
}

fuzz_target!(|octets: &[u8]| {
    PLACE.with(|place| place.ocsp(octets));
});
