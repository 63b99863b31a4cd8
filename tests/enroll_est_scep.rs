//! `countersign enroll --protocol est|scep`: a gateway enrols, renews, waits and goes on over each protocol, against this server and against
//! servers that we did not write. It refuses what an attacker changed, and says what a server refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;
mod enroll_strangers;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use common::gateway::{Gateway, pair, stranger};
use common::{Instance, openssl, tool_ok};

const PROTOCOLS: [&str; 3] = ["cmp", "est", "scep"];
const LISTEN: (&str, &str) = ("est", "listen = \"127.0.0.1:0\"");
const ENABLED: (&str, &str) = ("scep", "enabled = true");
const NAME: &str = "fqdn:gw1.example.net";

/// An instance that serves all three protocols.
fn site() -> Instance {
    site_with(&[], "")
}

fn site_with(lines: &[(&str, &str)], profile: &str) -> Instance {
    let lines = [&[LISTEN, ENABLED], lines].concat();
    Instance::start_with_profile(&lines, profile)
}

fn statuses(instance: &Instance, account: &str) -> Vec<String> {
    let list = instance.certificates(account);
    list.iter().map(|row| row["status"].as_str().expect("a status").to_owned()).collect()
}

/// The lines of a certificate that are not its serial number, its times, octets of a signature or of a key.
fn fields(instance: &Instance, name: &str) -> Vec<String> {
    let text = openssl::text(instance, name);
    let differs = |line: &&str| {
        let own = ["Not Before", "Not After"].iter().any(|word| line.contains(word));
        let octets = line.trim().bytes().all(|octet| octet == b':' || octet.is_ascii_hexdigit());
        !own && !octets
    };
    text.lines().filter(differs).map(str::to_owned).collect()
}

/// The one request that waits for an administrator.
fn waiting(instance: &Instance) -> String {
    let list = instance.json(&["request", "list"]);
    let all = list.as_array().expect("an array");
    let mut waiting = all.iter().filter(|one| one["status"] == "waiting");
    let id = waiting.next().expect("a request")["id"].as_str().expect("an identifier").to_owned();
    assert!(waiting.next().is_none(), "{list}");
    id
}

#[test]
fn the_same_names_and_key_have_the_same_certificate_over_each_protocol_and_renew_alike() {
    let instance = site();
    let key = openssl::key(&instance, "rsa3072", "own.key").to_str().unwrap().to_owned();
    let mut seen = Vec::new();
    for protocol in PROTOCOLS {
        let gateway = Gateway::over(protocol, &instance, protocol, &[NAME, "ip:192.0.2.1"]);
        let more = ["--key", &key, "--key-kind", "rsa3072", "--then", "echo heard >> heard"];
        let told = gateway.enrol(&more).done();
        assert_eq!(told["status"], "enrolled", "{protocol}: {told}");
        assert_eq!(told["names"].as_array().map(Vec::len), Some(2), "{protocol}: {told}");
        assert_eq!(told["changes"].as_array().map(Vec::len), Some(0), "{protocol}: {told}");
        assert!(pair(&gateway.out, "gw1.crt", "gw1.key"));
        let verify = ["verify", "-CAfile", "root.crt", "-untrusted", "gw1.chain.crt", "gw1.crt"];
        tool_ok("openssl", "openssl", &verify, &gateway.out);
        seen.push(fields(&instance, &format!("{protocol}/gw1.crt")));
        let settings = gateway.read("enrolment.toml");
        assert!(!settings.contains(&gateway.secret), "{settings}");
        assert!(!gateway.out.join("enrolment/pending").exists());
        // The renewal finds everything in the folder.
        fs::remove_file(instance.file(&format!("{protocol}.secret"))).unwrap();
        gateway.renew(&[]).fails(6, &["not due"]);
        let first = gateway.read("gw1.key");
        let told = gateway.renew(&["--renew-before", "200d"]).done();
        assert_eq!(told["status"], "renewed", "{protocol}: {told}");
        assert!(pair(&gateway.out, "gw1.crt", "gw1.key"));
        assert_ne!(gateway.read("gw1.key"), first, "each certificate has a key of its own");
        let text = openssl::text(&instance, &format!("{protocol}/gw1.crt"));
        assert!(text.contains("DNS:gw1.example.net, IP Address:192.0.2.1"), "{protocol}: {text}");
        assert_eq!(gateway.read("heard").lines().count(), 2);
        assert_eq!(statuses(&instance, protocol), ["valid", "valid"]);
    }
    assert_eq!(seen[0], seen[1], "EST");
    assert_eq!(seen[0], seen[2], "SCEP");
    instance.ok(&["audit", "verify"]);
}

#[test]
fn each_kind_of_key_enrols_over_est() {
    let instance = site();
    for kind in ["p256", "p384", "ed25519", "rsa3072"] {
        let gateway = Gateway::over("est", &instance, kind, &[NAME]);
        gateway.enrol(&["--key-kind", kind, "--for", "strongswan", "--name", "gw1"]).done();
        // The certificate authenticates the TLS connection of its renewal.
        gateway.renew(&["--now"]).done();
        assert!(pair(&gateway.out, "x509/gw1.pem", "private/gw1.pem"));
        assert_eq!(statuses(&instance, kind), ["valid", "valid"]);
    }
}

#[test]
fn a_request_that_waits_goes_on_with_the_same_key_and_makes_one_certificate() {
    let approval = "[profiles.gateway]\napproval = true\n";
    let mut instance = site_with(&[("cmp", "poll_after = \"7s\"")], approval);
    for protocol in ["est", "scep"] {
        let gateway = Gateway::over(protocol, &instance, protocol, &[NAME]);
        gateway.enrol(&["--patience", "0s"]).fails(7, &["has not decided"]);
        assert!(gateway.is_untouched());
        let key = gateway.read("enrolment/pending/key.pem");
        let pending = gateway.read("enrolment/pending/transaction.toml");
        assert!(pending.contains("state = \"undecided\""), "{pending}");
        assert!(!pending.contains(&gateway.secret), "{pending}");
        // The next runs ask for the same, also if the server was away.
        instance.kill();
        gateway.renew(&["--patience", "0s"]).fails(5, &[]);
        instance.serve();
        let server = gateway.server(&instance);
        gateway.renew(&["--patience", "0s", "--server", &server]).fails(7, &["has not decided"]);
        let id = waiting(&instance);
        instance.ok(&["request", "approve", &id]);
        let server = gateway.server(&instance);
        let told = gateway.renew(&["--server", &server]).done();
        assert_eq!(told["status"], "enrolled", "{told}");
        assert_eq!(gateway.read("gw1.key"), key);
        assert_eq!(statuses(&instance, protocol), ["valid"]);
        // So does a renewal. What the administrator rejects is given up.
        let run = gateway.renew(&["--now", "--patience", "0s", "--server", &server]);
        run.fails(7, &["has not decided"]);
        let next = gateway.read("enrolment/pending/key.pem");
        let id = waiting(&instance);
        instance.ok(&["request", "reject", &id, "--reason", "call first"]);
        gateway.renew(&["--server", &server]).fails(4, &["call first"]);
        assert!(!gateway.out.join("enrolment/pending").exists());
        assert_eq!(gateway.read("gw1.key"), key);
        let run = gateway.renew(&["--now", "--patience", "0s", "--server", &server]);
        run.fails(7, &["has not decided"]);
        assert_ne!(gateway.read("enrolment/pending/key.pem"), next);
        let id = waiting(&instance);
        instance.ok(&["request", "approve", &id]);
        let told = gateway.renew(&["--server", &server]).done();
        assert_eq!(told["status"], "renewed", "{told}");
        assert_eq!(statuses(&instance, protocol), ["valid", "valid"]);
    }
    instance.ok(&["audit", "verify"]);
}

#[test]
fn a_refusal_is_shown_in_the_words_of_the_server_and_leaves_nothing_behind() {
    let instance = site();
    for (protocol, wrong, names) in [
        ("est", ["401 Unauthorized", "Basic"], ["403 Forbidden", "gw2.example.net"]),
        ("scep", ["badMessageCheck", "server refused"], ["badRequest", "gw2.example.net"]),
    ] {
        let gateway = Gateway::over(protocol, &instance, protocol, &[NAME]);
        common::gateway::private(&instance.file("wrong"), "not the secret");
        gateway.enrol(&["--secret-file", "wrong"]).fails(4, &wrong);
        assert!(!gateway.out.exists(), "not even a folder");
        gateway.enrol(&["--id", "fqdn:gw2.example.net"]).fails(4, &names);
        assert!(!gateway.out.exists());
        // What was revoked renews itself no more.
        gateway.enrol(&[]).done();
        let certificate = gateway.read("gw1.crt");
        let serial = instance.certificates(protocol)[0]["serial"].as_str().unwrap().to_owned();
        instance.ok(&["cert", "revoke", &serial]);
        gateway.renew(&["--now"]).fails(4, &["revoked"]);
        assert_eq!(gateway.read("gw1.crt"), certificate);
        assert!(!gateway.out.join("enrolment/pending").exists(), "the CA said no");
        // Only CMP has these.
        gateway.run(&["--revoke"]).fails(2, &["over CMP", "--revoke"]);
        gateway.run(&["--info", "caCerts"]).fails(2, &["over CMP", "--info"]);
    }
}

#[test]
fn a_server_under_another_root_gets_no_request_and_no_secret() {
    let instance = site();
    stranger(&instance.file("."), "other");
    for protocol in ["est", "scep"] {
        let gateway = Gateway::over(protocol, &instance, protocol, &[NAME]);
        let word = if protocol == "est" { "TLS certificate" } else { "is trusted" };
        gateway.enrol_without_trust(&["--trust", "other.crt"]).fails(1, &[word]);
        assert!(gateway.is_untouched());
        assert!(statuses(&instance, protocol).is_empty(), "nothing was asked for");
        gateway.enrol_without_trust(&[]).fails(2, &["expected whom to trust"]);
    }
    let log = instance.log();
    assert!(!log.contains("PKCSReq") && !log.contains("simpleenroll"), "{log}");
    // The TLS is good, and the certificate is by nobody whom the gateways trust: it is given up.
    let gateway = Gateway::over("est", &instance, "gw1", &[NAME]);
    let root = instance.root().to_str().unwrap().to_owned();
    let run = gateway.enrol_without_trust(&["--trust", "other.crt", "--tls-trust", &root]);
    run.fails(1, &["the certificate that came", "expected a path to a trust anchor"]);
    assert!(!gateway.out.exists());
}

#[test]
fn tls_that_is_verified_may_vouch_for_the_root_and_so_may_a_fingerprint() {
    let instance = site();
    let root = instance.root().to_str().unwrap().to_owned();
    let fingerprint = |file: &str| {
        let all = ["x509", "-in", file, "-noout", "-fingerprint", "-sha256"];
        let text = tool_ok("openssl", "openssl", &all, &instance.file("."));
        text.trim().rsplit('=').next().unwrap().to_owned()
    };
    let est = Gateway::over("est", &instance, "est", &[NAME]);
    est.enrol_without_trust(&["--trust-from-answer"]).fails(2, &["--tls-trust"]);
    est.enrol_without_trust(&["--trust-from-answer", "--tls-trust", &root]).done();
    assert_eq!(fingerprint("est/root.crt"), fingerprint(&root));
    est.renew(&["--now"]).done();
    let scep = Gateway::over("scep", &instance, "scep", &[NAME]);
    scep.enrol_without_trust(&["--trust-from-answer"]).fails(2, &["--ca-fingerprint"]);
    let own = fingerprint(&root);
    let other = own.replacen(|c| c != '0', "0", 1);
    let run = scep.enrol_without_trust(&["--ca-fingerprint", &other]);
    run.fails(1, &["--ca-fingerprint"]);
    assert!(statuses(&instance, "scep").is_empty());
    scep.enrol_without_trust(&["--ca-fingerprint", &own]).done();
    assert_eq!(fingerprint("scep/root.crt"), own);
    scep.renew(&["--now"]).done();
    let sha1 = "ab".repeat(20);
    scep.enrol_without_trust(&["--replace", "--ca-fingerprint", &sha1]).fails(2, &["SHA-1"]);
}

#[test]
fn without_a_server_nothing_is_lost_and_later_it_goes_on() {
    let mut instance = site();
    for protocol in ["est", "scep"] {
        let gateway = Gateway::over(protocol, &instance, protocol, &[NAME]);
        instance.stop();
        gateway.enrol(&[]).fails(5, &["refused"]);
        let key = gateway.read("enrolment/pending/key.pem");
        assert!(!gateway.out.join("gw1.crt").exists());
        instance.serve();
        let server = gateway.server(&instance);
        gateway.renew(&["--server", &server]).done();
        assert_eq!(gateway.read("gw1.key"), key);
        instance.kill();
        gateway.renew(&["--now", "--server", &server]).fails(5, &[]);
        let key = gateway.read("enrolment/pending/key.pem");
        instance.serve();
        gateway.renew(&["--server", &gateway.server(&instance)]).done();
        assert_eq!(gateway.read("gw1.key"), key);
        assert_eq!(statuses(&instance, protocol), ["valid", "valid"]);
    }
}

#[test]
fn a_run_that_is_killed_at_any_moment_leaves_a_key_with_its_certificate() {
    let instance = site();
    // SCEP makes an RSA key first, which takes its time.
    for (protocol, step) in [("est", 25), ("scep", 150)] {
        let gateway = Gateway::over(protocol, &instance, protocol, &[NAME]);
        gateway.enrol(&["--for", "strongswan"]).done();
        for round in 0..12_u64 {
            let mut run = gateway
                .command(&["--renew", "--now"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(7 + step * round));
            let _ = run.kill();
            run.wait().unwrap();
            assert!(pair(&gateway.out, "x509/gw1.pem", "private/gw1.pem"), "round {round}");
        }
        gateway.renew(&["--now"]).done();
        assert!(!gateway.out.join("enrolment/pending").exists());
        assert!(pair(&gateway.out, "x509/gw1.pem", "private/gw1.pem"));
        // No key had two certificates.
        let list = instance.certificates(protocol);
        let key = |row: &serde_json::Value| {
            let serial = row["serial"].as_str().unwrap();
            fs::write(instance.file("one.crt"), instance.ok(&["cert", "export", serial])).unwrap();
            let all = ["x509", "-in", "one.crt", "-noout", "-pubkey"];
            tool_ok("openssl", "openssl", &all, &instance.file("."))
        };
        let mut keys: Vec<String> = list.iter().map(key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), list.len(), "{protocol}");
    }
    instance.ok(&["audit", "verify"]);
}

#[test]
fn a_request_is_bound_to_its_connection_where_the_server_asks_for_it() {
    let instance = site_with(&[("est", "channel_binding = \"required\"")], "");
    let gateway = Gateway::over("est", &instance, "gw1", &[NAME]);
    gateway.enrol(&[]).done();
    gateway.renew(&["--now"]).done();
    assert_eq!(statuses(&instance, "gw1"), ["valid", "valid"]);
}

#[test]
fn a_profile_is_the_label_of_est_and_the_template_of_scep() {
    let instance = site();
    for protocol in ["est", "scep"] {
        let gateway = Gateway::over(protocol, &instance, protocol, &[NAME]);
        gateway.enrol(&["--profile", "nowhere"]).fails(if protocol == "est" { 5 } else { 4 }, &[]);
        gateway.enrol(&["--abandon", "--profile", "gateway"]).done();
        gateway.renew(&["--now"]).done();
        assert_eq!(statuses(&instance, protocol).len(), 2);
    }
}

#[test]
fn a_certificate_of_another_kind_proves_a_gateway_the_first_time() {
    let instance = site();
    let root = instance.root().to_str().unwrap().to_owned();
    for (protocol, kind) in [("est", "p384"), ("scep", "rsa3072")] {
        let first = Gateway::over(protocol, &instance, protocol, &[NAME]);
        first.enrol(&[]).done();
        // Here the certificate that the vendor would have put in is one of the same CA.
        let second = Gateway { out: instance.file(&format!("{protocol}-2")), ..first };
        let by = |key: &Path| {
            let folder = instance.file(protocol);
            let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
            let (certificate, chain) = (file("gw1.crt"), file("gw1.chain.crt"));
            second.run(&[
                "--protocol",
                protocol,
                "--server",
                &second.url,
                "--trust",
                &root,
                "--certificate",
                &certificate,
                "--certificate-key",
                key.to_str().unwrap(),
                "--extra-certs",
                &chain,
                "--id",
                NAME,
                "--key-kind",
                kind,
            ])
        };
        by(&instance.file(protocol).join("gw1.key")).done();
        assert!(pair(&second.out, "gw1.crt", "gw1.key"));
        assert_eq!(statuses(&instance, protocol).len(), 2);
        // Without the key that belongs to it, it proves nothing.
        let other = second.out.join("gw1.key");
        fs::copy(&other, instance.file("other.key")).unwrap();
        fs::remove_dir_all(&second.out).unwrap();
        by(&instance.file("other.key")).fails(2, &["another key"]);
        assert!(!second.out.exists());
    }
}

#[test]
fn what_a_protocol_cannot_carry_is_an_error_and_not_left_out() {
    let instance = site();
    let est = Gateway::over("est", &instance, "est", &[NAME]);
    let scep = Gateway::over("scep", &instance, "scep", &[NAME]);
    for gateway in [&est, &scep] {
        for option in [
            &["--days", "9"][..],
            &["--implicit-confirm"],
            &["--mac", "pbm"],
            &["--recipient", "CN=x"],
        ] {
            gateway.enrol(option).fails(2, &["cannot carry", option[0]]);
        }
    }
    est.enrol(&["--ca-fingerprint", &"ab".repeat(32)]).fails(2, &["--ca-fingerprint"]);
    scep.enrol(&["--key-kind", "p256"]).fails(2, &["rsa3072", "p256", "EST"]);
    let key = openssl::key(&instance, "p256", "ec.key").to_str().unwrap().to_owned();
    scep.enrol(&["--key", &key]).fails(2, &["RSA", "P-256"]);
    assert!(!est.out.exists() && !scep.out.exists());
    let cmp = Gateway::over("cmp", &instance, "cmp", &[NAME]);
    let root = instance.root().to_str().unwrap().to_owned();
    cmp.enrol(&["--tls-trust", &root]).fails(2, &["--tls-trust"]);
    let url = est.url.replace("https", "http");
    let http = Gateway { url, ..est };
    http.enrol(&[]).fails(2, &["EST needs TLS"]);
    // An enrolment stays with its protocol.
    scep.enrol(&[]).done();
    scep.renew(&["--now", "--protocol", "est"]).fails(2, &["--protocol"]);
}
