//! Backup and restore, and a clock that is wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::openssl::{enrol, key};
use common::{
    COUNTERSIGN, Instance, Peer, SERVE, at_another_time, eventually, fails, output_of, text,
};
use countersign_ca::founding::{CaOptions, Foundation};
use countersign_ca::name::distinguished_name;
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore};
use countersign_ca::{KeyAlgorithm, KeyFolder, Passphrase, SystemClock, SystemEntropy};

#[test]
fn a_backup_of_a_live_instance_is_restored() {
    let mut instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    // A head over entries that are in the backup.
    let export = ["audit", "export", "--head"];
    eventually("a signed head", || instance.run(&export).status.success());
    fs::write(instance.file("head.json"), instance.ok(&export)).unwrap();
    let backup = instance.file("backup");
    let to = backup.to_str().unwrap();
    instance.ok(&["backup", to]);
    fails(&instance.run(&["backup", to]), 3, &["exists already"]);
    let before = instance.certificates("gw1");
    fails(&instance.run(&["restore", to]), 3, &["already"]);
    assert!(!backup.join("passphrase").exists(), "the passphrase is kept apart");
    instance.stop();
    fs::rename(instance.data(), instance.file("lost")).unwrap();
    let said = instance.ok(&["restore", to]);
    assert!(said.contains("cert import"), "{said}");
    fs::copy(instance.file("lost/passphrase"), instance.data().join("passphrase")).unwrap();
    instance.ok(&["audit", "verify"]);
    instance.serve();
    assert_eq!(instance.certificates("gw1"), before);
    // A secret may have been used up since.
    enrol(&instance, &peer, "gw1.key", &[]).refused(&[]);
    let again = instance.json(&["peer", "reset-secret", "gw1"]);
    let field = |name: &str| again[name].as_str().unwrap().to_owned();
    let peer = Peer { reference: field("reference"), secret: field("secret"), ..peer };
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    instance.stop();
    // A head that was kept elsewhere betrays a journal that was cut off together with its own heads.
    instance.ok(&["audit", "verify", "--head", instance.file("head.json").to_str().unwrap()]);
}

#[test]
fn what_was_issued_and_revoked_since_the_backup_comes_back() {
    let mut instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    let backup = instance.file("backup");
    let to = backup.to_str().unwrap();
    instance.ok(&["backup", to]);
    // Lost: a certificate that is renewed later, and one that is revoked.
    enrol(&instance, &peer, "gw1.key", &["-certout", "lost.crt"]).granted();
    let old = instance.certificates("gw1")[0]["serial"].as_str().unwrap().to_owned();
    let lost = instance.certificates("gw1")[1]["serial"].as_str().unwrap().to_owned();
    instance.ok(&["cert", "revoke", &old, "--reason", "keyCompromise"]);
    let crl = instance.http("GET", "/crl/issuing.crl", "", &[]).unwrap();
    let pem = |label: &str, der: &[u8]| {
        let body = data_encoding::BASE64.encode(der);
        let lines: Vec<&str> =
            (0..body.len()).step_by(64).map(|at| &body[at..body.len().min(at + 64)]).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    };
    let lost_number = instance.json(&["crl", "show"])[0]["number"].as_u64().unwrap();
    instance.stop();
    fs::rename(instance.data(), instance.file("lost")).unwrap();
    instance.ok(&["restore", to, "--keep-uses"]);
    fs::copy(instance.file("lost/passphrase"), instance.data().join("passphrase")).unwrap();
    // A file for people, with a foreign certificate in it, too.
    let own = fs::read_to_string(instance.file("lost.crt")).unwrap();
    let foreign = rcgen::generate_simple_self_signed(["gw1.example.net".to_owned()]).unwrap();
    let all = instance.file("all.pem");
    fs::write(
        &all,
        format!(
            "what is left\n{}{own}\r\n{}",
            pem("X509 CRL", &crl.body),
            pem("CERTIFICATE", foreign.cert.der())
        ),
    )
    .unwrap();
    let all = all.to_str().unwrap();
    fails(
        &instance.run(&["cert", "import", all]),
        1,
        &["recorded", "1 revoked", "expected what a CA of this instance signed", "1 of 3"],
    );
    fails(&instance.run(&["cert", "import", "server.log"]), 5, &["server.log"]);
    instance.serve();
    let records = instance.certificates("gw1");
    let status = |serial: &str| {
        let record = records.iter().find(|record| record["serial"] == serial).unwrap();
        record["status"].as_str().unwrap().to_owned()
    };
    assert_eq!((status(&old), status(&lost)), ("revoked".into(), "valid".into()));
    for crl in instance.json(&["crl", "show"]).as_array().unwrap() {
        if crl["ca"] == "issuing" {
            assert!(crl["number"].as_u64().unwrap() > lost_number, "{crl} {lost_number}");
            assert_eq!(crl["entries"], 1, "{crl}");
        }
    }
    // It is revoked as any other is, and the history says how it came.
    instance.ok(&["cert", "revoke", &lost]);
    instance.stop();
    instance.ok(&["audit", "verify"]);
    let history = instance.ok(&["audit", "export"]);
    assert!(history.contains("\"restored\"") && history.contains("cert import"), "{history}");
}

#[test]
fn what_was_unconfirmed_in_the_backup_renews_after_the_restore() {
    let mut instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    // It has the certificate, and says so after the backup was made; then the instance is lost.
    enrol(&instance, &peer, "gw1.key", &["-disable_confirm"]).granted();
    assert_eq!(instance.certificates("gw1")[0]["status"], "unconfirmed");
    let renew = |instance: &Instance| {
        let kur = ["-cmd", "kur", "-cert", "gw1.crt", "-key", "gw1.key", "-newkey", "gw1.key"];
        common::openssl::cmp(instance, &[&kur[..], &["-certout", "new.crt"]].concat())
    };
    renew(&instance).refused(&["awaits its confirmation"]);
    let backup = instance.file("backup");
    instance.ok(&["backup", backup.to_str().unwrap()]);
    instance.stop();
    fs::rename(instance.data(), instance.file("lost")).unwrap();
    instance.ok(&["restore", backup.to_str().unwrap()]);
    fs::copy(instance.file("lost/passphrase"), instance.data().join("passphrase")).unwrap();
    instance.serve();
    // An administrator sees it still.
    assert_eq!(instance.certificates("gw1")[0]["status"], "unconfirmed");
    renew(&instance).granted();
    assert_eq!(instance.certificates("gw1")[1]["status"], "valid");
}

#[test]
fn a_ca_that_is_added_while_a_backup_begins_is_in_it_with_its_key() {
    let instance = Instance::init(&[]);
    let data = instance.data();
    let store = EmbeddedStore::open(&data, EmbeddedOptions::default(), &mut |_| {}).unwrap();
    let backup = instance.file("backup");
    let mut command = Command::new(COUNTERSIGN);
    command.arg("backup").arg(&backup).arg("--data").arg(&data);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // It has copied the keys, and waits for the store.
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("waiting for it"), "{line}");
    let passphrase = fs::read_to_string(data.join("passphrase")).unwrap();
    let foundation = Foundation {
        store: Arc::new(store),
        keys: KeyFolder::new(data.join("keys")),
        passphrase: Passphrase::new(&passphrase).unwrap(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
    };
    let options = CaOptions {
        subject: distinguished_name("CN=Second CA").unwrap(),
        validity: Duration::from_secs(365 * 86_400),
        path_length: Some(0),
        permitted: Vec::new(),
        excluded: Vec::new(),
        policies: Vec::new(),
        crl_urls: Vec::new(),
        ocsp_urls: Vec::new(),
        ca_issuers_urls: Vec::new(),
    };
    let name = "second".parse().unwrap();
    foundation.create_issuing(&name, &options, KeyAlgorithm::P256).unwrap();
    drop(foundation);
    assert!(child.wait().unwrap().success());
    fs::rename(&data, instance.file("lost")).unwrap();
    instance.ok(&["restore", backup.to_str().unwrap()]);
    fs::copy(instance.file("lost/passphrase"), data.join("passphrase")).unwrap();
    let cas = instance.json(&["ca", "show"]);
    let second = cas.as_array().unwrap().iter().find(|ca| ca["name"] == "second").unwrap();
    assert_eq!(second["key_here"], true, "{cas}");
    instance.ok(&["crl", "publish", "--ca", "second"]);
}

#[test]
fn a_backup_of_a_time_to_come_is_restored_when_the_clock_is_accepted() {
    let mut instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    instance.stop();
    let (backup, lost) = (instance.file("backup"), instance.file("lost"));
    let to = backup.to_str().unwrap();
    for arguments in [&["store", "accept-clock"][..], &["crl", "publish"], &["backup", to]] {
        let mut ahead = at_another_time("+1000d", COUNTERSIGN);
        let done = ahead.args(arguments).arg("--data").arg(instance.data()).output().unwrap();
        assert!(done.status.success(), "{}", text(&done));
    }
    fs::rename(instance.data(), &lost).unwrap();
    let words = ["before the last entry of the backup", "--accept-clock"];
    fails(&instance.run(&["restore", to]), 5, &words);
    let done = instance.json(&["restore", to, "--accept-clock", "--keep-uses"]);
    let clock = done["clock"].as_str().unwrap();
    assert!(clock.starts_with("accepted: "), "{clock}");
    fs::copy(lost.join("passphrase"), instance.data().join("passphrase")).unwrap();
    let verified = instance.json(&["audit", "verify"]);
    assert_eq!(verified["good"], true, "{verified}");
    assert!(verified["notes"].to_string().contains("accepted the clock"), "{verified}");
    instance.serve();
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
}

#[test]
fn a_clock_that_is_years_ahead_is_not_believed_and_there_is_a_way_back() {
    let mut instance = Instance::start();
    let lost = instance.peer("gw0", &["fqdn:gw0.example.net"]);
    key(&instance, "p256", "gw0.key");
    enrol(&instance, &lost, "gw0.key", &[]).granted();
    instance.stop();
    let serial = instance.certificates("gw0")[0]["serial"].as_str().unwrap().to_owned();
    let ahead = |arguments: &[&str]| {
        let mut command = at_another_time("+1000d", COUNTERSIGN);
        output_of(command.args(arguments).arg("--data").arg(instance.data()))
    };
    let before = instance.ok(&["store", "status"]);
    for refused in [&SERVE[..], &["crl", "publish"]] {
        fails(&ahead(refused), 5, &["after the last entry", "accept-clock"]);
    }
    assert_eq!(instance.ok(&["store", "status"]), before, "nothing was recorded");
    // Somebody insists; after that nothing is signed with the right clock, until it is accepted again.
    assert!(ahead(&["store", "accept-clock"]).status.success());
    assert!(ahead(&["crl", "publish"]).status.success());
    assert!(ahead(&["cert", "revoke", &serial]).status.success());
    let ahead_by = instance.json(&["crl", "show"])[0]["this_update"].as_str().unwrap().to_owned();
    fails(&instance.run(&["crl", "publish"]), 5, &["went backwards", "accept-clock"]);
    instance.ok(&["store", "accept-clock"]);
    instance.serve();
    assert_eq!(instance.http("GET", "/readyz", "", &[]).unwrap().status, 200);
    // CRLs that no peer would take for years are signed anew.
    for crl in instance.json(&["crl", "show"]).as_array().unwrap() {
        assert!(crl["this_update"].as_str().unwrap() < ahead_by.as_str(), "{crl} {ahead_by}");
        // What was revoked in a time to come is on the list, and does not keep it from being signed.
        assert_eq!(crl["entries"], u64::from(crl["ca"] == "issuing"), "{crl}");
    }
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    instance.stop();
    instance.ok(&["store", "rebuild"]);
    let verified = instance.json(&["audit", "verify"]);
    assert_eq!(verified["good"], true, "{verified}");
    assert!(verified["notes"].to_string().contains("accepted the clock"), "{verified}");
}
