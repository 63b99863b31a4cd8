//! Signs the CRLs of a CA, and says when the next ones are due: the full CRL, and the delta CRL and the CRLs of partitions if the settings
//! ask for them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use der::{Decode, Reader, SliceReader};
use ring::digest::{SHA256, digest};

use super::issuer::{Ca, CurrentCrl};
use super::state::Authority;
use crate::clock::{BACKDATING, Timestamp};
use crate::error::{Error, Result};
use crate::key::FileKey;
use crate::profile::filled_url;
use crate::record::revoked::{Listed, RevokedSet};
use crate::record::{CrlRecord, CrlScope, Label, Reason, RevokedEntry, Serial};
use crate::signed::crl::Crl;

/// The smallest step from the thisUpdate of a CRL to that of the CA's next CRL.
const SECOND: Duration = Duration::from_secs(1);
/// How long the signer waits, at most, for the next thisUpdate. If thisUpdate is further in the future, the clock is assumed to have been
/// wrong.
const NEAR: Duration = Duration::from_secs(5);
/// The longest pause between two looks at the clock while waiting. [`TRIES`] is the number of looks.
const PAUSE: Duration = Duration::from_millis(200);
const TRIES: usize = 30;

/// The values that the CRLs of one edition share. An edition is the set of a CA's CRLs that are signed together, one for each scope.
struct Edition<'a> {
    ca: &'a Ca,
    key: &'a FileKey,
    number: u64,
    signed: Timestamp,
    this_update: Timestamp,
    next_update: Timestamp,
    /// The journal offset up to which all revocations of the CA's certificates are on these CRLs.
    reached: u64,
}

/// The facts about the last CRL of a scope on which the next CRL depends.
struct Published {
    /// The CRL's thisUpdate, but not later than now; 1970 if there is no CRL.
    update: Timestamp,
    /// The certificates that were revoked or released by entries that the CRL does not cover.
    changed: BTreeSet<Serial>,
}

impl Authority {
    /// Signs a new edition: a CRL of each scope in force. Records the CRLs and replaces their files. Returns the record
    /// of the full CRL. A caller that arrives while another edition is in progress shares the result of the first
    /// edition that starts after its call.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`](crate::Denial::Conflict) if there is no such CA; [`Error::Unavailable`] if the CA's private key
    /// is elsewhere, the CA has ended, or a CRL cannot be recorded or written. CRLs are replaced in the order full, delta, partitions:
    /// after an error, the CRL that failed and the later ones stay as they were.
    pub fn publish_crl(&self, ca: &Label) -> Result<CrlRecord> {
        self.publish_crl_for(ca, None)
    }

    /// As [`Self::publish_crl`], with a nextUpdate that is this long from now, but not behind the CA's end; `None` for the settings'.
    ///
    /// # Errors
    /// As [`Self::publish_crl`].
    pub fn publish_crl_for(&self, ca: &Label, validity: Option<Duration>) -> Result<CrlRecord> {
        let ca = self.ca(ca)?;
        let name = &ca.info().name;
        // 1. Sign one edition at a time, so that numbers rise in the order in which files are replaced. If another
        // edition began after this call and has finished, use its result: a burst of changes makes few CRLs.
        let asked = ca.editions.load(Ordering::SeqCst);
        let mut finished = ca.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        if *finished > asked
            && let Some(last) = self.store().last_crl(name, CrlScope::Full)?
        {
            return Ok(last);
        }
        let earliest = self.earliest_update(name)?;
        self.wait_until(earliest);
        let begun = ca.editions.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        // 2. Read the journal's offset, then the revocations, and then the time. In this order the list contains at
        // least everything before the offset, and nothing on it is later than the CRL's time.
        let reached = self.store().mark().offset();
        let revoked = self.store().revoked(name)?;
        let now = self.now();
        let root_key;
        let key = match ca.key() {
            Ok(key) => key,
            Err(_) if ca.info().can_sign => {
                root_key = self.foundation.keys.load(name.as_str(), &self.foundation.passphrase)?;
                &root_key
            }
            Err(e) => return Err(e),
        };
        let validity = validity.unwrap_or_else(|| self.crl_validity(ca));
        let edition = self.edition(ca, key, (now, earliest), (reached, validity))?;
        // 3. Sign the full CRL. Certificates that expired since the last one are listed once more (RFC 5280 §3.3).
        let settings = &self.settings.crl;
        let base = self
            .store()
            .base_crl(name)?
            .filter(|base| now < base.signed.plus(self.crl_interval(ca)))
            .filter(|base| base.signed <= now.plus(NEAR))
            .filter(|base| base.reached.is_some());
        let is_base = settings.delta && base.is_none();
        let freshest =
            if settings.delta { urls(&settings.delta_urls, name, None) } else { Vec::new() };
        let full = Crl { freshest: &freshest, ..edition.crl() };
        let last = self.last_published(name, CrlScope::Full)?;
        let entries = revoked.listed(None, last.update, &last.changed);
        let record = self.sign_crl(&edition, CrlScope::Full, is_base, &full, entries)?;
        // 4. Sign the delta, with the same number.
        if settings.delta {
            let base = base.as_ref().unwrap_or(&record);
            let changed = self.changed_since(name, base.reached.unwrap_or(0), &revoked)?;
            let delta = Crl { base: Some(base.number), ..edition.crl() };
            self.sign_crl(
                &edition,
                CrlScope::Delta,
                false,
                &delta,
                changed.iter().map(Listed::from),
            )?;
        }
        // 5. Sign the partitions.
        for scope in self.crl_scopes(name)? {
            let CrlScope::Partition(number) = scope else { continue };
            let point = urls(&settings.partition_urls, name, Some(number));
            let partition = Crl { distribution_point: &point, ..edition.crl() };
            let last = self.last_published(name, scope)?;
            let entries = revoked.listed(Some(number), last.update, &last.changed);
            self.sign_crl(&edition, scope, false, &partition, entries)?;
        }
        *finished = begun;
        Ok(record)
    }

    /// The newest CRL of a CA and scope. `None` if there is none yet, if the scope is not in force ([`Self::crl_scopes`]), or if the file of
    /// a CRL of this instance is missing or damaged and must be made again.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`](crate::Denial::Conflict) if there is no such CA.
    pub fn crl(&self, ca: &Label, scope: CrlScope) -> Result<Option<Arc<CurrentCrl>>> {
        let ca = self.ca(ca)?;
        let name = &ca.info().name;
        let mut current = ca.crls.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(record) = self.store().last_crl(name, scope)? else { return Ok(None) };
        if !self.crl_scopes(name)?.contains(&scope) {
            return Ok(None);
        }
        if let Some(known) = current.get(&scope).filter(|known| known.record == record) {
            return Ok(Some(Arc::clone(known)));
        }
        current.remove(&scope);
        // Nobody here can sign this one again, so that the journal has it, too.
        if let Some(der) = record.brought.clone() {
            let read = Arc::new(CurrentCrl { record, der: der.into() });
            current.insert(scope, Arc::clone(&read));
            return Ok(Some(read));
        }
        let Ok(der) = fs::read(self.crl_path(name, scope)) else { return Ok(None) };
        if tbs_sha256(&der) != Some(record.tbs_sha256) {
            return Ok(None);
        }
        let read = Arc::new(CurrentCrl { record, der: der.into() });
        current.insert(scope, Arc::clone(&read));
        Ok(Some(read))
    }

    /// The scopes for which CRLs of this CA are signed: the full CRL, then the delta, then the partitions by number. Partitions that only
    /// older certificates name are included. A root has no partitions.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`](crate::Denial::Conflict) if there is no such CA.
    pub fn crl_scopes(&self, ca: &Label) -> Result<Vec<CrlScope>> {
        let ca = self.ca(ca)?;
        let mut scopes = vec![CrlScope::Full];
        scopes.extend(self.settings.crl.delta.then_some(CrlScope::Delta));
        if !ca.info().is_root {
            let named = self.store().last_partition(&ca.info().name)?;
            let named = named.map_or(0, |last| last.saturating_add(1));
            let count = self.settings.crl.partitions.max(named);
            scopes.extend((0..count).map(CrlScope::Partition));
        }
        Ok(scopes)
    }

    /// The time at which the CA's next CRLs are due. It is now if a CRL is missing, damaged or dated in the future, or if an edition was
    /// interrupted. `None` if the CA's private key is elsewhere or the CA has ended.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Conflict`](crate::Denial::Conflict) if there is no such CA.
    pub fn crl_due(&self, ca: &Label) -> Result<Option<Timestamp>> {
        let ca = self.ca(ca)?;
        let name = &ca.info().name;
        if !ca.info().can_sign || ca.facts().not_after <= self.now() {
            return Ok(None);
        }
        let mut number = None;
        let mut due = None;
        for scope in self.crl_scopes(name)? {
            let Some(CurrentCrl { record, .. }) = self.crl(name, scope)?.as_deref().cloned() else {
                return Ok(Some(self.now()));
            };
            // The numbers differ, so an edition was interrupted.
            if number.is_some_and(|number| number != record.number) {
                return Ok(Some(self.now()));
            }
            number = Some(record.number);
            // The clock was ahead when this CRL was signed. Peers reject a CRL from the future, so a new one is due.
            if record.signed > self.now().plus(NEAR) {
                return Ok(Some(self.now()));
            }
            let half = record.next_update.since(record.signed) / 2;
            let next = record.signed.plus(self.crl_interval(ca).min(half));
            due = Some(due.map_or(next, |due: Timestamp| due.min(next)));
        }
        Ok(due)
    }

    /// Whether a recorded revocation or release is missing from the CA's last full CRL, or this instance has signed no CRL. A command
    /// that revokes without access to the CA's private key causes that.
    ///
    /// # Errors
    /// [`Error::Internal`] if the store fails.
    pub fn crl_lacks_changes(&self, ca: &Label) -> Result<bool> {
        let Some(last) = self.store().last_crl(ca, CrlScope::Full)? else { return Ok(true) };
        let Some(reached) = last.reached else { return Ok(true) };
        Ok(!self.store().changed(ca, reached)?.is_empty())
    }

    /// Whether [`Self::publish_crl`] would now wait until the clock reaches the next CRL's thisUpdate. After many CRLs in a short time it
    /// waits for up to a second, and after a clock was set back for up to 5 seconds.
    ///
    /// # Errors
    /// [`Error::Internal`] if the store fails.
    pub fn crl_must_wait(&self, ca: &Label) -> Result<bool> {
        Ok(self.earliest_update(ca)? > self.now())
    }

    /// The earliest thisUpdate of a CA's next CRL; 1970 if there is no bound.
    ///
    /// NSS and GnuTLS distinguish CRLs by thisUpdate, so each is a second later than the one before. After a restore it
    /// is also later than any CRL that the lost instance can have signed. A thisUpdate in the future, from a clock that
    /// was ahead, is ignored.
    fn earliest_update(&self, ca: &Label) -> Result<Timestamp> {
        let near = self.now().plus(NEAR);
        let crls = self.store().crls(ca)?;
        let updates = crls.iter().map(|crl| crl.this_update).chain(self.restored_since(&crls)?);
        let earliest = updates.map(|at| at.whole_seconds().plus(SECOND)).filter(|at| *at <= near);
        Ok(earliest.max().unwrap_or_default())
    }

    /// The time at which the journal was last restored from a backup, if none of these CRLs was signed since then. The comparison uses
    /// journal offsets and not times: the clock may have been ahead when the last CRL was signed, and an imported CRL
    /// was signed before the restore.
    fn restored_since(&self, crls: &[CrlRecord]) -> Result<Option<Timestamp>> {
        let restored = self.store().restored()?;
        let is_before =
            |place| crls.iter().all(|crl| crl.reached.is_none_or(|reached| reached <= place));
        Ok(restored.filter(|restore| is_before(restore.offset)).map(|restore| restore.at))
    }

    /// The cRLNumber of the CRLs that are signed now.
    ///
    /// It is at least the current time in milliseconds since 1970, and exceeds the largest number of `crls` by at least the milliseconds
    /// since that CRL was signed. So it also rises with time when it is ahead of time, and exceeds the numbers that a lost instance used
    /// after its backup. The first edition after a restore additionally adds the whole current time, in case the clock was ahead when
    /// the lost instance signed.
    fn next_number(&self, crls: &[CrlRecord], now: Timestamp) -> Result<u64> {
        let present = u64::try_from(now.millis()).unwrap_or(0).max(1);
        let next = crls.iter().max_by_key(|crl| crl.number).map_or(1, |last| {
            let since = u64::try_from(now.since(last.signed).as_millis()).unwrap_or(u64::MAX);
            last.number.saturating_add(since.max(1))
        });
        let leap = self.restored_since(crls)?.map_or(0, |_| present);
        Ok(next.max(present).saturating_add(leap))
    }

    /// Waits for a moment that is at most [`NEAR`] away, and returns at once for any other. It gives up if the clock does not
    /// advance.
    fn wait_until(&self, moment: Timestamp) {
        for _ in 0..TRIES {
            let left = moment.since(self.now());
            if left.is_zero() || left > NEAR {
                return;
            }
            std::thread::sleep(left.min(PAUSE));
        }
    }

    /// The values that the CRLs signed now share. `earliest` is the earliest thisUpdate, `reached` is as in [`Edition`], and `validity` is the
    /// time until nextUpdate.
    fn edition<'a>(
        &self,
        ca: &'a Ca,
        key: &'a FileKey,
        (now, earliest): (Timestamp, Timestamp),
        (reached, validity): (u64, Duration),
    ) -> Result<Edition<'a>> {
        let name = &ca.info().name;
        let next_update = now.plus(validity).min(ca.facts().not_after).whole_seconds();
        let backdated = now.minus(BACKDATING).max(ca.facts().not_before.min(now)).whole_seconds();
        let this_update = backdated.max(earliest);
        let crls = self.store().crls(name)?;
        if let Some(last) = crls.iter().map(|crl| crl.this_update).max()
            && last > now.plus(NEAR)
        {
            // The clock was ahead once, and an administrator has confirmed that it is right now.
            tracing::warn!(ca = %name, %last, "the last CRL is of a time to come: peers that have it keep it");
        }
        if next_update <= now.whole_seconds() {
            return Err(Error::unavailable(format!(
                "the CA `{name}` ended on {}; its last CRL stands",
                ca.facts().not_after
            )));
        }
        let number = self.next_number(&crls, now)?;
        Ok(Edition { ca, key, number, signed: now, this_update, next_update, reached })
    }

    /// Signs one CRL to a temporary file, records it, and then replaces the previous file.
    fn sign_crl(
        &self,
        edition: &Edition<'_>,
        scope: CrlScope,
        is_base: bool,
        crl: &Crl<'_>,
        entries: impl Iterator<Item = Listed> + Clone,
    ) -> Result<CrlRecord> {
        let name = &edition.ca.info().name;
        let path = self.crl_path(name, scope);
        let mut replacement = Replacement::begin(&path)?;
        let latest = edition.this_update.plus(BACKDATING);
        let entries = entries.map(move |entry| entry.no_later_than(latest));
        let signed = crl.sign(edition.key, entries, &mut replacement.file)?;
        replacement.sync()?;
        let record = CrlRecord {
            ca: name.clone(),
            scope,
            number: edition.number,
            this_update: edition.this_update,
            signed: edition.signed,
            next_update: edition.next_update,
            entries: signed.entries,
            tbs_sha256: signed.tbs_sha256,
            is_base,
            reached: Some(edition.reached),
            brought: None,
        };
        // The lock keeps readers out between the record and the replacement of the file, whose contents would not
        // match.
        let mut current = edition.ca.crls.lock().unwrap_or_else(PoisonError::into_inner);
        self.store().record_crl(self.now(), &record)?;
        replacement.finish()?;
        current.remove(&scope);
        drop(current);
        let CrlRecord { number, entries, next_update, .. } = &record;
        tracing::info!(ca = %name, %scope, number, entries, %next_update, "crl signed");
        Ok(record)
    }

    /// The entries of a delta CRL (RFC 5280 §5.2.4), ordered by serial number: the certificates whose status changed at or after the
    /// journal offset `reached`, up to which its base covers. `revoked` is the snapshot for this edition.
    fn changed_since(
        &self,
        ca: &Label,
        reached: u64,
        revoked: &RevokedSet,
    ) -> Result<Vec<RevokedEntry>> {
        // A revocation during this edition must not be on any of its lists, so the snapshot decides what is revoked.
        let now = self.store().changed(ca, reached)?.into_iter().filter_map(|changed| {
            let is_released = changed.revocation.reason == Reason::RemoveFromCrl;
            revoked.entry(&changed.serial).or(Some(changed).filter(|_| is_released))
        });
        Ok(now.collect())
    }

    /// The facts about the last CRL of a scope on which the next CRL depends.
    fn last_published(&self, ca: &Label, scope: CrlScope) -> Result<Published> {
        let last = self.store().last_crl(ca, scope)?;
        let reached = last.as_ref().and_then(|last| last.reached);
        let changed =
            reached.map_or(Ok(Vec::new()), |reached| self.store().changed(ca, reached))?;
        Ok(Published {
            // Not later than now: certificates that a clock which was ahead took for expired are listed again.
            update: last.map_or(Timestamp::default(), |last| last.this_update.min(self.now())),
            changed: changed.into_iter().map(|entry| entry.serial).collect(),
        })
    }

    fn crl_validity(&self, ca: &Ca) -> Duration {
        let settings = &self.settings.crl;
        if ca.info().is_root { settings.root_validity } else { settings.validity }
    }

    fn crl_interval(&self, ca: &Ca) -> Duration {
        let quarter = self.crl_validity(ca) / 4;
        self.settings.crl.interval.filter(|_| !ca.info().is_root).unwrap_or(quarter)
    }

    /// The file of the current CRL of a scope.
    fn crl_path(&self, ca: &Label, scope: CrlScope) -> PathBuf {
        let folder = &self.settings.crl.folder;
        match scope {
            CrlScope::Full => folder.join(format!("{ca}.crl")),
            part => folder.join(ca.as_str()).join(format!("{part}.crl")),
        }
    }
}

impl Edition<'_> {
    /// The content of a full CRL, apart from its entries and its freshestCRL.
    fn crl(&self) -> Crl<'_> {
        Crl {
            issuer: &self.ca.facts().subject,
            issuer_key_identifier: &self.ca.facts().key_identifier,
            number: self.number,
            this_update: self.this_update,
            next_update: self.next_update,
            base: None,
            distribution_point: &[],
            freshest: &[],
        }
    }
}

fn urls(templates: &[String], ca: &Label, partition: Option<u16>) -> Vec<String> {
    templates.iter().filter_map(|url| filled_url(url, ca, partition)).collect()
}

/// SHA-256 over the TBSCertList of a CRL, the first element inside the outer SEQUENCE; `None` if it cannot be read.
fn tbs_sha256(der: &[u8]) -> Option<[u8; 32]> {
    let outer = der::asn1::AnyRef::from_der(der).ok()?;
    let tbs = SliceReader::new(outer.value()).ok()?.tlv_bytes().ok()?;
    digest(&SHA256, tbs).as_ref().try_into().ok()
}

/// A temporary file that replaces another file when it is finished, and is removed otherwise.
struct Replacement {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
}

impl Replacement {
    /// Creates the temporary file.
    fn begin(path: &Path) -> Result<Self> {
        let temporary = path.with_extension("crl.new");
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        let file = folder.and_then(|()| File::create(&temporary));
        let file = file.map_err(|e| Error::io(format!("`{}`", temporary.display()), &e))?;
        Ok(Self { file, temporary, path: path.to_owned() })
    }

    /// Makes the content of the temporary file durable.
    fn sync(&self) -> Result<()> {
        let failed = |e| Error::io(format!("`{}`", self.temporary.display()), &e);
        self.file.sync_all().map_err(failed)
    }

    /// Renames the temporary file to the name of the file that it replaces, durably.
    fn finish(self) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::rename(&self.temporary, &self.path)
            .and_then(|()| File::open(folder)?.sync_all())
            .map_err(|e| Error::io(format!("`{}`", self.path.display()), &e))
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // After `finish` there is no temporary file any more.
        let _ = fs::remove_file(&self.temporary);
    }
}
