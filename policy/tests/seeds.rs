//! Runs the fuzzer's function on its seeds.

#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::path::Path;

#[test]
fn no_seed_finds_a_fault() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/policy");
    let mut count = 0;
    for seed in fs::read_dir(seeds).unwrap() {
        countersign_policy::exercise::everything(&fs::read(seed.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 100, "{count} seeds");
}
