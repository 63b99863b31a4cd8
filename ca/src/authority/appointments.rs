//! Appoints the delegates of a CA: opens their keys, and issues and renews their certificates.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

use super::delegate::{Delegate, Responding, Role, is_due};
use super::issuer::Ca;
use super::state::Authority;
use crate::clock::{BACKDATING, Timestamp};
use crate::error::{Error, Result};
use crate::founding::Foundation;
use crate::key::{FileKey, KeyAlgorithm, KeyKind};
use crate::lint::Purpose;
use crate::name::sibling;
use crate::record::{Issued, Label};
use crate::signed::{EndEntity, Gate, Object};
use crate::x509::{Facts, read_all, verify_signature};

/// How long the certificates that sign protocol answers and keys are valid: two years.
pub(super) const DELEGATE_VALIDITY: Duration = Duration::from_secs(2 * 365 * 86_400);

/// How long after a failure a responder's certificate is not tried again: strangers' requests must not cost a key
/// derivation each.
const RETRY: Duration = Duration::from_secs(10);

impl Authority {
    /// What signs protocol answers for an issuing CA. `None` means the default CA.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is none.
    pub fn protection(&self, ca: Option<&Label>) -> Result<&Delegate> {
        let ca = self.issuing_ca(ca)?;
        ca.protection().or_else(|_| self.latest(ca).protection())
    }

    /// Makes the delegate, or its successor, if it is time to.
    pub(super) fn renew(
        &self,
        ca: &Ca,
        state: &mut Responding,
        role: &Role,
        validity: Duration,
        now: Timestamp,
    ) {
        let current = state.current.as_ref();
        if current.is_some_and(|current| !current.is_due(ca.facts(), now)) {
            return;
        }
        let lately = |(at, _): &(Timestamp, Error)| *at <= now && now.since(*at) < RETRY;
        if state.failed.as_ref().is_some_and(lately) {
            return;
        }
        let key = current.map(|current| current.key());
        match ca.open_delegate(&self.ground, role, validity, key) {
            Ok(responder) => {
                *state = Responding { current: Some(Arc::new(responder)), failed: None };
            }
            Err(why) => {
                tracing::error!(ca = %ca.info().name, "the {} signer has no new certificate: {why}", role.title);
                state.failed = Some((now, why));
            }
        }
    }
}

impl Ca {
    /// Appoints what signs protocol answers.
    pub(super) fn appoint_protection(&mut self, ground: &Foundation) -> Result<()> {
        // One that ended issues nothing any more, and the one that follows it answers.
        if !self.info().is_root && ground.clock.now() < self.facts().not_after {
            let protection = self.open_delegate(ground, &Role::CMP, DELEGATE_VALIDITY, None)?;
            self.protection = Some(protection);
        }
        Ok(())
    }

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
            subject: sibling(
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
