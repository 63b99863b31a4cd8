//! The TLS of EST: `openssl s_client` says what it is, whose certificate the server presents, and to which connection a request is bound.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::fs;
use std::process::{Command, Stdio};

use common::est::{Site, userpass};
use common::vendor::Pki;
use common::{Answer, Instance, Peer, tool, tool_ok, wait_for};
use data_encoding::BASE64;

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
