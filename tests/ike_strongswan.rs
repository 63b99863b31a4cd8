//! strongSwan asks Countersign about its peers through the plugin: over IKEv2 and IKEv1, as initiator and as responder, with certificates and
//! pre-shared keys, and for the traffic of phase 2. `ike_denials.rs` has each reason to refuse, in each mode.
//!
//! West has the plugin and an authorizer. The tests assert lines of the daemon's log, on the side that decides, and of the decision log. The
//! daemons run on unedited exported folders.
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
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daemons::authorizer::{Authorizer, policy};
use daemons::charon::{Charon, another, version_6};
use daemons::exported::{ESP, export, export_with, inner_addresses, section, swanctl};
use daemons::libreswan::{self, Pluto};
use daemons::namespaces::{Gateway, NAT, behind_nat, isolated, isolated_with};
use daemons::openiked::Iked;
use daemons::plugin::{Told, answered, id, install, plugin};
use daemons::site::{Credentials, Site, Source};
use daemons::{outcome, run, wait_for};
use serde_json::json;

/// Both gateways in IKEv2, and a second peer on East. That peer knows West by another name, so that East's connections have two names.
fn described() -> String {
    let lines = "daemon = \"strongswan\"\n";
    let asks = format!("{lines}authorizer = true\n");
    [
        section("west", Gateway::West, &asks),
        section("west2", Gateway::West, &format!("{asks}account = \"west\"\n")),
        section("east", Gateway::East, lines),
        section("spare", Gateway::East, lines),
    ]
    .concat()
}

/// West with the plugin, and East, which is `west`'s peer east and `west2`'s peer spare.
fn two_charons(
    site: &Site,
    own: &Credentials,
    east: &Credentials,
    spare: &Credentials,
) -> (Charon, Charon) {
    let west = export(site, "west", own, &["east", "spare"]);
    let west = Charon::start_on(Gateway::West, site, &west, &plugin(site));
    let east = export(site, "east", east, &["west"]);
    let spare = export(site, "spare", spare, &["west2"]);
    let east = swanctl(site, "east-swanctl", &[&east, &spare]);
    (west, Charon::start_on(Gateway::East, site, &east, ""))
}

#[track_caller]
fn ping(log: &dyn Fn() -> String) {
    let mut ping = Gateway::East.command("ping");
    ping.args(["-c", "3", "-W", "5", "-I", "10.2.0.1", "10.1.0.1"]);
    let (through, said) = outcome(&mut ping);
    assert!(through && said.contains(" 0% packet loss"), "{said}\n{}", log());
}

#[test]
fn ikev2_peers_are_let_in_and_refused_by_status_and_policy() {
    isolated("ikev2_peers_are_let_in_and_refused_by_status_and_policy", || {
        let site = Site::start_with(Source::CrlHttp, &described(), "");
        install(&site);
        let [own, east, spare] = ["west", "east", "spare"].map(|name| site.enrol(name, "p256"));
        let allowed = "remote_id == \"east.example.net\" && phase_1 == \"ikev2\"";
        let authorizer = Authorizer::start(&site, &policy(allowed), &site.ca("root"));
        let (mut west, initiator) = two_charons(&site, &own, &east, &spare);

        let (up, said) = initiator.bring_up("west", None);
        assert!(up, "{said}\n{}", west.log());
        west.wait_for(0, &["countersign: phase 1 of 'east.example.net' is allowed"]);
        let decision = authorizer.wait_for("east", &[("/decision", "allow")]);
        for (pointer, wanted) in [
            ("/daemon", json!("charon")),
            ("/connection", json!("east")),
            ("/role", json!("responder")),
            ("/ike", json!(2)),
            ("/remote/address", json!(Gateway::East.address())),
            ("/remote/id_type", json!("FQDN")),
            ("/question/proposal/group", json!(19)),
            ("/question/auth", json!("cert")),
        ] {
            assert_eq!(decision.pointer(pointer), Some(&wanted), "{pointer}: {decision}");
        }
        initiator.take_down("west");

        // As the initiator, West asks no less.
        let (up, said) = west.bring_up("east", None);
        assert!(up, "{said}\n{}", west.log());
        authorizer.wait_for("east", &[("/role", "initiator"), ("/decision", "allow")]);
        west.take_down("east");

        let (up, said) = initiator.bring_up("west2", None);
        assert!(!up && said.contains("AUTHENTICATION_FAILED"), "{said}");
        west.wait_for(
            0,
            &["phase 1 of 'spare.example.net' is refused (policy)", "does not allow phase 1"],
        );
        authorizer.wait_for("spare", &[("/step", "policy")]);

        // Another policy counts for the next negotiation.
        authorizer.replace(&policy("remote_id == \"spare.example.net\""));
        let (up, said) = initiator.bring_up("west2", None);
        assert!(up, "{said}\n{}", west.log());
        initiator.take_down("west2");
        let (up, said) = initiator.bring_up("west", None);
        assert!(!up, "{said}");
        authorizer.wait_for("east", &[("/step", "policy"), ("/decision", "deny")]);

        authorizer.replace(&policy("true"));
        site.revoke("spare");
        wait_for(
            "the refusal of the revoked peer",
            || west.log(),
            || {
                let (up, _) = initiator.bring_up("west2", None);
                if up {
                    initiator.take_down("west2");
                }
                (!up).then_some(())
            },
        );
        west.wait_for(0, &["phase 1 of 'spare.example.net' is refused (status)", "was revoked at"]);
        authorizer.wait_for("spare", &[("/step", "status")]);
        let (up, said) = initiator.bring_up("west", None);
        assert!(up, "{said}");
    });
}

#[test]
fn whoever_knows_the_pre_shared_key_asks_in_its_name() {
    let name = "whoever_knows_the_pre_shared_key_asks_in_its_name";
    pre_shared_key(name, another().as_deref());
}

#[test]
fn whoever_knows_the_pre_shared_key_asks_in_its_name_on_strongswan_6() {
    let name = "whoever_knows_the_pre_shared_key_asks_in_its_name_on_strongswan_6";
    pre_shared_key(name, Some(&version_6()));
}

fn pre_shared_key(name: &str, strongswan: Option<&Path>) {
    isolated_with(strongswan, name, || {
        let site = Site::start_with(Source::CrlHttp, &described(), "");
        install(&site);
        for name in ["west", "east"] {
            site.enrol(name, "p256");
        }
        let licensee = "Authorizer: \"POLICY\"\nLicensees: \"passphrase:open-sesame\"\n\
                        Conditions: remote_id == \"east.example.net\" -> \"true\";\n";
        let authorizer = Authorizer::start(&site, licensee, &site.ca("root"));
        for (secret, good) in [("open-sesame", true), ("open-barley", false)] {
            let file = site.instance.file("psk");
            let written = format!("umask 077; printf %s {secret} > \"$0\"");
            run(Command::new("sh").args(["-c", &written]).arg(&file));
            let psk = ["--psk", file.to_str().unwrap()];
            let own = export_with(&site, "west", &["east"], &psk);
            let mut west = Charon::start_on(Gateway::West, &site, &own, &plugin(&site));
            let east = export_with(&site, "east", &["west"], &psk);
            let east = Charon::start_on(Gateway::East, &site, &east, "");
            for (begins, conn, role) in [(&east, "west", "responder"), (&west, "east", "initiator")]
            {
                let (up, said) = begins.bring_up(conn, None);
                assert_eq!(up, good, "{said}\n{}", west.log());
                let decision = if good { "allow" } else { "deny" };
                let decision =
                    authorizer.wait_for("east", &[("/role", role), ("/decision", decision)]);
                assert_eq!(decision["step"], "policy", "{decision}");
                assert_eq!(decision["requesters"], json!(["passphrase:…"]), "{decision}");
                if good {
                    begins.take_down(conn);
                }
            }
            let words = if good { "is allowed" } else { "is refused (policy)" };
            west.wait_for(0, &["phase 1 of 'east.example.net'", words]);
        }
        let log =
            fs::read_to_string(site.instance.file("authorizer/decisions/decisions.jsonl")).unwrap();
        assert!(!log.contains("sesame") && !log.contains("barley"), "a secret is in the log");
    });
}

#[test]
fn without_an_answer_nobody_is_let_in_and_who_waits_holds_up_nobody() {
    isolated("without_an_answer_nobody_is_let_in_and_who_waits_holds_up_nobody", || {
        let site = Site::start_with(Source::CrlHttp, &described(), "");
        install(&site);
        let [own, east, spare] = ["west", "east", "spare"].map(|name| site.enrol(name, "p256"));
        let (mut west, initiator) = two_charons(&site, &own, &east, &spare);

        let (up, said) = initiator.bring_up("west", None);
        assert!(!up && said.contains("AUTHENTICATION_FAILED"), "{said}");
        west.wait_for(0, &["is refused (authorizer)", "cannot be reached"]);
        let from = west.log().len();
        let (up, said) = west.bring_up("east", None);
        assert!(!up, "{said}");
        west.wait_for(from, &["is refused (authorizer)", "cannot be reached"]);

        // east waits until it is told; spare is up meanwhile.
        let gate = Arc::new(Mutex::new(()));
        let (held, waiting) = (gate.lock().unwrap(), Arc::clone(&gate));
        let told = Told::start(&site, move |question| {
            if id(question).starts_with("east") {
                drop(waiting.lock());
            }
            answered("allow")
        });
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| initiator.bring_up("west", None));
            wait_for("the question about east", String::new, || {
                told.questions
                    .lock()
                    .unwrap()
                    .iter()
                    .any(|q| id(q).starts_with("east"))
                    .then_some(())
            });
            let (up, said) = initiator.bring_up("west2", None);
            assert!(up, "{said}");
            // charon lists no SAs while one waits.
            assert!(!west.log().contains("'east.example.net' is allowed"), "{}", west.log());
            drop(held);
            let (up, said) = slow.join().unwrap();
            assert!(up, "{said}");
        });
        let question = told.questions.lock().unwrap()[0].clone();
        assert_eq!(question["chain"].as_array().unwrap().len(), 2, "{question}");
        initiator.take_down("west");
        initiator.take_down("west2");
        drop(told);

        for (answer, words) in [
            (&b"nonsense\n"[..], "cannot be understood"),
            (b"{\"v\":2,\"decision\":\"allow\"}\n", "cannot be understood"),
            (b"{\"v\":1,\"decision\":\"perhaps\"}\n", "cannot be understood"),
            (b"{\"v\":1,\"decision\":\"allow\"}", "did not answer"),
            (b"", "did not answer"),
        ] {
            let from = west.log().len();
            let answer = answer.to_vec();
            let _told = Told::start(&site, move |_| answer.clone());
            let (up, said) = initiator.bring_up("west", None);
            assert!(!up, "{said}");
            west.wait_for(from, &["is refused (authorizer)", words]);
        }
        // One that is silent is given up.
        let from = west.log().len();
        let _told = Told::start(&site, |_| {
            std::thread::sleep(Duration::from_secs(30));
            Vec::new()
        });
        let (up, said) = initiator.bring_up("west", None);
        assert!(!up, "{said}");
        west.wait_for(from, &["is refused (authorizer)", "did not answer: Connection timed out"]);
    });
}

#[test]
fn packets_pass_only_where_the_policy_lets_traffic_pass() {
    let name = "packets_pass_only_where_the_policy_lets_traffic_pass";
    traffic(name, another().as_deref());
}

#[test]
fn packets_pass_only_where_the_policy_lets_traffic_pass_on_strongswan_6() {
    let name = "packets_pass_only_where_the_policy_lets_traffic_pass_on_strongswan_6";
    traffic(name, Some(&version_6()));
}

fn traffic(name: &str, strongswan: Option<&Path>) {
    isolated_with(strongswan, name, || {
        // West lets East have both networks; of these the policy allows one.
        let lines = "daemon = \"strongswan\"\n";
        let networks = |list: &str| format!("{lines}account = \"east\"\nnetworks = [{list}]\n");
        let site = Site::start_with(
            Source::CrlHttp,
            &[
                described().replace("[gateways.east]", "[gateways.unused]"),
                section("east", Gateway::East, &networks("\"10.2.0.0/16\", \"10.3.0.0/16\"")),
                section("good", Gateway::East, &networks("\"10.2.0.0/16\"")),
                section("bad", Gateway::East, &networks("\"10.3.0.0/16\"")),
            ]
            .concat(),
            "",
        );
        install(&site);
        let [own, east] = ["west", "east"].map(|name| site.enrol(name, "p256"));
        inner_addresses(&[
            (Gateway::West, "10.1.0.1"),
            (Gateway::East, "10.2.0.1"),
            (Gateway::East, "10.3.0.1"),
        ]);
        let traffic = "esp_present == \"no\" || (remote_filter == \"010.002.000.000-010.002.255.255\" && esp_enc_alg == \"aes\")";
        let authorizer = Authorizer::start(&site, &policy(traffic), &site.ca("root"));
        let own = export(&site, "west", &own, &["east"]);
        let plugins = format!("{ESP}\n{}", plugin(&site));
        let mut west = Charon::start_on(Gateway::West, &site, &own, &plugins);
        let good = export(&site, "good", &east, &["west"]);
        let bad = export(&site, "bad", &east, &["west2"]);
        let both = swanctl(&site, "east-swanctl", &[&good, &bad]);
        let initiator = Charon::start_on(Gateway::East, &site, &both, ESP);

        let (up, said) = initiator.bring_up("west", Some("net"));
        assert!(up, "{said}\n{}", west.log());
        west.wait_for(0, &["countersign: phase 2 of 'east.example.net' is allowed"]);
        ping(&|| west.sas());
        initiator.take_down("west");

        let from = west.log().len();
        let (up, said) = initiator.bring_up("west2", Some("net"));
        assert!(!up && said.contains("TS_UNACCEPT"), "{said}");
        west.wait_for(
            from,
            &["phase 2 of 'east.example.net' is refused (policy)", "does not allow this traffic"],
        );
        let decision = authorizer.wait_for("east", &[("/decision", "deny")]);
        assert_eq!(decision["question"]["child"]["remote"][0]["from"], "10.3.0.0", "{decision}");
    });
}

#[test]
fn a_peer_behind_nat_is_judged_by_the_address_that_it_has_here() {
    isolated("a_peer_behind_nat_is_judged_by_the_address_that_it_has_here", || {
        behind_nat(Gateway::East);
        let modes = [("ikev2", "ike_sa"), ("main", "main")];
        let sections = |(mode, _): (&str, &str)| {
            let lines = format!("daemon = \"strongswan\"\nmode = \"{mode}\"\n");
            let inside = "account = \"east\"\nlocal_address = \"10.8.0.3\"\n";
            let outside = "account = \"west\"\nauthorizer = true\n";
            let east = section(&format!("east-{mode}"), Gateway::East, &format!("{lines}{inside}"));
            // Nobody knows where it is: it only initiates.
            let address = format!("address = \"{}\"\n", Gateway::East.address());
            section(&format!("west-{mode}"), Gateway::West, &format!("{lines}{outside}"))
                + &east.replace(&address, "")
        };
        let site = Site::start_with(Source::CrlHttp, &modes.map(sections).concat(), "");
        install(&site);
        inner_addresses(&[(Gateway::West, "10.1.0.1"), (Gateway::East, "10.2.0.1")]);
        let [own, peer] = ["west", "east"].map(|name| site.enrol(name, "rsa2048"));
        let here = "remote_ike_address == \"010.009.000.004\"";
        let authorizer = Authorizer::start(&site, &policy(here), &site.ca("root"));
        let plugins = format!("{ESP}\n{}", plugin(&site));
        for (mode, logged) in modes {
            let (west, east) = (format!("west-{mode}"), format!("east-{mode}"));
            let own = export(&site, &west, &own, &[&east]);
            let peer = export(&site, &east, &peer, &[&west]);
            authorizer.replace(&policy(here));
            let responder = Charon::start_on(Gateway::West, &site, &own, &plugins);
            let initiator = Charon::start_on(Gateway::East, &site, &peer, ESP);
            let (up, said) = initiator.bring_up(&west, Some("net"));
            assert!(up, "{said}\n{}", responder.log());
            let decision =
                authorizer.wait_for("east", &[("/decision", "allow"), ("/mode", logged)]);
            assert_eq!(decision["remote"]["address"], NAT, "{decision}");
            assert_eq!(decision["local"]["port"], 4500, "{decision}");
            let port = decision["remote"]["port"].as_u64().unwrap();
            assert!((20000..21000).contains(&port), "{decision}");
            let installed = || responder.sas().contains("INSTALLED").then_some(());
            wait_for("the CHILD_SA", || responder.log(), installed);
            ping(&|| responder.sas());
            initiator.take_down(&west);

            // The address that East has itself is not the one that counts.
            authorizer.replace(&policy("remote_ike_address == \"010.008.000.003\""));
            let (_, said) = initiator.bring_up(&west, Some("net"));
            let denied = [("/decision", "deny"), ("/step", "policy"), ("/mode", logged)];
            let decision = authorizer.wait_for("east", &denied);
            assert_eq!(decision["phase"], 1, "{decision}");
            assert!(!responder.sas().contains("ESTABLISHED"), "{said}\n{}", responder.sas());
        }
    });
}

/// Daemons of others on the other side, which do not know the plugin.
#[test]
fn openiked_and_libreswan_are_let_in_and_refused() {
    isolated("openiked_and_libreswan_are_let_in_and_refused", || {
        libreswan::install();
        let other = |name: &str, lines: &str| {
            section(name, Gateway::East, &format!("account = \"east\"\n{lines}"))
        };
        let site = Site::start_with(
            Source::CrlHttp,
            &[
                section("west", Gateway::West, "daemon = \"strongswan\"\nauthorizer = true\n"),
                other("iked", "daemon = \"iked\"\nstart = \"at-once\"\n"),
                other("pluto", "daemon = \"libreswan\"\n"),
            ]
            .concat(),
            "",
        );
        install(&site);
        let [own, east] = ["west", "east"].map(|name| site.enrol(name, "rsa2048"));
        let authorizer = Authorizer::start(&site, &policy("true"), &site.ca("root"));
        let refused = policy("remote_id == \"nobody\"");
        let plugins = format!("{ESP}\n{}", plugin(&site));
        let west = export(&site, "west", &own, &["iked"]);
        let mut west = Charon::start_on(Gateway::West, &site, &west, &plugins);
        let exported = export(&site, "iked", &east, &["west"]);

        let iked = Iked::start_on(Gateway::East, &site, &exported);
        west.wait_for(0, &["phase 1 of 'east.example.net' is allowed"]);
        west.wait_for(0, &["IKE_SA iked", "established between"]);
        iked.stop();
        authorizer.replace(&refused);
        let from = west.log().len();
        let iked = Iked::start_on(Gateway::East, &site, &exported);
        west.wait_for(from, &["phase 1 of 'east.example.net' is refused (policy)"]);
        authorizer.wait_for("east", &[("/decision", "deny"), ("/step", "policy")]);
        iked.stop();

        west.load(&export(&site, "west", &own, &["pluto"]));
        authorizer.replace(&policy("true"));
        let exported = export(&site, "pluto", &east, &["west"]);
        let pluto = Pluto::start_on(Gateway::East, &site, &exported);
        let from = west.log().len();
        // The kernel cannot take libreswan's ESP here: what counts is the IKE SA.
        let (_, said) = pluto.initiate("west");
        west.wait_for(from, &["phase 1 of 'east.example.net' is allowed"]);
        west.wait_for(from, &["IKE_SA pluto", "established between"]);
        assert!(said.contains("IKE SA"), "{said}");
        pluto.terminate("west");
        authorizer.replace(&refused);
        let from = west.log().len();
        let (up, said) = pluto.initiate("west");
        assert!(!up && said.contains("AUTHENTICATION_FAILED"), "{said}");
        west.wait_for(from, &["phase 1 of 'east.example.net' is refused (policy)"]);
        authorizer.wait_for("east", &[("/decision", "deny"), ("/step", "policy")]);
        pluto.terminate("west");
    });
}
