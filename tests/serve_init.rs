//! The first minutes of a new user: `serve --init` in an empty folder, and the printed commands, pasted into a shell.
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

mod common;

use common::{COUNTERSIGN, Process, output_of, wait_for};

#[test]
fn what_serve_init_prints_works_as_it_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let printed = folder.path().join("printed");
    let server = Command::new(COUNTERSIGN)
        .args(["serve", "--init", "--listen", "127.0.0.1:0", "--ldap-listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(fs::File::create(&printed).unwrap())
        .stderr(fs::File::create(folder.path().join("log")).unwrap())
        .spawn();
    let server = Process(server.unwrap());
    let script = wait_for("lines to try", || {
        let text = fs::read_to_string(&printed).unwrap();
        let (_, script) = text.split_once("# Try it")?;
        let whole = script.contains("cert list");
        whole.then(|| script.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>())
    });
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
    assert!(server.terminate().success());
    assert!(!data.join("admin.sock").exists() && !data.join("listen").exists());
}

/// A cause that keeps the server from starting is reported before anything is made, or the files that were made are removed.
#[test]
fn a_start_that_fails_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |data: &str, arguments: &[&str]| {
        let mut command = Command::new(COUNTERSIGN);
        command.args(["serve", "--init", "--data", data]).args(arguments);
        let output = output_of(command.current_dir(folder.path()));
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for arguments in [
        ["--listen", &address, "--ldap-listen", "off"],
        ["--listen", "127.0.0.1:0", "--ldap-listen", &address],
    ] {
        let said = serve("new", &arguments);
        assert!(said.contains(&address) && said.contains("nothing was made"), "{said}");
    }
    let long = "d".repeat(120);
    assert!(serve(&long, &["--listen", "127.0.0.1:0"]).contains("shorter `--data`"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    // It is founded before this shows; what was in the folder before stays.
    let data = folder.path().join("prepared");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    let config = "[authorizer]\nserve = true\npolicy = [\"/nonexistent/policy\"]\n";
    fs::write(data.join("countersign.toml"), config).unwrap();
    let said = serve("prepared", &["--listen", "127.0.0.1:0", "--ldap-listen", "off"]);
    assert!(said.contains("/nonexistent/policy"), "{said}");
    let left = fs::read_dir(&data).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["countersign.toml"]);
    assert_eq!(fs::read_to_string(data.join("countersign.toml")).unwrap(), config);
}

/// The command lines of the README, with this server's address.
#[test]
fn the_commands_of_the_readme_work() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let console =
        readme.split("```console\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(COUNTERSIGN, bin.join("countersign")).unwrap();
    let server = Command::new(COUNTERSIGN)
        .args(["serve", "--init", "--listen", "127.0.0.1:0", "--ldap-listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _server = Process(server.unwrap());
    let listen = folder.path().join("countersign-data/listen");
    let address = wait_for("the server to listen", || {
        let text = fs::read_to_string(&listen).ok().filter(|text| text.ends_with('\n'))?;
        Some(text.trim().trim_start_matches("http://").to_owned())
    });
    let lines: Vec<String> = console
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        // The CRL follows the revocation within a moment: asked again until it says so.
        .map(|line| match line.contains("/Superseded/") {
            true => format!(
                "for _ in $(seq 600); do said=$({line}); case $said in *Superseded*) break;; esac; sleep 0.2; done; echo \"$said\"\n"
            ),
            false => format!("{line}\n"),
        })
        .collect();
    assert!(lines.len() > 8, "{lines:?}");
    let ldap = fs::read_to_string(listen.with_extension("ldap")).unwrap();
    let ldap = ldap.trim().trim_start_matches("ldap://").to_owned();
    let script =
        lines.concat().replace("127.0.0.1:8829", &address).replace("127.0.0.1:8389", &ldap);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-ec", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{script}\n{said}");
    for word in [
        "DNS:gw1.example.net, IP Address:192.0.2.1",
        "revoked",
        "Superseded",
        "gw1.crt: good",
        "gw1-new.crt: revoked",
        "DN: cn=issuing,o=Countersign",
        "good          true",
    ] {
        assert!(said.contains(word), "expected `{word}` in:\n{said}");
    }
}
