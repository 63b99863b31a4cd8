//! Random operations against a simple model, cut off at any place: every acknowledged record is there afterwards,
//! and the index equals one that is built anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod journal_common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use countersign_ca::record::{CrlRecord, CrlScope, Issued, Reason, Revocation};
use countersign_ca::store::EmbeddedStore;
use countersign_ca::{Denial, Error, Result, Store, Timestamp};
use journal_common::*;

/// What the store should say.
#[derive(Clone, Default, PartialEq, Debug)]
struct Model {
    /// Uses left.
    accounts: BTreeMap<String, u32>,
    reserved: BTreeSet<u128>,
    /// Account, in the order of issue.
    issued: Vec<(u128, String)>,
    revoked: BTreeMap<u128, Revocation>,
    replaced: BTreeSet<u128>,
    /// End, and the awaited certificate.
    transactions: BTreeMap<Vec<u8>, (i64, Option<u128>)>,
    unconfirmed: BTreeSet<u128>,
    crl: u64,
    entries: u64,
}

impl Model {
    fn has(&self, number: u128) -> bool {
        self.issued.iter().any(|(known, _)| *known == number)
    }

    /// Applies a random operation to both, and compares the outcome.
    fn step(&mut self, store: &EmbeddedStore, numbers: &mut Numbers, now: i64) {
        let before = self.clone();
        let pick = u128::from(numbers.below(60) + 1);
        let (expected, found) = match numbers.below(12) {
            0 => self.add_account(store, numbers, now),
            1 | 2 => self.reserve(store, numbers, now),
            3..=6 => self.issue(store, numbers, now),
            7 => self.confirm(store, numbers, now),
            8 | 9 => self.revoke(store, numbers, pick, now),
            10 => self.release(store, pick, now),
            _ => {
                let number = (self.crl + numbers.below(3)).max(1);
                let crl = CrlRecord {
                    ca: ca(),
                    number,
                    this_update: at(now),
                    signed: at(now),
                    next_update: at(now),
                    entries: 0,
                    tbs_sha256: [1; 32],
                    scope: CrlScope::Full,
                    is_base: false,
                    reached: None,
                    brought: None,
                };
                let refused = number <= self.crl;
                if !refused {
                    self.crl = number;
                }
                (refused.then_some(Denial::Conflict), store.record_crl(at(now), &crl))
            }
        };
        match (&expected, &found) {
            (None, Ok(())) => self.entries += 1,
            (Some(kind), Err(Error::Denied { kind: other, .. })) if kind == other => *self = before,
            _ => panic!("expected {expected:?}, found {found:?}"),
        }
    }

    fn add_account(
        &mut self,
        store: &EmbeddedStore,
        numbers: &mut Numbers,
        now: i64,
    ) -> (Option<Denial>, Result<()>) {
        let name = format!("gw{}", numbers.below(6));
        let uses = numbers.below(4) as u32;
        let record = account(&name, uses);
        let change = if self.accounts.contains_key(&name) { numbers.below(3) } else { 3 };
        match change {
            0 => (Some(Denial::Conflict), store.record_accounts(at(now), &[record])),
            1 => {
                // Uses of the same secret do not come back.
                self.accounts.entry(name).and_modify(|left| *left = uses.min(*left));
                (None, store.record_account_changed(at(now), &record))
            }
            2 => {
                self.accounts.remove(&name);
                (None, store.record_account_removed(at(now), &record.name))
            }
            _ => {
                self.accounts.insert(name, uses);
                (None, store.record_accounts(at(now), &[record]))
            }
        }
    }

    fn reserve(
        &mut self,
        store: &EmbeddedStore,
        numbers: &mut Numbers,
        now: i64,
    ) -> (Option<Denial>, Result<()>) {
        let first = u128::from(numbers.below(60) + 1);
        let serials: Vec<u128> = (first..first + u128::from(numbers.below(4)) + 1).collect();
        let taken = serials.iter().any(|n| self.reserved.contains(n) || self.has(*n));
        self.reserved.extend(&serials);
        let records: Vec<_> = serials.into_iter().map(serial).collect();
        (taken.then_some(Denial::Conflict), store.reserve_serials(at(now), &ca(), &records))
    }

    fn issue(
        &mut self,
        store: &EmbeddedStore,
        numbers: &mut Numbers,
        now: i64,
    ) -> (Option<Denial>, Result<()>) {
        let choice = numbers.below(self.reserved.len() as u64 + 1) as usize;
        let number = self.reserved.iter().copied().nth(choice).unwrap_or(61);
        let name = format!("gw{}", numbers.below(6));
        let consumes_secret = numbers.below(2) == 0;
        let id = vec![numbers.below(8) as u8; 16];
        let opens = numbers.below(3) > 0;
        let awaits = (numbers.below(2) == 0).then_some(number);
        let expires = now + numbers.below(400_000) as i64;
        let replaces = (numbers.below(4) == 0).then(|| u128::from(numbers.below(60) + 1));
        let record = Issued {
            consumes_secret,
            transaction: opens.then(|| transaction(&id, &name, awaits, expires)),
            replaces: replaces.map(serial),
            ..issued(number, &name)
        };
        let found = store.record_issued(at(now), &record);
        if !self.reserved.contains(&number) || self.has(number) {
            return (Some(Denial::Conflict), found);
        }
        match self.accounts.get_mut(&name) {
            None => return (Some(Denial::NotAuthorized), found),
            Some(0) if consumes_secret => return (Some(Denial::NotAuthorized), found),
            Some(uses) => *uses -= u32::from(consumes_secret),
        }
        let replaced = replaces.filter(|n| self.has(*n));
        if let Some(revocation) = replaced.and_then(|n| self.revoked.get(&n)) {
            let kind = match revocation.reason {
                Reason::CertificateHold => Denial::SignerNotTrusted,
                _ => Denial::AlreadyRevoked,
            };
            return (Some(kind), found);
        }
        if opens && self.transactions.get(&id).is_some_and(|(end, _)| *end > now) {
            return (Some(Denial::TransactionInUse), found);
        }
        self.replaced.extend(replaced);
        self.reserved.remove(&number);
        self.issued.push((number, name));
        if opens {
            self.unconfirmed.extend(awaits);
            self.transactions.insert(id, (expires, awaits));
        }
        (None, found)
    }

    fn confirm(
        &mut self,
        store: &EmbeddedStore,
        numbers: &mut Numbers,
        now: i64,
    ) -> (Option<Denial>, Result<()>) {
        let id = vec![numbers.below(8) as u8; 16];
        let found = store.record_confirmed(at(now), &id);
        match self.transactions.get_mut(&id).filter(|(end, _)| *end > now) {
            None => (Some(Denial::NoSuchCertificate), found),
            Some((_, awaits)) => match awaits.take() {
                None => (Some(Denial::AlreadyConfirmed), found),
                Some(number) => {
                    self.unconfirmed.remove(&number);
                    (None, found)
                }
            },
        }
    }

    fn revoke(
        &mut self,
        store: &EmbeddedStore,
        numbers: &mut Numbers,
        number: u128,
        now: i64,
    ) -> (Option<Denial>, Result<()>) {
        let hold = numbers.below(2) == 0;
        let reason = if hold { Reason::CertificateHold } else { Reason::KeyCompromise };
        let new = revocation(now, reason);
        let found = store.record_revoked(at(now), &ca(), &serial(number), &new, None);
        if !self.has(number) {
            return (Some(Denial::NoSuchCertificate), found);
        }
        let before = self.revoked.insert(number, new);
        if before.is_some_and(|before| hold || before.reason != Reason::CertificateHold) {
            return (Some(Denial::AlreadyRevoked), found);
        }
        for (_, awaits) in self.transactions.values_mut() {
            if *awaits == Some(number) {
                *awaits = None;
            }
        }
        (None, found)
    }

    fn release(
        &mut self,
        store: &EmbeddedStore,
        number: u128,
        now: i64,
    ) -> (Option<Denial>, Result<()>) {
        let found = store.record_released(at(now), &ca(), &serial(number));
        if !self.has(number) {
            return (Some(Denial::NoSuchCertificate), found);
        }
        match self.revoked.remove(&number) {
            Some(before) if before.reason == Reason::CertificateHold => (None, found),
            _ => (Some(Denial::Conflict), found),
        }
    }

    /// Whether the store says the same, by every way to ask.
    fn compare(&self, store: &EmbeddedStore, now: i64) {
        assert_eq!(store.status().entries, self.entries);
        let accounts = store.accounts().unwrap();
        let uses = accounts
            .iter()
            .map(|a| (a.name.to_string(), a.secret.as_ref().unwrap().uses_left))
            .collect();
        assert_eq!(self.accounts, uses);
        let all = store.certificates(None, 0, 1000).unwrap().records;
        let listed: Vec<_> =
            all.iter().map(|c| (c.serial.parts().1, c.account.to_string())).collect();
        assert_eq!(self.issued, listed);
        for record in &all {
            let number = record.serial.parts().1;
            let one = store.certificate(&ca(), &record.serial).unwrap();
            assert_eq!(one.as_ref(), Some(record));
            assert_eq!(record.certificate, issued(number, "x").certificate);
            assert_eq!(record.confirmed, !self.unconfirmed.contains(&number));
            assert_eq!(record.revocation.as_ref(), self.revoked.get(&number));
        }
        for name in (0..6).map(|n| format!("gw{n}")) {
            let own = store.certificates(Some(&label(&name)), 0, 1000).unwrap().records;
            let own: Vec<_> = own.iter().map(|c| c.serial.parts().1).collect();
            let expected: Vec<_> =
                self.issued.iter().filter(|(_, n)| *n == name).map(|(n, _)| *n).collect();
            assert_eq!(own, expected);
        }
        let listed = store.revoked(&ca()).unwrap();
        assert_eq!(listed.len(), self.revoked.len());
        for (entry, (number, expected)) in listed.iter().zip(&self.revoked) {
            assert_eq!(entry.serial, serial(*number));
            let whole = |at: Timestamp| at.whole_seconds();
            let (at, invalidity) = (whole(expected.at), expected.invalidity.map(whole));
            assert_eq!(entry.revocation, Revocation { at, invalidity, ..*expected });
            let exact = store.certificate(&ca(), &entry.serial).unwrap().unwrap().revocation;
            assert_eq!(exact.as_ref(), Some(expected));
        }
        let expiring = store.expiring(at(0), at(i64::MAX / 2), 1000).unwrap();
        let expiring: Vec<_> = expiring.iter().map(|c| c.serial.parts().1).collect();
        let mut expected: Vec<_> = self.issued.iter().map(|(n, _)| *n).collect();
        expected.retain(|n| !self.revoked.contains_key(n) && !self.replaced.contains(n));
        // A certificate that was revoked for good and replaced stays away; one on hold comes back.
        expected.sort_unstable();
        assert_eq!(expiring, expected);
        for id in 0..8u8 {
            let found = store.transaction(at(now), &[id; 16]).unwrap();
            let found = found.map(|t| (t.expires, t.awaits.map(|id| id.serial.parts().1)));
            let known = self.transactions.get(&vec![id; 16]).filter(|(end, _)| *end > now);
            assert_eq!(found, known.map(|(end, awaits)| (at(*end), *awaits)));
        }
        assert_eq!(
            store.last_crl(&ca(), CrlScope::Full).unwrap().map_or(0, |crl| crl.number),
            self.crl
        );
        let (kept, fresh) = store.compare_index().unwrap();
        assert_eq!(kept, fresh);
    }
}

/// The durable length of the journal and the model after each step.
fn history(folder: &Path, seed: u64, steps: u64) -> Vec<(u64, i64, Model)> {
    let mut store = open(folder);
    let (mut model, mut numbers, mut history) = (Model::default(), Numbers(seed), Vec::new());
    let mut now = 0;
    for step in 0..steps {
        now += numbers.below(20_000) as i64;
        model.step(&store, &mut numbers, now);
        history.push((store.status().journal_bytes, now, model.clone()));
        if step % 97 == 96 {
            drop(store);
            store = open(folder);
        }
        if step % 50 == 49 {
            model.compare(&store, now);
        }
    }
    history
}

#[test]
fn random_operations_agree_with_a_model() {
    for seed in 0..6 {
        let folder = tempfile::tempdir().unwrap();
        let history = history(folder.path(), seed, 300);
        assert!(history.last().unwrap().2.entries > 80);
    }
}

#[test]
fn a_power_cut_at_any_place_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path(), 99, 250);
    let journal = fs::read(folder.path().join("journal/journal")).unwrap();
    let mut numbers = Numbers(7);
    for round in 0..60 {
        let cut = 32 + numbers.below(journal.len() as u64 - 31);
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir(copy.path().join("journal")).unwrap();
        let mut left = journal[..cut as usize].to_vec();
        if round % 3 == 0 {
            left.extend(vec![0; numbers.below(5000) as usize]);
        }
        fs::write(copy.path().join("journal/journal"), left).unwrap();
        let store = open(copy.path());
        let kept = history.iter().rev().find(|(length, _, _)| *length <= cut);
        match kept {
            Some((_, now, model)) => model.compare(&store, *now),
            None => assert_eq!(store.status().entries, 0),
        }
    }
}

#[test]
fn copies_taken_under_load_open_and_hold_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.record_accounts(at(0), &[account("gw1", 1)]).unwrap();
    std::thread::scope(|scope| {
        for thread in 1..=4u128 {
            let store = &store;
            scope.spawn(move || {
                for block in 0..6 {
                    let first = thread * 10_000 + block * 64;
                    let own: Vec<_> = (first..first + 64).map(serial).collect();
                    store.reserve_serials(at(1), &ca(), &own).unwrap();
                    for number in first..first + 64 {
                        store.record_issued(at(1), &issued(number, "gw1")).unwrap();
                    }
                }
            });
        }
        for _ in 0..12 {
            std::thread::sleep(std::time::Duration::from_millis(8));
            let known = store.certificates(None, 0, 10_000).unwrap().records;
            let copy = tempfile::tempdir().unwrap();
            // The index is copied while sled writes to it, and before the journal: it may be torn, never ahead.
            copy_folder(&folder.path().join("index"), &copy.path().join("index"));
            copy_data(folder.path(), copy.path(), false);
            let crashed = open(copy.path());
            for record in known {
                let found = crashed.certificate(&record.ca, &record.serial).unwrap();
                assert_eq!(found, Some(record));
            }
            let (kept, fresh) = crashed.compare_index().unwrap();
            assert_eq!(kept, fresh);
        }
    });
}
