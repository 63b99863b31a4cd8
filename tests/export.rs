//! The files of `countersign export`, read by the daemons' own programs.
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
use std::path::{Path, PathBuf};
use std::process::Command;

use common::gateways::{classic, enrolled, export, instance};
use common::openssl::key;
use common::{fails, tool_ok};

/// Compares a file with its golden copy. `UPDATE_GOLDEN=1` writes the copy; review the difference before a commit.
#[track_caller]
fn assert_golden(file: &Path, golden: &str) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(golden);
    let found = fs::read_to_string(file).unwrap_or_else(|e| panic!("`{}`: {e}", file.display()));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(golden.parent().unwrap()).unwrap();
        fs::write(&golden, &found).unwrap();
    }
    let expected =
        fs::read_to_string(&golden).unwrap_or_else(|e| panic!("`{}`: {e}", golden.display()));
    assert_eq!(found, expected, "`{}`", golden.display());
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn isakmpd_gets_its_folder() {
    let instance = classic();
    let own = instance.file("gw1.key");
    let folder = export(
        &instance,
        "gw1",
        &["--peer", "gw2", "--peer", "road", "--key", own.to_str().unwrap()],
    );
    assert_golden(&folder.join("isakmpd.conf"), "isakmpd.conf");
    assert_golden(&folder.join("isakmpd.policy"), "isakmpd.policy");
    for empty in ["ca", "certs", "crls", "private", "keynote"] {
        assert!(folder.join(empty).is_dir(), "{empty}");
    }
    assert_eq!(
        fs::read_to_string(folder.join("private/local.key")).unwrap(),
        fs::read_to_string(own).unwrap()
    );
    for (secret, wanted) in
        [("private/local.key", 0o600), ("isakmpd.conf", 0o600), ("certs/gw1.crt", 0o644)]
    {
        assert_eq!(mode(&folder.join(secret)), wanted, "{secret}");
    }
    let arguments = [
        "verify",
        "-CAfile",
        "ca/root.crt",
        "-untrusted",
        "ca/issuing.crt",
        "-CRLfile",
        "crls/issuing.crl",
        "-crl_check",
        "certs/gw1.crt",
    ];
    tool_ok("openssl", "openssl", &arguments, &folder);

    // The engine reads the policy as isakmpd would, and lets in whom it names.
    let file = folder.join("isakmpd.policy");
    let ask = |changes: &[(&str, &str)]| {
        let mut facts = vec![
            ("requester", "DN:/CN=Countersign issuing CA"),
            ("app_domain", "IPsec policy"),
            ("remote_id_type", "FQDN"),
            ("remote_id", "gw2.example.net"),
            ("esp_present", "yes"),
            ("esp_enc_alg", "aes"),
            ("esp_key_length", "256"),
            ("esp_auth_alg", "hmac-sha2-256"),
            ("esp_group_desc", "14"),
            ("esp_encapsulation", "udp-encap-tunnel"),
            ("pfs", "yes"),
            ("phase_1", "main"),
            ("phase1_group_desc", "14"),
            ("local_filter", "010.001.000.000-010.001.255.255"),
            ("remote_filter", "010.002.000.000-010.002.255.255"),
        ];
        for (name, value) in changes {
            facts.iter_mut().find(|fact| fact.0 == *name).unwrap().1 = value;
        }
        let mut arguments = vec!["policy", "query", "-p", file.to_str().unwrap(), "-r", facts[0].1];
        let attributes: Vec<String> =
            facts[1..].iter().map(|(name, value)| format!("{name}={value}")).collect();
        arguments.extend(attributes.iter().flat_map(|attribute| ["-a", attribute]));
        instance.ok(&arguments)
    };
    assert_eq!(ask(&[]), "true\n");
    let road = [
        ("remote_id_type", "User FQDN"),
        ("remote_id", "road@example.net"),
        ("remote_filter", "010.009.009.009-010.009.009.009"),
    ];
    assert_eq!(ask(&road), "true\n");
    // isakmpd tells the policy of an address, where the peer asks for one, and not of a range.
    let alone = [road[0], road[1], ("remote_filter", "010.009.009.009")];
    assert_eq!(ask(&alone), "true\n");
    for changes in [
        &[("requester", "DN:/CN=Another CA")][..],
        &[("remote_id", "gw3.example.net")],
        &[("remote_id", "road@example.net")],
        // Nobody gets another's network, or all.
        &road[..2],
        &[("remote_filter", "010.009.009.009-010.009.009.009")],
        &[("remote_filter", "000.000.000.000-255.255.255.255")],
        &[("local_filter", "010.001.000.000-010.001.000.255")],
        &[("esp_enc_alg", "des")],
        &[("esp_auth_alg", "hmac-md5")],
        &[("esp_encapsulation", "transport")],
        &[("pfs", "no")],
        // As responder it would take all these, were it not for the policy.
        &[("esp_key_length", "128")],
        &[("esp_group_desc", "2")],
        &[("pfs", "no"), ("esp_group_desc", "")],
        &[("esp_auth_alg", "hmac-sha")],
        &[("phase1_group_desc", "2")],
        &[("phase_1", "aggressive")],
    ] {
        assert_eq!(ask(changes), "false\n", "{changes:?}");
    }

    // Of several proposals each is allowed as it is, and no mixture of two.
    let config = instance.data().join("countersign.toml");
    let text = fs::read_to_string(&config).unwrap();
    let two =
        "[gateways.gw1]\nproposals = [\"aes256-sha256-modp2048\", \"aes128-sha512-modp3072\"]\n";
    fs::write(&config, text.replacen("[gateways.gw1]\n", two, 1)).unwrap();
    export(&instance, "gw1", &["--peer", "gw2", "--peer", "road"]);
    let other =
        [("esp_key_length", "128"), ("esp_auth_alg", "hmac-sha2-512"), ("esp_group_desc", "15")];
    assert_eq!(ask(&[]), "true\n");
    assert_eq!(ask(&other), "true\n");
    for mixture in [&other[..1], &other[1..], &other[..2], &other[2..]] {
        assert_eq!(ask(mixture), "false\n", "{mixture:?}");
    }
}

#[test]
fn racoon_gets_its_folder() {
    let instance = classic();
    let own = instance.file("gw2.key");
    let folder = export(&instance, "gw2", &["--peer", "gw1", "--key", own.to_str().unwrap()]);
    assert_golden(&folder.join("racoon.conf"), "racoon.conf");
    assert_golden(&folder.join("setkey.conf"), "setkey.conf");
    assert_eq!(mode(&folder.join("certs/gw2.key")), 0o600);
    // OpenSSL finds CAs and CRLs by their hashes, as racoon has it look for them.
    let certs = folder.join("certs");
    let arguments =
        ["verify", "-no-CAfile", "-no-CAstore", "-CApath", ".", "-crl_check_all", "gw2.crt"];
    tool_ok("openssl", "openssl", &arguments, &certs);
    for ca in ["root", "issuing"] {
        for (flag, suffix) in [("-subject_hash", "0"), ("-subject_hash_old", "0")] {
            let hash = tool_ok(
                "openssl",
                "openssl",
                &["x509", "-noout", flag, "-in", &format!("ca-{ca}.crt")],
                &certs,
            );
            let link = certs.join(format!("{}.{suffix}", hash.trim()));
            assert_eq!(
                fs::read_link(&link).unwrap(),
                Path::new(&format!("ca-{ca}.crt")),
                "{}",
                link.display()
            );
        }
        let hash = tool_ok(
            "openssl",
            "openssl",
            &["crl", "-noout", "-hash", "-in", &format!("ca-{ca}.crl")],
            &certs,
        );
        assert_eq!(
            fs::read_link(certs.join(format!("{}.r0", hash.trim()))).unwrap(),
            Path::new(&format!("ca-{ca}.crl"))
        );
    }
    // Without the CRL it must not be found: the links decide.
    fs::remove_file(certs.join("ca-issuing.crl")).unwrap();
    let refused = Command::new("openssl").args(arguments).current_dir(&certs).output().unwrap();
    assert!(!refused.status.success());
}

#[test]
fn a_pre_shared_key_stands_where_each_daemon_looks_for_it() {
    let instance = classic();
    let psk = instance.file("psk");
    let secret = "c0ffee5eedc0ffee5eedc0ffee5eed";
    fs::write(&psk, format!("{secret}\n")).unwrap();
    let arguments = |daemon| ["--for", daemon, "--peer", "gw2", "--psk", psk.to_str().unwrap()];
    fails(
        &instance.run(&[&["export", "gw1"], &arguments("racoon")[..]].concat()),
        5,
        &["chmod 600"],
    );
    fs::set_permissions(&psk, fs::Permissions::from_mode(0o600)).unwrap();
    for (daemon, file, line) in [
        ("isakmpd", "isakmpd.conf", format!("Authentication=\t{secret}\n")),
        ("racoon", "psk.txt", format!("192.0.2.2\t{secret}\n")),
        (
            "libreswan",
            "ipsec.secrets",
            format!("@gw1.example.net @gw2.example.net : PSK \"{secret}\"\n"),
        ),
        ("strongswan", "swanctl.conf", format!("secret = \"{secret}\"\n")),
    ] {
        let folder = export(&instance, "gw1", &arguments(daemon));
        let text = fs::read_to_string(folder.join(file)).unwrap();
        assert!(text.contains(&line), "{daemon}: {text}");
        assert_eq!(mode(&folder.join(file)), 0o600, "{daemon}");
        // It is nowhere that others can read.
        for path in walk(&folder).into_iter().filter(|path| mode(path) & 0o077 != 0) {
            assert!(
                !fs::read_to_string(&path).unwrap_or_default().contains(secret),
                "{}",
                path.display()
            );
        }
    }
    // isakmpd's policy knows it by its hash, which OpenSSL makes too.
    let folder = export(&instance, "gw1", &arguments("isakmpd"));
    let hash = tool_ok(
        "sh",
        "dash",
        &["-c", &format!("printf %s {secret} | openssl sha1 -r")],
        Path::new("."),
    );
    let policy = fs::read_to_string(folder.join("isakmpd.policy")).unwrap();
    assert!(
        policy.contains(&format!("passphrase-sha1-hex:{}", hash.split(' ').next().unwrap())),
        "{policy}"
    );
    // It needs no certificate, and charon takes none in aggressive mode.
    let config = instance.data().join("countersign.toml");
    let text = fs::read_to_string(&config).unwrap();
    let bare = "[gateways.bare]\ndaemon = \"racoon\"\nmode = \"main\"\naddress = \"192.0.2.7\"\nid = \"fqdn:bare.example.net\"\n";
    fs::write(&config, format!("{text}{bare}")).unwrap();
    let out = instance.file("bare.out");
    let to = ["--peer", "gw2", "--psk", psk.to_str().unwrap(), "--out", out.to_str().unwrap()];
    instance.ok(&[&["export", "bare"], &to[..]].concat());
    assert_eq!(fs::read_to_string(out.join("psk.txt")).unwrap(), format!("192.0.2.2\t{secret}\n"));
    fs::write(&config, text.replace("mode = \"main\"", "mode = \"aggressive\"")).unwrap();
    fails(
        &instance.run(&[&["export", "gw1"], &arguments("strongswan")[..]].concat()),
        2,
        &["refuses a pre-shared key in aggressive mode"],
    );
    fs::write(&config, text).unwrap();
    for bad in ["", "with space", "quote\"", "0x31", "hash#", &"a".repeat(129)] {
        fs::write(&psk, bad).unwrap();
        fails(
            &instance.run(&[&["export", "gw1"], &arguments("racoon")[..]].concat()),
            2,
            &["expected a pre-shared key"],
        );
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() { all.extend(walk(&path)) } else { all.push(path) }
    }
    all
}

#[test]
fn what_is_there_is_not_lost() {
    let instance = classic();
    let out = instance.file("out");
    let arguments = ["export", "gw1", "--peer", "gw2", "--out", out.to_str().unwrap()];
    instance.ok(&arguments);
    // Without the key, it says where the key goes.
    assert!(fs::read_to_string(out.join("README")).unwrap().contains("private/local.key"));
    fs::write(out.join("mine"), "precious").unwrap();
    fails(&instance.run(&arguments), 3, &["exists already", "--replace"]);
    assert_eq!(fs::read_to_string(out.join("mine")).unwrap(), "precious");
    instance.ok(&[&arguments[..], &["--replace"]].concat());
    assert!(!out.join("mine").exists());
    // What no export wrote is not replaced, whoever asks for it.
    let home = instance.file("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("README"), "mine").unwrap();
    let elsewhere =
        ["export", "gw1", "--peer", "gw2", "--replace", "--out", home.to_str().unwrap()];
    fails(&instance.run(&elsewhere), 3, &["no export wrote it"]);
    assert_eq!(fs::read_to_string(home.join("README")).unwrap(), "mine");
    assert_eq!(
        fs::read_dir(out.parent().unwrap())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with(".out"))
            .count(),
        0
    );

    // An archive has the same, and is its owner's alone.
    let tar = instance.file("gw1.tar");
    let own = instance.file("gw1.key");
    instance.ok(&[
        "export",
        "gw1",
        "--peer",
        "gw2",
        "--key",
        own.to_str().unwrap(),
        "--out",
        tar.to_str().unwrap(),
    ]);
    assert_eq!(mode(&tar), 0o600);
    let unpacked = instance.file("unpacked");
    fs::create_dir(&unpacked).unwrap();
    tool_ok("tar", "tar", &["xpf", tar.to_str().unwrap()], &unpacked);
    let folder = export(&instance, "gw1", &["--peer", "gw2", "--key", own.to_str().unwrap()]);
    tool_ok(
        "diff",
        "diffutils",
        &["-r", unpacked.to_str().unwrap(), folder.to_str().unwrap()],
        Path::new("."),
    );
    assert_eq!(mode(&unpacked.join("private/local.key")), 0o600);
    let again = ["export", "gw1", "--peer", "gw2", "--out", tar.to_str().unwrap()];
    fails(&instance.run(&again), 3, &["exists already"]);
    instance.ok(&[&again[..], &["--replace"]].concat());
    fs::write(&tar, "precious").unwrap();
    fails(&instance.run(&[&again[..], &["--replace"]].concat()), 3, &["no export wrote it"]);
    assert_eq!(fs::read_to_string(&tar).unwrap(), "precious");
}

/// libreswan 4 and 5 have different keywords. The files contain only those that both know.
#[test]
fn libreswan_is_told_in_words_that_both_of_its_generations_take() {
    let instance = classic();
    let config = instance.data().join("countersign.toml");
    let good = fs::read_to_string(&config).unwrap();
    for (mode, start, words) in [
        ("ikev2", "on-traffic", &[][..]),
        ("ikev2", "at-once", &["dpdaction=restart"]),
        ("ikev2", "wait", &["dpdaction=clear"]),
        ("main", "on-traffic", &["ikev2=no"]),
        ("aggressive", "on-traffic", &["ikev2=no", "aggressive=yes"]),
    ] {
        let text = good
            .replace("mode = \"main\"", &format!("mode = \"{mode}\""))
            .replace("start = \"wait\"", &format!("start = \"{start}\""))
            .replace("\"racoon\"", "\"libreswan\"")
            .replace("\"isakmpd\"", "\"strongswan\"");
        fs::write(&config, text).unwrap();
        let folder = export(&instance, "gw2", &["--peer", "gw1"]);
        let text = fs::read_to_string(folder.join("ipsec.conf")).unwrap();
        let named: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| {
                ["ikev2=", "keyexchange=", "aggressive=", "dpdaction="]
                    .iter()
                    .any(|word| line.starts_with(word))
            })
            .collect();
        // One connection for each family of addresses would say it twice.
        assert_eq!(named, words, "{mode} {start}: {text}");
        // libreswan 4 looks after its peers only with both.
        assert!(text.contains("dpddelay=30\n    dpdtimeout=120\n"), "{text}");
    }
}

#[test]
fn what_a_daemon_cannot_be_told_is_refused() {
    let sections = "\
[gateways.gw1]
daemon = \"strongswan\"
address = \"192.0.2.1\"
[gateways.odd]
daemon = \"strongswan\"
[gateways.named]
daemon = \"libreswan\"
address = \"192.0.2.3\"
";
    let mut instance = instance(sections, &[]);
    enrolled(&mut instance, "gw1", "fqdn:gw1.example.net", "p256");
    enrolled(&mut instance, "odd", "email:o'dd#1@example.net", "rsa2048");
    enrolled(&mut instance, "named", "dn:CN=gw\\22x,O=Example", "rsa2048");
    let other = key(&instance, "p256", "other.key");
    let own = instance.file("gw1.key");
    let sec1 = instance.file("sec1.key");
    let open = instance.file("open.key");
    fs::copy(&own, &open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    tool_ok(
        "openssl",
        "openssl",
        &["ec", "-in", own.to_str().unwrap(), "-out", sec1.to_str().unwrap()],
        Path::new("."),
    );
    for (arguments, code, words) in [
        (
            &["gw1", "--for", "isakmpd", "--peer", "odd"][..],
            4,
            &["RSA keys only", "P-256", "--force"][..],
        ),
        (&["gw1", "--for", "isakmpd", "--peer", "odd", "--force"], 2, &["set the same `mode`"]),
        (&["gw1", "--for", "racoon"], 4, &["RSA keys only"]),
        (
            &["gw1", "--for", "charon"],
            2,
            &["strongswan, libreswan, iked, isakmpd or racoon", "`charon`"],
        ),
        (&["nobody"], 2, &["[gateways.nobody]", "--for"]),
        (&["nobody", "--for", "iked"], 3, &["nobody"]),
        (
            &["gw1", "--key", other.to_str().unwrap()],
            2,
            &["expected the private key of the certificate", "another key"],
        ),
        (
            &["gw1", "--key", sec1.to_str().unwrap()],
            2,
            &["EC PRIVATE KEY", "openssl pkcs8 -topk8 -nocrypt"],
        ),
        (&["gw1", "--key", open.to_str().unwrap()], 5, &["chmod 600"]),
        (
            &["named", "--peer", "odd"],
            2,
            &["libreswan cannot hold the distinguished name", "CN=gw"],
        ),
        (&["odd", "--for", "iked"], 2, &["gateways.odd.address"]),
        (
            &["gw1", "--peer", "named", "--for", "libreswan"],
            2,
            &["cannot hold the distinguished name"],
        ),
    ] {
        let out = instance.file("never");
        let all = [&["export"], arguments, &["--out", out.to_str().unwrap()]].concat();
        fails(&instance.run(&all), code, words);
        assert!(!out.exists(), "{arguments:?}");
    }
    // charon can be told both: the mailbox in quotes, the name by its octets.
    let folder = export(&instance, "gw1", &["--peer", "odd", "--peer", "named"]);
    let text = fs::read_to_string(folder.join("swanctl.conf")).unwrap();
    assert!(
        text.contains("id = \"email:o'dd#1@example.net\"") && text.contains("id = \"asn1dn:#30"),
        "{text}"
    );
}
