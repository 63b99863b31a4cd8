//! Keys, passphrases and secrets: who can read them, where they are, and what happens if nobody gets them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::openssl::{enrol, key};
use common::{COUNTERSIGN, Instance, SERVE, eventually, fails, text};

#[test]
fn keys_and_passphrases_that_others_can_read_are_refused() {
    let instance = Instance::init(&[]);
    for (path, mode) in [
        ("", 0o700),
        ("passphrase", 0o600),
        ("keys/root.key", 0o600),
        ("keys/issuing.key", 0o600),
        ("keys/_seal.key", 0o600),
    ] {
        let path = instance.data().join(path);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            mode,
            "{}",
            path.display()
        );
    }
    let set = |name: &str, mode| {
        fs::set_permissions(instance.data().join(name), fs::Permissions::from_mode(mode)).unwrap()
    };
    set("keys/issuing.key", 0o644);
    fails(&instance.run(&["crl", "publish"]), 5, &["0644", "chmod 600"]);
    set("keys/issuing.key", 0o600);
    set("passphrase", 0o640);
    fails(&instance.run(&["crl", "publish"]), 5, &["0640", "chmod 600"]);
    set("passphrase", 0o600);
    set("", 0o777);
    fails(&instance.run(&["crl", "publish"]), 5, &["0777", "chmod 700"]);
    set("", 0o700);
    instance.ok(&["crl", "publish"]);

    let wrong = instance.file("wrong");
    fs::write(&wrong, "wrong\n").unwrap();
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o600)).unwrap();
    fails(
        &instance.run(&["crl", "publish", "--passphrase-file", wrong.to_str().unwrap()]),
        4,
        &["the passphrase does not open"],
    );
    // A credential of systemd's for a service with a user of its own.
    let folder = instance.file("credentials");
    fs::create_dir(&folder).unwrap();
    let credential = folder.join("countersign-passphrase");
    fs::rename(instance.data().join("passphrase"), &credential).unwrap();
    let with_credential = |mode, folder: &Path| {
        fs::set_permissions(&credential, fs::Permissions::from_mode(mode)).unwrap();
        Command::new(COUNTERSIGN)
            .args(["crl", "publish", "--data"])
            .arg(instance.data())
            .arg("--passphrase-file")
            .arg(&credential)
            .env("CREDENTIALS_DIRECTORY", folder)
            .output()
            .unwrap()
    };
    let taken = with_credential(0o440, &folder);
    assert!(taken.status.success(), "{}", text(&taken));
    fails(&with_credential(0o444, &folder), 5, &["0444"]);
    fails(&with_credential(0o440, &instance.data()), 5, &["0440"]);
    // Adding an account needs no passphrase: its secret is sealed to the public half.
    instance.peer("gw1", &["ip:192.0.2.1"]);
    fails(&instance.run(&["crl", "publish"]), 2, &["--passphrase-file"]);
    // No secret lies in the folder in clear.
    let added = instance.peer("gw2", &["ip:192.0.2.2"]);
    let output =
        Command::new("grep").args(["-r", &added.secret]).arg(instance.data()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
}

#[test]
fn a_secret_that_nobody_got_is_no_success() {
    let instance = Instance::init(&[]);
    let full = || Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let told = |arguments: &[&str]| {
        let mut command = Command::new(COUNTERSIGN);
        command.args(arguments).arg("--data").arg(instance.data());
        command.stdout(full()).output().unwrap()
    };
    let words = ["standard output", "is done", "countersign peer reset-secret NAME"];
    fails(&told(&["peer", "add", "gw1", "--id", "fqdn:gw1.example.net"]), 5, &words);
    fails(&told(&["peer", "reset-secret", "gw1", "--format", "json"]), 5, &words);
    let file = instance.file("peers.csv");
    fs::write(&file, "name,ids\ngw2,fqdn:gw2.example.net\n").unwrap();
    let file = file.to_str().unwrap();
    // A file for the secrets that cannot be made costs no account; one that an import left empty does not stay.
    let nowhere = instance.file("nowhere/secrets");
    let output = instance.run(&["peer", "import", file, "--out", nowhere.to_str().unwrap()]);
    fails(&output, 5, &["nowhere"]);
    fails(&instance.run(&["peer", "show", "gw2"]), 3, &["no account"]);
    fails(&told(&["peer", "import", file]), 5, &words);
    let out = instance.file("secrets");
    let again = instance.run(&["peer", "import", file, "--out", out.to_str().unwrap()]);
    fails(&again, 3, &["gw2", "exists already"]);
    assert!(!out.exists());
}

#[test]
fn a_revocation_without_a_passphrase_at_hand_is_recorded_and_says_when_its_crl_comes() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    key(&instance, "p256", "gw1.key");
    enrol(&instance, &peer, "gw1.key", &[]).granted();
    let serial = instance.certificates("gw1")[0]["serial"].as_str().unwrap().to_owned();
    let mut instance = instance;
    instance.stop();
    let kept = instance.file("passphrase");
    fs::rename(instance.data().join("passphrase"), &kept).unwrap();
    // Credentials of other services are no passphrase.
    let folder = instance.file("credentials");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("database-password"), "x").unwrap();
    let revoke = |verb: &str, passphrase: Option<&Path>| {
        let mut command = Command::new(COUNTERSIGN);
        command.args(["cert", verb, &serial, "--data"]).arg(instance.data());
        command.args(passphrase.iter().flat_map(|file| [Path::new("--passphrase-file"), file]));
        command.env("CREDENTIALS_DIRECTORY", &folder).stdin(Stdio::null()).output().unwrap()
    };
    let output = revoke("hold", None);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("signed when the server starts"), "{}", text(&output));
    // A wrong passphrase keeps the CRL back, and not the revocation.
    let wrong = instance.file("wrong");
    fs::write(&wrong, "wrong\n").unwrap();
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o600)).unwrap();
    let words = ["the change is recorded", "countersign crl publish --ca issuing"];
    fails(&revoke("revoke", Some(&wrong)), 4, &words);
    assert_eq!(instance.json(&["cert", "show", &serial])["status"], "revoked");
}

/// Every file below a folder, with its mode.
fn modes(folder: &Path) -> Vec<(String, u32)> {
    let mut found = vec![(
        folder.display().to_string(),
        fs::metadata(folder).unwrap().permissions().mode() & 0o777,
    )];
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(modes(&entry.path())),
            false => found.push((
                entry.path().display().to_string(),
                entry.metadata().unwrap().permissions().mode() & 0o777,
            )),
        }
    }
    found
}

#[test]
fn what_holds_keys_and_accounts_is_its_owners_only_whatever_the_umask() {
    let mut instance = Instance::empty();
    let open = |arguments: &str| {
        let script = format!("umask 000; exec {COUNTERSIGN} --data \"$0\" {arguments}");
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(instance.data());
        command
    };
    // Made beforehand, and open: it holds nothing yet but a configuration.
    fs::create_dir(instance.data()).unwrap();
    fs::set_permissions(instance.data(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(instance.data().join("countersign.toml"), "").unwrap();
    fs::set_permissions(
        instance.data().join("countersign.toml"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    let made = open("init").output().unwrap();
    assert!(made.status.success(), "{}", text(&made));
    let backup = instance.file("backup");
    let mut script = Command::new("sh");
    script.args(["-c", "umask 000; exec \"$0\" \"$@\"", COUNTERSIGN]);
    instance.serve_with(script);
    instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let told = Command::new("sh")
        .args(["-c", "umask 000; exec \"$0\" \"$@\"", COUNTERSIGN, "--data"])
        .arg(instance.data())
        .arg("backup")
        .arg(&backup)
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", text(&told));
    instance.stop();
    let found = [modes(&instance.data()), modes(&backup)].concat();
    assert!(found.len() > 20, "{found:?}");
    for (file, mode) in &found {
        assert!(mode & 0o077 == 0, "{file} has the mode {mode:04o}");
    }
    // Once it holds an instance, an open folder is refused.
    fs::set_permissions(instance.data(), fs::Permissions::from_mode(0o750)).unwrap();
    fails(&instance.run(&["peer", "list"]), 5, &["0750", "chmod 700"]);
    fails(&instance.run(&SERVE), 5, &["0750"]);
}

/// Whether the memory of a process contains a text.
fn in_memory(pid: u32, text: &str) -> bool {
    use std::io::Write;
    use std::os::unix::fs::FileExt;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut grep = Command::new("grep")
        .args(["-a", "-c", "-F", text])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = grep.stdin.take().unwrap();
    for line in maps.lines().filter(|line| line.contains(" rw") && !line.contains("[v")) {
        let (from, to) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
        let number = |hex: &str| u64::from_str_radix(hex, 16).unwrap();
        let mut octets = vec![0; usize::try_from(number(to) - number(from)).unwrap()];
        if memory.read_exact_at(&mut octets, number(from)).is_ok() {
            input.write_all(&octets).unwrap();
            input.write_all(b"\n").unwrap();
        }
    }
    drop(input);
    grep.wait_with_output().unwrap().status.success()
}

#[test]
fn a_secret_that_was_shown_is_nowhere_in_the_servers_memory() {
    let instance = Instance::start();
    let peer = instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let again = instance.json(&["peer", "reset-secret", "gw1"]);
    let (reference, last) =
        (again["reference"].as_str().unwrap(), again["secret"].as_str().unwrap());
    // What is looked for is found where it is: the reference, which is public and on record. The answer is wiped when it was sent.
    assert!(in_memory(instance.pid(), reference));
    for secret in [peer.secret.as_str(), last] {
        eventually("a secret to be wiped", || !in_memory(instance.pid(), secret));
    }
}
