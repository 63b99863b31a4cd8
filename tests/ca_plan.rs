//! The rollover planner: who has shown that they have the next key of a root and of an issuing CA, by which evidence, and when it is safe to
//! go on. The clients are OpenSSL's and curl.
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

use common::est::Site;
use common::openssl::{cmp, cmp_by, enrol, key};
use common::{Instance, Peer, at_another_time, eventually, fails, tool, tool_ok};
use serde_json::{Value, json};

/// The plan of a CA, and the exit code.
fn plan(instance: &Instance, arguments: &[&str]) -> (Value, i32) {
    let all = [&["ca", "plan"], arguments, &["--format", "json"]].concat();
    let output = instance.run(&all);
    let said = common::text(&output);
    let plan = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"));
    (plan, output.status.code().unwrap())
}

/// The kinds of evidence of each account in a plan.
fn evidence(plan: &Value) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let kinds = |row: &Value| {
        let list = row["evidence"].as_array().unwrap().iter();
        list.map(|shown| text(&shown["kind"])).collect::<Vec<_>>()
    };
    let rows = plan["accounts"].as_array().unwrap().iter();
    rows.map(|row| (text(&row["account"]), kinds(row))).collect()
}

fn expected(of: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let kinds = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect();
    of.iter().map(|(name, list)| ((*name).to_owned(), kinds(list))).collect()
}

/// Whether `openssl verify` accepts a CA's certificate directly below a root.
fn is_below(instance: &Instance, root: &str, ca: &str) -> bool {
    let file =
        |name: &str| instance.data().join(format!("keys/{name}.crt")).to_str().unwrap().to_owned();
    let arguments = ["verify", "-no-CApath", "-no-CAstore", "-CAfile", &file(root), &file(ca)];
    tool("openssl", "openssl", &arguments, &instance.file(".")).status.success()
}

/// The entries of the journal that say what a peer has shown.
fn recorded(instance: &Instance) -> usize {
    let exported = instance.ok(&["audit", "export"]);
    exported.lines().filter(|line| line.contains("\"kind\":\"anchor-shown\"")).count()
}

fn renew_with(name: &str) -> [String; 4] {
    ["-cert".into(), format!("{name}.crt"), "-key".into(), format!("{name}.key")]
}

#[test]
fn the_next_keys_are_activated_when_every_gateway_has_shown_that_it_has_them() {
    let mut site = Site::start();
    let instance = &mut site.instance;
    let names = ["by-cmp", "by-est", "never"];
    for name in names {
        let peer =
            instance.peer_with(name, &[&format!("fqdn:{name}.example.net")], &["--uses", "9"]);
        key(instance, "p256", &format!("{name}.key"));
        enrol(instance, &peer, &format!("{name}.key"), &[]).granted();
    }
    instance.peer("unborn", &["fqdn:unborn.example.net"]);
    fails(&instance.run(&["ca", "plan", "issuing"]), 3, &["`issuing` has no next key", "--staged"]);
    fails(&instance.run(&["ca", "plan", "nobody"]), 3, &["there is no CA `nobody`"]);
    instance.ok(&["ca", "plan"]);

    // 1. Both keys wait. The root before certifies until the next one is activated.
    instance.stop();
    let said = instance.json(&["ca", "roll", "root", "--stage"]);
    assert!(said["next"].as_str().unwrap().contains("ca activate root.2"), "{said}");
    instance.ok(&["ca", "roll", "issuing", "--staged"]);
    assert!(is_below(instance, "root", "issuing.2") && !is_below(instance, "root.2", "issuing.2"));
    fails(&instance.run(&["ca", "activate", "root.2"]), 3, &["has no CRL yet"]);
    instance.serve();
    let cas = instance.json(&["ca", "show"]);
    for ca in cas.as_array().unwrap() {
        assert_eq!(ca["waits"], ca["name"].as_str().unwrap().ends_with(".2"), "{ca}");
    }
    let (first, code) = plan(instance, &["root"]);
    assert_eq!(code, 1);
    assert_eq!((&first["ca"], &first["succeeds"]), (&json!("root.2"), &json!("root")));
    assert_eq!((&first["waits"], &first["safe"]), (&json!(true), &json!(false)));
    assert_eq!(
        (&first["shown"], &first["missing"], &first["not_enrolled"]),
        (&json!(0), &json!(3), &json!(1))
    );
    let none: [(&str, &[&str]); 3] = [("by-cmp", &[]), ("by-est", &[]), ("never", &[])];
    assert_eq!(evidence(&first), expected(&none));
    // Time alone makes it safe when the last certificate of those who have shown nothing has ended.
    let ends: Vec<&str> = first["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["not_after"].as_str().unwrap())
        .collect();
    assert_eq!(first["activate"]["from"], **ends.iter().max().unwrap());
    let (all, code) = plan(instance, &[]);
    assert_eq!((all.as_array().unwrap().len(), code), (2, 1));

    // 2. Strangers get the same certificates, and show nothing.
    let g2 = "CN = Countersign root CA G2";
    let instance = &site.instance;
    let strangers = site.curl("/.well-known/est/cacerts", &[]);
    fs::write(instance.file("cacerts.p7"), strangers.is(200, &[]).der()).unwrap();
    let print = ["pkcs7", "-inform", "DER", "-in", "cacerts.p7", "-print_certs", "-noout"];
    let said = tool_ok("openssl", "openssl", &print, &instance.file("."));
    assert!(said.contains(g2) && said.contains("CN = Countersign issuing CA G2"), "{said}");
    let wrong = ["-ref", "nobody", "-secret", "pass:wrong"];
    let list = ["-cmd", "genm", "-infotype", "caCerts"];
    cmp(instance, &[&wrong[..], &list].concat()).refused(&[]);
    assert_eq!(evidence(&plan(instance, &["root.2"]).0), expected(&none));
    assert_eq!(recorded(instance), 0);

    // 3. Evidence arrives, and is recorded once.
    let certificate = renew_with("by-cmp");
    let certificate: Vec<&str> = certificate.iter().map(String::as_str).collect();
    let root = instance.root().to_str().unwrap().to_owned();
    let update = ["-cmd", "genm", "-infotype", "rootCaCert", "-oldwithold", &root];
    let update = [&certificate[..], &update, &["-newwithnew", "new.pem"]].concat();
    for _ in 0..2 {
        // Debian's OpenSSL does not know this question.
        let newer = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-openssl/openssl");
        assert!(newer.exists(), "{} is missing: run `make deps`", newer.display());
        cmp_by(Command::new(newer), instance, &update).granted();
        let said = tool_ok(
            "openssl",
            "openssl",
            &["x509", "-in", "new.pem", "-noout", "-subject"],
            &instance.file("."),
        );
        assert!(said.contains(g2), "{said}");
        let expected = expected(&[("by-cmp", &["cmp-genm"]), ("by-est", &[]), ("never", &[])]);
        eventually("evidence by a general message", || {
            evidence(&plan(instance, &["root"]).0) == expected
        });
    }
    // Of the issuing CA, it was not given the certificate yet.
    assert_eq!(evidence(&plan(instance, &["issuing"]).0), expected(&none));
    cmp(instance, &[&certificate[..], &list].concat()).granted();
    let client = ["--cert", "by-est.crt", "--key", "by-est.key"];
    for _ in 0..2 {
        site.curl("/.well-known/est/cacerts", &client).is(200, &[]);
    }
    let two: [(&str, &[&str]); 3] =
        [("by-cmp", &["cmp-genm"]), ("by-est", &["est-cacerts"]), ("never", &[])];
    for ca in ["root", "issuing"] {
        eventually("evidence by EST", || evidence(&plan(instance, &[ca]).0) == expected(&two));
    }
    assert_eq!(recorded(instance), 4);
    let (second, code) = plan(instance, &["root"]);
    assert_eq!((&second["shown"], &second["missing"], code), (&json!(2), &json!(1), 1));

    // 4. It is there after a restart, after a rebuild of the index, and in the backup.
    let backup = instance.file("backup").to_str().unwrap().to_owned();
    instance.ok(&["backup", &backup]);
    site.instance.stop();
    site.instance.ok(&["store", "rebuild"]);
    site.instance.ok(&["audit", "verify"]);
    let mut restored = Instance::empty();
    restored.ok(&["restore", &backup]);
    fs::copy(site.instance.data().join("passphrase"), restored.data().join("passphrase")).unwrap();
    restored.serve();
    assert_eq!(plan(&restored, &["root"]).0["accounts"], second["accounts"]);
    restored.stop();
    site.instance.serve();
    let instance = &site.instance;
    assert_eq!(plan(instance, &["root"]).0, second);

    // 5. An administrator's word, which the journal has with who gave it.
    let (third, code) = plan(instance, &["root", "--mark", "never"]);
    assert_eq!((&third["missing"], &third["safe"], code), (&json!(0), &json!(true), 0));
    let marked = &third["accounts"][2]["evidence"][0];
    assert_eq!(marked["kind"], "marked");
    assert!(marked["by"].as_str().unwrap().starts_with("uid "), "{marked}");
    assert_eq!(plan(instance, &["root", "--mark", "never"]).0, third, "once is enough");
    assert_eq!(recorded(instance), 5);
    fails(&instance.run(&["ca", "plan", "root", "--mark", "nobody"]), 3, &["nobody"]);
    instance.ok(&["ca", "activate", "root.2"]);
    // The root before certifies a CA that issues, and so is needed.
    let (fourth, code) = plan(instance, &["root"]);
    assert_eq!((&fourth["waits"], &fourth["activate"]["safe"]), (&json!(false), &json!(true)));
    let why = fourth["retire"]["why"].as_str().unwrap();
    assert!(why.contains("the CA `issuing` issues") && code == 1, "{why}");

    // 6. The issuing CA: an export brings its certificate to the gateway that fetches nothing.
    assert_eq!(plan(instance, &["issuing"]).1, 1);
    let out = instance.file("exported").to_str().unwrap().to_owned();
    instance.ok(&["export", "never", "--for", "strongswan", "--out", &out, "--force"]);
    instance.ok(&["export", "never", "--for", "strongswan", "--out", &out, "--force", "--replace"]);
    let (fifth, code) = plan(instance, &["issuing"]);
    let three: [(&str, &[&str]); 3] =
        [("by-cmp", &["cmp-genm"]), ("by-est", &["est-cacerts"]), ("never", &["export"])];
    assert_eq!((evidence(&fifth), code), (expected(&three), 0));
    assert_eq!(recorded(instance), 6);
    let text = instance.ok(&["ca", "plan", "issuing"]);
    assert!(text.contains("safe: `countersign ca activate issuing.2`"), "{text}");
    instance.ok(&["ca", "activate", "issuing.2"]);
    // Now it is about the key before: its last certificate counts.
    let (sixth, code) = plan(instance, &["issuing"]);
    assert_eq!((&sixth["retire"]["safe"], code), (&json!(false), 1));
    assert!(sixth["retire"]["why"].as_str().unwrap().contains("the last certificate below"));
    for name in names {
        let file = format!("{name}.crt");
        let certificate = renew_with(name);
        let certificate: Vec<&str> = certificate.iter().map(String::as_str).collect();
        let kur = ["-cmd", "kur", "-newkey", &format!("{name}.key"), "-certout", "new.crt"];
        cmp(instance, &[&certificate[..], &kur].concat()).granted();
        let arguments = ["x509", "-noout", "-serial", "-in", &file];
        let serial = tool_ok("openssl", "openssl", &arguments, &instance.file("."));
        instance.ok(&["cert", "revoke", serial.trim().trim_start_matches("serial=")]);
        fs::rename(instance.file("new.crt"), instance.file(&file)).unwrap();
    }
    let (seventh, code) = plan(instance, &["issuing"]);
    assert_eq!((&seventh["retire"]["safe"], code), (&json!(true), 0), "{seventh}");
    let issued: [(&str, &[&str]); 3] = [
        ("by-cmp", &["cmp-genm", "issued"]),
        ("by-est", &["est-cacerts", "issued"]),
        ("never", &["export", "issued"]),
    ];
    assert_eq!(evidence(&seventh), expected(&issued));

    // 7. A later account of the name is another one.
    instance.ok(&["peer", "remove", "never"]);
    let peer = instance.peer("never", &["fqdn:never.example.net"]);
    enrol(instance, &peer, "never.key", &[]).granted();
    let rows = evidence(&plan(instance, &["issuing"]).0);
    assert_eq!(rows[2], ("never".to_owned(), vec!["issued".to_owned()]));

    // 8. The next issuing CA comes from the root that was activated.
    site.instance.stop();
    site.instance.ok(&["ca", "roll", "issuing.2", "--staged"]);
    assert!(is_below(&site.instance, "root.2", "issuing.3"));
}

/// A message that was made before the next key, and is sent again by somebody else after it, shows nothing.
#[test]
fn a_message_from_before_the_next_key_shows_nothing() {
    let mut instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    let certificate = renew_with("gw1");
    let certificate: Vec<&str> = certificate.iter().map(String::as_str).collect();
    let genm = ["-cmd", "genm", "-infotype", "caCerts", "-reqout", "old.der"];
    cmp(&instance, &[&certificate[..], &genm].concat()).granted();
    instance.stop();
    // The CA's certificate is backdated by a minute.
    let at = "+90s";
    let output = at_another_time(at, common::COUNTERSIGN)
        .args(["ca", "roll", "issuing", "--staged", "--data"])
        .arg(instance.data())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    instance.serve_with(at_another_time(at, common::COUNTERSIGN));
    let answer = instance.cmp(&fs::read(instance.file("old.der")).unwrap());
    let new = fs::read(instance.data().join("keys/issuing.2.crt")).unwrap();
    let new = der::pem::decode_vec(&new).unwrap().1;
    assert!(answer.windows(new.len()).any(|part| part == new), "it was answered with the next key");
    // What was begun before is recorded before this.
    instance.peer("later", &["fqdn:later.example.net"]);
    assert_eq!(recorded(&instance), 0);
    let run = cmp_by(
        at_another_time(at, "openssl"),
        &instance,
        &[&certificate[..], &["-cmd", "genm", "-infotype", "caCerts"]].concat(),
    );
    run.granted();
    let rows = || evidence(&plan(&instance, &["issuing"]).0);
    eventually("evidence of a message from now", || rows() == expected(&[("gw1", &["cmp-genm"])]));
    assert_eq!(recorded(&instance), 1);
}

/// An administrator's certificate is of the same root, and meets no peer's.
#[test]
fn who_is_no_ike_peer_holds_up_no_plan() {
    let mut instance = Instance::start();
    let new = instance.json(&["admin", "add", "alice", "--role", "viewer"]);
    let [reference, secret] =
        ["reference", "secret"].map(|field| new["account"][field].as_str().unwrap().to_owned());
    let alice = Peer { name: "alice".into(), reference, secret };
    let gateway = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "key.pem");
    for peer in [&alice, &gateway] {
        enrol(&instance, peer, "key.pem", &[]).granted();
    }
    instance.stop();
    instance.ok(&["ca", "roll", "issuing", "--staged"]);
    instance.serve();
    let (first, _) = plan(&instance, &["issuing"]);
    assert_eq!(evidence(&first), expected(&[("gw1", &[])]));
    assert_eq!((&first["missing"], &first["no_peers"]), (&json!(1), &json!(1)), "{first}");
    let (second, code) = plan(&instance, &["issuing", "--mark", "gw1"]);
    assert_eq!((&second["safe"], code), (&json!(true), 0), "{second}");
    assert!(instance.ok(&["ca", "plan", "issuing"]).contains("1 are no IKE peers"));
}
