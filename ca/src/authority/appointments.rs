//! Appoints the delegates of a CA: opens their keys, and issues and renews their certificates.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use x509_cert::ext::pkix::KeyUsage;

use super::delegate::{Appointment, Delegate, Role, is_due};
use super::issuer::Ca;
use super::state::Authority;
use crate::clock::{BACKDATING, Timestamp};
use crate::error::{Error, Result};
use crate::founding::Foundation;
use crate::key::{FileKey, KeyAlgorithm, KeyKind, REVOKED};
use crate::lint::Purpose;
use crate::name::sibling;
use crate::record::{CertificateId, Issued, Label, Serial};
use crate::signed::{EndEntity, Gate, Object};
use crate::x509::{Facts, read_all, verify_signature};

/// The validity of the certificates that sign CMP responses and generated keys: two years of 365 days.
pub(super) const DELEGATE_VALIDITY: Duration = Duration::from_secs(2 * 365 * 86_400);

/// The time after a failed renewal in which it is not tried again. Otherwise each request of an unauthenticated client could cost the
/// derivation of a key from the passphrase.
const RETRY: Duration = Duration::from_secs(10);

impl Authority {
    /// The delegate that signs CMP responses for an issuing CA; `None` means the default CA. A CA that had expired when this instance was
    /// opened has none; the delegate of its newest active key answers in its place.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no such issuing CA, or no delegate.
    pub fn protection(&self, ca: Option<&Label>) -> Result<&Delegate> {
        let ca = self.issuing_ca(ca)?;
        ca.protection().or_else(|_| self.latest(ca).protection())
    }

    /// Opens or makes the delegate of this role if `state` has none, and renews it if that is due. A failure is stored in `state`, and
    /// the next attempt is made [`RETRY`] later at the earliest.
    pub(super) fn renew(
        &self,
        ca: &Ca,
        state: &mut Appointment,
        role: &Role<'_>,
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
        match ca.open_delegate(&self.foundation, role, validity, key) {
            Ok(responder) => {
                *state = Appointment { current: Some(Arc::new(responder)), failed: None };
            }
            Err(why) => {
                tracing::error!(ca = %ca.info().name, "the {} signer has no new certificate: {why}", role.title);
                state.failed = Some((now, why));
            }
        }
    }
}

impl Ca {
    /// Appoints the delegate that signs CMP responses for this CA. A root and a CA that has expired get none.
    pub(super) fn appoint_protection(&mut self, foundation: &Foundation) -> Result<()> {
        // A CA that ended cannot issue the delegate's certificate. Its successor answers in its place.
        if !self.info().is_root && foundation.clock.now() < self.facts().not_after {
            let protection = self.open_delegate(foundation, &Role::CMP, DELEGATE_VALIDITY, None)?;
            self.protection = Some(protection);
        }
        Ok(())
    }

    /// Whether the CA's delegate for this role ever had a certificate: whether the certificate's file exists.
    pub(super) fn has_delegate(&self, foundation: &Foundation, role: &Role<'_>) -> bool {
        foundation.keys.file(&format!("{}.{}.crt", self.info().name, role.suffix)).exists()
    }

    /// Retires a delegate's key: the next delegate gets a new key and a new certificate. The old key's file is renamed and
    /// kept for an investigation. Its new name has the serial number of the revoked certificate, so that no retirement
    /// replaces the file of an earlier one.
    pub(super) fn retire_delegate_key(
        &self,
        foundation: &Foundation,
        role: &Role<'_>,
        revoked: &Serial,
    ) -> Result<()> {
        let name = format!("{}.{}", self.info().name, role.suffix);
        let path = foundation.keys.path(&name);
        let kept = foundation.keys.file(&format!("{name}.{revoked}{REVOKED}"));
        fs::rename(&path, kept).map_err(|e| Error::io(format!("`{}`", path.display()), &e))
    }

    /// Opens the delegate of this role. It gets a new certificate if the file has none for its key that this CA's key signed, if half of
    /// the certificate's life has passed, or if the certificate is valid for longer than `validity`. `key` is the delegate's key, if it is
    /// already open; otherwise the key is read from its file, or generated if there is no file.
    pub(super) fn open_delegate(
        &self,
        foundation: &Foundation,
        role: &Role<'_>,
        validity: Duration,
        key: Option<Arc<FileKey>>,
    ) -> Result<Delegate> {
        let name = format!("{}.{}", self.info().name, role.suffix);
        let key = match key {
            Some(key) => key,
            None => {
                let algorithm = role.algorithm.unwrap_or_else(|| self.delegate_algorithm(role));
                Arc::new(foundation.key(&name, algorithm)?)
            }
        };
        let file = format!("{name}.crt");
        let now = foundation.clock.now();
        let usable = |der: &Vec<u8>| {
            Facts::of(der).is_ok_and(|facts| {
                let life = facts.not_after.since(facts.not_before);
                facts.key == *key.public()
                    && facts.alt_names == role.names
                    && verify_signature(der, &self.facts().key).is_ok()
                    // A certificate of exactly this validity is a little longer, because notBefore is backdated and
                    // times are rounded.
                    && life
                        <= validity
                            .saturating_add(BACKDATING)
                            .saturating_add(Duration::from_secs(1))
                    && !is_due(&facts, self.facts(), now)
            })
        };
        let kept = fs::read(foundation.keys.file(&file)).ok().and_then(|pem| read_all(&pem).ok());
        let certificate = match kept.and_then(|mut all| all.pop()).filter(usable) {
            Some(certificate) => certificate,
            None => {
                let certificate = self.issue_delegate(foundation, role, validity, &key)?;
                foundation.publish(&file, "CERTIFICATE", &certificate)?;
                certificate
            }
        };
        let facts = Facts::of(&certificate)?;
        Ok(Delegate { key, facts, certificate, chain: self.chain().to_vec() })
    }

    /// The kind of a new delegate's key. It is of the same family as the CA's key, so that a peer that verifies the CA's signatures can
    /// verify the delegate's: P-384 for a CA with P-521, RSA with 3072 bits for every RSA key, and otherwise the CA's own kind. Below an RSA
    /// CA, a TLS server has P-256: its clients verify both, and our RSA keys do not sign as TLS 1.3 demands (RFC 8446 §4.2.3).
    const fn delegate_algorithm(&self, role: &Role<'_>) -> KeyAlgorithm {
        match self.facts().key.kind() {
            KeyKind::Rsa(_) if !role.names.is_empty() => KeyAlgorithm::P256,
            KeyKind::P384 | KeyKind::P521 => KeyAlgorithm::P384,
            KeyKind::Ed25519 => KeyAlgorithm::Ed25519,
            KeyKind::Rsa(_) => KeyAlgorithm::Rsa3072,
            KeyKind::P256 => KeyAlgorithm::P256,
        }
    }

    /// Issues a certificate to a delegate. As for peers, the serial number is recorded before the signature, and the
    /// certificate before it is used.
    fn issue_delegate(
        &self,
        foundation: &Foundation,
        role: &Role<'_>,
        validity: Duration,
        key: &FileKey,
    ) -> Result<Vec<u8>> {
        let now = foundation.clock.now();
        if now >= self.facts().not_after {
            return Err(Error::unavailable(format!(
                "the CA `{}` ended on {}; it issues nothing any more",
                self.info().name,
                self.facts().not_after
            )));
        }
        let serial = self.next_serial(foundation)?;
        let root_key;
        let signer = if self.info().is_root {
            // A root's key is open only for this signature.
            root_key = foundation.keys.load(self.info().name.as_str(), &foundation.passphrase)?;
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
            alt_names: role.names.to_vec(),
            key_usage: KeyUsage(role.key_usage.into()),
            extended_key_usage: role.usage,
            policies: &[],
            crl_urls: Vec::new(),
            ocsp_urls: Vec::new(),
            ca_issuers_urls: Vec::new(),
            ocsp_nocheck: role.nocheck,
            says_no_ca: role.says_no_ca,
        };
        let mut gate = Gate::new(signer, Object::Certificate(Purpose::Infrastructure));
        if !role.names.is_empty() {
            gate = gate.below(self.handed_out(), now);
        }
        let certificate = gate.sign_object(&entity.tbs()?)?;
        let own: Label = role.account.parse()?;
        let issued = Issued::unrequested(
            CertificateId::new(self.info().name.clone(), serial),
            own.clone(),
            own,
            entity.not_after,
            certificate.clone(),
        );
        foundation.store.record_issued(foundation.clock.now(), &issued)?;
        tracing::info!(ca = %self.info().name, %serial, not_after = %entity.not_after, "issued the {} certificate", role.title);
        Ok(certificate)
    }
}
