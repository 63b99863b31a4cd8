//! The program as an operator uses it: refusals and exit codes, equal answers with and without a running server, configuration and reload,
//! health and metrics.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::process::{Command, Stdio};

use common::openssl::{enrol, key};
use common::{COUNTERSIGN, Instance, SERVE, eventually, fails, tool_ok};

#[test]
fn exit_codes_and_messages_say_who_must_act() {
    let nowhere = Instance::empty();
    fails(&nowhere.run(&["peer", "list"]), 5, &["there is no instance", "countersign init"]);
    fails(&nowhere.run(&SERVE), 5, &["serve --init"]);
    let instance = Instance::init(&[]);
    fails(&instance.run(&["peer", "add"]), 2, &["--id"]);
    fails(&instance.run(&["peer", "add", "gw1", "--id", "gw1"]), 2, &["fqdn:gw1.example.net"]);
    fails(
        &instance.run(&["peer", "add", "gw1", "--id", "ip:192.0.2.1", "--profile", "gate"]),
        2,
        &["no profile `gate`", "`gateway`"],
    );
    fails(
        &instance.run(&["peer", "add", "_cmp", "--id", "ip:192.0.2.1"]),
        2,
        &["the instance's own"],
    );
    fails(&instance.run(&["peer", "show", "gw1"]), 3, &["no account `gw1`"]);
    instance.peer("gw1", &["ip:192.0.2.1"]);
    fails(&instance.run(&["peer", "add", "gw1", "--id", "ip:192.0.2.1"]), 3, &["gw1", "exists"]);
    fails(&instance.run(&["cert", "show", "12ab"]), 3, &["12ab", "cert list"]);
    fails(&instance.run(&["cert", "show", "xyz"]), 2, &["hexadecimal"]);
    fails(&instance.run(&["init"]), 3, &["already"]);
    fails(&instance.run(&["peer", "rename", "gw1", "gw1"]), 3, &["has the name `gw1` already"]);
    instance.ok(&["peer", "remove", "gw1"]);
    assert_eq!(instance.json(&["peer", "list"]).as_array().map(Vec::len), Some(0));
    // A folder without an enrolment.
    let folder = instance.file("pkix").to_str().unwrap().to_owned();
    let list = ["peer", "list", "--server", "https://127.0.0.1:9", "--login", &folder];
    let told = format!("`countersign enroll --out {folder}` makes one");
    fails(&instance.run(&list), 3, &["no enrolment", &told]);
    // An administrator with tokens only needs no secret.
    let add = ["admin", "add", "monitor", "--role", "viewer", "--no-secret"];
    let new = instance.json(&add);
    assert!(new["account"]["secret"].is_null() && new["account"]["reference"].is_null(), "{new}");
    assert!(instance.json(&["admin", "token", "add", "monitor", "probe"])["token"].is_string());
}

#[test]
fn with_and_without_a_server_the_answers_are_the_same() {
    let mut instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    let questions = [
        &["peer", "list"][..],
        &["peer", "show", "gw1"],
        &["cert", "list"],
        &["ca", "show"],
        &["crl", "show"],
    ];
    let serial = instance.certificates("gw1")[0]["serial"].as_str().unwrap().to_owned();
    let online: Vec<_> = questions.iter().map(|question| instance.json(question)).collect();
    let shown = instance.json(&["cert", "show", &serial]);
    fails(&instance.run(&["store", "rebuild"]), 5, &["another process"]);
    fails(&instance.run(&["ca", "add", "second"]), 5, &["stop it"]);
    instance.stop();
    let offline: Vec<_> = questions.iter().map(|question| instance.json(question)).collect();
    assert_eq!(online, offline);
    assert_eq!(instance.json(&["cert", "show", &serial]), shown);
    assert_eq!(shown["alt_names"], serde_json::json!(["fqdn:gw1.example.net"]));
    let pem = instance.ok(&["cert", "export", &serial]);
    assert_eq!(pem.trim(), fs::read_to_string(instance.file("gw1.crt")).unwrap().trim());
    // Revoked without a server, the CRL is there when it starts.
    instance.ok(&["cert", "revoke", &serial, "--reason", "superseded"]);
    instance.serve();
    let crl = instance.http("GET", "/crl/issuing.crl", "", &[]).unwrap();
    fs::write(instance.file("crl.der"), crl.body).unwrap();
    let printed = tool_ok(
        "openssl",
        "openssl",
        &["crl", "-inform", "DER", "-in", "crl.der", "-noout", "-text"],
        &instance.file("."),
    );
    assert!(
        printed.contains(&serial.to_uppercase()) && printed.contains("Superseded"),
        "{printed}"
    );
}

#[test]
fn the_history_is_exported_and_proven() {
    let mut instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    instance.stop();
    let lines = instance.ok(&["audit", "export"]);
    let entries: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.contains("gw1.example.net") && !lines.contains(&peer.secret));
    for entry in [0, entries.len() - 1] {
        let proof = instance.json(&["audit", "proof", "--entry", &entry.to_string()]);
        assert_eq!(
            (proof["valid"].as_bool(), proof["size"].as_u64()),
            (Some(true), Some(u64::try_from(entries.len()).unwrap()))
        );
    }
    let grown =
        instance.json(&["audit", "proof", "--old", "3", "--new", &entries.len().to_string()]);
    assert_eq!(grown["valid"], true);
}

#[test]
fn configuration_is_checked_and_read_again() {
    let mut instance = Instance::init(&[]);
    let path = instance.data().join("countersign.toml");
    let default = fs::read_to_string(&path).unwrap();
    instance.ok(&["config", "check"]);
    fs::write(&path, format!("{default}\n[profiles.gateway]\nvalidty = \"1d\"\n")).unwrap();
    fails(&instance.run(&["config", "check"]), 2, &["did you mean `validity`?", "line "]);
    fs::write(&path, format!("{default}\n[profiles.gateway]\nvalidity = \"1d\"\n")).unwrap();
    assert!(instance.ok(&["config", "show"]).contains("validity = \"1d\""));
    assert_eq!(instance.json(&["config", "show"])["cmp"]["max_iterations"], 2_000_000);
    instance.serve();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    let days = |instance: &Instance| {
        enrol(instance, &peer, "gw1.key", &[]).granted();
        let day = |days: u32| {
            let seconds = (days * 86_400 - 600).to_string();
            let arguments = ["x509", "-in", "gw1.crt", "-noout", "-checkend", &seconds];
            common::tool("openssl", "openssl", &arguments, &instance.file(".")).status.success()
        };
        (1..100).take_while(|days| day(*days)).last().unwrap_or(0)
    };
    assert_eq!(days(&instance), 1);
    let hangup = |instance: &Instance| {
        let sent = Command::new("kill").args(["-HUP", &instance.pid().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    };
    fs::write(&path, "[http\n").unwrap();
    hangup(&instance);
    eventually("the refusal of the broken file", || instance.log().contains("the old one stays"));
    assert_eq!(days(&instance), 1);
    fs::write(&path, format!("{default}\n[profiles.gateway]\nvalidity = \"3d\"\n")).unwrap();
    hangup(&instance);
    eventually("the new file", || instance.log().contains("was read again"));
    assert_eq!(days(&instance), 3);
    // A new profile is there for every verb, and what is not in force yet is named.
    let peers = ["peer", "add", "gw2", "--id", "fqdn:gw2.example.net", "--profile", "branch"];
    fails(&instance.run(&peers), 2, &["branch"]);
    let changed = default.replacen("[http]\n", "[http]\nkeep_alive = \"20s\"\n", 1);
    fs::write(&path, format!("{changed}\n[profiles.branch]\nvalidity = \"2d\"\n")).unwrap();
    hangup(&instance);
    let named = "what counts only at the next start: `http.keep_alive`";
    eventually("what is not in force", || instance.log().contains(named));
    instance.ok(&peers);
    let flags = ["trust", "add", "acme", "--ca"];
    let root = instance.root();
    let flags = [&flags[..], &[root.to_str().unwrap(), "--profile", "branch"]].concat();
    let added = instance.run(&flags);
    let why = String::from_utf8_lossy(&added.stderr).into_owned();
    assert!(!why.contains("branch"), "the profile is known to every verb: {why}");
    instance.stop();
}

#[test]
fn operators_see_health_and_metrics() {
    let mut instance = Instance::start();
    let get = |instance: &Instance, path: &str| {
        let answer = instance.http("GET", path, "", &[]).unwrap();
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    };
    assert_eq!(get(&instance, "/readyz"), (200, "ready\n".into()));
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    let (_, metrics) = get(&instance, "/metrics");
    for line in [
        "countersign_cmp_messages_total{kind=\"ir\",outcome=\"granted\"} 1",
        "countersign_cmp_messages_total{kind=\"certConf\",outcome=\"granted\"} 1",
        "countersign_crl_number{ca=\"issuing\",scope=\"full\"} ",
        // The peer's, the signer of CMP answers, and two of OCSP answers: the root's and the issuing CA's.
        "countersign_certificates_issued 4",
        "countersign_unready_reasons 0",
        "countersign_warnings 0",
        "countersign_ca_cuts_certificates{ca=\"issuing\"} 0",
        "countersign_ca_not_after_timestamp_seconds{ca=\"root\"} ",
        "countersign_disk_free_bytes ",
    ] {
        assert!(metrics.contains(line), "{line} is not in:\n{metrics}");
    }
    // A revocation by the peer reaches the CRL without anybody's help.
    let rr = ["-cmd", "rr", "-oldcert", "gw1.crt", "-cert", "gw1.crt", "-key", "gw1.key"];
    common::openssl::cmp(&instance, &rr).granted();
    eventually("the CRL", || {
        get(&instance, "/metrics")
            .1
            .contains("countersign_crl_entries{ca=\"issuing\",scope=\"full\"} 1")
    });
    // A certificate with the CA's location is answered there.
    let ca = instance.http("GET", "/ca/issuing.cer", "", &[]).unwrap();
    assert_eq!((ca.status, ca.header("content-type")), (200, Some("application/pkix-cert")));
    assert_eq!(get(&instance, "/ca/nobody.cer").0, 404);
    assert_eq!(get(&instance, "/crl/..%2f..%2fpassphrase.crl").0, 404);
    instance.stop();
}

#[test]
fn completion_manual_and_lint_work_without_an_instance() {
    let nowhere = Instance::empty();
    assert!(nowhere.ok(&["completion", "bash"]).contains("countersign__subcmd__peer__subcmd__add"));
    let man = nowhere.file("man");
    nowhere.ok(&["man", "--dir", man.to_str().unwrap()]);
    assert!(fs::read_to_string(man.join("countersign-peer-add.1")).unwrap().contains("fqdn:"));
    let weak = [
        "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", "k", "-out", "weak.pem",
        "-subj", "/CN=weak",
    ];
    tool_ok("openssl", "openssl", &weak, &nowhere.file("."));
    fails(
        &nowhere.run(&["lint", nowhere.file("weak.pem").to_str().unwrap()]),
        1,
        &["house.key.rsa", "2048"],
    );
    fails(&nowhere.run(&["lint", "/bin/sh"]), 2, &["certificates or CRLs"]);
    let closed = Command::new(COUNTERSIGN).args(["man"]).stdout(Stdio::null()).status();
    assert!(closed.is_ok_and(|status| status.success()));
}

/// A daemon that polls a CRL fetches it once: curl stores the entity tag, and the server compares it.
#[test]
fn a_crl_that_somebody_has_is_not_sent_again() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    let fetch = |more: &[&str]| {
        let url = format!("http://{}/crl/issuing.crl", instance.address);
        let arguments =
            [&["-s", "-o", "crl.der", "-w", "%{http_code} %{size_download}", &url][..], more]
                .concat();
        tool_ok("curl", "curl", &arguments, &instance.file("."))
    };
    assert!(fetch(&["--etag-save", "tag"]).starts_with("200 "));
    let before = fs::read(instance.file("crl.der")).unwrap();
    assert_eq!(fetch(&["--etag-compare", "tag"]), "304 0");
    assert_eq!(fetch(&["-H", "If-None-Match: *"]), "304 0");
    assert!(fetch(&["-H", "If-None-Match: \"other\""]).starts_with("200 "));
    let serial = instance.certificates("gw1")[0]["serial"].as_str().unwrap().to_owned();
    instance.ok(&["cert", "revoke", &serial]);
    eventually("a new CRL", || fetch(&["--etag-compare", "tag"]).starts_with("200 "));
    assert_ne!(fs::read(instance.file("crl.der")).unwrap(), before);
}

#[test]
fn a_command_waits_for_a_server_that_is_starting_and_says_where_gateways_ask() {
    use std::io::BufRead;
    let instance = Instance::init(&[]);
    // Whoever starts has the store open before it listens.
    let lock = fs::OpenOptions::new().write(true).open(instance.data().join("store.lock")).unwrap();
    lock.lock().unwrap();
    let mut waiting = std::process::Command::new(common::COUNTERSIGN)
        .args(["peer", "list", "--data"])
        .arg(instance.data())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(waiting.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("the server is starting"), "{line}");
    drop(lock);
    assert!(waiting.wait().unwrap().success());

    let path = instance.data().join("countersign.toml");
    let config = fs::read_to_string(&path).unwrap();
    let config =
        config.replacen("[http]\n", "[http]\npublic_url = \"http://pki.example.net/a\"\n", 1);
    fs::write(&path, config).unwrap();
    let told = instance.ok(&["peer", "add", "gw1", "--id", "fqdn:gw1.example.net"]);
    for words in [
        "countersign enroll --server http://pki.example.net/a --reference gw1-",
        "-server pki.example.net -path a/.well-known/cmp",
        "-secret file:gw1.secret",
    ] {
        assert!(told.contains(words), "expected `{words}` in:\n{told}");
    }
}

#[test]
fn a_request_that_is_too_long_for_the_server_is_told_so() {
    use std::io::{BufRead, Write};
    let instance = Instance::start();
    let socket = instance.data().join("admin.sock");
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let blanks = vec![b' '; 1 << 20];
    for _ in 0..64 {
        stream.write_all(&blanks).unwrap();
    }
    let mut answer = String::new();
    std::io::BufReader::new(stream).read_line(&mut answer).unwrap();
    assert!(answer.contains("at most 64 MiB") && answer.contains("\"code\":2"), "{answer}");
    // What is brought back goes in parts, and what is no object of ours is told in one list.
    let file = instance.file("many.pem");
    let body = format!("{}\n", "A".repeat(64)).repeat(100);
    let block = format!("-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n");
    fs::write(&file, block.repeat(300)).unwrap();
    let output = instance.run(&["cert", "import", file.to_str().unwrap(), "--format", "json"]);
    fails(&output, 1, &["300 of 300 were refused"]);
    let said: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said.len(), 300);
}
