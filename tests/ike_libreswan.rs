//! libreswan asks Countersign about its peers through PAM: `pam-authorize=yes` and pam_exec(8). All daemons run on unedited exported folders,
//! and PAM uses the file in libreswan's folder.
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
use std::path::Path;
use std::process::Command;

use daemons::charon::Charon;
use daemons::exported::{ESP, export, section};
use daemons::libreswan::{self, Pluto};
use daemons::namespaces::{Gateway, bind, isolated};
use daemons::site::{Credentials, Site, Source};
use daemons::{run, wait_for};
use serde_json::{Value, json};

/// The authorizer within the server, on its default socket. Its policy is written before the server starts.
const SECTION: &str = "[authorizer]\nserve = true\npolicy = [\"FOLDER/policy\"]\n";
const SOCKET: &str = "/run/countersign/authorizer.sock";

/// A policy that allows only east of our CA's peers.
const POLICY: &str = "Authorizer: \"POLICY\"\nLicensees: \"DN:/CN=Countersign issuing CA\"\n\
                      Conditions: remote_id == \"east.example.net\" -> \"true\";\n";

/// West is pluto with PAM. On East are two peers, each with pluto and with charon.
fn site() -> Site {
    let on_east = |name: &str, account: &str, daemon: &str| {
        let lines = format!("daemon = \"{daemon}\"\naccount = \"{account}\"\n");
        section(name, Gateway::East, &lines)
    };
    let west = "daemon = \"libreswan\"\nauthorizer = true\n";
    let site = Site::start_with(
        Source::CrlHttp,
        &[
            SECTION.to_owned(),
            section("west", Gateway::West, west),
            on_east("east", "east", "libreswan"),
            on_east("spare", "spare", "libreswan"),
            on_east("east-charon", "east", "strongswan"),
            on_east("spare-charon", "spare", "strongswan"),
        ]
        .concat(),
        POLICY,
    );
    libreswan::install();
    site
}

/// West's pluto on its folder. Its PAM asks the authorizer.
fn west(site: &Site, own: &Credentials) -> Pluto {
    let exported = export(site, "west", own, &["east", "spare"]);
    install_pam(site, &exported);
    Pluto::start_on(Gateway::West, site, &exported)
}

/// The initiator's output about West.
struct Heard {
    up: bool,
    said: String,
}

/// Initiates from East, by pluto or by charon, on its folder.
fn initiate(site: &Site, exported: &Path) -> Heard {
    if exported.join("swanctl.conf").exists() {
        let charon = Charon::start_on(Gateway::East, site, exported, ESP);
        let (_, said) = charon.bring_up("west", Some("net"));
        // pluto's ESP is not for the kernels of test machines: what counts is the IKE SA.
        Heard { up: said.contains("established between"), said }
    } else {
        let pluto = Pluto::start_on(Gateway::East, site, exported);
        let (up, said) = pluto.initiate("west");
        pluto.terminate("west");
        Heard { up, said }
    }
}

#[test]
fn pluto_lets_in_whom_the_authorizer_allows() {
    isolated("pluto_lets_in_whom_the_authorizer_allows", || {
        let site = site();
        let [own, east, spare] = ["west", "east", "spare"].map(|name| site.enrol(name, "rsa2048"));
        let responder = west(&site, &own);

        let both = |names: [&str; 2], own| names.map(|name| export(&site, name, own, &["west"]));
        let easts = both(["east", "east-charon"], &east);
        for peer in &easts {
            let Heard { up, said } = initiate(&site, peer);
            assert!(up, "{said}\n{}", responder.log());
            let decision = last(&site, "east");
            for (pointer, wanted) in [
                ("/decision", json!("allow")),
                ("/daemon", json!("pluto")),
                ("/remote/address", json!(Gateway::East.address())),
                ("/certificate/names", json!(["dns:east.example.net"])),
                ("/question/auth", json!("cert")),
            ] {
                assert_eq!(decision.pointer(pointer), Some(&wanted), "{pointer}: {decision}");
            }
        }
        for peer in &both(["spare", "spare-charon"], &spare) {
            let asked = decisions(&site, "spare");
            let Heard { up, said } = initiate(&site, peer);
            assert!(!up && said.contains("AUTH"), "{said}\n{}", responder.log());
            wait_for(
                "the decision",
                || last(&site, "spare").to_string(),
                || (decisions(&site, "spare") > asked).then_some(()),
            );
            let decision = last(&site, "spare");
            assert_eq!(
                (&decision["decision"], &decision["step"]),
                (&json!("deny"), &json!("policy")),
                "{decision}"
            );
        }

        // The store knows of a revocation before any CRL says so.
        let serial = site.instance.certificates("east")[0]["serial"].clone();
        site.instance.ok(&["cert", "revoke", serial.as_str().unwrap()]);
        let Heard { up, said } = initiate(&site, &easts[1]);
        assert!(!up && said.contains("AUTH"), "{said}\n{}", responder.log());
        wait_for(
            "the decision",
            || last(&site, "east").to_string(),
            || (last(&site, "east")["step"] == "status").then_some(()),
        );
    });
}

#[test]
fn pluto_lets_in_nobody_while_the_authorizer_is_away() {
    isolated("pluto_lets_in_nobody_while_the_authorizer_is_away", || {
        let site = site();
        let [own, east, _] = ["west", "east", "spare"].map(|name| site.enrol(name, "rsa2048"));
        let responder = west(&site, &own);
        let peers = ["east", "east-charon"].map(|name| export(&site, name, &east, &["west"]));
        let Heard { up, said } = initiate(&site, &peers[0]);
        assert!(up, "{said}\n{}", responder.log());
        // As after the end of the authorizer: nobody listens there.
        fs::remove_file(SOCKET).unwrap();
        let asked = decisions(&site, "east");
        for peer in &peers {
            let Heard { up, said } = initiate(&site, peer);
            assert!(!up && said.contains("AUTH"), "{said}\n{}", responder.log());
        }
        assert_eq!(decisions(&site, "east"), asked);
    });
}

/// How many answers about a peer the decision log has, repeated refusals included. Their number is logged every ten seconds.
fn decisions(site: &Site, peer: &str) -> u64 {
    let list = site.instance.json(&["decision", "list", "--peer", peer, "--limit", "1000"]);
    let answers = |of: &Value| 1 + of["repeated"].as_u64().unwrap_or(0);
    list.as_array().unwrap().iter().map(answers).sum()
}

/// The latest decision about a peer.
fn last(site: &Site, peer: &str) -> Value {
    site.instance.json(&["decision", "list", "--peer", peer, "--limit", "1"])[0].clone()
}

/// Puts the exported file into `/etc/pam.d`.
fn install_pam(site: &Site, exported: &Path) {
    let folder = site.instance.file("pam.d");
    run(Command::new("cp").args(["-r", "/etc/pam.d"]).arg(&folder));
    fs::copy(exported.join("pam.d/pluto"), folder.join("pluto")).unwrap();
    bind(&folder, "/etc/pam.d");
}
