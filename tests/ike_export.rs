//! Real daemons on the unedited folders of `countersign export`: every mode, and strongSwan with each of the other daemons.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;
mod daemons;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use daemons::charon::Charon;
use daemons::libreswan::{self, Pluto};
use daemons::namespaces::{Gateway, isolated};
use daemons::openiked::Iked;
use daemons::plugin::{install, plugin};
use daemons::site::{Credentials, Site, Source};
use daemons::{outcome, run, wait_for};
use serde_json::Value;

/// ESP in user space. The kernel of a test machine need not support it.
const ESP: &str = "kernel-libipsec { load = yes }";

/// The authorizer within the server.
const AUTHORIZER: &str = "[authorizer]\nserve = true\nsocket = \"FOLDER/authorizer.sock\"\npolicy = [\"FOLDER/policy\"]\n";

/// A policy that allows the peers of our CA with this name.
fn policy(name: &str) -> String {
    format!(
        "Authorizer: \"POLICY\"\nLicensees: \"DN:/CN=Countersign issuing CA\"\n\
         Conditions: remote_id == \"{name}.example.net\" -> \"true\";\n"
    )
}

/// Both gateways as their operator describes them.
fn described(west: &str, east: &str) -> String {
    let one = |gateway: Gateway, network: &str, more: &str| {
        format!(
            "[gateways.{}]\naddress = \"{}\"\nnetworks = [\"{network}\"]\nstart = \"wait\"\n{more}\n",
            gateway.name(),
            gateway.address()
        )
    };
    one(Gateway::West, "10.1.0.0/16", west) + &one(Gateway::East, "10.2.0.0/16", east)
}

/// Writes the folder of a gateway.
fn export(site: &Site, gateway: Gateway, own: &Credentials, more: &[&str]) -> PathBuf {
    let peer = if gateway == Gateway::West { "east" } else { "west" };
    let folder = site.instance.file(&format!("{}-exported", gateway.name()));
    let mut arguments = vec!["export", gateway.name(), "--peer", peer, "--replace", "--out"];
    arguments.push(folder.to_str().unwrap());
    if !more.contains(&"--psk") {
        arguments.extend(["--key", own.key.to_str().unwrap()]);
    }
    arguments.extend(more);
    site.instance.ok(&arguments);
    folder
}

fn inner_addresses() {
    for (gateway, address) in
        [("west", "10.1.0.1/32"), ("west", "10.3.0.1/32"), ("east", "10.2.0.1/32")]
    {
        run(Command::new("ip").args(["-n", gateway, "address", "add", address, "dev", "lo"]));
    }
}

#[track_caller]
fn ping(from: &str, to: &str, log: &dyn Fn() -> String) {
    let ping = |count: &str| {
        let mut ping = Gateway::East.command("ping");
        outcome(ping.args(["-c", count, "-W", "5", "-I", from, to]))
    };
    // IKEv1's initiator is up before the responder has read its last message: what comes first may be lost.
    wait_for("a packet through the tunnel", log, || ping("1").0.then_some(()));
    let (through, said) = ping("3");
    assert!(through && said.contains(" 0% packet loss"), "{said}\n{}", log());
}

/// A tunnel between two charons on their folders, with packets through it.
fn tunnel(site: &Site, west: &Path, east: &Path, words: &[&str]) {
    let mut responder = Charon::start_on(Gateway::West, site, west, ESP);
    let initiator = Charon::start_on(Gateway::East, site, east, ESP);
    let (up, said) = initiator.bring_up("west", Some("net"));
    assert!(up, "{said}\n{}", responder.log());
    responder.wait_for(0, &["IKE_SA east", "established between"]);
    for word in words {
        assert!(responder.log().contains(word), "expected `{word}`:\n{}", responder.log());
    }
    ping("10.2.0.1", "10.1.0.1", &|| responder.sas());
}

fn between_charons(name: &str, section: &str, kind: &str, words: &[&str]) {
    isolated(name, || {
        let section = format!("daemon = \"strongswan\"\n{section}");
        let site = Site::start_with(Source::CrlHttp, &described(&section, &section), "");
        let [own, peer] = ["west", "east"].map(|name| site.enrol(name, kind));
        inner_addresses();
        assert_eq!(site.instance.json(&["check", "west", "east"]), Value::Array(Vec::new()));
        let west = export(&site, Gateway::West, &own, &[]);
        let east = export(&site, Gateway::East, &peer, &[]);
        tunnel(&site, &west, &east, words);

        // What was exported is strict about CRLs: the same folders refuse the peer once it is revoked.
        site.revoke("east");
        let mut responder = Charon::start_on(Gateway::West, &site, &west, ESP);
        let initiator = Charon::start_on(Gateway::East, &site, &east, ESP);
        // The CRL that came with the folder is good still: a newer one takes its place by the next export.
        export(&site, Gateway::West, &own, &[]);
        responder.take_crls();
        let (up, _) = initiator.bring_up("west", Some("net"));
        responder.wait_for(0, &["certificate was revoked"]);
        assert!(!up || section.contains("aggressive"), "{}", responder.log());
    });
}

#[test]
fn strongswan_ikev2_ecdsa() {
    between_charons(
        "strongswan_ikev2_ecdsa",
        "",
        "p256",
        &["selected proposal: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_256/ECP_256"],
    );
}

#[test]
fn strongswan_ikev2_p521() {
    between_charons("strongswan_ikev2_p521", "", "p521", &["with ECDSA_WITH_SHA512_DER"]);
}

#[test]
fn strongswan_ikev1_main_rsa() {
    between_charons(
        "strongswan_ikev1_main_rsa",
        "mode = \"main\"",
        "rsa2048",
        &["is initiating a Main Mode IKE_SA"],
    );
}

#[test]
fn strongswan_ikev1_aggressive_rsa() {
    between_charons(
        "strongswan_ikev1_aggressive_rsa",
        "mode = \"aggressive\"",
        "rsa2048",
        &["is initiating a Aggressive Mode IKE_SA"],
    );
}

#[test]
fn strongswan_ikev1_reaches_each_of_several_networks() {
    isolated("strongswan_ikev1_reaches_each_of_several_networks", || {
        let section = "daemon = \"strongswan\"\nmode = \"main\"";
        let sections = described(section, section)
            .replace("\"10.1.0.0/16\"", "\"10.1.0.0/16\", \"10.3.0.0/16\"");
        let site = Site::start_with(Source::CrlHttp, &sections, "");
        let [own, peer] = ["west", "east"].map(|name| site.enrol(name, "rsa2048"));
        inner_addresses();
        let west = export(&site, Gateway::West, &own, &[]);
        let east = export(&site, Gateway::East, &peer, &[]);
        let responder = Charon::start_on(Gateway::West, &site, &west, ESP);
        let initiator = Charon::start_on(Gateway::East, &site, &east, ESP);
        for (child, inner) in [("net-1", "10.1.0.1"), ("net-2", "10.3.0.1")] {
            let (up, said) = initiator.bring_up("west", Some(child));
            assert!(up, "{child}: {said}\n{}", responder.log());
            ping("10.2.0.1", inner, &|| responder.sas());
        }
    });
}

/// An address, a mailbox and a distinguished name, in the configuration of each daemon.
#[test]
fn identities_of_each_kind_are_those_of_the_certificates() {
    isolated("identities_of_each_kind_are_those_of_the_certificates", || {
        libreswan::install();
        let sections = described(
            "daemon = \"strongswan\"\naccount = \"west\"",
            "daemon = \"libreswan\"\naccount = \"east\"",
        );
        let site = Site::start_with(Source::CrlHttp, &sections, "");
        let config = site.instance.data().join("countersign.toml");
        let text = fs::read_to_string(&config).unwrap();
        for (kind, west, east) in [
            ("mail", "email:west@example.net", "email:east.road@example.net"),
            ("address", "ip:10.9.0.2", "ip:10.9.0.3"),
            ("name", "dn:CN=west,O=Example", "dn:CN=east,OU=Road,O=Example"),
        ] {
            let [own, peer] = [("west", west), ("east", east)]
                .map(|(name, id)| site.enrol_as(&format!("{name}-{kind}"), id, "rsa2048"));
            let text = ["west", "east"].iter().fold(text.clone(), |text, name| {
                text.replace(
                    &format!("account = \"{name}\""),
                    &format!("account = \"{name}-{kind}\""),
                )
            });
            fs::write(&config, text).unwrap();
            assert_eq!(site.instance.json(&["check", "west", "east"]), Value::Array(Vec::new()));
            let west = export(&site, Gateway::West, &own, &[]);
            let east = export(&site, Gateway::East, &peer, &[]);
            let mut charon = Charon::start_on(Gateway::West, &site, &west, ESP);
            let pluto = Pluto::start_on(Gateway::East, &site, &east);
            let (_, said) = pluto.initiate("west");
            let line = charon.wait_for(0, &["IKE_SA east", "established between"]);
            let shown = peer.id.split(',').next_back().unwrap_or(&peer.id);
            assert!(line.contains(shown), "{kind}: {line}\n{said}");

            // Once more on the same database: the script may be run again and again.
            drop((charon, pluto));
            let charon = Charon::start_on(Gateway::West, &site, &west, ESP);
            let pluto = Pluto::start_on(Gateway::East, &site, &east);
            let (_, said) = charon.bring_up("east", None);
            assert!(
                said.contains("IKE_SA east") && said.contains("established"),
                "{kind}: {said}\n{}",
                pluto.log()
            );
        }
    });
}

#[test]
fn strongswan_pre_shared_key() {
    isolated("strongswan_pre_shared_key", || {
        let section = "daemon = \"strongswan\"";
        let site = Site::start_with(Source::CrlHttp, &described(section, section), "");
        let [own, peer] = ["west", "east"].map(|name| site.enrol(name, "p256"));
        inner_addresses();
        let psk = site.instance.file("psk");
        run(Command::new("sh").args(["-c", "umask 077; openssl rand -hex 32 > \"$0\""]).arg(&psk));
        let psk = ["--psk", psk.to_str().unwrap()];
        let west = export(&site, Gateway::West, &own, &psk);
        let east = export(&site, Gateway::East, &peer, &psk);
        tunnel(&site, &west, &east, &["with pre-shared key successful"]);
    });
}

#[test]
fn strongswan_asks_the_authorizer() {
    isolated("strongswan_asks_the_authorizer", || {
        let asks = "daemon = \"strongswan\"\nauthorizer = true";
        let sections = format!("{AUTHORIZER}{}", described(asks, "daemon = \"strongswan\""));
        let site = Site::start_with(Source::CrlHttp, &sections, &policy("east"));
        install(&site);
        let [own, peer] = ["west", "east"].map(|name| site.enrol(name, "p256"));
        inner_addresses();
        let west = export(&site, Gateway::West, &own, &[]);
        let east = export(&site, Gateway::East, &peer, &[]);
        let shipped =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("ike-plugin/charon/countersign.conf");
        assert_eq!(fs::read(west.join("countersign.conf")).unwrap(), fs::read(shipped).unwrap());
        let plugins = format!("{ESP}\n{}", plugin(&site));
        let mut responder = Charon::start_on(Gateway::West, &site, &west, &plugins);
        let initiator = Charon::start_on(Gateway::East, &site, &east, ESP);
        let (up, said) = initiator.bring_up("west", Some("net"));
        assert!(up, "{said}\n{}", responder.log());
        responder.wait_for(0, &["phase 2 of 'east.example.net' is allowed"]);
        ping("10.2.0.1", "10.1.0.1", &|| responder.sas());
        initiator.take_down("west");

        fs::write(site.instance.file("policy"), policy("nobody")).unwrap();
        let socket = site.instance.file("authorizer.sock");
        site.instance.ok(&["authorizer", "reload", "--socket", socket.to_str().unwrap()]);
        let from = responder.log().len();
        let (up, said) = initiator.bring_up("west", Some("net"));
        assert!(!up && said.contains("AUTHENTICATION_FAILED"), "{said}");
        responder.wait_for(from, &["phase 1 of 'east.example.net' is refused (policy)"]);
    });
}

/// The kernel does not support libreswan's ESP here. The test asserts that both sides authenticated.
fn with_libreswan(name: &str, more: &str, kind: &str) {
    isolated(name, || {
        libreswan::install();
        let sections = described(
            &format!("daemon = \"strongswan\"\n{more}"),
            &format!("daemon = \"libreswan\"\n{more}"),
        );
        let site = Site::start_with(Source::CrlHttp, &sections, "");
        let [own, peer] = ["west", "east"].map(|name| site.enrol(name, kind));
        assert_eq!(site.instance.json(&["check", "west", "east"]), Value::Array(Vec::new()));
        let west = export(&site, Gateway::West, &own, &[]);
        let east = export(&site, Gateway::East, &peer, &[]);
        let mut charon = Charon::start_on(Gateway::West, &site, &west, ESP);
        let pluto = Pluto::start_on(Gateway::East, &site, &east);
        let (_, said) = pluto.initiate("west");
        charon.wait_for(0, &["IKE_SA east", "established between"]);
        assert!(
            said.contains("IKE SA") || said.contains("ISAKMP SA established"),
            "{said}\n{}",
            pluto.log()
        );
    });
}

#[test]
fn strongswan_with_libreswan_ikev2() {
    with_libreswan("strongswan_with_libreswan_ikev2", "", "p256");
}

#[test]
fn strongswan_with_libreswan_ikev2_p521() {
    with_libreswan("strongswan_with_libreswan_ikev2_p521", "", "p521");
}

#[test]
fn strongswan_with_libreswan_ikev1() {
    with_libreswan("strongswan_with_libreswan_ikev1", "mode = \"main\"", "rsa2048");
}

/// charon on West, and iked on East, which initiates.
fn charon_and_iked(more: &str) -> String {
    described(
        &format!("daemon = \"strongswan\"\n{more}"),
        &format!("daemon = \"iked\"\n{more}\nstart = \"at-once\""),
    )
    .replace("start = \"wait\"\ndaemon = \"iked\"", "daemon = \"iked\"")
}

/// AES-CBC and HMAC-SHA2-512 by their numbers in `linux/pfkeyv2.h`.
const AES_256_SHA_512: &str = "encryption 12 of 256 bits, authentication 7 of 512 bits";

/// With keys of a kind.
fn with_openiked(name: &str, kind: &str) {
    isolated(name, || {
        let site = Site::start_with(Source::CrlHttp, &charon_and_iked(""), "");
        let [own, peer] = ["west", "east"].map(|name| site.enrol(name, kind));
        inner_addresses();
        assert_eq!(site.instance.json(&["check", "west", "east"]), Value::Array(Vec::new()));
        let west = export(&site, Gateway::West, &own, &[]);
        let east = export(&site, Gateway::East, &peer, &[]);
        let mut charon = Charon::start_on(Gateway::West, &site, &west, ESP);
        let mut iked = Iked::start_on(Gateway::East, &site, &east);
        charon.wait_for(0, &["IKE_SA east", "established between"]);
        // Packets cannot pass, as there is no PF_KEY: but both have the CHILD_SA, with the same algorithms in each direction.
        charon.wait_for(0, &["CHILD_SA net{", "established with SPIs"]);
        charon.wait_for(0, &["selected proposal: ESP:AES_CBC_256/HMAC_SHA2_512_256"]);
        assert_eq!(iked.wait_for_sas(), [AES_256_SHA_512; 2]);
        iked.stop();

        // The other way round: iked has the CRLs of its folder, and refuses who is on them.
        site.revoke("west");
        let east = export(&site, Gateway::East, &peer, &[]);
        let mut iked = Iked::start_on(Gateway::East, &site, &east);
        iked.wait_for(0, &["certificate revoked"]);
    });
}

#[test]
fn strongswan_with_openiked() {
    with_openiked("strongswan_with_openiked", "rsa2048");
}

#[test]
fn strongswan_with_openiked_p521() {
    with_openiked("strongswan_with_openiked_p521", "p521");
}

/// On Linux, iked skips AES-GCM for its traffic, and cannot load HMAC-SHA2-256. `check` reports both, and the default avoids them.
#[test]
fn iked_has_a_child_sa_with_its_default_and_with_no_other() {
    isolated("iked_has_a_child_sa_with_its_default_and_with_no_other", || {
        let site = Site::start_with(Source::CrlHttp, &charon_and_iked("#"), "");
        let [own, peer] = ["west", "east"].map(|name| site.enrol(name, "p256"));
        inner_addresses();
        let config = site.instance.data().join("countersign.toml");
        let text = fs::read_to_string(&config).unwrap();
        for (proposal, words, is_told_by_iked) in [
            ("aes256gcm16-prfsha256-ecp256", "no acceptable proposal found", false),
            ("aes256-sha256-modp2048", "unsupported integrity algorithm HMAC_SHA2_256_128", true),
        ] {
            let proposals = format!("proposals = [\"{proposal}\"]");
            fs::write(&config, text.replace('#', &proposals)).unwrap();
            let found = site.instance.json(&["check", "west", "east"]);
            let found = &found.as_array().unwrap()[..];
            assert!(
                matches!(found, [one] if one["code"] == "esp-on-linux" && one["gateway"] == "east"),
                "{found:?}"
            );
            let west = export(&site, Gateway::West, &own, &[]);
            let east = export(&site, Gateway::East, &peer, &[]);
            let mut charon = Charon::start_on(Gateway::West, &site, &west, ESP);
            let mut iked = Iked::start_on(Gateway::East, &site, &east);
            // The IKE SA is there, which is all that a look at it would show.
            charon.wait_for(0, &["IKE_SA east", "established between"]);
            if is_told_by_iked {
                iked.wait_for(0, &[words])
            } else {
                drop(charon.wait_for(0, &[words]))
            }
            assert!(!iked.has_loaded(), "{proposal}: {}", iked.log());
            iked.stop();
        }
    });
}

/// charon asks OCSP before it reads a CRL, and caches the answer. The commands of the README make it ask again.
#[test]
fn strongswan_hears_of_a_revocation_when_it_does_what_the_readme_says() {
    let name = "strongswan_hears_of_a_revocation_when_it_does_what_the_readme_says";
    isolated(name, || {
        let section = "daemon = \"strongswan\"";
        let site = Site::start_with(Source::Ocsp, &described(section, section), "");
        let [own, peer] = ["west", "east"].map(|name| site.enrol(name, "p256"));
        inner_addresses();
        let west = export(&site, Gateway::West, &own, &[]);
        let east = export(&site, Gateway::East, &peer, &[]);
        let mut responder = Charon::start_on(Gateway::West, &site, &west, ESP);
        let initiator = Charon::start_on(Gateway::East, &site, &east, ESP);
        let (up, said) = initiator.bring_up("west", Some("net"));
        assert!(up, "{said}\n{}", responder.log());
        responder.wait_for(0, &["requesting ocsp status from"]);
        responder.wait_for(0, &["certificate status is good"]);
        initiator.take_down("west");

        site.revoke("east");
        export(&site, Gateway::West, &own, &[]);
        responder.take_crls();
        let from = responder.log().len();
        let (up, said) = initiator.bring_up("west", Some("net"));
        assert!(!up && said.contains("AUTHENTICATION_FAILED"), "{said}\n{}", responder.log());
        responder.wait_for(from, &["certificate was revoked on"]);
    });
}

/// Without named peers, pluto accepts peers of its own root only, whatever other roots its database has.
#[test]
fn libreswan_without_peers_takes_those_of_its_own_root() {
    isolated("libreswan_without_peers_takes_those_of_its_own_root", || {
        libreswan::install();
        let sections = described(
            "daemon = \"libreswan\"\nrevocation = \"if-present\"\ntrust = [\"root\", \"FOLDER/other-root.crt\"]",
            "daemon = \"strongswan\"\nrevocation = \"if-present\"",
        );
        let other = "[gateways.other]\ndaemon = \"strongswan\"\naddress = \"10.9.0.3\"\nnetworks = [\"10.2.0.0/16\"]\nstart = \"wait\"\n\
                     revocation = \"if-present\"\ncertificate = \"FOLDER/other.crt\"\nid = \"fqdn:other.example.net\"\ntrust = [\"root\"]\n";
        let site = Site::start_with(Source::CrlHttp, &format!("{sections}{other}"), "");
        let [own, peer] = ["west", "east"].map(|name| site.enrol(name, "p256"));
        let stranger = certified_elsewhere(&site);
        let west = site.instance.file("west-exported");
        let said = site.instance.json(&[
            "export",
            "west",
            "--key",
            own.key.to_str().unwrap(),
            "--out",
            west.to_str().unwrap(),
        ]);
        let warnings = said["warnings"].to_string();
        assert!(warnings.contains("takes peers of its own root `root` only"), "{said}");
        let pluto = Pluto::start_on(Gateway::West, &site, &west);
        for (name, credentials, is_taken) in [("east", &peer, true), ("other", &stranger, false)] {
            let folder = site.instance.file(&format!("{name}-exported"));
            let key = credentials.key.to_str().unwrap();
            let to = ["--key", key, "--out", folder.to_str().unwrap()];
            site.instance.ok(&[&["export", name, "--peer", "west"], &to[..]].concat());
            let charon = Charon::start_on(Gateway::East, &site, &folder, ESP);
            let from = pluto.log().len();
            let (_, said) = charon.bring_up("west", None);
            let log = pluto.log()[from..].to_owned();
            let is_up = log.contains("responder established IKE SA");
            assert_eq!(is_up, is_taken, "{name}: {said}\n{log}");
        }
    });
}

/// A certificate and a key of another PKI, made by OpenSSL.
fn certified_elsewhere(site: &Site) -> Credentials {
    let openssl = |arguments: &[&str]| {
        let new =
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        run(Command::new("openssl")
            .args(new)
            .args(["-days", "30"])
            .args(arguments)
            .current_dir(site.instance.file(".")));
    };
    let root = ["-keyout", "other-root.key", "-out", "other-root.crt", "-subj", "/CN=Another root"];
    openssl(&root);
    let signed = ["-CA", "other-root.crt", "-CAkey", "other-root.key", "-subj", "/CN=other"];
    let leaf = ["-addext", "subjectAltName=DNS:other.example.net", "-addext"];
    let leaf = [&signed[..], &leaf, &["basicConstraints=critical,CA:FALSE"]].concat();
    openssl(&[&leaf[..], &["-keyout", "other.key", "-out", "other-leaf.crt"]].concat());
    let both = ["other-leaf.crt", "other-root.crt"]
        .map(|file| fs::read(site.instance.file(file)).unwrap());
    let certificate = site.instance.file("other.crt");
    fs::write(&certificate, both.concat()).unwrap();
    Credentials {
        id: "other.example.net".to_owned(),
        certificate,
        key: site.instance.file("other.key"),
    }
}
