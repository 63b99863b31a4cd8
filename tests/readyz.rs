//! The faults and warnings of `/readyz`, and their metrics. Each is provoked by its real cause.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::offline::OfflineRoot;
use common::openssl::{enrol, key};
use common::{COUNTERSIGN, Instance, at_another_time, tool_ok, wait_for};

fn get(instance: &Instance, path: &str) -> (u16, String) {
    let answer = instance.http("GET", path, "text/plain", &[]).unwrap();
    (answer.status, String::from_utf8(answer.body).unwrap())
}

/// The value of a metric, with its labels.
#[track_caller]
fn metric(instance: &Instance, name: &str) -> u64 {
    let text = get(instance, "/metrics").1;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no `{name}` in\n{text}")).parse().unwrap()
}

/// The lines of `/readyz`. Asserts that the metrics have their numbers.
#[track_caller]
fn told(instance: &Instance) -> (u16, String) {
    let (code, text) = get(instance, "/readyz");
    let warnings = text.lines().filter(|line| line.starts_with("warning: ")).count();
    let reasons = text.lines().filter(|line| *line != "ready").count() - warnings;
    assert_eq!(code, if reasons == 0 { 200 } else { 503 }, "{text}");
    assert_eq!(metric(instance, "countersign_warnings"), warnings as u64, "{text}");
    assert_eq!(metric(instance, "countersign_unready_reasons"), reasons as u64, "{text}");
    (code, text)
}

#[test]
fn a_ca_that_ends_before_its_certificates_would_is_told_until_its_next_key_issues() {
    let mut instance = Instance::init(&["--validity", "30d"]);
    instance.serve();
    let cuts = "countersign_ca_cuts_certificates{ca=\"issuing\"}";
    let (code, text) = told(&instance);
    assert_eq!(code, 200, "{text}");
    for words in
        ["ready\n", "warning: the CA `issuing` ends on", "are cut to that", "ca roll issuing"]
    {
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(metric(&instance, cuts), 1);
    // And so it is: a certificate for 90 days ends with its CA.
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    let end = |file: &Path| {
        let arguments = ["x509", "-noout", "-enddate", "-in", file.to_str().unwrap()];
        tool_ok("openssl", "openssl", &arguments, Path::new("/"))
    };
    let ca = instance.data().join("keys/issuing.crt");
    assert_eq!(end(&instance.file("gw1.crt")), end(&ca));
    let ends = metric(&instance, "countersign_ca_not_after_timestamp_seconds{ca=\"issuing\"}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!((29..31).contains(&(ends.saturating_sub(now.as_secs()) / 86_400)), "{ends}");
    // The next key issues.
    instance.stop();
    instance.ok(&["ca", "roll", "issuing", "--validity", "3y"]);
    instance.serve();
    assert!(!told(&instance).1.contains("are cut"), "{}", told(&instance).1);
    assert_eq!(metric(&instance, cuts), 0);
    instance.stop();

    // Nobody saw to it.
    let mut instance = Instance::init(&["--validity", "30d"]);
    instance.serve();
    instance.stop();
    instance.serve_with(at_another_time("+31d", COUNTERSIGN));
    let (code, text) = told(&instance);
    assert!(code == 503 && text.contains("the CA `issuing` ended on"), "{text}");
}

#[test]
fn an_offline_roots_crl_is_told_before_it_ends_and_when_it_has() {
    let (mut ca, root) = OfflineRoot::found();
    root.crl("");
    let policy = "Authorizer: \"POLICY\"\nLicensees: \"DN:/CN=Countersign issuing CA\"\n";
    fs::write(ca.file("policy"), policy).unwrap();
    let config = ca.data().join("countersign.toml");
    let text = fs::read_to_string(&config).unwrap();
    let section = format!(
        "[authorizer]\nserve = true\nsocket = {:?}\npolicy = [{:?}]\ncrls = [{:?}]\ncrl_refresh = \"2s\"\n",
        ca.file("socket"),
        ca.file("policy"),
        ca.file("root.crl")
    );
    fs::write(&config, text.replacen("[authorizer]\n", &section, 1)).unwrap();
    ca.serve();
    assert!(!told(&ca).1.contains("the CRL at"), "{}", told(&ca).1);
    ca.stop();
    // It is for 30 days.
    for (shift, words) in [("+28d", "ends on"), ("+31d", "ended on")] {
        ca.serve_with(at_another_time(shift, COUNTERSIGN));
        let (code, text) = told(&ca);
        let crl = format!(
            "warning: the authorizer: the CRL at `{}` {words}",
            ca.file("root.crl").display()
        );
        assert!(code == 200 && text.contains(&crl), "{code} {text}");
        ca.stop();
    }
    // The root has signed another one since, which is found by itself. Only the time of day is another: waits end as they would.
    let mut command = at_another_time("+31d", COUNTERSIGN);
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
    ca.serve_with(command);
    assert!(told(&ca).1.contains("ended on"));
    let output = at_another_time("+31d", "openssl")
        .args("ca -config ca.cnf -gencrl -cert root.pem -keyfile root.key -out root.crl".split(' '))
        .current_dir(ca.file("."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    wait_for("the new CRL", || (!get(&ca, "/readyz").1.contains("the CRL at")).then_some(()));
}

/// Runs this test in a mount namespace of its own, where it may mount.
#[test]
fn a_disk_that_fills_is_told_before_it_is_full() {
    const INSIDE: &str = "COUNTERSIGN_TEST_IN_NAMESPACE";
    if std::env::var_os(INSIDE).is_none() {
        let test = "a_disk_that_fills_is_told_before_it_is_full";
        let output = Command::new("unshare")
            .args(["-rmp", "--fork", "--kill-child", "--propagation", "private"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, "1")
            .output()
            .unwrap_or_else(|e| panic!("`unshare`: {e}; it is in util-linux: run `make deps`"));
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let mut instance = Instance::empty();
    fs::create_dir(instance.data()).unwrap();
    let data = instance.data();
    let resized = |how: &str, size: u64| {
        let size = format!("{how}size={size}m,mode=700");
        let arguments = ["-t", "tmpfs", "-o", &size, "tmpfs", data.to_str().unwrap()];
        tool_ok("mount", "util-linux", &arguments, Path::new("/"));
    };
    // Nothing of it takes memory: only what is said of its size changes.
    resized("", 1024);
    instance.ok(&["init"]);
    instance.serve();
    let free = || metric(&instance, "countersign_disk_free_bytes") >> 20;
    let (code, text) = told(&instance);
    assert!(code == 200 && !text.contains("disk"), "{text}");
    let used = 1024 - free();
    assert!(used < 64, "{used} MiB");
    resized("remount,", used + 200);
    let (code, text) = told(&instance);
    let words = "warning: the disk of the data folder has ";
    assert!(code == 200 && text.contains(words) && text.contains("make space"), "{text}");
    assert!((190..=201).contains(&free()), "{}", free());
    resized("remount,", used + 8);
    let (code, text) = told(&instance);
    assert!(code == 503 && text.starts_with("the disk of the data folder has "), "{text}");
    assert!(free() < 10, "{}", free());
    resized("remount,", 1024);
    let (code, text) = told(&instance);
    assert!(code == 200 && !text.contains("disk"), "{text}");
    instance.stop();
    tool_ok("umount", "util-linux", &[data.to_str().unwrap()], Path::new("/"));
}
