//! What a restored instance recovers, and what it must not repeat.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod authority_common;

use std::sync::Arc;
use std::time::Duration;

use authority_common::{
    ByHand, Place, account, crl_settings, draft, found, found_by, foundation, label, open,
    open_with, options, request, requester, roll,
};
use countersign_ca::authority::accounts::SecretPolicy;
use countersign_ca::authority::{Authority, CertificateStatus, CrlSettings, TransactionDraft};
use countersign_ca::founding::Foundation;
use countersign_ca::founding::Recovery;
use countersign_ca::record::{Account, CrlRecord, CrlScope, Permission, Reason};
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore, Restore, restore_journal};
use countersign_ca::{
    Clock, Denial, Error, FileKey, KeyAlgorithm, Store, SubjectPublicKey, SystemClock, Timestamp,
};
use der::{Decode, Encode};
use rcgen::SigningKey;

/// A backup of everything so far, and the instance after it was opened again.
fn back_up(place: Place) -> (Place, Vec<u8>) {
    back_up_by(Arc::new(SystemClock), place)
}

fn back_up_by(clock: Arc<dyn Clock>, place: Place) -> (Place, Vec<u8>) {
    let Place { folder, authority } = place;
    drop(authority);
    let mut octets = Vec::new();
    let store =
        EmbeddedStore::open(folder.path(), EmbeddedOptions::default(), &mut |_| {}).unwrap();
    store.backup_journal(&mut octets).unwrap();
    drop(store);
    let authority = open(Foundation { clock, ..foundation(folder.path()) }, folder.path());
    (Place { folder, authority }, octets)
}

fn restored(lost: Place, backup: &[u8], keeps_uses: bool) -> Place {
    let how = Restore {
        at: lost.authority.now(),
        actor: "uid 0".into(),
        keeps_uses,
        longest_silence: None,
        accepts_clock: false,
    };
    restored_by(Arc::new(SystemClock), &how, lost, backup)
}

/// A restore at this time, which lies before the last entry.
fn set_back(at: Timestamp) -> Restore {
    Restore {
        at,
        actor: "uid 0".into(),
        keeps_uses: false,
        longest_silence: None,
        accepts_clock: true,
    }
}

fn restored_by(clock: Arc<dyn Clock>, how: &Restore, lost: Place, backup: &[u8]) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (lost.folder.path().join("keys"), folder.path().join("keys"));
    drop(lost.authority);
    restore_journal(&mut &backup[..], folder.path(), how).unwrap();
    std::fs::create_dir(&to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    let authority = open(Foundation { clock, ..foundation(folder.path()) }, folder.path());
    Place { folder, authority }
}

#[test]
fn a_restored_instance_goes_on_where_the_lost_one_ended() {
    let issuing = label("issuing");
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let gw1 = account(&place.authority, "gw1", 5);
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let enrolled = |authority: &Authority, transaction: Option<TransactionDraft>| {
        let asker = requester(authority, &gw1);
        authority.issue(authority.authorize(&asker, request(&key)).unwrap(), transaction).unwrap()
    };
    let kept = enrolled(&place.authority, None);
    let unconfirmed = TransactionDraft {
        confirm_until: Some(place.authority.now()),
        ..draft(b"awaits", true).unwrap()
    };
    let awaiting = enrolled(&place.authority, Some(unconfirmed));
    let awaited = |authority: &Authority| {
        let record = authority.store().certificate(&issuing, &awaiting.serial).unwrap().unwrap();
        (record.confirmed, record.awaits_confirmation)
    };
    assert_eq!(awaited(&place.authority), (false, true));
    place.authority.publish_crl(&issuing).unwrap();
    let (lost, backup) = back_up(place);
    // Everything from here on is missing from the backup.
    let renewed = enrolled(&lost.authority, None);
    let unknown = enrolled(&lost.authority, None);
    for (serial, reason) in
        [(&kept.serial, Reason::KeyCompromise), (&unknown.serial, Reason::CertificateHold)]
    {
        lost.authority.revoke(&issuing, serial, reason, None).unwrap();
    }
    for _ in 0..5 {
        lost.authority.publish_crl(&issuing).unwrap();
    }
    let last = lost.authority.crl(&issuing, CrlScope::Full).unwrap().unwrap();

    let place = restored(lost, &backup, false);
    let (authority, store) = (&place.authority, place.authority.store());
    assert!(store.restored().unwrap().is_some());
    // 1. CRL numbers and dates that peers have seen are exceeded.
    let first = authority.publish_crl(&issuing).unwrap();
    assert!(first.number > last.record.number && first.this_update > last.record.this_update);
    assert!(first.this_update <= authority.now());
    // 2. Secrets may have been used since the backup, so they have no uses left.
    let asker = requester(authority, &gw1);
    let refused =
        authority.authorize(&asker, request(&key)).and_then(|it| authority.issue(it, None));
    assert!(matches!(refused, Err(Error::Denied { .. })), "{refused:?}");
    let policy = SecretPolicy { lifetime: Duration::from_secs(60), uses: 1 };
    drop(requester(authority, &authority.reset_secret(&label("gw1"), policy).unwrap()));
    // 3. A certificate may have been confirmed since the backup, so it is not revoked.
    assert_eq!(authority.revoke_unconfirmed().unwrap(), 0);
    assert_eq!(
        authority.certificate_status(&issuing, &awaiting.serial).unwrap(),
        CertificateStatus::Good
    );
    assert_eq!(awaited(authority), (false, false), "an administrator sees it");
    authority.confirm(b"awaits").unwrap();
    assert_eq!(awaited(authority), (true, false), "late, and not too late");
    // 4. Issued certificates are recovered, but only those that this instance signed.
    let recovery = recovery(store.as_ref());
    let known = recovery.certificate(&kept.certificate, None).unwrap();
    assert_eq!((known.is_new, known.account), (false, Some(label("gw1"))));
    let imported = recovery.certificate(&renewed.certificate, None).unwrap();
    assert_eq!((imported.is_new, imported.account), (true, Some(label("gw1"))));
    assert!(!recovery.certificate(&renewed.certificate, None).unwrap().is_new);
    let mut altered = unknown.certificate.clone();
    let end = altered.len() - 1;
    altered[end] ^= 1;
    let refused = recovery.certificate(&altered, None);
    assert!(
        matches!(&refused, Err(Error::Denied { kind: Denial::SignerNotTrusted, .. })),
        "{refused:?}"
    );
    let nobody = recovery.certificate(&unknown.certificate, Some(&label("gw9")));
    assert!(nobody.unwrap_err().to_string().contains("no account `gw9`"));
    authority
        .authenticate_certificate(&renewed.certificate, &mut |_: &SubjectPublicKey| Ok(()))
        .unwrap();
    // 5. Revocations are recovered from the lost instance's last CRL, even of a certificate that nobody brings back.
    let mut forged = last.der.to_vec();
    let end = forged.len() - 1;
    forged[end] ^= 1;
    assert!(matches!(recovery.crl(&forged), Err(Error::Denied { .. })));
    let done = recovery.crl(&last.der).unwrap();
    assert_eq!(
        (done.revoked, done.listed, done.known),
        (vec![kept.serial], vec![unknown.serial], 0)
    );
    let again = recovery.crl(&last.der).unwrap();
    assert_eq!((again.revoked.len(), again.listed.len(), again.known), (0, 0, 2));
    assert_eq!(authority.publish_crl(&issuing).unwrap().entries, 2);
    let status = |serial| authority.certificate_status(&issuing, serial).unwrap();
    for (serial, expected) in
        [(&kept.serial, Reason::KeyCompromise), (&unknown.serial, Reason::CertificateHold)]
    {
        let CertificateStatus::Revoked(revocation) = status(serial) else { panic!("{serial}") };
        assert_eq!(revocation.reason, expected);
    }
    // A certificate that is brought back later is still on hold, and can be released.
    assert!(recovery.certificate(&unknown.certificate, None).unwrap().is_new);
    assert!(matches!(status(&unknown.serial), CertificateStatus::Revoked(_)));
    authority.release(&issuing, &unknown.serial).unwrap();
    authority.revoke(&issuing, &renewed.serial, Reason::Superseded, None).unwrap();
    assert_eq!(authority.publish_crl(&issuing).unwrap().entries, 2);
}

/// The same instance with delta CRLs, and its CRLs in a folder of their own.
fn with_deltas(place: Place) -> Place {
    let Place { folder, authority } = place;
    drop(authority);
    let crl = CrlSettings { delta: true, ..crl_settings(folder.path()) };
    let authority = open_with(foundation(folder.path()), crl);
    Place { folder, authority }
}

#[test]
fn what_is_brought_back_late_is_on_the_next_crl_and_delta_whatever_its_date() {
    let issuing = label("issuing");
    // A certificate that expired in the meantime is revoked, too, and is listed on one more CRL (RFC 5280 §3.3).
    let long_ago = SystemClock.now().minus(Duration::from_secs(3000 * 86_400));
    let clock = Arc::new(ByHand(std::sync::Mutex::new(long_ago)));
    let place = found_by(Arc::clone(&clock) as _, KeyAlgorithm::P256, KeyAlgorithm::P256);
    let gw1 = account(&place.authority, "gw1", 5);
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let enrolled = |authority: &Authority| {
        let asker = requester(authority, &gw1);
        authority.issue(authority.authorize(&asker, request(&key)).unwrap(), None).unwrap()
    };
    let expired = enrolled(&place.authority);
    let (lost, backup) = back_up_by(Arc::clone(&clock) as _, place);
    let unknown = enrolled(&lost.authority);
    for serial in [&expired.serial, &unknown.serial] {
        lost.authority.revoke(&issuing, serial, Reason::KeyCompromise, None).unwrap();
    }
    lost.authority.publish_crl(&issuing).unwrap();
    let last = lost.authority.crl(&issuing, CrlScope::Full).unwrap().unwrap();

    let place = with_deltas(restored(lost, &backup, false));
    let (authority, store) = (&place.authority, place.authority.store());
    let entries = || {
        let full = authority.publish_crl(&issuing).unwrap();
        let delta = store.last_crl(&issuing, CrlScope::Delta).unwrap().unwrap();
        assert_eq!(delta.number, full.number);
        (full.entries, delta.entries)
    };
    assert_eq!(entries(), (0, 0));
    let base = store.base_crl(&issuing).unwrap().unwrap();
    assert!(!authority.crl_lacks_changes(&issuing).unwrap());
    let recovery = recovery(store.as_ref());
    let done = recovery.crl(&last.der).unwrap();
    assert_eq!((done.revoked, done.listed), (vec![expired.serial], vec![unknown.serial]));
    let old = store.revocation(&issuing, &unknown.serial).unwrap().unwrap().at;
    assert!(old < base.this_update, "{old} {base:?}");
    assert!(authority.crl_lacks_changes(&issuing).unwrap());
    assert_eq!(entries(), (2, 2));
    assert!(!authority.crl_lacks_changes(&issuing).unwrap());
    // From then on the expired certificate is no longer listed on full CRLs. The deltas list both, because their base
    // has neither.
    assert_eq!(entries(), (1, 2));
    assert_eq!(store.base_crl(&issuing).unwrap().unwrap(), base);
}

/// Journals from before this was recorded have such CRLs.
#[test]
fn of_a_base_of_which_nobody_knows_how_far_it_reaches_no_delta_tells_what_changed() {
    let issuing = label("issuing");
    let place = with_deltas(found(KeyAlgorithm::P256, KeyAlgorithm::P256));
    let (authority, store) = (&place.authority, place.authority.store());
    let base = authority.publish_crl(&issuing).unwrap();
    assert!(base.is_base && !authority.publish_crl(&issuing).unwrap().is_base);
    let number = base.number * 2;
    let older = CrlRecord { number, reached: None, ..base };
    store.record_crl(authority.now(), &older).unwrap();
    assert!(authority.crl_lacks_changes(&issuing).unwrap());
    let next = authority.publish_crl(&issuing).unwrap();
    assert_eq!((next.is_base, next.number > number), (true, true));
    assert_eq!(store.base_crl(&issuing).unwrap(), Some(next));
}

fn recovery(store: &dyn Store) -> Recovery<'_> {
    Recovery { store, clock: &SystemClock, partition_urls: &[], partitions: 0 }
}

#[test]
fn certificates_of_cas_of_this_instance_are_no_accounts() {
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let gw1 = label("gw1");
    account(&place.authority, "gw1", 1);
    let (Place { folder, authority }, backup) = back_up(place);
    drop(authority);
    let ground = foundation(folder.path());
    let third = options("CN=Third", Some(0));
    let third = ground.create_issuing(&label("third"), &third, KeyAlgorithm::P256).unwrap();
    let next = ground.roll(&label("root"), &roll(false)).unwrap();
    let links = next.succeeds.clone().unwrap().links.unwrap();
    // Another certificate for the root's key, such as an earlier one.
    let root = third.chain.last().unwrap();
    let mut again = x509_cert::Certificate::from_der(root).unwrap();
    again.tbs_certificate.serial_number = x509_cert::serial_number::SerialNumber::from(7_u64);
    let key = ground.keys.load("root", &ground.passphrase).unwrap();
    let signature = key.sign(&again.tbs_certificate.to_der().unwrap()).unwrap();
    again.signature = der::asn1::BitString::from_bytes(&signature).unwrap();
    let again = again.to_der().unwrap();
    let before = ground.store.certificates(None, 0, 100).unwrap();
    for own in [
        &third.certificate,
        root,
        &next.certificate,
        &links.new_with_old,
        &links.old_with_new,
        &again,
    ] {
        let known = recovery(ground.store.as_ref()).certificate(own, Some(&gw1)).unwrap();
        assert_eq!((known.is_new, known.account), (false, None), "{}", known.serial);
    }
    assert_eq!(ground.store.certificates(None, 0, 100).unwrap(), before);
    // The restore has lost two of them. An account can have a CA's certificate only with the permission.
    drop(ground);
    let authority = open(foundation(folder.path()), folder.path());
    let place = restored(Place { folder, authority }, &backup, true);
    let store = place.authority.store();
    for lost in [&third.certificate, &links.new_with_old] {
        let refused = recovery(store.as_ref()).certificate(lost, Some(&gw1)).unwrap_err();
        assert!(refused.to_string().contains("--permission cross-certification"), "{refused}");
    }
    let account = store.account(&gw1).unwrap().unwrap();
    let permissions = [Permission::CrossCertification].into();
    store
        .record_account_changed(place.authority.now(), &Account { permissions, ..account })
        .unwrap();
    let taken = recovery(store.as_ref()).certificate(&third.certificate, Some(&gw1)).unwrap();
    assert_eq!((taken.is_new, taken.account), (true, Some(gw1)));
}

/// X.509 times have no fractions of a second, so the certificate's notBefore looks older than the account.
#[test]
fn what_was_issued_in_the_second_of_the_accounts_creation_is_the_accounts() {
    let long_ago = SystemClock.now().minus(Duration::from_secs(3600)).whole_seconds();
    let clock = Arc::new(ByHand(std::sync::Mutex::new(long_ago)));
    let place = found_by(Arc::clone(&clock) as _, KeyAlgorithm::P256, KeyAlgorithm::P256);
    clock.advance_by(Duration::from_millis(293));
    let gw1 = account(&place.authority, "gw1", 1);
    let (place, backup) = back_up_by(Arc::clone(&clock) as _, place);
    clock.advance_by(Duration::from_millis(200));
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let authorized =
        place.authority.authorize(&requester(&place.authority, &gw1), request(&key)).unwrap();
    let issued = place.authority.issue(authorized, None).unwrap();
    let place = restored(place, &backup, false);
    let store = place.authority.store();
    let recovery = recovery(store.as_ref());
    let imported = recovery.certificate(&issued.certificate, None).unwrap();
    assert_eq!((imported.is_new, imported.account), (true, Some(label("gw1"))));
}

#[test]
fn a_second_restore_of_one_backup_does_not_repeat_the_numbers_of_the_first() {
    let issuing = label("issuing");
    let place = found(KeyAlgorithm::P256, KeyAlgorithm::P256);
    let gw1 = account(&place.authority, "gw1", 1);
    let (lost, backup) = back_up(place);
    let first = restored(lost, &backup, true);
    // An administrator knows that no secret was used.
    drop(requester(&first.authority, &gw1));
    assert_eq!(
        first.authority.store().account(&label("gw1")).unwrap().unwrap().secret.unwrap().uses_left,
        1
    );
    let last = (0..3).map(|_| first.authority.publish_crl(&issuing).unwrap()).last().unwrap();
    let second = restored(first, &backup, true);
    let next = second.authority.publish_crl(&issuing).unwrap();
    assert!(next.number > last.number && next.this_update > last.this_update, "{last:?} {next:?}");
}

/// strongSwan and the authorizer keep the CRL with the largest number. A repeated number would hide revocations until
/// the clock has caught up.
#[test]
fn a_restore_with_a_clock_that_was_set_back_repeats_no_number_of_the_lost_instance() {
    let issuing = label("issuing");
    let right = SystemClock.now();
    let day = Duration::from_secs(86_400);
    let clock = Arc::new(ByHand(std::sync::Mutex::new(right.plus(day))));
    let place = found_by(Arc::clone(&clock) as _, KeyAlgorithm::P256, KeyAlgorithm::P256);
    place.authority.publish_crl(&issuing).unwrap();
    let (lost, backup) = back_up_by(Arc::clone(&clock) as _, place);
    // The clock stays ahead for two hours.
    clock.advance(7200);
    let last = lost.authority.publish_crl(&issuing).unwrap();
    // Restore twice from the same backup, with CRLs signed in between.
    let (mut last, mut lost, mut at) = (last, lost, right);
    for _ in 0..2 {
        *clock.0.lock().unwrap() = at;
        let place = restored_by(Arc::clone(&clock) as _, &set_back(at), lost, &backup);
        clock.advance(2);
        let first = place.authority.publish_crl(&issuing).unwrap();
        assert!(first.number > last.number, "{first:?} {last:?}");
        assert!(first.this_update > at && first.this_update <= place.authority.now(), "{first:?}");
        // Only the first number leaps. Later ones rise with time, so a restored snapshot of the machine repeats none.
        at = clock.advance(3600);
        let next = place.authority.publish_crl(&issuing).unwrap();
        assert_eq!(next.number - first.number, 3_600_000);
        (last, lost) = (next, place);
        at = at.plus(Duration::from_secs(60));
    }
}

/// An older CRL of the lost instance, imported first, does not tell how far the numbers went.
#[test]
fn a_crl_that_is_brought_back_does_not_take_the_place_of_the_first_one_after_a_restore() {
    let issuing = label("issuing");
    let right = SystemClock.now();
    let clock = Arc::new(ByHand(std::sync::Mutex::new(right.plus(Duration::from_secs(86_400)))));
    let place = found_by(Arc::clone(&clock) as _, KeyAlgorithm::P256, KeyAlgorithm::P256);
    place.authority.publish_crl(&issuing).unwrap();
    let (lost, backup) = back_up_by(Arc::clone(&clock) as _, place);
    clock.advance(60);
    lost.authority.publish_crl(&issuing).unwrap();
    let older = lost.authority.crl(&issuing, CrlScope::Full).unwrap().unwrap();
    clock.advance(7200);
    let last = lost.authority.publish_crl(&issuing).unwrap();
    *clock.0.lock().unwrap() = right;
    let place = restored_by(Arc::clone(&clock) as _, &set_back(right), lost, &backup);
    clock.advance(2);
    let recovery = Recovery { clock: clock.as_ref(), ..recovery(place.authority.store().as_ref()) };
    recovery.crl(&older.der).unwrap();
    let first = place.authority.publish_crl(&issuing).unwrap();
    assert!(first.number > last.number && first.this_update > right, "{first:?} {last:?}");
}
