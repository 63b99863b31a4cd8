//! A root that is kept elsewhere, and several issuing CAs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;

use common::openssl::{enrol, key};
use common::{Instance, fails, text, tool_ok};

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
