//! Accounts as an administrator adds, imports, changes and removes them.
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
use std::process::Command;

use common::openssl::{enrol, key};
use common::{COUNTERSIGN, Instance, fails, text};
use countersign_ca::record::AdminAction;
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore};
use countersign_ca::{Clock, Store, SystemClock};
use serde_json::{Value, json};

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

/// Records actions that make the journal longer than all other files of the instance. A limit on the size of files then meets the journal
/// only.
fn make_journal_long(instance: &Instance) {
    let store = EmbeddedStore::open(&instance.data(), EmbeddedOptions::default(), &mut |_| {});
    let store = store.unwrap();
    for _ in 0..16 {
        let detail = "x".repeat(1 << 20);
        let done = AdminAction { actor: "uid 0".into(), action: "a test".into(), detail };
        store.record_admin_action(SystemClock.now(), &done).unwrap();
    }
}

#[test]
fn a_change_is_told_even_if_the_journal_cannot_say_who_made_it() {
    let instance = Instance::init(&[]);
    make_journal_long(&instance);
    let journal = instance.data().join("journal/journal");
    let length = || fs::metadata(&journal).unwrap().len();
    // Runs a command with a journal that has room for `room` octets more.
    let within = |room: u64, arguments: &[&str]| {
        // A write beyond the limit fails; without `env` the signal SIGXFSZ would end the program.
        let mut command = Command::new("env");
        command.args(["--ignore-signal=XFSZ", "prlimit"]);
        command.arg(format!("--fsize={}", length() + room)).arg(COUNTERSIGN);
        command.args(arguments).args(["--format", "json", "--data"]).arg(instance.data());
        command.output().unwrap_or_else(|e| {
            panic!("`prlimit`: {e}; this test needs the package `util-linux`: run `make deps`")
        })
    };
    let add = |name: &'static str| ["peer", "add", name, "--id", "fqdn:gw1.example.net"];
    let empty = length();
    instance.ok(&add("gw1"));
    let added = length() - empty;
    // The account has room, and what says who added it has not.
    let output = within(added - 1, &add("gw2"));
    assert!(output.status.success(), "{}", text(&output));
    let new: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(new["secret"].as_str().map(str::len), Some(32), "{new}");
    let warnings = new["warnings"].to_string();
    assert!(warnings.contains("`peer add` is done (1 accounts: gw2)"), "{new}");
    assert_eq!(instance.json(&["peer", "show", "gw2"])["reference"], new["reference"]);
    let before = length();
    instance.ok(&["peer", "allow", "gw1", "--permission", "key-generation"]);
    let allowed = length() - before;
    let output = within(allowed - 1, &["peer", "allow", "gw2", "--permission", "key-generation"]);
    fails(&output, 5, &["`peer allow` is done (gw2 key-generation)", "does not say that uid"]);
    assert_eq!(instance.json(&["peer", "show", "gw2"])["permissions"], json!(["key-generation"]));
    instance.ok(&["audit", "verify"]);
}
