//! Runs the fuzzer's functions on its seeds, which are answers of directories.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod exercise;

use std::path::Path;

#[test]
fn each_seed_passes_as_far_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/ldap_client");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // NAME-N: N of its frames are accepted.
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let expected: usize = name.rsplit('-').next().unwrap().parse().unwrap();
        assert_eq!(exercise::exercise(&std::fs::read(&path).unwrap()), expected, "{name}");
        seen += 1;
    }
    assert!(seen >= 12, "{seen} seeds");
}
