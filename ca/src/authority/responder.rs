//! What OCSP needs of the authority: the status of one certificate, and who signs the answer (RFC 6960 §4.2.2.2).

use std::sync::{Arc, PoisonError};

use super::delegate::{Delegate, Responding, Role};
use super::state::Authority;
use crate::error::{Error, Result};
use crate::record::{Label, Revocation, Serial};
use crate::x509::{Facts, verify_signature};

/// Signs OCSP answers for one CA: extended key usage OCSPSigning, with id-pkix-ocsp-nocheck.
pub type Responder = Delegate;

/// What the authority says of a serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateStatus {
    /// No certificate of this CA ever had it.
    NeverIssued,
    /// Its certificate is not revoked; it may have expired.
    Good,
    /// Its certificate is revoked or on hold.
    Revoked(Revocation),
}

impl Authority {
    /// What signs OCSP answers for a CA. Its certificate is made at the first call, and anew when half its life is over;
    /// it is valid at this moment.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] when there is no such CA; [`Error::Unavailable`] when its key is elsewhere, it
    /// ended, or a new certificate cannot be recorded and the old one ended.
    pub fn responder(&self, ca: &Label) -> Result<Arc<Responder>> {
        let ca = self.ca(ca)?;
        if !ca.info().can_sign {
            return Err(Error::unavailable(format!(
                "the key of the CA `{}` is elsewhere; nothing here answers for it",
                ca.info().name
            )));
        }
        let now = self.now();
        let mut state = ca.responder.lock().unwrap_or_else(PoisonError::into_inner);
        self.renew(ca, &mut state, &Role::OCSP, self.settings.responder_validity, now);
        state.at(now, &ca.info().name)
    }

    /// Whether the CA's responder was ever given a certificate; without one, [`Self::responder`] issues it.
    pub fn has_responder(&self, ca: &Label) -> bool {
        self.cas.get(ca).is_some_and(|ca| ca.has_delegate(&self.ground, &Role::OCSP))
    }

    /// Gives a CA's responder another key and certificate if an administrator revoked or held the one it has. Clients do
    /// not ask about a certificate with nocheck, so it must not stay in use. Whether that happened.
    ///
    /// # Errors
    /// As [`Self::responder`]; [`Error::Unavailable`] when the old key cannot be put away.
    pub fn replace_revoked_responder(&self, ca: &Label) -> Result<bool> {
        let responder = self.responder(ca)?;
        let Some(serial) = Serial::from_integer(responder.serial()) else { return Ok(false) };
        let Some(holder) = self.cas.get(ca) else { return Ok(false) };
        if !matches!(self.certificate_status(ca, &serial)?, CertificateStatus::Revoked(_)) {
            return Ok(false);
        }
        let mut state = holder.responder.lock().unwrap_or_else(PoisonError::into_inner);
        if state.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &responder)) {
            tracing::warn!(%ca, %serial, "the OCSP responder's certificate was revoked; it gets another key");
            holder.retire_delegate_key(&self.ground, &Role::OCSP)?;
            *state = Responding::default();
            let validity = self.settings.responder_validity;
            self.renew(holder, &mut state, &Role::OCSP, validity, self.now());
            return Ok(true);
        }
        Ok(false)
    }

    /// The present status of a serial number.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub fn certificate_status(&self, ca: &Label, serial: &Serial) -> Result<CertificateStatus> {
        match self.store().certificate(ca, serial)? {
            Some(_) => self.issued_status(ca, serial),
            None => match self.issued_status(ca, serial)? {
                // Listed from a CRL that was signed before a restore.
                revoked @ CertificateStatus::Revoked(_) => Ok(revoked),
                _ if self.is_ca_certificate(ca, serial) => Ok(CertificateStatus::Good),
                _ => Ok(CertificateStatus::NeverIssued),
            },
        }
    }

    /// The present status of a serial number that was issued: a look-up in memory. Times are whole seconds.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub fn issued_status(&self, ca: &Label, serial: &Serial) -> Result<CertificateStatus> {
        let revocation = self.store().revocation(ca, serial)?;
        Ok(revocation.map_or(CertificateStatus::Good, CertificateStatus::Revoked))
    }

    /// Certificates of CAs are recorded with their CA, and not among those of the peers.
    fn is_ca_certificate(&self, issuer: &Label, serial: &Serial) -> bool {
        let Some(issuer) = self.cas.get(issuer) else { return false };
        let is_it = |facts: &Facts| Serial::from_integer(&facts.serial) == Some(*serial);
        // Of two CAs with one subject, only the key tells which of them signed.
        let signed = |der: &[u8]| verify_signature(der, &issuer.facts().key).is_ok();
        let links = self.cas.values().filter_map(|ca| ca.succeeds()?.links.as_ref());
        let mut links = links.flat_map(|links| [&links.new_with_old, &links.old_with_new]);
        self.cas.values().any(|ca| is_it(ca.facts()) && signed(&ca.info().certificate))
            || links.any(|link| Facts::of(link).is_ok_and(|facts| is_it(&facts)) && signed(link))
    }
}
