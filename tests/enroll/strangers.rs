//! Enrolment at a server that we did not write: `openssl cmp` with `-port`. It answers every request with one given certificate, so that
//! each gateway here has its key beforehand.

use std::path::Path;

use super::mock::Mock;
use super::{Gateway, Run, issue, pair, private, stranger};

/// The extensions of a gateway's certificate.
const NAMES: &str = "subjectAltName=DNS:gw1.example.net\nkeyUsage=digitalSignature\n";
/// The extensions of a server's certificate.
const SERVER: &str = "keyUsage=digitalSignature\nextendedKeyUsage=1.3.6.1.5.5.7.3.27\n";

/// A root, a gateway's certificate and key, and those of the servers and vendors.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        stranger(path, "root");
        stranger(path, "vendor");
        stranger(path, "foreign");
        issue(path, "root", "gw1.example.net", NAMES);
        issue(path, "root", "other", NAMES);
        issue(path, "vendor", "device", "keyUsage=digitalSignature\n");
        issue(path, "root", "server", SERVER);
        issue(path, "root", "plain", "keyUsage=digitalSignature\n");
        issue(
            path,
            "root",
            "mute",
            "keyUsage=keyEncipherment\nextendedKeyUsage=1.3.6.1.5.5.7.3.27\n",
        );
        issue(path, "foreign", "intruder", SERVER);
        // The gateway's own key, certified by somebody else.
        let key = [
            "req",
            "-new",
            "-key",
            "gw1.example.net.key",
            "-subj",
            "/CN=gw1.example.net",
            "-out",
            "foreign.csr",
        ];
        crate::common::tool_ok("openssl", "openssl", &key, path);
        let sign = [
            "x509",
            "-req",
            "-in",
            "foreign.csr",
            "-CA",
            "foreign.crt",
            "-CAkey",
            "foreign.key",
            "-CAcreateserial",
            "-days",
            "20",
            "-extfile",
            "gw1.example.net.ext",
            "-out",
            "gw1-foreign.crt",
        ];
        crate::common::tool_ok("openssl", "openssl", &sign, path);
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn gateway(&self, mock: &Mock) -> Gateway {
        let root = self.path().join("root.crt");
        Gateway::with(
            self.path(),
            "gw1",
            &mock.url,
            ("ref-1", "s3cret"),
            &["fqdn:gw1.example.net"],
            &root,
        )
    }

    /// A server that shares the secret.
    fn mac(&self, more: &[&str]) -> Mock {
        let mut all = vec!["-srv_ref", "ref-1", "-srv_secret", "pass:s3cret"];
        if !more.contains(&"-rsp_cert") {
            all.extend(["-rsp_cert", "gw1.example.net.crt"]);
        }
        all.extend(more);
        Mock::start(self.path(), &all)
    }

    /// A server that signs with this certificate, and knows the vendor's devices.
    fn signing(&self, name: &str) -> Mock {
        let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
        let all = [
            "-srv_cert",
            &certificate,
            "-srv_key",
            &key,
            "-srv_trusted",
            "vendor.crt",
            "-rsp_cert",
            "gw1.example.net.crt",
        ];
        Mock::start(self.path(), &all)
    }
}

fn enrol(gateway: &Gateway, more: &[&str]) -> Run {
    gateway.enrol(&[&["--key", "gw1.example.net.key"], more].concat())
}

/// Enrols with the device's certificate.
fn enrol_device(gateway: &Gateway, more: &[&str]) -> Run {
    let fixed = [
        "--server",
        &gateway.url,
        "--trust",
        "root.crt",
        "--certificate",
        "device.crt",
        "--certificate-key",
        "device.key",
        "--extra-certs",
        "vendor.crt",
        "--id",
        "fqdn:gw1.example.net",
        "--key",
        "gw1.example.net.key",
    ];
    gateway.run(&[&fixed, more].concat())
}

#[test]
fn openssls_server_enrols_waits_tells_and_revokes() {
    let site = Site::new();
    // A CA that decides slowly: the first run loses its patience, a later one goes on with the transaction.
    let mock = site.mac(&["-poll_count", "3", "-check_after", "1"]);
    let gateway = site.gateway(&mock);
    enrol(&gateway, &["--patience", "0s"]).fails(7, &["has not decided"]);
    assert!(gateway.is_untouched());
    assert!(gateway.read("enrolment/pending/transaction.toml").contains("state = \"waiting\""));
    enrol(&gateway, &["--id", "fqdn:gw9.example.net"]).fails(3, &["--abandon"]);
    gateway.renew(&["--patience", "60s"]).done();
    assert!(pair(&gateway.out, "gw1.crt", "gw1.key"));
    drop(mock);
    // In one run, by PBMAC1 where OpenSSL knows it no more than it must.
    for more in [&["-grant_implicitconf"][..], &[]] {
        let mock = site.mac(more);
        let mut gateway = site.gateway(&mock);
        gateway.out = site.path().join(format!("gw1-{}", more.len()));
        private(&site.path().join(format!("gw1-{}.secret", more.len())), "s3cret");
        enrol(&gateway, &["--implicit-confirm", "--mac-iterations", "500"]).done();
        assert!(pair(&gateway.out, "gw1.crt", "gw1.key"));
    }
}

#[test]
fn grants_with_modifications_are_told() {
    let site = Site::new();
    let mock = site.mac(&["-pkistatus", "1", "-statusstring", "another validity"]);
    let told = enrol(&site.gateway(&mock), &[]).done();
    assert!(told["changes"].to_string().contains("another validity"), "{told}");
}

#[test]
fn every_lie_and_refusal_of_openssls_server_leaves_nothing() {
    let site = Site::new();
    for (switches, code, words) in [
        (&["-send_error"][..], 4, &["refused"][..]),
        (
            &["-pkistatus", "2", "-failure", "9", "-statusstring", "not today"],
            4,
            &["badPOP", "not today"],
        ),
        (&["-send_unprotected"], 1, &["not protected"]),
        (&["-pkistatus", "2", "-failure", "2", "-send_unprot_err"], 1, &["not protected"]),
        (&["-rsp_cert", "other.crt"], 1, &["another key"]),
        (&["-rsp_cert", "gw1-foreign.crt"], 1, &["trust anchor"]),
        (&["-rsp_cert", "gw1-foreign.crt", "-rsp_capubs", "foreign.crt"], 1, &["trust anchor"]),
    ] {
        let mock = site.mac(switches);
        let gateway = site.gateway(&mock);
        let text = enrol(&gateway, &[]).fails(code, words);
        assert!(gateway.is_untouched(), "{switches:?}: {text}");
        let _ = std::fs::remove_dir_all(&gateway.out);
    }
    // A server that does not know the secret, and takes anything.
    let all = [
        "-srv_ref",
        "ref-1",
        "-srv_secret",
        "pass:guess",
        "-accept_unprotected",
        "-rsp_cert",
        "gw1.example.net.crt",
    ];
    let mock = Mock::start(site.path(), &all);
    let gateway = site.gateway(&mock);
    enrol(&gateway, &[]).fails(1, &["MAC is wrong"]);
    assert!(gateway.is_untouched());
    // A name that the certificate lacks.
    let _ = std::fs::remove_dir_all(&gateway.out);
    let mock = site.mac(&[]);
    let gateway = site.gateway(&mock);
    enrol(&gateway, &["--id", "fqdn:gw2.example.net"])
        .fails(1, &["lacks the name", "gw2.example.net"]);
    assert!(!gateway.out.exists());
}

#[test]
fn only_who_may_sign_for_the_ca_signs_an_answer() {
    let site = Site::new();
    for (signer, word) in
        [("plain", "cmcCA"), ("mute", "digitalSignature"), ("intruder", "trust anchor")]
    {
        let mock = site.signing(signer);
        let gateway = site.gateway(&mock);
        enrol_device(&gateway, &[]).fails(1, &[word]);
        assert!(gateway.is_untouched(), "{signer}");
        let _ = std::fs::remove_dir_all(&gateway.out);
    }
    let mock = site.signing("plain");
    let gateway = site.gateway(&mock);
    enrol_device(&gateway, &["--signer", "plain.crt"]).done();
    std::fs::remove_dir_all(&gateway.out).unwrap();
    // A secret is no use against a MAC that nobody asked for.
    let mock = site.mac(&["-accept_unprotected"]);
    let gateway = site.gateway(&mock);
    enrol_device(&gateway, &[]).fails(1, &["the request was signed"]);
    assert!(gateway.is_untouched());
    let _ = std::fs::remove_dir_all(&gateway.out);
    // With the key purpose it does for a first enrolment by the vendor's certificate.
    let mock = site.signing("server");
    let gateway = site.gateway(&mock);
    enrol_device(&gateway, &[]).done();
    assert!(pair(&gateway.out, "gw1.crt", "gw1.key"));
    drop(mock);
    // What follows is signed with the certificate that came. This server has no other to give, and it is for the old key.
    let mock = Mock::start(
        site.path(),
        &[
            "-srv_cert",
            "server.crt",
            "-srv_key",
            "server.key",
            "-srv_trusted",
            "root.crt",
            "-rsp_cert",
            "gw1.example.net.crt",
        ],
    );
    let before = gateway.read("gw1.crt");
    gateway.renew(&["--now", "--server", &mock.url]).fails(1, &["another key"]);
    assert_eq!(gateway.read("gw1.crt"), before);
    let told = gateway.run(&["--info", "caCerts", "--server", &mock.url]).done();
    assert_eq!(told["caCerts"].as_array().map(Vec::len), Some(0), "{told}");
    let told =
        gateway.run(&["--revoke", "--reason", "keyCompromise", "--server", &mock.url]).done();
    assert_eq!(told["status"], "revoked", "{told}");
}
