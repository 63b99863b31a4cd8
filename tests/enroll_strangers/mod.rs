//! Servers that we did not write: micromdm's SCEP server, and an EST server of Python's standard library that answers in the forms of others.

mod attacker;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::gateway::{Gateway, issue, pair, stranger};
use crate::common::{Process, tool_ok};

/// An EST server with its PKI in a folder.
struct EstServer {
    folder: tempfile::TempDir,
    url: String,
    _process: Process,
}

impl EstServer {
    /// Starts a server of this version of TLS, at the most.
    fn start(tls: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        stranger(path, "root");
        stranger(path, "public");
        // As it often is, the TLS certificate is under another root than that of the gateways.
        issue(path, "public", "tls", "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n");
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/enroll_strangers/est_server.py");
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .args(["root.crt", "root.key", "tls.crt", "tls.key", "gw", "s3cret", tls])
            .current_dir(path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test needs `python3` and `python3-cryptography`: run `make deps`");
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        assert!(!port.trim().is_empty(), "the server did not start");
        let url = format!("https://localhost:{}", port.trim());
        Self { folder, url, _process: Process(child) }
    }

    /// A gateway that enrols with this label.
    fn gateway(&self, name: &str, label: &str) -> Gateway {
        let url = match label {
            "" => self.url.clone(),
            label => format!("{}/.well-known/est/{label}", self.url),
        };
        let path = self.folder.path();
        let root = path.join("root.crt");
        let names = ["fqdn:gw1.example.net"];
        let mut gateway = Gateway::with(path, name, &url, ("gw", "s3cret"), &names, &root);
        gateway.protocol = "est".into();
        gateway
    }

    /// The option that names the root of the TLS certificate.
    fn tls(&self) -> [String; 2] {
        let file = self.folder.path().join("public.crt");
        ["--tls-trust".into(), file.to_str().unwrap().to_owned()]
    }
}

#[test]
fn each_form_of_an_answer_that_est_servers_have_is_read() {
    for version in ["1.2", "1.3"] {
        let server = EstServer::start(version);
        let [option, file] = server.tls();
        for (number, label) in ["", "der", "pem", "chunked", "date", "busy"].iter().enumerate() {
            let gateway = server.gateway(&format!("gw-{number}"), label);
            gateway.enrol(&[&option, &file]).done();
            assert!(pair(&gateway.out, "gw1.crt", "gw1.key"), "{label}");
            let verify = ["verify", "-CAfile", "root.crt", "gw1.crt"];
            tool_ok("openssl", "openssl", &verify, &gateway.out);
            // The next run finds the root of the TLS certificate in the folder, and presents the certificate.
            let told = gateway.renew(&["--now"]).done();
            assert_eq!(told["status"], "renewed", "{label}");
        }
    }
}

#[test]
fn what_an_est_server_answers_otherwise_is_said_and_not_taken() {
    let server = EstServer::start("1.3");
    let [option, file] = server.tls();
    for (label, code, words) in [
        ("forbidden", 4, &["403 Forbidden", "your secret ended; call 4711"][..]),
        ("broken", 5, &["500", "the database is away"]),
        ("moved", 5, &["302", "redirections are not followed"]),
        ("endless", 5, &["simpleenroll"]),
        ("page", 1, &["certificates", "base64"]),
        ("other", 1, &["another key than ours"]),
        ("nowhere/else", 5, &["404"]),
    ] {
        let gateway = server.gateway("gw1", label);
        let run =
            gateway.enrol(&[&option, &file, "--timeout", "10s", "--patience", "0s", "--abandon"]);
        let text = run.fails(code, words);
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(gateway.is_untouched(), "{label}");
    }
    let gateway = server.gateway("gw2", "");
    gateway.enrol(&[]).fails(1, &["TLS certificate", "--tls-trust"]);
    let gateway =
        Gateway { secret: "x".into(), reference: "other".into(), ..server.gateway("gw3", "") };
    gateway.enrol(&[&option, &file]).fails(4, &["401 Unauthorized", "realm"]);
    assert!(!gateway.out.exists());
}

#[test]
fn an_est_server_whose_answer_was_lost_gets_the_same_octets_again() {
    let server = EstServer::start("1.3");
    let [option, file] = server.tls();
    let gateway = server.gateway("gw1", "lost");
    gateway.enrol(&[&option, &file]).fails(5, &[]);
    let key = gateway.read("enrolment/pending/key.pem");
    // The server refuses any other request here.
    gateway.enrol(&[&option, &file]).done();
    assert_eq!(gateway.read("gw1.key"), key);
    // A pause that is longer than the patience is not waited for.
    let gateway = server.gateway("gw2", "pending");
    gateway.enrol(&[&option, &file]).fails(7, &["3600 s"]);
    gateway.renew(&[]).fails(7, &["3600 s"]);
}

/// micromdm's SCEP server with a CA of its own.
struct ScepServer {
    folder: tempfile::TempDir,
    port: u16,
    _process: Process,
}

impl ScepServer {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str]| {
            let mut command = Command::new("scepserver");
            command.args(arguments).current_dir(folder.path()).stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let made = run(&["ca", "-init"]).status();
        assert!(made.expect("this test needs the package `scep`: run `make deps`").success());
        // It takes no port 0, so one that is free a moment before.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = port.to_string();
        let child =
            run(&["-depot", "depot", "-port", &text, "-challenge", "s3cret", "-allowrenew", "0"]);
        let process = Process({ child }.spawn().unwrap());
        crate::common::wait_for("the SCEP server", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { folder, port, _process: process }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("depot/ca.pem")
    }
}

#[test]
fn micromdms_scep_server_answers_with_old_algorithms_and_that_is_said() {
    let server = ScepServer::start();
    let url = format!("http://127.0.0.1:{}/scep", server.port);
    let path = server.folder.path();
    let names = ["fqdn:gw1.example.net"];
    let mut gateway =
        Gateway::with(path, "gw1", &url, ("unused", "s3cret"), &names, &server.root());
    gateway.protocol = "scep".into();
    let root = server.root();
    let arguments = |secret: &str| {
        let file = path.join(secret);
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        [
            "--protocol",
            "scep",
            "--server",
            &url,
            "--trust",
            &text(&root),
            "--secret-file",
            &text(&file),
        ]
        .map(str::to_owned)
        .into_iter()
        .chain(["--id".to_owned(), names[0].to_owned()])
        .collect::<Vec<String>>()
    };
    let run = |secret: &str| {
        let all = arguments(secret);
        gateway.run(&all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    run("gw1.secret").fails(1, &["SHA-1"]);
    assert!(gateway.is_untouched());
}
