//! What charon's plugin asks, word for word, and that it asks about what the peer has really shown: an authorizer that answers as it is
//! told sees the questions.
//!
//! West has the plugin. Each case here is one in which another question, or none, would let a peer in that should not be.
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

use data_encoding::BASE64;
use serde_json::{Value, json};

use countersign_ike_plugin::wire::Question;
use daemons::charon::Charon;
use daemons::namespaces::{Gateway, NAT, behind_nat, isolated};
use daemons::plugin::{Told, answered, by_certificate, connection, id, install, plugin};
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

/// Waits until a line with all these words is in the part of the log behind `from`.
#[track_caller]
fn logged(charon: &Charon, from: usize, words: &[&str]) {
    let has = |line: &str| words.iter().all(|word| line.contains(word));
    wait_for(
        &format!("the log line with {words:?}"),
        || charon.log(),
        || charon.log().get(from..)?.lines().any(has).then_some(()),
    );
}

/// Takes the IKE SA down, and waits until neither side has it: nobody confirms the end of one of IKEv1, and what is still up is not brought
/// up again.
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

/// The latest question, which must also be one for the authorizer.
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

/// A certificate as it stands in a question.
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

#[test]
fn a_raw_key_is_asked_about_without_a_certificate() {
    isolated("a_raw_key_is_asked_about_without_a_certificate", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        let [own, east] = ["west", "east"].map(|name| site.enrol(name, "p256"));
        let raw = |credentials: &Credentials| {
            let file = site.instance.file(&format!("{}.pub", credentials.id));
            let mut openssl = Command::new("openssl");
            run(openssl
                .args(["pkey", "-pubout", "-in"])
                .arg(&credentials.key)
                .arg("-out")
                .arg(&file));
            file
        };
        let (own_key, east_key) = (raw(&own), raw(&east));
        let auth = |own: &Credentials, own_key: &Path, peer: &Credentials, peer_key: &Path| {
            format!(
                "local {{ auth = pubkey\n id = {}\n pubkeys = {} }}\n remote {{ auth = pubkey\n id = {}\n pubkeys = {} }}",
                own.id,
                own_key.display(),
                peer.id,
                peer_key.display()
            )
        };
        for (decision, comes_in) in [("allow", true), ("deny", false)] {
            let told = Told::start(&site, move |_| answered(decision));
            let peer = charon(
                Gateway::East,
                &site,
                &[&east],
                "",
                &connection("conn", Gateway::East, &auth(&east, &east_key, &own, &own_key), V2),
                "",
            );
            let west = charon(
                Gateway::West,
                &site,
                &[&own],
                &plugin(&site),
                &connection("conn", Gateway::West, &auth(&own, &own_key, &east, &east_key), V2),
                "",
            );
            let (up, said) = peer.bring_up("conn", None);
            assert_eq!(up, comes_in, "{said}\n{}", west.log());
            let question = latest(&told);
            assert_eq!(id(&question), east.id);
            assert!(question.get("chain").is_none_or(|chain| *chain == json!([])), "{question}");
        }
    });
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
        // charon takes connections that differ in their names only for one.
        let connections: String = (100..)
            .zip(&names)
            .map(|(delay, name)| {
                let more = format!("{V2}\n dpd_delay = {delay}s");
                connection(name, Gateway::East, &by_certificate(&east), &more)
            })
            .collect();
        let peer = charon(Gateway::East, &site, &[&east], "", &connections, "");
        let auth = by_certificate(&own);
        // charon itself would take five such peers from one address only.
        let slow = format!(
            "{}\n countersign {{ timeout = 60000 }}\n }}\n dos_protection = no\n plugins {{",
            plugin(&site)
        );
        let west = charon(
            Gateway::West,
            &site,
            &[&own],
            &slow,
            &connection("conn", Gateway::West, &auth, V2),
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
            // charon has 16 threads: eight wait, and the ninth peer is refused at once.
            logged(&west, 0, &["is refused (question): too many peers wait"]);
            wait_for("the questions", || west.log(), || (asked(&told).len() == 8).then_some(()));
            drop(held);
            let up = waiting.into_iter().map(|one| one.join().unwrap());
            assert_eq!(up.filter(|up| *up).count(), 8, "{}", west.log());
        });
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

/// Both sides by pre-shared key, as `own`, with whoever the other is.
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
            &format!("{}\n countersign {{ timeout_authorize = 500 }}", plugin(&site)),
            &connection("conn", Gateway::West, &by_psk("west"), MAIN),
            &both,
        );
        let _silent = Told::start(&site, |_| {
            std::thread::sleep(Duration::from_secs(30));
            Vec::new()
        });
        let from = west.log().len();
        let (_, said) = peer.bring_up("conn", None);
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
        }
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
            assert_eq!(id(&question), "user", "{question}");
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

#[test]
fn a_peer_behind_nat_is_asked_about_with_the_address_it_has_here() {
    isolated("a_peer_behind_nat_is_asked_about_with_the_address_it_has_here", || {
        let site = Site::start(Source::CrlHttp);
        install(&site);
        behind_nat(Gateway::East);
        inner_addresses(&[("west", "10.1.0.1"), ("east", "10.2.0.1")]);
        let [own, east] = ["west", "east"].map(|name| site.enrol(name, "rsa2048"));
        let esp = "kernel-libipsec { load = yes }";
        for version in [2, 1] {
            let told = Told::start(&site, |_| answered("allow"));
            let config = |auth: String, local: &str, remote: &str, west| {
                let more = with_child(version, "aes128-sha256", west);
                format!(
                    "conn {{\n local_addrs = {local}\n remote_addrs = {remote}\n {auth}\n {more}\n}}\n"
                )
            };
            let peer = charon(
                Gateway::East,
                &site,
                &[&east],
                esp,
                &config(by_certificate(&east), "10.8.0.3", Gateway::West.address(), false),
                "",
            );
            let west = charon(
                Gateway::West,
                &site,
                &[&own],
                &format!("{esp}\n{}", plugin(&site)),
                &config(by_certificate(&own), Gateway::West.address(), "%any", true),
                "",
            );
            let (up, said) = peer.bring_up("conn", Some("net"));
            assert!(up, "{said}\n{}", west.log());
            wait_for(
                "the CHILD_SA",
                || west.log(),
                || west.sas().contains("INSTALLED").then_some(()),
            );
            for question in asked(&told) {
                assert_members(
                    &question,
                    &[("/remote/address", json!(NAT)), ("/remote/id/data", base64(&east.id))],
                );
                assert_eq!(question["local"]["port"], 4500, "{question}");
                let port = question["remote"]["port"].as_u64().unwrap();
                assert!((20000..21000).contains(&port), "{question}");
            }
            assert_eq!(asked(&told).len(), 2, "{:?}", asked(&told));
            let mut ping = Gateway::East.command("ping");
            ping.args(["-c", "2", "-W", "5", "-I", "10.2.0.1", "10.1.0.1"]);
            let (through, said) = outcome(&mut ping);
            assert!(through, "{said}\n{}", west.sas());
        }
    });
}

#[test]
fn a_charon_without_its_plugin_does_not_start() {
    isolated("a_charon_without_its_plugin_does_not_start", || {
        let site = Site::start(Source::CrlHttp);
        // The plugins are Debian's here: ours is not among them.
        let file = site.instance.file("strongswan.conf");
        let settings = format!(
            "charon-systemd {{ load_modular = yes\n filelog {{ stderr {{ default = 1 }} }}\n journal {{ default = -1 }}\n plugins {{\n \
             include /etc/strongswan.d/charon/*.conf\n vici {{ socket = unix://{} }}\n {} }} }}\n",
            site.instance.file("vici").display(),
            plugin(&site)
        );
        fs::write(&file, settings).unwrap();
        let mut command = Gateway::West.command("timeout");
        command.args(["30", "charon-systemd"]).env("STRONGSWAN_CONF", &file);
        let (ok, said) = outcome(&mut command);
        assert!(!ok && said.contains("loading critical plugin 'countersign' failed"), "{said}");
    });
}
