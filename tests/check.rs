//! The findings of `countersign check`: what stands between two gateways, and what daemons do not support.
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
use std::process::{Command, Stdio};

use common::gateways::{check, classic, enrolled, enrolled_by, export, instance};
use common::openssl::{enrol, key};
use common::{COUNTERSIGN, Instance, at_another_time, fails, tool_ok};

/// isakmpd and racoon support only some certificates and proposals; `check` reports the others.
#[test]
fn check_knows_what_isakmpd_and_racoon_read() {
    let instance = classic();
    let key = key(&instance, "rsa2048", "two.key");
    let peer = instance.peer("two", &["fqdn:two.example.net", "ip:192.0.2.9"]);
    enrol(&instance, &peer, key.to_str().unwrap(), &[]).granted();
    let long: Vec<String> =
        (0..4).map(|n| format!("fqdn:{}{n}.example.net", "l".repeat(40))).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let peer = instance.peer("long", &long);
    let key = common::openssl::key(&instance, "rsa2048", "long.key");
    enrol(&instance, &peer, key.to_str().unwrap(), &[]).granted();
    let config = instance.data().join("countersign.toml");
    let good = fs::read_to_string(&config).unwrap()
        + "[gateways.two]\nmode = \"main\"\ndaemon = \"racoon\"\naddress = \"192.0.2.9\"\nnetworks = [\"10.4.0.0/16\"]\n"
        + "[gateways.long]\nmode = \"main\"\ndaemon = \"racoon\"\naddress = \"192.0.2.10\"\nnetworks = [\"10.5.0.0/16\"]\n";
    let two = "[gateways.two]\n";
    for (pair, change, wanted, words) in [
        (["gw1", "two"], (two, two), &[][..], &[][..]),
        (
            ["gw1", "two"],
            (two, "[gateways.two]\nid = \"ip:192.0.2.9\"\n"),
            &["first-name two isakmpd"],
            &["`ip:192.0.2.9`", "found `fqdn:two.example.net` first"],
        ),
        (["gw1", "long"], (two, two), &["first-name long isakmpd"], &["at most 127 octets"]),
        // racoon reads all names.
        (["gw2", "long"], (two, two), &[], &[]),
        (
            ["gw1", "two"],
            (
                two,
                "[gateways.two]\nproposals = [\"aes256-sha256-modp3072\", \"aes256-sha256-modp2048\"]\n",
            ),
            &["proposal two racoon"],
            &["one group"],
        ),
    ] {
        fs::write(&config, good.replacen(change.0, change.1, 1)).unwrap();
        let (found, text, _) =
            check(&instance.run(&["check", pair[0], pair[1], "--format", "json"]));
        let errors = found.iter().filter(|row| row[0] == "error");
        let errors: Vec<String> = errors.map(|row| row[1..].join(" ")).collect();
        assert_eq!(errors, wanted, "{pair:?}: {text}");
        for word in words {
            assert!(text.contains(word), "expected `{word}`: {text}");
        }
    }
}

/// Aggressive mode. isakmpd does not answer a peer that requests a certificate, and a refused charon tries for ever.
#[test]
fn aggressive_mode_with_isakmpd_is_made_to_work_or_is_told() {
    let instance = classic();
    let config = instance.data().join("countersign.toml");
    let good = fs::read_to_string(&config)
        .unwrap()
        .replace("mode = \"main\"", "mode = \"aggressive\"")
        .replace(", \"2001:db8:2::/48\"", "");
    for (daemon, start, wanted) in [
        ("libreswan", "on-traffic", &["error aggressive-responder gw2 isakmpd"][..]),
        ("libreswan", "wait", &["warning aggressive-responder gw2 isakmpd"]),
        ("strongswan", "on-traffic", &["warning aggressive-retries gw2 strongswan"]),
        ("strongswan", "wait", &[]),
        ("racoon", "on-traffic", &[]),
    ] {
        let text = good.replace("daemon = \"racoon\"", &format!("daemon = \"{daemon}\""));
        fs::write(&config, text.replace("start = \"wait\"", &format!("start = \"{start}\"")))
            .unwrap();
        let (found, text, _) = check(&instance.run(&["check", "gw1", "gw2", "--format", "json"]));
        let found: Vec<String> = found.iter().map(|row| row.join(" ")).collect();
        assert_eq!(found, wanted, "{daemon} {start}: {text}");
        let words = match daemon {
            "libreswan" => "OpenBSD 2020-03",
            _ => "some nine times a second",
        };
        assert!(wanted.is_empty() || text.contains(words), "{text}");
        if wanted == ["error aggressive-responder gw2 isakmpd"] {
            let arguments = ["export", "gw2", "--peer", "gw1"];
            fails(&instance.run(&arguments), 4, &["libreswan always requests it", "--force"]);
        }
    }
    // Those that can do without the request are told to, opposite to isakmpd alone.
    for (daemon, file, line) in [
        ("strongswan", "swanctl.conf", "send_certreq = no"),
        ("racoon", "racoon.conf", "send_cr off;"),
    ] {
        for (mode, peer, is_there) in [
            ("aggressive", "isakmpd", true),
            ("aggressive", "racoon", false),
            ("main", "isakmpd", false),
        ] {
            let text = good.replacen("isakmpd", peer, 1).replace("aggressive", mode);
            fs::write(&config, text).unwrap();
            let folder = export(&instance, "gw2", &["--for", daemon, "--peer", "gw1"]);
            let text = fs::read_to_string(folder.join(file)).unwrap();
            assert_eq!(text.contains(line), is_there, "{daemon} {mode} {peer}: {text}");
        }
    }
}

/// NSS stores one CRL for each name of a CA. Two keys under one name are an error for libreswan, and for no other daemon.
#[test]
fn two_keys_of_one_name_are_told() {
    let gateway = |name: &str, daemon: &str, last: u8| {
        format!(
            "[gateways.{name}]\ndaemon = \"{daemon}\"\naddress = \"192.0.2.{last}\"\nnetworks = [\"10.{last}.0.0/16\"]\n"
        )
    };
    let good = [gateway("gw1", "strongswan", 1), gateway("gw2", "libreswan", 2)].concat();
    let mut instance = instance(&good, &[]);
    for name in ["gw1", "gw2"] {
        enrolled(&mut instance, name, &format!("fqdn:{name}.example.net"), "p256");
    }
    let folder = instance.file(".");
    let namesake = instance.file("namesake.crt");
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let own = ["-days", "30", "-keyout", "namesake.key", "-out", "namesake.crt", "-subj"];
    let root = [&new[..], &own, &["/CN=Countersign root CA"]].concat();
    tool_ok("openssl", "openssl", &root, &folder);
    // The root itself, from a file of its own, is no second key.
    let same = instance.data().join("keys/root.crt");
    let config = instance.data().join("countersign.toml");
    for (file, wanted) in [(&same, &[][..]), (&namesake, &["ca-name gw2 libreswan"])] {
        fs::write(&config, format!("{good}trust = [\"root\", {file:?}]\n")).unwrap();
        let (found, text, _) = check(&instance.run(&["check", "gw1", "gw2", "--format", "json"]));
        let errors = found.iter().filter(|row| row[0] == "error");
        let errors: Vec<String> = errors.map(|row| row[1..].join(" ")).collect();
        assert_eq!(errors, wanted, "{text}");
        assert!(wanted.is_empty() || text.contains("`CN=Countersign root CA`"), "{text}");
    }
    fails(&instance.run(&["export", "gw2", "--peer", "gw1"]), 4, &["NSS 3.87.1", "--force"]);
}

/// Two spellings of one name are equal, except for charon.
#[test]
fn a_name_that_charon_would_not_recognize_is_told() {
    let sections = "\
[gateways.gw1]
daemon = \"strongswan\"
address = \"192.0.2.1\"
networks = [\"10.1.0.0/16\"]
[gateways.gw2]
daemon = \"strongswan\"
address = \"192.0.2.2\"
networks = [\"10.2.0.0/16\"]
";
    let mut instance = instance(sections, &[]);
    enrolled(&mut instance, "gw1", "fqdn:gw1.example.net", "p256");
    enrolled(&mut instance, "gw2", "dn:CN=gw2,O=Example Works", "p256");
    let config = instance.data().join("countersign.toml");
    for (id, daemon, wanted) in [
        ("dn:CN=gw2,O=Example Works", "strongswan", &[][..]),
        ("dn:CN=gw2,O=Example works", "strongswan", &["warning dn-spelling gw2 strongswan"]),
        // OpenSSL compares as RFC 5280 §7.1 has it.
        ("dn:CN=gw2,O=Example works", "iked", &[]),
    ] {
        let text = sections.replacen("strongswan", daemon, 1);
        fs::write(&config, format!("{text}id = {id:?}\n")).unwrap();
        let (found, text, _) = check(&instance.run(&["check", "gw1", "gw2", "--format", "json"]));
        let found: Vec<String> = found.iter().map(|row| row.join(" ")).collect();
        assert_eq!(found, wanted, "{id} {daemon}: {text}");
    }
}

/// A server that ends with the test.
struct Server(std::process::Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Each program here refuses or misreads a feature as documented, and `check`, `export` and `init` warn of it. The CA has all these features:
/// an Ed25519 root, name constraints, partitions.
#[test]
fn what_daemons_cannot_take_is_known_beforehand() {
    let gateway = |name: &str, daemon: &str, last: u8| {
        format!(
            "[gateways.{name}]\ndaemon = \"{daemon}\"\naddress = \"192.0.2.{last}\"\nnetworks = [\"10.{last}.0.0/16\"]\n"
        )
    };
    let sections = [
        "[http]\npublic_url = \"http://192.0.2.80\"\n[crl]\npartitions = 2\n".to_owned(),
        gateway("gw1", "strongswan", 1),
        gateway("gw2", "libreswan", 2),
        gateway("gw3", "iked", 3),
        gateway("bare", "iked", 4),
        gateway("free", "iked", 5),
    ];
    let mut instance = Instance::empty();
    fs::create_dir(instance.data()).unwrap();
    fs::write(instance.data().join("countersign.toml"), sections.concat()).unwrap();
    let flags = ["--root-algorithm", "ed25519", "--permit", "dns:example.net"];
    let made = instance.json(&[&["init", "--permit", "ip:192.0.2.0/24"], &flags[..]].concat());
    let warnings = made["warnings"].to_string();
    for words in ["NSS 3.87.1", "strongSwan 5.9.8", "OpenSSL 3.0.19, GnuTLS 3.7.9", "`fqdn:`"] {
        assert!(warnings.contains(words), "expected `{words}`: {warnings}");
    }
    let cas = instance.json(&["ca", "show"]);
    assert!(cas[0]["certificate"].as_str().unwrap().starts_with('/'), "{cas}");
    instance.ok(&["ca", "add", "free"]);
    instance.serve();
    for (name, id) in [
        ("gw1", "fqdn:gw1.example.net"),
        ("gw2", "fqdn:gw2.example.net"),
        ("gw3", "fqdn:gw3.example.net"),
        ("bare", "ip:192.0.2.4"),
    ] {
        enrolled(&mut instance, name, id, "p256");
    }
    enrolled_by(&mut instance, "free", "ip:192.0.2.5", "p256", &["--ca", "free"]);
    let check = |one: &str, other: &str| {
        let (found, text, _) = check(&instance.run(&["check", one, other, "--format", "json"]));
        let mut found: Vec<String> = found.iter().map(|row| row.join(" ")).collect();
        found.sort_unstable();
        (found, text)
    };
    let (found, text) = check("gw1", "gw2");
    let expected = [
        "error address-constraints gw1 strongswan",
        "error ca-key-kind gw2 libreswan",
        "error partition gw1 libreswan",
        "error partition gw2 strongswan",
        "warning partition gw1 strongswan",
        "warning partition gw2 libreswan",
    ];
    assert_eq!(found, expected, "{text}");
    let (found, text) = check("gw3", "bare");
    assert_eq!(found, ["error common-name bare iked", "warning common-name bare iked"], "{text}");
    assert!(
        text.contains("`192.0.2.4` is not within") && text.contains("OpenSSL 3.0.19"),
        "{text}"
    );
    // The constraints of a peer's CA say nothing of a certificate that another CA issued.
    let (found, text) = check("gw3", "free");
    assert!(found.is_empty(), "{found:?} {text}");
    fails(&instance.run(&["export", "gw1"]), 4, &["strongSwan 5.9.8 cannot read", "--force"]);
    fails(&instance.run(&["export", "gw2"]), 4, &["NSS 3.87.1", "Ed25519 in"]);
    let out = instance.file("bare.out");
    let exported = instance.json(&["export", "bare", "--out", out.to_str().unwrap()]);
    assert!(exported["warnings"][0].as_str().unwrap().contains("OpenSSL 3.0.19"), "{exported}");

    // What the programs do.
    let keys = instance.data().join("keys");
    let refused = |program: &str, package: &str, arguments: &[&str], words: &str| {
        let output = common::tool(program, package, arguments, &keys);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(!output.status.success() && said.contains(words), "{program}: {said}");
    };
    let verify = ["verify", "-CAfile", "root.crt", "-untrusted", "issuing.crt"];
    let at = |name: &str| instance.file(name).to_str().unwrap().to_owned();
    let [bare, good] = ["bare.crt", "gw1.crt"].map(at);
    let bare = [&verify[..], &[&bare]].concat();
    refused("openssl", "openssl", &bare, "permitted subtree violation");
    tool_ok("openssl", "openssl", &[&verify[..], &[&good]].concat(), &keys);
    refused("pki", "strongswan-pki", &["--print", "--in", "issuing.crt"], "parsing input failed");
    tool_ok("pki", "strongswan-pki", &["--print", "--in", "root.crt"], &keys);
    let database = format!("sql:{}", at("."));
    let nss = |more: &[&str]| {
        let program = if more[0] == "-t" { "crlutil" } else { "certutil" };
        (
            program,
            [&["-d", &database], more].concat().into_iter().map(str::to_owned).collect::<Vec<_>>(),
        )
    };
    let run = |(program, arguments): (&str, Vec<String>)| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = common::tool(program, "libnss3-tools", &arguments, &keys);
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    assert!(run(nss(&["-N", "--empty-password"])).0);
    let (done, said) = run(nss(&["-A", "-n", "root", "-t", "CT,,", "-i", "root.crt"]));
    assert!(!done && said.contains("SEC_ERROR_ADDING_CERT"), "{said}");
    assert!(run(nss(&["-A", "-n", "issuing", "-t", "CT,,", "-i", "issuing.crt"])).0);
    let crls = instance.data().join("crl");
    let import = |file: &str| {
        let file = crls.join(file);
        run(nss(&["-t", "1", "-I", "-i", file.to_str().unwrap()]))
    };
    let (done, said) = import("issuing/1.crl");
    assert!(!done && said.contains("SEC_ERROR_CRL_UNKNOWN_CRITICAL_EXTENSION"), "{said}");
    let (done, said) = import("issuing.crl");
    assert!(done, "{said}");

    // A server that was started on a relative folder, and a command that runs elsewhere.
    instance.stop();
    let parent = instance.data().parent().unwrap().to_owned();
    let listen = instance.data().join("listen");
    let command = ["serve", "--listen", "127.0.0.1:0", "--ldap-listen", "off", "--data", "data"];
    let mut server = Command::new(COUNTERSIGN);
    server.args(command).current_dir(&parent).stdin(Stdio::null());
    server.stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = Server(server.spawn().unwrap());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !listen.exists() {
        let ended = server.0.try_wait().unwrap().is_some();
        assert!(!ended && std::time::Instant::now() < deadline, "the server did not start");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let cas = instance.json(&["ca", "show"]);
    assert!(Path::new(cas[0]["certificate"].as_str().unwrap()).is_file(), "{cas}");
    export(&instance, "gw3", &["--peer", "bare"]);
}

/// Two gateways, and the obstacles that each of these changes of the configuration causes.
#[test]
fn check_names_what_stands_between_two_gateways() {
    let good = "\
[profiles.behind]
base = \"gateway\"
crl_urls = [\"http://10.2.0.80/issuing.crl\"]
[profiles.parts]
base = \"gateway\"
crl_urls = [\"http://192.0.2.80/crl/issuing/3.crl\"]
[gateways.gw1]
daemon = \"strongswan\"
address = \"192.0.2.1\"
networks = [\"10.1.0.0/16\"]
[gateways.gw2]
daemon = \"libreswan\"
address = \"192.0.2.2\"
networks = [\"10.2.0.0/16\"]
";
    let mut instance = instance(good, &[]);
    enrolled(&mut instance, "gw1", "fqdn:gw1.example.net", "p256");
    enrolled(&mut instance, "gw2", "fqdn:gw2.example.net", "p256");
    enrolled(&mut instance, "rsa", "fqdn:rsa.example.net", "rsa2048");
    enrolled_by(&mut instance, "behind", "fqdn:b.example.net", "p256", &["--profile", "behind"]);
    enrolled_by(&mut instance, "parts", "fqdn:p.example.net", "p256", &["--profile", "parts"]);
    enrolled(&mut instance, "revoked", "fqdn:r.example.net", "p256");
    let serial = instance.certificates("revoked")[0]["serial"].as_str().unwrap().to_owned();
    instance.ok(&["cert", "revoke", &serial]);
    foreign(&instance);
    let config = instance.data().join("countersign.toml");
    let ask = |changes: &[(&str, &str)]| {
        let mut text = good.to_owned();
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        fs::write(&config, text).unwrap();
        check(&instance.run(&["check", "gw1", "gw2", "--format", "json"]))
    };
    assert_eq!(ask(&[]), (Vec::new(), "[]\n".to_owned(), Some(0)));

    let gw1 = "[gateways.gw1]\n";
    let gw2 = "[gateways.gw2]\n";
    let own_foreign = format!(
        "[gateways.gw1]\ncertificate = {:?}\nid = \"fqdn:gw1.example.org\"\n",
        instance.file("intermediate.pem")
    );
    let foreign = format!(
        "[gateways.gw2]\ncertificate = {:?}\nid = \"fqdn:gw2.example.org\"\n",
        instance.file("foreign.pem")
    );
    let foreign_root = instance.file("foreign-ca.pem");
    let trusting_without =
        format!("[gateways.gw1]\ntrust = [\"root\", {:?}]\n", foreign_root.to_str().unwrap());
    let trusting = format!("{trusting_without}crls = [{:?}]\n", instance.file("foreign-ca.crl"));
    let without_crl =
        format!("{foreign}trust = [\"root\", {:?}]\n", foreign_root.to_str().unwrap());
    let both_ways = format!(
        "{foreign}trust = [\"root\", {:?}]\ncrls = [{:?}]\n",
        foreign_root.to_str().unwrap(),
        instance.file("foreign-ca.crl")
    );
    for (changes, obstacles, words) in [
        (
            &[(gw1, "[gateways.gw1]\nid = \"fqdn:gw9.example.net\"\n")][..],
            &["error id-not-in-certificate gw1 strongswan"][..],
            &["`fqdn:gw9.example.net`", "dns:gw1.example.net", "never the CN"][..],
        ),
        (
            &[("strongswan", "isakmpd")],
            &[
                "error ca-key-kind gw1 isakmpd",
                "error key-kind gw1 isakmpd",
                "error key-kind gw2 isakmpd",
                "error mode gw1 libreswan",
            ],
            &["isakmpd uses RSA keys only, found P-256"],
        ),
        (
            &[("libreswan", "iked"), (gw2, "[gateways.gw2]\nmode = \"main\"\n")],
            &["error mode gw1 iked", "error mode gw2 iked"],
            &["IKEv2 only", "`main`"],
        ),
        (
            &[(gw1, "[gateways.gw1]\naccount = \"rsa\"\n")],
            &["error key-kind gw1 libreswan"],
            &["enrol with keys of one kind"],
        ),
        (
            &[(gw1, &own_foreign)],
            &[
                "error extended-key-usage gw1 libreswan",
                "error untrusted gw1 libreswan",
                "error untrusted gw2 strongswan",
                "warning no-crl gw1 strongswan",
            ],
            &["iKEIntermediate is not enough", "1.3.6.1.5.5.8.2.2", "`gateways.gw1.crls`"],
        ),
        (
            &[(gw2, "[gateways.gw2]\naccount = \"behind\"\n")],
            &["error crl-behind-tunnel gw2 strongswan"],
            &["http://10.2.0.80/issuing.crl", "through the tunnel"],
        ),
        (
            &[
                (gw2, "[gateways.gw2]\naccount = \"behind\"\n"),
                (gw1, "[gateways.gw1]\nrevocation = \"if-present\"\n"),
            ],
            &["warning crl-behind-tunnel gw2 strongswan"],
            &["through the tunnel"],
        ),
        (
            &[(gw2, "[gateways.gw2]\naccount = \"revoked\"\n")],
            &["error revoked gw2 libreswan"],
            &["enrol again"],
        ),
        (
            &[(gw2, "[gateways.gw2]\nproposals = [\"aes128-sha256-ecp384\"]\n")],
            &["error proposal gw1 libreswan"],
            &["no proposal in common", "`aes128-sha256-ecp384`"],
        ),
        (
            &[("10.2.0.0/16", "10.1.128.0/17")],
            &["warning networks gw1 libreswan"],
            &["10.1.0.0/16 overlaps with 10.1.128.0/17"],
        ),
        (
            &[
                ("libreswan", "iked"),
                (gw2, "[gateways.gw2]\nproposals = [\"aes192gcm16-prfsha256-ecp256\"]\n"),
            ],
            &["error proposal gw1 iked", "error proposal gw2 iked"],
            &["iked cannot use `aes192gcm16-prfsha256-ecp256`"],
        ),
        (
            &[(gw2, "[gateways.gw2]\naccount = \"parts\"\n")],
            &["error partition gw2 strongswan", "warning partition gw2 libreswan"],
            &["/crl/issuing/3.crl", "`crl.partitions = 0`", "for the whole list"],
        ),
        (
            &[("address = \"192.0.2.1\"\n", "start = \"wait\"\n")],
            &["warning nobody-begins gw1 libreswan"],
            &["initiate there by hand"],
        ),
        // Each trusts the other's root, and has its CRL.
        (&[("libreswan", "strongswan"), (gw1, &trusting), (gw2, &both_ways)], &[], &[]),
        // gw1 refuses by a CRL that gw2 need not have, whatever gw2 does without.
        (
            &[("libreswan", "strongswan"), (gw1, &trusting_without), (gw2, &without_crl)],
            &[
                "error no-crl gw2 strongswan",
                "warning no-crl gw1 strongswan",
                "warning no-crl gw2 strongswan",
            ],
            &["`gw1` is strict about the status of `CN=gw2`", "has no CRL of its issuer `trust-"],
        ),
        (&[("192.0.2.2", "192.0.2.1")], &["error same-address gw1 libreswan"], &["192.0.2.1"]),
        (
            &[("address = \"192.0.2.1\"\n", ""), ("address = \"192.0.2.2\"\n", "")],
            &["error no-address gw1 libreswan"],
            &["none of them can begin"],
        ),
        (&[("192.0.2.2", "2001:db8::2")], &["error address-family gw1 libreswan"], &["IPv6"]),
        (
            &[(gw2, "[gateways.gw2]\nid = \"fqdn:gw1.example.net\"\n")],
            &["error id-not-in-certificate gw2 libreswan", "error same-id gw1 libreswan"],
            &["fqdn:gw1.example.net"],
        ),
        (
            &[("libreswan", "iked"), (gw2, "[gateways.gw2]\nauthorizer = true\n")],
            &["error authorizer gw2 iked"],
            &["does not ask the authorizer"],
        ),
        (
            &[(gw2, &foreign)],
            &[
                "error untrusted gw1 libreswan",
                "error untrusted gw2 strongswan",
                "warning no-crl gw2 libreswan",
            ],
            &["`gw1` does not trust its certificate", "it trusts `root`", "gateways.gw1.trust"],
        ),
    ] {
        let (mut found, text, code) = ask(changes);
        found.sort();
        let found: Vec<String> = found.iter().map(|row| row.join(" ")).collect();
        assert_eq!(found, obstacles, "{changes:?}: {text}");
        for word in words {
            assert!(text.contains(word), "expected `{word}`: {text}");
        }
        let is_error = obstacles.iter().any(|obstacle| obstacle.starts_with("error"));
        assert_eq!(code, Some(i32::from(is_error)), "{text}");
    }

    // `trust` names roots that can be read.
    for (trust, words) in [
        ("[\"issuing\"]", "names roots, and"),
        ("[\"nobody\"]", "names the CA `nobody`"),
        ("[\"/nowhere.pem\"]", "/nowhere.pem"),
    ] {
        fs::write(&config, good.replacen(gw1, &format!("{gw1}trust = {trust}\n"), 1)).unwrap();
        let output = instance.run(&["check", "gw1", "gw2"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(words), "{text}");
    }
    // A CRL of nobody that is trusted is none.
    let stray = format!("{gw1}crls = [{:?}]\n", instance.file("foreign-ca.crl"));
    fs::write(&config, good.replacen(gw1, &stray, 1)).unwrap();
    fails(&instance.run(&["check", "gw1", "gw2"]), 2, &["foreign-ca.crl", "one of none of them"]);

    // Time goes by while no server runs.
    instance.stop();
    fs::write(&config, good).unwrap();
    for (shift, codes) in [("+8d", &["crl-expired"][..]), ("+2y", &["crl-expired", "expired"])] {
        let mut later = at_another_time(shift, COUNTERSIGN);
        later
            .args(["check", "gw1", "gw2", "--format", "json", "--data"])
            .arg(instance.data())
            .stdin(Stdio::null());
        let (found, text, code) = check(&later.output().unwrap());
        let mut found: Vec<&str> =
            found.iter().filter(|row| row[0] == "error").map(|row| row[1].as_str()).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!((found, code), (codes.to_vec(), Some(1)), "{shift}: {text}");
    }
}

/// Certificates of another PKI, made by OpenSSL: one is good, one has no extended key usage but iKEIntermediate.
fn foreign(instance: &Instance) {
    let folder = instance.data().parent().unwrap().to_owned();
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let new = [&new[..], &["-days", "30", "-keyout", "foreign.key"]].concat();
    let root = ["-keyout", "foreign-ca.key", "-out", "foreign-ca.pem", "-subj", "/CN=Another root"];
    tool_ok("openssl", "openssl", &[&new[..], &root].concat(), &folder);
    for (name, gateway, usage) in
        [("foreign", "gw2", "serverAuth"), ("intermediate", "gw1", "1.3.6.1.5.5.8.2.2")]
    {
        let subject = format!("/CN={gateway}");
        let names = format!("subjectAltName=DNS:{gateway}.example.org");
        let usage = format!("extendedKeyUsage={usage}");
        let own = ["-out", "own.pem", "-subj", &subject, "-CA", "foreign-ca.pem", "-CAkey"];
        let own = [&new[..], &own, &["foreign-ca.key", "-addext", &names, "-addext", &usage]];
        let leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
        tool_ok("openssl", "openssl", &[&own.concat()[..], &leaf].concat(), &folder);
        let both = ["own.pem", "foreign-ca.pem"].map(|file| fs::read(folder.join(file)).unwrap());
        fs::write(folder.join(format!("{name}.pem")), both.concat()).unwrap();
    }
    let config = "[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\ndefault_md = sha256\ndefault_crl_days = 3000\ncrlnumber = number\ncrl_extensions = e\n[e]\nauthorityKeyIdentifier = keyid\n";
    fs::write(folder.join("ca.cnf"), config).unwrap();
    fs::write(folder.join("index.txt"), "").unwrap();
    fs::write(folder.join("number"), "01\n").unwrap();
    let crl = [
        "ca",
        "-config",
        "ca.cnf",
        "-gencrl",
        "-cert",
        "foreign-ca.pem",
        "-keyfile",
        "foreign-ca.key",
    ];
    tool_ok("openssl", "openssl", &[&crl[..], &["-out", "foreign-ca.crl"]].concat(), &folder);
}
