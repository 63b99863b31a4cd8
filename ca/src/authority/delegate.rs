//! Certificates that a CA issues to the instance itself, so that its own key signs certificates and CRLs alone: one for
//! protocol answers (RFC 9483 §1.5), one for OCSP answers (RFC 6960 §4.2.2.2), one for keys that are made here (RFC 9480 §2.2).

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use der::oid::ObjectIdentifier;
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};
use x509_cert::name::Name;

use super::issuer::Ca;
use crate::signed::certificate::{EndEntity, Facts, read_all};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::founding::foundation::Foundation;
use crate::founding::{BACKDATING, verify_signature};
use crate::signed::gate::{Gate, Object};
use crate::founding::generation;
use crate::key::{FileKey, KeyAlgorithm};
use crate::lint::Purpose;
use crate::oid;
use crate::key::public::KeyKind;
use crate::record::{Issued, Label};

/// Signs for one CA what is neither a certificate nor a CRL, with a key and a certificate of its own.
pub struct Delegate {
    key: Arc<FileKey>,
    facts: Facts,
    certificate: Vec<u8>,
    chain: Vec<Vec<u8>>,
}

impl Delegate {
    /// Its certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The certificates above it, DER, root last.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The algorithm that it signs with.
    pub fn algorithm(&self) -> AlgorithmIdentifierOwned {
        self.key.signature_algorithm()
    }

    /// Signs a message.
    ///
    /// # Errors
    /// [`Error::Internal`] when the key fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        rcgen::SigningKey::sign(self.key.as_ref(), message)
            .map_err(|e| Error::internal(format!("signing failed: {e}")))
    }

    /// Its subject.
    pub const fn subject(&self) -> &Name {
        &self.facts.subject
    }

    /// Its subject key identifier: SHA-1 over its public key (RFC 5280 §4.2.1.2, method (1)), which is also the KeyHash
    /// of RFC 6960 §4.2.1.
    pub fn key_identifier(&self) -> &[u8] {
        &self.facts.key_identifier
    }

    /// The end of its validity.
    pub const fn not_after(&self) -> Timestamp {
        self.facts.not_after
    }

    /// Whether it is valid at this moment.
    pub fn is_valid(&self, at: Timestamp) -> bool {
        self.facts.not_before <= at && at < self.facts.not_after
    }

    pub(super) fn serial(&self) -> &[u8] {
        &self.facts.serial
    }

    pub(super) fn key(&self) -> Arc<FileKey> {
        Arc::clone(&self.key)
    }

    /// Whether half its life is over and a new one would live longer.
    pub(super) fn is_due(&self, ca: &Facts, now: Timestamp) -> bool {
        is_due(&self.facts, ca, now)
    }
}

impl std::fmt::Debug for Delegate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Delegate({})", self.facts.subject)
    }
}

/// What a delegate is for.
pub(super) struct Role {
    /// The ending of its file names.
    suffix: &'static str,
    /// The account that its certificates are recorded for.
    account: &'static str,
    /// What its subject says behind the name of the CA.
    pub(super) title: &'static str,
    usage: &'static [ObjectIdentifier],
    /// Whether it carries id-pkix-ocsp-nocheck.
    nocheck: bool,
}

impl Role {
    /// Signs protocol answers: extended key usage cmcCA (RFC 6402 §2.10).
    pub const CMP: Self = Self {
        suffix: "cmp",
        account: "_cmp",
        title: "CMP",
        usage: &[oid::CMC_CA],
        nocheck: false,
    };

    /// Signs keys that were made for peers: extended key usage cmKGA (RFC 9480 §2.2).
    pub const KGA: Self = Self {
        suffix: "kga",
        account: "_kga",
        title: "KGA",
        usage: &[oid::CM_KGA],
        nocheck: false,
    };

    /// Signs OCSP answers: extended key usage OCSPSigning, never asked about itself (RFC 6960 §4.2.2.2.1).
    pub const OCSP: Self = Self {
        suffix: "ocsp",
        account: "_ocsp",
        title: "OCSP",
        usage: &[oid::OCSP_SIGNING],
        nocheck: true,
    };
}

impl Ca {
    /// Whether this delegate was ever given a certificate.
    pub(super) fn has_delegate(&self, ground: &Foundation, role: &Role) -> bool {
        ground.keys.file(&format!("{}.{}.crt", self.info().name, role.suffix)).exists()
    }

    /// Puts a delegate's key out of use: the next one has a new key, and a new certificate for it. The old one is kept
    /// beside it for whoever investigates.
    pub(super) fn retire_delegate_key(&self, ground: &Foundation, role: &Role) -> Result<()> {
        let name = format!("{}.{}", self.info().name, role.suffix);
        let (path, kept) =
            (ground.keys.path(&name), ground.keys.file(&format!("{name}.key.revoked")));
        fs::rename(&path, kept).map_err(|e| Error::io(format!("`{}`", path.display()), &e))
    }

    /// The delegate on disk, or one with a new certificate when there is none, its half life is over, or it is valid for
    /// longer than `validity`. `key` is its key, if it is open already.
    pub(super) fn open_delegate(
        &self,
        ground: &Foundation,
        role: &Role,
        validity: Duration,
        key: Option<Arc<FileKey>>,
    ) -> Result<Delegate> {
        let name = format!("{}.{}", self.info().name, role.suffix);
        let key = match key {
            Some(key) => key,
            None => Arc::new(ground.key(&name, self.delegate_algorithm())?),
        };
        let file = format!("{name}.crt");
        let now = ground.clock.now();
        let usable = |der: &Vec<u8>| {
            Facts::of(der).is_ok_and(|facts| {
                let life = facts.not_after.since(facts.not_before);
                facts.key == *key.public()
                    && verify_signature(der, &self.facts().key).is_ok()
                    && life
                        <= validity
                            .saturating_add(BACKDATING)
                            .saturating_add(Duration::from_secs(1))
                    && !is_due(&facts, self.facts(), now)
            })
        };
        let kept = fs::read(ground.keys.file(&file)).ok().and_then(|pem| read_all(&pem).ok());
        let certificate = match kept.and_then(|mut all| all.pop()).filter(usable) {
            Some(certificate) => certificate,
            None => {
                let certificate = self.issue_delegate(ground, role, validity, &key)?;
                ground.publish(&file, "CERTIFICATE", &certificate)?;
                certificate
            }
        };
        let facts = Facts::of(&certificate)?;
        Ok(Delegate { key, facts, certificate, chain: self.chain().to_vec() })
    }

    /// A delegate's key is of the CA's kind: who verifies the CA's signatures verifies the delegate's.
    const fn delegate_algorithm(&self) -> KeyAlgorithm {
        match self.facts().key.kind() {
            KeyKind::P384 | KeyKind::P521 => KeyAlgorithm::P384,
            KeyKind::Ed25519 => KeyAlgorithm::Ed25519,
            KeyKind::Rsa(_) => KeyAlgorithm::Rsa3072,
            KeyKind::P256 => KeyAlgorithm::P256,
        }
    }

    fn issue_delegate(
        &self,
        ground: &Foundation,
        role: &Role,
        validity: Duration,
        key: &FileKey,
    ) -> Result<Vec<u8>> {
        let now = ground.clock.now();
        if now >= self.facts().not_after {
            return Err(Error::unavailable(format!(
                "the CA `{}` ended on {}; it issues nothing any more",
                self.info().name,
                self.facts().not_after
            )));
        }
        let serial = self.next_serial(ground)?;
        let root_key;
        let signer = if self.info().is_root {
            // A root's key is open for this moment only.
            root_key = ground.keys.load(self.info().name.as_str(), &ground.passphrase)?;
            &root_key
        } else {
            self.key()?
        };
        let entity = EndEntity {
            serial,
            issuer: &self.facts().subject,
            issuer_key_identifier: &self.facts().key_identifier,
            signature: signer.signature_algorithm(),
            not_before: now.minus(BACKDATING).max(self.facts().not_before).whole_seconds(),
            not_after: now.plus(validity).min(self.facts().not_after).whole_seconds(),
            subject: generation::beside(
                &self.facts().subject,
                &format!("{} {}", self.info().name, role.title),
            )?,
            key: key.public(),
            alt_names: Vec::new(),
            key_usage: KeyUsage(KeyUsages::DigitalSignature.into()),
            extended_key_usage: role.usage,
            policies: &[],
            crl_urls: Vec::new(),
            ocsp_urls: Vec::new(),
            ca_issuers_urls: Vec::new(),
            ocsp_nocheck: role.nocheck,
        };
        let gate = Gate::new(signer, Object::Certificate(Purpose::Infrastructure));
        let certificate = gate.sign_object(&entity.tbs()?)?;
        let own: Label = role.account.parse()?;
        ground.store.record_issued(
            ground.clock.now(),
            &Issued {
                incarnation: None,
                ca: self.info().name.clone(),
                serial,
                account: own.clone(),
                profile: own,
                not_after: entity.not_after,
                certificate: certificate.clone(),
                consumes_secret: false,
                consumes_equipment: false,
                transaction: None,
                replaces: None,
                partition: None,
                withheld: false,
                unpublished: false,
            },
        )?;
        tracing::info!(ca = %self.info().name, %serial, not_after = %entity.not_after, "issued the {} certificate", role.title);
        Ok(certificate)
    }
}

fn is_due(facts: &Facts, ca: &Facts, now: Timestamp) -> bool {
    let half = facts.not_before.plus(facts.not_after.since(facts.not_before) / 2);
    now >= half && facts.not_after != ca.not_after
}
