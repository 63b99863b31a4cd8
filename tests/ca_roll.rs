//! `countersign ca roll`: the next key of a root and of an issuing CA, followed by OpenSSL and by CMP clients.
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

use common::general::*;
use common::openssl::{by_secret, cmp, cmp_by, enrol, key};
use common::{COUNTERSIGN, Instance, Process, at_another_time, fails, tool, tool_ok, wait_for};
use serde_json::Value;

const URL: &str = "http://pki.example.net";

/// An instance whose certificates say where CRLs are. It is not started.
fn founded(flags: &[&str]) -> Instance {
    let instance = Instance::empty();
    let config = instance.file("first.toml");
    fs::write(&config, format!("[http]\npublic_url = \"{URL}\"\n")).unwrap();
    let mut arguments = vec!["init", "--config", config.to_str().unwrap()];
    arguments.extend(flags);
    instance.ok(&arguments);
    fs::copy(&config, instance.data().join("countersign.toml")).unwrap();
    instance
}

/// The path of a certificate of the instance.
fn certificate(instance: &Instance, name: &str) -> String {
    instance.data().join(format!("keys/{name}.crt")).to_str().unwrap().to_owned()
}

/// Whether `openssl verify` accepts a leaf under one root, with these certificates between.
fn verifies(instance: &Instance, root: &str, between: &[&str], leaf: &str) -> bool {
    // A root more than once changes nothing, and OpenSSL reads no empty file.
    let names = between.iter().chain([&root]);
    let files = names.map(|name| fs::read(certificate(instance, name)).unwrap());
    fs::write(instance.file("between.pem"), files.collect::<Vec<_>>().concat()).unwrap();
    let root = certificate(instance, root);
    let mut arguments = vec!["verify", "-x509_strict", "-no-CApath", "-no-CAstore"];
    arguments.extend(["-CAfile", &root, "-untrusted", "between.pem", leaf]);
    tool("openssl", "openssl", &arguments, &instance.file(".")).status.success()
}

/// A field of `openssl x509 -text` of a certificate of the instance.
fn text(instance: &Instance, name: &str) -> String {
    let path = certificate(instance, name);
    let arguments = ["x509", "-noout", "-text", "-in", &path];
    tool_ok("openssl", "openssl", &arguments, &instance.file("."))
}

/// Whether the current CRL of a CA is signed by it, and the serial numbers on it.
fn crl(instance: &Instance, ca: &str) -> String {
    let answer = instance.http("GET", &format!("/crl/{ca}.crl"), "text/plain", &[]).unwrap();
    assert_eq!(answer.status, 200, "{ca}");
    fs::write(instance.file("one.crl"), &answer.body).unwrap();
    let issuer = certificate(instance, ca);
    let arguments =
        ["crl", "-inform", "DER", "-in", "one.crl", "-CAfile", &issuer, "-noout", "-text"];
    let text = tool_ok("openssl", "openssl", &arguments, &instance.file("."));
    assert!(text.contains("verify OK"), "{ca}: {text}");
    text
}

fn roll(instance: &Instance, name: &str) -> Value {
    instance.json(&["ca", "roll", name])
}

fn cas(instance: &Instance) -> Vec<(String, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let list = instance.json(&["ca", "show"]);
    list.as_array()
        .unwrap()
        .iter()
        .map(|ca| (text(&ca["name"]).unwrap(), text(&ca["succeeds"])))
        .collect()
}

/// The serial number of a certificate file, as CRLs print it.
fn serial(instance: &Instance, file: &str) -> String {
    let arguments = ["x509", "-noout", "-serial", "-in", file];
    let text = tool_ok("openssl", "openssl", &arguments, &instance.file("."));
    text.trim().trim_start_matches("serial=").to_owned()
}

#[test]
fn a_root_and_its_issuing_ca_are_rolled_and_all_trust_goes_on() {
    let mut instance = founded(&[]);
    instance.serve();
    key(&instance, "p256", "gw.key");
    let old =
        instance.peer_with("old", &["fqdn:old.example.net"], &["--ca", "issuing", "--uses", "9"]);
    enrol(&instance, &old, "gw.key", &[]).granted();
    let running = instance.run(&["ca", "roll", "root"]);
    assert!(String::from_utf8_lossy(&running.stderr).contains("stop it, roll the CA"));
    instance.stop();

    // 1. The roll, and what it says of itself.
    let said = roll(&instance, "root");
    assert_eq!(said["ca"], "root.2");
    assert_eq!(said["succeeds"], "root");
    assert_eq!(said["subject"], "CN=Countersign root CA G2");
    for file in ["certificate", "new_with_old", "old_with_new"] {
        let path = said[file].as_str().unwrap();
        let arguments = ["x509", "-noout", "-in", path];
        tool_ok("openssl", "openssl", &arguments, &instance.file("."));
    }
    let again = instance.run(&["ca", "roll", "root"]);
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("`ca roll root.2`"));
    let said = roll(&instance, "issuing");
    assert_eq!((&said["ca"], &said["new_with_old"]), (&"issuing.2".into(), &Value::Null));
    let files = instance.ok(&["audit", "verify"]);
    assert!(!files.is_empty());
    let lint: Vec<String> = ["root.2", "root.2.new-with-old", "root.2.old-with-new", "issuing.2"]
        .map(|name| certificate(&instance, name))
        .to_vec();
    for file in &lint {
        instance.ok(&["lint", file]);
    }
    // Each says where the CRL of its own signer is.
    for (name, url) in [
        ("root.2.new-with-old", "/crl/root.crl"),
        ("root.2.old-with-new", "/crl/root.2.crl"),
        ("issuing.2", "/crl/root.2.crl"),
    ] {
        assert!(text(&instance, name).contains(&format!("{URL}{url}\n")), "{name}");
    }
    assert!(!text(&instance, "root.2").contains("CRL Distribution Points"));
    assert!(text(&instance, "issuing.2").contains("pathlen:0"));

    // 2. Issuance goes on with the new key, for accounts that name the old CA too.
    instance.serve();
    let names: Vec<(String, Option<String>)> = [
        ("issuing", None),
        ("issuing.2", Some("issuing")),
        ("root", None),
        ("root.2", Some("root")),
    ]
    .map(|(name, of)| (name.to_owned(), of.map(str::to_owned)))
    .to_vec();
    assert_eq!(cas(&instance), names);
    let new = instance.peer("new", &["fqdn:new.example.net"]);
    enrol(&instance, &new, "gw.key", &["-path", ".well-known/cmp/p/issuing"]).granted();
    // 3. Who trusts either root verifies either leaf, by the certificates that connect them and not without.
    for (root, between, leaf, expected) in [
        ("root", &["issuing"][..], "old.crt", true),
        ("root.2", &["issuing.2"], "new.crt", true),
        ("root.2", &["issuing", "root.2.old-with-new"], "old.crt", true),
        ("root.2", &["issuing"], "old.crt", false),
        ("root", &["issuing.2", "root.2.new-with-old"], "new.crt", true),
        ("root", &["issuing.2"], "new.crt", false),
        ("root", &["issuing", "root.2.new-with-old"], "new.crt", false),
    ] {
        let found = verifies(&instance, root, between, leaf);
        assert_eq!(found, expected, "{leaf} under {root} with {between:?}");
    }
    // 4. A holder of an old certificate, who trusts the old root alone, renews and revokes.
    let signed = ["-cert", "old.crt", "-key", "gw.key"];
    key(&instance, "p256", "next.key");
    let kur = ["-cmd", "kur", "-newkey", "next.key", "-certout", "next.crt"];
    cmp(&instance, &[&signed[..], &kur].concat()).granted();
    assert!(verifies(&instance, "root.2", &["issuing.2"], "next.crt"));
    // Who signs with the new one is answered by a signer below the new root: the chain leads to the old one.
    let next = ["-cert", "next.crt", "-key", "next.key"];
    let genm = ["-cmd", "genm", "-infotype", "caCerts"];
    cmp(&instance, &[&next[..], &genm].concat()).granted();
    cmp(&instance, &[&signed[..], &["-cmd", "rr", "-oldcert", "old.crt"]].concat()).granted();
    cmp(&instance, &[&next[..], &["-cmd", "rr", "-oldcert", "next.crt"]].concat()).granted();

    // 5. CRLs of both.
    for ca in ["issuing", "issuing.2", "root", "root.2"] {
        instance.ok(&["crl", "publish", "--ca", ca]);
    }
    let (first, second) = (serial(&instance, "old.crt"), serial(&instance, "next.crt"));
    let (before, after) = (crl(&instance, "issuing"), crl(&instance, "issuing.2"));
    assert!(before.contains(&first) && !before.contains(&second), "{before}");
    assert!(after.contains(&second) && !after.contains(&first), "{after}");
    crl(&instance, "root");
    crl(&instance, "root.2");
    // 6. OCSP, for both leaves and for the certificates that connect the roots.
    let links = ["root.2.new-with-old", "root.2.old-with-new"].map(|n| certificate(&instance, n));
    for (root, ca, leaf, status) in [
        ("root", "issuing", "old.crt", "revoked"),
        ("root.2", "issuing.2", "new.crt", "good"),
        ("root", "root", links[0].as_str(), "good"),
        ("root.2", "root.2", links[1].as_str(), "good"),
    ] {
        let (root, issuer) = (certificate(&instance, root), certificate(&instance, ca));
        let url = format!("http://{}/ocsp", instance.address);
        let arguments = ["ocsp", "-issuer", &issuer, "-cert", leaf, "-url", &url, "-CAfile", &root];
        let answer = tool_ok("openssl", "openssl", &arguments, &instance.file("."));
        assert!(answer.contains(&format!("{leaf}: {status}")), "{answer}");
        assert!(answer.contains("Response verify OK"), "{answer}");
    }
    // 7. The index without its past: everything comes back from the journal.
    instance.stop();
    instance.ok(&["audit", "verify"]);
    fs::remove_dir_all(instance.data().join("index")).unwrap();
    instance.serve();
    assert_eq!(cas(&instance), names);
    enrol(&instance, &new, "gw.key", &[]).granted();
    assert!(verifies(&instance, "root.2", &["issuing.2"], "new.crt"));
}

#[test]
fn a_client_follows_its_root_to_the_last_key() {
    let mut instance = founded(&["--root-algorithm", "p384"]);
    let root = |instance: &Instance, name: &str| der_of(instance, &format!("{name}.crt"));
    for name in ["root", "root.2", "issuing"] {
        roll(&instance, name);
    }
    assert!(text(&instance, "root.3").contains("384 bit"));
    instance.serve();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let update = |value: &[u8]| {
        let (kind, value) = ask_one(&instance, &peer, info(ROOT_CA_CERT, value));
        assert_eq!(kind, ROOT_CA_KEY_UPDATE);
        value.map(|value| {
            let parts = value.parts();
            let [new, with_old, old_with] = parts.as_slice() else { panic!("three certificates") };
            assert_eq!((with_old.tag, old_with.tag), (0xa0, 0xa1));
            [new.whole.clone(), with_old.content.clone(), old_with.content.clone()]
        })
    };
    let expected = |next: &str| {
        let names =
            [next.to_owned(), format!("{next}.new-with-old"), format!("{next}.old-with-new")];
        Some(names.map(|name| root(&instance, &name)))
    };
    assert_eq!(update(&root(&instance, "root")), expected("root.2"));
    assert_eq!(update(&root(&instance, "root.2")), expected("root.3"));
    assert_eq!(update(&root(&instance, "root.3")), None);
    assert_eq!(update(b""), expected("root.3"));
    assert_eq!(update(&root(&instance, "issuing")), None, "no root");

    // The CAs below the roots, and all that connects these.
    let (_, list) = ask_one(&instance, &peer, info(CA_CERTS, b""));
    let mut list: Vec<Vec<u8>> = list.unwrap().parts().into_iter().map(|c| c.whole).collect();
    let mut all: Vec<Vec<u8>> = [
        "issuing",
        "issuing.2",
        "root.2.new-with-old",
        "root.2.old-with-new",
        "root.3.new-with-old",
        "root.3.old-with-new",
    ]
    .map(|name| root(&instance, name))
    .to_vec();
    list.sort();
    all.sort();
    assert_eq!(list, all);
    // The chain to the first root goes over both links, and the answers of the server hold it.
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &["-extracertsout", "extra.pem"]).granted();
    let links = ["issuing.2", "root.3.new-with-old", "root.2.new-with-old"];
    assert!(verifies(&instance, "root", &links, "gw1.crt"));
    assert!(!verifies(&instance, "root", &links[..2], "gw1.crt"));
    let root = certificate(&instance, "root");
    let arguments = ["verify", "-CAfile", &root, "-untrusted", "extra.pem", "gw1.crt"];
    tool_ok("openssl", "openssl", &arguments, &instance.file("."));
    // caPubs hold the last root.
    enrol(&instance, &peer, "gw1.key", &["-cacertsout", "pubs.pem"]).granted();
    let pubs = tool_ok("openssl", "openssl", &["x509", "-in", "pubs.pem"], &instance.file("."));
    assert_eq!(pubs.trim(), fs::read_to_string(certificate(&instance, "root.3")).unwrap().trim());
}

#[test]
fn what_cannot_be_rolled_is_refused_and_what_was_interrupted_goes_on() {
    let instance = founded(&[]);
    let refused = |arguments: &[&str], why: &str| {
        let output = instance.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(why), "{arguments:?}: {text}");
    };
    refused(&["ca", "roll", "nosuch"], "there is no CA `nosuch`");
    refused(&["ca", "roll", "root", "--validity", "never"], "--validity");
    // A key that an interrupted roll left is used by the next try.
    let (data, before) = (instance.data(), instance.file("before"));
    let paths = [&data, &before].map(|path| path.to_str().unwrap());
    tool_ok("cp", "coreutils", &["-r", paths[0], paths[1]], &instance.file("."));
    roll(&instance, "root");
    fs::copy(data.join("keys/root.2.key"), before.join("keys/root.2.key")).unwrap();
    let again = Command::new(COUNTERSIGN).args(["ca", "roll", "root", "--data", paths[1]]).output();
    assert!(again.unwrap().status.success());
    let public = |file: &std::path::Path| {
        let arguments = ["x509", "-noout", "-pubkey", "-in", file.to_str().unwrap()];
        tool_ok("openssl", "openssl", &arguments, &instance.file("."))
    };
    assert_eq!(public(&before.join("keys/root.2.crt")), public(&data.join("keys/root.2.crt")));
    // A lost file is written again.
    let next = fs::read(certificate(&instance, "root.2")).unwrap();
    for file in ["root.2", "root.2.new-with-old", "root.2.old-with-new"] {
        fs::remove_file(certificate(&instance, file)).unwrap();
    }
    roll(&instance, "root");
    assert_eq!(fs::read(certificate(&instance, "root.2")).unwrap(), next);
    assert!(fs::exists(certificate(&instance, "root.2.new-with-old")).unwrap());
    refused(&["ca", "roll", "root"], "its next key is `root.2` already");
    // Without the root's key nothing below it is rolled.
    fs::rename(instance.data().join("keys/root.2.key"), instance.file("root.2.key")).unwrap();
    refused(&["ca", "roll", "root.2"], "the key of `root.2` is not here");
    refused(&["ca", "roll", "issuing"], "the root's key is not here");
    fs::rename(instance.file("root.2.key"), instance.data().join("keys/root.2.key")).unwrap();
    // A further CA is certified by the last root, and says so.
    instance.ok(&["ca", "add", "other", "--subject", "CN=Other"]);
    assert!(text(&instance, "other").contains(&format!("{URL}/crl/root.2.crl\n")));
    let other = certificate(&instance, "other");
    assert!(verifies(&instance, "root.2", &[], &other));
}

#[test]
fn when_the_old_ca_ends_the_new_one_goes_on_alone() {
    let mut instance = founded(&["--validity", "30d"]);
    instance.ok(&["ca", "roll", "issuing", "--validity", "400d", "--algorithm", "rsa3072"]);
    assert!(text(&instance, "issuing.2").contains("3072 bit"));
    instance.serve_with(at_another_time("+60d", COUNTERSIGN));
    let ready = instance.http("GET", "/readyz", "text/plain", &[]).unwrap();
    let said = String::from_utf8_lossy(&ready.body).into_owned();
    assert!(!said.contains("ended"), "{said}");
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--ca", "issuing"]);
    key(&instance, "p256", "gw1.key");
    let secret = by_secret(&peer);
    let mut arguments = vec!["-cmd", "ir", "-newkey", "gw1.key", "-certout", "gw1.crt"];
    arguments.extend(secret.iter().map(String::as_str));
    let client = || -> Command { at_another_time("+60d", "openssl") };
    cmp_by(client(), &instance, &arguments).granted();
    let (root, above) = (certificate(&instance, "root"), certificate(&instance, "issuing.2"));
    let output = client()
        .args(["verify", "-CAfile", &root, "-untrusted", &above, "gw1.crt"])
        .current_dir(instance.file("."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    // What is signed with the new certificate is answered by the new CA's signer.
    let request = ["-cmd", "genm", "-infotype", "caCerts", "-cert", "gw1.crt", "-key", "gw1.key"];
    cmp_by(client(), &instance, &request).granted();
}

/// Accounts that name no CA always get certificates, and a retired line issues none, whichever of its keys is named.
#[test]
fn a_line_is_retired_or_the_default_with_all_of_its_keys() {
    let mut instance = founded(&[]);
    let file = instance.data().join("countersign.toml");
    let plain = fs::read_to_string(&file).unwrap();
    let configured = |ca: &str| {
        fs::write(&file, format!("{plain}[authority]\ndefault_ca = \"{ca}\"\n")).unwrap()
    };
    instance.ok(&["ca", "add", "branches", "--subject", "CN=Branches"]);
    roll(&instance, "issuing");
    instance.ok(&["ca", "set-default", "branches"]);
    // 1. The configuration names the default CA by its first key, and the second one issues.
    configured("issuing");
    let kept = |instance: &Instance| {
        for name in ["issuing", "issuing.2"] {
            fails(
                &instance.run(&["ca", "retire", name]),
                3,
                &["`authority.default_ca` is `issuing`"],
            );
        }
    };
    kept(&instance);
    instance.serve();
    kept(&instance);
    instance.stop();
    // 2. The next key of a retired CA waits until the retirement is undone.
    fs::write(&file, &plain).unwrap();
    instance.ok(&["ca", "set-default", "issuing"]);
    instance.ok(&["ca", "roll", "branches", "--staged"]);
    instance.ok(&["ca", "retire", "branches"]);
    instance.serve();
    let refused = ["`branches`", "is retired", "ca retire branches --undo"];
    fails(&instance.run(&["ca", "activate", "branches.2"]), 3, &refused);
    instance.ok(&["ca", "retire", "branches", "--undo"]);
    instance.ok(&["ca", "activate", "branches.2"]);
    // 3. A line whose newest key is retired does not become the default, by no name.
    instance.ok(&["ca", "retire", "branches.2"]);
    let refused = ["`branches.2`", "is retired", "ca retire branches.2 --undo"];
    for name in ["branches", "branches.2"] {
        fails(&instance.run(&["ca", "set-default", name]), 3, &refused[1..]);
    }
    fails(&instance.run(&["ca", "set-default", "branches"]), 3, &refused);
    instance.stop();
    configured("branches");
    fails(&instance.run(&["crl", "publish"]), 2, &["`default_ca` names `branches`", "is retired"]);
    instance.ok(&["ca", "retire", "branches.2", "--undo"]);
    instance.ok(&["crl", "publish"]);
    instance.serve();
    instance.stop();
}

#[test]
fn a_root_elsewhere_certifies_the_next_key() {
    let mut instance = Instance::empty();
    let folder = instance.file(".");
    let openssl = |arguments: &[&str]| tool_ok("openssl", "openssl", arguments, &folder);
    fs::write(
        folder.join("ca.ext"),
        "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n\
         subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
    )
    .unwrap();
    let made = ["req", "-x509", "-newkey", "rsa:3072", "-nodes", "-keyout", "away.key"];
    let said = ["-out", "away.pem", "-days", "3650", "-subj", "/CN=Root elsewhere"];
    let usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
    openssl(&[&made[..], &said, &usage].concat());
    // The certificate for a request, with the root's behind it.
    let certified = |csr: &str, subject: &[&str]| {
        let signed = ["x509", "-req", "-in", csr, "-CA", "away.pem", "-CAkey", "away.key"];
        let rest = ["-days", "1000", "-extfile", "ca.ext", "-out", "below.pem"];
        openssl(&[&signed[..], subject, &rest].concat());
        let files = ["below.pem", "away.pem"].map(|file| fs::read(folder.join(file)).unwrap());
        fs::write(folder.join("chain.pem"), files.concat()).unwrap();
    };
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (csr, chain) = (path("ca.csr"), path("chain.pem"));
    instance.ok(&["init", "--root-csr", &csr, "--subject", "CN=Gateways,O=Example"]);
    certified("ca.csr", &[]);
    instance.ok(&["init", "--root-cert", &chain, "--subject", "CN=Gateways,O=Example"]);

    let refused = |arguments: &[&str], why: &str| {
        let output = instance.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(why), "{arguments:?}: {text}");
    };
    refused(&["ca", "roll", "issuing"], "`--root-csr FILE`");
    refused(&["ca", "roll", "root"], "the key of `root` is not here");
    refused(&["ca", "roll", "root", "--root-csr", &csr], "`root` is a root");
    refused(&["ca", "roll", "issuing", "--root-cert", &chain], "issuing.2");
    instance.ok(&["ca", "roll", "issuing", "--root-csr", &csr, "--algorithm", "p384"]);
    let request = openssl(&["req", "-in", "ca.csr", "-noout", "-text", "-verify"]);
    for said in ["O = Example, CN = Gateways G2", "384 bit", "pathlen:0"] {
        assert!(request.contains(said), "{said}: {request}");
    }
    // Another key is not the next one of this CA, and one of the old name would share its CRL's name.
    openssl(&["req", "-new", "-key", "away.key", "-subj", "/CN=Other", "-out", "other.csr"]);
    certified("other.csr", &[]);
    refused(&["ca", "roll", "issuing", "--root-cert", &chain], "another key");
    certified("ca.csr", &["-subj", "/O=Example/CN=Gateways"]);
    refused(&["ca", "roll", "issuing", "--root-cert", &chain], "one CRL for each name");
    let old = fs::read(certificate(&instance, "issuing")).unwrap();
    let both = [old, fs::read(folder.join("away.pem")).unwrap()].concat();
    fs::write(folder.join("old.pem"), both).unwrap();
    refused(&["ca", "roll", "issuing", "--root-cert", &path("old.pem")], "another key");
    certified("ca.csr", &[]);
    let said = instance.json(&["ca", "roll", "issuing", "--root-cert", &chain]);
    assert_eq!((&said["ca"], &said["succeeds"]), (&"issuing.2".into(), &"issuing".into()));
    refused(&["ca", "roll", "issuing", "--root-csr", &csr], "`issuing.2` already");

    instance.serve();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    assert!(verifies(&instance, "root", &["issuing.2"], "gw1.crt"));
    assert!(!verifies(&instance, "root", &["issuing"], "gw1.crt"));
    crl(&instance, "issuing");
    crl(&instance, "issuing.2");
    instance.stop();
    instance.ok(&["audit", "verify"]);
}

/// Fetches a CA's current CRL, and gives its file.
fn fetched(instance: &Instance, ca: &str) -> String {
    let answer = instance.http("GET", &format!("/crl/{ca}.crl"), "text/plain", &[]).unwrap();
    assert_eq!(answer.status, 200, "{ca}");
    let file = instance.file(&format!("{ca}.crl"));
    fs::write(&file, &answer.body).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn nss_and_gnutls_keep_the_revocations_of_both_keys() {
    let mut instance = founded(&[]);
    let config = instance.data().join("countersign.toml");
    let gateway = "[gateways.gw]\ndaemon = \"libreswan\"\naddress = \"192.0.2.1\"\n";
    fs::write(&config, fs::read_to_string(&config).unwrap() + gateway).unwrap();
    instance.serve();
    key(&instance, "p256", "gw.key");
    let ids = ["fqdn:gw.example.net"];
    let old = instance.peer_with("gw", &ids, &["--uses", "9"]);
    enrol(&instance, &old, "gw.key", &[]).granted();
    fs::rename(instance.file("gw.crt"), instance.file("old.crt")).unwrap();
    instance.ok(&["cert", "revoke", &serial(&instance, "old.crt")]);
    // 1. Who has gateways that read CRLs from a database is told, and says how it shall be done.
    let running = instance.run(&["ca", "activate", "issuing"]);
    assert!(String::from_utf8_lossy(&running.stderr).contains("does not wait"));
    instance.stop();
    let refused = |arguments: &[&str], words: &[&str]| {
        let output = instance.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{arguments:?}");
        words.iter().for_each(|word| assert!(text.contains(word), "{arguments:?}: {text}"));
    };
    refused(&["ca", "roll", "issuing"], &["`gw` (libreswan)", "--staged", "--at-once"]);
    let said = instance.json(&["ca", "roll", "issuing", "--staged"]);
    assert!(said["next"].as_str().unwrap().contains("ca activate issuing.2"), "{said}");
    refused(&["ca", "activate", "issuing.2"], &["has no CRL yet"]);
    // 2. The present key goes on issuing, and the folder of a gateway has the next one's certificate and CRL.
    instance.serve();
    let issuer = |file: &str| {
        let arguments = ["x509", "-noout", "-issuer", "-in", file];
        tool_ok("openssl", "openssl", &arguments, &instance.file(".")).trim().to_owned()
    };
    enrol(&instance, &old, "gw.key", &[]).granted();
    assert_eq!(issuer("gw.crt"), "issuer=CN = Countersign issuing CA");
    let folder = instance.file("exported");
    instance.ok(&["export", "gw", "--out", folder.to_str().unwrap()]);
    for ca in ["issuing", "issuing.2", "root"] {
        assert!(folder.join(format!("crls/{ca}.crl")).exists(), "{ca}");
    }
    let configuration = fs::read_to_string(folder.join("ipsec.conf")).unwrap();
    assert!(configuration.contains("rightca=\"CN=Countersign root CA\""), "{configuration}");
    let database = instance.file("nss").to_str().unwrap().to_owned();
    let script = folder.join("import.sh").to_str().unwrap().to_owned();
    tool_ok("sh", "libnss3-tools", &[&script, &database], &instance.file("."));
    // 3. Then the next key takes over, without a restart.
    instance.ok(&["ca", "activate", "issuing.2"]);
    enrol(&instance, &old, "gw.key", &[]).granted();
    assert_eq!(issuer("gw.crt"), "issuer=CN = Countersign issuing CA G2");
    let shown = instance.json(&["ca", "show"]);
    assert_eq!((&shown[1]["name"], &shown[1]["default"]), (&"issuing.2".into(), &true.into()));
    // 4. Both lists count: whom the old key revoked is refused, and who has the new one is not.
    let sql = format!("sql:{database}");
    let nss = |file: &str, name: &str| {
        let add = ["-A", "-d", &sql, "-n", name, "-t", ",,", "-i", file];
        tool_ok("certutil", "libnss3-tools", &add, &instance.file("."));
        let verify = ["-V", "-d", &sql, "-n", name, "-u", "I", "-e"];
        let output = tool("certutil", "libnss3-tools", &verify, &instance.file("."));
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let revoked = nss("old.crt", "old");
    assert!(revoked.contains("revoked"), "{revoked}");
    let valid = nss("gw.crt", "new");
    assert!(valid.contains("certificate is valid"), "{valid}");
    let cas = ["issuing", "issuing.2", "root"];
    let files = cas.map(|name| fs::read(certificate(&instance, name)).unwrap());
    fs::write(instance.file("cas.pem"), files.concat()).unwrap();
    let crls = cas.map(|name| {
        let arguments = ["crl", "-inform", "DER", "-in", &fetched(&instance, name)];
        tool_ok("openssl", "openssl", &arguments, &instance.file("."))
    });
    fs::write(instance.file("crls.pem"), crls.concat()).unwrap();
    let gnutls = |file: &str| {
        let trusted = ["--verify", "--load-ca-certificate", "cas.pem", "--load-crl", "crls.pem"];
        let arguments = [&trusted[..], &["--infile", file]].concat();
        let output = tool("certtool", "gnutls-bin", &arguments, &instance.file("."));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(gnutls("old.crt").contains("revoked"), "{}", gnutls("old.crt"));
    assert!(gnutls("gw.crt").contains("The certificate is trusted"), "{}", gnutls("gw.crt"));
    // 5. A database that has the CRL of another key under a name says so, and fails.
    let other = founded(&[]);
    let config = other.data().join("countersign.toml");
    fs::write(&config, fs::read_to_string(&config).unwrap() + gateway).unwrap();
    let mut other = other;
    other.serve();
    key(&other, "p256", "gw.key");
    let peer = other.peer("gw", &ids);
    enrol(&other, &peer, "gw.key", &[]).granted();
    let folder = other.file("exported");
    other.ok(&["export", "gw", "--out", folder.to_str().unwrap()]);
    let script = fs::read_to_string(folder.join("import.sh")).unwrap();
    // Of one nickname, NSS would refuse the other CA itself.
    fs::write(folder.join("import.sh"), script.replace("certutil -A", "true certutil -A")).unwrap();
    let script = folder.join("import.sh").to_str().unwrap().to_owned();
    let output = tool("sh", "libnss3-tools", &[&script, &database], &other.file("."));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("crls/issuing.crl: it was not taken"), "{text}");
}

/// Whether an OpenVPN server accepts a client with this certificate, and the server's log. Both have one `ca` file and one `crl-verify` file.
fn through_openvpn(instance: &Instance, client: &str) -> (bool, String) {
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let port = free.port().to_string();
    let log = instance.file("openvpn.log");
    let start = |arguments: &[&str], log: &std::path::Path| {
        let mut openvpn = Command::new("openvpn");
        openvpn.args(["--dev", "null", "--proto", "udp4", "--verb", "3", "--tls-timeout", "1"]);
        openvpn.args(["--cipher", "AES-256-GCM", "--ca", "cas.pem", "--key", "gw.key"]);
        openvpn.args(arguments).current_dir(instance.file(".")).stdin(Stdio::null());
        let log = fs::File::create(log).unwrap();
        openvpn.stdout(log.try_clone().unwrap()).stderr(log);
        let started = openvpn.spawn();
        Process(started.unwrap_or_else(|e| panic!("`openvpn`: {e}: run `make deps`")))
    };
    let said = || fs::read_to_string(&log).unwrap_or_default();
    let server = ["--local", "127.0.0.1", "--lport", &port, "--tls-server", "--dh", "none"];
    let checks = ["--crl-verify", "crls.pem", "--cert", "new.crt"];
    let mut server = start(&[&server[..], &checks].concat(), &log);
    wait_for("the server's start", || {
        let ended = server.0.try_wait().unwrap();
        assert!(ended.is_none(), "{ended:?}: {}", said());
        said().contains("UDPv4 link local (bound)").then_some(())
    });
    let arguments = ["--nobind", "--remote", "127.0.0.1", &port, "--tls-client", "--cert", client];
    let _client = start(&arguments, &instance.file("openvpn-client.log"));
    let is_up = wait_for("the server's answer", || {
        let is_up = said().contains("Peer Connection Initiated");
        (is_up || said().contains("TLS handshake failed")).then_some(is_up)
    });
    (is_up, said())
}

#[test]
fn an_openvpn_server_takes_both_generations_in_one_file() {
    let mut instance = founded(&[]);
    instance.serve();
    key(&instance, "p256", "gw.key");
    let peer = instance.peer_with("gw", &["fqdn:gw.example.net"], &["--uses", "9"]);
    let enrolled = |instance: &Instance, name: &str| {
        enrol(instance, &peer, "gw.key", &[]).granted();
        fs::rename(instance.file("gw.crt"), instance.file(name)).unwrap();
    };
    enrolled(&instance, "old.crt");
    enrolled(&instance, "old-revoked.crt");
    instance.ok(&["cert", "revoke", &serial(&instance, "old-revoked.crt")]);
    instance.stop();
    roll(&instance, "root");
    roll(&instance, "issuing");
    instance.serve();
    enrolled(&instance, "new.crt");
    enrolled(&instance, "new-revoked.crt");
    instance.ok(&["cert", "revoke", &serial(&instance, "new-revoked.crt")]);
    let all = ["issuing", "issuing.2", "root", "root.2"];
    let files = all.map(|name| fs::read(certificate(&instance, name)).unwrap());
    fs::write(instance.file("cas.pem"), files.concat()).unwrap();
    let revoked = serial(&instance, "new-revoked.crt");
    wait_for("the CRL with the revocation", || {
        crl(&instance, "issuing.2").contains(&revoked).then_some(())
    });
    let crls = all.map(|name| {
        let arguments = ["crl", "-inform", "DER", "-in", &fetched(&instance, name)];
        tool_ok("openssl", "openssl", &arguments, &instance.file("."))
    });
    fs::write(instance.file("crls.pem"), crls.concat()).unwrap();
    for (certificate, good) in [
        ("old.crt", true),
        ("new.crt", true),
        ("old-revoked.crt", false),
        ("new-revoked.crt", false),
    ] {
        let (is_up, said) = through_openvpn(&instance, certificate);
        assert_eq!(is_up, good, "{certificate}: {said}");
        assert_eq!(said.contains("certificate revoked"), !good, "{certificate}: {said}");
    }
}
