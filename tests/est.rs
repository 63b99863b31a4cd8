//! Clients that we did not write enrol and renew over EST: strongSwan's `pki`, Bouncy Castle and curl; `openssl s_client` says what the TLS
//! is. Requests in the form of libest are repeated. Each request that must be refused is refused with a status, a text and a line in the
//! log; it leaves no certificate behind, and the server goes on answering.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::process::{Command, Output, Stdio};

use common::openssl::{self, key};
use common::vendor::{DEVICE, Pki};
use common::{Answer, Instance, Peer, at_another_time, tool, tool_ok, wait_for};
use data_encoding::BASE64;

/// The configuration of an EST server on a free port.
const LISTEN: (&str, &str) = ("est", "listen = \"127.0.0.1:0\"");

/// An instance with an EST server.
struct Site {
    instance: Instance,
}

/// An answer of the EST server to curl.
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Reply {
    /// The value of a header field, whose name must be spelled so.
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Asserts the status, and that the text has each of these words.
    #[track_caller]
    fn is(self, status: u16, words: &[&str]) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        for word in words {
            assert!(self.body.contains(word), "expected `{word}` in: {}", self.body);
        }
        self
    }

    /// The DER of its base64.
    fn der(&self) -> Vec<u8> {
        let text: String = self.body.split_whitespace().collect();
        BASE64.decode(text.as_bytes()).expect("base64")
    }
}

impl Site {
    fn start() -> Self {
        Self { instance: Instance::start_with(&[LISTEN]) }
    }

    fn start_with(lines: &[(&str, &str)], profile: &str) -> Self {
        let lines = [&[LISTEN], lines].concat();
        Self { instance: Instance::start_with_profile(&lines, profile) }
    }

    /// The port of the EST server.
    fn port(&self) -> String {
        let url = fs::read_to_string(self.instance.data().join("listen.est")).expect("listen.est");
        url.trim().rsplit(':').next().expect("a port").to_owned()
    }

    /// A URL of the EST server.
    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port())
    }

    fn root(&self) -> String {
        self.instance.root().to_str().expect("a path in UTF-8").to_owned()
    }

    /// A key and a request for this subject and these names, `NAME.key`, `NAME.csr` and, in base64, `NAME.b64`.
    fn request(&self, name: &str, kind: &str, subject: &str, names: &str) {
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
    fn in_base64(&self, name: &str) {
        let text = fs::read_to_string(self.instance.file(&format!("{name}.csr"))).expect("a file");
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        fs::write(self.instance.file(&format!("{name}.b64")), body).expect("a file");
    }

    #[track_caller]
    fn openssl(&self, arguments: &[&str]) -> String {
        tool_ok("openssl", "openssl", arguments, &self.instance.file("."))
    }

    /// A request by curl.
    #[track_caller]
    fn curl(&self, path: &str, arguments: &[&str]) -> Reply {
        let (root, url) = (self.root(), self.url(path));
        let mut all = vec!["-s", "-S", "-i", "--cacert", &root];
        all.extend(arguments);
        all.push(&url);
        let text = tool_ok("curl", "curl", &all, &self.instance.file("."));
        let text = text.replace("\r\n", "\n");
        let text = match text.strip_prefix("HTTP/1.1 100 Continue\n\n") {
            Some(rest) => rest,
            None => &text,
        };
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let headers = lines.filter_map(|line| line.split_once(": "));
        Reply {
            status: status.parse().expect("a status"),
            headers: headers.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            body: body.to_owned(),
        }
    }

    /// Sends the request `NAME.b64` by curl.
    #[track_caller]
    fn post(&self, path: &str, name: &str, arguments: &[&str]) -> Reply {
        let body = format!("@{name}.b64");
        let own = ["-H", "Content-Type: application/pkcs10", "--data-binary", &body];
        self.curl(path, &[&own[..], arguments].concat())
    }

    /// As [`Self::post`], with the secret of an account.
    #[track_caller]
    fn post_as(&self, path: &str, name: &str, peer: &Peer) -> Reply {
        self.post(path, name, &["-u", &userpass(peer)])
    }

    /// Writes the certificate of an answer to `NAME.crt`.
    #[track_caller]
    fn keep(&self, reply: &Reply, name: &str) -> Vec<u8> {
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
    fn der(&self, name: &str) -> Vec<u8> {
        let file = format!("{name}.crt");
        self.openssl(&["x509", "-in", &file, "-outform", "DER", "-out", "certificate.der"]);
        fs::read(self.instance.file("certificate.der")).expect("a file")
    }

    /// Enrols an account by curl, with the files `NAME.*`.
    #[track_caller]
    fn enrol(&self, peer: &Peer, kind: &str) {
        let id = format!("DNS:{}.example.net", peer.name);
        self.request(&peer.name, kind, &format!("/CN={}.example.net", peer.name), &id);
        let reply = self.post_as("/.well-known/est/simpleenroll", &peer.name, peer);
        self.keep(&reply, &peer.name);
    }

    /// Runs strongSwan's `pki`.
    fn pki(&self, arguments: &[&str]) -> Output {
        tool("pki", "strongswan-pki", arguments, &self.instance.file("."))
    }

    /// Has the certificate that `pki` printed examined, and kept as `NAME.crt`.
    #[track_caller]
    fn keep_printed(&self, output: &Output, name: &str) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pki failed: {said}\n{}", self.instance.log());
        fs::write(self.instance.file("printed.der"), &output.stdout).expect("a file");
        let out = format!("{name}.crt");
        self.openssl(&["x509", "-inform", "DER", "-in", "printed.der", "-out", &out]);
    }

    /// The log has a refusal from this machine with these words.
    #[track_caller]
    fn has_logged(&self, words: &[&str]) {
        let is_it = |line: &str| {
            line.contains("client=127.0.0.1") && words.iter().all(|word| line.contains(word))
        };
        wait_for(&format!("a line with {words:?} in the log"), || {
            self.instance.log().lines().any(is_it).then_some(())
        });
    }

    /// The server still enrols an honest peer, and the journal verifies.
    #[track_caller]
    fn goes_on(&self) {
        let number = self.instance.json(&["peer", "list"]).as_array().map_or(0, Vec::len);
        let name = format!("honest{number}");
        let peer = self.instance.peer(&name, &[&format!("fqdn:{name}.example.net")]);
        self.enrol(&peer, "p256");
        self.instance.ok(&["audit", "verify"]);
    }
}

fn userpass(peer: &Peer) -> String {
    format!("{}:{}", peer.reference, peer.secret)
}

/// The statuses of an account's certificates.
fn statuses(instance: &Instance, account: &str) -> Vec<String> {
    let all = instance.certificates(account);
    all.iter().map(|one| one["status"].as_str().expect("a status").to_owned()).collect()
}

#[test]
fn strongswan_enrols_and_renews_with_rsa_and_ecdsa() {
    let site = Site::start();
    let (url, root) = (site.url(""), site.root());
    let fetched = ["--caout", "fetched.pem", "--outform", "pem"];
    let fetched =
        site.pki(&[&["--estca", "--url", &url, "--cacert", &root][..], &fetched].concat());
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    let cas = ["fetched.pem", "fetched-1.pem"].map(|file| openssl::text(&site.instance, file));
    assert!(cas[0].contains("CN = Countersign root CA"), "{}", cas[0]);
    assert!(cas[1].contains("CN = Countersign issuing CA"), "{}", cas[1]);
    for kind in ["rsa2048", "p256", "p384"] {
        let peer = site.instance.peer(kind, &[&format!("fqdn:{kind}.example.net")]);
        site.request(
            kind,
            kind,
            &format!("/CN={kind}.example.net"),
            &format!("DNS:{kind}.example.net"),
        );
        let (csr, userpass) = (format!("{kind}.csr"), userpass(&peer));
        let common = ["--est", "--url", &url, "--cacert", &root, "--in", &csr];
        let enrolled = site.pki(&[&common[..], &["--userpass", &userpass]].concat());
        site.keep_printed(&enrolled, kind);
        let text = openssl::text(&site.instance, &format!("{kind}.crt"));
        assert!(text.contains(&format!("DNS:{kind}.example.net")), "{text}");

        // It renews with that certificate, under a new key.
        let next = format!("{kind}-next");
        site.request(
            &next,
            kind,
            &format!("/CN={kind}.example.net"),
            &format!("DNS:{kind}.example.net"),
        );
        let (csr, old, key) = (format!("{next}.csr"), format!("{kind}.crt"), format!("{kind}.key"));
        let renewed = site.pki(&[
            "--est", "--url", &url, "--cacert", &root, "--in", &csr, "--cert", &old, "--key", &key,
        ]);
        site.keep_printed(&renewed, &next);
        assert_ne!(site.der(kind), site.der(&next));
        assert_eq!(statuses(&site.instance, kind), ["valid", "valid"]);
    }
    site.instance.ok(&["audit", "verify"]);
}

#[test]
fn a_label_names_a_profile_or_a_ca_before_and_behind_the_prefix() {
    let site = Site::start();
    let root = site.root();
    for (n, label) in ["gateway", "issuing"].into_iter().enumerate() {
        let name = format!("gw{n}");
        let peer = site.instance.peer(&name, &[&format!("fqdn:{name}.example.net")]);
        site.request(&name, "p256", "/CN=x", &format!("DNS:{name}.example.net"));
        // strongSwan 5.9.8 writes the path behind the label, strongSwan 6 and RFC 7030 before it.
        let url = site.url(&format!("/{label}"));
        site.request(&name, "p256", &format!("/CN={name}.example.net"), "");
        let csr = format!("{name}.csr");
        let enrolled = site.pki(&[
            "--est",
            "--url",
            &url,
            "--cacert",
            &root,
            "--in",
            &csr,
            "--userpass",
            &userpass(&peer),
        ]);
        site.keep_printed(&enrolled, &name);
        let path = format!("/.well-known/est/{label}/simpleenroll");
        site.post_as(&path, &name, &peer).is(200, &[]);
        // The same request has the same answer.
        assert_eq!(statuses(&site.instance, &name), ["valid"]);
    }
    let peer = site.instance.peer("gw9", &["fqdn:gw9.example.net"]);
    site.request("gw9", "p256", "/CN=gw9.example.net", "");
    site.post_as("/.well-known/est/user/simpleenroll", "gw9", &peer).is(403, &["profile"]);
    site.post_as("/.well-known/est/nobody/simpleenroll", "gw9", &peer)
        .is(404, &["no profile and no issuing CA `nobody`"]);
    site.has_logged(&["nobody"]);
    site.curl("/.well-known/est/enrol", &[]).is(404, &["simpleenroll", "found `enrol`"]);
    site.curl("/elsewhere", &[]).is(404, &["/.well-known/est/OPERATION"]);
    assert_eq!(statuses(&site.instance, "gw9"), [""; 0]);
}

#[test]
fn bouncy_castle_enrols_and_renews() {
    let site = Site::start();
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    site.request("gw1", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
    let userpass = [peer.reference.as_str(), peer.secret.as_str()];
    let said = bouncy_castle(&site, "gw1.csr", "-", "-", &userpass);
    assert!(said.contains("ca: CN=Countersign root CA") && said.contains("issuing CA"), "{said}");
    keep_said(&site, &said, "gw1");

    site.openssl(&[
        "pkcs12", "-export", "-inkey", "gw1.key", "-in", "gw1.crt", "-out", "gw1.p12", "-passout",
        "pass:x",
    ]);
    site.request("next", "p384", "/CN=gw1.example.net", "DNS:gw1.example.net");
    let said = bouncy_castle(&site, "next.csr", "gateway", "gw1.p12", &[]);
    assert!(!said.contains("attributes: 0"), "the profile has CSR attributes: {said}");
    keep_said(&site, &said, "next");
    assert_eq!(statuses(&site.instance, "gw1"), ["valid", "valid"]);
}

/// Runs Bouncy Castle's client, and gives its output.
#[track_caller]
fn bouncy_castle(site: &Site, csr: &str, label: &str, p12: &str, userpass: &[&str]) -> String {
    let archives = ["bcprov", "bcutil", "bcpkix"].map(|of| format!("/usr/share/java/{of}.jar"));
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/est/Enrol.java");
    let (host, root, path) =
        (format!("localhost:{}", site.port()), site.root(), archives.join(":"));
    let all = [&["-cp", &path, program, &host, &root, csr, label, p12], userpass].concat();
    tool_ok("java", "openjdk-17-jdk-headless libbcpkix-java", &all, &site.instance.file("."))
}

/// Keeps the certificate that Bouncy Castle's client printed as `NAME.crt`.
#[track_caller]
fn keep_said(site: &Site, said: &str, name: &str) {
    let issued = said.lines().find_map(|line| line.strip_prefix("issued: "));
    let issued =
        issued.unwrap_or_else(|| panic!("nothing was issued: {said}\n{}", site.instance.log()));
    let der = BASE64.decode(issued.as_bytes()).expect("base64");
    fs::write(site.instance.file("said.der"), der).expect("a file");
    let out = format!("{name}.crt");
    site.openssl(&["x509", "-inform", "DER", "-in", "said.der", "-out", &out]);
}

#[test]
fn answers_have_the_form_that_each_client_reads() {
    let site = Site::start();
    let cas = site.curl("/.well-known/est/cacerts", &[]).is(200, &[]);
    assert_eq!(cas.header("Content-Type"), Some("application/pkcs7-mime"));
    assert_eq!(cas.header("Content-Transfer-Encoding"), Some("base64"));
    assert_eq!(cas.header("Content-Length"), Some(cas.body.len().to_string().as_str()));
    assert_eq!(cas.body.trim_end().lines().count(), 1, "strongSwan 5.9.8 reads one line");
    let libest = site.curl("/.well-known/est/cacerts", &["-A", "libest 1.0"]).is(200, &[]);
    assert!(libest.body.lines().count() > 10 && libest.body.lines().all(|line| line.len() <= 64));
    assert_eq!(libest.der(), cas.der());
    fs::write(site.instance.file("cas.p7"), cas.der()).unwrap();
    let names =
        site.openssl(&["pkcs7", "-inform", "DER", "-in", "cas.p7", "-print_certs", "-noout"]);
    assert!(
        names.contains("CN = Countersign issuing CA") && names.contains("Countersign root CA"),
        "{names}"
    );

    // libest comes without credentials first, sends 64 columns, and reads up to the end of the connection.
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    site.request("gw1", "rsa2048", "/CN=gw1.example.net", "");
    let body = fs::read_to_string(site.instance.file("gw1.b64")).unwrap();
    let lines: Vec<&str> =
        (0..body.len()).step_by(64).map(|at| &body[at..body.len().min(at + 64)]).collect();
    fs::write(site.instance.file("gw1.b64"), lines.join("\n") + "\n").unwrap();
    let own =
        ["-A", "libest 1.0", "-H", "Connection: close", "-H", "Content-Transfer-Encoding: base64"];
    let first = site.post("/.well-known/est/simpleenroll", "gw1", &own).is(401, &[]);
    assert_eq!(
        (first.header("WWW-Authenticate"), first.body.as_str()),
        (Some("Basic realm=\"EST\""), "")
    );
    assert_eq!(first.header("Content-Length"), Some("0"));
    let userpass = userpass(&peer);
    let issued =
        site.post("/.well-known/est/simpleenroll", "gw1", &[&own[..], &["-u", &userpass]].concat());
    assert_eq!(
        issued.header("Content-Type"),
        Some("application/pkcs7-mime; smime-type=certs-only")
    );
    assert!(issued.body.lines().all(|line| line.len() <= 64));
    let certificate = site.keep(&issued, "gw1");

    // globalsign's client sends 76 columns in chunks.
    let lines: Vec<&str> =
        (0..body.len()).step_by(76).map(|at| &body[at..body.len().min(at + 76)]).collect();
    fs::write(site.instance.file("gw1.b64"), lines.join("\r\n") + "\r\n").unwrap();
    let own = ["-H", "Transfer-Encoding: chunked", "-u", &userpass];
    let again = site.post("/.well-known/est/simpleenroll", "gw1", &own);
    assert_eq!(site.keep(&again, "gw1"), certificate, "the same request has the same answer");
    assert_eq!(statuses(&site.instance, "gw1"), ["valid"]);

    // What is offered by its name alone, and what is not.
    site.curl("/.well-known/est/csrattrs", &[]).is(204, &[]);
    site.curl("/.well-known/est/fullcmc", &["-X", "POST", "-d", "x"]).is(501, &["simpleenroll"]);
    let wrong = site.curl("/.well-known/est/simpleenroll", &[]).is(405, &["POST"]);
    assert_eq!(wrong.header("Allow"), Some("POST"));
    let options = site.curl("/.well-known/est/cacerts", &["-X", "OPTIONS"]).is(204, &[]);
    assert!(options.headers.iter().any(|(_, value)| value == "GET, HEAD, OPTIONS"));
}

#[test]
fn csr_attributes_are_those_of_the_profile_and_of_the_account() {
    let profile = "[profiles.narrow]\nkeys = [\"p384\"]\nkey_usage = [\"digitalSignature\"]\n";
    let site = Site::start_with(&[], profile);
    let parsed = |reply: Reply| {
        assert_eq!(reply.header("Content-Type"), Some("application/csrattrs"), "{}", reply.body);
        fs::write(site.instance.file("attributes.der"), reply.der()).unwrap();
        site.openssl(&["asn1parse", "-inform", "DER", "-in", "attributes.der"])
    };
    let template = "1.2.840.113549.1.9.16.2.61";
    let gateway = parsed(site.curl("/.well-known/est/gateway/csrattrs", &[]).is(200, &[]));
    for word in [template, "Extension Request", "X509v3 Key Usage", "X509v3 Extended Key Usage"] {
        assert!(gateway.contains(word), "{word}: {gateway}");
    }
    assert!(
        !gateway.contains("Subject Alternative Name") && !gateway.contains("secp384r1"),
        "{gateway}"
    );
    let narrow = parsed(site.curl("/.well-known/est/narrow/csrattrs", &[]).is(200, &[]));
    assert_eq!(
        narrow.matches("secp384r1").count(),
        2,
        "once by itself and once in the template: {narrow}"
    );
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let own = site.curl("/.well-known/est/csrattrs", &["-u", &userpass(&peer)]).is(200, &[]);
    let own = parsed(own);
    assert!(own.contains("Subject Alternative Name") && own.contains("gw1.example.net"), "{own}");
    site.curl("/.well-known/est/csrattrs", &["-u", &format!("{}:wrong", peer.reference)])
        .is(401, &[]);
}

#[test]
fn tls_is_1_2_or_1_3_with_a_certificate_of_the_instance_that_asks_for_the_clients() {
    let site = Site::start();
    let (host, root) = (format!("localhost:{}", site.port()), site.root());
    let connect = |more: &[&str]| {
        let all = [
            &[
                "s_client",
                "-connect",
                &host,
                "-CAfile",
                &root,
                "-verify_hostname",
                "localhost",
                "-verify_return_error",
            ],
            more,
        ];
        let output = tool("openssl", "openssl", &all.concat(), &site.instance.file("."));
        (
            output.status.success(),
            format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
        )
    };
    for (flag, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let (ok, said) = connect(&[flag]);
        assert!(ok && said.contains(version) && said.contains("Verify return code: 0"), "{said}");
        assert!(said.contains("No client certificate CA names sent"), "{said}");
    }
    let (ok, said) = connect(&["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"]);
    assert!(!ok, "{said}");
    site.has_logged(&["no TLS handshake"]);
    // Whoever speaks plain HTTP is told so, at either port.
    let plain = common::http(
        &format!("127.0.0.1:{}", site.port()),
        "GET",
        "/.well-known/est/cacerts",
        "text/plain",
        &[],
    );
    assert_told(&plain.expect("an answer"), 400);
    site.has_logged(&["speaks no TLS"]);
    let plain =
        site.instance.http("POST", "/.well-known/est/simpleenroll", "application/pkcs10", b"x");
    assert_told(&plain.expect("an answer"), 403);
    site.has_logged(&["EST without TLS is refused"]);

    let cas = site.instance.json(&["ca", "show"]);
    let anchors: Vec<&str> =
        cas.as_array().unwrap().iter().filter_map(|ca| ca["est_trust_anchor"].as_str()).collect();
    assert_eq!(anchors, [fs::canonicalize(site.root()).unwrap().to_str().unwrap()]);
    site.goes_on();
}

#[track_caller]
fn assert_told(answer: &Answer, status: u16) {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, status, "{text}");
    assert!(text.contains("https://"), "{text}");
}

#[test]
fn an_operators_certificate_is_presented_and_replaced_without_a_restart() {
    let instance = Instance::init(&[]);
    let pki = Pki { instance: &instance };
    pki.root("own", "/CN=Own Root");
    let server =
        "basicConstraints=CA:false\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost\n";
    pki.issue("server", "rsa2048", "/CN=first", "own", server);
    let path = instance.data().join("countersign.toml");
    let text = fs::read_to_string(&path).unwrap();
    let lines = format!(
        "[est]\nlisten = \"127.0.0.1:0\"\ncertificate = \"{}\"\nkey = \"{}\"\n",
        pki.path("server.crt"),
        pki.path("server.key")
    );
    fs::write(&path, text.replacen("[est]\n", &lines, 1)).unwrap();
    let chmod = ["600", "server.key"];
    tool_ok("chmod", "coreutils", &chmod, &instance.file("."));
    let mut site = Site { instance };
    site.instance.serve();
    let host = format!("localhost:{}", site.port());
    let subject = || {
        let all = ["s_client", "-connect", &host, "-CAfile", "own.crt", "-verify_return_error"];
        tool_ok("openssl", "openssl", &all, &site.instance.file("."))
    };
    assert!(subject().contains("subject=CN = first"));
    Pki { instance: &site.instance }.issue("server", "rsa2048", "/CN=second", "own", server);
    tool_ok(
        "kill",
        "procps",
        &["-HUP", &site.instance.pid().to_string()],
        &site.instance.file("."),
    );
    wait_for("the new certificate", || subject().contains("subject=CN = second").then_some(()));
    // A file that does not serve leaves the old one in use.
    fs::write(site.instance.file("server.crt"), "nothing").unwrap();
    tool_ok(
        "kill",
        "procps",
        &["-HUP", &site.instance.pid().to_string()],
        &site.instance.file("."),
    );
    wait_for("the fault", || site.instance.log().contains("keeps its certificate").then_some(()));
    assert!(subject().contains("subject=CN = second"));
    let cas = site.instance.json(&["ca", "show"]);
    assert!(cas.as_array().unwrap().iter().all(|ca| ca["est_trust_anchor"].is_null()), "{cas}");
}

#[test]
fn a_certificate_of_the_instance_that_was_revoked_is_replaced() {
    let site = Site::start();
    let serial = |site: &Site| {
        let host = format!("localhost:{}", site.port());
        let all = ["s_client", "-connect", &host, "-showcerts"];
        let said = tool_ok("openssl", "openssl", &all, &site.instance.file("."));
        fs::write(site.instance.file("server.pem"), said).unwrap();
        let serial = site.openssl(&["x509", "-in", "server.pem", "-noout", "-serial"]);
        serial.trim().trim_start_matches("serial=").to_lowercase()
    };
    let first = serial(&site);
    site.instance.ok(&["cert", "revoke", &first, "--reason", "keyCompromise"]);
    tool_ok(
        "kill",
        "procps",
        &["-HUP", &site.instance.pid().to_string()],
        &site.instance.file("."),
    );
    wait_for("another certificate", || (serial(&site) != first).then_some(()));
    site.goes_on();
}

#[test]
fn the_same_request_finds_its_answer_again_and_makes_no_second_certificate() {
    let mut site = Site::start();
    let peer = site.instance.peer_with("gw1", &["fqdn:gw1.example.net"], &["--uses", "1"]);
    site.request("gw1", "p256", "/CN=gw1.example.net", "");
    let enrol = "/.well-known/est/simpleenroll";
    let first = site.post_as(enrol, "gw1", &peer);
    let first = site.keep(&first, "gw1");
    // The secret is used up; the client that lost the answer gets it all the same, also after a restart.
    let again = site.post_as(enrol, "gw1", &peer);
    assert_eq!(site.keep(&again, "gw1"), first);
    site.instance.kill();
    site.instance.serve();
    let again = site.post_as(enrol, "gw1", &peer);
    assert_eq!(site.keep(&again, "gw1"), first);
    assert_eq!(statuses(&site.instance, "gw1"), ["valid"]);
    // Another request is another matter.
    site.request("gw1", "p256", "/CN=gw1.example.net", "");
    site.post_as(enrol, "gw1", &peer).is(403, &["used up"]);
    site.has_logged(&["used up"]);

    // A renewal under the same key is a request of its own, and has its own answer.
    let by = ["--cert", "gw1.crt", "--key", "gw1.key"];
    let renewed = site.post("/.well-known/est/simplereenroll", "gw1", &by);
    let renewed = site.keep(&renewed, "renewed");
    assert_ne!(renewed, first);
    let again = site.post("/.well-known/est/simplereenroll", "gw1", &by);
    assert_eq!(site.keep(&again, "renewed"), renewed);
    assert_eq!(statuses(&site.instance, "gw1"), ["valid", "valid"]);
    // Once it is revoked, it is not handed out again.
    let serial = site.instance.certificates("gw1")[0]["serial"].as_str().unwrap().to_owned();
    site.instance.ok(&["cert", "revoke", &serial, "--reason", "keyCompromise"]);
    site.post("/.well-known/est/simplereenroll", "gw1", &by).is(403, &["revoked"]);
    site.has_logged(&["revoked"]);
    site.goes_on();
}

#[test]
fn a_request_waits_for_approval_and_is_asked_for_again_across_a_restart() {
    let approval = "[profiles.gateway]\napproval = true\n";
    let mut site = Site::start_with(&[("cmp", "poll_after = \"7s\"")], approval);
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    site.request("gw1", "p256", "/CN=gw1.example.net", "");
    let enrol = "/.well-known/est/simpleenroll";
    let waits = site.post_as(enrol, "gw1", &peer).is(202, &["approval"]);
    assert_eq!(waits.header("Retry-After"), Some("7"));
    let request = waits.body.split_whitespace().find(|word| word.trim_end_matches(';').len() == 32);
    let request = request.expect("the name of the request").trim_end_matches(';').to_owned();
    site.post_as(enrol, "gw1", &peer).is(202, &[&request]);
    site.instance.kill();
    site.instance.serve();
    site.post_as(enrol, "gw1", &peer).is(202, &[&request]);
    let list = site.instance.json(&["request", "list"]);
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    site.instance.ok(&["request", "approve", &request]);
    let issued = site.post_as(enrol, "gw1", &peer);
    let issued = site.keep(&issued, "gw1");
    let again = site.post_as(enrol, "gw1", &peer);
    assert_eq!(site.keep(&again, "gw1"), issued);
    assert_eq!(statuses(&site.instance, "gw1"), ["valid"]);

    // A client that was restarted makes the request anew: it joins the one that waits.
    let by = ["--cert", "gw1.crt", "--key", "gw1.key"];
    let renew = "/.well-known/est/simplereenroll";
    site.request("next", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
    let waits = site.post(renew, "next", &by).is(202, &[]);
    site.request("next", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
    let same = site.post(renew, "next", &by).is(202, &[]);
    assert_eq!(waits.body, same.body);
    let list = site.instance.json(&["request", "list"]);
    let waiting = list.as_array().unwrap().iter().find(|one| one["status"] == "waiting").unwrap();
    let id = waiting["id"].as_str().expect("an identifier");
    site.instance.ok(&["request", "reject", id, "--reason", "call first"]);
    site.post(renew, "next", &by).is(403, &["rejected", "call first"]);
    site.has_logged(&["call first"]);
    assert_eq!(statuses(&site.instance, "gw1"), ["valid"]);
    site.instance.ok(&["audit", "verify"]);
}

#[test]
fn who_proves_nothing_or_the_wrong_thing_is_refused_and_told() {
    let site = Site::start_with(&[("cmp", "lock_after = 3")], "");
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let other = site.instance.peer("gw2", &["fqdn:gw2.example.net"]);
    site.request("gw1", "p256", "/CN=gw1.example.net", "");
    let (enrol, renew) = ("/.well-known/est/simpleenroll", "/.well-known/est/simplereenroll");
    let empty = |reply: Reply| assert_eq!((reply.status, reply.body.as_str()), (401, ""));

    empty(site.post(enrol, "gw1", &[]));
    empty(site.post(renew, "gw1", &[]));
    let wrong = format!("{}:wrong", peer.reference);
    empty(site.post(enrol, "gw1", &["-u", &wrong]));
    site.has_logged(&["unknown reference or wrong secret"]);
    empty(site.post(enrol, "gw1", &["-u", "nobody:nothing"]));
    for _ in 0..2 {
        empty(site.post(enrol, "gw1", &["-u", &wrong]));
    }
    empty(site.post_as(enrol, "gw1", &peer));
    site.has_logged(&["locked"]);
    // The other reference is not locked.
    site.request("gw2", "p256", "/CN=gw2.example.net", "");
    let issued = site.post_as(enrol, "gw2", &other);
    site.keep(&issued, "gw2");
    assert_eq!(statuses(&site.instance, "gw1"), [""; 0]);

    // A secret renews nothing.
    site.post_as(renew, "gw2", &other).is(403, &["client certificate", "/simpleenroll"]);
    site.has_logged(&["/simpleenroll"]);
    // A stranger's certificate, by itself and beside the right secret.
    let pki = Pki::new(&site.instance);
    pki.issue("device", "p256", "/CN=device", "maker", DEVICE);
    let by = ["--cert", "device.crt", "--key", "device.key"];
    site.post(renew, "gw2", &by).is(403, &["not issued here"]);
    site.has_logged(&["not issued here"]);
    site.request("gw2", "p256", "/CN=gw2.example.net", "");
    site.post(enrol, "gw2", &[&by[..], &["-u", &userpass(&other)]].concat()).is(200, &[]);
    // The certificate of one account, and the secret of another.
    let third = site.instance.peer("gw3", &["fqdn:gw3.example.net"]);
    let by = ["--cert", "gw2.crt", "--key", "gw2.key", "-u", &userpass(&third)];
    site.request("gw3", "p256", "/CN=gw3.example.net", "");
    site.post(enrol, "gw3", &by).is(403, &["of the account `gw3`", "of `gw2`"]);
    site.goes_on();
}

#[test]
fn certificates_for_ike_alone_enrol_and_those_that_ended_are_told_so() {
    let only_ike = "[profiles.ike]\nextended_key_usage = [\"ipsecIKE\"]\nvalidity = \"30d\"\n";
    let mut site = Site::start_with(&[], only_ike);
    let peer = site.instance.peer_with(
        "gw1",
        &["fqdn:gw1.example.net"],
        &["--profile", "ike", "--uses", "9"],
    );
    site.enrol(&peer, "p256");
    let text = openssl::text(&site.instance, "gw1.crt");
    assert!(!text.contains("TLS Web Client"), "{text}");
    let renew = "/.well-known/est/simplereenroll";
    let by = ["--cert", "gw1.crt", "--key", "gw1.key"];
    site.request("next", "rsa2048", "/CN=gw1.example.net", "DNS:gw1.example.net");
    for version in ["1.2", "1.3"] {
        let version = ["--tls-max", version];
        site.post(renew, "next", &[&by[..], &version].concat()).is(200, &[]);
    }
    // After its end it is refused; within the grace that the operator gives, it renews.
    site.instance.stop();
    site.instance.serve_with(at_another_time("+40d", common::COUNTERSIGN));
    site.request("late", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
    // curl's clock is today's, so that the server's certificate is not valid yet for it.
    let late = [&by[..], &["-k"]].concat();
    site.post(renew, "late", &late).is(403, &["valid from", "enrol again"]);
    site.has_logged(&["enrol again"]);
    site.instance.stop();
    let path = site.instance.data().join("countersign.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("[est]\n", "[est]\nrenew_expired = \"14d\"\n", 1)).unwrap();
    site.instance.serve_with(at_another_time("+40d", common::COUNTERSIGN));
    // It renews itself, and gets no further certificate of the account.
    let enrol = "/.well-known/est/simpleenroll";
    site.post(enrol, "late", &late).is(403, &["valid from", "enrol again"]);
    site.post(renew, "late", &late).is(200, &[]);
    site.instance.stop();
    site.instance.serve_with(at_another_time("+50d", common::COUNTERSIGN));
    site.post(renew, "late", &late).is(403, &["enrol again"]);
}

#[test]
fn revoked_certificates_renew_nothing_and_others_only_what_they_have() {
    let site = Site::start();
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net", "fqdn:also.example.net"]);
    site.enrol(&peer, "p256");
    let (enrol, renew) = ("/.well-known/est/simpleenroll", "/.well-known/est/simplereenroll");
    let by = ["--cert", "gw1.crt", "--key", "gw1.key"];
    // An identity that the account does not hold, and one that the certificate did not have.
    site.request("wide", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net,DNS:evil.example.net");
    site.post_as(enrol, "wide", &peer).is(403, &["evil.example.net", "not one of the account's"]);
    site.has_logged(&["evil.example.net"]);
    site.request("wide", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net,DNS:also.example.net");
    site.post(renew, "wide", &by).is(403, &["also.example.net", "key update keeps the identities"]);
    site.has_logged(&["also.example.net"]);
    // As a further certificate, it may have it.
    site.post(enrol, "wide", &by).is(200, &[]);
    let serial = site.openssl(&["x509", "-in", "gw1.crt", "-noout", "-serial"]);
    let serial = serial.trim().trim_start_matches("serial=").to_lowercase();
    site.instance.ok(&["cert", "revoke", &serial, "--reason", "keyCompromise"]);
    site.request("next", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
    site.post(renew, "next", &by).is(403, &["was revoked"]);
    site.has_logged(&["was revoked"]);
    site.goes_on();
}

#[test]
fn bodies_that_are_no_request_are_refused_and_told() {
    let site = Site::start();
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    let enrol = "/.well-known/est/simpleenroll";
    site.request("gw1", "p256", "/CN=gw1.example.net", "");
    let good = fs::read_to_string(site.instance.file("gw1.b64")).unwrap();
    let der = BASE64.decode(good.as_bytes()).unwrap();
    let mut wrong_signature = der.clone();
    *wrong_signature.last_mut().unwrap() ^= 1;
    let deep: Vec<u8> =
        (0..200).rev().fold(Vec::new(), |inside, _| common::der::tlv(0x30, &inside));
    for (body, word) in [
        (Vec::new(), "nothing"),
        (der.clone(), "found DER"),
        (fs::read(site.instance.file("gw1.csr")).unwrap(), "found PEM"),
        (b"not base64!".to_vec(), "base64"),
        (BASE64.encode(&der[..der.len() - 5]).into_bytes(), "cut off"),
        (BASE64.encode(&deep).into_bytes(), "nesting"),
        (BASE64.encode(&wrong_signature).into_bytes(), "proof of possession"),
    ] {
        fs::write(site.instance.file("bad.b64"), body).unwrap();
        site.post_as(enrol, "bad", &peer).is(400, &[word]);
        site.has_logged(&[word]);
    }
    fs::write(site.instance.file("bad.b64"), vec![b'A'; 70_000]).unwrap();
    site.post_as(enrol, "bad", &peer).is(413, &["65536"]);
    let plain = ["-u", &userpass(&peer), "-d", "@gw1.b64"];
    site.curl(enrol, &plain).is(415, &["application/pkcs10"]);
    assert_eq!(statuses(&site.instance, "gw1"), [""; 0]);
    site.goes_on();
}

#[test]
fn a_device_enrols_with_its_vendors_certificate_once() {
    let site = Site::start();
    let pki = Pki::new(&site.instance);
    pki.issue("device", "p256", "/O=Maker/serialNumber=SN-1", "factory", DEVICE);
    let chain =
        ["device.crt", "factory.crt"].map(|file| fs::read(site.instance.file(file)).unwrap());
    fs::write(site.instance.file("chain.pem"), chain.concat()).unwrap();
    site.instance.ok(&["trust", "add", &pki.path("maker.crt"), "--map", "serialNumber"]);
    let added = ["peer", "add", "gw1", "--id", "fqdn:gw1.example.net", "--equipment", "maker:SN-1"];
    site.instance.ok(&added);
    site.request("gw1", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
    let by = ["--cert", "chain.pem", "--key", "device.key"];
    let issued = site.post("/.well-known/est/simpleenroll", "gw1", &by);
    let issued = site.keep(&issued, "gw1");
    // It lost the answer. strongSwan renews whenever it has a certificate.
    let again = site.post("/.well-known/est/simpleenroll", "gw1", &by);
    assert_eq!(site.keep(&again, "gw1"), issued);
    let renew = "/.well-known/est/simplereenroll";
    let again = site.post(renew, "gw1", &by);
    assert_eq!(site.keep(&again, "gw1"), issued);
    site.request("second", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
    site.post(renew, "second", &by).is(403, &["enrolled by the vendor's certificate already"]);
    pki.issue("unknown", "p256", "/O=Maker/serialNumber=SN-2", "maker", DEVICE);
    let unknown = ["--cert", "unknown.crt", "--key", "unknown.key"];
    site.post(renew, "second", &unknown).is(403, &["no account is for the equipment"]);
    site.has_logged(&["SN-2"]);
    // The account's own certificate renews.
    let by = ["--cert", "gw1.crt", "--key", "gw1.key"];
    site.post(renew, "second", &by).is(200, &[]);
    assert_eq!(statuses(&site.instance, "gw1"), ["valid", "valid"]);
}

#[test]
fn the_same_names_and_key_have_the_same_certificate_over_cmp_and_est() {
    let site = Site::start();
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net", "ip:192.0.2.1"]);
    site.request("gw1", "p256", "/CN=gw1.example.net", "DNS:gw1.example.net");
    let reply = site.post_as("/.well-known/est/simpleenroll", "gw1", &peer);
    site.keep(&reply, "by-est");
    let secret = openssl::by_secret(&peer);
    let fixed = ["-cmd", "p10cr", "-csr", "gw1.csr", "-certout", "by-cmp.crt"];
    let all: Vec<&str> = fixed.iter().copied().chain(secret.iter().map(String::as_str)).collect();
    openssl::cmp(&site.instance, &all).granted();
    // Serial, times and signature differ; all else is the same, octet for octet.
    let fields = |name: &str| {
        let text = openssl::text(&site.instance, name);
        let differs = |line: &&str| {
            let own = ["Not Before", "Not After"].iter().any(|word| line.contains(word));
            let octets =
                line.trim().bytes().all(|octet| octet == b':' || octet.is_ascii_hexdigit());
            !own && !octets
        };
        text.lines().filter(differs).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(fields("by-est.crt"), fields("by-cmp.crt"));
}

#[test]
fn a_request_may_have_to_be_bound_to_its_connection() {
    let site = Site::start_with(&[("est", "channel_binding = \"required\"")], "");
    let peer = site.instance.peer("gw1", &["fqdn:gw1.example.net"]);
    site.request("gw1", "p256", "/CN=gw1.example.net", "");
    let enrol = "/.well-known/est/simpleenroll";
    site.post_as(enrol, "gw1", &peer).is(403, &["tls-exporter", "found none"]);
    site.has_logged(&["tls-exporter"]);
    for (version, how) in [("-tls1_2", "1.2"), ("-tls1_3", "1.3")] {
        for bound in [true, false] {
            let answer = bound_request(&site, &peer, version, bound);
            let expected = if bound { "HTTP/1.1 200" } else { "HTTP/1.1 403" };
            assert!(answer.contains(expected), "TLS {how}: {answer}\n{}", site.instance.log());
        }
    }
    site.has_logged(&["another TLS connection"]);
}

/// Sends a request on a connection of `openssl s_client`, bound to that connection or to another one, and gives the answer.
fn bound_request(site: &Site, peer: &Peer, version: &str, bound: bool) -> String {
    use std::io::{BufRead, BufReader, Read, Write};
    let host = format!("localhost:{}", site.port());
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", &host, "-CAfile", &site.root(), version, "-ign_eof"])
        .args(["-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl");
    let mut said = BufReader::new(client.stdout.take().unwrap());
    let mut exported = None;
    let mut line = String::new();
    while exported.is_none() && said.read_line(&mut line).is_ok_and(|octets| octets > 0) {
        exported = line.trim().strip_prefix("Keying material: ").map(str::to_owned);
        line.clear();
    }
    let exported = exported.expect("the exported keying material");
    let mut octets = data_encoding::HEXUPPER.decode(exported.as_bytes()).expect("hexadecimal");
    if !bound {
        octets[0] ^= 1;
    }
    let config = format!(
        "[req]\nprompt = no\ndistinguished_name = dn\nattributes = at\n[dn]\nCN = gw1.example.net\n[at]\nchallengePassword = {}\n",
        BASE64.encode(&octets)
    );
    fs::write(site.instance.file("bound.cnf"), config).unwrap();
    site.openssl(&["req", "-new", "-config", "bound.cnf", "-key", "gw1.key", "-out", "bound.csr"]);
    site.in_base64("bound");
    let body = fs::read_to_string(site.instance.file("bound.b64")).unwrap();
    let request = format!(
        "POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {}\r\nContent-Type: application/pkcs10\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        BASE64.encode(userpass(peer).as_bytes()),
        body.len()
    );
    client.stdin.as_mut().unwrap().write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = said.read_to_string(&mut answer);
    let _ = client.wait();
    answer
}
