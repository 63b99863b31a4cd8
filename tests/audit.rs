//! The journal, checked by a program that was written from docs/audit.md alone, with other people's CBOR, signatures and certificates
//! (tests/audit/check.py). It accepts what the authority wrote, and refuses what somebody changed.
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
use std::path::Path;

use common::cmp::{Draft, IR, Key, exchange, request};
use common::openssl::{cmp, enrol, key};
use common::vendor::{CA, Pki};
use common::{Instance, tool, tool_ok};
use serde_json::Value;

const CHECK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audit/check.py");

/// Runs the checker on a folder with `journal` and `heads`: its words if it accepts.
fn checked(folder: &Path, key: &Path, more: &[&Path]) -> Result<String, String> {
    let mut arguments = vec![CHECK, folder.to_str().unwrap(), key.to_str().unwrap()];
    arguments.extend(more.iter().map(|path| path.to_str().unwrap()));
    let output = tool("/usr/bin/python3", "python3-cbor2", &arguments, folder);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            assert!(why.starts_with("refused: "), "the checker failed otherwise: {why}");
            Err(why)
        }
    }
}

/// An instance whose journal has entries of nearly every kind, and that is stopped.
fn everything() -> Instance {
    let mut instance = Instance::init(&[]);
    let path = instance.data().join("countersign.toml");
    let text = fs::read_to_string(&path).unwrap();
    let profiles =
        "[profiles.slow]\napproval = true\n[profiles.short]\nsupersede = \"revoke-after 1d\"\n";
    fs::write(path, format!("{text}\n{profiles}")).unwrap();
    instance.ok(&[
        "ca",
        "add",
        "second",
        "--subject",
        "CN=Second issuing CA",
        "--algorithm",
        "rsa3072",
    ]);
    instance.ok(&[
        "ca",
        "add",
        "third",
        "--subject",
        "CN=Third issuing CA",
        "--algorithm",
        "ed25519",
    ]);
    instance.ok(&["ca", "set-default", "issuing"]);
    instance.ok(&["ca", "roll", "issuing", "--staged"]);
    instance.serve();
    let ids = |name: &str| format!("fqdn:{name}.example.net");
    for (name, flags) in [
        ("gw1", &["--uses", "9", "--profile", "short"][..]),
        (
            "gw2",
            &["--uses", "9", "--ca", "second", "--label", "site=berlin", "--owner", "networks"],
        ),
        ("gw3", &["--uses", "9", "--ca", "third", "--allow", "key-generation"]),
    ] {
        let peer =
            instance.peer_with(name, &[&ids(name), "ip:192.0.2.7", "email:a@example.net"], flags);
        key(&instance, "p256", &format!("{name}.key"));
        enrol(&instance, &peer, &format!("{name}.key"), &[]).granted();
    }
    let kur = ["-cmd", "kur", "-cert", "gw1.crt", "-key", "gw1.key", "-newkey", "gw1.key"];
    cmp(&instance, &[&kur[..], &["-certout", "next.crt"]].concat()).granted();
    cmp(&instance, &["-cmd", "rr", "-cert", "gw2.crt", "-key", "gw2.key", "-oldcert", "gw2.crt"])
        .granted();
    let third = instance.certificates("gw3")[0]["serial"].as_str().unwrap().to_owned();
    instance.ok(&["cert", "revoke", &third, "--reason", "certificateHold"]);
    instance.ok(&["cert", "release", &third]);
    // Requests that wait: one is approved, one is rejected.
    for (name, decision) in [("slow1", "approve"), ("slow2", "reject")] {
        let peer = instance.peer_with(name, &[&ids(name)], &["--profile", "slow"]);
        exchange(&instance, &Draft::new(IR, request(&Key::new())).by_secret(&peer));
        let waiting = instance.json(&["request", "list"]);
        let is_undecided = |one: &&Value| one["status"] == "waiting";
        let id = waiting.as_array().unwrap().iter().find(is_undecided).unwrap()["id"].clone();
        instance.ok(&["request", decision, id.as_str().unwrap()]);
    }
    // It is not safe to activate the next key, as the others have not shown to have it: exit code 1.
    let plan = instance.run(&["ca", "plan", "issuing", "--mark", "gw1"]);
    assert_eq!(plan.status.code(), Some(1), "{}", common::text(&plan));
    instance.ok(&["ca", "retire", "third"]);
    instance.ok(&["peer", "edit", "gw3", "--note", "moved"]);
    instance.ok(&["peer", "rename", "gw2", "berlin-gw2"]);
    instance.ok(&["peer", "remove", "slow2"]);
    let pki = Pki { instance: &instance };
    pki.root("maker", "/O=Maker/CN=Maker Root");
    pki.issue("factory", "p256", "/O=Maker/CN=Maker Factory", "maker", CA);
    let vendor = pki.path("maker.crt");
    instance.ok(&["trust", "add", &vendor, "--name", "maker", "--map", "serialNumber"]);
    instance.ok(&["peer", "set-equipment", "slow1", "maker:SN1"]);
    instance.ok(&["trust", "remove", "maker"]);
    instance.ok(&["admin", "add", "alice", "--role", "administrator"]);
    instance.ok(&["admin", "add", "bob", "--role", "operator", "--account", "berlin-*"]);
    instance.ok(&["admin", "token", "add", "bob", "probe", "--expires", "9d"]);
    instance.ok(&["admin", "remove", "bob"]);
    instance.ok(&["crl", "publish"]);
    let backup = instance.file("backup");
    instance.ok(&["backup", backup.to_str().unwrap()]);
    instance.stop();
    fs::rename(instance.data(), instance.file("lost")).unwrap();
    instance.ok(&["restore", backup.to_str().unwrap()]);
    fs::copy(instance.file("lost/passphrase"), instance.data().join("passphrase")).unwrap();
    instance.ok(&["store", "accept-clock"]);
    instance.serve();
    instance.ok(&["crl", "publish"]);
    instance.stop();
    instance
}

/// A frame of a journal, without its header.
#[derive(Clone, PartialEq)]
struct Frame {
    back: u32,
    payload: Vec<u8>,
}

/// A journal in parts that a test changes: the file's header, the frames, the heads.
#[derive(Clone)]
struct Parts {
    header: Vec<u8>,
    frames: Vec<Frame>,
    heads: Vec<Vec<u8>>,
}

impl Parts {
    fn read(folder: &Path) -> Self {
        let octets = fs::read(folder.join("journal")).unwrap();
        let (header, mut rest) = octets.split_at(32);
        let number = |octets: &[u8]| u32::from_le_bytes(octets.try_into().unwrap());
        let mut frames = Vec::new();
        while !rest.is_empty() {
            let end = 12 + number(&rest[..4]) as usize;
            frames.push(Frame { back: number(&rest[8..12]), payload: rest[12..end].to_vec() });
            rest = &rest[end..];
        }
        let octets = fs::read(folder.join("heads")).unwrap();
        let (mut heads, mut rest) = (Vec::new(), octets.as_slice());
        while !rest.is_empty() {
            let end = 6 + usize::from(u16::from_le_bytes(rest[..2].try_into().unwrap()));
            heads.push(rest[6..end].to_vec());
            rest = &rest[end..];
        }
        Self { header: header.to_vec(), frames, heads }
    }

    /// Writes the parts with right checksums and places.
    fn write(&self, folder: &Path) {
        let mut octets = self.header.clone();
        for Frame { back, payload } in &self.frames {
            let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
            let covered = [&length[..], &back.to_le_bytes(), payload].concat();
            octets.extend_from_slice(&length);
            octets.extend_from_slice(&crc32(&covered).to_le_bytes());
            octets.extend_from_slice(&covered[4..]);
        }
        fs::write(folder.join("journal"), octets).unwrap();
        let mut octets = Vec::new();
        for head in &self.heads {
            octets.extend_from_slice(&u16::try_from(head.len()).unwrap().to_le_bytes());
            octets.extend_from_slice(&crc32(head).to_le_bytes());
            octets.extend_from_slice(head);
        }
        fs::write(folder.join("heads"), octets).unwrap();
    }

    /// Sets the sequence number of the last entry to its place.
    fn renumber_last(&mut self) {
        let last = self.frames.len() - 1;
        let payload = &mut self.frames[last].payload;
        let behind = 2
            + 1
            + match payload[2] {
                0..24 => 0,
                24 => 1,
                25 => 2,
                _ => 4,
            };
        let number = u16::try_from(last).unwrap().to_be_bytes();
        let number = if last < 24 {
            vec![number[1]]
        } else if last < 256 {
            vec![24, number[1]]
        } else {
            vec![25, number[0], number[1]]
        };
        payload.splice(2..behind, number);
    }

    /// The place of the first entry of a kind, which is below 24 and stands behind a time of 8 octets.
    fn of_kind(&self, kind: u8) -> usize {
        let is_it = |frame: &Frame| {
            let behind = 3 + match frame.payload[2] {
                0..24 => 0,
                24 => 1,
                25 => 2,
                _ => 4,
            };
            frame.payload[behind] == 0x1b && frame.payload[behind + 9] == kind
        };
        self.frames.iter().position(is_it).unwrap_or_else(|| panic!("no entry of kind {kind}"))
    }
}

/// CRC-32 by the bits of its definition (ISO 3309).
fn crc32(octets: &[u8]) -> u32 {
    !octets.iter().fold(u32::MAX, |crc, octet| {
        (0..8).fold(crc ^ u32::from(*octet), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

#[test]
fn a_stranger_s_checker_accepts_the_journal_and_refuses_each_change_of_it() {
    let instance = everything();
    let (folder, key) = (instance.data().join("journal"), instance.data().join("keys/_audit.pub"));
    // 1. It accepts the journal, its heads, and exported heads and proofs.
    let exported = |name: &str, arguments: &[&str]| {
        let path = instance.file(name);
        fs::write(&path, instance.ok(arguments)).unwrap();
        path
    };
    let head = exported("head.json", &["audit", "export", "--head"]);
    let size: Value = serde_json::from_str(&fs::read_to_string(&head).unwrap()).unwrap();
    let size = size["size"].as_u64().unwrap();
    let (last, whole, half) =
        ((size - 1).to_string(), size.to_string(), (size / 2 + 1).to_string());
    let json = ["--format", "json"];
    let entry = exported(
        "entry.json",
        &[&["audit", "proof", "--entry", &last, "--size", &whole][..], &json].concat(),
    );
    let inner = exported(
        "inner.json",
        &[&["audit", "proof", "--entry", "7", "--size", &half][..], &json].concat(),
    );
    let grown = exported(
        "grown.json",
        &[&["audit", "proof", "--old", &half, "--new", &whole][..], &json].concat(),
    );
    let power = exported(
        "power.json",
        &[&["audit", "proof", "--old", "32", "--new", &whole][..], &json].concat(),
    );
    let same = exported(
        "same.json",
        &[&["audit", "proof", "--old", &half, "--new", &half][..], &json].concat(),
    );
    let all = [&*head, &*entry, &*inner, &*grown, &*power, &*same];
    let said = checked(&folder, &key, &all).unwrap();
    assert!(said.contains(&format!("good: {size} entries")), "{said}");
    let root = instance.json(&["audit", "verify"])["root"].as_str().unwrap().to_owned();
    assert!(said.contains(&root), "{said} is not {root}");
    // The kinds that the journal has, so that each is checked against the page.
    let export = instance.ok(&["audit", "export"]);
    let kind = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().to_owned()
    };
    let kinds: BTreeSet<String> = export.lines().map(kind).collect();
    let expected = "account-changed account-removed account-renamed accounts-created administrator-changed administrator-removed anchor-shown ca ca-assigned \
                    clock-accepted confirmed crl deed issued released request-decided requested reserved restored revoked vendor-removed vendor-trusted";
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>().join(" "), expected);

    // 2. It refuses each change, for the reason that it has.
    let mut other = Instance::start();
    other.stop();
    let foreign = Parts::read(&other.data().join("journal"));
    let good = Parts::read(&folder);
    let altered = instance.file("altered");
    fs::create_dir(&altered).unwrap();
    let refuses = |what: &str, words: &str, more: &[&Path], change: &dyn Fn(&mut Parts)| {
        let mut parts = good.clone();
        change(&mut parts);
        parts.write(&altered);
        let why = checked(&altered, &key, more).expect_err(what);
        assert!(why.contains(words), "{what}: expected `{words}`, found: {why}");
    };
    good.write(&altered);
    assert_eq!(
        fs::read(altered.join("journal")).unwrap(),
        fs::read(folder.join("journal")).unwrap()
    );
    checked(&altered, &key, &all).unwrap();
    let middle = good.frames.len() / 2;
    let single = (3..middle)
        .rev()
        .find(|at| good.frames[*at..at + 3].iter().all(|frame| frame.back == 0))
        .unwrap();

    // Octets of the file.
    for at in [5, 20, 32, 40, 50, 5_000] {
        good.write(&altered);
        let mut octets = fs::read(altered.join("journal")).unwrap();
        octets[at] ^= 1;
        fs::write(altered.join("journal"), &octets).unwrap();
        checked(&altered, &key, &[]).expect_err("a flipped bit");
    }
    for cut in [1, 7, 40] {
        good.write(&altered);
        let octets = fs::read(altered.join("journal")).unwrap();
        fs::write(altered.join("journal"), &octets[..octets.len() - cut]).unwrap();
        checked(&altered, &key, &[]).expect_err("a torn entry");
    }
    good.write(&altered);
    let heads = fs::read(altered.join("heads")).unwrap();
    for (at, octet) in [(heads.len() - 1, 1), (heads.len() - 1, 0x80), (2, 1), (20, 4)] {
        let mut octets = heads.clone();
        octets[at] ^= octet;
        fs::write(altered.join("heads"), octets).unwrap();
        checked(&altered, &key, &[]).expect_err("a flipped bit of a head");
    }
    good.write(&altered);
    fs::write(
        altered.join("journal"),
        [fs::read(altered.join("journal")).unwrap(), vec![0; 9]].concat(),
    )
    .unwrap();
    assert!(checked(&altered, &key, &[]).unwrap_err().contains("within a frame"));
    // Room is none of the journal.
    good.write(&altered);
    fs::write(
        altered.join("journal"),
        [fs::read(altered.join("journal")).unwrap(), vec![0xff; 4096]].concat(),
    )
    .unwrap();
    checked(&altered, &key, &all).unwrap();

    // Entries, with right checksums.
    refuses("an entry is gone", "number", &[], &|parts| drop(parts.frames.remove(single)));
    refuses("two are swapped", "number", &[], &|parts| parts.frames.swap(single, single + 1));
    refuses("one is there twice", "number", &[], &|parts| {
        let twice = parts.frames[single].clone();
        parts.frames.insert(single, twice);
    });
    refuses("the end is cut off", "the head has seen", &[], &|parts| parts.frames.truncate(middle));
    let shorter = |parts: &mut Parts| {
        parts.frames.truncate(middle);
        parts.heads.clear();
    };
    refuses(
        "the end and its heads are cut off, and a head was kept",
        "the head has seen",
        &[&head],
        &shorter,
    );
    refuses("the same, and a proof was kept", "more entries than there are", &[&grown], &shorter);
    refuses("an octet of a certificate differs", "", &[], &|parts| {
        let at = parts.of_kind(3);
        let last = parts.frames[at].payload.len() - 90;
        parts.frames[at].payload[last] ^= 1;
        parts.heads.clear();
    });
    refuses("a word of a deed differs", "another root", &[], &|parts| {
        let at = parts.of_kind(12);
        *parts.frames[at].payload.last_mut().unwrap() ^= 1;
    });
    refuses("a kind that there is not", "kind 19 is not known", &[], &|parts| {
        let at = parts.of_kind(12);
        let place = parts.frames[at].payload.iter().position(|octet| *octet == 0x1b).unwrap() + 9;
        parts.frames[at].payload[place] = 19;
    });
    refuses("something behind a body", "CBOR", &[], &|parts| {
        parts.frames.last_mut().unwrap().payload.push(0);
        parts.heads.clear();
    });
    for (kind, words) in [
        (2, "reserved before"),
        (3, "issued before"),
        (7, "does not rise"),
        (8, "there already"),
        (13, "no account"),
    ] {
        refuses("an entry is brought again", words, &[], &|parts| {
            let again = Frame { back: 0, ..parts.frames[parts.of_kind(kind)].clone() };
            let last = parts.frames.last().unwrap().payload.clone();
            parts.frames.push(again);
            parts.renumber_last();
            // With the time of the last entry, whose head has as many octets.
            let time = |payload: &[u8]| payload.iter().position(|octet| *octet == 0x1b).unwrap();
            let payload = &mut parts.frames.last_mut().unwrap().payload;
            let (to, from) = (time(payload), time(&last));
            payload[to..to + 9].copy_from_slice(&last[from..from + 9]);
        });
    }
    refuses("an entry is brought again with its own time", "its time is before", &[], &|parts| {
        let again = Frame { back: 0, ..parts.frames[parts.of_kind(12)].clone() };
        parts.frames.push(again);
        parts.renumber_last();
    });
    refuses("an entry of another journal", "", &[], &|parts| {
        let (own, other) = (parts.of_kind(1), foreign.of_kind(1));
        let mut taken = foreign.frames[other].payload.clone();
        let head = parts.frames[own].payload[..behind_time(&parts.frames[own].payload)].to_vec();
        taken.splice(..behind_time(&taken), head);
        assert_ne!(parts.frames[own].payload, taken);
        parts.frames[own].payload = taken;
    });
    refuses("a group that it is not of", "not of this group", &[], &|parts| {
        parts.frames[single].back = 3
    });

    // Heads.
    refuses("the heads of another instance", "", &[], &|parts| {
        parts.heads.clone_from(&foreign.heads)
    });
    refuses("the header of another instance", "signature", &[], &|parts| {
        parts.header.clone_from(&foreign.header)
    });
    refuses("a signature of nobody", "signature", &[], &|parts| {
        *parts.heads[0].last_mut().unwrap() ^= 1
    });
    refuses("a root of nothing", "another root", &[], &|parts| {
        let place = parts.heads[0].iter().position(|octet| *octet == 0x58).unwrap() + 2;
        parts.heads[0][place] ^= 1;
    });
    good.write(&altered);
    let forger = instance.file("forger.pub");
    common::openssl::generate(&instance, &["-algorithm", "ED25519"], "forger.key");
    let public = ["pkey", "-in", "forger.key", "-pubout", "-out", "forger.pub"];
    tool_ok("openssl", "openssl", &public, &instance.file("."));
    assert!(checked(&altered, &forger, &[]).unwrap_err().contains("signature"));

    // Exported heads and proofs.
    let tampered = instance.file("tampered.json");
    for (file, name, value, words) in [
        (&head, "at", Value::from(5), "signature"),
        (&head, "size", Value::from(size - 1), "another root"),
        (&head, "signature", Value::from(data_encoding::BASE64.encode(&[7; 64])), "signature"),
        (&entry, "entry", Value::from(size - 2), "not the entry"),
        (&entry, "root", Value::from("00".repeat(32)), "not the journal's"),
        (&inner, "path", Value::Array(Vec::new()), "does not lead to the root"),
        (&inner, "size", Value::from(size), "not the journal's"),
        (&grown, "old", Value::from(size / 2), "old root"),
        (
            &grown,
            "path",
            Value::Array(vec![Value::from("00".repeat(32))]),
            "does not lead to the root",
        ),
        (&power, "new_root", Value::from("11".repeat(32)), "not the journal's"),
    ] {
        let mut said: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        assert!(!said[name].is_null(), "{name}");
        said[name] = value;
        fs::write(&tampered, said.to_string()).unwrap();
        let why = checked(&folder, &key, &[&tampered]).expect_err(name);
        assert!(
            why.contains(words),
            "{}, `{name}`: expected `{words}`, found: {why}",
            file.display()
        );
    }
}

/// The octets of a payload before its kind: version, number and time.
fn behind_time(payload: &[u8]) -> usize {
    payload.iter().position(|octet| *octet == 0x1b).unwrap() + 9
}
