//! The entries of a CRL. They are read in one pass and sorted by serial number, so that a look-up is a binary search.
//!
//! An odd entry, such as one with a serial number of 22 octets or an undefined reason, invalidates neither itself nor
//! other entries: a listed certificate is revoked. The exceptions are in [`Entries::unusable`].

use std::collections::HashMap;
use std::ops::Range;

use der::asn1::AnyRef;
use der::oid::AssociatedOid;
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use x509_cert::ext::pkix::CrlReason;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::clock::Timestamp;
use crate::name::same_name;
use crate::oid;
use crate::path::certificate::{Certificate, any_moment, minimal};
use crate::path::extension::Extension;
use crate::path::legible::legible;
use crate::sets;

/// What a CRL says about one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The reason of the revocation.
    pub reason: CrlReason,
    /// The date of the revocation.
    pub at: Timestamp,
}

impl Entry {
    /// Whether the entry stays in effect after the nextUpdate of its CRL. A hold can be released; everything else is
    /// permanent.
    pub fn is_permanent(&self) -> bool {
        !matches!(self.reason, CrlReason::CertificateHold | CrlReason::RemoveFromCRL)
    }

    /// The gravity of the entry: a revocation is graver than a hold, and a hold than a release.
    fn severity(&self) -> u8 {
        match self.reason {
            CrlReason::RemoveFromCRL => 0,
            CrlReason::CertificateHold => 1,
            _ => 2,
        }
    }
}

/// All entries of a CRL.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// The entries, ordered by serial number.
    rows: Vec<Row>,
    /// The issuers of the listed certificates. The CRL's own issuer has number 0 and is not in this list.
    issuers: Vec<Name>,
    /// The reason why the CRL must not be used at all.
    pub unusable: Option<String>,
    /// The reason why a certificate that is not found may nevertheless be listed.
    pub flaw: Option<String>,
}

/// One entry, with the range of its serial number in the signed octets of the CRL, and the number of its issuer.
#[derive(Debug, Clone, Copy)]
struct Row {
    start: u32,
    end: u32,
    issuer: u32,
    entry: Entry,
}

impl Row {
    /// The content octets of the serial number.
    fn serial<'s>(&self, signed: &'s [u8]) -> &'s [u8] {
        signed.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

impl Entries {
    /// Reads revokedCertificates, whose content is at `place` in `signed`. An entry whose date cannot be read counts as
    /// revoked at `at`.
    ///
    /// ```text
    /// revokedCertificates     SEQUENCE OF SEQUENCE  {
    ///      userCertificate         CertificateSerialNumber,
    ///      revocationDate          Time,
    ///      crlEntryExtensions      Extensions OPTIONAL  -- if present, version MUST be v2
    ///                           }  OPTIONAL,
    /// ```
    /// RFC 5280 §5.1.
    pub fn read(
        signed: &[u8],
        place: Range<usize>,
        at: Timestamp,
        scope: &IssuingDistributionPoint,
    ) -> Self {
        let mut reading = Reading {
            entries: Self::default(),
            numbers: HashMap::new(),
            issuer: 0,
            at,
            is_indirect: scope.indirect_crl,
        };
        let content = signed.get(place.clone()).unwrap_or_default();
        if reading.all(content, place.start).is_err() {
            reading.entries.flaw = Some("not all of its entries can be read".into());
        }
        let mut entries = reading.entries;
        entries.rows.sort_by(|one, other| one.serial(signed).cmp(other.serial(signed)));
        entries
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The entry of a certificate; `None` if the CRL has none. `own` is the CRL's issuer. If there are several entries,
    /// the gravest one counts.
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

/// The state while entries are read.
struct Reading {
    entries: Entries,
    /// The numbers of the issuers, by their names in DER.
    numbers: HashMap<Vec<u8>, u32>,
    /// The number of the issuer that the last certificateIssuer named. It applies to the following entries, too
    /// (§5.3.3).
    issuer: u32,
    /// The date of entries whose own date cannot be read.
    at: Timestamp,
    /// Whether entries may name other issuers than the CRL's own (§5.2.5).
    is_indirect: bool,
}

impl Reading {
    /// Reads all entries.
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

    /// Reads the entry that begins at `place`.
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

    /// Reads the extensions of an entry: returns the reason, and remembers the issuer.
    fn extensions(&mut self, reader: &mut SliceReader<'_>) -> CrlReason {
        if reader.is_finished() {
            return CrlReason::Unspecified;
        }
        let read = reader.tlv_bytes().and_then(Extension::all);
        let (Ok(extensions), true) = (read, reader.is_finished()) else {
            if self.is_indirect {
                // The extensions may have named the issuer of this and the following entries.
                self.entries.flaw = Some("an entry's extensions cannot be read".into());
            }
            return CrlReason::Unspecified;
        };
        let mut reason = CrlReason::Unspecified;
        for extension in &extensions {
            if extension.is(&CrlReason::OID) {
                reason = CrlReason::from_der(extension.value).unwrap_or(CrlReason::Unspecified);
            } else if extension.is(&oid::CERTIFICATE_ISSUER) {
                if self.note_issuer(extension.value).is_none() {
                    self.entries.unusable =
                        Some("an entry's certificateIssuer cannot be read (§5.3.3)".into());
                }
            } else if extension.critical && !extension.is(&oid::INVALIDITY_DATE) {
                self.entries.unusable = Some(format!(
                    "an entry's critical extension `{}` is unknown (§5.3)",
                    extension.shown()
                ));
            }
        }
        match Extension::twice(&extensions) {
            Some(twice) if twice.is(&oid::CERTIFICATE_ISSUER) => {
                self.entries.unusable = Some("an entry has two certificateIssuer (§5.3.3)".into());
                reason
            }
            Some(_) => CrlReason::Unspecified,
            None => reason,
        }
    }

    /// Reads the certificateIssuer of an entry: the first directory name in GeneralNames. It applies to the following
    /// entries, too.
    fn note_issuer(&mut self, names: &[u8]) -> Option<()> {
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
