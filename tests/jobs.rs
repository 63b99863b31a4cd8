//! The jobs of an operator: each script in `tests/jobs/` is a recipe that ends with a check by programs of others.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const JOBS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/jobs");

/// Runs a script; its output is shown if it fails.
#[track_caller]
fn job(script: &str) {
    let output = Command::new("bash")
        .arg(Path::new(JOBS).join(script))
        .env("COUNTERSIGN", env!("CARGO_BIN_EXE_countersign"))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("`bash`: {e}; this test needs the package `bash`"));
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    assert!(
        output.status.success(),
        "{script} ended with {}\n--- its output ---\n{stdout}\n--- its errors ---\n{stderr}",
        output.status
    );
    // The last line says what the check has shown: a script that ended before its check shows nothing.
    let checked = stdout.find("commands typed; now the check");
    assert!(checked.is_some(), "{script} made no check:\n{stdout}");
}

macro_rules! jobs {
    ($($name:ident: $script:literal,)*) => {
        const SCRIPTS: &[&str] = &[$($script),*];
        $(#[test] fn $name() { job($script); })*
    };
}

jobs! {
    an_offline_root: "01-offline-root.sh",
    ten_thousand_accounts_are_imported: "02-import-ten-thousand.sh",
    three_gateways_enrol_by_three_protocols: "03-three-enrolments.sh",
    each_daemon_gets_its_files: "04-exports.sh",
    a_stolen_gateway_is_revoked: "05-stolen-gateway.sh",
    what_expires_is_found: "06-what-expires.sh",
    the_issuing_ca_gets_its_next_key: "07-rotate.sh",
    a_lost_machine_is_replaced: "08-backup-and-loss.sh",
    an_auditor_believes_nobody: "09-auditor.sh",
    an_earlier_release_is_upgraded: "10-upgrade.sh",
    a_policy_for_three_groups: "11-policy-for-three-groups.sh",
    a_colleague_may_revoke_and_no_more: "12-revoke-only-colleague.sh",
    a_monitor_is_told_what_is_wrong: "13-monitor.sh",
    another_ca_is_taken_over: "14-take-over.sh",
    the_passphrase_is_changed: "15-change-the-passphrase.sh",
}

#[test]
fn each_script_has_its_test() {
    let mut scripts: Vec<String> = fs::read_dir(JOBS)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    scripts.sort();
    assert_eq!(scripts, SCRIPTS);
}
