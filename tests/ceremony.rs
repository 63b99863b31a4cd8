//! The ceremony of an offline root: two data folders, one with the root only and one with the issuing CA and the server. Everything that
//! passes between them is a file, and OpenSSL judges it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::path::PathBuf;

use common::offline::{ISSUING, OfflineRoot};
use common::openssl::{enrol, key};
use common::{Instance, fails, tool, tool_ok};
use serde_json::Value;

const URL: &str = "http://pki.example.net/crl/root.crl";

/// The two machines. Files are carried between them in the folder of the offline one.
struct Ceremony {
    offline: Instance,
    online: Instance,
}

impl Ceremony {
    /// An offline root, and an issuing CA below it.
    fn done() -> Self {
        let (offline, online) = (Instance::empty(), Instance::empty());
        offline.ok(&["init", "--root-only", "--root-subject", "CN=Offline root"]);
        let ceremony = Self { offline, online };
        ceremony.online.ok(&["init", "--root-csr", &ceremony.path("issuing.csr")]);
        ceremony.sign(&["--yes"]);
        ceremony.online.ok(&["init", "--root-cert", &ceremony.path("issuing.pem")]);
        ceremony
    }

    fn file(&self, name: &str) -> PathBuf {
        self.offline.file(name)
    }

    fn path(&self, name: &str) -> String {
        self.file(name).to_str().unwrap().to_owned()
    }

    fn openssl(&self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        tool_ok("openssl", "openssl", &words, &self.file("."))
    }

    fn sign(&self, more: &[&str]) -> Value {
        let (csr, out) = (self.path("issuing.csr"), self.path("issuing.pem"));
        let arguments = ["ca", "sign", "--csr", &csr, "--out", &out, "--crl-url", URL];
        self.offline.json(&[&arguments[..], more].concat())
    }

    fn sign_crl(&self, name: &str) -> Value {
        let out = self.path(name);
        self.offline.json(&["crl", "sign", "--out", &out, "--next-update", "180d"])
    }

    /// The CRL of a CA as the server publishes it.
    fn published(&self, ca: &str) -> Option<Vec<u8>> {
        let answer = self.online.http("GET", &format!("/crl/{ca}.crl"), "", &[]).unwrap();
        assert!(matches!(answer.status, 200 | 404), "{}", answer.status);
        (answer.status == 200).then_some(answer.body)
    }

    /// What `openssl verify -crl_check_all` says of a certificate, by the CRLs that the server publishes.
    fn verified(&self, leaf: &str) -> (bool, String) {
        for ca in ["root", "issuing"] {
            fs::write(self.file("one.crl"), self.published(ca).expect("a CRL")).unwrap();
            self.openssl(&format!("crl -inform DER -in one.crl -out {ca}.crl.pem"));
        }
        let root = self.offline.data().join("keys/root.crt");
        let arguments = ["verify", "-x509_strict", "-crl_check_all", "-no-CApath", "-no-CAstore"];
        let crls = ["-CRLfile", "root.crl.pem", "-CRLfile", "issuing.crl.pem"];
        let between = ["-CAfile", root.to_str().unwrap(), "-untrusted", "issuing.pem", leaf];
        let all = [&arguments[..], &crls, &between].concat();
        let output = tool("openssl", "openssl", &all, &self.file("."));
        (output.status.success(), common::text(&output))
    }
}

fn finding(instance: &Instance, code: &str) -> Option<Value> {
    let output = instance.run(&["status", "--format", "json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    status["findings"].as_array().unwrap().iter().find(|found| found["code"] == code).cloned()
}

#[test]
fn an_offline_root_certifies_revokes_and_is_heard_through_the_server() {
    let (offline, online) = (Instance::empty(), Instance::empty());
    let mut at = Ceremony { offline, online };
    // 1. A data folder with a root, and nothing else.
    let made = at.offline.json(&["init", "--root-only", "--root-subject", "CN=Offline root"]);
    assert_eq!(made["subject"], "CN=Offline root");
    let cas = at.offline.json(&["ca", "show"]);
    let names: Vec<&Value> = cas.as_array().unwrap().iter().map(|ca| &ca["name"]).collect();
    assert_eq!(names, ["root"]);
    // The journal names what was made.
    let journal = at.offline.ok(&["audit", "export"]);
    let entries = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let deeds: Vec<Value> = entries.filter(|entry| entry["action"] == "init").collect();
    assert!(deeds.len() == 1 && deeds[0]["detail"] == "root", "{deeds:?}");
    // No server runs on it, where strangers would reach it.
    fails(&at.offline.run(&["serve", "--listen", "127.0.0.1:0"]), 3, &["no issuing CA", "ca sign"]);

    // 2. It signs what was shown to somebody, and nothing without a word of theirs.
    at.online.ok(&["init", "--root-csr", &at.path("issuing.csr")]);
    let (csr, out) = (at.path("issuing.csr"), at.path("issuing.pem"));
    let asked = ["ca", "sign", "--csr", &csr, "--out", &out, "--crl-url", URL];
    fails(&at.offline.run(&asked), 2, &["--yes"]);
    assert!(!at.file("issuing.pem").exists());
    assert_eq!(at.offline.json(&["cert", "list"]), Value::Array(Vec::new()));
    let signed = at.sign(&["--yes", "--validity", "3y", "--permit", "dns:example.net"]);
    let hash =
        "openssl req -in issuing.csr -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum";
    let hash = tool_ok("sh", "dash", &["-c", hash], &at.file("."));
    assert_eq!(signed["key_sha256"], hash.split_whitespace().next().unwrap());
    let text = at.openssl("x509 -in issuing.pem -noout -text");
    for words in [
        "Issuer: CN = Offline root",
        "CA:TRUE, pathlen:0",
        "Certificate Sign, CRL Sign",
        &format!("URI:{URL}"),
        "DNS:example.net",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let end = at.openssl("x509 -in issuing.pem -noout -enddate");
    let year = signed["not_after"].as_str().unwrap().get(..4).unwrap().to_owned();
    assert!(end.contains(&year), "{end} {signed}");
    let serial = at.openssl("x509 -in issuing.pem -noout -serial");
    let serial = serial.trim().trim_start_matches("serial=").to_lowercase();
    assert_eq!(signed["serial"], *serial);
    assert_eq!(at.offline.json(&["cert", "show", &serial])["account"], "_ca");
    // The root's certificate stands behind it, so that the file is what the other machine takes.
    let root = fs::read_to_string(at.offline.data().join("keys/root.crt")).unwrap();
    assert!(fs::read_to_string(at.file("issuing.pem")).unwrap().ends_with(&root));
    at.online.ok(&["init", "--root-cert", &at.path("issuing.pem")]);

    // 3. The CRL of the root, which the server takes and publishes.
    let crl = at.sign_crl("root.crl");
    let said = at.openssl("crl -inform DER -in root.crl -noout -text -CAfile data/keys/root.crt");
    assert!(said.contains("verify OK") && said.contains("No Revoked Certificates"), "{said}");
    at.online.serve();
    assert_eq!(at.published("root"), None);
    let taken = at.online.json(&["crl", "import", &at.path("root.crl")]);
    assert_eq!((&taken["ca"], &taken["number"]), (&"root".into(), &crl["number"]));
    assert_eq!(at.published("root").unwrap(), fs::read(at.file("root.crl")).unwrap());
    let metrics = at.online.http("GET", "/metrics", "", &[]).unwrap();
    let metrics = String::from_utf8(metrics.body).unwrap();
    let ends = "countersign_crl_next_update_timestamp_seconds{ca=\"root\",scope=\"full\"} ";
    let ends = metrics.lines().find_map(|line| line.strip_prefix(ends)).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let days = (ends.parse::<f64>().unwrap() as u64 - now.as_secs()) / 86_400;
    assert!((178..=180).contains(&days), "{days}");
    assert_eq!(finding(&at.online, "crl-ends"), None);

    // 4. With it, OpenSSL accepts a gateway's certificate, and knows the status of all CAs above it.
    let peer = at.online.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&at.online, "p256", "gw1.key");
    enrol(&at.online, &peer, "gw1.key", &[]).granted();
    fs::copy(at.online.file("gw1.crt"), at.file("gw1.crt")).unwrap();
    let (is_good, said) = at.verified("gw1.crt");
    assert!(is_good, "{said}");
    // An export has it as it has the server's own.
    let out = at.path("exported");
    at.online.ok(&["export", "gw1", "--for", "strongswan", "--out", &out, "--force"]);
    let crls = fs::read_dir(at.file("exported/x509crl")).unwrap();
    let crls: Vec<Vec<u8>> = crls
        .map(|file| {
            let file = file.unwrap().path().to_str().unwrap().to_owned();
            at.openssl(&format!("crl -in {file} -outform DER -out exported.der"));
            fs::read(at.file("exported.der")).unwrap()
        })
        .collect();
    assert!(crls.contains(&at.published("root").unwrap()), "{out}");

    // 5. The root revokes the issuing CA, without a server.
    at.offline.ok(&["cert", "revoke", &serial, "--reason", "cACompromise"]);
    let second = at.sign_crl("second.crl");
    assert_eq!(second["entries"], 1);
    let said = at.openssl("crl -inform DER -in second.crl -noout -text -CAfile data/keys/root.crt");
    assert!(said.contains("verify OK") && said.contains("CA Compromise"), "{said}");
    assert!(said.to_lowercase().contains(&serial), "{said}");
    assert!(at.verified("gw1.crt").0, "nobody has heard of it yet");
    at.online.ok(&["crl", "import", &at.path("second.crl"), "--ca", "root"]);
    let (is_good, said) = at.verified("gw1.crt");
    assert!(!is_good && said.contains("certificate revoked"), "{said}");

    // 6. What is older is refused, and what was taken stays: also after a restart, a rebuild, and a restore.
    for old in ["root.crl", "second.crl"] {
        let output = at.online.run(&["crl", "import", &at.path(old)]);
        fails(&output, 3, &["expected a CRL of `root` with a number above"]);
    }
    let newest = fs::read(at.file("second.crl")).unwrap();
    assert_eq!(at.published("root").unwrap(), newest);
    at.online.ok(&["backup", &at.path("backup")]);
    at.online.stop();
    at.online.ok(&["store", "rebuild"]);
    at.online.ok(&["audit", "verify"]);
    fs::remove_dir_all(at.online.data().join("crl")).unwrap();
    at.online.serve();
    assert_eq!(at.published("root").unwrap(), newest);
    assert_eq!(fs::read(at.online.data().join("crl/root.crl")).unwrap(), newest);
    at.online.stop();
    let mut restored = Instance::empty();
    restored.ok(&["restore", &at.path("backup")]);
    fs::copy(at.online.data().join("passphrase"), restored.data().join("passphrase")).unwrap();
    restored.serve();
    at.online = restored;
    assert_eq!(at.published("root").unwrap(), newest);
    let log = at.online.ok(&["audit", "report"]);
    assert!(log.contains("crl import"), "{log}");
    at.online.stop();
    let log = at.offline.ok(&["audit", "report"]);
    assert!(log.contains("ca sign") && log.contains("crl sign"), "{log}");
    at.offline.ok(&["audit", "verify"]);
}

#[test]
fn the_root_signs_no_ca_that_nobody_could_use_or_tell_apart() {
    let at = Ceremony::done();
    let out = at.path("out.pem");
    let sign = |csr: &str, more: &[&str]| {
        let csr = at.path(csr);
        let arguments = ["ca", "sign", "--csr", &csr, "--out", &out, "--yes"];
        at.offline.run(&[&arguments[..], more].concat())
    };
    // Another key under the name of a CA that was certified before, or under the root's own.
    for (csr, name, words) in [
        ("same.csr", "/CN=Countersign issuing CA", "another key"),
        ("root.csr", "/CN=Offline root", "is that of the CA `root`"),
    ] {
        at.openssl(&format!("genpkey -algorithm ED25519 -out {csr}.key"));
        let line = ["req", "-new", "-key", &format!("{csr}.key"), "-subj", name, "-out", csr];
        tool_ok("openssl", "openssl", &line, &at.file("."));
        fails(&sign(csr, &[]), 3, &[words]);
    }
    // The same key may have another certificate.
    assert!(sign("issuing.csr", &[]).status.success());
    // A request whose signature is of another key, or that is none.
    let mut der = fs::read(at.file("issuing.csr")).unwrap();
    fs::write(at.file("garbage.csr"), b"no request").unwrap();
    assert_eq!(sign("garbage.csr", &[]).status.code(), Some(2));
    at.openssl("req -in issuing.csr -outform DER -out broken.csr");
    der.clear();
    der.extend(fs::read(at.file("broken.csr")).unwrap());
    let last = der.len() - 1;
    der[last] ^= 1;
    fs::write(at.file("broken.csr"), &der).unwrap();
    fails(&sign("broken.csr", &[]), 4, &["proof of possession"]);
    fails(&sign("issuing.csr", &["--crl-url", "root.crl"]), 2, &["expected a URL"]);
    // The online machine has no root's key, and a server must not run.
    let csr = at.path("issuing.csr");
    let output = at.online.run(&["ca", "sign", "--csr", &csr, "--out", &out, "--yes"]);
    fails(&output, 3, &["the root's key is not here"]);
    let output = at.online.run(&["crl", "sign", "--out", &out]);
    fails(&output, 3, &["expected the key of a root here"]);
    let conflict = at.offline.run(&["init", "--root-only", "--root-csr", &csr]);
    assert_eq!(conflict.status.code(), Some(2));
}

#[test]
fn a_crl_that_would_mislead_is_not_taken() {
    let (mut ca, root) = OfflineRoot::found();
    let folder = ca.file(".");
    let openssl = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        tool_ok("openssl", "openssl", &words, &folder)
    };
    ca.serve();
    let import =
        |ca: &Instance, file: &str| ca.run(&["crl", "import", ca.file(file).to_str().unwrap()]);
    let signed = |number: &str, more: &str| {
        fs::write(folder.join("number"), format!("{number}\n")).unwrap();
        openssl(&format!(
            "ca -config ca.cnf -gencrl -cert root.pem -keyfile root.key -out a.crl {more}"
        ));
    };
    root.crl("");
    // The index of OpenSSL is there now. Each CRL has a fault of its own.
    signed("10", "-crl_lastupdate 20240101000000Z -crl_nextupdate 20240201000000Z");
    fails(&import(&ca, "a.crl"), 4, &["the CRL of `root`", "ended"]);
    signed("10", "-crl_lastupdate 21240101000000Z -crl_nextupdate 21240201000000Z");
    fails(&import(&ca, "a.crl"), 4, &["the CRL of `root`", "and now is"]);
    let settings = fs::read_to_string(folder.join("ca.cnf")).unwrap();
    let with = |extension: &str| {
        fs::write(folder.join("ca.cnf"), format!("{settings}{extension}\n")).unwrap();
    };
    with("issuingDistributionPoint = critical,@p\n[p]\nonlyCA = TRUE");
    signed("10", "");
    fails(&import(&ca, "a.crl"), 4, &["part of the certificates only"]);
    with("2.5.29.27 = critical,DER:020101");
    signed("10", "");
    fails(&import(&ca, "a.crl"), 4, &["delta CRL"]);
    with("1.2.3.4 = critical,DER:0500");
    signed("10", "");
    assert_eq!(import(&ca, "a.crl").status.code(), Some(4));
    with("");
    fs::remove_file(folder.join("number")).unwrap();
    let without_number = settings.replace("crlnumber = number\n", "");
    fs::write(folder.join("ca.cnf"), &without_number).unwrap();
    openssl("ca -config ca.cnf -gencrl -cert root.pem -keyfile root.key -out a.crl");
    fails(&import(&ca, "a.crl"), 4, &["expected a cRLNumber"]);
    with("");
    // Another root of the same name, another CA, and what is no CRL.
    fs::copy(folder.join("root.key"), folder.join("kept.key")).unwrap();
    fs::copy(folder.join("root.pem"), folder.join("kept.pem")).unwrap();
    for (name, words) in [("Root", "has not signed it"), ("Stranger", "of a CA of this instance")] {
        openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.pem -days 9 -subj /CN={name}"
        ));
        signed("10", "");
        fails(&import(&ca, "a.crl"), 4, &[words]);
    }
    fs::copy(folder.join("kept.key"), folder.join("root.key")).unwrap();
    fs::copy(folder.join("kept.pem"), folder.join("root.pem")).unwrap();
    fs::write(folder.join("garbage"), [0x30, 0x82, 0xff, 0xff, 1]).unwrap();
    assert_eq!(import(&ca, "garbage").status.code(), Some(2));
    fs::write(folder.join("large"), vec![0x30; (1 << 20) + 1]).unwrap();
    fails(&import(&ca, "large"), 2, &["at most 1048576 octets"]);
    fails(&import(&ca, "issuing.pem"), 2, &["expected `X509 CRL`"]);
    // The server's own CRL is its own business.
    let own = ca.http("GET", "/crl/issuing.crl", "", &[]).unwrap().body;
    fs::write(folder.join("own.crl"), own).unwrap();
    fails(&import(&ca, "own.crl"), 3, &["the key of the CA `issuing` is here"]);
    let none = ca.http("GET", "/crl/root.crl", "", &[]).unwrap();
    assert_eq!(none.status, 404, "none of them was taken");

    // A good one, in PEM, that ends within two weeks: the monitor learns of it.
    signed("10", "-crldays 13");
    let taken = ca.json(&["crl", "import", ca.file("a.crl").to_str().unwrap()]);
    assert_eq!((&taken["number"], &taken["entries"]), (&16.into(), &0.into()));
    let ends = finding(&ca, "crl-ends").expect("a finding");
    assert!(ends["message"].as_str().unwrap().contains("the CRL of `root` (full)"), "{ends}");
    let ready = ca.http("GET", "/readyz", "", &[]).unwrap();
    let ready = String::from_utf8(ready.body).unwrap();
    assert!(ready.contains("warning: the CRL of `root` ends on"), "{ready}");
    signed("0f", "-crldays 30");
    fails(&import(&ca, "a.crl"), 3, &["a number above `16`", "found `15`"]);
    fs::write(
        folder.join("index.txt"),
        format!("R\t401231000000Z\t261101000000Z,cACompromise\t{ISSUING}\tunknown\t/CN=x\n"),
    )
    .unwrap();
    signed("11", "-crldays 30");
    let taken = ca.json(&["crl", "import", ca.file("a.crl").to_str().unwrap()]);
    assert_eq!((&taken["number"], &taken["entries"]), (&17.into(), &1.into()));
    assert_eq!(finding(&ca, "crl-ends"), None);
    // Of another CA than the one that was meant.
    let output = ca.run(&["crl", "import", ca.file("a.crl").to_str().unwrap(), "--ca", "issuing"]);
    fails(&output, 4, &["expected a CRL of the CA `issuing`, found one of `root`"]);
    ca.stop();
}
