//! Recovers what an instance issued and revoked between its last backup and its loss, from certificates and CRLs that
//! others kept.
//!
//! Nothing is accepted unless a key of a CA of this instance signed it. No private key is needed.

use std::collections::BTreeSet;

use der::{Decode, Encode};
use x509_cert::crl::{CertificateList, RevokedCert};
use x509_cert::ext::pkix::crl::CrlReason;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{CrlDistributionPoints, CrlNumber, ExtendedKeyUsage};

use crate::clock::{BACKDATING, Clock, Timestamp};
use crate::error::{Denial, Error, Result};
use crate::key::SubjectPublicKey;
use crate::name::{Identity, Name};
use crate::oid;
use crate::profile::filled_url;
use crate::record::{
    Account, CaRecord, CrlRecord, CrlScope, Issued, Label, OWN_ACCOUNT_PREFIX, Permission, Reason,
    Revocation, RevokedEntry, Serial, is_administrators_profile, no_account,
};
use crate::store::Store;
use crate::x509::Facts;

/// The recovery of certificates and CRLs.
pub struct Recovery<'a> {
    /// The records of the restored instance.
    pub store: &'a dyn Store,
    /// The source of the time.
    pub clock: &'a dyn Clock,
    /// The URL templates of CRL partitions, with `{ca}` and `{partition}`.
    pub partition_urls: &'a [String],
    /// The number of CRL partitions by the settings; 0 for none.
    pub partitions: u16,
}

impl std::fmt::Debug for Recovery<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recovery(…)")
    }
}

/// The outcome of importing a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedCertificate {
    /// The CA that signed the certificate.
    pub ca: Label,
    /// The certificate's serial number.
    pub serial: Serial,
    /// The account of the certificate; `None` for a certificate of a CA of this instance.
    pub account: Option<Label>,
    /// Whether the certificate was recorded now. Otherwise it was already known.
    pub is_new: bool,
}

/// The outcome of importing a CRL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedCrl {
    /// The CA that signed the CRL.
    pub ca: Label,
    /// The serial numbers of known certificates for which a revocation or hold was recorded now. A certificate may have been on hold
    /// before, and be revoked for good now.
    pub revoked: Vec<Serial>,
    /// The serial numbers of unknown certificates that will be on this CA's CRLs, and were not before.
    pub listed: Vec<Serial>,
    /// The number of entries whose certificate was already recorded as revoked or listed.
    pub known: usize,
}

impl Recovery<'_> {
    /// Records a certificate (DER) that a CA of this instance signed. It is assigned to the account `account`, or without
    /// that to the only account that holds its alternative names, or its subject if it has none.
    ///
    /// # Errors
    /// [`Error::Malformed`] if this program cannot have issued it, by its form. `Denied` if no CA of this instance
    /// signed it, if no account or several accounts hold its names, if the account was made after the certificate or may not have a CA's
    /// certificate, or if another certificate with its serial number is known.
    pub fn certificate(&self, der: &[u8], account: Option<&Label>) -> Result<ImportedCertificate> {
        // 1. Check that a CA of this instance signed exactly these octets.
        let facts = Facts::of(der)?;
        let parsed = x509_cert::Certificate::from_der(der).map_err(not_read)?;
        let tbs = parsed.tbs_certificate.to_der().map_err(not_read)?;
        let ca = self.signer(&facts.issuer, |key| {
            key.verify(&parsed.signature_algorithm, &tbs, parsed.signature.raw_bytes())
        })?;
        let whole = parsed.to_der().map_err(not_read)?;
        let serial = Serial::from_integer(&facts.serial).filter(|_| whole == der);
        let serial = serial.ok_or_else(|| {
            Error::malformed(
                "expected a certificate in DER with a serial number as this program makes them",
            )
        })?;
        // 2. Stop if the certificate is already known.
        let is_cas = is_of_a_ca(&self.store.cas()?, &facts, der)?;
        let known = self.store.certificate(&ca.name, &serial)?;
        if let Some(other) = known.as_ref().filter(|known| known.certificate != der) {
            return Err(Error::denied(
                Denial::Conflict,
                format!(
                    "another certificate {serial} of `{}` is known, of the account `{}`",
                    ca.name, other.account
                ),
            ));
        }
        if is_cas || known.is_some() {
            let account = known.map(|known| known.account);
            return Ok(ImportedCertificate { ca: ca.name, serial, account, is_new: false });
        }
        // 3. Find its account.
        let is_named = account.is_some();
        let (account, profile) = match account {
            Some(own) if own.as_str().starts_with(OWN_ACCOUNT_PREFIX) => (own.clone(), own.clone()),
            _ => {
                let account = self.account(&facts, account)?;
                // Otherwise the names alone would make a peer's certificate prove an administrator. A CA that was taken over may have
                // issued one with the same key usage to somebody else.
                if is_administrators_profile(&account.profile) {
                    let name = &account.name;
                    if !is_administrators(&parsed) {
                        return Err(Error::not_authorized(format!(
                            "the certificate has names of the administrator `{name}`, and a key usage that is not an administrator's"
                        )));
                    }
                    if !is_named {
                        return Err(Error::not_authorized(format!(
                            "the certificate has names of the administrator `{name}`, and would prove to be that person: if this instance \
                             issued it to `{name}`, say so with `--account {name}`; `--account _former` records it without an account"
                        )));
                    }
                }
                (account.name, account.profile)
            }
        };
        // 4. Record it. Its serial number may have been reserved before the backup, so a conflict is ignored.
        let (urls, partition) = (urls_of(&parsed)?, self.largest_partition(&ca.name)?);
        let issued = Issued {
            partition: (0..partition).find(|number| self.is_named(&ca.name, *number, &urls)),
            ca: ca.name.clone(),
            serial,
            account: account.clone(),
            incarnation: None,
            profile,
            not_after: facts.not_after,
            certificate: der.to_vec(),
            consumes_secret: false,
            consumes_equipment: false,
            transaction: None,
            replaces: None,
            withheld: false,
            unpublished: false,
            retires: None,
        };
        match self.store.reserve_serials(self.clock.now(), &ca.name, &[serial]) {
            Ok(()) | Err(Error::Denied { kind: Denial::Conflict, .. }) => {}
            Err(error) => return Err(error),
        }
        self.store.record_issued(self.clock.now(), &issued)?;
        Ok(ImportedCertificate { ca: ca.name, serial, account: Some(account), is_new: true })
    }

    /// Records the revocations on a CRL (DER) that a CA of this instance signed, and its number. An entry whose certificate is unknown is
    /// listed on this CA's CRLs from now on.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not a CRL, or lists a serial number that this program cannot have issued; `Denied` if no CA of this
    /// instance signed it.
    pub fn crl(&self, der: &[u8]) -> Result<ImportedCrl> {
        let parsed = CertificateList::from_der(der).map_err(|e| {
            Error::malformed(format!("expected a certificate or a CRL in PEM or DER: {e}"))
        })?;
        let list = &parsed.tbs_cert_list;
        let tbs = list.to_der().map_err(not_read)?;
        let ca = self.signer(&list.issuer, |key| {
            key.verify(&parsed.signature_algorithm, &tbs, parsed.signature.raw_bytes())
        })?;
        refuse_indirect(&parsed)?;
        let until = Facts::of(&ca.certificate)?.not_after;
        let mut done =
            ImportedCrl { ca: ca.name.clone(), revoked: Vec::new(), listed: Vec::new(), known: 0 };
        for entry in list.revoked_certificates.iter().flatten() {
            self.import_entry(&ca.name, entry, until, &mut done)?;
        }
        self.note_number(&ca.name, &parsed)?;
        Ok(done)
    }

    /// Records the revocation that one entry of a CRL of `ca` states, and counts it in `done`. A certificate that is unknown is listed
    /// until `until`, the CA's end.
    fn import_entry(
        &self,
        ca: &Label,
        entry: &RevokedCert,
        until: Timestamp,
        done: &mut ImportedCrl,
    ) -> Result<()> {
        let serial = Serial::from_integer(entry.serial_number.as_bytes()).ok_or_else(|| {
            Error::malformed(format!(
                "the CRL lists `{}`, which is no serial number of ours",
                entry.serial_number
            ))
        })?;
        let Some(revocation) = stated_revocation(entry, self.clock.now())? else { return Ok(()) };
        let before = self.store.revocation(ca, &serial)?;
        let is_worse = |before: &Revocation| {
            before.reason == Reason::CertificateHold && revocation.reason != Reason::CertificateHold
        };
        let is_known = self.store.certificate(ca, &serial)?.is_some();
        match before {
            Some(before) if !(is_known && is_worse(&before)) => done.known += 1,
            _ if is_known => {
                self.store.record_revoked(self.clock.now(), ca, &serial, &revocation, None)?;
                done.revoked.push(serial);
            }
            _ => {
                let entry = RevokedEntry {
                    serial,
                    not_after: until,
                    partition: serial.partition(self.partitions),
                    revocation,
                };
                self.store.record_listed(self.clock.now(), ca, &entry)?;
                done.listed.push(serial);
            }
        }
        Ok(())
    }

    /// Records the number and thisUpdate of the imported CRL, so that those of the next CRL exceed them. A CRL without a number, with one
    /// of more than 64 bits, or with one that is not larger than those on record is left out.
    fn note_number(&self, ca: &Label, crl: &CertificateList) -> Result<()> {
        match numbered(ca, crl)? {
            Numbered::By(record) => note_crl(self.store, self.clock.now(), &record),
            Numbered::Not | Numbered::TooLarge => Ok(()),
        }
    }

    /// The CA of this instance with the subject `issuer` whose key `verify` accepts.
    fn signer(
        &self,
        issuer: &Name,
        verify: impl Fn(&SubjectPublicKey) -> Result<()>,
    ) -> Result<CaRecord> {
        for ca in self.store.cas()? {
            let facts = Facts::of(&ca.certificate)?;
            if facts.subject == *issuer && verify(&facts.key).is_ok() {
                return Ok(ca);
            }
        }
        Err(Error::denied(
            Denial::SignerNotTrusted,
            format!(
                "expected what a CA of this instance signed, and none has signed this, of `{issuer}`; `countersign ca show` lists them"
            ),
        ))
    }

    /// The account of a certificate: the named account, or the only account that holds all of its names. The named account must hold
    /// them, too, unless the certificate is a CA's.
    fn account(&self, facts: &Facts, named: Option<&Label>) -> Result<Account> {
        let mut names = facts
            .alt_names
            .iter()
            .map(Identity::from_general_name)
            .collect::<Result<Vec<Identity>>>()?;
        if names.is_empty() {
            names.push(Identity::Dn(facts.subject.clone()));
        }
        let words = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let holds = |account: &Account| names.iter().all(|name| account.identities.contains(name));
        let refused = |why: String| Err(Error::denied(Denial::NotAuthorized, why));
        let may_have = |account: Account| {
            let may_cross = account.permissions.contains(&Permission::CrossCertification);
            match may_cross || !facts.is_ca {
                true => Ok(account),
                false => refused(format!(
                    "the certificate for {words} is a CA's, and the account `{name}` may have none: if it had one, say so with \
                     `countersign peer allow {name} --permission cross-certification`",
                    name = account.name
                )),
            }
        };
        if let Some(name) = named {
            let account = self.store.account(name)?;
            let account = account.ok_or_else(|| no_account(name))?;
            // A cross certificate names the other CA and not the account.
            return match facts.is_ca || holds(&account) {
                true => may_have(account),
                false => refused(format!(
                    "the account `{name}` does not hold {words}, which the certificate names"
                )),
            };
        }
        let mut found = BTreeSet::new();
        for name in &names {
            found.extend(
                self.store.holders(name)?.iter().filter(|a| holds(a)).map(|a| a.name.clone()),
            );
        }
        let mut all = found.iter();
        match (all.next(), all.next()) {
            (Some(one), None) => {
                let account = self.store.account(one)?;
                let account = account.ok_or_else(|| no_account(one))?;
                // A certificate belongs to the account to which it was issued and to no later account of that name (ADR
                // 13). notBefore has no fraction of a second, so the comparison allows a certificate that was issued
                // within the second of the account's creation.
                match account.created.whole_seconds() > facts.not_before.plus(BACKDATING) {
                    true => refused(format!(
                        "the account `{one}` was made at {}, after this certificate for {words}: if it is the same holder's, name \
                         it with `--account {one}`",
                        account.created
                    )),
                    false => may_have(account),
                }
            }
            (None, _) => refused(format!(
                "no account holds {words}: make it with `countersign peer add --no-secret`, and name it with `--account`"
            )),
            _ => {
                let found = found.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
                refused(format!(
                    "several accounts hold {words}: name one of {} with `--account`",
                    found.join(", ")
                ))
            }
        }
    }

    /// The number of CRL partitions that certificates of this CA can name. Partitions from an earlier setting count, too.
    fn largest_partition(&self, ca: &Label) -> Result<u16> {
        let named = self.store.last_partition(ca)?;
        Ok(self.partitions.max(named.map_or(0, |last| last.saturating_add(1))))
    }

    /// Whether a partition's URL is among those that the certificate names.
    fn is_named(&self, ca: &Label, partition: u16, urls: &[String]) -> bool {
        let mut of_it = self.partition_urls.iter();
        of_it.any(|url| filled_url(url, ca, Some(partition)).is_some_and(|url| urls.contains(&url)))
    }
}

/// Refuses a CRL that lists certificates of other CAs than its issuer (RFC 5280 §5.3.3).
///
/// # Errors
/// [`Error::Malformed`].
pub(super) fn refuse_indirect(crl: &CertificateList) -> Result<()> {
    let list = &crl.tbs_cert_list;
    let of = list.crl_extensions.iter().flatten();
    let point = of.filter(|extension| extension.extn_id == oid::ISSUING_DISTRIBUTION_POINT);
    let mut points =
        point.map(|point| IssuingDistributionPoint::from_der(point.extn_value.as_bytes()));
    if points.any(|point| point.is_ok_and(|point| point.indirect_crl)) {
        return Err(Error::malformed(
            "it is an indirect CRL, which lists certificates of other CAs as well; export one of this CA alone",
        ));
    }
    Ok(())
}

/// The revocation that a CRL entry states; `None` if the entry removes the certificate from the list (delta CRLs).
pub(super) fn stated_revocation(entry: &RevokedCert, now: Timestamp) -> Result<Option<Revocation>> {
    let (mut reason, mut invalidity) = (Reason::Unspecified, None);
    for extension in entry.crl_entry_extensions.iter().flatten() {
        let octets = extension.extn_value.as_bytes();
        match extension.extn_id {
            oid::CRL_REASON => {
                let read = CrlReason::from_der(octets).map_err(not_read)?;
                reason = Reason::from_number(read as u8).unwrap_or(Reason::Unspecified);
            }
            oid::INVALIDITY_DATE => {
                let date = der::asn1::GeneralizedTime::from_der(octets).map_err(not_read)?;
                invalidity = Some(seconds(date.to_unix_duration()));
            }
            _ => {}
        }
    }
    let at = seconds(entry.revocation_date.to_unix_duration()).min(now);
    let revocation = Revocation { at, reason, invalidity };
    Ok(Some(revocation).filter(|_| reason != Reason::RemoveFromCrl))
}

/// The record of a CRL that another program or a lost instance signed.
pub(super) enum Numbered {
    /// The CRL has this number and these times.
    By(CrlRecord),
    /// The CRL has no number.
    Not,
    /// The CRL's number has more than 64 bits.
    TooLarge,
}

/// Reads the number and the times of a CRL.
pub(super) fn numbered(ca: &Label, crl: &CertificateList) -> Result<Numbered> {
    let list = &crl.tbs_cert_list;
    let extensions = list.crl_extensions.iter().flatten();
    let mut numbers = extensions.filter(|extension| extension.extn_id == oid::CRL_NUMBER);
    let Some(number) = numbers.next() else { return Ok(Numbered::Not) };
    let number = CrlNumber::from_der(number.extn_value.as_bytes()).map_err(not_read)?;
    let digits = number.0.as_bytes();
    let Some(start) = size_of::<u64>().checked_sub(digits.len()) else {
        return Ok(Numbered::TooLarge);
    };
    let mut octets = [0; size_of::<u64>()];
    octets.get_mut(start..).unwrap_or_default().copy_from_slice(digits);
    let this_update = seconds(list.this_update.to_unix_duration());
    Ok(Numbered::By(CrlRecord {
        ca: ca.clone(),
        scope: CrlScope::Full,
        number: u64::from_be_bytes(octets),
        this_update,
        signed: this_update,
        next_update: list.next_update.map_or(this_update, |next| seconds(next.to_unix_duration())),
        entries: list.revoked_certificates.as_ref().map_or(0, |entries| entries.len() as u64),
        // The CRL's file is not installed. A zero hash matches no file, so a new CRL is signed at once.
        tbs_sha256: [0; 32],
        is_base: false,
        reached: None,
        brought: None,
    }))
}

/// Records such a CRL, unless one with a number as large is on record.
pub(super) fn note_crl(store: &dyn Store, now: Timestamp, crl: &CrlRecord) -> Result<()> {
    match store.crls(&crl.ca)?.iter().any(|known| known.number >= crl.number) {
        true => Ok(()),
        false => store.record_crl(now, crl),
    }
}

/// Whether a certificate belongs to a CA of this instance and so to no account: a current or earlier certificate for a
/// CA's key, a link between two keys (RFC 9810 §4.4), or a certificate above a CA. No account can get a certificate for
/// such a key.
fn is_of_a_ca(cas: &[CaRecord], facts: &Facts, der: &[u8]) -> Result<bool> {
    for ca in cas {
        let links = ca.succeeds.iter().filter_map(|succession| succession.links.as_ref());
        let links = links.flat_map(|links| [&links.new_with_old, &links.old_with_new]);
        let mut known = std::iter::once(&ca.certificate).chain(&ca.chain).chain(links);
        let has_its_key =
            || Ok::<_, Error>(facts.is_ca && Facts::of(&ca.certificate)?.key == facts.key);
        if known.any(|known| known == der) || has_its_key()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The URLs in the CRL distribution points of a certificate.
fn urls_of(certificate: &x509_cert::Certificate) -> Result<Vec<String>> {
    let points = certificate.tbs_certificate.get::<CrlDistributionPoints>().map_err(not_read)?;
    let points = points.map_or_else(Vec::new, |(_, points)| points.0);
    let names = points.into_iter().filter_map(|point| match point.distribution_point? {
        DistributionPointName::FullName(names) => Some(names),
        DistributionPointName::NameRelativeToCRLIssuer(_) => None,
    });
    let urls = names.flatten().filter_map(|name| match name {
        GeneralName::UniformResourceIdentifier(url) => Some(url.to_string()),
        _ => None,
    });
    Ok(urls.collect())
}

fn seconds(since: std::time::Duration) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

pub(super) fn not_read(error: der::Error) -> Error {
    Error::malformed(format!("it cannot be read: {error}"))
}

/// Whether the only extended key usage is that of an administrator's certificate, id-kp-clientAuth.
fn is_administrators(certificate: &x509_cert::Certificate) -> bool {
    let usage = certificate.tbs_certificate.get::<ExtendedKeyUsage>().ok().flatten();
    usage.is_some_and(|(_, usage)| usage.0 == [oid::CLIENT_AUTH])
}
