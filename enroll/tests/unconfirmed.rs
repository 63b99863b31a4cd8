//! A certificate that its holder does not confirm in time is revoked (RFC 9810 §5.1.1.2).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod common;

use common::der::{CERT_CONF, ERROR, PKI_CONF};
use common::*;
use countersign_ca::record::Reason;
use countersign_ca::{FileKey, KeyAlgorithm};

/// Sends an ir with this account's secret. Returns the draft, the answer and the certificate.
fn begun(place: &Place, secret: &Secret) -> (Draft, der::Message, Vec<u8>) {
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let draft = place.draft(IR, &cert_request(&template(&key, None), &key, &[]));
    let ip = place.send(&draft.protected(secret));
    let certificate = issued(&ip);
    (draft, ip, certificate)
}

#[test]
fn what_nobody_confirms_is_revoked_when_the_wait_ends_and_nothing_else() {
    let mut place = Place::new();
    let secret = place.account("gw1", 100, None);
    let confirm = |place: &Place, (draft, ip, certificate): &(Draft, der::Message, Vec<u8>)| {
        let conf = draft.next(ip, CERT_CONF, &confirmation(certificate, &[]));
        place.send(
            &Draft { time: Some(place.authority().now().seconds()), ..conf }.protected(&secret),
        )
    };
    let first = begun(&place, &secret);
    let second = begun(&place, &secret);
    place.clock.pass(299);
    let third = begun(&place, &secret);
    assert_eq!(place.authority().revoke_unconfirmed(), Ok(0));
    assert_eq!(confirm(&place, &second).body.tag, PKI_CONF);
    assert_eq!(place.statuses("gw1"), ["unconfirmed", "valid", "unconfirmed"]);

    // The time of the first ends. Its holder confirms before the certificate is revoked, and is too late all the same.
    place.clock.pass(1);
    refused(&confirm(&place, &first), ERROR, "certRevoked");
    assert_eq!(place.statuses("gw1")[0], "unconfirmed");
    // The time is over after a restart as well, and the certificate is revoked only once.
    place = place.restarted();
    assert_eq!(place.authority().revoke_unconfirmed(), Ok(1));
    assert_eq!(place.authority().revoke_unconfirmed(), Ok(0));
    assert_eq!(place.statuses("gw1"), ["revoked", "valid", "unconfirmed"]);
    let revocation = place.certificates("gw1")[0].revocation.clone().unwrap();
    assert_eq!(revocation.reason, Reason::CessationOfOperation);
    assert_eq!(revocation.at.seconds(), place.authority().now().seconds());
    let text = refused(&confirm(&place, &first), ERROR, "certRevoked");
    assert!(text.contains("cessationOfOperation"), "{text}");

    assert_eq!(confirm(&place, &third).body.tag, PKI_CONF);
    place.clock.pass(100_000);
    assert_eq!(place.authority().revoke_unconfirmed(), Ok(0));
    assert_eq!(place.statuses("gw1"), ["revoked", "valid", "valid"]);
}

#[test]
fn what_was_given_back_or_revoked_before_is_not_revoked_again() {
    let place = Place::new();
    let secret = place.account("gw1", 100, None);
    let (draft, ip, _) = begun(&place, &secret);
    let answer = place.send(&draft.next(&ip, CERT_CONF, &der::seq(&[])).protected(&secret));
    assert_eq!(answer.body.tag, PKI_CONF);
    begun(&place, &secret);
    let second = place.certificates("gw1").remove(1);
    place.authority().revoke(&second.ca, &second.serial, Reason::KeyCompromise, None).unwrap();
    // A certificate that is on hold when its time ends is not revoked: it may be released.
    begun(&place, &secret);
    let third = place.certificates("gw1").remove(2);
    place.authority().revoke(&third.ca, &third.serial, Reason::CertificateHold, None).unwrap();
    place.clock.pass(301);
    assert_eq!(place.authority().revoke_unconfirmed(), Ok(0));
    assert_eq!(place.statuses("gw1").len(), 3);
    let reason = |at: usize| place.certificates("gw1")[at].revocation.as_ref().unwrap().reason;
    assert_eq!(reason(1), Reason::KeyCompromise);
    assert_eq!(reason(2), Reason::CertificateHold);
}
