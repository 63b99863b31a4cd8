//! A disk that is really full: a small tmpfs, with journal and index on it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod journal_common;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use countersign_ca::journal::Verification;
use countersign_ca::store::audit;
use countersign_ca::{Error, Store};
use journal_common::*;

const CHILD: &str = "COUNTERSIGN_TEST_SMALL_DISK";

#[test]
fn a_full_disk_refuses_and_all_goes_on_when_there_is_space() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return on_a_small_disk(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let test = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(["-rm", "--propagation", "private", "sh", "-c"])
        .arg(r#"mount -t tmpfs -o size=16m tmpfs "$1" && exec "$2" --nocapture"#)
        .arg("sh")
        .arg(folder.path())
        .arg(test)
        .env(CHILD, folder.path())
        .output()
        .unwrap_or_else(|e| panic!("`unshare`: {e}; this test needs the package `util-linux`"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stdout));
}

fn on_a_small_disk(folder: &Path) {
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    let store = open(&data);
    fill(&store, 1000);
    let serials: Vec<_> = (2001..=3000).map(serial).collect();
    store.reserve_serials(at(2000), &ca(), &serials).unwrap();
    // Full to the last octet, so that neither the journal nor sled can go on.
    let mut filler = File::create(folder.join("filler")).unwrap();
    let piece = [0; 4096];
    while filler.write_all(&piece).is_ok() {}
    let mut refused = 0;
    let mut taken = Vec::new();
    for number in 2001..=2020 {
        match store.record_issued(at(3000), &issued(number, "gw1")) {
            Ok(()) => taken.push(number),
            Err(Error::Unavailable(why)) => {
                assert!(why.contains("the disk is full"), "{why}");
                refused += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(refused > 10, "{refused} refused");
    // sled writes in the background, and fails.
    std::thread::sleep(Duration::from_secs(4));
    assert!(store.certificate(&ca(), &serial(1000)).unwrap().is_some());
    assert_eq!(store.certificates(Some(&label("gw1")), 0, 10).unwrap().records.len(), 10);

    drop(filler);
    fs::remove_file(folder.join("filler")).unwrap();
    for number in 2101..=2900 {
        store.record_issued(at(4000), &issued(number, "gw1")).unwrap();
        taken.push(number);
    }
    std::thread::sleep(Duration::from_secs(1));
    let all = |store: &dyn Store| {
        for number in (1..=1000).chain(taken.iter().copied()) {
            assert!(store.certificate(&ca(), &serial(number)).unwrap().is_some(), "{number}");
        }
    };
    all(&store);
    let (kept, fresh) = store.compare_index().unwrap();
    assert_eq!(kept, fresh);
    drop(store);
    let store = open(&data);
    all(&store);
    let (kept, fresh) = store.compare_index().unwrap();
    assert_eq!(kept, fresh);
    drop(store);
    assert!(audit(&data, Verification::default(), &mut |_, _| {}).unwrap().is_good());
}
