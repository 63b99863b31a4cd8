//! strongSwan asks Countersign about its peers, by the plugin: over IKEv2 and IKEv1, as initiator and as responder, with certificates and
//! pre-shared keys, and for the traffic of phase 2.
//!
//! West has the plugin and an authorizer beside it. What is asserted is in the daemon's log, on the side that decides, and in the
//! decision log.
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
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::COUNTERSIGN;
use daemons::charon::Charon;
use daemons::libreswan::{self, Pluto};
use daemons::namespaces::{Gateway, isolated};
use daemons::openiked::Iked;
use daemons::plugin::{Told, answered, by_certificate, connection, id, install, plugin, socket};
use daemons::site::{Credentials, Site, Source};
use daemons::{Daemon, outcome, run, wait_for};
use serde_json::{Value, json};

/// Whom the policy lets in: those with certificates of our CA, of these names.
fn policy(condition: &str) -> String {
    format!(
        "Authorizer: \"POLICY\"\nLicensees: \"DN:/CN=Countersign issuing CA\"\n\
         Conditions: app_domain == \"IPsec policy\" && ({condition}) -> \"true\";\n"
    )
}

/// An authorizer beside West, with a folder of its own.
struct Authorizer<'s> {
    site: &'s Site,
    _process: Daemon,
}

impl<'s> Authorizer<'s> {
    fn start(site: &'s Site, policy: &str, anchor: &Path) -> Self {
        let folder = site.instance.file("authorizer");
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("policy");
        fs::write(&file, policy).unwrap();
        let crl = |ca: &str| format!("http://{}/crl/{ca}.crl", site.instance.address);
        let config = format!(
            "[authorizer]\nsocket = {:?}\npolicy = [{file:?}]\nanchors = [{anchor:?}]\nintermediates = [{:?}]\ncrls = [{:?}, {:?}]\n\
             crl_refresh = \"2s\"\n",
            socket(site),
            site.ca("issuing"),
            crl("issuing"),
            crl("root"),
        );
        fs::write(folder.join("countersign.toml"), config).unwrap();
        let mut command = Command::new(COUNTERSIGN);
        command.args(["authorizer", "run", "--data"]).arg(&folder);
        let mut process = Daemon::start(&mut command, &folder.join("log"));
        process.wait_until("the authorizer's start", |_| UnixStream::connect(socket(site)).is_ok());
        Self { site, _process: process }
    }

    fn cli(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(COUNTERSIGN);
        command.args(arguments).arg("--data").arg(self.site.instance.file("authorizer"));
        run(&mut command)
    }

    fn replace(&self, policy: &str) {
        fs::write(self.site.instance.file("authorizer/policy"), policy).unwrap();
        self.cli(&["authorizer", "reload"]);
    }

    /// The latest decision about a peer.
    fn last(&self, peer: &str) -> Value {
        let list = self.cli(&["decision", "list", "--peer", peer, "--limit", "1", "--json"]);
        let list: Value = serde_json::from_str(&list).unwrap();
        list[0].clone()
    }
}

const V2: &str = "version = 2\n childless = force\n proposals = aes256gcm16-prfsha256-ecp256";

/// West with the plugin, and East with a connection for each of its credentials.
fn two_charons(
    site: &Site,
    west: &Credentials,
    easts: &[&Credentials],
    more: &str,
) -> (Charon, Charon) {
    let connections: String = easts
        .iter()
        .map(|east| connection(east.name(), Gateway::East, &by_certificate(east), more))
        .collect();
    let east = Charon::start_with(
        Gateway::East,
        site,
        easts,
        "",
        &format!("connections {{\n{connections}}}\n"),
    );
    let own = connection("west", Gateway::West, &by_certificate(west), more);
    let west = Charon::start_with(
        Gateway::West,
        site,
        &[west],
        &plugin(site),
        &format!("connections {{\n{own}}}\n"),
    );
    (west, east)
}

#[test]
fn ikev2_peers_are_let_in_and_refused_by_status_and_policy() {
    isolated("ikev2_peers_are_let_in_and_refused_by_status_and_policy", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let [own, east, spare] = ["west", "east", "spare"].map(|name| site.enrol(name, "p256"));
        let allowed = "remote_id == \"east.example.net\" && phase_1 == \"ikev2\"";
        let authorizer = Authorizer::start(&site, &policy(allowed), &site.ca("root"));
        let (mut west, initiator) = two_charons(&site, &own, &[&east, &spare], V2);

        let (up, said) = initiator.bring_up("east", None);
        assert!(up, "{said}\n{}", west.log());
        west.wait_for(0, &["countersign: phase 1 of 'east.example.net' is allowed"]);
        let decision = authorizer.last("east");
        for (pointer, wanted) in [
            ("/decision", json!("allow")),
            ("/daemon", json!("charon")),
            ("/connection", json!("west")),
            ("/role", json!("responder")),
            ("/ike", json!(2)),
            ("/remote/address", json!(Gateway::East.address())),
            ("/remote/id_type", json!("FQDN")),
            ("/question/proposal/group", json!(19)),
        ] {
            assert_eq!(decision.pointer(pointer), Some(&wanted), "{pointer}: {decision}");
        }
        initiator.take_down("east");

        // As the initiator, West asks no less.
        let (up, said) = west.bring_up("west", None);
        assert!(up, "{said}\n{}", west.log());
        wait_for(
            "the decision",
            || authorizer.last("east").to_string(),
            || (authorizer.last("east")["role"] == "initiator").then_some(()),
        );
        west.take_down("west");

        let (up, said) = initiator.bring_up("spare", None);
        assert!(!up && said.contains("AUTHENTICATION_FAILED"), "{said}");
        west.wait_for(
            0,
            &["phase 1 of 'spare.example.net' is refused (policy)", "does not allow phase 1"],
        );
        assert_eq!(authorizer.last("spare")["step"], "policy");

        // Another policy counts for the next negotiation.
        authorizer.replace(&policy("remote_id == \"spare.example.net\""));
        let (up, said) = initiator.bring_up("spare", None);
        assert!(up, "{said}\n{}", west.log());
        initiator.take_down("spare");
        let (up, _) = initiator.bring_up("east", None);
        assert!(!up && authorizer.last("east")["step"] == "policy");

        authorizer.replace(&policy("true"));
        site.revoke("spare");
        wait_for(
            "the refusal of the revoked peer",
            || west.log(),
            || {
                let (up, _) = initiator.bring_up("spare", None);
                if up {
                    initiator.take_down("spare");
                }
                (!up).then_some(())
            },
        );
        west.wait_for(0, &["phase 1 of 'spare.example.net' is refused (status)", "was revoked at"]);
        assert_eq!(authorizer.last("spare")["step"], "status");
        let (up, said) = initiator.bring_up("east", None);
        assert!(up, "{said}");
    });
}

#[test]
fn a_path_that_charon_takes_and_the_authorizer_does_not_is_refused() {
    isolated("a_path_that_charon_takes_and_the_authorizer_does_not_is_refused", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let [own, east] = ["west", "east"].map(|name| site.enrol(name, "p256"));
        let foreign = site.instance.file("foreign.crt");
        run(Command::new("openssl")
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=Foreign -keyout /dev/null -out".split(' '))
            .arg(&foreign));
        let authorizer = Authorizer::start(&site, &policy("true"), &foreign);
        let (mut west, initiator) = two_charons(&site, &own, &[&east], V2);
        let (up, said) = initiator.bring_up("east", None);
        assert!(!up && said.contains("AUTHENTICATION_FAILED"), "{said}");
        west.wait_for(0, &["is refused (path)", "expected a path to a trust anchor"]);
        assert_eq!(authorizer.last("east")["step"], "path");
    });
}

/// charon lets an ID with a wildcard stand for a name in the certificate; RFC 4945 does not.
#[test]
fn an_identity_that_charon_takes_and_the_certificate_does_not_hold_is_refused() {
    isolated("an_identity_that_charon_takes_and_the_certificate_does_not_hold_is_refused", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let [own, east] = ["west", "east"].map(|name| site.enrol(name, "p256"));
        let authorizer = Authorizer::start(&site, &policy("true"), &site.ca("root"));
        let said_by_east =
            by_certificate(&east).replace("id = east.example.net", "id = *.example.net");
        let config = connection("east", Gateway::East, &said_by_east, V2);
        let east = Charon::start_with(
            Gateway::East,
            &site,
            &[&east],
            "",
            &format!("connections {{\n{config}}}\n"),
        );
        let config = connection("west", Gateway::West, &by_certificate(&own), V2);
        let mut west = Charon::start_with(
            Gateway::West,
            &site,
            &[&own],
            &plugin(&site),
            &format!("connections {{\n{config}}}\n"),
        );
        let (up, said) = east.bring_up("east", None);
        assert!(!up && said.contains("AUTHENTICATION_FAILED"), "{said}");
        west.wait_for(
            0,
            &["phase 1 of '*.example.net' is refused (identity)", "`dns:east.example.net`"],
        );
        let decision = authorizer.last("*.example.net");
        assert_eq!(decision["step"], "identity", "{decision}");
    });
}

#[test]
fn ikev1_main_and_aggressive_mode_are_asked_about() {
    isolated("ikev1_main_and_aggressive_mode_are_asked_about", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let [own, east] = ["west", "east"].map(|name| site.enrol(name, "rsa2048"));
        let authorizer = Authorizer::start(&site, &policy("phase_1 == \"main\""), &site.ca("root"));
        for (aggressive, mode) in [("no", "main"), ("yes", "aggressive")] {
            let more = format!(
                "version = 1\n aggressive = {aggressive}\n proposals = aes256-sha256-modp2048"
            );
            let (mut west, initiator) = two_charons(&site, &own, &[&east], &more);
            let (_, said) = initiator.bring_up("east", None);
            if mode == "main" {
                west.wait_for(0, &["phase 1 of 'east.example.net' is allowed"]);
                west.wait_for(0, &["established between"]);
            } else {
                // The initiator learns too late that it was refused: what counts is here.
                west.wait_for(0, &["phase 1 of 'east.example.net' is refused (policy)"]);
                assert!(!west.sas().contains("ESTABLISHED"), "{said}\n{}", west.sas());
            }
            let decision = authorizer.last("east");
            assert_eq!(
                (&decision["mode"], &decision["ike"]),
                (&json!(mode), &json!(1)),
                "{decision}"
            );
        }
    });
}

#[test]
fn whoever_knows_the_pre_shared_key_asks_in_its_name() {
    isolated("whoever_knows_the_pre_shared_key_asks_in_its_name", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let licensee = "Authorizer: \"POLICY\"\nLicensees: \"passphrase:open sesame\"\nConditions: remote_id == \"east\" -> \"true\";\n";
        let authorizer = Authorizer::start(&site, licensee, &site.ca("root"));
        let config = |gateway: Gateway, own: &str, other: &str, secret: &str| {
            let auth = format!(
                "local {{ auth = psk\n id = {own} }}\n remote {{ auth = psk\n id = {other} }}"
            );
            let secrets = format!(
                "secrets {{ ike-1 {{\n id-1 = {other}\n id-2 = {own}\n secret = \"{secret}\" }} }}\n"
            );
            format!("connections {{\n{}}}\n{secrets}", connection("psk", gateway, &auth, V2))
        };
        for (secret, good) in [("open sesame", true), ("open barley", false)] {
            let east = Charon::start_with(
                Gateway::East,
                &site,
                &[],
                "",
                &config(Gateway::East, "east", "west", secret),
            );
            let own = config(Gateway::West, "west", "east", secret);
            let mut west = Charon::start_with(Gateway::West, &site, &[], &plugin(&site), &own);
            let from = west.log().len();
            let (up, said) = east.bring_up("psk", None);
            assert_eq!(up, good, "{said}\n{}", west.log());
            let words = if good { "is allowed" } else { "is refused (policy)" };
            west.wait_for(if good { 0 } else { from }, &["phase 1 of 'east'", words]);
            assert_eq!(authorizer.last("east")["requesters"], json!(["passphrase:…"]));
        }
        let log =
            fs::read_to_string(site.instance.file("authorizer/decisions/decisions.jsonl")).unwrap();
        assert!(!log.contains("sesame") && !log.contains("barley"), "a secret is in the log");
    });
}

#[test]
fn without_an_answer_nobody_is_let_in_and_who_waits_holds_up_nobody() {
    isolated("without_an_answer_nobody_is_let_in_and_who_waits_holds_up_nobody", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let [own, east, spare] = ["west", "east", "spare"].map(|name| site.enrol(name, "p256"));
        let (mut west, initiator) = two_charons(&site, &own, &[&east, &spare], V2);

        let (up, said) = initiator.bring_up("east", None);
        assert!(!up && said.contains("AUTHENTICATION_FAILED"), "{said}");
        west.wait_for(0, &["is refused (authorizer)", "cannot be reached"]);

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
            let slow = scope.spawn(|| initiator.bring_up("east", None));
            wait_for("the question about east", String::new, || {
                told.questions
                    .lock()
                    .unwrap()
                    .iter()
                    .any(|q| id(q).starts_with("east"))
                    .then_some(())
            });
            let (up, said) = initiator.bring_up("spare", None);
            assert!(up, "{said}");
            // charon lists no SAs while one waits.
            assert!(!west.log().contains("'east.example.net' is allowed"), "{}", west.log());
            drop(held);
            let (up, said) = slow.join().unwrap();
            assert!(up, "{said}");
        });
        let question = told.questions.lock().unwrap()[0].clone();
        assert_eq!(question["chain"].as_array().unwrap().len(), 2, "{question}");
        initiator.take_down("east");
        initiator.take_down("spare");
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
            let (up, said) = initiator.bring_up("east", None);
            assert!(!up, "{said}");
            west.wait_for(from, &["is refused (authorizer)", words]);
        }
        // One that is silent is given up.
        let from = west.log().len();
        let _told = Told::start(&site, |_| {
            std::thread::sleep(Duration::from_secs(30));
            Vec::new()
        });
        let (up, said) = initiator.bring_up("east", None);
        assert!(!up, "{said}");
        west.wait_for(from, &["is refused (authorizer)", "did not answer: Connection timed out"]);
    });
}

#[test]
fn packets_pass_only_where_the_policy_lets_traffic_pass() {
    isolated("packets_pass_only_where_the_policy_lets_traffic_pass", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let [own, east] = ["west", "east"].map(|name| site.enrol(name, "p256"));
        for (gateway, inner) in [("west", "10.1.0.1"), ("east", "10.2.0.1"), ("east", "10.3.0.1")] {
            run(Command::new("ip").args([
                "-n",
                gateway,
                "address",
                "add",
                &format!("{inner}/32"),
                "dev",
                "lo",
            ]));
        }
        let traffic = "esp_present == \"no\" || (remote_filter == \"010.002.000.000-010.002.255.255\" && esp_enc_alg == \"aes\")";
        let authorizer = Authorizer::start(&site, &policy(traffic), &site.ca("root"));
        let esp = "kernel-libipsec { load = yes }";
        let children = |local: &str, remotes: [(&str, &str); 2]| {
            let one = |(name, remote): (&str, &str)| {
                let (from, to) =
                    if local.is_empty() { (remote, "10.1.0.0/16") } else { (local, remote) };
                format!(
                    "{name} {{\n local_ts = {from}\n remote_ts = {to}\n esp_proposals = aes256gcm16\n }}\n"
                )
            };
            let all: String = remotes.into_iter().map(one).collect();
            format!(
                "version = 2\n proposals = aes256gcm16-prfsha256-ecp256\n children {{\n{all} }}"
            )
        };
        let nets = [("good", "10.2.0.0/16"), ("bad", "10.3.0.0/16")];
        let config = |gateway, own: &Credentials, local: &str| {
            let more = children(local, nets);
            format!(
                "connections {{\n{}}}\n",
                connection("site", gateway, &by_certificate(own), &more)
            )
        };
        let initiator = Charon::start_with(
            Gateway::East,
            &site,
            &[&east],
            esp,
            &config(Gateway::East, &east, ""),
        );
        let plugins = format!("{esp}\n{}", plugin(&site));
        let mut west = Charon::start_with(
            Gateway::West,
            &site,
            &[&own],
            &plugins,
            &config(Gateway::West, &own, "10.1.0.0/16"),
        );

        let (up, said) = initiator.bring_up("site", Some("good"));
        assert!(up, "{said}\n{}", west.log());
        west.wait_for(0, &["countersign: phase 2 of 'east.example.net' is allowed"]);
        let mut ping = Gateway::East.command("ping");
        ping.args(["-c", "3", "-W", "5", "-I", "10.2.0.1", "10.1.0.1"]);
        let (through, said) = outcome(&mut ping);
        assert!(through && said.contains(" 0% packet loss"), "{said}\n{}", west.sas());

        let from = west.log().len();
        let (up, said) = initiator.bring_up("site", Some("bad"));
        assert!(!up && said.contains("TS_UNACCEPT"), "{said}");
        west.wait_for(
            from,
            &["phase 2 of 'east.example.net' is refused (policy)", "does not allow this traffic"],
        );
        let decision = authorizer.last("east");
        assert_eq!(decision["question"]["child"]["remote"][0]["from"], "10.3.0.0", "{decision}");
    });
}

/// Strangers on the other side: they know nothing of the plugin.
#[test]
fn openiked_and_libreswan_are_let_in_and_refused() {
    isolated("openiked_and_libreswan_are_let_in_and_refused", || {
        libreswan::install();
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let [own, east] = ["west", "east"].map(|name| site.enrol(name, "rsa2048"));
        let authorizer = Authorizer::start(&site, &policy("true"), &site.ca("root"));
        let more = "version = 2\n proposals = aes256-sha256-modp2048,aes256gcm16-prfsha256-modp2048,aes256-sha256-ecp256\n \
                    children { net { mode = transport } }";
        let config = connection("west", Gateway::West, &by_certificate(&own), more);
        let mut west = Charon::start_with(
            Gateway::West,
            &site,
            &[&own],
            &plugin(&site),
            &format!("connections {{\n{config}}}\n"),
        );
        let refused = policy("remote_id == \"nobody\"");

        let iked = Iked::start(Gateway::East, &site, &east);
        west.wait_for(0, &["phase 1 of 'east.example.net' is allowed"]);
        west.wait_for(0, &["IKE_SA west", "established between"]);
        iked.stop();
        authorizer.replace(&refused);
        let from = west.log().len();
        let iked = Iked::start(Gateway::East, &site, &east);
        west.wait_for(from, &["phase 1 of 'east.example.net' is refused (policy)"]);
        iked.stop();

        authorizer.replace(&policy("true"));
        let pluto = Pluto::start(Gateway::East, &site, Source::CrlHttp, &[&east], &[&own]);
        pluto.wait_for_crl(0);
        let from = west.log().len();
        let (up, said) = pluto.initiate("east");
        assert!(up, "{said}\n{}", west.log());
        west.wait_for(from, &["phase 1 of 'east.example.net' is allowed"]);
        pluto.terminate("east");
        authorizer.replace(&refused);
        let from = west.log().len();
        let (up, said) = pluto.initiate("east");
        assert!(!up && said.contains("AUTHENTICATION_FAILED"), "{said}");
        west.wait_for(from, &["phase 1 of 'east.example.net' is refused (policy)"]);
        pluto.terminate("east");
    });
}
