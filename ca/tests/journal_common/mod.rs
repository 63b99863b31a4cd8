//! What the tests of the store share: records to store, a generator of numbers, and copies of data folders.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "shared by several tests, each of which uses a part; a test that panics is a test that fails"
)]

use std::fs;
use std::path::Path;

use countersign_ca::record::{
    Account, AccountSecret, CertificateId, Issued, Label, Reason, Revocation, Serial, Transaction,
};
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore};
use countersign_ca::{Result, Store, Timestamp};

pub const START: i64 = 1_700_000_000_000;

pub fn label(text: &str) -> Label {
    text.parse().unwrap()
}

pub fn ca() -> Label {
    label("issuing")
}

pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START + millis)
}

pub fn serial(number: u128) -> Serial {
    Serial::new(number.to_be_bytes()).unwrap()
}

pub fn options() -> EmbeddedOptions {
    EmbeddedOptions { sync: false, ..EmbeddedOptions::default() }
}

pub fn open(folder: &Path) -> EmbeddedStore {
    try_open(folder).unwrap()
}

pub fn try_open(folder: &Path) -> Result<EmbeddedStore> {
    EmbeddedStore::open(folder, options(), &mut |_| {})
}

pub fn account(name: &str, uses: u32) -> Account {
    Account {
        name: label(name),
        identities: vec![format!("fqdn:{name}.example.net").parse().unwrap()],
        profile: label("gateway"),
        ca: None,
        secret: Some(AccountSecret {
            reference: format!("ref-{name}"),
            sealed: vec![0xA5; 48],
            expires: at(1_000_000_000),
            uses_left: uses,
            given_back: 0,
        }),
        equipment: None,
        created: at(0),
        permissions: Default::default(),
        remarks: Default::default(),
        is_disabled: false,
        incarnation: Default::default(),
    }
}

/// A certificate-sized record; the octets differ with the serial.
pub fn issued(number: u128, account: &str) -> Issued {
    let mut certificate = vec![0x30; 640];
    certificate[100..116].copy_from_slice(&number.to_be_bytes());
    Issued {
        ca: ca(),
        serial: serial(number),
        account: label(account),
        incarnation: None,
        profile: label("gateway"),
        not_after: at(90 * 86_400_000 + (number % 1000) as i64 * 3_600_000),
        certificate,
        consumes_secret: false,
        consumes_equipment: false,
        transaction: None,
        replaces: None,
        partition: None,
        withheld: false,
        unpublished: false,
        retires: None,
    }
}

pub fn transaction(id: &[u8], account: &str, awaits: Option<u128>, expires: i64) -> Transaction {
    Transaction {
        registrar: None,
        proof: None,
        client: None,
        id: id.to_vec(),
        account: label(account),
        awaits: awaits.map(|number| CertificateId::new(ca(), serial(number))),
        confirm_until: awaits.map(|_| at(expires)),
        expires: at(expires),
        context: b"nonces".to_vec(),
    }
}

pub fn revocation(millis: i64, reason: Reason) -> Revocation {
    Revocation { at: at(millis), reason, invalidity: None }
}

/// A store with one account and `count` certificates, serials from 1.
pub fn fill(store: &dyn Store, count: u128) {
    store.record_accounts(at(0), &[account("gw1", 1000)]).unwrap();
    let serials: Vec<Serial> = (1..=count).map(serial).collect();
    for block in serials.chunks(64) {
        store.reserve_serials(at(1), &ca(), block).unwrap();
    }
    for number in 1..=count {
        store.record_issued(at(2 + number as i64), &issued(number, "gw1")).unwrap();
    }
}

/// Copies a data folder as a killed process would leave it: no lock, and no index unless asked for.
pub fn copy_data(from: &Path, to: &Path, with_index: bool) {
    fs::create_dir_all(to.join("journal")).unwrap();
    for file in fs::read_dir(from.join("journal")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join("journal").join(file.file_name())).unwrap();
    }
    if with_index {
        copy_folder(&from.join("index"), &to.join("index"));
    }
}

pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy_folder(&item.path(), &target);
        } else {
            fs::copy(item.path(), target).unwrap();
        }
    }
}

/// SplitMix64: enough to choose operations with, and a failure can be repeated from its seed.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
