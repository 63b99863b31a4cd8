//! Tests of the embedded store on a disk that fails: full while writing, full while syncing, broken.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::{EmbeddedOptions, EmbeddedStore};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::Tape;
use crate::record::AdminAction;
use crate::store::verbs::Store;

const ENOSPC: i32 = 28;
const EFBIG: i32 = 27;
const EIO: i32 = 5;

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Fault {
    None,
    /// Half of the group is written, then the disk is full.
    FullWrite,
    /// The file is as large as it may be.
    TooLarge,
    /// The disk is full when it comes to syncing (delayed allocation).
    FullSync,
    /// The disk is full, and the file cannot even be cut back.
    FullStuck,
    /// The device fails.
    Broken,
    /// The disk has space for entries, but not for room ahead of them.
    NoRoom,
    /// Room ahead of the entries can be written, but not made durable.
    BrokenRoom,
}

#[derive(Clone)]
struct Switch(Arc<AtomicU8>, Arc<AtomicU64>);

impl Switch {
    fn is(&self, fault: Fault) -> bool {
        self.0.load(Ordering::SeqCst) == fault as u8
    }

    fn set(&self, fault: Fault) {
        self.0.store(fault as u8, Ordering::SeqCst);
    }
}

struct Faulty(File, Switch);

/// The disk of [`Faulty`], on which the journal writes room ahead of the groups.
struct Roomy(Faulty, bool);

impl Tape for Roomy {
    fn write_at(&mut self, offset: u64, octets: &[u8]) -> io::Result<()> {
        let is_room = octets.iter().all(|octet| *octet == 0xff);
        self.1 = is_room;
        if is_room && self.0.1.is(Fault::NoRoom) {
            Tape::write_at(&mut self.0.0, offset, &octets[..octets.len() / 2])?;
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        self.0.write_at(offset, octets)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.1 && self.0.1.is(Fault::BrokenRoom) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        self.0.sync()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }

    fn wants_room(&self) -> bool {
        true
    }
}

impl Tape for Faulty {
    fn write_at(&mut self, offset: u64, octets: &[u8]) -> io::Result<()> {
        if self.1.is(Fault::FullWrite) || self.1.is(Fault::FullStuck) {
            Tape::write_at(&mut self.0, offset, &octets[..octets.len() / 2])?;
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        if self.1.is(Fault::TooLarge) {
            return Err(io::Error::from_raw_os_error(EFBIG));
        }
        Tape::write_at(&mut self.0, offset, octets)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.1.1.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(1));
        if self.1.is(Fault::FullSync) {
            self.1.set(Fault::None);
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        if self.1.is(Fault::Broken) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        if self.1.is(Fault::FullStuck) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        self.0.set_len(length)
    }
}

fn open(folder: &std::path::Path) -> (EmbeddedStore, Switch) {
    let switch = Switch(Arc::default(), Arc::default());
    let own = switch.clone();
    let store =
        EmbeddedStore::open_on(folder, EmbeddedOptions::default(), &mut |_| {}, move |file| {
            Box::new(Faulty(file, own))
        });
    (store.unwrap(), switch)
}

fn open_roomy(folder: &std::path::Path) -> (EmbeddedStore, Switch) {
    let switch = Switch(Arc::default(), Arc::default());
    let own = switch.clone();
    let store =
        EmbeddedStore::open_on(folder, EmbeddedOptions::default(), &mut |_| {}, move |file| {
            Box::new(Roomy(Faulty(file, own), false))
        });
    (store.unwrap(), switch)
}

fn note(store: &EmbeddedStore, millis: i64) -> Result<()> {
    let done = AdminAction { actor: "a".into(), action: "b c".into(), detail: "x".repeat(500) };
    store.record_admin_action(Timestamp::from_millis(millis), &done)
}

fn length(store: &EmbeddedStore) -> u64 {
    std::fs::metadata(store.folder().join("journal/journal")).unwrap().len()
}

#[test]
fn a_full_disk_refuses_and_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (store, switch) = open(folder.path());
    note(&store, 1).unwrap();
    let durable = length(&store);
    for fault in [Fault::FullWrite, Fault::TooLarge, Fault::FullSync] {
        switch.set(fault);
        let refused = note(&store, 2);
        assert!(
            matches!(&refused, Err(Error::Unavailable(why)) if why.contains("the disk is full")),
            "{refused:?}"
        );
        assert_eq!(length(&store), durable);
        assert_eq!((store.status().entries, store.last_entry().millis()), (1, 1));
    }
    switch.set(Fault::None);
    note(&store, 3).unwrap();
    drop(store);
    let (store, _) = open(folder.path());
    assert_eq!((store.status().entries, store.last_entry().millis()), (2, 3));
}

#[test]
fn what_could_not_be_cut_back_is_cut_back_later() {
    let folder = tempfile::tempdir().unwrap();
    let (store, switch) = open(folder.path());
    note(&store, 1).unwrap();
    let durable = length(&store);
    switch.set(Fault::FullStuck);
    note(&store, 2).unwrap_err();
    assert!(length(&store) > durable);
    note(&store, 2).unwrap_err();
    switch.set(Fault::None);
    note(&store, 3).unwrap();
    drop(store);
    let (store, _) = open(folder.path());
    assert_eq!(store.status().entries, 2);
}

#[test]
fn after_a_failed_sync_nothing_is_recorded_until_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, switch) = open(folder.path());
    note(&store, 1).unwrap();
    switch.set(Fault::Broken);
    assert!(matches!(note(&store, 2), Err(Error::Unavailable(why)) if why.contains("start again")));
    switch.set(Fault::None);
    assert!(matches!(note(&store, 3), Err(Error::Unavailable(_))));
    assert_eq!(store.status().entries, 1);
    drop(store);
    let (store, _) = open(folder.path());
    note(&store, 4).unwrap();
    assert_eq!(store.status().entries, 2);
}

#[test]
fn a_group_takes_one_sync_however_many_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (store, switch) = open(folder.path());
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| (0..20).for_each(|_| note(&store, 5).unwrap()));
        }
    });
    let syncs = switch.1.load(Ordering::SeqCst);
    let counts = store.status().counts;
    assert_eq!((counts.entries, counts.groups), (640, syncs));
    assert!(syncs < 320, "{syncs} syncs for 640 entries");
}

#[test]
fn a_full_queue_answers_busy() {
    let folder = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { queue: 1, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(folder.path(), options, &mut |_| {}).unwrap();
    let busy = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..50 {
                    if let Err(error) = note(&store, 5) {
                        assert!(matches!(&error, Error::Unavailable(w) if w.contains("busy")));
                        busy.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let busy = busy.into_inner();
    assert!(busy > 0);
    assert_eq!(store.status().entries + busy, 800);
}

#[test]
fn without_space_for_room_entries_are_recorded_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (store, switch) = open_roomy(folder.path());
    switch.set(Fault::NoRoom);
    for number in 1..=300 {
        note(&store, number).unwrap();
    }
    switch.set(Fault::None);
    for number in 301..=600 {
        note(&store, number).unwrap();
    }
    assert!(length(&store) > store.status().journal_bytes);
    // With the disk full, but for the room that was written before, nothing is wrong until a write fails.
    switch.set(Fault::FullWrite);
    note(&store, 601).unwrap_err();
    switch.set(Fault::None);
    note(&store, 602).unwrap();
    let whole = store.status().journal_bytes;
    drop(store);
    let path = folder.path().join("journal/journal");
    assert_eq!(std::fs::metadata(path).unwrap().len(), whole);
    let (store, _) = open(folder.path());
    assert_eq!((store.status().entries, store.last_entry().millis()), (601, 602));
}

#[test]
fn after_a_failed_sync_of_room_nothing_is_recorded_until_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, switch) = open_roomy(folder.path());
    switch.set(Fault::BrokenRoom);
    note(&store, 1).unwrap();
    // The writer answers before it writes room, and writes it before it takes the next entry.
    assert!(matches!(note(&store, 2), Err(Error::Unavailable(why)) if why.contains("start again")));
    switch.set(Fault::None);
    note(&store, 2).unwrap_err();
    drop(store);
    let (store, _) = open(folder.path());
    assert_eq!(store.status().entries, 1);
    note(&store, 3).unwrap();
}
