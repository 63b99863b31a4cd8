//! Takes over a CA of another program: its key, and its certificate with those above it. `former.rs` has what it issued before.
//!
//! The CA is recorded last. Until then nothing signs for it, so that no CRL leaves that lacks a revocation of before.

use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

use super::ca_certificate::check_links;
use super::ca_subject;
use super::foundation::Foundation;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::key::FileKey;
use crate::lint::{self, Purpose, Severity};
use crate::record::{CaRecord, Label};
use crate::signed::HandedOut;
use crate::x509::{Facts, verify_signature};
use der::Decode;

/// The outcome of the examination of a CA that is to be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// The faults of its certificates with which it can be taken over all the same, each as a sentence.
    pub faults: Vec<String>,
    /// Whether the CA is recorded already, by an earlier import.
    pub is_known: bool,
}

impl Examined {
    /// Examines a CA, its certificate first and the root last (DER), that is to have the name `name` beside `cas`.
    ///
    /// # Errors
    /// `Denied` that says what is wrong: the key is another one; a certificate is no CA's, has expired, or may not sign certificates and
    /// CRLs; the certificates do not lead to a root, or forbid what the CA is to issue; the name or the subject is taken.
    /// [`Error::Malformed`] if a certificate cannot be read.
    pub fn of(
        name: &Label,
        chain: &[Vec<u8>],
        key: &FileKey,
        cas: &[CaRecord],
        now: Timestamp,
    ) -> Result<Self> {
        let mut faults = Vec::new();
        let (own, above) = chain
            .split_first()
            .ok_or_else(|| Error::malformed("expected the CA's certificate, found none"))?;
        // 1. Each certificate is a CA's, valid, and signed by the next one. What a root says of itself proves nothing, so that the algorithm
        //    of its signature does not matter.
        let root = chain.last();
        let facts = Facts::of(own)?;
        if !facts.is_ca {
            let why = format!(
                "`{}` is not a CA: its basicConstraints do not say so; name the CA's own certificate",
                facts.subject
            );
            return Err(Error::denied(Denial::SignerNotTrusted, why));
        }
        if facts.key != *key.public() {
            let why = format!("the key is not that of the certificate of `{}`", facts.subject);
            return Err(Error::denied(Denial::SignerNotTrusted, why));
        }
        check_links(chain, key, now, &|der, issuer| match verify_signature(der, issuer) {
            Err(Error::Denied { kind: Denial::Algorithm, .. })
                if root.is_some_and(|root| root == der) =>
            {
                Ok(())
            }
            verified => verified,
        })
        .map_err(|error| incomplete(error, chain))?;
        for der in chain {
            require_usage(der)?;
        }
        // 2. Nobody else has the name or the subject, except this CA itself after an earlier import.
        let known = cas.iter().find(|ca| ca.name == *name);
        let is_known = known.is_some_and(|known| known.certificate == *own && known.chain == above);
        let subject = Facts::of(own)?.subject;
        if !is_known {
            if let Some(known) = known {
                return Err(conflict(format!(
                    "there is a CA `{}` already, with another certificate; choose another name with `--name`",
                    known.name
                )));
            }
            if let Some(holder) = ca_subject::holder(&subject, cas)? {
                return Err(conflict(format!(
                    "the subject `{subject}` is that of the CA `{}` already: NSS and GnuTLS keep one CRL for each name, so that an instance \
                     cannot have both",
                    holder.name
                )));
            }
        }
        // 3. What no verifier accepts is refused; other faults are told.
        HandedOut::of(chain)?.probe(now)?;
        for (at, der) in chain.iter().enumerate() {
            let is_root = at.saturating_add(1) == chain.len();
            let purpose = if is_root { Purpose::Root } else { Purpose::IssuingCa };
            let shown = Facts::of(der)?.subject;
            let findings = lint::certificate(der, Some(purpose)).into_iter();
            let findings = findings.filter(|finding| finding.severity != Severity::Notice);
            faults.extend(findings.map(|found| {
                format!("the certificate of `{shown}`: {}: {}", found.code, found.message)
            }));
        }
        Ok(Self { faults, is_known })
    }
}

impl Foundation {
    /// Keeps the key of a CA that is taken over, under the passphrase of this instance. If an interrupted attempt kept it, this one finds it.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] if there is another key of this name; [`Error::Malformed`] if the name is reserved for the
    /// instance's own keys; those of [`crate::key::KeyFolder::save`].
    pub fn keep_key(&self, name: &Label, key: &FileKey) -> Result<()> {
        self.refuse_reserved(name)?;
        if !self.keys.contains(name.as_str()) {
            return self.keys.save(name.as_str(), key, &self.passphrase, self.entropy.as_ref());
        }
        match self.keys.load(name.as_str(), &self.passphrase)?.public() == key.public() {
            true => Ok(()),
            false => Err(conflict(format!(
                "there is another key `{}`, of an earlier attempt; remove it, or choose another name with `--name`",
                self.keys.path(name.as_str()).display()
            ))),
        }
    }

    /// Records a CA that was examined and whose key is kept, with all certificates above it (DER, root last), and the root if it is new.
    ///
    /// # Errors
    /// The errors of the store.
    pub fn record_taken_over(&self, name: &Label, chain: &[Vec<u8>]) -> Result<CaRecord> {
        let (certificate, above) =
            chain.split_first().ok_or_else(|| Error::malformed("expected a certificate"))?;
        self.record_root_above(name, above)?;
        let record = CaRecord {
            name: name.clone(),
            is_root: false,
            certificate: certificate.clone(),
            chain: above.to_vec(),
            succeeds: None,
        };
        match self.store.cas()?.contains(&record) {
            false => self.record(record),
            // The attempt that recorded it may have been interrupted before the file was written.
            true => {
                self.publish(&format!("{name}.crt"), "CERTIFICATE", certificate)?;
                Ok(record)
            }
        }
    }
}

/// Refuses a CA's certificate whose keyUsage lets it sign no certificates or no CRLs. Without a keyUsage, it may do both (RFC 5280
/// §4.2.1.3).
fn require_usage(der: &[u8]) -> Result<()> {
    let wrong = |e: der::Error| Error::malformed(format!("expected a certificate: {e}"));
    let tbs = x509_cert::Certificate::from_der(der).map_err(wrong)?.tbs_certificate;
    let usage = tbs.get::<KeyUsage>().map_err(wrong)?;
    let lacks = usage.is_some_and(|(_, usage)| {
        !usage.0.contains(KeyUsages::KeyCertSign) || !usage.0.contains(KeyUsages::CRLSign)
    });
    match lacks {
        false => Ok(()),
        true => Err(Error::denied(
            Denial::Template,
            format!(
                "the keyUsage of `{}` lacks keyCertSign or cRLSign: no verifier would accept its certificates and CRLs",
                tbs.subject
            ),
        )),
    }
}

/// The error of a chain that ends below its root, with what to do.
fn incomplete(error: Error, chain: &[Vec<u8>]) -> Error {
    let top = chain.last().and_then(|der| Facts::of(der).ok());
    match (top, error) {
        (Some(top), Error::Denied { kind, .. }) if top.issuer != top.subject => Error::Denied {
            kind,
            why: format!(
                "the certificates above the CA are missing from `{}` on: name a file with them, root last, with `--chain`",
                top.issuer
            ),
        },
        (_, error) => error,
    }
}

fn conflict(why: String) -> Error {
    Error::denied(Denial::Conflict, why)
}
