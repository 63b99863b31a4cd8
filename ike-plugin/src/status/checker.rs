//! Finds the status of one certificate: CRLs and OCSP in the order that the operator prefers.

use std::sync::Arc;
use std::time::Instant;

use countersign_ca::Timestamp;

use super::crl_cache::{CrlCache, FoundCrls};
use super::location::Locations;
use super::ocsp_cache::OcspCache;
use super::verdict::{Lack, Status};
use countersign_ca::path::crl::{Crl, CrlStatus, status_by_crls};
use countersign_ca::path::{Anchors, Certificate, ValidPath};
use x509_cert::ext::pkix::CrlReason;

/// The longest time for which a decision relies on an OCSP answer before it asks the cache again.
const RECHECK: std::time::Duration = std::time::Duration::from_secs(600);

/// How much must be known about the status of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The status of the certificate must be known, and must be good.
    Strict,
    /// No status is required. A certificate that is known to be revoked is refused all the same, and so is one whose status is in CRLs of which there
    /// are more than are looked at.
    IfPresent,
    /// No status is required, and neither CRLs nor responders are used.
    Off,
}

/// Which source is asked first. The other one is asked if the first gives no status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prefer {
    /// CRLs.
    #[default]
    Crl,
    /// OCSP.
    Ocsp,
}

/// One source, CRLs or OCSP, gives no status.
struct Silence {
    /// The reason, as text; empty if there was nothing to ask.
    why: String,
    /// Whether [`Mode::IfPresent`] accepts the missing status. It does not if there are CRLs that may say "revoked" and were too many to
    /// be looked at.
    passes: bool,
}

/// Finds the status of a certificate by CRLs and OCSP responders.
pub struct StatusChecker {
    /// How much must be known about the status.
    pub mode: Mode,
    /// Which URLs in certificates may be fetched from.
    pub locations: Locations,
    /// URLs and files of CRLs that the operator configured, besides those in certificates.
    pub configured: Vec<String>,
    /// The cache of CRLs.
    pub cache: CrlCache,
    /// Which source is asked first.
    pub prefer: Prefer,
    /// OCSP responders that the operator configured, besides those in certificates.
    pub responders: Vec<String>,
    /// The cache of OCSP answers.
    pub ocsp: OcspCache,
    /// Certificates of CAs that may have signed a CRL, besides those of the path.
    pub others: Vec<Arc<Certificate>>,
    /// The trust anchors. The signer of a CRL must have a path to the same anchor as the certificate that the CRL is about.
    pub anchors: Anchors,
}

impl StatusChecker {
    /// Finds out whether this certificate of a path is revoked. It waits for the network until `deadline` at most.
    pub fn check(
        &self,
        path: &ValidPath,
        certificate: &Arc<Certificate>,
        issuer: &Arc<Certificate>,
        at: Timestamp,
        deadline: Instant,
    ) -> Status {
        self.check_with(&[], path, (certificate, issuer), at, deadline)
    }

    /// As [`Self::check`] of a certificate and its issuer's, by these CRLs, too. If they tell the status, no other source is asked.
    pub fn check_with(
        &self,
        given: &[Arc<Crl>],
        path: &ValidPath,
        (certificate, issuer): (&Arc<Certificate>, &Arc<Certificate>),
        at: Timestamp,
        deadline: Instant,
    ) -> Status {
        if self.mode != Mode::Off && !given.is_empty() {
            match self.status(path, certificate, issuer, given, at) {
                CrlStatus::Good(until) => return Status::Good(until),
                CrlStatus::Revoked { reason, at } => return revoked(certificate, at, reason),
                CrlStatus::Unknown(_) | CrlStatus::Unsettled(_) => {}
            }
        }
        if self.mode == Mode::Off {
            return Status::Passed(Timestamp::from_millis(i64::MAX), Lack::NotAsked);
        }
        let (urls, refused) = self.responders_of(certificate);
        let by_crl = |deadline| self.by_crl(path, certificate, issuer, at, deadline);
        let by_ocsp = |deadline| self.by_ocsp(certificate, issuer, &urls, &refused, at, deadline);
        // If both sources can be asked, the first gets half of the time.
        let now = Instant::now();
        let half = now + deadline.saturating_duration_since(now) / 2;
        let has_both = !urls.is_empty() && self.has_crls(certificate);
        let first_by = if has_both { half } else { deadline };
        let first = match self.prefer {
            Prefer::Crl => by_crl(first_by),
            Prefer::Ocsp => by_ocsp(first_by),
        };
        let first = match first {
            Ok(status) => return status,
            Err(silence) => silence,
        };
        let second = match self.prefer {
            Prefer::Crl => by_ocsp(deadline),
            Prefer::Ocsp => by_crl(deadline),
        };
        let second = match second {
            Ok(status) => return status,
            Err(silence) => silence,
        };
        if self.mode == Mode::IfPresent && first.passes && second.passes {
            // Only for a minute, because a CRL may arrive.
            return Status::Passed(at.plus(std::time::Duration::from_secs(60)), Lack::NotKnown);
        }
        let why: Vec<String> =
            [first.why, second.why].into_iter().filter(|why| !why.is_empty()).collect();
        Status::Unknown(format!(
            "whether the certificate `{}` is revoked is not known: {}",
            certificate.shown(),
            why.join("; ")
        ))
    }

    /// The responders that may be asked, and for each of the others the reason why it may not be asked.
    fn responders_of(&self, certificate: &Certificate) -> (Vec<String>, Vec<String>) {
        let named = certificate.ocsp_urls().iter().cloned();
        let (mut allowed, other): (Vec<String>, Vec<String>) =
            named.partition(|url| self.locations.allow(url));
        allowed.extend(self.responders.iter().cloned());
        (allowed, other.iter().map(|url| not_allowed(url)).collect())
    }

    fn has_crls(&self, certificate: &Certificate) -> bool {
        !self.configured.is_empty()
            || certificate.crl_urls().iter().any(|url| self.locations.allow(url))
    }

    /// The status by CRLs.
    fn by_crl(
        &self,
        path: &ValidPath,
        certificate: &Arc<Certificate>,
        issuer: &Arc<Certificate>,
        at: Timestamp,
        deadline: Instant,
    ) -> Result<Status, Silence> {
        let named = certificate.crl_urls();
        let (allowed, other): (Vec<_>, Vec<_>) =
            named.into_iter().partition(|url| self.locations.allow(url));
        let signers: Vec<_> = std::iter::once(issuer).chain(self.others(path)).cloned().collect();
        let FoundCrls { mut crls, mut errors } = self.cache.at(&allowed, &signers, deadline);
        let configured = self.cache.at(&self.configured, &signers, deadline);
        crls.extend(configured.crls);
        errors.extend(configured.errors);
        errors.extend(other.iter().map(|url| not_allowed(url)));
        let (why, passes) = match self.status(path, certificate, issuer, &crls, at) {
            CrlStatus::Good(until) => return Ok(Status::Good(until)),
            CrlStatus::Revoked { reason, at } => {
                return Ok(revoked(certificate, at, reason));
            }
            CrlStatus::Unknown(why) => (why, true),
            CrlStatus::Unsettled(why) => (why, false),
        };
        errors.insert(0, why);
        Err(Silence { why: errors.join("; "), passes })
    }

    /// The status by OCSP.
    fn by_ocsp(
        &self,
        certificate: &Arc<Certificate>,
        issuer: &Arc<Certificate>,
        urls: &[String],
        refused: &[String],
        at: Timestamp,
        deadline: Instant,
    ) -> Result<Status, Silence> {
        if urls.is_empty() {
            return Err(Silence { why: refused.join("; "), passes: true });
        }
        let answer = self.ocsp.status(certificate, issuer, urls, deadline);
        let answer = answer.map_err(|why| {
            let all = std::iter::once(format!("OCSP: {why}")).chain(refused.iter().cloned());
            Silence { why: all.collect::<Vec<_>>().join("; "), passes: true }
        })?;
        Ok(match &answer.revoked {
            // The limit has the decision ask again, so that the cache notices that the answer is still in use and keeps it fresh.
            None => Status::Good(answer.until.min(at.plus(RECHECK))),
            Some((at, reason)) => Status::Revoked(format!(
                "the certificate `{}` was revoked at {at}: {reason:?} (OCSP)",
                certificate.shown()
            )),
        })
    }

    fn status(
        &self,
        path: &ValidPath,
        certificate: &Certificate,
        issuer: &Arc<Certificate>,
        crls: &[Arc<Crl>],
        at: Timestamp,
    ) -> CrlStatus {
        let others: Vec<_> = self.others(path).cloned().collect();
        // RFC 5280 §6.3.3 (f): the path of the CRL's signer must lead to the same anchor.
        let anchor = Anchors::only(&path.anchor);
        status_by_crls(&anchor, &others, certificate, issuer, crls, at)
    }

    /// The certificates of CAs that may have signed a CRL about this path.
    fn others<'a>(&'a self, path: &'a ValidPath) -> impl Iterator<Item = &'a Arc<Certificate>> {
        path.certificates.iter().skip(1).chain([&path.anchor]).chain(&self.others)
    }
}

fn revoked(certificate: &Certificate, at: Timestamp, reason: CrlReason) -> Status {
    Status::Revoked(format!(
        "the certificate `{}` was revoked at {at}: {reason:?}",
        certificate.shown()
    ))
}

fn not_allowed(url: &str) -> String {
    format!("`{}` is not asked, for authorizer.locations does not allow it", url.escape_debug())
}
