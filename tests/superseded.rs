//! `supersede = "revoke-after …"`: a certificate that a renewal replaced is revoked some time later, also across a stop, and nothing else is.
//! OpenSSL renews, and reads the CRL and the OCSP answers.
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

use common::gateway::eventually;
use common::openssl::{cmp, cmp_by, enrol, key};
use common::{COUNTERSIGN, Instance, at_another_time, tool_ok};
use serde_json::Value;

const PROFILES: &str = "[profiles.gateway]\nsupersede = \"revoke-after 7d\"\n[profiles.plain]\n";

/// The statuses of an account's certificates, oldest first.
fn statuses(instance: &Instance, account: &str) -> Vec<String> {
    let all = instance.certificates(account);
    all.iter().map(|one| one["status"].as_str().unwrap().to_owned()).collect()
}

fn serials(instance: &Instance, account: &str) -> Vec<String> {
    let all = instance.certificates(account);
    all.iter().map(|one| one["serial"].as_str().unwrap().to_owned()).collect()
}

fn show(instance: &Instance, serial: &str) -> Value {
    instance.json(&["cert", "show", serial])
}

/// Enrols an account by OpenSSL: `NAME.crt` and `NAME.key`.
fn enrolled(instance: &Instance, name: &str, flags: &[&str]) {
    let flags = [&["--uses", "9"][..], flags].concat();
    let peer = instance.peer_with(name, &[&format!("fqdn:{name}.example.net")], &flags);
    key(instance, "p256", &format!("{name}.key"));
    enrol(instance, &peer, &format!("{name}.key"), &[]).granted();
}

/// Renews `OLD.crt` by a kur of OpenSSL: `NEW.crt` and `NEW.key`.
fn renew(instance: &Instance, command: Command, old: &str, new: &str, more: &[&str]) {
    key(instance, "p256", &format!("{new}.key"));
    let [certificate, own, next, out] =
        [format!("{old}.crt"), format!("{old}.key"), format!("{new}.key"), format!("{new}.crt")];
    let kur =
        ["-cmd", "kur", "-cert", &certificate, "-key", &own, "-newkey", &next, "-certout", &out];
    cmp_by(command, instance, &[&kur[..], more].concat()).granted();
}

/// The CRL of the issuing CA as OpenSSL reads it, verified with its certificate.
fn crl(instance: &Instance) -> String {
    let crl = instance.http("GET", "/crl/issuing.crl", "", &[]).expect("a CRL");
    fs::write(instance.file("issuing.crl"), crl.body).unwrap();
    let read = ["crl", "-inform", "DER", "-in", "issuing.crl", "-noout", "-text"];
    let verify = ["-CAfile", "data/keys/issuing.crt"];
    tool_ok("openssl", "openssl", &[&read[..], &verify].concat(), &instance.file("."))
}

/// What OCSP says of a certificate, by OpenSSL, at another time.
fn ocsp(instance: &Instance, shift: &str, certificate: &str) -> String {
    let url = format!("http://{}/ocsp", instance.address);
    let output = at_another_time(shift, "openssl")
        .args(["ocsp", "-CAfile", "data/keys/issuing.crt", "-partial_chain", "-url", &url])
        .args(["-issuer", "data/keys/issuing.crt", "-cert", certificate])
        .current_dir(instance.file("."))
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A command of ours, 30 days later.
fn later(instance: &Instance, arguments: &[&str]) {
    let mut command = at_another_time("+30d", COUNTERSIGN);
    let output = command.args(arguments).arg("--data").arg(instance.data()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn openssl() -> Command {
    Command::new("openssl")
}

#[test]
fn a_renewal_retires_what_it_replaced_also_when_nobody_ran_and_nothing_else() {
    let mut instance = Instance::start_with_profile(&[], PROFILES);
    for name in ["gw1", "gw2", "gw3", "gw4", "gw5"] {
        enrolled(&instance, name, &[]);
    }
    enrolled(&instance, "plain", &["--profile", "plain"]);
    // gw1 is renewed, and has a certificate of another device beside it, which no renewal named.
    let peer = instance.json(&["peer", "reset-secret", "gw1", "--uses", "9"]);
    key(&instance, "p256", "beside.key");
    let secret = format!("pass:{}", peer["secret"].as_str().unwrap());
    let ir = ["-cmd", "ir", "-newkey", "beside.key", "-certout", "beside.crt", "-secret", &secret];
    cmp(&instance, &[&ir[..], &["-ref", peer["reference"].as_str().unwrap()]].concat()).granted();
    renew(&instance, openssl(), "gw1", "gw1-next", &[]);
    // gw2's new one is revoked, gw3 never confirms, gw4 is renewed twice in a row, gw5 is on hold; and `plain` keeps its old ones.
    renew(&instance, openssl(), "gw2", "gw2-next", &[]);
    instance.ok(&["cert", "revoke", &serials(&instance, "gw2")[1], "--reason", "keyCompromise"]);
    renew(&instance, openssl(), "gw3", "gw3-next", &["-disable_confirm"]);
    renew(&instance, openssl(), "gw4", "gw4-next", &[]);
    renew(&instance, openssl(), "gw4-next", "gw4-last", &[]);
    renew(&instance, openssl(), "gw5", "gw5-next", &[]);
    instance.ok(&["cert", "revoke", &serials(&instance, "gw5")[1], "--reason", "certificateHold"]);
    renew(&instance, openssl(), "plain", "plain-next", &[]);
    // `cert show` tells when, and by which.
    let gw1 = serials(&instance, "gw1");
    let shown = show(&instance, &gw1[0]);
    assert_eq!(shown["replaced_by"].as_str(), Some(&*gw1[2]), "{shown}");
    let due = shown["to_be_revoked"].as_str().unwrap().to_owned();
    let program = "import sys, datetime as d; t = lambda s: d.datetime.fromisoformat(s.replace('Z', '+00:00')); \
                   print((t(sys.argv[2]) - t(sys.argv[1])).total_seconds())";
    let issued = show(&instance, &gw1[2])["issued"].as_str().unwrap().to_owned();
    let apart: f64 =
        tool_ok("python3", "python3", &["-c", program, &issued, &due], &instance.file("."))
            .trim()
            .parse()
            .unwrap();
    assert!((604_800.0..604_860.0).contains(&apart), "{apart}");
    for serial in [&gw1[1], &gw1[2], &serials(&instance, "gw2")[0], &serials(&instance, "plain")[0]]
    {
        assert!(show(&instance, serial)["to_be_revoked"].is_null(), "{serial}");
    }
    instance.stop();

    // A day before it is due, nothing is revoked but what was never confirmed.
    instance.serve_with(at_another_time("+6d", COUNTERSIGN));
    eventually("what was never confirmed is revoked", || {
        statuses(&instance, "gw3") == ["valid", "revoked"]
    });
    assert_eq!(statuses(&instance, "gw1"), ["valid", "valid", "valid"]);
    assert!(ocsp(&instance, "+6d", "gw1.crt").contains("gw1.crt: good"));
    // With another setting, nothing is revoked; with it back, what was due is.
    instance.stop();
    let path = instance.data().join("countersign.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"revoke-after 7d\"", "\"keep\"")).unwrap();
    instance.serve_with(at_another_time("+30d", COUNTERSIGN));
    eventually("the CRL is of that day", || crl(&instance).contains("Next Update"));
    later(&instance, &["crl", "publish"]);
    assert_eq!(statuses(&instance, "gw1"), ["valid", "valid", "valid"]);
    assert!(show(&instance, &gw1[0])["to_be_revoked"].is_null());
    instance.stop();
    fs::write(&path, &text).unwrap();
    instance.serve_with(at_another_time("+30d", COUNTERSIGN));
    eventually("the replaced ones are revoked", || {
        statuses(&instance, "gw1") == ["revoked", "valid", "valid"]
            && statuses(&instance, "gw4") == ["revoked", "revoked", "valid"]
    });
    for (account, expected) in [
        ("gw2", &["valid", "revoked"][..]),
        ("gw3", &["valid", "revoked"]),
        ("gw5", &["valid", "held"]),
        ("plain", &["valid", "valid"]),
    ] {
        assert_eq!(statuses(&instance, account), expected, "{account}");
    }
    assert_eq!(show(&instance, &gw1[0])["reason"], "superseded");
    assert!(show(&instance, &gw1[0])["to_be_revoked"].is_null());
    // OpenSSL reads it on the CRL and by OCSP.
    let revoked = gw1[0].to_uppercase();
    eventually("it is on the CRL", || {
        let text = crl(&instance);
        text.split("Serial Number: ")
            .any(|part| part.starts_with(&revoked) && part.contains("Superseded"))
    });
    let said = ocsp(&instance, "+30d", "gw1.crt");
    assert!(said.contains("gw1.crt: revoked") && said.contains("Reason: superseded"), "{said}");
    assert!(ocsp(&instance, "+30d", "gw1-next.crt").contains("gw1-next.crt: good"));
    // Once the new one is released from hold, the old one goes, too.
    later(&instance, &["cert", "release", &serials(&instance, "gw5")[1]]);
    eventually("the old one of gw5 is revoked", || {
        statuses(&instance, "gw5") == ["revoked", "valid"]
    });
    let report = instance.json(&["audit", "report", "--account", "gw1"]);
    let is_it = |line: &Value| {
        line["action"] == "certificate revoked"
            && line["actor"] == "instance"
            && line["detail"].to_string().contains("superseded")
    };
    assert!(report.as_array().unwrap().iter().any(is_it), "{report}");
    instance.ok(&["audit", "verify"]);
}

#[test]
fn only_a_renewal_with_the_same_profile_retires() {
    let mut instance = Instance::start_with_profile(&[], PROFILES);
    enrolled(&instance, "gw1", &["--profile", "plain"]);
    // The account is given the profile that retires, and its old certificate is of the other one.
    instance.ok(&["peer", "edit", "gw1", "--profile", "gateway"]);
    renew(&instance, openssl(), "gw1", "next", &[]);
    renew(&instance, openssl(), "next", "last", &[]);
    let serials = serials(&instance, "gw1");
    assert!(show(&instance, &serials[0])["to_be_revoked"].is_null());
    assert!(!show(&instance, &serials[1])["to_be_revoked"].is_null());
    instance.kill();
    instance.serve_with(at_another_time("+8d", COUNTERSIGN));
    eventually("the second one is revoked", || {
        statuses(&instance, "gw1") == ["valid", "revoked", "valid"]
    });
}
