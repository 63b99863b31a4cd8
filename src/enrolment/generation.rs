//! A generation: one certificate with its key and the CA certificates above it, for the next renewal and for the daemon.

use std::time::Duration;

use countersign_ca::x509::Facts;
use countersign_ca::{FileKey, Timestamp};
use countersign_enroll::client::Issued;
use countersign_ike_plugin::gateway::{Files, Material, NamedCa, PrivateKey, credentials};
use sha2::{Digest, Sha256};

use super::folder::{Folder, add_daemon_files, pem};
use super::material::{certificates, key_from_pem, key_pem};
use super::settings::Settings;
use crate::exit::Failure;

/// The certificate in force, with its key.
pub struct Present {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// The CA certificates above the certificate, DER.
    pub chain: Vec<Vec<u8>>,
    /// The private key of the certificate.
    pub key: FileKey,
    /// The decoded fields of the certificate.
    pub facts: Facts,
}

impl Present {
    /// When to renew the certificate: `before` its end; if `None`, when two thirds of its validity are over.
    pub fn renew_at(&self, before: Option<Duration>) -> Timestamp {
        renew_at(&self.facts, before)
    }
}

/// When to renew a certificate: `before` its end; if `None`, when two thirds of its validity are over.
pub fn renew_at(facts: &Facts, before: Option<Duration>) -> Timestamp {
    let third = facts.not_after.since(facts.not_before) / 3;
    facts.not_after.minus(before.unwrap_or(third))
}

impl Folder {
    /// The certificate in force; `None` before the first enrolment.
    pub fn present(&self) -> Result<Option<Present>, Failure> {
        let Some(name) = self.current() else { return Ok(None) };
        let folder = self.own("generations").join(name);
        let mut list = certificates(&folder.join("certificate.pem"))?.into_iter();
        let certificate = list.next().ok_or_else(|| {
            Failure::unavailable(format!("`{}` has no certificate", folder.display()))
        })?;
        let facts = Facts::of(&certificate)?;
        let key = key_from_pem(&folder.join("key.pem"))?;
        Ok(Some(Present { certificate, chain: list.collect(), key, facts }))
    }
}

/// The name of a generation: the notBefore of its certificate, and the first 12 hexadecimal digits of the certificate's SHA-256 hash. Names
/// sort by notBefore.
pub fn name(issued: &Issued) -> Result<String, Failure> {
    let from = Facts::of(&issued.certificate)?.not_before.to_string();
    let from: String = from.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let hash = Sha256::digest(&issued.certificate);
    let hash = data_encoding::HEXLOWER.encode(hash.get(..6).unwrap_or_default());
    Ok(format!("{from}-{hash}"))
}

/// The files of a generation: the certificate with the CA certificates above it, its key, and the daemon's files.
pub fn compose(settings: &Settings, issued: &Issued, key: &FileKey) -> Result<Files, Failure> {
    let failed = |e: countersign_ike_plugin::gateway::GatewayError| Failure::input(e.to_string());
    let key = key_pem(key)?;
    let (anchor, between) = match issued.path.split_last() {
        Some((anchor, between)) => (Some(anchor), between),
        None => (None, &[][..]),
    };
    // The anchor of this certificate comes first.
    let others = issued.anchors.iter().filter(|other| Some(*other) != anchor);
    let roots = named(&settings.name, "root", anchor.into_iter().chain(others));
    let material = Material {
        certificate: issued.certificate.clone(),
        chain: named(&settings.name, "ca", between.iter()),
        roots,
        crls: Vec::new(),
        is_revoked: false,
    };
    let private = PrivateKey::from_pem(&key).map_err(failed)?;
    let daemon = credentials(settings.layout()?, &settings.name, &material, &private);
    let mut files = Files::default();
    let chain: Vec<Vec<u8>> =
        std::iter::once(&issued.certificate).chain(between).cloned().collect();
    files.add("certificate.pem", pem(&chain)?);
    files.add_secret("key.pem", key.as_bytes());
    add_daemon_files(&mut files, &daemon.map_err(failed)?);
    Ok(files)
}

/// Gives CA certificates names such as `gw1-root1`. They contain the gateway's name, so that no other gateway's files have them.
fn named<'c>(gateway: &str, what: &str, all: impl Iterator<Item = &'c Vec<u8>>) -> Vec<NamedCa> {
    let name = |number: usize| format!("{gateway}-{what}{number}");
    (1..).zip(all).map(|(number, der)| NamedCa { name: name(number), der: der.clone() }).collect()
}
