//! The support for OCSP: the status of a certificate, and the delegate that signs responses (RFC 6960 §4.2.2.2).

use std::sync::{Arc, PoisonError};

use super::delegate::{Appointment, Delegate, Role};
use super::state::Authority;
use crate::error::{Error, Result};
use crate::record::{Label, Revocation, Serial};
use crate::x509::{Facts, verify_signature};

/// The delegate that signs OCSP responses for a CA. Its certificate has the extended key usage id-kp-OCSPSigning, and the extension
/// id-pkix-ocsp-nocheck.
pub type Responder = Delegate;

/// The status of the certificate of a CA with a serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateStatus {
    /// The CA never issued a certificate with this number.
    NeverIssued,
    /// The certificate is not revoked. It may have expired.
    Good,
    /// The certificate is revoked or on hold.
    Revoked(Revocation),
}

impl Authority {
    /// The delegate that signs OCSP responses for a CA. It is made at the first call, and its certificate is renewed when half of its life
    /// has passed. The returned delegate's certificate is valid now.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`](crate::Denial::Conflict) if there is no such CA; [`Error::Unavailable`] if
    /// the CA's private key is elsewhere, if the CA has ended, or if a new certificate cannot be recorded and the old
    /// one has ended.
    pub fn responder(&self, ca: &Label) -> Result<Arc<Responder>> {
        let ca = self.ca(ca)?;
        if !ca.info().can_sign {
            return Err(Error::unavailable(format!(
                "the key of the CA `{}` is elsewhere; nothing here answers for it",
                ca.info().name
            )));
        }
        let now = self.now();
        if let Some(ready) = ca.ready_responder(now) {
            return Ok(ready);
        }
        let mut state = ca.responder.write().unwrap_or_else(PoisonError::into_inner);
        self.renew(ca, &mut state, &Role::OCSP, self.settings.responder_validity, now);
        state.at(now, &ca.info().name)
    }

    /// The delegate that [`Self::responder`] returns, if it is open already and need not be renewed. It reads no file and waits for nothing,
    /// so that an event loop may call it.
    pub fn ready_responder(&self, ca: &Label) -> Option<Arc<Responder>> {
        self.cas.get(ca)?.ready_responder(self.now())
    }

    /// Whether the CA's OCSP delegate ever had a certificate. If not, [`Self::responder`] issues one.
    pub fn has_responder(&self, ca: &Label) -> bool {
        self.cas.get(ca).is_some_and(|ca| ca.has_delegate(&self.foundation, &Role::OCSP))
    }

    /// Gives a CA's OCSP delegate another key and certificate if an administrator revoked its certificate or put it on hold. Clients do not
    /// check the status of a certificate with id-pkix-ocsp-nocheck, so it must not stay in use. Returns whether the key was replaced. If
    /// the new certificate cannot be issued, the next call of [`Self::responder`] returns the error.
    ///
    /// # Errors
    /// As [`Self::responder`]; [`Error::Unavailable`] if the old key cannot be renamed.
    pub fn replace_revoked_responder(&self, ca: &Label) -> Result<bool> {
        let responder = self.responder(ca)?;
        let Some(serial) = Serial::from_integer(responder.serial()) else { return Ok(false) };
        let Some(holder) = self.cas.get(ca) else { return Ok(false) };
        if !matches!(self.certificate_status(ca, &serial)?, CertificateStatus::Revoked(_)) {
            return Ok(false);
        }
        let mut state = holder.responder.write().unwrap_or_else(PoisonError::into_inner);
        if state.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &responder)) {
            tracing::warn!(%ca, %serial, "the OCSP responder's certificate was revoked; it gets another key");
            holder.retire_delegate_key(&self.foundation, &Role::OCSP, &serial)?;
            *state = Appointment::default();
            let validity = self.settings.responder_validity;
            self.renew(holder, &mut state, &Role::OCSP, validity, self.now());
            return Ok(true);
        }
        Ok(false)
    }

    /// The current status of the certificate of this CA with this serial number, also if it is a CA's or a delegate's.
    ///
    /// # Errors
    /// [`Error::Internal`] if the store fails.
    pub fn certificate_status(&self, ca: &Label, serial: &Serial) -> Result<CertificateStatus> {
        match self.store().certificate(ca, serial)? {
            Some(_) => self.issued_status(ca, serial),
            None => match self.issued_status(ca, serial)? {
                // The certificate is unknown, but was listed on a CRL that the lost instance signed before a restore.
                revoked @ CertificateStatus::Revoked(_) => Ok(revoked),
                _ if self.is_ca_certificate(ca, serial) => Ok(CertificateStatus::Good),
                _ => Ok(CertificateStatus::NeverIssued),
            },
        }
    }

    /// The current status of a certificate that is known to be issued. This look-up needs no disk access. The times of a revocation are in
    /// whole seconds.
    ///
    /// # Errors
    /// [`Error::Internal`] if the store fails.
    pub fn issued_status(&self, ca: &Label, serial: &Serial) -> Result<CertificateStatus> {
        let revocation = self.store().revocation(ca, serial)?;
        Ok(revocation.map_or(CertificateStatus::Good, CertificateStatus::Revoked))
    }

    /// Whether `issuer` issued a certificate with this serial number to a CA of this instance. Such certificates are recorded with their
    /// CA, and not among those of peers.
    fn is_ca_certificate(&self, issuer: &Label, serial: &Serial) -> bool {
        let Some(issuer) = self.cas.get(issuer) else { return false };
        let is_it = |facts: &Facts| Serial::from_integer(&facts.serial) == Some(*serial);
        // Two CAs may have the same subject; only the key shows which of them signed.
        let signed = |der: &[u8]| verify_signature(der, &issuer.facts().key).is_ok();
        let links = self.cas.values().filter_map(|ca| ca.succeeds()?.links.as_ref());
        let mut links = links.flat_map(|links| [&links.new_with_old, &links.old_with_new]);
        self.cas.values().any(|ca| is_it(ca.facts()) && signed(&ca.info().certificate))
            || links.any(|link| Facts::of(link).is_ok_and(|facts| is_it(&facts)) && signed(link))
    }
}
