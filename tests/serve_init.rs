//! The first minutes of a new user: `serve --init` in an empty folder, and what it prints pasted into a shell.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const COUNTERSIGN: &str = env!("CARGO_BIN_EXE_countersign");

#[test]
fn what_serve_init_prints_works_as_it_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let printed = folder.path().join("printed");
    let mut server = Command::new(COUNTERSIGN)
        .args(["serve", "--init", "--listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(fs::File::create(&printed).unwrap())
        .stderr(fs::File::create(folder.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let script = loop {
        let text = fs::read_to_string(&printed).unwrap();
        if let Some((_, script)) = text.split_once("# Try it")
            && script.contains("cert list")
        {
            break script.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>();
        }
        assert!(Instant::now() < deadline, "nothing to try was printed: {text}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let output =
        Command::new("sh").args(["-ec", &script]).current_dir(elsewhere.path()).output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{script}\n{said}");
    assert!(said.contains("valid") && said.contains("revoked"), "{said}");
    let data = folder.path().join("countersign-data");
    for (file, mode) in
        [("", 0o700), ("passphrase", 0o600), ("keys/root.key", 0o600), ("admin.sock", 0o600)]
    {
        assert_eq!(
            fs::metadata(data.join(file)).unwrap().permissions().mode() & 0o777,
            mode,
            "{file}"
        );
    }
    assert!(
        Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap().success()
    );
    assert!(server.wait().unwrap().success());
    assert!(!data.join("admin.sock").exists() && !data.join("listen").exists());
}
