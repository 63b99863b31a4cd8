//! tests/lanes.txt lists the tests that need an installed program. `tests/lanes.sh` runs all others with an empty PATH, so a test that
//! lacks its row fails there; this test finds rows that mean nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const LANES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lanes.txt");

#[test]
fn every_row_of_the_lanes_names_a_test_that_there_is() {
    let rows = fs::read_to_string(LANES).unwrap();
    let rows: Vec<Vec<&str>> = rows
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().split_whitespace().collect())
        .filter(|words: &Vec<&str>| !words.is_empty())
        .collect();
    let whole: BTreeSet<&str> =
        rows.iter().filter(|row| row.len() == 1).filter_map(|row| row.first().copied()).collect();
    let mut seen = BTreeSet::new();
    for row in &rows {
        assert!(seen.insert(row), "tests/lanes.txt has a row twice: {row:?}");
        match row[..] {
            [file] => assert!(
                !text_below(file).is_empty(),
                "tests/lanes.txt names `{file}`, which is not there: remove the row"
            ),
            [file, test] => {
                assert!(
                    !whole.contains(file),
                    "tests/lanes.txt names `{file}` as a whole, and `{test}` in it: remove one"
                );
                let is_there = text_below(file).contains(&format!("fn {test}("));
                assert!(
                    is_there,
                    "tests/lanes.txt names `{test}` in `{file}`, which has no such test: rename or remove the row"
                );
            }
            _ => panic!("expected `FILE` or `FILE TEST` in tests/lanes.txt, found {row:?}"),
        }
    }
    assert!(rows.len() > 10, "{} rows", rows.len());
}

/// The Rust text of a file and of the folder of its modules, or of a folder; empty if there is neither.
fn text_below(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let mut text = String::new();
    gather(&path, &mut text);
    gather(&path.with_extension(""), &mut text);
    text
}

fn gather(path: &Path, text: &mut String) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            gather(&entry.unwrap().path(), text);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") && path.exists() {
        *text += &fs::read_to_string(path).unwrap();
    }
}
