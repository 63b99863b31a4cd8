//! Every reason to refuse a peer, in every mode, with either side as initiator: charon on exported folders, and the real authorizer.
//!
//! charon itself would accept each of these peers. The tests assert the reason in the decision log and charon's refusal, both on the side
//! that decides: in aggressive mode the other side does not learn of it in time.
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

use daemons::authorizer::{Authorizer, policy};
use daemons::charon::{Charon, another, version_6};
use daemons::exported::{export, section};
use daemons::namespaces::{Gateway, isolated_with};
use daemons::plugin::{connection, install, plugin};
use daemons::site::{Site, Source};
use daemons::{run, wait_for};

/// A peer on East: its section, which is also West's connection; its name in the decision log; the step that denies it, and words of the
/// reason.
struct Case<'c> {
    section: &'c str,
    shown: &'c str,
    step: &'c str,
    words: &'c str,
}

/// The policy allows every peer but `east`, and `spare` is revoked.
const CASES: [Case<'_>; 2] = [
    Case {
        section: "east",
        shown: "east.example.net",
        step: "policy",
        words: "does not allow phase 1 in the name of",
    },
    Case { section: "spare", shown: "spare.example.net", step: "status", words: "was revoked at" },
];

/// To an authorizer with another root.
const FOREIGN: Case<'_> = Case {
    section: "east",
    shown: "east.example.net",
    step: "path",
    words: "expected a path to a trust anchor",
};

/// West, whose charon asks the authorizer, and a peer.
struct Pair<'s> {
    mode: &'s str,
    west: Charon,
    east: Charon,
}

impl Pair<'_> {
    /// Initiates from either side. Gives whether the initiator reports success, its output, and the length of West's log before.
    fn begin(&self, role: &str, section: &str) -> (bool, String, usize) {
        let from = self.west.log().len();
        // West is the one who answers if East begins.
        let (up, said) = match role {
            "initiator" => self.west.bring_up(section, None),
            _ => self.east.bring_up("west", None),
        };
        (up, said, from)
    }

    #[track_caller]
    fn wait_for_the_end(&self) {
        for side in [&self.west, &self.east] {
            wait_for("the end", || side.sas(), || (!side.sas().contains("IKEv")).then_some(()));
        }
    }

    #[track_caller]
    fn comes_in(&mut self, authorizer: &Authorizer<'_>, role: &str) {
        let (up, said, from) = self.begin(role, "east");
        assert!(up, "{role}: {said}\n{}", self.west.log());
        self.west.wait_for(from, &["phase 1 of 'east.example.net' is allowed"]);
        self.west.wait_for(from, &["established between"]);
        authorizer.wait_for("east.example.net", &[("/decision", "allow"), ("/role", role)]);
        match role {
            "initiator" => self.west.take_down("east"),
            _ => self.east.take_down("west"),
        }
        self.wait_for_the_end();
    }

    #[track_caller]
    fn is_refused(&mut self, authorizer: &Authorizer<'_>, role: &str, case: &Case<'_>) {
        let (up, said, from) = self.begin(role, case.section);
        let step = format!("is refused ({})", case.step);
        self.west.wait_for(from, &["countersign: phase 1 of", &step]);
        let mode = if self.mode == "ikev2" { "ike_sa" } else { self.mode };
        let decision = authorizer.wait_for(
            case.shown,
            &[("/decision", "deny"), ("/step", case.step), ("/role", role), ("/mode", mode)],
        );
        let reason = decision["reason"].as_str().unwrap();
        assert!(reason.contains(case.words), "{decision}");
        assert_eq!(decision["connection"], case.section, "{decision}");
        // What the one who begins in aggressive mode sends last, it sends before it hears of the refusal.
        if self.mode != "aggressive" || role == "initiator" {
            assert!(!up, "{role} {}: {said}", case.step);
        }
        if self.mode != "aggressive" && role == "responder" {
            assert!(said.contains("AUTH"), "{said}");
        }
        self.wait_for_the_end();
        let log = self.west.log();
        assert!(!log[from..].contains("established between"), "{}", &log[from..]);
    }
}

fn denials(name: &str, strongswan: Option<&Path>, mode: &str, kind: &str) {
    isolated_with(strongswan, name, || {
        let lines = format!("daemon = \"strongswan\"\nmode = \"{mode}\"\n");
        let gateways = [
            section("west", Gateway::West, &format!("{lines}authorizer = true\n")),
            section("east", Gateway::East, &lines),
            section("spare", Gateway::East, &lines),
        ];
        let site = Site::start_with(Source::CrlHttp, &gateways.concat(), "");
        install(&site);
        let [own, east, spare] = ["west", "east", "spare"].map(|name| site.enrol(name, kind));
        let own = export(&site, "west", &own, &["east", "spare"]);
        let folders = [("east", &east), ("spare", &spare)]
            .map(|(name, peer)| export(&site, name, peer, &["west"]));
        // Both charons have CRLs in their folders that are good still.
        site.revoke("spare");
        let authorizer = Authorizer::start(&site, &policy("true"), &site.ca("root"));
        let mut pair = Pair {
            mode,
            west: Charon::start_on(Gateway::West, &site, &own, &plugin(&site)),
            east: Charon::start_on(Gateway::East, &site, &folders[0], ""),
        };
        for role in ["responder", "initiator"] {
            pair.comes_in(&authorizer, role);
        }
        authorizer.replace(&policy("remote_id != \"east.example.net\""));
        for (case, folder) in CASES.iter().zip(&folders) {
            pair.east.load(folder);
            for role in ["responder", "initiator"] {
                pair.is_refused(&authorizer, role, case);
            }
        }
        let shown = identify_by_key(&site, &mut pair, &own, &folders[0]);
        let case = Case {
            section: "impostor",
            shown: &shown,
            step: "identity",
            words: "no certificate holds a key ID",
        };
        for role in ["responder", "initiator"] {
            pair.is_refused(&authorizer, role, &case);
        }
        pair.west.load(&own);
        drop(authorizer);
        let foreign = foreign_root(&site);
        let authorizer = Authorizer::start(&site, &policy("true"), &foreign);
        pair.east.load(&folders[0]);
        for role in ["responder", "initiator"] {
            pair.is_refused(&authorizer, role, &FOREIGN);
        }
    });
}

/// Has East send its key as its identity, and West accept any identity, because no export writes an identity that is not in the
/// certificate. Gives East's name in the decision log.
fn identify_by_key(site: &Site, pair: &mut Pair<'_>, west: &Path, east: &Path) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-noout", "-ext", "subjectKeyIdentifier", "-in"]);
    let said = run(openssl.arg(site.instance.file("east.crt")));
    let key_id: String = said.lines().last().unwrap().split(':').map(str::trim).collect();
    let by_hand = |folder: &Path, name: &str, at: Gateway, id: &str| {
        let copy = site.instance.file(&format!("{}-by-hand", at.name()));
        run(Command::new("cp").arg("-r").arg(folder).arg(&copy));
        let auth = format!(
            "local {{ auth = pubkey\n certs = {}.pem\n id = {id} }}\n remote {{ auth = pubkey\n id = %any }}",
            at.name()
        );
        let more = match pair.mode {
            "main" => "version = 1\n proposals = aes256-sha256-modp2048",
            "aggressive" => "version = 1\n aggressive = yes\n proposals = aes256-sha256-modp2048",
            _ => "version = 2\n proposals = aes256gcm16-prfsha256-ecp256",
        };
        let config = format!("connections {{\n{}}}\n", connection(name, at, &auth, more));
        fs::write(copy.join("swanctl.conf"), config).unwrap();
        copy
    };
    let id = format!("\"keyid:#{key_id}\"");
    pair.east.load(&by_hand(east, "west", Gateway::East, &id));
    pair.west.load(&by_hand(west, "impostor", Gateway::West, "west.example.net"));
    format!("key-id:0x{}", key_id.to_lowercase())
}

/// The certificate of a CA that issued none of the others.
fn foreign_root(site: &Site) -> PathBuf {
    let foreign = site.instance.file("foreign.crt");
    let made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=Foreign -keyout /dev/null -out";
    run(Command::new("openssl").args(made.split(' ')).arg(&foreign));
    foreign
}

#[test]
fn each_reason_refuses_in_ikev2() {
    let name = "each_reason_refuses_in_ikev2";
    denials(name, another().as_deref(), "ikev2", "p256");
}

#[test]
fn each_reason_refuses_in_main_mode() {
    let name = "each_reason_refuses_in_main_mode";
    denials(name, another().as_deref(), "main", "rsa2048");
}

#[test]
fn each_reason_refuses_in_aggressive_mode() {
    let name = "each_reason_refuses_in_aggressive_mode";
    denials(name, another().as_deref(), "aggressive", "rsa2048");
}

#[test]
fn each_reason_refuses_in_ikev2_on_strongswan_6() {
    let name = "each_reason_refuses_in_ikev2_on_strongswan_6";
    denials(name, Some(&version_6()), "ikev2", "p256");
}

#[test]
fn each_reason_refuses_in_aggressive_mode_on_strongswan_6() {
    let name = "each_reason_refuses_in_aggressive_mode_on_strongswan_6";
    denials(name, Some(&version_6()), "aggressive", "rsa2048");
}
