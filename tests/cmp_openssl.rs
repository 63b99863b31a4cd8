//! `openssl cmp`, a client that we did not write, enrols, confirms, renews and revokes. Requests that must be refused are refused with the
//! right reason; they leave no certificate behind, and the server goes on answering.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::process::Command;

use common::cmp as wire;
use common::der::{self, Message, seq, tlv};
use common::openssl::{self, by_secret, cmp, enrol, key, request};
use common::{Instance, Peer, tool_ok};

/// The certificates of `account` by status.
fn statuses(instance: &Instance, account: &str) -> Vec<String> {
    instance
        .certificates(account)
        .iter()
        .map(|certificate| certificate["status"].as_str().expect("a status").to_owned())
        .collect()
}

/// Asserts that the journal verifies, and that the server still enrols an honest peer.
#[track_caller]
fn still_answers(instance: &Instance) {
    let name = format!("honest{}", instance.json(&["peer", "list"]).as_array().map_or(0, Vec::len));
    let honest = instance.peer(&name, &["fqdn:honest.example.net"]);
    key(instance, "p256", "honest.key");
    enrol(instance, &honest, "honest.key", &[]).granted();
    assert_eq!(statuses(instance, &name), ["valid"]);
    instance.ok(&["audit", "verify"]);
}

fn secret(peer: &Peer) -> Vec<String> {
    by_secret(peer).to_vec()
}

/// Arguments from fixed and computed parts.
fn arguments<'a>(fixed: &[&'a str], computed: &'a [String]) -> Vec<&'a str> {
    fixed.iter().copied().chain(computed.iter().map(String::as_str)).collect()
}

#[test]
fn every_kind_of_key_enrols_with_a_secret_and_confirms() {
    let instance = Instance::start();
    for (kind, _) in openssl::KEYS {
        let id = format!("fqdn:{kind}.example.net");
        let peer = instance.peer(kind, &[&id, "ip:192.0.2.1"]);
        key(&instance, kind, "peer.key");
        let run =
            enrol(&instance, &peer, "peer.key", &["-subject", &format!("/CN={kind}")]).granted();
        assert!(
            run.text.contains("received PKICONF"),
            "the certificate was confirmed:\n{}",
            run.text
        );
        let text = openssl::text(&instance, &format!("{kind}.crt"));
        assert!(text.contains(&format!("Subject: CN = {kind}\n")), "{text}");
        assert!(text.contains(&format!("DNS:{kind}.example.net, IP Address:192.0.2.1")), "{text}");
        assert!(
            text.contains("ipsec Internet Key Exchange") || text.contains("1.3.6.1.5.5.7.3.17"),
            "{text}"
        );
        assert_eq!(statuses(&instance, kind), ["valid"]);
    }
    instance.ok(&["audit", "verify"]);
}

#[test]
fn a_peer_narrows_its_names_and_asks_for_a_shorter_validity() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net", "ip:192.0.2.1", "ip:2001:db8::1"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &["-sans", "192.0.2.1", "-days", "7"]).granted();
    let text = openssl::text(&instance, "gw1.crt");
    assert!(text.contains("IP Address:192.0.2.1\n") && !text.contains("DNS:"), "{text}");
    let week = tool_ok(
        "openssl",
        "openssl",
        &["x509", "-noout", "-in", "gw1.crt", "-checkend", "604000"],
        &instance.file("."),
    );
    assert!(week.contains("will not expire"), "{week}");
    let longer = ["x509", "-noout", "-in", "gw1.crt", "-checkend", "605000"];
    assert!(
        !common::tool("openssl", "openssl", &longer, &instance.file(".")).status.success(),
        "it ends after a week"
    );
}

#[test]
fn implicit_confirmation_is_granted_when_asked_for() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    let run = enrol(&instance, &peer, "gw1.key", &["-implicit_confirm"]).granted();
    assert!(!run.text.contains("sending CERTCONF"), "{}", run.text);
    assert_eq!(statuses(&instance, "gw1"), ["valid"]);
}

#[test]
fn p10cr_carries_a_pkcs_10_request() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let secret = secret(&peer);
    for kind in ["p256", "rsa2048", "ed25519"] {
        key(&instance, kind, "gw1.key");
        let csr = [
            "req",
            "-new",
            "-key",
            "gw1.key",
            "-subj",
            "/CN=gw1.example.net",
            "-out",
            "gw1.csr",
            "-addext",
            "subjectAltName=DNS:gw1.example.net",
        ];
        tool_ok("openssl", "openssl", &csr, &instance.file("."));
        let fixed = ["-cmd", "p10cr", "-csr", "gw1.csr", "-certout", "gw1.crt"];
        cmp(&instance, &arguments(&fixed, &secret)).granted();
        let text = openssl::text(&instance, "gw1.crt");
        assert!(text.contains("DNS:gw1.example.net"), "{text}");
    }
    assert_eq!(statuses(&instance, "gw1"), ["valid", "valid", "valid"]);
}

#[test]
fn a_certificate_gets_further_ones_renews_itself_and_is_revoked() {
    let instance = Instance::start();
    // OpenSSL 3.0 protects no message with an Ed25519 key; tests/cmp_protection.rs does.
    for kind in ["p256", "p384", "rsa2048", "rsa3072"] {
        let id = format!("fqdn:{kind}.example.net");
        let peer = instance.peer(kind, &[&id]);
        key(&instance, kind, "old.key");
        enrol(&instance, &peer, "old.key", &[]).granted();
        let old = format!("{kind}.crt");

        key(&instance, kind, "second.key");
        let signed = ["-cert", &old, "-key", "old.key"];
        let cr = [&["-cmd", "cr", "-newkey", "second.key", "-certout", "second.crt"][..], &signed]
            .concat();
        cmp(&instance, &cr).granted();

        key(&instance, kind, "new.key");
        let kur =
            [&["-cmd", "kur", "-newkey", "new.key", "-certout", "new.crt"][..], &signed].concat();
        cmp(&instance, &kur).granted();
        let text = openssl::text(&instance, "new.crt");
        assert!(text.contains(&format!("DNS:{kind}.example.net")), "{text}");

        let renewed = ["-cert", "new.crt", "-key", "new.key"];
        let rr = [&["-cmd", "rr", "-oldcert", "new.crt", "-revreason", "1"][..], &renewed].concat();
        cmp(&instance, &rr).granted();
        assert_eq!(statuses(&instance, kind), ["valid", "valid", "revoked"], "{kind}");
        cmp(&instance, &rr).refused(&["revoked"]);
    }
    instance.ok(&["audit", "verify"]);
}

#[test]
fn the_path_names_a_profile_or_a_ca() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    for path in [
        ".well-known/cmp/p/gateway",
        ".well-known/cmp/p/issuing",
        ".well-known/cmp/p/gateway/initialization",
        ".well-known/cmp/initialization",
        "pkix/",
    ] {
        enrol(&instance, &peer, "gw1.key", &["-path", path]).granted();
    }
    enrol(&instance, &peer, "gw1.key", &["-path", ".well-known/cmp/p/user"]).refused(&["gateway"]);
    enrol(&instance, &peer, "gw1.key", &["-path", ".well-known/cmp/p/nowhere"]).refused(&["404"]);
    enrol(&instance, &peer, "gw1.key", &["-path", ".well-known/cmp/keyupdate"])
        .refused(&["badRequest"]);
    still_answers(&instance);
}

#[test]
fn secrets_that_are_wrong_unknown_expired_or_used_up_are_refused() {
    let instance = Instance::start();
    key(&instance, "p256", "gw1.key");
    let once = instance.peer_with("once", &["fqdn:once.example.net"], &["--uses", "1"]);
    enrol(&instance, &once, "gw1.key", &[]).granted();
    enrol(&instance, &once, "gw1.key", &[]).refused(&["used up", "notAuthorized"]);
    assert_eq!(statuses(&instance, "once"), ["valid"]);

    let unknown =
        Peer { name: "x".into(), reference: "nobody".into(), secret: once.secret.clone() };
    let run = enrol(&instance, &unknown, "gw1.key", &[]).refused(&["badMessageCheck"]);
    assert!(run.text.contains("unknown reference or wrong secret"), "{}", run.text);

    let gw1 = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let wrong =
        Peer { name: "gw1".into(), reference: gw1.reference.clone(), secret: "wrong".into() };
    for _ in 0..3 {
        enrol(&instance, &wrong, "gw1.key", &[])
            .refused(&["badMessageCheck", "unknown reference or wrong secret"]);
    }
    assert_eq!(statuses(&instance, "gw1"), [""; 0]);
    // They keep nobody out who has the right one.
    enrol(&instance, &gw1, "gw1.key", &[]).granted();
    assert!(!instance.log().contains("locked"));
    let reset = instance.json(&["peer", "reset-secret", "gw1"]);
    let text = |key: &str| reset[key].as_str().expect("text").to_owned();
    let again = Peer { name: "gw1".into(), reference: text("reference"), secret: text("secret") };
    enrol(&instance, &again, "gw1.key", &[]).granted();
    still_answers(&instance);
}

#[test]
fn what_the_account_does_not_hold_is_refused() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net", "ip:192.0.2.1"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &["-sans", "gw2.example.net"])
        .refused(&["gw2.example.net", "notAuthorized"]);
    enrol(&instance, &peer, "gw1.key", &["-sans", "192.0.2.2"])
        .refused(&["192.0.2.2", "notAuthorized"]);
    enrol(&instance, &peer, "gw1.key", &["-subject", "/CN=gw2.example.net"])
        .refused(&["CN=gw2.example.net", "notAuthorized"]);
    openssl::generate(
        &instance,
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
        "small.key",
    );
    enrol(&instance, &peer, "small.key", &[]).refused(&["1024", "2048", "badCertTemplate"]);
    openssl::generate(
        &instance,
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
        "k256.key",
    );
    enrol(&instance, &peer, "k256.key", &[]).refused(&["P-256", "badAlg"]);
    assert_eq!(statuses(&instance, "gw1"), [""; 0]);
    still_answers(&instance);
}

#[test]
fn names_compare_as_names_and_what_a_device_fixes_is_replaced() {
    let instance = Instance::start();
    key(&instance, "p256", "gw1.key");
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "9"]);
    let inc = "dn:CN=gw7,O=Example\\, Inc.,C=US";
    let dn = instance.peer_with("gw7", &[inc], &["--uses", "9"]);
    let mail = "dn:emailAddress=ops@example.net,CN=gw8,O=Example";
    let mail = instance.peer_with("gw8", &[mail], &["--uses", "9"]);
    for (peer, wanted, expected) in [
        (&peer, "/CN=GW1.Example.NET", "CN=gw1.example.net"),
        (&peer, "/CN=GW1", "CN=gw1"),
        (&peer, "/C=US/O=Maker/OU=Boxes/CN=gw1.example.net", "CN=gw1.example.net"),
        (&peer, "/C=US/O=Maker", "CN=gw1.example.net"),
        (&dn, "/C=us/O=EXAMPLE,   inc./CN=GW7", "CN=gw7,O=Example\\, Inc.,C=US"),
        (&dn, "/O=Maker/CN=gw7", "CN=gw7,O=Example\\, Inc.,C=US"),
        (
            &mail,
            "/O=example/CN=gw8/emailAddress=OPS@example.net",
            "emailAddress=ops@example.net,CN=gw8,O=Example",
        ),
    ] {
        let run = enrol(&instance, peer, "gw1.key", &["-subject", wanted]).granted();
        let file = format!("{}.crt", peer.name);
        let show = ["x509", "-in", &file, "-noout", "-subject", "-nameopt", "RFC2253"];
        let subject = tool_ok("openssl", "openssl", &show, &instance.file("."));
        assert_eq!(subject.trim(), format!("subject={expected}"), "{wanted}: {}", run.text);
    }
    let show = ["x509", "-in", "gw8.crt", "-noout", "-subject", "-nameopt", "show_type"];
    let subject = tool_ok("openssl", "openssl", &show, &instance.file("."));
    assert!(subject.contains("IA5STRING:ops@example.net"), "{subject}");
    for (peer, wanted) in [
        (&peer, "/O=Maker/CN=gw2.example.net"),
        (&peer, "/CN=gw1.example.net/serialNumber=1"),
        (&dn, "/O=Example, Inc./C=US/CN=gw8"),
    ] {
        enrol(&instance, peer, "gw1.key", &["-subject", wanted]).refused(&["notAuthorized"]);
    }
}

#[test]
fn a_certificate_that_openssl_rejects_does_not_use_up_the_secret() {
    let instance = Instance::start();
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "1"]);
    key(&instance, "p256", "gw1.key");
    let other = ["req", "-x509", "-key", "gw1.key", "-subj", "/CN=Other", "-out", "other.crt"];
    tool_ok("openssl", "openssl", &other, &instance.file("."));
    for _ in 0..2 {
        let run = enrol(&instance, &peer, "gw1.key", &["-out_trusted", "other.crt"]);
        assert!(!run.ok && run.text.contains("sending CERTCONF"), "{}", run.text);
        assert_eq!(instance.json(&["peer", "show", "gw1"])["uses_left"], 1);
    }
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    assert_eq!(statuses(&instance, "gw1"), ["revoked", "revoked", "valid"]);
    enrol(&instance, &peer, "gw1.key", &[]).refused(&["used up"]);
}

#[test]
fn a_certificate_speaks_for_no_later_account_of_its_name() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "old.key");
    key(&instance, "p256", "new.key");
    enrol(&instance, &peer, "old.key", &[]).granted();
    let folder = instance.file(".");
    std::fs::copy(folder.join("gw1.crt"), folder.join("old.crt")).unwrap();
    let removed = instance.json(&["peer", "remove", "gw1"]);
    assert_eq!(removed["still_valid"].as_array().map(Vec::len), Some(1), "{removed}");
    let add =
        ["peer", "add", "gw1", "--id", "fqdn:other.example.net", "--allow", "cross-certification"];
    let added = instance.json(&add);
    let warning = added["warnings"][0].as_str().unwrap();
    let serial = removed["still_valid"][0].as_str().unwrap();
    assert!(warning.contains("1 certificate of an account that had this name before"), "{warning}");
    assert!(warning.contains(serial), "{warning}");
    let text = |key: &str| added[key].as_str().expect("text").to_owned();
    let next = Peer { name: "gw1".into(), reference: text("reference"), secret: text("secret") };
    enrol(&instance, &next, "new.key", &[]).granted();
    let signed = ["-cert", "old.crt", "-key", "old.key"];
    let more = ["-newkey", "new.key", "-certout", "more.crt"];
    for command in ["cr", "kur"] {
        let all = [&["-cmd", command][..], &more, &signed].concat();
        cmp(&instance, &all).refused(&["signerNotTrusted", "gone"]);
    }
    let rr = [&["-cmd", "rr", "-oldcert", "gw1.crt"][..], &signed].concat();
    cmp(&instance, &rr).refused(&["signerNotTrusted"]);
    let genm = [&["-cmd", "genm", "-infotype", "caCerts"][..], &signed].concat();
    cmp(&instance, &genm).refused(&["signerNotTrusted"]);
    assert_eq!(statuses(&instance, "gw1"), ["valid", "valid"]);
    let holder = |serial: &str| instance.json(&["cert", "show", serial])["holder"].clone();
    assert_eq!(holder(serial), "an account that had this name before");
    // Removed with its certificates, those of before, too.
    let removed =
        instance.json(&["peer", "remove", "gw1", "--revoke", "--reason", "keyCompromise"]);
    assert_eq!(removed["revoked"].as_array().map(Vec::len), Some(2), "{removed}");
    assert_eq!(statuses(&instance, "gw1"), ["revoked", "revoked"]);
    assert!(
        instance
            .json(&["peer", "add", "gw1", "--id", "fqdn:c.example.net"])
            .get("warnings")
            .is_none()
    );
    instance.ok(&["audit", "verify"]);
}

#[test]
fn proof_of_possession_must_be_there_and_right() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &["-popo", "-1"]).refused(&["badPOP"]);
    enrol(&instance, &peer, "gw1.key", &["-popo", "0"]).refused(&["notAuthorized"]);

    // A signature by the right key over another request: flip one bit of the proof, and protect the message anew.
    let secret = secret(&peer);
    let genuine = Message::read(&request(
        &instance,
        &arguments(&["-cmd", "ir", "-newkey", "gw1.key"], &secret),
    ));
    let mut body = genuine.body.whole.clone();
    let last = body.len() - 1;
    body[last] ^= 1;
    let answer =
        Message::read(&instance.cmp(&genuine.with_body(&body).protected(&peer.secret).bytes()));
    let (failures, text) = answer.refusal().expect("a refusal");
    assert_eq!(failures, ["badPOP"], "{text}");
    // The genuine one would have been taken.
    assert_eq!(Message::read(&instance.cmp(&genuine.bytes())).body.tag, der::IP);
    still_answers(&instance);
}

#[test]
fn a_message_that_was_touched_replayed_or_is_stale_is_refused() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    let secret = secret(&peer);
    let fixed = arguments(&["-cmd", "ir", "-newkey", "gw1.key"], &secret);
    let genuine = request(&instance, &fixed);

    let message = Message::read(&genuine);
    let mut body = message.body.whole.clone();
    let middle = body.len() / 2;
    body[middle] ^= 1;
    let answer = Message::read(&instance.cmp(&message.with_body(&body).bytes()));
    assert!(answer.refusal().is_some_and(
        |(failures, _)| failures == ["badMessageCheck"] || failures == ["badDataFormat"]
    ));
    assert_eq!(statuses(&instance, "gw1"), [""; 0]);

    assert_eq!(Message::read(&instance.cmp(&genuine)).body.tag, der::IP);
    let replay = Message::read(&instance.cmp(&genuine)).refusal().expect("a refusal");
    assert_eq!(replay.0, ["transactionIdInUse"], "{}", replay.1);

    for shift in ["-10m", "+10m"] {
        let shifted =
            openssl::request_by(common::at_another_time(shift, "openssl"), &instance, &fixed);
        let (failures, text) = Message::read(&instance.cmp(&shifted)).refusal().expect("a refusal");
        assert_eq!(failures, ["badTime"], "{text}");
    }
    let timeless = Message::read(&request(&instance, &fixed)).with_field(der::MESSAGE_TIME, None);
    let (failures, text) = Message::read(&instance.cmp(&timeless.protected(&peer.secret).bytes()))
        .refusal()
        .expect("a refusal");
    assert_eq!(failures, ["missingTimeStamp"], "{text}");
    assert_eq!(instance.certificates("gw1").len(), 1);
    still_answers(&instance);
}

#[test]
fn signers_that_are_foreign_revoked_held_or_expired_are_refused() {
    let mut instance = Instance::empty();
    // The clock of the first server stands 100 days back: its certificates have expired when the second one runs.
    let old = |program: &str| common::at_another_time("-100d", program);
    let founding = ["init", "--subject=CN=Countersign issuing CA", "--data"];
    let founded = old(common::COUNTERSIGN).args(founding).arg(instance.data()).status();
    assert!(
        founded.is_ok_and(|status| status.success()),
        "this test needs `faketime`: run `make deps`"
    );
    instance.serve_with(old(common::COUNTERSIGN));
    let mut add = old(common::COUNTERSIGN);
    add.args([
        "peer",
        "add",
        "late",
        "--id",
        "fqdn:late.example.net",
        "--format",
        "json",
        "--data",
    ])
    .arg(instance.data());
    let added: serde_json::Value =
        serde_json::from_slice(&add.output().expect("faketime").stdout).expect("JSON");
    let late = Peer {
        name: "late".into(),
        reference: added["reference"].as_str().expect("a reference").into(),
        secret: added["secret"].as_str().expect("a secret").into(),
    };
    key(&instance, "p256", "late.key");
    let secret = secret(&late);
    let fixed = ["-cmd", "ir", "-newkey", "late.key", "-certout", "late.crt"];
    openssl::cmp_by(old("openssl"), &instance, &arguments(&fixed, &secret)).granted();
    instance.stop();
    instance.serve();

    key(&instance, "p256", "new.key");
    let kur = |certificate: &str, key: &str| {
        cmp(
            &instance,
            &[
                "-cmd",
                "kur",
                "-newkey",
                "new.key",
                "-certout",
                "new.crt",
                "-cert",
                certificate,
                "-key",
                key,
            ],
        )
    };
    kur("late.crt", "late.key").refused(&["valid from", "signerNotTrusted"]);

    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    let serial = instance.certificates("gw1")[0]["serial"].as_str().expect("a serial").to_owned();
    instance.ok(&["cert", "hold", &serial]);
    kur("gw1.crt", "gw1.key").refused(&["certificateHold", "signerNotTrusted"]);
    instance.ok(&["cert", "release", &serial]);
    kur("gw1.crt", "gw1.key").granted();
    instance.ok(&["cert", "revoke", &serial, "--reason", "keyCompromise"]);
    kur("gw1.crt", "gw1.key").refused(&["keyCompromise", "certRevoked"]);

    // Somebody else's CA of the same name issues a certificate of the same serial number.
    let folder = instance.file(".");
    for arguments in [
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.crt",
            "-subj",
            "/CN=Countersign issuing CA",
        ][..],
        &["req", "-new", "-key", "gw1.key", "-subj", "/CN=gw1.example.net", "-out", "f.csr"],
        &[
            "x509",
            "-req",
            "-in",
            "f.csr",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-set_serial",
            &format!("0x{serial}"),
            "-out",
            "foreign.crt",
        ],
    ] {
        tool_ok("openssl", "openssl", arguments, &folder);
    }
    kur("foreign.crt", "gw1.key").refused(&["not issued here", "signerNotTrusted"]);
    // A CA's own certificate signs no requests.
    let root = instance.root();
    let rooted = [
        "-cmd",
        "cr",
        "-newkey",
        "new.key",
        "-certout",
        "x.crt",
        "-cert",
        root.to_str().expect("a path"),
        "-key",
        "gw1.key",
    ];
    assert!(!cmp(&instance, &rooted).ok);
    // Another peer's certificate is not one's own to revoke.
    let other = instance.peer("gw2", &["fqdn:gw2.example.net"]);
    enrol(&instance, &other, "new.key", &[]).granted();
    let third = instance.peer("gw3", &["fqdn:gw3.example.net"]);
    key(&instance, "p256", "gw3.key");
    enrol(&instance, &third, "gw3.key", &[]).granted();
    cmp(&instance, &["-cmd", "rr", "-oldcert", "gw2.crt", "-cert", "gw3.crt", "-key", "gw3.key"])
        .refused(&["badCertId"]);
    assert_eq!(statuses(&instance, "gw2"), ["valid"]);
    still_answers(&instance);
}

/// Sends an ir and gives the request and the answer, with the certificate that awaits its confirmation.
fn open_transaction(instance: &Instance, peer: &Peer) -> (Message, Message) {
    let secret = secret(peer);
    let ir = Message::read(&request(
        instance,
        &arguments(&["-cmd", "ir", "-newkey", "gw1.key"], &secret),
    ));
    let ip = Message::read(&instance.cmp(&ir.bytes()));
    assert_eq!(ip.body.tag, der::IP, "{:?}", ip.refusal());
    assert!(ip.is_protected_by(&peer.secret), "the answer is protected in kind");
    (ir, ip)
}

/// A certConf for certReqId 0 with this hash, in the transaction of `ir` (RFC 9810 §5.3.18).
fn cert_conf(ir: &Message, ip: &Message, hash: &[u8], secret: &str) -> Message {
    let status = seq(&[&tlv(0x04, hash), &tlv(0x02, &[0])]);
    let nonce = ip.field(der::SENDER_NONCE).expect("a senderNonce").whole;
    ir.with_field(der::SENDER_NONCE, Some(&tlv(0x04, &[7; 16])))
        .with_field(der::RECIP_NONCE, Some(&nonce))
        .with_body(&tlv(der::CERT_CONF, &seq(&[&status])))
        .protected(secret)
}

/// SHA-256 over the certificate in an ip.
fn certificate_hash(ip: &Message) -> Vec<u8> {
    fn find(element: &der::Element) -> Option<Vec<u8>> {
        let parts = if element.tag & 0x20 == 0 { Vec::new() } else { element.parts() };
        // certifiedKeyPair: certOrEncCert is [0] EXPLICIT Certificate, whose three parts end in a BIT STRING.
        let certificate = parts
            .iter()
            .find(|part| part.tag == 0xa0)
            .and_then(|tagged| tagged.parts().into_iter().next());
        match certificate.filter(|inner| {
            inner.tag == 0x30 && inner.parts().last().is_some_and(|last| last.tag == 0x03)
        }) {
            Some(certificate) => Some(certificate.whole),
            None => parts.iter().find_map(find),
        }
    }
    // caPubs [1] stands before the responses: look behind it.
    let content = ip.body.parts().remove(0);
    let responses = content.parts().into_iter().find(|part| part.tag == 0x30).expect("responses");
    let certificate = find(&responses).expect("a certificate");
    ring::digest::digest(&ring::digest::SHA256, &certificate).as_ref().to_vec()
}

#[test]
fn confirmation_counts_only_with_the_right_hash_nonce_and_protection() {
    let mut instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let other = instance.peer("gw2", &["fqdn:gw2.example.net"]);
    key(&instance, "p256", "gw1.key");

    // 1. A wrong hash: refused, and the certificate is not in use.
    let (ir, ip) = open_transaction(&instance, &peer);
    let answer = Message::read(&instance.cmp(&cert_conf(&ir, &ip, &[0; 32], &peer.secret).bytes()));
    let (failures, text) = answer.refusal().expect("a refusal");
    assert_eq!(failures, ["badCertId"], "{text}");
    assert_eq!(statuses(&instance, "gw1"), ["revoked"]);

    // 2. A wrong nonce, then another account's secret: refused, and the right one still counts.
    let (ir, ip) = open_transaction(&instance, &peer);
    assert_eq!(statuses(&instance, "gw1")[1], "unconfirmed");
    let right = cert_conf(&ir, &ip, &certificate_hash(&ip), &peer.secret);
    let wrong =
        right.with_field(der::RECIP_NONCE, Some(&tlv(0x04, &[9; 16]))).protected(&peer.secret);
    let (failures, text) =
        Message::read(&instance.cmp(&wrong.bytes())).refusal().expect("a refusal");
    assert_eq!(failures, ["badRecipientNonce"], "{text}");
    let foreign = right
        .with_field(der::SENDER_KID, Some(&tlv(0x04, other.reference.as_bytes())))
        .protected(&other.secret);
    assert!(Message::read(&instance.cmp(&foreign.bytes())).refusal().is_some());
    assert_eq!(statuses(&instance, "gw1")[1], "unconfirmed");

    // 3. The transaction survives a power cut.
    instance.kill();
    instance.serve();
    assert_eq!(Message::read(&instance.cmp(&right.bytes())).body.tag, der::PKI_CONF);
    assert_eq!(statuses(&instance, "gw1")[1], "valid");
    let (failures, text) =
        Message::read(&instance.cmp(&right.bytes())).refusal().expect("a refusal");
    assert_eq!(failures, ["certConfirmed"], "{text}");
    still_answers(&instance);
}

#[test]
fn garbage_and_truncated_messages_get_an_error_and_harm_nobody() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    let secret = secret(&peer);
    let genuine = request(&instance, &arguments(&["-cmd", "ir", "-newkey", "gw1.key"], &secret));
    let bomb = (0..20_000).fold(
        Vec::new(),
        |inside: Vec<u8>, depth| if depth < 200 { seq(&[&inside]) } else { inside },
    );
    let mut trailing = genuine.clone();
    trailing.push(0);
    let indefinite = [&[0x30, 0x80][..], &genuine[4..], &[0, 0]].concat();
    for message in [
        &b""[..],
        b"GET / HTTP/1.0",
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        &bomb,
        &trailing,
        &indefinite,
    ] {
        let answer = Message::read(&instance.cmp(message));
        assert_eq!(answer.body.tag, der::ERROR);
        assert_eq!(answer.refusal().expect("a refusal").0, ["badDataFormat"]);
    }
    for length in (0..genuine.len()).step_by(7) {
        let answer = Message::read(&instance.cmp(&genuine[..length]));
        assert_eq!(
            answer.refusal().expect("a refusal").0,
            ["badDataFormat"],
            "cut to {length} octets"
        );
    }
    let large = vec![0x30; 2 << 20];
    assert!(
        instance
            .http("POST", "/.well-known/cmp", "application/pkixcmp", &large)
            .is_ok_and(|a| a.status == 413)
            || instance.http("GET", "/healthz", "", &[]).is_ok()
    );
    let typed =
        instance.http("POST", "/.well-known/cmp", "text/plain", &genuine).expect("an answer");
    assert_eq!(typed.status, 415);
    assert_eq!(instance.http("GET", "/.well-known/cmp", "", &[]).expect("an answer").status, 405);
    assert_eq!(statuses(&instance, "gw1"), [""; 0]);
    still_answers(&instance);
}

#[test]
fn hostile_mac_parameters_are_refused_before_any_work() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    let secret = secret(&peer);
    let genuine = Message::read(&request(
        &instance,
        &arguments(&["-cmd", "ir", "-newkey", "gw1.key"], &secret),
    ));
    let algorithm = genuine.field(der::PROTECTION_ALG).expect("a protectionAlg");
    let parameters = algorithm.parts()[1].parts();
    let with = |salt: &[u8], iterations: &[u8]| {
        let parameters =
            seq(&[salt, &parameters[1].whole, &tlv(0x02, iterations), &parameters[3].whole]);
        genuine.with_field(
            der::PROTECTION_ALG,
            Some(&seq(&[&algorithm.parts()[0].whole, &parameters])),
        )
    };
    let salt = &parameters[0].whole;
    // 2^31 iterations would keep a core busy for half an hour: the answer must come at once, and not by luck. Another algorithm would not
    // help with a count, and so it is badRequest that says what does.
    let (many, few) = (
        ("badRequest", "have the client ask for fewer"),
        ("badRequest", "have the client ask for more"),
    );
    for (salt, iterations, (failure, word)) in [
        (salt, &[0x00, 0x80, 0x00, 0x00, 0x00][..], many),
        (salt, &[0x7f, 0xff, 0xff, 0xff], many),
        (salt, &[0x1e, 0x84, 0x81], many),
        (salt, &[0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], many),
        (salt, &[99], few),
        (salt, &[0], few),
        (salt, &[0xff], few),
        (&tlv(0x04, &[1; 70_000]), &[0x01, 0xf4], ("badAlg", "salt")),
        (&tlv(0x04, &[]), &[0x01, 0xf4], ("badAlg", "salt")),
    ] {
        let answer = Message::read(&instance.cmp(&with(salt, iterations).bytes()));
        let (failures, text) = answer.refusal().expect("a refusal");
        assert_eq!(failures, [failure], "{iterations:?}: {text}");
        assert!(text.contains(word), "{iterations:?}: {text}");
    }
    // PBMAC1 (RFC 8018 §7) likewise.
    for (iterations, (failure, word)) in [(u32::MAX, many), (2_000_001, many), (99, few)] {
        let draft = wire::Draft::new(wire::IR, wire::request(&wire::Key::new())).of(&peer);
        let draft =
            draft.with(|header| header.protection_alg = Some(wire::pbmac1(&[7; 16], iterations)));
        wire::refused(&wire::exchange(&instance, &draft.bytes(Some(&[0; 32]))), failure, word);
    }
    assert_eq!(statuses(&instance, "gw1"), [""; 0]);
    still_answers(&instance);
}

#[test]
fn what_is_advised_for_pbkdf2_today_is_taken_by_default() {
    let instance = Instance::start();
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "2"]);
    let pbm = wire::pbm(&[7; 16], 600_000, wire::SHA256, wire::HMAC_SHA256);
    for algorithm in [wire::pbmac1(&[7; 16], 600_000), pbm] {
        let draft = wire::Draft::new(wire::IR, wire::request(&wire::Key::new())).implicit();
        let draft = draft.of(&peer).with(|header| header.protection_alg = Some(algorithm.clone()));
        let answer = wire::exchange(&instance, &draft.maced(&peer.secret));
        answer.certificate();
        // In kind, at no other cost.
        assert_eq!(answer.header.protection_alg, Some(algorithm));
        assert!(answer.is_protected_by(&peer.secret));
    }
    assert_eq!(statuses(&instance, "gw1"), ["valid", "valid"]);
}

#[test]
fn the_readme_lines_work_as_they_are_printed() {
    let instance = Instance::start();
    let home = instance.ok(&["peer", "add", "gw1", "--id", "fqdn:gw1.example.net"]);
    let line = home
        .lines()
        .find(|line| line.trim_start().starts_with("openssl cmp"))
        .unwrap_or_else(|| panic!("no openssl line in:\n{home}"));
    assert!(line.contains(&instance.address), "the line names the running server: {line}");
    let output = Command::new("sh")
        .args(["-ec", line])
        .current_dir(instance.file("."))
        .output()
        .expect("sh");
    // The line needs a key and a file with the secret, and says so in the lines around it; run what was printed, all of it.
    let is_command = |line: &&str| line.starts_with("openssl ") || line.starts_with("(umask ");
    let script: String = home.lines().filter(is_command).map(|line| format!("{line}\n")).collect();
    let all = Command::new("sh")
        .args(["-ec", &script])
        .current_dir(instance.file("."))
        .output()
        .expect("sh");
    assert!(
        output.status.success() || all.status.success(),
        "{script}\n{}",
        String::from_utf8_lossy(&all.stderr)
    );
    assert_eq!(statuses(&instance, "gw1").first().map(String::as_str), Some("valid"));
    assert!(fs::read_dir(instance.file(".")).expect("the folder").count() > 2);
}

#[test]
fn what_is_refused_is_read_with_nothing_but_the_secret() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    let by_secret = secret(&peer);
    let fixed = ["-cmd", "ir", "-newkey", "gw1.key", "-certout", "gw1.crt"];
    // Without a trust anchor, as a new gateway has none: no refusal can be verified but one under its secret.
    let path =
        ["cmp", "-server", &instance.address, "-path", ".well-known/cmp/", "-msg_timeout", "30"];
    let run = |shift: Option<&str>, extra: &[&str]| {
        let mut command = match shift {
            Some(shift) => common::at_another_time(shift, "openssl"),
            None => Command::new("openssl"),
        };
        let all = [&path[..], &arguments(&fixed, &by_secret), extra].concat();
        let output = command.args(all).current_dir(instance.file(".")).output();
        openssl::Run::from(output.expect("openssl"))
    };
    for shift in ["-1d", "+1d"] {
        run(Some(shift), &[]).refused(&["set the clock", "badTime"]);
    }
    run(None, &["-recipient", "/CN=Another CA"]).refused(&["Another CA", "wrongAuthority"]);
    run(None, &["-sans", "https://gw1.example.net/"])
        .refused(&["uniformResourceIdentifier", "badCertTemplate"]);
    assert_eq!(statuses(&instance, "gw1"), [""; 0]);
    run(None, &[]).granted();
}

#[test]
fn sha_512_and_a_csr_beside_a_certificate_are_taken() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net", "ip:192.0.2.1"]);
    let subject = ["-subj", "/CN=gw1.example.net"];
    for kind in ["p256", "p384", "p521"] {
        key(&instance, kind, "gw1.key");
        enrol(&instance, &peer, "gw1.key", &["-digest", "sha512"]).granted();
        let signer = ["-cert", "gw1.crt", "-key", "gw1.key", "-digest", "sha512"];
        let fixed = ["-cmd", "kur", "-newkey", "gw1.key", "-certout", "new.crt"];
        cmp(&instance, &[&fixed[..], &signer].concat()).granted();
        // The subjectAltName of the CSR, and that of the old certificate.
        let csr = ["req", "-new", "-key", "gw1.key", "-out", "gw1.csr", "-addext"];
        let names = ["subjectAltName=DNS:gw1.example.net"];
        let arguments = [&csr[..], &names, &subject].concat();
        tool_ok("openssl", "openssl", &arguments, &instance.file("."));
        for command in ["cr", "kur"] {
            let fixed = ["-cmd", command, "-csr", "gw1.csr", "-certout", "new.crt"];
            let request = [&fixed[..], &signer].concat();
            cmp(&instance, &[&request[..], &["-newkey", "gw1.key"]].concat()).granted();
            let names = openssl::text(&instance, "new.crt");
            assert!(names.contains("DNS:gw1.example.net"), "{names}");
        }
    }
    assert_eq!(statuses(&instance, "gw1"), ["valid"; 12]);
}
