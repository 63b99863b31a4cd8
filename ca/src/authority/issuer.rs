//! One CA of the instance, with its key, its serial numbers, and the certificate that signs protocol answers for it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};
use x509_cert::name::Name;

use super::publish::CurrentCrl;
use crate::certificate::{EndEntity, Facts, read_all};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::foundation::{Foundation, random_serial};
use crate::founding::{BACKDATING, verify_signature};
use crate::gate::{Gate, Object};
use crate::identity::distinguished_name;
use crate::key::{FileKey, KeyAlgorithm};
use crate::lint::Purpose;
use crate::oid;
use crate::record::{CaRecord, CrlScope, Issued, Label, Serial};

/// How many serial numbers are reserved at once, so that issuing waits for one commit and not for two.
const SERIAL_BLOCK: usize = 64;

/// What anybody may know of a CA.
#[derive(Debug, Clone)]
pub struct CaInfo {
    /// Its name.
    pub name: Label,
    /// Whether it signs only other CAs.
    pub is_root: bool,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Its subject.
    pub subject: Name,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Whether its key is here.
    pub can_sign: bool,
}

/// Signs protocol answers for one CA: a certificate of its own with extended key usage cmcCA, so that the CA's key
/// signs only certificates and CRLs (RFC 9483 §1.5 calls it the CMP protection certificate).
pub struct Protection {
    key: FileKey,
    facts: Facts,
    certificate: Vec<u8>,
    chain: Vec<Vec<u8>>,
}

impl Protection {
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
        rcgen::SigningKey::sign(&self.key, message)
            .map_err(|e| Error::internal(format!("signing failed: {e}")))
    }

    /// Its subject.
    pub const fn subject(&self) -> &Name {
        &self.facts.subject
    }

    /// Its subject key identifier.
    pub fn key_identifier(&self) -> &[u8] {
        &self.facts.key_identifier
    }
}

impl std::fmt::Debug for Protection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Protection({})", self.facts.subject)
    }
}

/// One CA.
pub struct Ca {
    info: CaInfo,
    facts: Facts,
    /// The certificate of this CA and those above it.
    chain: Vec<Vec<u8>>,
    key: Option<FileKey>,
    protection: Option<Protection>,
    serials: Mutex<Vec<Serial>>,
    /// How many editions of CRLs were begun.
    pub(super) editions: AtomicU64,
    /// Held while an edition is signed: which one was finished last.
    pub(super) publishing: Mutex<u64>,
    /// The CRLs in force, as far as somebody asked for them.
    pub(super) crls: Mutex<BTreeMap<CrlScope, Arc<CurrentCrl>>>,
}

impl Ca {
    /// Opens a CA's key. A root's key stays closed until its CRL is due.
    pub fn open(ground: &Foundation, record: CaRecord) -> Result<Self> {
        let facts = Facts::of(&record.certificate)?;
        let can_sign = ground.keys.contains(record.name.as_str());
        let key = match record.is_root {
            true => None,
            false => Some(ground.keys.load(record.name.as_str(), &ground.passphrase)?),
        };
        if key.as_ref().is_some_and(|key| *key.public() != facts.key) {
            return Err(Error::unavailable(format!(
                "the key `{}` does not belong to the certificate of the CA `{}`; restore the right one",
                ground.keys.path(record.name.as_str()).display(),
                record.name
            )));
        }
        let info = CaInfo {
            name: record.name,
            is_root: record.is_root,
            certificate: record.certificate.clone(),
            subject: facts.subject.clone(),
            not_after: facts.not_after,
            can_sign,
        };
        let mut chain = vec![record.certificate];
        chain.extend(record.chain);
        let mut ca = Self {
            info,
            facts,
            chain,
            key,
            protection: None,
            serials: Mutex::default(),
            editions: AtomicU64::new(0),
            publishing: Mutex::default(),
            crls: Mutex::default(),
        };
        if !ca.info.is_root {
            ca.protection = Some(ca.open_protection(ground)?);
        }
        Ok(ca)
    }

    pub const fn info(&self) -> &CaInfo {
        &self.info
    }

    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    pub fn key(&self) -> Result<&FileKey> {
        self.key.as_ref().ok_or_else(|| {
            Error::unavailable(format!("the key of the CA `{}` is not open", self.info.name))
        })
    }

    pub fn protection(&self) -> Result<&Protection> {
        self.protection.as_ref().ok_or_else(|| {
            Error::unavailable(format!("the CA `{}` signs no protocol answers", self.info.name))
        })
    }

    /// A serial number that was recorded before.
    pub fn next_serial(&self, ground: &Foundation) -> Result<Serial> {
        let mut serials = self.serials.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(serial) = serials.pop() {
            return Ok(serial);
        }
        let fresh: Vec<Serial> = (0..SERIAL_BLOCK)
            .map(|_| random_serial(ground.entropy.as_ref()))
            .collect::<Result<_>>()?;
        ground.store.reserve_serials(ground.clock.now(), &self.info.name, &fresh)?;
        *serials = fresh;
        serials.pop().ok_or_else(|| Error::internal("no serial number was reserved"))
    }

    /// The protection certificate on disk, or a new one when there is none or it ends soon.
    fn open_protection(&self, ground: &Foundation) -> Result<Protection> {
        let name = format!("{}.cmp", self.info.name);
        let algorithm = match self.facts.key.kind() {
            crate::public_key::KeyKind::P384 => KeyAlgorithm::P384,
            crate::public_key::KeyKind::Ed25519 => KeyAlgorithm::Ed25519,
            crate::public_key::KeyKind::Rsa(_) => KeyAlgorithm::Rsa3072,
            crate::public_key::KeyKind::P256 => KeyAlgorithm::P256,
        };
        let key = ground.key(&name, algorithm)?;
        let file = format!("{name}.crt");
        let now = ground.clock.now();
        let usable = |der: &Vec<u8>| {
            Facts::of(der).is_ok_and(|facts| {
                let half = facts.not_before.plus(facts.not_after.since(facts.not_before) / 2);
                facts.key == *key.public()
                    && verify_signature(der, &self.facts.key).is_ok()
                    && (now < half || facts.not_after == self.facts.not_after)
            })
        };
        let kept = fs::read(ground.keys.file(&file)).ok().and_then(|pem| read_all(&pem).ok());
        let certificate = match kept.and_then(|mut all| all.pop()).filter(usable) {
            Some(certificate) => certificate,
            None => {
                let certificate = self.issue_protection(ground, &key)?;
                ground.publish(&file, "CERTIFICATE", &certificate)?;
                certificate
            }
        };
        Ok(Protection {
            facts: Facts::of(&certificate)?,
            key,
            certificate,
            chain: self.chain.clone(),
        })
    }

    fn issue_protection(&self, ground: &Foundation, key: &FileKey) -> Result<Vec<u8>> {
        let now = ground.clock.now();
        let serial = self.next_serial(ground)?;
        let validity = std::time::Duration::from_secs(2 * 365 * 86_400);
        let signer = self.key()?;
        let entity = EndEntity {
            serial,
            issuer: &self.facts.subject,
            issuer_key_identifier: &self.facts.key_identifier,
            signature: signer.signature_algorithm(),
            not_before: now.minus(BACKDATING).max(self.facts.not_before).whole_seconds(),
            not_after: now.plus(validity).min(self.facts.not_after).whole_seconds(),
            subject: distinguished_name(&format!("CN={} CMP", self.info.name))?,
            key: key.public(),
            alt_names: Vec::new(),
            key_usage: KeyUsage(KeyUsages::DigitalSignature.into()),
            extended_key_usage: &[oid::CMC_CA],
            policies: &[],
            crl_urls: Vec::new(),
            ca_issuers_urls: Vec::new(),
        };
        let gate = Gate::new(signer, Object::Certificate(Purpose::Infrastructure));
        let certificate = gate.sign_object(&entity.tbs()?)?;
        let own: Label = "_cmp".parse()?;
        ground.store.record_issued(
            now,
            &Issued {
                ca: self.info.name.clone(),
                serial,
                account: own.clone(),
                profile: own,
                not_after: entity.not_after,
                certificate: certificate.clone(),
                consumes_secret: false,
                transaction: None,
                replaces: None,
                partition: None,
            },
        )?;
        Ok(certificate)
    }
}
