//! The entries of a CRL: read in one go, in order of their serial numbers, so that a look-up is a search in it.
//!
//! What is odd in an entry, a serial number of 22 octets or a reason that does not exist, makes neither the entry go away nor the others:
//! a certificate that is listed is revoked, whatever else stands there.

use std::collections::HashMap;
use std::ops::Range;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::oid::AssociatedOid;
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use x509_cert::ext::pkix::CrlReason;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::clock::Timestamp;
use crate::name::same_name;
use crate::path::certificate::{Certificate, any_moment, minimal};
use crate::path::extension::Extension;
use crate::path::legible::legible;
use crate::sets;

/// id-ce-certificateIssuer
const CERTIFICATE_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.29");
/// id-ce-invalidityDate
const INVALIDITY_DATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.24");

/// What a CRL says of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub reason: CrlReason,
    pub at: Timestamp,
}

impl Entry {
    /// Whether it stays true when its CRL ends: a hold can be lifted, everything else is for good.
    pub fn is_permanent(&self) -> bool {
        !matches!(self.reason, CrlReason::CertificateHold | CrlReason::RemoveFromCRL)
    }

    fn severity(&self) -> u8 {
        match self.reason {
            CrlReason::RemoveFromCRL => 0,
            CrlReason::CertificateHold => 1,
            _ => 2,
        }
    }
}

/// All entries.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// In order of the serial number.
    rows: Vec<Row>,
    /// Issuers of the certificates: the CRL's own is number 0 and not here.
    issuers: Vec<Name>,
    /// Why the CRL must not be used at all.
    pub unusable: Option<String>,
    /// Why a certificate that is not found here may be listed all the same.
    pub flaw: Option<String>,
}

/// Where in the CRL a serial number stands, and what is said of it.
#[derive(Debug, Clone, Copy)]
struct Row {
    start: u32,
    end: u32,
    issuer: u32,
    entry: Entry,
}

impl Row {
    fn serial<'s>(&self, signed: &'s [u8]) -> &'s [u8] {
        signed.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

impl Entries {
    /// Reads revokedCertificates, of which the content is at `place` in `signed`. What cannot be told of an entry counts as of `at`.
    ///
    /// ```text
    /// revokedCertificates     SEQUENCE OF SEQUENCE  {
    ///      userCertificate         CertificateSerialNumber,
    ///      revocationDate          Time,
    ///      crlEntryExtensions      Extensions OPTIONAL  -- if present, version MUST be v2
    ///                           }  OPTIONAL,
    /// ```
    /// RFC 5280 §5.1.
    pub fn read(signed: &[u8], place: Range<usize>, at: Timestamp, is_indirect: bool) -> Self {
        let mut reading = Reading {
            entries: Self::default(),
            numbers: HashMap::new(),
            issuer: 0,
            at,
            is_indirect,
        };
        let content = signed.get(place.clone()).unwrap_or_default();
        if reading.all(content, place.start).is_err() {
            reading.entries.flaw = Some("not all of its entries can be read".into());
        }
        let mut entries = reading.entries;
        entries.rows.sort_by(|one, other| one.serial(signed).cmp(other.serial(signed)));
        entries
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// What is said of a certificate; `own` is the CRL's issuer. Of several entries the gravest counts.
    pub fn of(&self, signed: &[u8], own: &Name, certificate: &Certificate) -> Option<Entry> {
        let serial = certificate.serial.as_slice();
        let first = self.rows.partition_point(|row| row.serial(signed) < serial);
        let rows = self.rows.get(first..).unwrap_or_default();
        let is_issuer = |number: u32| {
            let name = match number.checked_sub(1) {
                None => Some(own),
                Some(place) => self.issuers.get(place as usize),
            };
            name.is_some_and(|name| same_name(name, &certificate.issuer_name))
        };
        rows.iter()
            .take_while(|row| row.serial(signed) == serial)
            .filter(|row| is_issuer(row.issuer))
            .map(|row| row.entry)
            .max_by_key(Entry::severity)
    }
}

struct Reading {
    entries: Entries,
    /// The number of an issuer, by its name in DER.
    numbers: HashMap<Vec<u8>, u32>,
    /// Of the last entry that named one (§5.3.3).
    issuer: u32,
    at: Timestamp,
    is_indirect: bool,
}

impl Reading {
    fn all(&mut self, content: &[u8], start: usize) -> der::Result<()> {
        let mut reader = SliceReader::new(content)?;
        while !reader.is_finished() {
            let place = start.saturating_add(usize::try_from(reader.position())?);
            let entry = reader.tlv_bytes()?;
            if self.entry(entry, place).is_err() {
                self.entries.flaw = Some("an entry has no serial number".into());
            }
        }
        Ok(())
    }

    /// An entry that begins at `place`.
    fn entry(&mut self, der: &[u8], place: usize) -> der::Result<()> {
        let outer = AnyRef::from_der(der)?;
        outer.tag().assert_eq(Tag::Sequence)?;
        let content = place.saturating_add(der.len().saturating_sub(outer.value().len()));
        let mut reader = SliceReader::new(outer.value())?;
        let serial = AnyRef::decode(&mut reader)?;
        serial.tag().assert_eq(Tag::Integer)?;
        let end = content.saturating_add(usize::try_from(reader.position())?);
        let start = end.saturating_sub(minimal(serial.value()).len());
        let at = AnyRef::decode(&mut reader).and_then(|at| any_moment(at.tag(), at.value()));
        let reason = self.extensions(&mut reader);
        self.entries.rows.push(Row {
            start: u32::try_from(start).map_err(|_| der::ErrorKind::Overlength)?,
            end: u32::try_from(end).map_err(|_| der::ErrorKind::Overlength)?,
            issuer: self.issuer,
            entry: Entry { reason, at: at.unwrap_or(self.at) },
        });
        Ok(())
    }

    /// What the rest of an entry says: the reason; and takes note of the issuer.
    fn extensions(&mut self, reader: &mut SliceReader<'_>) -> CrlReason {
        if reader.is_finished() {
            return CrlReason::Unspecified;
        }
        let read = reader.tlv_bytes().and_then(Extension::all);
        let (Ok(extensions), true) = (read, reader.is_finished()) else {
            if self.is_indirect {
                // Whose certificates these and the next entries are, it may have said.
                self.entries.flaw = Some("an entry's extensions cannot be read".into());
            }
            return CrlReason::Unspecified;
        };
        let mut reason = CrlReason::Unspecified;
        for extension in &extensions {
            if extension.is(&CrlReason::OID) {
                reason = CrlReason::from_der(extension.value).unwrap_or(CrlReason::Unspecified);
            } else if extension.is(&CERTIFICATE_ISSUER) {
                if self.take_issuer(extension.value).is_none() {
                    self.entries.unusable =
                        Some("an entry's certificateIssuer cannot be read (§5.3.3)".into());
                }
            } else if extension.critical && !extension.is(&INVALIDITY_DATE) {
                self.entries.unusable = Some(format!(
                    "an entry's critical extension `{}` is unknown (§5.3)",
                    extension.shown()
                ));
            }
        }
        match Extension::twice(&extensions) {
            Some(twice) if twice.is(&CERTIFICATE_ISSUER) => {
                self.entries.unusable = Some("an entry has two certificateIssuer (§5.3.3)".into());
                reason
            }
            Some(_) => CrlReason::Unspecified,
            None => reason,
        }
    }

    /// GeneralNames with the name of the issuer of this entry's certificate, and of those after it.
    fn take_issuer(&mut self, names: &[u8]) -> Option<()> {
        if let Some(number) = self.numbers.get(names) {
            self.issuer = *number;
            return Some(());
        }
        let all = sets::are_small(names)
            .then(|| Vec::<GeneralName>::from_der(&legible(names)).ok())??;
        let name = all.into_iter().find_map(|name| match name {
            GeneralName::DirectoryName(name) => Some(name),
            _ => None,
        })?;
        self.entries.issuers.push(name);
        self.issuer = u32::try_from(self.entries.issuers.len()).ok()?;
        self.numbers.insert(names.to_vec(), self.issuer);
        Some(())
    }
}
