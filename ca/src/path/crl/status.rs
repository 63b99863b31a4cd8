//! Whether a certificate is revoked, by RFC 5280 §6.3.3.
//!
//! Two questions are kept apart. Whom a CRL lists is revoked if somebody signed it who may, also when it has ended or does not tell all;
//! only a hold lapses with its CRL. That a certificate is good, only a CRL says that is current and whole, of a signer that is good
//! itself; and this chain must end: no CRL speaks for the key that signed it, nor for one that its own signer is judged by
//! (§6.1.3 (a)(3), §6.3.3 (f)). But for one that its issuer wants so: a certificate that names itself in cRLIssuer (NIST's test 4.14.30).

use std::cell::Cell;
use std::sync::Arc;

use x509_cert::ext::pkix::crl::dp::{DistributionPoint, ReasonFlags, Reasons};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{CrlReason, KeyUsages};
use x509_cert::name::{Name, RdnSequence};

use super::entries::Entry;
use super::list::{Crl, order};
use crate::clock::Timestamp;
use crate::name::same_name;
use crate::path::budget::Budget;
use crate::path::build::{Anchors, validate_within};
use crate::path::certificate::Certificate;
use crate::path::check::PathSettings;

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
    /// They do not tell, as more would have to be looked at than is looked at for one certificate; in words of what. One of them may list
    /// it: let nobody in whom you would not let in that is revoked.
    Unsettled(String),
}

/// The most paths of signers that are looked for, for one certificate.
const MAX_SIGNERS: usize = 64;
/// The paths of signers together may cost as much as so many.
const MAX_PATHS: usize = 4;
/// How far the question for a signer's own signer is followed.
const MAX_DEPTH: usize = 4;

/// Whether a certificate is revoked, by these CRLs. `issuer` signed the certificate; `others` are certificates of which one may
/// have signed a CRL. Such a signer counts if it leads to an anchor, and for what is good, if it is good itself. §6.3.3 (f) wants the anchor
/// to be the same as the certificate's: who has a path hands in that one.
pub fn status_by_crls(
    anchors: &Anchors,
    others: &[Arc<Certificate>],
    certificate: &Certificate,
    issuer: &Arc<Certificate>,
    crls: &[Arc<Crl>],
    at: Timestamp,
) -> CrlStatus {
    let (signers, budget) = (Cell::new(MAX_SIGNERS), Budget::for_paths(MAX_PATHS));
    let exhausted = Cell::new(None);
    let inquiry = Inquiry { anchors, others, crls, at, signers, budget, exhausted };
    let status = inquiry.status(certificate, issuer, &[]);
    match (status, inquiry.exhausted.take()) {
        (CrlStatus::Good(_) | CrlStatus::Unknown(_), Some(why)) => CrlStatus::Unsettled(why),
        (status, _) => status,
    }
}

struct Inquiry<'a> {
    anchors: &'a Anchors,
    others: &'a [Arc<Certificate>],
    crls: &'a [Arc<Crl>],
    at: Timestamp,
    /// How many more signers' paths are looked for.
    signers: Cell<usize>,
    /// What their paths may cost together.
    budget: Budget,
    /// In words, what there was too much of: then a CRL that was not used may list the certificate.
    exhausted: Cell<Option<String>>,
}

/// What a signer's CRLs count for.
enum Standing {
    /// Nothing; in words why.
    None(String),
    /// What they list.
    Lists,
    /// What they do not list, too.
    Good,
}

impl Inquiry<'_> {
    /// `above` are the keys that this question was asked for: of the certificates that are good if this one is.
    fn status(
        &self,
        certificate: &Certificate,
        issuer: &Arc<Certificate>,
        above: &[&[u8]],
    ) -> CrlStatus {
        let mut asked = Asked {
            inquiry: self,
            certificate,
            issuer,
            in_question: [above, &[certificate.spki()]].concat(),
            covered: ReasonFlags::default(),
            told: Vec::new(),
            until: Timestamp::from_millis(i64::MAX),
            why: None,
        };
        let implied =
            DistributionPoint { distribution_point: None, reasons: None, crl_issuer: None };
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

    /// What the CRLs of somebody count for who is not the issuer of the certificate in question. Two keys of a CA may sign CRLs for each
    /// other: whoever signed a CRL must not be revoked, by what is signed by yet another key.
    fn standing(&self, signer: &Arc<Certificate>, in_question: &[&[u8]]) -> Standing {
        let is_anchor = |anchor: &Arc<Certificate>| {
            anchor.spki() == signer.spki() && anchor.subject() == signer.subject()
        };
        if self.anchors.iter().any(is_anchor) {
            return Standing::Good;
        }
        let Some(left) = self.signers.get().checked_sub(1) else {
            return self.too_much(format!("more than {MAX_SIGNERS} signers would be looked at"));
        };
        self.signers.set(left);
        let found = validate_within(
            self.anchors,
            &PathSettings::default(),
            &[Arc::clone(signer)],
            self.others,
            self.at,
            &self.budget,
        );
        // Also with a path: it may be another than the best.
        if self.budget.is_overdrawn() {
            return self.too_much(format!(
                "the paths of their signers would cost more than {MAX_PATHS} paths may"
            ));
        }
        let Ok(path) = found else {
            return Standing::None(format!(
                "no valid path leads from its signer `{}` to an anchor",
                signer.shown()
            ));
        };
        let mut standing = Standing::Good;
        for (of, by) in path.pairs() {
            if in_question.len() >= MAX_DEPTH || in_question.contains(&of.spki()) {
                standing = Standing::Lists;
                continue;
            }
            match self.status(of, by, in_question) {
                CrlStatus::Good(_) => {}
                CrlStatus::Revoked { .. } => {
                    return Standing::None(format!("its signer `{}` is revoked", signer.shown()));
                }
                CrlStatus::Unknown(_) | CrlStatus::Unsettled(_) => standing = Standing::Lists,
            }
        }
        standing
    }

    fn too_much(&self, why: String) -> Standing {
        self.exhausted.set(Some(format!("not all CRLs can be used: {why}")));
        Standing::None(why)
    }
}

struct Asked<'a> {
    inquiry: &'a Inquiry<'a>,
    certificate: &'a Certificate,
    issuer: &'a Arc<Certificate>,
    /// The certificate's key, and those that are good if the certificate is.
    in_question: Vec<&'a [u8]>,
    covered: ReasonFlags,
    /// The complete CRLs that told who is good.
    told: Vec<Told>,
    until: Timestamp,
    why: Option<String>,
}

/// A complete CRL that told who is good.
struct Told {
    /// The SubjectPublicKeyInfo of the key that signed it.
    key: Vec<u8>,
    /// Of which reasons.
    reasons: ReasonFlags,
    crl: Arc<Crl>,
}

/// Who signed a CRL.
struct Signer {
    /// The SubjectPublicKeyInfo that the signature verifies with.
    key: Vec<u8>,
    /// Whether what the CRL does not list is not revoked; in words why not.
    covers: Result<(), String>,
}

impl Asked<'_> {
    fn is_done(&self) -> bool {
        (self.covered & all_reasons()) == all_reasons()
    }

    /// §6.3.3 for one distribution point: the entry, if a CRL of it has one. Keys of one name may each have a CRL, as CAs that were
    /// rolled do: what any of them lists is revoked.
    fn point(&mut self, point: &DistributionPoint) -> Option<Entry> {
        let crls = self.in_scope(point, false);
        let has_ended = crls.iter().any(|crl| self.is_own_and_ended(crl));
        // The complete CRLs that were read, with their keys.
        let mut read = Vec::new();
        for crl in &crls {
            let signer = match self.signer(crl, point) {
                Ok(signer) => signer,
                Err(why) => {
                    self.why = Some(format!("the CRL of `{}` cannot be used: {why}", crl.issuer));
                    continue;
                }
            };
            let reasons =
                reasons_of(point) & crl.scope.only_some_reasons.unwrap_or_else(all_reasons);
            // Of several of one scope and key only the newest counts. What one of another scope lists counts beside it.
            let by_newer = self.told.iter().any(|told| {
                told.key == signer.key
                    && told.crl.scope == crl.scope
                    && (reasons | told.reasons) == told.reasons
            });
            if by_newer {
                continue;
            }
            read.push((signer.key.clone(), Arc::clone(crl)));
            let entry = self.entry(crl, &signer.key);
            let until = match crl.tells_until(self.inquiry.at) {
                Ok(until) => until,
                Err(why) => {
                    self.why = Some(format!("the CRL of `{}` cannot be used: {why}", crl.issuer));
                    match entry {
                        Some((entry, true)) => return Some(entry),
                        _ => continue,
                    }
                }
            };
            let is_own = signer.key == self.issuer.spki();
            match signer.covers {
                Ok(()) if is_own || !has_ended => {
                    self.until = self.until.min(until);
                    self.covered |= reasons;
                }
                // That there is one of its own, which ended, is the better reason.
                covers => {
                    self.why.get_or_insert_with(|| covers.err().unwrap_or_default());
                }
            }
            self.told.push(Told { key: signer.key, reasons, crl: Arc::clone(crl) });
            if let Some((entry, _)) = entry {
                return Some(entry);
            }
        }
        self.lone_deltas(point, &read)
    }

    /// The CRLs of a distribution point, newest first.
    fn in_scope(&self, point: &DistributionPoint, deltas: bool) -> Vec<Arc<Crl>> {
        let fits = |crl: &&Arc<Crl>| crl.is_delta() == deltas && self.is_in_scope(crl, point);
        let mut crls: Vec<Arc<Crl>> = self.inquiry.crls.iter().filter(fits).cloned().collect();
        crls.sort_by_key(|crl| std::cmp::Reverse(crl.this_update));
        crls.dedup_by(|crl, other| Arc::ptr_eq(crl, other) || crl.is_same(other));
        crls
    }

    /// Whether an entry of a CRL that tells nobody good counts: but for a hold all are for good.
    fn still_counts(&self, entry: &Entry, crl: &Crl) -> bool {
        entry.is_permanent() || !crl.has_ended(self.inquiry.at)
    }

    /// Whether no later complete CRL of the key takes an entry of a CRL back: of another scope it takes back a hold only.
    fn stands(&self, entry: &Entry, crl: &Crl, key: &[u8]) -> bool {
        entry.is_permanent()
            || !self.told.iter().any(|told| {
                told.key == key
                    && (told.reasons & Reasons::CertificateHold) == Reasons::CertificateHold
                    && told.crl.this_update > crl.this_update
            })
    }

    /// What deltas list that go with none of the complete CRLs that were read: of another key, or of another scope.
    fn lone_deltas(
        &self,
        point: &DistributionPoint,
        read: &[(Vec<u8>, Arc<Crl>)],
    ) -> Option<Entry> {
        self.in_scope(point, true).iter().find_map(|delta| {
            let signer = self.signer(delta, point).ok()?;
            let entry = delta.entry(self.certificate)?;
            let counts = entry.reason != CrlReason::RemoveFromCRL
                && self.still_counts(&entry, delta)
                && self.stands(&entry, delta, &signer.key)
                && !read.iter().any(|(key, full)| *key == signer.key && goes_with(delta, full));
            counts.then_some(entry)
        })
    }

    /// Whether the certificate's own issuer signed it, and it cannot be used any more: what it would say now, no other key knows.
    fn is_own_and_ended(&self, crl: &Crl) -> bool {
        crl.has_ended(self.inquiry.at) && crl.is_signed_by(self.issuer)
    }

    /// What a complete CRL says with its deltas: the newest that goes with it (§5.2.4), and later ones that do not, and list the
    /// certificate all the same. And whether it still counts if the CRL tells nobody good.
    fn entry(&self, full: &Crl, key: &[u8]) -> Option<(Entry, bool)> {
        for (delta, applies) in self.deltas(full, key) {
            match delta.entry(self.certificate) {
                Some(entry) if entry.reason == CrlReason::RemoveFromCRL && applies => return None,
                // One that does not go with it takes nothing back.
                Some(entry) if entry.reason == CrlReason::RemoveFromCRL => {}
                Some(entry)
                    if (applies || self.still_counts(&entry, delta))
                        && self.stands(&entry, delta, key) =>
                {
                    return Some((entry, true));
                }
                None if applies => break,
                _ => {}
            }
        }
        let entry = full.entry(self.certificate).filter(|entry| self.stands(entry, full, key))?;
        Some((entry, self.still_counts(&entry, full)))
    }

    /// The later deltas of a complete CRL, newest first, and whether each can be applied to it.
    fn deltas(&self, full: &Crl, key: &[u8]) -> Vec<(&Arc<Crl>, bool)> {
        let Some(number) = &full.number else { return Vec::new() };
        let mut deltas = Vec::new();
        for delta in self.inquiry.crls {
            let (Some(base), Some(own)) = (&delta.base, &delta.number) else { continue };
            let is_later = goes_with(delta, full)
                && order(own, number).is_gt()
                && delta.is_usable().is_ok()
                && delta.verify(key).is_ok()
                && delta.has_usable_entries().is_ok();
            if is_later {
                let applies =
                    order(base, number).is_le() && delta.tells_until(self.inquiry.at).is_ok();
                deltas.push((own, delta, applies));
            }
        }
        deltas.sort_by(|(one, ..), (other, ..)| order(other, one));
        deltas.into_iter().map(|(_, delta, applies)| (delta, applies)).collect()
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

    /// Critical extensions, and the signature of whoever may sign it.
    fn signer(&self, crl: &Crl, point: &DistributionPoint) -> Result<Signer, String> {
        crl.is_usable()?;
        let mut why = format!("nobody known signed it; its issuer is `{}`", crl.issuer);
        let mut found = None;
        let candidates = std::iter::once(self.issuer).chain(self.inquiry.others);
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
            if let Err(error) = crl.verify(signer.spki()) {
                why = error;
                continue;
            }
            let standing = if signer.fingerprint() == self.issuer.fingerprint()
                || self.names_itself(signer, point)
            {
                Standing::Good
            } else {
                self.inquiry.standing(signer, &self.in_question)
            };
            let covers = match standing {
                Standing::None(error) => {
                    why = error;
                    continue;
                }
                Standing::Lists => self.is_another(signer).and(Err(format!(
                    "whether the signer `{}` of a CRL is revoked itself is not known",
                    signer.shown()
                ))),
                Standing::Good => self.covers(signer, crl, point),
            };
            if covers.is_ok() || found.is_none() {
                found = Some(Signer { key: signer.spki().to_vec(), covers });
            }
            if found.as_ref().is_some_and(|found| found.covers.is_ok()) {
                break;
            }
        }
        let found = found.ok_or(why)?;
        crl.has_usable_entries()?;
        Ok(found)
    }

    /// Whether a signer is none of those who are good only if the certificate is.
    fn is_another(&self, signer: &Certificate) -> Result<(), String> {
        if !self.in_question.contains(&signer.spki()) {
            return Ok(());
        }
        Err(format!(
            "expected a CRL of the key that signed `{}`, found one of its own key (§6.3.3)",
            signer.shown()
        ))
    }

    /// Whether it is the certificate in question, and its issuer wrote into it that it tells its own status.
    fn names_itself(&self, signer: &Certificate, point: &DistributionPoint) -> bool {
        point.crl_issuer.is_some() && signer.fingerprint() == self.certificate.fingerprint()
    }

    fn covers(
        &self,
        signer: &Arc<Certificate>,
        crl: &Crl,
        point: &DistributionPoint,
    ) -> Result<(), String> {
        if !self.names_itself(signer, point) {
            self.is_another(signer)?;
        }
        if point.crl_issuer.is_some() || self.speaks_for_issuer(signer) {
            return Ok(());
        }
        Err(format!(
            "expected a CRL of the key that signed the certificate, found one of another key of `{}`",
            crl.issuer
        ))
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
                .chain(self.inquiry.others)
                .filter(|of| of.spki() == issuer.spki())
                .any(|of| connects(of, signer))
        };
        signer.spki() == issuer.spki()
            || !signs(issuer)
            || connects(signer, issuer)
            || old_with_new()
    }
}

/// Whether a delta can tell what changed since a complete CRL of its key (§5.2.4): both are of one issuer and scope, name their key alike,
/// and have numbers.
fn goes_with(delta: &Crl, full: &Crl) -> bool {
    same_name(&delta.issuer, &full.issuer)
        && delta.scope == full.scope
        && delta.authority_key == full.authority_key
        && full.number.is_some()
        && delta.number.is_some()
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
