//! Decides whether a certificate is revoked (RFC 5280 §6.3.3).
//!
//! The two possible answers need different evidence. *Revoked*: an entry on a CRL suffices if an authorized key signed the CRL, even if
//! the CRL has ended or is incomplete; only a hold lapses with its CRL. *Good*: the CRL must be current and complete, and its signer must
//! be good itself. The search for the signer's own status must end. So no CRL counts for the key that signed it, nor for a key on which
//! the judgement of its own signer depends (§6.1.3 (a)(3), §6.3.3 (f)). The exception is a certificate that names itself in cRLIssuer,
//! because its issuer wants that (NIST's test 4.14.30).

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

/// The revocation status of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrlStatus {
    /// No CRL lists the certificate, and the CRLs that were consulted cover all revocation reasons together. The time is
    /// the earliest nextUpdate of these CRLs.
    Good(Timestamp),
    /// A CRL lists the certificate as revoked or held.
    Revoked {
        /// The reason.
        reason: CrlReason,
        /// The revocation date on the CRL.
        at: Timestamp,
    },
    /// The available CRLs do not tell. The text says why.
    Unknown(String),
    /// The available CRLs do not tell, because a bound on the work was reached. The text says which. One of the unused
    /// CRLs may list the certificate, so it must be treated as revoked wherever that matters.
    Unsettled(String),
}

/// The most signers of CRLs whose paths are searched, for one certificate.
const MAX_SIGNERS: usize = 64;
/// The budget of all these paths together, in multiples of one path's budget.
const MAX_PATHS: usize = 4;
/// The most certificates in a chain of questions: the certificate in question, the signer of its CRL, the signer of
/// that signer's CRL, and so on.
const MAX_DEPTH: usize = 4;

/// Decides whether a certificate is revoked, by these CRLs.
///
/// `issuer` signed the certificate. `others` are certificates whose keys may have signed a CRL. Such a signer counts if
/// a path leads from it to an anchor; for *good*, it must be good itself. §6.3.3 (f) demands the same anchor as for the
/// certificate, so a caller with a validated path passes only its anchor.
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
    /// The number of signers whose paths may still be searched.
    signers: Cell<usize>,
    /// The remaining budget of the signers' paths.
    budget: Budget,
    /// The bound that was reached, as a sentence. A CRL that could not be used may then list the certificate.
    exhausted: Cell<Option<String>>,
}

/// What the CRLs of a signer can show.
enum Standing {
    /// The CRLs show nothing. The text gives the reason.
    None(String),
    /// The CRLs show that certificates are revoked, but not that they are good.
    Lists,
    /// The CRLs show that certificates are revoked, and that they are good.
    Good,
}

impl Inquiry<'_> {
    /// The status of a certificate. `above` are the SubjectPublicKeyInfos of the keys whose status depends on this
    /// answer.
    fn status(
        &self,
        certificate: &Certificate,
        issuer: &Arc<Certificate>,
        above: &[&[u8]],
    ) -> CrlStatus {
        let mut query = Query {
            inquiry: self,
            certificate,
            issuer,
            in_question: [above, &[certificate.spki()]].concat(),
            covered: ReasonFlags::default(),
            consulted: Vec::new(),
            until: Timestamp::from_millis(i64::MAX),
            why: None,
        };
        let implied =
            DistributionPoint { distribution_point: None, reasons: None, crl_issuer: None };
        for point in certificate.distribution_points.iter().chain([&implied]) {
            if let Some(entry) = query.point(point) {
                return CrlStatus::Revoked { reason: entry.reason, at: entry.at };
            }
            if query.is_done() {
                return CrlStatus::Good(query.until);
            }
        }
        CrlStatus::Unknown(query.why.unwrap_or_else(|| {
            format!("expected a current CRL of `{}`, found none", certificate.issuer_name)
        }))
    }

    /// Judges the signer of a CRL that is not the issuer of the certificate in question. Two keys of one CA may each
    /// sign the other's CRL, so a loop is possible. A CRL shows that certificates are good only if its signer is
    /// unrevoked according to a CRL of yet another key.
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
        // This also applies if a path was found, because a better one may have been missed.
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

    /// Records that a bound was reached.
    fn too_much(&self, why: String) -> Standing {
        self.exhausted.set(Some(format!(
            "not all CRLs can be used: {why}; provide only the CRLs of the CAs in question, and only the certificates that signed these"
        )));
        Standing::None(why)
    }
}

struct Query<'a> {
    inquiry: &'a Inquiry<'a>,
    certificate: &'a Certificate,
    issuer: &'a Arc<Certificate>,
    /// The SubjectPublicKeyInfos of the certificate's own key and of the keys whose status depends on this answer.
    in_question: Vec<&'a [u8]>,
    covered: ReasonFlags,
    /// The complete CRLs that were consulted and are current.
    consulted: Vec<ConsultedCrl>,
    until: Timestamp,
    why: Option<String>,
}

/// A complete CRL that was consulted and is current.
struct ConsultedCrl {
    /// The SubjectPublicKeyInfo of the key that signed the CRL.
    key: Vec<u8>,
    /// The reasons that the CRL covers.
    reasons: ReasonFlags,
    crl: Arc<Crl>,
}

/// Whether a CRL stands alone or complements another one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CrlForm {
    Complete,
    Delta,
}

/// A complete CRL, with the SubjectPublicKeyInfo of the key that signed it.
struct ReadCrl {
    key: Vec<u8>,
    crl: Arc<Crl>,
}

/// An entry, and whether it counts although its CRL does not show that other certificates are good.
struct FoundEntry {
    entry: Entry,
    counts_alone: bool,
}

/// A delta that is later than a complete CRL.
struct LaterDelta<'a> {
    crl: &'a Arc<Crl>,
    /// Whether the delta CRL can be applied to the complete CRL (§5.2.4).
    applies: bool,
}

/// The signer of a CRL.
struct Signer {
    /// The SubjectPublicKeyInfo with which the signature verifies.
    key: Vec<u8>,
    /// Whether the CRL shows that certificates which it does not list are unrevoked, as far as its signer matters. The
    /// text says why not.
    covers: Result<(), String>,
}

impl Query<'_> {
    /// Whether the CRLs so far cover every reason.
    fn is_done(&self) -> bool {
        (self.covered & all_reasons()) == all_reasons()
    }

    /// §6.3.3 for one distribution point. Returns the entry, if a CRL has one. Several keys of one name may each have a
    /// CRL, as after a rollover; an entry on any of them counts.
    fn point(&mut self, point: &DistributionPoint) -> Option<Entry> {
        let crls = self.in_scope(point, CrlForm::Complete);
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
            // Of several CRLs with one scope and key, only the newest counts. A CRL of another scope counts in
            // addition.
            let by_newer = self.consulted.iter().any(|consulted| {
                consulted.key == signer.key
                    && consulted.crl.scope == crl.scope
                    && (reasons | consulted.reasons) == consulted.reasons
            });
            if by_newer {
                continue;
            }
            read.push(ReadCrl { key: signer.key.clone(), crl: Arc::clone(crl) });
            let entry = self.entry(crl, &signer.key);
            let until = match crl.tells_until(self.inquiry.at) {
                Ok(until) => until,
                Err(why) => {
                    self.why = Some(format!("the CRL of `{}` cannot be used: {why}", crl.issuer));
                    match entry {
                        Some(FoundEntry { entry, counts_alone: true }) => return Some(entry),
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
                // If the issuer's own CRL exists but has ended, that is the better explanation, so an earlier reason is
                // kept.
                covers => {
                    self.why.get_or_insert_with(|| covers.err().unwrap_or_default());
                }
            }
            self.consulted.push(ConsultedCrl { key: signer.key, reasons, crl: Arc::clone(crl) });
            if let Some(found) = entry {
                return Some(found.entry);
            }
        }
        self.lone_deltas(point, &read)
    }

    /// The CRLs for a distribution point, newest first.
    fn in_scope(&self, point: &DistributionPoint, form: CrlForm) -> Vec<Arc<Crl>> {
        let is_wanted = |crl: &Crl| crl.is_delta() == (form == CrlForm::Delta);
        let fits = |crl: &&Arc<Crl>| is_wanted(crl) && self.is_in_scope(crl, point);
        let mut crls: Vec<Arc<Crl>> = self.inquiry.crls.iter().filter(fits).cloned().collect();
        crls.sort_by_key(|crl| std::cmp::Reverse(crl.this_update));
        crls.dedup_by(|crl, other| Arc::ptr_eq(crl, other) || crl.is_same(other));
        crls
    }

    /// Whether an entry counts although its CRL does not show that certificates are good. Permanent entries do; a hold
    /// lapses with its CRL.
    fn still_counts(&self, entry: &Entry, crl: &Crl) -> bool {
        entry.is_permanent() || !crl.has_ended(self.inquiry.at)
    }

    /// Whether no later complete CRL of the same key withdraws an entry. A CRL of another scope can only withdraw a
    /// hold.
    fn stands(&self, entry: &Entry, crl: &Crl, key: &[u8]) -> bool {
        entry.is_permanent()
            || !self.consulted.iter().any(|consulted| {
                consulted.key == key
                    && (consulted.reasons & Reasons::CertificateHold) == Reasons::CertificateHold
                    && consulted.crl.this_update > crl.this_update
            })
    }

    /// The entry on a delta that fits none of the complete CRLs that were read, because it is of another key or another
    /// scope.
    fn lone_deltas(&self, point: &DistributionPoint, read: &[ReadCrl]) -> Option<Entry> {
        self.in_scope(point, CrlForm::Delta).iter().find_map(|delta| {
            let signer = self.signer(delta, point).ok()?;
            let entry = delta.entry(self.certificate)?;
            let counts = entry.reason != CrlReason::RemoveFromCRL
                && self.still_counts(&entry, delta)
                && self.stands(&entry, delta, &signer.key)
                && !read.iter().any(|full| full.key == signer.key && goes_with(delta, &full.crl));
            counts.then_some(entry)
        })
    }

    /// Whether the issuer itself signed this CRL, and the CRL has ended. No other key can know what the issuer's next CRL would say.
    fn is_own_and_ended(&self, crl: &Crl) -> bool {
        crl.has_ended(self.inquiry.at) && crl.is_signed_by(self.issuer)
    }

    /// The entry of a certificate on a complete CRL and its deltas: the newest delta that applies to it (§5.2.4), and
    /// later deltas that do not apply but list the certificate nevertheless.
    fn entry(&self, full: &Crl, key: &[u8]) -> Option<FoundEntry> {
        for LaterDelta { crl: delta, applies } in self.deltas(full, key) {
            match delta.entry(self.certificate) {
                Some(entry) if entry.reason == CrlReason::RemoveFromCRL && applies => return None,
                // A delta that does not apply cannot withdraw an entry.
                Some(entry) if entry.reason == CrlReason::RemoveFromCRL => {}
                Some(entry)
                    if (applies || self.still_counts(&entry, delta))
                        && self.stands(&entry, delta, key) =>
                {
                    return Some(FoundEntry { entry, counts_alone: true });
                }
                None if applies => break,
                _ => {}
            }
        }
        let entry = full.entry(self.certificate).filter(|entry| self.stands(entry, full, key))?;
        Some(FoundEntry { entry, counts_alone: self.still_counts(&entry, full) })
    }

    /// The later deltas of a complete CRL, newest first.
    fn deltas(&self, full: &Crl, key: &[u8]) -> Vec<LaterDelta<'_>> {
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
                deltas.push((own, LaterDelta { crl: delta, applies }));
            }
        }
        deltas.sort_by(|(one, _), (other, _)| order(other, one));
        deltas.into_iter().map(|(_, delta)| delta).collect()
    }

    /// §6.3.3 (b): whether issuer, names and kind of certificate match.
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

    /// The signer of a CRL: the candidate whose key verifies the signature and that may sign it. CRLs with unknown
    /// critical extensions are refused.
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

    /// Fails if the signer's own status depends on this answer.
    fn is_another(&self, signer: &Certificate) -> Result<(), String> {
        if !self.in_question.contains(&signer.spki()) {
            return Ok(());
        }
        Err(format!(
            "expected a CRL of the key that signed `{}`, found one of its own key (§6.3.3)",
            signer.shown()
        ))
    }

    /// Whether the signer is the certificate in question, and the certificate's issuer named it in cRLIssuer, so that
    /// it attests its own status.
    fn names_itself(&self, signer: &Certificate, point: &DistributionPoint) -> bool {
        point.crl_issuer.is_some() && signer.fingerprint() == self.certificate.fingerprint()
    }

    /// Checks that certificates which this CRL does not list are unrevoked, as far as its signer is concerned.
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

    /// Whether a CRL of this key covers certificates of the issuer. It does if the key is the issuer's, if the issuer's
    /// key signs no CRLs, or if one of the two keys certified the other one under the same name. Otherwise the signer
    /// may be another CA of that name, or a later key, that lists only its own certificates.
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

/// Whether a delta can state the changes since a complete CRL of its key (§5.2.4): both have the same issuer, scope and
/// key identifier, and have numbers.
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

/// The reasons of a distribution point.
fn reasons_of(point: &DistributionPoint) -> ReasonFlags {
    point.reasons.unwrap_or_else(all_reasons)
}

/// The full names of a distribution point. A relative name is completed with `issuer`.
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
