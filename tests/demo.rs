//! `countersign demo`, as a new user runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const COUNTERSIGN: &str = env!("CARGO_BIN_EXE_countersign");

fn demo(temporary: &Path) -> Command {
    let mut command = Command::new(COUNTERSIGN);
    command.arg("demo").env("TMPDIR", temporary).current_dir(temporary).stdin(Stdio::null());
    command
}

/// Asserts that none of its processes runs on, and that its folder is gone.
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
        "$ ip netns add west",
        "$ cat west.conf",
        "$ countersign init",
        "west# openssl cmp",
        "CMP info: received IP",
        "CMP info: received PKICONF",
        "DNS:west.demo.example",
        "DNS:east.demo.example",
        "$ countersign check west east\n   no obstacle between `west` and `east`",
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

/// If root runs the tests, another user must be able to run the demo, too. The program and the plugin are copied to where every user can
/// read them.
#[test]
fn nobody_needs_root() {
    if !rustix::process::geteuid().is_root() {
        // Then the test above is this one.
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (program, plugin) = (place.path().join("countersign"), place.path().join("plugin.so"));
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/charon-plugin");
    fs::copy(COUNTERSIGN, &program).unwrap();
    fs::copy(built.join("libstrongswan-countersign.so"), &plugin).unwrap();
    let temporary = place.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    for (path, mode) in
        [(place.path(), 0o755), (&program, 0o755), (&plugin, 0o644), (&temporary, 0o777)]
    {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program);
    command.args(["demo", "--plugin"]).arg(&plugin).env("TMPDIR", &temporary);
    let output = command.current_dir(&temporary).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("needs network, mount and process namespaces") {
        // The machine lets no user make namespaces: then it is said at once, and what to do.
        assert!(errors.contains("or as root") && text.is_empty(), "{text}\n{errors}");
    } else {
        assert!(output.status.success() && text.contains("Done."), "{text}\n{errors}");
    }
    assert_nothing_left(&temporary);
}

#[test]
fn one_that_is_stopped_leaves_nothing() {
    for (signal, at) in [("-INT", "serve --listen"), ("-HUP", "successfully loaded 1 connections")]
    {
        let temporary = tempfile::tempdir().unwrap();
        let mut child = demo(temporary.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let begun = lines.find(|line| line.as_ref().unwrap().contains(at));
        assert!(begun.is_some(), "{at}");
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(5), "{signal}");
        // At its end it is all gone: nobody has to wait for that.
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "{signal}");
        assert_nothing_left(temporary.path());
    }
}

/// The inner half of the demo refuses to run outside namespaces of its own, where it would change the machine itself.
#[test]
fn the_inner_half_runs_nowhere_else() {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = demo(temporary.path());
    command.args(["--inside", "/nowhere", "--plugin", "/nowhere.so"]);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("is for the demo itself"), "{text}");
    let below_run =
        demo(temporary.path()).args(["--keep", "/run/countersign-demo"]).output().unwrap();
    let text = String::from_utf8_lossy(&below_run.stderr);
    assert!(!below_run.status.success() && !Path::new("/run/countersign-demo").exists(), "{text}");
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
