//! Signs CRLs, on schedule and when a status changed.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::Authority;
use super::issuer::Ca;
use crate::clock::Timestamp;
use crate::crl::Crl;
use crate::error::{Denial, Error, Result};
use crate::foundation::write_atomically;
use crate::gate::{Gate, Object};
use crate::record::{CrlRecord, Label};

impl Authority {
    /// Signs a new CRL, records it, and puts it in its file.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the CA's key is elsewhere, or the CRL cannot be recorded or written; the one before
    /// stays in place.
    pub fn publish_crl(&self, ca: &Label) -> Result<CrlRecord> {
        let ca = self.ca(ca)?;
        // One at a time: numbers rise in the order of their files.
        let mut current = ca.crl.lock().unwrap_or_else(PoisonError::into_inner);
        let name = &ca.info().name;
        let now = self.now();
        let last = self.store().last_crl(name)?;
        // A certificate that expired since the last CRL must stand on this one (RFC 5280 §3.3).
        let valid_after = last.as_ref().map_or(Timestamp::default(), |last| last.this_update);
        let revoked = self.store().revoked(name, valid_after)?;
        let root_key;
        let key = match ca.key() {
            Ok(key) => key,
            Err(_) if ca.info().can_sign => {
                root_key = self.ground.keys.load(name.as_str(), &self.ground.passphrase)?;
                &root_key
            }
            Err(e) => return Err(e),
        };
        let this_update = now.whole_seconds();
        let next_update = now.plus(self.crl_validity(ca)).min(ca.facts().not_after).whole_seconds();
        if next_update <= this_update {
            return Err(Error::unavailable(format!(
                "the CA `{name}` ended on {}; its last CRL stands",
                ca.facts().not_after
            )));
        }
        let tbs = Crl {
            issuer: &ca.facts().subject,
            issuer_key_identifier: &ca.facts().key_identifier,
            signature: key.signature_algorithm(),
            number: last.map_or(1, |last| last.number.saturating_add(1)),
            this_update,
            next_update,
            revoked: &revoked,
        };
        let number = tbs.number;
        let der = Gate::new(key, Object::Crl).sign_object(&tbs.tbs()?)?;
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, &der).as_ref());
        let record = CrlRecord {
            ca: name.clone(),
            number,
            this_update,
            next_update,
            entries: u64::try_from(revoked.len()).unwrap_or(u64::MAX),
            sha256,
        };
        self.store().record_crl(now, &record)?;
        write_atomically(&self.crl_path(name), &der)?;
        *current = Some(Arc::new(der));
        tracing::info!(ca = %name, number, entries = record.entries, %next_update, "crl signed");
        Ok(record)
    }

    /// The current CRL, DER; `None` before the first, or when its file is damaged and must be made again.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] when there is no such CA.
    pub fn crl(&self, ca: &Label) -> Result<Option<Arc<Vec<u8>>>> {
        let ca = self.ca(ca)?;
        let mut current = ca.crl.lock().unwrap_or_else(PoisonError::into_inner);
        if current.is_none() {
            let last = self.store().last_crl(&ca.info().name)?;
            *current = last.and_then(|last| {
                let der = fs::read(self.crl_path(&ca.info().name)).ok()?;
                (digest(&SHA256, &der).as_ref() == last.sha256).then(|| Arc::new(der))
            });
        }
        Ok(current.clone())
    }

    /// When the next scheduled CRL of this CA is due: a quarter into the validity of the last one, or now without one.
    /// `None` when its key is elsewhere.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`] when there is no such CA.
    pub fn crl_due(&self, ca: &Label) -> Result<Option<Timestamp>> {
        let ca = self.ca(ca)?;
        if !ca.info().can_sign || ca.facts().not_after <= self.now() {
            return Ok(None);
        }
        if self.crl(&ca.info().name)?.is_none() {
            return Ok(Some(self.now()));
        }
        Ok(Some(self.store().last_crl(&ca.info().name)?.map_or_else(
            || self.now(),
            |last| last.this_update.plus(last.next_update.since(last.this_update) / 4),
        )))
    }

    fn crl_validity(&self, ca: &Ca) -> Duration {
        if ca.info().is_root { self.settings.root_crl_validity } else { self.settings.crl_validity }
    }

    fn crl_path(&self, ca: &Label) -> PathBuf {
        self.settings.crl_folder.join(format!("{ca}.crl"))
    }

    fn ca(&self, name: &Label) -> Result<&Ca> {
        self.cas.get(name).ok_or_else(|| {
            Error::denied(
                Denial::Conflict,
                format!("there is no CA `{name}`; `countersign ca show` lists them"),
            )
        })
    }
}
