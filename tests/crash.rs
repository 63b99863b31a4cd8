//! Power cuts and full disks. Afterwards the store has every certificate that was answered, and no other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::der::{self, Message, tlv};
use common::openssl::{by_secret, enrol, key, request};
use common::{Instance, Peer, Process, wait_for};

/// How often the server is killed.
const ROUNDS: usize = 50;

/// How many clients enrol at once.
const CLIENTS: usize = 6;

/// A request like `template` in a transaction of its own.
fn fresh(template: &Message, number: u64, secret: &str) -> Vec<u8> {
    let mut id = [0x5a; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    template
        .with_field(der::TRANSACTION_ID, Some(&tlv(0x04, &id)))
        .with_field(der::SENDER_NONCE, Some(&tlv(0x04, &id)))
        .protected(secret)
        .bytes()
}

/// The serial number of the certificate in an ip, as lower-case hexadecimal without leading zeros.
fn serial_in(answer: &Message) -> Option<String> {
    fn certificate(element: &der::Element) -> Option<der::Element> {
        let parts = if element.tag & 0x20 == 0 { return None } else { element.parts() };
        let inner = parts
            .iter()
            .find(|part| part.tag == 0xa0)
            .and_then(|tagged| tagged.parts().into_iter().next());
        match inner.filter(|inner| {
            inner.tag == 0x30 && inner.parts().last().is_some_and(|last| last.tag == 0x03)
        }) {
            Some(certificate) => Some(certificate),
            None => parts.iter().find_map(certificate),
        }
    }
    if answer.body.tag != der::IP {
        return None;
    }
    let content = answer.body.parts().remove(0);
    let responses = content.parts().into_iter().find(|part| part.tag == 0x30)?;
    let tbs = certificate(&responses)?.parts().remove(0);
    let serial = tbs.parts().into_iter().find(|part| part.tag == 0x02)?;
    Some(hex(&serial.content))
}

fn hex(octets: &[u8]) -> String {
    let text: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    text.trim_start_matches('0').to_owned()
}

fn serials(instance: &Instance, account: &str) -> Vec<String> {
    let list = instance.certificates(account);
    list.iter()
        .map(|c| c["serial"].as_str().expect("a serial").trim_start_matches('0').to_owned())
        .collect()
}

/// Enrols from several threads until `stop`, counts the answers, and gives the serial numbers of the certificates in them.
fn load(
    instance: &Instance,
    template: &Message,
    peer: &Peer,
    stop: &AtomicBool,
    numbers: &AtomicU64,
    answers: &AtomicU64,
) -> BTreeSet<String> {
    let client = || {
        let mut answered = BTreeSet::new();
        while !stop.load(Ordering::Relaxed) {
            let message = fresh(template, numbers.fetch_add(1, Ordering::Relaxed), &peer.secret);
            match instance.http("POST", "/.well-known/cmp", "application/pkixcmp", &message) {
                Ok(answer) if answer.status == 200 => {
                    let serial = serial_in(&Message::read(&answer.body));
                    answers.fetch_add(u64::from(serial.is_some()), Ordering::Relaxed);
                    answered.extend(serial);
                }
                Ok(_) | Err(_) => {}
            }
        }
        answered
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    })
}

#[test]
fn fifty_power_cuts_lose_no_answered_certificate() {
    let mut instance = Instance::start();
    let peer = instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "1000000"]);
    key(&instance, "p256", "gw1.key");
    let secret = by_secret(&peer);
    let mut arguments = vec!["-cmd", "ir", "-newkey", "gw1.key", "-implicit_confirm"];
    arguments.extend(secret.iter().map(String::as_str));
    let numbers = AtomicU64::new(1);
    let mut answered = BTreeSet::new();
    for round in 0..ROUNDS {
        // The request carries a messageTime, which must stay fresh.
        let template = Message::read(&request(&instance, &arguments));
        let stop = AtomicBool::new(false);
        let answers = AtomicU64::new(0);
        // The cut comes when so many were answered, and a moment later that differs from round to round, so that it falls into every
        // phase of a commit.
        let (wanted, moment) =
            (1 + round % 9, Duration::from_micros((round * 37 % 211 * 100) as u64));
        let pid = instance.pid().to_string();
        let now: BTreeSet<String> = std::thread::scope(|scope| {
            scope.spawn(|| {
                let enough = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    wait_for(&format!("{wanted} answers in round {round}"), || {
                        (answers.load(Ordering::Relaxed) >= wanted as u64).then_some(())
                    });
                }));
                std::thread::sleep(moment);
                let killed = Command::new("kill").args(["-KILL", &pid]).status().expect("kill");
                assert!(killed.success());
                stop.store(true, Ordering::Relaxed);
                enough.unwrap_or_else(|why| std::panic::resume_unwind(why));
            });
            load(&instance, &template, &peer, &stop, &numbers, &answers)
        });
        assert!(
            now.len() >= wanted,
            "round {round}: {} of {wanted} answers have a serial number of their own",
            now.len()
        );
        answered.extend(now);
        instance.kill();
        instance.serve();
        let stored = serials(&instance, "gw1");
        let unique: BTreeSet<String> = stored.iter().cloned().collect();
        assert_eq!(unique.len(), stored.len(), "round {round}: a serial number was issued twice");
        let lost: Vec<&String> = answered.difference(&unique).collect();
        assert!(lost.is_empty(), "round {round}: answered and not in the store: {lost:?}");
    }
    instance.ok(&["audit", "verify"]);
    let stored = instance.certificates("gw1");
    instance.stop();
    // The index is what a rebuild from the journal gives.
    let before = instance.json(&["store", "status"]);
    instance.ok(&["store", "rebuild"]);
    let after = instance.json(&["store", "status"]);
    // The rebuild is a deed of its own.
    assert_eq!(before["entries"].as_u64().unwrap() + 1, after["entries"].as_u64().unwrap());
    assert_eq!(instance.certificates("gw1"), stored);
    instance.ok(&["audit", "verify"]);
}

#[test]
fn a_damaged_journal_is_reported_for_what_it_is() {
    let mut instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    for _ in 0..5 {
        enrol(&instance, &peer, "gw1.key", &[]).granted();
    }
    instance.stop();
    let journal = instance.data().join("journal/journal");
    let whole = fs::read(&journal).expect("the journal");
    let verify = || {
        let output = instance.run(&["audit", "verify"]);
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        (output.status.success(), text)
    };
    assert!(verify().0, "{}", verify().1);

    let mut flipped = whole.clone();
    let middle = whole.len() / 2;
    flipped[middle] ^= 0x10;
    let cases: [(&str, Vec<u8>, &[&str]); 4] = [
        ("a flipped bit", flipped, &["corrupt"]),
        ("cut inside an entry", whole[..whole.len() - 9].to_vec(), &["truncated", "shortened"]),
        ("shortened at an entry", shortened(&whole), &["shortened"]),
        ("re-ordered", reordered(&whole), &["re-ordered"]),
    ];
    for (what, damaged, words) in cases {
        fs::write(&journal, &damaged).expect("the damage");
        let (good, text) = verify();
        assert!(!good, "{what} was not noticed:\n{text}");
        assert!(
            words.iter().any(|word| text.contains(word)),
            "{what}: expected one of {words:?} in:\n{text}"
        );
        // The server does not go on as if nothing had happened: it does not start, or is not ready and says why.
        let server = Command::new(common::COUNTERSIGN)
            .args(["serve", "--listen", "127.0.0.1:0", "--ldap-listen", "127.0.0.1:0", "--data"])
            .arg(instance.data())
            .stderr(std::process::Stdio::null())
            .spawn();
        let mut server = Process(server.expect("the server"));
        let noticed = || {
            let address = fs::read_to_string(instance.data().join("listen")).unwrap_or_default();
            let address = address.trim().trim_start_matches("http://");
            let answer = common::http(address, "GET", "/readyz", "", &[]);
            answer.is_ok_and(|a| {
                a.status == 503 && String::from_utf8_lossy(&a.body).contains("journal is damaged")
            })
        };
        let ended =
            wait_for(&format!("the server to notice that the journal is {what}"), || match server
                .0
                .try_wait()
                .expect("a child")
            {
                Some(status) => Some(Some(status)),
                None => noticed().then_some(None),
            });
        drop(server);
        assert!(ended.is_none_or(|status| !status.success()), "{what}: {ended:?}");
        let _ = fs::remove_file(instance.data().join("listen"));
        fs::write(&journal, &whole).expect("the repair");
        assert!(verify().0, "{what} was repaired: {}", verify().1);
    }
    instance.serve();
    enrol(&instance, &peer, "gw1.key", &[]).granted();
}

/// Frames as (start, end): behind a header of 32 octets, each has a length, a checksum and a distance of four octets,
/// then its payload.
fn frames(journal: &[u8]) -> Vec<(usize, usize)> {
    let mut at = 32;
    let mut found = Vec::new();
    while at < journal.len() {
        let length = u32::from_le_bytes(journal[at..at + 4].try_into().expect("four octets"));
        let end = at + 12 + usize::try_from(length).expect("a length");
        found.push((at, end));
        at = end;
    }
    assert!(found.len() > 8 && at == journal.len(), "the journal is made of frames");
    found
}

fn shortened(journal: &[u8]) -> Vec<u8> {
    let frames = frames(journal);
    journal[..frames[frames.len() - 3].0].to_vec()
}

fn reordered(journal: &[u8]) -> Vec<u8> {
    let frames = frames(journal);
    let (first, second) = (frames[frames.len() - 4], frames[frames.len() - 3]);
    [
        &journal[..first.0],
        &journal[second.0..second.1],
        &journal[first.0..first.1],
        &journal[second.1..],
    ]
    .concat()
}

#[test]
fn a_full_disk_gives_the_peer_an_error_and_harms_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = r#"
        set -eu
        mount -t tmpfs -o size=24m tmpfs "$1"
        cd "$1"
        "$2" init --data data
        "$2" serve --listen 127.0.0.1:0 --ldap-listen 127.0.0.1:0 --data data >server.log 2>&1 &
        server=$!
        for i in $(seq 1200); do test -s data/listen && break; sleep 0.1; done
        test -s data/listen || { echo "waited 120 s for the server to listen"; cat server.log; exit 1; }
        address=$(sed 's,http://,,' data/listen)
        "$2" peer add gw1 --id fqdn:gw1.example.net --uses 500 --format json --data data >peer.json
        ref=$(sed -n 's/.*"reference": *"\([^"]*\)".*/\1/p' peer.json)
        secret=$(sed -n 's/.*"secret": *"\([^"]*\)".*/\1/p' peer.json)
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out gw1.key 2>/dev/null
        enrol() { openssl cmp -cmd ir -server "$address" -path .well-known/cmp -ref "$ref" -secret "pass:$secret" \
            -newkey gw1.key -certout "$1" -trusted data/keys/root.crt 2>&1; }
        enrol /dev/null >first.log || { cat first.log; exit 1; }
        echo "before: enrolled"
        dd if=/dev/zero of=filler bs=64k 2>/dev/null || true
        dd if=/dev/zero of=filler2 bs=1 2>/dev/null || true
        # The journal has room that was written ahead, 64 KiB of it: enrol until it is used up.
        refused=""
        for i in $(seq 300); do
            if out=$(enrol /dev/null); then continue; else refused=$out; break; fi
        done
        test -n "$refused" || { echo "nothing was refused on a full disk"; exit 1; }
        echo "full: $refused"
        kill -0 $server
        rm -f filler filler2
        enrol /dev/null >third.log || { cat third.log server.log; exit 1; }
        echo "after: enrolled"
        "$2" audit verify --data data
        kill -TERM $server
        wait $server
        "$2" audit verify --data data
        echo "done"
    "#;
    // In a process namespace of its own whatever the script started ends with it, however that ends.
    let output = Command::new("unshare")
        .args([
            "-rmp",
            "--fork",
            "--kill-child",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .arg(folder.path())
        .arg(common::COUNTERSIGN)
        .output()
        .unwrap_or_else(|e| {
            panic!("`unshare`: {e}; this test needs the package `util-linux`: run `make deps`")
        });
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success() && text.contains("done"), "{text}");
    assert!(
        text.contains("systemUnavail") || text.contains("systemFailure"),
        "the peer is told: {text}"
    );
}
