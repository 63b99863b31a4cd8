//! What is to be recorded of a CA that is taken over. All files are read and every problem is found before anything is recorded; then the
//! files with certificates are read a second time, so that only a few are in memory at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use countersign_ca::authority::accounts::Accounts;
use countersign_ca::founding::{
    Former, FormerAccount, FormerCa, FormerCertificate, FormerRecords, Revoked,
};
use countersign_ca::journal::MAX_RESERVED;
use countersign_ca::profile::Profiles;
use countersign_ca::record::{CrlRecord, Reason, Revocation, RevokedEntry, Serial};
use countersign_ca::store::EmbeddedStore;
use countersign_ca::{Store, Timestamp};

use super::holders::{Holder, Holders};
use super::index;
use super::objects::{Object, files, objects};
use super::problems::Problems;
use crate::exit::Failure;
use crate::output::Bar;

/// How many certificates are recorded at a time.
const BATCH: usize = 256;

/// How many accounts are added in one entry of the journal.
const ACCOUNTS: usize = 500;

/// How many names of files are told that hold no certificate.
const TOLD: usize = 5;

/// A serial number that a database or a CRL names.
#[derive(Default)]
struct Named {
    /// The notAfter that the database gives.
    not_after: Option<Timestamp>,
    revocation: Option<Revocation>,
    /// Whether a certificate with it was found.
    is_found: bool,
}

/// A certificate to record.
struct Found {
    sha256: [u8; 32],
    not_after: Timestamp,
    is_new: bool,
    /// Whether it was recorded already when the files were read.
    was_known: bool,
    /// The account of a valid one; the others' accounts are looked up when they are recorded.
    holder: Option<Holder>,
}

/// What is to be recorded.
pub struct Plan<'a> {
    ca: &'a FormerCa,
    /// The certificates above the CA, DER, which may lie among those that it issued.
    above: &'a [Vec<u8>],
    store: Option<&'a EmbeddedStore>,
    /// Whether the CA is recorded: an import of it was finished.
    is_finished: bool,
    holders: Holders<'a>,
    now: Timestamp,
    named: BTreeMap<Serial, Named>,
    found: BTreeMap<Serial, Found>,
    /// Serial numbers of which no certificate can be recorded.
    unsupported: BTreeSet<Serial>,
    files: Vec<PathBuf>,
    crl: Option<CrlRecord>,
    /// How many certificates have a signature with SHA-1.
    weak: u64,
    /// How many certificates of CAs are among them.
    cas: u64,
    ignored: Vec<PathBuf>,
    warnings: Vec<String>,
}

/// The certificates of a second reading of the files.
#[derive(Debug, Default)]
struct Assigned {
    /// How many belong to no account.
    without_account: u64,
    /// The differences to the first reading.
    changed: Vec<String>,
}

/// How much was recorded, or would be.
#[derive(Debug, Default)]
pub struct Summary {
    pub accounts: usize,
    pub certificates: u64,
    pub known: u64,
    pub without_account: u64,
    pub revoked: Revoked,
    pub reserved: u64,
    pub crl_number: Option<u64>,
    pub warnings: Vec<String>,
}

impl<'a> Plan<'a> {
    /// Nothing was read yet.
    pub fn new(
        ca: &'a FormerCa,
        above: &'a [Vec<u8>],
        store: Option<&'a EmbeddedStore>,
        is_finished: bool,
        holders: Holders<'a>,
        now: Timestamp,
    ) -> Self {
        Self {
            ca,
            above,
            store,
            is_finished,
            holders,
            now,
            named: BTreeMap::new(),
            found: BTreeMap::new(),
            unsupported: BTreeSet::new(),
            files: Vec::new(),
            crl: None,
            weak: 0,
            cas: 0,
            ignored: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Reads the databases and folders of `issued`, and the CRLs.
    ///
    /// # Errors
    /// Every problem of the files, with file and line.
    pub fn read(&mut self, issued: &[PathBuf], crls: &[PathBuf]) -> Result<(), Failure> {
        let mut problems = Problems::default();
        // 1. The databases and CRLs say which certificates are revoked. The accounts of those do not matter.
        for source in issued {
            if source.is_dir() {
                self.files.extend(files(source)?);
            } else if objects(source)?.is_empty() {
                let (named, now) = (&mut self.named, self.now);
                index::read(source, now, &mut problems, |row| {
                    let one = named.entry(row.serial).or_default();
                    one.not_after = Some(row.not_after);
                    if let Some(revocation) = row.revocation {
                        one.revoke(revocation);
                    }
                })?;
            } else {
                self.files.push(source.clone());
            }
        }
        for file in crls {
            self.read_crls(file, &mut problems)?;
        }
        // 2. The certificates.
        let mut bar = Bar::new("reading certificates");
        let total = u64::try_from(self.files.len()).unwrap_or(u64::MAX);
        for (done, file) in std::mem::take(&mut self.files).into_iter().enumerate() {
            bar.show(u64::try_from(done).unwrap_or(u64::MAX), total);
            let all = objects(&file)?;
            let mut has_one = false;
            for object in all {
                has_one |= self.read_certificate(&file, object, &mut problems)?;
            }
            match has_one {
                true => self.files.push(file),
                false => self.ignored.push(file),
            }
        }
        bar.done();
        problems.refuse()
    }

    fn read_crls(&mut self, file: &Path, problems: &mut Problems) -> Result<(), Failure> {
        let all = objects(file)?;
        if all.is_empty() {
            problems.add(file, None, "expected CRLs in PEM or DER, found none");
        }
        for Object { line, der, .. } in all {
            let read =
                der.and_then(|der| self.ca.crl(&der, self.now).map_err(|error| error.to_string()));
            let crl = match read {
                Ok(crl) => crl,
                Err(why) => {
                    problems.add(file, line, &why);
                    continue;
                }
            };
            if let Some(end) = crl.outnumbers_until {
                self.warnings.push(format!(
                    "{}: its number has more than 64 bits, and those of this instance are smaller: a peer that keeps the CRL with the larger \
                     number, as strongSwan does, takes ours only after {end}, or when its cache was flushed",
                    file.display()
                ));
            }
            for (serial, revocation) in crl.revoked {
                self.named.entry(serial).or_default().revoke(revocation);
            }
            let last = self.crl.as_ref().map(|crl| crl.number);
            if let Some(record) =
                crl.record.filter(|record| last.is_none_or(|last| record.number > last))
            {
                self.crl = Some(record);
            }
        }
        Ok(())
    }

    /// Reads an object of a file with certificates. Returns whether it is a certificate, even if one with a problem.
    fn read_certificate(
        &mut self,
        file: &Path,
        object: Object,
        problems: &mut Problems,
    ) -> Result<bool, Failure> {
        let Object { line, label, der } = object;
        if !may_be_certificate(label.as_deref()) {
            return Ok(false);
        }
        let der = match der {
            Ok(der) => der,
            Err(why) => {
                problems.add(file, line, &why);
                return Ok(true);
            }
        };
        if self.above.contains(&der) {
            return Ok(true);
        }
        let read = match self.ca.certificate(&der) {
            Ok(read) => read,
            // A file in DER may be a CRL, a request or a key.
            Err(countersign_ca::Error::Malformed(_)) if label.is_none() => return Ok(false),
            Err(error) => {
                problems.add(file, line, &error.to_string());
                return Ok(true);
            }
        };
        match read {
            Former::Own => {}
            Former::Unsupported { serial, not_after, why } => {
                if self.unsupported.insert(serial) {
                    self.warnings.push(format!(
                        "{}: {serial} cannot be recorded, and only its serial number is kept: {why}",
                        file.display()
                    ));
                }
                self.named.entry(serial).or_default().not_after = Some(not_after);
            }
            Former::Issued(certificate) => {
                if let Err(why) = self.add(&certificate, sha256(&der))? {
                    problems.add(file, line, &why);
                }
            }
        }
        Ok(true)
    }

    /// Adds a certificate, unless it was there before.
    fn add(
        &mut self,
        certificate: &FormerCertificate,
        sha256: [u8; 32],
    ) -> Result<Result<(), String>, Failure> {
        let serial = certificate.serial;
        let twice = || format!("another certificate has the serial number {serial}, too");
        if let Some(before) = self.found.get(&serial) {
            return Ok(if before.sha256 == sha256 { Ok(()) } else { Err(twice()) });
        }
        let known = match self.store {
            Some(store) => store.certificate(self.ca.name(), &serial)?,
            None => None,
        };
        if known.as_ref().is_some_and(|known| self::sha256(&known.certificate) != sha256) {
            return Ok(Err(twice()));
        }
        self.weak = self.weak.saturating_add(u64::from(certificate.is_weak));
        self.cas = self.cas.saturating_add(u64::from(certificate.is_ca));
        let named = self.named.get_mut(&serial);
        let is_ended = certificate.not_after < self.now
            || named.as_ref().is_some_and(|named| named.is_revoked_for_good());
        if let Some(named) = named {
            named.is_found = true;
        }
        let holder = match is_ended || known.is_some() {
            true => None,
            false => match self.holders.of_valid(certificate)? {
                Ok(holder) => Some(holder),
                Err(why) => return Ok(Err(why)),
            },
        };
        let is_new = known.is_none();
        let not_after = certificate.not_after;
        let was_known = !is_new;
        self.found.insert(serial, Found { sha256, not_after, is_new, was_known, holder });
        Ok(Ok(()))
    }

    /// What would be recorded.
    ///
    /// # Errors
    /// A file was changed since it was read; those of the store.
    pub fn summary(mut self) -> Result<Summary, Failure> {
        let mut summary = Summary {
            accounts: self.holders.drafts().len(),
            crl_number: self.crl.as_ref().map(|crl| crl.number),
            reserved: count(self.unissued().count()),
            warnings: self.all_warnings(),
            ..Summary::default()
        };
        for found in self.found.values() {
            match found.is_new {
                true => summary.certificates = summary.certificates.saturating_add(1),
                false => summary.known = summary.known.saturating_add(1),
            }
        }
        for (serial, named) in &self.named {
            let Some(revocation) = &named.revocation else { continue };
            if self.was_perhaps_released(serial, revocation) {
                continue;
            }
            let before = match self.store {
                Some(store) => store.revocation(self.ca.name(), serial)?,
                None => None,
            };
            if before.is_some_and(|before| before.reason == revocation.reason) {
                continue;
            }
            match named.is_found {
                true => summary.revoked.known = summary.revoked.known.saturating_add(1),
                false => summary.revoked.listed = summary.revoked.listed.saturating_add(1),
            }
        }
        let assigned = self.assign(|_| Ok(()))?;
        refuse_changed(&assigned.changed)?;
        summary.without_account = assigned.without_account;
        Ok(summary)
    }

    /// Records accounts, certificates, serial numbers, revocations and the number of the last CRL, in this order. Whatever an earlier
    /// attempt recorded is left as it is.
    ///
    /// # Errors
    /// A file was changed since it was read; those of the store.
    pub fn record(
        mut self,
        records: &FormerRecords<'_>,
        accounts: &Accounts,
        profiles: &Profiles,
    ) -> Result<Summary, Failure> {
        let mut summary = Summary {
            accounts: self.holders.drafts().len(),
            crl_number: self.crl.as_ref().map(|crl| crl.number),
            warnings: self.all_warnings(),
            ..Summary::default()
        };
        // Those with fewer names first: if the command is interrupted here, no account holds the names of another that is still missing.
        let mut drafts = self.holders.drafts().to_vec();
        drafts.sort_by_key(|draft| draft.identities.len());
        for part in drafts.chunks(ACCOUNTS) {
            accounts.add_ahead(profiles, part, records.ca)?;
        }
        self.record_certificates(records, &mut summary)?;
        let unissued: Vec<Serial> = self.unissued().collect();
        summary.reserved = count(unissued.len());
        for part in unissued.chunks(MAX_RESERVED) {
            records.reserve(part)?;
        }
        self.record_revocations(records, &mut summary)?;
        if let Some(crl) = &self.crl {
            records.crl(crl)?;
        }
        Ok(summary)
    }

    /// The serial numbers that the CA must never issue with, and under which no certificate is recorded.
    fn unissued(&self) -> impl Iterator<Item = Serial> {
        let named = self.named.keys().filter(|serial| !self.found.contains_key(serial));
        let all: BTreeSet<Serial> = named.chain(&self.unsupported).copied().collect();
        all.into_iter()
    }

    fn record_certificates(
        &mut self,
        records: &FormerRecords<'_>,
        summary: &mut Summary,
    ) -> Result<(), Failure> {
        let mut bar = Bar::new("recording certificates");
        let total = count(self.found.len());
        let (mut batch, mut recorded) = (Vec::with_capacity(BATCH), 0_u64);
        let assigned = self.assign(|certificate| {
            batch.push(certificate);
            recorded = recorded.saturating_add(1);
            if batch.len() >= BATCH {
                records.certificates(std::mem::take(&mut batch))?;
                bar.show(recorded, total);
            }
            Ok(())
        })?;
        records.certificates(batch)?;
        bar.done();
        refuse_changed(&assigned.changed)?;
        (summary.certificates, summary.without_account) = (recorded, assigned.without_account);
        summary.known = total.saturating_sub(recorded);
        Ok(())
    }

    /// Reads the files once more, and hands over each new certificate with its account.
    fn assign(
        &mut self,
        mut to: impl FnMut((FormerCertificate, Vec<u8>, FormerAccount)) -> Result<(), Failure>,
    ) -> Result<Assigned, Failure> {
        let mut assigned = Assigned::default();
        for file in std::mem::take(&mut self.files) {
            for object in objects(&file)? {
                let Ok(der) = object.der else { continue };
                if !may_be_certificate(object.label.as_deref()) || self.above.contains(&der) {
                    continue;
                }
                let Ok(Former::Issued(certificate)) = self.ca.certificate(&der) else { continue };
                let digest = sha256(&der);
                let found = self.found.get_mut(&certificate.serial);
                let Some(found) = found.filter(|found| found.sha256 == digest) else {
                    assigned.changed.push(format!(
                        "{} came ({})",
                        certificate.serial,
                        file.display()
                    ));
                    continue;
                };
                // A certificate that lies in two files is handed over once.
                if !found.is_new {
                    continue;
                }
                found.is_new = false;
                let holder = match found.holder.take() {
                    Some(holder) => holder,
                    None => self.holders.of_ended(&certificate)?,
                };
                let account: FormerAccount = self.holders.account(holder)?;
                let without = u64::from(account.is_none());
                assigned.without_account = assigned.without_account.saturating_add(without);
                to((*certificate, der, account))?;
            }
        }
        let gone = self.found.iter().filter(|(_, found)| found.is_new);
        assigned.changed.extend(gone.map(|(serial, _)| format!("{serial} is gone")));
        Ok(assigned)
    }

    fn record_revocations(
        &self,
        records: &FormerRecords<'_>,
        summary: &mut Summary,
    ) -> Result<(), Failure> {
        let mut bar = Bar::new("recording revocations");
        let end = self.ca.not_after();
        let entries: Vec<RevokedEntry> = self
            .named
            .iter()
            .filter_map(|(serial, named)| {
                let found = self.found.get(serial).map(|found| found.not_after);
                let states = named.revocation.as_ref();
                if states.is_some_and(|revocation| self.was_perhaps_released(serial, revocation)) {
                    return None;
                }
                Some(RevokedEntry {
                    serial: *serial,
                    not_after: found.or(named.not_after).unwrap_or(end),
                    partition: None,
                    revocation: named.revocation.clone()?,
                })
            })
            .collect();
        for (done, part) in entries.chunks(BATCH).enumerate() {
            let Revoked { known, listed } = records.revocations(part)?;
            summary.revoked.known = summary.revoked.known.saturating_add(known);
            summary.revoked.listed = summary.revoked.listed.saturating_add(listed);
            bar.show(count(done.saturating_mul(BATCH)), count(entries.len()));
        }
        bar.done();
        Ok(())
    }

    /// Whether a hold in the files may have been released here since: the certificate was known when the import of its CA was finished.
    fn was_perhaps_released(&self, serial: &Serial, revocation: &Revocation) -> bool {
        self.is_finished
            && revocation.reason == Reason::CertificateHold
            && self.found.get(serial).is_none_or(|found| found.was_known)
    }

    /// What the operator should know, each as a sentence.
    fn all_warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.clone();
        warnings.extend(self.holders.warnings().iter().cloned());
        if self.weak > 0 {
            warnings.push(format!(
                "{} certificates have a signature with SHA-1, which verifiers of today refuse: renew them soon",
                self.weak
            ));
        }
        if self.cas > 0 {
            warnings.push(format!(
                "{} certificates are those of CAs below this one: they are recorded without an account, and can be revoked",
                self.cas
            ));
        }
        let lone = self.named.iter().filter(|(serial, named)| {
            named.revocation.is_none()
                && !self.found.contains_key(serial)
                && !self.unsupported.contains(serial)
                && named.not_after.is_none_or(|end| end >= self.now)
        });
        let lone = lone.count();
        if lone > 0 {
            warnings.push(format!(
                "of {lone} valid certificates only the serial number is known, which is kept from being issued again: their holders cannot \
                 renew them, and they cannot be revoked, until `--issued` names a folder with the certificates"
            ));
        }
        if !self.ignored.is_empty() {
            let some = self.ignored.iter().take(TOLD).map(|file| format!("`{}`", file.display()));
            let some = some.collect::<Vec<_>>().join(", ");
            let more = self.ignored.len().saturating_sub(TOLD);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            warnings.push(format!("no certificate is in {some}{more}"));
        }
        warnings
    }
}

impl Named {
    /// Adds what another source says: what is revoked for good stays so, and else the earlier date counts.
    fn revoke(&mut self, other: Revocation) {
        let hold = |of: &Revocation| of.reason == Reason::CertificateHold;
        let replaces = match &self.revocation {
            None => true,
            Some(own) => {
                (hold(own) && !hold(&other)) || (hold(own) == hold(&other) && other.at < own.at)
            }
        };
        if replaces {
            self.revocation = Some(other);
        }
    }

    fn is_revoked_for_good(&self) -> bool {
        self.revocation.as_ref().is_some_and(|of| of.reason != Reason::CertificateHold)
    }
}

/// Refuses to go on if the files have other certificates than before: a CA that lacks some of them would be recorded as whole.
fn refuse_changed(changed: &[String]) -> Result<(), Failure> {
    let Some(some) = changed.get(..changed.len().min(TOLD)).filter(|some| !some.is_empty()) else {
        return Ok(());
    };
    let more = changed.len().saturating_sub(TOLD);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(Failure::unavailable(format!(
        "the files were changed while they were read: certificate {}{more}. Run the same command again when nothing writes to \
         them; until then the import is not finished",
        some.join(", certificate ")
    )))
}

/// Whether a PEM block with this label may be a certificate; a file in DER has none.
fn may_be_certificate(label: Option<&str>) -> bool {
    let labels = ["CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE"];
    label.is_none_or(|label| labels.contains(&label))
}

fn sha256(octets: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(octets).into()
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
