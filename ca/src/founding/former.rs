//! What a CA issued and revoked before it was taken over: reads it from the files of the program before, and records it.
//!
//! Nothing is accepted unless the CA's key signed it.

use std::thread;

use der::asn1::BitString;
use der::{Decode, Encode};
use x509_cert::crl::CertificateList;
use x509_cert::time::Time;

use super::recovery::{Numbered, not_read, note_crl, numbered, refuse_indirect, stated_revocation};
use crate::clock::{Clock, Timestamp};
use crate::error::{Denial, Error, Result};
use crate::key::SubjectPublicKey;
use crate::name::{Identity, Name};
use crate::oid;
use crate::record::{
    CertificateId, CrlRecord, Issued, Label, OWN_ACCOUNT_PREFIX, Reason, Revocation, RevokedEntry,
    Serial,
};
use crate::store::Store;
use crate::x509::Facts;

/// The account and the profile under which certificates are recorded that belong to no account. They can be found and revoked; their
/// holders cannot ask for anything with them.
pub const NO_ACCOUNT: &str = "_former";

/// The number of threads that record revocations, so that several share one write to the disk.
const WRITERS: usize = 8;

/// A CA that is taken over, as the signer of what it issued before.
#[derive(Debug)]
pub struct FormerCa {
    name: Label,
    certificate: Vec<u8>,
    facts: Facts,
}

/// A certificate in the files of a CA that is taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Former {
    /// A certificate of the CA itself.
    Own,
    /// A certificate that the CA issued.
    Issued(Box<FormerCertificate>),
    /// A certificate that the CA issued, and that cannot be recorded here: its key is of a kind or size that is not supported.
    Unsupported {
        /// Its serial number.
        serial: Serial,
        /// Its notAfter.
        not_after: Timestamp,
        /// What is not supported.
        why: String,
    },
}

/// A certificate that a CA issued before it was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerCertificate {
    /// Its serial number.
    pub serial: Serial,
    /// Its notAfter.
    pub not_after: Timestamp,
    /// Its subject.
    pub subject: Name,
    /// The identities by which its account is found: those in its subjectAltName, or without any its subject.
    pub identities: Vec<Identity>,
    /// Whether it is a CA's.
    pub is_ca: bool,
    /// Whether its signature uses SHA-1, which verifiers of today refuse.
    pub is_weak: bool,
}

/// A CRL that a CA signed before it was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerCrl {
    /// Its number and times; `None` if it has no number, or one of more than 64 bits.
    pub record: Option<CrlRecord>,
    /// The end of the CRL, if its number has more than 64 bits, so that no CRL of this instance can have a larger one.
    pub outnumbers_until: Option<Timestamp>,
    /// The serial numbers that it lists, with their revocations.
    pub revoked: Vec<(Serial, Revocation)>,
}

/// The account of a certificate that is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerAccount {
    /// The account's name.
    pub name: Label,
    /// The account's profile.
    pub profile: Label,
}

impl FormerAccount {
    /// No account: [`NO_ACCOUNT`].
    ///
    /// # Errors
    /// Never in practice, because the name is a valid label.
    pub fn none() -> Result<Self> {
        Ok(Self { name: NO_ACCOUNT.parse()?, profile: NO_ACCOUNT.parse()? })
    }

    /// Whether it is no account.
    pub fn is_none(&self) -> bool {
        self.name.as_str().starts_with(OWN_ACCOUNT_PREFIX)
    }
}

impl FormerCa {
    /// The CA with this certificate, DER, that has this name here.
    ///
    /// # Errors
    /// As [`Facts::of`].
    pub fn new(name: Label, certificate: &[u8]) -> Result<Self> {
        let facts = Facts::of(certificate)?;
        Ok(Self { name, certificate: certificate.to_vec(), facts })
    }

    /// The CA's name.
    pub const fn name(&self) -> &Label {
        &self.name
    }

    /// The CA's notAfter.
    pub const fn not_after(&self) -> Timestamp {
        self.facts.not_after
    }

    /// Reads a certificate, DER.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it cannot be read, or its serial number is none of RFC 5280; `Denied` if another CA signed it.
    pub fn certificate(&self, der: &[u8]) -> Result<Former> {
        let wrong = |e: der::Error| Error::malformed(format!("expected a certificate: {e}"));
        if !crate::sets::are_small(der) {
            return Err(Error::malformed(
                "expected a certificate, found one with a set of too many elements",
            ));
        }
        let parsed = x509_cert::Certificate::from_der(der).map_err(wrong)?;
        let tbs = &parsed.tbs_certificate;
        let is_own_key = || {
            let key = tbs.subject_public_key_info.to_der();
            key.is_ok_and(|key| key == self.facts.key.der()) && tbs.subject == self.facts.subject
        };
        if der == self.certificate || is_own_key() {
            return Ok(Former::Own);
        }
        if tbs.issuer != self.facts.subject {
            return Err(Error::denied(
                Denial::SignerNotTrusted,
                format!(
                    "expected a certificate that `{}` issued, found one of `{}`: take the file out",
                    self.facts.subject, tbs.issuer
                ),
            ));
        }
        let octets = tbs.to_der().map_err(wrong)?;
        self.verify(&parsed.signature_algorithm, &octets, &parsed.signature)?;
        let serial = serial_of(tbs.serial_number.as_bytes())?;
        let until = |time: Time| seconds(time.to_unix_duration());
        let not_after = until(tbs.validity.not_after);
        let facts = match Facts::of(der) {
            Ok(facts) => facts,
            Err(Error::Denied { why, .. }) => {
                return Ok(Former::Unsupported { serial, not_after, why });
            }
            Err(other) => return Err(other),
        };
        let named =
            facts.alt_names.iter().filter_map(|name| Identity::from_general_name(name).ok());
        let mut identities: Vec<Identity> = named.collect();
        if identities.is_empty() && !facts.subject.is_empty() {
            identities.push(Identity::Dn(facts.subject.clone()));
        }
        Ok(Former::Issued(Box::new(FormerCertificate {
            serial,
            not_after: facts.not_after,
            subject: facts.subject,
            identities,
            is_ca: facts.is_ca,
            is_weak: parsed.signature_algorithm.oid == oid::RSA_SHA1,
        })))
    }

    /// Reads a CRL, DER. `now` is the latest date of a revocation.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it cannot be read, or lists certificates of other CAs; `Denied` if another CA signed it.
    pub fn crl(&self, der: &[u8], now: Timestamp) -> Result<FormerCrl> {
        let parsed = CertificateList::from_der(der)
            .map_err(|e| Error::malformed(format!("expected a CRL in PEM or DER: {e}")))?;
        let list = &parsed.tbs_cert_list;
        if list.issuer != self.facts.subject {
            return Err(Error::denied(
                Denial::SignerNotTrusted,
                format!(
                    "expected a CRL of `{}`, found one of `{}`",
                    self.facts.subject, list.issuer
                ),
            ));
        }
        let octets = list.to_der().map_err(not_read)?;
        self.verify(&parsed.signature_algorithm, &octets, &parsed.signature)?;
        refuse_indirect(&parsed)?;
        let (record, outnumbers_until) = match numbered(&self.name, &parsed)? {
            Numbered::By(record) => (Some(record), None),
            Numbered::Not => (None, None),
            Numbered::TooLarge => {
                let end = list.next_update.unwrap_or(list.this_update);
                (None, Some(seconds(end.to_unix_duration())))
            }
        };
        let mut revoked = Vec::new();
        for entry in list.revoked_certificates.iter().flatten() {
            let serial = serial_of(entry.serial_number.as_bytes())?;
            revoked.extend(stated_revocation(entry, now)?.map(|revocation| (serial, revocation)));
        }
        Ok(FormerCrl { record, outnumbers_until, revoked })
    }

    fn verify(
        &self,
        algorithm: &spki::AlgorithmIdentifierOwned,
        message: &[u8],
        signature: &BitString,
    ) -> Result<()> {
        let key: &SubjectPublicKey = &self.facts.key;
        key.verify_former(algorithm, message, signature.raw_bytes()).map_err(|error| {
            Error::denied(
                Denial::SignerNotTrusted,
                format!("it was not signed by the key of `{}`: {error}", self.facts.subject),
            )
        })
    }
}

/// Records what a CA issued and revoked before. Whatever is recorded already is left as it is, so that an interrupted import can be
/// repeated.
pub struct FormerRecords<'a> {
    /// The records of the instance.
    pub store: &'a dyn Store,
    /// The source of the time.
    pub clock: &'a dyn Clock,
    /// The CA's name.
    pub ca: &'a Label,
}

impl std::fmt::Debug for FormerRecords<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FormerRecords({})", self.ca)
    }
}

impl FormerRecords<'_> {
    /// Reserves serial numbers, at most [`crate::journal::MAX_RESERVED`]: the CA will never issue with them.
    ///
    /// # Errors
    /// The errors of the store.
    pub fn reserve(&self, serials: &[Serial]) -> Result<()> {
        if serials.is_empty() {
            return Ok(());
        }
        match self.store.reserve_serials(self.clock.now(), self.ca, serials) {
            Err(Error::Denied { kind: Denial::Conflict, .. }) => {}
            reserved => return reserved,
        }
        // An attempt before reserved some of them.
        let mut receipts = Vec::with_capacity(serials.len());
        for serial in serials {
            receipts.push(self.store.begin_reserve(self.clock.now(), self.ca, &[*serial])?);
        }
        for receipt in receipts {
            match receipt.wait() {
                Ok(()) | Err(Error::Denied { kind: Denial::Conflict, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Records certificates (DER), each with its account, whose serial numbers are unknown. They are few enough to be in memory at once.
    ///
    /// # Errors
    /// Those of [`Store::record_issued`].
    pub fn certificates(
        &self,
        batch: Vec<(FormerCertificate, Vec<u8>, FormerAccount)>,
    ) -> Result<()> {
        let serials: Vec<Serial> = batch.iter().map(|(read, ..)| read.serial).collect();
        self.reserve(&serials)?;
        let mut receipts = Vec::with_capacity(batch.len());
        for (read, certificate, account) in batch {
            let id = CertificateId::new(self.ca.clone(), read.serial);
            let FormerAccount { name, profile } = account;
            let issued = Issued::unrequested(id, name, profile, read.not_after, certificate);
            receipts.push(self.store.begin_issued(self.clock.now(), issued)?);
        }
        receipts.into_iter().try_for_each(crate::receipt::Receipt::wait)
    }

    /// Records revocations and holds, each with the moment until which a serial number whose certificate is unknown stays on the CRLs.
    /// Returns how many are of certificates that are known, and of others; none counts that was recorded before.
    ///
    /// # Errors
    /// The errors of the store.
    pub fn revocations(&self, batch: &[RevokedEntry]) -> Result<Revoked> {
        let share = batch.len().div_ceil(WRITERS).max(1);
        let parts = thread::scope(|scope| {
            let threads: Vec<_> = batch
                .chunks(share)
                .map(|part| scope.spawn(|| part.iter().map(|entry| self.revoke(entry)).collect()))
                .collect();
            let ended = threads.into_iter().map(thread::ScopedJoinHandle::join);
            ended.collect::<std::result::Result<Vec<Result<Vec<Revoked>>>, _>>()
        });
        let parts = parts.map_err(|_| Error::internal("a thread of the import ended early"))?;
        let mut sum = Revoked::default();
        for part in parts {
            for one in part? {
                sum.known = sum.known.saturating_add(one.known);
                sum.listed = sum.listed.saturating_add(one.listed);
            }
        }
        Ok(sum)
    }

    fn revoke(&self, entry: &RevokedEntry) -> Result<Revoked> {
        let (ca, serial, revocation) = (self.ca, &entry.serial, &entry.revocation);
        let before = self.store.revocation(ca, serial)?;
        let is_known = self.store.certificate(ca, serial)?.is_some();
        let is_worse = |before: &Revocation| {
            before.reason == Reason::CertificateHold && revocation.reason != Reason::CertificateHold
        };
        match before {
            Some(before) if !(is_known && is_worse(&before)) => Ok(Revoked::default()),
            _ if is_known => {
                self.store.record_revoked(self.clock.now(), ca, serial, revocation, None)?;
                Ok(Revoked { known: 1, listed: 0 })
            }
            _ => {
                self.store.record_listed(self.clock.now(), ca, entry)?;
                Ok(Revoked { known: 0, listed: 1 })
            }
        }
    }

    /// Records the number and the times of the last CRL, so that those of the next CRL exceed them.
    ///
    /// # Errors
    /// The errors of the store.
    pub fn crl(&self, crl: &CrlRecord) -> Result<()> {
        note_crl(self.store, self.clock.now(), crl)
    }
}

/// How many revocations were recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Revoked {
    /// Of certificates that are recorded here.
    pub known: u64,
    /// Of serial numbers alone.
    pub listed: u64,
}

/// The serial number in the content octets of an INTEGER.
fn serial_of(content: &[u8]) -> Result<Serial> {
    let is_negative = content.first().is_some_and(|first| *first >= 0x80);
    Serial::from_integer(content).filter(|_| !is_negative).ok_or_else(|| {
        Error::malformed(format!(
            "expected a serial number above 0 of at most 20 octets, found `{}`",
            data_encoding::HEXLOWER.encode(content)
        ))
    })
}

fn seconds(since: std::time::Duration) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
