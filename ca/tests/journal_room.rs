//! Room that is written ahead in the journal: nobody takes it for entries, and no crash leaves it behind an entry
//! unnoticed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod journal_common;

use std::fs;
use std::path::{Path, PathBuf};

use countersign_ca::journal::{
    DamageKind, FILE_HEADER, HeadSigner, Verification, export, inclusion_proof,
};
use countersign_ca::record::Issued;
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore, Restore, audit, restore_journal};
use countersign_ca::{Error, Result, Store};
use journal_common::*;

/// Octets in a frame before its payload: length, checksum, distance.
const FRAME_HEADER: usize = 12;

struct NoKey;

impl HeadSigner for NoKey {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>> {
        Ok(vec![7; 64])
    }
}

fn durable(folder: &Path) -> EmbeddedStore {
    EmbeddedStore::open(folder, EmbeddedOptions::default(), &mut |_| {}).unwrap()
}

fn journal_in(folder: &Path) -> PathBuf {
    folder.join("journal/journal")
}

/// The findings of an audit that is told that no service runs.
fn findings(folder: &Path) -> Vec<DamageKind> {
    let report = audit(folder, Verification::default(), &mut |_, _| {}).unwrap();
    report.findings.iter().map(|damage| damage.kind).collect()
}

/// The files that keep what was cut off the journal.
fn kept(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("journal")).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("cut-")).collect()
}

/// A copy of a store with 20 certificates as a killed process leaves it, with or without the index, and the length of
/// its entries.
fn killed(with_index: bool) -> (tempfile::TempDir, usize) {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = durable(folder.path());
    fill(&store, 20);
    store.sign_head(at(50), &NoKey).unwrap();
    // The writer answers before it writes room: the next answer says that it has.
    store.record_accounts(at(60), &[account("gw2", 1)]).unwrap();
    let length = store.status().journal_bytes as usize;
    copy_data(folder.path(), copy.path(), false);
    let octets = fs::read(journal_in(copy.path())).unwrap();
    assert!(octets.len() > length + 4096, "{} {length}", octets.len());
    assert!(octets[length..].iter().all(|octet| *octet == 0xff));
    drop(store);
    if with_index {
        copy_folder(&folder.path().join("index"), &copy.path().join("index"));
    }
    // A store that is closed leaves none.
    assert_eq!(fs::read(journal_in(folder.path())).unwrap(), octets[..length]);
    (copy, length)
}

/// The offset and the length of the longest frame.
fn longest_frame(journal: &[u8]) -> (usize, usize) {
    let (mut at, mut longest) = (FILE_HEADER, (FILE_HEADER, 0));
    while at < journal.len() {
        let payload = u32::from_le_bytes(journal[at..at + 4].try_into().unwrap());
        let frame_length = FRAME_HEADER + payload as usize;
        if frame_length > longest.1 {
            longest = (at, frame_length);
        }
        at += frame_length;
    }
    longest
}

#[test]
fn room_is_no_entry_and_no_damage() {
    for with_index in [false, true] {
        let (folder, length) = killed(with_index);
        assert_eq!(findings(folder.path()), []);
        let mut lines = 0;
        export(folder.path(), 0, &mut |_| {
            lines += 1;
            Ok(true)
        })
        .unwrap();
        assert_eq!(lines, 23);
        assert!(inclusion_proof(folder.path(), 22, 23).unwrap().is_valid());
        let store = durable(folder.path());
        assert_eq!((store.status().entries, store.status().journal_bytes), (23, length as u64));
        // The next entry stands where the room began, and the room is used up and cut off.
        for number in 0..400 {
            store.record_accounts(at(70), &[account(&format!("x{number}"), 1)]).unwrap();
        }
        let (own, fresh) = store.compare_index().unwrap();
        assert_eq!(own, fresh);
        assert_eq!(findings(folder.path()), []);
        drop(store);
        assert_eq!(open(folder.path()).status().entries, 423);
        assert_eq!(kept(folder.path()), Vec::<PathBuf>::new());
        assert_eq!(findings(folder.path()), []);
    }
}

#[test]
fn a_group_that_was_torn_in_room_is_cut_off_and_kept_without_it() {
    let (folder, length) = killed(false);
    let whole = fs::read(journal_in(folder.path())).unwrap();
    // The beginning of the longest entry again, as that of a group whose rest is still room; with a hole of room in
    // it, and with room at its beginning.
    let (from, frame_length) = longest_frame(&whole[..length]);
    assert!(frame_length > 200, "{frame_length}");
    let frame = whole[from..from + 150].to_vec();
    let mut hole = frame.clone();
    hole[20..60].fill(0xff);
    let mut behind = frame.clone();
    behind[..100].fill(0xff);
    for torn in [frame, hole, behind] {
        let copy = tempfile::tempdir().unwrap();
        copy_data(folder.path(), copy.path(), false);
        let mut octets = whole.clone();
        octets[length..length + torn.len()].copy_from_slice(&torn);
        fs::write(journal_in(copy.path()), octets).unwrap();
        assert_eq!(findings(copy.path()), [DamageKind::TruncatedTail]);
        let store = durable(copy.path());
        assert_eq!((store.status().entries, store.status().journal_bytes), (23, length as u64));
        let [kept] = kept(copy.path()).try_into().unwrap();
        assert_eq!(fs::read(kept).unwrap(), torn);
        store.record_accounts(at(70), &[account("x", 1)]).unwrap();
        drop(store);
        assert_eq!(findings(copy.path()), []);
    }
}

#[test]
fn an_entry_may_end_with_octets_like_those_of_room() {
    let folder = tempfile::tempdir().unwrap();
    let id = [0xff; 64];
    let store = durable(folder.path());
    fill(&store, 1);
    store.reserve_serials(at(9), &ca(), &[serial(7)]).unwrap();
    let opened = transaction(&id, "gw1", Some(7), 900_000);
    let record = Issued { transaction: Some(opened), ..issued(7, "gw1") };
    store.record_issued(at(10), &record).unwrap();
    store.record_confirmed(at(11), &id).unwrap();
    let entries = store.status().entries;
    let copy = tempfile::tempdir().unwrap();
    copy_data(folder.path(), copy.path(), false);
    drop(store);
    // With room behind it, and without.
    for folder in [copy.path(), folder.path()] {
        assert_eq!(findings(folder), []);
        let store = open(folder);
        assert_eq!(store.status().entries, entries);
        assert!(store.certificate(&ca(), &serial(7)).unwrap().unwrap().confirmed);
    }
}

#[test]
fn entries_that_were_overwritten_with_room_are_missed() {
    let (folder, length) = killed(true);
    let whole = fs::read(journal_in(folder.path())).unwrap();
    let mut shortened = whole;
    shortened[length - 9000..].fill(0xff);
    // The entry that is cut goes as well.
    let mut at = FILE_HEADER;
    while shortened[at..at + 4] != [0xff; 4] {
        let next = at + 12 + u32::from_le_bytes(shortened[at..at + 4].try_into().unwrap()) as usize;
        if next > length - 9000 {
            shortened[at..].fill(0xff);
        } else {
            at = next;
        }
    }
    for with_index in [false, true] {
        let copy = tempfile::tempdir().unwrap();
        copy_data(folder.path(), copy.path(), with_index);
        fs::write(journal_in(copy.path()), &shortened).unwrap();
        if with_index {
            fs::remove_file(copy.path().join("journal/heads")).unwrap();
        }
        match try_open(copy.path()) {
            Err(Error::Internal(why)) => {
                assert!(why.contains(DamageKind::Shortened.name()), "{with_index} {why}");
            }
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("it opened"),
        }
    }
}

#[test]
fn a_backup_of_a_journal_with_room_has_none() {
    let (folder, length) = killed(true);
    let store = durable(folder.path());
    store.record_accounts(at(70), &[account("gw3", 1)]).unwrap();
    let mut octets = Vec::new();
    let summary = store.backup_journal(&mut octets).unwrap();
    assert!(summary.journal_bytes > length as u64 && summary.entries == 24);
    let restored = tempfile::tempdir().unwrap();
    let how = Restore {
        at: at(3000),
        actor: "uid 0".into(),
        keeps_uses: false,
        longest_silence: None,
        accepts_clock: false,
    };
    restore_journal(&mut octets.as_slice(), restored.path(), &how).unwrap();
    let restored_octets = fs::read(journal_in(restored.path())).unwrap();
    assert_ne!(restored_octets.last(), Some(&0xff));
    assert_eq!(open(restored.path()).status().entries, 25);
}
