//! CRLs as relying parties use them: partitions and deltas with `openssl verify`, hold and release, expired certificates, the schedule under
//! another clock, and pkilint for each CRL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::openssl::{enrol, key};
use common::{Instance, at_another_time, tool, tool_ok};
use serde_json::Value;

/// An instance with this configuration, and a running server.
fn with(config: &str) -> Instance {
    let mut instance = Instance::empty();
    fs::create_dir(instance.data()).unwrap();
    fs::set_permissions(instance.data(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .unwrap();
    fs::write(instance.data().join("countersign.toml"), config).unwrap();
    instance.ok(&["init"]);
    instance.serve();
    instance
}

/// Enrols `name`, and gives its serial number.
fn enrolled(instance: &Instance, name: &str) -> String {
    let peer = instance.peer(name, &[&format!("fqdn:{name}.example.net")]);
    key(instance, "p256", &format!("{name}.key"));
    enrol(instance, &peer, &format!("{name}.key"), &[]).granted();
    instance.certificates(name).pop().unwrap()["serial"].as_str().unwrap().to_owned()
}

/// Fetches a CRL by its path, into a PEM file beside the instance.
fn fetch(instance: &Instance, path: &str, file: &str) {
    let answer = instance.http("GET", path, "text/plain", &[]).unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/pkix-crl")));
    let der = format!("{file}.der");
    fs::write(instance.file(&der), &answer.body).unwrap();
    tool_ok(
        "openssl",
        "openssl",
        &["crl", "-inform", "DER", "-in", &der, "-out", file],
        &instance.file("."),
    );
}

fn verify(instance: &Instance, flags: &[&str], crls: &[&str], certificate: &str) -> (bool, String) {
    let all: String =
        crls.iter().map(|crl| fs::read_to_string(instance.file(crl)).unwrap()).collect();
    fs::write(instance.file("crls.pem"), all).unwrap();
    let mut arguments =
        vec!["verify", "-crl_check", "-CRLfile", "crls.pem", "-CAfile", "data/keys/root.crt"];
    arguments.extend(["-untrusted", "data/keys/issuing.crt"]);
    arguments.extend(flags);
    arguments.push(certificate);
    let output = tool("openssl", "openssl", &arguments, &instance.file("."));
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn text_of(instance: &Instance, crl: &str) -> String {
    tool_ok("openssl", "openssl", &["crl", "-noout", "-text", "-in", crl], &instance.file("."))
}

#[track_caller]
fn lint(instance: &Instance, crl: &str) {
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-tools/bin/lint_crl");
    let arguments = ["lint", "-t", "CRL", "-p", "PKIX", "-s", "WARNING", crl];
    let text = tool_ok(tools, "pkilint", &arguments, &instance.file("."));
    assert_eq!(text.trim(), "", "lint_crl {crl}");
    instance.ok(&["lint", instance.file(crl).to_str().unwrap()]);
}

/// Waits until a condition of the instance holds.
#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come true");
        std::thread::sleep(Duration::from_millis(30));
    }
}

fn crl_of(instance: &Instance, scope: &str) -> Value {
    let all = instance.json(&["crl", "show"]);
    let found =
        all.as_array().unwrap().iter().find(|c| c["ca"] == "issuing" && c["scope"] == scope);
    found.unwrap_or_else(|| panic!("no CRL `{scope}`: {all}")).clone()
}

#[test]
fn a_certificate_names_its_partition_and_openssl_follows() {
    let config = "[http]\npublic_url = \"http://pki.example.net\"\n[crl]\npartitions = 3\n";
    let mut instance = with(config);
    // Serials are random: some two certificates stand in different partitions before long.
    let mut by_partition: Vec<(String, String, String)> = Vec::new();
    for n in 0.. {
        let name = format!("gw{n}");
        let serial = enrolled(&instance, &name);
        let text = common::openssl::text(&instance, &format!("{name}.crt"));
        let (_, rest) = text.split_once("URI:http://pki.example.net/crl/issuing/").unwrap();
        let (number, _) = rest.split_once(".crl").unwrap();
        by_partition.push((name, serial, number.to_owned()));
        if n >= 3 && by_partition.iter().any(|(_, _, number)| *number != by_partition[0].2) {
            break;
        }
    }
    let (name, serial, number) = by_partition[0].clone();
    let other = by_partition.iter().find(|(_, _, other)| *other != number).unwrap().clone();
    instance.ok(&["cert", "revoke", &serial, "--reason", "keyCompromise"]);
    let own = |number: &str| format!("{number}.crl");
    eventually("the partition's CRL", || crl_of(&instance, &number)["entries"] == 1);
    assert_eq!(crl_of(&instance, &other.2)["entries"], 0);
    assert_eq!(crl_of(&instance, "full")["entries"], 1);
    for n in ["0", "1", "2"] {
        fetch(&instance, &format!("/crl/issuing/{n}.crl"), &own(n));
        lint(&instance, &own(n));
    }
    for path in
        ["/crl/issuing/3.crl", "/crl/issuing/00.crl", "/crl/issuing/delta.crl", "/crl/x/0.crl"]
    {
        assert_eq!(instance.http("GET", path, "text/plain", &[]).unwrap().status, 404, "{path}");
    }
    let flags = ["-extended_crl"];
    let (good, text) = verify(&instance, &flags, &[&own(&number)], &format!("{name}.crt"));
    assert!(!good && text.contains("certificate revoked"), "{text}");
    let (good, text) = verify(&instance, &flags, &[&own(&other.2)], &format!("{}.crt", other.0));
    assert!(good, "{text}");
    // Another partition's CRL says nothing of it.
    let (good, text) = verify(&instance, &flags, &[&own(&other.2)], &format!("{name}.crt"));
    assert!(!good && text.contains("different CRL scope"), "{text}");
    // Certificates keep their partition when there are none any more.
    instance.stop();
    fs::write(
        instance.data().join("countersign.toml"),
        "[http]\npublic_url = \"http://pki.example.net\"\n",
    )
    .unwrap();
    instance.serve();
    instance.ok(&["cert", "revoke", &other.1]);
    eventually("the other partition's CRL", || crl_of(&instance, &other.2)["entries"] == 1);
    fetch(&instance, &format!("/crl/issuing/{}.crl", other.2), "later.crl");
    let (good, text) = verify(&instance, &flags, &["later.crl"], &format!("{}.crt", other.0));
    assert!(!good && text.contains("certificate revoked"), "{text}");
    enrolled(&instance, "new");
    assert!(common::openssl::text(&instance, "new.crt").contains("/crl/issuing.crl"));
    instance.ok(&["audit", "verify"]);
    instance.stop();
}

#[test]
fn a_delta_tells_what_changed_and_openssl_adds_it_to_its_base() {
    let config = "[http]\npublic_url = \"http://pki.example.net\"\n[crl]\ndelta = true\n";
    let instance = with(config);
    // Signed at the start, and the base of the deltas that follow.
    let base = crl_of(&instance, "full")["number"].as_u64().unwrap();
    let held = enrolled(&instance, "held");
    let lost = enrolled(&instance, "lost");
    enrolled(&instance, "good");
    instance.ok(&["cert", "hold", &held]);
    eventually("the hold", || crl_of(&instance, "full")["entries"] == 1);
    fetch(&instance, "/crl/issuing.crl", "with-hold.crl");
    // A relying party keeps this one, the base of what follows.
    let first = text_of(&instance, "with-hold.crl");
    assert!(
        first.contains("Freshest CRL")
            && first.contains("http://pki.example.net/crl/issuing/delta.crl")
    );
    fetch(&instance, "/crl/issuing/delta.crl", "delta.crl");
    let delta = text_of(&instance, "delta.crl");
    let indicator = format!("Delta CRL Indicator: critical\n                {base}\n");
    assert!(delta.contains(&indicator), "{indicator} {delta}");
    assert!(delta.contains("Certificate Hold") && !delta.contains("Freshest"), "{delta}");
    lint(&instance, "delta.crl");
    lint(&instance, "with-hold.crl");

    instance.ok(&["cert", "release", &held]);
    instance.ok(&[
        "cert",
        "revoke",
        &lost,
        "--reason",
        "keyCompromise",
        "--invalidity-date",
        "2026-01-01T00:00:00Z",
    ]);
    eventually("the revocation", || {
        fetch(&instance, "/crl/issuing/delta.crl", "delta.crl");
        let delta = text_of(&instance, "delta.crl");
        delta.contains("Remove From CRL")
            && delta.contains("Key Compromise")
            && delta.contains("Jan  1 00:00:00 2026")
    });
    lint(&instance, "delta.crl");
    let (full, delta) = (crl_of(&instance, "full"), crl_of(&instance, "delta"));
    assert_eq!((&full["number"], &full["this_update"]), (&delta["number"], &delta["this_update"]));
    assert_eq!((&full["entries"], &delta["entries"]), (&Value::from(1), &Value::from(2)));
    let flags = ["-extended_crl", "-use_deltas"];
    for (name, base_only, with_delta) in
        [("held", false, true), ("lost", true, false), ("good", true, true)]
    {
        let certificate = format!("{name}.crt");
        let (good, text) = verify(&instance, &[], &["with-hold.crl"], &certificate);
        assert_eq!(good, base_only, "{name}: {text}");
        let (good, text) = verify(&instance, &flags, &["with-hold.crl", "delta.crl"], &certificate);
        assert_eq!(good, with_delta, "{name}: {text}");
    }
    instance.ok(&["audit", "verify"]);
}

#[test]
fn an_expired_certificate_stands_on_one_more_list_and_then_leaves() {
    let config = "[profiles.gateway]\nvalidity = \"2d\"\n[crl]\nvalidity = \"8h\"\n";
    let mut instance = with(config);
    let serial = enrolled(&instance, "gw1");
    instance.ok(&["cert", "revoke", &serial]);
    eventually("the revocation", || crl_of(&instance, "full")["entries"] == 1);
    let first = crl_of(&instance, "full")["number"].as_u64().unwrap();
    instance.stop();
    for (shift, entries) in [("+3d", 1), ("+4d", 0)] {
        instance.serve_with(at_another_time(shift, common::COUNTERSIGN));
        eventually("the scheduled CRL", || {
            fetch(&instance, "/crl/issuing.crl", "now.crl");
            text_of(&instance, "now.crl").matches("Serial Number").count() == entries
        });
        instance.stop();
    }
    // The clock is right again, and so behind the journal: nothing is signed, and readiness says why.
    instance.serve();
    let ready = instance.http("GET", "/readyz", "text/plain", &[]).unwrap();
    let text = String::from_utf8_lossy(&ready.body).into_owned();
    assert!(ready.status == 503 && text.contains("the clock went backwards"), "{text}");
    let refused = instance.run(&["crl", "publish"]);
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    let last = crl_of(&instance, "full")["number"].as_u64().unwrap();
    assert!(last >= first + 2, "{first} {last}");
    instance.stop();
}

#[test]
fn a_certificate_that_expired_on_hold_is_not_valid_after_its_release() {
    let mut instance = with("[profiles.gateway]\nvalidity = \"2d\"\n");
    let [first, second] = ["gw1", "gw2"].map(|name| enrolled(&instance, name));
    instance.stop();
    for serial in [&first, &second] {
        instance.ok(&["cert", "hold", serial]);
    }
    let released = instance.json(&["cert", "release", &first]);
    assert_eq!(released["status"], "valid", "{released}");
    let mut late = at_another_time("+3d", common::COUNTERSIGN);
    late.args(["cert", "release", &second, "--format", "json", "--data"]).arg(instance.data());
    let output = late.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let released: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(released["status"], "expired", "{released}");
}

#[test]
fn a_burst_of_revocations_stands_on_the_crl_and_a_damaged_file_is_made_again() {
    let instance = with("");
    let serials: Vec<String> = (0..6).map(|n| enrolled(&instance, &format!("gw{n}"))).collect();
    let before = crl_of(&instance, "full")["number"].as_u64().unwrap();
    std::thread::scope(|scope| {
        for serial in &serials {
            scope.spawn(|| instance.ok(&["cert", "revoke", serial]));
        }
    });
    assert_eq!(crl_of(&instance, "full")["entries"], 6, "a command ends when its CRL is out");
    let after = crl_of(&instance, "full")["number"].as_u64().unwrap();
    let history = instance.ok(&["audit", "export"]);
    let made = history.lines().filter(|line| {
        let entry: Value = serde_json::from_str(line).unwrap();
        let number = entry["number"].as_u64().filter(|_| entry["ca"] == "issuing");
        number.is_some_and(|number| number > before)
    });
    let made = made.count();
    assert!(after > before && (1..=6).contains(&made), "{before} {after} {made}");
    let metrics = instance.http("GET", "/metrics", "text/plain", &[]).unwrap();
    let metrics = String::from_utf8(metrics.body).unwrap();
    let line = "countersign_crl_is_stale{ca=\"issuing\",scope=\"full\"} 0";
    assert!(metrics.contains(line), "{metrics}");

    let mut instance = instance;
    instance.stop();
    let file = instance.data().join("crl/issuing.crl");
    let mut der = fs::read(&file).unwrap();
    let middle = der.len() / 2;
    der[middle] ^= 1;
    fs::write(&file, der).unwrap();
    instance.serve();
    fetch(&instance, "/crl/issuing.crl", "again.crl");
    assert_eq!(text_of(&instance, "again.crl").matches("Serial Number").count(), 6);
    assert!(crl_of(&instance, "full")["number"].as_u64().unwrap() > after);
    instance.stop();
}

#[test]
fn a_crl_is_sent_once_to_who_asks_with_its_tag() {
    let instance = with("");
    let first = instance.http("GET", "/crl/issuing.crl", "text/plain", &[]).unwrap();
    let tag = first.header("etag").unwrap().to_owned();
    assert!(first.header("last-modified").is_some() && first.header("expires").is_some());
    let control = first.header("cache-control").unwrap();
    assert!(
        control.contains("max-age=300") && control.contains("stale-if-error=6047"),
        "{control}"
    );
    let curl = |tag: &str| {
        let url = format!("http://{}/crl/issuing.crl", instance.address);
        let header = format!("If-None-Match: {tag}");
        let arguments =
            ["-s", "-o", "out", "-w", "%{http_code} %{size_download}", "-H", &header, &url];
        tool_ok("curl", "curl", &arguments, &instance.file("."))
    };
    assert_eq!(curl(&tag), "304 0");
    assert_eq!(curl("\"other\""), format!("200 {}", first.body.len()));
    instance.ok(&["crl", "publish"]);
    assert_eq!(curl(&tag).split(' ').next(), Some("200"));
}
