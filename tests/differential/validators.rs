//! The five validators: ours, and four of others.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use countersign_ca::Timestamp;
use countersign_ca::path::crl::{Crl, CrlStatus, status_by_crls};
use countersign_ca::path::{
    Anchors, Certificate, Initial, PathSettings, object_identifier, validate,
};

use super::model::{Case, NOW};

/// Whether a path is accepted, or else why not.
pub type Verdict = Result<(), String>;

/// Our validator: the path, and the status of every certificate, which the case's CRLs must give.
pub fn ours(case: &Case) -> Verdict {
    let at = moment(case);
    let read =
        |der: &Vec<u8>| Certificate::from_der(der.clone()).map(Arc::new).map_err(|e| e.to_string());
    let (root, below) = case.certificates.split_first().unwrap();
    let anchors = Anchors::new([root.clone()]).map_err(|e| e.to_string())?;
    let chain = below.iter().rev().map(read).collect::<Result<Vec<_>, _>>()?;
    let crls = case.crls.iter().map(|der| Crl::from_der(der).map(Arc::new));
    let crls = crls.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    let has = |name: &str| case.settings.iter().any(|line| line == name);
    let policies = case.settings.iter().filter_map(|line| line.strip_prefix("policy "));
    let purposes = case.settings.iter().filter_map(|line| line.strip_prefix("purpose "));
    let settings = PathSettings {
        // The others are not asked about purposes.
        key_purposes: purposes.map(|of| object_identifier(of).unwrap()).collect(),
        initial: Initial {
            policies: policies.map(|of| object_identifier(of).unwrap()).collect(),
            explicit_policy: has("explicit-policy"),
            inhibit_mapping: has("inhibit-mapping"),
            inhibit_any: has("inhibit-any"),
        },
        ..PathSettings::default()
    };
    let path = validate(&anchors, &settings, &chain, &[], at).map_err(|e| e.to_string())?;
    for (certificate, issuer) in path.pairs() {
        match status_by_crls(&anchors, &chain, certificate, issuer, &crls, at) {
            CrlStatus::Good(_) => {}
            other => return Err(format!("`{}`: {other:?}", certificate.shown())),
        }
    }
    Ok(())
}

fn moment(case: &Case) -> Timestamp {
    let seconds = case.settings.iter().find_map(|line| line.strip_prefix("moment "));
    Timestamp::from_seconds(seconds.map_or(NOW, |seconds| seconds.parse().unwrap()))
}

/// A folder with a folder for each case, as the scripts read them.
pub fn write(folder: &Path, name: &str, case: &Case) {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let put = |name: String, octets: &[u8]| std::fs::write(folder.join(name), octets).unwrap();
    let (root, below) = case.certificates.split_first().unwrap();
    let (leaf, cas) = below.split_last().unwrap();
    put("root.der".into(), root);
    put("leaf.der".into(), leaf);
    for (number, ca) in cas.iter().enumerate() {
        put(format!("ca{number}.der"), ca);
    }
    for (number, crl) in case.crls.iter().enumerate() {
        put(format!("crl{number}.der"), crl);
    }
    put("settings".into(), case.settings.join("\n").as_bytes());
    // OpenSSL's command reads several certificates from PEM only.
    put("cas.pem".into(), pem("CERTIFICATE", cas).as_bytes());
    put("root.pem".into(), pem("CERTIFICATE", &case.certificates[..1]).as_bytes());
    put(
        "leaf.pem".into(),
        pem("CERTIFICATE", below.last().map(std::slice::from_ref).unwrap()).as_bytes(),
    );
    put("crls.pem".into(), pem("X509 CRL", &case.crls).as_bytes());
}

fn pem(label: &str, all: &[Vec<u8>]) -> String {
    let one = |der: &Vec<u8>| {
        let base64 = data_encoding::BASE64.encode(der);
        let lines: Vec<_> =
            base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    };
    all.iter().map(one).collect()
}

/// OpenSSL's verdict about a case, with `-x509_strict`, which is as strict as we are.
pub fn openssl(folder: &Path, settings: &[String]) -> Verdict {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args([
        "verify",
        "-x509_strict",
        "-policy_check",
        "-auth_level",
        "0",
    ]);
    command.args([
        "-crl_check_all",
        "-extended_crl",
        "-use_deltas",
        "-no-CAfile",
        "-no-CApath",
        "-no-CAstore",
    ]);
    command.args(["-trusted", "root.pem"]);
    for (option, file) in [("-untrusted", "cas.pem"), ("-CRLfile", "crls.pem")] {
        if std::fs::metadata(folder.join(file)).unwrap().len() > 0 {
            command.args([option, file]);
        }
    }
    // Without a policy it wants none; RFC 5280 §6.1.1 (c) has anyPolicy then.
    if !settings.iter().any(|line| line.starts_with("policy ")) {
        command.args(["-policy", "2.5.29.32.0"]);
    }
    for line in settings {
        match line.split_once(' ').unwrap_or((line.as_str(), "")) {
            ("moment", seconds) => command.args(["-attime", seconds]),
            ("policy", policy) => command.args(["-policy", policy]),
            ("purpose", _) => &mut command,
            ("explicit-policy", _) => command.arg("-explicit_policy"),
            ("inhibit-any", _) => command.arg("-inhibit_any"),
            ("inhibit-mapping", _) => command.arg("-inhibit_map"),
            (other, _) => panic!("unknown setting {other}"),
        };
    }
    let output = command
        .arg("leaf.pem")
        .output()
        .unwrap_or_else(|e| panic!("`openssl`: {e}; `make deps` installs it"));
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().find(|line| line.contains("error")).unwrap_or("").to_owned())
}

/// Runs one of the scripts over the folder of all cases, and reads its lines: validator, case, verdict, reason.
pub fn script(command: &mut Command, folder: &Path) -> HashMap<(String, String), Verdict> {
    let shown = format!("{command:?}");
    let output = command
        .arg(folder)
        .output()
        .unwrap_or_else(|e| panic!("{shown}: {e}; `make deps` installs what is missing"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}; `make deps` installs what is missing: {errors}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let read = |line: &str| {
        let [validator, case, verdict, reason] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{shown} said `{line}`");
        };
        let verdict = if verdict == "accepts" { Ok(()) } else { Err(reason.to_owned()) };
        ((validator.to_owned(), case.to_owned()), verdict)
    };
    lines.lines().map(read).collect()
}

/// The JDK and Bouncy Castle.
pub fn java() -> Command {
    let archives = ["bcprov", "bcutil", "bcpkix"].map(|of| format!("/usr/share/java/{of}.jar"));
    for archive in &archives {
        assert!(Path::new(archive).exists(), "{archive} is missing: `make deps` installs it");
    }
    let mut command = Command::new("java");
    // What it says is read: not in the language of who runs it. Most of the time is the compiler's.
    command.args(["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-Duser.language=en", "-cp"]);
    command.arg(archives.join(":")).arg(beside("Validate.java"));
    command
}

/// pyhanko-certvalidator.
pub fn python() -> Command {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/bin/python");
    assert!(python.exists(), "{} is missing: `make deps` installs it", python.display());
    let mut command = Command::new(python);
    command.arg(beside("validate.py"));
    command
}

fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential").join(name)
}
