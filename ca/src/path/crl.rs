//! CRLs by RFC 5280 §6.3: full, delta, partitioned by name or by reason, and indirect.

use std::collections::HashMap;
use std::sync::Arc;

use der::asn1::{Any, BitStringRef, ObjectIdentifier, Uint};
use der::oid::AssociatedOid;
use der::{Decode, Encode, Tag};
use spki::AlgorithmIdentifierOwned;
use x509_cert::crl::{RevokedCert, TbsCertList};
use x509_cert::ext::pkix::crl::dp::{
    DistributionPoint, IssuingDistributionPoint, ReasonFlags, Reasons,
};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, CrlNumber, CrlReason, FreshestCrl, KeyUsages};
use x509_cert::name::{Name, RdnSequence};

use super::build::{Anchors, validate};
use super::certificate::{Certificate, moment, signed_parts, verify};
use super::check::PathSettings;
use super::name::same_name;
use crate::clock::Timestamp;

/// id-ce-deltaCRLIndicator
const DELTA: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.27");
/// id-ce-issuingDistributionPoint
const SCOPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
/// id-ce-certificateIssuer
const CERTIFICATE_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.29");
/// id-ce-invalidityDate
const INVALIDITY_DATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.24");
/// id-ce-issuerAltName
const ISSUER_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.18");

/// A CRL, read once.
#[derive(Debug)]
pub struct Crl {
    signed: Vec<u8>,
    algorithm: AlgorithmIdentifierOwned,
    signature: Vec<u8>,
    issuer: Name,
    /// thisUpdate.
    pub this_update: Timestamp,
    /// nextUpdate.
    pub next_update: Option<Timestamp>,
    number: Option<Vec<u8>>,
    base: Option<Vec<u8>>,
    scope: IssuingDistributionPoint,
    authority_key: Option<Vec<u8>>,
    /// Issuers of the certificates in it; the first is its own.
    issuers: Vec<Name>,
    entries: HashMap<(usize, Vec<u8>), Entry>,
    /// Why it must not be used.
    defect: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    reason: CrlReason,
    at: Timestamp,
}

/// Why a CRL cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a CRL in DER: {0}")]
pub struct CrlError(#[from] der::Error);

/// Whether a certificate is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrlStatus {
    /// No CRL lists it, and all reasons are covered; true until the first of these CRLs ends.
    Good(Timestamp),
    /// One lists it.
    Revoked {
        /// Why.
        reason: CrlReason,
        /// Since when.
        at: Timestamp,
    },
    /// The CRLs at hand do not tell; in words why.
    Unknown(String),
}

impl Crl {
    /// Reads a CRL, DER.
    ///
    /// # Errors
    /// It is none.
    pub fn from_der(der: &[u8]) -> Result<Self, CrlError> {
        let (signed, algorithm, signature) = signed_parts(der)?;
        let list: TbsCertList = TbsCertList::from_der(signed)?;
        let mut crl = Self {
            signed: signed.to_vec(),
            signature,
            issuers: vec![list.issuer.clone()],
            issuer: list.issuer,
            this_update: moment(list.this_update),
            next_update: list.next_update.map(moment),
            number: None,
            base: None,
            scope: everything(),
            authority_key: None,
            entries: HashMap::new(),
            defect: None,
            algorithm: algorithm.clone(),
        };
        if list.signature != algorithm {
            crl.defect = Some("the two names of its signature algorithm differ (§5.1.1.2)".into());
        }
        for extension in list.crl_extensions.iter().flatten() {
            let octets = extension.extn_value.as_bytes();
            match extension.extn_id {
                CrlNumber::OID => {
                    crl.number = Some(CrlNumber::from_der(octets)?.0.as_bytes().to_vec());
                    if extension.critical {
                        crl.defect =
                            Some("its cRLNumber is critical, and must not be (§5.2.3)".into());
                    }
                }
                DELTA => crl.base = Some(Uint::from_der(octets)?.as_bytes().to_vec()),
                SCOPE => crl.scope = IssuingDistributionPoint::from_der(octets)?,
                AuthorityKeyIdentifier::OID => {
                    let identifier = AuthorityKeyIdentifier::from_der(octets)?.key_identifier;
                    crl.authority_key = identifier.map(|octets| octets.as_bytes().to_vec());
                }
                FreshestCrl::OID | ISSUER_ALT_NAME => {}
                unknown if extension.critical => {
                    crl.defect =
                        Some(format!("its critical extension `{unknown}` is unknown (§5.2)"));
                }
                _ => {}
            }
        }
        let mut issuer = 0;
        for entry in list.revoked_certificates.unwrap_or_default() {
            crl.take(entry, &mut issuer)?;
        }
        Ok(crl)
    }

    fn take(&mut self, entry: RevokedCert, issuer: &mut usize) -> der::Result<()> {
        let mut reason = CrlReason::Unspecified;
        for extension in entry.crl_entry_extensions.iter().flatten() {
            let octets = extension.extn_value.as_bytes();
            match extension.extn_id {
                CrlReason::OID => reason = CrlReason::from_der(octets)?,
                CERTIFICATE_ISSUER => {
                    let names = Vec::<GeneralName>::from_der(octets)?;
                    let name = names.into_iter().find_map(|name| match name {
                        GeneralName::DirectoryName(name) => Some(name),
                        _ => None,
                    });
                    if let Some(name) = name {
                        *issuer =
                            self.issuers.iter().position(|of| same_name(of, &name)).unwrap_or_else(
                                || {
                                    self.issuers.push(name);
                                    self.issuers.len() - 1
                                },
                            );
                    }
                }
                INVALIDITY_DATE => {}
                unknown if extension.critical => {
                    self.defect = Some(format!(
                        "an entry's critical extension `{unknown}` is unknown (§5.3)"
                    ));
                }
                _ => {}
            }
        }
        let at = moment(entry.revocation_date);
        self.entries
            .insert((*issuer, entry.serial_number.as_bytes().to_vec()), Entry { reason, at });
        Ok(())
    }

    /// The CRL itself.
    ///
    /// # Errors
    /// It is too long.
    pub fn to_der(&self) -> der::Result<Vec<u8>> {
        let rest = [self.algorithm.to_der()?, BitStringRef::from_bytes(&self.signature)?.to_der()?]
            .concat();
        Any::new(Tag::Sequence, [self.signed.as_slice(), &rest].concat())?.to_der()
    }

    /// Its issuer.
    pub fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// The key that signed it, as its authorityKeyIdentifier names it.
    pub fn authority_key(&self) -> Option<&[u8]> {
        self.authority_key.as_deref()
    }

    /// How many certificates it lists.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it lists none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether it is older than another one of the same issuer: by number, if one key gave both numbers, else by date.
    pub fn is_older_than(&self, other: &Self) -> bool {
        match (&self.number, &other.number) {
            (Some(own), Some(number)) if self.authority_key == other.authority_key => {
                order(own, number).is_lt()
            }
            _ => self.this_update < other.this_update,
        }
    }

    /// Whether it is the same CRL.
    pub fn is_same(&self, other: &Self) -> bool {
        self.signed == other.signed && self.signature == other.signature
    }

    /// Whether this CA signed it.
    pub fn is_signed_by(&self, signer: &Certificate) -> bool {
        same_name(&self.issuer, &signer.subject_name)
            && verify(signer.spki(), &self.algorithm, &self.signed, &self.signature).is_ok()
    }

    fn is_delta(&self) -> bool {
        self.base.is_some()
    }

    fn entry(&self, certificate: &Certificate) -> Option<Entry> {
        let issuer = self.issuers.iter().position(|of| same_name(of, &certificate.issuer_name))?;
        self.entries.get(&(issuer, certificate.serial.clone())).copied()
    }

    /// Whether it may be used now.
    fn usable(&self, at: Timestamp) -> Result<Timestamp, String> {
        if let Some(defect) = &self.defect {
            return Err(defect.clone());
        }
        if at < self.this_update {
            return Err(format!("it is of {}, and now is {at}", self.this_update));
        }
        match self.next_update {
            Some(next) if at.whole_seconds() <= next => Ok(next),
            Some(next) => Err(format!("it ended at {next}, and now is {at}")),
            None => Err("it has no nextUpdate (§5.1.2.5)".into()),
        }
    }
}

/// Whether a certificate is revoked, by these CRLs. `issuer` signed the certificate; `others` are certificates of which one may
/// have signed a CRL. Such a signer counts if it leads to an anchor, and is good itself.
pub fn status_by_crls(
    anchors: &Anchors,
    others: &[Arc<Certificate>],
    certificate: &Certificate,
    issuer: &Arc<Certificate>,
    crls: &[Arc<Crl>],
    at: Timestamp,
) -> CrlStatus {
    let settings = PathSettings::default();
    let leads =
        |signer: &Arc<Certificate>| validate(anchors, &settings, &[Arc::clone(signer)], others, at);
    // Two keys of a CA may sign CRLs for each other: whoever signed a CRL must not be revoked, by what is signed by a valid key.
    let is_trusted = |signer: &Arc<Certificate>| {
        leads(signer).is_ok_and(|path| {
            path.pairs().all(|(of, issuer)| {
                let status = crl_status(of, issuer, others, &|of| leads(of).is_ok(), crls, at);
                matches!(status, CrlStatus::Good(_))
            })
        })
    };
    crl_status(certificate, issuer, others, &is_trusted, crls, at)
}

/// What a CRL's signer is checked with: its certificate leads to an anchor.
pub(crate) type IsTrusted<'a> = dyn Fn(&Arc<Certificate>) -> bool + 'a;

/// As [`status_by_crls`]; a signer counts if `is_trusted` says so.
pub(crate) fn crl_status(
    certificate: &Certificate,
    issuer: &Arc<Certificate>,
    others: &[Arc<Certificate>],
    is_trusted: &IsTrusted<'_>,
    crls: &[Arc<Crl>],
    at: Timestamp,
) -> CrlStatus {
    let mut asked = Asked {
        certificate,
        issuer,
        others,
        is_trusted,
        crls,
        at,
        covered: ReasonFlags::default(),
        told: HashMap::new(),
        until: Timestamp::from_millis(i64::MAX),
        why: None,
    };
    let implied = DistributionPoint { distribution_point: None, reasons: None, crl_issuer: None };
    for point in certificate.distribution_points.iter().chain([&implied]) {
        if let Some(entry) = asked.point(point) {
            return CrlStatus::Revoked { reason: entry.reason, at: entry.at };
        }
        if asked.is_done() {
            return CrlStatus::Good(asked.until);
        }
    }
    CrlStatus::Unknown(asked.why.unwrap_or_else(|| {
        format!("expected a current CRL of `{}`, found none", certificate.issuer_name)
    }))
}

struct Asked<'a> {
    certificate: &'a Certificate,
    issuer: &'a Arc<Certificate>,
    others: &'a [Arc<Certificate>],
    is_trusted: &'a IsTrusted<'a>,
    crls: &'a [Arc<Crl>],
    at: Timestamp,
    covered: ReasonFlags,
    /// What each key's CRLs have told, by SubjectPublicKeyInfo.
    told: HashMap<Vec<u8>, ReasonFlags>,
    until: Timestamp,
    why: Option<String>,
}

/// A CRL that may be used.
struct Usable {
    until: Timestamp,
    /// The SubjectPublicKeyInfo that its signature verifies with.
    key: Vec<u8>,
    /// Whether what it does not list is not revoked.
    covers: bool,
}

impl<'a> Asked<'a> {
    fn is_done(&self) -> bool {
        (self.covered & all_reasons()) == all_reasons()
    }

    /// §6.3.3 for one distribution point: the entry, if a CRL of it has one. Keys of one name may each have a CRL, as CAs that were
    /// rolled do: what any of them lists is revoked.
    fn point(&mut self, point: &DistributionPoint) -> Option<Entry> {
        let in_scope = |crl: &&Arc<Crl>| !crl.is_delta() && self.is_in_scope(crl, point);
        let mut crls: Vec<&Arc<Crl>> = self.crls.iter().filter(in_scope).collect();
        // Of several of one scope and key only the newest counts: the others cover no further reason.
        crls.sort_by_key(|crl| std::cmp::Reverse(crl.this_update));
        crls.dedup_by(|crl, other| Arc::ptr_eq(crl, other) || crl.is_same(other));
        let has_ended = crls.iter().any(|crl| self.is_own_and_ended(crl));
        for crl in crls {
            let reasons =
                reasons_of(point) & crl.scope.only_some_reasons.unwrap_or_else(all_reasons);
            let usable = match self.usable(crl, point) {
                Ok(usable) => usable,
                Err(why) => {
                    self.why = Some(format!("the CRL of `{}` cannot be used: {why}", crl.issuer));
                    continue;
                }
            };
            let delta = self.delta(crl, &usable.key);
            let is_own = usable.key == self.issuer.spki();
            let told = self.told.entry(usable.key).or_default();
            if (reasons | *told) == *told {
                continue;
            }
            *told |= reasons;
            if usable.covers && (is_own || !has_ended) {
                self.until = self.until.min(usable.until);
                self.covered |= reasons;
            } else if self.why.is_none() {
                self.why = Some(format!(
                    "expected a CRL of the key that signed the certificate, found one of another key of `{}`",
                    crl.issuer
                ));
            }
            let entry = match delta.and_then(|delta| delta.entry(self.certificate)) {
                Some(entry) if entry.reason == CrlReason::RemoveFromCRL => None,
                Some(entry) => Some(entry),
                None => crl.entry(self.certificate),
            };
            if entry.is_some() {
                return entry;
            }
        }
        None
    }

    /// Whether the certificate's own issuer signed it, and it cannot be used any more: what it would say now, no other key knows.
    fn is_own_and_ended(&self, crl: &Crl) -> bool {
        crl.next_update.is_some_and(|next| self.at.whole_seconds() > next)
            && crl.is_signed_by(self.issuer)
    }

    /// The newest delta that goes with a CRL (§5.2.4).
    fn delta(&self, full: &Crl, key: &[u8]) -> Option<&'a Arc<Crl>> {
        let fits = |delta: &&Arc<Crl>| {
            let (Some(base), Some(number), Some(own)) = (&delta.base, &full.number, &delta.number)
            else {
                return false;
            };
            same_name(&delta.issuer, &full.issuer)
                && delta.scope == full.scope
                && delta.authority_key == full.authority_key
                && order(base, number).is_le()
                && order(own, number).is_ge()
                && delta.usable(self.at).is_ok()
                && verify(key, &delta.algorithm, &delta.signed, &delta.signature).is_ok()
        };
        self.crls.iter().filter(fits).max_by_key(|delta| delta.this_update)
    }

    /// §6.3.3 (b): issuer, names, and kind of certificate.
    fn is_in_scope(&self, crl: &Crl, point: &DistributionPoint) -> bool {
        let by_issuer = match &point.crl_issuer {
            Some(names) => {
                crl.scope.indirect_crl
                    && names.iter().any(|name| is_directory_name(name, &crl.issuer))
            }
            None => same_name(&crl.issuer, &self.certificate.issuer_name),
        };
        let is_ca = self.certificate.is_ca();
        let scope = &crl.scope;
        by_issuer
            && !scope.only_contains_attribute_certs
            && if is_ca { !scope.only_contains_user_certs } else { !scope.only_contains_ca_certs }
            && scope.distribution_point.as_ref().is_none_or(|own| {
                let own = names_of(own, &crl.issuer);
                let wanted = match (&point.distribution_point, &point.crl_issuer) {
                    (Some(name), issuers) => {
                        let relative_to = issuers.iter().flatten().find_map(directory_name);
                        names_of(name, relative_to.unwrap_or(&self.certificate.issuer_name))
                    }
                    (None, Some(issuers)) => issuers.clone(),
                    (None, None) => return false,
                };
                own.iter().any(|name| wanted.iter().any(|other| is_same(name, other)))
            })
    }

    /// Dates, critical extensions, and the signature of whoever may sign it.
    fn usable(&self, crl: &Crl, point: &DistributionPoint) -> Result<Usable, String> {
        let until = crl.usable(self.at)?;
        let mut why = format!("nobody known signed it; its issuer is `{}`", crl.issuer);
        let mut usable = None;
        let candidates = std::iter::once(self.issuer).chain(self.others);
        for signer in candidates.filter(|of| same_name(&of.subject_name, &crl.issuer)) {
            if let (Some(wanted), Some(key)) = (&crl.authority_key, &signer.subject_key)
                && wanted != key
            {
                continue;
            }
            if signer.key_usage.as_ref().is_some_and(|usage| !usage.0.contains(KeyUsages::CRLSign))
            {
                why = format!("the keyUsage of `{}` lacks cRLSign", signer.shown());
                continue;
            }
            if let Err(error) = verify(signer.spki(), &crl.algorithm, &crl.signed, &crl.signature) {
                why = error;
                continue;
            }
            if !(Arc::ptr_eq(signer, self.issuer) || (self.is_trusted)(signer)) {
                why = format!(
                    "no valid path leads from its signer `{}` to an anchor",
                    signer.shown()
                );
                continue;
            }
            let covers = point.crl_issuer.is_some() || self.speaks_for_issuer(signer);
            if covers || usable.is_none() {
                usable = Some(Usable { until, key: signer.spki().to_vec(), covers });
            }
            if covers {
                break;
            }
        }
        usable.ok_or(why)
    }

    /// Whether a CRL of this key covers what the certificate's issuer signed: it is the issuer's key, the issuer's key signs no CRLs, or
    /// one of the two certified the other one under the same name. Otherwise another CA, or a later key, may have the name, and list
    /// its own certificates only.
    fn speaks_for_issuer(&self, signer: &Arc<Certificate>) -> bool {
        let issuer = self.issuer;
        let signs = |of: &Certificate| {
            of.key_usage.as_ref().is_none_or(|usage| usage.0.contains(KeyUsages::CRLSign))
        };
        let connects = |of: &Arc<Certificate>, by: &Certificate| {
            of.is_self_issued()
                && same_name(&of.subject_name, &by.subject_name)
                && of.is_signed_by(by)
        };
        let old_with_new = || {
            std::iter::once(issuer)
                .chain(self.others)
                .filter(|of| of.spki() == issuer.spki())
                .any(|of| connects(of, signer))
        };
        signer.spki() == issuer.spki()
            || !signs(issuer)
            || connects(signer, issuer)
            || old_with_new()
    }
}

fn everything() -> IssuingDistributionPoint {
    IssuingDistributionPoint {
        distribution_point: None,
        only_contains_user_certs: false,
        only_contains_ca_certs: false,
        only_some_reasons: None,
        indirect_crl: false,
        only_contains_attribute_certs: false,
    }
}

fn all_reasons() -> ReasonFlags {
    Reasons::KeyCompromise
        | Reasons::CaCompromise
        | Reasons::AffiliationChanged
        | Reasons::Superseded
        | Reasons::CessationOfOperation
        | Reasons::CertificateHold
        | Reasons::PrivilegeWithdrawn
        | Reasons::AaCompromise
}

fn reasons_of(point: &DistributionPoint) -> ReasonFlags {
    point.reasons.unwrap_or_else(all_reasons)
}

fn names_of(name: &DistributionPointName, issuer: &Name) -> Vec<GeneralName> {
    match name {
        DistributionPointName::FullName(names) => names.clone(),
        DistributionPointName::NameRelativeToCRLIssuer(part) => {
            let parts = issuer.0.iter().cloned().chain([part.clone()]).collect();
            vec![GeneralName::DirectoryName(RdnSequence(parts))]
        }
    }
}

fn directory_name(name: &GeneralName) -> Option<&Name> {
    match name {
        GeneralName::DirectoryName(name) => Some(name),
        _ => None,
    }
}

fn is_directory_name(name: &GeneralName, other: &Name) -> bool {
    directory_name(name).is_some_and(|name| same_name(name, other))
}

fn is_same(left: &GeneralName, right: &GeneralName) -> bool {
    match (left, right) {
        (GeneralName::DirectoryName(left), GeneralName::DirectoryName(right)) => {
            same_name(left, right)
        }
        _ => left == right,
    }
}

/// Of two numbers without leading zeros.
fn order(left: &[u8], right: &[u8]) -> std::cmp::Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}
