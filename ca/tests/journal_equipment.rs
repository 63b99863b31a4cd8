//! Vendors and the equipment of accounts in the store: each is for one, its uses are counted with the certificate, and both outlive a
//! restart and a new index.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]

mod journal_common;

use countersign_ca::record::{Account, Issued};
use countersign_ca::record::{Device, Mapping, Vendor};
use countersign_ca::{Denial, Error, Result, Store};
use journal_common::{account, at, ca, issued, label, open, serial};

fn vendor(name: &str) -> Vendor {
    Vendor {
        name: label(name),
        mapping: Mapping::SerialNumber,
        roots: vec![vec![48, 1], vec![48, 2]],
        intermediates: vec![vec![48, 3]],
        profile: None,
        crls: vec!["/srv/maker.crl".into()],
        created: at(1),
    }
}

fn with(name: &str, value: &str, uses_left: u32, allowed: i64) -> Account {
    let equipment =
        Device { vendor: label("maker"), value: value.into(), uses_left, allowed: at(allowed) };
    Account { equipment: Some(equipment), ..account(name, 1) }
}

#[track_caller]
fn denied<T: std::fmt::Debug>(result: Result<T>, kind: Denial) {
    assert!(
        matches!(&result, Err(Error::Denied { kind: found, .. }) if *found == kind),
        "{result:?}"
    );
}

#[test]
fn equipment_is_for_one_account_and_used_up_with_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.record_vendor(at(1), &vendor("maker")).unwrap();
    store.record_vendor(at(1), &vendor("other")).unwrap();
    denied(store.record_vendor(at(1), &vendor("maker")), Denial::Conflict);
    denied(store.record_vendor_removed(at(1), &label("nobody")), Denial::Conflict);
    denied(
        store.record_accounts(at(2), &[with("gw1", "SN1", 1, 2), with("gw2", "SN1", 1, 2)]),
        Denial::Conflict,
    );
    store.record_accounts(at(2), &[with("gw1", "SN1", 2, 2), with("gw2", "SN2", 1, 2)]).unwrap();
    denied(store.record_accounts(at(3), &[with("gw3", "SN2", 1, 3)]), Denial::Conflict);
    denied(store.record_account_changed(at(3), &with("gw1", "SN2", 1, 3)), Denial::Conflict);

    store.reserve_serials(at(4), &ca(), &[serial(1), serial(2), serial(3)]).unwrap();
    let by_vendor = |number| Issued { consumes_equipment: true, ..issued(number, "gw1") };
    store.record_issued(at(5), &by_vendor(1)).unwrap();
    // A change that was thought out before does not give the use back; one that an administrator allows does.
    store.record_account_changed(at(6), &with("gw1", "SN1", 2, 2)).unwrap();
    store.record_issued(at(7), &by_vendor(2)).unwrap();
    denied(store.record_issued(at(8), &by_vendor(3)), Denial::NotAuthorized);
    store.record_account_changed(at(9), &with("gw1", "SN9", 1, 9)).unwrap();
    store.record_issued(at(10), &by_vendor(3)).unwrap();

    let check = |store: &dyn Store| {
        let of = |value| store.account_by_equipment(&label("maker"), value).unwrap();
        assert!(of("SN1").is_none(), "it is other equipment now");
        assert_eq!(of("SN9").unwrap().equipment.unwrap().uses_left, 0);
        assert_eq!(of("SN2").unwrap().name, label("gw2"));
        assert_eq!(store.vendors().unwrap(), [vendor("maker"), vendor("other")]);
    };
    check(&store);
    let (kept, fresh) = store.compare_index().unwrap();
    assert_eq!(kept, fresh);
    drop(store);
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    let store = open(folder.path());
    check(&store);
    store.record_account_removed(at(11), &label("gw2")).unwrap();
    assert!(store.account_by_equipment(&label("maker"), "SN2").unwrap().is_none());
    store.record_vendor_removed(at(12), &label("other")).unwrap();
    assert_eq!(store.vendors().unwrap(), [vendor("maker")]);
}
