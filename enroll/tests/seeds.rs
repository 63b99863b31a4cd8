//! The fuzzer's seeds and the captures of real clients, through the fuzzer's own functions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod exercise;

use std::fs;
use std::path::{Path, PathBuf};

use exercise::Place;

/// Captures, and what a target's runs found.
fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.join("tests/data"), root.join("../fuzz/corpus").join(target)];
    let files = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|file| file.unwrap().path());
    let seed = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, None | Some("der"))
    };
    let mut all: Vec<_> =
        files.filter(seed).map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    all.sort();
    all
}

#[test]
fn no_seed_finds_a_fault_in_the_decoder() {
    let seeds = seeds("cmp_decode");
    assert!(seeds.len() >= 11, "{} seeds", seeds.len());
    for (_, octets) in seeds {
        countersign_enroll::cmp::exercise::decode(&octets);
    }
}

#[test]
fn no_seed_finds_a_fault_in_the_handler() {
    let seeds = seeds("cmp_answer");
    assert!(seeds.len() >= 11, "{} seeds", seeds.len());
    let mut place = Place::new();
    for (_, octets) in &seeds {
        place.exercise(octets);
    }
    // ir, p10cr, cr and kur of the captures are granted once they are repaired: the fuzzer gets as far as issuing.
    assert!(place.granted() >= 6, "{} granted", place.granted());
}
