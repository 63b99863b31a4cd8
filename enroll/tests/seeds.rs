//! Puts the fuzzer's seeds and captures of real clients through the fuzzer's own functions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod exercise;

#[path = "exercise/ber.rs"]
mod ber_exercise;

use std::fs;
use std::path::{Path, PathBuf};

use exercise::Place;
use exercise::wire::Answer;

/// The captures, and the inputs that runs of a fuzz target found.
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

/// The seeds that `exercise::seeds` defines are in the corpora of both targets. `WRITE_SEEDS=1` writes them.
#[test]
fn each_seed_of_our_own_reaches_the_answer_that_it_is_for() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let place = Place::new();
    let mut others = Vec::new();
    for (name, octets, kind) in exercise::seeds::all() {
        for target in ["cmp_answer", "cmp_decode"] {
            let file = corpus.join(target).join(name);
            if std::env::var_os("WRITE_SEEDS").is_some() {
                fs::write(&file, &octets).unwrap();
            }
            assert!(fs::read(&file).unwrap() == octets, "{} is another", file.display());
        }
        let answer = place.answered(&octets).expect("a message that can be repaired");
        let answer = Answer::read(&answer).unwrap();
        if (answer.kind, answer.rejection()) != (kind, None) {
            others.push(format!("{name}: {:#04x}, {:?}", answer.kind, answer.rejection()));
        }
    }
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn no_seed_finds_a_fault_in_the_decoder() {
    let seeds = seeds("cmp_decode");
    assert!(seeds.len() >= 11, "{} seeds", seeds.len());
    for (_, octets) in seeds {
        countersign_enroll::cmp::exercise::decode(&octets);
    }
}

/// Seeds of the target `ber`, which also begins with the messages of clients. `WRITE_SEEDS=1` writes them.
#[test]
fn no_seed_finds_a_fault_in_the_reader_of_ber() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = root.join("../fuzz/corpus/ber");
    let deep = [[0x30, 0x80].repeat(16), [0, 0].repeat(16)].concat();
    for (name, octets) in [
        ("indefinite", &[0x30, 0x80, 0x24, 0x80, 4, 1, 7, 4, 2, 8, 9, 0, 0, 0, 0][..]),
        ("long-length-kept", &[0x30, 0x80, 0x30, 0x81, 2, 5, 0, 0x31, 0x80, 0, 0, 0, 0]),
        ("segments-in-segments", &[0x24, 0x80, 0x24, 3, 4, 1, 1, 0x24, 0x80, 4, 0, 0, 0, 0, 0]),
        ("segments-of-bits", &[0x23, 8, 3, 2, 0, 0xff, 3, 2, 4, 0xf0]),
        ("no-segments-of-bits", &[0x23, 0]),
        ("segments-of-text", &[0x33, 6, 4, 1, b'a', 0x13, 1, b'b']),
        ("implicit-segments", &[0xa0, 0x80, 4, 1, 7, 4, 1, 8, 0, 0]),
        ("deepest", &deep),
        ("segment-of-another-kind", &[0x30, 0x80, 0x24, 3, 2, 1, 1, 0, 0]),
        ("no-end", &[0x30, 0x80, 4, 1, 7, 0]),
    ] {
        let file = corpus.join(name);
        if std::env::var_os("WRITE_SEEDS").is_some() {
            fs::create_dir_all(&corpus).unwrap();
            fs::write(&file, octets).unwrap();
        }
        assert!(fs::read(&file).unwrap() == octets, "{} is another", file.display());
    }
    let folders = [corpus, root.join("tests/captured-scep")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    for file in files {
        ber_exercise::exercise(&fs::read(file.unwrap().path()).unwrap());
    }
}

/// Seeds of the target `scep`: forms that no captured message has. `WRITE_SEEDS=1` writes them.
#[test]
fn no_seed_finds_a_fault_in_the_reader_of_scep() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = root.join("../fuzz/corpus/scep");
    for (name, octets) in [
        ("indefinite", &[0x30, 0x80, 0x24, 0x80, 4, 1, 7, 4, 2, 8, 9, 0, 0, 0, 0][..]),
        ("segments-of-bits", &[0x23, 8, 3, 2, 0, 0xff, 3, 2, 4, 0xf0]),
        ("deep", &[0x30, 0x80].repeat(40)),
        ("implicit-segments", &[0xa0, 0x80, 4, 1, 7, 4, 1, 8, 0, 0]),
        ("query", b"message=-_--AQ%0A%3D&operation=PKIOperation"),
    ] {
        let file = corpus.join(name);
        if std::env::var_os("WRITE_SEEDS").is_some() {
            fs::create_dir_all(&corpus).unwrap();
            fs::write(&file, octets).unwrap();
        }
        assert!(fs::read(&file).unwrap() == octets, "{} is another", file.display());
    }
    let folders = [corpus, root.join("tests/captured-scep")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut seeds = 0;
    for file in files {
        countersign_enroll::scep::exercise::decode(&fs::read(file.unwrap().path()).unwrap());
        seeds += 1;
    }
    assert!(seeds >= 33, "{seeds} seeds");
}

#[test]
fn no_seed_finds_a_fault_in_the_reader_of_est() {
    let seeds = seeds("est_request");
    assert!(seeds.len() >= 10, "{} seeds", seeds.len());
    for (_, octets) in seeds {
        countersign_enroll::est::exercise::decode(&octets);
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
    // The ir, p10cr, cr and kur of the captures are granted once they are repaired, so that the fuzzer reaches the issuing code.
    assert!(place.granted() >= 6, "{} granted", place.granted());
}
