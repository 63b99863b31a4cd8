//! A Countersign on the test's network, the certificates of the gateways, and the source from which gateways learn of revocations.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::namespaces::SERVER;
use super::slapd::{Slapd, fetch_crl};
use super::{run, wait_for};
use crate::common::openssl::{enrol, key};
use crate::common::{COUNTERSIGN, Instance};

/// The source of status that a certificate names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A CRL, from the server over HTTP.
    CrlHttp,
    /// A CRL, from OpenLDAP's server.
    CrlSlapd,
    /// A CRL, from the server's own directory.
    CrlDirectory,
    /// OCSP, from the server.
    Ocsp,
}

impl Source {
    /// The URL in the certificates.
    pub fn url(self) -> String {
        match self {
            Self::CrlHttp => format!("http://{SERVER}:{PORT}/crl/issuing.crl"),
            Self::CrlSlapd => Slapd::url("issuing"),
            Self::CrlDirectory => format!(
                "ldap://{DIRECTORY}/cn=issuing,o=Countersign?certificateRevocationList;binary?base"
            ),
            Self::Ocsp => format!("http://{SERVER}:{PORT}/ocsp"),
        }
    }

    /// Whether it is a CRL.
    pub fn is_crl(self) -> bool {
        self != Self::Ocsp
    }

    /// A configuration with which certificates of peers name only this source.
    fn config(self) -> String {
        let named = format!("[\"{}\"]", self.url());
        let (crl, ocsp) = if self.is_crl() { (&*named, "[]") } else { ("[]", &*named) };
        format!(
            "[http]\npublic_url = \"http://{SERVER}:{PORT}\"\n[ldap]\nlisten = \"{DIRECTORY}\"\n\
             [profiles.gateway]\ncrl_urls = {crl}\nocsp_urls = {ocsp}\n"
        )
    }
}

/// The server's address. Only the test is on this network.
const PORT: u16 = 8829;

/// The address of its directory.
const DIRECTORY: &str = "10.9.0.1:8389";

/// A peer's certificate and key, PEM.
pub struct Credentials {
    /// The identity: a name in the DNS.
    pub id: String,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Credentials {
    /// The first label of the identity.
    pub fn name(&self) -> &str {
        self.id.split('.').next().unwrap_or(&self.id)
    }
}

/// The servers.
pub struct Site {
    pub instance: Instance,
    server: Child,
    source: Source,
    slapd: Option<Slapd>,
}

impl Site {
    /// Founds a Countersign whose certificates name this source, and starts the servers.
    pub fn start(source: Source) -> Self {
        Self::start_with(source, "", "")
    }

    /// As [`Self::start`], with further sections in the configuration, in which `FOLDER` is the test's, and a KeyNote policy in the
    /// file `policy`.
    pub fn start_with(source: Source, sections: &str, policy: &str) -> Self {
        let mut instance = Instance::empty();
        fs::create_dir(instance.data()).expect("a folder");
        let config = format!(
            "{}{}",
            source.config(),
            sections.replace("FOLDER", instance.file(".").to_str().expect("UTF-8"))
        );
        fs::write(instance.data().join("countersign.toml"), config).expect("a file");
        fs::write(instance.file("policy"), policy).expect("a file");
        instance.ok(&["init"]);
        instance.address = format!("{SERVER}:{PORT}");
        let log = fs::File::create(instance.file("server.log")).expect("a log");
        let server = Command::new(COUNTERSIGN)
            .args(["serve", "--listen", &instance.address, "--data"])
            .arg(instance.data())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        wait_for(
            "the server's start",
            || instance.log(),
            || {
                instance
                    .http("GET", "/healthz", "", &[])
                    .is_ok_and(|a| a.status == 200)
                    .then_some(())
            },
        );
        let slapd = (source == Source::CrlSlapd).then(|| Slapd::start(&instance.file("slapd")));
        let site = Self { instance, server, source, slapd };
        site.publish();
        let published = || site.crl_text().map(drop);
        wait_for("the publication of the first CRL", || site.instance.log(), published);
        site
    }

    /// Enrols the peer `name` over CMP, with a key of this kind.
    pub fn enrol(&self, name: &str, kind: &str) -> Credentials {
        self.enrol_as(name, &format!("fqdn:{name}.example.net"), kind)
    }

    /// As [`Self::enrol`], with another identity.
    pub fn enrol_as(&self, name: &str, id: &str, kind: &str) -> Credentials {
        let key = key(&self.instance, kind, &format!("{name}.key"));
        let peer = self.instance.peer(name, &[id]);
        let id = id.split_once(':').map_or(id, |(_, value)| value).to_owned();
        enrol(&self.instance, &peer, key.to_str().expect("UTF-8"), &[]).granted();
        Credentials { id, certificate: self.instance.file(&format!("{name}.crt")), key }
    }

    /// Revokes the peer's certificate, and waits until the source shows it.
    pub fn revoke(&self, name: &str) {
        let shown = self.instance.certificates(name)[0]["serial"].clone();
        let shown = shown.as_str().expect("a serial");
        self.instance.ok(&["cert", "revoke", shown, "--reason", "keyCompromise"]);
        // OpenSSL shows no leading zero octets.
        let serial = shown.trim_start_matches('0').to_uppercase();
        let listed = || self.crl_text().filter(|text| text.contains(&serial));
        wait_for("the revocation in the CRL", || format!("{:?}", self.crl_text()), listed);
        self.publish();
    }

    /// The certificate of a CA, PEM.
    pub fn ca(&self, name: &str) -> PathBuf {
        self.instance.data().join(format!("keys/{name}.crt"))
    }

    /// A file with the CRL that the server has for a CA, DER.
    pub fn crl(&self, ca: &str) -> PathBuf {
        let answer = self.instance.http("GET", &format!("/crl/{ca}.crl"), "", &[]).expect("a CRL");
        assert_eq!(answer.status, 200, "the CRL of `{ca}`");
        let path = self.instance.file(&format!("{ca}.crl"));
        fs::write(&path, answer.body).expect("a file");
        path
    }

    /// The issuing CA's CRL as text, from the built-in directory if that is the source; `None` if there is none yet.
    fn crl_text(&self) -> Option<String> {
        let path = match self.source {
            Source::CrlDirectory => {
                let path = self.instance.file("directory.crl");
                fetch_crl(DIRECTORY, "cn=issuing,o=Countersign", &path).then_some(path)?
            }
            _ => self.crl("issuing"),
        };
        let mut openssl = Command::new("openssl");
        Some(run(openssl.args(["crl", "-inform", "DER", "-noout", "-text", "-in"]).arg(path)))
    }

    fn publish(&self) {
        if let Some(slapd) = &self.slapd {
            slapd.publish("issuing", &self.crl("issuing"));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
