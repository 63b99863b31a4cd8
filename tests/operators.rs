//! The verbs of an operator: lists and their filters, changes of accounts, certificates by a device's CSR, revocation of many, the state on one
//! screen, another passphrase. OpenSSL and Python read what comes out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::gateway::eventually;
use common::openssl::{enrol, key};
use common::vendor::Pki;
use common::{Instance, fails, text, tool, tool_ok};
use serde_json::{Value, json};

/// Makes a key and a PKCS #10 request by OpenSSL, and gives the request's file.
fn csr(instance: &Instance, name: &str, subject: &str, extensions: &[&str]) -> String {
    key(instance, "p256", &format!("{name}.key"));
    let (key, file) = (format!("{name}.key"), format!("{name}.csr"));
    let mut arguments = vec!["req", "-new", "-key", &key, "-subj", subject, "-out", &file];
    for extension in extensions {
        arguments.extend(["-addext", extension]);
    }
    tool_ok("openssl", "openssl", &arguments, &instance.file("."));
    instance.file(&file).to_str().unwrap().to_owned()
}

/// Issues a certificate for an account by a CSR of OpenSSL, and gives the answer.
fn issue(instance: &Instance, account: &str, more: &[&str]) -> Value {
    let csr = csr(instance, &format!("{account}-{}", more.len()), "/CN=device", &[]);
    let mut arguments = vec!["cert", "issue", "--csr", &csr, "--account", account];
    arguments.extend(more);
    instance.json(&arguments)
}

fn serials(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap();
    list.iter().map(|line| line["serial"].as_str().unwrap().to_owned()).collect()
}

fn only(serial: &String) -> &[String] {
    std::slice::from_ref(serial)
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|line| line["name"].as_str().unwrap()).collect()
}

#[test]
fn certificates_are_found_by_what_an_operator_knows_of_them() {
    let instance = Instance::init(&[]);
    instance.ok(&["ca", "add", "second", "--subject", "CN=Second issuing CA"]);
    let flags = |site: &str, profile: &str| {
        ["--no-secret", "--label", site, "--profile", profile].map(str::to_owned).to_vec()
    };
    for (name, site, profile) in [
        ("gw1", "site=berlin", "gateway"),
        ("gw2", "site=bonn", "gateway"),
        ("gw3", "site=bonn", "host"),
    ] {
        let id = format!("fqdn:{name}.example.net");
        let mut arguments = vec!["peer", "add", name, "--id", &id];
        let flags = flags(site, profile);
        arguments.extend(flags.iter().map(String::as_str));
        instance.ok(&arguments);
    }
    let issued: Vec<String> =
        [("gw1", &[][..]), ("gw2", &["--ca", "second"]), ("gw2", &[]), ("gw3", &[])]
            .iter()
            .map(|(account, more)| {
                issue(&instance, account, more)["serial"].as_str().unwrap().to_owned()
            })
            .collect();
    let [a, b, c, d] = [0, 1, 2, 3].map(|n: usize| issued[n].clone());
    let list = |arguments: &[&str]| {
        let mut all = vec!["cert", "list"];
        all.extend(arguments);
        let list = instance.json(&all);
        // The instance's own signers are in the list, too.
        let list = list
            .as_array()
            .unwrap()
            .iter()
            .filter(|line| !line["account"].as_str().unwrap().starts_with('_'));
        serials(&Value::Array(list.cloned().collect()))
    };
    assert_eq!(list(&[]), [&a, &b, &c, &d].map(Clone::clone));
    assert_eq!(list(&["--reverse"]), [&d, &c, &b, &a].map(Clone::clone));
    assert_eq!(list(&["--ca", "second"]), only(&b));
    assert_eq!(list(&["--profile", "host"]), only(&d));
    assert_eq!(list(&["--account", "gw2", "--limit", "1"]), only(&b));
    assert_eq!(list(&["--label", "site=bonn"]), [&b, &c, &d].map(Clone::clone));
    assert_eq!(list(&["--identity", "fqdn:gw3.example.net"]), only(&d));
    assert_eq!(list(&["--subject", "gw1.example.net"]), only(&a));
    assert_eq!(list(&["--subject", "cn=GW1.example.NET"]), Vec::<String>::new());
    assert_eq!(list(&["--subject", "CN=gw1.example.net"]), only(&a));
    assert_eq!(list(&["--serial", &c[..10]]), only(&c));
    assert_eq!(list(&["--serial", &c[..10].to_uppercase()]), only(&c));
    assert_eq!(list(&["--expires-within", "1d"]), Vec::<String>::new());
    assert_eq!(list(&["--expires-within", "400d"]).len(), 4);
    assert_eq!(list(&["--issued-since", "2026-01-01"]).len(), 4);
    assert_eq!(list(&["--issued-until", "2026-01-01"]), Vec::<String>::new());
    // The order of the ends is that of OpenSSL's notAfter.
    let by_end = list(&["--sort", "expires"]);
    let end = |serial: &String| {
        let pem = instance.ok(&["cert", "export", serial]);
        fs::write(instance.file("one.crt"), pem).unwrap();
        let arguments = ["x509", "-in", "one.crt", "-noout", "-enddate", "-dateopt", "iso_8601"];
        tool_ok("openssl", "openssl", &arguments, &instance.file("."))
    };
    let ends: Vec<String> = by_end.iter().map(end).collect();
    assert!(ends.is_sorted(), "{ends:?}");
    // A revoked certificate is found by its status, and is not current.
    instance.ok(&["cert", "revoke", &c]);
    assert_eq!(list(&["--status", "revoked"]), only(&c));
    assert_eq!(list(&["--current"]), [&a, &b, &d].map(Clone::clone));
    // Pages have everything once.
    let (mut paged, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut arguments = vec!["cert", "list", "--page", "3", "--sort", "expires"];
        if let Some(after) = &after {
            arguments.extend(["--after", after]);
        }
        let page = instance.json(&arguments);
        paged.extend(serials(&page["items"]));
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    let whole = serials(&instance.json(&["cert", "list", "--sort", "expires"]));
    assert_eq!(paged, whole);
    // What is wrong is said.
    fails(&instance.run(&["cert", "list", "--serial", "12"]), 2, &["4 to 40 hexadecimal digits"]);
    fails(&instance.run(&["cert", "list", "--page", "2", "--after", "x"]), 2, &["cursor"]);
    fails(&instance.run(&["cert", "list", "--label", "bonn"]), 2, &["KEY=VALUE"]);
    fails(&instance.run(&["store", "status", "--format", "csv"]), 2, &["that list something"]);
}

#[test]
fn a_list_as_csv_is_read_by_others() {
    let instance = Instance::init(&[]);
    instance.ok(&[
        "peer",
        "add",
        "gw1",
        "--id",
        "dn:CN=gw1,O=a\\,b",
        "--id",
        "ip:192.0.2.1",
        "--no-secret",
    ]);
    let issued = issue(&instance, "gw1", &[]);
    let written = instance.ok(&["cert", "list", "--account", "gw1", "--format", "csv"]);
    fs::write(instance.file("list.csv"), &written).unwrap();
    let program = "import csv,json,sys; print(json.dumps(list(csv.DictReader(open('list.csv', newline='')))))";
    let read = tool_ok("python3", "python3", &["-c", program], &instance.file("."));
    let read: Value = serde_json::from_str(&read).unwrap();
    assert_eq!(read.as_array().map(Vec::len), Some(1));
    for field in ["serial", "subject", "account", "ca", "not_after"] {
        assert_eq!(read[0][field], issued[field], "{field}");
    }
    assert!(read[0]["subject"].as_str().unwrap().contains("a\\,b"), "{read}");
}

#[test]
fn an_appliance_gets_its_certificate_by_the_request_that_it_shows() {
    let instance = Instance::init(&[]);
    instance.ok(&[
        "peer",
        "add",
        "gw7",
        "--id",
        "fqdn:gw7.example.net",
        "--id",
        "ip:192.0.2.7",
        "--no-secret",
    ]);
    let request = csr(
        &instance,
        "appliance",
        "/O=Maker/CN=SN 4711",
        &[
            "subjectAltName=DNS:gw7.example.net,DNS:evil.example.net",
            "basicConstraints=critical,CA:TRUE",
            "keyUsage=keyCertSign,digitalSignature",
        ],
    );
    let out = instance.file("appliance.crt");
    let arguments = [
        "cert",
        "issue",
        "--csr",
        &request,
        "--account",
        "gw7",
        "--out",
        out.to_str().unwrap(),
        "--chain",
    ];
    let answer = instance.json(&arguments);
    // What the profile has otherwise is listed.
    let changes = answer["changes"].to_string();
    for part in ["evil.example.net", "the subject is", "2.5.29.19", "2.5.29.15"] {
        assert!(changes.contains(part), "no `{part}` in {changes}");
    }
    assert_eq!(answer["alt_names"], json!(["fqdn:gw7.example.net"]));
    // OpenSSL finds the device's key in it, no CA, and a path to the root.
    let folder = instance.file(".");
    let openssl = |arguments: &[&str]| tool_ok("openssl", "openssl", arguments, &folder);
    assert_eq!(
        openssl(&["x509", "-in", "appliance.crt", "-noout", "-pubkey"]),
        openssl(&["req", "-in", "appliance.csr", "-noout", "-pubkey"])
    );
    let shown = openssl(&["x509", "-in", "appliance.crt", "-noout", "-text"]);
    assert!(
        !shown.contains("CA:TRUE")
            && !shown.contains("evil")
            && !shown.contains("Certificate Sign"),
        "{shown}"
    );
    let root = instance.root();
    openssl(&[
        "verify",
        "-CAfile",
        root.to_str().unwrap(),
        "-untrusted",
        "appliance.crt",
        "appliance.crt",
    ]);
    // The account is shown with it, and the journal says who had it issued.
    let account = instance.json(&["peer", "show", "gw7"]);
    assert_eq!(account["certificate"], answer["serial"]);
    assert_eq!(account["not_after"], answer["not_after"]);
    assert!(instance.ok(&["audit", "export"]).contains("\"action\":\"cert issue\""));
    // A file that exists, a request that is none, and a damaged signature are refused, and nothing is issued.
    fails(&instance.run(&arguments), 3, &["exists already"]);
    let mut damaged =
        tool("openssl", "openssl", &["req", "-in", "appliance.csr", "-outform", "DER"], &folder)
            .stdout;
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(instance.file("damaged.csr"), damaged).unwrap();
    for (file, words) in
        [("damaged.csr", "signature"), ("appliance.crt", "it holds a `CERTIFICATE`")]
    {
        let path = instance.file(file);
        let output =
            instance.run(&["cert", "issue", "--csr", path.to_str().unwrap(), "--account", "gw7"]);
        assert!(!output.status.success() && text(&output).contains(words), "{}", text(&output));
    }
    assert_eq!(instance.certificates("gw7").len(), 1);
}

#[test]
fn an_account_is_added_by_a_request_or_not_at_all() {
    let instance = Instance::init(&[]);
    let good =
        csr(&instance, "gw8", "/CN=gw8", &["subjectAltName=DNS:gw8.example.net,IP:192.0.2.8"]);
    let out = instance.file("gw8.crt");
    instance.ok(&["peer", "add", "gw8", "--csr", &good, "--out", out.to_str().unwrap()]);
    let account = instance.json(&["peer", "show", "gw8"]);
    assert_eq!(account["ids"], json!(["fqdn:gw8.example.net", "ip:192.0.2.8"]));
    assert_eq!(account["reference"], Value::Null);
    let root = instance.root();
    let issuing = instance.data().join("keys/issuing.crt");
    let arguments = [
        "verify",
        "-CAfile",
        root.to_str().unwrap(),
        "-untrusted",
        issuing.to_str().unwrap(),
        "gw8.crt",
    ];
    tool_ok("openssl", "openssl", &arguments, &instance.file("."));
    // A key that the profile does not take: no account is left.
    let path = instance.data().join("countersign.toml");
    let config = fs::read_to_string(&path).unwrap();
    let profile = "[profiles.small]\nbase = \"gateway\"\nkeys = [\"p256\"]\n";
    fs::write(&path, format!("{config}\n{profile}")).unwrap();
    let openssl =
        |arguments: &[&str]| tool_ok("openssl", "openssl", arguments, &instance.file("."));
    openssl(&["genpkey", "-algorithm", "ED25519", "-out", "other.key"]);
    let names = "subjectAltName=DNS:gw9.example.net";
    let request = ["req", "-new", "-key", "other.key", "-subj", "/CN=gw9", "-addext", names];
    openssl(&[&request[..], &["-out", "other.csr"]].concat());
    let other = instance.file("other.csr");
    let add = ["peer", "add", "gw9", "--profile", "small", "--csr", other.to_str().unwrap()];
    fails(&instance.run(&add), 4, &["The account `gw9` was not kept"]);
    fails(&instance.run(&["peer", "show", "gw9"]), 3, &["no account `gw9`"]);
}

/// The serial numbers on the CRL of the issuing CA, as OpenSSL reads them, in lower case.
fn listed(instance: &Instance) -> String {
    let crl = instance.http("GET", "/crl/issuing.crl", "", &[]).unwrap();
    fs::write(instance.file("crl.der"), crl.body).unwrap();
    let arguments = ["crl", "-inform", "DER", "-in", "crl.der", "-noout", "-text"];
    tool_ok("openssl", "openssl", &arguments, &instance.file(".")).to_lowercase()
}

#[test]
fn a_stolen_gateway_is_revoked_with_all_that_it_has() {
    let instance = Instance::start();
    for name in ["gw1", "gw2"] {
        instance.ok(&[
            "peer",
            "add",
            name,
            "--id",
            &format!("fqdn:{name}.example.net"),
            "--no-secret",
        ]);
    }
    let first = issue(&instance, "gw1", &[])["serial"].as_str().unwrap().to_owned();
    let second =
        issue(&instance, "gw1", &["--ca", "issuing"])["serial"].as_str().unwrap().to_owned();
    let other = issue(&instance, "gw2", &[])["serial"].as_str().unwrap().to_owned();
    let revoke =
        ["cert", "revoke", "--account", "gw1", "--all", "--remove", "--reason", "keyCompromise"];
    let mut dry = revoke.to_vec();
    dry.push("--dry-run");
    let told = instance.json(&dry);
    assert_eq!((told["dry_run"].as_bool(), serials(&told["certificates"]).len()), (Some(true), 2));
    assert_eq!(told["certificates"][0]["done"], "would be revoked");
    assert_eq!(instance.certificates("gw1")[0]["status"], "valid");
    let done = instance.json(&revoke);
    assert_eq!(done["removed"], "gw1");
    assert_eq!(
        serials(&done["certificates"]).into_iter().collect::<BTreeSet<_>>(),
        [first.clone(), second.clone()].into()
    );
    fails(&instance.run(&["peer", "show", "gw1"]), 3, &["no account `gw1`"]);
    common::eventually("the CRL has both", || {
        let listed = listed(&instance);
        listed.contains(&first) && listed.contains(&second) && !listed.contains(&other)
    });
    assert!(listed(&instance).contains("key compromise"));
    fails(
        &instance.run(&["cert", "revoke", "--account", "gw9", "--all"]),
        3,
        &["no account `gw9`"],
    );
    fails(&instance.run(&["cert", "revoke", "--account", "gw2"]), 2, &["--all"]);
    fails(&instance.run(&["cert", "revoke"]), 2, &[]);
}

#[test]
fn a_list_is_revoked_whole_or_not_at_all() {
    let instance = Instance::init(&[]);
    for name in ["gw1", "gw2", "gw3"] {
        instance.ok(&[
            "peer",
            "add",
            name,
            "--id",
            &format!("fqdn:{name}.example.net"),
            "--no-secret",
        ]);
        issue(&instance, name, &[]);
    }
    let csv = instance.ok(&["cert", "list", "--format", "csv", "--profile", "gateway"]);
    let file = instance.file("list.csv");
    let path = file.to_str().unwrap();
    fs::write(
        &file,
        format!("# stolen\n{csv}0011,valid,x,x,x,issuing,x,x\nzz,valid,x,x,x,issuing,x,x\n"),
    )
    .unwrap();
    let wrong = instance.run(&["cert", "revoke", "--file", path]);
    fails(
        &wrong,
        2,
        &["line 6: no certificate", "line 7: expected a serial number", "nothing was revoked"],
    );
    assert!(instance.certificates("gw1").iter().all(|line| line["status"] == "valid"));
    fs::write(&file, &csv).unwrap();
    let dry = instance.json(&["cert", "revoke", "--file", path, "--dry-run"]);
    assert_eq!(dry["certificates"].as_array().map(Vec::len), Some(3));
    assert!(instance.certificates("gw2").iter().all(|line| line["status"] == "valid"));
    let done = instance.json(&["cert", "revoke", "--file", path, "--reason", "superseded"]);
    assert!(done["certificates"].as_array().unwrap().iter().all(|line| line["done"] == "revoked"));
    let again = instance.json(&["cert", "revoke", "--file", path]);
    assert!(
        again["certificates"]
            .as_array()
            .unwrap()
            .iter()
            .all(|line| line["done"] == "revoked already")
    );
    let shown = instance.json(&["cert", "list", "--status", "revoked"]);
    assert_eq!(shown.as_array().map(Vec::len), Some(3));
}

#[test]
fn a_changed_account_gets_what_it_has_now() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net", "ip:192.0.2.1"]);
    let edited = instance.json(&[
        "peer",
        "edit",
        "gw1",
        "--add-id",
        "fqdn:new.example.net",
        "--remove-id",
        "ip:192.0.2.1",
        "--label",
        "site=berlin",
        "--label",
        "role=hub",
        "--owner",
        "net team",
        "--note",
        "rack 4",
    ]);
    assert_eq!(edited["ids"], json!(["fqdn:gw1.example.net", "fqdn:new.example.net"]));
    assert_eq!(edited["labels"], json!(["role=hub", "site=berlin"]));
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    let shown = common::openssl::text(&instance, "gw1.crt");
    assert!(shown.contains("new.example.net") && !shown.contains("192.0.2.1"), "{shown}");
    assert_eq!(names(&instance.json(&["peer", "list", "--label", "site=berlin"])), ["gw1"]);
    instance.ok(&[
        "peer",
        "edit",
        "gw1",
        "--label",
        "site=bonn",
        "--remove-label",
        "role",
        "--owner",
        "",
    ]);
    assert_eq!(instance.json(&["peer", "list", "--label", "site=berlin"]), json!([]));
    let account = instance.json(&["peer", "show", "gw1"]);
    assert_eq!(
        (&account["labels"], &account["owner"], &account["note"]),
        (&json!(["site=bonn"]), &Value::Null, &json!("rack 4"))
    );
    for (arguments, words) in [
        (&["--remove-id", "ip:192.0.2.99"][..], "does not have the identity"),
        (&["--profile", "gate"], "no profile `gate`"),
        (&["--ca", "third"], "no issuing CA `third`"),
        (&["--label", "Site=x"], "expected the key of a label"),
        (
            &["--remove-id", "fqdn:gw1.example.net", "--remove-id", "fqdn:new.example.net"],
            "1 to 64 identities",
        ),
    ] {
        let mut all = vec!["peer", "edit", "gw1"];
        all.extend(arguments);
        fails(&instance.run(&all), 2, &[words]);
    }
    assert_eq!(instance.json(&["peer", "show", "gw1"]), account);
}

#[test]
fn a_disabled_account_gets_nothing_until_it_is_enabled() {
    let mut instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    instance.ok(&["peer", "disable", "gw1"]);
    fails(&instance.run(&["peer", "disable", "gw1"]), 3, &["disabled already"]);
    let renew = |instance: &Instance| {
        let arguments = [
            "-cmd",
            "kur",
            "-cert",
            "gw1.crt",
            "-key",
            "gw1.key",
            "-newkey",
            "gw1.key",
            "-certout",
            "new.crt",
            "-trusted",
            instance.root().to_str().unwrap(),
        ]
        .map(str::to_owned);
        common::openssl::cmp(instance, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    enrol(&instance, &peer, "gw1.key", &[]).refused(&["disabled"]);
    renew(&instance).refused(&["disabled"]);
    // It stays disabled after a restart, and after the index was built again.
    instance.stop();
    instance.ok(&["store", "rebuild"]);
    instance.serve();
    renew(&instance).refused(&["disabled"]);
    let csr = csr(&instance, "own", "/CN=gw1", &[]);
    fails(&instance.run(&["cert", "issue", "--csr", &csr, "--account", "gw1"]), 4, &["disabled"]);
    assert_eq!(names(&instance.json(&["peer", "list", "--disabled"])), ["gw1"]);
    instance.ok(&["peer", "enable", "gw1"]);
    renew(&instance).granted();
}

#[test]
fn an_import_changes_what_exists_or_passes_over_it() {
    let instance = Instance::init(&[]);
    let file = instance.file("peers.csv");
    let path = file.to_str().unwrap().to_owned();
    let import = |text: &str, more: &[&str]| {
        fs::write(&file, text).unwrap();
        let mut arguments = vec!["peer", "import", &path];
        arguments.extend(more);
        instance.run(&arguments)
    };
    // Semicolons between columns, and comments.
    let first = "# by hand\nname;ids;labels;owner\n# the first\ngw1;fqdn:gw1.example.net;\"site=berlin;role=hub\";alice\ngw2;\"fqdn:gw2.example.net;ip:192.0.2.2\";;\n";
    let output = import(first, &[]);
    assert!(output.status.success(), "{}", text(&output));
    let gw1 = instance.json(&["peer", "show", "gw1"]);
    assert_eq!(
        (&gw1["labels"], &gw1["owner"]),
        (&json!(["role=hub", "site=berlin"]), &json!("alice"))
    );
    assert_eq!(
        instance.json(&["peer", "show", "gw2"])["ids"],
        json!(["fqdn:gw2.example.net", "ip:192.0.2.2"])
    );
    // Lines are counted with comments.
    fails(&import("name,ids\n# x\n\n# y\ngw9,fqdn:a..b\n", &[]), 2, &["line 5, column `ids`"]);
    // What exists is refused, unless it is said what to do.
    let second = "name,ids,labels\ngw1,fqdn:gw1.example.org,site=bonn\ngw3,fqdn:gw3.example.net,\n";
    fails(&import(second, &[]), 3, &["line 2, account `gw1` exists already"]);
    let dry = import(second, &["--update", "--dry-run", "--format", "json"]);
    let told: Value = serde_json::from_slice(&dry.stdout).unwrap();
    assert_eq!((&told["changed"], &told["would_add"]), (&json!(["gw1"]), &json!(["gw3"])));
    assert_eq!(names(&instance.json(&["peer", "list"])), ["gw1", "gw2"]);
    let output = import(second, &["--skip-existing"]);
    assert!(text(&output).contains("1 added, 0 changed, 1 left"), "{}", text(&output));
    assert_eq!(instance.json(&["peer", "show", "gw1"])["ids"], json!(["fqdn:gw1.example.net"]));
    let output = import(second, &["--update"]);
    assert!(text(&output).contains("0 added, 1 changed, 1 left"), "{}", text(&output));
    let gw1 = instance.json(&["peer", "show", "gw1"]);
    assert_eq!(
        (&gw1["ids"], &gw1["labels"], &gw1["owner"]),
        (&json!(["fqdn:gw1.example.org"]), &json!(["site=bonn"]), &json!("alice"))
    );
    // Every error at once, and nothing is recorded.
    let wrong = "name,ids,profile,labels\ngw1,fqdn:gw1.example.net,gate,\ngw4,fqdn:gw4.example.net,gateway,site\ngw5,fqdn:gw5..net,gateway,\n";
    fails(&import(wrong, &["--update"]), 2, &["line 3, column `labels`", "line 4, column `ids`"]);
    assert_eq!(instance.json(&["peer", "show", "gw1"]), gw1);
}

#[test]
fn an_import_changes_the_equipment_of_accounts_that_exist() {
    let instance = Instance::init(&[]);
    let pki = Pki { instance: &instance };
    pki.root("maker", "/O=Maker/CN=Maker Root");
    instance.ok(&[
        "trust",
        "add",
        &pki.path("maker.crt"),
        "--name",
        "maker",
        "--map",
        "serialNumber",
    ]);
    let file = instance.file("peers.csv");
    let path = file.to_str().unwrap().to_owned();
    let import = |rows: &str| {
        fs::write(&file, format!("name,ids,equipment\n{rows}")).unwrap();
        instance.run(&["peer", "import", &path, "--update"])
    };
    let device = |name: &str| instance.json(&["peer", "show", name])["equipment"].clone();
    instance.ok(&["peer", "add", "gw1", "--id", "fqdn:gw1.example.net", "--no-secret"]);
    let gw2 = [
        "peer",
        "add",
        "gw2",
        "--id",
        "fqdn:gw2.example.net",
        "--equipment",
        "maker:SN2",
        "--equipment-uses",
        "5",
    ];
    instance.ok(&gw2);
    let both = "gw1,fqdn:gw1.example.net,maker:SN1\ngw2,fqdn:gw2.example.net,maker:SN2\n";
    let output = import(both);
    assert!(text(&output).contains("0 added, 1 changed, 1 left"), "{}", text(&output));
    assert_eq!((device("gw1"), device("gw2")), (json!("maker:SN1"), json!("maker:SN2")));
    // Its own device keeps its uses; another one, an unknown vendor's and none are told apart.
    assert_eq!(instance.json(&["peer", "show", "gw2"])["equipment_uses_left"], 5);
    fails(
        &import("gw1,fqdn:gw1.example.net,maker:SN2\n"),
        2,
        &["`maker:SN2` is the equipment of the account `gw2`"],
    );
    fails(&import("gw1,fqdn:gw1.example.net,other:SN2\n"), 2, &["line 2", "other"]);
    assert!(
        import("gw1,fqdn:gw1.example.net,\ngw2,fqdn:gw2.example.net,maker:SN3\n").status.success()
    );
    assert_eq!((device("gw1"), device("gw2")), (Value::Null, json!("maker:SN3")));
    assert_eq!(instance.json(&["peer", "show", "gw2"])["equipment_uses_left"], 1);
    // A file without the column changes no device.
    fs::write(&file, "name,ids\ngw2,fqdn:other.example.net\n").unwrap();
    instance.ok(&["peer", "import", &path, "--update"]);
    assert_eq!(device("gw2"), json!("maker:SN3"));
}

#[test]
fn accounts_are_listed_by_what_is_known_of_their_certificates() {
    let instance = Instance::init(&[]);
    for name in ["a1", "a2", "b1"] {
        instance.ok(&[
            "peer",
            "add",
            name,
            "--id",
            &format!("fqdn:{name}.example.net"),
            "--no-secret",
        ]);
    }
    let issued = issue(&instance, "a2", &[]);
    let lapsed = issue(&instance, "b1", &[]);
    instance.ok(&["cert", "revoke", lapsed["serial"].as_str().unwrap()]);
    let list = |arguments: &[&str]| {
        let mut all = vec!["peer", "list"];
        all.extend(arguments);
        let list = instance.json(&all);
        names(&list).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(list(&["--state", "never-enrolled"]), ["a1"]);
    assert_eq!(list(&["--state", "enrolled"]), ["a2"]);
    assert_eq!(list(&["--state", "lapsed"]), ["b1"]);
    assert_eq!(list(&["--prefix", "a"]), ["a1", "a2"]);
    assert_eq!(list(&["--id", "fqdn:B1.example.net"]), ["b1"]);
    assert_eq!(list(&["--expires-within", "400d"]), ["a2"]);
    assert_eq!(list(&["--sort", "last-seen"])[2], "a1");
    let page = instance.json(&["peer", "list", "--page", "2"]);
    assert_eq!((names(&page["items"]), &page["next"]), (vec!["a1", "a2"], &json!("a2")));
    let page = instance.json(&["peer", "list", "--page", "2", "--after", "a2"]);
    assert_eq!((names(&page["items"]), &page["next"]), (vec!["b1"], &Value::Null));
    // The certificates of an earlier account of the name are not the new one's.
    instance.ok(&["peer", "remove", "a2"]);
    instance.ok(&["peer", "add", "a2", "--id", "fqdn:a2.example.net", "--no-secret"]);
    assert_eq!(list(&["--state", "never-enrolled"]), ["a1", "a2"]);
    assert_eq!(
        instance.json(&["cert", "show", issued["serial"].as_str().unwrap()])["status"],
        "valid"
    );
}

#[test]
fn the_state_is_on_one_screen_and_a_monitor_reads_it() {
    let mut instance = Instance::start();
    let state = |instance: &Instance| {
        let output = instance.run(&["status", "--format", "json"]);
        let state: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(i32::from(state["ok"] != true)), "{state}");
        state
    };
    let codes = |state: &Value| -> Vec<String> {
        let findings = state["findings"].as_array().unwrap().iter();
        findings.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
    };
    let first = state(&instance);
    assert_eq!(
        (&first["ok"], codes(&first)),
        (&json!(true), vec!["backup-none".to_owned()]),
        "{first}"
    );
    fails(&instance.run(&["status", "--strict"]), 1, &["1 findings"]);
    let backup = instance.file("backup");
    instance.ok(&["backup", backup.to_str().unwrap()]);
    instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let second = state(&instance);
    assert_eq!(
        (codes(&second), &second["accounts"]["never_enrolled"]),
        (Vec::new(), &json!(1)),
        "{second}"
    );
    assert!(instance.ok(&["status", "--strict"]).contains("CA issuing"));
    // Who should have renewed is told, as is a CRL that is late, and a server that does not run.
    instance.stop();
    let stopped = state(&instance);
    assert_eq!((&stopped["ok"], codes(&stopped)), (&json!(false), vec!["not-running".to_owned()]));
    let later = |shift: &str| {
        let mut command = common::at_another_time(shift, common::COUNTERSIGN);
        command.args(["status", "--format", "json", "--data"]).arg(instance.data());
        let output = common::output_of(&mut command);
        serde_json::from_slice::<Value>(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", text(&output)))
    };
    let late = later("+30d");
    let late = codes(&late);
    assert!(late.contains(&"crl-over".into()) && late.contains(&"backup-old".into()), "{late:?}");
    assert!(late.contains(&"never-enrolled".into()), "{late:?}");
}

#[test]
fn keys_open_by_the_new_passphrase_and_no_more_by_the_old() {
    let mut instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let (old, new) = (instance.data().join("passphrase"), instance.file("new"));
    let before = fs::read_to_string(&old).unwrap();
    fs::write(&new, "correct horse battery staple\n").unwrap();
    tool_ok("chmod", "coreutils", &["600", "new"], &instance.file("."));
    let change =
        ["passphrase", "change", "--new-passphrase-file", new.to_str().unwrap()].map(str::to_owned);
    let change: Vec<&str> = change.iter().map(String::as_str).collect();
    fails(&instance.run(&change), 5, &["stop it"]);
    // The key of a delegate whose certificate was revoked is kept, and is a key like any other.
    instance.ok(&[
        "cert",
        "revoke",
        &serials(&instance.json(&["cert", "list", "--account", "_ocsp"]))[0],
        "--reason",
        "keyCompromise",
    ]);
    instance.stop();
    instance.serve();
    let has_kept = || {
        fs::read_dir(instance.data().join("keys"))
            .unwrap()
            .any(|entry| entry.unwrap().file_name().to_string_lossy().ends_with(".key.revoked"))
    };
    eventually("the key is kept", has_kept);
    instance.stop();
    let keys = || -> Vec<String> {
        let all = fs::read_dir(instance.data().join("keys")).unwrap();
        let all = all.map(|entry| entry.unwrap().path().to_str().unwrap().to_owned());
        all.filter(|path| path.ends_with(".key") || path.ends_with(".key.revoked")).collect()
    };
    let opens = |key: &str, passphrase: &str| {
        let by = format!("pass:{}", passphrase.trim());
        let arguments = ["pkey", "-noout", "-in", key, "-passin", &by];
        tool("openssl", "openssl", &arguments, &instance.file(".")).status.success()
    };
    // OpenSSL 3.0 does not read the Ed25519 key, which is PKCS#8 of version 2.
    let read: Vec<String> = keys().into_iter().filter(|key| opens(key, &before)).collect();
    assert!(read.len() >= 3, "{read:?}");
    assert!(read.iter().any(|key| key.ends_with(".key.revoked")), "{read:?}");
    let files = || fs::read_dir(instance.data().join("keys")).unwrap().count();
    let (count, all) = (keys().len(), files());
    assert_eq!(instance.json(&change)["changed"], count);
    assert_eq!(files(), all);
    assert!(
        !instance.data().join("keys.next").exists()
            && !instance.data().join("passphrase.next").exists()
    );
    for key in read {
        assert!(opens(&key, "correct horse battery staple"), "{key}");
        assert!(!opens(&key, &before), "{key}");
    }
    // Everything goes on: secrets that were sealed before open.
    instance.serve();
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    instance.stop();
    // A short one is warned of, and not refused.
    fs::write(&new, "abcd\n").unwrap();
    let run = instance.run(&change);
    assert!(run.status.success() && text(&run).contains("less than 12 characters"), "{run:?}");
    fs::write(&new, "correct horse battery staple\n").unwrap();
    let run = instance.run(&change);
    assert!(run.status.success() && !text(&run).contains("characters"), "{run:?}");
    // An interrupted change says how it ends; a wrong passphrase changes nothing.
    fs::rename(&old, instance.data().join("passphrase.next")).unwrap();
    fs::write(&old, &before).unwrap();
    tool_ok("chmod", "coreutils", &["600", old.to_str().unwrap()], &instance.file("."));
    fails(&instance.run(&change), 4, &["was interrupted", "mv "]);
    fs::rename(instance.data().join("passphrase.next"), &old).unwrap();
    instance.ok(&["audit", "verify"]);
    assert!(instance.ok(&["audit", "export"]).contains("passphrase change"));
}

#[test]
fn an_auditor_reads_who_did_what_from_where() {
    let mut instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    instance.ok(&["peer", "add", "gw10", "--id", "fqdn:gw10.example.net", "--no-secret"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    let serial = instance.certificates("gw1")[0]["serial"].as_str().unwrap().to_owned();
    instance.ok(&["cert", "revoke", &serial, "--reason", "keyCompromise"]);
    let report = |arguments: &[&str]| {
        let mut all = vec!["audit", "report"];
        all.extend(arguments);
        instance.json(&all).as_array().unwrap().clone()
    };
    let own = report(&["--account", "gw1"]);
    let told = |action: &str| {
        let line = own.iter().find(|line| line["action"] == action);
        line.unwrap_or_else(|| panic!("no `{action}` in {own:#?}")).clone()
    };
    let issued = told("certificate issued");
    assert_eq!(
        (&issued["actor"], &issued["proof"], &issued["from"]),
        (&json!("gw1"), &json!("its secret"), &json!("127.0.0.1"))
    );
    assert!(issued["detail"].as_str().unwrap().contains(&serial));
    let revoked = told("certificate revoked");
    assert_eq!((&revoked["actor"], &revoked["account"]), (&json!("instance"), &json!("gw1")));
    assert!(revoked["detail"].as_str().unwrap().contains("keyCompromise"));
    let admin = told("peer add")["actor"].as_str().unwrap().to_owned();
    assert!(admin.starts_with("uid "), "{admin}");
    assert!(own.iter().all(|line| !line.to_string().contains("gw10")), "{own:#?}");
    // What an administrator did, and nothing else; nothing before a day to come.
    let deeds = report(&["--actor", &admin]);
    let actions: Vec<&str> = deeds.iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["init", "peer add", "peer add", "cert revoke"]);
    assert_eq!(report(&["--since", "2100-01-01"]), Vec::<Value>::new());
    // A spreadsheet reads the same lines, while the server runs and when it does not.
    let csv = instance.ok(&["audit", "report", "--format", "csv"]);
    fs::write(instance.file("report.csv"), &csv).unwrap();
    let program = "import csv; print(len(list(csv.DictReader(open('report.csv', newline='')))))";
    let read = tool_ok("python3", "python3", &["-c", program], &instance.file("."));
    assert_eq!(read.trim(), report(&[]).len().to_string());
    assert!(!csv.contains(&peer.secret));
    instance.stop();
    assert!(instance.json(&["audit", "report"]).as_array().unwrap().len() >= deeds.len());
}
