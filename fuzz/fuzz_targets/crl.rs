//! A CRL of any octets: as it is, and as a TBSCertList that a root has signed, so that its entries are reached.
#![no_main]

#[allow(dead_code, reason = "shared with the tests of CRLs")]
#[path = "../../ca/tests/path_crl/draft.rs"]
mod draft;
#[path = "../../ca/tests/exercise/mod.rs"]
mod exercise;

use exercise::Place;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static PLACE: Place = Place::new();
}

fuzz_target!(|octets: &[u8]| {
    PLACE.with(|place| place.exercise(octets));
});
