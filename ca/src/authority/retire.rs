//! Revokes certificates that a renewal replaced, some time after the new one is good: the setting `supersede` of their profile.
//!
//! The new certificate's entry says how long after it the old one goes, so that neither a restart nor a long stop loses that. What the
//! profile says at that moment counts, too: with `keep` nothing is revoked, until the setting is taken back.

use std::time::Duration;

use super::issuer::Ca;
use super::state::Authority;
use crate::error::{Denial, Error, Result};
use crate::profile::Profile;
use crate::record::{CertificateRecord, Reason, Retirement, Revocation};

/// The most certificates that are looked at in one call of [`Authority::revoke_superseded`].
pub const SUPERSEDED_AT_ONCE: usize = 256;

/// What one call of [`Authority::revoke_superseded`] did.
#[derive(Debug)]
pub struct Superseded {
    /// How many certificates were revoked.
    pub revoked: usize,
    /// The last certificate that was looked at, from which the next call goes on; `None` if there are no more.
    pub next: Option<Retirement>,
}

/// How long after a renewal by the same CA is good the certificate that it replaces is revoked; `None` if it is not. Only a certificate with
/// the same profile counts as replaced.
pub(super) fn retires(old: &CertificateRecord, profile: &Profile) -> Option<Duration> {
    profile.supersede().filter(|_| old.profile == *profile.name())
}

impl Authority {
    /// Whether a certificate was issued by this CA, with whichever of its keys.
    pub(super) fn is_of_line(&self, old: &CertificateRecord, ca: &Ca) -> bool {
        let line = |ca: &Ca| self.latest(ca).info().name.clone();
        self.cas.get(&old.ca).is_some_and(|before| line(before) == line(ca))
    }

    /// Whether certificates of this one's profile are revoked after their renewal.
    fn is_retiring(&self, record: &CertificateRecord) -> bool {
        let profiles = self.profiles();
        profiles.named(&record.profile).is_some_and(|profile| profile.supersede().is_some())
    }

    /// Revokes certificates whose replacement has been good for as long as it said, at most [`SUPERSEDED_AT_ONCE`], with the reason
    /// superseded. One is passed over while no replacement is good: while the only one is on hold, or has expired. `after` is what the call
    /// before returned as [`Superseded::next`].
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Internal`] if the store fails.
    pub fn revoke_superseded(&self, after: Option<&Retirement>) -> Result<Superseded> {
        let due = self.store().retiring(self.now(), after, SUPERSEDED_AT_ONCE)?;
        let mut revoked = 0;
        for retirement in &due {
            let id = &retirement.certificate;
            let Some(record) = self.store().certificate(&id.ca, &id.serial)? else { continue };
            let Some(by) = self.good_replacement(retirement)?.filter(|_| self.is_retiring(&record))
            else {
                continue;
            };
            let now = self.now();
            let revocation = Revocation { at: now, reason: Reason::Superseded, invalidity: None };
            match self.store().record_revoked(now, &id.ca, &id.serial, &revocation, None) {
                Ok(()) => {}
                // Somebody revoked it meanwhile.
                Err(Error::Denied { kind: Denial::AlreadyRevoked, .. }) => continue,
                Err(error) => return Err(error),
            }
            revoked += 1;
            let (ca, serial) = (&id.ca, &id.serial);
            tracing::info!(%ca, %serial, by = %by.serial, "replaced by a renewal, and revoked");
            self.changes.note(&id.ca);
        }
        let next = due.into_iter().nth(SUPERSEDED_AT_ONCE - 1);
        Ok(Superseded { revoked, next })
    }

    /// A certificate that replaced one, was so long enough ago, and is good: neither expired, nor revoked unless it was replaced itself.
    fn good_replacement(&self, retirement: &Retirement) -> Result<Option<CertificateRecord>> {
        let now = self.now();
        for (id, _) in retirement.replaced_by.iter().filter(|(_, due)| *due <= now) {
            let record = self.store().certificate(&id.ca, &id.serial)?;
            let good = record.filter(|by| {
                let revoked = by.revocation.as_ref();
                by.confirmed
                    && by.not_after > now
                    && revoked.is_none_or(|of| of.reason == Reason::Superseded)
            });
            if good.is_some() {
                return Ok(good);
            }
        }
        Ok(None)
    }
}
