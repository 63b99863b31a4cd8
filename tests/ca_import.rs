//! CAs of other programs are taken over: their key, and what they issued and revoked. Other programs judge the result.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::openssl::{enrol, key};
use common::{COUNTERSIGN, Instance, at_another_time, fails, text, tool, tool_ok, wait_for};
use serde_json::Value;
use tempfile::TempDir;

/// The configuration of `openssl ca`, as its users have it.
const CONFIGURATION: &str = "\
[ca]\ndefault_ca = d\n
[d]\ndatabase = index.txt\nnew_certs_dir = newcerts\nserial = serial\ncrlnumber = crlnumber\ncertificate = ca.crt\nprivate_key = ca.key\n\
default_md = sha256\ndefault_days = 300\ndefault_crl_days = 30\npolicy = p\ncopy_extensions = copy\nunique_subject = no\nx509_extensions = v\n
[v]\nbasicConstraints = CA:FALSE\n\n[c]\nbasicConstraints = CA:FALSE\nextendedKeyUsage = clientAuth\n\n[w]\nbasicConstraints = critical,CA:TRUE\n
[p]\nO = optional\nCN = optional\n";

/// The usages that a CA's certificate needs.
const USAGE: &str = "keyUsage=critical,keyCertSign,cRLSign";

/// A CA of OpenSSL's in a folder of its own.
struct OpensslCa(TempDir);

impl OpensslCa {
    /// A CA with a key that `openssl req -newkey` makes, and encrypts in its own way.
    fn new(newkey: &[&str], subject: &str) -> Self {
        let ca = Self(tempfile::tempdir().unwrap());
        fs::create_dir(ca.path("newcerts")).unwrap();
        fs::write(ca.path("index.txt"), "").unwrap();
        fs::write(ca.path("crlnumber"), "1000\n").unwrap();
        fs::write(ca.path("ca.cnf"), CONFIGURATION).unwrap();
        let mut arguments = vec!["req", "-x509", "-passout", "pass:of the CA", "-keyout", "ca.key"];
        arguments.extend(["-out", "ca.crt", "-days", "3000", "-subj", subject, "-addext", USAGE]);
        arguments.extend(newkey);
        ca.openssl(&arguments);
        ca.private("ca.key");
        fs::write(ca.path("password"), "of the CA\n").unwrap();
        ca.private("password");
        ca
    }

    fn ec(subject: &str) -> Self {
        Self::new(&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], subject)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn private(&self, name: &str) {
        fs::set_permissions(self.path(name), Permissions::from_mode(0o600)).unwrap();
    }

    #[track_caller]
    fn openssl(&self, arguments: &[&str]) -> String {
        tool_ok("openssl", "openssl", arguments, self.0.path())
    }

    /// Renews a gateway's certificate at the instance, for the key `fresh.key`, into the file `NAME.new`.
    fn kur(&self, instance: &Instance, name: &str, trusted: &str) -> Output {
        let [crt, key, new] = ["crt", "key", "new"].map(|ending| format!("{name}.{ending}"));
        let server = format!("http://{}/.well-known/cmp", instance.address);
        let renewal = ["cmp", "-cmd", "kur", "-server", &server, "-trusted", trusted];
        let keys = ["-cert", &crt, "-key", &key, "-newkey", "fresh.key", "-certout", &new];
        tool("openssl", "openssl", &[&renewal[..], &keys].concat(), self.0.path())
    }

    fn ca(&self, arguments: &[&str]) {
        let mut all = vec!["ca", "-batch", "-config", "ca.cnf", "-passin", "pass:of the CA"];
        all.extend(arguments);
        self.openssl(&all);
    }

    /// Issues a certificate `NAME.crt` for a new key `NAME.key`. Without extensions it names the gateway by its subject alone.
    fn issue(&self, name: &str, san: Option<&str>, more: &[&str]) {
        let (key, csr, crt) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"));
        let subject = format!("/O=Example/CN={name}");
        let mut request =
            vec!["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        request.extend(["-nodes", "-keyout", &key, "-out", &csr, "-subj", &subject]);
        let san = san.map(|san| format!("subjectAltName={san}"));
        if let Some(san) = &san {
            request.extend(["-addext", san]);
        }
        self.openssl(&request);
        let mut issue = vec!["-create_serial", "-in", &csr, "-out", &crt, "-notext"];
        issue.extend(more);
        self.ca(&issue);
    }

    fn revoke(&self, name: &str, how: &[&str]) {
        let crt = format!("{name}.crt");
        let mut all = vec!["-revoke", &crt];
        all.extend(how);
        self.ca(&all);
    }

    fn serial(&self, name: &str) -> String {
        let crt = format!("{name}.crt");
        let line = self.openssl(&["x509", "-in", &crt, "-noout", "-serial"]);
        line.trim().strip_prefix("serial=").unwrap().to_lowercase()
    }

    /// The arguments of `ca import` for all that the CA has.
    fn import(&self, more: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = ["ca", "import"].map(String::from).to_vec();
        for (option, file) in [
            ("--certificate", "ca.crt"),
            ("--key", "ca.key"),
            ("--password-file", "password"),
            ("--issued", "index.txt"),
            ("--issued", "newcerts"),
        ] {
            all.extend([option.to_owned(), self.path(file).display().to_string()]);
        }
        all.extend(more.iter().map(ToString::to_string));
        all
    }
}

fn strs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// The last CRL of a CA of the instance, as PEM in a file.
fn crl(instance: &Instance, ca: &str) -> PathBuf {
    let answer = instance.http("GET", &format!("/crl/{ca}.crl"), "", b"").unwrap();
    assert_eq!(answer.status, 200);
    let (der, pem) = (instance.file("last.crl"), instance.file("last.pem"));
    fs::write(&der, answer.body).unwrap();
    let arguments = ["crl", "-inform", "DER", "-in", "last.crl", "-out", "last.pem"];
    tool_ok("openssl", "openssl", &arguments, der.parent().unwrap());
    pem
}

/// What `openssl verify -crl_check` says of a certificate below this root.
fn verified(root: &Path, crl: &Path, certificate: &Path) -> String {
    let [root, crl, certificate] = [root, crl, certificate].map(|path| path.to_str().unwrap());
    let arguments = ["verify", "-crl_check", "-CAfile", root, "-CRLfile", crl, certificate];
    text(&tool("openssl", "openssl", &arguments, Path::new("/")))
}

/// The names of what administrators did, from the journal.
fn deeds(instance: &Instance) -> Vec<String> {
    let export = instance.ok(&["audit", "export"]);
    let entries = export.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let deeds = entries.filter(|entry| entry["kind"] == "deed");
    deeds
        .inspect(|deed| assert!(deed["actor"].as_str().unwrap().starts_with("uid "), "{deed}"))
        .map(|deed| deed["action"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn an_openssl_ca_is_taken_over_and_its_gateways_go_on() {
    // 1. A CA of some years: valid, revoked, held and expired certificates, one whose file is lost, and one that was revoked and is lost.
    let old = OpensslCa::ec("/O=Example/CN=Old CA");
    // Larger than the present time in milliseconds, by which this program numbers CRLs.
    fs::write(old.path("crlnumber"), "7000000000000000\n").unwrap();
    for number in 1..=26 {
        let name = format!("gw{number}");
        let san = format!("DNS:{name}.example.net,IP:192.0.2.{number}");
        old.issue(&name, Some(&san), &[]);
    }
    old.issue("plain", None, &[]);
    old.issue("lost", None, &[]);
    old.issue("lost-and-revoked", None, &[]);
    let past = ["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"];
    old.issue("expired", Some("DNS:gw1.example.net"), &past);
    old.revoke("gw2", &["-crl_reason", "keyCompromise"]);
    old.revoke("gw3", &["-crl_hold", "holdInstructionReject"]);
    old.revoke("gw4", &[]);
    old.revoke("gw5", &["-crl_compromise", "20250102030405Z"]);
    old.revoke("lost-and-revoked", &["-crl_reason", "superseded"]);
    old.ca(&["-gencrl", "-out", "crl.pem"]);
    // A revocation that is on no CRL yet.
    old.revoke("gw6", &["-crl_reason", "cessationOfOperation"]);
    for lost in ["lost", "lost-and-revoked"] {
        let file = format!("newcerts/{}.pem", old.serial(lost).to_uppercase());
        fs::remove_file(old.path(&file)).unwrap();
    }
    let crl_file = old.path("crl.pem").display().to_string();

    // 2. A dry run records nothing, and without a word about accounts nothing is imported.
    let mut instance = Instance::empty();
    let arguments = old.import(&["--crl", &crl_file]);
    fails(
        &instance.run(&strs(&arguments)),
        2,
        &["gw1.example.net", "--accounts create", "nothing was imported"],
    );
    let dry = old.import(&["--crl", &crl_file, "--accounts", "create", "--dry-run"]);
    let planned = instance.json(&strs(&dry));
    assert!(!instance.data().exists());

    // 3. The import founds the instance, and does what the dry run said.
    let arguments = old.import(&["--crl", &crl_file, "--accounts", "create"]);
    let done = instance.json(&strs(&arguments));
    for (field, expected) in [
        ("certificates", 28_u64),
        ("accounts_made", 23),
        ("revoked", 5),
        ("listed_without_certificate", 1),
        ("serial_numbers_kept", 2),
        ("last_crl_number", 0x7000_0000_0000_0000_u64),
    ] {
        assert_eq!(done[field], expected, "{field}: {done}");
        assert_eq!(planned[field], expected, "{field}, planned: {planned}");
    }
    let without = "certificates_without_account";
    assert!(
        done[without].is_u64() && done[without] == planned[without],
        "{done}, planned: {planned}"
    );
    assert!(
        done["warnings"].to_string().contains("of 1 valid certificates only the serial number"),
        "{done}"
    );
    assert_eq!(deeds(&instance), ["ca import"]);
    let export = instance.ok(&["audit", "export"]);
    let is_kept =
        |line: &str| line.contains("\"kind\":\"reserved\"") && line.contains(&old.serial("lost"));
    assert!(
        export.lines().any(is_kept),
        "the serial number of a lost certificate could be issued again"
    );
    instance.ok(&["audit", "verify"]);
    let key = fs::read_to_string(instance.data().join("keys/old-ca.key")).unwrap();
    assert!(key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{key}");

    // 4. Other programs' verifiers see what they saw before, and a larger CRL number.
    instance.serve();
    let root = old.path("ca.crt");
    let list = crl(&instance, "old-ca");
    let shown = tool_ok(
        "openssl",
        "openssl",
        &["crl", "-noout", "-text", "-in", list.to_str().unwrap()],
        Path::new("/"),
    );
    let number =
        shown.split("X509v3 CRL Number:").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(number.parse::<u64>().unwrap() > 0x7000_0000_0000_0000, "{number}");
    assert_eq!(shown.matches("Serial Number:").count(), 6, "{shown}");
    for word in ["Superseded", "Certificate Hold", "Cessation Of Operation", "Jan  2 03:04:05 2025"]
    {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    assert_eq!(shown.matches("Key Compromise").count(), 2, "{shown}");
    for good in ["gw1", "gw26", "plain", "lost"] {
        let said = verified(&root, &list, &old.path(&format!("{good}.crt")));
        assert!(said.contains(": OK"), "{good}: {said}");
    }
    for revoked in ["gw2", "gw3", "gw4", "gw5", "gw6", "lost-and-revoked"] {
        let said = verified(&root, &list, &old.path(&format!("{revoked}.crt")));
        assert!(said.contains("certificate revoked"), "{revoked}: {said}");
    }
    let url = format!("http://{}/ocsp", instance.address);
    let ocsp = old.openssl(&[
        "ocsp",
        "-issuer",
        "ca.crt",
        "-CAfile",
        "ca.crt",
        "-url",
        &url,
        "-cert",
        "gw1.crt",
        "-cert",
        "gw5.crt",
        "-cert",
        "lost-and-revoked.crt",
        "-cert",
        "expired.crt",
    ]);
    for said in
        ["gw1.crt: good", "gw5.crt: revoked", "lost-and-revoked.crt: revoked", "expired.crt: good"]
    {
        assert!(ocsp.contains(said), "{said}: {ocsp}");
    }
    assert!(ocsp.contains("Reason: keyCompromise"), "{ocsp}");

    // 5. A gateway renews with its old certificate, and one whose certificate names only its subject, too; a revoked one does not.
    let kur = |name: &str| {
        let fresh = [
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
            "fresh.key",
        ];
        old.openssl(&fresh);
        old.kur(&instance, name, "ca.crt")
    };
    for name in ["gw1", "plain"] {
        let run = kur(name);
        assert!(run.status.success(), "{name}: {}", text(&run));
        let said = verified(&root, &list, &old.path(&format!("{name}.new")));
        assert!(said.contains(": OK"), "{name}: {said}");
        assert_eq!(instance.certificates(name).len(), if name == "gw1" { 3 } else { 2 });
    }
    let before =
        old.openssl(&["x509", "-in", "gw1.crt", "-noout", "-subject", "-ext", "subjectAltName"]);
    assert_eq!(
        before,
        old.openssl(&["x509", "-in", "gw1.new", "-noout", "-subject", "-ext", "subjectAltName"])
    );
    let run = kur("gw2");
    assert!(!run.status.success() && text(&run).contains("certRevoked"), "{}", text(&run));

    // 6. Its certificates are revoked, released and found like others.
    instance.ok(&["cert", "release", &old.serial("gw3")]);
    instance.ok(&["cert", "revoke", &old.serial("gw7"), "--reason", "keyCompromise"]);
    instance.ok(&["crl", "publish"]);
    let list = crl(&instance, "old-ca");
    assert!(verified(&root, &list, &old.path("gw3.crt")).contains(": OK"));
    assert!(verified(&root, &list, &old.path("gw7.crt")).contains("certificate revoked"));
    let found = instance.json(&["cert", "list", "--identity", "ip:192.0.2.9", "--ca", "old-ca"]);
    assert_eq!(found[0]["serial"], old.serial("gw9"), "{found}");
    let prefix = &old.serial("gw9")[..12];
    assert!(
        instance
            .json(&["cert", "list", "--serial", prefix])
            .as_array()
            .is_some_and(|all| !all.is_empty())
    );

    // 7. Certificates that turn up later.
    instance.ok(&["peer", "add", "found", "--id", "dn:CN=lost,O=Example", "--no-secret"]);
    let lost = old.path("lost.crt").display().to_string();
    instance.ok(&["cert", "import", &lost, "--account", "found"]);
    assert_eq!(instance.json(&["cert", "show", &old.serial("lost")])["account"], "found");
    instance.ok(&[
        "peer",
        "add",
        "gone",
        "--id",
        "dn:CN=lost-and-revoked,O=Example",
        "--no-secret",
    ]);
    let lost = old.path("lost-and-revoked.crt").display().to_string();
    instance.ok(&["cert", "import", &lost, "--account", "gone"]);
    assert_eq!(
        instance.json(&["cert", "show", &old.serial("lost-and-revoked")])["status"],
        "revoked"
    );
    // And once more: nothing changes.
    instance.stop();
    let again = instance.json(&strs(&old.import(&["--crl", &crl_file])));
    for field in ["certificates", "revoked", "listed_without_certificate", "accounts_made"] {
        assert_eq!(again[field], 0, "{field}: {again}");
    }
    assert_eq!(
        instance.json(&["cert", "show", &old.serial("gw3")])["status"],
        "valid",
        "released here, and on hold in index.txt"
    );
    instance.ok(&["audit", "verify"]);
    instance.ok(&["store", "rebuild"]);
    assert_eq!(deeds(&instance).last().unwrap(), "store rebuild");
}

#[test]
fn every_problem_is_told_at_once_and_nothing_is_imported() {
    let old = OpensslCa::ec("/CN=Old CA");
    let other = OpensslCa::ec("/CN=Other CA");
    old.issue("gw1", Some("DNS:gw1.example.net"), &[]);
    other.issue("gw2", None, &[]);
    other.ca(&["-gencrl", "-out", "crl.pem"]);
    fs::copy(other.path("gw2.crt"), old.path("newcerts/stray.pem")).unwrap();
    let good = fs::read_to_string(old.path("gw1.crt")).unwrap();
    fs::write(
        old.path("newcerts/broken.pem"),
        format!("a remark\n\n{}", good.replacen("MII", "MI!", 1)),
    )
    .unwrap();
    fs::write(old.path("newcerts/README"), "no certificate").unwrap();
    let mut index = fs::read_to_string(old.path("index.txt")).unwrap();
    index.push_str(
        "V\tsoon\t\t01\tunknown\t/CN=a\nR\t301231235959Z\t250101000000Z,mood\t02\tunknown\t/CN=b\n",
    );
    fs::write(old.path("index.txt"), index).unwrap();
    let crl = other.path("crl.pem").display().to_string();
    let instance = Instance::empty();
    let run = instance.run(&strs(&old.import(&["--crl", &crl, "--accounts", "create"])));
    fails(
        &run,
        2,
        &[
            "index.txt:2: expected notAfter",
            "index.txt:3: expected one of",
            "found `mood`",
            "stray.pem:1: expected a certificate that `CN=Old CA` issued, found one of `CN=Other CA`",
            "broken.pem:3: expected base64",
            "crl.pem:1: expected a CRL of `CN=Old CA`, found one of `CN=Other CA`",
            "nothing was imported",
        ],
    );
    assert!(!instance.data().exists());
}

/// Makes a CA's certificate in this folder, and tries to import it.
fn refused(make: &[&[&str]], import: &[&str], code: i32, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    for arguments in make {
        tool_ok("openssl", "openssl", arguments, folder.path());
    }
    for entry in fs::read_dir(folder.path()).unwrap() {
        fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(0o600)).unwrap();
    }
    let instance = Instance::empty();
    let mut all = vec!["ca".to_owned(), "import".to_owned()];
    for part in import {
        let path = folder.path().join(part);
        all.push(if path.exists() { path.display().to_string() } else { (*part).to_owned() });
    }
    fails(&instance.run(&strs(&all)), code, words);
    assert!(!instance.data().exists(), "{words:?}: something was made");
}

#[test]
fn what_cannot_be_a_ca_here_is_refused() {
    let ec = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "k",
        "-out",
        "c",
    ];
    let with = |more: &[&'static str]| [&ec[..], more].concat();
    let usual = ["--certificate", "c", "--key", "k"];
    let good = with(&["-subj", "/CN=Old CA", "-addext", USAGE]);
    let other_key = ["genpkey", "-algorithm", "ED25519", "-out", "other"];
    refused(
        &[&good, &other_key],
        &["--certificate", "c", "--key", "other"],
        4,
        &["the key is not that of", "Old CA"],
    );
    let leaf = with(&["-subj", "/CN=gw1", "-addext", "basicConstraints=critical,CA:FALSE"]);
    refused(&[&leaf], &usual, 4, &["is not a CA"]);
    let no_crls = with(&["-subj", "/CN=Old CA", "-addext", "keyUsage=critical,keyCertSign"]);
    refused(&[&no_crls], &usual, 4, &["lacks keyCertSign or cRLSign"]);
    let small = [
        "req",
        "-x509",
        "-newkey",
        "rsa:1024",
        "-nodes",
        "-keyout",
        "k",
        "-out",
        "c",
        "-subj",
        "/CN=Old CA",
    ];
    refused(&[&small], &usual, 2, &["an RSA key of 2048 bits or more"]);
    // A CA below another one, without the certificates above it; and a password that is nowhere.
    let root = with(&["-subj", "/CN=Root", "-addext", USAGE]);
    let request = [
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "k2",
        "-out",
        "r",
        "-subj",
        "/CN=Old CA",
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-addext",
        USAGE,
    ];
    let sign = [
        "x509",
        "-req",
        "-in",
        "r",
        "-CA",
        "c",
        "-CAkey",
        "k",
        "-copy_extensions",
        "copy",
        "-out",
        "c2",
    ];
    let below = ["--certificate", "c2", "--key", "k2"];
    refused(&[&root, &request, &sign], &below, 4, &["missing from `CN=Root` on", "--chain"]);
    let for_mail = [&request[..], &["-addext", "extendedKeyUsage=emailProtection"]].concat();
    refused(
        &[&root, &for_mail, &sign],
        &[&below[..], &["--chain", "c"]].concat(),
        4,
        &["no verifier would accept the certificate below `CN=Old CA`", "key purposes"],
    );
    let pkcs12 =
        ["pkcs12", "-export", "-in", "c", "-inkey", "k", "-passout", "pass:right", "-out", "p"];
    refused(&[&good, &pkcs12], &["--p12", "p"], 2, &["--password-file"]);

    // A key that others can read; a subject that is taken; a name that is taken.
    let old = OpensslCa::ec("/CN=Old CA");
    let instance = Instance::empty();
    let request =
        ["req", "-new", "-key", "ca.key", "-passin", "pass:of the CA", "-subj", "/CN=Old CA"];
    old.openssl(&[&request[..], &["-out", "own.csr"]].concat());
    let past = ["-startdate", "20200101000000Z", "-enddate", "20250101000000Z"];
    let own = [
        "-selfsign",
        "-in",
        "own.csr",
        "-create_serial",
        "-extensions",
        "w",
        "-notext",
        "-out",
        "expired.crt",
    ];
    old.ca(&[&own[..], &past].concat());
    let mut expired = old.import(&[]);
    expired[3] = old.path("expired.crt").display().to_string();
    let said = "is valid from 2020-01-01T00:00:00Z to 2025-01-01T00:00:00Z, and it is";
    fails(&instance.run(&strs(&expired)), 4, &[said]);
    fs::set_permissions(old.path("ca.key"), Permissions::from_mode(0o644)).unwrap();
    fails(&instance.run(&strs(&old.import(&[]))), 5, &["chmod 600"]);
    old.private("ca.key");
    fs::write(old.path("password"), "wrong").unwrap();
    fails(
        &instance.run(&strs(&old.import(&[]))),
        4,
        &["the password does not open the private key"],
    );
    fs::write(old.path("password"), "of the CA").unwrap();
    instance.ok(&strs(&old.import(&[])));
    fails(
        &instance.run(&strs(&old.import(&["--name", "again"]))),
        3,
        &["is that of the CA `old-ca` already"],
    );
    let other = OpensslCa::ec("/CN=Other CA");
    fails(
        &instance.run(&strs(&other.import(&["--name", "old-ca"]))),
        3,
        &["with another certificate"],
    );
    fails(&instance.run(&["ca", "import", "--name", "nosuch"]), 3, &["--certificate", "--p12"]);
}

#[test]
fn pkcs12_files_and_cas_below_a_root_are_taken_over() {
    let root = OpensslCa::ec("/CN=Root of old");
    root.openssl(&[
        "req",
        "-new",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "sub.key",
        "-out",
        "sub.csr",
        "-subj",
        "/CN=Sub CA",
        "-addext",
        "basicConstraints=critical,CA:TRUE,pathlen:0",
        "-addext",
        USAGE,
    ]);
    root.openssl(&[
        "x509",
        "-req",
        "-in",
        "sub.csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-passin",
        "pass:of the CA",
        "-copy_extensions",
        "copy",
        "-days",
        "1000",
        "-out",
        "sub.crt",
    ]);
    let export = [
        "pkcs12",
        "-export",
        "-in",
        "sub.crt",
        "-inkey",
        "sub.key",
        "-certfile",
        "ca.crt",
        "-passout",
        "pass:of the CA",
    ];
    root.openssl(&[&export[..], &["-out", "new.p12"]].concat());
    root.openssl(&[&export[..], &["-legacy", "-out", "old.p12"]].concat());
    let password = root.path("password").display().to_string();
    for file in ["new.p12", "old.p12"] {
        root.private(file);
        let file = root.path(file).display().to_string();
        let mut instance = Instance::empty();
        let wrong = instance.file("wrong");
        fs::write(&wrong, "wrong").unwrap();
        fs::set_permissions(&wrong, Permissions::from_mode(0o600)).unwrap();
        let with = |password: &str| {
            ["ca", "import", "--p12", &file, "--password-file", password].map(String::from)
        };
        fails(
            &instance.run(&strs(&with(wrong.to_str().unwrap()))),
            4,
            &["the password does not open the PKCS#12 file"],
        );
        let done = instance.json(&strs(&with(&password)));
        assert_eq!((&done["ca"], &done["key"]), (&"sub-ca".into(), &"RSA-2048".into()), "{done}");
        assert_eq!(fs::read(instance.root()).unwrap(), fs::read(root.path("ca.crt")).unwrap());
        // The CA issues, and others verify it up to the root.
        instance.serve();
        let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
        key(&instance, "p256", "gw1.key");
        enrol(&instance, &peer, "gw1.key", &[]).granted();
        let arguments = [
            "verify",
            "-CAfile",
            "ca.crt",
            "-untrusted",
            "sub.crt",
            instance.file("gw1.crt").to_str().unwrap(),
        ]
        .map(String::from);
        assert!(root.openssl(&strs(&arguments)).contains(": OK"));
    }
}

#[test]
fn cas_of_gnutls_are_taken_over_with_their_large_crl_numbers() {
    let ca = tempfile::tempdir().unwrap();
    let certtool = |arguments: &[&str]| tool_ok("certtool", "gnutls-bin", arguments, ca.path());
    let write = |name: &str, text: &str| fs::write(ca.path().join(name), text).unwrap();
    write(
        "ca.cfg",
        "cn = \"GnuTLS CA\"\nca\ncert_signing_key\ncrl_signing_key\nexpiration_days = 2000\n",
    );
    write("crl.cfg", "crl_next_update = 30\n");
    certtool(&[
        "--generate-privkey",
        "--key-type",
        "ecdsa",
        "--curve",
        "secp384r1",
        "--outfile",
        "ca.key",
    ]);
    certtool(&[
        "--generate-self-signed",
        "--load-privkey",
        "ca.key",
        "--template",
        "ca.cfg",
        "--outfile",
        "ca.crt",
    ]);
    let signer = ["--load-ca-certificate", "ca.crt", "--load-ca-privkey", "ca.key"];
    fs::create_dir_all(ca.path().join("issued/2026")).unwrap();
    for name in ["gw1", "gw2"] {
        let (key, cfg, crt) =
            (format!("{name}.key"), format!("{name}.cfg"), format!("issued/2026/{name}.crt"));
        write(
            &cfg,
            &format!(
                "cn = \"{name}\"\ndns_name = \"{name}.example.net\"\nsigning_key\nexpiration_days = 300\n"
            ),
        );
        certtool(&[
            "--generate-privkey",
            "--key-type",
            "ecdsa",
            "--curve",
            "secp256r1",
            "--outfile",
            &key,
        ]);
        let own = [
            "--generate-certificate",
            "--load-privkey",
            &key,
            "--template",
            &cfg,
            "--outfile",
            &crt,
        ];
        certtool(&[&own[..], &signer].concat());
    }
    // One file in DER, and a key that lies among the certificates.
    certtool(&[
        "--certificate-info",
        "--infile",
        "issued/2026/gw1.crt",
        "--outder",
        "--outfile",
        "issued/gw1.der",
    ]);
    fs::copy(ca.path().join("gw1.key"), ca.path().join("issued/gw1.key")).unwrap();
    let crl_of = [
        "--generate-crl",
        "--load-certificate",
        "issued/2026/gw2.crt",
        "--template",
        "crl.cfg",
        "--outfile",
        "crl.pem",
    ];
    certtool(&[&crl_of[..], &signer].concat());
    fs::set_permissions(ca.path().join("ca.key"), Permissions::from_mode(0o600)).unwrap();
    let path = |name: &str| ca.path().join(name).display().to_string();
    let mut instance = Instance::empty();
    let done = instance.json(&[
        "ca",
        "import",
        "--certificate",
        &path("ca.crt"),
        "--key",
        &path("ca.key"),
        "--issued",
        &path("issued"),
        "--crl",
        &path("crl.pem"),
        "--accounts",
        "create",
        "--name",
        "branches",
    ]);
    assert_eq!(
        (&done["certificates"], &done["revoked"], &done["accounts_made"]),
        (&2.into(), &1.into(), &1.into()),
        "{done}"
    );
    let warnings = done["warnings"].to_string();
    assert!(
        warnings.contains("its number has more than 64 bits") && warnings.contains("gw1.key"),
        "{done}"
    );
    instance.serve();
    let list = crl(&instance, "branches");
    let [crt, root] = [ca.path().join("issued/2026/gw2.crt"), ca.path().join("ca.crt")];
    assert!(verified(&root, &list, &crt).contains("certificate revoked"));
    assert!(verified(&root, &list, &ca.path().join("issued/2026/gw1.crt")).contains(": OK"));
}

/// Makes a CA with certificates that python's cryptography signs: `ca.crt`, `ca.key`, `issued/NUMBER.pem`, `last.pem`, and `crl.pem`, on which
/// every fifth certificate is. Its key is RSA, and its serial numbers have 20 octets.
const PYTHON_CA: &str = r#"
import datetime, os, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
count = int(sys.argv[1])
key = rsa.generate_private_key(65537, 2048)
ca = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Python CA")])
now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
year = datetime.timedelta(days=365)
def new(subject, public, name=None):
    builder = x509.CertificateBuilder().issuer_name(ca).subject_name(subject).public_key(public)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + year)
    return builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False) if name else builder
def write(file, it):
    open(file, "wb").write(it.public_bytes(serialization.Encoding.PEM))
own = new(ca, key.public_key()).add_extension(x509.BasicConstraints(True, None), True)
own = own.add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
write("ca.crt", own.sign(key, hashes.SHA256()))
os.mkdir("issued")
one = ec.generate_private_key(ec.SECP256R1()).public_key()
crl = x509.CertificateRevocationListBuilder().issuer_name(ca).last_update(now).next_update(now + year)
crl = crl.add_extension(x509.CRLNumber(4097), False)
for number in range(count):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"gw{number}")])
    signed = new(name, one, f"gw{number}.example.net").sign(key, hashes.SHA256())
    write(f"issued/{number}.pem" if number else "last.pem", signed)
    if number % 5 == 1:
        entry = x509.RevokedCertificateBuilder().serial_number(signed.serial_number).revocation_date(now)
        crl = crl.add_revoked_certificate(entry.add_extension(x509.CRLReason(x509.ReasonFlags.superseded), False).build())
write("crl.pem", crl.sign(key, hashes.SHA256()))
os.umask(0o077)
pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
open("ca.key", "wb").write(pem)
"#;

#[test]
fn an_interrupted_import_is_finished_by_the_same_command() {
    const COUNT: usize = 400;
    let ca = tempfile::tempdir().unwrap();
    let path = |name: &str| ca.path().join(name).display().to_string();
    python(PYTHON_CA, &["400"], ca.path());
    // The last file with a certificate is a pipe. The command reads it once to see what it is, once to find problems, and a third time when
    // it has recorded what it read before.
    tool_ok("mkfifo", "coreutils", &["pipe"], ca.path());
    let import = [
        "--certificate",
        "ca.crt",
        "--key",
        "ca.key",
        "--issued",
        "issued",
        "--issued",
        "pipe",
        "--crl",
        "crl.pem",
    ];
    let import: Vec<String> = import
        .iter()
        .map(|part| if part.starts_with('-') { (*part).to_owned() } else { path(part) })
        .collect();
    let mut instance = Instance::init(&[]);
    let mut command = Command::new(COUNTERSIGN);
    command.arg("--data").arg(instance.data()).args(["ca", "import"]).args(&import);
    command.args(["--accounts", "create"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let last = fs::read(path("last.pem")).unwrap();
    let pipe = ca.path().join("pipe");
    let fds = format!("/proc/{}/fd", child.id());
    let is_open = || {
        let fds = fs::read_dir(&fds).unwrap().flatten();
        fds.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|file| file == pipe)
    };
    for _ in 0..2 {
        let mut writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
        wait_for("the command that opens the pipe", || is_open().then_some(()));
        writer.write_all(&last).unwrap();
        drop(writer);
        wait_for("the command that has read the pipe", || (!is_open()).then_some(()));
    }
    // The open returns when the command has opened the pipe for the third time.
    drop(fs::OpenOptions::new().write(true).open(path("pipe")).unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    // 1. Some certificates are recorded, and the server knows no such CA: nothing is signed for it.
    let recorded = |instance: &Instance| {
        let list = instance.json(&["cert", "list"]);
        let all = list.as_array().unwrap().iter().filter(|one| one["ca"] == "python-ca");
        let serials = all.map(|one| one["serial"].as_str().unwrap().to_owned());
        serials.collect::<Vec<String>>()
    };
    instance.serve();
    assert_eq!(instance.http("GET", "/crl/python-ca.crl", "", b"").unwrap().status, 404);
    let some = recorded(&instance).len();
    assert!((1..COUNT).contains(&some), "{some}");
    assert!(!instance.ok(&["ca", "show"]).contains("python-ca"));
    instance.stop();
    // 2. The same command goes on.
    fs::remove_file(path("pipe")).unwrap();
    fs::rename(path("last.pem"), path("pipe")).unwrap();
    let mut again = vec!["ca", "import", "--accounts", "create"];
    again.extend(import.iter().map(String::as_str));
    let done = instance.json(&again);
    assert_eq!(
        done["certificates"].as_u64().unwrap()
            + done["certificates_known_before"].as_u64().unwrap(),
        COUNT as u64,
        "{done}"
    );
    assert_eq!(done["certificates_known_before"].as_u64().unwrap(), some as u64, "{done}");
    assert_eq!(done["revoked"], COUNT / 5, "{done}");
    let all = recorded(&instance);
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (COUNT, COUNT));
    assert!(all.iter().any(|serial| serial.len() == 40), "{all:?}");
    assert_eq!(
        instance.json(&["peer", "list", "--ca", "python-ca"]).as_array().unwrap().len(),
        COUNT - COUNT / 5
    );
    instance.ok(&["audit", "verify"]);
    // 3. Its CRL is that of before, with a larger number.
    instance.serve();
    let list = crl(&instance, "python-ca");
    let shown = tool_ok(
        "openssl",
        "openssl",
        &["crl", "-noout", "-text", "-in", list.to_str().unwrap()],
        Path::new("/"),
    );
    assert_eq!(shown.matches("Superseded").count(), COUNT / 5);
    assert!(
        verified(&ca.path().join("ca.crt"), &list, &ca.path().join("issued/2.pem"))
            .contains(": OK")
    );
    assert!(
        verified(&ca.path().join("ca.crt"), &list, &ca.path().join("issued/6.pem"))
            .contains("certificate revoked")
    );
}

/// Runs a python script with the packages that `make deps` installs.
#[track_caller]
fn python(script: &str, arguments: &[&str], folder: &Path) {
    let mut all = vec!["-c", script];
    all.extend(arguments);
    tool_ok("python3", "python3-cryptography", &all, folder);
}

#[test]
fn a_database_without_certificates_gives_what_it_can() {
    let old = OpensslCa::new(&["-newkey", "rsa:2048", "-sha1"], "/CN=Old CA");
    old.issue("gw1", Some("DNS:gw1.example.net"), &[]);
    old.issue("gw2", Some("DNS:gw2.example.net"), &["-md", "sha1"]);
    old.issue("gw3", None, &[]);
    old.revoke("gw3", &["-crl_reason", "CACompromise"]);
    let path = |name: &str| old.path(name).display().to_string();
    let mut instance = Instance::init(&[]);
    instance.peer("gw2", &["fqdn:gw2.example.net"]);
    let ca = [
        "ca",
        "import",
        "--certificate",
        &path("ca.crt"),
        "--key",
        &path("ca.key"),
        "--password-file",
        &path("password"),
    ]
    .map(String::from);
    let done = instance
        .json(&[&strs(&ca)[..], &["--issued", &path("index.txt"), "--name", "old"]].concat());
    assert_eq!(
        (&done["certificates"], &done["listed_without_certificate"], &done["serial_numbers_kept"]),
        (&0.into(), &1.into(), &3.into()),
        "{done}"
    );
    let warnings = done["warnings"].to_string();
    for said in [
        "of 2 valid certificates only the serial number",
        "no CRL was given",
        "rfc5280.signature.algorithm",
    ] {
        assert!(warnings.contains(said), "{said}: {done}");
    }
    // The folder is added later, without the key; a certificate with SHA-1 is recorded for the account that holds its name.
    let more =
        ["ca", "import", "--name", "old", "--issued", &path("newcerts"), "--accounts", "none"]
            .map(String::from);
    let done = instance.json(&strs(&more));
    assert_eq!(
        (&done["certificates"], &done["certificates_without_account"]),
        (&3.into(), &2.into()),
        "{done}"
    );
    assert!(
        done["warnings"].to_string().contains("1 certificates have a signature with SHA-1"),
        "{done}"
    );
    assert_eq!(
        instance.certificates("gw2")[0]["serial"].as_str().unwrap(),
        format!("{:0>32}", old.serial("gw2"))
    );
    assert_eq!(instance.json(&["cert", "show", &old.serial("gw3")])["status"], "revoked");
    assert_eq!(instance.json(&["cert", "show", &old.serial("gw1")])["account"], "_former");
    // Without an account, nothing is renewed.
    instance.serve();
    let both = [fs::read(old.path("ca.crt")).unwrap(), fs::read(instance.root()).unwrap()].concat();
    fs::write(old.path("trusted.pem"), both).unwrap();
    let server = format!("http://{}/.well-known/cmp", instance.address);
    let kur = [
        "cmp",
        "-cmd",
        "kur",
        "-server",
        &server,
        "-cert",
        "gw1.crt",
        "-key",
        "gw1.key",
        "-newkey",
        "gw2.key",
        "-trusted",
        "trusted.pem",
        "-certout",
        "x",
    ]
    .map(String::from);
    let run = tool("openssl", "openssl", &strs(&kur), old.0.path());
    assert!(!run.status.success() && text(&run).contains("rejection"), "{}", text(&run));
    instance.stop();
    assert_eq!(deeds(&instance).iter().filter(|deed| *deed == "ca import").count(), 2);
    assert_eq!(deeds(&instance)[0], "init");
}

/// Whoever had the CA before could name a certificate after an administrator, and give it the same key usage.
#[test]
fn a_certificate_of_before_makes_nobody_an_administrator() {
    let old = OpensslCa::ec("/CN=Old CA");
    old.issue("alice", None, &["-extensions", "c"]);
    let expired = ["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"];
    old.issue("lost", Some("email:alice@example.net"), &["-extensions", "c"]);
    let lost = old.path("lost.crt").display().to_string();
    fs::remove_file(old.path(&format!("newcerts/{}.pem", old.serial("lost").to_uppercase())))
        .unwrap();
    let valid = old.serial("alice");
    old.issue("alice", None, &[&["-extensions", "c"], &expired[..]].concat());
    let ended = old.serial("alice");
    let instance = Instance::init(&[]);
    let ids = ["--id", "dn:CN=alice,O=Example", "--id", "email:alice@example.net"];
    instance.ok(&[&["admin", "add", "alice", "--role", "administrator"], &ids[..]].concat());
    let words = ["the administrator `alice`", "--accounts none", "nothing was imported"];
    for more in [&["--accounts", "create", "--dry-run"][..], &["--accounts", "create"], &[]] {
        fails(&instance.run(&strs(&old.import(more))), 2, &words);
    }
    let profile = ["--accounts", "create", "--profile", "administrator"];
    fails(&instance.run(&strs(&old.import(&profile))), 2, &["countersign admin add"]);
    for more in [&["--accounts", "none", "--dry-run"][..], &["--accounts", "none"]] {
        let done = instance.json(&strs(&old.import(more)));
        let warnings = done["warnings"].to_string();
        assert!(
            warnings.contains(&valid) && warnings.contains("proves no administrator"),
            "{done}"
        );
    }
    for serial in [&valid, &ended] {
        let shown = instance.json(&["cert", "show", serial]);
        assert_eq!((&shown["account"], &shown["profile"]), (&"_former".into(), &"_former".into()));
    }
    // Nor does one that turns up later, by its names alone.
    fails(&instance.run(&["cert", "import", &lost]), 1, &["would prove", "--account alice"]);
    fails(&instance.run(&["cert", "show", &old.serial("lost")]), 3, &[]);
    instance.ok(&["cert", "import", &lost, "--account", "_former"]);
    assert_eq!(instance.json(&["cert", "show", &old.serial("lost")])["account"], "_former");
}

/// A renewal gets all names of the account: what one certificate had would be the other's, too.
#[test]
fn certificates_share_a_new_account_only_if_they_have_the_same_names() {
    let old = OpensslCa::ec("/CN=Old CA");
    let (cluster, both) =
        ("DNS:cluster.example.net", "DNS:cluster.example.net,DNS:gw-b.example.net");
    old.issue("gw-a", Some(cluster), &[]);
    old.issue("gw-b", Some(both), &[]);
    for name in ["gw-c", "gw-d"] {
        old.issue(name, Some("DNS:shared.example.net,IP:192.0.2.9"), &[]);
    }
    // The same subject, and once no further name.
    old.issue("gw-e", None, &[]);
    let alone = old.serial("gw-e");
    old.issue("gw-e", Some("DNS:gw-e.example.net"), &[]);
    let mut instance = Instance::init(&[]);
    let create = old.import(&["--accounts", "create"]);
    let run = instance.run(&strs(&create));
    fails(&run, 2, &["`fqdn:cluster.example.net`, `fqdn:gw-b.example.net`", "one holder"]);
    let said = text(&run);
    assert!(
        ["gw-a", "gw-b"].iter().all(|name| said.to_lowercase().contains(&old.serial(name))),
        "{said}"
    );
    assert_eq!(instance.json(&["peer", "list"]).as_array().unwrap().len(), 0);
    // The operator says that they are two.
    let [one, other] = ["fqdn:cluster.example.net", "fqdn:gw-b.example.net"];
    instance.ok(&["peer", "add", "b", "--id", one, "--id", other, "--no-secret"]);
    instance.ok(&["peer", "add", "a", "--id", one, "--no-secret"]);
    let done = instance.json(&strs(&create));
    assert_eq!(done["accounts_made"], 3, "{done}");
    let account = |serial: &str| {
        instance.json(&["cert", "show", serial])["account"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (account(&old.serial("gw-a")), account(&old.serial("gw-b"))),
        ("a".into(), "b".into())
    );
    assert_eq!(account(&old.serial("gw-c")), account(&old.serial("gw-d")));
    assert_ne!(account(&old.serial("gw-e")), account(&alone));
    let ids = instance.json(&["peer", "show", &account(&alone)])["ids"].clone();
    assert_eq!(ids, serde_json::json!(["dn:CN=gw-e,O=Example"]));
    instance.serve();
    instance.stop();
}

/// Between the two readings a file loses its certificate, which the records would lack for ever.
#[test]
fn a_file_that_changes_while_it_is_read_stops_the_import() {
    let ca = tempfile::tempdir().unwrap();
    let path = |name: &str| ca.path().join(name).display().to_string();
    python(PYTHON_CA, &["5"], ca.path());
    tool_ok("mkfifo", "coreutils", &["pipe"], ca.path());
    let instance = Instance::init(&[]);
    let mut import = vec!["ca", "import", "--accounts", "create"]
        .into_iter()
        .map(String::from)
        .collect::<Vec<_>>();
    for (option, file) in [
        ("--certificate", "ca.crt"),
        ("--key", "ca.key"),
        ("--issued", "issued"),
        ("--issued", "pipe"),
        ("--crl", "crl.pem"),
    ] {
        import.extend([option.to_owned(), path(file)]);
    }
    let last = fs::read(path("last.pem")).unwrap();
    let line =
        tool_ok("openssl", "openssl", &["x509", "-in", "last.pem", "-noout", "-serial"], ca.path());
    let serial = line.trim().trim_start_matches("serial=").to_lowercase();
    let extra = fs::read(path("issued/4.pem")).unwrap();
    fs::rename(path("issued/4.pem"), path("extra.pem")).unwrap();
    // What the pipe gives at the third reading, as in the test above.
    for (third, words) in [
        (Vec::new(), format!("{serial} is gone")),
        ([&last[..], &extra].concat(), format!("came ({})", path("pipe"))),
    ] {
        let mut command = Command::new(COUNTERSIGN);
        command.arg("--data").arg(instance.data()).args(&import);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pipe = ca.path().join("pipe");
        let fds = format!("/proc/{}/fd", child.id());
        let is_open = || {
            let fds = fs::read_dir(&fds).unwrap().flatten();
            fds.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|file| file == pipe)
        };
        for _ in 0..2 {
            let mut writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
            wait_for("the command that opens the pipe", || is_open().then_some(()));
            writer.write_all(&last).unwrap();
            drop(writer);
            wait_for("the command that has read the pipe", || (!is_open()).then_some(()));
        }
        fs::OpenOptions::new().write(true).open(&pipe).unwrap().write_all(&third).unwrap();
        let output = child.wait_with_output().unwrap();
        fails(&output, 5, &["changed while they were read", &words]);
        assert!(!instance.ok(&["ca", "show"]).contains("python-ca"));
    }
    fs::rename(path("extra.pem"), path("issued/4.pem")).unwrap();
    fs::remove_file(path("pipe")).unwrap();
    fs::rename(path("last.pem"), path("pipe")).unwrap();
    let done = instance.json(&strs(&import));
    assert_eq!(
        (&done["certificates"], &done["certificates_known_before"]),
        (&1.into(), &4.into()),
        "{done}"
    );
    assert!(instance.ok(&["ca", "show"]).contains("python-ca"));
}

#[test]
fn a_retired_ca_issues_no_more_and_goes_on_with_crls_and_ocsp() {
    let old = OpensslCa::ec("/CN=Old CA");
    for name in ["gw1", "gw2", "gw3"] {
        old.issue(name, Some(&format!("DNS:{name}.example.net")), &[]);
    }
    let mut instance = Instance::empty();
    instance.ok(&strs(&old.import(&["--accounts", "create"])));
    // The only CA, and the default one, stay.
    fails(&instance.run(&["ca", "retire", "old-ca"]), 3, &["--default NAME", "ca add"]);
    fails(&instance.run(&["ca", "retire", "root"]), 3, &["no issuing CA `root`"]);
    instance.ok(&["init"]);
    fails(
        &instance.run(&["ca", "retire", "old-ca", "--default", "old-ca"]),
        3,
        &["issues for accounts that name no CA"],
    );
    instance.serve();
    let shown = instance.json(&["ca", "retire", "old-ca", "--default", "issuing"]);
    let line = |shown: &Value, name: &str| {
        shown.as_array().unwrap().iter().find(|ca| ca["name"] == name).unwrap().clone()
    };
    assert_eq!(
        (&line(&shown, "old-ca")["retired"], &line(&shown, "issuing")["default"]),
        (&true.into(), &true.into()),
        "{shown}"
    );
    fails(&instance.run(&["ca", "retire", "old-ca"]), 3, &["retired already"]);
    fails(&instance.run(&["ca", "set-default", "old-ca"]), 3, &["--undo"]);
    let kur = |instance: &Instance, name: &str| {
        let trusted = old.path("trusted.pem");
        let both =
            [fs::read(old.path("ca.crt")).unwrap(), fs::read(instance.root()).unwrap()].concat();
        fs::write(&trusted, both).unwrap();
        old.openssl(&["genpkey", "-algorithm", "ED25519", "-out", "fresh.key"]);
        old.kur(instance, name, "trusted.pem")
    };
    let refused = |instance: &Instance, name: &str| {
        let run = kur(instance, name);
        assert!(
            !run.status.success() && text(&run).contains("is retired and issues no more"),
            "{}",
            text(&run)
        );
    };
    refused(&instance, "gw1");
    // Its CRLs and OCSP answers go on, also after a restart.
    instance.ok(&["cert", "revoke", &old.serial("gw2")]);
    instance.stop();
    instance.ok(&["store", "rebuild"]);
    fails(&instance.run(&["ca", "roll", "old-ca", "--root-csr", "x"]), 3, &["is retired"]);
    instance.serve();
    refused(&instance, "gw1");
    let list = crl(&instance, "old-ca");
    assert!(
        verified(&old.path("ca.crt"), &list, &old.path("gw2.crt")).contains("certificate revoked")
    );
    let url = format!("http://{}/ocsp", instance.address);
    let ocsp = old.openssl(&[
        "ocsp", "-issuer", "ca.crt", "-CAfile", "ca.crt", "-url", &url, "-cert", "gw1.crt",
    ]);
    assert!(ocsp.contains("gw1.crt: good"), "{ocsp}");
    // An account that gets another CA renews there with the certificate of the retired one.
    instance.ok(&["peer", "edit", "gw1", "--ca", "issuing"]);
    let run = kur(&instance, "gw1");
    assert!(run.status.success(), "{}", text(&run));
    let verify = [
        "verify",
        "-CAfile",
        instance.root().to_str().unwrap(),
        "-untrusted",
        instance.data().join("keys/issuing.crt").to_str().unwrap(),
        "gw1.new",
    ]
    .map(String::from);
    assert!(old.openssl(&strs(&verify)).contains(": OK"));
    // And back.
    let shown = instance.json(&["ca", "retire", "old-ca", "--undo"]);
    assert_eq!(line(&shown, "old-ca")["retired"], false, "{shown}");
    assert!(kur(&instance, "gw3").status.success());
    fails(&instance.run(&["ca", "retire", "old-ca", "--undo"]), 3, &["is not retired"]);
    let done = deeds(&instance);
    for deed in
        ["ca import", "init", "ca set-default", "ca retire", "store rebuild", "ca retire --undo"]
    {
        assert!(done.iter().any(|other| other == deed), "{deed}: {done:?}");
    }
}

/// The findings of `status` about a subject, by their codes, and the whole answer.
fn findings(instance: &Instance, subject: &str) -> (Vec<String>, Value) {
    let run = instance.run(&["status", "--format", "json"]);
    let status: Value = serde_json::from_slice(&run.stdout).unwrap();
    let all = status["findings"].as_array().unwrap().iter();
    let about = all.filter(|finding| finding["subject"] == subject);
    (about.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect(), status)
}

/// `/readyz`: its status and its lines.
fn ready(instance: &Instance) -> (u16, String) {
    let answer = instance.http("GET", "/readyz", "", b"").unwrap();
    (answer.status, String::from_utf8(answer.body).unwrap())
}

/// A running instance with a CA of its own and `short-ca`, which was taken over with the accounts `gw1` and `gw2` and ends in 60 days.
fn with_short_ca() -> Instance {
    let sixty_days = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "60"];
    let old = OpensslCa::new(&sixty_days, "/CN=Short CA");
    for name in ["gw1", "gw2"] {
        old.issue(name, Some(&format!("DNS:{name}.example.net")), &["-days", "20"]);
    }
    let mut instance = Instance::empty();
    instance.ok(&["init"]);
    instance.ok(&strs(&old.import(&["--accounts", "create"])));
    instance.serve();
    instance
}

#[test]
fn a_self_signed_ca_that_ends_is_advised_to_retire_and_then_told_no_more() {
    let instance = with_short_ca();
    // What is advised can be done.
    let (codes, status) = findings(&instance, "short-ca");
    assert_eq!(codes, ["ca-cuts"], "{status}");
    for said in [status.to_string(), ready(&instance).1] {
        assert!(said.contains("countersign ca retire short-ca"), "{said}");
        assert!(!said.contains("ca roll short-ca"), "{said}");
    }
    let cuts = |expected: u8| {
        let metrics = instance.http("GET", "/metrics", "", b"").unwrap().body;
        let line = format!("countersign_ca_cuts_certificates{{ca=\"short-ca\"}} {expected}\n");
        assert!(String::from_utf8(metrics).unwrap().contains(&line), "{line}");
    };
    cuts(1);
    // What it leaves behind is counted, by the answer and by the warning.
    let shown = instance.json(&["ca", "retire", "short-ca"]);
    let line = shown.as_array().unwrap().iter().find(|ca| ca["name"] == "short-ca").unwrap();
    assert_eq!(line["accounts_still_naming_it"], 2, "{shown}");
    instance.ok(&["ca", "retire", "short-ca", "--undo"]);
    let run = instance.run(&["ca", "retire", "short-ca"]);
    assert!(run.status.success() && text(&run).contains("peer list --ca short-ca"), "{run:?}");
    let (codes, status) = findings(&instance, "short-ca");
    assert_eq!(codes, ["ca-retired"], "{status}");
    let cas = status["cas"].as_array().unwrap();
    let retired: Vec<_> = cas.iter().filter(|ca| ca["retired"] == true).collect();
    assert!(retired.len() == 1 && retired[0]["name"] == "short-ca", "{status}");
    assert!(text(&instance.run(&["status"])).contains(", retired\n"));
    let (code, said) = ready(&instance);
    assert!(code == 200 && !said.contains("short-ca"), "{said}");
    cuts(0);
}

#[test]
fn the_end_of_a_retired_ca_is_no_fault() {
    let mut instance = with_short_ca();
    instance.ok(&["ca", "retire", "short-ca"]);
    instance.stop();
    instance.serve_with(at_another_time("+70d", COUNTERSIGN));
    let (code, said) = ready(&instance);
    assert!(code == 200 && !said.contains("short-ca"), "{said}");
    let (codes, status) = findings(&instance, "short-ca");
    assert_eq!((&status["ok"], codes), (&true.into(), vec!["ca-retired".to_owned()]), "{status}");
    for name in ["gw1", "gw2"] {
        instance.ok(&["peer", "edit", name, "--ca", "issuing"]);
    }
    assert_eq!(findings(&instance, "short-ca").0, Vec::<String>::new());
    // Without the word of an administrator, it is one.
    instance.ok(&["ca", "retire", "short-ca", "--undo"]);
    let (codes, status) = findings(&instance, "short-ca");
    assert_eq!((&status["ok"], codes), (&false.into(), vec!["ca-ended".to_owned()]), "{status}");
    assert_eq!(ready(&instance).0, 503);
}

#[test]
fn no_account_gets_a_ca_that_was_retired() {
    let instance = with_short_ca();
    instance.ok(&["ca", "retire", "short-ca"]);
    let told = ["`short-ca` is retired", "another one", "ca retire short-ca --undo"];
    let add = ["peer", "add", "gw9", "--id", "fqdn:gw9.example.net", "--ca", "short-ca"];
    fails(&instance.run(&add), 2, &told);
    instance.ok(&["peer", "add", "gw8", "--id", "fqdn:gw8.example.net"]);
    fails(&instance.run(&["peer", "edit", "gw8", "--ca", "short-ca"]), 2, &told);
    let csv = instance.file("more.csv");
    let path = csv.to_str().unwrap();
    fs::write(&csv, "name,ids,ca\ngw9,fqdn:gw9.example.net,short-ca\n").unwrap();
    let place = ["line 2", "`ca`"];
    fails(&instance.run(&["peer", "import", path]), 2, &[&place, &told[..]].concat());
    fs::write(&csv, "name,ids,ca\ngw8,fqdn:gw8.example.net,short-ca\n").unwrap();
    fails(&instance.run(&["peer", "import", path, "--update"]), 2, &told);
    fails(&instance.run(&["peer", "show", "gw9"]), 3, &["gw9"]);
    assert!(instance.json(&["peer", "show", "gw8"])["ca"].is_null());
    // What else an account of it has can be changed.
    let same = "name,ids,ca,note\ngw1,fqdn:gw1.example.net,short-ca,old\n";
    fs::write(&csv, same).unwrap();
    instance.ok(&["peer", "import", path, "--update"]);
    instance.ok(&["peer", "edit", "gw2", "--note", "to be moved"]);
    assert_eq!(instance.json(&["peer", "show", "gw1"])["note"], "old");
    // And it gets accounts again when it issues again.
    instance.ok(&["ca", "retire", "short-ca", "--undo"]);
    instance.ok(&add);
}

#[test]
fn the_recipe_for_a_peer_names_the_root_of_its_ca() {
    let old = OpensslCa::ec("/CN=Old CA");
    let instance = Instance::empty();
    instance.ok(&["init"]);
    instance.ok(&strs(&old.import(&[])));
    let named = |instance: &Instance, name: &str, flags: &[&str]| {
        let id = format!("fqdn:{name}.example.net");
        let said = instance.ok(&[&["peer", "add", name, "--id", &id], flags].concat());
        let from = said.split("the root certificate `").nth(1).unwrap();
        from.split('`').next().unwrap().to_owned()
    };
    let file = |name: &str| instance.data().join("keys").join(name).to_str().unwrap().to_owned();
    assert_eq!(named(&instance, "gw1", &[]), file("root.crt"));
    assert_eq!(named(&instance, "gw2", &["--ca", "old-ca"]), file("old-ca.crt"));
    // The next root counts when it certifies what issues.
    instance.ok(&["ca", "roll", "root"]);
    assert_eq!(named(&instance, "gw3", &[]), file("root.crt"));
    instance.ok(&["ca", "roll", "issuing"]);
    assert_eq!(named(&instance, "gw4", &["--ca", "issuing"]), file("root.2.crt"));
    assert_eq!(named(&instance, "gw5", &["--ca", "old-ca"]), file("old-ca.crt"));
    // Without a CA of its own, an account has the default one.
    instance.ok(&["ca", "set-default", "old-ca"]);
    assert_eq!(named(&instance, "gw6", &[]), file("old-ca.crt"));
}

#[test]
fn a_default_ca_below_another_root_is_told_to_clients_of_tls() {
    let old = OpensslCa::ec("/CN=Old CA");
    let instance = Instance::empty();
    instance.ok(&["init"]);
    instance.ok(&["ca", "add", "second"]);
    instance.ok(&strs(&old.import(&[])));
    let default = |name: &str| {
        let run = instance.run(&["ca", "set-default", name]);
        assert!(run.status.success(), "{run:?}");
        text(&run)
    };
    // Nobody is concerned without such servers.
    assert!(!default("old-ca").contains("as a root"));
    default("issuing");
    let config = instance.data().join("countersign.toml");
    let listen = |text: String, section: &str| {
        let head = format!("[{section}]\n");
        text.replacen(&head, &format!("{head}listen = \"127.0.0.1:0\"\n"), 1)
    };
    let text = listen(listen(fs::read_to_string(&config).unwrap(), "est"), "admin");
    fs::write(&config, text).unwrap();
    assert!(!default("second").contains("as a root"), "it is below the same root");
    let file = |name: &str| instance.data().join("keys").join(name).display().to_string();
    let said = default("old-ca");
    for clients in ["EST clients", "remote administrators"] {
        let told = format!("{clients} need `{}` as a root", file("old-ca.crt"));
        assert!(said.contains(&told) && said.contains(&file("root.crt")), "{said}");
    }
    let run = instance.run(&["ca", "retire", "old-ca", "--default", "issuing"]);
    let told = format!("EST clients need `{}` as a root", file("root.crt"));
    assert!(run.status.success() && self::text(&run).contains(&told), "{run:?}");
}
