//! The program as an operator uses it: files and their modes, refusals and exit codes, equal answers with and without a running server, a
//! root elsewhere, import, backup and restore, reload.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::openssl::{enrol, key};
use common::{COUNTERSIGN, Instance, PATIENCE, Peer, at_another_time, output_of, tool_ok};
use serde_json::json;

/// A server that is not to start. If it does, it is in nobody's way.
const SERVE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--ldap-listen", "off"];

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Asserts this exit code, and that the message contains each word.
#[track_caller]
fn fails(output: &Output, code: i32, words: &[&str]) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "expected `{word}` in: {said}");
    }
}

fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

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
    instance.ok(&["peer", "remove", "gw1"]);
    assert_eq!(instance.json(&["peer", "list"]).as_array().map(Vec::len), Some(0));
}

#[test]
fn keys_and_passphrases_that_others_can_read_are_refused() {
    let instance = Instance::init(&[]);
    for (path, mode) in [
        ("", 0o700),
        ("passphrase", 0o600),
        ("keys/root.key", 0o600),
        ("keys/issuing.key", 0o600),
        ("keys/_seal.key", 0o600),
    ] {
        let path = instance.data().join(path);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            mode,
            "{}",
            path.display()
        );
    }
    let set = |name: &str, mode| {
        fs::set_permissions(instance.data().join(name), fs::Permissions::from_mode(mode)).unwrap()
    };
    set("keys/issuing.key", 0o644);
    fails(&instance.run(&["crl", "publish"]), 5, &["0644", "chmod 600"]);
    set("keys/issuing.key", 0o600);
    set("passphrase", 0o640);
    fails(&instance.run(&["crl", "publish"]), 5, &["0640", "chmod 600"]);
    set("passphrase", 0o600);
    set("", 0o777);
    fails(&instance.run(&["crl", "publish"]), 5, &["0777", "chmod 700"]);
    set("", 0o700);
    instance.ok(&["crl", "publish"]);

    let wrong = instance.file("wrong");
    fs::write(&wrong, "wrong\n").unwrap();
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o600)).unwrap();
    fails(
        &instance.run(&["crl", "publish", "--passphrase-file", wrong.to_str().unwrap()]),
        4,
        &["the passphrase does not open"],
    );
    // A credential of systemd's for a service with a user of its own.
    let folder = instance.file("credentials");
    fs::create_dir(&folder).unwrap();
    let credential = folder.join("countersign-passphrase");
    fs::rename(instance.data().join("passphrase"), &credential).unwrap();
    let with_credential = |mode, folder: &Path| {
        fs::set_permissions(&credential, fs::Permissions::from_mode(mode)).unwrap();
        Command::new(COUNTERSIGN)
            .args(["crl", "publish", "--data"])
            .arg(instance.data())
            .arg("--passphrase-file")
            .arg(&credential)
            .env("CREDENTIALS_DIRECTORY", folder)
            .output()
            .unwrap()
    };
    let taken = with_credential(0o440, &folder);
    assert!(taken.status.success(), "{}", text(&taken));
    fails(&with_credential(0o444, &folder), 5, &["0444"]);
    fails(&with_credential(0o440, &instance.data()), 5, &["0440"]);
    // Adding an account needs no passphrase: its secret is sealed to the public half.
    instance.peer("gw1", &["ip:192.0.2.1"]);
    fails(&instance.run(&["crl", "publish"]), 2, &["--passphrase-file"]);
    // No secret lies in the folder in clear.
    let added = instance.peer("gw2", &["ip:192.0.2.2"]);
    let output =
        Command::new("grep").args(["-r", &added.secret]).arg(instance.data()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
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
fn ten_thousand_accounts_are_imported_all_or_none() {
    let instance = Instance::init(&[]);
    let rows: String = (0..10_000)
        .map(|n| format!("gw{n},fqdn:gw{n}.example.net ip:10.0.{}.{},host\n", n / 250, n % 250))
        .collect();
    let file = instance.file("peers.csv");
    let path = file.to_str().unwrap();
    fs::write(&file, format!("name,ids,profile\n{rows}gw1,fqdn:other.example.net,host\n")).unwrap();
    fails(
        &instance.run(&["peer", "import", path]),
        2,
        &["line 10002, account `gw1` is there twice", "line 3"],
    );
    fs::write(&file, format!("name,ids,profile\n{rows}bad,fqdn:a..b,host\n")).unwrap();
    fails(&instance.run(&["peer", "import", path]), 2, &["line 10002, column `ids`", "a..b"]);
    assert_eq!(instance.json(&["peer", "list"]).as_array().map(Vec::len), Some(0));
    fs::write(&file, format!("name,ids,profile\n{rows}")).unwrap();
    let out = instance.file("secrets.csv");
    instance.ok(&["peer", "import", path, "--out", out.to_str().unwrap()]);
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let secrets = fs::read_to_string(&out).unwrap();
    assert_eq!(secrets.lines().count(), 10_001);
    assert_eq!(instance.json(&["peer", "show", "gw9999"])["ids"][1], "ip:10.0.39.249");
    instance.ok(&["audit", "verify"]);
}

#[test]
fn an_import_tells_everything_that_is_wrong_with_its_lines_and_columns() {
    let instance = Instance::init(&[]);
    let file = instance.file("peers.csv");
    let import = |text: &str| {
        fs::write(&file, text).unwrap();
        instance.run(&["peer", "import", file.to_str().unwrap()])
    };
    // What the file itself says wrongly; a field may hold line ends.
    let rows = "name,ids,profile,equipment,allow\r\n\
         gw 1,fqdn:gw1.example.net,gateway,,\r\n\
         gw2,\"fqdn:gw2.example.net\n  ip:192.0.2.300\",gateway,,\r\n\
         gw3,fqdn:gw3.example.net,gate way,SN3,\r\n\
         gw4,fqdn:gw4.example.net,gateway\r\n\
         gw5,fqdn:gw5.example.net,gateway,,key-making\r\n";
    let output = import(rows);
    fails(
        &output,
        2,
        &[
            "line 2, column `name`",
            "line 3, column `ids`: expected an IPv4 or IPv6 address",
            "line 5, column `profile`",
            "line 5, column `equipment`: expected equipment as VENDOR:VALUE",
            "line 6: expected 5 columns, found 3",
            "line 7, column `allow`: expected a permission",
        ],
    );
    for (text, expected) in [
        ("name,id\ngw1,fqdn:a.example\n", "found `id`"),
        ("name,profile\ngw1,host\n", "no column `ids`"),
        ("name,ids,ids\ngw1,a,b\n", "there twice"),
        ("name,ids\n", "holds no accounts"),
    ] {
        fails(&import(text), 2, &[expected]);
    }
    // What the instance finds wrong.
    let output = import(
        "name,ids,profile,ca\n\
         gw1,fqdn:gw1.example.net,gatewy,\n\
         gw2,\"dn:CN=gw2,C=DE,O=Example\\, Inc.; fqdn:gw2.example.net\",gateway,branch\n\
         gw3,ip:192.0.2.3,user,\n",
    );
    fails(
        &output,
        2,
        &[
            "line 2, account `gw1`, column `profile`: there is no profile `gatewy`",
            "line 3, account `gw2`, column `ca`: there is no issuing CA `branch`",
            "line 4, account `gw3`, column `ids`: no identity",
        ],
    );
    assert_eq!(instance.json(&["peer", "list"]).as_array().map(Vec::len), Some(0));
    // What is mistyped behind a DN would become a part of it.
    for (ids, word, meant) in [
        ("dn:CN=gw7 fqdnn:gw7.example.net", "fqdnn:gw7.example.net", "`fqdn:`"),
        ("dn:CN=gw7; FQDN:gw7.example.net", "FQDN:gw7.example.net", "`fqdn:`"),
        ("ip:192.0.2.7 dn:CN=gw7,O=A b ip4:192.0.2.7", "ip4:192.0.2.7", "`ip:`"),
        ("dn:CN=gw7 emial:gw7@example.net", "emial:gw7@example.net", "`email:`"),
    ] {
        let output = import(&format!("name,ids\ngw7,\"{ids}\"\n"));
        fails(&output, 2, &["line 2, column `ids`", &format!("`{word}`"), meant, "\\3A"]);
    }
    for id in ["dn:CN=gw7 fqdnn:gw7.example.net", "dn:CN=gw7 fqdn:gw7.example.net"] {
        let output = instance.run(&["peer", "add", "gw7", "--id", id, "--no-secret"]);
        fails(&output, 2, &["`fqdn:`", "`--id` of its own"]);
    }
    let plain = ["dn:CN=a b:c,O=Dept id:7 no: 9", "dn:CN=gw7 fqdn\\3Agw7.example.net"];
    for (number, id) in plain.into_iter().enumerate() {
        let name = format!("plain{number}");
        instance.ok(&["peer", "add", &name, "--id", id, "--no-secret"]);
        let output = import(&format!("name,ids\nimported{number},\"{id}\"\n"));
        assert!(output.status.success(), "{}", text(&output));
        let ids = |name: &str| instance.json(&["peer", "show", name])["ids"].clone();
        assert_eq!(ids(&name), json!([id.replace("\\3A", ":")]));
        assert_eq!(ids(&format!("imported{number}")), ids(&name));
    }
    // Identities stand apart by blanks or semicolons, and a DN holds both.
    fs::write(
        &file,
        "name,ids\ngw2,\"dn:CN=gw 2, O=Example\\, Inc. ;C=DE; fqdn:gw2.example.net ip:192.0.2.2\"\n\
         gw3,fqdn:GW2.example.net\n",
    )
    .unwrap();
    let output = instance.run(&["peer", "import", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output));
    let ids = instance.json(&["peer", "show", "gw2"])["ids"].clone();
    assert_eq!(
        ids,
        serde_json::json!([
            "dn:CN=gw 2,O=Example\\, Inc.,C=DE",
            "fqdn:gw2.example.net",
            "ip:192.0.2.2"
        ])
    );
    // Two accounts with one identity are told.
    let warning = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        warning.contains("`gw3`: the identity `fqdn:gw2.example.net` is held by `gw2`"),
        "{warning}"
    );
    let added = instance.json(&["peer", "add", "gw4", "--id", "ip:192.0.2.2", "--no-secret"]);
    assert!(added["warnings"][0].as_str().unwrap().contains("held by `gw2`"), "{added}");
}

#[test]
fn names_that_no_certificate_can_hold_are_refused_when_the_account_is_added() {
    let instance = Instance::init(&[]);
    let long = format!("dn:CN={}", "a".repeat(70));
    for (id, expected) in [
        ("dn:CN=gw7,C=Germany", "two letters"),
        (&long, "70 characters"),
        ("dn:emailAddress=\u{fc}@example.net,CN=gw7", "ASCII"),
        ("dn:CN=gw7,O=Example, Inc.", "`Inc.` has no `=`"),
    ] {
        let arguments = ["peer", "add", "gw7", "--id", id];
        fails(&instance.run(&arguments), 2, &[expected]);
    }
    instance.ok(&["peer", "add", "gw7", "--id", "dn:E=ops@example.net,CN=gw7,dnQualifier=1"]);
}

#[test]
fn a_root_elsewhere_signs_the_issuing_ca() {
    let mut instance = Instance::empty();
    let folder = instance.file(".");
    let csr = instance.file("issuing.csr");
    instance.ok(&[
        "init",
        "--root-csr",
        csr.to_str().unwrap(),
        "--subject",
        "CN=Gateways,O=Example,C=DE",
    ]);
    fails(&instance.run(&["init"]), 3, &["root"]);
    fs::write(
        folder.join("ca.ext"),
        "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n\
        subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
    )
    .unwrap();
    for arguments in [
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:3072",
            "-nodes",
            "-keyout",
            "root.key",
            "-out",
            "root.pem",
            "-days",
            "3650",
            "-subj",
            "/O=Example/CN=Root elsewhere",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ][..],
        &[
            "x509",
            "-req",
            "-in",
            "issuing.csr",
            "-CA",
            "root.pem",
            "-CAkey",
            "root.key",
            "-days",
            "1000",
            "-extfile",
            "ca.ext",
            "-out",
            "issuing.pem",
        ],
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "other.key",
            "-out",
            "other.pem",
            "-subj",
            "/CN=Other",
        ],
    ] {
        tool_ok("openssl", "openssl", arguments, &folder);
    }
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let install = |content: String| {
        fs::write(folder.join("chain.pem"), content).unwrap();
        instance.run(&["init", "--root-cert", folder.join("chain.pem").to_str().unwrap()])
    };
    fails(&install(read("issuing.pem")), 4, &["Root elsewhere"]);
    fails(&install(read("issuing.pem") + &read("other.pem")), 4, &["Root elsewhere", "Other"]);
    fails(&install(read("other.pem")), 4, &["another key"]);
    // Nothing below these would verify: a root that allows no CA, a CA for another purpose.
    let root = ["-subj", "/CN=Root of none", "-keyout", "none.key", "-out", "none.pem"];
    let none = ["-addext", "basicConstraints=critical,CA:TRUE,pathlen:0"];
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "99"];
    let usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
    tool_ok("openssl", "openssl", &[&new[..], &usage, &none, &root].concat(), &folder);
    let text_of = fs::read_to_string(folder.join("ca.ext")).unwrap();
    fs::write(folder.join("code.ext"), text_of + "extendedKeyUsage=codeSigning\n").unwrap();
    for (root, extensions, out) in [("none", "ca.ext", "a.pem"), ("root", "code.ext", "b.pem")] {
        let (pem, key) = (format!("{root}.pem"), format!("{root}.key"));
        let sign =
            ["x509", "-req", "-in", "issuing.csr", "-CA", &pem, "-CAkey", &key, "-days", "9"];
        let rest = ["-extfile", extensions, "-out", out];
        tool_ok("openssl", "openssl", &[&sign[..], &rest].concat(), &folder);
    }
    fails(&install(read("a.pem") + &read("none.pem")), 4, &["pathLenConstraint"]);
    fails(&install(read("b.pem") + &read("root.pem")), 4, &["key purposes", "1.3.6.1.5.5.7.3.3"]);
    let installed = install(read("issuing.pem") + &read("root.pem"));
    assert!(installed.status.success(), "{}", text(&installed));
    instance.serve();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &["-out_trusted", "root.pem"]).granted();
    tool_ok(
        "openssl",
        "openssl",
        &["verify", "-CAfile", "root.pem", "-untrusted", "issuing.pem", "gw1.crt"],
        &folder,
    );
    assert_eq!(instance.http("GET", "/readyz", "", &[]).unwrap().status, 200);
    // The root's CRL is its own affair.
    assert_eq!(instance.http("GET", "/crl/root.crl", "", &[]).unwrap().status, 404);
}

#[test]
fn several_issuing_cas_serve_their_own_accounts() {
    let mut instance = Instance::init(&[
        "--permit",
        "dns:example.net",
        "--policy",
        "1.3.6.1.4.1.99999.1=http://pki.example.net/cps",
    ]);
    instance.ok(&["ca", "add", "second", "--subject", "CN=Second", "--algorithm", "p384"]);
    // The first founded stays the default, though this one's name comes before.
    fails(&instance.run(&["ca", "add", "x", "--subject", "cn=SECOND"]), 3, &["`second` already"]);
    let added = instance.json(&["ca", "add", "branches"]);
    let subject = added["subject"].as_str().unwrap();
    assert!(subject.starts_with("CN=Countersign branches CA "), "{subject}");
    let default = |instance: &Instance| {
        let shown = instance.json(&["ca", "show"]);
        let is_default = |ca: &&serde_json::Value| ca["default"] == true;
        let named: Vec<String> = shown
            .as_array()
            .unwrap()
            .iter()
            .filter(is_default)
            .map(|ca| ca["name"].to_string())
            .collect();
        named.concat()
    };
    assert_eq!(default(&instance), "\"issuing\"");
    // What the CA may not certify is no name of an account.
    fails(
        &instance.run(&["peer", "add", "far", "--id", "fqdn:gw1.other.example"]),
        4,
        &["account `far`", "gw1.other.example", "not within"],
    );
    instance.ok(&["ca", "set-default", "branches"]);
    assert_eq!(default(&instance), "\"branches\"");
    fails(&instance.run(&["ca", "set-default", "root"]), 3, &["no issuing CA `root`"]);
    instance.serve();
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--ca", "second"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &["-path", ".well-known/cmp/p/second"]).granted();
    enrol(&instance, &peer, "gw1.key", &["-path", ".well-known/cmp/p/issuing"])
        .refused(&["notAuthorized", "second"]);
    assert_eq!(instance.certificates("gw1")[0]["ca"], "second");
    assert_eq!(instance.http("GET", "/crl/second.crl", "", &[]).unwrap().status, 200);
    let issuing = tool_ok(
        "openssl",
        "openssl",
        &["x509", "-in", "data/keys/issuing.crt", "-noout", "-text"],
        &instance.file("."),
    );
    for word in [
        "Name Constraints: critical",
        "DNS:example.net",
        "1.3.6.1.4.1.99999.1",
        "CPS: http://pki.example.net/cps",
        "pathlen:0",
    ] {
        assert!(issuing.contains(word), "{word}: {issuing}");
    }
}

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
fn permissions_of_accounts_are_given_shown_and_taken_away() {
    let instance = Instance::init(&[]);
    instance.peer("gw1", &["fqdn:gw1.example.net"]);
    assert_eq!(instance.json(&["peer", "show", "gw1"])["permissions"], json!([]));
    let both = "cross-certification,key-generation";
    instance.peer_with("gw2", &["fqdn:gw2.example.net"], &["--allow", both]);
    let listed = instance.json(&["peer", "list"]);
    assert_eq!(listed[1]["permissions"], json!(["key-generation", "cross-certification"]));

    instance.ok(&["peer", "allow", "gw1", "--permission", "key-generation"]);
    instance.ok(&["peer", "allow", "gw2", "--permission", "key-generation", "--revoke"]);
    assert_eq!(instance.json(&["peer", "show", "gw1"])["permissions"], json!(["key-generation"]));
    assert_eq!(
        instance.json(&["peer", "show", "gw2"])["permissions"],
        json!(["cross-certification"])
    );
    fails(&instance.run(&["peer", "allow", "gw9", "--permission", both]), 3, &["no account `gw9`"]);
    let unknown = &["peer", "allow", "gw1", "--permission", "everything"];
    fails(&instance.run(unknown), 2, &["everything", "`key-generation`"]);

    let file = instance.file("peers.csv");
    let path = file.to_str().unwrap();
    fs::write(&file, "name,ids,allow\ngw3,ip:192.0.2.3,key-generation\ngw4,ip:192.0.2.4,\n")
        .unwrap();
    instance.ok(&["peer", "import", path]);
    assert_eq!(instance.json(&["peer", "show", "gw3"])["permissions"], json!(["key-generation"]));
    assert_eq!(instance.json(&["peer", "show", "gw4"])["permissions"], json!([]));
    fs::write(&file, "name,ids,allow\ngw5,ip:192.0.2.5,all\n").unwrap();
    fails(&instance.run(&["peer", "import", path]), 2, &["line 2", "`all`"]);
    instance.ok(&["audit", "verify"]);
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
fn a_removal_that_stopped_half_way_is_asked_for_again() {
    let mut instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    let serial = instance.certificates("gw1")[0]["serial"].as_str().unwrap().to_owned();
    // As if the server had ended behind the removal.
    instance.ok(&["peer", "remove", "gw1"]);
    let again = ["peer", "remove", "gw1", "--revoke"];
    let done = instance.json(&again);
    assert_eq!((&done["removed"], &done["revoked"]), (&json!("gw1"), &json!([serial])));
    assert!(done["note"].as_str().unwrap().contains("removed before"), "{done}");
    assert_eq!(instance.json(&["cert", "show", &serial])["status"], "revoked");
    // Then there is nothing left to do.
    fails(&instance.run(&again), 3, &["no account `gw1`"]);
    fails(&instance.run(&["peer", "remove", "gw1"]), 3, &["no account `gw1`"]);
    // What is the instance's own is no account's, and stays.
    fails(&instance.run(&["peer", "remove", "_cmp", "--revoke"]), 3, &["no account `_cmp`"]);
    instance.stop();
    let history = instance.ok(&["audit", "export"]);
    assert!(history.contains("peer remove --revoke"), "{history}");
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

/// Every file below a folder, with its mode.
fn modes(folder: &Path) -> Vec<(String, u32)> {
    let mut found = vec![(
        folder.display().to_string(),
        fs::metadata(folder).unwrap().permissions().mode() & 0o777,
    )];
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(modes(&entry.path())),
            false => found.push((
                entry.path().display().to_string(),
                entry.metadata().unwrap().permissions().mode() & 0o777,
            )),
        }
    }
    found
}

#[test]
fn what_holds_keys_and_accounts_is_its_owners_only_whatever_the_umask() {
    let mut instance = Instance::empty();
    let open = |arguments: &str| {
        let script = format!("umask 000; exec {COUNTERSIGN} --data \"$0\" {arguments}");
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(instance.data());
        command
    };
    // Made beforehand, and open: it holds nothing yet but a configuration.
    fs::create_dir(instance.data()).unwrap();
    fs::set_permissions(instance.data(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(instance.data().join("countersign.toml"), "").unwrap();
    fs::set_permissions(
        instance.data().join("countersign.toml"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    let made = open("init").output().unwrap();
    assert!(made.status.success(), "{}", text(&made));
    let backup = instance.file("backup");
    let mut script = Command::new("sh");
    script.args(["-c", "umask 000; exec \"$0\" \"$@\"", COUNTERSIGN]);
    instance.serve_with(script);
    instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let told = Command::new("sh")
        .args(["-c", "umask 000; exec \"$0\" \"$@\"", COUNTERSIGN, "--data"])
        .arg(instance.data())
        .arg("backup")
        .arg(&backup)
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", text(&told));
    instance.stop();
    let found = [modes(&instance.data()), modes(&backup)].concat();
    assert!(found.len() > 20, "{found:?}");
    for (file, mode) in &found {
        assert!(mode & 0o077 == 0, "{file} has the mode {mode:04o}");
    }
    // Once it holds an instance, an open folder is refused.
    fs::set_permissions(instance.data(), fs::Permissions::from_mode(0o750)).unwrap();
    fails(&instance.run(&["peer", "list"]), 5, &["0750", "chmod 700"]);
    fails(&instance.run(&SERVE), 5, &["0750"]);
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

/// Whether the memory of a process contains a text.
fn in_memory(pid: u32, text: &str) -> bool {
    use std::io::Write;
    use std::os::unix::fs::FileExt;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut grep = Command::new("grep")
        .args(["-a", "-c", "-F", text])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = grep.stdin.take().unwrap();
    for line in maps.lines().filter(|line| line.contains(" rw") && !line.contains("[v")) {
        let (from, to) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
        let number = |hex: &str| u64::from_str_radix(hex, 16).unwrap();
        let mut octets = vec![0; usize::try_from(number(to) - number(from)).unwrap()];
        if memory.read_exact_at(&mut octets, number(from)).is_ok() {
            input.write_all(&octets).unwrap();
            input.write_all(b"\n").unwrap();
        }
    }
    drop(input);
    grep.wait_with_output().unwrap().status.success()
}

#[test]
fn a_secret_that_was_shown_is_nowhere_in_the_servers_memory() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let again = instance.json(&["peer", "reset-secret", "gw1"]);
    let (reference, last) =
        (again["reference"].as_str().unwrap(), again["secret"].as_str().unwrap());
    // What is looked for is found where it is: the reference, which is public and on record. The answer is wiped when it was sent.
    assert!(in_memory(instance.pid(), reference));
    for secret in [peer.secret.as_str(), last] {
        eventually("a secret to be wiped", || !in_memory(instance.pid(), secret));
    }
}
