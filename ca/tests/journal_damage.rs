//! A journal that is truncated, bit-flipped, re-ordered, shortened or altered is reported for what it is, when the
//! store is opened and by an audit.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod journal_common;

use std::fs;
use std::path::Path;

use countersign_ca::journal::{
    DamageKind, FILE_HEADER, Head, HeadSigner, Report, Verification, consistency_proof, export,
    inclusion_proof,
};
use countersign_ca::record::AdminAction;
use countersign_ca::store::{EmbeddedStore, LastRestore, Restore, audit, restore_journal};
use countersign_ca::{Denial, Error, Result, Store};
use journal_common::*;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

struct Key(Ed25519KeyPair);

impl Key {
    fn new() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        UnparsedPublicKey::new(&ED25519, self.0.public_key())
            .verify(message, signature)
            .map_err(|_| Error::unauthenticated("the signature is wrong"))
    }
}

impl HeadSigner for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

/// A data folder with 1 + 1 + 20 entries, of which a head covers the last.
struct Sample {
    folder: tempfile::TempDir,
    key: Key,
    head: Head,
}

impl Sample {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::new();
        let store = open(folder.path());
        fill(&store, 20);
        let head = store.sign_head(at(100), &key).unwrap();
        assert_eq!(head.size, 22);
        Self { folder, key, head }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn journal(&self) -> Vec<u8> {
        fs::read(self.path().join("journal/journal")).unwrap()
    }

    /// A copy whose journal is this, with or without the index.
    fn with(&self, journal: &[u8], with_index: bool) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_data(self.path(), copy.path(), with_index);
        fs::write(copy.path().join("journal/journal"), journal).unwrap();
        copy
    }

    fn audit(&self, folder: &Path) -> Report {
        let verifier = |message: &[u8], signature: &[u8]| self.key.verify(message, signature);
        let how = Verification { verifier: Some(&verifier), ..Verification::default() };
        audit(folder, how, &mut |_, _| {}).unwrap()
    }

    fn kinds(&self, folder: &Path) -> Vec<DamageKind> {
        self.audit(folder).findings.into_iter().map(|damage| damage.kind).collect()
    }
}

/// Where each frame begins, and the end.
fn frames(journal: &[u8]) -> Vec<usize> {
    let (mut at, mut frames) = (FILE_HEADER, vec![FILE_HEADER]);
    while at < journal.len() {
        at += 12 + u32::from_le_bytes(journal[at..at + 4].try_into().unwrap()) as usize;
        frames.push(at);
    }
    frames
}

/// Opening refuses with a message that names the damage and changes nothing.
fn refuses(folder: &Path, kind: DamageKind, entry: u64) {
    let before = fs::read(folder.join("journal/journal")).unwrap();
    let error = match try_open(folder) {
        Err(Error::Internal(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it opened"),
    };
    assert!(error.contains(kind.name()), "{error}");
    assert!(error.contains(&format!("entry `{entry}` at offset")), "{error}");
    assert!(error.contains("countersign audit verify"), "{error}");
    assert_eq!(fs::read(folder.join("journal/journal")).unwrap(), before);
}

#[test]
fn a_whole_journal_has_no_findings() {
    let sample = Sample::new();
    let report = sample.audit(sample.path());
    assert!(report.is_good(), "{:?}", report.findings);
    assert_eq!((report.entries, report.certificates, report.heads), (22, 20, 1));
    assert_eq!(report.root, sample.head.root);
    assert_eq!(report.notes, Vec::<String>::new());
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let sample = Sample::new();
    let journal = sample.journal();
    let frames = frames(&journal);
    for (entry, frame) in frames.iter().enumerate().take(22).step_by(3) {
        for at in [0, 5, 9, 13, 40] {
            let mut flipped = journal.clone();
            flipped[frame + at] ^= 0x10;
            let copy = sample.with(&flipped, false);
            let kind = if entry == 21 { DamageKind::TruncatedTail } else { DamageKind::Corrupt };
            let found = sample.kinds(copy.path());
            assert_eq!(found.first(), Some(&kind), "entry {entry} octet {at}: {found:?}");
            // In the last entry it looks like a torn tail, but the head knows better.
            let kind = if entry == 21 { DamageKind::Shortened } else { kind };
            refuses(copy.path(), kind, entry as u64);
        }
    }
}

#[test]
fn a_torn_tail_is_cut_off_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 20);
    drop(store);
    let path = folder.path().join("journal/journal");
    let journal = fs::read(&path).unwrap();
    let frames = frames(&journal);
    // A group of two entries, of which a power cut left any part.
    let (first, last) = (frames[20], frames[22]);
    let mut group = journal[first..last].to_vec();
    let back = (frames[21] - first) as u32;
    let length = (last - frames[21] - 12) as u32;
    let second = back as usize;
    group[second + 8..second + 12].copy_from_slice(&back.to_le_bytes());
    let mut crc = crc32(&[&length.to_le_bytes(), &back.to_le_bytes(), &group[second + 12..]]);
    group[second + 4..second + 8].copy_from_slice(&crc.to_le_bytes());
    crc ^= 1;
    let whole = [&journal[..first], &group].concat();
    let mut torn = Vec::new();
    for cut in (first + 1..last).step_by(37).chain([frames[21], last - 1]) {
        torn.push((whole[..cut].to_vec(), cut >= frames[21]));
    }
    let mut hole = whole.clone();
    hole[first + 100..first + 300].fill(0);
    torn.push((hole, false));
    let mut wrong = whole.clone();
    let at = frames[21] + 4;
    wrong[at..at + 4].copy_from_slice(&crc.to_le_bytes());
    torn.push((wrong, true));
    torn.push(([&whole, [0; 4096].as_slice()].concat(), true));
    for (number, (octets, keeps_first)) in torn.into_iter().enumerate() {
        let copy = tempfile::tempdir().unwrap();
        copy_data(folder.path(), copy.path(), false);
        fs::write(copy.path().join("journal/journal"), &octets).unwrap();
        let kinds = audit(copy.path(), Verification::default(), &mut |_, _| {}).unwrap();
        let is_boundary = frames.contains(&octets.len());
        let expected = if is_boundary && octets.len() < last {
            vec![]
        } else {
            vec![DamageKind::TruncatedTail]
        };
        let found: Vec<_> = kinds.findings.iter().map(|damage| damage.kind).collect();
        assert_eq!(found, expected, "{number}");
        let store = open(copy.path());
        let entries = store.status().entries;
        let expected = if octets.len() > last { 22 } else { 20 + u64::from(keeps_first) };
        assert_eq!(entries, expected, "{number}");
        drop(store);
        let kept: usize = fs::read_dir(copy.path().join("journal"))
            .unwrap()
            .map(Result::unwrap_or_else_panic)
            .filter(|(name, _)| name.starts_with("cut-"))
            .map(|(_, length)| length)
            .sum();
        let left = fs::metadata(copy.path().join("journal/journal")).unwrap().len() as usize;
        assert_eq!(left + kept, octets.len());
    }
}

trait OrPanic {
    fn unwrap_or_else_panic(self) -> (String, usize);
}

impl OrPanic for std::io::Result<fs::DirEntry> {
    fn unwrap_or_else_panic(self) -> (String, usize) {
        let file = self.unwrap();
        (file.file_name().into_string().unwrap(), file.metadata().unwrap().len() as usize)
    }
}

fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.finalize()
}

#[test]
fn re_ordered_and_missing_entries_are_told_apart() {
    let sample = Sample::new();
    let journal = sample.journal();
    let frames = frames(&journal);
    let frame = |n: usize| &journal[frames[n]..frames[n + 1]];
    let before = &journal[..frames[10]];
    let behind = &journal[frames[12]..];
    let swapped = [before, frame(11), frame(10), behind].concat();
    let copy = sample.with(&swapped, false);
    assert_eq!(sample.kinds(copy.path()), [DamageKind::Reordered; 2]);
    refuses(copy.path(), DamageKind::Reordered, 10);
    let twice = [before, frame(10), frame(10), frame(11), behind].concat();
    let copy = sample.with(&twice, false);
    assert_eq!(sample.kinds(copy.path()), [DamageKind::Reordered]);
    refuses(copy.path(), DamageKind::Reordered, 11);
    let without = [before, behind].concat();
    let copy = sample.with(&without, false);
    assert_eq!(sample.kinds(copy.path()), [DamageKind::Missing]);
    refuses(copy.path(), DamageKind::Missing, 10);
}

#[test]
fn a_shortened_journal_is_noticed_by_head_and_by_index() {
    let sample = Sample::new();
    let journal = sample.journal();
    let frames = frames(&journal);
    for cut in [frames[21], frames[5], frames[0]] {
        let copy = sample.with(&journal[..cut], false);
        assert_eq!(sample.kinds(copy.path()), [DamageKind::Shortened]);
        let entry = frames.iter().position(|frame| *frame == cut).unwrap();
        refuses(copy.path(), DamageKind::Shortened, entry as u64);
        // The head is gone as well, but the index remembers.
        let copy = sample.with(&journal[..cut], true);
        fs::remove_file(copy.path().join("journal/heads")).unwrap();
        refuses(copy.path(), DamageKind::Shortened, 22);
        // Neither remembers, but somebody kept a head.
        let copy = sample.with(&journal[..cut], false);
        fs::remove_file(copy.path().join("journal/heads")).unwrap();
        let verifier = |m: &[u8], s: &[u8]| sample.key.verify(m, s);
        let how = Verification {
            verifier: Some(&verifier),
            known_head: Some(&sample.head),
            is_live: false,
        };
        let report = audit(copy.path(), how, &mut |_, _| {}).unwrap();
        assert_eq!(report.findings[0].kind, DamageKind::Shortened);
    }
    let copy = sample.with(&journal[..10], false);
    refuses(copy.path(), DamageKind::Shortened, 0);
}

#[test]
fn an_entry_that_was_rewritten_with_its_checksum_is_altered() {
    let sample = Sample::new();
    let mut journal = sample.journal();
    let frames = frames(&journal);
    let (start, end) = (frames[8], frames[9]);
    journal[end - 20] ^= 1;
    let crc = crc32(&[&journal[start..start + 4], &journal[start + 8..end]]);
    journal[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    let copy = sample.with(&journal, false);
    assert_eq!(sample.kinds(copy.path()), [DamageKind::Altered]);
    refuses(copy.path(), DamageKind::Altered, 22);
}

#[test]
fn heads_of_another_key_and_damaged_heads_are_found() {
    let sample = Sample::new();
    let other = Key::new();
    let verifier = |message: &[u8], signature: &[u8]| other.verify(message, signature);
    let how = Verification { verifier: Some(&verifier), ..Verification::default() };
    let report = audit(sample.path(), how, &mut |_, _| {}).unwrap();
    assert_eq!(report.findings[0].kind, DamageKind::HeadSignature);
    let copy = sample.with(&sample.journal(), false);
    let heads = copy.path().join("journal/heads");
    let mut octets = fs::read(&heads).unwrap().repeat(20);
    octets[10] ^= 1;
    fs::write(&heads, octets).unwrap();
    assert_eq!(sample.kinds(copy.path()), [DamageKind::Heads]);
    assert!(matches!(try_open(copy.path()), Err(Error::Internal(why)) if why.contains("heads")));
}

#[test]
fn an_index_that_differs_is_found_and_one_that_is_garbage_is_rebuilt() {
    let sample = Sample::new();
    for file in ["db", "conf"] {
        for damage in ["empty", "garbage", "flipped", "cut"] {
            let copy = sample.with(&sample.journal(), true);
            let path = copy.path().join("index").join(file);
            let mut octets = fs::read(&path).unwrap();
            match damage {
                "empty" => octets.clear(),
                "garbage" => octets.fill(0xA7),
                "cut" => octets.truncate(octets.len() / 2),
                _ => octets.iter_mut().step_by(97).for_each(|octet| *octet ^= 0x40),
            }
            fs::write(&path, octets).unwrap();
            let store = open(copy.path());
            assert_eq!(store.status().certificates, 20, "{file} {damage}");
            let (kept, fresh) = store.compare_index().unwrap();
            assert_eq!(kept, fresh, "{file} {damage}");
        }
    }
    let copy = sample.with(&sample.journal(), false);
    fs::write(copy.path().join("index"), "not even a folder").unwrap();
    assert_eq!(open(copy.path()).status().certificates, 20);
}

#[test]
fn proofs_hold_against_the_signed_head() {
    let sample = Sample::new();
    for index in 0..22 {
        let proof = inclusion_proof(sample.path(), index, 22).unwrap();
        assert!(proof.is_valid());
        assert_eq!(proof.root, sample.head.root);
    }
    for old in 1..=22 {
        let proof = consistency_proof(sample.path(), old, 22).unwrap();
        assert!(proof.is_valid());
        assert_eq!(proof.new_root, sample.head.root);
    }
    assert!(matches!(inclusion_proof(sample.path(), 22, 22), Err(Error::Malformed(_))));
    assert!(matches!(consistency_proof(sample.path(), 3, 23), Err(Error::Malformed(_))));
}

#[test]
fn the_export_is_one_line_for_each_entry() {
    let sample = Sample::new();
    let mut lines = Vec::new();
    export(sample.path(), 0, &mut |line| {
        lines.push(line.to_owned());
        Ok(true)
    })
    .unwrap();
    assert_eq!(lines.len(), 22);
    assert!(lines[0].contains(r#""kind":"accounts-created""#) && !lines[0].contains("sealed"));
    assert!(lines[2].contains(r#""serial":"00000000000000000000000000000001""#));
    let mut count = 0;
    export(sample.path(), 20, &mut |_| {
        count += 1;
        Ok(count < 2)
    })
    .unwrap();
    assert_eq!(count, 2);
}

#[test]
fn heads_are_signed_once_for_each_state() {
    let folder = tempfile::tempdir().unwrap();
    let (store, key) = (open(folder.path()), Key::new());
    let empty = store.sign_head(at(0), &key).unwrap();
    assert_eq!(empty.size, 0);
    fill(&store, 3);
    let first = store.sign_head(at(10), &key).unwrap();
    assert_eq!(store.sign_head(at(11), &key).unwrap(), first);
    assert_eq!(store.status().head, Some(first.clone()));
    first.verify(store.instance(), &|m, s| key.verify(m, s)).unwrap();
    assert!(first.verify(&[0; 16], &|m, s| key.verify(m, s)).is_err());
}

#[test]
fn a_backup_under_load_restores_to_a_whole_store() {
    let (folder, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, key) = (open(folder.path()), Key::new());
    fill(&store, 200);
    store.sign_head(at(1000), &key).unwrap();
    let file = away.path().join("backup.bin");
    let summary = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            store.reserve_serials(at(2000), &ca(), &[serial(900), serial(901)]).unwrap();
            for n in 0..200 {
                store.record_accounts(at(2000), &[account(&format!("x{n}"), 1)]).unwrap();
            }
        });
        let summary = store.backup(&file).unwrap();
        writer.join().unwrap();
        summary
    });
    assert!(summary.entries >= 205 && summary.heads == 1);
    drop(store);

    let restored = away.path().join("data");
    fs::create_dir(&restored).unwrap();
    let octets = fs::read(&file).unwrap();
    let how = Restore {
        at: at(3000),
        actor: "uid 0".into(),
        keeps_uses: false,
        longest_silence: Some(std::time::Duration::from_secs(10)),
        accepts_clock: false,
    };
    // A clock that is behind the backup, or far ahead of it, is not believed.
    for wrong in [0, 12_001] {
        let how = Restore { at: at(wrong), ..how.clone() };
        let result = restore_journal(&mut octets.as_slice(), &restored, &how);
        assert!(matches!(result, Err(Error::Unavailable(_))), "{wrong} {result:?}");
        assert!(!restored.join("journal/journal").exists());
    }
    // Unless an administrator says that it is right: then that is in the history, and what follows may be earlier.
    for wrong in [0, 12_001] {
        let how = Restore { at: at(wrong), accepts_clock: true, ..how.clone() };
        let folder = tempfile::tempdir().unwrap();
        let done = restore_journal(&mut octets.as_slice(), folder.path(), &how).unwrap();
        assert!(done.clock_accepted.is_some(), "{done:?}");
        let report = audit(folder.path(), Verification::default(), &mut |_, _| {}).unwrap();
        assert!(report.is_good(), "{report:?}");
        let told = report.notes.concat();
        assert!(told.contains("`uid 0` accepted the clock") && told.contains("restored"), "{told}");
        let store = open(folder.path());
        assert_eq!(store.status().entries, summary.entries + 2);
        // The entry that the clock was accepted stands before it.
        let LastRestore { at: restored_at, offset: place } = store.restored().unwrap().unwrap();
        assert_eq!((restored_at, store.last_entry()), (at(wrong), at(wrong)));
        assert!(place > summary.journal_bytes && place < store.mark().offset(), "{place}");
        let done = AdminAction { actor: "uid 0".into(), action: "x".into(), detail: String::new() };
        store.record_admin_action(at(wrong + 1), &done).unwrap();
    }
    let how = Restore { at: at(2600), accepts_clock: true, ..how };
    let again = restore_journal(&mut octets.as_slice(), &restored, &how).unwrap();
    assert_eq!((&again.backup, again.clock_accepted), (&summary, None));
    let store = open(&restored);
    // The restore is the first entry of the history that goes on.
    assert_eq!(store.status().entries, summary.entries + 1);
    let restored_at = Some(LastRestore { at: at(2600), offset: summary.journal_bytes });
    assert_eq!((store.restored().unwrap(), store.last_entry()), (restored_at, at(2600)));
    assert!(store.certificate(&ca(), &serial(200)).unwrap().is_some());
    let (kept, fresh) = store.compare_index().unwrap();
    assert_eq!(kept, fresh);
    drop(store);

    let twice = restore_journal(&mut octets.as_slice(), &restored, &how);
    assert!(matches!(twice, Err(Error::Denied { kind: Denial::Conflict, .. })));
    for cut in [0, 10, 28, 100, octets.len() - 1] {
        let empty = tempfile::tempdir().unwrap();
        let result = restore_journal(&mut &octets[..cut], empty.path(), &how);
        assert!(matches!(result, Err(Error::Malformed(_))), "{cut} {result:?}");
        assert!(!empty.path().join("journal/journal").exists());
    }
    let mut flipped = octets;
    flipped[5000] ^= 1;
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(
        restore_journal(&mut flipped.as_slice(), empty.path(), &how),
        Err(Error::Malformed(_))
    ));
    assert_eq!(
        EmbeddedStore::rebuild(empty.path(), options(), &mut |_| {}).unwrap().status().entries,
        0
    );
}
