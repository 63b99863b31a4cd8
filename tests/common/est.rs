//! An instance with an EST server, and curl, OpenSSL and strongSwan's `pki` as its clients.

use std::fs;
use std::process::Output;

use super::http::{Reply, curl};
use super::openssl::key;
use super::{Instance, Peer, tool, tool_ok, wait_for};

/// The configuration of an EST server on a free port.
pub const LISTEN: (&str, &str) = ("est", "listen = \"127.0.0.1:0\"");

/// An instance with an EST server.
pub struct Site {
    pub instance: Instance,
}

impl Site {
    pub fn start() -> Self {
        Self { instance: Instance::start_with(&[LISTEN]) }
    }

    pub fn start_with(lines: &[(&str, &str)], profile: &str) -> Self {
        let lines = [&[LISTEN], lines].concat();
        Self { instance: Instance::start_with_profile(&lines, profile) }
    }

    /// The port of the EST server.
    pub fn port(&self) -> String {
        let url = fs::read_to_string(self.instance.data().join("listen.est")).expect("listen.est");
        url.trim().rsplit(':').next().expect("a port").to_owned()
    }

    /// A URL of the EST server.
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port())
    }

    pub fn root(&self) -> String {
        self.instance.root().to_str().expect("a path in UTF-8").to_owned()
    }

    /// A key and a request for this subject and these names, `NAME.key`, `NAME.csr` and, in base64, `NAME.b64`.
    pub fn request(&self, name: &str, kind: &str, subject: &str, names: &str) {
        if !self.instance.file(&format!("{name}.key")).exists() {
            key(&self.instance, kind, &format!("{name}.key"));
        }
        let (key, csr) = (format!("{name}.key"), format!("{name}.csr"));
        let mut all = vec!["req", "-new", "-key", &key, "-subj", subject, "-out", &csr];
        let extension = format!("subjectAltName={names}");
        if !names.is_empty() {
            all.extend(["-addext", &extension]);
        }
        self.openssl(&all);
        self.in_base64(name);
    }

    /// Writes a request in base64.
    pub fn in_base64(&self, name: &str) {
        let text = fs::read_to_string(self.instance.file(&format!("{name}.csr"))).expect("a file");
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        fs::write(self.instance.file(&format!("{name}.b64")), body).expect("a file");
    }

    #[track_caller]
    pub fn openssl(&self, arguments: &[&str]) -> String {
        tool_ok("openssl", "openssl", arguments, &self.instance.file("."))
    }

    /// A request by curl.
    #[track_caller]
    pub fn curl(&self, path: &str, arguments: &[&str]) -> Reply {
        let (root, url) = (self.root(), self.url(path));
        let all = [&["--cacert", &root], arguments, &[&url]].concat();
        curl(&self.instance, &all)
    }

    /// Sends the request `NAME.b64` by curl.
    #[track_caller]
    pub fn post(&self, path: &str, name: &str, arguments: &[&str]) -> Reply {
        let body = format!("@{name}.b64");
        let own = ["-H", "Content-Type: application/pkcs10", "--data-binary", &body];
        self.curl(path, &[&own[..], arguments].concat())
    }

    /// As [`Self::post`], with the secret of an account.
    #[track_caller]
    pub fn post_as(&self, path: &str, name: &str, peer: &Peer) -> Reply {
        self.post(path, name, &["-u", &userpass(peer)])
    }

    /// Writes the certificate of an answer to `NAME.crt`.
    #[track_caller]
    pub fn keep(&self, reply: &Reply, name: &str) -> Vec<u8> {
        assert_eq!(reply.status, 200, "{}", reply.body);
        fs::write(self.instance.file("answer.p7"), reply.der()).expect("a file");
        let out = format!("{name}.crt");
        self.openssl(&[
            "pkcs7",
            "-inform",
            "DER",
            "-in",
            "answer.p7",
            "-print_certs",
            "-out",
            &out,
        ]);
        let text = fs::read_to_string(self.instance.file(&out)).expect("a file");
        assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 1, "{text}");
        self.der(name)
    }

    /// The DER of `NAME.crt`.
    pub fn der(&self, name: &str) -> Vec<u8> {
        let file = format!("{name}.crt");
        self.openssl(&["x509", "-in", &file, "-outform", "DER", "-out", "certificate.der"]);
        fs::read(self.instance.file("certificate.der")).expect("a file")
    }

    /// Enrols an account by curl, with the files `NAME.*`.
    #[track_caller]
    pub fn enrol(&self, peer: &Peer, kind: &str) {
        let id = format!("DNS:{}.example.net", peer.name);
        self.request(&peer.name, kind, &format!("/CN={}.example.net", peer.name), &id);
        let reply = self.post_as("/.well-known/est/simpleenroll", &peer.name, peer);
        self.keep(&reply, &peer.name);
    }

    /// Runs strongSwan's `pki`.
    pub fn pki(&self, arguments: &[&str]) -> Output {
        tool("pki", "strongswan-pki", arguments, &self.instance.file("."))
    }

    /// Has the certificate that `pki` printed examined, and kept as `NAME.crt`.
    #[track_caller]
    pub fn keep_printed(&self, output: &Output, name: &str) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pki failed: {said}\n{}", self.instance.log());
        fs::write(self.instance.file("printed.der"), &output.stdout).expect("a file");
        let out = format!("{name}.crt");
        self.openssl(&["x509", "-inform", "DER", "-in", "printed.der", "-out", &out]);
    }

    /// The log has a refusal from this machine with these words.
    #[track_caller]
    pub fn has_logged(&self, words: &[&str]) {
        let is_it = |line: &str| {
            line.contains("client=127.0.0.1") && words.iter().all(|word| line.contains(word))
        };
        wait_for(&format!("a line with {words:?} in the log"), || {
            self.instance.log().lines().any(is_it).then_some(())
        });
    }

    /// The server still enrols an honest peer, and the journal verifies.
    #[track_caller]
    pub fn goes_on(&self) {
        let number = self.instance.json(&["peer", "list"]).as_array().map_or(0, Vec::len);
        let name = format!("honest{number}");
        let peer = self.instance.peer(&name, &[&format!("fqdn:{name}.example.net")]);
        self.enrol(&peer, "p256");
        self.instance.ok(&["audit", "verify"]);
    }
}

pub fn userpass(peer: &Peer) -> String {
    format!("{}:{}", peer.reference, peer.secret)
}

/// The statuses of an account's certificates.
pub fn statuses(instance: &Instance, account: &str) -> Vec<String> {
    let all = instance.certificates(account);
    all.iter().map(|one| one["status"].as_str().expect("a status").to_owned()).collect()
}
