//! The questions of charon's plugin, word for word. They must be about the credentials that the peer really presented. An authorizer with
//! scripted answers records them.
//!
//! West has the plugin. In each case here, another question, or none, would let in a peer that must stay out.
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
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};

use common::openssl::key;
use countersign_ike_plugin::wire::Question;
use daemons::authorizer::policy;
use daemons::charon::Charon;
use daemons::namespaces::{Gateway, isolated};
use daemons::plugin::{Told, answered, by_certificate, connection, id, install, plugin, socket};
use daemons::site::{Credentials, Site, Source};
use daemons::{outcome, run, wait_for};

const V2: &str = "version = 2\n childless = force\n proposals = aes256gcm16-prfsha256-ecp256";

/// A charon with these connections and secrets.
fn charon(
    gateway: Gateway,
    site: &Site,
    own: &[&Credentials],
    plugins: &str,
    connections: &str,
    secrets: &str,
) -> Charon {
    let config = format!("connections {{\n{connections}}}\nsecrets {{\n{secrets}}}\n");
    Charon::start_with(gateway, site, own, plugins, &config)
}

/// Waits for a line with all these words in the log, from octet `from` on.
#[track_caller]
fn logged(charon: &Charon, from: usize, words: &[&str]) {
    let has = |line: &str| words.iter().all(|word| line.contains(word));
    wait_for(
        &format!("the log line with {words:?}"),
        || charon.log(),
        || charon.log().get(from..)?.lines().any(has).then_some(()),
    );
}

/// Terminates the IKE SA, and waits until neither side has it. IKEv1 does not acknowledge the end, and charon does not initiate again what is
/// still up.
#[track_caller]
fn take_down(beginner: &Charon, sides: &[&Charon]) {
    beginner.take_down("conn");
    for side in sides {
        wait_for("the end", || side.sas(), || (!side.sas().contains("conn")).then_some(()));
    }
}

fn asked(told: &Told) -> Vec<Value> {
    told.questions.lock().unwrap().clone()
}

/// The latest question. The real authorizer must be able to decode it, too.
fn latest(told: &Told) -> Value {
    let question = asked(told).pop().expect("a question");
    serde_json::from_value::<Question>(question.clone())
        .expect("a question as the authorizer reads it");
    question
}

#[track_caller]
fn assert_members(question: &Value, members: &[(&str, Value)]) {
    for (pointer, wanted) in members {
        assert_eq!(question.pointer(pointer), Some(wanted), "`{pointer}` of {question}");
    }
}

fn base64(text: impl AsRef<[u8]>) -> Value {
    json!(BASE64.encode(text.as_ref()))
}

/// A certificate as a question contains it.
fn der(certificate: &Path) -> Value {
    let pem = fs::read_to_string(certificate).unwrap();
    let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    json!(lines)
}

fn inner_addresses(addresses: &[(&str, &str)]) {
    for (gateway, inner) in addresses {
        let inner = format!("{inner}/32");
        run(Command::new("ip").args(["-n", gateway, "address", "add", &inner, "dev", "lo"]));
    }
}

#[test]
fn questions_about_certificates_say_what_charon_knows() {
    isolated("questions_about_certificates_say_what_charon_knows", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let kinds = [
            ("p256", V2, 2, "ike_sa", 19),
            ("rsa2048", MAIN, 1, "main", 14),
            ("rsa2048", AGGRESSIVE, 1, "aggressive", 14),
        ];
        for (kind, more, version, mode, group) in kinds {
            let suffix = mode.replace('_', "");
            let [own, east] =
                ["west", "east"].map(|name| site.enrol(&format!("{name}{suffix}"), kind));
            let told = Told::start(&site, |_| answered("allow"));
            let peer = charon(
                Gateway::East,
                &site,
                &[&east],
                "",
                &connection("conn", Gateway::East, &by_certificate(&east), more),
                "",
            );
            let west = charon(
                Gateway::West,
                &site,
                &[&own],
                &plugin(&site),
                &connection("conn", Gateway::West, &by_certificate(&own), more),
                "",
            );
            for (beginner, role) in [(&peer, "responder"), (&west, "initiator")] {
                let (up, said) = beginner.bring_up("conn", None);
                assert!(up, "{said}\n{}", west.log());
                // The initiator of aggressive mode is up when its last message is sent: West has not yet read it then.
                wait_for(
                    "the IKE SA",
                    || west.log(),
                    || west.sas().contains("ESTABLISHED").then_some(()),
                );
                assert_members(
                    &latest(&told),
                    &[
                        ("/v", json!(1)),
                        ("/daemon", json!("charon")),
                        ("/connection", json!("conn")),
                        ("/ike", json!(version)),
                        ("/mode", json!(mode)),
                        ("/role", json!(role)),
                        ("/local/address", json!(Gateway::West.address())),
                        ("/local/id", json!({"type": 2, "data": base64(&own.id)})),
                        ("/remote/address", json!(Gateway::East.address())),
                        ("/remote/id", json!({"type": 2, "data": base64(&east.id)})),
                        ("/auth", json!("cert")),
                        ("/chain", json!([der(&east.certificate), der(&site.ca("issuing"))])),
                        ("/proposal/group", json!(group)),
                    ],
                );
                let question = latest(&told);
                assert!(
                    question["remote"]["port"] == 500 || question["remote"]["port"] == 4500,
                    "{question}"
                );
                assert!(
                    question["proposal"]["text"].as_str().unwrap().contains("AES"),
                    "{question}"
                );
                assert_eq!(question.get("psk").or(question.get("child")), None, "{question}");
                take_down(beginner, &[&peer, &west]);
            }
            logged(&west, 0, &["countersign: phase 1 of", "is allowed"]);
            // Each negotiation is asked about once: authorize takes the answer to validate_online.
            assert_eq!(asked(&told).len(), 2, "{:?}", asked(&told));
        }
    });
}

const MAIN: &str = "version = 1\n proposals = aes256-sha256-modp2048";
const AGGRESSIVE: &str = "version = 1\n aggressive = yes\n proposals = aes256-sha256-modp2048";

#[test]
fn a_denial_counts_on_both_sides_and_in_all_modes() {
    isolated("a_denial_counts_on_both_sides_and_in_all_modes", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let [own, east] = ["west", "east"].map(|name| site.enrol(name, "rsa2048"));
        let _told = Told::start(&site, |_| answered("deny"));
        for more in [
            "version = 2\n childless = force\n proposals = aes256-sha256-modp2048",
            MAIN,
            AGGRESSIVE,
        ] {
            let config = |gateway, own| connection("conn", gateway, &by_certificate(own), more);
            let peer =
                charon(Gateway::East, &site, &[&east], "", &config(Gateway::East, &east), "");
            let west = charon(
                Gateway::West,
                &site,
                &[&own],
                &plugin(&site),
                &config(Gateway::West, &own),
                "",
            );
            for (beginner, begins) in [(&peer, false), (&west, true)] {
                let from = west.log().len();
                let (up, said) = beginner.bring_up("conn", None);
                logged(
                    &west,
                    from,
                    &[
                        "countersign: phase 1 of 'east.example.net' is refused (policy): as told [trace 00]",
                    ],
                );
                // The initiator of aggressive mode sends the last message, and learns of the refusal after it.
                assert!(!up || (more == AGGRESSIVE && !begins), "{said}");
                wait_for("the end", || west.sas(), || (!west.sas().contains("conn")).then_some(()));
                wait_for("the end", || peer.sas(), || (!peer.sas().contains("conn")).then_some(()));
                assert!(!west.log().contains("established between"), "{}", west.log());
            }
        }
    });
}

/// The public key of a peer, in a file.
fn raw(site: &Site, credentials: &Credentials) -> PathBuf {
    let file = site.instance.file(&format!("{}.pub", credentials.id));
    let mut openssl = Command::new("openssl");
    run(openssl.args(["pkey", "-pubout", "-in"]).arg(&credentials.key).arg("-out").arg(&file));
    file
}

/// Authentication by raw public keys that each side has of the other.
fn by_raw_key(own: &str, own_key: &Path, peer: &str, peer_key: &Path) -> String {
    format!(
        "local {{ auth = pubkey\n id = {own}\n pubkeys = {} }}\n remote {{ auth = pubkey\n id = {peer}\n pubkeys = {} }}",
        own_key.display(),
        peer_key.display()
    )
}

#[test]
fn a_raw_key_is_asked_about_as_it_is() {
    isolated("a_raw_key_is_asked_about_as_it_is", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let [own, east] = ["west", "east"].map(|name| site.enrol(name, "p256"));
        let (own_key, east_key) = (raw(&site, &own), raw(&site, &east));
        for (decision, comes_in) in [("allow", true), ("deny", false)] {
            let told = Told::start(&site, move |_| answered(decision));
            let peer = charon(
                Gateway::East,
                &site,
                &[&east],
                "",
                &connection(
                    "conn",
                    Gateway::East,
                    &by_raw_key(&east.id, &east_key, &own.id, &own_key),
                    V2,
                ),
                "",
            );
            let west = charon(
                Gateway::West,
                &site,
                &[&own],
                &plugin(&site),
                &connection(
                    "conn",
                    Gateway::West,
                    &by_raw_key(&own.id, &own_key, &east.id, &east_key),
                    V2,
                ),
                "",
            );
            let (up, said) = peer.bring_up("conn", None);
            assert_eq!(up, comes_in, "{said}\n{}", west.log());
            let question = latest(&told);
            assert_eq!(id(&question), east.id);
            assert_members(&question, &[("/auth", json!("raw")), ("/key", der(&east_key))]);
            assert!(question.get("chain").is_none_or(|chain| *chain == json!([])), "{question}");
        }
    });
}

/// Connections of East, one for each name. charon takes connections that differ only in their names for one.
fn crowd(names: &[String], auth: &str) -> String {
    (100..)
        .zip(names)
        .map(|(delay, name)| {
            let more = format!("{V2}\n dpd_delay = {delay}s");
            connection(name, Gateway::East, auth, &more)
        })
        .collect()
}

/// Settings for many negotiations at once. By default, charon accepts only five from one address, and has too few threads.
fn crowded(plugins: &str, threads: u32) -> String {
    format!("{plugins}\n }}\n dos_protection = no\n threads = {threads}\n plugins {{")
}

#[test]
fn a_silent_authorizer_does_not_take_all_threads() {
    isolated("a_silent_authorizer_does_not_take_all_threads", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let [own, east] = ["west", "east"].map(|name| site.enrol(name, "p256"));
        let gate = Arc::new(Mutex::new(()));
        let (held, waiting) = (gate.lock().unwrap(), Arc::clone(&gate));
        let told = Told::start(&site, move |_| {
            drop(waiting.lock());
            answered("allow")
        });
        let names: Vec<_> = (0..9).map(|number| format!("conn{number}")).collect();
        let connections = crowd(&names, &by_certificate(&east));
        let peer = charon(Gateway::East, &site, &[&east], &crowded("", 32), &connections, "");
        let slow = format!("{}\n countersign {{ timeout = 60000 }}", plugin(&site));
        let west = charon(
            Gateway::West,
            &site,
            &[&own],
            &crowded(&slow, 16),
            &connection("conn", Gateway::West, &by_certificate(&own), V2),
            "",
        );
        std::thread::scope(|scope| {
            let waiting: Vec<_> = names
                .iter()
                .map(|name| {
                    let peer = &peer;
                    scope.spawn(move || peer.bring_up(name, None).0)
                })
                .collect();
            // charon has 16 threads: eight wait. The ninth peer is asked about when it has proved its key, and for a short time.
            logged(&west, 0, &["many peers wait for the authorizer"]);
            logged(&west, 0, &["is refused (authorizer)", "did not answer: Connection timed out"]);
            assert_eq!(asked(&told).len(), 9);
            drop(held);
            let up = waiting.into_iter().map(|one| one.join().unwrap());
            assert_eq!(up.filter(|up| *up).count(), 8, "{}", west.log());
        });
    });
}

/// All peers connect at once, as after a restart: more than half as many as charon has threads.
#[test]
fn a_crowd_of_good_peers_is_let_in() {
    isolated("a_crowd_of_good_peers_is_let_in", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let [own, east] = ["west", "east"].map(|name| site.enrol(name, "p256"));
        let gate = Arc::new(Mutex::new(()));
        let (held, waiting) = (gate.lock().unwrap(), Arc::clone(&gate));
        // Who is asked about while only one negotiation waits for it waits with all others here.
        let told = Told::start(&site, move |question| {
            if question["timeout_ms"].as_u64().unwrap() > 500 {
                drop(waiting.lock());
            }
            answered("allow")
        });
        let names: Vec<_> = (0..24).map(|number| format!("conn{number}")).collect();
        let connections = crowd(&names, &by_certificate(&east));
        let peer = charon(Gateway::East, &site, &[&east], &crowded("", 64), &connections, "");
        let slow = format!("{}\n countersign {{ timeout = 60000 }}", plugin(&site));
        let config = connection("conn", Gateway::West, &by_certificate(&own), V2);
        let west = charon(Gateway::West, &site, &[&own], &crowded(&slow, 16), &config, "");
        std::thread::scope(|scope| {
            let all: Vec<_> = names
                .iter()
                .map(|name| {
                    let peer = &peer;
                    scope.spawn(move || peer.bring_up(name, None))
                })
                .collect();
            // Eight wait, and all others are in meanwhile.
            wait_for("the questions", || west.log(), || (asked(&told).len() == 24).then_some(()));
            drop(held);
            for one in all {
                let (up, said) = one.join().unwrap();
                assert!(up, "{said}\n{}", west.log());
            }
        });
        assert!(!west.log().contains("is refused"), "{}", west.log());
    });
}

#[test]
fn an_answer_about_one_connection_is_none_about_another() {
    isolated("an_answer_about_one_connection_is_none_about_another", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let [own, east] = ["west", "east"].map(|name| site.enrol(name, "p256"));
        let told = Told::start(&site, |question| {
            answered(if question["connection"] == "strict" { "allow" } else { "deny" })
        });
        let peer = charon(
            Gateway::East,
            &site,
            &[&east],
            "",
            &connection("conn", Gateway::East, &by_certificate(&east), V2),
            "",
        );
        // East's key is not strong enough for the first: charon finds that out after it has checked the certificate.
        let strict =
            by_certificate(&own).replace("remote { auth = pubkey", "remote { auth = ecdsa-521");
        let connections = connection("strict", Gateway::West, &strict, V2)
            + &connection("weak", Gateway::West, &by_certificate(&own), V2);
        let west = charon(Gateway::West, &site, &[&own], &plugin(&site), &connections, "");
        let (up, said) = peer.bring_up("conn", None);
        assert!(!up && said.contains("AUTHENTICATION_FAILED"), "{said}\n{}", west.log());
        logged(&west, 0, &["switching to peer config 'weak'"]);
        logged(&west, 0, &["phase 1 of 'east.example.net' is refused (policy)"]);
        let names: Vec<_> = asked(&told).into_iter().map(|q| q["connection"].clone()).collect();
        assert_eq!(names, ["strict", "weak"]);
        assert!(!west.sas().contains("ESTABLISHED"), "{}", west.sas());
    });
}

/// Authentication by pre-shared key on both sides, as `own`, with any peer.
fn by_psk(own: &str) -> String {
    format!("local {{ auth = psk\n id = {own} }}\n remote {{ auth = psk\n id = %any }}")
}

#[test]
fn the_pre_shared_key_asked_about_is_the_one_that_was_used() {
    isolated("the_pre_shared_key_asked_about_is_the_one_that_was_used", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let secret = |name: &str, id: &str, secret: &str| {
            format!("ike-{name} {{\n id-1 = {id}\n secret = \"{secret}\" }}\n")
        };
        // What is configured for East's name, and what for its address.
        let both = secret("name", "east", "by name")
            + &secret("address", Gateway::East.address(), "by address");

        // In main mode the name comes after the key was needed: charon takes that of the address.
        let told = Told::start(&site, |_| answered("allow"));
        let peer = charon(
            Gateway::East,
            &site,
            &[],
            "",
            &connection("conn", Gateway::East, &by_psk("east"), MAIN),
            &secret("any", Gateway::West.address(), "by address"),
        );
        let west = charon(
            Gateway::West,
            &site,
            &[],
            &plugin(&site),
            &connection("conn", Gateway::West, &by_psk("west"), MAIN),
            &both,
        );
        for (beginner, role) in [(&peer, "responder"), (&west, "initiator")] {
            let (up, said) = beginner.bring_up("conn", None);
            assert!(up, "{said}\n{}", west.log());
            wait_for(
                "the question",
                || west.log(),
                || (asked(&told).last()?["role"] == role).then_some(()),
            );
            let question = latest(&told);
            assert_members(
                &question,
                &[
                    ("/psk", base64("by address")),
                    ("/remote/id", json!({"type": 2, "data": base64("east")})),
                    ("/local/id", json!({"type": 2, "data": base64("west")})),
                    ("/mode", json!("main")),
                ],
            );
            assert!(question.get("chain").is_none_or(|chain| *chain == json!([])), "{question}");
            take_down(beginner, &[&peer, &west]);
        }
        drop((told, west));
        let west = charon(
            Gateway::West,
            &site,
            &[],
            // More is not to be had: all others wait, too.
            &format!("{}\n countersign {{ timeout_authorize = 60000 }}", plugin(&site)),
            &connection("conn", Gateway::West, &by_psk("west"), MAIN),
            &both,
        );
        let silent = Told::start(&site, |_| {
            std::thread::sleep(Duration::from_secs(30));
            Vec::new()
        });
        let from = west.log().len();
        let (_, said) = peer.bring_up("conn", None);
        assert!(latest(&silent)["timeout_ms"].as_u64().unwrap() <= 500, "{:?}", asked(&silent));
        logged(
            &west,
            from,
            &["phase 1 of 'east' is refused (authorizer)", "did not answer: Connection timed out"],
        );
        assert!(!west.sas().contains("ESTABLISHED"), "{said}\n{}", west.sas());
        drop((peer, west));

        // IKEv2 does not say which of two keys it was: both must be allowed.
        let two = secret("one", "east", "first") + &secret("two", "east", "second");
        let any = two.replace("= east", "= %any");
        for (refused, comes_in) in [("second", false), ("first", false), ("neither", true)] {
            let refused = base64(refused);
            let told = Told::start(&site, move |question| {
                answered(if question["psk"] == refused { "deny" } else { "allow" })
            });
            let peer = charon(
                Gateway::East,
                &site,
                &[],
                "",
                &connection("conn", Gateway::East, &by_psk("east"), V2),
                &any,
            );
            let west = charon(
                Gateway::West,
                &site,
                &[],
                &plugin(&site),
                &connection("conn", Gateway::West, &by_psk("west"), V2),
                &two,
            );
            let (up, said) = peer.bring_up("conn", None);
            assert_eq!(up, comes_in, "{said}\n{}", west.log());
            assert!(asked(&told).iter().all(|question| question["psk"].is_string()));
            assert!(asked(&told).iter().all(|question| question["auth"] == "psk"));
        }

        // The time is for all of them together.
        let six: String = (0..6)
            .map(|number| secret(&number.to_string(), "east", &format!("secret {number}")))
            .collect();
        let told = Told::start(&site, |_| {
            std::thread::sleep(Duration::from_millis(150));
            answered("allow")
        });
        let peer = charon(
            Gateway::East,
            &site,
            &[],
            "",
            &connection("conn", Gateway::East, &by_psk("east"), V2),
            &secret("0", "%any", "secret 0"),
        );
        let config = connection("conn", Gateway::West, &by_psk("west"), V2);
        let west = charon(Gateway::West, &site, &[], &plugin(&site), &config, &six);
        let (up, said) = peer.bring_up("conn", None);
        assert!(!up, "{said}\n{}", west.log());
        logged(&west, 0, &["phase 1 of 'east' is refused (authorizer)", "Connection timed out"]);
        let asked = asked(&told);
        assert!((1..5).contains(&asked.len()), "{asked:?}");
        let times = asked.iter().map(|question| question["timeout_ms"].as_u64().unwrap());
        assert!(times.is_sorted_by(|earlier, later| later < earlier), "{asked:?}");
    });
}

#[test]
fn eap_peers_are_asked_about_by_their_identity() {
    isolated("eap_peers_are_asked_about_by_their_identity", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let own = site.enrol("west", "p256");
        let secret = "eap-user {\n id = user\n secret = \"open sesame\" }\n";
        let local = "local { auth = eap-md5\n id = east\n eap_id = user }\n remote { auth = pubkey\n id = %any }";
        let remote = format!(
            "local {{ auth = pubkey\n certs = {0}.crt\n id = {0} }}\n remote {{ auth = eap-md5\n eap_id = %any\n id = %any }}",
            own.id
        );
        for (decision, comes_in) in [("allow", true), ("deny", false)] {
            let told = Told::start(&site, move |_| answered(decision));
            let peer = charon(
                Gateway::East,
                &site,
                &[],
                "",
                &connection("conn", Gateway::East, local, V2),
                secret,
            );
            let west = charon(
                Gateway::West,
                &site,
                &[&own],
                &plugin(&site),
                &connection("conn", Gateway::West, &remote, V2),
                secret,
            );
            let (up, said) = peer.bring_up("conn", None);
            assert_eq!(up, comes_in, "{said}\n{}", west.log());
            let question = latest(&told);
            assert_eq!(
                (id(&question), &question["auth"]),
                ("user".into(), &json!("eap")),
                "{question}"
            );
            assert_eq!(question.get("psk"), None, "{question}");
            assert!(question.get("chain").is_none_or(|chain| *chain == json!([])), "{question}");
        }
    });
}

/// A connection with one child, between an inner network on each side.
fn with_child(version: u8, proposals: &str, west: bool) -> String {
    let (local, remote) =
        if west { ("10.1.0.0/16", "10.2.0.0/16") } else { ("10.2.0.0/16", "10.1.0.0/16") };
    format!(
        "version = {version}\n proposals = aes256-sha256-modp2048\n children {{ net {{\n local_ts = {local}\n remote_ts = {remote}\n \
         esp_proposals = {proposals}\n life_time = 2h\n life_bytes = 1048576 }} }}"
    )
}

#[test]
fn questions_about_traffic_have_its_proposal_and_refuse_it() {
    isolated("questions_about_traffic_have_its_proposal_and_refuse_it", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        inner_addresses(&[("west", "10.1.0.1"), ("east", "10.2.0.1")]);
        let [own, east] = ["west", "east"].map(|name| site.enrol(name, "rsa2048"));
        let esp = "kernel-libipsec { load = yes }";
        let plugins = format!("{esp}\n{}", plugin(&site));
        // East offers the second of what West takes, so that West's configuration does not say what comes of it.
        let cases = [
            (2, "aes128-sha256", "aes256gcm16,aes128-sha256"),
            (1, "aes128-sha256-modp2048", "aes128-sha256-modp2048"),
            (1, "aes128-sha256-modp2048", "aes256-sha256-modp3072,aes128-sha256-modp2048"),
        ];
        for (version, offered, taken) in cases {
            let verdict = Arc::new(Mutex::new("allow"));
            let say = Arc::clone(&verdict);
            let told = Told::start(&site, move |question| {
                answered(if question.get("child").is_some() {
                    *say.lock().unwrap()
                } else {
                    "allow"
                })
            });
            let auth = by_certificate(&east);
            let peer = charon(
                Gateway::East,
                &site,
                &[&east],
                esp,
                &connection("conn", Gateway::East, &auth, &with_child(version, offered, false)),
                "",
            );
            let auth = by_certificate(&own);
            let west = charon(
                Gateway::West,
                &site,
                &[&own],
                &plugins,
                &connection("conn", Gateway::West, &auth, &with_child(version, taken, true)),
                "",
            );
            for (beginner, role) in [(&peer, "responder"), (&west, "initiator")] {
                if role == "initiator" && taken != offered {
                    continue;
                }
                let (up, said) = beginner.bring_up("conn", Some("net"));
                assert!(up, "{said}\n{}", west.log());
                wait_for(
                    "the CHILD_SA",
                    || west.log(),
                    || west.sas().contains("INSTALLED").then_some(()),
                );
                let range = |net: &str| {
                    json!([{
                        "from": format!("10.{net}.0.0"), "to": format!("10.{net}.255.255"), "protocol": 0, "from_port": 0, "to_port": 65535
                    }])
                };
                let question = latest(&told);
                assert_members(
                    &question,
                    &[
                        ("/child/name", json!("net")),
                        ("/child/role", json!(role)),
                        ("/child/mode", json!("tunnel")),
                        ("/child/local", range("1")),
                        ("/child/remote", range("2")),
                        (
                            "/child/proposal",
                            json!({
                                "protocol": "esp", "encryption": 12, "key_length": 128, "integrity": 12, "life_seconds": 7200,
                                "life_kbytes": 1024, "ipcomp": false,
                            }),
                        ),
                        ("/remote/id/data", base64(&east.id)),
                        ("/chain/0", der(&east.certificate)),
                    ],
                );
                let group = (version == 1).then(|| json!(14));
                assert_eq!(question.pointer("/child/group").cloned(), group, "{question}");
                let about_traffic =
                    asked(&told).iter().filter(|q| q.get("child").is_some()).count();
                assert_eq!(
                    about_traffic,
                    1 + usize::from(role == "initiator"),
                    "{:?}",
                    asked(&told)
                );
                if role == "responder" {
                    let mut ping = Gateway::East.command("ping");
                    ping.args(["-c", "2", "-W", "5", "-I", "10.2.0.1", "10.1.0.1"]);
                    let (through, said) = outcome(&mut ping);
                    assert!(through, "{said}\n{}", west.sas());
                }
                beginner.take_down("conn");
                wait_for(
                    "the end",
                    || west.sas(),
                    || (!west.sas().contains("INSTALLED")).then_some(()),
                );
            }

            *verdict.lock().unwrap() = "deny";
            let from = west.log().len();
            let (up, said) = peer.bring_up("conn", Some("net"));
            logged(&west, from, &["phase 2 of 'east.example.net' is refused (policy): as told"]);
            // An IKEv1 peer that offered one of several thinks for a moment that it is up.
            assert!(!up || (version == 1 && taken != offered), "{said}");
            for side in [&peer, &west] {
                wait_for(
                    "the end",
                    || side.sas(),
                    || (!side.sas().contains("INSTALLED")).then_some(()),
                );
            }
            assert!(!west.log()[from..].contains("CHILD_SA net{"), "{}", &west.log()[from..]);
            if taken == offered {
                let from = west.log().len();
                let (up, said) = west.bring_up("conn", Some("net"));
                assert!(!up, "{said}");
                logged(
                    &west,
                    from,
                    &["phase 2 of 'east.example.net' is refused (policy): as told"],
                );
                assert!(!west.sas().contains("INSTALLED"), "{}", west.sas());
            }
        }
    });
}

/// A peer without a certificate. The certificate of the same name on record is not the peer's.
#[test]
fn peers_without_a_certificate_ask_in_no_certificates_name() {
    isolated("peers_without_a_certificate_ask_in_no_certificates_name", || {
        let section = "[authorizer]\nserve = true\nsocket = \"FOLDER/authorizer.sock\"\npolicy = [\"FOLDER/policy\"]\n";
        let site = Site::start_with(Source::CrlHttp, section, &policy("true"));
        install(&site);
        let [own, east] = ["west", "east"].map(|name| site.enrol(name, "p256"));
        // East's certificate is good, and would come in.
        let socket = socket(&site);
        let socket = ["--socket", socket.to_str().unwrap()];
        let ask = ["authorizer", "ask", "--peer", "fqdn:east.example.net"];
        assert_eq!(site.instance.json(&[&ask[..], &socket].concat())["decision"], "allow");
        let replace = |policy: &str| {
            fs::write(site.instance.file("policy"), policy).unwrap();
            site.instance.ok(&[&["authorizer", "reload"][..], &socket].concat());
        };
        let last = || {
            let list = ["decision", "list", "--peer", "east", "--limit", "1"];
            site.instance.json(&list)[0].clone()
        };

        let stranger = Credentials {
            id: east.id.clone(),
            certificate: PathBuf::new(),
            key: key(&site.instance, "p256", "stranger.key"),
        };
        let (own_key, raw_key) = (raw(&site, &own), raw(&site, &stranger));
        let by_key = (
            by_raw_key(&east.id, &raw_key, &own.id, &own_key),
            by_raw_key(&own.id, &own_key, &east.id, &raw_key),
        );
        let user = &east.id;
        let by_user = (
            format!(
                "local {{ auth = eap-md5\n id = {user}\n eap_id = {user} }}\n remote {{ auth = pubkey\n id = %any }}"
            ),
            format!(
                "local {{ auth = pubkey\n certs = {0}.crt\n id = {0} }}\n remote {{ auth = eap-md5\n eap_id = %any\n id = %any }}",
                own.id
            ),
        );
        let secret = format!("eap-user {{\n id = {user}\n secret = \"open sesame\" }}\n");
        let by_key = (by_key, "raw", "ecdsa-p256-hex:");
        let by_user = (by_user, "eap", "EAP:east.example.net");
        for ((theirs, ours), auth, requester) in [by_key, by_user] {
            replace(&policy("true"));
            let config = connection("conn", Gateway::East, &theirs, V2);
            let own_key_only = Credentials {
                id: stranger.id.clone(),
                certificate: east.certificate.clone(),
                key: stranger.key.clone(),
            };
            let peer = charon(Gateway::East, &site, &[&own_key_only], "", &config, &secret);
            let config = connection("conn", Gateway::West, &ours, V2);
            let west = charon(Gateway::West, &site, &[&own], &plugin(&site), &config, &secret);
            let (up, said) = peer.bring_up("conn", None);
            assert!(!up && said.contains("AUTH"), "{said}\n{}", west.log());
            let decision = last();
            assert_eq!(decision["question"]["auth"], auth, "{decision}");
            assert_eq!(decision["step"], "policy", "{decision}");
            assert_eq!(decision["certificate"], Value::Null, "{decision}");
            let asked = decision["requesters"][0].as_str().unwrap().to_owned();
            assert!(asked.starts_with(requester), "{decision}");
            let trace = decision["trace"].as_str().unwrap();
            let why = site.instance.json(&["decision", "show", trace, "--explain"]);
            assert_eq!(why["explanation"][0]["value"], "false", "{why}");

            // The policy can name it.
            replace(&format!("Authorizer: \"POLICY\"\nLicensees: \"{asked}\"\n"));
            let (up, said) = peer.bring_up("conn", None);
            assert!(up, "{said}\n{}", west.log());
            assert_eq!(last()["decision"], "allow");
        }
    });
}

#[test]
fn a_charon_that_forgets_what_peers_have_shown_does_not_start() {
    isolated("a_charon_that_forgets_what_peers_have_shown_does_not_start", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let (ok, said) = start_alone(&site, "flush_auth_cfg = yes");
        assert!(!ok && said.contains("countersign: `flush_auth_cfg` must be off"), "{said}");
        assert!(said.contains("loading critical plugin 'countersign' failed"), "{said}");
    });
}

/// Starts a charon with a setting with which it must not start. Gives whether it started, and its output.
fn start_alone(site: &Site, more: &str) -> (bool, String) {
    let file = site.instance.file("strongswan.conf");
    let settings = format!(
        "charon-systemd {{ load_modular = yes\n filelog {{ stderr {{ default = 1 }} }}\n journal {{ default = -1 }}\n {more}\n plugins {{\n \
         include /etc/strongswan.d/charon/*.conf\n vici {{ socket = unix://{} }}\n {} }} }}\n",
        site.instance.file("vici").display(),
        plugin(site)
    );
    fs::write(&file, settings).unwrap();
    let mut command = Gateway::West.command("timeout");
    command.args(["30", "charon-systemd"]).env("STRONGSWAN_CONF", &file);
    outcome(&mut command)
}

#[test]
fn a_charon_without_its_plugin_does_not_start() {
    isolated("a_charon_without_its_plugin_does_not_start", || {
        let site = Site::start(Source::CrlHttp);
        // The plugins are Debian's here: ours is not among them.
        let (ok, said) = start_alone(&site, "");
        assert!(!ok && said.contains("loading critical plugin 'countersign' failed"), "{said}");
    });
}
