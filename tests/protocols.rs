//! One account, key and set of names over CMP, EST and SCEP: the certificates are equal but for the serial number, the times and the signature.
//! The requests are those of OpenSSL and curl; the certificates are compared octet by octet here, and field by field by Python's `cryptography`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::der::{Element, elements};
use common::scep::{Client, Draft, ENABLED, RENEWAL, REQUEST, fetch_certificates};
use common::{Instance, Peer, openssl, tool_ok};
use data_encoding::BASE64;
use serde_json::Value;

/// A profile that is as unlike the built-in one as it can be, and shows what a protocol might lose.
const PROFILE: &str = r#"
[profiles.several]
validity = "45d"
subject = "CN={id},O=Example,C=NZ"
key_usage = ["digitalSignature", "nonRepudiation"]
extended_key_usage = ["ipsecIKE", "iKEIntermediate", "1.3.6.1.4.1.99999.7"]
crl_urls = ["http://pki.example.net/crl/{ca}.crl", "ldap://ldap.example.net/cn={ca}?certificateRevocationList?base"]
ocsp_urls = ["http://pki.example.net/ocsp"]
ca_issuers_urls = ["http://pki.example.net/ca/{ca}.cer"]
policies = [{ oid = "1.3.6.1.4.1.99999.1", cps = "http://pki.example.net/cps" }]
"#;

const IDENTITIES: [&str; 5] = [
    "fqdn:gw1.example.net",
    "fqdn:gw1.example.org",
    "ip:192.0.2.1",
    "ip:2001:db8::1",
    "email:gw1@example.net",
];

/// The same names, as OpenSSL writes them in a request.
const ALT_NAME: &str =
    "DNS:gw1.example.net,DNS:gw1.example.org,IP:192.0.2.1,IP:2001:db8::1,email:gw1@example.net";

/// The common name, and a line that a device adds by itself: the profile's subject comes in its place.
const SUBJECT: &str = "gw1.example.net\nO=Vendor";

struct Site {
    instance: Instance,
    peer: Peer,
    profile: &'static str,
}

impl Site {
    fn start(profile: &'static str) -> Self {
        let lines = [ENABLED, ("est", "listen = \"127.0.0.1:0\"")];
        let instance = Instance::start_with_profile(&lines, PROFILE);
        fetch_certificates(&instance, "/scep");
        let peer = instance.peer_with("gw1", &IDENTITIES, &["--uses", "100", "--profile", profile]);
        Self { instance, peer, profile }
    }

    fn challenge(&self) -> String {
        format!("{}:{}", self.peer.reference, self.peer.secret)
    }

    /// A client with a key of this kind, `NAME.key`, and a certificate that it made itself, `NAME.crt`.
    fn client(&self, name: &str, kind: &str) -> Client<'_> {
        openssl::key(&self.instance, kind, &format!("{name}.key"));
        let client = Client { instance: &self.instance, name: name.to_owned() };
        client.openssl("req -x509 -new -key NAME.key -subj /CN=NAME -days 2 -out NAME.crt");
        client
    }

    /// The certificate that `openssl cmp` gets with these arguments and this protection.
    #[track_caller]
    fn cmp(&self, arguments: &str, protection: &[&str]) -> Vec<u8> {
        let fixed = arguments.split(' ').chain(["-certout", "by-cmp.crt"]);
        let all: Vec<&str> = fixed.chain(protection.iter().copied()).collect();
        openssl::cmp(&self.instance, &all).granted();
        self.der("by-cmp.crt")
    }

    /// The same, protected by the account's secret.
    #[track_caller]
    fn cmp_by_secret(&self, arguments: &str) -> Vec<u8> {
        let secret = openssl::by_secret(&self.peer);
        let secret: Vec<&str> = secret.iter().map(String::as_str).collect();
        self.cmp(arguments, &secret)
    }

    /// The certificate that an EST server gives to curl, which authenticates itself so.
    #[track_caller]
    fn est(&self, operation: &str, csr: &[u8], by: &[&str]) -> Vec<u8> {
        fs::write(self.instance.file("body"), BASE64.encode(csr)).unwrap();
        let url = fs::read_to_string(self.instance.data().join("listen.est")).unwrap();
        let port = url.trim().rsplit(':').next().unwrap();
        let url = format!("https://localhost:{port}/.well-known/est/{}/{operation}", self.profile);
        let root = self.instance.root();
        let fixed = [
            "-sS",
            "--fail-with-body",
            "--cacert",
            root.to_str().unwrap(),
            "--data-binary",
            "@body",
        ];
        let header = ["-H", "Content-Type: application/pkcs10", &url];
        let all = [&fixed[..], &header, by].concat();
        let answer = tool_ok("curl", "curl", &all, &self.instance.file("."));
        let text: String = answer.split_whitespace().collect();
        fs::write(self.instance.file("answer.p7"), BASE64.decode(text.as_bytes()).unwrap())
            .unwrap();
        common::cms::openssl(
            &self.instance,
            "pkcs7 -inform DER -in answer.p7 -print_certs -out by-est.crt",
        );
        self.der("by-est.crt")
    }

    fn der(&self, file: &str) -> Vec<u8> {
        common::cms::openssl(&self.instance, &format!("x509 -in {file} -outform DER -out one.der"));
        fs::read(self.instance.file("one.der")).unwrap()
    }

    /// Asserts that these certificates differ only in what must differ, and have the names that were asked for.
    #[track_caller]
    fn are_equal(&self, certificates: &[(&str, Vec<u8>)]) {
        let of = |which: usize| fields(&certificates[which].1);
        let first = of(0);
        assert_eq!(first.len(), NAMES.len());
        for (which, (protocol, _)) in certificates.iter().enumerate().skip(1) {
            let other = of(which);
            assert_eq!(other.len(), first.len(), "{protocol}");
            for ((name, one), other) in NAMES.into_iter().zip(&first).zip(&other) {
                match name {
                    "serialNumber" => assert_ne!(one.whole, other.whole, "{protocol}"),
                    "validity" => {}
                    _ => assert_eq!(one.whole, other.whole, "{protocol}: {name}"),
                }
            }
        }
        // A stranger's reading, which does not depend on how a field is encoded.
        let files: Vec<String> = certificates
            .iter()
            .enumerate()
            .map(|(n, (_, der))| {
                let file = format!("{n}.der");
                fs::write(self.instance.file(&file), der).unwrap();
                file
            })
            .collect();
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/protocols/fields.py");
        let all: Vec<&str> =
            [program].into_iter().chain(files.iter().map(String::as_str)).collect();
        // Debian's own Python, for which `make deps` installs the package.
        let said =
            tool_ok("/usr/bin/python3", "python3-cryptography", &all, &self.instance.file("."));
        let read: Vec<Value> = serde_json::from_str(&said).expect("JSON");
        let serials: BTreeSet<&str> =
            read.iter().map(|one| one["serial"].as_str().expect("a serial")).collect();
        assert_eq!(serials.len(), certificates.len(), "one serial number each");
        for (one, (protocol, _)) in read.iter().zip(certificates) {
            for (field, value) in one.as_object().expect("an object") {
                if field != "serial" {
                    assert_eq!(*value, read[0][field], "{protocol}: {field}");
                }
            }
        }
        let names = serde_json::json!([
            "DNSName:gw1.example.net",
            "DNSName:gw1.example.org",
            "IPAddress:192.0.2.1",
            "IPAddress:2001:db8::1",
            "RFC822Name:gw1@example.net"
        ]);
        let asked: BTreeSet<String> =
            names.as_array().unwrap().iter().map(Value::to_string).collect();
        let found = read[0]["names"].as_array().expect("names");
        assert_eq!(found.iter().map(Value::to_string).collect::<BTreeSet<_>>(), asked);
        let (subject, days) = match self.profile {
            "several" => ("CN=gw1.example.net,O=Example,C=NZ", 45.0),
            _ => ("CN=gw1.example.net", 90.0),
        };
        assert_eq!(read[0]["subject"], subject);
        // It begins a minute before it is issued, for clocks that are slow.
        assert_eq!(read[0]["validity in seconds"], days * 86_400.0 + 60.0);
        // Each verifies up to the root.
        for file in &files {
            common::cms::openssl(
                &self.instance,
                &format!("x509 -inform DER -in {file} -out one.crt"),
            );
            common::cms::openssl(
                &self.instance,
                "verify -CAfile data/keys/root.crt -untrusted data/keys/issuing.crt one.crt",
            );
        }
    }
}

/// The fields of a TBSCertificate (RFC 5280 §4.1) as the authority fills them.
const NAMES: [&str; 8] = [
    "version",
    "serialNumber",
    "signature",
    "issuer",
    "validity",
    "subject",
    "subjectPublicKeyInfo",
    "extensions",
];

fn fields(certificate: &[u8]) -> Vec<Element> {
    elements(certificate)[0].parts()[0].parts()
}

/// Enrols over each protocol with one key, renews with another one, and compares.
fn enrols_and_renews(profile: &'static str, kind: &str) {
    let site = Site::start(profile);
    let (client, next) = (site.client("gw1", kind), site.client("next", kind));
    let csr = client.csr(SUBJECT, ALT_NAME, "");
    let userpass = site.challenge();
    let mut enrolled = vec![
        ("CMP p10cr", site.cmp_by_secret("-cmd p10cr -csr gw1.csr")),
        (
            "CMP ir",
            site.cmp_by_secret(
                "-config req.cnf -reqexts extensions -cmd ir -newkey gw1.key -subject /CN=gw1.example.net/O=Vendor",
            ),
        ),
        ("EST", site.est("simpleenroll", &csr, &["-u", &userpass])),
    ];
    let by_scep = kind.starts_with("rsa");
    if by_scep {
        let csr = client.csr(SUBJECT, ALT_NAME, &userpass);
        let message = client.message(&Draft::new(REQUEST, "A1", csr));
        let answer = client.send_to(&format!("/scep/{profile}"), &message);
        enrolled.push(("SCEP", client.certificates(&answer).remove(0)));
    }
    site.are_equal(&enrolled);

    // The certificate by CMP renews over each protocol.
    fs::write(site.instance.file("old.der"), &enrolled[0].1).unwrap();
    client.openssl("x509 -inform DER -in old.der -out NAME.crt");
    let csr = next.csr(SUBJECT, ALT_NAME, "");
    let by = ["-cert", "gw1.crt", "-key", "gw1.key"];
    let mut renewed = vec![
        ("CMP kur", site.cmp("-cmd kur -newkey next.key", &by)),
        ("EST", site.est("simplereenroll", &csr, &["--cert", "gw1.crt", "--key", "gw1.key"])),
    ];
    if by_scep {
        let message = client.message(&Draft::new(RENEWAL, "A2", csr));
        let answer = client.send_to(&format!("/scep/{profile}"), &message);
        renewed.push(("SCEP", client.certificates(&answer).remove(0)));
    }
    for (_, certificate) in &renewed {
        // Names and extensions are those of the first one; the key, and so its identifier, are others.
        let (old, new) = (fields(&enrolled[0].1), fields(certificate));
        assert_eq!(old[5].whole, new[5].whole, "subject");
        assert_ne!(old[6].whole, new[6].whole, "subjectPublicKeyInfo");
    }
    site.are_equal(&renewed);
    site.instance.ok(&["audit", "verify"]);
}

#[test]
fn an_rsa_key_with_several_names_has_one_certificate_over_three_protocols() {
    enrols_and_renews("several", "rsa2048");
}

#[test]
fn a_p256_key_with_several_names_has_one_certificate_over_cmp_and_est() {
    enrols_and_renews("several", "p256");
}

#[test]
fn the_built_in_profile_has_one_certificate_over_three_protocols() {
    enrols_and_renews("gateway", "rsa3072");
}
