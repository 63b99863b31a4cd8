//! `countersign demo`, as a newcomer runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const COUNTERSIGN: &str = env!("CARGO_BIN_EXE_countersign");

fn demo(temporary: &Path) -> Command {
    let mut command = Command::new(COUNTERSIGN);
    command.arg("demo").env("TMPDIR", temporary).current_dir(temporary).stdin(Stdio::null());
    command
}

/// Nothing of it runs on, and its folder is gone.
#[track_caller]
fn assert_nothing_left(temporary: &Path) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let text = temporary.to_str().unwrap();
    loop {
        let files: Vec<_> = fs::read_dir(temporary).unwrap().map(|e| e.unwrap().path()).collect();
        let running: Vec<String> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(text))
            .collect();
        if files.is_empty() && running.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{files:?} {running:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn two_gateways_connect_and_one_is_revoked() {
    let temporary = tempfile::tempdir().unwrap();
    let output = demo(temporary.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    let mut rest = &*text;
    // In this order: what the strangers said, and what Countersign said of them.
    for words in [
        "── 1. ",
        "$ countersign init",
        "west# openssl cmp",
        "CMP info: received IP",
        "CMP info: received PKICONF",
        "DNS:west.demo.example",
        "DNS:east.demo.example",
        "$ countersign check west east\n   none",
        "successfully loaded 1 connections",
        "east# swanctl --initiate",
        "IKE_SA west[1] established between 10.9.0.3[east.demo.example]...10.9.0.2[west.demo.example]",
        "CHILD_SA net{1} established",
        "phase 1 of 'east.demo.example' is allowed",
        "phase 2 of 'east.demo.example' is allowed",
        "3 packets transmitted, 3 received, 0% packet loss",
        "path, status, identity and policy agree",
        "$ countersign cert revoke",
        "received AUTHENTICATION_FAILED notify error",
        "phase 1 of 'east.demo.example' is refused (status)",
        "keyCompromise",
        "status: NO.",
        "Done.",
    ] {
        let at = rest.find(words).unwrap_or_else(|| panic!("expected `{words}` in:\n{rest}"));
        rest = &rest[at + words.len()..];
    }
    // What a reader could paste elsewhere must not let anybody in.
    assert!(!text.contains("\"secret\""), "{text}");
    assert_nothing_left(temporary.path());
}

#[test]
fn one_that_is_stopped_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let mut child = demo(temporary.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let begun = lines.find(|line| line.as_ref().unwrap().contains("serve --listen"));
    assert!(begun.is_some());
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert_nothing_left(temporary.path());
}

#[test]
fn what_is_missing_is_named_at_once() {
    let temporary = tempfile::tempdir().unwrap();
    let output = demo(temporary.path()).env("PATH", "/nowhere").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(
        text.contains("apt-get install")
            && text.contains("openssl")
            && text.contains("iputils-ping"),
        "{text}"
    );
    let output = demo(temporary.path()).args(["--plugin", "/nowhere.so"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(text.contains("`/nowhere.so`") && text.contains("make charon-plugin"), "{text}");
    assert_nothing_left(temporary.path());
}
