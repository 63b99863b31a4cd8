//! Tests of the index as a whole, and of the view of a group over it.

use std::fs::File;

use super::super::group_view::GroupView;
use super::*;
use crate::store::keys::{Key, Space};
use crate::store::view::View;

const CACHE: u64 = 1 << 20;
const PREFIX: [u8; 1] = Space::Account.prefix();

fn key(n: u64) -> Key {
    [&PREFIX[..], &n.to_be_bytes()].concat()
}

fn mark(sequence: u64, offset: u64) -> Mark {
    Mark { sequence, offset }
}

fn open(folder: &Path) -> Index {
    Index::open(folder, CACHE, [7; 16]).unwrap().index
}

/// Lets `change` change a view of the index, and takes over the changes.
fn changed(index: &Index, reached: Mark, change: impl FnOnce(&mut GroupView<'_>)) {
    let (mut changes, mut certificates) = (Changes::default(), 0);
    let journal = File::open("/dev/null").unwrap();
    let mut view = GroupView {
        changes: &mut changes,
        index,
        journal: &journal,
        durable: 0,
        certificates: &mut certificates,
    };
    change(&mut view);
    index.absorb(changes, reached);
}

fn filled(folder: &Path) -> Position {
    let OpenedIndex { index, position } = Index::open(folder, CACHE, [7; 16]).unwrap();
    assert_eq!(position, None);
    changed(&index, mark(0, 32), |view| {
        for n in 0..100u64 {
            view.put(key(n), vec![1; 20]);
        }
        view.remove(key(3));
    });
    let position = Position::beginning();
    index.apply(&position).unwrap();
    index.write_out().unwrap();
    position
}

#[test]
fn an_index_that_lost_or_changed_something_does_not_open() {
    let change: [fn(&mut Batch); 4] = [
        |_| {},
        |batch| batch.remove(&key(5)),
        |batch| batch.insert(&key(5), &[2; 20]),
        |batch| batch.remove(&keys::position()),
    ];
    for (number, change) in change.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let position = filled(folder.path());
        let database = Database::open(folder.path(), CACHE).unwrap();
        let mut batch = Batch::default();
        change(&mut batch);
        database.apply(batch).unwrap();
        drop(database);
        let opened = Index::open(folder.path(), CACHE, [7; 16]);
        match number {
            0 => assert_eq!(opened.unwrap().position, Some(position)),
            _ => assert!(opened.is_err(), "{number}"),
        }
        let foreign = Index::open(folder.path(), CACHE, [8; 16]);
        assert!(foreign.is_err());
    }
}

#[test]
fn an_index_that_leaves_the_disk_holds_the_same() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let index = open(folder.path());
    let contents = |index: &Index| {
        let mut all = Vec::new();
        let mut take = |key: &[u8], value: &[u8]| {
            all.push((key.to_vec(), value.to_vec()));
            Ok(Scan::Continue)
        };
        index.scan(&PREFIX, &PREFIX, &mut take).unwrap();
        all
    };
    let (before, sum) = (contents(&index), index.sum());
    assert_eq!(before.len(), 99);
    let refused = index.leave_disk(Error::internal("broken")).unwrap_err();
    assert!(refused.to_string().contains("broken"), "nothing can build it: {refused}");

    let copy = before.clone();
    index.rebuild_with(move |until| {
        assert_eq!(until, 32);
        let index = Index::in_memory();
        let values = copy.iter().cloned().map(|(key, value)| (key, Some(value))).collect();
        index.absorb(Changes { values, ..Changes::default() }, mark(0, until));
        Ok(index)
    });
    index.leave_disk(Error::internal("broken")).unwrap();
    assert_eq!((contents(&index), index.sum()), (before, sum));
    let values = [(key(5), None), (key(7), Some(vec![3]))].into_iter().collect();
    index.absorb(Changes { values, ..Changes::default() }, mark(2, 64));
    index.apply(&Position { sequence: 2, offset: 64, ..Position::beginning() }).unwrap();
    assert_eq!(index.value(&key(5)).unwrap(), None);
    assert_eq!(index.value(&key(7)).unwrap(), Some(vec![3]));
    assert_eq!((contents(&index).len(), index.sum().sequence, index.applied()), (98, 2, 0));
}

#[test]
fn layers_cover_each_other_in_order() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let index = open(folder.path());
    changed(&index, mark(0, 32), |view| {
        view.remove(key(4));
        view.put(key(5), vec![9]);
        view.put(key(200), vec![8]);
        assert_eq!(view.value(&key(4)).unwrap(), None);
        assert_eq!(view.value(&key(5)).unwrap(), Some(vec![9]));
        assert_eq!(index.value(&key(5)).unwrap(), Some(vec![1; 20]));
    });
    let mut seen = Vec::new();
    index
        .scan(&PREFIX, &key(2), |key, value| {
            seen.push((u64::from_be_bytes(key[1..].try_into().unwrap()), value.len()));
            Ok(Scan::Continue)
        })
        .unwrap();
    let expected: Vec<(u64, usize)> =
        [(2, 20), (5, 1)].into_iter().chain((6..100).map(|n| (n, 20))).chain([(200, 1)]).collect();
    assert_eq!(seen, expected);
}

#[test]
fn an_index_of_another_version_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let position = filled(folder.path());
    let database = Database::open(folder.path(), CACHE).unwrap();
    let stored = database.value(&keys::position()).unwrap().unwrap();
    // The first field of a CBOR array of eight.
    assert_eq!(stored[..2], [0x88, 9]);
    for version in [9, 8, 10] {
        let mut other = stored.clone();
        other[1] = version;
        let mut batch = Batch::default();
        batch.insert(&keys::position(), &other);
        database.apply(batch).unwrap();
        let found = reached::decode(&other, [7; 16]).map(|(_, position)| position);
        assert_eq!(found.ok(), (version == 9).then(|| position.clone()), "{version}");
    }
    database.flush().unwrap();
    drop(database);
    let refused = Index::open(folder.path(), CACHE, [7; 16]).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("another version"), "{refused}");
}
