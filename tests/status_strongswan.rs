//! IKE daemons learn of a revocation, and refuse the peer: strongSwan, libreswan and OpenIKED, by CRLs over HTTP and LDAP, and by OCSP.
//!
//! Each test makes a network of its own (`daemons/namespaces.rs`), and runs a Countersign there, two daemons, and if needed a directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;
mod daemons;

use daemons::charon::Charon;
use daemons::libreswan::{self, Pluto};
use daemons::namespaces::{Gateway, isolated};
use daemons::openiked::Iked;
use daemons::quoted;
use daemons::site::{Site, Source};

#[test]
fn charon_refuses_what_a_crl_over_http_revokes() {
    isolated("charon_refuses_what_a_crl_over_http_revokes", || {
        charon(Source::CrlHttp, "fetching crl from");
    });
}

#[test]
fn charon_refuses_what_a_crl_in_slapd_revokes() {
    isolated("charon_refuses_what_a_crl_in_slapd_revokes", || {
        charon(Source::CrlSlapd, "fetching crl from");
    });
}

#[test]
fn charon_refuses_what_a_crl_in_the_own_directory_revokes() {
    isolated("charon_refuses_what_a_crl_in_the_own_directory_revokes", || {
        charon(Source::CrlDirectory, "fetching crl from");
    });
}

#[test]
fn charon_refuses_what_ocsp_revokes() {
    isolated("charon_refuses_what_ocsp_revokes", || {
        charon(Source::Ocsp, "requesting ocsp status from");
    });
}

#[test]
fn libreswan_refuses_what_a_crl_over_http_revokes() {
    isolated("libreswan_refuses_what_a_crl_over_http_revokes", || libreswan(Source::CrlHttp));
}

#[test]
fn libreswan_refuses_what_a_crl_in_slapd_revokes() {
    isolated("libreswan_refuses_what_a_crl_in_slapd_revokes", || libreswan(Source::CrlSlapd));
}

#[test]
fn libreswan_refuses_what_a_crl_in_the_own_directory_revokes() {
    isolated("libreswan_refuses_what_a_crl_in_the_own_directory_revokes", || {
        libreswan(Source::CrlDirectory);
    });
}

#[test]
fn libreswan_refuses_what_ocsp_revokes() {
    isolated("libreswan_refuses_what_ocsp_revokes", || libreswan(Source::Ocsp));
}

#[test]
fn openiked_refuses_what_a_crl_file_revokes() {
    isolated("openiked_refuses_what_a_crl_file_revokes", openiked);
}

/// Two charons with `revocation = strict`: `east` comes up, is revoked, and is refused; `spare` on the same gateway stays good.
fn charon(source: Source, fetching: &str) {
    let site = Site::start(source);
    let [west, east, spare] = ["west", "east", "spare"].map(|name| site.enrol(name, "p256"));
    let responder = Charon::start(Gateway::West, &site, &[&west]);
    let initiator = Charon::start(Gateway::East, &site, &[&east, &spare]);

    for good in [&east, &spare] {
        let (up, said) = initiator.initiate(good);
        assert!(up && responder.sas().contains(&good.id), "{}: {said}", good.id);
        quoted("charon", &responder.log(), &["established between", &good.id]);
        initiator.terminate(good);
    }
    quoted("charon", &responder.log(), &[fetching, &source.url()]);

    site.revoke("east");
    responder.forget_statuses();
    let (up, said) = initiator.initiate(&east);
    assert!(!up && !responder.sas().contains(&east.id), "the revoked peer is up: {said}");
    assert!(said.contains("AUTHENTICATION_FAILED"), "{said}");
    quoted("charon", &responder.log(), &["certificate was revoked on", "reason: key compromise"]);

    let (up, said) = initiator.initiate(&spare);
    assert!(up && responder.sas().contains(&spare.id), "{}: {said}", spare.id);
}

/// The same with two plutos, strict about CRLs or OCSP.
fn libreswan(source: Source) {
    libreswan::install();
    let site = Site::start(source);
    let [west, east, spare] = ["west", "east", "spare"].map(|name| site.enrol(name, "rsa2048"));
    let responder = Pluto::start(Gateway::West, &site, source, &[&west], &[&east, &spare]);
    let initiator = Pluto::start(Gateway::East, &site, source, &[&east, &spare], &[&west]);
    if source.is_crl() {
        responder.wait_for_crl(0);
        initiator.wait_for_crl(0);
        quoted("libreswan", &responder.log(), &["imported CRL", &source.url()]);
    }

    for good in [&east, &spare] {
        let (up, said) = initiator.initiate(good.name());
        assert!(up, "{}: {said}", good.id);
        quoted("libreswan", &responder.log(), &["responder established IKE SA", &good.id]);
        initiator.terminate(good.name());
    }

    site.revoke("east");
    if source.is_crl() {
        responder.wait_for_crl(1);
    }
    responder.forget_answers();
    let before = responder.log().len();
    let (up, said) = initiator.initiate(east.name());
    assert!(!up && said.contains("AUTHENTICATION_FAILED"), "the revoked peer is up: {said}");
    initiator.terminate(east.name());
    quoted("libreswan", &responder.log()[before..], &["SEC_ERROR_REVOKED_CERTIFICATE"]);
    quoted("libreswan", &responder.log()[before..], &["certificate payload rejected"]);

    let (up, said) = initiator.initiate(spare.name());
    assert!(up, "{}: {said}", spare.id);
    let after = &responder.log()[before..];
    assert!(!after.contains(&format!("using peer certificate '@{}'", east.id)), "{after}");
}

/// The same with two ikeds, whose CRLs are files. An iked has one key, so `east` and `spare` take turns.
fn openiked() {
    let site = Site::start(Source::CrlHttp);
    let [west, east, spare] = ["west", "east", "spare"].map(|name| site.enrol(name, "p256"));
    let mut responder = Iked::start(Gateway::West, &site, &west);
    for good in [&east, &spare] {
        let initiator = Iked::start(Gateway::East, &site, good);
        responder.wait_for(0, &["established peer", &good.id]);
        quoted("openiked", &responder.log(), &["established peer", &good.id]);
        initiator.stop();
    }

    site.revoke("east");
    responder.reload(&site);
    let before = responder.log().len();
    let mut initiator = Iked::start(Gateway::East, &site, &east);
    initiator.wait_for(0, &["AUTHENTICATION_FAILED", "closing SA"]);
    responder.wait_for(before, &["authentication failed for", &east.id]);
    quoted("openiked", &responder.log()[before..], &[&east.id, "certificate revoked"]);
    initiator.stop();

    let initiator = Iked::start(Gateway::East, &site, &spare);
    responder.wait_for(before, &["established peer", &spare.id]);
    let after = &responder.log()[before..];
    let revoked_is_up =
        format!("established peer {}:500[FQDN/{}]", Gateway::East.address(), east.id);
    assert!(!after.contains(&revoked_is_up), "{after}");
    initiator.stop();
}
