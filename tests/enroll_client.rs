//! `countersign enroll`: a gateway enrols, renews, revokes and queries, against this server and OpenSSL's. It refuses every answer that an
//! attacker changed, and writes no part of it. After an interruption, the next run goes on with the same key.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;
mod enroll;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{COUNTERSIGN, Instance, tool_ok};
use enroll::{Gateway, eventually, pair, stranger};

/// The certificates of an account by status.
fn statuses(instance: &Instance, account: &str) -> Vec<String> {
    let list = instance.certificates(account);
    list.iter().map(|row| row["status"].as_str().expect("a status").to_owned()).collect()
}

/// The files that each daemon reads: the certificate, the CA certificates, the key.
const LAYOUTS: [(&str, &str, &str, &[&str], &str); 6] = [
    (
        "strongswan",
        "p256",
        "x509/gw1.pem",
        &["x509ca/gw1-ca1.pem", "x509ca/gw1-root1.pem"],
        "private/gw1.pem",
    ),
    ("iked", "p384", "certs/gw1.crt", &["ca/ca.crt"], "private/local.key"),
    ("plain", "ed25519", "gw1.crt", &["gw1.chain.crt", "root.crt"], "gw1.key"),
    (
        "isakmpd",
        "rsa3072",
        "certs/gw1.crt",
        &["ca/gw1-ca1.crt", "ca/gw1-root1.crt"],
        "private/local.key",
    ),
    (
        "racoon",
        "rsa3072",
        "certs/gw1.crt",
        &["certs/ca-gw1-ca1.crt", "certs/ca-gw1-root1.crt"],
        "certs/gw1.key",
    ),
    ("libreswan", "p256", "gw1.pem", &["ca/gw1-ca1.pem", "ca/gw1-root1.pem"], "gw1.p12"),
];

#[test]
fn every_daemon_gets_its_files_and_openssl_verifies_them() {
    let instance = Instance::start();
    for (daemon, kind, certificate, cas, key) in LAYOUTS {
        let account = format!("{daemon}-{kind}");
        let gateway = Gateway::new(&instance, &account, &["fqdn:gw1.example.net", "ip:192.0.2.1"]);
        let told = gateway.enrol(&["--for", daemon, "--key-kind", kind]).done();
        assert_eq!(told["status"], "enrolled", "{told}");
        assert_eq!(told["names"].as_array().map(Vec::len), Some(2), "{told}");
        let out = &gateway.out;
        // Whom the daemon trusts is the root alone; OpenSSL builds the rest of the path from its files.
        let mut verify = vec!["verify", "-CAfile"];
        let root = instance.root();
        verify.push(root.to_str().unwrap());
        for ca in cas {
            verify.extend(["-untrusted", ca]);
        }
        verify.push(certificate);
        tool_ok("openssl", "openssl", &verify, out);
        assert_eq!(fs::metadata(out.join(key)).unwrap().permissions().mode() & 0o777, 0o600);
        let text = match daemon {
            "libreswan" => {
                let pass = format!("file:{key}.password");
                tool_ok(
                    "openssl",
                    "openssl",
                    &["pkcs12", "-in", key, "-passin", &pass, "-nodes", "-out", "key.out"],
                    out,
                );
                "key.out"
            }
            _ => key,
        };
        assert!(pair(out, certificate, text), "{daemon}: key and certificate belong together");
        // What a power cut leaves is in one place, and no secret lies about.
        assert!(!out.join("enrolment/pending").exists());
        let settings = fs::read_to_string(out.join("enrolment.toml")).unwrap();
        assert!(!settings.contains(&gateway.secret), "{settings}");
        assert_eq!(statuses(&instance, &account), ["valid"]);
    }
    let gateway = Gateway::new(&instance, "wrong-key", &["fqdn:gw1.example.net"]);
    gateway.enrol(&["--for", "racoon", "--key-kind", "p256"]).fails(2, &["RSA", "racoon"]);
    assert!(!gateway.out.exists());
    instance.ok(&["audit", "verify"]);
}

#[test]
fn a_certificate_renews_itself_when_it_is_due_and_the_daemon_hears_of_it() {
    let instance = Instance::start();
    let gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    gateway.enrol(&["--for", "strongswan", "--then", "echo heard >> heard"]).done();
    let heard =
        || fs::read_to_string(gateway.out.join("heard")).unwrap_or_default().lines().count();
    assert_eq!(heard(), 1);
    let mut keys = vec![gateway.read("private/gw1.pem")];
    // Ninety days are before it.
    let told = gateway.renew(&[]).fails(6, &["not due"]);
    assert!(told.contains("renew_at"), "{told}");
    assert_eq!(heard(), 1);
    for _ in 0..4 {
        let told = gateway.renew(&["--renew-before", "200d"]).done();
        assert_eq!(told["status"], "renewed", "{told}");
        assert!(pair(&gateway.out, "x509/gw1.pem", "private/gw1.pem"));
        keys.push(gateway.read("private/gw1.pem"));
    }
    assert_eq!(heard(), 5);
    let before = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), before, "each certificate has a key of its own");
    // Three are kept, and rolling back is exchanging a link.
    let generations = fs::read_dir(gateway.out.join("enrolment/generations")).unwrap().count();
    assert_eq!(generations, 3);
    assert_eq!(statuses(&instance, "gw1").len(), 5);
    // A command that fails is a failure, and is tried again though nothing is due.
    gateway
        .renew(&["--now", "--then", "false"])
        .fails(1, &["certificate is in its place", "false"]);
    assert!(pair(&gateway.out, "x509/gw1.pem", "private/gw1.pem"));
    gateway.renew(&[]).fails(6, &[]);
    assert_eq!(heard(), 6);
    gateway.renew(&[]).fails(6, &[]);
    assert_eq!(heard(), 6);
    // What a renewal would not heed is an error, not silence.
    for (option, value) in
        [("--key-kind", "p384"), ("--id", "fqdn:gw2.example.net"), ("--keep", "5")]
    {
        gateway.renew(&["--now", option, value]).fails(2, &["--renew", option]);
    }
    gateway.renew(&["--replace"]).fails(2, &["--renew", "--replace"]);
    // A second first enrolment would lose what is there.
    gateway.enrol(&["--for", "strongswan"]).fails(3, &["--renew", "--replace"]);
    gateway.enrol(&["--for", "strongswan", "--replace"]).done();
}

#[test]
fn a_shared_secret_may_vouch_for_the_root_and_either_mac_does() {
    let instance = Instance::start();
    for mac in ["pbm", "pbmac1"] {
        let gateway = Gateway::new(&instance, mac, &["fqdn:gw1.example.net"]);
        gateway
            .enrol_without_trust(&["--trust-from-answer", "--mac", mac, "--implicit-confirm"])
            .done();
        let root = tool_ok(
            "openssl",
            "openssl",
            &["x509", "-in", "root.crt", "-noout", "-fingerprint"],
            &gateway.out,
        );
        let own = tool_ok(
            "openssl",
            "openssl",
            &["x509", "-in", instance.root().to_str().unwrap(), "-noout", "-fingerprint"],
            &gateway.out,
        );
        assert_eq!(root, own);
        assert_eq!(statuses(&instance, mac), ["valid"]);
        // From here on the answers are signed, and the root vouches for who signs.
        gateway.renew(&["--now"]).done();
    }
    let gateway = Gateway::new(&instance, "nobody", &["fqdn:gw1.example.net"]);
    gateway.enrol_without_trust(&[]).fails(2, &["--trust"]);
}

#[test]
fn what_was_revoked_renews_itself_no_more() {
    let instance = Instance::start();
    let gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    gateway.enrol(&[]).done();
    let certificate = gateway.read("gw1.crt");
    let told = gateway.run(&["--revoke", "--reason", "superseded"]).done();
    assert_eq!(told["status"], "revoked", "{told}");
    assert_eq!(statuses(&instance, "gw1"), ["revoked"]);
    gateway.renew(&["--now"]).fails(4, &["refused"]);
    assert_eq!(gateway.read("gw1.crt"), certificate);
    assert!(!gateway.out.join("enrolment/pending").exists(), "the CA said no");
    gateway.run(&["--revoke"]).fails(4, &["refused"]);
}

#[test]
fn a_gateway_asks_what_the_ca_tells_and_follows_its_root() {
    let mut instance = Instance::start();
    let gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    gateway.enrol(&[]).done();
    let told = gateway
        .run(&[
            "--info",
            "caCerts,currentCRL,certReqTemplate,signKeyPairTypes,rootCaUpdate",
            "--save",
            "told",
        ])
        .done();
    assert_eq!(told["caCerts"][0]["subject"], "CN=Countersign issuing CA", "{told}");
    assert_eq!(told["certReqTemplate"]["subject"], "CN=gw1.example.net", "{told}");
    assert!(told["signKeyPairTypes"].to_string().contains("P-256"), "{told}");
    assert_eq!(told["rootCaUpdate"].as_array().map(Vec::len), Some(0), "{told}");
    tool_ok(
        "openssl",
        "openssl",
        &["crl", "-in", "told/currentCRL.pem", "-noout", "-text"],
        &instance.file("."),
    );
    tool_ok(
        "openssl",
        "openssl",
        &["x509", "-in", "told/caCerts.pem", "-noout"],
        &instance.file("."),
    );
    gateway.run(&["--info", "nonsense"]).fails(2, &["caCerts", "nonsense"]);
    instance.stop();
    instance.ok(&["ca", "roll", "root"]);
    instance.serve();
    let told =
        gateway.run(&["--info", "rootCaUpdate", "--server", &gateway.server(&instance)]).done();
    assert_eq!(told["rootCaUpdate"][0]["vouched_for"], true, "{told}");
}

#[test]
fn without_a_server_nothing_is_lost_and_later_it_goes_on() {
    let mut instance = Instance::start();
    let gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    instance.stop();
    gateway.enrol(&[]).fails(5, &["refused"]);
    let key = gateway.read("enrolment/pending/key.pem");
    assert!(!gateway.out.join("gw1.crt").exists());
    instance.serve();
    let server = gateway.server(&instance);
    // The renewal knows what is on its way.
    gateway.renew(&["--server", &server]).done();
    assert_eq!(gateway.read("gw1.key"), key);
    instance.kill();
    gateway.renew(&["--now", "--server", &server]).fails(5, &[]);
    let key = gateway.read("enrolment/pending/key.pem");
    instance.serve();
    // It goes on, due or not.
    gateway.renew(&["--server", &gateway.server(&instance)]).done();
    assert_eq!(gateway.read("gw1.key"), key);
    assert_eq!(statuses(&instance, "gw1").len(), 2);
}

#[test]
fn a_root_that_did_not_sign_it_leaves_nothing_behind() {
    let instance = Instance::start();
    let gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    stranger(&instance.file("."), "other");
    let run = gateway.enrol_without_trust(&["--trust", "other.crt"]);
    run.fails(1, &["the certificate that came", "expected a path to a trust anchor"]);
    assert!(!gateway.out.exists(), "not even a folder");
    // The CA was told.
    assert_eq!(statuses(&instance, "gw1"), ["revoked"]);
    // Nor does a name that the CA does not grant, or a secret of somebody else.
    gateway
        .enrol(&["--id", "fqdn:gw2.example.net"])
        .fails(4, &["notAuthorized", "gw2.example.net"]);
    assert!(!gateway.out.exists());
    fs::write(instance.file("wrong"), "not the secret").unwrap();
    fs::set_permissions(instance.file("wrong"), fs::Permissions::from_mode(0o600)).unwrap();
    gateway.enrol(&["--secret-file", "wrong"]).fails(4, &["badMessageCheck"]);
    fs::set_permissions(instance.file("wrong"), fs::Permissions::from_mode(0o644)).unwrap();
    gateway.enrol(&["--secret-file", "wrong"]).fails(5, &["chmod 600"]);
    assert!(!gateway.out.exists());
}

#[test]
fn files_of_others_are_not_touched() {
    let instance = Instance::start();
    let gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    fs::create_dir_all(gateway.out.join("private")).unwrap();
    fs::write(gateway.out.join("private/gw1.pem"), "somebody's key").unwrap();
    gateway.enrol(&["--for", "strongswan"]).fails(3, &["private/gw1.pem", "no enrolment wrote it"]);
    assert_eq!(fs::read_to_string(gateway.out.join("private/gw1.pem")).unwrap(), "somebody's key");
    assert!(!gateway.out.join("enrolment").exists() && !gateway.out.join("x509").exists());
    assert!(statuses(&instance, "gw1").is_empty(), "nothing was asked for");
    gateway.enrol(&["--for", "strongswan", "--name", "gateway-one"]).done();
    assert!(pair(&gateway.out, "x509/gateway-one.pem", "private/gateway-one.pem"));
}

#[test]
fn a_run_that_is_killed_at_any_moment_leaves_a_key_with_its_certificate() {
    let instance = Instance::start();
    let gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    gateway.enrol(&["--for", "strongswan"]).done();
    for round in 0..16_u64 {
        let mut run = gateway
            .command(&["--renew", "--now"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(7 + 23 * round));
        let _ = run.kill();
        run.wait().unwrap();
        assert!(pair(&gateway.out, "x509/gw1.pem", "private/gw1.pem"), "round {round}");
    }
    // Whatever was on its way is finished by the next run.
    gateway.renew(&["--now"]).done();
    assert!(!gateway.out.join("enrolment/pending").exists());
    assert!(pair(&gateway.out, "x509/gw1.pem", "private/gw1.pem"));
    instance.ok(&["audit", "verify"]);
}

#[test]
fn a_certificate_of_another_kind_proves_a_gateway_the_first_time() {
    let instance = Instance::start();
    let first = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    first.enrol(&[]).done();
    // Here the certificate that the vendor would have put in is one of the same CA.
    let out = instance.file("second");
    let (certificate, key) = (first.out.join("gw1.crt"), first.out.join("gw1.key"));
    let run = Command::new(COUNTERSIGN)
        .args(["enroll", "--json", "--server", &first.server(&instance), "--trust"])
        .arg(instance.root())
        .arg("--certificate")
        .arg(&certificate)
        .arg("--certificate-key")
        .arg(&key)
        .arg("--extra-certs")
        .arg(first.out.join("gw1.chain.crt"))
        .args(["--id", "fqdn:gw1.example.net", "--key-kind", "p384", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(pair(&out, "gw1.crt", "gw1.key"));
    assert_eq!(statuses(&instance, "gw1").len(), 2);
    // Without the key that belongs to it, it proves nothing.
    fs::write(instance.file("other.key"), fs::read(out.join("gw1.key")).unwrap()).unwrap();
    fs::set_permissions(instance.file("other.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let run = Command::new(COUNTERSIGN)
        .args(["enroll", "--server", &first.server(&instance), "--trust"])
        .arg(instance.root())
        .arg("--certificate")
        .arg(&certificate)
        .arg("--certificate-key")
        .arg(instance.file("other.key"))
        .arg("--out")
        .arg(instance.file("third"))
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(2), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(!instance.file("third").exists());
}

#[test]
fn two_runs_do_not_work_on_one_folder() {
    let instance = Instance::start();
    let gateway = Gateway::new(&instance, "gw1", &["fqdn:gw1.example.net"]);
    gateway.enrol(&[]).done();
    let mut first = gateway
        .command(&["--renew", "--now", "--then", "touch began; exec sleep 600"])
        .spawn()
        .unwrap();
    eventually("the command", || gateway.out.join("began").exists());
    gateway.renew(&["--now"]).fails(5, &["another run"]);
    // A sleeping child may hold the lock as well.
    let _ = Command::new("pkill").args(["-P", &first.id().to_string()]).status();
    let _ = first.kill();
    first.wait().unwrap();
    assert!(pair(Path::new(&gateway.out), "gw1.crt", "gw1.key"));
}
