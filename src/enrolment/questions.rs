//! `countersign enroll --revoke` and `--info`: the gateway requests a revocation, or queries the CA.

use std::path::Path;
use std::{fs, io};

use countersign_ca::record::Reason;
use countersign_ca::x509::{Facts, to_pem};
use countersign_enroll::client::Credential;
use countersign_enroll::cmp::client::{Client, Information, RootUpdate};
use data_encoding::{BASE64, HEXLOWER};
use der::Encode;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::folder::{Folder, Phase, failure_at, write_over};
use super::peer::{Peer, Trust};
use super::settings::{Overrides, Protocol, Settings};
use crate::exit::Failure;

/// The sender of a query or of a revocation request.
pub struct Source {
    peer: Peer,
    /// The certificate that the gateway signs with, DER; `None` if a secret protects its messages.
    certificate: Option<Vec<u8>>,
    /// Its trust anchors, DER.
    roots: Vec<Vec<u8>>,
    _folder: Option<Folder>,
}

impl Source {
    /// The gateway whose enrolment is in a folder.
    pub fn enrolled(out: &Path, overrides: &Overrides) -> Result<Self, Failure> {
        let folder = Folder::open(out)?;
        let missing =
            || Failure::missing(format!("`{}` has no certificate yet", folder.path().display()));
        let settings = folder.settings(Phase::Finished)?.ok_or_else(missing)?.with(overrides);
        let present = folder.present()?.ok_or_else(missing)?;
        require_cmp(&settings)?;
        let trust = folder.trust(Phase::Finished)?;
        let roots = trust.anchors.known().to_vec();
        let peer = Peer::new(&settings, present.credential()?, trust)?;
        Ok(Self { peer, certificate: Some(present.certificate), roots, _folder: Some(folder) })
    }

    /// A gateway that the command line describes.
    pub fn given(settings: &Settings, trust: Trust) -> Result<Self, Failure> {
        require_cmp(settings)?;
        let credential = settings.first.credential()?;
        let certificate = match &credential {
            Credential::Certificate { certificate, .. } => Some(certificate.clone()),
            Credential::Secret { .. } => None,
        };
        let roots = trust.anchors.known().to_vec();
        let peer = Peer::new(settings, credential, trust)?;
        Ok(Self { peer, certificate, roots, _folder: None })
    }
}

/// Refuses protocols that have neither a request for a revocation nor the questions of CMP.
fn require_cmp(settings: &Settings) -> Result<(), Failure> {
    match settings.protocol {
        Protocol::Cmp => Ok(()),
        other => Err(Failure::input(format!(
            "expected an enrolment over CMP, because {} has no messages for `--revoke` and `--info`; ask the CA's operator, or enrol \
             over CMP",
            other.name()
        ))),
    }
}

/// A file to write, by name and content.
struct SavedFile {
    name: String,
    content: String,
}

/// Requests the revocation of the gateway's certificate.
pub fn revoke(source: &Source, reason: Reason) -> Result<Value, Failure> {
    let certificate = source.certificate.as_ref().ok_or_else(|| {
        Failure::input("expected the certificate to revoke: `--out`, or `--certificate` with `--certificate-key`")
    })?;
    source.peer.cmp()?.revoke(certificate, reason)?;
    let facts = Facts::of(certificate)?;
    Ok(json!({
        "status": "revoked",
        "subject": facts.subject.to_string(),
        "serial": facts.serial_text(),
        "reason": reason.name(),
    }))
}

/// Queries the CA for each kind of information in turn. Certificates and CRLs in caCerts, currentCRL and rootCaUpdate are also written to
/// the folder `save`.
pub fn query(
    source: &Source,
    kinds: &[Information],
    save: Option<&Path>,
) -> Result<Value, Failure> {
    let client = source.peer.cmp()?;
    let mut answers = Map::new();
    let mut files: Vec<SavedFile> = Vec::new();
    for &kind in kinds {
        let value = match kind {
            Information::CaCerts => {
                let list = client.ca_certificates()?;
                let pem = list.iter().map(|der| to_pem("CERTIFICATE", der));
                files.push(SavedFile {
                    name: "caCerts.pem".into(),
                    content: pem.collect::<Result<String, _>>()?,
                });
                list.iter().map(|der| certificate(der)).collect::<Result<_, _>>()?
            }
            Information::CurrentCrl => match client.current_crl()? {
                None => Value::Null,
                Some(der) => {
                    files.push(SavedFile {
                        name: "currentCRL.pem".into(),
                        content: to_pem("X509 CRL", &der)?,
                    });
                    crl(&der)?
                }
            },
            Information::RootCaUpdate => root_update(&client, &source.roots, &mut files)?,
            Information::CertReqTemplate => client
                .template()?
                .map_or(Value::Null, |(subject, keys)| json!({"subject": subject, "keys": keys})),
            Information::SignKeyPairTypes | Information::EncKeyPairTypes => {
                client.key_kinds(kind)?.into()
            }
            other => match client.information(other, None)? {
                None => Value::Null,
                Some(value) => {
                    let der = value.to_der();
                    BASE64.encode(&der.map_err(|e| Failure::found(e.to_string()))?).into()
                }
            },
        };
        answers.insert(kind.name().into(), value);
    }
    if let Some(folder) = save {
        save_files(folder, &files).map_err(failure_at(folder))?;
    }
    Ok(Value::Object(answers))
}

/// Writes files, each whole or not at all, and durably.
fn save_files(folder: &Path, files: &[SavedFile]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    files.iter().try_for_each(|file| write_over(&folder.join(&file.name), file.content.as_bytes()))
}

/// The root CA update (RFC 9810 §5.3.19.15) of each trust anchor that has one, as JSON. Its certificates are added to `files`.
fn root_update(
    client: &Client<'_>,
    roots: &[Vec<u8>],
    files: &mut Vec<SavedFile>,
) -> Result<Value, Failure> {
    let mut rows = Vec::new();
    for root in roots {
        let Some(update) = client.root_update(root)? else { continue };
        let RootUpdate { new_with_new, new_with_old, old_with_new, is_vouched_for } = update;
        let all = std::iter::once(&new_with_new).chain(&new_with_old).chain(&old_with_new);
        let pem = all.map(|der| to_pem("CERTIFICATE", der)).collect::<Result<String, _>>()?;
        files.push(SavedFile {
            name: format!("rootCaUpdate{}.pem", rows.len().saturating_add(1)),
            content: pem,
        });
        rows.push(json!({
            "root": Facts::of(root)?.subject.to_string(),
            "new": certificate(&new_with_new)?,
            "vouched_for": is_vouched_for,
        }));
    }
    Ok(Value::Array(rows))
}

fn certificate(der: &[u8]) -> Result<Value, Failure> {
    let facts = Facts::of(der)?;
    Ok(json!({
        "subject": facts.subject.to_string(),
        "issuer": facts.issuer.to_string(),
        "not_after": facts.not_after.to_string(),
        "sha256": HEXLOWER.encode(&Sha256::digest(der)),
    }))
}

fn crl(der: &[u8]) -> Result<Value, Failure> {
    let wrong = || Failure::found("expected a CRL in currentCRL, found something else");
    let (_, read) = CertificateRevocationList::from_der(der).map_err(|_| wrong())?;
    let time = |time: x509_parser::time::ASN1Time| time.to_rfc2822().unwrap_or_default();
    Ok(json!({
        "issuer": read.issuer().to_string(),
        "this_update": time(read.last_update()),
        "next_update": read.next_update().map(time),
        "revoked": read.iter_revoked_certificates().count(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrolment::faults::fail_after;

    #[test]
    fn what_is_told_is_on_the_disk_before_it_has_its_name() {
        let base = tempfile::tempdir().unwrap();
        let told = [SavedFile { name: "caCerts.pem".into(), content: "new".into() }];
        fs::write(base.path().join("caCerts.pem"), "old").unwrap();
        // Each step: the file, its name, and the folder that has the name.
        for (steps, found) in [(0, "old"), (1, "old"), (2, "new")] {
            fail_after(Some(steps));
            let kept = save_files(base.path(), &told);
            fail_after(None);
            assert!(kept.is_err(), "after {steps} steps");
            assert_eq!(fs::read_to_string(base.path().join("caCerts.pem")).unwrap(), found);
            assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1);
        }
    }
}
