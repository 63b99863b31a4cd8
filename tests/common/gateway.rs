//! A gateway that enrols with `countersign enroll`, and what its tests make by OpenSSL.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{COUNTERSIGN, Instance, at_another_time, tool_ok};

/// A gateway with an account.
pub struct Gateway {
    /// The folder of the test's files.
    pub folder: PathBuf,
    /// The folder of the enrolment.
    pub out: PathBuf,
    /// The URL that it enrols at.
    pub url: String,
    pub reference: String,
    pub secret: String,
    /// The protocol, as `--protocol` names it.
    pub protocol: String,
    /// The names that it asks for.
    pub ids: Vec<String>,
    /// The root that it trusts.
    pub root: PathBuf,
}

/// A run of the client.
pub struct Run(pub Output);

impl Gateway {
    /// A gateway with an account of this name at an instance.
    pub fn new(instance: &Instance, name: &str, ids: &[&str]) -> Self {
        let peer = instance.peer(name, ids);
        Self::with(
            &instance.file("."),
            name,
            &format!("http://{}", instance.address),
            (&peer.reference, &peer.secret),
            ids,
            &instance.root(),
        )
    }

    /// A gateway with this secret at this server.
    pub fn with(
        folder: &Path,
        name: &str,
        url: &str,
        (reference, secret): (&str, &str),
        ids: &[&str],
        root: &Path,
    ) -> Self {
        private(&folder.join(format!("{name}.secret")), &format!("{secret}\n"));
        Self {
            folder: folder.to_owned(),
            out: folder.join(name),
            url: url.to_owned(),
            reference: reference.to_owned(),
            secret: secret.to_owned(),
            protocol: "cmp".to_owned(),
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            root: root.to_owned(),
        }
    }

    /// A gateway with an account of this name at an instance, over this protocol.
    pub fn over(protocol: &str, instance: &Instance, name: &str, ids: &[&str]) -> Self {
        let gateway = Self::new(instance, name, ids);
        let url = url_for(protocol, instance);
        Self { url, protocol: protocol.to_owned(), ..gateway }
    }

    /// The URL of an instance, which has another port after each start.
    pub fn server(&self, instance: &Instance) -> String {
        url_for(&self.protocol, instance)
    }

    /// A first enrolment that trusts the instance's root.
    pub fn enrol(&self, more: &[&str]) -> Run {
        let root = self.root.to_str().unwrap().to_owned();
        self.first(&[&["--trust", &root], more].concat())
    }

    /// A first enrolment.
    pub fn enrol_without_trust(&self, more: &[&str]) -> Run {
        self.first(more)
    }

    fn first(&self, more: &[&str]) -> Run {
        let mut all = vec!["--protocol", &self.protocol, "--server", &self.url];
        let secret = format!("{}.secret", self.out.display());
        if !more.contains(&"--secret-file") {
            all.extend(["--secret-file", &secret]);
        }
        all.extend(["--reference", &self.reference]);
        for id in self.ids.iter().filter(|_| !more.contains(&"--id")) {
            all.extend(["--id", id]);
        }
        all.extend(more);
        self.run(&all)
    }

    /// A renewal.
    pub fn renew(&self, more: &[&str]) -> Run {
        self.run(&[&["--renew"], more].concat())
    }

    /// Any run.
    pub fn run(&self, arguments: &[&str]) -> Run {
        Run(self.command(arguments).output().expect("the program runs"))
    }

    /// A renewal with a shifted clock, such as by `+20m`.
    pub fn renew_at(&self, shift: &str, more: &[&str]) -> Run {
        let program = at_another_time(shift, COUNTERSIGN);
        let mut command = self.command_by(program, &[&["--renew"], more].concat());
        Run(command.output().expect("the program runs"))
    }

    /// The command of a run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_by(Command::new(COUNTERSIGN), arguments)
    }

    fn command_by(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.args(["enroll", "--json", "--out"]).arg(&self.out).args(arguments);
        command.current_dir(&self.folder).stdin(std::process::Stdio::null());
        command
    }

    /// A file of the enrolment.
    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        let path = self.out.join(name);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("`{}`: {e}", path.display()))
    }

    /// Whether nothing of an answer was taken.
    pub fn is_untouched(&self) -> bool {
        let has = |name: &str| self.out.join(name).symlink_metadata().is_ok();
        !has("gw1.crt")
            && !has("gw1.key")
            && !has("enrolment/current")
            && !has("enrolment/generations")
    }
}

impl Run {
    fn text(&self) -> String {
        let Output { stdout, stderr, .. } = &self.0;
        format!("{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr))
    }

    /// Asserts that it succeeded. Gives its output.
    #[track_caller]
    pub fn done(&self) -> Value {
        assert!(self.0.status.success(), "{}: {}", self.0.status, self.text());
        serde_json::from_slice(&self.0.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// Asserts that it ended with this exit code, and that its message contains each of these words.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &[&str]) -> String {
        let text = self.text();
        assert_eq!(self.0.status.code(), Some(code), "{text}");
        for word in words {
            assert!(text.contains(word), "expected `{word}` in: {text}");
        }
        text
    }
}

/// The URL of an instance for a protocol.
fn url_for(protocol: &str, instance: &Instance) -> String {
    match protocol {
        "est" => {
            let url = fs::read_to_string(instance.data().join("listen.est")).expect("listen.est");
            let port = url.trim().rsplit(':').next().expect("a port").to_owned();
            format!("https://localhost:{port}")
        }
        "scep" => format!("http://{}/scep", instance.address),
        _ => format!("http://{}", instance.address),
    }
}

/// Writes a file for its owner only.
pub fn private(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Whether a certificate certifies a key, by OpenSSL.
pub fn pair(folder: &Path, certificate: &str, key: &str) -> bool {
    let certified =
        tool_ok("openssl", "openssl", &["x509", "-in", certificate, "-noout", "-pubkey"], folder);
    let public = tool_ok("openssl", "openssl", &["pkey", "-in", key, "-pubout"], folder);
    certified == public
}

/// A root of another PKI, in `NAME.crt` and `NAME.key`.
pub fn stranger(folder: &Path, name: &str) {
    let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
    let subject = format!("/CN={name}");
    tool_ok(
        "openssl",
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
            "-subj",
            &subject,
            "-keyout",
            &key,
            "-out",
            &certificate,
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
        ],
        folder,
    );
}

/// A certificate by such a root for a new key, in `NAME.crt` and `NAME.key`.
pub fn issue(folder: &Path, root: &str, name: &str, extensions: &str) {
    let file = |ending: &str| format!("{name}.{ending}");
    let (key, request, certificate, ext) = (file("key"), file("csr"), file("crt"), file("ext"));
    let (root_certificate, root_key) = (format!("{root}.crt"), format!("{root}.key"));
    fs::write(folder.join(&ext), extensions).unwrap();
    let openssl = |arguments: &[&str]| tool_ok("openssl", "openssl", arguments, folder);
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &key]);
    fs::set_permissions(folder.join(&key), fs::Permissions::from_mode(0o600)).unwrap();
    openssl(&["req", "-new", "-key", &key, "-subj", &format!("/CN={name}"), "-out", &request]);
    openssl(&[
        "x509",
        "-req",
        "-in",
        &request,
        "-CA",
        &root_certificate,
        "-CAkey",
        &root_key,
        "-CAcreateserial",
        "-days",
        "20",
        "-extfile",
        &ext,
        "-out",
        &certificate,
    ]);
}

/// Waits for a condition, with a generous bound.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}
