//! The catalogue of a journal: by parts of any size it comes to the same, and a reader may begin at each entry.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod journal_common;

use std::collections::BTreeMap;

use countersign_ca::Store;
use countersign_ca::journal::{
    Catalogue, Entry, JournalFile, JournalPaths, Recorded, Step, entry_at, read,
};
use countersign_ca::record::Issued;
use journal_common::*;

#[test]
fn a_catalogue_knows_a_journal_by_whatever_parts_it_grows() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.record_accounts(at(0), &[account("a", 9), account("b", 9)]).unwrap();
    for number in 1..=300 {
        store.reserve_serials(at(1), &ca(), &[serial(number)]).unwrap();
    }
    let (mut name, mut millis) = ("a".to_owned(), 2);
    for number in 1..=300_u128 {
        let id = number.to_be_bytes();
        let transaction = Some(transaction(&id, &name, Some(number), 1_000_000));
        let issued = Issued { transaction, ..issued(number, &name) };
        store.record_issued(at(millis), &issued).unwrap();
        if number % 100 == 0 {
            let to = format!("a{number}");
            store.record_account_renamed(at(millis), &label(&name), &label(&to)).unwrap();
            name = to;
        }
        if number % 3 == 0 {
            // The one before is confirmed late, and every third one never.
            store.record_confirmed(at(millis), &id).unwrap();
            store.record_confirmed(at(millis), &(number - 1).to_be_bytes()).unwrap();
        }
        millis += 1;
    }
    // A name that is free again is another account's.
    store.record_account_renamed(at(millis), &label("b"), &label("a")).unwrap();
    let until = store.status().journal_bytes;
    let file = JournalFile::open(&JournalPaths::new(folder.path()).journal).unwrap().file;
    let mut all: Vec<Recorded> = Vec::new();
    read(folder.path(), 0, &mut |recorded| {
        all.push(recorded.clone());
        Ok(true)
    })
    .unwrap();
    assert!(all.len() > 700, "{}", all.len());

    for most in [1, 7, 256, usize::MAX] {
        let mut catalogue = Catalogue::default();
        let mut steps = 1;
        while !catalogue.advance(&file, until, most).unwrap() {
            let known = catalogue.entries();
            assert!(catalogue.scanner(&file, known).is_none(), "nothing is behind what is known");
            steps += 1;
        }
        assert_eq!(steps, if most > all.len() { 1 } else { all.len().div_ceil(most) }, "{most}");
        assert!(catalogue.advance(&file, until, most).unwrap(), "it stays at the end");
        assert_eq!(catalogue.entries(), all.len() as u64);
        for sequence in [0, 1, 255, 256, 257, 511, 512, all.len() as u64 - 1] {
            let mut scanner = catalogue.scanner(&file, sequence).unwrap();
            assert!(scanner.sequence() <= sequence && sequence - scanner.sequence() < 256);
            let mut found = Vec::new();
            while let Step::Entry { envelope, .. } = scanner.step().unwrap() {
                if envelope.sequence >= sequence {
                    found.push(envelope.open().unwrap());
                }
            }
            assert_eq!(found, all[sequence as usize..], "from {sequence}");
        }
        for beyond in [all.len() as u64, all.len() as u64 + 255, u64::MAX] {
            assert!(catalogue.scanner(&file, beyond).is_none(), "{beyond}");
        }
        let renames: Vec<String> =
            catalogue.renames().iter().map(|one| format!("{} {}", one.from, one.to)).collect();
        assert_eq!(renames, ["a a100", "a100 a200", "a200 a300", "b a"]);
        // Each confirmation leads to its certificate, and each certificate to the name at its confirmation.
        let mut confirmed: BTreeMap<Vec<u8>, String> = BTreeMap::new();
        for entry in &all {
            let Entry::Confirmed { transaction } = &entry.entry else {
                assert_eq!(catalogue.issued_before(entry.sequence), None);
                continue;
            };
            let offset = catalogue.issued_before(entry.sequence).unwrap();
            let before = entry_at(&file, offset).unwrap();
            let Entry::Issued(issued) = before.entry else { panic!("no certificate") };
            assert_eq!(&issued.transaction.unwrap().id, transaction);
            let present = catalogue.name_at(&issued.account, before.sequence, entry.sequence);
            confirmed.insert(transaction.clone(), present.to_string());
        }
        assert_eq!(confirmed.len(), 200);
        for (number, expected) in [(2_u128, "a"), (98, "a"), (102, "a100"), (300, "a300")] {
            assert_eq!(confirmed[number.to_be_bytes().as_slice()], expected, "{number}");
        }
        let last = all.len() as u64;
        for (from, until, expected) in [(0, last, "a300"), (0, 1, "a"), (last - 1, last, "a")] {
            let present = catalogue.name_at(&label("a"), from, until);
            assert_eq!(present, label(expected), "{from} to {until}");
        }
        assert_eq!(catalogue.name_at(&label("b"), 0, last), label("a"));
    }
}
