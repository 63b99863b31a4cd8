//! The `openssl` command: keys, and its CMP client.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::{Instance, Peer, tool_ok};

/// The kinds of key that peers enrol with, as arguments of `openssl genpkey`.
pub const KEYS: [(&str, &[&str]); 6] = [
    ("p256", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    ("p384", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
    ("p521", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"]),
    ("ed25519", &["-algorithm", "ED25519"]),
    ("rsa2048", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
    ("rsa3072", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"]),
];

/// Makes a key of this kind in a file beside the instance.
pub fn key(instance: &Instance, kind: &str, name: &str) -> PathBuf {
    let arguments = KEYS
        .iter()
        .find(|(known, _)| *known == kind)
        .unwrap_or_else(|| panic!("no key `{kind}`"))
        .1;
    generate(instance, arguments, name)
}

/// Makes a key by arguments of `openssl genpkey`.
pub fn generate(instance: &Instance, arguments: &[&str], name: &str) -> PathBuf {
    let path = instance.file(name);
    let mut all = vec!["genpkey", "-out", name];
    all.extend(arguments);
    tool_ok("openssl", "openssl", &all, path.parent().expect("a folder"));
    path
}

/// The output and exit status of `openssl cmp`.
pub struct Run {
    pub ok: bool,
    pub text: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Self { ok: output.status.success(), text }
    }
}

impl Run {
    /// Asserts success.
    #[track_caller]
    pub fn granted(self) -> Self {
        assert!(self.ok, "openssl cmp failed:\n{}", self.text);
        self
    }

    /// Asserts a refusal whose text contains each of `words`.
    #[track_caller]
    pub fn refused(self, words: &[&str]) -> Self {
        assert!(!self.ok, "openssl cmp succeeded:\n{}", self.text);
        for word in words {
            assert!(self.text.contains(word), "expected `{word}` in:\n{}", self.text);
        }
        self
    }
}

/// Runs `openssl cmp` against an instance, in its folder.
pub fn cmp(instance: &Instance, arguments: &[&str]) -> Run {
    cmp_by(Command::new("openssl"), instance, arguments)
}

/// As [`cmp`], through a command that runs `openssl`, such as one that sets another clock.
pub fn cmp_by(mut command: Command, instance: &Instance, arguments: &[&str]) -> Run {
    let root = instance.root();
    let mut all = vec!["cmp", "-server", &instance.address];
    if !arguments.contains(&"-path") {
        all.extend(["-path", ".well-known/cmp"]);
    }
    let root = root.to_str().expect("a path in UTF-8");
    all.extend(["-trusted", root, "-msg_timeout", "30"]);
    all.extend(arguments);
    command
        .args(&all)
        .current_dir(instance.file("."))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| {
            panic!("`openssl`: {e}; this test needs the package `openssl`: run `make deps`")
        })
        .into()
}

/// The arguments that protect messages with the peer's secret.
pub fn by_secret(peer: &Peer) -> [String; 4] {
    ["-ref".into(), peer.reference.clone(), "-secret".into(), format!("pass:{}", peer.secret)]
}

/// Enrols (ir) with the peer's secret. The certificate is written to `<name>.crt`.
pub fn enrol(instance: &Instance, peer: &Peer, key: &str, extra: &[&str]) -> Run {
    let secret = by_secret(peer);
    let certificate = format!("{}.crt", peer.name);
    let mut arguments = vec!["-cmd", "ir", "-newkey", key, "-certout", &certificate];
    arguments.extend(secret.iter().map(String::as_str));
    arguments.extend(extra);
    cmp(instance, &arguments)
}

/// The request that `openssl cmp` would send with these arguments. It is not sent.
pub fn request(instance: &Instance, arguments: &[&str]) -> Vec<u8> {
    request_by(Command::new("openssl"), instance, arguments)
}

/// As [`request`], through a command that runs `openssl`, such as one that sets another clock.
pub fn request_by(mut command: Command, instance: &Instance, arguments: &[&str]) -> Vec<u8> {
    let file = instance.file("request.der");
    let _ = fs::remove_file(&file);
    // Nobody listens on the discard port here: the client writes its request down and then fails.
    let mut all =
        vec!["cmp", "-server", "127.0.0.1:9", "-reqout", "request.der", "-msg_timeout", "2"];
    if !arguments.contains(&"rr") {
        all.extend(["-certout", "never.crt"]);
    }
    all.extend(arguments);
    let run: Run = command
        .args(&all)
        .current_dir(instance.file("."))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| {
            panic!("`openssl`: {e}; this test needs the package `openssl`: run `make deps`")
        })
        .into();
    fs::read(&file).unwrap_or_else(|e| panic!("no request was written: {e}\n{}", run.text))
}

/// `openssl x509 -text` of a file beside the instance.
pub fn text(instance: &Instance, certificate: &str) -> String {
    tool_ok(
        "openssl",
        "openssl",
        &["x509", "-noout", "-text", "-in", certificate],
        &instance.file("."),
    )
}
