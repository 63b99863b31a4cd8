//! libreswan asks Countersign about its peers, through PAM: `pam-authorize=yes` and pam_exec(8).
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
use std::process::Command;

use common::COUNTERSIGN;
use daemons::libreswan::{self, Pluto};
use daemons::namespaces::{Gateway, bind, isolated};
use daemons::site::{Site, Source};
use daemons::{run, wait_for};
use serde_json::{Value, json};

/// The authorizer within the server; its policy is there before the server starts.
const SECTION: &str = "[authorizer]\nserve = true\nsocket = \"FOLDER/authorizer.sock\"\npolicy = [\"FOLDER/policy\"]\n";

/// Of our CA's peers, east alone.
const POLICY: &str = "Authorizer: \"POLICY\"\nLicensees: \"DN:/CN=Countersign issuing CA\"\n\
                      Conditions: remote_id == \"east.example.net\" -> \"true\";\n";

#[test]
fn pluto_lets_in_whom_the_authorizer_allows() {
    isolated("pluto_lets_in_whom_the_authorizer_allows", || {
        libreswan::install();
        let site = Site::start_with(Source::CrlHttp, SECTION, POLICY);
        install_pam(&site);
        let [west, east, spare] = ["west", "east", "spare"].map(|name| site.enrol(name, "rsa2048"));
        let peers = [&east, &spare];
        let responder = Pluto::start_with(
            Gateway::West,
            &site,
            Source::CrlHttp,
            &[&west],
            &peers,
            "pam-authorize=yes",
        );
        let initiator = Pluto::start(Gateway::East, &site, Source::CrlHttp, &peers, &[&west]);
        responder.wait_for_crl(0);
        initiator.wait_for_crl(0);

        let (up, said) = initiator.initiate("east");
        assert!(up, "{said}\n{}", responder.log());
        let decision = last(&site, "east");
        for (pointer, wanted) in [
            ("/decision", json!("allow")),
            ("/daemon", json!("pluto")),
            ("/remote/address", json!(Gateway::East.address())),
            ("/certificate/names", json!(["dns:east.example.net"])),
        ] {
            assert_eq!(decision.pointer(pointer), Some(&wanted), "{pointer}: {decision}");
        }
        initiator.terminate("east");

        let (up, said) = initiator.initiate("spare");
        assert!(!up && said.contains("AUTHENTICATION_FAILED"), "{said}\n{}", responder.log());
        let decision = last(&site, "spare");
        assert_eq!(
            (&decision["decision"], &decision["step"]),
            (&json!("deny"), &json!("policy")),
            "{decision}"
        );
        initiator.terminate("spare");

        // The store knows of a revocation before any CRL says so.
        let serial = site.instance.certificates("east")[0]["serial"].clone();
        site.instance.ok(&["cert", "revoke", serial.as_str().unwrap()]);
        let (up, said) = initiator.initiate("east");
        assert!(!up && said.contains("AUTHENTICATION_FAILED"), "{said}");
        wait_for(
            "the decision",
            || last(&site, "east").to_string(),
            || (last(&site, "east")["step"] == "status").then_some(()),
        );
        initiator.terminate("east");
    });
}

/// The latest decision about a peer.
fn last(site: &Site, peer: &str) -> Value {
    site.instance.json(&["decision", "list", "--peer", peer, "--limit", "1"])[0].clone()
}

/// What an operator writes into `/etc/pam.d/pluto`.
fn install_pam(site: &Site) {
    let folder = site.instance.file("pam.d");
    run(Command::new("cp").args(["-r", "/etc/pam.d"]).arg(&folder));
    let socket = site.instance.file("authorizer.sock");
    let line = |kind: &str| {
        format!(
            "{kind} required pam_exec.so log={} {COUNTERSIGN} authorizer pam --socket {}\n",
            site.instance.file("pam.log").display(),
            socket.display()
        )
    };
    fs::write(folder.join("pluto"), line("auth") + &line("account")).unwrap();
    bind(&folder, "/etc/pam.d");
}
